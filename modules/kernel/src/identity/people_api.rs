//! `/api/v1/people`: accounts and the roles they hold.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::account_api::Ended;
use super::people::{
    NewPerson, Person, PersonChange, change_person, create_person, end_sessions, find_person, give_role, list_people,
    one_time_password, reset_password, set_disabled, withdraw_role,
};
use super::{GrantId, OpenSession, PEOPLE_READ, PEOPLE_WRITE, PasswordHash, sessions_of};
use crate::error::{Error, Result};
use crate::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use crate::ids::UserId;

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(PEOPLE_READ), Access::Permission(PEOPLE_WRITE));
    vec![
        Route::get("/api/v1/people", read, list).doc(
            ApiDoc::new("List accounts")
                .description("Those that hold a role at a facility, or within a region, of the caller's.")
                .query::<Query>()
                .returns::<List<Person>>(),
        ),
        Route::post("/api/v1/people", write, create).doc(
            ApiDoc::new("Make an account with its first role")
                .description(
                    "Only a role that has nothing the caller does not have there. The answer has a one-time password, \
                     good for seven days: its owner chooses another one with it. It cannot be read again.",
                )
                .body::<NewPerson>()
                .creates::<OneTime>(),
        ),
        Route::get("/api/v1/people/{id}", read, show).doc(ApiDoc::new("One account").returns::<Person>()),
        Route::put("/api/v1/people/{id}", write, change)
            .doc(ApiDoc::new("Change an account's name and language").body::<PersonChange>().returns::<Person>()),
        Route::post("/api/v1/people/{id}/grants", write, grant)
            .doc(ApiDoc::new("Give a role").body::<NewGrant>().returns::<Person>()),
        Route::delete("/api/v1/people/{id}/grants/{grant}", write, withdraw).doc(ApiDoc::new("Withdraw a role")),
        Route::post("/api/v1/people/{id}/disable", write, disable).doc(
            ApiDoc::new("Close an account")
                .description("Its sessions and tokens end; what it did stays.")
                .returns::<Person>(),
        ),
        Route::post("/api/v1/people/{id}/enable", write, enable)
            .doc(ApiDoc::new("Open a closed account").returns::<Person>()),
        Route::post("/api/v1/people/{id}/password", write, reset).doc(
            ApiDoc::new("Give an account a one-time password")
                .description("Ends its sessions. The password is good for seven days and cannot be read again.")
                .returns::<OneTime>(),
        ),
        Route::get("/api/v1/people/{id}/sessions", write, list_sessions)
            .doc(ApiDoc::new("List an account's sessions").returns::<List<OpenSession>>()),
        Route::delete("/api/v1/people/{id}/sessions", write, close_sessions)
            .doc(ApiDoc::new("End all sessions of an account").returns::<Ended>()),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Part of a name or user name.
    #[serde(default)]
    q: String,
    /// How many at most.
    #[serde(default)]
    limit: Limit,
    /// `next` of the part before.
    after: Option<UserId>,
}

/// A role to be given.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewGrant {
    role: String,
    /// `fac_…`, `reg_…` or `*`: the whole system.
    at: String,
}

/// A password for one use.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OneTimePassword")]
struct OneTime {
    id: UserId,
    /// It cannot be read again.
    password: String,
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let (by, permissions) = (ctx.caller().clone(), ctx.app().permissions.clone());
    let Query { q, limit, after } = query;
    let rows = ctx.app().db.read(move |db| list_people(db, &by, &permissions, &q, after, limit.rows())).await?;
    ctx.json_ok(&List::part(rows, limit, |person| person.id))
}

/// The account of the path, as the caller sees it.
///
/// # Errors
/// `NotFound`.
pub(super) async fn person(ctx: &Ctx, id: UserId) -> Result<Person> {
    let (by, permissions) = (ctx.caller().clone(), ctx.app().permissions.clone());
    ctx.app().db.read(move |db| find_person(db, &by, &permissions, id)).await
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    ctx.json_ok(&person(&ctx, ctx.id("id")?).await?)
}

/// A one-time password with its hash, made outside any transaction.
async fn fresh(ctx: &Ctx) -> Result<(String, PasswordHash)> {
    let password = one_time_password();
    let hash = ctx.app().sign_in.passwords().hash(password.clone()).await?;
    Ok((password, hash))
}

/// Makes an account; without the password where this very request made it before.
///
/// # Errors
/// Those of [`create_person`].
pub(super) async fn make(ctx: &Ctx, new: NewPerson) -> Result<(UserId, Option<String>)> {
    let (by, permissions) = (ctx.caller().clone(), ctx.app().permissions.clone());
    let (password, hash) = fresh(ctx).await?;
    let mark = hash.mark();
    let mine = mark.clone();
    let (id, made) = ctx.once(move |tx| Ok((create_person(tx, &by, &permissions, &new, &hash)?, mine.clone()))).await?;
    Ok((id, (made == mark).then_some(password)))
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let new: NewPerson = ctx.json()?;
    let (id, password) = make(&ctx, new).await?;
    ctx.created(&OneTime { id, password: password.ok_or_else(|| Error::conflict("error-shown-once"))? })
}

async fn change(ctx: Ctx) -> Result<HttpResponse> {
    let (id, wish): (UserId, PersonChange) = (ctx.id("id")?, ctx.json()?);
    apply(&ctx, id, wish).await?;
    ctx.json_ok(&person(&ctx, id).await?)
}

/// # Errors
/// Those of [`change_person`].
pub(super) async fn apply(ctx: &Ctx, id: UserId, wish: PersonChange) -> Result<()> {
    let (by, permissions) = (ctx.caller().clone(), ctx.app().permissions.clone());
    ctx.app().db.write(move |tx| change_person(tx, &by, &permissions, id, &wish)).await
}

async fn grant(ctx: Ctx) -> Result<HttpResponse> {
    let (id, NewGrant { role, at }): (UserId, NewGrant) = (ctx.id("id")?, ctx.json()?);
    give(&ctx, id, role, at).await?;
    ctx.json_ok(&person(&ctx, id).await?)
}

/// # Errors
/// Those of [`give_role`].
pub(super) async fn give(ctx: &Ctx, id: UserId, role: String, at: String) -> Result<()> {
    let (by, permissions) = (ctx.caller().clone(), ctx.app().permissions.clone());
    ctx.once(move |tx| give_role(tx, &by, &permissions, id, &role, &at)).await
}

/// # Errors
/// Those of [`withdraw_role`].
pub(super) async fn take(ctx: &Ctx) -> Result<UserId> {
    let (id, grant): (UserId, GrantId) = (ctx.id("id")?, ctx.id("grant")?);
    let (by, permissions) = (ctx.caller().clone(), ctx.app().permissions.clone());
    ctx.app().db.write(move |tx| withdraw_role(tx, &by, &permissions, id, grant)).await?;
    Ok(id)
}

async fn withdraw(ctx: Ctx) -> Result<HttpResponse> {
    take(&ctx).await?;
    ctx.no_content()
}

/// # Errors
/// Those of [`set_disabled`].
pub(super) async fn close_or_open(ctx: &Ctx, disabled: bool) -> Result<UserId> {
    let id: UserId = ctx.id("id")?;
    let (by, permissions) = (ctx.caller().clone(), ctx.app().permissions.clone());
    ctx.app().db.write(move |tx| set_disabled(tx, &by, &permissions, id, disabled)).await?;
    Ok(id)
}

async fn disable(ctx: Ctx) -> Result<HttpResponse> {
    let id = close_or_open(&ctx, true).await?;
    ctx.json_ok(&person(&ctx, id).await?)
}

async fn enable(ctx: Ctx) -> Result<HttpResponse> {
    let id = close_or_open(&ctx, false).await?;
    ctx.json_ok(&person(&ctx, id).await?)
}

/// Gives the account of the path a one-time password; without it where this very request did so before.
///
/// # Errors
/// Those of [`reset_password`].
pub(super) async fn give_password(ctx: &Ctx) -> Result<(UserId, Option<String>)> {
    let id: UserId = ctx.id("id")?;
    let (by, permissions) = (ctx.caller().clone(), ctx.app().permissions.clone());
    let (password, hash) = fresh(ctx).await?;
    let mark = hash.mark();
    let mine = mark.clone();
    let made = ctx
        .once(move |tx| {
            reset_password(tx, &by, &permissions, id, &hash)?;
            Ok(mine.clone())
        })
        .await?;
    Ok((id, (made == mark).then_some(password)))
}

async fn reset(ctx: Ctx) -> Result<HttpResponse> {
    let (id, password) = give_password(&ctx).await?;
    ctx.json_ok(&OneTime { id, password: password.ok_or_else(|| Error::conflict("error-shown-once"))? })
}

/// The sessions of an account that the caller manages.
///
/// # Errors
/// `NotFound`, `Forbidden`.
pub(super) async fn sessions(ctx: &Ctx, person: &Person) -> Result<Vec<OpenSession>> {
    if !person.manageable {
        return Err(Error::Forbidden);
    }
    let (id, now) = (person.id, ctx.app().clock.now());
    ctx.app().db.read(move |db| sessions_of(db, id, now)).await
}

async fn list_sessions(ctx: Ctx) -> Result<HttpResponse> {
    let person = person(&ctx, ctx.id("id")?).await?;
    ctx.json_ok(&List::whole(sessions(&ctx, &person).await?))
}

/// # Errors
/// Those of [`end_sessions`].
pub(super) async fn end_all(ctx: &Ctx) -> Result<(UserId, usize)> {
    let id: UserId = ctx.id("id")?;
    let (by, permissions) = (ctx.caller().clone(), ctx.app().permissions.clone());
    Ok((id, ctx.app().db.write(move |tx| end_sessions(tx, &by, &permissions, id)).await?))
}

async fn close_sessions(ctx: Ctx) -> Result<HttpResponse> {
    let (_, ended) = end_all(&ctx).await?;
    ctx.json_ok(&Ended { ended })
}
