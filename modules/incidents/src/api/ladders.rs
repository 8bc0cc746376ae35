//! Ladders.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Route};
use songhe_kernel::identity::Scope;
use songhe_kernel::{Db, Error, FacilityId, Moment, Result};
use songhe_registry as registry;

use crate::coverage::{self, Gap};
use crate::ladders::{self, Ladder, Rung};
use crate::model::{LadderId, Priority};
use crate::module::{LADDERS_READ, LADDERS_WRITE};

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(LADDERS_READ), Access::Permission(LADDERS_WRITE));
    vec![
        Route::get("/api/v1/ladders", read, list).doc(
            ApiDoc::new("List escalation ladders")
                .description(
                    "All of them, by facility and priority; a priority without one shows the built-in one (`id` null).",
                )
                .query::<FacilityQuery>()
                .returns::<LadderList>(),
        ),
        Route::post("/api/v1/ladders", write, create)
            .doc(ApiDoc::new("Make a ladder").body::<LadderInput>().creates::<LadderAnswer>()),
        Route::get("/api/v1/ladders/{id}", read, show).doc(ApiDoc::new("A ladder").returns::<LadderAnswer>()),
        Route::put("/api/v1/ladders/{id}", write, change).doc(
            ApiDoc::new("Change a ladder")
                .description("Incidents under way go on with the ladder they began.")
                .body::<LadderInput>()
                .returns::<LadderAnswer>(),
        ),
        Route::delete("/api/v1/ladders/{id}", write, remove).doc(ApiDoc::new("Remove a ladder")),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct FacilityQuery {
    pub(super) facility: Option<FacilityId>,
}

/// A ladder as it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LadderInput {
    facility: FacilityId,
    /// A scenario module's name; `null`: every scenario that has no ladder of its own.
    #[serde(default)]
    scenario: Option<String>,
    priority: Priority,
    /// 1 to 60 characters.
    name: String,
    /// Seconds between repeats while nobody answers, 10 to 3,600.
    repeat_seconds: i32,
    #[serde(default = "yes")]
    active: bool,
    /// 1 to 20; the first one at once.
    rungs: Vec<Rung>,
}

fn yes() -> bool {
    true
}

impl LadderInput {
    fn ladder(self, id: Option<LadderId>) -> Ladder {
        let Self { facility, scenario, priority, name, repeat_seconds, active, rungs } = self;
        Ladder { id, facility, scenario, priority, name, repeat_seconds, active, rungs }
    }
}

/// A ladder and the hours of the coming week in which it would reach nobody.
#[derive(Debug, Serialize, JsonSchema)]
struct LadderAnswer {
    #[serde(flatten)]
    ladder: Ladder,
    gaps: Vec<Gap>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct LadderList {
    items: Vec<LadderAnswer>,
    /// Always `null`: there are few.
    next: Option<LadderId>,
}

fn answer(db: &mut Db, ladder: Ladder, now: Moment) -> Result<LadderAnswer> {
    let zone = registry::zone_of(db, ladder.facility)?;
    Ok(LadderAnswer { gaps: coverage::gaps(db, &ladder, zone, now)?, ladder })
}

/// The facilities asked for, of those the caller may see.
pub(super) fn facilities(db: &mut Db, scope: &Scope, one: Option<FacilityId>) -> Result<Vec<FacilityId>> {
    let all = registry::facilities_in(db, scope)?.into_iter().map(|facility| facility.id);
    Ok(all.filter(|id| one.is_none_or(|one| one == *id)).collect())
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: FacilityQuery = ctx.query()?;
    let (scope, now) = (ctx.caller().facilities(LADDERS_READ).clone(), ctx.app().clock.now());
    let items = ctx
        .app()
        .db
        .read(move |db| {
            let mut items = Vec::new();
            for facility in facilities(db, &scope, query.facility)? {
                for ladder in ladders::of_facility(db, facility)? {
                    items.push(answer(db, ladder, now)?);
                }
            }
            Ok(items)
        })
        .await?;
    ctx.json_ok(&LadderList { items, next: None })
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let input: LadderInput = ctx.json()?;
    let ladder = input.ladder(None);
    expect_reach(&ctx, ladder.facility)?;
    let id = ctx.once(move |tx| ladders::save(tx, &ladder)).await?;
    ctx.created(&read(&ctx, id).await?)
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let id: LadderId = ctx.id("id")?;
    let found = read(&ctx, id).await?;
    if !ctx.caller().facilities(LADDERS_READ).contains(found.ladder.facility) {
        return Err(Error::NotFound);
    }
    ctx.json_ok(&found)
}

async fn change(ctx: Ctx) -> Result<HttpResponse> {
    let id: LadderId = ctx.id("id")?;
    let input: LadderInput = ctx.json()?;
    let ladder = input.ladder(Some(id));
    expect_reach(&ctx, ladder.facility)?;
    let scope = ctx.caller().facilities(LADDERS_WRITE).clone();
    ctx.app()
        .db
        .write(move |tx| {
            if !scope.contains(ladders::find(tx.db(), id)?.facility) {
                return Err(Error::NotFound);
            }
            ladders::save(tx, &ladder)
        })
        .await?;
    ctx.json_ok(&read(&ctx, id).await?)
}

async fn remove(ctx: Ctx) -> Result<HttpResponse> {
    let id: LadderId = ctx.id("id")?;
    let scope = ctx.caller().facilities(LADDERS_WRITE).clone();
    ctx.app()
        .db
        .write(move |tx| {
            if !scope.contains(ladders::find(tx.db(), id)?.facility) {
                return Err(Error::NotFound);
            }
            ladders::remove(tx, id)
        })
        .await?;
    ctx.no_content()
}

async fn read(ctx: &Ctx, id: LadderId) -> Result<LadderAnswer> {
    let now = ctx.app().clock.now();
    ctx.app()
        .db
        .read(move |db| {
            let ladder = ladders::find(db, id)?;
            answer(db, ladder, now)
        })
        .await
}

pub(super) fn expect_reach(ctx: &Ctx, facility: FacilityId) -> Result<()> {
    if ctx.caller().facilities(LADDERS_WRITE).contains(facility) { Ok(()) } else { Err(Error::NotFound) }
}
