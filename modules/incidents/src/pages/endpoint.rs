//! One endpoint: what it is, how its messages fare, a test that says what came back, sending again.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Ctx, Fields, Refused, Route};
use songhe_kernel::{EffectId, Error, FieldError, Moment, Result, Text};
use songhe_registry as registry;

use super::story_lines::state_of;
use crate::endpoints;
use crate::model::{EndpointId, IncidentId};
use crate::module::{INCIDENTS_ACT, LADDERS_READ, LADDERS_WRITE};
use crate::reasons;
use crate::telling::{self, Delivery, Subject};

/// Messages listed, newest first.
const SHOWN: usize = 50;

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(LADDERS_READ), Access::Permission(LADDERS_WRITE));
    let act = Access::Permission(INCIDENTS_ACT);
    vec![
        Route::get("/endpoints/{id}", read, page),
        Route::post("/endpoints/{id}/test", write, test),
        Route::post("/endpoints/{id}/deliveries/{effect}/replay", write, replay),
        Route::post("/incidents/{id}/deliveries/{effect}/replay", act, replay_of_incident),
    ]
}

#[derive(Serialize)]
struct Page {
    id: EndpointId,
    name: String,
    kind: String,
    url: String,
    target: String,
    facility: String,
    enabled: bool,
    recipients: Vec<String>,
    locale: String,
    follow: bool,
    by_phone: bool,
    can_edit: bool,
    /// It was just changed.
    saved: bool,
    /// Its new key, here and nowhere else.
    secret: Option<String>,
    /// The form came a second time: the key was shown.
    secret_shown: bool,
    /// What came back from the test that was just sent.
    test: Option<Line>,
    items: Vec<Line>,
    form: Phone,
    #[serde(flatten)]
    refused: Refused,
}

#[derive(Serialize)]
struct Line {
    id: EffectId,
    occasion: String,
    incident: Option<IncidentId>,
    phone: Option<String>,
    state: &'static str,
    created_at: Moment,
    at: Option<Moment>,
    attempts: i32,
    next_at: Option<Moment>,
    error: Option<String>,
    /// The same in words.
    why: Option<String>,
    number: String,
    again: bool,
}

impl Line {
    fn of(ctx: &Ctx, one: Delivery) -> Self {
        let error = one.error.as_deref().filter(|_| one.status != "delivered");
        Self {
            why: reasons::explain(ctx, error),
            error: error.map(|error| reasons::without_mark(error).to_owned()),
            id: one.effect_id,
            occasion: ctx.say(&Text::key(one.occasion.text_key())),
            incident: one.incident,
            state: state_of(&one),
            created_at: one.created_at,
            at: one.done_at,
            attempts: one.attempts,
            next_at: (one.status == "queued").then_some(one.next_at),
            again: one.may_be_sent_again(),
            number: one.number,
            phone: one.phone,
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Phone {
    phone: String,
}

const FIELDS: Fields = &[("phone", "channels-test-phone")];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Query {
    test: String,
    saved: String,
}

async fn page(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let shown = Shown { test: query.test.parse().ok(), saved: !query.saved.is_empty(), ..Shown::default() };
    show(&ctx, StatusCode::OK, shown, Phone::default(), Vec::new()).await
}

/// What was just done.
#[derive(Default)]
struct Shown {
    test: Option<EffectId>,
    saved: bool,
    secret: Option<String>,
    secret_shown: bool,
}

/// The endpoint with its new key; `None`: it was shown before.
pub(super) async fn show_secret(ctx: &Ctx, secret: Option<String>) -> Result<HttpResponse> {
    let shown = Shown { secret_shown: secret.is_none(), secret, ..Shown::default() };
    show(ctx, StatusCode::OK, shown, Phone::default(), Vec::new()).await
}

async fn show(
    ctx: &Ctx,
    status: StatusCode,
    shown: Shown,
    form: Phone,
    errors: Vec<FieldError>,
) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    let scope = ctx.caller().facilities(LADDERS_READ).clone();
    let (endpoint, facility, mut all) = ctx
        .app()
        .db
        .read(move |db| {
            let endpoint = endpoints::endpoint(db, id)?;
            if !scope.contains(endpoint.facility_id) {
                return Err(Error::NotFound);
            }
            let facility = registry::facility(db, endpoint.facility_id)?.ok_or(Error::NotFound)?;
            Ok((endpoint, facility, telling::of_endpoint(db, id)?))
        })
        .await?;
    let test = all.iter().find(|one| Some(one.effect_id) == shown.test).cloned();
    all.truncate(SHOWN);
    let ctx = ctx.clone().in_zone(facility.tz()?);
    let page = Page {
        id,
        url: endpoint.shown_url(),
        recipients: endpoint.recipients()?,
        by_phone: endpoint.kind()?.is_by_phone(),
        name: endpoint.name,
        kind: endpoint.kind,
        target: endpoint.target,
        facility: facility.name,
        enabled: endpoint.active,
        locale: endpoint.locale,
        follow: endpoint.follow,
        can_edit: ctx.caller().facilities(LADDERS_WRITE).contains(endpoint.facility_id),
        saved: shown.saved,
        secret: shown.secret,
        secret_shown: shown.secret_shown,
        test: test.map(|one| Line::of(&ctx, one)),
        items: all.into_iter().map(|one| Line::of(&ctx, one)).collect(),
        form,
        refused: Refused::new(&ctx, FIELDS, &errors),
    };
    ctx.page_with(status, "incidents/endpoint", &page)
}

/// Sends a test and waits for what comes back, as long as a peer may take.
async fn test(ctx: Ctx) -> Result<HttpResponse> {
    let (id, form): (EndpointId, Phone) = (ctx.id("id")?, ctx.form()?);
    let (scope, phone) = (ctx.caller().facilities(LADDERS_WRITE).clone(), form.phone.clone());
    match ctx.once(move |tx| telling::send_test(tx, &scope, id, Some(&phone))).await {
        Ok(effect) => {
            telling::outcome(&ctx.app().db, effect).await?;
            ctx.redirect(&format!("/endpoints/{id}?test={effect}"))
        }
        Err(Error::Invalid(wrong)) => show(&ctx, StatusCode::UNPROCESSABLE_ENTITY, Shown::default(), form, wrong).await,
        Err(error) => Err(error),
    }
}

async fn replay(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    send_again(&ctx, LADDERS_WRITE, Subject::Endpoint(id)).await?;
    ctx.redirect(&format!("/endpoints/{id}"))
}

async fn replay_of_incident(ctx: Ctx) -> Result<HttpResponse> {
    let id: IncidentId = ctx.id("id")?;
    send_again(&ctx, INCIDENTS_ACT, Subject::Incident(id)).await?;
    ctx.redirect(&format!("/incidents/{id}#deliveries"))
}

/// For pages and API.
pub(crate) async fn send_again(ctx: &Ctx, permission: &str, of: Subject) -> Result<()> {
    let effect: EffectId = ctx.id("effect")?;
    let (scope, by) = (ctx.caller().facilities(permission).clone(), ctx.caller().user_id);
    ctx.once(move |tx| telling::replay(tx, &scope, effect, of, by)).await?;
    ctx.app().db.wakes().effects.notify_one();
    tracing::info!(%effect, %by, "message sent again by hand");
    Ok(())
}
