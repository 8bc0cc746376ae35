//! Whether a message is what a test waits for. When in doubt it is a call.

use diesel::prelude::*;
use serde::Deserialize;
use serde_json::json;
use songhe_adapter_core::{EventKind, Item};
use songhe_incidents::Kind;
use songhe_kernel::{Db, Moment, Result, Timer, Tx};

use super::expects::{Word, alarm};
use super::{Expects, Test, TestId, TestKind, changed, finish, timer_key, wait_until};
use crate::act::{self, Act};
use crate::register::{self, Device, DeviceId};
use crate::report;
use crate::schema::{device, device_state, device_test};

/// Timer kind: a test's window is over.
pub(crate) const TIMER: &str = "device-test";
/// A device that tests itself is written down no more often than this, in seconds.
const OWN_TESTS_APART_S: i64 = 3_600;

/// When a message was made and came.
#[derive(Debug, Clone, Copy)]
struct Press {
    observed_at: Moment,
    received_at: Moment,
    /// It waited in the device, or a broker kept it: it tells nothing of now.
    old: bool,
}

/// What a test waits for.
#[derive(Debug, Clone, Copy)]
struct Window {
    expects: Expects,
    from: Moment,
    to: Moment,
}

impl Window {
    /// What of a message passes the test: pressed and arrived within the window, and of the kind that was asked for.
    fn takes(self, items: &[&Item], press: Press) -> Option<Word> {
        let within = !press.old
            && self.from <= press.observed_at
            && press.observed_at <= self.to
            && press.received_at <= self.to;
        if within { self.expects.word(items) } else { None }
    }
}

/// Whether something that stays on (smoke, gas, water), and is a fire if it is still on when its test is over.
fn stays_on(kind: EventKind) -> bool {
    matches!(kind, EventKind::Smoke | EventKind::Gas | EventKind::Co | EventKind::Leak)
}

pub(super) fn waiting(db: &mut Db, device: DeviceId) -> Result<Option<Test>> {
    Ok(device_test::table
        .filter(device_test::device_id.eq(device.0).and(device_test::state.eq("waiting")))
        .select(Test::as_select())
        .first(db)
        .optional()?)
}

/// Takes the message for the test that waits for it, if one does, and answers what of it: at most one alarm, which is then
/// no call. The database decides which.
pub(crate) fn take(tx: &mut Tx<'_>, act: &Act<'_>) -> Result<Option<Word>> {
    let Act { arrival, device, items } = act;
    let mut alarms = items.iter().filter_map(|item| alarm(item)).peekable();
    // Alarms are few; for anything else the device's own row, which was read anyway, tells whether a test waits.
    if alarms.peek().is_none() && device.test_until.is_none_or(|until| until < arrival.received_at) {
        return Ok(None);
    }
    let press = Press {
        observed_at: arrival.observed_at,
        received_at: arrival.received_at,
        old: arrival.decoded.historical || arrival.message.retained,
    };
    let Some(test) = waiting(tx.db(), device.id)? else {
        if alarms.any(|kind| kind == EventKind::Test) && !press.old {
            own_test(tx, device, press)?;
        }
        return Ok(None);
    };
    let Some(expects) = Expects::parse(&test.expects) else { return Ok(None) };
    let window = Window { expects, from: test.started_at, to: test.ends_at };
    let Some(word) = window.takes(items, press) else { return Ok(None) };
    Ok(pass(tx, device, &test, press, word)?.then_some(word))
}

/// Answers whether the test still waited.
fn pass(tx: &mut Tx<'_>, device: &Device, test: &Test, press: Press, word: Word) -> Result<bool> {
    let now = tx.now();
    let taken = diesel::update(device_test::table.find(test.id.0).filter(device_test::state.eq("waiting")))
        .set((
            device_test::state.eq("passed"),
            device_test::told.eq(word.name()),
            device_test::observed_at.eq(press.observed_at),
            device_test::received_at.eq(press.received_at),
            device_test::done_at.eq(now),
        ))
        .execute(tx.db())?;
    if taken == 0 {
        return Ok(false);
    }
    if !matches!(word, Word::Alarm(kind) if stays_on(kind)) {
        tx.cancel_timer(&timer_key(test.id))?;
    }
    wait_until(tx, device.id, None)?;
    if test.kind == TestKind::Commissioning.as_str() {
        let row = device::table.find(device.id.0);
        diesel::update(row).set(device::commissioned_at.eq(now)).execute(tx.db())?;
        register::changed(tx, "devices.device.tested", device.facility_id, device.id, None)?;
    }
    changed(tx, device.facility_id);
    Ok(true)
}

/// A device tested itself, without being asked: that counts as well.
fn own_test(tx: &mut Tx<'_>, device: &Device, press: Press) -> Result<()> {
    let now = tx.now();
    let latest: Option<Moment> = device_test::table
        .filter(device_test::device_id.eq(device.id.0).and(device_test::state.eq("passed")))
        .order(device_test::id.desc())
        .select(device_test::started_at)
        .first(tx.db())
        .optional()?;
    if latest.is_some_and(|at| now.seconds_since(at) < OWN_TESTS_APART_S) {
        return Ok(());
    }
    let id = tx.next_id();
    diesel::insert_into(device_test::table)
        .values((
            device_test::id.eq(id),
            device_test::device_id.eq(device.id.0),
            device_test::facility_id.eq(device.facility_id.0),
            device_test::kind.eq(TestKind::Weekly.as_str()),
            device_test::expects.eq(EventKind::Test.name()),
            device_test::state.eq("passed"),
            device_test::started_at.eq(press.observed_at),
            device_test::ends_at.eq(now),
            device_test::told.eq(EventKind::Test.name()),
            device_test::observed_at.eq(press.observed_at),
            device_test::received_at.eq(press.received_at),
            device_test::done_at.eq(now),
        ))
        .execute(tx.db())?;
    changed(tx, device.facility_id);
    Ok(())
}

/// The window is over: a press is a call again; and what a test has set off and is still on, is one now.
pub(crate) fn on_timer(tx: &mut Tx<'_>, timer: &Timer) -> Result<()> {
    #[derive(Deserialize)]
    struct Due {
        test: TestId,
    }
    let Due { test } = timer.data()?;
    let test: Option<Test> = device_test::table.find(test.0).select(Test::as_select()).first(tx.db()).optional()?;
    let Some(test) = test else { return Ok(()) };
    if finish(tx, &test, "missed")? || test.state != "passed" {
        return Ok(());
    }
    let Some(kind) = test.told.as_deref().and_then(EventKind::from_name).filter(|kind| stays_on(*kind)) else {
        return Ok(());
    };
    let still_on: Option<Option<bool>> = device_state::table
        .find((test.device_id.0, kind.name()))
        .select(device_state::active)
        .first(tx.db())
        .optional()?;
    if still_on.flatten() == Some(true) { raise(tx, &test) } else { Ok(()) }
}

/// What was taken for a test is a call after all.
pub(super) fn raise(tx: &mut Tx<'_>, test: &Test) -> Result<()> {
    let kind = test.told.as_deref().and_then(EventKind::from_name).and_then(act::incident_kind).unwrap_or(Kind::Sos);
    let Some(device) = register::find(tx.db(), test.device_id)? else { return Ok(()) };
    let now = tx.now();
    let observed_at = test.observed_at.unwrap_or(now);
    let cause = json!({
        "device": device.id, "device_name": device.name, "serial": device.serial, "adapter": device.adapter,
        "kind": kind.as_str(), "event": true, "observed_at": observed_at, "received_at": test.received_at,
        "test": test.id,
    });
    // As late as it is raised: whoever goes there must know.
    let report = report::of(tx.db(), &device, kind, String::new(), cause, observed_at, now)?;
    songhe_incidents::report(tx, &report)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn items(kinds: &[EventKind]) -> Vec<Item> {
        kinds.iter().map(|kind| Item::Event { kind: *kind, active: true, detail: None }).collect()
    }

    fn taken(window: Window, press: Press, kinds: &[EventKind]) -> Option<Word> {
        let items = items(kinds);
        window.takes(&items.iter().collect::<Vec<_>>(), press)
    }

    #[test]
    fn only_the_press_that_was_asked_for_is_taken() {
        let at = |text: &str| format!("2026-11-22T08:{text}Z").parse::<Moment>().unwrap();
        let window = |expects| Window { expects, from: at("00:00"), to: at("05:00") };
        let sos = EventKind::Sos;
        let press =
            |observed: &str, received: &str, old| Press { observed_at: at(observed), received_at: at(received), old };
        let before = Press { observed_at: at("00:00").plus_seconds(-1), ..press("00:00", "01:00", false) };
        for (what, kind, press, passes) in [
            ("the press", sos, press("01:00", "01:00", false), true),
            ("the first moment", sos, press("00:00", "00:00", false), true),
            ("the last moment", sos, press("05:00", "05:00", false), true),
            ("the device's own word", EventKind::Test, press("01:00", "01:00", false), true),
            ("underway for long", sos, press("00:00", "01:00", false), true),
            ("pressed a moment before", sos, before, false),
            ("arrived too late", sos, press("04:59", "05:01", false), false),
            ("pressed too late", sos, press("05:01", "05:01", false), false),
            ("had waited, or was kept by a broker", sos, press("01:00", "01:00", true), false),
            ("a fall", EventKind::Fall, press("01:00", "01:00", false), false),
            ("smoke", EventKind::Smoke, press("01:00", "01:00", false), false),
        ] {
            let word = taken(window(Expects::Event(sos)), press, &[kind]);
            assert_eq!(word, passes.then_some(Word::Alarm(kind)), "{what}");
        }
    }

    #[test]
    fn one_alarm_of_a_message_is_taken_and_what_is_asked_for_comes_first() {
        let at: Moment = "2026-11-22T08:00:00Z".parse().unwrap();
        let press = Press { observed_at: at, received_at: at, old: false };
        let (sos, fall, test, door) = (EventKind::Sos, EventKind::Fall, EventKind::Test, EventKind::DoorOpen);
        for (expects, kinds, word) in [
            (Expects::Event(fall), &[sos, test, fall][..], Some(Word::Alarm(fall))),
            (Expects::Event(fall), &[sos, test], Some(Word::Alarm(test))),
            (Expects::Alarm, &[test, sos], Some(Word::Alarm(sos))),
            (Expects::Alarm, &[door], None),
            (Expects::Any, &[door, sos], Some(Word::Alarm(sos))),
            (Expects::Any, &[door], Some(Word::Other("door_open"))),
            (Expects::Any, &[], None),
        ] {
            let window = Window { expects, from: at, to: at };
            assert_eq!(taken(window, press, kinds), word, "{expects:?} {kinds:?}");
            assert_eq!(Expects::parse(expects.as_str()), Some(expects));
        }
        assert_eq!(Expects::parse("door_open"), None);
    }
}
