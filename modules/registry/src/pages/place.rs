//! `/places/{id}`: who and what is there, and its tag to print.

use actix_web::HttpResponse;
use serde::Serialize;
use songhe_kernel::http::{Access, Ctx, Route};
use songhe_kernel::{Error, FacilityId, Result};

use super::qr;
use crate::module::{PLACES_READ, PLACES_WRITE, RESIDENTS_READ};
use crate::panels::{Panel, PanelSlot, PanelSubject, Panels};
use crate::{Place, PlaceId, PlaceKind, ResidentId, Sex, ancestors, facility, place, places_in, residents_at};

pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/places/{id}", Access::Permission(PLACES_READ), show)]
}

/// What other modules add to a page.
#[derive(Serialize)]
pub(super) struct PanelModels {
    top: Vec<Panel>,
    panels: Vec<Panel>,
}

/// Asks the modules above for their parts; a build without any has none.
pub(super) async fn panel_models(ctx: &Ctx, facility: FacilityId, subject: PanelSubject) -> Result<PanelModels> {
    let Ok(sources) = ctx.app().extension::<Panels>() else {
        return Ok(PanelModels { top: Vec::new(), panels: Vec::new() });
    };
    let (caller, now) = (ctx.caller().clone(), ctx.app().clock.now());
    let all = ctx
        .app()
        .db
        .read(move |db| {
            let mut all = Vec::new();
            for source in &sources.0 {
                all.extend(source.panels(db, &caller, facility, subject, now)?);
            }
            Ok(all)
        })
        .await?;
    let (top, panels) = all.into_iter().partition(|panel| panel.slot == PanelSlot::Top);
    Ok(PanelModels { top, panels })
}

#[derive(Serialize)]
struct Step {
    path: String,
    label: String,
}

#[derive(Serialize)]
struct Head {
    id: PlaceId,
    name: String,
    full_name: String,
    kind: PlaceKind,
    facility: String,
}

#[derive(Serialize)]
struct Inner {
    id: PlaceId,
    name: String,
    kind: PlaceKind,
}

#[derive(Serialize)]
struct Lodger {
    id: ResidentId,
    name: String,
    sex: Sex,
    age: Option<u32>,
}

/// The tag: only for those who print it, since whoever brings its code proves to have been there.
#[derive(Serialize)]
struct Tag {
    url: String,
    qr_svg: String,
}

#[derive(Serialize)]
struct PlacePage {
    place: Head,
    up: Vec<Step>,
    tag: Option<Tag>,
    children: Vec<Inner>,
    residents: Vec<Lodger>,
    #[serde(flatten)]
    panels: PanelModels,
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let id: PlaceId = ctx.id("id")?;
    let found = ctx.app().db.read(move |db| place(db, id)).await?.ok_or(Error::NotFound)?;
    ctx.caller().expect_at(PLACES_READ, found.facility_id)?;
    let facility_id = found.facility_id;
    let shows_residents = ctx.caller().facilities(RESIDENTS_READ).contains(facility_id);
    let (home, above, siblings, lodgers) = ctx
        .app()
        .db
        .read(move |db| {
            let home = facility(db, facility_id)?.ok_or(Error::NotFound)?;
            let lodgers = if shows_residents { residents_at(db, id)? } else { Vec::new() };
            Ok((home, ancestors(db, id)?, places_in(db, facility_id)?, lodgers))
        })
        .await?;
    let prints = ctx.caller().facilities(PLACES_WRITE).contains(facility_id);
    let today = ctx.app().clock.now().day_in(home.tz()?);
    let page = PlacePage {
        up: above.into_iter().map(|place| Step { path: format!("/places/{}", place.id), label: place.name }).collect(),
        tag: if prints { Some(tag(&ctx, &found)?) } else { None },
        children: siblings
            .into_iter()
            .filter(|place| place.parent_id == Some(id))
            .map(|place| Inner { id: place.id, name: place.name, kind: place.kind })
            .collect(),
        residents: lodgers
            .into_iter()
            .map(|resident| Lodger {
                age: resident.age_on(today),
                id: resident.id,
                name: resident.name,
                sex: resident.sex,
            })
            .collect(),
        panels: panel_models(&ctx, facility_id, PanelSubject::Place(id)).await?,
        place: Head { id, name: found.name, full_name: found.label, kind: found.kind, facility: home.name.clone() },
    };
    ctx.clone().in_zone(home.tz()?).page("registry/place", &page)
}

fn tag(ctx: &Ctx, place: &Place) -> Result<Tag> {
    let base = match &ctx.app().settings.public_url {
        Some(url) => url.clone(),
        None => {
            let typed = ctx.request().connection_info();
            format!("{}://{}", typed.scheme(), typed.host())
        }
    };
    let url = format!("{base}/t/{}", place.tag_code);
    Ok(Tag { qr_svg: qr::svg(&url)?, url })
}
