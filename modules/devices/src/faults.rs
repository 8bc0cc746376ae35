//! Devices that went silent and batteries that run low are incidents. Looked for by timers: a message on its way costs
//! nothing for it, and `device_health.last_seen_at` has no index, which each message would have to keep.
//!
//! Silence counts only while Songhe listened. After it stood still, or its clock was set forward, every device has its
//! whole time again; after the clock was set back, what was heard "later" was heard just now. What is silent behind a
//! gateway that is off line, or together with many others, is told once for all of them.

use diesel::prelude::*;
use serde_json::json;
use songhe_incidents::schema::incident;
use songhe_incidents::{Kind, Priority, Report};
use songhe_kernel::{BothExt, Db, Error, FacilityId, Moment, NewTimer, Result, Tx};
use songhe_registry as registry;

use crate::list::{BATTERY, LOW_BATTERY, LOW_BATTERY_MICRO};
use crate::observations::{self, Health};
use crate::online::{self, Heartbeat};
use crate::register::{Device, DeviceId};
use crate::schema::{device, device_fault, device_health, device_state, device_watch, gateway, gateway_member};
use crate::{MODULE, report};

/// Timer kind: looks for silence.
pub(crate) const TIMER: &str = "watch-silence";
/// Schedule: sees to it that the timer is there.
pub(crate) const ANCHOR: &str = "watch-silence-anchor";
/// Schedule: looks for low batteries.
pub(crate) const BATTERIES: &str = "watch-batteries";
const TIMER_KEY: &str = "devices:watch-silence";
const EVERY_S: i64 = 60;
/// After a pause of this length Songhe did not listen, in seconds.
const DEAF_S: i64 = 180;
/// A device that signed off, or whose connection broke, may come back within this time, in seconds.
const AWAY_S: i64 = 300;
/// So many at once at one facility are one incident: it is not the devices.
const MANY: usize = 6;
/// What is resolved by somebody while it lasts is told again after this time, in seconds.
const AGAIN_S: i64 = 86_400;
/// A battery is good again when it is this much above the limit, in per cent × 10^6.
const RECOVERED_MICRO: i64 = LOW_BATTERY_MICRO + 5_000_000;
const ROW: i64 = 1;
const GROUP_MANY: &str = "many";

/// A fault as pages show it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = device_fault)]
pub struct Fault {
    pub device_id: DeviceId,
    /// `device_offline` or `low_battery`.
    pub kind: String,
    pub since: Moment,
    pub group_key: Option<String>,
    pub raised_at: Moment,
    pub grace_until: Option<Moment>,
}

/// The faults of a device that stand.
pub fn of_device(db: &mut Db, id: DeviceId) -> Result<Vec<Fault>> {
    Ok(device_fault::table.filter(device_fault::device_id.eq(id.0)).select(Fault::as_select()).load(db)?)
}

/// Nobody looks after this device's silence any more; what was told stays with whoever resolves it.
pub(crate) fn forget(db: &mut Db, id: DeviceId) -> Result<()> {
    diesel::delete(device_fault::table.filter(device_fault::device_id.eq(id.0))).execute(db)?;
    Ok(())
}

/// When silence was looked for last.
pub fn looked_at(db: &mut Db) -> Result<Option<Moment>> {
    Ok(device_watch::table.find(ROW).select(device_watch::swept_at).first(db).optional()?)
}

/// The schedule that keeps the timer alive, also after it was given up.
pub fn anchor(tx: &mut Tx<'_>) -> Result<()> {
    let swept = looked_at(tx.db())?;
    let quiet_s = swept.map(|at| tx.now().seconds_since(at));
    if quiet_s.is_some_and(|quiet_s| (0..2 * EVERY_S).contains(&quiet_s)) {
        return Ok(());
    }
    on_timer(tx)
}

pub(crate) fn on_timer(tx: &mut Tx<'_>) -> Result<()> {
    look_for_silence(tx)?;
    let due_at = tx.now().plus_seconds(EVERY_S);
    tx.set_timer(NewTimer {
        key: TIMER_KEY.to_owned(),
        module: MODULE,
        kind: TIMER,
        facility: None,
        data: json!({}),
        due_at,
    })
}

/// One look: who is back, who is newly silent.
pub fn look_for_silence(tx: &mut Tx<'_>) -> Result<()> {
    let since = listening_since(tx)?;
    hear_gateways(tx)?;
    let standing = standing(tx.db())?;
    let came_back = recover(tx, &standing)?;
    let silent = silent(tx, since)?;
    tell(tx, silent)?;
    for (fault, device, health) in standing {
        if !came_back.contains(&device.id) {
            look_again(tx, &fault, &device, &health)?;
        }
    }
    Ok(())
}

fn listening_since(tx: &mut Tx<'_>) -> Result<Moment> {
    let now = tx.now();
    let known: Option<(Moment, Moment)> = device_watch::table
        .find(ROW)
        .select((device_watch::swept_at, device_watch::listening_since))
        .first(tx.db())
        .optional()?;
    let since = match known {
        Some((swept, since)) if (0..=DEAF_S).contains(&now.seconds_since(swept)) => since,
        Some((swept, since)) if swept > now => {
            let ahead = device_health::table.filter(device_health::last_seen_at.gt(now));
            diesel::update(ahead).set(device_health::last_seen_at.eq(now)).execute(tx.db())?;
            since.min(now)
        }
        _ => now,
    };
    diesel::insert_into(device_watch::table)
        .values((device_watch::id.eq(ROW), device_watch::swept_at.eq(now), device_watch::listening_since.eq(since)))
        .on_conflict(device_watch::id)
        .do_update()
        .set((device_watch::swept_at.eq(now), device_watch::listening_since.eq(since)))
        .both()
        .execute(tx.db())?;
    Ok(since)
}

/// A gateway is heard whenever one of its devices is.
fn hear_gateways(tx: &mut Tx<'_>) -> Result<()> {
    let member = diesel::alias!(device as member);
    let heard: Vec<(i64, Option<Moment>)> = gateway_member::table
        .inner_join(member.on(member.field(device::serial).eq(gateway_member::serial)))
        .inner_join(device_health::table.on(device_health::device_id.eq(member.field(device::id))))
        .filter(device_health::online.is_null().or(device_health::online.eq(true)))
        .group_by(gateway_member::gateway_id)
        .select((gateway_member::gateway_id, diesel::dsl::max(device_health::last_seen_at)))
        .load(tx.db())?;
    for (id, at) in heard {
        let Some(at) = at else { continue };
        let older = device_health::table.find(id).filter(device_health::last_seen_at.lt(at));
        diesel::update(older)
            .set((device_health::last_seen_at.eq(at), device_health::online.eq(true)))
            .execute(tx.db())?;
    }
    Ok(())
}

type Standing = Vec<(Fault, Device, Health)>;

/// The devices that were found silent before.
fn standing(db: &mut Db) -> Result<Standing> {
    let rows: Vec<(Fault, Device)> = device_fault::table
        .inner_join(device::table.on(device::id.eq(device_fault::device_id)))
        .filter(device_fault::kind.eq(Kind::DeviceOffline.as_str()))
        .select((Fault::as_select(), Device::as_select()))
        .load(db)?;
    let ids: Vec<DeviceId> = rows.iter().map(|(_, device)| device.id).collect();
    let health = observations::health(db, &ids)?;
    Ok(rows
        .into_iter()
        .filter_map(|(fault, device)| {
            let health = health.iter().find(|health| health.device_id == device.id.0)?.clone();
            Some((fault, device, health))
        })
        .collect())
}

/// Who was silent and is heard again: told on the incident, which stays open.
fn recover(tx: &mut Tx<'_>, standing: &Standing) -> Result<Vec<DeviceId>> {
    let now = tx.now();
    let mut back = Vec::new();
    for (fault, device, health) in standing {
        if !online::is_online(device.silence_s, Some(health), now) {
            continue;
        }
        back.push(device.id);
        remove(tx.db(), device.id, Kind::DeviceOffline)?;
        match fault.group_key.as_deref() {
            None => clear(tx, device, Kind::DeviceOffline)?,
            Some(GROUP_MANY) => clear_many(tx, device.facility_id)?,
            // The gateway's own return tells.
            Some(_) => {}
        }
        // Those behind a gateway that is back have their whole time to be heard by it.
        let behind = device_fault::table.filter(device_fault::group_key.eq(behind(device.id)));
        let members: Vec<(i64, i32)> = behind
            .inner_join(device::table.on(device::id.eq(device_fault::device_id)))
            .filter(device_fault::grace_until.is_null())
            .select((device_fault::device_id, device::silence_s))
            .load(tx.db())?;
        for (id, silence_s) in members {
            let until = now.plus_seconds(i64::from(silence_s));
            diesel::update(device_fault::table.find((id, Kind::DeviceOffline.as_str())))
                .set(device_fault::grace_until.eq(until))
                .execute(tx.db())?;
        }
    }
    Ok(back)
}

fn behind(gateway: DeviceId) -> String {
    format!("gw:{gateway}")
}

fn remove(db: &mut Db, id: DeviceId, kind: Kind) -> Result<()> {
    diesel::delete(device_fault::table.find((id.0, kind.as_str()))).execute(db)?;
    Ok(())
}

/// Who has been silent for too long and was not found so before.
fn silent(tx: &mut Tx<'_>, listening_since: Moment) -> Result<Vec<(Device, Health)>> {
    let now = tx.now();
    let limits: Vec<i32> =
        device::table.filter(device::enabled.eq(true)).select(device::silence_s).distinct().load(tx.db())?;
    let mut found: Vec<(Device, Health)> = Vec::new();
    macro_rules! look {
        ($silent:expr) => {
            device::table
                .inner_join(device_health::table.on(device_health::device_id.eq(device::id)))
                .filter(device::enabled.eq(true).and(device::status.eq("active")))
                .filter($silent)
                .filter(
                    device::id.ne_all(
                        device_fault::table
                            .filter(device_fault::kind.eq(Kind::DeviceOffline.as_str()))
                            .select(device_fault::device_id),
                    ),
                )
                .order(device::id.asc())
                .select((Device::as_select(), Health::as_select()))
                .load::<(Device, Health)>(tx.db())?
        };
    }
    for limit in limits {
        let heard = online::since(now, i64::from(limit));
        if listening_since <= heard {
            found.extend(look!(device::silence_s.eq(limit).and(device_health::last_seen_at.lt(heard))));
        }
    }
    let away = online::since(now, AWAY_S);
    if listening_since <= away {
        let gone = look!(device_health::online.eq(false).and(device_health::last_seen_at.lt(away)));
        let new = gone.into_iter().filter(|(one, _)| found.iter().all(|(device, _)| device.id != one.id));
        found.extend(new.collect::<Vec<_>>());
    }
    Ok(found)
}

fn tell(tx: &mut Tx<'_>, silent: Vec<(Device, Health)>) -> Result<()> {
    if silent.is_empty() {
        return Ok(());
    }
    let gateways: Vec<i64> = gateway::table.select(gateway::device_id).load(tx.db())?;
    let (gateways, others): (Vec<_>, Vec<_>) =
        silent.into_iter().partition(|(device, _)| gateways.contains(&device.id.0));
    for (device, health) in gateways {
        raise(tx, &device, health.last_seen_at)?;
        remember(tx, &device, health.last_seen_at, None)?;
    }
    let mut alone = Vec::new();
    for (device, health) in others {
        match gateway_off_line(tx.db(), &device.serial)? {
            Some(gateway) => remember(tx, &device, health.last_seen_at, Some(behind(gateway)))?,
            None => alone.push((device, health)),
        }
    }
    alone.sort_by_key(|(device, _)| (device.facility_id, device.id));
    for together in alone.chunk_by(|(one, _), (next, _)| one.facility_id == next.facility_id) {
        let many = together.len() >= MANY;
        if many {
            raise_many(tx, together)?;
        }
        for (device, health) in together {
            if !many {
                raise(tx, device, health.last_seen_at)?;
            }
            remember(tx, device, health.last_seen_at, many.then(|| GROUP_MANY.to_owned()))?;
        }
    }
    Ok(())
}

/// The gateway that names a device, if it is known to be off line itself.
fn gateway_off_line(db: &mut Db, serial: &str) -> Result<Option<DeviceId>> {
    let offline =
        device_fault::table.filter(device_fault::kind.eq(Kind::DeviceOffline.as_str())).select(device_fault::device_id);
    let signed_off = device_health::table.filter(device_health::online.eq(false)).select(device_health::device_id);
    Ok(gateway_member::table
        .filter(gateway_member::serial.eq(serial))
        .filter(gateway_member::gateway_id.eq_any(offline).or(gateway_member::gateway_id.eq_any(signed_off)))
        .select(gateway_member::gateway_id)
        .first(db)
        .optional()?)
}

fn remember(tx: &mut Tx<'_>, device: &Device, since: Moment, group: Option<String>) -> Result<()> {
    insert(tx, device.id, Kind::DeviceOffline, since, group)
}

fn insert(tx: &mut Tx<'_>, id: DeviceId, kind: Kind, since: Moment, group: Option<String>) -> Result<()> {
    let now = tx.now();
    diesel::insert_into(device_fault::table)
        .values((
            device_fault::device_id.eq(id.0),
            device_fault::kind.eq(kind.as_str()),
            device_fault::since.eq(since),
            device_fault::group_key.eq(group),
            device_fault::raised_at.eq(now),
        ))
        .on_conflict((device_fault::device_id, device_fault::kind))
        .do_nothing()
        .both()
        .execute(tx.db())?;
    Ok(())
}

/// Those whose gateway came back without them, and those that somebody resolved a day ago.
fn look_again(tx: &mut Tx<'_>, fault: &Fault, device: &Device, health: &Health) -> Result<()> {
    let now = tx.now();
    if !device.enabled || device.status != "active" {
        return forget(tx.db(), device.id);
    }
    let left_behind = fault.grace_until.is_some_and(|until| until <= now);
    let again = fault.group_key.is_none() && now.seconds_since(fault.raised_at) >= AGAIN_S;
    if !left_behind && !again {
        return Ok(());
    }
    if left_behind || !is_open(tx.db(), device.id, Kind::DeviceOffline)? {
        raise(tx, device, health.last_seen_at)?;
    }
    diesel::update(device_fault::table.find((device.id.0, Kind::DeviceOffline.as_str())))
        .set((
            device_fault::raised_at.eq(now),
            device_fault::group_key.eq(None::<String>),
            device_fault::grace_until.eq(None::<Moment>),
        ))
        .execute(tx.db())?;
    Ok(())
}

fn is_open(db: &mut Db, id: DeviceId, kind: Kind) -> Result<bool> {
    let open: i64 = incident::table
        .filter(incident::device_id.eq(id.0))
        .filter(incident::open_key.is_not_null())
        .filter(incident::kind.eq(kind.as_str()))
        .count()
        .get_result(db)?;
    Ok(open > 0)
}

fn raise(tx: &mut Tx<'_>, device: &Device, last_seen_at: Moment) -> Result<()> {
    // What guards somebody is missed sooner than a scale.
    let guards = device.heartbeat == Heartbeat::Guard.as_str() || crate::gateways::is_gateway(tx.db(), device.id)?;
    let priority = if guards { Priority::Medium } else { Priority::Low };
    let cause = cause(device, Kind::DeviceOffline, None, last_seen_at, tx.now());
    raise_as(tx, device, Kind::DeviceOffline, priority, cause)
}

fn raise_as(tx: &mut Tx<'_>, device: &Device, kind: Kind, priority: Priority, cause: serde_json::Value) -> Result<()> {
    let now = tx.now();
    let mut report = report::of(tx.db(), device, kind, device.id.to_string(), cause, now, now)?;
    report.priority = Some(priority);
    songhe_incidents::report(tx, &report)?;
    Ok(())
}

fn clear(tx: &mut Tx<'_>, device: &Device, kind: Kind) -> Result<()> {
    let now = tx.now();
    let report = report::of(tx.db(), device, kind, device.id.to_string(), json!({}), now, now)?;
    songhe_incidents::report_cleared(tx, &report)?;
    Ok(())
}

/// As `Sighting::cause` tells of what a device said.
fn cause(device: &Device, kind: Kind, value: Option<String>, at: Moment, now: Moment) -> serde_json::Value {
    json!({
        "device": device.id,
        "device_name": device.name,
        "serial": device.serial,
        "adapter": device.adapter,
        "kind": kind.as_str(),
        "event": true,
        "value": value,
        "unit": null,
        "quality": "good",
        "detail": null,
        "message_id": "",
        "observed_at": at,
        "received_at": now,
        "rule": null,
    })
}

fn many(tx: &mut Tx<'_>, facility: FacilityId, source: String, detail: String) -> Result<Report> {
    let now = tx.now();
    let known = registry::facility(tx.db(), facility)?.ok_or_else(|| Error::internal("a device's facility is gone"))?;
    Ok(Report {
        kind: Kind::DeviceOffline,
        priority: Some(Priority::Medium),
        facility,
        scenario: known.scenario,
        place: None,
        place_label: String::new(),
        resident: None,
        device: None,
        discriminator: GROUP_MANY.to_owned(),
        source,
        detail,
        cause: json!({ "kind": Kind::DeviceOffline.as_str(), "observed_at": now }),
        observed_at: now,
        received_at: now,
    })
}

fn raise_many(tx: &mut Tx<'_>, together: &[(Device, Health)]) -> Result<()> {
    let Some((first, _)) = together.first() else { return Ok(()) };
    let names: Vec<&str> = together.iter().map(|(device, _)| device.name.as_str()).collect();
    let source = format!("{} ×{}", first.name, together.len());
    let detail = songhe_adapter_core::clip(&names.join("、"), 200);
    let report = many(tx, first.facility_id, source, detail)?;
    songhe_incidents::report(tx, &report)?;
    Ok(())
}

/// The last of many is back.
fn clear_many(tx: &mut Tx<'_>, facility: FacilityId) -> Result<()> {
    let left: i64 = device_fault::table
        .inner_join(device::table.on(device::id.eq(device_fault::device_id)))
        .filter(device_fault::group_key.eq(GROUP_MANY).and(device::facility_id.eq(facility.0)))
        .count()
        .get_result(tx.db())?;
    if left == 0 {
        let report = many(tx, facility, String::new(), String::new())?;
        songhe_incidents::report_cleared(tx, &report)?;
    }
    Ok(())
}

/// Batteries that ran low or were changed. What a device itself says of its battery was told when it said so.
pub fn look_for_low_batteries(tx: &mut Tx<'_>) -> Result<()> {
    let now = tx.now();
    let low: Vec<(Device, i64, Moment)> = device_state::table
        .inner_join(device::table.on(device::id.eq(device_state::device_id)))
        .filter(device_state::kind.eq(BATTERY).and(device_state::quality.eq("good")))
        .filter(device_state::value_micro.assume_not_null().le(LOW_BATTERY_MICRO))
        .filter(device::enabled.eq(true).and(device::status.eq("active")))
        .filter(
            device::id.ne_all(
                device_fault::table
                    .filter(device_fault::kind.eq(Kind::LowBattery.as_str()))
                    .select(device_fault::device_id),
            ),
        )
        .select((Device::as_select(), device_state::value_micro.assume_not_null(), device_state::observed_at))
        .load(tx.db())?;
    for (device, micro, at) in low {
        if !is_open(tx.db(), device.id, Kind::LowBattery)? {
            let cause = cause(&device, Kind::LowBattery, Some(format!("{}%", crate::words::decimal(micro))), at, now);
            raise_as(tx, &device, Kind::LowBattery, Priority::Low, cause)?;
        }
        insert(tx, device.id, Kind::LowBattery, at, None)?;
    }
    let standing: Vec<Device> = device_fault::table
        .inner_join(device::table.on(device::id.eq(device_fault::device_id)))
        .filter(device_fault::kind.eq(Kind::LowBattery.as_str()))
        .select(Device::as_select())
        .load(tx.db())?;
    let ids: Vec<DeviceId> = standing.iter().map(|device| device.id).collect();
    let states = observations::states_of(tx.db(), &ids, &[BATTERY, LOW_BATTERY])?;
    for device in standing {
        let of = |kind: &str| states.iter().find(|state| state.device_id == device.id && state.kind == kind);
        let charged = of(BATTERY).and_then(|state| state.value_micro).is_none_or(|micro| micro >= RECOVERED_MICRO);
        let says = of(LOW_BATTERY).and_then(|state| state.active);
        if charged && says != Some(true) {
            remove(tx.db(), device.id, Kind::LowBattery)?;
            if says.is_none() {
                clear(tx, &device, Kind::LowBattery)?;
            }
        }
    }
    Ok(())
}
