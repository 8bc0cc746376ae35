//! Incidents, their handling and their figures.

use actix_web::HttpResponse;
use actix_web::http::header::HeaderName;
use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route, StreamId};
use songhe_kernel::{Error, FacilityId, Moment, Result, Text, Tx, UserId};

use super::stream;
use crate::act::{self, Closing};
use crate::lists::{self, Filter, State};
use crate::model::{IncidentId, Kind, Priority, Row};
use crate::module::{INCIDENTS_ACT, INCIDENTS_READ, INCIDENTS_REVIEW};
use crate::presence;
use crate::resource::{self, Incident, IncidentDetail};
use crate::shift::{self, Metrics};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Figures are made of so many days at most.
const MAX_DAYS: i64 = 366;

pub(super) fn routes() -> Vec<Route> {
    let (read, act) = (Access::Permission(INCIDENTS_READ), Access::Permission(INCIDENTS_ACT));
    vec![
        Route::get("/api/v1/incidents", read, list).doc(
            ApiDoc::new("List incidents, newest first").query::<ListQuery>().returns::<List<Incident>>(),
        ),
        Route::get("/api/v1/incidents/metrics", read, metrics).doc(
            ApiDoc::new("How fast calls are answered")
                .description("Of the incidents of a period; without `from` and `to` of the last 24 hours.")
                .query::<MetricsQuery>()
                .returns::<MetricsAnswer>(),
        ),
        Route::get("/api/v1/incidents/{id}", read, show)
            .doc(ApiDoc::new("An incident with its story, rungs and messages").returns::<IncidentDetail>()),
        Route::post("/api/v1/incidents/{id}/acknowledge", act, acknowledge).doc(
            ApiDoc::new("Say \"I am going\"")
                .description("Silences the incident and stops its ladder. If somebody else was first, `acknowledged_by` tells who.")
                .returns::<Incident>(),
        ),
        Route::post("/api/v1/incidents/{id}/arrive", act, arrive).doc(
            ApiDoc::new("Say \"I am there\"").description("Acknowledges first where nobody has.").returns::<Incident>(),
        ),
        Route::post("/api/v1/incidents/{id}/resolve", act, resolve).doc(
            ApiDoc::new("Close with outcome and follow-up")
                .description("Nothing closes without both. The same words again change nothing; others are a conflict.")
                .body::<Closing>()
                .returns::<Incident>(),
        ),
        Route::post("/api/v1/incidents/{id}/review", Access::Permission(INCIDENTS_REVIEW), review)
            .doc(ApiDoc::new("Review how it was handled").body::<Note>().returns::<Incident>()),
        Route::post("/api/v1/incidents/{id}/note", act, note)
            .doc(ApiDoc::new("Add words to the story").body::<Note>().returns::<Incident>()),
        Route::post("/api/v1/presence", act, say_present).unaudited(presence::WHY_UNAUDITED).doc(
            ApiDoc::new("Say that a board of this session is open")
                .description(
                    "Counts for 25 s, and only while `GET /api/v1/stream` is open in this session, of all its facilities; \
                     without it it is a conflict (409). A rung by board reaches somebody only through a board with its sound on.",
                )
                .body::<Presence>(),
        ),
        Route::get("/api/v1/stream", read, stream::open).doc(stream::doc()),
    ]
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ListStatus {
    Open,
    Closed,
    #[default]
    All,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    status: ListStatus,
    facility: Option<FacilityId>,
    kind: Option<Kind>,
    priority: Option<Priority>,
    /// Raised at or after this.
    from: Option<Moment>,
    /// Raised before this.
    to: Option<Moment>,
    /// `next` of the page before.
    after: Option<IncidentId>,
    /// How many at most.
    #[serde(default)]
    limit: Limit,
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: ListQuery = ctx.query()?;
    let limit = query.limit;
    let filter = Filter {
        state: match query.status {
            ListStatus::Open => State::Open,
            ListStatus::Closed => State::Closed,
            ListStatus::All => State::All,
        },
        kind: query.kind,
        priority: query.priority,
        from: query.from,
        to: query.to,
        after: query.after,
        ..Filter::within(ctx.caller().narrowed(INCIDENTS_READ, query.facility)?)
    };
    let items = ctx
        .app()
        .db
        .read(move |db| {
            let rows = lists::list(db, &filter, limit.rows())?;
            resource::incidents(db, rows)
        })
        .await?;
    ctx.json_ok(&List::part(items, limit, |incident| incident.id))
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let id: IncidentId = ctx.id("id")?;
    let scope = ctx.caller().facilities(INCIDENTS_READ).clone();
    let found = ctx
        .app()
        .db
        .read(move |db| {
            let row = lists::in_scope(db, id, &scope)?;
            resource::detail(db, row)
        })
        .await?;
    ctx.json_ok(&found)
}

/// A person's action: once per `Idempotency-Key`; without one in the lane that telemetry cannot delay.
pub(super) async fn once_or_at_once<F>(ctx: &Ctx, work: F) -> Result<()>
where
    F: Fn(&mut Tx<'_>) -> Result<()> + Send + Sync + 'static,
{
    if ctx.request().headers().contains_key(IDEMPOTENCY_KEY) {
        ctx.once(work).await
    } else {
        ctx.app().db.write_emergency(work).await
    }
}

/// Does something with the incident of the path and answers what became of it.
async fn handle<F>(ctx: Ctx, permission: &str, work: F) -> Result<HttpResponse>
where
    F: Fn(&mut Tx<'_>, IncidentId, UserId) -> Result<Row> + Send + Sync + 'static,
{
    let id: IncidentId = ctx.id("id")?;
    let (scope, by) = (ctx.caller().facilities(permission).clone(), ctx.caller().user_id);
    let within = scope.clone();
    let work = move |tx: &mut Tx<'_>| {
        lists::in_scope(tx.db(), id, &within)?;
        work(tx, id, by).map(drop)
    };
    once_or_at_once(&ctx, work).await?;
    let answer = ctx
        .app()
        .db
        .read(move |db| {
            let row = lists::in_scope(db, id, &scope)?;
            resource::incident(db, row)
        })
        .await?;
    ctx.json_ok(&answer)
}

async fn acknowledge(ctx: Ctx) -> Result<HttpResponse> {
    handle(ctx, INCIDENTS_ACT, act::acknowledge).await
}

async fn arrive(ctx: Ctx) -> Result<HttpResponse> {
    handle(ctx, INCIDENTS_ACT, |tx, id, by| act::arrive(tx, id, by, false)).await
}

async fn resolve(ctx: Ctx) -> Result<HttpResponse> {
    let closing: Closing = ctx.json()?;
    let resolution = closing.check()?;
    handle(ctx, INCIDENTS_ACT, move |tx, id, by| act::resolve(tx, id, by, &resolution)).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Note {
    /// At most 1,000 characters.
    #[serde(default)]
    note: String,
}

async fn review(ctx: Ctx) -> Result<HttpResponse> {
    let body: Note = ctx.json()?;
    handle(ctx, INCIDENTS_REVIEW, move |tx, id, by| act::review(tx, id, by, &body.note)).await
}

async fn note(ctx: Ctx) -> Result<HttpResponse> {
    let body: Note = ctx.json()?;
    handle(ctx, INCIDENTS_ACT, move |tx, id, by| act::note(tx, id, by, &body.note)).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Presence {
    /// Whether its sound is on and can be heard.
    sound: bool,
}

async fn say_present(ctx: Ctx) -> Result<HttpResponse> {
    let body: Presence = ctx.json()?;
    let stream = StreamId::of_session(ctx.caller().session.id);
    presence::say(&ctx, stream, None, body.sound).await?;
    ctx.no_content()
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MetricsQuery {
    facility: Option<FacilityId>,
    /// The first moment of the period.
    from: Option<Moment>,
    /// The first moment after it; at most 366 days later.
    to: Option<Moment>,
}

/// Answer times of a period.
#[derive(Debug, Serialize, JsonSchema)]
struct MetricsAnswer {
    from: Moment,
    to: Moment,
    total: Metrics,
    /// Facilities that had an incident in the period.
    facilities: Vec<Metrics>,
}

async fn metrics(ctx: Ctx) -> Result<HttpResponse> {
    let query: MetricsQuery = ctx.query()?;
    let to = query.to.unwrap_or_else(|| ctx.app().clock.now());
    let from = query.from.unwrap_or_else(|| to.plus_seconds(-86_400));
    if from >= to {
        return Err(Error::field("to", Text::key("error-end-before-start")));
    }
    if to.since(from) > TimeDelta::days(MAX_DAYS) {
        return Err(Error::field("to", Text::key("incidents-error-period").arg("max", MAX_DAYS)));
    }
    let scope = ctx.caller().narrowed(INCIDENTS_READ, query.facility)?;
    let (total, facilities) = ctx.app().db.read(move |db| shift::metrics(db, &scope, from, to)).await?;
    ctx.json_ok(&MetricsAnswer { from, to, total, facilities })
}
