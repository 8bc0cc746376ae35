//! Messages that nobody may act on: kept with their bytes, never bound to a person by themselves.

use std::collections::BTreeMap;

use diesel::prelude::*;
use songhe_kernel::identity::Scope;
use songhe_kernel::{AuditEntry, Db, Moment, Result, Tx, define_id};

use crate::ingest::Message;
use crate::schema::{device, gateway_member, quarantine};

define_id!(
    /// A quarantined message.
    QuarantineId, "qua"
);

/// Messages kept of one sender, the newest: a flood must not fill the disk. What names no sender counts as one.
const KEPT_PER_SENDER: usize = 20;
/// Messages kept in all.
const KEPT: i64 = 5_000;
/// Bytes kept of one message.
const KEPT_BYTES: usize = 4 * 1024;

/// Why a message was not acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    UnknownDevice,
    Undecodable,
    NoAdapter,
    /// The database would not take it.
    Refused,
}

impl Reason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownDevice => "unknown_device",
            Self::Undecodable => "undecodable",
            Self::NoAdapter => "no_adapter",
            Self::Refused => "refused",
        }
    }
}

/// A quarantined message.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = quarantine)]
pub struct Quarantined {
    pub id: QuarantineId,
    pub source: String,
    pub serial: Option<String>,
    pub topic: String,
    /// The first 4 KiB.
    pub payload: Vec<u8>,
    /// How many there were.
    pub payload_bytes: i32,
    pub reason: String,
    pub detail: String,
    pub received_at: Moment,
    /// Whether a broker had kept it.
    pub retained: bool,
}

/// Messages of a batch whose senders nobody registered. A flood of them costs one look at each sender.
#[derive(Default)]
pub(crate) struct Strangers<'a>(BTreeMap<&'a str, Vec<&'a Message>>);

impl<'a> Strangers<'a> {
    pub(crate) fn add(&mut self, serial: &'a str, message: &'a Message) {
        self.0.entry(serial).or_default().push(message);
    }

    pub(crate) fn keep(self, tx: &mut Tx<'_>) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        for (serial, messages) in self.0 {
            let newest = messages.len().saturating_sub(KEPT_PER_SENDER);
            for message in messages.into_iter().skip(newest) {
                insert(tx, message, Some(serial), Reason::UnknownDevice, "")?;
            }
            trim_sender(tx.db(), Some(serial))?;
        }
        trim_all(tx)
    }
}

pub(crate) fn keep(
    tx: &mut Tx<'_>,
    message: &Message,
    serial: Option<&str>,
    reason: Reason,
    detail: &str,
) -> Result<()> {
    insert(tx, message, serial, reason, detail)?;
    trim_sender(tx.db(), serial)?;
    trim_all(tx)
}

fn insert(tx: &mut Tx<'_>, message: &Message, serial: Option<&str>, reason: Reason, detail: &str) -> Result<()> {
    let payload = message.payload.get(..KEPT_BYTES).unwrap_or(&message.payload);
    // Whoever sends garbage chooses the topic, too; PostgreSQL has no text with a NUL in it.
    let topic: String = message.topic.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    diesel::insert_into(quarantine::table)
        .values((
            quarantine::id.eq(tx.next_id()),
            quarantine::source.eq(message.source),
            quarantine::serial.eq(serial),
            quarantine::topic.eq(topic),
            quarantine::payload.eq(payload),
            quarantine::payload_bytes.eq(i32::try_from(message.payload.len()).unwrap_or(i32::MAX)),
            quarantine::reason.eq(reason.as_str()),
            quarantine::detail.eq(songhe_adapter_core::clip(detail, 200)),
            quarantine::received_at.eq(tx.now()),
            quarantine::retained.eq(message.retained),
        ))
        .execute(tx.db())?;
    Ok(())
}

fn trim_sender(db: &mut Db, serial: Option<&str>) -> Result<()> {
    let kept = i64::try_from(KEPT_PER_SENDER).unwrap_or(i64::MAX);
    // `IS NOT DISTINCT FROM` would not use the index.
    macro_rules! trim {
        ($sender:expr) => {{
            let oldest: Option<i64> = quarantine::table
                .filter($sender)
                .order(quarantine::id.desc())
                .offset(kept)
                .limit(1)
                .select(quarantine::id)
                .first(db)
                .optional()?;
            if let Some(oldest) = oldest {
                diesel::delete(quarantine::table.filter($sender).filter(quarantine::id.le(oldest))).execute(db)?;
            }
        }};
    }
    match serial {
        Some(serial) => trim!(quarantine::serial.eq(serial)),
        None => trim!(quarantine::serial.is_null()),
    }
    Ok(())
}

fn trim_all(tx: &mut Tx<'_>) -> Result<()> {
    let oldest: Option<i64> =
        quarantine::table.order(quarantine::id.desc()).offset(KEPT).select(quarantine::id).first(tx.db()).optional()?;
    if let Some(oldest) = oldest {
        diesel::delete(quarantine::table.filter(quarantine::id.le(oldest))).execute(tx.db())?;
    }
    tx.signal("quarantine");
    Ok(())
}

type Query<'a> = quarantine::BoxedQuery<'a, <Db as diesel::Connection>::Backend>;

/// What an unknown device sends has no facility: whoever registers devices sees it. What a registered one sent, or one
/// behind a registered gateway, is seen at its facility only, since it may tell of a resident.
fn visible(scope: &Scope) -> Query<'static> {
    let query = quarantine::table.into_boxed();
    let Some(ids) = scope.ids() else { return query };
    let elsewhere = device::table
        .filter(device::facility_id.ne_all(ids.iter().map(|id| id.0).collect::<Vec<_>>()))
        .select(device::serial);
    let behind_others = gateway_member::table
        .filter(
            gateway_member::gateway_id.eq_any(
                device::table
                    .filter(device::facility_id.ne_all(ids.iter().map(|id| id.0).collect::<Vec<_>>()))
                    .select(device::id),
            ),
        )
        .select(gateway_member::serial);
    query.filter(
        quarantine::serial.is_null().or(quarantine::serial
            .assume_not_null()
            .ne_all(elsewhere)
            .and(quarantine::serial.assume_not_null().ne_all(behind_others))),
    )
}

/// The whole messages of a gateway's devices that it had not named when they came, oldest first.
pub(crate) fn of_strangers(db: &mut Db, gateway: &str) -> Result<Vec<Quarantined>> {
    let mut kept: Vec<Quarantined> = quarantine::table
        .filter(quarantine::serial.eq(gateway))
        .filter(quarantine::reason.eq(Reason::UnknownDevice.as_str()))
        .order(quarantine::id.asc())
        .select(Quarantined::as_select())
        .load(db)?;
    kept.retain(|message| usize::try_from(message.payload_bytes).is_ok_and(|bytes| bytes == message.payload.len()));
    Ok(kept)
}

/// The detail of what a gateway's inventory says of a device: no message of the device's own.
pub(crate) const NAMED: &str = "named by its gateway";

/// A device that its gateway named was registered: nothing is left to do about it.
pub(crate) fn forget_named(tx: &mut Tx<'_>, serial: &str) -> Result<()> {
    let of_device = quarantine::table.filter(quarantine::serial.eq(serial).and(quarantine::detail.eq(NAMED)));
    if diesel::delete(of_device).execute(tx.db())? > 0 {
        tx.signal("quarantine");
    }
    Ok(())
}

pub(crate) fn remove(tx: &mut Tx<'_>, id: QuarantineId) -> Result<()> {
    diesel::delete(quarantine::table.find(id.0)).execute(tx.db())?;
    tx.signal("quarantine");
    Ok(())
}

/// Newest first.
pub fn list(db: &mut Db, scope: &Scope, after: Option<QuarantineId>, limit: i64) -> Result<Vec<Quarantined>> {
    let mut query = visible(scope).select(Quarantined::as_select());
    if let Some(after) = after {
        query = query.filter(quarantine::id.lt(after.0));
    }
    Ok(query.order(quarantine::id.desc()).limit(limit).load(db)?)
}

/// The messages of one sender that were kept for one reason.
#[derive(Debug, Clone)]
pub struct Group {
    /// The newest message.
    pub id: QuarantineId,
    pub serial: Option<String>,
    /// Of the newest message.
    pub topic: String,
    pub reason: String,
    pub first_at: Moment,
    pub last_at: Moment,
    /// Newest first.
    pub messages: Vec<QuarantineId>,
}

/// All groups, the one that was heard last first. There are at most 5,000 messages.
pub fn groups(db: &mut Db, scope: &Scope) -> Result<Vec<Group>> {
    let rows: Vec<(QuarantineId, Option<String>, String, String, Moment)> = visible(scope)
        .order(quarantine::id.desc())
        .select((quarantine::id, quarantine::serial, quarantine::topic, quarantine::reason, quarantine::received_at))
        .load(db)?;
    let mut groups: Vec<Group> = Vec::new();
    let mut places: BTreeMap<(Option<String>, String, String), usize> = BTreeMap::new();
    for (id, serial, topic, reason, at) in rows {
        // Without a sender the topic has to tell them apart.
        let by_topic = if serial.is_none() { topic.clone() } else { String::new() };
        let place = *places.entry((serial.clone(), by_topic, reason.clone())).or_insert(groups.len());
        if let Some(group) = groups.get_mut(place) {
            group.first_at = group.first_at.min(at);
            group.messages.push(id);
        } else {
            groups.push(Group { id, serial, topic, reason, first_at: at, last_at: at, messages: vec![id] });
        }
    }
    Ok(groups)
}

pub(crate) fn messages(db: &mut Db, ids: &[QuarantineId]) -> Result<Vec<Quarantined>> {
    Ok(quarantine::table
        .filter(quarantine::id.eq_any(ids.iter().map(|id| id.0).collect::<Vec<_>>()))
        .order(quarantine::id.desc())
        .select(Quarantined::as_select())
        .load(db)?)
}

/// Throws a group away: that of the message named. Answers how many messages it had; 0 when it is gone already or lies
/// outside the scope.
pub fn dismiss(tx: &mut Tx<'_>, scope: &Scope, id: QuarantineId) -> Result<usize> {
    let group = groups(tx.db(), scope)?.into_iter().find(|group| group.messages.contains(&id));
    let Some(group) = group else { return Ok(0) };
    let ids: Vec<i64> = group.messages.iter().map(|id| id.0).collect();
    tx.signal("quarantine");
    tx.audit(AuditEntry::new("quarantine.dismiss", id).before(serde_json::json!({ "messages": ids.len() })))?;
    Ok(diesel::delete(quarantine::table.filter(quarantine::id.eq_any(ids))).execute(tx.db())?)
}
