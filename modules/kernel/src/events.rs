//! The event log and its cursors.
//!
//! Append-only. A module reads it through one cursor; handler and cursor move in one transaction, so that database
//! effects happen exactly once. On PostgreSQL two transactions may commit out of order: only what lies below the oldest
//! running transaction is read, ordered by (epoch, transaction id, sequence). The epoch is raised when a restored
//! database restarted its transaction ids; without it a cursor from before would wait for ids long gone.
//!
//! The emergency path uses no cursor: what is read here may be seconds late.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use crate::db::{Database, Db, KeptExt, Tx};
use crate::error::{Error, Result};
use crate::ids::{FacilityId, UserId};
use crate::module::{Module, Modules};
use crate::schema::{event, meta, module_enabled, retry, subscription};
use crate::time::Moment;

/// What an operation appends.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// `module.noun.verb`, declared in the module's manifest.
    pub kind: &'static str,
    /// Version of the contract of `data`.
    pub version: i16,
    pub facility: Option<FacilityId>,
    /// What it is about: a prefixed id. Events of one subject are handled in order.
    pub subject: String,
    pub actor: Option<UserId>,
    pub data: serde_json::Value,
}

/// An event as a handler sees it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = event)]
pub struct Event {
    pub seq: i64,
    pub epoch: i64,
    pub xid: i64,
    pub kind: String,
    pub version: i16,
    pub facility_id: Option<FacilityId>,
    pub subject: String,
    pub actor_id: Option<UserId>,
    pub data: String,
    pub created_at: Moment,
}

impl Event {
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, xid: self.xid, seq: self.seq }
    }

    /// Reads the payload by its contract.
    pub fn data<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_str(&self.data)?)
    }
}

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    pub epoch: i64,
    pub xid: i64,
    pub seq: i64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.epoch, self.xid, self.seq)
    }
}

impl std::str::FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, '-').map(|part| part.parse::<i64>().ok().filter(|n| *n >= 0));
        let mut next = || parts.next().flatten().ok_or(());
        Ok(Self { epoch: next()?, xid: next()?, seq: next()? })
    }
}

pub(crate) fn append(tx: &mut Tx<'_>, new: NewEvent) -> Result<()> {
    let data = serde_json::to_string(&new.data)?;
    let (now, epoch) = (tx.now(), tx.epoch());
    diesel::insert_into(event::table)
        .values((
            event::epoch.eq(epoch),
            event::kind.eq(new.kind),
            event::version.eq(new.version),
            event::facility_id.eq(new.facility.map(|id| id.0)),
            event::subject.eq(new.subject),
            event::actor_id.eq(new.actor.map(|id| id.0)),
            event::data.eq(data),
            event::created_at.eq(now),
        ))
        .execute(tx.db())?;
    Ok(())
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// The oldest transaction that may still write, on PostgreSQL; 0 on SQLite, where order of commit is order of `seq`.
pub(crate) fn horizon(db: &mut Db) -> Result<i64> {
    match db {
        Db::Pg(conn) => Ok(diesel::sql_query("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS n")
            .get_result::<Number>(conn)?
            .n),
        Db::Sqlite(_) => Ok(0),
    }
}

/// Where a reader that starts now begins: everything after it is new to it. What was committed by a transaction that
/// overlapped this call may be seen again, never missed.
pub fn head(db: &mut Db, epoch: i64) -> Result<Position> {
    match db {
        Db::Pg(_) => Ok(Position { epoch, xid: horizon(db)? - 1, seq: i64::MAX }),
        Db::Sqlite(_) => {
            let last: Option<i64> = event::table.select(diesel::dsl::max(event::seq)).first(db)?;
            Ok(Position { epoch, xid: 0, seq: last.unwrap_or(0) })
        }
    }
}

/// The oldest event that is still kept; a reader that wants older ones has to start anew.
pub fn oldest(db: &mut Db) -> Result<Option<Position>> {
    let first: Option<(i64, i64, i64)> = event::table
        .select((event::epoch, event::xid, event::seq))
        .order((event::epoch.asc(), event::xid.asc(), event::seq.asc()))
        .first(db)
        .optional()?;
    Ok(first.map(|(epoch, xid, seq)| Position { epoch, xid, seq }))
}

/// Up to `limit` events after a position that no running transaction can precede.
pub fn after(db: &mut Db, position: Position, epoch_now: i64, limit: i64) -> Result<Vec<Event>> {
    let safe: Condition = match db {
        Db::Pg(_) => Box::new(event::epoch.lt(epoch_now).or(event::xid.lt(horizon(db)?))),
        Db::Sqlite(_) => Box::new(event::seq.gt(0)),
    };
    Ok(event::table
        .filter(later(position))
        .filter(safe)
        .order((event::epoch.asc(), event::xid.asc(), event::seq.asc()))
        .limit(limit)
        .select(Event::as_select())
        .kept(0)
        .load(db)?)
}

/// A condition on events.
pub type Condition = Box<dyn BoxableExpression<event::table, crate::db::MultiBackend, SqlType = Bool>>;

/// After a position. Compared as a row, so that both databases go straight to its place in the index: spelled out with
/// "or", they would read the log from its beginning.
pub fn later(position: Position) -> Condition {
    let row = sql::<Bool>("(event.epoch, event.xid, event.seq) > (")
        .bind::<BigInt, _>(position.epoch)
        .sql(", ")
        .bind::<BigInt, _>(position.xid)
        .sql(", ")
        .bind::<BigInt, _>(position.seq)
        .sql(")");
    Box::new(row)
}

/// Fixes the epoch at start: raised when the cluster is another one than before, or when a stored transaction id is not
/// below the current one (a dump restored into a fresh cluster).
pub fn settle_epoch(tx: &mut Tx<'_>) -> Result<i64> {
    let stored = |tx: &mut Tx<'_>, name: &str| -> Result<Option<String>> {
        Ok(meta::table.find(name).select(meta::value).first(tx.db()).optional()?)
    };
    let epoch: i64 = stored(tx, "epoch")?.and_then(|text| text.parse().ok()).unwrap_or(1);
    // Looked at first: another server may be writing, and what it commits after this has higher ids than ours.
    let highest: Option<i64> =
        event::table.filter(event::epoch.eq(epoch)).select(diesel::dsl::max(event::xid)).first(tx.db())?;
    // A cursor may be ahead of every event that is still kept.
    let cursors = subscription::table.filter(subscription::epoch.eq(epoch));
    let furthest: Option<i64> = cursors.select(diesel::dsl::max(subscription::xid)).first(tx.db())?;
    let highest = highest.max(furthest);
    let Some((cluster, current)) = cluster(tx.db())? else {
        put_meta(tx, "epoch", &epoch.to_string())?;
        return Ok(epoch);
    };
    let moved = stored(tx, "cluster")?.is_some_and(|known| known != cluster);
    let epoch = if moved || highest.is_some_and(|xid| xid >= current) { epoch + 1 } else { epoch };
    put_meta(tx, "epoch", &epoch.to_string())?;
    put_meta(tx, "cluster", &cluster)?;
    Ok(epoch)
}

/// The PostgreSQL cluster's identity and its current transaction id.
fn cluster(db: &mut Db) -> Result<Option<(String, i64)>> {
    match db {
        Db::Sqlite(_) => Ok(None),
        Db::Pg(conn) => {
            let id: Number =
                diesel::sql_query("SELECT system_identifier AS n FROM pg_control_system()").get_result(conn)?;
            let xid: Number = diesel::sql_query("SELECT pg_current_xact_id()::text::bigint AS n").get_result(conn)?;
            Ok(Some((id.n.to_string(), xid.n)))
        }
    }
}

fn put_meta(tx: &mut Tx<'_>, key: &str, value: &str) -> Result<()> {
    use crate::db::BothExt;
    diesel::insert_into(meta::table)
        .values((meta::key.eq(key), meta::value.eq(value)))
        .on_conflict(meta::key)
        .do_update()
        .set(meta::value.eq(value))
        .both()
        .execute(tx.db())?;
    Ok(())
}

/// Events of one slice: short, so that no cursor holds the writer.
const SLICE: i64 = 20;
/// Attempts before an event is parked and the operator is told.
const MAX_ATTEMPTS: i32 = 10;

/// Makes sure that a module has a cursor; a new one starts at now.
pub(crate) fn subscribe(tx: &mut Tx<'_>, module: &str) -> Result<()> {
    let known: Option<String> =
        subscription::table.find(module).select(subscription::module).first(tx.db()).optional()?;
    if known.is_none() {
        let epoch = tx.epoch();
        use crate::db::BothExt;
        let start = head(tx.db(), epoch)?;
        diesel::insert_into(subscription::table)
            .values((
                subscription::module.eq(module),
                subscription::epoch.eq(start.epoch),
                subscription::xid.eq(start.xid),
                subscription::seq.eq(start.seq),
            ))
            // Another server may start at the same moment.
            .on_conflict_do_nothing()
            .both()
            .execute(tx.db())?;
    }
    Ok(())
}

/// Handles the next slice for one module; answers how many events it passed.
pub(crate) fn walk(tx: &mut Tx<'_>, module: &dyn Module) -> Result<usize> {
    let name = module.manifest().name;
    // Locks the cursor, so that a second server waits here and then finds it moved.
    diesel::update(subscription::table.find(name)).set(subscription::module.eq(name)).run_kept(tx.db())?;
    let (epoch, xid, seq): (i64, i64, i64) = subscription::table
        .find(name)
        .select((subscription::epoch, subscription::xid, subscription::seq))
        .first(tx.db())?;
    let epoch_now = tx.epoch();
    let events = after(tx.db(), Position { epoch, xid, seq }, epoch_now, SLICE)?;
    let Some(last) = events.last().map(Event::position) else {
        return Ok(0);
    };
    for event in &events {
        if wanted(tx, module, event)? {
            pass_or_keep(tx, module, event)?;
        }
    }
    diesel::update(subscription::table.find(name))
        .set((subscription::epoch.eq(last.epoch), subscription::xid.eq(last.xid), subscription::seq.eq(last.seq)))
        .run_kept(tx.db())?;
    Ok(events.len())
}

fn wanted(tx: &mut Tx<'_>, module: &dyn Module, event: &Event) -> Result<bool> {
    let manifest = module.manifest();
    if !manifest.events_in.contains(&event.kind.as_str()) {
        return Ok(false);
    }
    match (manifest.scenario, event.facility_id) {
        (false, _) => Ok(true),
        (true, None) => Ok(false),
        (true, Some(facility)) => {
            let since: Option<Moment> = module_enabled::table
                .find((manifest.name, facility.0))
                .select(module_enabled::enabled_at)
                .first(tx.db())
                .optional()?;
            Ok(since.is_some_and(|since| since <= event.created_at))
        }
    }
}

/// Handles an event, or keeps it for later when it fails or when an earlier one of its subject waits.
fn pass_or_keep(tx: &mut Tx<'_>, module: &dyn Module, event: &Event) -> Result<()> {
    let name = module.manifest().name;
    let waiting: i64 = retry::table
        .filter(retry::module.eq(name).and(retry::subject.eq(&event.subject)))
        .count()
        .get_result(tx.db())?;
    let error = if waiting > 0 {
        "waits behind an earlier event of its subject".to_owned()
    } else {
        match tx.savepoint(|tx| module.on_event(tx, event)) {
            Ok(()) => return Ok(()),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => error.to_string(),
        }
    };
    tracing::warn!(module = name, event = event.kind, seq = event.seq, error, "event kept for a retry");
    let (id, next_at) = (tx.next_id(), tx.now().plus_seconds(backoff_s(0)));
    diesel::insert_into(retry::table)
        .values((
            retry::id.eq(id),
            retry::module.eq(name),
            retry::event_seq.eq(event.seq),
            retry::subject.eq(&event.subject),
            retry::attempts.eq(i32::from(waiting == 0)),
            retry::next_at.eq(next_at),
            retry::error.eq(error),
        ))
        .execute(tx.db())?;
    Ok(())
}

const MAX_BACKOFF_S: i64 = 300;

/// 1, 2, 4 … seconds, at most five minutes.
pub(crate) fn backoff_s(attempts: i32) -> i64 {
    1i64.checked_shl(attempts.clamp(0, 20).cast_unsigned()).unwrap_or(MAX_BACKOFF_S).min(MAX_BACKOFF_S)
}

/// The latest time that an attempt can be set for. One that stands at a later time was set before the clock was set back,
/// and is due: waiting for the clock to catch up would hold its subject for as long.
pub(crate) fn latest_attempt(now: Moment) -> Moment {
    now.plus_seconds(MAX_BACKOFF_S)
}

/// Handles one kept event that is due and has none of its subject before it. `false` when there is none.
pub(crate) fn retry_one(tx: &mut Tx<'_>, modules: &Modules) -> Result<bool> {
    let now = tx.now();
    let (id, module, seq, attempts): (i64, String, i64, i32) = {
        let earlier = diesel::alias!(retry as earlier);
        let none_before = diesel::dsl::not(diesel::dsl::exists(
            earlier
                .filter(earlier.field(retry::module).eq(retry::module))
                .filter(earlier.field(retry::subject).eq(retry::subject))
                .filter(earlier.field(retry::id).lt(retry::id))
                .select(earlier.field(retry::id)),
        ));
        let due = retry::table
            .filter(retry::parked_at.is_null())
            .filter(retry::next_at.le(now).or(retry::next_at.gt(latest_attempt(now))))
            .filter(none_before)
            .order(retry::id.asc())
            .select((retry::id, retry::module, retry::event_seq, retry::attempts))
            .first(tx.db())
            .optional()?;
        let Some(due) = due else { return Ok(false) };
        due
    };
    // Takes the row; on PostgreSQL a second server waits here and then finds it gone.
    let touched = diesel::update(retry::table.find(id)).set(retry::attempts.eq(attempts + 1)).execute(tx.db())?;
    let Some(handler) = modules.get(&module).filter(|_| touched == 1) else {
        return Ok(touched == 1);
    };
    let event: Event = event::table.find(seq).select(Event::as_select()).first(tx.db())?;
    match tx.savepoint(|tx| handler.on_event(tx, &event)) {
        Ok(()) => {
            diesel::delete(retry::table.find(id)).execute(tx.db())?;
        }
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => {
            let parked = (attempts + 1 >= MAX_ATTEMPTS).then_some(now);
            if parked.is_some() {
                tracing::error!(module, event = event.kind, seq, %error, "event parked: an operator has to decide");
                tx.signal("system");
            }
            diesel::update(retry::table.find(id))
                .set((
                    retry::next_at.eq(now.plus_seconds(backoff_s(attempts + 1))),
                    retry::parked_at.eq(parked),
                    retry::error.eq(error.to_string()),
                ))
                .execute(tx.db())?;
        }
    }
    Ok(true)
}

/// Whether a cursor has something to pass. Looked at first: an idle server must not write every second.
fn is_behind(db: &mut Db, module: &str, epoch_now: i64) -> Result<bool> {
    let (epoch, xid, seq): (i64, i64, i64) = subscription::table
        .find(module)
        .select((subscription::epoch, subscription::xid, subscription::seq))
        .first(db)?;
    Ok(!after(db, Position { epoch, xid, seq }, epoch_now, 1)?.is_empty())
}

fn retries_are_due(db: &mut Db, now: Moment) -> Result<bool> {
    let due: Option<i64> = retry::table
        .filter(retry::parked_at.is_null())
        .filter(retry::next_at.le(now).or(retry::next_at.gt(latest_attempt(now))))
        .select(retry::id)
        .first(db)
        .optional()?;
    Ok(due.is_some())
}

/// One round over all cursors and the retries; answers whether there is more to do at once.
async fn round(db: &Database, modules: &Modules) -> bool {
    let mut busy = false;
    for module in modules.iter().filter(|module| !module.manifest().events_in.is_empty()) {
        let (handler, name, epoch) = (module.clone(), module.manifest().name, db.epoch());
        let passed = match db.read(move |db| is_behind(db, name, epoch)).await {
            Ok(true) => db.write(move |tx| walk(tx, handler.as_ref())).await,
            Ok(false) => Ok(0),
            Err(error) => Err(error),
        };
        match passed {
            Ok(passed) => busy |= passed as i64 == SLICE,
            Err(error) => tracing::error!(module = name, %error, "event cursor stands"),
        }
    }
    let (all, now) = (modules.clone(), db.clock().now());
    let retried = match db.read(move |db| retries_are_due(db, now)).await {
        Ok(true) => db.write(move |tx| retry_one(tx, &all)).await,
        Ok(false) => Ok(false),
        Err(error) => Err(error),
    };
    match retried {
        Ok(did) => busy |= did,
        Err(error) => tracing::error!(%error, "event retries stand"),
    }
    busy
}

/// Walks all cursors until told to stop: woken by commits and by a period, since a signal can be lost.
pub(crate) async fn run(db: Database, modules: Modules, mut stop: tokio::sync::watch::Receiver<bool>) {
    while !*stop.borrow() {
        if !round(&db, &modules).await {
            tokio::select! {
                () = db.wakes().events.notified() => {}
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                _ = stop.changed() => {}
            }
        }
    }
}

/// Switches a scenario on at a facility, from now on.
pub fn enable_module(tx: &mut Tx<'_>, module: &str, facility: FacilityId) -> Result<()> {
    use crate::db::BothExt;
    let now = tx.now();
    diesel::insert_into(module_enabled::table)
        .values((
            module_enabled::module.eq(module),
            module_enabled::facility_id.eq(facility.0),
            module_enabled::enabled_at.eq(now),
        ))
        .on_conflict((module_enabled::module, module_enabled::facility_id))
        .do_nothing()
        .both()
        .execute(tx.db())?;
    Ok(())
}

/// Gives a parked event its attempts back.
pub fn unpark(tx: &mut Tx<'_>, id: i64) -> Result<()> {
    let now = tx.now();
    let found = diesel::update(retry::table.find(id))
        .set((retry::parked_at.eq(None::<Moment>), retry::attempts.eq(0), retry::next_at.eq(now)))
        .execute(tx.db())?;
    if found == 0 { Err(Error::NotFound) } else { Ok(()) }
}
