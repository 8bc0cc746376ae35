//! Forms of the resident's page that change its contacts: another name or number, another order, away.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Ctx, Fields, Refused, Route, refused};
use songhe_kernel::{Error, FieldError, Result};

use super::form::given;
use crate::api::record::seen;
use crate::module::RESIDENTS_WRITE;
use crate::{
    Contact, ContactEdit, ContactId, ResidentId, contacts, edit_contact, order_contacts, remove_contact, resident,
};

pub(super) fn routes() -> Vec<Route> {
    let write = Access::Permission(RESIDENTS_WRITE);
    vec![
        Route::get("/residents/{id}/contacts/{contact}", write, show),
        Route::post("/residents/{id}/contacts/{contact}", write, change),
        Route::post("/residents/{id}/contacts/{contact}/remove", write, remove),
        Route::post("/residents/{id}/contacts/{contact}/up", write, up),
    ]
}

const INPUTS: Fields = &[("name", "registry-name"), ("relation", "registry-relation"), ("phone", "registry-phone")];

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Form {
    name: String,
    relation: String,
    phone: String,
    remove_phone: String,
}

#[derive(Serialize)]
struct Page {
    id: ResidentId,
    contact: ContactId,
    resident: String,
    form: Form,
    #[serde(flatten)]
    refused: Refused,
}

async fn found(ctx: &Ctx, id: ResidentId) -> Result<(String, Contact)> {
    let contact: ContactId = ctx.id("contact")?;
    ctx.app()
        .db
        .read(move |db| {
            let person = resident(db, id)?.ok_or(Error::NotFound)?;
            let one = contacts(db, id)?.into_iter().find(|one| one.id == contact).ok_or(Error::NotFound)?;
            Ok((person.name, one))
        })
        .await
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let id = seen(&ctx, RESIDENTS_WRITE).await?;
    let (_, contact) = found(&ctx, id).await?;
    let form = Form { name: contact.name, relation: contact.relation, ..Form::default() };
    render(&ctx, id, form, &[]).await
}

async fn render(ctx: &Ctx, id: ResidentId, form: Form, errors: &[FieldError]) -> Result<HttpResponse> {
    let (resident, contact) = found(ctx, id).await?;
    let page = Page { id, contact: contact.id, resident, form, refused: Refused::new(ctx, INPUTS, errors) };
    let status = if errors.is_empty() {
        actix_web::http::StatusCode::OK
    } else {
        actix_web::http::StatusCode::UNPROCESSABLE_ENTITY
    };
    ctx.page_with(status, "registry/contact-edit", &page)
}

async fn change(ctx: Ctx) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let contact: ContactId = ctx.id("contact")?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    let edit = ContactEdit {
        name: form.name.clone(),
        relation: form.relation.clone(),
        phone: given(&form.phone),
        remove_phone: !form.remove_phone.is_empty(),
    };
    match refused(ctx.once(move |tx| edit_contact(tx, id, contact, &edit, actor)).await)? {
        Ok(()) => ctx.redirect(&format!("/residents/{id}")),
        Err(errors) => render(&ctx, id, form, &errors).await,
    }
}

async fn remove(ctx: Ctx) -> Result<HttpResponse> {
    let contact: ContactId = ctx.id("contact")?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| remove_contact(tx, id, contact, actor)).await?;
    ctx.redirect(&format!("/residents/{id}"))
}

/// One place further to the front; the first one stays.
async fn up(ctx: Ctx) -> Result<HttpResponse> {
    let contact: ContactId = ctx.id("contact")?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    let work = move |tx: &mut songhe_kernel::Tx<'_>| {
        let mut order: Vec<ContactId> = contacts(tx.db(), id)?.iter().map(|one| one.id).collect();
        let at = order.iter().position(|one| *one == contact).ok_or(Error::NotFound)?;
        order.swap(at, at.saturating_sub(1));
        order_contacts(tx, id, &order, actor)
    };
    ctx.once(work).await?;
    ctx.redirect(&format!("/residents/{id}"))
}
