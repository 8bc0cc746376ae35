//! `/api/v1/device-tests`: which emergency devices are tested, and the tests of these and, when they are commissioned, of all.

use actix_web::HttpResponse;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_adapter_core::EventKind;
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use songhe_kernel::{Error, FacilityId, Moment, Result, Text, Tx, UserId};
use songhe_registry::PlaceId;

use crate::device_tests::{self, Expects, Filter, Listed, Order, Plan, Standing, Test, TestId, TestKind, Wanted};
use crate::module::{DEVICES_READ, DEVICES_TEST, DEVICES_WRITE};
use crate::register::DeviceId;

pub(super) fn routes() -> Vec<Route> {
    let (read, act, write) =
        (Access::Permission(DEVICES_READ), Access::Permission(DEVICES_TEST), Access::Permission(DEVICES_WRITE));
    vec![
        Route::get("/api/v1/device-tests", read, show).doc(
            ApiDoc::new("Emergency devices with their tests, by place")
                .query::<Query>()
                .returns::<DeviceTests>(),
        ),
        Route::get("/api/v1/device-tests/history", read, history)
            .doc(ApiDoc::new("The latest tests, newest first").query::<HistoryQuery>().returns::<List<TestBody>>()),
        Route::post("/api/v1/device-tests", act, start).doc(
            ApiDoc::new("Start tests")
                .description(
                    "The next press of each device within the window is taken for its test and pages nobody; a second one, \
                     another kind of event, and what was pressed before are calls. Name `devices`, or a `facility_id` (and \
                     a `place_id`) for everything that is due there. A `commissioning` test needs `devices.write` too; it \
                     may wait for any alarm, or for any word of a device that calls nobody.",
                )
                .body::<Start>()
                .creates::<List<TestBody>>(),
        ),
        Route::post("/api/v1/device-tests/{id}/cancel", act, cancel)
            .doc(ApiDoc::new("End a test: from now on a press is a call").returns::<TestBody>()),
        Route::post("/api/v1/device-tests/{id}/shown", act, shown)
            .doc(ApiDoc::new("Say that a screen shows the result").returns::<TestBody>()),
        Route::post("/api/v1/device-tests/{id}/real", act, real).doc(
            ApiDoc::new("Say that the press was a call for help").description("It is raised now.").returns::<TestBody>(),
        ),
        Route::put("/api/v1/device-tests/plan", write, set_plan)
            .doc(ApiDoc::new("Say how often a facility tests its devices").body::<PlanBody>()),
        Route::post("/api/v1/device-tests/exempt", write, exempt)
            .doc(ApiDoc::new("Say that a device needs no test, or does").body::<Exempt>()),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    facility: FacilityId,
    /// Only what hangs there or within.
    place: Option<PlaceId>,
    standing: Option<Standing>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    facility: Option<FacilityId>,
    device: Option<DeviceId>,
    /// How many at most.
    #[serde(default)]
    limit: Limit,
    /// `next` of the part before.
    after: Option<TestId>,
}

/// A facility's emergency devices.
#[derive(Serialize, JsonSchema)]
struct DeviceTests {
    plan: Plan,
    totals: device_tests::Totals,
    items: Vec<Body>,
    /// Of the safety class, and not listed: by all they tell they are sensors of a room and call nobody.
    unlisted: Vec<DeviceId>,
}

/// An emergency device with its tests.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TestedDevice")]
struct Body {
    device_id: DeviceId,
    name: String,
    serial: String,
    place_id: Option<PlaceId>,
    place: String,
    standing: Standing,
    /// The civil day on which the next test is due.
    due: NaiveDate,
    /// What a test waits for; `null`: nothing is known of the device yet.
    asks: Option<&'static str>,
    /// The last one that passed.
    passed: Option<TestBody>,
    /// The last one that was started.
    latest: Option<TestBody>,
}

impl From<Listed> for Body {
    fn from(listed: Listed) -> Self {
        Self {
            device_id: listed.device.id,
            name: listed.device.name,
            serial: listed.device.serial,
            place_id: listed.device.place_id,
            place: listed.place_label,
            standing: listed.standing,
            due: listed.due,
            asks: listed.asks.map(EventKind::name),
            passed: listed.passed.as_ref().map(TestBody::from),
            latest: listed.latest.as_ref().map(TestBody::from),
        }
    }
}

/// A test of a device.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeviceTest")]
struct TestBody {
    id: TestId,
    device_id: DeviceId,
    /// `weekly` or `commissioning`.
    kind: String,
    /// The kind of event it waits for; `alarm`: any of them; `any`: any word of the device.
    expects: String,
    /// `waiting`, `passed`, `missed`, `cancelled`, or `real`: the press was a call for help.
    state: String,
    started_at: Moment,
    /// `null`: the device tested itself.
    started_by: Option<UserId>,
    ends_at: Moment,
    /// What passed it: `sos`, `room_temperature`, `state`.
    told: Option<String>,
    done_at: Option<Moment>,
    /// Milliseconds from the start to the stored press.
    took_ms: Option<i64>,
    /// Milliseconds from the press to the stored press.
    stored_ms: Option<i64>,
    /// Milliseconds from the press to the screen that showed it.
    shown_ms: Option<i64>,
}

impl From<&Test> for TestBody {
    fn from(test: &Test) -> Self {
        Self {
            id: test.id,
            device_id: test.device_id,
            kind: test.kind.clone(),
            expects: test.expects.clone(),
            state: test.state.clone(),
            started_at: test.started_at,
            started_by: test.started_by,
            ends_at: test.ends_at,
            told: test.told.clone(),
            done_at: test.done_at,
            took_ms: test.took_ms(),
            stored_ms: test.stored_ms(),
            shown_ms: test.shown_ms(),
        }
    }
}

/// Which devices to test.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewDeviceTests")]
struct Start {
    /// 1 to 50.
    #[serde(default)]
    devices: Vec<DeviceId>,
    /// Everything that is due here; only without `devices`.
    facility_id: Option<FacilityId>,
    /// Only what hangs there or within; only with `facility_id`.
    place_id: Option<PlaceId>,
    #[serde(default = "weekly")]
    kind: TestKind,
    /// What devices of which nothing is known yet are asked for: `sos` (also without it), `fall`, `smoke`, `gas`, `co`,
    /// `leak`. For commissioning also `alarm`, any of these (also without it), and `any`, any word.
    expects: Option<String>,
    /// How long a commissioning test waits, 60 to 1800; without it as the facility's plan says.
    window_seconds: Option<i32>,
}

const fn weekly() -> TestKind {
    TestKind::Weekly
}

/// How often a facility tests its devices.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewDeviceTestPlan")]
struct PlanBody {
    facility_id: FacilityId,
    /// 1 to 31.
    interval_days: i32,
    /// 60 to 1800.
    window_seconds: i32,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DeviceTestExemption")]
struct Exempt {
    device_id: DeviceId,
    exempt: bool,
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let Query { facility, place, standing } = ctx.query()?;
    ctx.caller().expect_at(DEVICES_READ, facility)?;
    let now = ctx.app().clock.now();
    let answer = ctx.app().db.read(move |db| {
        let found = device_tests::list(db, &Filter { facility, place, standing: None }, now)?;
        let totals = device_tests::totals(&found.listed);
        let unlisted = found.unlisted.iter().map(|device| device.id).collect();
        let wanted = found.listed.into_iter().filter(|one| standing.is_none_or(|wanted| wanted == one.standing));
        let items = wanted.map(Body::from).collect();
        Ok(DeviceTests { plan: device_tests::plan(db, facility)?, totals, items, unlisted })
    });
    ctx.json_ok(&answer.await?)
}

async fn history(ctx: Ctx) -> Result<HttpResponse> {
    let HistoryQuery { facility, device, limit, after } = ctx.query()?;
    let scope = ctx.caller().narrowed(DEVICES_READ, facility)?;
    let rows = ctx.app().db.read(move |db| device_tests::latest(db, &scope, device, after, limit.rows())).await?;
    ctx.json_ok(&List::part(rows.iter().map(TestBody::from).collect(), limit, |test: &TestBody| test.id))
}

/// What a word says that a test waits for.
///
/// # Errors
/// `Invalid` on `expects`.
pub(crate) fn expected(word: Option<&str>) -> Result<Option<Expects>> {
    let Some(word) = word.filter(|word| !word.is_empty()) else { return Ok(None) };
    let unknown = || Error::field("expects", Text::key("error-unknown-choice"));
    Expects::parse(word).ok_or_else(unknown).map(Some)
}

async fn start(ctx: Ctx) -> Result<HttpResponse> {
    let body: Start = ctx.json()?;
    let expects = expected(body.expects.as_deref())?;
    let wanted = match body.facility_id.filter(|_| body.devices.is_empty()) {
        Some(facility) => Wanted::WhatIsDue { facility, place: body.place_id },
        None => Wanted::Devices(body.devices),
    };
    let order = Order { kind: body.kind, expects, window_seconds: body.window_seconds, by: ctx.caller().user_id };
    // Who commissions says that a device may be relied upon.
    let permission = if order.kind == TestKind::Commissioning { DEVICES_WRITE } else { DEVICES_TEST };
    if !ctx.caller().can(permission) {
        return Err(Error::Forbidden);
    }
    let scope = ctx.caller().facilities(permission).clone();
    let ids = ctx.once(move |tx| device_tests::start_wanted(tx, &scope, &wanted, &order)).await?;
    let scope = ctx.caller().facilities(DEVICES_TEST).clone();
    let find = move |db: &mut songhe_kernel::Db| ids.iter().map(|id| device_tests::find(db, &scope, *id)).collect();
    let tests: Vec<Test> = ctx.app().db.read(find).await?;
    ctx.created(&List::whole(tests.iter().map(TestBody::from).collect()))
}

async fn act(
    ctx: Ctx,
    act: impl Fn(&mut Tx<'_>, &songhe_kernel::identity::Scope, TestId) -> Result<()> + Send + Sync + 'static,
) -> Result<HttpResponse> {
    let id: TestId = ctx.id("id")?;
    let scope = ctx.caller().facilities(DEVICES_TEST).clone();
    ctx.once({
        let scope = scope.clone();
        move |tx| act(tx, &scope, id)
    })
    .await?;
    let test = ctx.app().db.read(move |db| device_tests::find(db, &scope, id)).await?;
    ctx.json_ok(&TestBody::from(&test))
}

async fn cancel(ctx: Ctx) -> Result<HttpResponse> {
    act(ctx, device_tests::cancel).await
}

async fn shown(ctx: Ctx) -> Result<HttpResponse> {
    act(ctx, device_tests::shown).await
}

async fn real(ctx: Ctx) -> Result<HttpResponse> {
    act(ctx, device_tests::was_real).await
}

async fn set_plan(ctx: Ctx) -> Result<HttpResponse> {
    let PlanBody { facility_id, interval_days, window_seconds } = ctx.json()?;
    ctx.caller().expect_at(DEVICES_WRITE, facility_id)?;
    let plan = Plan { interval_days, window_seconds };
    ctx.once(move |tx| device_tests::set_plan(tx, facility_id, plan)).await?;
    ctx.no_content()
}

async fn exempt(ctx: Ctx) -> Result<HttpResponse> {
    let Exempt { device_id, exempt } = ctx.json()?;
    let (scope, by) = (ctx.caller().facilities(DEVICES_WRITE).clone(), ctx.caller().user_id);
    ctx.once(move |tx| {
        let device = device_tests::seen(tx.db(), &scope, device_id)?;
        device_tests::set_exempt(tx, &device, exempt, by)
    })
    .await?;
    ctx.no_content()
}
