//! The words of messages.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, List, Route};
use songhe_kernel::i18n::Locale;
use songhe_kernel::{Error, FacilityId, Result, Text};
use songhe_registry as registry;

use crate::model::Occasion;
use crate::module::{LADDERS_READ, LADDERS_WRITE};
use crate::{pages, wording};

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(LADDERS_READ), Access::Permission(LADDERS_WRITE));
    vec![
        Route::get("/api/v1/message-templates", read, list).doc(
            ApiDoc::new("List message templates")
                .description("By language and occasion, the facility's own or the built-in ones.")
                .query::<Query>()
                .returns::<List<Template>>(),
        ),
        Route::put("/api/v1/message-templates", write, save).doc(
            ApiDoc::new("Change a message template")
                .description(
                    "Placeholders: {place} {resident} {kind} {priority} {time} {facility} {source} {who} {times} {late}. What \
                     calls somebody must name the {place}. `body` null: the built-in words again.",
                )
                .body::<TemplateInput>()
                .returns::<Template>(),
        ),
        Route::post("/api/v1/message-templates/preview", read, preview).doc(
            ApiDoc::new("Fill a message template with an example").body::<TemplateInput>().returns::<Preview>(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    facility: FacilityId,
}

/// The words of one occasion.
#[derive(Serialize, JsonSchema)]
struct Template {
    facility: FacilityId,
    /// `zh-CN` or `en`.
    locale: String,
    occasion: Occasion,
    body: String,
    /// The facility's own words, not the built-in ones.
    own: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TemplateInput {
    facility: FacilityId,
    /// `zh-CN` or `en`.
    locale: String,
    occasion: Occasion,
    /// 1 to 500 characters; `null`: the built-in words.
    #[serde(default)]
    body: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Preview {
    text: String,
}

fn locale(tag: &str) -> Result<Locale> {
    Locale::parse(tag).ok_or_else(|| Error::field("locale", Text::key("error-choose")))
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let Query { facility } = ctx.query()?;
    ctx.caller().expect_at(LADDERS_READ, facility)?;
    let i18n = ctx.app().pages.i18n();
    let items = ctx
        .app()
        .db
        .read(move |db| {
            let mut items = Vec::new();
            for locale in Locale::ALL {
                for occasion in Occasion::ALL {
                    let own = wording::own(db, facility, locale, *occasion)?;
                    items.push(Template {
                        facility,
                        locale: locale.to_string(),
                        occasion: *occasion,
                        own: own.is_some(),
                        body: own.unwrap_or_else(|| wording::built_in(&i18n, locale, *occasion)),
                    });
                }
            }
            Ok(items)
        })
        .await?;
    ctx.json_ok(&List::whole(items))
}

async fn save(ctx: Ctx) -> Result<HttpResponse> {
    let TemplateInput { facility, locale: tag, occasion, body } = ctx.json()?;
    ctx.caller().expect_at(LADDERS_WRITE, facility)?;
    let locale = locale(&tag)?;
    let kept = body.clone();
    ctx.once(move |tx| wording::save(tx, facility, locale, occasion, kept.as_deref())).await?;
    let own = body.is_some();
    let body = match body {
        Some(body) => body.trim().to_owned(),
        None => wording::built_in(&ctx.app().pages.i18n(), locale, occasion),
    };
    ctx.json_ok(&Template { facility, locale: tag, occasion, body, own })
}

async fn preview(ctx: Ctx) -> Result<HttpResponse> {
    let TemplateInput { facility, locale: tag, occasion, body } = ctx.json()?;
    ctx.caller().expect_at(LADDERS_READ, facility)?;
    let locale = locale(&tag)?;
    let body = body.unwrap_or_else(|| wording::built_in(&ctx.app().pages.i18n(), locale, occasion));
    wording::check(occasion, &body)?;
    let found = ctx.app().db.read(move |db| registry::facility(db, facility)).await?.ok_or(Error::NotFound)?;
    let text = pages::templates::preview(&ctx, &found, locale, occasion, &body)?;
    ctx.json_ok(&Preview { text })
}
