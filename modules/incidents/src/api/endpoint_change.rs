//! Changing an endpoint, and switching it off and on.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Route};
use songhe_kernel::i18n::Locale;
use songhe_kernel::{Error, Result, Text};

use super::endpoints::{EndpointView, view};
use crate::endpoint_change::{self, Change, ProviderChange};
use crate::model::{EndpointId, Target};
use crate::module::LADDERS_WRITE;
use crate::pages::endpoint_edit::{expect, fresh_secret};

pub(super) fn routes() -> Vec<Route> {
    let write = Access::Permission(LADDERS_WRITE);
    vec![
        Route::put("/api/v1/webhook-endpoints/{id}", write, change).doc(
            ApiDoc::new("Change an endpoint")
                .description(
                    "Its kind and facility stay, and so do its messages; those under way are sent to the changed address. \
                     `url`, `secret`, `provider`, and within it `headers` and `body`, stay as they are when they are left out: \
                     they cannot be read back. A provider's headers and body are asked for anew when its `url` moves to \
                     another host.",
                )
                .body::<ChangeInput>()
                .returns::<EndpointView>(),
        ),
        Route::put("/api/v1/webhook-endpoints/{id}/active", write, set_active).doc(
            ApiDoc::new("Switch an endpoint off or on")
                .description(
                    "Off, no rung goes there; messages under way fail and say so, and can be sent again once it is on.",
                )
                .body::<ActiveInput>()
                .returns::<EndpointView>(),
        ),
        Route::post("/api/v1/webhook-endpoints/{id}/secret", write, draw_secret).doc(
            ApiDoc::new("Draw a webhook a new secret")
                .description(
                    "Requests are signed by it from the next attempt on; the former one counts no more. Sent again under the \
                     same key, the answer holds none. A conflict for other kinds, whose secret is their maker's.",
                )
                .returns::<DrawnSecret>(),
        ),
    ]
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeInput {
    /// `null`: all targets.
    #[serde(default)]
    target: Option<Target>,
    name: String,
    /// As when it is made; left out: as it is.
    #[serde(default)]
    url: Option<String>,
    /// What a DingTalk or Feishu robot signs by; empty: none; left out: as it is. Not for a `webhook`.
    #[serde(default)]
    secret: Option<String>,
    /// `email`: 1 to 10 addresses. `sms`, `voice`: up to 10 numbers for whoever has none.
    #[serde(default)]
    recipients: Vec<String>,
    /// `zh-CN` unless given, or `en`.
    #[serde(default)]
    locale: Option<String>,
    /// Tell whom it called as well that somebody has answered, and that it is over.
    #[serde(default)]
    follow: bool,
    /// For `sms` and `voice`; left out: as it is.
    #[serde(default)]
    provider: Option<ProviderChange>,
}

impl ChangeInput {
    fn change(self) -> Result<Change> {
        let locale = match self.locale.as_deref() {
            None => Locale::DEFAULT,
            Some(tag) => Locale::parse(tag).ok_or_else(|| Error::field("locale", Text::key("error-choose")))?,
        };
        let Self { target, name, url, secret, recipients, follow, provider, .. } = self;
        Ok(Change { target, name, url, secret, recipients, locale, follow, provider })
    }
}

async fn change(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    let wanted = ctx.json::<ChangeInput>()?.change()?;
    let (scope, by) = (ctx.caller().facilities(LADDERS_WRITE).clone(), ctx.caller().user_id);
    ctx.app()
        .db
        .write(move |tx| {
            expect(tx.db(), &scope, id)?;
            endpoint_change::change(tx, id, &wanted)
        })
        .await?;
    tracing::info!(endpoint = %id, %by, "endpoint changed");
    ctx.json_ok(&view(&ctx, id).await?)
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ActiveInput {
    active: bool,
}

async fn set_active(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    let ActiveInput { active } = ctx.json()?;
    let (scope, by) = (ctx.caller().facilities(LADDERS_WRITE).clone(), ctx.caller().user_id);
    ctx.app()
        .db
        .write(move |tx| {
            expect(tx.db(), &scope, id)?;
            endpoint_change::set_active(tx, id, active)
        })
        .await?;
    tracing::info!(endpoint = %id, %by, active, "endpoint switched");
    ctx.json_ok(&view(&ctx, id).await?)
}

#[derive(Debug, Serialize, JsonSchema)]
struct DrawnSecret {
    /// Shown here only; `null` when the request was sent again under its `Idempotency-Key`.
    secret: Option<String>,
}

async fn draw_secret(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    ctx.json_ok(&DrawnSecret { secret: fresh_secret(&ctx, id).await? })
}
