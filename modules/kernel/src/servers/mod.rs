//! Several servers on one PostgreSQL: who is alive, which one takes device messages, and what they tell each other.
//!
//! One of them holds the duty "ingest". Three things keep it to one, since each alone fails somewhere:
//! - an advisory lock of the holder's own connection tells at once that its process or machine connection is gone;
//! - a lease by the database's clock runs out when the holder hangs and its connection does not;
//! - a token, looked at inside every ingest transaction, refuses what an earlier holder still does when it wakes up.
//!   Whoever takes over also ends the earlier holder's database sessions, so that nothing it began can commit later.
//!
//! Servers tell each other topics by NOTIFY, on a connection of its own and at most once in 10 ms, never inside a
//! business transaction. A notification that is lost is healed by the periods of whoever waits for it. A server that
//! is alone notifies nobody. On SQLite there is one server, and nothing of this.

mod line;
mod roll;
mod rows;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use parking_lot::RwLock;
use tokio::sync::{oneshot, watch};

use crate::db::{Database, Db, Fence, Kind};
use crate::error::{Error, Result, Text};
use crate::http::App;
use crate::runtime::Opened;
use crate::schema::server_duty;
use crate::time::Moment;

pub(crate) use roll::{Roll, is_open as is_open_anywhere};

/// How long the duty stays with a holder that is silent, in milliseconds by the database's clock.
pub const LEASE_MS: i64 = 6_000;
/// A holder that could not renew stops this long before another may begin, in milliseconds.
const MARGIN_MS: i64 = 1_500;
/// A server that has been silent for so long is not waited for any more, in milliseconds by the database's clock.
pub const SILENT_MS: i64 = 8_000;
/// At most one NOTIFY in this time.
const NOTIFY_EVERY: Duration = Duration::from_millis(10);

/// Whether and how a server takes device messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// Pages, API, effects and timers only.
    None,
    /// From a broker that all servers share: one at a time.
    Shared,
    /// From a broker of its own: no other server may be on this database.
    Own,
}

/// What a server tells the others about itself.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// For people: `host:port`.
    pub name: String,
    pub intake: Intake,
    /// Under which name a shared broker keeps messages for Songhe; it has to be the same at all servers.
    pub mqtt_session: String,
}

/// A server that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub number: i16,
    pub name: String,
    pub mqtt_session: String,
    pub started_at: Moment,
    /// How long ago it said that it is alive, in milliseconds.
    pub silent_ms: i64,
    /// Whether it is the one that answers.
    pub here: bool,
}

/// Who takes device messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub number: i16,
    pub here: bool,
    /// Since when.
    pub since: Moment,
    /// How long ago the lease was renewed, in milliseconds; over [`LEASE_MS`] it has run out.
    pub renewed_ms: i64,
}

/// What a server knows of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    pub here: i16,
    /// By number.
    pub alive: Vec<Known>,
    /// `None`: nobody takes device messages at the moment.
    pub holder: Option<Holder>,
    /// Another server is there although this one has a broker of its own.
    pub not_alone: bool,
}

impl View {
    /// Whether this server is the one that tells what all of them see: the first of those that are alive.
    pub fn speaks(&self) -> bool {
        self.alive.first().is_none_or(|server| server.here)
    }
}

/// What this server knows of the others, for whoever shows it or acts on it.
#[derive(Debug)]
pub struct Peers {
    view: RwLock<(View, Instant)>,
    term: watch::Sender<Option<Arc<Term>>>,
    roll: OnceLock<Roll>,
}

impl Peers {
    /// As of the last look, at most about a second ago while the database answers; ages go on in between.
    pub fn view(&self) -> View {
        let (mut view, at) = self.view.read().clone();
        let older = i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX);
        for known in &mut view.alive {
            known.silent_ms = known.silent_ms.saturating_add(older);
        }
        if let Some(holder) = &mut view.holder {
            holder.renewed_ms = holder.renewed_ms.saturating_add(older);
        }
        view
    }

    /// This server's turn at taking device messages, as long as it has it. A turn may be over before it is taken away
    /// here: see [`Term::holds`].
    pub fn terms(&self) -> watch::Receiver<Option<Arc<Term>>> {
        self.term.subscribe()
    }
}

/// A turn at taking device messages.
#[derive(Debug)]
pub struct Term {
    instance: String,
    token: i64,
    begun: Instant,
    /// Until when it holds without another renewal, in milliseconds after `begun`.
    good_ms: AtomicU64,
    over: AtomicBool,
}

impl Term {
    fn begin(instance: &str, token: i64, asked: Instant) -> Self {
        let term = Self {
            instance: instance.to_owned(),
            token,
            begun: asked,
            good_ms: AtomicU64::new(0),
            over: AtomicBool::new(false),
        };
        term.renewed(asked);
        term
    }

    /// `asked`: before the renewal was sent, since the lease begins somewhere between question and answer.
    fn renewed(&self, asked: Instant) {
        let good =
            asked.saturating_duration_since(self.begun).as_millis() + (LEASE_MS - MARGIN_MS).unsigned_abs() as u128;
        self.good_ms.store(u64::try_from(good).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// Whether it goes on, as far as this process can tell by itself. False before another server can begin: a process
    /// that was frozen knows it from its own clock when it wakes up.
    pub fn holds(&self) -> bool {
        let passed = self.begun.elapsed().as_millis();
        !self.over.load(Ordering::SeqCst) && passed < u128::from(self.good_ms.load(Ordering::SeqCst))
    }
}

impl Fence for Term {
    fn check(&self, db: &mut Db) -> Result<()> {
        let mine = server_duty::table
            .find(rows::INGEST)
            .filter(server_duty::token.eq(self.token).and(server_duty::instance.eq(&self.instance)))
            .select(server_duty::token);
        // A machine that was stopped with its clocks does not know it by itself: the database does.
        if self.holds() && mine.first::<i64>(db).optional()?.is_some() {
            return Ok(());
        }
        Err(Error::Unavailable(Text::key("error-other-server")))
    }
}

/// What the thread is told.
enum Order {
    Topic(Arc<str>),
    HandOver,
    Leave,
}

/// The way of signals to other servers.
#[derive(Debug)]
pub(crate) struct Outbox {
    together: Arc<AtomicBool>,
    orders: mpsc::Sender<Order>,
}

impl Outbox {
    /// Returns at once; does nothing while this server is alone.
    pub(crate) fn put(&self, topic: &Arc<str>) {
        if self.together.load(Ordering::Relaxed) {
            // Nobody receives when this server leaves.
            let _ = self.orders.send(Order::Topic(topic.clone()));
        }
    }
}

/// This server among the others. Dropped, it is gone as if it had been killed; see [`Servers::leave`].
pub struct Servers {
    peers: Arc<Peers>,
    orders: mpsc::Sender<Order>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    db: Database,
    instance: String,
}

impl Servers {
    /// Makes this server known to the others; `None` on SQLite, where there are no others.
    ///
    /// # Errors
    /// `Conflict` when one of both has a broker of its own; whatever keeps the database from answering.
    pub async fn join(opened: &Opened, url: &str, who: Introduction) -> Result<Option<Self>> {
        if opened.db.kind() == Kind::Sqlite {
            return Ok(None);
        }
        let here = opened.number.cast_signed();
        let peers = Arc::new(Peers {
            view: RwLock::new((View { here, ..View::default() }, Instant::now())),
            term: watch::channel(None).0,
            roll: OnceLock::new(),
        });
        let (orders, received) = mpsc::channel();
        let (stop, together) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (joined, answer) = oneshot::channel();
        let line = line::Line::new(opened, url, who, received, peers.clone(), together.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name("servers".into())
            .spawn(move || line.run(joined))
            .map_err(Error::internal)?;
        let (db, instance) = (opened.db.clone(), opened.instance.clone());
        let servers = Self { peers, orders: orders.clone(), stop, thread: Some(thread), db, instance };
        let others = answer.await.map_err(|_| Error::internal("the connection to other servers ended"))??;
        servers.db.send_signals_by(Outbox { together, orders });
        if others {
            // By then they have heard that this one is there, and tell it what its first page must hear.
            tokio::time::sleep(line::ALONE_POLL * 2).await;
        }
        Ok(Some(servers))
    }

    pub fn peers(&self) -> Arc<Peers> {
        self.peers.clone()
    }

    /// Lets the other servers know which streams are open here, and tells here of streams that ended with a server.
    pub fn follow(&self, app: &Arc<App>) {
        let roll = Roll::start(app, self.db.clone(), self.instance.clone());
        let _ = self.peers.roll.set(roll.clone());
        app.live.keep_roll(roll);
        app.extend(self.peers.clone());
    }

    /// The duty is given back, so that another server takes it at once. After the last ingest transaction.
    pub fn hand_over(&self) {
        let _ = self.orders.send(Order::HandOver);
    }

    /// In order, after the last stream has ended.
    pub async fn leave(mut self) {
        if let Some(roll) = self.peers.roll.get() {
            roll.settle().await;
        }
        let _ = self.orders.send(Order::Leave);
        if let Some(thread) = self.thread.take() {
            let ended = tokio::task::spawn_blocking(move || drop(thread.join()));
            let _ = tokio::time::timeout(Duration::from_secs(1), ended).await;
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_server_that_is_alone_tells_nobody() {
        let (orders, received) = mpsc::channel();
        let together = Arc::new(AtomicBool::new(false));
        let outbox = Outbox { together: together.clone(), orders };
        outbox.put(&"incidents".into());
        assert!(received.try_recv().is_err());
        together.store(true, Ordering::Relaxed);
        outbox.put(&"incidents".into());
        assert!(matches!(received.try_recv().unwrap(), Order::Topic(topic) if &*topic == "incidents"));
    }

    #[test]
    fn a_turn_is_over_before_its_lease_unless_it_is_renewed() {
        let asked = Instant::now();
        let ago = |ms: i64| asked.checked_sub(Duration::from_millis(ms.unsigned_abs())).unwrap();
        assert!(Term::begin("a", 1, ago(LEASE_MS - MARGIN_MS - 1_000)).holds());
        let term = Term::begin("a", 1, ago(LEASE_MS - MARGIN_MS));
        assert!(!term.holds(), "another may begin {MARGIN_MS} ms later");
        term.renewed(asked);
        assert!(term.holds());
        term.end();
        assert!(!term.holds());
    }
}
