//! Webhook endpoints of the caller's facilities.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Ctx, Fields, Menu, Refused, Route, Section};
use songhe_kernel::schema::effect;
use songhe_kernel::{Db, Error, FacilityId, FieldError, Moment, Result, Text};
use songhe_registry as registry;

use crate::model::{EndpointId, Target};
use crate::module::{LADDERS_READ, LADDERS_WRITE};
use crate::webhook::{self, Endpoint};

/// How far back the outcomes shown are looked for: messages of all endpoints.
const LOOK_BACK: i64 = 2_000;
const ANY: &str = "any";

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

#[derive(Clone, Default)]
struct Fate {
    last_ok_at: Option<Moment>,
    last_error: Option<(Moment, Option<String>)>,
    pending: usize,
}

async fn page(ctx: Ctx) -> Result<HttpResponse> {
    show(&ctx, StatusCode::OK, Form { target: ANY.into(), ..Form::default() }, None, Vec::new()).await
}

async fn show(
    ctx: &Ctx,
    status: StatusCode,
    form: Form,
    secret: Option<Secret>,
    errors: Vec<FieldError>,
) -> Result<HttpResponse> {
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
    let refused = Refused::new(ctx, FIELDS, &errors);
    let page = Page { can_edit, items, secret, form, facilities, targets, refused };
    ctx.page_with(status, "incidents/endpoints", &page)
}

fn item(endpoint: Endpoint, facility: &str, fate: Fate) -> Item {
    let (last_error_at, last_error) = fate.last_error.map_or((None, None), |(at, why)| (Some(at), why));
    Item {
        id: endpoint.id,
        url: endpoint.url,
        target: endpoint.target,
        facility: facility.to_owned(),
        enabled: endpoint.active,
        last_ok_at: fate.last_ok_at,
        last_error_at,
        last_error,
        pending: fate.pending,
    }
}

/// What became of the latest messages, by endpoint.
fn fates(db: &mut Db) -> Result<HashMap<EndpointId, Fate>> {
    #[derive(Deserialize)]
    struct To {
        endpoint: EndpointId,
    }
    type Columns = (String, String, Moment, Option<Moment>, Option<String>, i32);
    let rows: Vec<Columns> = effect::table
        .filter(effect::module.eq(crate::MODULE).and(effect::kind.eq(webhook::KIND)))
        .order(effect::id.desc())
        .limit(LOOK_BACK)
        .select((effect::target, effect::status, effect::created_at, effect::done_at, effect::error, effect::attempts))
        .load(db)?;
    let mut fates: HashMap<EndpointId, Fate> = HashMap::new();
    for (target, status, created_at, done_at, error, attempts) in rows {
        let Ok(to) = serde_json::from_str::<To>(&target) else { continue };
        let fate = fates.entry(to.endpoint).or_default();
        let at = done_at.unwrap_or(created_at);
        let later = fate.last_error.as_ref().is_none_or(|(known, _)| *known < at);
        if status == "delivered" {
            fate.last_ok_at = fate.last_ok_at.max(Some(at));
        } else if later && (status != "queued" || attempts > 0) {
            fate.last_error = Some((at, error));
        }
        fate.pending += usize::from(status == "queued");
    }
    Ok(fates)
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
        return show(&ctx, StatusCode::UNPROCESSABLE_ENTITY, form, None, wrong).await;
    };
    let (url, secret) = (form.url.trim().to_owned(), webhook::new_secret());
    // The host is its name: what a person recognises in a list.
    let name = url.split('/').nth(2).filter(|host| !host.is_empty()).unwrap_or("-").to_owned();
    let made = ctx
        .once({
            let url = url.clone();
            move |tx| webhook::create_endpoint(tx, facility, target, &name, &url, &secret)
        })
        .await;
    match made {
        Ok(id) => {
            let value = ctx.app().db.read(move |db| webhook::secret_of(db, id)).await?;
            let fresh = Form { target: ANY.into(), ..Form::default() };
            show(&ctx, StatusCode::OK, fresh, Some(Secret { url, value }), Vec::new()).await
        }
        Err(Error::Invalid(wrong)) => show(&ctx, StatusCode::UNPROCESSABLE_ENTITY, form, None, wrong).await,
        Err(error) => Err(error),
    }
}

async fn test(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    let scope = ctx.caller().facilities(LADDERS_WRITE).clone();
    ctx.once(move |tx| {
        let endpoint = webhook::endpoint(tx.db(), id)?;
        if !scope.contains(endpoint.facility_id) {
            return Err(Error::NotFound);
        }
        webhook::send_test(tx, &endpoint)
    })
    .await?;
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
