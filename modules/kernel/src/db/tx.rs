//! One write transaction: the connection, the time it happens at, and what becomes known after the commit.

use std::sync::Arc;

use diesel::Connection;

use super::{Db, Shared};
use crate::audit::Origin;
use crate::effects::{self, NewEffect};
use crate::error::Result;
use crate::events::{self, NewEvent};
use crate::ids::EffectId;
use crate::time::Moment;
use crate::timers::{self, NewTimer};
use crate::vault::Vault;

/// What the rest of the process learns once the transaction has committed.
#[derive(Debug, Default)]
pub(crate) struct AfterCommit {
    pub(crate) topics: Vec<String>,
    pub(crate) events: bool,
    pub(crate) timers: bool,
    pub(crate) effects: bool,
}

impl AfterCommit {
    fn join(&mut self, other: Self) {
        self.topics.extend(other.topics);
        self.events |= other.events;
        self.timers |= other.timers;
        self.effects |= other.effects;
    }
}

/// A write transaction. State, events, timers and effects written through it are committed together or not at all.
pub struct Tx<'a> {
    db: &'a mut Db,
    shared: &'a Shared,
    now: Moment,
    after: AfterCommit,
    /// Whose request it serves; `None`: background work.
    origin: Option<Arc<Origin>>,
    /// Whether it has said what it does.
    audited: bool,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(db: &'a mut Db, shared: &'a Shared) -> Self {
        Self { db, now: shared.clock.now(), shared, after: AfterCommit::default(), origin: None, audited: false }
    }

    pub(crate) fn into_after(self) -> AfterCommit {
        self.after
    }

    /// From now on for that request.
    pub(crate) fn serve(&mut self, origin: Option<Arc<Origin>>) {
        self.origin = origin;
    }

    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    pub(crate) fn is_audited(&self) -> bool {
        self.audited
    }

    /// Nothing more needs to be said: it was, or nothing is done.
    pub(crate) fn set_audited(&mut self) {
        self.audited = true;
    }

    pub fn db(&mut self) -> &mut Db {
        self.db
    }

    /// The time at which this transaction happens: one value from its first statement to its last.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Opens and seals sensitive fields.
    pub fn vault(&self) -> &'a Vault {
        &self.shared.vault
    }

    pub fn next_id(&self) -> i64 {
        self.shared.ids.next()
    }

    pub(crate) fn epoch(&self) -> i64 {
        self.shared.epoch.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Appends to the event log.
    pub fn publish(&mut self, event: NewEvent) -> Result<()> {
        events::append(self, event)?;
        self.after.events = true;
        Ok(())
    }

    /// Sets or replaces the timer of that key.
    pub fn set_timer(&mut self, timer: NewTimer) -> Result<()> {
        timers::set(self, timer)?;
        self.after.timers = true;
        Ok(())
    }

    /// `false` when there was none.
    pub fn cancel_timer(&mut self, key: &str) -> Result<bool> {
        timers::cancel(self.db, key)
    }

    /// Queues outgoing I/O; sent after the commit, at least once, with its id as the peer's idempotency key.
    pub fn enqueue_effect(&mut self, effect: NewEffect) -> Result<EffectId> {
        let id = effects::enqueue(self, effect)?;
        self.after.effects = true;
        Ok(id)
    }

    /// Tells pages after the commit that a topic changed (`name:<facility id>` or `name`).
    pub fn signal(&mut self, topic: impl Into<String>) {
        let topic = topic.into();
        if !self.after.topics.contains(&topic) {
            self.after.topics.push(topic);
        }
    }

    /// Runs `f` so that its failure undoes its own work only.
    pub fn savepoint<T>(&mut self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let (shared, now) = (self.shared, self.now);
        let origin = self.origin.clone();
        let (mut inner, mut audited) = (AfterCommit::default(), false);
        let value = self.db.transaction(|db| {
            let mut tx = Tx { db, shared, now, after: AfterCommit::default(), origin, audited };
            let value = f(&mut tx)?;
            audited = tx.audited;
            inner = tx.after;
            Ok::<_, crate::Error>(value)
        })?;
        self.after.join(inner);
        self.audited |= audited;
        Ok(value)
    }
}
