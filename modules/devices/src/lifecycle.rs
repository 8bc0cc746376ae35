//! What becomes of a device after it was registered: its heartbeat class, maintenance, and the end.

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_kernel::{AuditEntry, BothExt, Db, Error, FacilityId, FieldError, Moment, Result, Text, Tx, UserId};

use crate::online::Heartbeat;
use crate::register::{self, DeviceId};
use crate::schema::{device, heartbeat_limit};
use crate::{device_tests, faults, gateways};

/// Limits of a heartbeat class, in seconds: a minute of a network's trouble is no fault, and after a week nobody looks.
pub(crate) const SILENCE_S: (i32, i32) = (120, 7 * 86_400);
const MAX_REASON_CHARS: usize = 200;

/// Whether a device works for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DeviceStatus")]
pub enum Status {
    Active,
    /// Being repaired or moved: it may speak, and its silence is nobody's concern.
    Maintenance,
    /// Out of use: no credential, no binding; what it sends is a stranger's. Its history stays.
    Decommissioned,
}

impl Status {
    pub const ALL: [Self; 3] = [Self::Active, Self::Maintenance, Self::Decommissioned];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Maintenance => "maintenance",
            Self::Decommissioned => "decommissioned",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    pub const fn text_key(self) -> &'static str {
        match self {
            Self::Active => "devices-status-active",
            Self::Maintenance => "devices-status-maintenance",
            Self::Decommissioned => "devices-status-decommissioned",
        }
    }
}

/// Since when a device has its status, and why.
#[derive(Debug, Clone, Queryable)]
pub struct StatusNote {
    pub reason: Option<String>,
    pub at: Option<Moment>,
    pub by: Option<UserId>,
}

pub fn status_note(db: &mut Db, id: DeviceId) -> Result<StatusNote> {
    Ok(device::table.find(id.0).select((device::status_reason, device::status_at, device::status_by)).first(db)?)
}

/// Text of one line that people type, 1 to `max` characters.
pub(crate) fn line(field: &'static str, text: &str, max: usize) -> Result<String> {
    let text = text.trim();
    let count = text.chars().count();
    if count == 0 || count > max || text.chars().any(char::is_control) {
        return Err(Error::field(field, Text::key("devices-error-line").arg("max", max)));
    }
    Ok(text.to_owned())
}

/// Puts a device into another status. Decommissioned it loses its credential, its binding and its loan; active again it
/// needs a new credential.
///
/// # Errors
/// `Invalid` without a reason of 1 to 200 characters (back to active needs none); `NotFound` for no such device.
pub fn set_status(tx: &mut Tx<'_>, id: DeviceId, status: Status, reason: &str, by: Option<UserId>) -> Result<()> {
    let known = register::find(tx.db(), id)?.ok_or(Error::NotFound)?;
    let reason = match status {
        Status::Active => None,
        _ => Some(line("reason", reason, MAX_REASON_CHARS)?),
    };
    if known.status == status.as_str() {
        return Ok(());
    }
    if status == Status::Decommissioned {
        crate::loans::give_back(tx, id, by)?;
        register::bind(tx, id, None, None, by)?;
        register::void_secret(tx, id)?;
        device_tests::end_of(tx, id)?;
    }
    let now = tx.now();
    let entry = AuditEntry::new("device.status", id).at(known.facility_id).before(json!({ "status": known.status }));
    let entry = entry.after(json!({ "status": status.as_str() }));
    tx.audit(AuditEntry { reason: reason.clone(), ..entry })?;
    diesel::update(device::table.find(id.0))
        .set((
            device::status.eq(status.as_str()),
            device::status_reason.eq(reason),
            device::status_at.eq(now),
            device::status_by.eq(by.map(|id| id.0)),
            device::enabled.eq(status != Status::Decommissioned),
        ))
        .execute(tx.db())?;
    faults::forget(tx.db(), id)?;
    tx.signal(gateways::TOPIC);
    register::changed(tx, "devices.device.status", known.facility_id, id, by)
}

/// Says how often a device is expected to be heard.
///
/// # Errors
/// `NotFound` for no such device.
pub fn set_heartbeat(tx: &mut Tx<'_>, id: DeviceId, heartbeat: Heartbeat, by: Option<UserId>) -> Result<()> {
    let known = register::find(tx.db(), id)?.ok_or(Error::NotFound)?;
    let silence_s = limit_at(tx.db(), known.facility_id, heartbeat)?;
    diesel::update(device::table.find(id.0))
        .set((device::heartbeat.eq(heartbeat.as_str()), device::silence_s.eq(silence_s)))
        .execute(tx.db())?;
    let after = json!({ "heartbeat": heartbeat.as_str(), "silence_seconds": silence_s });
    tx.audit(AuditEntry::new("device.heartbeat", id).at(known.facility_id).after(after))?;
    register::changed(tx, "devices.device.heartbeat", known.facility_id, id, by)
}

/// How long devices of a heartbeat class may be silent at a facility, in seconds.
pub fn limit_at(db: &mut Db, facility: FacilityId, heartbeat: Heartbeat) -> Result<i32> {
    let set: Option<i32> = heartbeat_limit::table
        .find((facility.0, heartbeat.as_str()))
        .select(heartbeat_limit::silence_s)
        .first(db)
        .optional()?;
    Ok(set.unwrap_or(heartbeat.usual_silence_s()))
}

/// Sets the limit of a heartbeat class at a facility, for all its devices.
///
/// # Errors
/// `Invalid` for a limit outside 2 minutes to 7 days.
pub fn set_limit(tx: &mut Tx<'_>, facility: FacilityId, heartbeat: Heartbeat, silence_s: i32) -> Result<()> {
    let (min, max) = SILENCE_S;
    if !(min..=max).contains(&silence_s) {
        let text = Text::key("error-out-of-range").arg("min", min).arg("max", max);
        return Err(Error::Invalid(vec![FieldError::new("silence_seconds", text)]));
    }
    let told = |silence_s: i32| json!({ "heartbeat": heartbeat.as_str(), "silence_seconds": silence_s });
    let before = limit_at(tx.db(), facility, heartbeat)?;
    let entry = AuditEntry::new("device.limit", facility).at(facility);
    tx.audit(entry.before(told(before)).after(told(silence_s)))?;
    diesel::insert_into(heartbeat_limit::table)
        .values((
            heartbeat_limit::facility_id.eq(facility.0),
            heartbeat_limit::heartbeat.eq(heartbeat.as_str()),
            heartbeat_limit::silence_s.eq(silence_s),
        ))
        .on_conflict((heartbeat_limit::facility_id, heartbeat_limit::heartbeat))
        .do_update()
        .set(heartbeat_limit::silence_s.eq(silence_s))
        .both()
        .execute(tx.db())?;
    let mine = device::facility_id.eq(facility.0).and(device::heartbeat.eq(heartbeat.as_str()));
    diesel::update(device::table.filter(mine)).set(device::silence_s.eq(silence_s)).execute(tx.db())?;
    tx.signal(format!("{}:{facility}", register::TOPIC));
    Ok(())
}
