//! Ladders: the list with its warnings, and the form.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Ctx, Menu, Refused, Route, Section};
use songhe_kernel::{Error, FacilityId, FieldError, Result, Text};
use songhe_registry::{self as registry, Facility};

use super::civil;
use super::ladder_form::{FIELDS, LadderForm};
use crate::coverage::{self, Gap};
use crate::ladders::{self, Ladder};
use crate::model::{Channel, LadderId, Priority, Target};
use crate::module::{LADDERS_READ, LADDERS_WRITE};

/// Stretches listed one by one.
const MAX_WARNINGS: usize = 20;
/// Facilities on one page.
const MAX_FACILITIES: usize = 40;
/// How the address names the built-in ladder of a priority and facility.
const BUILT_IN: &str = "built-in.";

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(LADDERS_READ), Access::Permission(LADDERS_WRITE));
    let menu = Menu { key: "incidents-menu-ladders", icon: "ladder", section: Section::Manage, order: 50 };
    vec![
        Route::get("/ladders", read, list).menu(menu),
        Route::get("/ladders/new", write, new),
        Route::get("/ladders/{id}", read, edit),
        Route::post("/ladders", write, create),
        Route::post("/ladders/{id}", write, change),
        Route::post("/ladders/{id}/delete", write, remove),
    ]
}

#[derive(Serialize)]
struct ListPage {
    can_edit: bool,
    items: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    id: String,
    name: String,
    facility: String,
    scenario: Option<String>,
    priority: Priority,
    repeat_s: Option<i32>,
    rungs: Vec<RungItem>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct RungItem {
    after_s: i32,
    target: Target,
    rank: Option<i32>,
    channel: Channel,
}

#[derive(Serialize)]
struct EditPage {
    id: Option<LadderId>,
    saved: bool,
    form: LadderForm,
    facilities: Vec<Choice>,
    scenarios: Vec<Choice>,
    priorities: Vec<Choice>,
    targets: Vec<Choice>,
    channels: Vec<Choice>,
    warnings: Vec<String>,
    checked: bool,
    #[serde(flatten)]
    refused: Refused,
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let (scope, now) = (ctx.caller().facilities(LADDERS_READ).clone(), ctx.app().clock.now());
    let found = ctx
        .app()
        .db
        .read(move |db| {
            let mut found: Vec<(Facility, Ladder, Vec<Gap>)> = Vec::new();
            for facility in registry::facilities_in(db, &scope)?.into_iter().take(MAX_FACILITIES) {
                let zone = facility.tz()?;
                for ladder in ladders::of_facility(db, facility.id)? {
                    let gaps = coverage::gaps(db, &ladder, zone, now)?;
                    found.push((facility.clone(), ladder, gaps));
                }
            }
            Ok(found)
        })
        .await?;
    let items = found
        .into_iter()
        .map(|(facility, ladder, gaps)| {
            let warnings = warnings(&ctx, &gaps, facility.tz()?);
            Ok(item(&ctx, facility, ladder, warnings))
        })
        .collect::<Result<_>>()?;
    ctx.page("incidents/ladders", &ListPage { can_edit: ctx.caller().can(LADDERS_WRITE), items })
}

fn item(ctx: &Ctx, facility: Facility, ladder: Ladder, warnings: Vec<String>) -> Item {
    let id = match ladder.id {
        Some(id) => id.to_string(),
        None => format!("{BUILT_IN}{}.{}", ladder.priority, ladder.facility),
    };
    let name = if ladder.id.is_some() { ladder.name } else { ctx.say(&Text::key("incidents-ladder-built-in")) };
    let rung = |rung: ladders::Rung| RungItem {
        after_s: rung.after_seconds,
        target: rung.target,
        rank: rung.rank,
        channel: rung.channel,
    };
    Item {
        id,
        name,
        facility: facility.short_name,
        scenario: ladder.scenario.map(|scenario| scenario_words(ctx, &scenario)),
        priority: ladder.priority,
        repeat_s: Some(ladder.repeat_seconds),
        rungs: ladder.rungs.into_iter().map(rung).collect(),
        warnings,
    }
}

fn scenario_words(ctx: &Ctx, name: &str) -> String {
    let module = ctx.app().modules.get(name);
    module.map_or_else(|| name.to_owned(), |module| ctx.say(&Text::key(module.manifest().title_key)))
}

fn warnings(ctx: &Ctx, gaps: &[Gap], zone: chrono_tz::Tz) -> Vec<String> {
    let words = |gap: &Gap| {
        let text = Text::key("incidents-ladder-warning-hours");
        ctx.say(&text.arg("from", civil(gap.from, zone)).arg("to", civil(gap.until, zone)))
    };
    let mut all: Vec<String> = gaps.iter().take(MAX_WARNINGS).map(words).collect();
    if let Some(more) = gaps.len().checked_sub(MAX_WARNINGS).filter(|more| *more > 0) {
        all.push(ctx.say(&Text::key("incidents-ladder-warning-more").arg("n", more)));
    }
    all
}

/// What the form is shown with.
#[derive(Default)]
struct State {
    id: Option<LadderId>,
    saved: bool,
    /// Looked at for the coming week.
    ladder: Option<Ladder>,
    wrong: Vec<FieldError>,
}

async fn new(ctx: Ctx) -> Result<HttpResponse> {
    let facility = match ctx.caller().facilities(LADDERS_WRITE).ids() {
        Some([only]) => only.to_string(),
        _ => String::new(),
    };
    let form = LadderForm {
        facility,
        priority: Priority::High.as_str().into(),
        repeat_s: "60".into(),
        ..LadderForm::default()
    };
    show(ctx, StatusCode::OK, form, State::default()).await
}

/// A ladder, or the built-in one as the beginning of one's own.
async fn edit(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Query {
        #[serde(default)]
        saved: String,
    }
    let saved = !ctx.query::<Query>()?.saved.is_empty();
    let scope = ctx.caller().facilities(LADDERS_READ).clone();
    let ladder = match ctx.param("id").strip_prefix(BUILT_IN) {
        Some(rest) => {
            let (priority, facility) = rest.split_once('.').ok_or(Error::NotFound)?;
            let facility: FacilityId = facility.parse().map_err(|_| Error::NotFound)?;
            ladders::built_in(facility, Priority::parse(priority).ok_or(Error::NotFound)?)
        }
        None => {
            let id: LadderId = ctx.id("id")?;
            ctx.app().db.read(move |db| ladders::find(db, id)).await?
        }
    };
    if !scope.contains(ladder.facility) {
        return Err(Error::NotFound);
    }
    let state = State { id: ladder.id, saved, wrong: Vec::new(), ladder: Some(ladder.clone()) };
    show(ctx, StatusCode::OK, LadderForm::of(&ladder), state).await
}

async fn show(ctx: Ctx, status: StatusCode, form: LadderForm, state: State) -> Result<HttpResponse> {
    let (scope, now) = (ctx.caller().facilities(LADDERS_WRITE).clone(), ctx.app().clock.now());
    let ladder = state.ladder;
    let (facilities, gaps) = ctx
        .app()
        .db
        .read(move |db| {
            let facilities = registry::facilities_in(db, &scope)?;
            let gaps = match ladder {
                Some(ladder) => {
                    let zone = registry::zone_of(db, ladder.facility)?;
                    Some((coverage::gaps(db, &ladder, zone, now)?, zone))
                }
                None => None,
            };
            Ok((facilities, gaps))
        })
        .await?;
    let say = |key: &'static str| ctx.say(&Text::key(key));
    let scenarios = ctx.app().modules.iter().map(|module| module.manifest()).filter(|manifest| manifest.scenario);
    let page = EditPage {
        id: state.id,
        saved: state.saved,
        form: form.ready(),
        facilities: facilities.into_iter().map(|f| Choice::new(f.id.to_string(), f.name)).collect(),
        scenarios: scenarios.map(|manifest| Choice::new(manifest.name, say(manifest.title_key))).collect(),
        priorities: Priority::ALL.iter().map(|word| Choice::new(word.as_str(), say(word.text_key()))).collect(),
        targets: Target::ALL.iter().map(|word| Choice::new(word.as_str(), say(word.text_key()))).collect(),
        channels: Channel::ALL.iter().map(|word| Choice::new(word.as_str(), say(word.text_key()))).collect(),
        checked: gaps.is_some(),
        warnings: gaps.map(|(gaps, zone)| warnings(&ctx, &gaps, zone)).unwrap_or_default(),
        refused: Refused::of(&ctx, &FIELDS, &state.wrong),
    };
    ctx.page_with(status, "incidents/ladder-edit", &page)
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    save(ctx, None).await
}

async fn change(ctx: Ctx) -> Result<HttpResponse> {
    let id: LadderId = ctx.id("id")?;
    save(ctx, Some(id)).await
}

async fn save(ctx: Ctx, id: Option<LadderId>) -> Result<HttpResponse> {
    let fields: HashMap<String, String> = ctx.form()?;
    let mut form = LadderForm::posted(&fields);
    let scope = ctx.caller().facilities(LADDERS_WRITE).clone();
    let facility = form.facility.parse::<FacilityId>().ok().filter(|facility| scope.contains(*facility));
    let read = match facility {
        Some(facility) => form.ladder(&ctx, id, facility),
        None => Err(vec![FieldError::new("facility", Text::key("error-choose"))]),
    };
    let ladder = match read {
        Ok(ladder) => ladder,
        Err(wrong) => {
            return show(ctx, StatusCode::UNPROCESSABLE_ENTITY, form, State { id, wrong, ..State::default() }).await;
        }
    };
    let saved = ctx
        .once(move |tx| {
            if let Some(id) = id
                && !scope.contains(ladders::find(tx.db(), id)?.facility)
            {
                return Err(Error::NotFound);
            }
            ladders::save(tx, &ladder)
        })
        .await;
    match saved {
        Ok(id) => ctx.redirect(&format!("/ladders/{id}?saved=1")),
        Err(Error::Invalid(wrong)) => {
            show(ctx, StatusCode::UNPROCESSABLE_ENTITY, form, State { id, wrong, ..State::default() }).await
        }
        Err(error) => Err(error),
    }
}

async fn remove(ctx: Ctx) -> Result<HttpResponse> {
    let id: LadderId = ctx.id("id")?;
    let scope = ctx.caller().facilities(LADDERS_WRITE).clone();
    ctx.once(move |tx| {
        if !scope.contains(ladders::find(tx.db(), id)?.facility) {
            return Err(Error::NotFound);
        }
        ladders::remove(tx, id)
    })
    .await?;
    ctx.redirect("/ladders")
}
