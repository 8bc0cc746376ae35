//! Webhook endpoints of the caller's facilities.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Ctx, Fields, Menu, Refused, Route, Section};
use songhe_kernel::{Error, FacilityId, FieldError, Moment, Result, Text};
use songhe_registry as registry;

use crate::model::{EndpointId, Target};
use crate::module::{LADDERS_READ, LADDERS_WRITE};
use crate::webhook::{self, Endpoint};
use crate::webhook_fate::{Fate, fates};

const ANY: &str = "any";
/// Characters of a host that stand for its endpoint.
const MAX_HOST: usize = 253;

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(LADDERS_READ), Access::Permission(LADDERS_WRITE));
    let menu = Menu { key: "incidents-menu-endpoints", icon: "webhook", section: Section::Manage, order: 60 };
    vec![
        Route::get("/endpoints", read, page).menu(menu),
        Route::post("/endpoints", write, add),
        Route::post("/endpoints/{id}/test", write, test),
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
    form: Form,
    facilities: Vec<Choice>,
    targets: Vec<Choice>,
    #[serde(flatten)]
    refused: Refused,
}

#[derive(Serialize)]
struct Item {
    id: EndpointId,
    url: String,
    target: String,
    facility: String,
    enabled: bool,
    last_ok_at: Option<Moment>,
    last_error_at: Option<Moment>,
    last_error: Option<String>,
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

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Form {
    url: String,
    facility: String,
    target: String,
}

const FIELDS: Fields = &[
    ("url", "incidents-endpoint-url"),
    ("facility", "incidents-ladder-facility"),
    ("target", "incidents-endpoint-for"),
];

async fn page(ctx: Ctx) -> Result<HttpResponse> {
    show(&ctx, StatusCode::OK, Form { target: ANY.into(), ..Form::default() }, Made::Nothing, Vec::new()).await
}

async fn show(ctx: &Ctx, status: StatusCode, form: Form, made: Made, errors: Vec<FieldError>) -> Result<HttpResponse> {
    let (read, write) = (ctx.caller().facilities(LADDERS_READ).clone(), ctx.caller().facilities(LADDERS_WRITE).clone());
    let can_edit = !write.is_empty();
    let (items, facilities) = ctx
        .app()
        .db
        .read(move |db| {
            let fates = fates(db)?;
            let mut items = Vec::new();
            let mut choices = Vec::new();
            for facility in registry::facilities_in(db, &read)? {
                for endpoint in webhook::endpoints(db, facility.id)? {
                    let fate = fates.get(&endpoint.id).cloned().unwrap_or_default();
                    items.push(item(endpoint, &facility.short_name, fate));
                }
                if write.contains(facility.id) {
                    choices.push(Choice::new(facility.id.to_string(), facility.name));
                }
            }
            Ok((items, choices))
        })
        .await?;
    let mut targets = vec![Choice::new(ANY, ctx.say(&Text::key("incidents-target-any")))];
    targets
        .extend(Target::ALL.iter().map(|target| Choice::new(target.as_str(), ctx.say(&Text::key(target.text_key())))));
    let page = Page {
        can_edit,
        items,
        shown_before: matches!(made, Made::Before),
        secret: match made {
            Made::Now(secret) => Some(secret),
            Made::Before | Made::Nothing => None,
        },
        form,
        facilities,
        targets,
        refused: Refused::new(ctx, FIELDS, &errors),
    };
    ctx.page_with(status, "incidents/endpoints", &page)
}

fn item(endpoint: Endpoint, facility: &str, fate: Fate) -> Item {
    let (last_error_at, last_error) = fate.last_failure.map_or((None, None), |(at, why)| (Some(at), why));
    Item {
        id: endpoint.id,
        url: endpoint.url,
        target: endpoint.target,
        facility: facility.to_owned(),
        enabled: endpoint.active,
        last_ok_at: fate.delivered_at,
        last_error_at,
        last_error,
        pending: fate.pending,
    }
}

async fn add(ctx: Ctx) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let mut wrong = Vec::new();
    let facility = form.facility.parse::<FacilityId>().ok();
    let facility = facility.filter(|id| ctx.caller().facilities(LADDERS_WRITE).contains(*id));
    if facility.is_none() {
        wrong.push(FieldError::new("facility", Text::key("error-choose")));
    }
    let target = Target::parse(&form.target);
    if target.is_none() && form.target != ANY {
        wrong.push(FieldError::new("target", Text::key("error-choose")));
    }
    let Some(facility) = facility.filter(|_| wrong.is_empty()) else {
        return show(&ctx, StatusCode::UNPROCESSABLE_ENTITY, form, Made::Nothing, wrong).await;
    };
    let (url, secret) = (form.url.trim().to_owned(), webhook::new_secret());
    let (name, fresh) = (host_of(&url), secret.clone());
    let made = ctx
        .once({
            let url = url.clone();
            move |tx| webhook::create_endpoint(tx, facility, target, &name, &url, &fresh)
        })
        .await;
    match made {
        Ok(id) => {
            let stored = ctx.app().db.read(move |db| webhook::secret_of(db, id)).await;
            // Another one is stored (or the endpoint is gone since): this form made nothing, its first sending did.
            let made = match stored {
                Ok(stored) if stored == secret => Made::Now(Secret { url, value: secret }),
                Ok(_) | Err(Error::NotFound) => Made::Before,
                Err(error) => return Err(error),
            };
            show(&ctx, StatusCode::OK, Form { target: ANY.into(), ..Form::default() }, made, Vec::new()).await
        }
        Err(Error::Invalid(wrong)) => show(&ctx, StatusCode::UNPROCESSABLE_ENTITY, form, Made::Nothing, wrong).await,
        Err(error) => Err(error),
    }
}

/// Its name: what a person recognises in a list.
fn host_of(url: &str) -> String {
    let host = url.split('/').nth(2).unwrap_or_default();
    let plain: String = host.chars().filter(|c| c.is_alphanumeric() || ".-:[]".contains(*c)).take(MAX_HOST).collect();
    if plain.is_empty() { "-".to_owned() } else { plain }
}

async fn test(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    let scope = ctx.caller().facilities(LADDERS_WRITE).clone();
    ctx.once(move |tx| webhook::send_test(tx, &scope, id)).await?;
    ctx.redirect("/endpoints")
}

async fn remove(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    let scope = ctx.caller().facilities(LADDERS_WRITE).clone();
    ctx.once(move |tx| {
        let endpoint = webhook::endpoint(tx.db(), id)?;
        if !scope.contains(endpoint.facility_id) {
            return Err(Error::NotFound);
        }
        webhook::remove_endpoint(tx, endpoint.facility_id, id)
    })
    .await?;
    ctx.redirect("/endpoints")
}
