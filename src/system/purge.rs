//! Removes what has had its time: ended sessions and old answers, finished effects, events that everybody has passed.
//! One slice of one table in a transaction, so that an emergency never waits behind it; a timer brings the next.

use chrono::TimeDelta;
use diesel::prelude::*;
use songhe_kernel::events::Position;
use songhe_kernel::identity::purge_expired;
use songhe_kernel::schema::{effect, event, retry, subscription};
use songhe_kernel::{Moment, NewTimer, Result, Tx};

use super::MODULE;

/// The next slice of a purge that has not come to its end.
pub(super) const ON: &str = "purge-on";
const KEY: &str = "system:purge-on";
/// Rows of one transaction.
const SLICE: i64 = 500;
const KEEP_DONE: TimeDelta = TimeDelta::days(30);
/// Failures are what somebody comes back to: kept as long as the events.
const KEEP_FAILED: TimeDelta = TimeDelta::days(180);
const KEEP_EVENTS: TimeDelta = TimeDelta::days(180);

/// Removes one slice; arms itself again until nothing is left to remove.
pub(super) fn slice(tx: &mut Tx<'_>) -> Result<()> {
    if remove_some(tx)? == 0 {
        return Ok(());
    }
    let due_at = tx.now().plus_seconds(1);
    tx.set_timer(NewTimer {
        key: KEY.to_owned(),
        module: MODULE,
        kind: ON,
        facility: None,
        data: serde_json::json!({}),
        due_at,
    })
}

/// How many rows went.
fn remove_some(tx: &mut Tx<'_>) -> Result<usize> {
    let now = tx.now();
    let mut gone = purge_expired(tx, SLICE)?;
    if gone == 0 {
        gone = remove_effects(tx, &["delivered", "expired"], now.plus(-KEEP_DONE))?;
    }
    if gone == 0 {
        gone = remove_effects(tx, &["failed"], now.plus(-KEEP_FAILED))?;
    }
    if gone == 0 {
        gone = remove_events(tx, now.plus(-KEEP_EVENTS))?;
    }
    Ok(gone)
}

/// Ids grow with time, so the first rows by id are the oldest: no index on the time is needed, and none is read in vain.
fn remove_effects(tx: &mut Tx<'_>, statuses: &[&str], before: Moment) -> Result<usize> {
    let oldest: Vec<(i64, Moment)> = effect::table
        .filter(effect::status.eq_any(statuses.iter().map(|status| (*status).to_owned()).collect::<Vec<_>>()))
        .order(effect::id.asc())
        .limit(SLICE)
        .select((effect::id, effect::created_at))
        .load(tx.db())?;
    let ids: Vec<i64> = oldest.into_iter().take_while(|(_, at)| *at < before).map(|(id, _)| id).collect();
    if ids.is_empty() {
        return Ok(0);
    }
    Ok(diesel::delete(effect::table.filter(effect::id.eq_any(ids))).execute(tx.db())?)
}

/// Events that every cursor has passed and no retry waits for.
fn remove_events(tx: &mut Tx<'_>, before: Moment) -> Result<usize> {
    let cursors: Vec<(i64, i64, i64)> =
        subscription::table.select((subscription::epoch, subscription::xid, subscription::seq)).load(tx.db())?;
    let passed_by_all = cursors.into_iter().map(|(epoch, xid, seq)| Position { epoch, xid, seq }).min();
    let waited_for = diesel::dsl::exists(retry::table.filter(retry::event_seq.eq(event::seq)).select(retry::id));
    let oldest: Vec<(i64, i64, i64, Moment)> = event::table
        .filter(diesel::dsl::not(waited_for))
        .order((event::epoch.asc(), event::xid.asc(), event::seq.asc()))
        .limit(SLICE)
        .select((event::epoch, event::xid, event::seq, event::created_at))
        .load(tx.db())?;
    let gone = oldest.into_iter().take_while(|(epoch, xid, seq, at)| {
        let position = Position { epoch: *epoch, xid: *xid, seq: *seq };
        *at < before && passed_by_all.is_none_or(|passed| position <= passed)
    });
    let seqs: Vec<i64> = gone.map(|(_, _, seq, _)| seq).collect();
    if seqs.is_empty() {
        return Ok(0);
    }
    Ok(diesel::delete(event::table.filter(event::seq.eq_any(seqs))).execute(tx.db())?)
}
