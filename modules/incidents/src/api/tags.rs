//! What a phone reads from a room's tag: whoever has its code is there.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::Serialize;
use songhe_kernel::http::{Access, ApiDoc, Ctx, Route};
use songhe_kernel::identity::Scope;
use songhe_kernel::{FacilityId, Result};
use songhe_registry::PlaceId;

use super::incidents::once_or_at_once;
use crate::module::{INCIDENTS_ACT, INCIDENTS_READ};
use crate::resource::{self, Incident};
use crate::{act, lists};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/tags/{tag}", Access::Permission(INCIDENTS_READ), show)
            .doc(ApiDoc::new("The place of a QR or NFC tag, and what is open there").returns::<Tagged>()),
        Route::post("/api/v1/tags/{tag}/arrive", Access::Permission(INCIDENTS_ACT), arrive).doc(
            ApiDoc::new("Say \"I am there\" by a place's tag")
                .description(
                    "Arrives at every incident that is open at the place or within it, and acknowledges those that \
                     nobody has. `tag` is what follows `/t/` in the tag's address.",
                )
                .returns::<Tagged>(),
        ),
    ]
}

/// A tagged place and what is open there.
#[derive(Debug, Serialize, JsonSchema)]
struct Tagged {
    place_id: PlaceId,
    facility_id: FacilityId,
    /// As boards show it: `2号楼 305 室 · 2 床`.
    place: String,
    /// Open there or within it, the longest waiting first.
    incidents: Vec<Incident>,
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let scope = ctx.caller().facilities(INCIDENTS_READ).clone();
    ctx.json_ok(&look(&ctx, scope).await?)
}

async fn arrive(ctx: Ctx) -> Result<HttpResponse> {
    let (tag, by) = (ctx.param("tag").to_owned(), ctx.caller().user_id);
    let scope = ctx.caller().facilities(INCIDENTS_ACT).clone();
    let within = scope.clone();
    once_or_at_once(&ctx, move |tx| act::arrive_at_tag(tx, &tag, &within, by)).await?;
    ctx.json_ok(&look(&ctx, scope).await?)
}

async fn look(ctx: &Ctx, scope: Scope) -> Result<Tagged> {
    let tag = ctx.param("tag").to_owned();
    ctx.app()
        .db
        .read(move |db| {
            let (place, open) = lists::open_at_tag(db, &tag, &scope)?;
            Ok(Tagged {
                place_id: place.id,
                facility_id: place.facility_id,
                place: place.label,
                incidents: resource::incidents(db, open)?,
            })
        })
        .await
}
