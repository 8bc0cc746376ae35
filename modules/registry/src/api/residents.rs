//! `/api/v1/residents`.

use actix_web::HttpResponse;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use songhe_kernel::vault::PersonKeys;
use songhe_kernel::{Error, FacilityId, Moment, Result, UserId};

use crate::module::{RESIDENTS_READ, RESIDENTS_UNMASK, RESIDENTS_WRITE};
use crate::sealed::{Show, note_unmasking, shown};
use crate::{
    Contact, ContactId, NewContact, NewResident, PlaceId, Resident, ResidentFilter, ResidentId, Sex, add_contact,
    contacts, create_resident, find_residents, move_resident, place, resident,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/residents", Access::Permission(RESIDENTS_READ), list)
            .doc(ApiDoc::new("List residents").query::<Query>().returns::<List<ResidentBody>>()),
        Route::post("/api/v1/residents", Access::Permission(RESIDENTS_WRITE), create)
            .doc(ApiDoc::new("Enter a resident").body::<NewResident>().creates::<ResidentBody>()),
        Route::get("/api/v1/residents/{id}", Access::Permission(RESIDENTS_READ), show)
            .doc(ApiDoc::new("One resident").returns::<ResidentBody>()),
        Route::post("/api/v1/residents/{id}/move", Access::Permission(RESIDENTS_WRITE), go)
            .doc(ApiDoc::new("Move a resident").body::<Move>().returns::<ResidentBody>()),
        Route::get("/api/v1/residents/{id}/contacts", Access::Permission(RESIDENTS_READ), list_contacts)
            .doc(ApiDoc::new("A resident's contacts, first told first").returns::<List<ContactBody>>()),
        Route::post("/api/v1/residents/{id}/contacts", Access::Permission(RESIDENTS_WRITE), create_contact)
            .doc(ApiDoc::new("Add a contact").body::<NewContact>().creates::<ContactMade>()),
        Route::post("/api/v1/residents/{id}/unmask", Access::Permission(RESIDENTS_UNMASK), unmask).doc(
            ApiDoc::new("Telephone numbers in full")
                .description("Of a resident and their contacts; who asked, and why, is written down.")
                .body::<Unmask>()
                .returns::<Numbers>(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Only this facility's.
    facility: Option<FacilityId>,
    /// Part of the name, its pinyin or initials, a card's number, or the last 4 or 6 or all of an identity document's or
    /// telephone number; the shortest match comes first.
    #[serde(default)]
    q: String,
    /// How many at most.
    #[serde(default)]
    limit: Limit,
    /// `next` of the part before.
    after: Option<ResidentId>,
}

/// A person whom a facility looks after.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Resident")]
struct ResidentBody {
    id: ResidentId,
    facility_id: FacilityId,
    place_id: Option<PlaceId>,
    /// The place as boards show it.
    place_label: Option<String>,
    name: String,
    sex: Sex,
    birth_date: Option<NaiveDate>,
    /// GB/T 42195: 0 (able) to 4 (completely dependent); `null`: not assessed.
    ability_level: Option<i16>,
    living_alone: bool,
    fall_risk_high: bool,
    /// Masked, `138****5678`; `POST …/unmask` tells it in full.
    phone: Option<String>,
    created_at: Moment,
}

impl ResidentBody {
    fn new(ctx: &Ctx, resident: Resident, place_label: Option<String>, keys: &PersonKeys) -> Self {
        Self {
            phone: shown(ctx, resident.number(), keys, Show::Masked),
            id: resident.id,
            facility_id: resident.facility_id,
            place_id: resident.place_id,
            place_label,
            name: resident.name,
            sex: resident.sex,
            birth_date: resident.birth_date,
            ability_level: resident.ability_level,
            living_alone: resident.living_alone,
            fall_risk_high: resident.fall_risk_high,
            created_at: resident.created_at,
        }
    }
}

/// A relative, neighbour or volunteer.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Contact")]
struct ContactBody {
    id: ContactId,
    resident_id: ResidentId,
    /// 1 is told first.
    rank: i16,
    name: String,
    /// 女儿, 邻居 …
    relation: String,
    /// Masked, `138****5678`.
    phone: Option<String>,
    /// Their account, if they have one.
    user_id: Option<UserId>,
}

/// Why.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Unmask {
    /// 2 to 200 characters; kept with who asked.
    reason: String,
}

/// Numbers in full.
#[derive(Serialize, JsonSchema)]
struct Numbers {
    phone: Option<String>,
    contacts: Vec<NumberOf>,
}

#[derive(Serialize, JsonSchema)]
struct NumberOf {
    id: ContactId,
    phone: Option<String>,
}

/// Where to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Move {
    /// A bed, room or home of the resident's facility; `null`: no place for now.
    place_id: Option<PlaceId>,
}

/// The contact that was added.
#[derive(Serialize, JsonSchema)]
struct ContactMade {
    id: ContactId,
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let filter = ResidentFilter {
        scope: ctx.caller().narrowed(RESIDENTS_READ, query.facility)?,
        name: query.q,
        after: query.after,
    };
    let vault = ctx.app().db.vault();
    let (rows, keys) = ctx
        .app()
        .db
        .read(move |db| {
            let rows = find_residents(&vault, db, &filter, query.limit.rows())?;
            let keys = vault.keys(db, rows.iter().filter_map(|(resident, _)| resident.phone.as_ref()))?;
            Ok((rows, keys))
        })
        .await?;
    let items = rows.into_iter().map(|(resident, label)| ResidentBody::new(&ctx, resident, label, &keys)).collect();
    ctx.json_ok(&List::part(items, query.limit, |resident: &ResidentBody| resident.id))
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let new: NewResident = ctx.json()?;
    ctx.caller().expect_at(RESIDENTS_WRITE, new.facility_id)?;
    let actor = Some(ctx.caller().user_id);
    let id = ctx.once(move |tx| create_resident(tx, &new, actor)).await?;
    ctx.created(&find(&ctx, id).await?)
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let body = seen(&ctx, RESIDENTS_READ).await?;
    ctx.audit_read(crate::residents::read_entry(body.id, body.facility_id)).await?;
    ctx.json_ok(&body)
}

async fn go(ctx: Ctx) -> Result<HttpResponse> {
    let Move { place_id } = ctx.json()?;
    let id = seen(&ctx, RESIDENTS_WRITE).await?.id;
    let actor = Some(ctx.caller().user_id);
    ctx.once(move |tx| move_resident(tx, id, place_id, actor)).await?;
    ctx.json_ok(&find(&ctx, id).await?)
}

async fn list_contacts(ctx: Ctx) -> Result<HttpResponse> {
    let seen = seen(&ctx, RESIDENTS_READ).await?;
    let id = seen.id;
    ctx.audit_read(crate::residents::read_entry(id, seen.facility_id)).await?;
    let (rows, keys) = read_contacts(&ctx, id).await?;
    let body = |contact: Contact| ContactBody {
        phone: shown(&ctx, contact.number(), &keys, Show::Masked),
        id: contact.id,
        resident_id: contact.resident_id,
        rank: contact.rank,
        name: contact.name,
        relation: contact.relation,
        user_id: contact.user_id,
    };
    ctx.json_ok(&List::whole(rows.into_iter().map(body).collect()))
}

async fn create_contact(ctx: Ctx) -> Result<HttpResponse> {
    let new: NewContact = ctx.json()?;
    let resident = seen(&ctx, RESIDENTS_WRITE).await?.id;
    let actor = Some(ctx.caller().user_id);
    let id = ctx.once(move |tx| add_contact(tx, resident, &new, actor)).await?;
    ctx.created(&ContactMade { id })
}

/// The resident of the path, if they exist for this caller.
async fn seen(ctx: &Ctx, permission: &str) -> Result<ResidentBody> {
    let body = find(ctx, ctx.id("id")?).await?;
    ctx.caller().expect_at(permission, body.facility_id)?;
    Ok(body)
}

async fn find(ctx: &Ctx, id: ResidentId) -> Result<ResidentBody> {
    let vault = ctx.app().db.vault();
    let (resident, label, keys) = ctx
        .app()
        .db
        .read(move |db| {
            let resident = resident(db, id)?.ok_or(Error::NotFound)?;
            let label = match resident.place_id {
                Some(at) => place(db, at)?.map(|place| place.label),
                None => None,
            };
            let keys = vault.keys(db, &resident.phone)?;
            Ok((resident, label, keys))
        })
        .await?;
    Ok(ResidentBody::new(ctx, resident, label, &keys))
}

async fn read_contacts(ctx: &Ctx, id: ResidentId) -> Result<(Vec<Contact>, PersonKeys)> {
    let vault = ctx.app().db.vault();
    ctx.app()
        .db
        .read(move |db| {
            let rows = contacts(db, id)?;
            let keys = vault.keys(db, rows.iter().filter_map(|contact| contact.phone.as_ref()))?;
            Ok((rows, keys))
        })
        .await
}

async fn unmask(ctx: Ctx) -> Result<HttpResponse> {
    let body: Unmask = ctx.json()?;
    let id: ResidentId = ctx.id("id")?;
    let found = ctx.app().db.read(move |db| resident(db, id)).await?.ok_or(Error::NotFound)?;
    ctx.caller().expect_at(RESIDENTS_UNMASK, found.facility_id)?;
    note_unmasking(&ctx, found.facility_id, id, &body.reason).await?;
    let (rows, mut keys) = read_contacts(&ctx, id).await?;
    let (number, vault) = (found.number(), ctx.app().db.vault());
    let phone = found.phone;
    keys.extend(ctx.app().db.read(move |db| vault.keys(db, &phone)).await?);
    ctx.json_ok(&Numbers {
        phone: shown(&ctx, number, &keys, Show::Full),
        contacts: rows
            .into_iter()
            .map(|contact| NumberOf { phone: shown(&ctx, contact.number(), &keys, Show::Full), id: contact.id })
            .collect(),
    })
}
