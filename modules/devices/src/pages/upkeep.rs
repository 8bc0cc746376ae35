//! What the page of a device shows of its life, beside what it told: health, tests, loans, commands, its status; and the
//! forms of these. `templates/devices/upkeep.hbs` is the part of the page.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use actix_web::HttpResponse;
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Ctx, Route, refused};
use songhe_kernel::identity::Scope;
use songhe_kernel::identity::schema::app_user;
use songhe_kernel::{Db, Error, FieldError, Moment, Result, Text, UserId};
use songhe_registry::{RESIDENTS_READ, ResidentId, zone_of};

use super::device::{form_of, render};
use super::edit::{say, seen, show_credential};
use super::test_model::{self, TestModel};
use super::{choice, with};
use crate::commands::{self, Stored, Wish};
use crate::device_tests::{self, Expects, Order, Test, TestKind, Wanted};
use crate::faults::{self, Fault};
use crate::lifecycle::{self, Status, StatusNote};
use crate::loans::{self, Loan};
use crate::module::{DEVICES_COMMAND, DEVICES_TEST, DEVICES_WRITE, Setup};
use crate::online::Heartbeat;
use crate::register::{self, Device};
use crate::{gateways, list, observations};

/// Tests and commands shown, the latest.
const SHOWN: i64 = 5;

pub(super) fn routes(setup: &Arc<Setup>) -> Vec<Route> {
    let write = Access::Permission(DEVICES_WRITE);
    vec![
        Route::post("/devices/{id}/status", write, with(setup, set_status)),
        Route::post("/devices/{id}/heartbeat", write, with(setup, set_heartbeat)),
        Route::post("/devices/{id}/tests", Access::Permission(DEVICES_TEST), with(setup, start_test)),
        Route::post("/devices/{id}/loan", write, with(setup, lend)),
        Route::post("/devices/{id}/return", write, with(setup, take_back)),
        Route::post("/devices/{id}/rotate", write, with(setup, rotate)),
        Route::post("/devices/{id}/commands", Access::Permission(DEVICES_COMMAND), with(setup, command)),
    ]
}

#[derive(Serialize)]
pub(super) struct Upkeep {
    status: String,
    status_key: &'static str,
    statuses: Vec<Choice>,
    reason: Option<String>,
    status_at: Option<Moment>,
    status_by: Option<String>,
    firmware: Option<String>,
    heartbeat: String,
    heartbeat_key: &'static str,
    heartbeats: Vec<Choice>,
    silence_s: i32,
    commissioned_at: Option<Moment>,
    faults: Vec<FaultModel>,
    tests: Vec<TestModel>,
    may_test: bool,
    wants: Vec<Choice>,
    loan: Option<LoanModel>,
    loans: Vec<LoanModel>,
    commands: Vec<CommandModel>,
    /// Empty for whoever may not command it.
    offered: Vec<&'static str>,
    may_set: bool,
    overlap_until: Option<Moment>,
    has_secret: bool,
    /// What the forms show: what was typed and refused, else what is usual.
    kept: BTreeMap<&'static str, String>,
}

/// Inputs of the forms, and what they show at first.
const INPUTS: [(&str, &str); 10] = [
    ("wants", "alarm"),
    ("minutes", "5"),
    ("borrower", ""),
    ("due_on", ""),
    ("note", ""),
    ("overlap_minutes", "60"),
    ("status", ""),
    ("reason", ""),
    ("key", ""),
    ("value", ""),
];

fn kept(ctx: &Ctx) -> BTreeMap<&'static str, String> {
    // Without a form nothing was typed.
    let mut typed: HashMap<String, String> = ctx.form().unwrap_or_default();
    INPUTS.into_iter().map(|(name, usual)| (name, typed.remove(name).unwrap_or_else(|| usual.to_owned()))).collect()
}

#[derive(Serialize)]
struct FaultModel {
    kind: String,
    since: Moment,
    /// Told together with others.
    grouped: bool,
}

#[derive(Serialize)]
struct LoanModel {
    resident: String,
    due_on: String,
    overdue: bool,
    lent_at: Moment,
    returned_at: Option<Moment>,
    note: String,
    by: String,
}

#[derive(Serialize)]
struct CommandModel {
    what: String,
    state: String,
    detail: Option<String>,
    unconfirmed: bool,
    requested_at: Moment,
    done_at: Option<Moment>,
    by: String,
}

/// Everything of it that one look at the database gives.
struct Found {
    note: StatusNote,
    firmware: Option<String>,
    faults: Vec<Fault>,
    tests: Vec<Test>,
    loans: Vec<Loan>,
    commands: Vec<Stored>,
    overlap_until: Option<Moment>,
    secret_at: Option<Moment>,
    is_gateway: bool,
    users: HashMap<UserId, String>,
    residents: HashMap<ResidentId, String>,
    today: NaiveDate,
}

fn look(db: &mut Db, device: &Device, sees_residents: bool, now: Moment) -> Result<Found> {
    let id = device.id;
    let note = lifecycle::status_note(db, id)?;
    let tests = device_tests::latest(db, &Scope::All, Some(id), None, SHOWN)?;
    let loans = loans::of_device(db, id)?;
    let commands = commands::of_device(db, id, SHOWN)?;
    let by: Vec<UserId> = [note.by]
        .into_iter()
        .chain(tests.iter().map(|test| test.started_by))
        .chain(loans.iter().map(|loan| loan.lent_by))
        .chain(commands.iter().map(|command| command.requested_by))
        .flatten()
        .collect();
    let users: Vec<(UserId, String)> =
        app_user::table.filter(app_user::id.eq_any(by)).select((app_user::id, app_user::display_name)).load(db)?;
    let residents = if sees_residents {
        list::resident_names(db, loans.iter().map(|loan| loan.resident_id))?
    } else {
        HashMap::new()
    };
    Ok(Found {
        firmware: observations::health(db, &[id])?.pop().and_then(|health| health.firmware),
        faults: faults::of_device(db, id)?,
        overlap_until: register::overlap_until(db, id)?,
        secret_at: register::secret_made_at(db, id)?,
        is_gateway: gateways::is_gateway(db, id)?,
        today: now.day_in(zone_of(db, device.facility_id)?),
        users: users.into_iter().collect(),
        note,
        tests,
        loans,
        commands,
        residents,
    })
}

pub(super) async fn model(ctx: &Ctx, setup: &Setup, device: &Device) -> Result<Upkeep> {
    let now = ctx.app().clock.now();
    let may = |permission| ctx.caller().facilities(permission).contains(device.facility_id);
    let (copy, sees_residents) = (device.clone(), may(RESIDENTS_READ));
    let found = ctx.app().db.read(move |db| look(db, &copy, sees_residents, now)).await?;
    let name = |id: Option<UserId>| id.and_then(|id| found.users.get(&id).cloned()).unwrap_or_default();
    let loans: Vec<LoanModel> = found
        .loans
        .iter()
        .map(|loan| LoanModel {
            resident: found.residents.get(&loan.resident_id).cloned().unwrap_or_default(),
            due_on: loan.due_on.to_string(),
            overdue: loan.is_overdue(found.today),
            lent_at: loan.lent_at,
            returned_at: loan.returned_at,
            note: loan.note.clone(),
            by: name(loan.lent_by),
        })
        .collect();
    let (mut open, over): (Vec<_>, Vec<_>) = loans.into_iter().partition(|loan| loan.returned_at.is_none());
    let status = Status::parse(&device.status).unwrap_or(Status::Active);
    let heartbeat = Heartbeat::parse(&device.heartbeat).unwrap_or(Heartbeat::Guard);
    let offered = if may(DEVICES_COMMAND) {
        commands::offered(setup.adapter(&device.adapter), device, found.is_gateway)
    } else {
        Vec::new()
    };
    Ok(Upkeep {
        status_key: status.text_key(),
        status: device.status.clone(),
        statuses: Status::ALL
            .into_iter()
            .filter(|other| *other != status)
            .map(|other| Choice::new(other.as_str(), say(ctx, Some(other.text_key()))))
            .collect(),
        reason: found.note.reason.clone(),
        status_at: found.note.at,
        status_by: found.note.by.map(|by| name(Some(by))),
        firmware: found.firmware.clone(),
        heartbeat_key: heartbeat.text_key(),
        heartbeat: device.heartbeat.clone(),
        heartbeats: Heartbeat::ALL.map(|one| Choice::new(one.as_str(), say(ctx, Some(one.text_key())))).to_vec(),
        silence_s: device.silence_s,
        commissioned_at: device.commissioned_at,
        faults: found
            .faults
            .iter()
            .map(|fault| FaultModel {
                kind: fault.kind.clone(),
                since: fault.since,
                grouped: fault.group_key.is_some(),
            })
            .collect(),
        tests: found.tests.iter().map(|test| test_model::model(ctx, test, &found.users, now)).collect(),
        may_test: may(DEVICES_TEST),
        wants: [Expects::Alarm, Expects::Any]
            .map(|one| Choice::new(one.as_str(), test_model::asks(ctx, Some(one))))
            .to_vec(),
        commands: found
            .commands
            .iter()
            .map(|stored| command_model(ctx, stored, name(stored.requested_by)))
            .collect::<Result<_>>()?,
        may_set: may(DEVICES_WRITE) && offered.contains(&"set"),
        offered,
        overlap_until: found.overlap_until,
        has_secret: found.secret_at.is_some(),
        kept: kept(ctx),
        loan: open.pop(),
        loans: over,
    })
}

fn command_model(ctx: &Ctx, stored: &Stored, by: String) -> Result<CommandModel> {
    let what = match stored.wish()? {
        Wish::Lamp { on: true } => Text::key("devices-command-lamp-on"),
        Wish::Lamp { on: false } => Text::key("devices-command-lamp-off"),
        Wish::Siren { on: true, seconds } => Text::key("devices-command-siren-on").arg("n", seconds),
        Wish::Siren { on: false, .. } => Text::key("devices-command-siren-off"),
        Wish::Locate => Text::key("devices-command-locate"),
        Wish::Set { key, value } => Text::key("devices-command-set-to").arg("key", key).arg("value", value),
    };
    Ok(CommandModel {
        what: ctx.say(&what),
        state: stored.state.clone(),
        detail: stored.detail.clone(),
        unconfirmed: stored.is_unconfirmed() && stored.state == commands::SENT,
        requested_at: stored.requested_at,
        done_at: stored.done_at,
        by,
    })
}

/// Back to the device's page, or the page again with what was refused.
async fn answer(ctx: &Ctx, setup: &Setup, device: Device, outcome: Result<()>) -> Result<HttpResponse> {
    match refused(outcome)? {
        Ok(()) => ctx.redirect(&format!("/devices/{}", device.id)),
        Err(errors) => {
            let form = form_of(ctx, &device).await?;
            render(ctx, setup, device, form, &errors).await
        }
    }
}

fn unknown(field: &'static str) -> Error {
    Error::field(field, Text::key("error-unknown-choice"))
}

fn number<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T> {
    text.trim().parse().map_err(|_| Error::field(field, Text::key("error-invalid-number")))
}

async fn set_status(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        status: String,
        #[serde(default)]
        reason: String,
    }
    let Form { status, reason } = ctx.form()?;
    let device = seen(&ctx, DEVICES_WRITE).await?;
    let (id, by) = (device.id, Some(ctx.caller().user_id));
    let outcome = match Status::parse(&status) {
        Some(status) => ctx.once(move |tx| lifecycle::set_status(tx, id, status, &reason, by)).await,
        None => Err(unknown("status")),
    };
    answer(&ctx, &setup, device, outcome).await
}

async fn set_heartbeat(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        heartbeat: String,
    }
    let Form { heartbeat } = ctx.form()?;
    let device = seen(&ctx, DEVICES_WRITE).await?;
    let (id, by) = (device.id, Some(ctx.caller().user_id));
    let outcome = match Heartbeat::parse(&heartbeat) {
        Some(heartbeat) => ctx.once(move |tx| lifecycle::set_heartbeat(tx, id, heartbeat, by)).await,
        None => Err(unknown("heartbeat")),
    };
    answer(&ctx, &setup, device, outcome).await
}

/// Who commissions says that a device may be relied upon: that needs more than a weekly test.
async fn start_test(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        minutes: String,
        #[serde(default)]
        wants: String,
    }
    let Form { minutes, wants } = ctx.form()?;
    let device = seen(&ctx, DEVICES_WRITE).await?;
    let (scope, by) = (ctx.caller().facilities(DEVICES_WRITE).clone(), ctx.caller().user_id);
    let read = || -> Result<Order> {
        let expects = Some(Expects::parse(&wants).ok_or_else(|| unknown("wants"))?);
        let seconds = number::<i32>("minutes", &minutes)?.saturating_mul(60);
        Ok(Order { kind: TestKind::Commissioning, expects, window_seconds: Some(seconds), by })
    };
    let wanted = Wanted::Devices(vec![device.id]);
    let outcome = match read() {
        Ok(order) => ctx.once(move |tx| device_tests::start_wanted(tx, &scope, &wanted, &order).map(drop)).await,
        Err(error) => Err(error),
    };
    answer(&ctx, &setup, device, outcome.map_err(in_minutes)).await
}

/// The form asks for minutes.
fn in_minutes(error: Error) -> Error {
    let Error::Invalid(fields) = error else { return error };
    let minutes = || Text::key("device-tests-error-range").arg("min", 1).arg("max", 30);
    let field = |one: FieldError| match one.field {
        "window_seconds" => FieldError::new("minutes", minutes()),
        _ => one,
    };
    Error::Invalid(fields.into_iter().map(field).collect())
}

async fn lend(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        borrower: String,
        due_on: String,
        #[serde(default)]
        note: String,
    }
    let Form { borrower, due_on, note } = ctx.form()?;
    let device = seen(&ctx, DEVICES_WRITE).await?;
    let (id, by) = (device.id, Some(ctx.caller().user_id));
    let read = || {
        let resident: Option<ResidentId> = choice("borrower", &borrower)?;
        let resident = resident.ok_or_else(|| Error::field("borrower", Text::key("error-choose")))?;
        let due_on: NaiveDate =
            due_on.trim().parse().map_err(|_| Error::field("due_on", Text::key("devices-error-due-on")))?;
        Ok((resident, due_on))
    };
    let outcome = match read() {
        Ok((resident, due_on)) => ctx.once(move |tx| loans::lend(tx, id, resident, due_on, &note, by)).await,
        Err(error) => Err(error),
    };
    answer(&ctx, &setup, device, outcome).await
}

async fn take_back(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    let device = seen(&ctx, DEVICES_WRITE).await?;
    let (id, by) = (device.id, Some(ctx.caller().user_id));
    let outcome = ctx.once(move |tx| loans::take_back(tx, id, by)).await;
    answer(&ctx, &setup, device, outcome).await
}

/// Minutes for which the former credential counts, as the form offers them.
async fn rotate(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        overlap_minutes: String,
    }
    let Form { overlap_minutes } = ctx.form()?;
    let device = seen(&ctx, DEVICES_WRITE).await?;
    setup.expect_credential(&device)?;
    let overlap_s = match number("overlap_minutes", &overlap_minutes).and_then(register::overlap_s) {
        Ok(seconds) => seconds,
        Err(error) => return answer(&ctx, &setup, device, Err(error)).await,
    };
    show_credential(&ctx, &setup, device.id, overlap_s).await
}

async fn command(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        action: String,
        #[serde(default)]
        key: String,
        #[serde(default)]
        value: String,
        #[serde(default)]
        seconds: String,
    }
    let Form { action, key, value, seconds } = ctx.form()?;
    let device = seen(&ctx, DEVICES_COMMAND).await?;
    let wish = match action.as_str() {
        "lamp_on" => Ok(Wish::Lamp { on: true }),
        "lamp_off" => Ok(Wish::Lamp { on: false }),
        "siren_on" => number("seconds", &seconds).map(|seconds| Wish::Siren { on: true, seconds }),
        "siren_off" => Ok(Wish::Siren { on: false, seconds: 1 }),
        "locate" => Ok(Wish::Locate),
        "set" => {
            ctx.caller().expect_at(DEVICES_WRITE, device.facility_id)?;
            Ok(Wish::Set { key: key.trim().to_owned(), value })
        }
        _ => Err(unknown("action")),
    };
    let (id, by) = (device.id, Some(ctx.caller().user_id));
    let outcome = match wish {
        Ok(wish) => {
            let setup = setup.clone();
            let work = move |tx: &mut songhe_kernel::Tx<'_>| {
                commands::request(tx, &setup.adapters, id, &wish, commands::USUAL_VALID_S, by).map(drop)
            };
            ctx.once(work).await
        }
        Err(error) => Err(error),
    };
    answer(&ctx, &setup, device, outcome).await
}
