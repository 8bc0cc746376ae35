//! The server's state at one moment, as the API answers it; the page shows the same with words around it.

use std::collections::HashMap;

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::Serialize;
use songhe_devices::sparing::NOT_KEPT;
use songhe_kernel::http::Ctx;
use songhe_kernel::identity::Scope;
use songhe_kernel::{Database, EffectId, FacilityId, Moment, Result};

use super::backup::{Backup, Known};
use super::servers::Servers;
use super::transport::{Adapter, Broker, adapters};
use super::{Facts, OPERATE, READ, RetryId, queries, reaches, words};

/// A queue is in health up to so many waiting operations.
const DEEP: i64 = 1_000;
/// Work that has been due for longer stands, in seconds.
pub(super) const STANDS_AFTER_S: i64 = 30;
/// Every event waits for the oldest transaction: beyond this it is the operator's affair, in seconds.
pub(super) const LONG_TRANSACTION_S: i64 = 5;
const MESSAGES_OF: TimeDelta = TimeDelta::minutes(10);
const DAY: TimeDelta = TimeDelta::hours(24);

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "SystemHealth")]
pub(super) enum Health {
    Ok,
    Warn,
    Fail,
    Off,
}

/// The state of the server.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemState")]
pub(super) struct State {
    pub(super) as_of: Moment,
    version: &'static str,
    database: String,
    started_at: Moment,
    uptime_s: i64,
    pub(super) queues: Vec<Queue>,
    /// Writes since start; `null` on PostgreSQL.
    pub(super) writer: Option<Writer>,
    /// Age of the oldest transaction that may still write, for which events wait; `null` on SQLite.
    pub(super) oldest_transaction_s: Option<i64>,
    pub(super) timers: Vec<TimerKind>,
    pub(super) parked_timers: Vec<ParkedTimer>,
    /// Of the whole server, also beyond what the lists show.
    pub(super) totals: Totals,
    pub(super) disk: Disk,
    /// A new certificate was refused, and the one before is in use.
    pub(super) certificate_refused: bool,
    pub(super) subscriptions: Vec<Subscription>,
    effects: Vec<Effect>,
    retries: Vec<Retry>,
    pub(super) adapters: Vec<Adapter>,
    pub(super) broker: Broker,
    /// Those that share this database; `null` on SQLite, where there is one.
    pub(super) servers: Option<Servers>,
    pub(super) backup: Backup,
    /// Of a restored copy from which nothing leaves; `null`: everything does.
    pub(super) held: Option<Held>,
    /// Live pages and programs that hold a stream open.
    pub(super) streams: usize,
    pub(super) streams_with_sound: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemHeld")]
pub(super) struct Held {
    since: Moment,
    /// Effects that wait.
    pub(super) waiting: i64,
    /// Whether the caller may let them go.
    can_release: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemQueue")]
pub(super) struct Queue {
    pub(super) name: &'static str,
    pub(super) depth: i64,
    capacity: Option<i64>,
    oldest_s: Option<i64>,
    /// Since start; `null` where it is not counted.
    processed: Option<u64>,
    /// Given up without being done.
    dropped: i64,
    pub(super) status: Health,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemWriter")]
pub(super) struct Writer {
    pub(super) commits: u64,
    pub(super) operations: u64,
    /// Operations that held the database over 50 ms.
    pub(super) slow: u64,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "SystemTotals")]
pub(super) struct Totals {
    pub(super) timers_overdue: i64,
    pub(super) timers_parked: i64,
    pub(super) events_kept: i64,
    pub(super) events_parked: i64,
    pub(super) effects_queued: i64,
    /// Failed or expired, of the last 24 hours.
    pub(super) effects_lost: i64,
    /// Messages put into quarantine, of the last 24 hours.
    pub(super) messages_rejected: i64,
}

/// Room for the database.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemDisk")]
pub(super) struct Disk {
    /// plenty, low, short
    pub(super) level: &'static str,
    /// Free space in MiB; `null` where it is not measured.
    pub(super) free_mb: Option<u64>,
    /// Messages since start whose readings were judged and not kept, for want of room.
    pub(super) not_kept: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemTimerKind")]
pub(super) struct TimerKind {
    /// Module and kind.
    kind: String,
    pending: i64,
    overdue: i64,
    next_due: Option<Moment>,
    status: Health,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemParkedTimer")]
pub(super) struct ParkedTimer {
    key: String,
    kind: String,
    facility_id: Option<FacilityId>,
    parked_at: Option<Moment>,
    error: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemSubscription")]
pub(super) struct Subscription {
    pub(super) module: String,
    /// Events not yet passed, counted up to 10,000.
    pub(super) behind: i64,
    pub(super) oldest_s: Option<i64>,
    pub(super) status: Health,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemEffect")]
struct Effect {
    id: EffectId,
    kind: String,
    /// waiting, running, failed, expired
    state: &'static str,
    attempts: i32,
    next_at: Option<Moment>,
    error: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemRetry")]
struct Retry {
    id: RetryId,
    subscriber: String,
    /// Kind and number of the event.
    event: String,
    attempts: i32,
    next_at: Option<Moment>,
    parked: bool,
    error: Option<String>,
}

/// What one reading of the database gives.
struct Rows {
    database: String,
    oldest_transaction_s: Option<i64>,
    timers: Vec<queries::TimerKind>,
    parked_timers: Vec<queries::ParkedTimer>,
    cursors: Vec<queries::Cursor>,
    effects: (Vec<queries::Undone>, i64),
    effects_due: Option<Moment>,
    retries: Vec<queries::Kept>,
    totals: Totals,
    messages: HashMap<String, i64>,
    heard: HashMap<String, Option<Moment>>,
    quarantined: Vec<String>,
    boards: i64,
    backup: Known,
}

impl Rows {
    async fn read(db: &Database, scope: Scope) -> Result<Self> {
        let now = db.clock().now();
        let rows = db.read(move |db| {
            let (effects_queued, effects_due) = queries::queued_effects(db)?;
            let (events_kept, events_parked) = queries::count_kept_events(db)?;
            let timers = queries::timer_kinds(db, now)?;
            let quarantined = queries::quarantined_topics(db, now.plus(-DAY))?;
            let totals = Totals {
                timers_overdue: timers.iter().map(|kind| kind.overdue).sum(),
                timers_parked: queries::count_parked_timers(db)?,
                events_kept,
                events_parked,
                effects_queued,
                effects_lost: queries::lost_effects(db, &scope, now.plus(-DAY))?,
                messages_rejected: count(quarantined.len()),
            };
            Ok(Self {
                database: queries::database_version(db)?,
                oldest_transaction_s: queries::oldest_transaction_s(db)?,
                timers,
                parked_timers: queries::parked_timers(db)?,
                cursors: queries::cursors(db)?,
                effects: queries::effects_not_done(db, &scope)?,
                effects_due,
                retries: queries::kept_events(db, &scope)?,
                totals,
                messages: queries::messages_by_adapter(db, now.plus(-MESSAGES_OF))?,
                heard: queries::last_heard(db)?,
                quarantined,
                boards: queries::boards_with_sound(db, now)?,
                backup: Known::read(db, now)?,
            })
        });
        rows.await
    }
}

impl State {
    /// The state now, as far as the caller may see it: figures are the server's, lists are of the caller's facilities.
    pub(super) async fn gather(facts: &Facts, ctx: &Ctx) -> Result<Self> {
        let db = &ctx.app().db;
        let scope = ctx.caller().facilities(READ).clone();
        let rows = Rows::read(db, scope.clone()).await?;
        let now = db.clock().now();
        let uptime_s = i64::try_from(facts.started.elapsed().as_secs()).unwrap_or(i64::MAX);
        let mut broker = Broker::now(facts);
        broker.note = words::broker_note(ctx, &broker);
        let held = rows.backup.held_since.map(|since| Held {
            since,
            waiting: rows.totals.effects_queued,
            can_release: !ctx.caller().facilities(OPERATE).is_empty(),
        });
        let parked = rows.parked_timers.into_iter().filter(|timer| reaches(&scope, timer.facility_id));
        Ok(Self {
            as_of: now,
            version: env!("CARGO_PKG_VERSION"),
            database: rows.database,
            started_at: now.plus_seconds(-uptime_s),
            uptime_s,
            queues: queues(db, &rows.totals, rows.effects_due, now),
            writer: db.writer_stats().map(|writer| Writer {
                commits: writer.commits,
                operations: writer.operations,
                slow: writer.slow,
            }),
            oldest_transaction_s: rows.oldest_transaction_s,
            timers: rows.timers.into_iter().map(TimerKind::of).collect(),
            parked_timers: parked.map(ParkedTimer::of).collect(),
            totals: rows.totals,
            disk: Disk {
                level: db.room_level().as_str(),
                free_mb: db.room().free_bytes().map(|bytes| bytes >> 20),
                not_kept: db.gauge(NOT_KEPT),
            },
            certificate_refused: facts.certificate_refused(),
            subscriptions: rows.cursors.into_iter().map(|cursor| Subscription::of(cursor, now)).collect(),
            effects: effects(rows.effects),
            retries: rows.retries.into_iter().map(Retry::of).collect(),
            adapters: adapters(ctx, &rows.messages, &rows.heard, &rows.quarantined),
            broker,
            servers: facts.peers.get().map(|peers| Servers::of(peers.view(), facts.mode)),
            backup: Backup::of(facts, rows.backup, ctx, now),
            held,
            streams: ctx.app().live.open_streams(),
            streams_with_sound: rows.boards,
        })
    }
}

pub(super) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn warn_if(wrong: bool) -> Health {
    if wrong { Health::Warn } else { Health::Ok }
}

fn queues(db: &Database, totals: &Totals, effects_due: Option<Moment>, now: Moment) -> Vec<Queue> {
    let mut queues = Vec::new();
    if let Some(writer) = db.writer_stats() {
        let one = |name, waiting: usize, processed| {
            let (depth, status) = (count(waiting), warn_if(count(waiting) >= DEEP));
            Queue { name, depth, capacity: None, oldest_s: None, processed, dropped: 0, status }
        };
        queues.push(one("write-emergency", writer.waiting_emergency, None));
        queues.push(one("write", writer.waiting, Some(writer.operations)));
    }
    let late_s = effects_due.map(|due| now.seconds_since(due)).filter(|late_s| *late_s > 0);
    queues.push(Queue {
        name: "effects",
        depth: totals.effects_queued,
        capacity: None,
        oldest_s: late_s,
        processed: None,
        dropped: totals.effects_lost,
        status: warn_if(late_s.is_some_and(|late_s| late_s > STANDS_AFTER_S) || totals.effects_lost > 0),
    });
    queues.push(Queue {
        name: "event-retries",
        depth: totals.events_kept,
        capacity: None,
        oldest_s: None,
        processed: None,
        dropped: totals.events_parked,
        status: warn_if(totals.events_parked > 0),
    });
    queues
}

impl TimerKind {
    fn of(row: queries::TimerKind) -> Self {
        Self {
            kind: format!("{}/{}", row.module, row.kind),
            pending: row.pending,
            overdue: row.overdue,
            next_due: row.next_due,
            status: warn_if(row.overdue > 0),
        }
    }
}

impl ParkedTimer {
    fn of(row: queries::ParkedTimer) -> Self {
        Self {
            key: row.key,
            kind: format!("{}/{}", row.module, row.kind),
            facility_id: row.facility_id,
            parked_at: row.parked_at,
            error: row.error,
        }
    }
}

impl Subscription {
    fn of(row: queries::Cursor, now: Moment) -> Self {
        let oldest_s = row.oldest.map(|oldest| now.seconds_since(oldest).max(0));
        let stands = oldest_s.is_some_and(|age_s| age_s > STANDS_AFTER_S);
        Self { module: row.module, behind: count(row.behind), oldest_s, status: warn_if(stands) }
    }
}

fn effects((rows, database_ms): (Vec<queries::Undone>, i64)) -> Vec<Effect> {
    let state = |row: &queries::Undone| match row.status.as_str() {
        "failed" => "failed",
        "expired" => "expired",
        _ if row.leased_until_ms > database_ms => "running",
        _ => "waiting",
    };
    rows.into_iter()
        .map(|row| Effect {
            state: state(&row),
            id: row.id,
            kind: row.kind,
            attempts: row.attempts,
            next_at: (row.status == "queued").then_some(row.next_at),
            error: row.error,
        })
        .collect()
}

impl Retry {
    fn of(row: queries::Kept) -> Self {
        let parked = row.parked_at.is_some();
        Self {
            id: row.id,
            subscriber: row.module,
            event: format!("{} {}", row.kind, row.seq),
            attempts: row.attempts,
            next_at: (!parked).then_some(row.next_at),
            parked,
            error: (!row.error.is_empty()).then_some(row.error),
        }
    }
}
