//! What the database knows of the server's state. Read only.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use songhe_devices::schema::{device, device_health, inbox, quarantine};
use songhe_incidents::presence::STALE_AFTER_S;
use songhe_incidents::schema::board_stream;
use songhe_kernel::db::database_unix_ms;
use songhe_kernel::events::{self, Position};
use songhe_kernel::identity::Scope;
use songhe_kernel::schema::{effect, event, retry, subscription, timer};
use songhe_kernel::{Db, EffectId, FacilityId, Moment, Result};

use super::RetryId;

/// Rows of one list: more than a person reads, few enough to send.
const ROWS: i64 = 50;
/// Beyond this, events behind a cursor are not counted on: it stands, how far does not matter.
pub(super) const MAX_COUNTED: i64 = 10_000;
/// A timer later than this is overdue: the loop looks every second.
const GRACE_S: i64 = 5;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Words {
    #[diesel(sql_type = Text)]
    v: String,
}

/// `SQLite 3.50.2`, `PostgreSQL 16.4`.
pub(super) fn database_version(db: &mut Db) -> Result<String> {
    Ok(match db {
        Db::Sqlite(conn) => {
            let found: Words = diesel::sql_query("SELECT sqlite_version() AS v").get_result(conn)?;
            format!("SQLite {}", found.v)
        }
        Db::Pg(conn) => {
            let found: Words = diesel::sql_query("SELECT current_setting('server_version') AS v").get_result(conn)?;
            let number = found.v.split_whitespace().next().unwrap_or_default().to_owned();
            format!("PostgreSQL {number}")
        }
    })
}

/// Age in seconds of the oldest transaction of the cluster that may still write: events wait for it. `None` on SQLite.
/// Transactions of other accounts are seen only by a role that may read all statistics (`pg_read_all_stats`).
pub(super) fn oldest_transaction_s(db: &mut Db) -> Result<Option<i64>> {
    const OLDEST: &str = "SELECT greatest( \
         (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) FROM pg_stat_activity \
          WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()), \
         (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - prepared)), 0) FROM pg_prepared_xacts) \
         )::bigint AS n";
    match db {
        Db::Sqlite(_) => Ok(None),
        Db::Pg(conn) => Ok(Some(diesel::sql_query(OLDEST).get_result::<Number>(conn)?.n)),
    }
}

pub(super) struct TimerKind {
    pub(super) module: String,
    pub(super) kind: String,
    pub(super) pending: i64,
    pub(super) overdue: i64,
    pub(super) next_due: Option<Moment>,
}

/// Timers that wait, by module and kind.
pub(super) fn timer_kinds(db: &mut Db, now: Moment) -> Result<Vec<TimerKind>> {
    let late: Vec<(String, String, i64)> = timer::table
        .filter(timer::parked_at.is_null().and(timer::due_at.lt(now.plus_seconds(-GRACE_S))))
        .group_by((timer::module, timer::kind))
        .select((timer::module, timer::kind, diesel::dsl::count_star()))
        .load(db)?;
    let late: HashMap<(String, String), i64> = late.into_iter().map(|(module, kind, n)| ((module, kind), n)).collect();
    let all: Vec<(String, String, i64, Option<Moment>)> = timer::table
        .filter(timer::parked_at.is_null())
        .group_by((timer::module, timer::kind))
        .order((timer::module.asc(), timer::kind.asc()))
        .select((timer::module, timer::kind, diesel::dsl::count_star(), diesel::dsl::min(timer::due_at)))
        .load(db)?;
    Ok(all
        .into_iter()
        .map(|(module, kind, pending, next_due)| {
            let overdue = late.get(&(module.clone(), kind.clone())).copied().unwrap_or_default();
            TimerKind { module, kind, pending, overdue, next_due }
        })
        .collect())
}

#[derive(Queryable)]
pub(super) struct ParkedTimer {
    pub(super) key: String,
    pub(super) module: String,
    pub(super) kind: String,
    pub(super) facility_id: Option<FacilityId>,
    pub(super) parked_at: Option<Moment>,
    pub(super) error: Option<String>,
}

pub(super) fn parked_timers(db: &mut Db) -> Result<Vec<ParkedTimer>> {
    Ok(timer::table
        .filter(timer::parked_at.is_not_null())
        .order(timer::key.asc())
        .limit(ROWS)
        .select((timer::key, timer::module, timer::kind, timer::facility_id, timer::parked_at, timer::error))
        .load(db)?)
}

pub(super) struct Cursor {
    pub(super) module: String,
    /// Events after it, counted up to [`MAX_COUNTED`].
    pub(super) behind: usize,
    /// When the first of them was published.
    pub(super) oldest: Option<Moment>,
}

pub(super) fn cursors(db: &mut Db) -> Result<Vec<Cursor>> {
    let all: Vec<(String, i64, i64, i64)> = subscription::table
        .order(subscription::module.asc())
        .select((subscription::module, subscription::epoch, subscription::xid, subscription::seq))
        .load(db)?;
    let mut cursors = Vec::with_capacity(all.len());
    for (module, epoch, xid, seq) in all {
        let waiting = published_after(db, Position { epoch, xid, seq })?;
        cursors.push(Cursor { module, behind: waiting.len(), oldest: waiting.first().copied() });
    }
    Ok(cursors)
}

fn published_after(db: &mut Db, position: Position) -> Result<Vec<Moment>> {
    Ok(event::table
        .filter(events::later(position))
        .order((event::epoch.asc(), event::xid.asc(), event::seq.asc()))
        .limit(MAX_COUNTED)
        .select(event::created_at)
        .load(db)?)
}

#[derive(Queryable)]
pub(super) struct Undone {
    pub(super) id: EffectId,
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) attempts: i32,
    pub(super) next_at: Moment,
    pub(super) leased_until_ms: i64,
    pub(super) error: Option<String>,
}

/// Effects that wait, failed or expired, newest first, and the database's time by which leases are measured.
pub(super) fn effects_not_done(db: &mut Db, scope: &Scope) -> Result<(Vec<Undone>, i64)> {
    let mut query = effect::table.filter(effect::status.ne("delivered")).into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(effect::facility_id.eq_any(plain(ids)));
    }
    let rows = query
        .order(effect::id.desc())
        .limit(ROWS)
        .select((
            effect::id,
            effect::kind,
            effect::status,
            effect::attempts,
            effect::next_at,
            effect::leased_until_ms,
            effect::error,
        ))
        .load(db)?;
    Ok((rows, database_unix_ms(db)?))
}

/// How many effects wait, and since when the one that waits longest has been due.
pub(super) fn queued_effects(db: &mut Db) -> Result<(i64, Option<Moment>)> {
    Ok(effect::table
        .filter(effect::status.eq("queued"))
        .select((diesel::dsl::count_star(), diesel::dsl::min(effect::next_at)))
        .first(db)?)
}

/// Effects written since a moment that failed or expired.
pub(super) fn lost_effects(db: &mut Db, scope: &Scope, since: Moment) -> Result<i64> {
    let mut query = effect::table
        .filter(effect::status.eq_any(["failed", "expired"]).and(effect::created_at.ge(since)))
        .into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(effect::facility_id.eq_any(plain(ids)));
    }
    Ok(query.count().get_result(db)?)
}

#[derive(Queryable)]
pub(super) struct Kept {
    pub(super) id: RetryId,
    pub(super) module: String,
    pub(super) seq: i64,
    pub(super) kind: String,
    pub(super) attempts: i32,
    pub(super) next_at: Moment,
    pub(super) parked_at: Option<Moment>,
    pub(super) error: String,
}

/// Events kept for another attempt, parked ones first.
pub(super) fn kept_events(db: &mut Db, scope: &Scope) -> Result<Vec<Kept>> {
    let mut query = retry::table.inner_join(event::table.on(event::seq.eq(retry::event_seq))).into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(event::facility_id.eq_any(plain(ids)));
    }
    Ok(query
        .order((retry::parked_at.is_null().asc(), retry::id.asc()))
        .limit(ROWS)
        .select((
            retry::id,
            retry::module,
            retry::event_seq,
            event::kind,
            retry::attempts,
            retry::next_at,
            retry::parked_at,
            retry::error,
        ))
        .load(db)?)
}

/// How many events are kept, and how many of them are parked.
pub(super) fn count_kept_events(db: &mut Db) -> Result<(i64, i64)> {
    let all = retry::table.count().get_result(db)?;
    Ok((all, retry::table.filter(retry::parked_at.is_not_null()).count().get_result(db)?))
}

pub(super) fn count_parked_timers(db: &mut Db) -> Result<i64> {
    Ok(timer::table.filter(timer::parked_at.is_not_null()).count().get_result(db)?)
}

/// Events and timers that were given up, by facility.
pub(super) fn parked_by_facility(db: &mut Db) -> Result<Vec<(Option<FacilityId>, i64)>> {
    let mut all: Vec<(Option<FacilityId>, i64)> = retry::table
        .inner_join(event::table.on(event::seq.eq(retry::event_seq)))
        .filter(retry::parked_at.is_not_null())
        .group_by(event::facility_id)
        .select((event::facility_id, diesel::dsl::count_star()))
        .load(db)?;
    let timers: Vec<(Option<FacilityId>, i64)> = timer::table
        .filter(timer::parked_at.is_not_null())
        .group_by(timer::facility_id)
        .select((timer::facility_id, diesel::dsl::count_star()))
        .load(db)?;
    all.extend(timers);
    Ok(all)
}

fn plain(ids: &[FacilityId]) -> Vec<i64> {
    ids.iter().map(|id| id.0).collect()
}

/// Messages of telemetry acted on since a moment, by the adapter of their device. Emergencies are kept for ever and not
/// indexed by time: they are not counted.
pub(super) fn messages_by_adapter(db: &mut Db, since: Moment) -> Result<HashMap<String, i64>> {
    let by_device: Vec<(i64, i64)> = inbox::table
        .filter(inbox::raw.is_null().and(inbox::received_at.ge(since)))
        .group_by(inbox::device_id)
        .select((inbox::device_id, diesel::dsl::count_star()))
        .load(db)?;
    let adapters: Vec<(i64, String)> = device::table.select((device::id, device::adapter)).load(db)?;
    let adapters: HashMap<i64, String> = adapters.into_iter().collect();
    let mut counts = HashMap::new();
    for (device, messages) in by_device {
        if let Some(adapter) = adapters.get(&device) {
            *counts.entry(adapter.clone()).or_default() += messages;
        }
    }
    Ok(counts)
}

/// When a device of each adapter was last heard.
pub(super) fn last_heard(db: &mut Db) -> Result<HashMap<String, Option<Moment>>> {
    let rows: Vec<(String, Option<Moment>)> = device::table
        .inner_join(device_health::table.on(device_health::device_id.eq(device::id)))
        .group_by(device::adapter)
        .select((device::adapter, diesel::dsl::max(device_health::last_seen_at)))
        .load(db)?;
    Ok(rows.into_iter().collect())
}

/// Topics of the messages quarantined since a moment; quarantine holds at most some thousands.
pub(super) fn quarantined_topics(db: &mut Db, since: Moment) -> Result<Vec<String>> {
    Ok(quarantine::table.filter(quarantine::received_at.ge(since)).select(quarantine::topic).load(db)?)
}

/// Alarm boards that are open now with their sound on.
pub(super) fn boards_with_sound(db: &mut Db, now: Moment) -> Result<i64> {
    Ok(board_stream::table
        .filter(board_stream::sound_on.eq(true))
        .filter(board_stream::seen_at.ge(now.plus_seconds(-STALE_AFTER_S)))
        .filter(board_stream::seen_at.le(now.plus_seconds(STALE_AFTER_S)))
        .count()
        .get_result(db)?)
}

/// The outer `None`: there is no such effect.
pub(super) fn facility_of_effect(db: &mut Db, id: EffectId) -> Result<Option<Option<FacilityId>>> {
    Ok(effect::table.find(id.0).select(effect::facility_id).first(db).optional()?)
}

/// The outer `None`: no such event is kept.
pub(super) fn facility_of_retry(db: &mut Db, id: RetryId) -> Result<Option<Option<FacilityId>>> {
    let found = retry::table.inner_join(event::table.on(event::seq.eq(retry::event_seq))).filter(retry::id.eq(id.0));
    Ok(found.select(event::facility_id).first(db).optional()?)
}

/// The outer `None`: there is no such timer, or it is not parked.
pub(super) fn facility_of_parked_timer(db: &mut Db, key: &str) -> Result<Option<Option<FacilityId>>> {
    let parked = timer::table.find(key).filter(timer::parked_at.is_not_null());
    Ok(parked.select(timer::facility_id).first(db).optional()?)
}
