//! Reads of what is sensitive: while one group of rows commits, the next one gathers. Nobody is answered before the
//! commit of his row.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::{AuditEntry, NewRow, Origin, rows};
use crate::db::Database;
use crate::error::{Error, Result, Text};

/// Rows that share a commit at most.
const GROUP: usize = 500;
/// Readers that may wait; the next ones wait for a place.
const MAX_WAITING: usize = 5_000;

type Waiting = (NewRow, oneshot::Sender<Result<()>>);

/// The way of reads into the audit log.
pub(crate) struct Reads {
    db: Database,
    waiting: mpsc::Sender<Waiting>,
}

impl Reads {
    /// Gathers until the value is dropped.
    pub(crate) fn start(db: &Database) -> Self {
        let (waiting, arrivals) = mpsc::channel(MAX_WAITING);
        tokio::spawn(gather(db.clone(), arrivals));
        Self { db: db.clone(), waiting }
    }

    /// Returns when the row is committed.
    ///
    /// # Errors
    /// When it cannot be: what was read must not be shown then.
    pub(crate) async fn note(&self, entry: AuditEntry) -> Result<()> {
        let origin = Origin::current();
        let row = NewRow::new(entry, origin.as_deref(), self.db.clock().now(), self.db.epoch())?;
        let (answer, committed) = oneshot::channel();
        self.waiting.send((row, answer)).await.map_err(|_| stopping())?;
        let waiting = MAX_WAITING.saturating_sub(self.waiting.capacity());
        self.db.set_gauge("audit_reads_waiting", i64::try_from(waiting).unwrap_or(i64::MAX));
        committed.await.map_err(|_| stopping())?
    }
}

fn stopping() -> Error {
    Error::Unavailable(Text::key("error-stopping"))
}

async fn gather(db: Database, mut arrivals: mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::with_capacity(GROUP);
    while arrivals.recv_many(&mut waiting, GROUP).await > 0 {
        let (group, answers): (Vec<NewRow>, Vec<_>) = waiting.drain(..).unzip();
        db.add_to_gauge("audit_read_commits", 1);
        db.add_to_gauge("audit_reads", group.len());
        let group = Arc::new(group);
        let outcome = db.write(move |tx| rows::insert(tx.db(), &group)).await;
        if let Err(error) = &outcome {
            tracing::error!(%error, reads = answers.len(), "reads could not be written down: they are refused");
        }
        for answer in answers {
            // A reader that went away has been written down all the same.
            let _ = answer.send(match &outcome {
                Ok(()) => Ok(()),
                Err(_) => Err(Error::Unavailable(Text::key("error-database-unreachable"))),
            });
        }
    }
}
