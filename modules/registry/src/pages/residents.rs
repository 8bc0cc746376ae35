//! `/residents`: list, search, entry; a resident's page with contacts, and the move to another place.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Ctx, Fields, Refused, Route, Section, cursor, cut, refused, url};
use songhe_kernel::{Db, Error, FacilityId, FieldError, Moment, Result, Text};

use super::form::{Reader, given};
use super::place::{PanelModels, panel_models};
use super::record_words::{Fact, record_facts, unless_present};
use super::{PAGE_ROWS, chosen, facilities_of, facility_choices, looked_at, menu};
use crate::module::{RESIDENTS_READ, RESIDENTS_UNMASK, RESIDENTS_WRITE};
use crate::panels::PanelSubject;
use crate::sealed::{Show, note_unmasking, shown};
use crate::{
    Contact, ContactId, Facility, NewContact, NewResident, PlaceId, PlaceKind, Resident, ResidentFilter, ResidentId,
    ResidentStatus, Sex, add_contact, contacts, create_resident, facility, find_residents, move_resident,
    photo_changed_at, place, places_in, record, resident, status_on, statuses_on,
};

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(RESIDENTS_READ), Access::Permission(RESIDENTS_WRITE));
    vec![
        Route::get("/residents", read, list).menu(menu("registry-menu-residents", "users", Section::Work, 30)),
        Route::post("/residents", write, create),
        Route::get("/residents/new", write, show_new),
        Route::get("/residents/{id}", read, show),
        Route::post("/residents/{id}/move", write, go),
        Route::post("/residents/{id}/contacts", write, create_contact),
        Route::post("/residents/{id}/unmask", Access::Permission(RESIDENTS_UNMASK), unmask),
    ]
}

#[derive(Serialize)]
struct ListPage {
    items: Vec<Row>,
    q: String,
    facility: String,
    facilities: Vec<Choice>,
    filtered: bool,
    can_edit: bool,
    first_url: Option<String>,
    next_url: Option<String>,
}

#[derive(Serialize)]
struct Row {
    id: ResidentId,
    name: String,
    sex: Sex,
    age: Option<u32>,
    place: String,
    facility: String,
    /// In words; empty: present.
    status: String,
    notes: Vec<String>,
}

/// What carers should know at a glance, in words.
fn notes(ctx: &Ctx, resident: &Resident) -> Vec<String> {
    let level = match resident.ability_level {
        Some(1) => Some("registry-ability-1"),
        Some(2) => Some("registry-ability-2"),
        Some(3) => Some("registry-ability-3"),
        Some(4) => Some("registry-ability-4"),
        _ => None,
    };
    let keys = [
        resident.living_alone.then_some("registry-living-alone"),
        resident.fall_risk_high.then_some("registry-fall-risk-high"),
        level,
    ];
    keys.into_iter().flatten().map(|key| ctx.say(&Text::key(key))).collect()
}

fn age(resident: &Resident, facility: &Facility, now: Moment) -> Result<Option<u32>> {
    Ok(resident.age_on(now.day_in(facility.tz()?)))
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Query {
        #[serde(default)]
        q: String,
        #[serde(default)]
        facility: String,
        #[serde(default)]
        after: String,
    }
    let query: Query = ctx.query()?;
    let facilities = facilities_of(&ctx, RESIDENTS_READ).await?;
    let filter = ResidentFilter {
        scope: looked_at(&ctx, RESIDENTS_READ, &query.facility)?,
        name: query.q.clone(),
        after: cursor(&query.after)?,
    };
    let now = ctx.app().clock.now();
    let vault = ctx.app().db.vault();
    let read = move |db: &mut Db| {
        let rows = find_residents(&vault, db, &filter, PAGE_ROWS + 1)?;
        let ids: Vec<ResidentId> = rows.iter().map(|(resident, _)| resident.id).collect();
        Ok((rows, statuses_on(db, &ids, now)?))
    };
    let (mut rows, statuses) = ctx.app().db.read(read).await?;
    let more = cut(&mut rows, PAGE_ROWS);
    let statuses: HashMap<ResidentId, ResidentStatus> =
        statuses.into_iter().map(|(id, then)| (id, then.status)).collect();
    let by_id: HashMap<FacilityId, &Facility> = facilities.iter().map(|facility| (facility.id, facility)).collect();
    let mut items = Vec::with_capacity(rows.len());
    for (resident, label) in rows {
        let home = by_id.get(&resident.facility_id).ok_or(Error::NotFound)?;
        items.push(Row {
            notes: notes(&ctx, &resident),
            age: age(&resident, home, now)?,
            status: unless_present(&ctx, statuses.get(&resident.id).copied()),
            id: resident.id,
            name: resident.name,
            sex: resident.sex,
            place: label.unwrap_or_default(),
            facility: home.short_name.clone(),
        });
    }
    let at = |after: &str| url("/residents", &[("q", &query.q), ("facility", &query.facility), ("after", after)]);
    let next_url = items.last().filter(|_| more).map(|row| at(&row.id.to_string()));
    ctx.page(
        "registry/residents",
        &ListPage {
            items,
            facilities: facility_choices(&facilities),
            filtered: !query.q.trim().is_empty() || !query.facility.is_empty(),
            can_edit: ctx.caller().can(RESIDENTS_WRITE),
            first_url: (!query.after.is_empty()).then(|| at("")),
            next_url,
            q: query.q,
            facility: query.facility,
        },
    )
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct ResidentForm {
    facility_id: String,
    place_id: String,
    name: String,
    sex: String,
    birth_date: String,
    ability_level: String,
    living_alone: String,
    fall_risk_high: String,
    phone: String,
}

impl ResidentForm {
    const FIELDS: Fields = &[
        ("facility_id", "registry-facility"),
        ("place_id", "registry-place"),
        ("name", "registry-name"),
        ("sex", "registry-sex"),
        ("birth_date", "registry-born"),
        ("ability_level", "registry-ability"),
        ("phone", "registry-phone"),
    ];

    fn read(&self, facility_id: FacilityId) -> Result<NewResident> {
        let mut reader = Reader::default();
        let sex = reader.choice("sex", &self.sex, Sex::parse);
        let birth_date = reader.optional_date("birth_date", &self.birth_date);
        let place_id = reader.optional("place_id", &self.place_id, |text| text.parse().ok());
        let ability_level = reader.optional("ability_level", &self.ability_level, |text| text.parse().ok());
        let new = (|| {
            Some(NewResident {
                facility_id,
                place_id: place_id?,
                name: self.name.clone(),
                sex: sex?,
                birth_date: birth_date?,
                ability_level: ability_level?,
                living_alone: !self.living_alone.is_empty(),
                fall_risk_high: !self.fall_risk_high.is_empty(),
                phone: given(&self.phone),
            })
        })();
        reader.finish(new)
    }
}

#[derive(Serialize)]
struct FormPage<'a> {
    form: &'a ResidentForm,
    facilities: Vec<Choice>,
    places: Vec<Choice>,
    sexes: Vec<Choice>,
    abilities: Vec<Choice>,
    #[serde(flatten)]
    refused: Refused,
}

async fn show_new(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Query {
        #[serde(default)]
        facility: String,
    }
    let form = ResidentForm { facility_id: ctx.query::<Query>()?.facility, ..ResidentForm::default() };
    render_form(&ctx, form, &[]).await
}

fn sex_key(sex: Sex) -> &'static str {
    match sex {
        Sex::Male => "registry-sex-male",
        Sex::Female => "registry-sex-female",
        Sex::Unknown => "registry-sex-unknown",
    }
}

async fn render_form(ctx: &Ctx, mut form: ResidentForm, errors: &[FieldError]) -> Result<HttpResponse> {
    let facilities = facilities_of(ctx, RESIDENTS_WRITE).await?;
    let id = chosen(&facilities, &form.facility_id)?.id;
    form.facility_id = id.to_string();
    let sex = |sex: &Sex| Choice::new(sex, ctx.say(&Text::key(sex_key(*sex))));
    let page = FormPage {
        facilities: facility_choices(&facilities),
        places: free_places(ctx, id, None).await?,
        sexes: Sex::ALL.iter().map(sex).collect(),
        abilities: [
            (0, "registry-ability-0"),
            (1, "registry-ability-1"),
            (2, "registry-ability-2"),
            (3, "registry-ability-3"),
            (4, "registry-ability-4"),
        ]
        .map(|(level, key)| Choice::new(level, ctx.say(&Text::key(key))))
        .to_vec(),
        refused: Refused::new(ctx, ResidentForm::FIELDS, errors),
        form: &form,
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.page_with(status, "registry/resident-new", &page)
}

/// Where somebody can move in: rooms, homes, and beds that nobody (or this resident) has.
async fn free_places(ctx: &Ctx, facility: FacilityId, keep: Option<PlaceId>) -> Result<Vec<Choice>> {
    ctx.app()
        .db
        .read(move |db| {
            let taken = crate::residents::places_taken(db, facility)?;
            let places = places_in(db, facility)?.into_iter().filter(|place| {
                let free = place.kind != PlaceKind::Bed || Some(place.id) == keep || !taken.contains(&place.id);
                place.kind.is_dwelling() && free
            });
            Ok(places.map(|place| Choice::new(place.id, place.label)).collect())
        })
        .await
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let form: ResidentForm = ctx.form()?;
    let facilities = facilities_of(&ctx, RESIDENTS_WRITE).await?;
    let facility = chosen(&facilities, &form.facility_id)?.id;
    let outcome = match form.read(facility) {
        Ok(new) => {
            let actor = Some(ctx.caller().user_id);
            ctx.once(move |tx| create_resident(tx, &new, actor)).await
        }
        Err(error) => Err(error),
    };
    match refused(outcome)? {
        Ok(id) => ctx.redirect(&format!("/residents/{id}")),
        Err(errors) => render_form(&ctx, form, &errors).await,
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct ContactForm {
    name: String,
    relation: String,
    phone: String,
}

const PAGE_FIELDS: Fields = &[
    ("place_id", "registry-place"),
    ("name", "registry-name"),
    ("relation", "registry-relation"),
    ("phone", "registry-phone"),
    ("reason", "vault-reason"),
];

#[derive(Serialize)]
struct Details {
    id: ResidentId,
    name: String,
    sex: Sex,
    age: Option<u32>,
    born: Option<String>,
    phone: Option<String>,
    place: String,
    place_id: Option<PlaceId>,
    facility: String,
    notes: Vec<String>,
    since: Moment,
    /// In words; empty: present.
    status: String,
    photo: bool,
    facts: Vec<Fact>,
}

#[derive(Serialize)]
struct ContactRow {
    id: ContactId,
    rank: i16,
    name: String,
    relation: String,
    phone: Option<String>,
    /// It can be called.
    full: bool,
}

/// What of a resident's page was typed, and how much of numbers it shows.
struct Around {
    contact: ContactForm,
    reason: String,
    show: Show,
}

impl Default for Around {
    fn default() -> Self {
        Self { contact: ContactForm::default(), reason: String::new(), show: Show::Masked }
    }
}

#[derive(Serialize)]
struct ResidentPage {
    resident: Details,
    contacts: Vec<ContactRow>,
    can_edit: bool,
    /// Numbers are masked, and the reader may see them in full for a reason.
    can_unmask: bool,
    /// Numbers stand here in full, this once.
    full: bool,
    reason: String,
    places: Vec<Choice>,
    contact: ContactForm,
    #[serde(flatten)]
    panels: PanelModels,
    #[serde(flatten)]
    refused: Refused,
}

/// The resident of the path, if they exist for this caller.
async fn seen(ctx: &Ctx, permission: &str) -> Result<Resident> {
    let id: ResidentId = ctx.id("id")?;
    let found = ctx.app().db.read(move |db| resident(db, id)).await?.ok_or(Error::NotFound)?;
    ctx.caller().expect_at(permission, found.facility_id)?;
    Ok(found)
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let resident = seen(&ctx, RESIDENTS_READ).await?;
    ctx.audit_read(crate::residents::read_entry(resident.id, resident.facility_id)).await?;
    render(&ctx, resident, Around::default(), &[]).await
}

async fn render(ctx: &Ctx, resident: Resident, around: Around, errors: &[FieldError]) -> Result<HttpResponse> {
    let (id, facility_id, place_id) = (resident.id, resident.facility_id, resident.place_id);
    let (number, vault, show) = (resident.number(), ctx.app().db.vault(), around.show);
    let (phone, now) = (resident.phone.clone(), ctx.app().clock.now());
    let (home, label, contacts, keys, known) = ctx
        .app()
        .db
        .read(move |db| {
            let home = facility(db, facility_id)?.ok_or(Error::NotFound)?;
            let label = match place_id {
                Some(at) => place(db, at)?.map(|place| place.label),
                None => None,
            };
            let contacts = contacts(db, id)?;
            let keys = vault.keys(db, contacts.iter().filter_map(|contact| contact.phone.as_ref()).chain(&phone))?;
            let known = (record(db, id)?, status_on(db, id, now)?, photo_changed_at(db, id)?);
            Ok((home, label, contacts, keys, known))
        })
        .await?;
    let can_edit = ctx.caller().facilities(RESIDENTS_WRITE).contains(facility_id);
    let may_unmask = ctx.caller().facilities(RESIDENTS_UNMASK).contains(facility_id);
    let has_numbers = number.is_some() || contacts.iter().any(|contact| contact.phone.is_some());
    let contact_row = |contact: Contact| ContactRow {
        phone: shown(ctx, contact.number(), &keys, show),
        full: show == Show::Full,
        id: contact.id,
        rank: contact.rank,
        name: contact.name,
        relation: contact.relation,
    };
    let page = ResidentPage {
        contacts: contacts.into_iter().map(contact_row).collect(),
        can_unmask: may_unmask && has_numbers && show == Show::Masked,
        full: show == Show::Full,
        reason: around.reason,
        can_edit,
        places: if can_edit { free_places(ctx, facility_id, place_id).await? } else { Vec::new() },
        contact: around.contact,
        panels: panel_models(ctx, facility_id, PanelSubject::Resident(id)).await?,
        refused: Refused::new(ctx, PAGE_FIELDS, errors),
        resident: Details {
            id,
            notes: notes(ctx, &resident),
            age: age(&resident, &home, now)?,
            status: unless_present(ctx, Some(known.1.status)),
            photo: known.2.is_some(),
            facts: record_facts(ctx, &known.0.fields)?,
            name: resident.name,
            sex: resident.sex,
            born: resident.birth_date.map(|day| day.to_string()),
            phone: shown(ctx, number, &keys, show),
            place: label.unwrap_or_default(),
            place_id,
            since: resident.created_at,
            facility: home.name.clone(),
        },
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.clone().in_zone(home.tz()?).page_with(status, "registry/resident", &page)
}

async fn go(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        #[serde(default)]
        place_id: String,
    }
    let form: Form = ctx.form()?;
    let resident = seen(&ctx, RESIDENTS_WRITE).await?;
    let (id, actor) = (resident.id, Some(ctx.caller().user_id));
    let mut reader = Reader::default();
    let to = reader.optional("place_id", &form.place_id, |text| text.parse().ok());
    let outcome = match reader.finish(to) {
        Ok(to) => ctx.once(move |tx| move_resident(tx, id, to, actor)).await,
        Err(error) => Err(error),
    };
    match refused(outcome)? {
        Ok(()) => ctx.redirect(&format!("/residents/{id}")),
        Err(errors) => render(&ctx, resident, Around::default(), &errors).await,
    }
}

async fn create_contact(ctx: Ctx) -> Result<HttpResponse> {
    let form: ContactForm = ctx.form()?;
    let resident = seen(&ctx, RESIDENTS_WRITE).await?;
    let (id, actor) = (resident.id, Some(ctx.caller().user_id));
    let new = NewContact {
        rank: None,
        name: form.name.clone(),
        relation: form.relation.clone(),
        phone: given(&form.phone),
        user_id: None,
    };
    let outcome = ctx.once(move |tx| add_contact(tx, id, &new, actor)).await;
    match refused(outcome)? {
        Ok(_) => ctx.redirect(&format!("/residents/{id}")),
        Err(errors) => render(&ctx, resident, Around { contact: form, ..Around::default() }, &errors).await,
    }
}

/// Shows the page once with numbers in full. No redirect: what is loaded again is asked for again.
async fn unmask(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        #[serde(default)]
        reason: String,
    }
    let form: Form = ctx.form()?;
    let resident = seen(&ctx, RESIDENTS_UNMASK).await?;
    match refused(note_unmasking(&ctx, resident.facility_id, resident.id, &form.reason).await)? {
        Ok(()) => render(&ctx, resident, Around { show: Show::Full, ..Around::default() }, &[]).await,
        Err(errors) => render(&ctx, resident, Around { reason: form.reason, ..Around::default() }, &errors).await,
    }
}
