//! `/api/v1/staff`.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::Deserialize;
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use songhe_kernel::{Error, FacilityId, Result};

use crate::module::{STAFF_READ, STAFF_WRITE};
use crate::{NewStaff, Staff, StaffId, create_staff, list_staff, staff_member};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/staff", Access::Permission(STAFF_READ), list)
            .doc(ApiDoc::new("List staff").query::<Query>().returns::<List<Staff>>()),
        Route::post("/api/v1/staff", Access::Permission(STAFF_WRITE), create)
            .doc(ApiDoc::new("Add a member of staff").body::<NewStaff>().creates::<Staff>()),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Only this facility's.
    facility: Option<FacilityId>,
    /// How many at most.
    #[serde(default)]
    limit: Limit,
    /// `next` of the part before.
    after: Option<StaffId>,
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let scope = ctx.caller().narrowed(STAFF_READ, query.facility)?;
    let rows = ctx.app().db.read(move |db| list_staff(db, &scope, query.after, query.limit.rows())).await?;
    ctx.json_ok(&List::part(rows, query.limit, |member| member.id))
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let new: NewStaff = ctx.json()?;
    ctx.caller().expect_at(STAFF_WRITE, new.facility_id)?;
    let actor = Some(ctx.caller().user_id);
    let id = ctx.once(move |tx| create_staff(tx, &new, actor)).await?;
    let made = ctx.app().db.read(move |db| staff_member(db, id)).await?.ok_or(Error::NotFound)?;
    ctx.created(&made)
}
