//! `/places`: the tree of a facility, and adding to it.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Ctx, Fields, Refused, Route, Section, refused, url};
use songhe_kernel::{FacilityId, FieldError, Result, Text};

use super::form::Reader;
use super::{chosen, facilities_of, facility_choices, menu};
use crate::module::{PLACES_READ, PLACES_WRITE, RESIDENTS_READ};
use crate::residents::residents_by_place;
use crate::{NewPlace, PlaceId, PlaceKind, ResidentId, create_place, places_in};

/// Deeper places are shown at this depth.
const MAX_DEPTH: usize = 5;

pub(super) fn routes() -> Vec<Route> {
    let entry = menu("registry-menu-places", "building", Section::Manage, 20);
    vec![
        Route::get("/places", Access::Permission(PLACES_READ), list).menu(entry),
        Route::post("/places", Access::Permission(PLACES_WRITE), create),
    ]
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct PlaceForm {
    facility: String,
    name: String,
    kind: String,
    parent_id: String,
}

impl PlaceForm {
    const FIELDS: Fields = &[("name", "kernel-name"), ("kind", "kernel-kind"), ("parent_id", "registry-place-parent")];

    fn read(&self, facility_id: FacilityId) -> Result<NewPlace> {
        let mut reader = Reader::default();
        let kind = reader.choice("kind", &self.kind, PlaceKind::parse);
        let parent_id = reader.optional("parent_id", &self.parent_id, |text| text.parse().ok());
        let new = kind.zip(parent_id).map(|(kind, parent_id)| NewPlace {
            facility_id,
            parent_id,
            kind,
            name: self.name.clone(),
            label: None,
        });
        reader.finish(new)
    }
}

#[derive(Serialize)]
struct Node {
    id: PlaceId,
    name: String,
    kind: PlaceKind,
    depth: usize,
    residents: Vec<Lodger>,
}

#[derive(Clone, Serialize)]
struct Lodger {
    id: ResidentId,
    name: String,
}

#[derive(Serialize)]
struct TreePage<'a> {
    items: Vec<Node>,
    facility: String,
    facilities: Vec<Choice>,
    can_edit: bool,
    form: &'a PlaceForm,
    parents: Vec<Choice>,
    kinds: Vec<Choice>,
    #[serde(flatten)]
    refused: Refused,
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Query {
        #[serde(default)]
        facility: String,
    }
    let form = PlaceForm { facility: ctx.query::<Query>()?.facility, ..PlaceForm::default() };
    render(&ctx, &form, &[]).await
}

pub(super) fn kind_key(kind: PlaceKind) -> &'static str {
    match kind {
        PlaceKind::Building => "registry-place-kind-building",
        PlaceKind::Floor => "registry-place-kind-floor",
        PlaceKind::Room => "registry-place-kind-room",
        PlaceKind::Bed => "registry-place-kind-bed",
        PlaceKind::Home => "registry-place-kind-home",
        PlaceKind::Area => "registry-place-kind-area",
    }
}

async fn render(ctx: &Ctx, form: &PlaceForm, errors: &[FieldError]) -> Result<HttpResponse> {
    let facilities = facilities_of(ctx, PLACES_READ).await?;
    let id = chosen(&facilities, &form.facility)?.id;
    let shows_residents = ctx.caller().facilities(RESIDENTS_READ).contains(id);
    let (places, lodgers) = ctx
        .app()
        .db
        .read(move |db| {
            let lodgers = if shows_residents { residents_by_place(db, id)? } else { Vec::new() };
            Ok((places_in(db, id)?, lodgers))
        })
        .await?;
    let mut by_place: HashMap<PlaceId, Vec<Lodger>> = HashMap::new();
    for (place, resident, name) in lodgers {
        by_place.entry(place).or_default().push(Lodger { id: resident, name });
    }
    let can_edit = ctx.caller().facilities(PLACES_WRITE).contains(id);
    let holds = |kind: PlaceKind| PlaceKind::ALL.iter().any(|inner| inner.parents().contains(&kind));
    let page = TreePage {
        parents: places
            .iter()
            .filter(|place| can_edit && holds(place.kind))
            .map(|place| Choice::new(place.id, &place.label))
            .collect(),
        items: places
            .into_iter()
            .map(|place| Node {
                depth: place.depth().min(MAX_DEPTH),
                residents: by_place.remove(&place.id).unwrap_or_default(),
                id: place.id,
                name: place.name,
                kind: place.kind,
            })
            .collect(),
        facility: id.to_string(),
        facilities: facility_choices(&facilities),
        can_edit,
        form,
        kinds: PlaceKind::ALL.iter().map(|kind| Choice::new(kind, ctx.say(&Text::key(kind_key(*kind))))).collect(),
        refused: Refused::new(ctx, PlaceForm::FIELDS, errors),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.page_with(status, "registry/places", &page)
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let form: PlaceForm = ctx.form()?;
    let facilities = facilities_of(&ctx, PLACES_WRITE).await?;
    let facility = chosen(&facilities, &form.facility)?.id;
    let outcome = match form.read(facility) {
        Ok(new) => {
            let actor = Some(ctx.caller().user_id);
            ctx.once(move |tx| create_place(tx, &new, actor)).await
        }
        Err(error) => Err(error),
    };
    match refused(outcome)? {
        Ok(_) => ctx.redirect(&url("/places", &[("facility", &facility.to_string())])),
        Err(errors) => render(&ctx, &form, &errors).await,
    }
}
