//! Effects: outgoing I/O (webhook, MQTT command, message, print), written with the decision that wants it and sent after
//! the commit. At least once, with the effect's id as the peer's idempotency key; after `valid_until` it is reported,
//! not sent.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;

use crate::db::{Database, Db, Tx, database_unix_ms};
use crate::error::{Error, Result};
use crate::ids::{EffectId, FacilityId};
use crate::module::Modules;
use crate::schema::{effect, meta};
use crate::time::Moment;

/// How long a server may hold an effect before another may take it.
const LEASE_MS: i64 = 30_000;
/// Effects sent side by side.
const BATCH: i64 = 16;
/// Attempts follow each other after 1, 2, 4 … seconds, at most so many apart.
const MAX_BACKOFF_S: i64 = 120;

#[derive(Debug, Clone)]
pub struct NewEffect {
    /// Who is told of the outcome.
    pub module: &'static str,
    /// Which sender: `webhook` …
    pub kind: &'static str,
    /// What it is about, a prefixed id.
    pub subject: String,
    pub facility: Option<FacilityId>,
    /// Where to: read by the sender; never a secret.
    pub target: serde_json::Value,
    pub payload: serde_json::Value,
    pub valid_until: Moment,
}

/// An effect on its way.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = effect)]
pub struct Effect {
    pub id: EffectId,
    pub module: String,
    pub kind: String,
    pub subject: String,
    pub facility_id: Option<FacilityId>,
    pub target: String,
    pub payload: String,
    pub attempts: i32,
    pub valid_until: Moment,
    pub created_at: Moment,
}

/// What the peer made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    Delivered,
    /// May work later: no connection, time-out, 5xx, 429.
    TryAgain(String),
    /// Will never work: 4xx, no such endpoint.
    Refused(String),
}

/// Told to the module in the transaction that records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    /// An attempt failed and another follows.
    Delayed(String),
    Failed(String),
    Expired(String),
}

pub type SendFuture = Pin<Box<dyn Future<Output = Sent> + Send>>;

/// Carries effects of one kind to the outside. No database inside.
pub trait EffectSender: Send + Sync + 'static {
    fn kind(&self) -> &'static str;
    fn send(&self, effect: Effect) -> SendFuture;
}

pub(crate) fn enqueue(tx: &mut Tx<'_>, new: NewEffect) -> Result<EffectId> {
    let id = EffectId(tx.next_id());
    let now = tx.now();
    diesel::insert_into(effect::table)
        .values((
            effect::id.eq(id.0),
            effect::module.eq(new.module),
            effect::kind.eq(new.kind),
            effect::subject.eq(new.subject),
            effect::facility_id.eq(new.facility.map(|id| id.0)),
            effect::target.eq(serde_json::to_string(&new.target)?),
            effect::payload.eq(serde_json::to_string(&new.payload)?),
            effect::status.eq("queued"),
            effect::next_at.eq(now),
            effect::valid_until.eq(new.valid_until),
            effect::created_at.eq(now),
        ))
        .execute(tx.db())?;
    Ok(id)
}

/// The latest time that an attempt can be set for. One that stands at a later time was set before the clock was set back,
/// and is due: waiting for the clock to catch up would keep a call for help for as long.
fn latest(now: Moment) -> Moment {
    now.plus_seconds(MAX_BACKOFF_S)
}

/// Row of `meta` that stands as long as nothing may leave: since when. A restored copy beside the original would call
/// people a second time.
pub const HELD: &str = "effects_held";

/// Since when effects are held back; `None`: they are sent.
pub fn held_since(db: &mut Db) -> Result<Option<Moment>> {
    let since: Option<String> = meta::table.find(HELD).select(meta::value).first(db).optional()?;
    since.map(|text| text.parse().map_err(Error::internal)).transpose()
}

/// Lets them go: what has lost its meaning meanwhile is reported, not sent.
///
/// # Errors
/// `NotFound` when nothing is held.
pub fn release(tx: &mut Tx<'_>) -> Result<()> {
    tx.wake_effects();
    match diesel::delete(meta::table.find(HELD)).execute(tx.db())? {
        0 => Err(Error::NotFound),
        _ => Ok(()),
    }
}

fn some_are_due(db: &mut Db, now: Moment) -> Result<bool> {
    if held_since(db)?.is_some() {
        return Ok(false);
    }
    let due: Option<i64> = effect::table
        .filter(effect::status.eq("queued").and(effect::next_at.le(now).or(effect::next_at.gt(latest(now)))))
        .select(effect::id)
        .first(db)
        .optional()?;
    Ok(due.is_some())
}

/// Takes effects that are due and that nobody else is sending, by the database's clock.
fn claim(tx: &mut Tx<'_>, instance: &str) -> Result<Vec<Effect>> {
    let db_ms = database_unix_ms(tx.db())?;
    let now = tx.now();
    let due = effect::next_at.le(now).or(effect::next_at.gt(latest(now)));
    let free = effect::status.eq("queued").and(due).and(effect::leased_until_ms.lt(db_ms));
    let ids: Vec<i64> =
        effect::table.filter(free).order(effect::next_at.asc()).limit(BATCH).select(effect::id).load(tx.db())?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    diesel::update(effect::table.filter(effect::id.eq_any(&ids)).filter(free))
        .set((effect::leased_until_ms.eq(db_ms + LEASE_MS), effect::leased_by.eq(instance)))
        .execute(tx.db())?;
    Ok(effect::table
        .filter(effect::id.eq_any(&ids))
        .filter(effect::leased_by.eq(instance))
        .filter(effect::leased_until_ms.eq(db_ms + LEASE_MS))
        .select(Effect::as_select())
        .load(tx.db())?)
}

/// Records what came of an attempt and tells the module, in one transaction.
fn record(tx: &mut Tx<'_>, modules: &Modules, me: &str, sent: &Effect, result: &Sent) -> Result<()> {
    let now = tx.now();
    let attempts = sent.attempts + 1;
    let next_at = now.plus_seconds(crate::events::backoff_s(sent.attempts).min(MAX_BACKOFF_S));
    let outcome = match result {
        Sent::Delivered => Outcome::Delivered,
        Sent::Refused(why) => Outcome::Failed(why.clone()),
        Sent::TryAgain(why) if next_at > sent.valid_until => Outcome::Expired(why.clone()),
        Sent::TryAgain(why) => Outcome::Delayed(why.clone()),
    };
    if settle(tx, me, sent.id, attempts, next_at, &outcome)? { tell(tx, modules, sent, &outcome) } else { Ok(()) }
}

/// False when the lease ran out and somebody else took it, whose outcome counts: one that says late what came of its
/// attempt must not have a message sent again that was delivered meanwhile.
fn settle(tx: &mut Tx<'_>, me: &str, id: EffectId, attempts: i32, next_at: Moment, outcome: &Outcome) -> Result<bool> {
    let now = tx.now();
    let (status, error) = match outcome {
        Outcome::Delivered => ("delivered", None),
        Outcome::Delayed(why) => ("queued", Some(why)),
        Outcome::Failed(why) => ("failed", Some(why)),
        Outcome::Expired(why) => ("expired", Some(why)),
    };
    let mine = effect::table.find(id.0).filter(effect::leased_by.eq(me).and(effect::status.eq("queued")));
    let settled = diesel::update(mine)
        .set((
            effect::status.eq(status),
            effect::attempts.eq(attempts),
            effect::next_at.eq(next_at),
            effect::leased_until_ms.eq(0),
            effect::leased_by.eq(None::<String>),
            effect::error.eq(error),
            effect::done_at.eq((status != "queued").then_some(now)),
        ))
        .execute(tx.db())?;
    Ok(settled == 1)
}

fn tell(tx: &mut Tx<'_>, modules: &Modules, effect: &Effect, outcome: &Outcome) -> Result<()> {
    match modules.get(&effect.module) {
        Some(module) => module.on_effect(tx, effect, outcome),
        None => Ok(()),
    }
}

/// Expired before an attempt was made (the server was down, say): reported, not sent.
fn expire(tx: &mut Tx<'_>, modules: &Modules, me: &str, late: &Effect) -> Result<()> {
    let outcome = Outcome::Expired("not sent before it lost its meaning".into());
    let now = tx.now();
    if settle(tx, me, late.id, late.attempts, now, &outcome)? { tell(tx, modules, late, &outcome) } else { Ok(()) }
}

async fn deliver(db: Database, modules: Modules, me: String, sender: Option<Arc<dyn EffectSender>>, effect: Effect) {
    let id = effect.id;
    let late = effect.valid_until < db.clock().now();
    let stored = if late {
        db.write(move |tx| expire(tx, &modules, &me, &effect)).await
    } else {
        let result = match sender {
            Some(sender) => sender.send(effect.clone()).await,
            None => Sent::Refused(format!("this build has no sender for {}", effect.kind)),
        };
        if result != Sent::Delivered {
            tracing::warn!(effect = %id, kind = effect.kind, ?result, "effect not delivered");
        }
        db.write(move |tx| record(tx, &modules, &me, &effect, &result)).await
    };
    if let Err(error) = stored {
        // The lease runs out and it is sent again: the peer knows its id.
        tracing::error!(effect = %id, %error, "an effect's outcome could not be recorded");
    }
}

/// Sends effects until told to stop.
pub(crate) async fn run(
    db: Database,
    modules: Modules,
    senders: Vec<Arc<dyn EffectSender>>,
    instance: String,
    mut stop: tokio::sync::watch::Receiver<bool>,
) {
    let mut under_way = tokio::task::JoinSet::new();
    while !*stop.borrow() {
        let (me, now) = (instance.clone(), db.clock().now());
        // Looked at first: an idle server must not write twice a second.
        let claimed = match db.read(move |db| some_are_due(db, now)).await {
            Ok(true) => db.write(move |tx| claim(tx, &me)).await,
            Ok(false) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        let claimed = claimed.unwrap_or_else(|error| {
            tracing::error!(%error, "effects stand");
            Vec::new()
        });
        let full = claimed.len() as i64 == BATCH;
        for effect in claimed {
            let sender = senders.iter().find(|sender| sender.kind() == effect.kind).cloned();
            under_way.spawn(deliver(db.clone(), modules.clone(), instance.clone(), sender, effect));
        }
        // One slow peer must not hold the others: deliveries run on while the next ones are claimed.
        while under_way.len() >= 4 * BATCH as usize {
            under_way.join_next().await;
        }
        while under_way.try_join_next().is_some() {}
        if !full {
            tokio::select! {
                () = db.wakes().effects.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
                _ = stop.changed() => {}
            }
        }
    }
    let _ =
        tokio::time::timeout(Duration::from_secs(1), async { while under_way.join_next().await.is_some() {} }).await;
}

/// Sends a failed or expired effect again, valid for another `valid_s` seconds.
pub fn replay(tx: &mut Tx<'_>, id: EffectId, valid_s: i64) -> Result<()> {
    let now = tx.now();
    let found = diesel::update(effect::table.find(id.0).filter(effect::status.eq_any(["failed", "expired"])))
        .set((
            effect::status.eq("queued"),
            effect::attempts.eq(0),
            effect::next_at.eq(now),
            effect::valid_until.eq(now.plus_seconds(valid_s)),
            effect::done_at.eq(None::<Moment>),
        ))
        .execute(tx.db())?;
    if found == 0 { Err(Error::NotFound) } else { Ok(()) }
}
