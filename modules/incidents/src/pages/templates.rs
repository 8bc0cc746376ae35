//! `/message-templates`: the words of a facility's messages, by language and occasion, with a preview.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Ctx, Fields, Menu, Refused, Route, Section, url};
use songhe_kernel::i18n::Locale;
use songhe_kernel::{Error, FieldError, Result, Text};
use songhe_registry::{self as registry, Facility};

use super::endpoints::locale_choices;
use crate::model::Occasion;
use crate::module::{LADDERS_READ, LADDERS_WRITE};
use crate::wording::{self, PLACEHOLDERS, Setting};

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(LADDERS_READ), Access::Permission(LADDERS_WRITE));
    let menu = Menu { key: "channels-menu-templates", icon: "note", section: Section::Manage, order: 65 };
    vec![Route::get("/message-templates", read, page).menu(menu), Route::post("/message-templates", write, save)]
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Query {
    facility: String,
    locale: String,
    saved: String,
}

#[derive(Serialize)]
struct Page {
    can_edit: bool,
    saved: bool,
    facility: String,
    facilities: Vec<Choice>,
    locale: &'static str,
    locales: Vec<Choice>,
    items: Vec<Item>,
    placeholders: Vec<Placeholder>,
    #[serde(flatten)]
    refused: Refused,
}

#[derive(Serialize)]
struct Item {
    occasion: Occasion,
    body: String,
    /// The facility's own words, not the built-in ones.
    own: bool,
    preview: String,
    error: Option<String>,
}

#[derive(Serialize)]
struct Placeholder {
    mark: String,
    meaning: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Form {
    facility: String,
    locale: String,
    occasion: String,
    body: String,
    /// `preview`, `reset`; anything else saves.
    act: String,
}

const FIELDS: Fields = &[("body", "channels-template")];

/// Words that were posted and are not kept (yet).
struct Posted {
    occasion: Occasion,
    body: String,
    wrong: Vec<FieldError>,
}

async fn page(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let facility = chosen(&ctx, LADDERS_READ, &query.facility).await?;
    let locale = Locale::parse(&query.locale).unwrap_or(Locale::DEFAULT);
    show(&ctx, StatusCode::OK, facility, locale, !query.saved.is_empty(), None).await
}

/// The facility asked for, else the first; `None`: the caller has none.
async fn chosen(ctx: &Ctx, permission: &'static str, asked: &str) -> Result<Option<Facility>> {
    match registry::facilities_of(ctx, permission).await?.as_slice() {
        [] if asked.is_empty() => Ok(None),
        all => registry::chosen(all, asked).cloned().map(Some),
    }
}

async fn show(
    ctx: &Ctx,
    status: StatusCode,
    facility: Option<Facility>,
    locale: Locale,
    saved: bool,
    posted: Option<Posted>,
) -> Result<HttpResponse> {
    let scope = ctx.caller().facilities(LADDERS_READ).clone();
    let id = facility.as_ref().map(|facility| facility.id);
    let (facilities, own) = ctx
        .app()
        .db
        .read(move |db| {
            let mut own = Vec::new();
            for occasion in Occasion::ALL {
                own.push(match id {
                    Some(id) => wording::own(db, id, locale, *occasion)?,
                    None => None,
                });
            }
            Ok((registry::facilities_in(db, &scope)?, own))
        })
        .await?;
    let mut items = Vec::new();
    for (occasion, own) in Occasion::ALL.iter().zip(own) {
        if let Some(facility) = &facility {
            let mine = posted.as_ref().filter(|posted| posted.occasion == *occasion);
            items.push(item(ctx, facility, locale, *occasion, own, mine)?);
        }
    }
    let page = Page {
        can_edit: id.is_some_and(|id| ctx.caller().facilities(LADDERS_WRITE).contains(id)),
        saved,
        facility: id.map(|id| id.to_string()).unwrap_or_default(),
        facilities: facilities.into_iter().map(|one| Choice::new(one.id.to_string(), one.name)).collect(),
        locale: locale.as_str(),
        locales: locale_choices(ctx),
        items,
        placeholders: PLACEHOLDERS.iter().map(|name| placeholder(ctx, name)).collect(),
        refused: Refused::new(ctx, FIELDS, &posted.map(|posted| posted.wrong).unwrap_or_default()),
    };
    ctx.page_with(status, "incidents/templates", &page)
}

fn placeholder(ctx: &Ctx, name: &str) -> Placeholder {
    let meaning = match name {
        "place" => "channels-value-place",
        "resident" => "channels-value-resident",
        "kind" => "channels-value-kind",
        "priority" => "channels-value-priority",
        "time" => "channels-value-time",
        "facility" => "channels-value-facility",
        "source" => "channels-value-source",
        "who" => "channels-value-who",
        "times" => "channels-value-times",
        _ => "channels-value-late",
    };
    Placeholder { mark: format!("{{{name}}}"), meaning: ctx.say(&Text::key(meaning)) }
}

fn item(
    ctx: &Ctx,
    facility: &Facility,
    locale: Locale,
    occasion: Occasion,
    own: Option<String>,
    posted: Option<&Posted>,
) -> Result<Item> {
    let i18n = ctx.app().pages.i18n();
    let is_own = own.is_some();
    let body = match posted {
        Some(posted) => posted.body.clone(),
        None => own.unwrap_or_else(|| wording::built_in(&i18n, locale, occasion)),
    };
    let error = posted.and_then(|posted| posted.wrong.first()).map(|error| ctx.say(&error.text));
    let preview = if error.is_some() { String::new() } else { preview(ctx, facility, locale, occasion, &body)? };
    Ok(Item { occasion, body, own: is_own, preview, error })
}

/// A template filled with an example.
pub(crate) fn preview(
    ctx: &Ctx,
    facility: &Facility,
    locale: Locale,
    occasion: Occasion,
    body: &str,
) -> Result<String> {
    let i18n = ctx.app().pages.i18n();
    let setting =
        Setting { facility: facility.name.clone(), zone: facility.tz()?, template: Some(body.trim().to_owned()) };
    let example = wording::example(&i18n, locale, occasion, ctx.app().clock.now());
    Ok(wording::render(&i18n, locale, &example, &setting))
}

async fn save(ctx: Ctx) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let (Some(locale), Some(occasion)) = (Locale::parse(&form.locale), Occasion::parse(&form.occasion)) else {
        return Err(Error::NotFound);
    };
    let facility = chosen(&ctx, LADDERS_WRITE, &form.facility).await?.ok_or(Error::NotFound)?;
    // A form has line ends of its own.
    let body = form.body.replace("\r\n", "\n");
    if form.act == "preview" {
        let wrong = match wording::check(occasion, &body) {
            Ok(()) => Vec::new(),
            Err(Error::Invalid(wrong)) => wrong,
            Err(error) => return Err(error),
        };
        let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        return show(&ctx, status, Some(facility), locale, false, Some(Posted { occasion, body, wrong })).await;
    }
    let kept = (form.act != "reset").then(|| body.clone());
    let id = facility.id;
    match ctx.once(move |tx| wording::save(tx, id, locale, occasion, kept.as_deref())).await {
        Ok(()) => ctx.redirect(&url(
            "/message-templates",
            &[("facility", &id.to_string()), ("locale", locale.as_str()), ("saved", "1")],
        )),
        Err(Error::Invalid(wrong)) => {
            let posted = Posted { occasion, body, wrong };
            show(&ctx, StatusCode::UNPROCESSABLE_ENTITY, Some(facility), locale, false, Some(posted)).await
        }
        Err(error) => Err(error),
    }
}
