//! `/api/v1/shifts`.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::Deserialize;
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use songhe_kernel::{Error, FacilityId, Moment, Result};

use crate::module::{ROSTERS_READ, ROSTERS_WRITE};
use crate::{NewShift, Shift, ShiftFilter, ShiftId, add_shift, list_shifts, remove_shift, shift, staff_member};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/shifts", Access::Permission(ROSTERS_READ), list)
            .doc(ApiDoc::new("List shifts").query::<Query>().returns::<List<Shift>>()),
        Route::post("/api/v1/shifts", Access::Permission(ROSTERS_WRITE), create)
            .doc(ApiDoc::new("Put a shift on the roster").body::<NewShift>().creates::<Shift>()),
        Route::delete("/api/v1/shifts/{id}", Access::Permission(ROSTERS_WRITE), remove)
            .doc(ApiDoc::new("Take a shift off the roster")),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Only this facility's.
    facility: Option<FacilityId>,
    /// Shifts that end after this.
    from: Option<Moment>,
    /// Shifts that start before this.
    to: Option<Moment>,
    /// How many at most.
    #[serde(default)]
    limit: Limit,
    /// `next` of the part before.
    after: Option<ShiftId>,
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let filter = ShiftFilter {
        scope: ctx.caller().narrowed(ROSTERS_READ, query.facility)?,
        from: query.from,
        to: query.to,
        after: query.after,
    };
    let rows = ctx.app().db.read(move |db| list_shifts(db, &filter, query.limit.rows())).await?;
    ctx.json_ok(&List::part(rows, query.limit, |shift| shift.id))
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let new: NewShift = ctx.json()?;
    let (staff, scope) = (new.staff_id, ctx.caller().facilities(ROSTERS_WRITE).clone());
    let member = ctx.app().db.read(move |db| staff_member(db, staff)).await?;
    // Somebody else's staff is refused like nobody's.
    if !member.is_some_and(|member| scope.contains(member.facility_id)) {
        return Err(Error::NotFound);
    }
    let actor = Some(ctx.caller().user_id);
    let id = ctx.once(move |tx| add_shift(tx, &new, actor)).await?;
    let made = ctx.app().db.read(move |db| shift(db, id)).await?.ok_or(Error::NotFound)?;
    ctx.created(&made)
}

async fn remove(ctx: Ctx) -> Result<HttpResponse> {
    let id: ShiftId = ctx.id("id")?;
    let found = ctx.app().db.read(move |db| shift(db, id)).await?.ok_or(Error::NotFound)?;
    ctx.caller().expect_at(ROSTERS_WRITE, found.facility_id)?;
    let actor = Some(ctx.caller().user_id);
    ctx.app().db.write(move |tx| remove_shift(tx, id, actor)).await?;
    ctx.no_content()
}
