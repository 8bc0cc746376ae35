//! `/api/v1/residents/{id}/document`: a resident's identity document, masked; in full for a reason that is written down.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_kernel::audit::AuditEntry;
use songhe_kernel::http::{Access, ApiDoc, Ctx, Route};
use songhe_kernel::vault::{Opened, mask};
use songhe_kernel::{Error, Moment, Result, Text};

use super::record::seen;
use crate::module::{RESIDENTS_READ, RESIDENTS_UNMASK, RESIDENTS_WRITE};
use crate::sealed::reason;
use crate::{DocumentKind, NewDocument, ResidentId, document, remove_document, resident, set_document};

pub(super) fn routes() -> Vec<Route> {
    let write = Access::Permission(RESIDENTS_WRITE);
    vec![
        Route::get("/api/v1/residents/{id}/document", Access::Permission(RESIDENTS_READ), show)
            .doc(ApiDoc::new("A resident's identity document, masked").returns::<DocumentBody>()),
        Route::put("/api/v1/residents/{id}/document", write, put)
            .doc(ApiDoc::new("Enter an identity document").body::<NewDocument>().returns::<DocumentBody>()),
        Route::delete("/api/v1/residents/{id}/document", write, remove).doc(ApiDoc::new("Remove an identity document")),
        Route::post("/api/v1/residents/{id}/document/unmask", Access::Permission(RESIDENTS_UNMASK), unmask).doc(
            ApiDoc::new("An identity document's number in full")
                .description("Who asked, and why, is written down.")
                .body::<Why>()
                .returns::<DocumentBody>(),
        ),
    ]
}

/// A document as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IdentityDocument")]
pub(crate) struct DocumentBody {
    /// `null`: none is entered.
    pub(crate) kind: Option<DocumentKind>,
    /// Masked, `110105********002X`, unless it was asked for in full.
    pub(crate) number: Option<String>,
    pub(crate) changed_at: Option<Moment>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Why {
    /// 2 to 200 characters; kept with who asked.
    reason: String,
}

/// What is shown of a document: masked, or, where that was written down before, in full.
pub(crate) async fn body(ctx: &Ctx, id: ResidentId, full: bool) -> Result<DocumentBody> {
    let vault = ctx.app().db.vault();
    let found = ctx
        .app()
        .db
        .read(move |db| {
            let Some(found) = document(db, id)? else { return Ok(None) };
            let number = found.open(&vault, db)?;
            Ok(Some((found, number)))
        })
        .await?;
    let Some((found, number)) = found else { return Ok(DocumentBody { kind: None, number: None, changed_at: None }) };
    Ok(DocumentBody {
        kind: Some(found.kind),
        number: Some(words(ctx, &number, full)),
        changed_at: Some(found.changed_at),
    })
}

fn words(ctx: &Ctx, number: &Opened, full: bool) -> String {
    let mask = if full { str::to_owned } else { mask::id_number };
    number.masked(mask, |key| ctx.say(&Text::key(key)))
}

/// Writes down that the caller sees the number in full, and why: before it is shown.
///
/// # Errors
/// `Invalid` on `reason`; when it cannot be written down.
pub(crate) async fn note(ctx: &Ctx, id: ResidentId, why: &str) -> Result<()> {
    let why = reason(why)?.to_owned();
    let found = ctx.app().db.read(move |db| resident(db, id)).await?.ok_or(Error::NotFound)?;
    let entry = AuditEntry::new("residents.unmask", id).at(found.facility_id).about(id.0);
    ctx.audit_read(entry.after(json!({ "fields": ["document.number"] })).because(why)).await
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let id = seen(&ctx, RESIDENTS_READ).await?;
    ctx.json_ok(&body(&ctx, id, false).await?)
}

async fn put(ctx: Ctx) -> Result<HttpResponse> {
    let new: NewDocument = ctx.json()?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| set_document(tx, id, &new, actor)).await?;
    ctx.json_ok(&body(&ctx, id, false).await?)
}

async fn remove(ctx: Ctx) -> Result<HttpResponse> {
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    ctx.once(move |tx| remove_document(tx, id, actor)).await?;
    ctx.no_content()
}

async fn unmask(ctx: Ctx) -> Result<HttpResponse> {
    let Why { reason } = ctx.json()?;
    let id = seen(&ctx, RESIDENTS_UNMASK).await?;
    note(&ctx, id, &reason).await?;
    ctx.json_ok(&body(&ctx, id, true).await?)
}
