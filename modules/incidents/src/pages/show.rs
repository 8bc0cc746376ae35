//! One incident: what it is, its whole story, and what people do with it.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use songhe_kernel::audit::AuditEntry;
use songhe_kernel::http::{Access, Choice, Ctx, Refused, Route};
use songhe_kernel::identity::Scope;
use songhe_kernel::vault::{PersonKeys, Vault, mask};
use songhe_kernel::{Db, Error, FieldError, Moment, Result, Text, Tx, UserId};
use songhe_registry::{self as registry, Contact, Resident, ResidentStatus};

use super::story_lines::{self, DeliveryLine, Line};
use super::{ResidentModel, cause, detail_words, resident_now};
use crate::act::{self, Closing, FollowUp};
use crate::climb;
use crate::lists::{self, Filter, Names};
use crate::model::{EndpointId, Entry, IncidentId, Kind, Outcome, Row, RungRow, RungState, Status};
use crate::module::{INCIDENTS_ACT, INCIDENTS_READ, INCIDENTS_REVIEW};
use crate::resource::device_id;
use crate::story::{self, Fact};
use crate::telling::{self, Delivery};

/// Incidents offered as "the same event", and how far back they are looked for.
const OTHERS: i64 = 20;
const OTHERS_WITHIN_S: i64 = 2 * 86_400;

pub(super) fn routes() -> Vec<Route> {
    let act = Access::Permission(INCIDENTS_ACT);
    vec![
        Route::get("/incidents/{id}", Access::Permission(INCIDENTS_READ), page),
        Route::post("/incidents/{id}/acknowledge", act, acknowledge),
        Route::post("/incidents/{id}/arrive", act, arrive),
        Route::post("/incidents/{id}/resolve", act, resolve),
        Route::post("/incidents/{id}/note", act, note),
        Route::post("/incidents/{id}/review", Access::Permission(INCIDENTS_REVIEW), review),
    ]
}

#[derive(Serialize)]
struct Page {
    incident: IncidentModel,
    can_act: bool,
    can_review: bool,
    can_note: bool,
    steps: Vec<Step>,
    story: Vec<Line>,
    cause: Option<Cause>,
    deliveries: Vec<DeliveryLine>,
    contacts: Vec<ContactModel>,
    resolution: Option<ResolutionModel>,
    review: Option<Review>,
    form: Form,
    others: Vec<Choice>,
    #[serde(flatten)]
    refused: Refused,
}

#[derive(Serialize)]
struct IncidentModel {
    id: IncidentId,
    kind: String,
    priority: String,
    status: String,
    place: String,
    source: String,
    detail: String,
    presses: i32,
    raised_at: Moment,
    observed_at: Moment,
    received_at: Option<String>,
    delayed_s: Option<i64>,
    unanswered: bool,
    exhausted: bool,
    resident: Option<ResidentModel>,
    place_id: Option<String>,
    device: Option<Device>,
    rule: Option<String>,
    facility: String,
}

#[derive(Serialize)]
struct Device {
    id: String,
    name: String,
    serial: String,
}

#[derive(Serialize)]
struct Step {
    key: &'static str,
    at: Option<Moment>,
    after_s: Option<i64>,
}

#[derive(Serialize)]
struct Cause {
    measure: Option<String>,
    event: Option<String>,
    value: String,
    unit: String,
    observed_at: Option<String>,
    received_at: String,
    quality: &'static str,
    adapter: String,
    dedupe: String,
    raw: Option<String>,
}

#[derive(Serialize)]
struct ContactModel {
    rank: i16,
    name: String,
    relation: String,
    /// In full while the incident is open: to be called at once. Masked afterwards.
    phone: String,
    full: bool,
}

#[derive(Serialize)]
struct ResolutionModel {
    outcome: Outcome,
    action: String,
    follow_up: Option<String>,
    follow_up_due: Option<NaiveDate>,
    by: String,
    at: Option<Moment>,
    duplicate_of: Option<IncidentId>,
}

#[derive(Serialize)]
struct Review {
    note: String,
    by: String,
    at: Moment,
}

/// As the page posts it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Form {
    outcome: String,
    action: String,
    follow_up: String,
    follow_up_text: String,
    follow_up_due: String,
    duplicate_of: String,
}

/// Field of [`Closing`], field of the form, its label.
const FIELDS: [(&str, &str, &str); 6] = [
    ("outcome", "outcome", "incidents-outcome"),
    ("duplicate_of", "duplicate_of", "incidents-duplicate-of"),
    ("note", "action", "incidents-what-done"),
    ("follow_up_kind", "follow_up", "incidents-follow-up"),
    ("follow_up", "follow_up_text", "incidents-follow-up-text"),
    ("follow_up_due", "follow_up_due", "incidents-follow-up-due"),
];

impl Form {
    /// # Errors
    /// `Invalid` for a day or an incident that cannot be read.
    fn closing(&self) -> Result<Closing> {
        let mut wrong = Vec::new();
        let due = self.follow_up_due.trim();
        let follow_up_due = NaiveDate::parse_from_str(due, "%Y-%m-%d").ok();
        if follow_up_due.is_none() && !due.is_empty() && self.follow_up == "needed" {
            wrong.push(FieldError::new("follow_up_due", Text::key("error-invalid-date")));
        }
        let other = self.duplicate_of.trim();
        let duplicate_of = other.parse().ok();
        if duplicate_of.is_none() && !other.is_empty() && self.outcome == Outcome::Duplicate.as_str() {
            wrong.push(FieldError::new("duplicate_of", Text::key("error-unknown-choice")));
        }
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        Ok(Closing {
            outcome: Outcome::parse(&self.outcome),
            note: self.action.clone(),
            follow_up_kind: match self.follow_up.as_str() {
                "none" => Some(FollowUp::None),
                "needed" => Some(FollowUp::Needed),
                _ => None,
            },
            follow_up: self.follow_up_text.clone(),
            follow_up_due,
            duplicate_of,
        })
    }
}

/// What the page is made from, read in one connection.
struct Facts {
    row: Row,
    zone: chrono_tz::Tz,
    facility: String,
    entries: Vec<Entry>,
    rungs: Vec<RungRow>,
    messages: Vec<Delivery>,
    endpoints: HashMap<EndpointId, String>,
    names: Names,
    resident: Option<(Resident, ResidentStatus)>,
    contacts: Vec<Contact>,
    keys: PersonKeys,
    others: Vec<Row>,
}

fn read((vault, now): (&Vault, Moment), db: &mut Db, id: IncidentId, scope: &Scope, may_act: &Scope) -> Result<Facts> {
    let row = lists::in_scope(db, id, scope)?;
    let facility = registry::facility(db, row.facility_id)?.ok_or(Error::NotFound)?;
    let entries = story::entries(db, id)?;
    let actors = entries.iter().map(|entry| entry.actor_id);
    let users = actors.chain([row.acknowledged_by, row.arrived_by, row.resolved_by]).collect::<Vec<_>>();
    // Whoever may go there may also call the family.
    let contacts = match row.resident_id {
        Some(id) if may_act.contains(row.facility_id) => registry::contacts(db, id)?,
        _ => Vec::new(),
    };
    let keys = vault.keys(db, contacts.iter().filter_map(|contact| contact.phone.as_ref()))?;
    let others = Filter {
        from: Some(row.raised_at.plus_seconds(-OTHERS_WITHIN_S)),
        ..Filter::within(Scope::Only(vec![row.facility_id]))
    };
    Ok(Facts {
        zone: facility.tz()?,
        facility: facility.name,
        entries,
        rungs: climb::rungs(db, id, row.round)?,
        messages: telling::messages(db, id)?,
        endpoints: story_lines::endpoint_names(db, row.facility_id)?,
        names: lists::names(db, users)?,
        resident: resident_now(db, row.resident_id, now)?,
        contacts,
        keys,
        others: lists::list(db, &others, OTHERS + 1)?,
        row,
    })
}

async fn page(ctx: Ctx) -> Result<HttpResponse> {
    show(ctx, StatusCode::OK, Form::default(), Vec::new()).await
}

async fn show(ctx: Ctx, status: StatusCode, form: Form, errors: Vec<FieldError>) -> Result<HttpResponse> {
    let id: IncidentId = ctx.id("id")?;
    let scope = ctx.caller().facilities(INCIDENTS_READ).clone();
    let may_act = ctx.caller().facilities(INCIDENTS_ACT).clone();
    let (now, vault) = (ctx.app().clock.now(), ctx.app().db.vault());
    let facts = ctx.app().db.read(move |db| read((&vault, now), db, id, &scope, &may_act)).await?;
    note_numbers(&ctx, &facts).await?;
    let ctx = ctx.in_zone(facts.zone);
    let page = model(&ctx, facts, form, &errors)?;
    ctx.page_with(status, "incidents/show", &page)
}

/// An incident on hand is a reason of its own to see the family's numbers: nothing stands between a nurse and a call.
/// That they were seen is written down; should that fail, they are shown all the same.
async fn note_numbers(ctx: &Ctx, facts: &Facts) -> Result<()> {
    let (row, about) = (&facts.row, facts.row.resident_id);
    let (Some(resident), true) = (about, facts.contacts.iter().any(|contact| contact.phone.is_some())) else {
        return Ok(());
    };
    if !row.status()?.is_open() {
        return Ok(());
    }
    let entry = AuditEntry::new("residents.unmask", resident).at(row.facility_id).about(resident.0);
    let entry = entry.after(json!({ "fields": ["contacts.phone"] })).because(row.id.to_string());
    if let Err(error) = ctx.audit_read(entry).await {
        tracing::error!(incident = %row.id, %error, "numbers are shown for a call, and that could not be written down");
    }
    Ok(())
}

fn model(ctx: &Ctx, facts: Facts, form: Form, errors: &[FieldError]) -> Result<Page> {
    let row = &facts.row;
    let status = row.status()?;
    let here = |permission| ctx.caller().facilities(permission).contains(row.facility_id);
    Ok(Page {
        incident: incident(ctx, &facts)?,
        can_act: here(INCIDENTS_ACT) && status.is_open(),
        can_review: here(INCIDENTS_REVIEW) && status == Status::Resolved,
        can_note: here(INCIDENTS_ACT),
        steps: steps(&facts),
        story: story_lines::lines(ctx, facts.zone, row, &facts.entries, &facts.rungs, &facts.names)?,
        cause: cause_model(row),
        deliveries: story_lines::deliveries(ctx, &facts.rungs, &facts.messages, &facts.endpoints)?,
        contacts: facts.contacts.iter().filter_map(|one| contact(ctx, one, &facts.keys, status.is_open())).collect(),
        resolution: resolution(&facts)?,
        review: review_model(&facts)?,
        others: others(ctx, &facts),
        form,
        refused: Refused::of(ctx, &FIELDS, errors),
    })
}

fn incident(ctx: &Ctx, facts: &Facts) -> Result<IncidentModel> {
    let row = &facts.row;
    let unanswered = row.status()?.is_unanswered();
    let waiting = facts.rungs.iter().any(|rung| rung.state == RungState::Waiting.as_str());
    let cause = cause(row);
    let text = |name: &str| cause.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let today = ctx.app().clock.now().day_in(facts.zone);
    let rule = cause.get("rule").and_then(|rule| rule.as_str().or(rule.get("words").and_then(Value::as_str)));
    Ok(IncidentModel {
        id: row.id,
        kind: row.kind.clone(),
        priority: row.priority.clone(),
        status: row.status.clone(),
        place: row.place_label.clone(),
        source: row.source.clone(),
        detail: detail_words(ctx, row),
        presses: row.presses,
        raised_at: row.raised_at,
        observed_at: row.observed_at,
        received_at: moment(&cause, "received_at"),
        delayed_s: row.delayed_s,
        unanswered,
        exhausted: unanswered && !waiting,
        resident: facts.resident.as_ref().map(|(one, status)| ResidentModel::of(ctx, one, today).with(ctx, *status)),
        place_id: row.place_id.map(|id| id.to_string()),
        device: row.device_id.map(|id| Device {
            id: device_id(id),
            name: if text("device_name").is_empty() { row.source.clone() } else { text("device_name") },
            serial: text("serial"),
        }),
        rule: rule.map(str::to_owned),
        facility: facts.facility.clone(),
    })
}

/// A field of the cause that the page shows as a time.
fn moment(cause: &Value, name: &str) -> Option<String> {
    let text = cause.get(name)?.as_str()?;
    text.parse::<Moment>().ok().map(|moment| moment.to_string())
}

fn cause_model(row: &Row) -> Option<Cause> {
    let cause = cause(row);
    let kind = cause.get("kind")?.as_str()?.to_owned();
    // Only what a device observed is shown here.
    cause.get("device")?;
    let text = |name: &str| match cause.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let is_event = cause.get("event").and_then(Value::as_bool).unwrap_or(Kind::parse(&kind).is_some());
    Some(Cause {
        measure: (!is_event).then(|| kind.clone()),
        event: is_event.then_some(kind),
        value: text("value"),
        unit: text("unit"),
        observed_at: moment(&cause, "observed_at"),
        received_at: moment(&cause, "received_at").unwrap_or_else(|| row.raised_at.to_string()),
        quality: match text("quality").as_str() {
            "invalid" => "invalid",
            _ if row.delayed_s.is_some() => "late",
            _ => "ok",
        },
        adapter: text("adapter"),
        dedupe: text("message_id"),
        raw: Some(text("raw")).filter(|raw| !raw.is_empty()),
    })
}

fn steps(facts: &Facts) -> Vec<Step> {
    let row = &facts.row;
    let all = [
        ("raised", Some(row.raised_at)),
        ("notified", row.notified_at),
        ("acknowledged", row.acknowledged_at),
        ("on_site", row.arrived_at),
        ("resolved", row.resolved_at),
    ];
    all.map(|(key, at)| Step { key, at, after_s: at.map(|at| at.seconds_since(row.raised_at)).filter(|s| *s > 0) })
        .into()
}

fn contact(ctx: &Ctx, contact: &Contact, keys: &PersonKeys, open: bool) -> Option<ContactModel> {
    let number = contact.number()?.open(keys);
    let mask = if open { str::to_owned } else { mask::phone };
    Some(ContactModel {
        full: open && number.instead().is_none(),
        phone: number.masked(mask, |key| ctx.say(&Text::key(key))),
        rank: contact.rank,
        name: contact.name.clone(),
        relation: contact.relation.clone(),
    })
}

fn resolution(facts: &Facts) -> Result<Option<ResolutionModel>> {
    let row = &facts.row;
    let by = row.resolved_by.and_then(|id| facts.names.get(&id)).cloned().unwrap_or_default();
    Ok(row.resolution()?.map(|resolution| ResolutionModel {
        outcome: resolution.outcome,
        action: resolution.note,
        follow_up: resolution.follow_up,
        follow_up_due: resolution.follow_up_due,
        by,
        at: row.resolved_at,
        duplicate_of: resolution.duplicate_of,
    }))
}

fn review_model(facts: &Facts) -> Result<Option<Review>> {
    let Some(entry) = facts.entries.iter().rev().find(|entry| entry.kind == "reviewed") else { return Ok(None) };
    let by = entry.actor_id.and_then(|id| facts.names.get(&id)).cloned().unwrap_or_default();
    Ok(match serde_json::from_str(&entry.data)? {
        Fact::Reviewed { note } => Some(Review { note, by, at: entry.at }),
        _ => None,
    })
}

fn others(ctx: &Ctx, facts: &Facts) -> Vec<Choice> {
    let mut kinds: HashMap<&str, String> = HashMap::new();
    for kind in Kind::ALL {
        kinds.insert(kind.as_str(), ctx.say(&Text::key(kind.text_key())));
    }
    let label = |row: &Row| {
        let kind = kinds.get(row.kind.as_str()).map_or("", String::as_str);
        format!("{} {kind} {}", super::civil(row.raised_at, facts.zone), row.place_label)
    };
    let not_this = facts.others.iter().filter(|row| row.id != facts.row.id);
    not_this.map(|row| Choice::new(row.id.to_string(), label(row))).collect()
}

/// Does something with the incident of the path, in the lane that telemetry cannot delay.
async fn handle<F>(ctx: &Ctx, permission: &str, work: F) -> Result<IncidentId>
where
    F: Fn(&mut Tx<'_>, IncidentId, UserId) -> Result<Row> + Send + Sync + 'static,
{
    let id: IncidentId = ctx.id("id")?;
    let (scope, by) = (ctx.caller().facilities(permission).clone(), ctx.caller().user_id);
    ctx.app()
        .db
        .write_emergency(move |tx| {
            lists::in_scope(tx.db(), id, &scope)?;
            work(tx, id, by).map(|row| row.id)
        })
        .await
}

async fn acknowledge(ctx: Ctx) -> Result<HttpResponse> {
    let id = handle(&ctx, INCIDENTS_ACT, act::acknowledge).await?;
    ctx.redirect(&format!("/incidents/{id}"))
}

async fn arrive(ctx: Ctx) -> Result<HttpResponse> {
    let id = handle(&ctx, INCIDENTS_ACT, |tx, id, by| act::arrive(tx, id, by, false)).await?;
    ctx.redirect(&format!("/incidents/{id}"))
}

async fn resolve(ctx: Ctx) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let checked = form.closing().and_then(|closing| closing.check());
    let done = match checked {
        Ok(resolution) => handle(&ctx, INCIDENTS_ACT, move |tx, id, by| act::resolve(tx, id, by, &resolution)).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(id) => ctx.redirect(&format!("/incidents/{id}")),
        Err(Error::Invalid(wrong)) => show(ctx, StatusCode::UNPROCESSABLE_ENTITY, form, wrong).await,
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct Note {
    #[serde(default)]
    note: String,
}

/// Adds words to the story; sent twice, they stand there once.
async fn note(ctx: Ctx) -> Result<HttpResponse> {
    let form: Note = ctx.form()?;
    let id: IncidentId = ctx.id("id")?;
    let (scope, by) = (ctx.caller().facilities(INCIDENTS_ACT).clone(), ctx.caller().user_id);
    ctx.once(move |tx| {
        lists::in_scope(tx.db(), id, &scope)?;
        act::note(tx, id, by, &form.note).map(drop)
    })
    .await?;
    ctx.redirect(&format!("/incidents/{id}"))
}

async fn review(ctx: Ctx) -> Result<HttpResponse> {
    let form: Note = ctx.form()?;
    let id = handle(&ctx, INCIDENTS_REVIEW, move |tx, id, by| act::review(tx, id, by, &form.note)).await?;
    ctx.redirect(&format!("/incidents/{id}"))
}
