//! `/api/v1/care-beds`. Handlers parse, call one operation and answer; what lies outside the caller's scope is answered
//! as if it did not exist.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use songhe_kernel::{Error, FacilityId, Result, Text};
use songhe_registry::resident;

use crate::beds::{
    BedFilter, CareBed, NewCareBed, Status, care_bed, create_care_bed, list_care_beds, set_care_bed_status,
};
use crate::indicators::{Indicators, indicators};
use crate::{CARE_BEDS_INDICATORS, CARE_BEDS_READ, CARE_BEDS_WRITE, CATALOGUE_CLASS, CareBedId, EMERGENCY_CALL};

pub(crate) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(CARE_BEDS_READ), Access::Permission(CARE_BEDS_WRITE));
    vec![
        Route::get("/api/v1/care-beds", read, list)
            .doc(ApiDoc::new("List family care beds").query::<Query>().returns::<List<CareBed>>()),
        Route::post("/api/v1/care-beds", write, create)
            .doc(ApiDoc::new("Open a family care bed").body::<NewCareBed>().creates::<CareBed>()),
        Route::get("/api/v1/care-beds/indicators", Access::Permission(CARE_BEDS_INDICATORS), figures).doc(
            ApiDoc::new("How emergency calls were answered")
                .description("The catalogue's function 紧急呼叫 with its evidence: calls of the last 30 days.")
                .query::<Narrow>()
                .returns::<Evidence>(),
        ),
        Route::get("/api/v1/care-beds/{id}", read, show).doc(ApiDoc::new("One care bed").returns::<CareBed>()),
        Route::post("/api/v1/care-beds/{id}/status", write, change)
            .doc(ApiDoc::new("Suspend, resume or close a care bed").body::<Change>().returns::<CareBed>()),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Only this facility's.
    facility: Option<FacilityId>,
    /// Only beds with this status.
    status: Option<Status>,
    /// Part of the resident's name or of the address.
    #[serde(default)]
    q: String,
    /// How many at most.
    #[serde(default)]
    limit: Limit,
    /// `next` of the part before.
    after: Option<CareBedId>,
}

/// What a bed becomes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CareBedChange")]
struct Change {
    status: Status,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Narrow {
    /// Only this facility's.
    facility: Option<FacilityId>,
}

/// A function of the national catalogue and what running data says of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CareBedEvidence")]
struct Evidence {
    /// `7.1`.
    catalogue_class: &'static str,
    /// 紧急呼叫.
    function: &'static str,
    /// In words, in the caller's language.
    evidence: String,
    #[serde(flatten)]
    figures: Indicators,
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let filter = BedFilter {
        scope: ctx.caller().narrowed(CARE_BEDS_READ, query.facility)?,
        status: query.status,
        text: query.q,
        after: query.after,
    };
    let rows = ctx.app().db.read(move |db| list_care_beds(db, &filter, query.limit.rows())).await?;
    let items = rows.into_iter().map(|(bed, ..)| bed).collect();
    ctx.json_ok(&List::part(items, query.limit, |bed: &CareBed| bed.id))
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let new: NewCareBed = ctx.json()?;
    let (id, scope) = (new.resident_id, ctx.caller().facilities(CARE_BEDS_WRITE).clone());
    let found = ctx.app().db.read(move |db| resident(db, id)).await?;
    // Somebody else's resident is refused like nobody's.
    if !found.is_some_and(|resident| scope.contains(resident.facility_id)) {
        return Err(Error::NotFound);
    }
    let actor = Some(ctx.caller().user_id);
    let id = ctx.once(move |tx| create_care_bed(tx, &new, actor)).await?;
    ctx.created(&find(&ctx, id).await?)
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let bed = seen(&ctx, CARE_BEDS_READ).await?;
    ctx.json_ok(&bed)
}

async fn change(ctx: Ctx) -> Result<HttpResponse> {
    let Change { status } = ctx.json()?;
    let id = seen(&ctx, CARE_BEDS_WRITE).await?.id;
    let actor = Some(ctx.caller().user_id);
    ctx.once(move |tx| set_care_bed_status(tx, id, status, actor)).await?;
    ctx.json_ok(&find(&ctx, id).await?)
}

async fn figures(ctx: Ctx) -> Result<HttpResponse> {
    let Narrow { facility } = ctx.query()?;
    let scope = ctx.caller().narrowed(CARE_BEDS_INDICATORS, facility)?;
    let now = ctx.app().clock.now();
    let figures = ctx.app().db.read(move |db| indicators(db, &scope, now)).await?;
    ctx.json_ok(&Evidence {
        catalogue_class: CATALOGUE_CLASS,
        function: EMERGENCY_CALL.name,
        evidence: ctx.say(&Text::key(EMERGENCY_CALL.evidence_key)),
        figures,
    })
}

/// The bed of the path, if it exists for this caller.
async fn seen(ctx: &Ctx, permission: &str) -> Result<CareBed> {
    let bed = find(ctx, ctx.id("id")?).await?;
    ctx.caller().expect_at(permission, bed.facility_id)?;
    Ok(bed)
}

async fn find(ctx: &Ctx, id: CareBedId) -> Result<CareBed> {
    ctx.app().db.read(move |db| care_bed(db, id)?.ok_or(Error::NotFound)).await
}
