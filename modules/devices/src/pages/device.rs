//! `/devices/{id}`: what it told last, where it was and is, and its credential.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use songhe_adapter_core::EventKind;
use songhe_incidents::module::INCIDENTS_READ;
use songhe_incidents::schema::incident;
use songhe_incidents::{IncidentId, Priority};
use songhe_kernel::http::{Access, Choice, Ctx, Fields, Refused, Route, cursor, cut, refused, url};
use songhe_kernel::identity::schema::app_user;
use songhe_kernel::{Db, Error, FieldError, Moment, Result, Text, UserId};
use songhe_registry::{Facility, PlaceId, RESIDENTS_READ, ResidentId, facility};

use super::edit::{give_credential, say, seen};
use super::upkeep::{self, Upkeep};
use super::{bindable, charts, choice, with};
use crate::act::incident_kind;
use crate::gateways::{self, Ties};
use crate::history::Series;
use crate::history::list::{self as history_list, Filter, Place as RowPlace};
use crate::list::{self, Listed};
use crate::module::{DEVICES_READ, DEVICES_WRITE, OBSERVATIONS_READ, Setup};
use crate::observations::{self, Observation, State};
use crate::register::{self, Binding, Device, DeviceId};
use crate::words;

const OBSERVATION_ROWS: i64 = 30;

pub(super) fn routes(setup: &Arc<Setup>) -> Vec<Route> {
    let (read, write) = (Access::Permission(DEVICES_READ), Access::Permission(DEVICES_WRITE));
    vec![
        Route::get("/devices/{id}", read, with(setup, show)),
        Route::post("/devices/{id}/bind", write, with(setup, bind)),
        Route::post("/devices/{id}/call-actions", write, with(setup, set_call_actions)),
        Route::post("/devices/{id}/credential", write, with(setup, credential)),
    ]
}

#[derive(Serialize)]
struct Page {
    device: Facts,
    can_edit: bool,
    state: Vec<StateModel>,
    charts: charts::Model,
    observations: Vec<ObservationModel>,
    older_url: Option<String>,
    bindings: Vec<BindingModel>,
    credential: CredentialModel,
    gateway: GatewayModel,
    form: Form,
    places: Vec<Choice>,
    residents: Vec<Choice>,
    open_incidents: Vec<IncidentModel>,
    upkeep: Upkeep,
    #[serde(flatten)]
    refused: Refused,
}

#[derive(Serialize)]
struct Facts {
    id: DeviceId,
    name: String,
    serial: String,
    class: String,
    class_name: String,
    adapter: String,
    facility: String,
    place: String,
    place_id: Option<PlaceId>,
    resident: Option<Person>,
    online: bool,
    last_at: Option<Moment>,
    battery: Option<i64>,
    low_battery: bool,
    registered_at: Moment,
}

#[derive(Serialize)]
struct Person {
    id: ResidentId,
    name: String,
}

#[derive(Serialize)]
struct StateModel {
    measure: String,
    value: String,
    unit: String,
    at: Moment,
    quality: &'static str,
}

#[derive(Serialize)]
struct ObservationModel {
    measure: Option<String>,
    event: Option<String>,
    event_key: Option<&'static str>,
    value: String,
    unit: String,
    observed_at: Moment,
    received_at: Moment,
    delay_s: i64,
    quality: &'static str,
}

#[derive(Serialize)]
struct BindingModel {
    place: String,
    resident_name: Option<String>,
    from: Moment,
    to: Option<Moment>,
    by: String,
}

#[derive(Serialize)]
struct CredentialModel {
    issued_at: Option<Moment>,
    last_used_at: Option<Moment>,
}

#[derive(Serialize)]
struct GatewayModel {
    /// It comes through a gateway and has no credential.
    is_member: bool,
    serial: Option<String>,
    name: Option<String>,
    model: Option<String>,
    base_topic: Option<String>,
    members: i64,
}

#[derive(Serialize)]
struct IncidentModel {
    id: IncidentId,
    kind: String,
    priority: String,
    raised_at: Moment,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    place: String,
    resident: String,
    actions: String,
}

const FIELDS: Fields = &[
    ("place", "registry-place"),
    ("resident", "incidents-resident"),
    ("actions", "devices-call-actions"),
    ("wants", "devices-test-wants"),
    ("minutes", "devices-test-minutes"),
    ("borrower", "incidents-resident"),
    ("due_on", "devices-loan-due"),
    ("note", "devices-loan-note"),
    ("overlap_minutes", "devices-rotate-minutes"),
    ("status", "devices-status-new"),
    ("reason", "devices-status-reason"),
    ("key", "devices-command-key"),
    ("value", "devices-value"),
];

/// Everything of a device that one look at the database gives.
struct Found {
    facility: Facility,
    listed: Listed,
    states: Vec<State>,
    series: Vec<(String, Series)>,
    span: charts::Span,
    /// What is wrong with the days asked for.
    span_error: Option<Text>,
    observations: Vec<Observation>,
    bindings: Vec<Binding>,
    places: HashMap<PlaceId, String>,
    residents: HashMap<ResidentId, String>,
    users: HashMap<UserId, String>,
    issued_at: Option<Moment>,
    incidents: Vec<IncidentModel>,
    ties: Ties,
}

/// What the caller may see of it.
#[derive(Clone, Copy)]
struct Sees {
    residents: bool,
    observations: bool,
    incidents: bool,
}

impl Sees {
    fn of(ctx: &Ctx, device: &Device) -> Self {
        let may = |permission| ctx.caller().facilities(permission).contains(device.facility_id);
        Self { residents: may(RESIDENTS_READ), observations: may(OBSERVATIONS_READ), incidents: may(INCIDENTS_READ) }
    }
}

fn look(db: &mut Db, device: Device, sees: Sees, asked: &Query, now: Moment) -> Result<Found> {
    let id = device.id;
    let after: Option<RowPlace> = cursor(&asked.after)?;
    let ties = gateways::ties(db, id, &device.serial)?;
    let facility = facility(db, device.facility_id)?.ok_or(Error::NotFound)?;
    let listed = list::describe(db, vec![device], now)?.into_iter().next().ok_or(Error::NotFound)?;
    let bindings = register::bindings(db, id)?;
    let places = list::place_labels(db, bindings.iter().filter_map(|binding| binding.place_id))?;
    let residents = if sees.residents {
        list::resident_names(db, bindings.iter().filter_map(|binding| binding.resident_id))?
    } else {
        HashMap::new()
    };
    let by: Vec<UserId> = bindings.iter().filter_map(|binding| binding.bound_by).collect();
    let users: Vec<(UserId, String)> =
        app_user::table.filter(app_user::id.eq_any(by)).select((app_user::id, app_user::display_name)).load(db)?;
    let (states, observations) = if sees.observations {
        let filter = Filter { device: Some(id), after, ..Filter::default() };
        (observations::states(db, &[id])?, history_list::observations(db, &filter, OBSERVATION_ROWS + 1)?)
    } else {
        (Vec::new(), Vec::new())
    };
    let (span, span_error) = charts::span_of(&asked.charts, now, facility.tz()?);
    Ok(Found {
        series: charts::load(db, id, &states, span)?,
        span,
        span_error,
        issued_at: register::secret_made_at(db, id)?,
        incidents: if sees.incidents { open_incidents(db, id)? } else { Vec::new() },
        users: users.into_iter().collect(),
        facility,
        listed,
        states,
        observations,
        bindings,
        places,
        residents,
        ties,
    })
}

fn open_incidents(db: &mut Db, id: DeviceId) -> Result<Vec<IncidentModel>> {
    let mut rows: Vec<(IncidentId, String, String, Moment)> = incident::table
        .filter(incident::device_id.eq(id.0))
        .filter(incident::open_key.is_not_null())
        .order(incident::id.desc())
        .select((incident::id, incident::kind, incident::priority, incident::raised_at))
        .load(db)?;
    // A call for help stands before a low battery, whatever came last.
    rows.sort_by_key(|(_, _, priority, _)| Priority::ALL.iter().position(|one| one.as_str() == priority));
    Ok(rows
        .into_iter()
        .map(|(id, kind, priority, raised_at)| IncidentModel { id, kind, priority, raised_at })
        .collect())
}

/// What is so now, as the forms show it.
pub(super) async fn form_of(ctx: &Ctx, device: &Device) -> Result<Form> {
    let (id, serial) = (device.id, device.serial.clone());
    let ties = ctx.app().db.read(move |db| gateways::ties(db, id, &serial)).await?;
    Ok(Form {
        place: device.place_id.map(|id| id.to_string()).unwrap_or_default(),
        resident: device.resident_id.map(|id| id.to_string()).unwrap_or_default(),
        actions: ties.call_actions.join(" "),
    })
}

async fn show(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    let device = seen(&ctx, DEVICES_READ).await?;
    let form = form_of(&ctx, &device).await?;
    render(&ctx, &setup, device, form, &[]).await
}

/// What the address asks for.
#[derive(Clone, Deserialize)]
struct Query {
    #[serde(default)]
    after: String,
    #[serde(flatten)]
    charts: charts::Asked,
}

pub(super) async fn render(
    ctx: &Ctx,
    setup: &Setup,
    device: Device,
    form: Form,
    errors: &[FieldError],
) -> Result<HttpResponse> {
    let asked = ctx.query::<Query>()?;
    let now = ctx.app().clock.now();
    let sees = Sees::of(ctx, &device);
    let is_member = setup.is_member(&device);
    let can_edit = ctx.caller().facilities(DEVICES_WRITE).contains(device.facility_id);
    let upkeep = upkeep::model(ctx, setup, &device).await?;
    let query = asked.clone();
    let mut found = ctx.app().db.read(move |db| look(db, device, sees, &query, now)).await?;
    let zone = found.facility.tz()?;
    let more = cut(&mut found.observations, OBSERVATION_ROWS);
    let last = found.observations.last().filter(|_| more).map(|row| RowPlace::of(row).to_string());
    let (places, residents) =
        if can_edit { bindable(ctx, std::slice::from_ref(&found.facility)).await? } else { (Vec::new(), Vec::new()) };
    let id = found.listed.device.id;
    let series = std::mem::take(&mut found.series);
    let charts = charts::model(ctx, id, found.span, found.span_error.take(), &asked.charts, series);
    let is_refused = !errors.is_empty() || charts.is_refused();
    let page = Page {
        can_edit,
        charts,
        state: found.states.iter().filter_map(|state| state_model(ctx, state)).collect(),
        observations: found.observations.iter().map(|row| observation_model(ctx, row)).collect(),
        older_url: last.map(|last| url(&format!("/devices/{id}"), &[("after", &last)])),
        bindings: binding_models(&found),
        credential: CredentialModel {
            issued_at: found.issued_at,
            // A device speaks with its present credential only.
            last_used_at: found.issued_at.and_then(|issued| found.listed.last_seen_at.filter(|seen| *seen >= issued)),
        },
        gateway: gateway_model(is_member, found.ties),
        form,
        places,
        residents,
        refused: Refused::new(ctx, FIELDS, errors),
        device: facts(ctx, found.facility, found.listed, sees),
        open_incidents: found.incidents,
        upkeep,
    };
    let status = if is_refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    ctx.clone().in_zone(zone).page_with(status, "devices/device", &page)
}

fn facts(ctx: &Ctx, facility: Facility, listed: Listed, sees: Sees) -> Facts {
    let Listed { device, place_label, resident_name, online, last_seen_at, battery_percent, low_battery } = listed;
    let resident = device.resident_id.zip(resident_name).filter(|_| sees.residents);
    Facts {
        id: device.id,
        class_name: say(ctx, Some(words::class_key(&device.class))),
        name: device.name,
        serial: device.serial,
        class: device.class,
        adapter: device.adapter,
        facility: facility.name,
        place: place_label.unwrap_or_default(),
        place_id: device.place_id,
        resident: resident.map(|(id, name)| Person { id, name }),
        online,
        last_at: last_seen_at,
        battery: battery_percent,
        low_battery,
        registered_at: device.created_at,
    }
}

/// Events are among the observations; the figures are readings.
fn state_model(ctx: &Ctx, state: &State) -> Option<StateModel> {
    let value = state.value_micro.filter(|_| words::is_measure(&state.kind))?;
    Some(StateModel {
        measure: state.kind.clone(),
        value: words::decimal(value),
        unit: say(ctx, state.unit.as_deref().and_then(words::unit_key)),
        at: state.observed_at,
        quality: words::quality_key(&state.quality, 0),
    })
}

fn alarms(kind: &str) -> bool {
    EventKind::from_name(kind).and_then(incident_kind).is_some()
}

fn observation_model(ctx: &Ctx, row: &Observation) -> ObservationModel {
    let event_key = words::condition_key(&row.kind, row.active);
    let is_over = row.active == Some(false) && event_key == words::event_key(&row.kind);
    let delay_s = row.received_at.seconds_since(row.observed_at).max(0);
    let value = match row.value_micro {
        Some(micro) => words::decimal(micro),
        None if is_over => say(ctx, Some("devices-event-cleared")),
        // An empty cell beside a valid message would read as if all were well.
        None if row.active == Some(true) && alarms(&row.kind) => say(ctx, Some("devices-event-raised")),
        // A number that no field holds, as it was sent.
        None if event_key.is_none() => row.detail.clone().unwrap_or_default(),
        None => String::new(),
    };
    ObservationModel {
        measure: words::is_measure(&row.kind).then(|| row.kind.clone()),
        event: event_key.map(|_| row.kind.clone()),
        event_key,
        unit: say(ctx, row.unit.as_deref().and_then(words::unit_key)),
        value,
        observed_at: row.observed_at,
        received_at: row.received_at,
        delay_s,
        quality: words::quality_key(&row.quality, delay_s),
    }
}

fn binding_models(found: &Found) -> Vec<BindingModel> {
    let model = |binding: &Binding| BindingModel {
        place: binding.place_id.and_then(|id| found.places.get(&id).cloned()).unwrap_or_else(|| "—".to_owned()),
        resident_name: binding.resident_id.and_then(|id| found.residents.get(&id).cloned()),
        from: binding.bound_at,
        to: binding.unbound_at,
        by: binding.bound_by.and_then(|id| found.users.get(&id).cloned()).unwrap_or_default(),
    };
    found.bindings.iter().map(model).collect()
}

fn gateway_model(is_member: bool, ties: Ties) -> GatewayModel {
    let (serial, name, model) = match ties.named {
        Some(named) => {
            let model = format!("{} {}", named.vendor, named.model).trim().to_owned();
            (Some(named.gateway_serial), Some(named.name), Some(model).filter(|model| !model.is_empty()))
        }
        None => (None, None, None),
    };
    GatewayModel { is_member, serial, name, model, base_topic: ties.base_topic, members: ties.members }
}

async fn set_call_actions(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    let Form { actions, .. } = ctx.form()?;
    let device = seen(&ctx, DEVICES_WRITE).await?;
    let (id, by) = (device.id, Some(ctx.caller().user_id));
    let words: Vec<String> =
        actions.split([' ', ',', '，', '、']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let outcome = ctx.once(move |tx| gateways::set_call_actions(tx, id, &words, by)).await;
    match refused(outcome)? {
        Ok(()) => ctx.redirect(&format!("/devices/{id}")),
        Err(errors) => {
            let form = Form { actions, ..form_of(&ctx, &device).await? };
            render(&ctx, &setup, device, form, &errors).await
        }
    }
}

async fn bind(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let device = seen(&ctx, DEVICES_WRITE).await?;
    let (id, by) = (device.id, Some(ctx.caller().user_id));
    let outcome = match read(&form) {
        Ok((place, resident)) => ctx.once(move |tx| register::bind(tx, id, place, resident, by)).await,
        Err(error) => Err(error),
    };
    match refused(outcome)? {
        Ok(()) => ctx.redirect(&format!("/devices/{id}")),
        Err(errors) => {
            let form = Form { actions: form_of(&ctx, &device).await?.actions, ..form };
            render(&ctx, &setup, device, form, &errors).await
        }
    }
}

fn read(form: &Form) -> Result<(Option<PlaceId>, Option<ResidentId>)> {
    Ok((choice("place", &form.place)?, choice("resident", &form.resident)?))
}

async fn credential(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    let device = seen(&ctx, DEVICES_WRITE).await?;
    setup.expect_credential(&device)?;
    give_credential(&ctx, &setup, device.id).await
}
