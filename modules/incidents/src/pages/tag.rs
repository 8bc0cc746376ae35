//! What a phone opens from a room's tag: whoever reads it is there.

use std::collections::HashMap;

use actix_web::HttpResponse;
use serde::Serialize;
use songhe_kernel::http::{Access, Ctx, Route};
use songhe_kernel::{Moment, Result};
use songhe_registry::{self as registry, Resident, ResidentId};

use super::detail_words;
use crate::act;
use crate::lists;
use crate::model::{IncidentId, Row, Status};
use crate::module::{INCIDENTS_ACT, INCIDENTS_READ};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/t/{tag}", Access::Permission(INCIDENTS_READ), show),
        Route::post("/t/{tag}/arrive", Access::Permission(INCIDENTS_ACT), arrive),
    ]
}

#[derive(Serialize)]
struct Page {
    place: PlaceModel,
    tag: String,
    open: Vec<Item>,
    to_arrive: usize,
    arrived_at: Option<Moment>,
    board_url: Option<&'static str>,
}

#[derive(Serialize)]
struct PlaceModel {
    id: String,
    name: String,
}

#[derive(Serialize)]
struct Item {
    id: IncidentId,
    kind: String,
    priority: String,
    resident_name: Option<String>,
    detail: String,
    raised_at: Moment,
    state: &'static str,
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(serde::Deserialize)]
    struct Query {
        #[serde(default)]
        arrived: String,
    }
    let (tag, scope) = (ctx.param("tag").to_owned(), ctx.caller().facilities(INCIDENTS_READ).clone());
    let query: Query = ctx.query()?;
    let code = tag.clone();
    let (place, rows, residents, zone) = ctx
        .app()
        .db
        .read(move |db| {
            let (place, rows) = lists::open_at_tag(db, &code, &scope)?;
            let zone = registry::zone_of(db, place.facility_id)?;
            let residents = lists::residents_of(db, &rows)?;
            Ok((place, rows, residents, zone))
        })
        .await?;
    let ctx = ctx.in_zone(zone);
    let me = ctx.caller().user_id;
    let mine = rows.iter().filter(|row| row.arrived_by == Some(me)).filter_map(|row| row.arrived_at).max();
    let may_act = ctx.caller().facilities(INCIDENTS_ACT).contains(place.facility_id);
    let open = rows.iter().map(|row| item(&ctx, row, &residents)).collect::<Result<Vec<_>>>()?;
    let to_arrive = if may_act { open.iter().filter(|item| item.state != "on_site").count() } else { 0 };
    let page = Page {
        place: PlaceModel { id: place.id.to_string(), name: place.label },
        tag,
        open,
        to_arrive,
        arrived_at: mine.filter(|_| !query.arrived.is_empty()),
        board_url: Some("/incidents/board"),
    };
    ctx.page("incidents/tag", &page)
}

fn item(ctx: &Ctx, row: &Row, residents: &HashMap<ResidentId, Resident>) -> Result<Item> {
    Ok(Item {
        id: row.id,
        kind: row.kind.clone(),
        priority: row.priority.clone(),
        resident_name: row.resident_id.and_then(|id| residents.get(&id)).map(|resident| resident.name.clone()),
        detail: detail_words(ctx, row),
        raised_at: row.raised_at,
        state: match row.status()? {
            Status::OnSite => "on_site",
            Status::Acknowledged => "acknowledged",
            _ => "waiting",
        },
    })
}

async fn arrive(ctx: Ctx) -> Result<HttpResponse> {
    let (tag, scope) = (ctx.param("tag").to_owned(), ctx.caller().facilities(INCIDENTS_ACT).clone());
    let (code, by) = (tag.clone(), ctx.caller().user_id);
    ctx.app().db.write_emergency(move |tx| act::arrive_at_tag(tx, &code, &scope, by)).await?;
    ctx.redirect(&format!("/t/{tag}?arrived=1"))
}
