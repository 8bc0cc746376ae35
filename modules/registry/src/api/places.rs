//! `/api/v1/places`.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use songhe_kernel::{Error, FacilityId, Result};

use crate::module::{PLACES_READ, PLACES_WRITE};
use crate::{NewPlace, Place, PlaceId, PlaceKind, create_place, list_places, place};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/places", Access::Permission(PLACES_READ), list)
            .doc(ApiDoc::new("List places").query::<Query>().returns::<List<PlaceBody>>()),
        Route::post("/api/v1/places", Access::Permission(PLACES_WRITE), create)
            .doc(ApiDoc::new("Add a place").body::<NewPlace>().creates::<PlaceBody>()),
        Route::get("/api/v1/places/{id}", Access::Permission(PLACES_READ), show)
            .doc(ApiDoc::new("One place").returns::<PlaceBody>()),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Only this facility's.
    facility: Option<FacilityId>,
    /// How many at most.
    #[serde(default)]
    limit: Limit,
    /// `next` of the part before.
    after: Option<PlaceId>,
}

/// A building, floor, room, bed, home or area.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Place")]
struct PlaceBody {
    id: PlaceId,
    facility_id: FacilityId,
    parent_id: Option<PlaceId>,
    kind: PlaceKind,
    /// Its own part: `2 床`.
    name: String,
    /// The whole path as boards show it: `2号楼 305 室 · 2 床`.
    label: String,
    /// The code on its QR or NFC tag; `null` for callers who may not print tags.
    tag_code: Option<String>,
}

impl PlaceBody {
    fn new(ctx: &Ctx, place: Place) -> Self {
        let prints = ctx.caller().facilities(PLACES_WRITE).contains(place.facility_id);
        Self {
            id: place.id,
            facility_id: place.facility_id,
            parent_id: place.parent_id,
            kind: place.kind,
            name: place.name,
            label: place.label,
            tag_code: prints.then_some(place.tag_code),
        }
    }
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let scope = ctx.caller().narrowed(PLACES_READ, query.facility)?;
    let rows = ctx.app().db.read(move |db| list_places(db, &scope, query.after, query.limit.rows())).await?;
    let items = rows.into_iter().map(|place| PlaceBody::new(&ctx, place)).collect();
    ctx.json_ok(&List::part(items, query.limit, |place: &PlaceBody| place.id))
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let new: NewPlace = ctx.json()?;
    ctx.caller().expect_at(PLACES_WRITE, new.facility_id)?;
    let actor = Some(ctx.caller().user_id);
    let id = ctx.once(move |tx| create_place(tx, &new, actor)).await?;
    ctx.created(&find(&ctx, id).await?)
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let body = find(&ctx, ctx.id("id")?).await?;
    ctx.caller().expect_at(PLACES_READ, body.facility_id)?;
    ctx.json_ok(&body)
}

async fn find(ctx: &Ctx, id: PlaceId) -> Result<PlaceBody> {
    let place = ctx.app().db.read(move |db| place(db, id)).await?.ok_or(Error::NotFound)?;
    Ok(PlaceBody::new(ctx, place))
}
