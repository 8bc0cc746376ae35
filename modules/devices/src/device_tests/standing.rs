//! Which devices are tested, and whose test is due. Days are civil days of the facility: a test of Monday is due
//! again on the whole of next Monday, and overdue from Tuesday.

use std::collections::{HashMap, HashSet};

use chrono::{Days, NaiveDate};
use chrono_tz::Tz;
use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_adapter_core::{EventKind, Measure};
use songhe_kernel::{Db, FacilityId, Moment, Result};
use songhe_registry::{self as registry, PlaceId};

use super::{Expects, Plan, TESTABLE, Test, TestKind, known_kinds, plan};
use crate::list::place_labels;
use crate::register::{Device, DeviceId};
use crate::schema::{call_action, device, device_state, device_test, device_test_exempt};

/// The class of the catalogue whose devices watch over people (安全监护设备).
const SAFETY_CLASS: &str = "3.1";
/// What sensors of a room tell. A device that tells of these and of nothing else but itself calls nobody.
const ROOM: [&str; 7] = [
    Measure::RoomTemperature.name(),
    Measure::Humidity.name(),
    Measure::Illuminance.name(),
    Measure::Co2.name(),
    Measure::Pm25.name(),
    EventKind::DoorOpen.name(),
    EventKind::DoorClose.name(),
];
/// What any device may tell of itself.
const ITSELF: [&str; 6] = [
    Measure::BatteryPercent.name(),
    Measure::BatteryVoltage.name(),
    Measure::LinkQuality.name(),
    Measure::SignalDbm.name(),
    EventKind::LowBattery.name(),
    EventKind::Tamper.name(),
];

/// How a device stands with its tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DeviceTestStanding")]
pub enum Standing {
    /// A test waits for its press.
    Waiting,
    Overdue,
    /// Today, or never tested yet.
    Due,
    Passed,
}

impl Standing {
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Overdue, Self::Due, Self::Passed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Overdue => "overdue",
            Self::Due => "due",
            Self::Passed => "passed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == text)
    }
}

/// The day on which the next test is due, and how the device stands on a day. A device that never passed a test is due
/// from the first day, and overdue when as much time has gone by as between two tests.
pub fn standing(
    passed: Option<Moment>,
    registered: Moment,
    interval_days: i32,
    today: NaiveDate,
    zone: Tz,
) -> (NaiveDate, Standing) {
    let interval = Days::new(u64::try_from(interval_days).unwrap_or_default());
    let next = |at: Moment| at.day_in(zone).checked_add_days(interval).unwrap_or(NaiveDate::MAX);
    let due = next(passed.unwrap_or(registered));
    let standing = if today > due {
        Standing::Overdue
    } else if today == due || passed.is_none() {
        Standing::Due
    } else {
        Standing::Passed
    };
    (due, standing)
}

/// Which devices.
#[derive(Debug, Clone)]
pub struct Filter {
    pub facility: FacilityId,
    /// Only what hangs there or within.
    pub place: Option<PlaceId>,
    pub standing: Option<Standing>,
}

/// An emergency device with its tests.
#[derive(Debug, Clone)]
pub struct Listed {
    pub device: Device,
    pub place_label: String,
    pub standing: Standing,
    /// The civil day.
    pub due: NaiveDate,
    /// What a test waits for; `None`: nothing is known of the device yet.
    pub asks: Option<EventKind>,
    /// The last test that passed.
    pub passed: Option<Test>,
    /// The last one that was started.
    pub latest: Option<Test>,
}

/// How many devices stand how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "DeviceTestTotals")]
pub struct Totals {
    pub devices: usize,
    pub overdue: usize,
    pub due: usize,
    pub waiting: usize,
    pub passed: usize,
}

pub fn totals(listed: &[Listed]) -> Totals {
    let count = |standing| listed.iter().filter(|one| one.standing == standing).count();
    Totals {
        devices: listed.len(),
        overdue: count(Standing::Overdue),
        due: count(Standing::Due),
        waiting: count(Standing::Waiting),
        passed: count(Standing::Passed),
    }
}

/// Kinds of what is an alarm, or a device's own word for a test.
fn alarm_kinds() -> Vec<&'static str> {
    TESTABLE.into_iter().chain([EventKind::Test]).map(EventKind::name).collect()
}

/// The devices that are to be tested, and those of the catalogue's safety class that are not, since by all they tell they
/// call nobody. To be tested are those that have told of an emergency or of a test, buttons of gateways, what was
/// commissioned by an alarm, and what is of the safety class unless it turns out to be a sensor of its room: one that
/// says nothing yet may be a button. Without those that an administrator has exempted.
fn emergency_devices(db: &mut Db, facility: FacilityId) -> Result<(Vec<Device>, Vec<Device>)> {
    let told = device_state::table.filter(device_state::kind.eq_any(alarm_kinds())).select(device_state::device_id);
    let buttons = call_action::table.select(call_action::device_id);
    let by_alarm = device_test::table
        .filter(device_test::kind.eq(TestKind::Commissioning.as_str()))
        .filter(device_test::expects.ne(Expects::Any.as_str()))
        .select(device_test::device_id);
    let calls = || device::id.eq_any(told.clone()).or(device::id.eq_any(buttons)).or(device::id.eq_any(by_alarm));
    let here = device::facility_id.eq(facility.0).and(device::enabled.eq(true));
    let exempt = device_test_exempt::table.select(device_test_exempt::device_id);
    let rows: Vec<(Device, bool)> = device::table
        .filter(here)
        .filter(device::class.eq(SAFETY_CLASS).or(calls()))
        .filter(device::id.ne_all(exempt))
        .select((Device::as_select(), calls()))
        .load(db)?;
    let doubtful: Vec<i64> = rows.iter().filter(|(_, calls)| !calls).map(|(device, _)| device.id.0).collect();
    let told: Vec<(DeviceId, String)> = device_state::table
        .filter(device_state::device_id.eq_any(doubtful).and(device_state::kind.ne_all(ITSELF)))
        .select((device_state::device_id, device_state::kind))
        .load(db)?;
    let mut of_room: HashMap<DeviceId, bool> = HashMap::new();
    for (id, kind) in &told {
        *of_room.entry(*id).or_insert(true) &= ROOM.contains(&kind.as_str());
    }
    let is_sensor = |device: &Device| of_room.get(&device.id) == Some(&true);
    let (unlisted, listed): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|(device, calls)| !calls && is_sensor(device));
    let devices = |rows: Vec<(Device, bool)>| rows.into_iter().map(|(device, _)| device).collect();
    Ok((devices(listed), devices(unlisted)))
}

fn tests(db: &mut Db, ids: Vec<i64>) -> Result<HashMap<DeviceId, Test>> {
    let rows: Vec<Test> = device_test::table.filter(device_test::id.eq_any(ids)).select(Test::as_select()).load(db)?;
    Ok(rows.into_iter().map(|test| (test.device_id, test)).collect())
}

/// The last test of each device, and the last that an alarm passed.
fn last_tests(db: &mut Db, facility: FacilityId) -> Result<(HashMap<DeviceId, Test>, HashMap<DeviceId, Test>)> {
    let mine = || device_test::table.filter(device_test::facility_id.eq(facility.0)).group_by(device_test::device_id);
    let last = diesel::dsl::max(device_test::id);
    let latest: Vec<Option<i64>> = mine().select(last).load(db)?;
    let passed = device_test::state.eq("passed").and(device_test::told.eq_any(alarm_kinds()));
    let passed: Vec<Option<i64>> = mine().filter(passed).select(last).load(db)?;
    Ok((tests(db, latest.into_iter().flatten().collect())?, tests(db, passed.into_iter().flatten().collect())?))
}

/// What [`list`] finds.
#[derive(Debug, Clone)]
pub struct Found {
    pub listed: Vec<Listed>,
    /// Of the safety class, by name, and not listed: by all they tell they are sensors of a room.
    pub unlisted: Vec<Device>,
}

/// The emergency devices of a facility, by place and name.
pub fn list(db: &mut Db, filter: &Filter, now: Moment) -> Result<Found> {
    let zone = registry::zone_of(db, filter.facility)?;
    let Plan { interval_days, .. } = plan(db, filter.facility)?;
    let (mut devices, mut unlisted) = emergency_devices(db, filter.facility)?;
    if let Some(place) = filter.place {
        let within: HashSet<PlaceId> = registry::places_under(db, place)?.into_iter().collect();
        let is_within = |device: &Device| device.place_id.is_some_and(|id| within.contains(&id));
        devices.retain(is_within);
        unlisted.retain(is_within);
    }
    unlisted.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    let ids: Vec<DeviceId> = devices.iter().map(|device| device.id).collect();
    let asks: HashMap<DeviceId, EventKind> = known_kinds(db, &ids)?.into_iter().collect();
    let labels = place_labels(db, devices.iter().filter_map(|device| device.place_id))?;
    let (mut latest, mut passed) = last_tests(db, filter.facility)?;
    let today = now.day_in(zone);
    let mut listed: Vec<Listed> = devices
        .into_iter()
        .map(|device| {
            let (latest, passed) = (latest.remove(&device.id), passed.remove(&device.id));
            let at = passed.as_ref().and_then(|test| test.done_at);
            let (due, mut stands) = standing(at, device.created_at, interval_days, today, zone);
            if latest.as_ref().is_some_and(|test| test.state == "waiting") {
                stands = Standing::Waiting;
            }
            let place_label = device.place_id.and_then(|id| labels.get(&id).cloned()).unwrap_or_default();
            let asks = asks.get(&device.id).copied();
            Listed { place_label, standing: stands, due, asks, passed, latest, device }
        })
        .filter(|one| filter.standing.is_none_or(|wanted| wanted == one.standing))
        .collect();
    listed.sort_by(|a, b| {
        let key = |one: &Listed| {
            (one.place_label.is_empty(), one.place_label.clone(), one.device.name.clone(), one.device.id)
        };
        key(a).cmp(&key(b))
    });
    Ok(Found { listed, unlisted })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use songhe_kernel::time::DEFAULT_ZONE;

    #[test]
    fn a_test_is_due_on_its_day_and_overdue_after_it() {
        let at = |text: &str| text.parse::<Moment>().unwrap();
        // 15 November, 00:30 in Shanghai.
        let passed = at("2026-11-14T16:30:00Z");
        let registered = at("2026-01-01T00:00:00Z");
        let on = |day: &str, passed| standing(passed, registered, 7, day.parse().unwrap(), DEFAULT_ZONE).1;
        for (day, expected) in [
            ("2026-11-15", Standing::Passed),
            ("2026-11-21", Standing::Passed),
            ("2026-11-22", Standing::Due),
            ("2026-11-23", Standing::Overdue),
        ] {
            assert_eq!(on(day, Some(passed)), expected, "{day}");
        }
        assert_eq!(on("2026-01-01", None), Standing::Due, "a new device is tested at once");
        assert_eq!(on("2026-01-08", None), Standing::Due);
        assert_eq!(on("2026-01-09", None), Standing::Overdue);
    }
}
