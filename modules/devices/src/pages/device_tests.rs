//! `/device-tests`: whose test is due, and the tests of whoever walks along a corridor with a tablet.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Csv, Ctx, Fields, Figure, Menu, Refused, Route, Section, refused, url};
use songhe_kernel::identity::Scope;
use songhe_kernel::identity::schema::app_user;
use songhe_kernel::{Db, Error, FacilityId, FieldError, Moment, Result, Text, Tx, UserId};
use songhe_registry::{PlaceId, PlaceKind, chosen, facilities_of, facility_choices, places_in};

use super::choice;
use super::test_model::{self, TestModel};
use crate::api::expected;
use crate::device_tests::{
    self, Expects, Filter, Listed, Order, Plan, Standing, TESTABLE, Test, TestId, TestKind, Totals, Wanted,
};
use crate::module::{DEVICES_READ, DEVICES_TEST, DEVICES_WRITE};
use crate::register::{Device, DeviceId};
use crate::schema::device;

/// Tests shown below the list.
const HISTORY: i64 = 20;
pub(super) fn routes() -> Vec<Route> {
    let (read, act, write) =
        (Access::Permission(DEVICES_READ), Access::Permission(DEVICES_TEST), Access::Permission(DEVICES_WRITE));
    let menu = Menu { key: "device-tests-menu", icon: "check", section: Section::Work, order: 40 };
    vec![
        Route::get("/device-tests", read, show).menu(menu),
        Route::post("/device-tests", act, start),
        Route::post("/device-tests/{id}/cancel", act, cancel),
        Route::post("/device-tests/{id}/shown", act, shown),
        Route::post("/device-tests/{id}/real", act, real),
        Route::post("/device-tests/plan", write, set_plan),
        Route::post("/device-tests/exempt", write, exempt),
    ]
}

/// What the list shows; every form of the page carries it along, and more than it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Query {
    facility: String,
    place: String,
    state: String,
    format: String,
    device: String,
    expects: String,
    exempt: String,
    interval_days: String,
    window_minutes: String,
}

#[derive(Serialize)]
struct Page {
    facility: FacilityId,
    facility_name: String,
    facilities: Vec<Choice>,
    places: Vec<Choice>,
    states: Vec<Choice>,
    kinds: Vec<Choice>,
    place: String,
    state: String,
    filtered: bool,
    figures: Vec<Figure>,
    items: Vec<Row>,
    due_here: usize,
    unknown_here: bool,
    history: Vec<Past>,
    exempt: Vec<NamedModel>,
    unlisted: Vec<NamedModel>,
    can_test: bool,
    can_edit: bool,
    plan: PlanModel,
    csv_url: Option<String>,
    #[serde(flatten)]
    refused: Refused,
}

#[derive(Serialize)]
struct PlanModel {
    interval_days: String,
    window_minutes: String,
}

#[derive(Serialize)]
struct NamedModel {
    id: DeviceId,
    name: String,
    serial: String,
}

impl From<&Device> for NamedModel {
    fn from(device: &Device) -> Self {
        Self { id: device.id, name: device.name.clone(), serial: device.serial.clone() }
    }
}

#[derive(Serialize)]
struct Row {
    id: DeviceId,
    name: String,
    serial: String,
    place: String,
    standing: &'static str,
    due: NaiveDate,
    asks: String,
    passed: Option<TestModel>,
    /// The test that waits, or that was over just now.
    test: Option<TestModel>,
}

#[derive(Serialize)]
struct Past {
    device_id: DeviceId,
    device_name: String,
    #[serde(flatten)]
    test: TestModel,
}

struct Found {
    all: Vec<Listed>,
    unlisted: Vec<Device>,
    plan: Plan,
    places: Vec<Choice>,
    history: Vec<Test>,
    exempt: Vec<Device>,
    users: HashMap<UserId, String>,
    names: HashMap<DeviceId, String>,
}

fn find(db: &mut Db, facility: FacilityId, place: Option<PlaceId>, now: Moment) -> Result<Found> {
    let device_tests::Found { listed: all, unlisted } =
        device_tests::list(db, &Filter { facility, place, standing: None }, now)?;
    let history = device_tests::latest(db, &Scope::Only(vec![facility]), None, None, HISTORY)?;
    let tests = || history.iter().chain(all.iter().flat_map(|one| one.latest.iter().chain(&one.passed)));
    let by: Vec<UserId> = tests().filter_map(|test| test.started_by).collect();
    let users: Vec<(UserId, String)> =
        app_user::table.filter(app_user::id.eq_any(by)).select((app_user::id, app_user::display_name)).load(db)?;
    let ids: Vec<i64> = history.iter().map(|test| test.device_id.0).collect();
    let names: Vec<(DeviceId, String)> =
        device::table.filter(device::id.eq_any(ids)).select((device::id, device::name)).load(db)?;
    // A bed is no round: buildings, floors, corridors and rooms are.
    let places = places_in(db, facility)?.into_iter().filter(|place| place.kind != PlaceKind::Bed);
    Ok(Found {
        plan: device_tests::plan(db, facility)?,
        places: places.map(|place| Choice::new(place.id, place.label)).collect(),
        exempt: device_tests::exempt(db, facility)?,
        users: users.into_iter().collect(),
        names: names.into_iter().collect(),
        history,
        unlisted,
        all,
    })
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    render(ctx, query, &[]).await
}

const FIELDS: Fields = &[
    ("devices", "device-tests-devices"),
    ("expects", "device-tests-expects"),
    ("interval_days", "device-tests-interval"),
    ("window_minutes", "device-tests-window"),
];

async fn render(ctx: Ctx, query: Query, errors: &[FieldError]) -> Result<HttpResponse> {
    let facilities = facilities_of(&ctx, DEVICES_READ).await?;
    let facility = chosen(&facilities, &query.facility)?.clone();
    let place: Option<PlaceId> = choice("place", &query.place).map_err(|_| Error::NotFound)?;
    let (id, zone, now) = (facility.id, facility.tz()?, ctx.app().clock.now());
    let ctx = ctx.in_zone(zone);
    let found = ctx.app().db.read(move |db| find(db, id, place, now)).await?;
    let wanted = Standing::parse(&query.state);
    let shown: Vec<&Listed> =
        found.all.iter().filter(|one| wanted.is_none_or(|wanted| wanted == one.standing)).collect();
    if query.format == "csv" {
        return Ok(csv(&ctx, zone, &shown, &found.users));
    }
    let due = |one: &&Listed| matches!(one.standing, Standing::Due | Standing::Overdue);
    let csv_query =
        [("facility", &*id.to_string()), ("place", &query.place), ("state", &query.state), ("format", "csv")];
    let page = Page {
        facility: id,
        facility_name: facility.name.clone(),
        facilities: facility_choices(&facilities),
        places: found.places.clone(),
        states: Standing::ALL.map(|one| Choice::new(one.as_str(), ctx.say(&Text::key(standing_key(one))))).to_vec(),
        kinds: TESTABLE
            .map(|kind| Choice::new(kind.name(), test_model::asks(&ctx, Some(Expects::Event(kind)))))
            .to_vec(),
        filtered: place.is_some() || wanted.is_some(),
        figures: figures(&ctx, device_tests::totals(&found.all)),
        due_here: found.all.iter().filter(due).count(),
        unknown_here: found.all.iter().any(|one| one.asks.is_none()),
        history: found.history.iter().map(|test| past(&ctx, test, &found, now)).collect(),
        exempt: found.exempt.iter().map(NamedModel::from).collect(),
        unlisted: found.unlisted.iter().map(NamedModel::from).collect(),
        can_test: ctx.caller().facilities(DEVICES_TEST).contains(id),
        can_edit: ctx.caller().facilities(DEVICES_WRITE).contains(id),
        plan: PlanModel {
            interval_days: if errors.is_empty() { found.plan.interval_days.to_string() } else { query.interval_days },
            window_minutes: (found.plan.window_seconds / 60).to_string(),
        },
        csv_url: (!shown.is_empty()).then(|| url("/device-tests", &csv_query)),
        items: shown.iter().map(|one| row(&ctx, one, &found, now)).collect(),
        place: query.place,
        state: query.state,
        refused: Refused::new(&ctx, FIELDS, errors),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.page_with(status, "devices/device-tests", &page)
}

const fn standing_key(standing: Standing) -> &'static str {
    match standing {
        Standing::Waiting => "device-tests-standing-waiting",
        Standing::Overdue => "device-tests-standing-overdue",
        Standing::Due => "device-tests-standing-due",
        Standing::Passed => "device-tests-standing-passed",
    }
}

fn figures(ctx: &Ctx, totals: Totals) -> Vec<Figure> {
    let figure = |key: &'static str, count: usize, tone: &'static str| Figure {
        label: ctx.say(&Text::key(key)),
        value: count.to_string(),
        note: None,
        tone: (count > 0 && !tone.is_empty()).then_some(tone),
    };
    vec![
        figure("device-tests-figure-devices", totals.devices, ""),
        figure("device-tests-figure-overdue", totals.overdue, "high"),
        figure("device-tests-figure-due", totals.due, "medium"),
        figure("device-tests-figure-passed", totals.passed, "good"),
    ]
}

fn past(ctx: &Ctx, test: &Test, found: &Found, now: Moment) -> Past {
    Past {
        device_id: test.device_id,
        device_name: found.names.get(&test.device_id).cloned().unwrap_or_default(),
        test: test_model::model(ctx, test, &found.users, now),
    }
}

fn row(ctx: &Ctx, one: &Listed, found: &Found, now: Moment) -> Row {
    let model = |test: &Test| test_model::model(ctx, test, &found.users, now);
    Row {
        id: one.device.id,
        name: one.device.name.clone(),
        serial: one.device.serial.clone(),
        place: one.place_label.clone(),
        standing: one.standing.as_str(),
        due: one.due,
        asks: test_model::asks(ctx, one.asks.map(Expects::Event)),
        passed: one.passed.as_ref().map(model),
        test: one.latest.as_ref().filter(|test| test_model::is_news(test, now)).map(model),
    }
}

fn csv(ctx: &Ctx, zone: chrono_tz::Tz, shown: &[&Listed], users: &HashMap<UserId, String>) -> HttpResponse {
    let heads = [
        "device-tests-place",
        "kernel-name",
        "devices-serial",
        "kernel-state",
        "device-tests-next",
        "device-tests-last",
        "device-tests-by",
        "device-tests-csv-stored",
        "device-tests-csv-shown",
    ];
    let mut csv = Csv::new(heads.map(|key| ctx.say(&Text::key(key))));
    for one in shown {
        let passed = one.passed.as_ref();
        let at = passed.and_then(|test| test.done_at);
        let number = |ms: Option<i64>| ms.map(|ms| ms.to_string()).unwrap_or_default();
        csv.line([
            one.place_label.clone(),
            one.device.name.clone(),
            one.device.serial.clone(),
            ctx.say(&Text::key(standing_key(one.standing))),
            one.due.to_string(),
            at.map(|at| at.in_zone(zone).format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default(),
            passed.and_then(|test| test.started_by).and_then(|id| users.get(&id).cloned()).unwrap_or_default(),
            number(passed.and_then(Test::stored_ms)),
            number(passed.and_then(Test::shown_ms)),
        ]);
    }
    csv.answer("device-tests.csv")
}

/// Back to the page of the device that the form is on, or to the list as it was.
fn back_from_test(ctx: &Ctx, query: &Query) -> Result<HttpResponse> {
    match choice::<DeviceId>("device", &query.device)? {
        Some(device) => ctx.redirect(&format!("/devices/{device}")),
        None => back(ctx, query),
    }
}

/// Back to the list as it was.
fn back(ctx: &Ctx, query: &Query) -> Result<HttpResponse> {
    let pairs = [("facility", &*query.facility), ("place", &query.place), ("state", &query.state)];
    ctx.redirect(&url("/device-tests", &pairs))
}

async fn start(ctx: Ctx) -> Result<HttpResponse> {
    let form: Query = ctx.form()?;
    let facility: FacilityId = form.facility.parse().map_err(|_| Error::NotFound)?;
    let by = ctx.caller().user_id;
    let read = || -> Result<(Wanted, Order)> {
        let wanted = match choice("devices", &form.device)? {
            Some(device) => Wanted::Devices(vec![device]),
            None => Wanted::WhatIsDue { facility, place: choice("place", &form.place)? },
        };
        let expects = expected(Some(&form.expects))?;
        Ok((wanted, Order { kind: TestKind::Weekly, expects, window_seconds: None, by }))
    };
    let scope = ctx.caller().facilities(DEVICES_TEST).clone();
    let outcome = match read() {
        Ok((wanted, order)) => ctx.once(move |tx| device_tests::start_wanted(tx, &scope, &wanted, &order)).await,
        Err(error) => Err(error),
    };
    match refused(outcome)? {
        Ok(_) => back(&ctx, &form),
        Err(errors) => render(ctx, form, &errors).await,
    }
}

async fn act(ctx: &Ctx, act: impl Fn(&mut Tx<'_>, &Scope, TestId) -> Result<()> + Send + Sync + 'static) -> Result<()> {
    let id: TestId = ctx.id("id")?;
    let scope = ctx.caller().facilities(DEVICES_TEST).clone();
    ctx.once(move |tx| act(tx, &scope, id)).await
}

async fn cancel(ctx: Ctx) -> Result<HttpResponse> {
    act(&ctx, device_tests::cancel).await?;
    back_from_test(&ctx, &ctx.form()?)
}

async fn real(ctx: Ctx) -> Result<HttpResponse> {
    act(&ctx, device_tests::was_real).await?;
    back_from_test(&ctx, &ctx.form()?)
}

/// Told by the page itself as soon as somebody can see the result.
async fn shown(ctx: Ctx) -> Result<HttpResponse> {
    act(&ctx, device_tests::shown).await?;
    ctx.no_content()
}

async fn set_plan(ctx: Ctx) -> Result<HttpResponse> {
    let form: Query = ctx.form()?;
    let facility: FacilityId = form.facility.parse().map_err(|_| Error::NotFound)?;
    ctx.caller().expect_at(DEVICES_WRITE, facility)?;
    let mut wrong = Vec::new();
    let mut number = |field: &'static str, text: &str| {
        let value = text.trim().parse::<i32>().ok();
        if value.is_none() {
            wrong.push(FieldError::new(field, Text::key("error-invalid-number")));
        }
        value.unwrap_or_default()
    };
    let interval_days = number("interval_days", &form.interval_days);
    let minutes = number("window_minutes", &form.window_minutes);
    let outcome = if wrong.is_empty() {
        let plan = Plan { interval_days, window_seconds: minutes.saturating_mul(60) };
        ctx.once(move |tx| device_tests::set_plan(tx, facility, plan)).await
    } else {
        Err(Error::Invalid(wrong))
    };
    match refused(outcome)? {
        Ok(()) => back(&ctx, &form),
        Err(mut errors) => {
            // The page asks for minutes.
            for error in errors.iter_mut().filter(|error| error.field == "window_seconds") {
                *error = FieldError::new(
                    "window_minutes",
                    Text::key("device-tests-error-range").arg("min", 1).arg("max", 30),
                );
            }
            render(ctx, form, &errors).await
        }
    }
}

async fn exempt(ctx: Ctx) -> Result<HttpResponse> {
    let form: Query = ctx.form()?;
    let id: DeviceId = form.device.parse().map_err(|_| Error::NotFound)?;
    let (scope, by) = (ctx.caller().facilities(DEVICES_WRITE).clone(), ctx.caller().user_id);
    let exempt = form.exempt != "no";
    ctx.once(move |tx| {
        let device = device_tests::seen(tx.db(), &scope, id)?;
        device_tests::set_exempt(tx, &device, exempt, by)
    })
    .await?;
    back(&ctx, &form)
}
