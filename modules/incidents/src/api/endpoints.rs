//! Endpoints: signed webhooks, e-mail, group robots, providers of text messages and voice calls.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, List, Route};
use songhe_kernel::i18n::Locale;
use songhe_kernel::{Db, Error, FacilityId, Moment, Result, Text};
use songhe_registry as registry;

use super::ladders::FacilityQuery;
use crate::endpoints::{self, Endpoint, Format, Method, NewEndpoint, Provider};
use crate::model::{EndpointId, EndpointKind, Target};
use crate::module::{LADDERS_READ, LADDERS_WRITE};
use crate::telling::{self, Delivery, Fate, fates};
use crate::webhook;

/// Messages shown with an endpoint, newest first.
const SHOWN: usize = 50;

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(LADDERS_READ), Access::Permission(LADDERS_WRITE));
    vec![
        Route::get("/api/v1/webhook-endpoints", read, list)
            .doc(ApiDoc::new("List endpoints").query::<FacilityQuery>().returns::<List<EndpointView>>()),
        Route::post("/api/v1/webhook-endpoints", write, add).doc(
            ApiDoc::new("Add an endpoint")
                .description(
                    "A `webhook`'s requests are signed: `Songhe-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of \"t.body\">` \
                     with the secret that this answer shows once; `Idempotency-Key` is the message's id. Sent again under the \
                     same key, the answer is the same endpoint with `secret` null: if the first answer was lost, remove the \
                     endpoint and add another. Other kinds get their words from the facility's message templates; `sms` and \
                     `voice` are spoken to as `provider` says, once for each number.",
                )
                .body::<EndpointInput>()
                .creates::<NewEndpointView>(),
        ),
        Route::get("/api/v1/webhook-endpoints/{id}", read, show)
            .doc(ApiDoc::new("An endpoint with its latest messages").returns::<EndpointDetail>()),
        Route::post("/api/v1/webhook-endpoints/{id}/test", write, send_test).doc(
            ApiDoc::new("Send an endpoint a test message")
                .description(
                    "Worth sending for five minutes. Answered after the first attempt, at the latest after six seconds: what \
                     came back. `sms` and `voice` call the query's `phone`, else the endpoint's own first number.",
                )
                .query::<TestQuery>()
                .returns::<Delivery>(),
        ),
        Route::delete("/api/v1/webhook-endpoints/{id}", write, remove).doc(ApiDoc::new("Remove an endpoint")),
    ]
}

/// Where a facility's calls go.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Endpoint")]
pub(super) struct EndpointView {
    id: EndpointId,
    facility: FacilityId,
    kind: EndpointKind,
    /// Whom it stands for; `null`: all targets without an endpoint of their own.
    target: Option<Target>,
    name: String,
    /// Of other kinds than `webhook` the host alone: the rest may open it.
    url: String,
    /// Addresses, or numbers for whoever has none.
    recipients: Vec<String>,
    /// Language of its messages.
    locale: String,
    /// Whether whom it called is told as well that somebody has answered.
    follow: bool,
    active: bool,
    /// How its provider is spoken to, without what opens it; `null` for other kinds than `sms` and `voice`.
    provider: Option<ProviderView>,
    /// When the last message was delivered.
    delivered_at: Option<Moment>,
    /// When the last attempt failed, and why.
    failed_at: Option<Moment>,
    failure: Option<String>,
    /// Messages under way.
    pending: usize,
}

/// Header values and body are never shown.
#[derive(Debug, Serialize, JsonSchema)]
struct ProviderView {
    method: Method,
    header_names: Vec<String>,
    format: Format,
    ok_status: Option<u16>,
    ok_field: String,
    ok_value: String,
}

impl ProviderView {
    fn of(provider: Provider) -> Self {
        let Provider { method, headers, format, ok_status, ok_field, ok_value, .. } = provider;
        Self { method, header_names: headers.into_keys().collect(), format, ok_status, ok_field, ok_value }
    }
}

/// One endpoint as it is now, with how its messages fare.
pub(super) async fn view(ctx: &Ctx, id: EndpointId) -> Result<EndpointView> {
    let read = move |db: &mut Db| {
        let mut fate = Fate::default();
        telling::of_endpoint(db, id)?.iter().for_each(|one| fate.add(one));
        EndpointView::of(endpoints::endpoint(db, id)?, fate)
    };
    ctx.app().db.read(read).await
}

impl EndpointView {
    fn of(endpoint: Endpoint, fate: Fate) -> Result<Self> {
        let (failed_at, failure) = fate.last_failure.map_or((None, None), |(at, why)| (Some(at), why));
        let kind = endpoint.kind()?;
        Ok(Self {
            id: endpoint.id,
            facility: endpoint.facility_id,
            kind,
            provider: if kind.is_by_phone() { Some(ProviderView::of(endpoint.provider()?)) } else { None },
            target: Target::parse(&endpoint.target),
            url: endpoint.shown_url(),
            recipients: endpoint.recipients()?,
            name: endpoint.name,
            locale: endpoint.locale,
            follow: endpoint.follow,
            active: endpoint.active,
            delivered_at: fate.delivered_at,
            failed_at,
            failure,
            pending: fate.pending,
        })
    }
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: FacilityQuery = ctx.query()?;
    let scope = ctx.caller().narrowed(LADDERS_READ, query.facility)?;
    let items = ctx
        .app()
        .db
        .read(move |db| {
            let mut fates = fates(db)?;
            let mut items = Vec::new();
            for facility in registry::facilities_in(db, &scope)? {
                for endpoint in endpoints::of_facility(db, facility.id)? {
                    let fate = fates.remove(&endpoint.id).unwrap_or_default();
                    items.push(EndpointView::of(endpoint, fate)?);
                }
            }
            Ok(items)
        })
        .await?;
    ctx.json_ok(&List::whole(items))
}

/// An endpoint with its latest messages.
#[derive(Debug, Serialize, JsonSchema)]
struct EndpointDetail {
    #[serde(flatten)]
    endpoint: EndpointView,
    /// Newest first, at most 50.
    deliveries: Vec<Delivery>,
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    let scope = ctx.caller().facilities(LADDERS_READ).clone();
    let detail = ctx
        .app()
        .db
        .read(move |db| {
            let endpoint = endpoints::endpoint(db, id)?;
            if !scope.contains(endpoint.facility_id) {
                return Err(Error::NotFound);
            }
            let mut deliveries = telling::of_endpoint(db, id)?;
            let mut fate = Fate::default();
            deliveries.iter().for_each(|one| fate.add(one));
            deliveries.truncate(SHOWN);
            Ok(EndpointDetail { endpoint: EndpointView::of(endpoint, fate)?, deliveries })
        })
        .await?;
    ctx.json_ok(&detail)
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EndpointInput {
    facility: FacilityId,
    /// `webhook` unless given.
    #[serde(default)]
    kind: Option<EndpointKind>,
    /// `null`: all targets.
    #[serde(default)]
    target: Option<Target>,
    name: String,
    /// `https://…`, or `http://…` to a loopback host; no user info; at most 500 characters. Not for `email`.
    #[serde(default)]
    url: String,
    /// What a DingTalk or Feishu robot signs by; never shown. A webhook's is drawn here.
    #[serde(default)]
    secret: String,
    /// `email`: 1 to 10 addresses. `sms`, `voice`: up to 10 numbers for whoever has none.
    #[serde(default)]
    recipients: Vec<String>,
    /// `zh-CN` unless given, or `en`.
    #[serde(default)]
    locale: Option<String>,
    /// Tell whom it called as well that somebody has answered, and that it is over.
    #[serde(default)]
    follow: bool,
    /// For `sms` and `voice`.
    #[serde(default)]
    provider: Provider,
}

impl EndpointInput {
    fn endpoint(self) -> Result<NewEndpoint> {
        let kind = self.kind.unwrap_or(EndpointKind::Webhook);
        let locale = match self.locale.as_deref() {
            None => Locale::DEFAULT,
            Some(tag) => Locale::parse(tag).ok_or_else(|| Error::field("locale", Text::key("error-choose")))?,
        };
        Ok(NewEndpoint {
            facility: self.facility,
            target: self.target,
            kind,
            name: self.name,
            url: self.url,
            secret: if kind == EndpointKind::Webhook { webhook::new_secret() } else { self.secret },
            recipients: self.recipients,
            locale,
            follow: self.follow,
            provider: self.provider,
        })
    }
}

/// A fresh endpoint with the secret that signs its requests.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NewEndpoint")]
struct NewEndpointView {
    #[serde(flatten)]
    endpoint: EndpointView,
    /// Shown here only; `null` for other kinds, and when the request was sent again under its `Idempotency-Key`.
    secret: Option<String>,
}

async fn add(ctx: Ctx) -> Result<HttpResponse> {
    let input: EndpointInput = ctx.json()?;
    ctx.caller().expect_at(LADDERS_WRITE, input.facility)?;
    let new = input.endpoint()?;
    let (kind, secret) = (new.kind, new.secret.clone());
    // The kept outcome is the id alone: a secret has no place among idempotency keys.
    let id = ctx.once(move |tx| endpoints::create(tx, &new)).await?;
    let made = ctx
        .app()
        .db
        .read(move |db| {
            let endpoint = EndpointView::of(endpoints::endpoint(db, id)?, Fate::default())?;
            // Another one is stored: this request made nothing, its first sending did.
            let made_now = kind == EndpointKind::Webhook && endpoints::secret_of(db, id)? == secret;
            Ok(NewEndpointView { endpoint, secret: made_now.then(|| secret.clone()) })
        })
        .await?;
    ctx.created(&made)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TestQuery {
    /// The number to be called.
    phone: Option<String>,
}

async fn send_test(ctx: Ctx) -> Result<HttpResponse> {
    let (id, query): (EndpointId, TestQuery) = (ctx.id("id")?, ctx.query()?);
    let scope = ctx.caller().facilities(LADDERS_WRITE).clone();
    let effect = ctx.once(move |tx| telling::send_test(tx, &scope, id, query.phone.as_deref())).await?;
    ctx.json_ok(&telling::outcome(&ctx.app().db, effect).await?)
}

async fn remove(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    let scope = ctx.caller().facilities(LADDERS_WRITE).clone();
    ctx.app()
        .db
        .write(move |tx| {
            let endpoint = endpoints::endpoint(tx.db(), id)?;
            if !scope.contains(endpoint.facility_id) {
                return Err(Error::NotFound);
            }
            endpoints::remove(tx, endpoint.facility_id, id)
        })
        .await?;
    ctx.no_content()
}
