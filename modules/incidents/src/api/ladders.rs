//! Ladders.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, List, Route};
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
                .returns::<List<LadderAnswer>>(),
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
#[serde(deny_unknown_fields)]
pub(super) struct FacilityQuery {
    /// Only this facility's.
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
#[schemars(rename = "Ladder")]
struct LadderAnswer {
    #[serde(flatten)]
    ladder: Ladder,
    gaps: Vec<Gap>,
}

fn answer(db: &mut Db, ladder: Ladder, now: Moment) -> Result<LadderAnswer> {
    let zone = registry::zone_of(db, ladder.facility)?;
    Ok(LadderAnswer { gaps: coverage::gaps(db, &ladder, zone, now)?, ladder })
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: FacilityQuery = ctx.query()?;
    let (scope, now) = (ctx.caller().narrowed(LADDERS_READ, query.facility)?, ctx.app().clock.now());
    let items = ctx
        .app()
        .db
        .read(move |db| {
            let mut items = Vec::new();
            for facility in registry::facilities_in(db, &scope)? {
                for ladder in ladders::of_facility(db, facility.id)? {
                    items.push(answer(db, ladder, now)?);
                }
            }
            Ok(items)
        })
        .await?;
    ctx.json_ok(&List::whole(items))
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let input: LadderInput = ctx.json()?;
    let ladder = input.ladder(None);
    ctx.caller().expect_at(LADDERS_WRITE, ladder.facility)?;
    let id = ctx.once(move |tx| ladders::save(tx, &ladder)).await?;
    ctx.created(&read(&ctx, id).await?)
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let id: LadderId = ctx.id("id")?;
    let found = read(&ctx, id).await?;
    ctx.caller().expect_at(LADDERS_READ, found.ladder.facility)?;
    ctx.json_ok(&found)
}

async fn change(ctx: Ctx) -> Result<HttpResponse> {
    let id: LadderId = ctx.id("id")?;
    let input: LadderInput = ctx.json()?;
    let ladder = input.ladder(Some(id));
    ctx.caller().expect_at(LADDERS_WRITE, ladder.facility)?;
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
