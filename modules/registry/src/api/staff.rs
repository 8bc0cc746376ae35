//! `/api/v1/staff`.

use std::collections::{HashMap, HashSet};

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use songhe_kernel::{Db, Error, FacilityId, Moment, Result, UserId};

use crate::module::{STAFF_READ, STAFF_WRITE};
use crate::staff::{enter_staff, usernames};
use crate::{Job, NewStaff, Staff, StaffId, link_account, list_staff, set_staff_phone, staff_member};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/staff", Access::Permission(STAFF_READ), list)
            .doc(ApiDoc::new("List staff").query::<Query>().returns::<List<StaffBody>>()),
        Route::post("/api/v1/staff", Access::Permission(STAFF_WRITE), create)
            .doc(ApiDoc::new("Add a member of staff").body::<NewStaffBody>().creates::<StaffBody>()),
        Route::put("/api/v1/staff/{id}/phone", Access::Permission(STAFF_WRITE), set_phone).doc(
            ApiDoc::new("Set the phone number of a member of staff")
                .description("Text messages and voice calls of escalation ladders go there; `null` removes it.")
                .body::<PhoneBody>()
                .returns::<StaffBody>(),
        ),
        Route::put("/api/v1/staff/{id}/account", Access::Permission(STAFF_WRITE), set_account).doc(
            ApiDoc::new("Set the account that a member of staff signs in with")
                .description("It needs a role at the facility; `null`: none, and nothing reaches them here.")
                .body::<AccountBody>()
                .returns::<StaffBody>(),
        ),
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

/// A member of staff to be entered.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewStaffBody {
    facility_id: FacilityId,
    /// 1 to 60 characters.
    name: String,
    job: Job,
    /// The account they sign in with.
    #[serde(default)]
    user_id: Option<UserId>,
    /// The same account by its name, for whoever does not know its id.
    #[serde(default)]
    username: Option<String>,
}

/// A member of a facility's staff.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Staff")]
struct StaffBody {
    #[serde(flatten)]
    member: Staff,
    /// The account's name; `null`: they have none.
    username: Option<String>,
    /// Whether a shift of theirs runs now.
    on_duty: bool,
}

fn bodies(db: &mut Db, rows: Vec<Staff>, now: Moment) -> Result<Vec<StaffBody>> {
    let ids: Vec<StaffId> = rows.iter().map(|member| member.id).collect();
    let present: HashSet<StaffId> = crate::shifts::present(db, &ids, now)?.into_iter().collect();
    let mut accounts: HashMap<StaffId, String> = usernames(db, &ids)?;
    let body = |member: Staff| StaffBody {
        username: accounts.remove(&member.id),
        on_duty: present.contains(&member.id),
        member,
    };
    Ok(rows.into_iter().map(body).collect())
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let scope = ctx.caller().narrowed(STAFF_READ, query.facility)?;
    let now = ctx.app().clock.now();
    let rows = ctx
        .app()
        .db
        .read(move |db| {
            let rows = list_staff(db, &scope, query.after, query.limit.rows())?;
            bodies(db, rows, now)
        })
        .await?;
    ctx.json_ok(&List::part(rows, query.limit, |body| body.member.id))
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let NewStaffBody { facility_id, name, job, user_id, username } = ctx.json()?;
    ctx.caller().expect_at(STAFF_WRITE, facility_id)?;
    let (actor, now) = (Some(ctx.caller().user_id), ctx.app().clock.now());
    let new = NewStaff { facility_id, user_id, name, job };
    let id = ctx.once(move |tx| enter_staff(tx, &new, username.as_deref(), actor)).await?;
    let made = ctx
        .app()
        .db
        .read(move |db| {
            let member = staff_member(db, id)?.ok_or(Error::NotFound)?;
            bodies(db, vec![member], now)
        })
        .await?;
    ctx.created(&made.into_iter().next().ok_or(Error::NotFound)?)
}

/// A phone number.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PhoneBody {
    /// Digits with the marks people write between them, at most 32 characters; `null`: none.
    phone: Option<String>,
}

async fn set_phone(ctx: Ctx) -> Result<HttpResponse> {
    let (id, body): (StaffId, PhoneBody) = (ctx.id("id")?, ctx.json()?);
    let (scope, actor) = (ctx.caller().facilities(STAFF_WRITE).clone(), Some(ctx.caller().user_id));
    let now = ctx.app().clock.now();
    ctx.once(move |tx| {
        let member = staff_member(tx.db(), id)?.filter(|member| scope.contains(member.facility_id));
        member.ok_or(Error::NotFound)?;
        set_staff_phone(tx, id, body.phone.as_deref(), actor)
    })
    .await?;
    let made = ctx
        .app()
        .db
        .read(move |db| {
            let member = staff_member(db, id)?.ok_or(Error::NotFound)?;
            bodies(db, vec![member], now)
        })
        .await?;
    ctx.json_ok(&made.into_iter().next().ok_or(Error::NotFound)?)
}

/// An account by its name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StaffAccount")]
struct AccountBody {
    username: Option<String>,
}

async fn set_account(ctx: Ctx) -> Result<HttpResponse> {
    let (id, body): (StaffId, AccountBody) = (ctx.id("id")?, ctx.json()?);
    let (scope, actor) = (ctx.caller().facilities(STAFF_WRITE).clone(), Some(ctx.caller().user_id));
    let now = ctx.app().clock.now();
    ctx.app().db.write(move |tx| link_account(tx, &scope, id, body.username.as_deref(), actor)).await?;
    let find = move |db: &mut Db| {
        let rows = staff_member(db, id)?.into_iter().collect();
        bodies(db, rows, now)
    };
    let body = ctx.app().db.read(find).await?.pop().ok_or(Error::NotFound)?;
    ctx.json_ok(&body)
}
