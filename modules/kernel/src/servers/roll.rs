//! Which streams are open at which server, so that a page's word that it can be heard counts at whichever server it
//! arrives, and is forgotten when its stream ends, also with the server that held it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use tokio::sync::{mpsc, oneshot};

use crate::db::{BothExt, Database, Db, Tx};
use crate::error::Result;
use crate::http::{App, StreamId};
use crate::ids::UserId;
use crate::schema::open_stream;

/// Streams of one transaction.
const BATCH: usize = 200;
const RETRY: Duration = Duration::from_millis(500);
/// How long is waited for what is still to be written.
const SETTLE: Duration = Duration::from_millis(500);

#[derive(Debug)]
enum News {
    Opened(StreamId, UserId, oneshot::Sender<()>),
    Closed(StreamId),
    /// With the server that held them.
    Ended(Vec<String>),
    /// The others had forgotten this server.
    Again,
    Settle(oneshot::Sender<()>),
}

/// Writes down which streams are open here, in the order in which they open and close.
#[derive(Debug, Clone)]
pub(crate) struct Roll(mpsc::UnboundedSender<News>);

impl Roll {
    pub(super) fn start(app: &Arc<App>, db: Database, instance: String) -> Self {
        let (send, news) = mpsc::unbounded_channel();
        let keeper = Keeper { app: Arc::downgrade(app), db, instance, open: HashMap::new() };
        tokio::spawn(keeper.run(news));
        Self(send)
    }

    /// Answers once other servers know of it.
    pub(crate) fn opened(&self, stream: &StreamId, user: UserId) -> oneshot::Receiver<()> {
        let (done, known) = oneshot::channel();
        let _ = self.0.send(News::Opened(stream.clone(), user, done));
        known
    }

    /// The listeners are told after it is written: what a page says meanwhile about its stream is forgotten with it.
    pub(crate) fn closed(&self, stream: &StreamId) {
        let _ = self.0.send(News::Closed(stream.clone()));
    }

    pub(super) fn ended(&self, streams: Vec<String>) {
        let _ = self.0.send(News::Ended(streams));
    }

    pub(super) fn again(&self) {
        let _ = self.0.send(News::Again);
    }

    /// Waits until what opened and closed so far is written, for a moment at most.
    pub(crate) async fn settle(&self) {
        let (done, settled) = oneshot::channel();
        let _ = self.0.send(News::Settle(done));
        let _ = tokio::time::timeout(SETTLE, settled).await;
    }
}

/// Whether a stream is open at some server and is that user's. Held until the transaction ends: a stream that closes
/// waits for it, and what it wrote is forgotten with the stream.
pub(crate) fn is_open(db: &mut Db, stream: &StreamId, user: UserId) -> Result<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = BigInt)]
        #[allow(dead_code)] // only whether there is one
        user_id: i64,
    }
    let found: Vec<Found> = match db {
        Db::Pg(conn) => {
            diesel::sql_query("SELECT user_id FROM open_stream WHERE stream = $1 AND user_id = $2 FOR SHARE")
                .bind::<Text, _>(&stream.0)
                .bind::<BigInt, _>(user.0)
                .load(conn)?
        }
        Db::Sqlite(_) => Vec::new(),
    };
    Ok(!found.is_empty())
}

struct Keeper {
    app: Weak<App>,
    db: Database,
    instance: String,
    open: HashMap<StreamId, UserId>,
}

impl Keeper {
    async fn run(mut self, mut news: mpsc::UnboundedReceiver<News>) {
        let mut batch = Vec::with_capacity(BATCH);
        while news.recv_many(&mut batch, BATCH).await > 0 {
            self.write(std::mem::take(&mut batch)).await;
        }
    }

    async fn write(&mut self, batch: Vec<News>) {
        let (mut changed, mut ended) = (HashSet::new(), HashSet::new());
        let mut answers = Vec::new();
        for news in batch {
            match news {
                News::Opened(stream, user, known) => {
                    self.open.insert(stream.clone(), user);
                    changed.insert(stream);
                    answers.push(known);
                }
                News::Closed(stream) => {
                    self.open.remove(&stream);
                    changed.insert(stream.clone());
                    ended.insert(stream);
                }
                News::Ended(streams) => ended.extend(streams.into_iter().map(StreamId)),
                News::Again => changed.extend(self.open.keys().cloned()),
                News::Settle(done) => answers.push(done),
            }
        }
        let rows: Vec<(String, Option<UserId>)> =
            changed.into_iter().map(|stream| (stream.0.clone(), self.open.get(&stream).copied())).collect();
        let gone = self.keep(rows, ended.into_iter().map(|stream| stream.0).collect()).await;
        if let Some(app) = self.app.upgrade() {
            for stream in gone {
                app.live.tell_closed(&StreamId(stream));
            }
        }
        for answer in answers {
            let _ = answer.send(());
        }
    }

    /// Until it is written. Answers which of the ended streams are open at no server.
    async fn keep(&self, rows: Vec<(String, Option<UserId>)>, ended: Vec<String>) -> Vec<String> {
        if rows.is_empty() && ended.is_empty() {
            return Vec::new();
        }
        let (rows, ended) = (Arc::new(rows), Arc::new(ended));
        loop {
            let (rows, asked, instance) = (rows.clone(), ended.clone(), self.instance.clone());
            match self.db.write(move |tx| note(tx, &instance, &rows, &asked)).await {
                Ok(gone) => return gone,
                // Without a server nobody is left to be told.
                Err(_) if self.app.strong_count() == 0 => return Vec::new(),
                Err(error) => tracing::warn!(%error, "open streams are not known to other servers yet"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

fn note(tx: &mut Tx<'_>, instance: &str, rows: &[(String, Option<UserId>)], ended: &[String]) -> Result<Vec<String>> {
    for (stream, user) in rows {
        match user {
            Some(user) => {
                diesel::insert_into(open_stream::table)
                    .values((
                        open_stream::stream.eq(stream),
                        open_stream::instance.eq(instance),
                        open_stream::user_id.eq(user.0),
                    ))
                    .on_conflict_do_nothing()
                    .both()
                    .execute(tx.db())?;
            }
            None => {
                diesel::delete(open_stream::table.find((stream, instance))).execute(tx.db())?;
            }
        }
    }
    // A program's streams may be open at two servers under one name.
    let still: HashSet<String> = open_stream::table
        .filter(open_stream::stream.eq_any(ended))
        .select(open_stream::stream)
        .load(tx.db())?
        .into_iter()
        .collect();
    Ok(ended.iter().filter(|stream| !still.contains(*stream)).cloned().collect())
}
