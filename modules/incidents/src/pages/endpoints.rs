//! Endpoints of the caller's facilities: the list, and the form that adds one.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;
use songhe_kernel::http::{Access, Choice, Ctx, Menu, Refused, Route, Section};
use songhe_kernel::i18n::Locale;
use songhe_kernel::{Error, FacilityId, FieldError, Moment, Result, Text};
use songhe_registry as registry;

use super::endpoint_form::{ANY, EndpointForm, FIELDS};
use crate::endpoints::{self, Endpoint};
use crate::model::{EndpointId, EndpointKind, Target};
use crate::module::{LADDERS_READ, LADDERS_WRITE};
use crate::reasons;
use crate::telling::{Fate, fates};

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(LADDERS_READ), Access::Permission(LADDERS_WRITE));
    let menu = Menu { key: "incidents-menu-endpoints", icon: "webhook", section: Section::Manage, order: 60 };
    vec![
        Route::get("/endpoints", read, page).menu(menu),
        Route::post("/endpoints", write, add),
        Route::post("/endpoints/{id}/delete", write, remove),
    ]
}

#[derive(Serialize)]
struct Page {
    can_edit: bool,
    items: Vec<Item>,
    secret: Option<Secret>,
    /// The form came a second time: its endpoint is there, and its secret was shown.
    shown_before: bool,
    form: EndpointForm,
    kinds: Vec<Choice>,
    facilities: Vec<Choice>,
    #[serde(flatten)]
    choices: Choices,
    #[serde(flatten)]
    refused: Refused,
}

/// What an endpoint's form offers, whether it makes one or changes one.
#[derive(Serialize)]
pub(super) struct Choices {
    pub(super) targets: Vec<Choice>,
    pub(super) locales: Vec<Choice>,
    pub(super) methods: Vec<Choice>,
    pub(super) formats: Vec<Choice>,
}

impl Choices {
    pub(super) fn of(ctx: &Ctx) -> Self {
        let say = |key: &'static str| ctx.say(&Text::key(key));
        let mut targets = vec![Choice::new(ANY, say("incidents-target-any"))];
        targets.extend(Target::ALL.iter().map(|target| Choice::new(target.as_str(), say(target.text_key()))));
        Self {
            targets,
            locales: locale_choices(ctx),
            methods: ["POST", "GET", "PUT"].iter().map(|method| Choice::new(method, *method)).collect(),
            formats: vec![
                Choice::new("json", say("channels-format-json")),
                Choice::new("form", say("channels-format-form")),
            ],
        }
    }
}

#[derive(Serialize)]
struct Item {
    id: EndpointId,
    name: String,
    kind: String,
    url: String,
    target: String,
    facility: String,
    enabled: bool,
    last_ok_at: Option<Moment>,
    last_error_at: Option<Moment>,
    last_error: Option<String>,
    /// The same in words.
    last_why: Option<String>,
    pending: usize,
}

#[derive(Serialize)]
struct Secret {
    url: String,
    value: String,
}

/// What the form that was sent has made.
enum Made {
    Nothing,
    /// An endpoint, whose secret is shown here and nowhere else.
    Now(Secret),
    /// Nothing more: it was sent before.
    Before,
}

async fn page(ctx: Ctx) -> Result<HttpResponse> {
    show(&ctx, StatusCode::OK, EndpointForm::default(), Made::Nothing, Vec::new()).await
}

async fn show(
    ctx: &Ctx,
    status: StatusCode,
    form: EndpointForm,
    made: Made,
    errors: Vec<FieldError>,
) -> Result<HttpResponse> {
    let (read, write) = (ctx.caller().facilities(LADDERS_READ).clone(), ctx.caller().facilities(LADDERS_WRITE).clone());
    let can_edit = !write.is_empty();
    let (found, facilities) = ctx
        .app()
        .db
        .read(move |db| {
            let fates = fates(db)?;
            let mut items = Vec::new();
            let mut choices = Vec::new();
            for facility in registry::facilities_in(db, &read)? {
                for endpoint in endpoints::of_facility(db, facility.id)? {
                    let fate = fates.get(&endpoint.id).cloned().unwrap_or_default();
                    items.push((endpoint, facility.short_name.clone(), fate));
                }
                if write.contains(facility.id) {
                    choices.push(Choice::new(facility.id.to_string(), facility.name));
                }
            }
            Ok((items, choices))
        })
        .await?;
    let say = |key: &'static str| ctx.say(&Text::key(key));
    let page = Page {
        can_edit,
        items: found.into_iter().map(|(endpoint, facility, fate)| item(ctx, endpoint, facility, fate)).collect(),
        shown_before: matches!(made, Made::Before),
        secret: match made {
            Made::Now(secret) => Some(secret),
            Made::Before | Made::Nothing => None,
        },
        form,
        kinds: EndpointKind::ALL.iter().map(|kind| Choice::new(kind.as_str(), say(kind.text_key()))).collect(),
        facilities,
        choices: Choices::of(ctx),
        refused: Refused::of(ctx, &FIELDS, &errors),
    };
    ctx.page_with(status, "incidents/endpoints", &page)
}

/// The languages of messages, each in its own.
pub(super) fn locale_choices(ctx: &Ctx) -> Vec<Choice> {
    let name = |locale: Locale| match locale {
        Locale::ZhCn => "channels-locale-zh",
        Locale::En => "channels-locale-en",
    };
    let choice = |locale: Locale| Choice::new(locale.as_str(), ctx.say(&Text::key(name(locale))));
    Locale::ALL.into_iter().map(choice).collect()
}

fn item(ctx: &Ctx, endpoint: Endpoint, facility: String, fate: Fate) -> Item {
    let (last_error_at, last_error) = fate.last_failure.map_or((None, None), |(at, why)| (Some(at), why));
    Item {
        id: endpoint.id,
        url: endpoint.shown_url(),
        name: endpoint.name,
        kind: endpoint.kind,
        target: endpoint.target,
        facility,
        enabled: endpoint.active,
        last_ok_at: fate.delivered_at,
        last_error_at,
        last_why: reasons::explain(ctx, last_error.as_deref()),
        last_error: last_error.map(|error| reasons::without_mark(&error).to_owned()),
        pending: fate.pending,
    }
}

async fn add(ctx: Ctx) -> Result<HttpResponse> {
    let form: EndpointForm = ctx.form()?;
    let facility = form.facility.parse::<FacilityId>().ok();
    let facility = facility.filter(|id| ctx.caller().facilities(LADDERS_WRITE).contains(*id));
    let new = match form.endpoint(facility) {
        Ok(new) => new,
        Err(wrong) => return show(&ctx, StatusCode::UNPROCESSABLE_ENTITY, form, Made::Nothing, wrong).await,
    };
    let (kind, url, secret) = (new.kind, new.url.clone(), new.secret.clone());
    match ctx.once(move |tx| endpoints::create(tx, &new)).await {
        Ok(id) if kind == EndpointKind::Webhook => {
            let stored = ctx.app().db.read(move |db| endpoints::secret_of(db, id)).await;
            // Another one is stored (or the endpoint is gone since): this form made nothing, its first sending did.
            let made = match stored {
                Ok(stored) if stored == secret => Made::Now(Secret { url, value: secret }),
                Ok(_) | Err(Error::NotFound) => Made::Before,
                Err(error) => return Err(error),
            };
            show(&ctx, StatusCode::OK, EndpointForm::default(), made, Vec::new()).await
        }
        // Nothing is shown but once: on to the test.
        Ok(id) => ctx.redirect(&format!("/endpoints/{id}")),
        Err(Error::Invalid(wrong)) => show(&ctx, StatusCode::UNPROCESSABLE_ENTITY, form, Made::Nothing, wrong).await,
        Err(error) => Err(error),
    }
}

async fn remove(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    let scope = ctx.caller().facilities(LADDERS_WRITE).clone();
    ctx.once(move |tx| {
        let endpoint = endpoints::endpoint(tx.db(), id)?;
        if !scope.contains(endpoint.facility_id) {
            return Err(Error::NotFound);
        }
        endpoints::remove(tx, endpoint.facility_id, id)
    })
    .await?;
    ctx.redirect("/endpoints")
}
