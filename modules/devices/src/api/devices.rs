//! `/api/v1/devices`.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use songhe_kernel::{Error, FacilityId, Moment, Result, UserId};
use songhe_registry::{PlaceId, RESIDENTS_READ, ResidentId};

use crate::list::{self, Condition, Filter, Listed};
use crate::module::{DEVICES_READ, DEVICES_WRITE, OBSERVATIONS_READ, Setup};
use crate::pages::with;
use crate::register::{self, Credential, DeviceId, NewDevice};
use crate::{gateways, observations, words};

pub(super) fn routes(setup: &Arc<Setup>) -> Vec<Route> {
    let (read, write) = (Access::Permission(DEVICES_READ), Access::Permission(DEVICES_WRITE));
    let credential = ApiDoc::new("Give a device a credential")
        .description(
            "Answered once and kept nowhere as it is. Each call replaces the former credential, which is void at once: a \
             connection made with it to the embedded broker is closed. (Another broker has its own accounts: replace the \
             password there, too.) An `Idempotency-Key` does not change that.",
        )
        .creates::<Credential>();
    vec![
        Route::get("/api/v1/devices", read, show_list)
            .doc(ApiDoc::new("List devices").query::<Query>().returns::<List<DeviceBody>>()),
        Route::post("/api/v1/devices", write, with(setup, create))
            .doc(ApiDoc::new("Register a device").body::<NewDeviceBody>().creates::<DeviceBody>()),
        Route::get("/api/v1/devices/{id}", read, show).doc(ApiDoc::new("One device").returns::<DeviceBody>()),
        Route::get("/api/v1/devices/{id}/bindings", read, show_bindings).doc(
            ApiDoc::new("Where a device was and with whom")
                .description("The present one first.")
                .returns::<List<BoundBody>>(),
        ),
        Route::get("/api/v1/devices/{id}/state", Access::Permission(OBSERVATIONS_READ), show_state)
            .doc(ApiDoc::new("The latest of each kind that a device told").returns::<List<StateBody>>()),
        Route::post("/api/v1/devices/{id}/bind", write, bind)
            .doc(ApiDoc::new("Bind a device to a place and a resident").body::<Binding>().returns::<DeviceBody>()),
        Route::post("/api/v1/devices/{id}/credential", write, with(setup, give_credential)).doc(credential),
        Route::get("/api/v1/devices/{id}/gateway", read, show_gateway).doc(
            ApiDoc::new("How a device and gateways belong together")
                .description("What its gateway says of it, or below which topic it speaks for others itself.")
                .returns::<GatewayBody>(),
        ),
        Route::post("/api/v1/devices/{id}/call-actions", write, set_call_actions).doc(
            ApiDoc::new("Set which presses of a device's button are calls for help")
                .description(
                    "`action`s as its gateway tells them: `single`, `double`, `hold`, `single_left`. `emergency`, \
                     `panic` and `sos` always are. An empty list: no others.",
                )
                .body::<CallActions>()
                .returns::<CallActions>(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Only this facility's.
    facility: Option<FacilityId>,
    /// Part of the name, the serial or the place.
    #[serde(default)]
    q: String,
    /// Catalogue class: `3.1`.
    class: Option<String>,
    state: Option<Condition>,
    /// How many at most.
    #[serde(default)]
    limit: Limit,
    /// `next` of the part before.
    after: Option<DeviceId>,
}

/// A device to be registered.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewDeviceBody {
    #[serde(alias = "facility")]
    facility_id: FacilityId,
    /// From the label; 1 to 64 of A–Z a–z 0–9 - _ . :, not beginning with `songhe-`
    serial: String,
    /// Catalogue class: `3.1`.
    class: String,
    /// `songhe-mqtt` …
    adapter: String,
    /// As people say it, 1 to 60 characters: `卫生间拉绳`.
    name: String,
    #[serde(default, alias = "place")]
    place_id: Option<PlaceId>,
    #[serde(default, alias = "resident")]
    resident_id: Option<ResidentId>,
}

/// Where a device hangs, and with whom; `null`: nowhere, with nobody.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Binding {
    #[serde(alias = "place")]
    place_id: Option<PlaceId>,
    #[serde(alias = "resident")]
    resident_id: Option<ResidentId>,
}

/// A registered device.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Device")]
struct DeviceBody {
    id: DeviceId,
    facility_id: FacilityId,
    serial: String,
    /// Class of the national catalogue.
    class: String,
    adapter: String,
    name: String,
    place_id: Option<PlaceId>,
    place_label: Option<String>,
    /// `null` also for callers who may not see residents.
    resident_id: Option<ResidentId>,
    /// Heard within the time that its class may be silent, and not signed off.
    online: bool,
    last_seen_at: Option<Moment>,
    /// 0 to 100.
    battery_percent: Option<u8>,
    low_battery: bool,
    created_at: Moment,
}

impl DeviceBody {
    fn new(ctx: &Ctx, listed: Listed) -> Self {
        let device = listed.device;
        let sees_residents = ctx.caller().facilities(RESIDENTS_READ).contains(device.facility_id);
        Self {
            id: device.id,
            facility_id: device.facility_id,
            serial: device.serial,
            class: device.class,
            adapter: device.adapter,
            name: device.name,
            place_id: device.place_id,
            place_label: listed.place_label,
            resident_id: device.resident_id.filter(|_| sees_residents),
            online: listed.online,
            last_seen_at: listed.last_seen_at,
            battery_percent: listed.battery_percent.and_then(|percent| u8::try_from(percent).ok()),
            low_battery: listed.low_battery,
            created_at: device.created_at,
        }
    }
}

/// A device and gateways.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeviceGateway")]
struct GatewayBody {
    /// The gateway that names it.
    gateway_serial: Option<String>,
    /// What that gateway calls it in topics, today.
    name: Option<String>,
    model: Option<String>,
    vendor: Option<String>,
    /// If it is a gateway itself: below this topic it speaks for others.
    base_topic: Option<String>,
    /// If it is a gateway itself: how many devices it names.
    members: i64,
    /// Presses of its button that are calls for help, beside those that are by their name.
    call_actions: Vec<String>,
}

/// Presses of a button that are calls for help.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CallActions {
    /// At most 20 words of letters, digits, `_` and `-`.
    actions: Vec<String>,
}

/// A stretch of a device's history.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeviceBinding")]
struct BoundBody {
    place_id: Option<PlaceId>,
    /// `null` also for callers who may not see residents.
    resident_id: Option<ResidentId>,
    bound_at: Moment,
    /// `null`: it is so now.
    unbound_at: Option<Moment>,
    bound_by: Option<UserId>,
}

/// The latest of one kind from one device.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeviceState")]
struct StateBody {
    /// `heart_rate`, `sos` …
    kind: String,
    /// In `unit`; `null` for events and without a reading.
    value: Option<String>,
    unit: Option<String>,
    /// Of an event: whether it lasts.
    active: Option<bool>,
    /// `good`, `implausible` or `no_reading`.
    quality: String,
    observed_at: Moment,
}

async fn show_list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let filter = Filter {
        scope: ctx.caller().narrowed(DEVICES_READ, query.facility)?,
        text: query.q,
        class: query.class,
        condition: query.state,
        after: query.after,
    };
    let now = ctx.app().clock.now();
    let rows = ctx.app().db.read(move |db| list::list(db, &filter, now, query.limit.rows())).await?;
    let items = rows.into_iter().map(|listed| DeviceBody::new(&ctx, listed)).collect();
    ctx.json_ok(&List::part(items, query.limit, |device: &DeviceBody| device.id))
}

async fn create(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    let body: NewDeviceBody = ctx.json()?;
    ctx.caller().expect_at(DEVICES_WRITE, body.facility_id)?;
    let new = NewDevice {
        facility: body.facility_id,
        serial: body.serial,
        class: body.class,
        adapter: body.adapter,
        name: body.name,
        place: body.place_id,
        resident: body.resident_id,
    };
    let by = Some(ctx.caller().user_id);
    let id = ctx.once(move |tx| gateways::register(tx, &new, &setup.adapters, by)).await?;
    ctx.created(&find(&ctx, id).await?)
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let body = seen(&ctx, DEVICES_READ).await?;
    ctx.json_ok(&body)
}

async fn bind(ctx: Ctx) -> Result<HttpResponse> {
    let Binding { place_id, resident_id } = ctx.json()?;
    let id = seen(&ctx, DEVICES_WRITE).await?.id;
    let by = Some(ctx.caller().user_id);
    ctx.once(move |tx| register::bind(tx, id, place_id, resident_id, by)).await?;
    ctx.json_ok(&find(&ctx, id).await?)
}

/// No idempotency here: what is kept under a key could be read, and a credential is kept nowhere as it is.
async fn give_credential(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    let id = seen(&ctx, DEVICES_WRITE).await?.id;
    let device = ctx.app().db.read(move |db| register::find(db, id)).await?.ok_or(Error::NotFound)?;
    setup.expect_credential(&device)?;
    let (secret, by) = (register::new_secret(), Some(ctx.caller().user_id));
    let credential = ctx.app().db.write(move |tx| register::set_secret(tx, id, &secret, by)).await?;
    let mut response = ctx.created(&credential)?;
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn show_gateway(ctx: Ctx) -> Result<HttpResponse> {
    let device = seen(&ctx, DEVICES_READ).await?;
    let ties = ctx.app().db.read(move |db| gateways::ties(db, device.id, &device.serial)).await?;
    let (gateway_serial, name, model, vendor) = match ties.named {
        Some(named) => (Some(named.gateway_serial), Some(named.name), Some(named.model), Some(named.vendor)),
        None => (None, None, None, None),
    };
    let (base_topic, members, call_actions) = (ties.base_topic, ties.members, ties.call_actions);
    ctx.json_ok(&GatewayBody { gateway_serial, name, model, vendor, base_topic, members, call_actions })
}

async fn set_call_actions(ctx: Ctx) -> Result<HttpResponse> {
    let CallActions { actions } = ctx.json()?;
    let device = seen(&ctx, DEVICES_WRITE).await?;
    let (id, by) = (device.id, Some(ctx.caller().user_id));
    ctx.once(move |tx| gateways::set_call_actions(tx, id, &actions, by)).await?;
    let ties = ctx.app().db.read(move |db| gateways::ties(db, id, &device.serial)).await?;
    ctx.json_ok(&CallActions { actions: ties.call_actions })
}

async fn show_bindings(ctx: Ctx) -> Result<HttpResponse> {
    let device = seen(&ctx, DEVICES_READ).await?;
    let sees_residents = ctx.caller().facilities(RESIDENTS_READ).contains(device.facility_id);
    let rows = ctx.app().db.read(move |db| register::bindings(db, device.id)).await?;
    let items = rows
        .into_iter()
        .map(|row| BoundBody {
            place_id: row.place_id,
            resident_id: row.resident_id.filter(|_| sees_residents),
            bound_at: row.bound_at,
            unbound_at: row.unbound_at,
            bound_by: row.bound_by,
        })
        .collect();
    ctx.json_ok(&List::whole(items))
}

async fn show_state(ctx: Ctx) -> Result<HttpResponse> {
    let id = seen(&ctx, OBSERVATIONS_READ).await?.id;
    let rows = ctx.app().db.read(move |db| observations::states(db, &[id])).await?;
    let items = rows
        .into_iter()
        .map(|row| StateBody {
            kind: row.kind,
            value: row.value_micro.map(words::decimal),
            unit: row.unit,
            active: row.active,
            quality: row.quality,
            observed_at: row.observed_at,
        })
        .collect();
    ctx.json_ok(&List::whole(items))
}

/// The device of the path, if it exists for this caller.
async fn seen(ctx: &Ctx, permission: &str) -> Result<DeviceBody> {
    let body = find(ctx, ctx.id("id")?).await?;
    ctx.caller().expect_at(permission, body.facility_id)?;
    Ok(body)
}

async fn find(ctx: &Ctx, id: DeviceId) -> Result<DeviceBody> {
    let now = ctx.app().clock.now();
    let listed = ctx
        .app()
        .db
        .read(move |db| {
            let device = register::find(db, id)?.ok_or(Error::NotFound)?;
            list::describe(db, vec![device], now)?.into_iter().next().ok_or(Error::NotFound)
        })
        .await?;
    Ok(DeviceBody::new(ctx, listed))
}
