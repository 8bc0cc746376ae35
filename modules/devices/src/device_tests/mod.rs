//! Tests of devices: weekly those that call for help, and each one when it is commissioned. One mechanism for both.
//!
//! Somebody starts a test, presses the real button, and the server measures how long the press took to be stored and
//! shown. The press is not a call: nobody is told, no ladder climbs. So that no call for help is ever taken for a test, at
//! most one alarm is taken for each test that was started: of that device, of the kind that was expected, observed
//! and arrived within the window. Everything else is a call ([`take`]). A device that calls nobody, a thermometer, is
//! commissioned by any word of it ([`Expects::Any`]).

mod expects;
mod plan;
mod seen;
mod standing;
mod take;

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_adapter_core::EventKind;
use songhe_incidents::schema::incident;
use songhe_kernel::identity::Scope;
use songhe_kernel::{BothExt, Db, Error, FacilityId, Moment, NewTimer, Result, Text, Tx, UserId, define_id};
use songhe_registry::PlaceId;

use crate::MODULE;
use crate::register::{self, Device, DeviceId};
use crate::schema::{call_action, device, device_state, device_test};

pub use expects::Expects;
pub(crate) use expects::Word;
use plan::WINDOW_S;
pub use plan::{Plan, exempt, plan, set_exempt, set_plan};
pub use seen::OverdueTests;
pub use standing::{Filter, Found, Listed, Standing, Totals, list, standing, totals};
pub(crate) use take::{TIMER, on_timer, take};

define_id!(
    /// A test of a device.
    TestId, "tst"
);

/// Signal topic of the tests at a facility: `device-tests:fac_…`.
pub(crate) const TOPIC: &str = "device-tests";

/// What a test may wait for; the first that a device has told of is what it is asked for.
pub const TESTABLE: [EventKind; 6] =
    [EventKind::Sos, EventKind::Fall, EventKind::Smoke, EventKind::Gas, EventKind::Co, EventKind::Leak];

/// More devices than this are not started at once: whoever starts them has to come by within the window.
pub const MAX_AT_ONCE: usize = 50;
/// After this a page that shows the result for the first time tells nothing of how fast it was, in seconds.
const SHOWN_WITHIN_S: i64 = 60;

/// Why a device is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DeviceTestKind")]
pub enum TestKind {
    Weekly,
    Commissioning,
}

impl TestKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Weekly => "weekly",
            Self::Commissioning => "commissioning",
        }
    }
}

/// A test as stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = device_test)]
pub struct Test {
    pub id: TestId,
    pub device_id: DeviceId,
    pub facility_id: FacilityId,
    /// `weekly` or `commissioning`.
    pub kind: String,
    /// The kind of event it waits for: `sos`, `fall`, `smoke` …, or any of them (`alarm`), or any word (`any`), see
    /// [`Expects`].
    pub expects: String,
    /// `waiting`, `passed`, `missed` (nothing came within the window), `cancelled`, or `real` (it passed, and somebody
    /// said afterwards that the press was a call for help).
    pub state: String,
    pub started_at: Moment,
    /// `None`: the device tested itself and said so.
    pub started_by: Option<UserId>,
    pub ends_at: Moment,
    /// The kind of what was taken for it: `sos`, `room_temperature`, `state`.
    pub told: Option<String>,
    /// When the button was pressed, by the device's clock if it has one.
    pub observed_at: Option<Moment>,
    pub received_at: Option<Moment>,
    /// When the press was stored, or the test ended otherwise.
    pub done_at: Option<Moment>,
    /// When a screen showed the result.
    pub shown_at: Option<Moment>,
}

impl Test {
    /// Milliseconds from the press to the stored press.
    pub fn stored_ms(&self) -> Option<i64> {
        self.since_press(self.done_at)
    }

    /// Milliseconds from the press to the screen.
    pub fn shown_ms(&self) -> Option<i64> {
        self.since_press(self.shown_at)
    }

    /// Whether what was taken for it could have been a call.
    pub fn is_press(&self) -> bool {
        let told = self.told.as_deref().and_then(EventKind::from_name);
        told.is_some_and(expects::is_alarm)
    }

    /// Milliseconds from the start to the stored press; of a test that passed.
    pub fn took_ms(&self) -> Option<i64> {
        let at = self.done_at.filter(|_| self.told.is_some())?;
        Some(at.since(self.started_at).num_milliseconds().max(0))
    }

    fn since_press(&self, at: Option<Moment>) -> Option<i64> {
        let (pressed, at) = self.observed_at.zip(at)?;
        Some(at.since(pressed).num_milliseconds().max(0))
    }
}

/// What a device is asked for; `None` while it has told of nothing of the sort.
pub(crate) fn known_kinds(db: &mut Db, devices: &[DeviceId]) -> Result<Vec<(DeviceId, EventKind)>> {
    let ids: Vec<i64> = devices.iter().map(|id| id.0).collect();
    let names: Vec<&str> = TESTABLE.iter().map(|kind| kind.name()).collect();
    let told: Vec<(DeviceId, String)> = device_state::table
        .filter(device_state::device_id.eq_any(ids.clone()).and(device_state::kind.eq_any(names)))
        .select((device_state::device_id, device_state::kind))
        .load(db)?;
    let buttons: Vec<DeviceId> = call_action::table
        .filter(call_action::device_id.eq_any(ids))
        .select(call_action::device_id)
        .distinct()
        .load(db)?;
    let rank = |kind: EventKind| TESTABLE.iter().position(|known| *known == kind);
    let mut all: Vec<(DeviceId, EventKind)> = buttons.into_iter().map(|id| (id, EventKind::Sos)).collect();
    all.extend(told.into_iter().filter_map(|(id, name)| Some((id, EventKind::from_name(&name)?))));
    all.sort_unstable_by_key(|(id, kind)| (*id, rank(*kind)));
    all.dedup_by_key(|(id, _)| *id);
    Ok(all)
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Order {
    pub kind: TestKind,
    /// Of a weekly test: for devices of which nothing is known yet, else `sos`. Of a commissioning test: what it waits
    /// for, else any alarm.
    pub expects: Option<Expects>,
    /// How long a commissioning test waits, in seconds; else as long as the facility's plan says.
    pub window_seconds: Option<i32>,
    pub by: UserId,
}

/// Starts a test of each device; answers those that wait now. One that waits already for the same stays as it is, one
/// for something else ends.
///
/// # Errors
/// `Invalid` on `devices` for none or more than [`MAX_AT_ONCE`], for one that is switched off, and for one whose call
/// still waits for somebody: it must not be tested away. On `expects` and `window_seconds` for what such a test cannot
/// wait for, or not so long.
pub fn start(tx: &mut Tx<'_>, devices: &[Device], order: &Order) -> Result<Vec<TestId>> {
    check(tx.db(), devices, order)?;
    let ids: Vec<DeviceId> = devices.iter().map(|device| device.id).collect();
    let known = known_kinds(tx.db(), &ids)?;
    let mut started = Vec::with_capacity(devices.len());
    for device in devices {
        let own = known.iter().find(|(id, _)| *id == device.id).map(|(_, kind)| Expects::Event(*kind));
        let expects = match order.kind {
            TestKind::Weekly => own.or(order.expects).unwrap_or(Expects::Event(EventKind::Sos)),
            TestKind::Commissioning => order.expects.unwrap_or(Expects::Alarm),
        };
        started.extend(start_one(tx, device, order, expects)?);
    }
    Ok(started)
}

fn start_one(tx: &mut Tx<'_>, device: &Device, order: &Order, expects: Expects) -> Result<Option<TestId>> {
    if let Some(waits) = take::waiting(tx.db(), device.id)? {
        let same = waits.kind == order.kind.as_str() && waits.expects == expects.as_str();
        if same && waits.ends_at > tx.now() {
            return Ok(Some(waits.id));
        }
        end(tx, &waits)?;
    }
    let window_s = match order.window_seconds {
        Some(seconds) => seconds,
        None => plan(tx.db(), device.facility_id)?.window_seconds,
    };
    let (id, now) = (TestId(tx.next_id()), tx.now());
    let ends_at = now.plus_seconds(i64::from(window_s));
    let new = diesel::insert_into(device_test::table)
        .values((
            device_test::id.eq(id.0),
            device_test::device_id.eq(device.id.0),
            device_test::facility_id.eq(device.facility_id.0),
            device_test::kind.eq(order.kind.as_str()),
            device_test::expects.eq(expects.as_str()),
            device_test::state.eq("waiting"),
            device_test::started_at.eq(now),
            device_test::started_by.eq(order.by.0),
            device_test::ends_at.eq(ends_at),
        ))
        .on_conflict_do_nothing()
        .both()
        .execute(tx.db())?;
    if new == 0 {
        // Somebody was quicker: one at a time waits, and the database decides which.
        return Ok(take::waiting(tx.db(), device.id)?.map(|test| test.id));
    }
    tx.set_timer(NewTimer {
        key: timer_key(id),
        module: MODULE,
        kind: TIMER,
        facility: Some(device.facility_id),
        data: serde_json::json!({ "test": id }),
        due_at: ends_at,
    })?;
    wait_until(tx, device.id, Some(ends_at))?;
    changed(tx, device.facility_id);
    Ok(Some(id))
}

/// Notes at the device until when a test waits for it: each message reads that row anyway.
fn wait_until(tx: &mut Tx<'_>, id: DeviceId, until: Option<Moment>) -> Result<()> {
    diesel::update(device::table.find(id.0)).set(device::test_until.eq(until)).execute(tx.db())?;
    Ok(())
}

/// The list of tests and the page of the device look again.
fn changed(tx: &mut Tx<'_>, facility: FacilityId) {
    tx.signal(format!("{TOPIC}:{facility}"));
    tx.signal(format!("{}:{facility}", register::TOPIC));
}

fn check(db: &mut Db, devices: &[Device], order: &Order) -> Result<()> {
    let refuse = |text: Text| Err(Error::field("devices", text));
    if devices.is_empty() {
        return refuse(Text::key("device-tests-error-none"));
    }
    if devices.len() > MAX_AT_ONCE {
        return refuse(Text::key("device-tests-error-many").arg("max", MAX_AT_ONCE));
    }
    let weekly = order.kind == TestKind::Weekly;
    if weekly && order.expects.is_some_and(|expects| !matches!(expects, Expects::Event(_))) {
        return Err(Error::field("expects", Text::key("error-unknown-choice")));
    }
    if order.window_seconds.is_some_and(|seconds| weekly || !WINDOW_S.contains(&seconds)) {
        let text = Text::key("device-tests-error-range").arg("min", WINDOW_S.start()).arg("max", WINDOW_S.end());
        return Err(Error::field("window_seconds", text));
    }
    if let Some(off) = devices.iter().find(|device| !device.enabled) {
        return refuse(Text::key("device-tests-error-disabled").arg("name", &off.name));
    }
    let ids: Vec<i64> = devices.iter().map(|device| device.id.0).collect();
    let open: Vec<Option<i64>> = incident::table
        .filter(incident::device_id.eq_any(ids).and(incident::open_key.is_not_null()))
        .filter(incident::kind.eq_any(TESTABLE.map(EventKind::name)))
        .select(incident::device_id)
        .load(db)?;
    match devices.iter().find(|device| open.contains(&Some(device.id.0))) {
        Some(calls) => refuse(Text::key("device-tests-error-open").arg("name", &calls.name)),
        None => Ok(()),
    }
}

/// Which devices somebody wants to test.
#[derive(Debug, Clone)]
pub enum Wanted {
    Devices(Vec<DeviceId>),
    /// Everything whose test is due or overdue, at a place or (`None`) at the whole facility.
    WhatIsDue {
        facility: FacilityId,
        place: Option<PlaceId>,
    },
}

/// [`start`] for devices that are named or looked up.
///
/// # Errors
/// `NotFound` for a device or place outside the scope; those of [`start`].
pub fn start_wanted(tx: &mut Tx<'_>, scope: &Scope, wanted: &Wanted, order: &Order) -> Result<Vec<TestId>> {
    let devices: Vec<Device> = match wanted {
        Wanted::Devices(ids) => ids.iter().map(|id| seen(tx.db(), scope, *id)).collect::<Result<_>>()?,
        Wanted::WhatIsDue { facility, place } => {
            if !scope.contains(*facility) {
                return Err(Error::NotFound);
            }
            let filter = Filter { facility: *facility, place: *place, standing: None };
            let now = tx.now();
            let due = |one: &Listed| matches!(one.standing, Standing::Due | Standing::Overdue);
            list(tx.db(), &filter, now)?.listed.into_iter().filter(due).map(|one| one.device).collect()
        }
    };
    start(tx, &devices, order)
}

/// The device, if it is within the scope.
///
/// # Errors
/// `NotFound` otherwise.
pub(crate) fn seen(db: &mut Db, scope: &Scope, id: DeviceId) -> Result<Device> {
    register::find(db, id)?.filter(|device| scope.contains(device.facility_id)).ok_or(Error::NotFound)
}

fn timer_key(id: TestId) -> String {
    format!("device-test:{id}")
}

/// The test, if it is within the scope.
///
/// # Errors
/// `NotFound` otherwise.
pub fn find(db: &mut Db, scope: &Scope, id: TestId) -> Result<Test> {
    let test: Option<Test> = device_test::table.find(id.0).select(Test::as_select()).first(db).optional()?;
    test.filter(|test| scope.contains(test.facility_id)).ok_or(Error::NotFound)
}

/// The latest tests within a scope, or of one device, newest first. `after`: the last one of the part before.
pub fn latest(
    db: &mut Db,
    scope: &Scope,
    device: Option<DeviceId>,
    after: Option<TestId>,
    limit: i64,
) -> Result<Vec<Test>> {
    let mut query =
        device_test::table.order(device_test::id.desc()).limit(limit).select(Test::as_select()).into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(device_test::facility_id.eq_any(ids.iter().map(|id| id.0).collect::<Vec<_>>()));
    }
    if let Some(device) = device {
        query = query.filter(device_test::device_id.eq(device.0));
    }
    if let Some(after) = after {
        query = query.filter(device_test::id.lt(after.0));
    }
    Ok(query.load(db)?)
}

/// Ends a test that still waits: from now on a press is a call. One that is over stays as it is.
///
/// # Errors
/// `NotFound` when there is none within the scope.
pub fn cancel(tx: &mut Tx<'_>, scope: &Scope, id: TestId) -> Result<()> {
    let test = find(tx.db(), scope, id)?;
    end(tx, &test)
}

/// Ends what waits for a device.
pub(crate) fn end_of(tx: &mut Tx<'_>, id: DeviceId) -> Result<()> {
    match take::waiting(tx.db(), id)? {
        Some(test) => end(tx, &test),
        None => Ok(()),
    }
}

fn end(tx: &mut Tx<'_>, test: &Test) -> Result<()> {
    // The timer may be late: what is over was missed, whoever ends it.
    let state = if test.ends_at <= tx.now() { "missed" } else { "cancelled" };
    if finish(tx, test, state)? {
        tx.cancel_timer(&timer_key(test.id))?;
    }
    Ok(())
}

/// Answers whether it waited.
fn finish(tx: &mut Tx<'_>, test: &Test, state: &str) -> Result<bool> {
    let now = tx.now();
    let ended = diesel::update(device_test::table.find(test.id.0).filter(device_test::state.eq("waiting")))
        .set((device_test::state.eq(state), device_test::done_at.eq(now)))
        .execute(tx.db())?;
    if ended > 0 {
        wait_until(tx, test.device_id, None)?;
    }
    changed(tx, test.facility_id);
    Ok(ended > 0)
}

/// A screen shows the result. Only the first one counts, and none that came so late that it tells nothing.
///
/// # Errors
/// `NotFound` when there is none within the scope.
pub fn shown(tx: &mut Tx<'_>, scope: &Scope, id: TestId) -> Result<()> {
    let test = find(tx.db(), scope, id)?;
    let now = tx.now();
    let fresh = test.done_at.is_some_and(|at| now.seconds_since(at) <= SHOWN_WITHIN_S);
    if test.state != "passed" || test.shown_at.is_some() || !fresh {
        return Ok(());
    }
    diesel::update(device_test::table.find(id.0).filter(device_test::shown_at.is_null()))
        .set(device_test::shown_at.eq(now))
        .execute(tx.db())?;
    changed(tx, test.facility_id);
    Ok(())
}

/// Somebody else had pressed: the press that was taken for a test was a call for help. It is raised now.
///
/// # Errors
/// `NotFound` when there is none within the scope; `Conflict` when no press was taken for it: none came, or what passed it
/// was a reading.
pub fn was_real(tx: &mut Tx<'_>, scope: &Scope, id: TestId) -> Result<()> {
    let test = find(tx.db(), scope, id)?;
    match test.state.as_str() {
        "real" => return Ok(()),
        "passed" if test.is_press() => {}
        _ => return Err(Error::conflict("device-tests-error-not-passed")),
    }
    let raised = diesel::update(device_test::table.find(id.0).filter(device_test::state.eq("passed")))
        .set(device_test::state.eq("real"))
        .execute(tx.db())?;
    if raised > 0 {
        take::raise(tx, &test)?;
        changed(tx, test.facility_id);
    }
    Ok(())
}
