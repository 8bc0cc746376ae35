//! `/devices/new` and what it posts; the page that shows a credential, once.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Ctx, Fields, Refused, Route, refused};
use songhe_kernel::{Error, FacilityId, FieldError, Moment, Result, Text};
use songhe_registry::{facilities_of, facility_choices};

use super::devices::class_choices;
use super::{bindable, choice, with};
use crate::gateways;
use crate::module::{DEVICES_WRITE, Setup};
use crate::register::{self, Device, DeviceId, NewDevice};

pub(super) fn routes(setup: &Arc<Setup>) -> Vec<Route> {
    let write = Access::Permission(DEVICES_WRITE);
    vec![Route::get("/devices/new", write, with(setup, show_new)), Route::post("/devices", write, with(setup, create))]
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Form {
    serial: String,
    name: String,
    class: String,
    adapter: String,
    facility: String,
    place: String,
    resident: String,
}

const FIELDS: Fields = &[
    ("serial", "devices-serial"),
    ("name", "kernel-name"),
    ("class", "devices-class"),
    ("adapter", "devices-adapter"),
    ("facility", "registry-facility"),
    ("place", "registry-place"),
    ("resident", "incidents-resident"),
];

impl Form {
    fn read(&self, facility: FacilityId) -> Result<NewDevice> {
        Ok(NewDevice {
            facility,
            serial: self.serial.trim().to_owned(),
            class: self.class.clone(),
            adapter: self.adapter.clone(),
            name: self.name.clone(),
            place: choice("place", &self.place)?,
            resident: choice("resident", &self.resident)?,
        })
    }
}

#[derive(Serialize)]
struct FormPage<'a> {
    form: &'a Form,
    classes: Vec<Choice>,
    adapters: Vec<Choice>,
    facilities: Vec<Choice>,
    places: Vec<Choice>,
    residents: Vec<Choice>,
    #[serde(flatten)]
    refused: Refused,
}

async fn show_new(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Query {
        #[serde(default)]
        serial: String,
        #[serde(default)]
        adapter: String,
        #[serde(default)]
        name: String,
    }
    let Query { serial, adapter, name } = ctx.query()?;
    let form = Form { serial, adapter, name, ..Form::default() };
    render(&ctx, &setup, form, &[]).await
}

async fn render(ctx: &Ctx, setup: &Setup, form: Form, errors: &[FieldError]) -> Result<HttpResponse> {
    let facilities = facilities_of(ctx, DEVICES_WRITE).await?;
    let (places, residents) = bindable(ctx, &facilities).await?;
    let page = FormPage {
        form: &form,
        classes: class_choices(ctx),
        adapters: setup.adapter_names().iter().map(|name| Choice::new(name, *name)).collect(),
        facilities: facility_choices(&facilities),
        places,
        residents,
        refused: Refused::new(ctx, FIELDS, errors),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.page_with(status, "devices/device-edit", &page)
}

async fn create(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let facility: FacilityId = form.facility.parse().map_err(|_| Error::NotFound)?;
    ctx.caller().expect_at(DEVICES_WRITE, facility)?;
    let outcome = match form.read(facility) {
        Ok(new) => {
            let (setup, by) = (setup.clone(), Some(ctx.caller().user_id));
            ctx.once(move |tx| gateways::register(tx, &new, &setup.adapters, by)).await
        }
        Err(error) => Err(error),
    };
    match refused(outcome)? {
        Ok(id) => {
            let device = ctx.app().db.read(move |db| register::find(db, id)).await?.ok_or(Error::NotFound)?;
            if setup.is_member(&device) {
                return ctx.redirect(&format!("/devices/{id}"));
            }
            give_credential(&ctx, &setup, id).await
        }
        Err(errors) => render(&ctx, &setup, form, &errors).await,
    }
}

#[derive(Serialize)]
struct CredentialPage {
    device: DeviceModel,
    username: String,
    client_id: String,
    secret: String,
    topic: String,
    broker_url: String,
    replaced: bool,
    /// Until when the former one counts.
    overlap_until: Option<Moment>,
}

#[derive(Serialize)]
struct DeviceModel {
    id: DeviceId,
    name: String,
    serial: String,
}

/// Makes a secret and shows it. It is kept nowhere as it is, not even under an idempotency key: asked again, there is
/// another one.
pub(super) async fn give_credential(ctx: &Ctx, setup: &Setup, id: DeviceId) -> Result<HttpResponse> {
    show_credential(ctx, setup, id, 0).await
}

/// The same; the former secret counts for another `overlap_s` seconds.
pub(super) async fn show_credential(ctx: &Ctx, setup: &Setup, id: DeviceId, overlap_s: i64) -> Result<HttpResponse> {
    let (secret, by) = (register::new_secret(), Some(ctx.caller().user_id));
    let (device, replaced, credential, base_topic, overlap_until) = ctx
        .app()
        .db
        .write(move |tx| {
            let device: Device = register::find(tx.db(), id)?.ok_or(Error::NotFound)?;
            let replaced = register::secret_made_at(tx.db(), id)?.is_some();
            let base_topic = gateways::base_topic_of(tx.db(), &device.serial)?;
            let credential = register::rotate_secret(tx, id, &secret, overlap_s, by)?;
            Ok((device, replaced, credential, base_topic, register::overlap_until(tx.db(), id)?))
        })
        .await?;
    let topic = setup.adapter(&device.adapter).and_then(|adapter| adapter.manifest().topics.first().copied());
    let before = topic.and_then(|topic| topic.split_once('+')).map_or("", |(before, _)| before);
    let page = CredentialPage {
        topic: base_topic.unwrap_or_else(|| format!("{before}{}", device.serial)),
        device: DeviceModel { id, name: device.name, serial: device.serial },
        username: credential.username,
        client_id: credential.client_id,
        secret: credential.password,
        broker_url: setup.broker_url.clone(),
        replaced: replaced && overlap_until.is_none(),
        overlap_until,
    };
    let mut response = ctx.page("devices/credential", &page)?;
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The device of the path, if it exists for this caller.
pub(super) async fn seen(ctx: &Ctx, permission: &str) -> Result<Device> {
    let id: DeviceId = ctx.id("id")?;
    let device = ctx.app().db.read(move |db| register::find(db, id)).await?.ok_or(Error::NotFound)?;
    ctx.caller().expect_at(permission, device.facility_id)?;
    Ok(device)
}

/// Words of an optional key; nothing for none.
pub(super) fn say(ctx: &Ctx, key: Option<&'static str>) -> String {
    key.map(|key| ctx.say(&Text::key(key))).unwrap_or_default()
}
