//! Webhook endpoints.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, List, Route};
use songhe_kernel::{Error, FacilityId, Moment, Result};
use songhe_registry as registry;

use super::ladders::FacilityQuery;
use crate::model::{EndpointId, Target};
use crate::module::{LADDERS_READ, LADDERS_WRITE};
use crate::webhook::{self, Endpoint};
use crate::webhook_fate::{Fate, fates};

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(LADDERS_READ), Access::Permission(LADDERS_WRITE));
    vec![
        Route::get("/api/v1/webhook-endpoints", read, endpoints)
            .doc(ApiDoc::new("List webhook endpoints").query::<FacilityQuery>().returns::<List<EndpointView>>()),
        Route::post("/api/v1/webhook-endpoints", write, add_endpoint).doc(
            ApiDoc::new("Add a webhook endpoint")
                .description(
                    "Requests are signed: `Songhe-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of \"t.body\">` with the \
                     secret that this answer shows once; `Idempotency-Key` is the message's id. Sent again under the same \
                     key, the answer is the same endpoint with `secret` null: if the first answer was lost, remove the \
                     endpoint and add another.",
                )
                .body::<EndpointInput>()
                .creates::<NewEndpoint>(),
        ),
        Route::post("/api/v1/webhook-endpoints/{id}/test", write, send_test).doc(
            ApiDoc::new("Send a webhook endpoint a test message")
                .description(
                    "`{\"type\": \"test\"}`, signed like a call and worth sending for five minutes. The list of endpoints \
                     tells what became of it.",
                ),
        ),
        Route::delete("/api/v1/webhook-endpoints/{id}", write, remove_endpoint)
            .doc(ApiDoc::new("Remove a webhook endpoint")),
    ]
}

/// Where a facility's calls are posted.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Endpoint")]
struct EndpointView {
    id: EndpointId,
    facility: FacilityId,
    /// Whom it stands for; `null`: all targets without an endpoint of their own.
    target: Option<Target>,
    name: String,
    url: String,
    active: bool,
    /// When the last message was delivered.
    delivered_at: Option<Moment>,
    /// When the last attempt failed, and why.
    failed_at: Option<Moment>,
    failure: Option<String>,
    /// Messages under way.
    pending: usize,
}

impl EndpointView {
    fn of(endpoint: Endpoint, fate: Fate) -> Self {
        let Endpoint { id, facility_id, target, name, url, active } = endpoint;
        let (failed_at, failure) = fate.last_failure.map_or((None, None), |(at, why)| (Some(at), why));
        Self {
            id,
            facility: facility_id,
            target: Target::parse(&target),
            name,
            url,
            active,
            delivered_at: fate.delivered_at,
            failed_at,
            failure,
            pending: fate.pending,
        }
    }
}

async fn endpoints(ctx: Ctx) -> Result<HttpResponse> {
    let query: FacilityQuery = ctx.query()?;
    let scope = ctx.caller().narrowed(LADDERS_READ, query.facility)?;
    let items = ctx
        .app()
        .db
        .read(move |db| {
            let mut fates = fates(db)?;
            let mut items = Vec::new();
            for facility in registry::facilities_in(db, &scope)? {
                for endpoint in webhook::endpoints(db, facility.id)? {
                    let fate = fates.remove(&endpoint.id).unwrap_or_default();
                    items.push(EndpointView::of(endpoint, fate));
                }
            }
            Ok(items)
        })
        .await?;
    ctx.json_ok(&List::whole(items))
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EndpointInput {
    facility: FacilityId,
    /// `null`: all targets.
    #[serde(default)]
    target: Option<Target>,
    name: String,
    /// `https://…`, or `http://…` to a loopback host; no user info; at most 500 characters.
    url: String,
}

/// A fresh endpoint with the secret that signs its requests.
#[derive(Debug, Serialize, JsonSchema)]
struct NewEndpoint {
    #[serde(flatten)]
    endpoint: EndpointView,
    /// Shown here only; `null` when the request was sent again under its `Idempotency-Key`.
    secret: Option<String>,
}

async fn add_endpoint(ctx: Ctx) -> Result<HttpResponse> {
    let input: EndpointInput = ctx.json()?;
    ctx.caller().expect_at(LADDERS_WRITE, input.facility)?;
    let secret = webhook::new_secret();
    // The kept outcome is the id alone: a secret has no place among idempotency keys.
    let id = ctx
        .once({
            let secret = secret.clone();
            move |tx| webhook::create_endpoint(tx, input.facility, input.target, &input.name, &input.url, &secret)
        })
        .await?;
    let made = ctx
        .app()
        .db
        .read(move |db| {
            let endpoint = EndpointView::of(webhook::endpoint(db, id)?, Fate::default());
            // Another one is stored: this request made nothing, its first sending did.
            let made_now = webhook::secret_of(db, id)? == secret;
            Ok(NewEndpoint { endpoint, secret: made_now.then(|| secret.clone()) })
        })
        .await?;
    ctx.created(&made)
}

async fn send_test(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    let scope = ctx.caller().facilities(LADDERS_WRITE).clone();
    ctx.once(move |tx| webhook::send_test(tx, &scope, id)).await?;
    ctx.no_content()
}

async fn remove_endpoint(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    let scope = ctx.caller().facilities(LADDERS_WRITE).clone();
    ctx.app()
        .db
        .write(move |tx| {
            let endpoint = webhook::endpoint(tx.db(), id)?;
            if !scope.contains(endpoint.facility_id) {
                return Err(Error::NotFound);
            }
            webhook::remove_endpoint(tx, endpoint.facility_id, id)
        })
        .await?;
    ctx.no_content()
}
