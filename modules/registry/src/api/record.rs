//! `/api/v1/residents/{id}/…`: the record, status, consents, cards, picture and contacts of a resident.

use actix_web::HttpResponse;
use actix_web::http::header;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, List, Route};
use songhe_kernel::{Error, Result};

use crate::module::{RESIDENTS_READ, RESIDENTS_WRITE};
use crate::record::picture::MAX_BYTES;
use crate::{
    Card, CardId, CardState, Consent, ConsentId, ContactEdit, ContactId, NewCard, NewConsent, NewStatus, Photo, Record,
    RecordEdit, ResidentId, Revocation, StatusFact, StatusFactId, StatusThen, add_card, cards, consent_history,
    correct_status, edit_contact, edit_record, give_consent, order_contacts, photo, read_photo, record, record_status,
    remove_contact, resident, revoke_consent, set_card_state, set_photo, status_history, status_on,
};

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(RESIDENTS_READ), Access::Permission(RESIDENTS_WRITE));
    vec![
        Route::get("/api/v1/residents/{id}/record", read, show)
            .doc(ApiDoc::new("A resident's record").returns::<Record>()),
        Route::put("/api/v1/residents/{id}/record", write, edit)
            .doc(ApiDoc::new("Write a resident's record").body::<RecordEdit>().returns::<Record>()),
        Route::get("/api/v1/residents/{id}/status", read, show_status)
            .doc(ApiDoc::new("A resident's status now, and all that was recorded").returns::<StatusBody>()),
        Route::post("/api/v1/residents/{id}/status", write, add_status)
            .doc(ApiDoc::new("Record a status").body::<NewStatus>().creates::<StatusBody>()),
        Route::post("/api/v1/residents/{id}/status/{fact}/correct", write, correct)
            .doc(ApiDoc::new("Correct or withdraw a recorded status").body::<Correction>().returns::<StatusBody>()),
        Route::get("/api/v1/residents/{id}/consents", read, list_consents)
            .doc(ApiDoc::new("A resident's consents, revoked ones too").returns::<List<Consent>>()),
        Route::post("/api/v1/residents/{id}/consents", write, add_consent)
            .doc(ApiDoc::new("Record a consent").body::<NewConsent>().creates::<List<Consent>>()),
        Route::post("/api/v1/residents/{id}/consents/{consent}/revoke", write, revoke)
            .doc(ApiDoc::new("Revoke a consent").body::<Revocation>().returns::<List<Consent>>()),
        Route::get("/api/v1/residents/{id}/cards", read, list_cards)
            .doc(ApiDoc::new("A resident's cards").returns::<List<Card>>()),
        Route::post("/api/v1/residents/{id}/cards", write, create_card)
            .doc(ApiDoc::new("Hand out a card").body::<NewCard>().creates::<List<Card>>()),
        Route::put("/api/v1/residents/{id}/cards/{card}", write, change_card)
            .doc(ApiDoc::new("Report a card lost, found or replaced").body::<CardChange>().returns::<List<Card>>()),
        Route::get("/api/v1/residents/{id}/photo", read, show_photo)
            .doc(ApiDoc::new("A resident's picture (image/jpeg or image/png)")),
        Route::put("/api/v1/residents/{id}/photo", write, put_photo)
            .body_limit(MAX_BYTES + 1024)
            .doc(ApiDoc::new("Set a resident's picture: the bytes of a JPEG or PNG, 2 MiB at most")),
        Route::delete("/api/v1/residents/{id}/photo", write, delete_photo)
            .doc(ApiDoc::new("Remove a resident's picture")),
        Route::put("/api/v1/residents/{id}/contacts/{contact}", write, change_contact)
            .doc(ApiDoc::new("Change a contact").body::<ContactEdit>()),
        Route::delete("/api/v1/residents/{id}/contacts/{contact}", write, delete_contact)
            .doc(ApiDoc::new("Remove a contact")),
        Route::put("/api/v1/residents/{id}/contacts", write, order)
            .doc(ApiDoc::new("Put the contacts into an order, first told first").body::<Order>()),
    ]
}

/// A resident's status.
#[derive(Serialize, JsonSchema)]
struct StatusBody {
    now: StatusThen,
    /// All that was recorded, the last in front; what was corrected is still there.
    facts: Vec<StatusFact>,
}

/// What counts in the place of a fact.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Correction {
    /// `null`: nothing; the fact is withdrawn.
    replacement: Option<NewStatus>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CardChange {
    state: CardState,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    /// Each of the contacts once.
    order: Vec<ContactId>,
}

/// The resident of the path, if they exist for this caller.
pub(crate) async fn seen(ctx: &Ctx, permission: &str) -> Result<ResidentId> {
    let id: ResidentId = ctx.id("id")?;
    let found = ctx.app().db.read(move |db| resident(db, id)).await?.ok_or(Error::NotFound)?;
    ctx.caller().expect_at(permission, found.facility_id)?;
    Ok(id)
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let id = seen(&ctx, RESIDENTS_READ).await?;
    ctx.json_ok(&ctx.app().db.read(move |db| record(db, id)).await?)
}

async fn edit(ctx: Ctx) -> Result<HttpResponse> {
    let edit: RecordEdit = ctx.json()?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| edit_record(tx, id, &edit, actor)).await?;
    ctx.json_ok(&ctx.app().db.read(move |db| record(db, id)).await?)
}

async fn status_body(ctx: &Ctx, id: ResidentId) -> Result<StatusBody> {
    let now = ctx.app().clock.now();
    let read = move |db: &mut songhe_kernel::Db| {
        Ok(StatusBody { now: status_on(db, id, now)?, facts: status_history(db, id)? })
    };
    ctx.app().db.read(read).await
}

async fn show_status(ctx: Ctx) -> Result<HttpResponse> {
    let id = seen(&ctx, RESIDENTS_READ).await?;
    ctx.json_ok(&status_body(&ctx, id).await?)
}

async fn add_status(ctx: Ctx) -> Result<HttpResponse> {
    let new: NewStatus = ctx.json()?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| record_status(tx, id, &new, actor)).await?;
    ctx.created(&status_body(&ctx, id).await?)
}

async fn correct(ctx: Ctx) -> Result<HttpResponse> {
    let Correction { replacement } = ctx.json()?;
    let fact: StatusFactId = ctx.id("fact")?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| correct_status(tx, id, fact, replacement.as_ref(), actor)).await?;
    ctx.json_ok(&status_body(&ctx, id).await?)
}

async fn consents(ctx: &Ctx, id: ResidentId) -> Result<List<Consent>> {
    Ok(List::whole(ctx.app().db.read(move |db| consent_history(db, id)).await?))
}

async fn list_consents(ctx: Ctx) -> Result<HttpResponse> {
    let id = seen(&ctx, RESIDENTS_READ).await?;
    ctx.json_ok(&consents(&ctx, id).await?)
}

async fn add_consent(ctx: Ctx) -> Result<HttpResponse> {
    let new: NewConsent = ctx.json()?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| give_consent(tx, id, &new, actor)).await?;
    ctx.created(&consents(&ctx, id).await?)
}

async fn revoke(ctx: Ctx) -> Result<HttpResponse> {
    let end: Revocation = ctx.json()?;
    let consent: ConsentId = ctx.id("consent")?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| revoke_consent(tx, id, consent, &end, actor)).await?;
    ctx.json_ok(&consents(&ctx, id).await?)
}

async fn of_resident(ctx: &Ctx, id: ResidentId) -> Result<List<Card>> {
    Ok(List::whole(ctx.app().db.read(move |db| cards(db, id)).await?))
}

async fn list_cards(ctx: Ctx) -> Result<HttpResponse> {
    let id = seen(&ctx, RESIDENTS_READ).await?;
    ctx.json_ok(&of_resident(&ctx, id).await?)
}

async fn create_card(ctx: Ctx) -> Result<HttpResponse> {
    let new: NewCard = ctx.json()?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| add_card(tx, id, &new, actor)).await?;
    ctx.created(&of_resident(&ctx, id).await?)
}

async fn change_card(ctx: Ctx) -> Result<HttpResponse> {
    let CardChange { state } = ctx.json()?;
    let card: CardId = ctx.id("card")?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| set_card_state(tx, id, card, state, actor)).await?;
    ctx.json_ok(&of_resident(&ctx, id).await?)
}

/// The picture, for pages and API. It is never kept by the browser: who may see it may change.
pub(crate) async fn show_photo(ctx: Ctx) -> Result<HttpResponse> {
    let id = seen(&ctx, RESIDENTS_READ).await?;
    let Photo { media_type, bytes } = ctx.app().db.read(move |db| photo(db, id)).await?.ok_or(Error::NotFound)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, media_type))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(bytes))
}

async fn put_photo(ctx: Ctx) -> Result<HttpResponse> {
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    let picture = read_photo(ctx.body())?;
    ctx.once(move |tx| set_photo(tx, id, Some(&picture), actor)).await?;
    ctx.no_content()
}

async fn delete_photo(ctx: Ctx) -> Result<HttpResponse> {
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| set_photo(tx, id, None, actor)).await?;
    ctx.no_content()
}

async fn change_contact(ctx: Ctx) -> Result<HttpResponse> {
    let edit: ContactEdit = ctx.json()?;
    let contact: ContactId = ctx.id("contact")?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| edit_contact(tx, id, contact, &edit, actor)).await?;
    ctx.no_content()
}

async fn delete_contact(ctx: Ctx) -> Result<HttpResponse> {
    let contact: ContactId = ctx.id("contact")?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| remove_contact(tx, id, contact, actor)).await?;
    ctx.no_content()
}

async fn order(ctx: Ctx) -> Result<HttpResponse> {
    let Order { order } = ctx.json()?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| order_contacts(tx, id, &order, actor)).await?;
    ctx.no_content()
}
