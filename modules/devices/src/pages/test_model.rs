//! A test of a device as pages show it: in the list of tests, and with the device.

use std::collections::HashMap;

use serde::Serialize;
use songhe_kernel::http::Ctx;
use songhe_kernel::{Moment, Text, UserId};

use crate::device_tests::{Expects, Test, TestId, TestKind};
use crate::words;

/// For so long after a press somebody may say here that it was a call, in seconds.
const REAL_WITHIN_S: i64 = 1_800;

#[derive(Serialize)]
pub(super) struct TestModel {
    id: TestId,
    /// Fluent key.
    kind_key: &'static str,
    state: String,
    /// What it waits for, in words.
    asks: String,
    /// Fluent key of what came; `None`: nothing did.
    heard_key: Option<String>,
    /// When the press came, or the test began.
    at: Moment,
    started_at: Moment,
    /// `None`: the device tested itself.
    by: Option<String>,
    ends_at: Moment,
    /// Seconds from the start to the press, with one place.
    took_s: Option<String>,
    stored_ms: Option<i64>,
    shown_ms: Option<i64>,
    unshown: bool,
    may_be_real: bool,
}

/// Whether a test is news: it waits, or was over just now.
pub(super) fn is_news(test: &Test, now: Moment) -> bool {
    test.state == "waiting" || test.done_at.is_some_and(|at| now.seconds_since(at) <= REAL_WITHIN_S)
}

pub(super) fn model(ctx: &Ctx, test: &Test, users: &HashMap<UserId, String>, now: Moment) -> TestModel {
    let passed_now = test.state == "passed" && is_news(test, now);
    TestModel {
        id: test.id,
        kind_key: if test.kind == TestKind::Commissioning.as_str() {
            "device-tests-kind-commissioning"
        } else {
            "device-tests-kind-weekly"
        },
        state: test.state.clone(),
        asks: asks(ctx, Expects::parse(&test.expects)),
        heard_key: test.told.as_deref().map(heard_key),
        at: test.observed_at.unwrap_or(test.started_at),
        started_at: test.started_at,
        by: test.started_by.and_then(|id| users.get(&id).cloned()),
        ends_at: test.ends_at,
        took_s: test.took_ms().map(|ms| format!("{}.{}", ms / 1_000, ms % 1_000 / 100)),
        stored_ms: test.stored_ms(),
        shown_ms: test.shown_ms(),
        unshown: passed_now && test.shown_at.is_none(),
        may_be_real: passed_now && test.is_press(),
    }
}

/// What a test waits for; nothing for a device that tests itself.
pub(super) fn asks(ctx: &Ctx, expects: Option<Expects>) -> String {
    let key = match expects {
        Some(Expects::Alarm) => "device-tests-expects-alarm",
        Some(Expects::Any) => "device-tests-expects-any",
        Some(Expects::Event(kind)) => words::event_key(kind.name()).unwrap_or_default(),
        None => return String::new(),
    };
    ctx.say(&Text::key(key))
}

fn heard_key(told: &str) -> String {
    match words::event_key(told) {
        Some(key) => key.to_owned(),
        None if words::is_measure(told) => format!("devices-measure-{told}"),
        None => "device-tests-heard-state".to_owned(),
    }
}
