//! `/residents/{id}/document`: a resident's identity document. The number is shown masked, and once in full for a reason.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Ctx, Fields, Refused, Route, refused};
use songhe_kernel::{Error, FieldError, Result};

use super::form::Reader;
use super::record_words::{DOCUMENTS, choices, word};
use crate::api::document::{body, note};
use crate::api::record::seen;
use crate::module::{RESIDENTS_READ, RESIDENTS_UNMASK, RESIDENTS_WRITE};
use crate::{DocumentKind, NewDocument, ResidentId, remove_document, resident, set_document};

pub(super) fn routes() -> Vec<Route> {
    let write = Access::Permission(RESIDENTS_WRITE);
    vec![
        Route::get("/residents/{id}/document", Access::Permission(RESIDENTS_READ), show),
        Route::post("/residents/{id}/document", write, put),
        Route::post("/residents/{id}/document/remove", write, remove),
        Route::post("/residents/{id}/document/unmask", Access::Permission(RESIDENTS_UNMASK), unmask),
    ]
}

const INPUTS: Fields =
    &[("kind", "record-document-kind"), ("number", "record-document-number"), ("reason", "vault-reason")];

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Form {
    kind: String,
    #[serde(skip_serializing)]
    number: String,
    reason: String,
}

#[derive(Serialize)]
struct Page {
    id: ResidentId,
    name: String,
    kind: String,
    number: Option<String>,
    full: bool,
    can_edit: bool,
    can_unmask: bool,
    form: Form,
    kinds: Vec<Choice>,
    #[serde(flatten)]
    refused: Refused,
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let id = seen(&ctx, RESIDENTS_READ).await?;
    render(&ctx, id, Form::default(), false, &[]).await
}

async fn render(ctx: &Ctx, id: ResidentId, mut form: Form, full: bool, errors: &[FieldError]) -> Result<HttpResponse> {
    let person = ctx.app().db.read(move |db| resident(db, id)).await?.ok_or(Error::NotFound)?;
    let shown = body(ctx, id, full).await?;
    if form.kind.is_empty() {
        form.kind = shown.kind.unwrap_or(DocumentKind::IdCard).to_string();
    }
    let may = |permission| ctx.caller().facilities(permission).contains(person.facility_id);
    let page = Page {
        id,
        name: person.name.clone(),
        kind: shown.kind.map(|kind| word(ctx, DOCUMENTS, kind.as_str())).unwrap_or_default(),
        can_unmask: may(RESIDENTS_UNMASK) && shown.number.is_some() && !full,
        number: shown.number,
        full,
        can_edit: may(RESIDENTS_WRITE),
        form,
        kinds: choices(ctx, DOCUMENTS),
        refused: Refused::new(ctx, INPUTS, errors),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.page_with(status, "registry/resident-document", &page)
}

async fn put(ctx: Ctx) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    let mut reader = Reader::default();
    let kind = reader.choice("kind", &form.kind, DocumentKind::parse);
    let outcome = match reader.finish(kind) {
        Ok(kind) => {
            let new = NewDocument { kind, number: form.number.clone() };
            ctx.once(move |tx| set_document(tx, id, &new, actor)).await
        }
        Err(error) => Err(error),
    };
    match refused(outcome)? {
        Ok(()) => ctx.redirect(&format!("/residents/{id}/document")),
        Err(errors) => render(&ctx, id, form, false, &errors).await,
    }
}

async fn remove(ctx: Ctx) -> Result<HttpResponse> {
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| remove_document(tx, id, actor)).await?;
    ctx.redirect(&format!("/residents/{id}/document"))
}

/// Shows the page once with the number in full. No redirect: what is loaded again is asked for again.
async fn unmask(ctx: Ctx) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let id = seen(&ctx, RESIDENTS_UNMASK).await?;
    match refused(note(&ctx, id, &form.reason).await)? {
        Ok(()) => render(&ctx, id, Form::default(), true, &[]).await,
        Err(errors) => render(&ctx, id, form, false, &errors).await,
    }
}
