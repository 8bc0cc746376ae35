//! A device's life by `/api/v1`: its status, heartbeat, loans, credential and commands.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, List, Route};
use songhe_kernel::{Error, FacilityId, Moment, Result, UserId};
use songhe_registry::{RESIDENTS_READ, ResidentId, zone_of};

use crate::commands::{self, CommandId, Stored, Wish};
use crate::lifecycle::{self, Status};
use crate::module::{DEVICES_COMMAND, DEVICES_READ, DEVICES_WRITE, Setup};
use crate::online::Heartbeat;
use crate::pages::with;
use crate::register::{self, Credential, Device, DeviceId};
use crate::{faults, loans, observations};

/// Commands listed, the latest.
const LISTED: i64 = 100;

pub(super) fn routes(setup: &Arc<Setup>) -> Vec<Route> {
    let (read, write) = (Access::Permission(DEVICES_READ), Access::Permission(DEVICES_WRITE));
    let command = Access::Permission(DEVICES_COMMAND);
    let rotate = ApiDoc::new("Give a device a new credential while the former one still counts")
        .description("Answered once and kept nowhere as it is. When the overlap is over, the device connects anew.")
        .body::<Overlap>()
        .creates::<Credential>();
    vec![
        Route::get("/api/v1/devices/{id}/life", read, show)
            .doc(ApiDoc::new("How a device does, and whether it is in use").returns::<Life>()),
        Route::post("/api/v1/devices/{id}/status", write, set_status).doc(
            ApiDoc::new("Put a device into use, maintenance, or out of use")
                .description(
                    "`decommissioned`: its credential is void, its binding and its loan end, and what it sends is a \
                     stranger's. Its history stays.",
                )
                .body::<NewStatus>()
                .returns::<Life>(),
        ),
        Route::post("/api/v1/devices/{id}/heartbeat", write, set_heartbeat).doc(
            ApiDoc::new("Set how often a device is expected to be heard").body::<NewHeartbeat>().returns::<Life>(),
        ),
        Route::put("/api/v1/heartbeat-limits", write, set_limit).doc(
            ApiDoc::new("Set how long devices of a heartbeat class may be silent").body::<Limit>().returns::<Limit>(),
        ),
        Route::get("/api/v1/devices/{id}/loans", read, list_loans)
            .doc(ApiDoc::new("List loans, newest first").returns::<List<LoanBody>>()),
        Route::post("/api/v1/devices/{id}/loan", write, lend).doc(
            ApiDoc::new("Lend a device to a resident, and bind it to them")
                .body::<NewLoan>()
                .returns::<List<LoanBody>>(),
        ),
        Route::post("/api/v1/devices/{id}/return", write, take_back)
            .doc(ApiDoc::new("Take a lent device back").returns::<List<LoanBody>>()),
        Route::post("/api/v1/devices/{id}/credential/rotate", write, with(setup, rotate_credential)).doc(rotate),
        Route::get("/api/v1/devices/{id}/commands", read, list_commands)
            .doc(ApiDoc::new("List commands, newest first").returns::<List<CommandBody>>()),
        Route::post("/api/v1/devices/{id}/commands", command, with(setup, send_command)).doc(
            ApiDoc::new("Ask a device for something")
                .description("Sent after the answer; `GET` tells what came of it. Settings need `devices.write`.")
                .body::<NewCommand>()
                .creates::<CommandBody>(),
        ),
    ]
}

/// How a device does, and whether it is in use.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeviceLife")]
struct Life {
    status: Status,
    reason: Option<String>,
    status_at: Option<Moment>,
    status_by: Option<UserId>,
    heartbeat: Heartbeat,
    /// How long it may be silent, in seconds.
    silence_seconds: i32,
    firmware: Option<String>,
    commissioned_at: Option<Moment>,
    faults: Vec<FaultBody>,
}

/// Something that stands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeviceFault")]
struct FaultBody {
    /// `device_offline` or `low_battery`.
    kind: String,
    since: Moment,
    /// Told together with others: its gateway is off line, or many went silent at once.
    grouped: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewDeviceStatus")]
struct NewStatus {
    status: Status,
    /// 1 to 200 characters; not asked for back into use.
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewHeartbeat {
    heartbeat: Heartbeat,
}

/// How long devices of a heartbeat class may be silent at a facility.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HeartbeatLimit")]
struct Limit {
    facility_id: FacilityId,
    heartbeat: Heartbeat,
    /// 120 to 604,800.
    silence_seconds: i32,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewDeviceLoan")]
struct NewLoan {
    resident_id: ResidentId,
    /// The last day, in the facility's zone.
    due_on: NaiveDate,
    #[serde(default)]
    note: String,
}

/// A loan of a device.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeviceLoan")]
struct LoanBody {
    /// `null` for callers who may not see residents.
    resident_id: Option<ResidentId>,
    lent_at: Moment,
    due_on: NaiveDate,
    overdue: bool,
    note: String,
    /// `null`: it lasts.
    returned_at: Option<Moment>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CredentialOverlap")]
struct Overlap {
    /// For how long the former credential counts, 0 to 1,440.
    overlap_minutes: i64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewDeviceCommand")]
struct NewCommand {
    command: Wish,
    /// How long it is worth sending, 5 to 3,600; 60 where nothing is said.
    #[serde(default = "usual_valid_s")]
    valid_seconds: i64,
}

fn usual_valid_s() -> i64 {
    commands::USUAL_VALID_S
}

/// A command to a device.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeviceCommand")]
struct CommandBody {
    id: CommandId,
    command: Wish,
    /// `requested`, `sent`, `acknowledged`, `failed` or `expired`.
    state: String,
    /// Why it failed or waits, or the device's own words.
    detail: Option<String>,
    /// Whether the device is going to say that it was done.
    confirmed: bool,
    requested_at: Moment,
    requested_by: Option<UserId>,
    valid_until: Moment,
    sent_at: Option<Moment>,
    done_at: Option<Moment>,
}

impl CommandBody {
    fn new(stored: Stored) -> Result<Self> {
        Ok(Self {
            id: stored.id,
            command: stored.wish()?,
            confirmed: !stored.is_unconfirmed(),
            state: stored.state,
            detail: stored.detail,
            requested_at: stored.requested_at,
            requested_by: stored.requested_by,
            valid_until: stored.valid_until,
            sent_at: stored.sent_at,
            done_at: stored.done_at,
        })
    }
}

/// The device of the path, if it exists for this caller.
async fn seen(ctx: &Ctx, permission: &str) -> Result<Device> {
    let id: DeviceId = ctx.id("id")?;
    let device = ctx.app().db.read(move |db| register::find(db, id)).await?.ok_or(Error::NotFound)?;
    ctx.caller().expect_at(permission, device.facility_id)?;
    Ok(device)
}

async fn life(ctx: &Ctx, id: DeviceId) -> Result<HttpResponse> {
    let body = ctx
        .app()
        .db
        .read(move |db| {
            let device = register::find(db, id)?.ok_or(Error::NotFound)?;
            let note = lifecycle::status_note(db, id)?;
            let firmware = observations::health(db, &[id])?.pop().and_then(|health| health.firmware);
            let faults = faults::of_device(db, id)?.into_iter();
            Ok(Life {
                status: Status::parse(&device.status).unwrap_or(Status::Active),
                reason: note.reason,
                status_at: note.at,
                status_by: note.by,
                heartbeat: Heartbeat::parse(&device.heartbeat).unwrap_or(Heartbeat::Guard),
                silence_seconds: device.silence_s,
                firmware,
                commissioned_at: device.commissioned_at,
                faults: faults
                    .map(|fault| FaultBody { kind: fault.kind, since: fault.since, grouped: fault.group_key.is_some() })
                    .collect(),
            })
        })
        .await?;
    ctx.json_ok(&body)
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let id = seen(&ctx, DEVICES_READ).await?.id;
    life(&ctx, id).await
}

async fn set_status(ctx: Ctx) -> Result<HttpResponse> {
    let NewStatus { status, reason } = ctx.json()?;
    let id = seen(&ctx, DEVICES_WRITE).await?.id;
    let by = Some(ctx.caller().user_id);
    ctx.once(move |tx| lifecycle::set_status(tx, id, status, &reason, by)).await?;
    life(&ctx, id).await
}

async fn set_heartbeat(ctx: Ctx) -> Result<HttpResponse> {
    let NewHeartbeat { heartbeat } = ctx.json()?;
    let id = seen(&ctx, DEVICES_WRITE).await?.id;
    let by = Some(ctx.caller().user_id);
    ctx.once(move |tx| lifecycle::set_heartbeat(tx, id, heartbeat, by)).await?;
    life(&ctx, id).await
}

async fn set_limit(ctx: Ctx) -> Result<HttpResponse> {
    let limit: Limit = ctx.json()?;
    let Limit { facility_id, heartbeat, silence_seconds } = limit;
    ctx.caller().expect_at(DEVICES_WRITE, facility_id)?;
    ctx.once(move |tx| lifecycle::set_limit(tx, facility_id, heartbeat, silence_seconds)).await?;
    ctx.json_ok(&Limit { facility_id, heartbeat, silence_seconds })
}

async fn list_loans(ctx: Ctx) -> Result<HttpResponse> {
    let device = seen(&ctx, DEVICES_READ).await?;
    loans(&ctx, device).await
}

async fn loans(ctx: &Ctx, device: Device) -> Result<HttpResponse> {
    let now = ctx.app().clock.now();
    let sees = ctx.caller().facilities(RESIDENTS_READ).contains(device.facility_id);
    let (rows, today) = ctx
        .app()
        .db
        .read(move |db| Ok((loans::of_device(db, device.id)?, now.day_in(zone_of(db, device.facility_id)?))))
        .await?;
    let items = rows.into_iter().map(|loan| LoanBody {
        overdue: loan.is_overdue(today),
        resident_id: Some(loan.resident_id).filter(|_| sees),
        lent_at: loan.lent_at,
        due_on: loan.due_on,
        note: loan.note,
        returned_at: loan.returned_at,
    });
    ctx.json_ok(&List::whole(items.collect()))
}

async fn lend(ctx: Ctx) -> Result<HttpResponse> {
    let NewLoan { resident_id, due_on, note } = ctx.json()?;
    let device = seen(&ctx, DEVICES_WRITE).await?;
    let (id, by) = (device.id, Some(ctx.caller().user_id));
    ctx.once(move |tx| loans::lend(tx, id, resident_id, due_on, &note, by)).await?;
    loans(&ctx, device).await
}

async fn take_back(ctx: Ctx) -> Result<HttpResponse> {
    let device = seen(&ctx, DEVICES_WRITE).await?;
    let (id, by) = (device.id, Some(ctx.caller().user_id));
    ctx.once(move |tx| loans::take_back(tx, id, by)).await?;
    loans(&ctx, device).await
}

/// No idempotency here, as with every credential.
async fn rotate_credential(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    let Overlap { overlap_minutes } = ctx.json()?;
    let device = seen(&ctx, DEVICES_WRITE).await?;
    setup.expect_credential(&device)?;
    let overlap_s = register::overlap_s(overlap_minutes)?;
    let (id, secret, by) = (device.id, register::new_secret(), Some(ctx.caller().user_id));
    let credential = ctx.app().db.write(move |tx| register::rotate_secret(tx, id, &secret, overlap_s, by)).await?;
    let mut response = ctx.created(&credential)?;
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn list_commands(ctx: Ctx) -> Result<HttpResponse> {
    let id = seen(&ctx, DEVICES_READ).await?.id;
    let rows = ctx.app().db.read(move |db| commands::of_device(db, id, LISTED)).await?;
    let items = rows.into_iter().map(CommandBody::new).collect::<Result<Vec<_>>>()?;
    ctx.json_ok(&List::whole(items))
}

async fn send_command(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    let NewCommand { command, valid_seconds } = ctx.json()?;
    let device = seen(&ctx, DEVICES_COMMAND).await?;
    if matches!(command, Wish::Set { .. }) {
        ctx.caller().expect_at(DEVICES_WRITE, device.facility_id)?;
    }
    let (id, by) = (device.id, Some(ctx.caller().user_id));
    let id = ctx.once(move |tx| commands::request(tx, &setup.adapters, id, &command, valid_seconds, by)).await?;
    let stored = ctx.app().db.read(move |db| commands::command(db, id)).await?;
    ctx.created(&CommandBody::new(stored)?)
}
