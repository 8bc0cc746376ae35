//! Lists of devices: who matches a filter, what is shown of each, and how many there are.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::Bool;
use schemars::JsonSchema;
use serde::Deserialize;
use songhe_kernel::db::containing;
use songhe_kernel::identity::Scope;
use songhe_kernel::{Db, Moment, Result};
use songhe_registry::schema::{place, resident};
use songhe_registry::{PlaceId, ResidentId};

use crate::observations::{self, Health, State};
use crate::online;
use crate::register::{Device, DeviceId};
use crate::schema::{device, device_health, device_state};

/// A battery at or below this should be changed, in per cent × 10^6.
pub(crate) const LOW_BATTERY_MICRO: i64 = 20_000_000;
pub(crate) const BATTERY: &str = "battery_percent";
pub(crate) const LOW_BATTERY: &str = "low_battery";

/// How a device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DeviceCondition")]
pub enum Condition {
    Online,
    Offline,
    LowBattery,
    Unbound,
}

impl Condition {
    pub const ALL: [Self; 4] = [Self::Online, Self::Offline, Self::LowBattery, Self::Unbound];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::LowBattery => "low_battery",
            Self::Unbound => "unbound",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|condition| condition.as_str() == text)
    }
}

/// Which devices.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Others do not exist for the caller.
    pub scope: Scope,
    /// Part of the name, the serial or the place's label; empty: all.
    pub text: String,
    pub class: Option<String>,
    pub condition: Option<Condition>,
    /// The last one of the page before.
    pub after: Option<DeviceId>,
}

impl Filter {
    /// Everything within a scope.
    pub fn all(scope: Scope) -> Self {
        Self { scope, text: String::new(), class: None, condition: None, after: None }
    }
}

type Query<'a> = device::BoxedQuery<'a, <Db as diesel::Connection>::Backend>;

fn select(db: &mut Db, filter: &Filter, now: Moment) -> Result<Query<'static>> {
    let mut query = device::table.into_boxed();
    if let Some(ids) = filter.scope.ids() {
        query = query.filter(device::facility_id.eq_any(ids.iter().map(|id| id.0).collect::<Vec<_>>()));
    }
    if let Some(class) = &filter.class {
        query = query.filter(device::class.eq(class.clone()));
    }
    if let Some(after) = filter.after {
        query = query.filter(device::id.gt(after.0));
    }
    let text = filter.text.trim();
    if !text.is_empty() {
        let part = containing(text);
        let places = place::table.filter(place::label.like(part.clone()).escape('\\')).select(place::id.nullable());
        query = query.filter(
            device::name
                .like(part.clone())
                .escape('\\')
                .or(device::serial.like(part).escape('\\'))
                .or(device::place_id.eq_any(places).assume_not_null()),
        );
    }
    Ok(match filter.condition {
        Some(condition @ (Condition::Online | Condition::Offline)) => narrow(query, condition, &limits(db)?, now),
        Some(condition) => narrow(query, condition, &[], now),
        None => query,
    })
}

/// Each time that some device may be silent, in seconds. There are few: the limits of heartbeat classes at facilities.
fn limits(db: &mut Db) -> Result<Vec<i32>> {
    Ok(device::table.select(device::silence_s).distinct().load(db)?)
}

fn narrow(query: Query<'static>, condition: Condition, limits: &[i32], now: Moment) -> Query<'static> {
    type Heard = Box<dyn BoxableExpression<device::table, <Db as diesel::Connection>::Backend, SqlType = Bool>>;
    // Heard since its limit's moment, and not signed off.
    let heard = || {
        let none: Heard = Box::new(device::id.lt(0));
        limits.iter().fold(none, |one, limit| -> Heard {
            let mine = device::silence_s.eq(*limit).and(
                device::id.eq_any(
                    device_health::table
                        .filter(device_health::last_seen_at.ge(online::since(now, i64::from(*limit))))
                        .filter(device_health::online.is_null().or(device_health::online.eq(true)))
                        .select(device_health::device_id),
                ),
            );
            Box::new(one.or(mine))
        })
    };
    match condition {
        Condition::Online => query.filter(heard()),
        Condition::Offline => query.filter(diesel::dsl::not(heard())),
        Condition::LowBattery => query.filter(
            device::id.eq_any(
                device_state::table
                    .filter(
                        device_state::kind
                            .eq(BATTERY)
                            .and(device_state::value_micro.le(LOW_BATTERY_MICRO))
                            .or(device_state::kind.eq(LOW_BATTERY).and(device_state::active.eq(true))),
                    )
                    .select(device_state::device_id),
            ),
        ),
        Condition::Unbound => query.filter(device::place_id.is_null().and(device::resident_id.is_null())),
    }
}

/// A device with what lists show of it.
#[derive(Debug, Clone)]
pub struct Listed {
    pub device: Device,
    pub place_label: Option<String>,
    /// For callers who may see residents only.
    pub resident_name: Option<String>,
    pub online: bool,
    pub last_seen_at: Option<Moment>,
    /// 0 to 100.
    pub battery_percent: Option<i64>,
    pub low_battery: bool,
}

/// Up to `limit` devices, by id: new ones come at the end, so that no page shifts while somebody leafs through.
pub fn list(db: &mut Db, filter: &Filter, now: Moment, limit: i64) -> Result<Vec<Listed>> {
    let devices: Vec<Device> =
        select(db, filter, now)?.select(Device::as_select()).order(device::id.asc()).limit(limit).load(db)?;
    describe(db, devices, now)
}

pub fn count(db: &mut Db, filter: &Filter, now: Moment) -> Result<i64> {
    Ok(select(db, filter, now)?.count().get_result(db)?)
}

/// Fills in what belongs to devices, looked up together.
pub fn describe(db: &mut Db, devices: Vec<Device>, now: Moment) -> Result<Vec<Listed>> {
    let ids: Vec<DeviceId> = devices.iter().map(|device| device.id).collect();
    let labels = place_labels(db, devices.iter().filter_map(|device| device.place_id))?;
    let names = resident_names(db, devices.iter().filter_map(|device| device.resident_id))?;
    let health: HashMap<i64, Health> =
        observations::health(db, &ids)?.into_iter().map(|health| (health.device_id, health)).collect();
    let mut battery: HashMap<DeviceId, (Option<i64>, bool)> = HashMap::new();
    for state in observations::states_of(db, &ids, &[BATTERY, LOW_BATTERY])? {
        let (percent, low) = battery.entry(state.device_id).or_default();
        fold_battery(&state, percent, low);
    }
    Ok(devices
        .into_iter()
        .map(|device| {
            let health = health.get(&device.id.0);
            let (battery_percent, low_battery) = battery.get(&device.id).copied().unwrap_or_default();
            Listed {
                place_label: device.place_id.and_then(|id| labels.get(&id).cloned()),
                resident_name: device.resident_id.and_then(|id| names.get(&id).cloned()),
                online: online::is_online(device.silence_s, health, now),
                last_seen_at: health.map(|health| health.last_seen_at),
                battery_percent,
                low_battery,
                device,
            }
        })
        .collect())
}

fn fold_battery(state: &State, percent: &mut Option<i64>, low: &mut bool) {
    if state.kind == BATTERY {
        *percent = state.value_micro.filter(|_| state.quality == "good").map(|micro| micro / 1_000_000);
        *low |= state.value_micro.is_some_and(|micro| micro <= LOW_BATTERY_MICRO);
    } else {
        *low |= state.active == Some(true);
    }
}

pub(crate) fn place_labels(db: &mut Db, ids: impl Iterator<Item = PlaceId>) -> Result<HashMap<PlaceId, String>> {
    let ids: Vec<PlaceId> = ids.collect();
    let rows: Vec<(PlaceId, String)> =
        place::table.filter(place::id.eq_any(ids)).select((place::id, place::label)).load(db)?;
    Ok(rows.into_iter().collect())
}

pub(crate) fn resident_names(
    db: &mut Db,
    ids: impl Iterator<Item = ResidentId>,
) -> Result<HashMap<ResidentId, String>> {
    let ids: Vec<ResidentId> = ids.collect();
    let rows: Vec<(ResidentId, String)> =
        resident::table.filter(resident::id.eq_any(ids)).select((resident::id, resident::name)).load(db)?;
    Ok(rows.into_iter().collect())
}
