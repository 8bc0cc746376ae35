//! Timers are rows. One fires in the transaction that deletes it; overdue ones fire at start; an edited rule forgets
//! none, since the row holds what was promised.
//!
//! The wall clock may be stepped. A timer that this process has already seen also has a deadline on the monotonic clock:
//! it fires at whichever comes first, so that a clock set back an hour does not keep a nurse waiting for an hour. Set
//! forward, timers fire early: once each.

use std::collections::HashMap;
use std::time::Duration;

use diesel::prelude::*;

use crate::db::{BothExt, Database, KeptExt, Tx};
use crate::error::{Error, Result};
use crate::events::backoff_s;
use crate::ids::FacilityId;
use crate::module::Modules;
use crate::schema::timer;
use crate::time::Moment;

/// Attempts before a timer is parked and the operator is told.
const MAX_ATTEMPTS: i32 = 10;
/// Timers looked at in one pass, soonest first.
const WINDOW: i64 = 500;

#[derive(Debug, Clone)]
pub struct NewTimer {
    /// Unique; setting it again replaces the timer.
    pub key: String,
    pub module: &'static str,
    pub kind: &'static str,
    pub facility: Option<FacilityId>,
    pub data: serde_json::Value,
    pub due_at: Moment,
}

/// A timer as its handler sees it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = timer)]
pub struct Timer {
    pub key: String,
    pub module: String,
    pub kind: String,
    pub facility_id: Option<FacilityId>,
    pub data: String,
    pub due_at: Moment,
    pub attempts: i32,
}

impl Timer {
    pub fn data<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_str(&self.data)?)
    }
}

pub(crate) fn set(tx: &mut Tx<'_>, new: NewTimer) -> Result<()> {
    let data = serde_json::to_string(&new.data)?;
    let facility = new.facility.map(|id| id.0);
    diesel::insert_into(timer::table)
        .values((
            timer::key.eq(&new.key),
            timer::module.eq(new.module),
            timer::kind.eq(new.kind),
            timer::facility_id.eq(facility),
            timer::data.eq(&data),
            timer::due_at.eq(new.due_at),
        ))
        .on_conflict(timer::key)
        .do_update()
        .set((
            timer::module.eq(new.module),
            timer::kind.eq(new.kind),
            timer::facility_id.eq(facility),
            timer::data.eq(&data),
            timer::due_at.eq(new.due_at),
            timer::attempts.eq(0),
            timer::parked_at.eq(None::<Moment>),
        ))
        .both()
        .run_kept(tx.db())?;
    Ok(())
}

pub(crate) fn cancel(db: &mut crate::db::Db, key: &str) -> Result<bool> {
    Ok(diesel::delete(timer::table.find(key)).execute(db)? > 0)
}

/// Fires one timer if it is still there with that due time. Answers whether it was.
fn fire(tx: &mut Tx<'_>, modules: &Modules, key: &str, due_at: Moment) -> Result<bool> {
    let found: Option<Timer> =
        timer::table.find(key).filter(timer::due_at.eq(due_at)).select(Timer::as_select()).first(tx.db()).optional()?;
    let Some(found) = found else { return Ok(false) };
    // The delete decides who fires it: on PostgreSQL a second server waits here and then deletes nothing.
    let mine = diesel::delete(timer::table.find(key).filter(timer::due_at.eq(due_at))).execute(tx.db())?;
    if mine == 0 {
        return Ok(false);
    }
    let outcome = match modules.get(&found.module) {
        Some(module) => tx.savepoint(|tx| {
            crate::schedules::before_tick(tx, modules, &found)?;
            module.on_timer(tx, &found)
        }),
        None => Err(Error::Internal(format!("this build has no module {}", found.module))),
    };
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.is_transient() => Err(error),
        Err(error) => {
            keep(tx, &found, &error)?;
            Ok(true)
        }
    }
}

/// A timer whose handler failed comes back later; after many attempts it is parked, never dropped.
fn keep(tx: &mut Tx<'_>, failed: &Timer, error: &Error) -> Result<()> {
    let attempts = failed.attempts + 1;
    let now = tx.now();
    let parked = (attempts >= MAX_ATTEMPTS).then_some(now);
    tracing::error!(timer = failed.kind, module = failed.module, attempts, %error, "timer failed");
    if parked.is_some() {
        tx.signal("system");
    }
    diesel::insert_into(timer::table)
        .values((
            timer::key.eq(&failed.key),
            timer::module.eq(&failed.module),
            timer::kind.eq(&failed.kind),
            timer::facility_id.eq(failed.facility_id.map(|id| id.0)),
            timer::data.eq(&failed.data),
            timer::due_at.eq(now.plus_seconds(backoff_s(attempts))),
            timer::attempts.eq(attempts),
            timer::parked_at.eq(parked),
            timer::error.eq(error.to_string()),
        ))
        .execute(tx.db())?;
    Ok(())
}

/// What this process knows about timers it has seen: the due time and the deadline on the monotonic clock.
#[derive(Default)]
struct Armed {
    seen: HashMap<String, (Moment, Duration)>,
}

impl Armed {
    /// The soonest timers that are due now by either clock, and how long until the next.
    fn due(&mut self, soonest: &[(String, Moment)], now: Moment, mono: Duration) -> (Vec<(String, Moment)>, Duration) {
        let mut armed = HashMap::with_capacity(soonest.len());
        let mut due = Vec::new();
        let mut wait = Duration::from_secs(1);
        for (key, due_at) in soonest {
            let deadline = match self.seen.get(key) {
                Some((known, deadline)) if known == due_at => *deadline,
                _ => mono + due_at.since(now).to_std().unwrap_or_default(),
            };
            let left = due_at.since(now).to_std().unwrap_or_default().min(deadline.saturating_sub(mono));
            if left.is_zero() {
                due.push((key.clone(), *due_at));
            } else {
                wait = wait.min(left);
            }
            armed.insert(key.clone(), (*due_at, deadline));
        }
        self.seen = armed;
        (due, wait)
    }
}

/// Fires timers until told to stop.
pub(crate) async fn run(db: Database, modules: Modules, mut stop: tokio::sync::watch::Receiver<bool>) {
    let mut armed = Armed::default();
    while !*stop.borrow() {
        let wait = match pass(&db, &modules, &mut armed).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::error!(%error, "timers stand");
                Duration::from_secs(1)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = db.wakes().timers.notified() => {}
            _ = stop.changed() => {}
        }
    }
}

async fn pass(db: &Database, modules: &Modules, armed: &mut Armed) -> Result<Duration> {
    let soonest: Vec<(String, Moment)> = db
        .read(|db| {
            Ok(timer::table
                .filter(timer::parked_at.is_null())
                .order(timer::due_at.asc())
                .limit(WINDOW)
                .select((timer::key, timer::due_at))
                .load(db)?)
        })
        .await?;
    let (due, wait) = armed.due(&soonest, db.clock().now(), db.clock().mono());
    let some = !due.is_empty();
    for (key, due_at) in due {
        let modules = modules.clone();
        // Ladders climb on timers: the lane that telemetry cannot block.
        if let Err(error) = db.write_emergency(move |tx| fire(tx, &modules, &key, due_at)).await {
            tracing::error!(%error, "a timer could not fire and will be tried again");
            return Ok(Duration::from_millis(200));
        }
    }
    Ok(if some { Duration::ZERO } else { wait })
}

/// Gives a parked timer its attempts back; it fires at once.
pub fn unpark(tx: &mut Tx<'_>, key: &str) -> Result<()> {
    let now = tx.now();
    let found = diesel::update(timer::table.find(key))
        .set((timer::parked_at.eq(None::<Moment>), timer::attempts.eq(0), timer::due_at.eq(now)))
        .execute(tx.db())?;
    if found == 0 { Err(Error::NotFound) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Moment {
        text.parse().unwrap()
    }

    #[test]
    fn a_clock_set_back_does_not_delay_a_timer_that_was_seen() {
        let mut armed = Armed::default();
        let timers = [("a".to_owned(), at("2026-11-22T10:01:00Z"))];
        let (due, wait) = armed.due(&timers, at("2026-11-22T10:00:59.500Z"), Duration::from_millis(500));
        assert!(due.is_empty());
        assert_eq!(wait, Duration::from_millis(500));
        let (due, _) = armed.due(&timers, at("2026-11-22T09:01:00Z"), Duration::from_secs(1));
        assert_eq!(due.len(), 1);
    }

    #[test]
    fn a_clock_set_forward_fires_early() {
        let mut armed = Armed::default();
        let timers = [("a".to_owned(), at("2026-11-22T10:01:00Z"))];
        assert!(armed.due(&timers, at("2026-11-22T10:00:00Z"), Duration::ZERO).0.is_empty());
        assert_eq!(armed.due(&timers, at("2026-11-22T11:00:00Z"), Duration::ZERO).0.len(), 1);
    }
}
