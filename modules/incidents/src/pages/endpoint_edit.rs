//! Changing an endpoint, and switching it off and on.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Ctx, Refused, Route};
use songhe_kernel::identity::Scope;
use songhe_kernel::{Db, Error, FieldError, Result, Text};

use super::endpoint;
use super::endpoint_form::{EndpointForm, FIELDS};
use super::endpoints::Choices;
use crate::endpoint_change;
use crate::endpoints::{self, Endpoint};
use crate::model::{EndpointId, EndpointKind};
use crate::module::LADDERS_WRITE;
use crate::webhook;

pub(super) fn routes() -> Vec<Route> {
    let write = Access::Permission(LADDERS_WRITE);
    vec![
        Route::get("/endpoints/{id}/edit", write, page),
        Route::post("/endpoints/{id}", write, change),
        Route::post("/endpoints/{id}/active", write, set_active),
        Route::post("/endpoints/{id}/secret", write, draw_secret),
    ]
}

/// The endpoint, within the scope.
///
/// # Errors
/// `NotFound` when there is none.
pub(crate) fn expect(db: &mut Db, scope: &Scope, id: EndpointId) -> Result<Endpoint> {
    let found = endpoints::endpoint(db, id)?;
    if scope.contains(found.facility_id) { Ok(found) } else { Err(Error::NotFound) }
}

#[derive(Serialize)]
struct Page {
    id: EndpointId,
    /// As stored.
    name: String,
    kind: String,
    has_url: bool,
    signs: bool,
    has_recipients: bool,
    by_phone: bool,
    has_words: bool,
    /// What there is and is not shown.
    kept: Kept,
    form: EndpointForm,
    targets: Vec<Choice>,
    locales: Vec<Choice>,
    methods: Vec<Choice>,
    formats: Vec<Choice>,
    #[serde(flatten)]
    refused: Refused,
}

#[derive(Serialize)]
struct Kept {
    url: Option<String>,
    secret: bool,
    /// Their names.
    headers: Option<String>,
    body: bool,
}

async fn page(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    let scope = ctx.caller().facilities(LADDERS_WRITE).clone();
    let endpoint = ctx.app().db.read(move |db| expect(db, &scope, id)).await?;
    let form = EndpointForm::of(&endpoint)?;
    show(&ctx, StatusCode::OK, id, form, Vec::new()).await
}

async fn show(
    ctx: &Ctx,
    status: StatusCode,
    id: EndpointId,
    form: EndpointForm,
    errors: Vec<FieldError>,
) -> Result<HttpResponse> {
    let scope = ctx.caller().facilities(LADDERS_WRITE).clone();
    let (endpoint, secret) =
        ctx.app().db.read(move |db| Ok((expect(db, &scope, id)?, !endpoints::secret_of(db, id)?.is_empty()))).await?;
    let (kind, provider) = (endpoint.kind()?, endpoint.provider()?);
    let names: Vec<&str> = provider.headers.keys().map(String::as_str).collect();
    let Choices { targets, locales, methods, formats } = Choices::of(ctx);
    let page = Page {
        id,
        has_url: kind != EndpointKind::Email,
        signs: matches!(kind, EndpointKind::DingTalk | EndpointKind::Feishu),
        has_recipients: kind == EndpointKind::Email || kind.is_by_phone(),
        by_phone: kind.is_by_phone(),
        has_words: kind != EndpointKind::Webhook,
        kept: Kept {
            url: (kind != EndpointKind::Webhook).then(|| endpoint.shown_url()),
            secret,
            headers: (!names.is_empty()).then(|| names.join(", ")),
            body: !provider.body.is_empty(),
        },
        name: endpoint.name,
        kind: endpoint.kind,
        form,
        targets,
        locales,
        methods,
        formats,
        refused: Refused::of(ctx, &FIELDS, &errors),
    };
    ctx.page_with(status, "incidents/endpoint-edit", &page)
}

async fn change(ctx: Ctx) -> Result<HttpResponse> {
    let (id, form): (EndpointId, EndpointForm) = (ctx.id("id")?, ctx.form()?);
    let (scope, by) = (ctx.caller().facilities(LADDERS_WRITE).clone(), ctx.caller().user_id);
    let kind = {
        let scope = scope.clone();
        ctx.app().db.read(move |db| expect(db, &scope, id)?.kind()).await?
    };
    let wanted = match form.change(kind) {
        Ok(wanted) => wanted,
        Err(wrong) => return show(&ctx, StatusCode::UNPROCESSABLE_ENTITY, id, form, wrong).await,
    };
    let changed = ctx
        .once(move |tx| {
            expect(tx.db(), &scope, id)?;
            endpoint_change::change(tx, id, &wanted)
        })
        .await;
    match changed {
        Ok(()) => {
            tracing::info!(endpoint = %id, %by, "endpoint changed");
            ctx.redirect(&format!("/endpoints/{id}?saved=1"))
        }
        Err(Error::Invalid(wrong)) => show(&ctx, StatusCode::UNPROCESSABLE_ENTITY, id, form, wrong).await,
        Err(error) => Err(error),
    }
}

async fn set_active(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        active: String,
    }
    let (id, form): (EndpointId, Form) = (ctx.id("id")?, ctx.form()?);
    let active = match form.active.as_str() {
        "yes" => true,
        "no" => false,
        _ => return Err(Error::field("active", Text::key("error-choose"))),
    };
    let (scope, by) = (ctx.caller().facilities(LADDERS_WRITE).clone(), ctx.caller().user_id);
    ctx.once(move |tx| {
        expect(tx.db(), &scope, id)?;
        endpoint_change::set_active(tx, id, active)
    })
    .await?;
    tracing::info!(endpoint = %id, %by, active, "endpoint switched");
    ctx.redirect(&format!("/endpoints/{id}"))
}

/// Shows the key that signs from now on, once.
async fn draw_secret(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    let drawn = fresh_secret(&ctx, id).await?;
    endpoint::show_secret(&ctx, drawn).await
}

/// A new key for a webhook, for pages and API; `None`: the request was sent again, and its key was shown.
pub(crate) async fn fresh_secret(ctx: &Ctx, id: EndpointId) -> Result<Option<String>> {
    let (scope, by) = (ctx.caller().facilities(LADDERS_WRITE).clone(), ctx.caller().user_id);
    let secret = webhook::new_secret();
    let stored = secret.clone();
    // The kept outcome holds no key: a secret has no place among idempotency keys.
    ctx.once(move |tx| {
        expect(tx.db(), &scope, id)?;
        endpoint_change::set_secret(tx, id, &stored)
    })
    .await?;
    tracing::info!(endpoint = %id, %by, "endpoint's secret drawn");
    let now = ctx.app().db.read(move |db| endpoints::secret_of(db, id)).await?;
    Ok((now == secret).then_some(secret))
}
