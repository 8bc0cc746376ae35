//! `/api/v1/staff`.

use std::collections::{HashMap, HashSet};

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use songhe_kernel::{Db, Error, FacilityId, Result, UserId};

use crate::module::{STAFF_READ, STAFF_UNMASK, STAFF_WRITE};
use crate::sealed::{Show, note_unmasking_of_staff, shown};
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
        Route::post("/api/v1/staff/{id}/unmask", Access::Permission(STAFF_UNMASK), unmask).doc(
            ApiDoc::new("A member's telephone number in full")
                .description("Who asked, and why, is written down.")
                .body::<Unmask>()
                .returns::<Number>(),
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
    id: StaffId,
    facility_id: FacilityId,
    /// The account they sign in with; without one they can be on a roster, but nothing reaches them here.
    user_id: Option<UserId>,
    name: String,
    job: Job,
    /// Whoever left keeps their past shifts and gets no new ones.
    active: bool,
    /// Where text messages and voice calls reach them; masked, `138****5678`.
    phone: Option<String>,
    /// The account's name; `null`: they have none.
    username: Option<String>,
    /// Whether a shift of theirs runs now.
    on_duty: bool,
}

async fn bodies(
    ctx: &Ctx,
    rows: impl FnOnce(&mut Db) -> Result<Vec<Staff>> + Send + 'static,
) -> Result<Vec<StaffBody>> {
    let (now, vault) = (ctx.app().clock.now(), ctx.app().db.vault());
    let (rows, present, mut accounts, keys) = ctx
        .app()
        .db
        .read(move |db| {
            let rows = rows(db)?;
            let ids: Vec<StaffId> = rows.iter().map(|member| member.id).collect();
            let present: HashSet<StaffId> = crate::shifts::present(db, &ids, now)?.into_iter().collect();
            let accounts: HashMap<StaffId, String> = usernames(db, &ids)?;
            let keys = vault.keys(db, rows.iter().filter_map(|member| member.phone.as_ref()))?;
            Ok((rows, present, accounts, keys))
        })
        .await?;
    let body = |member: Staff| StaffBody {
        username: accounts.remove(&member.id),
        on_duty: present.contains(&member.id),
        phone: shown(ctx, member.number(), &keys, Show::Masked),
        id: member.id,
        facility_id: member.facility_id,
        user_id: member.user_id,
        name: member.name,
        job: member.job,
        active: member.active,
    };
    Ok(rows.into_iter().map(body).collect())
}

async fn one(ctx: &Ctx, id: StaffId) -> Result<StaffBody> {
    let found = bodies(ctx, move |db| Ok(vec![staff_member(db, id)?.ok_or(Error::NotFound)?])).await?;
    found.into_iter().next().ok_or(Error::NotFound)
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let scope = ctx.caller().narrowed(STAFF_READ, query.facility)?;
    let rows = bodies(&ctx, move |db| list_staff(db, &scope, query.after, query.limit.rows())).await?;
    ctx.json_ok(&List::part(rows, query.limit, |body| body.id))
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let NewStaffBody { facility_id, name, job, user_id, username } = ctx.json()?;
    ctx.caller().expect_at(STAFF_WRITE, facility_id)?;
    let actor = Some(ctx.caller().user_id);
    let new = NewStaff { facility_id, user_id, name, job };
    let id = ctx.once(move |tx| enter_staff(tx, &new, username.as_deref(), actor)).await?;
    ctx.created(&one(&ctx, id).await?)
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
    ctx.once(move |tx| {
        let member = staff_member(tx.db(), id)?.filter(|member| scope.contains(member.facility_id));
        member.ok_or(Error::NotFound)?;
        set_staff_phone(tx, id, body.phone.as_deref(), actor)
    })
    .await?;
    ctx.json_ok(&one(&ctx, id).await?)
}

/// Why.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Unmask {
    /// 2 to 200 characters; kept with who asked.
    reason: String,
}

/// A number in full.
#[derive(Serialize, JsonSchema)]
struct Number {
    phone: Option<String>,
}

async fn unmask(ctx: Ctx) -> Result<HttpResponse> {
    let (id, body): (StaffId, Unmask) = (ctx.id("id")?, ctx.json()?);
    let vault = ctx.app().db.vault();
    let (member, keys) = ctx
        .app()
        .db
        .read(move |db| {
            let member = staff_member(db, id)?.ok_or(Error::NotFound)?;
            let keys = vault.keys(db, &member.phone)?;
            Ok((member, keys))
        })
        .await?;
    ctx.caller().expect_at(STAFF_UNMASK, member.facility_id)?;
    note_unmasking_of_staff(&ctx, member.facility_id, id, &body.reason).await?;
    ctx.json_ok(&Number { phone: shown(&ctx, member.number(), &keys, Show::Full) })
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
    ctx.app().db.write(move |tx| link_account(tx, &scope, id, body.username.as_deref(), actor)).await?;
    ctx.json_ok(&one(&ctx, id).await?)
}
