//! `/api/v1/roles`: what each role may do on this installation.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rights::{create_role, delete_role, find_role, list_roles, reset_role, set_role};
use super::{Caller, PEOPLE_READ, ROLES_WRITE, RoleRights, Scope};
use crate::error::{Error, Result};
use crate::http::{Access, ApiDoc, Ctx, List, Route};

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(PEOPLE_READ), Access::Permission(ROLES_WRITE));
    vec![
        Route::get("/api/v1/roles", read, list)
            .doc(ApiDoc::new("List roles with what they may do").returns::<List<RoleRights>>()),
        Route::post("/api/v1/roles", write, create).doc(
            ApiDoc::new("Add a role")
                .description("Only by whoever has the permission over the whole system, as for every change of a role.")
                .body::<NewRole>()
                .creates::<RoleRights>(),
        ),
        Route::get("/api/v1/roles/{role}", read, show).doc(ApiDoc::new("One role").returns::<RoleRights>()),
        Route::put("/api/v1/roles/{role}", write, change).doc(
            ApiDoc::new("Say what a role may do")
                .description("Counts at the next request of whoever holds it, at every server.")
                .body::<RoleChange>()
                .returns::<RoleRights>(),
        ),
        Route::post("/api/v1/roles/{role}/reset", write, reset)
            .doc(ApiDoc::new("Give a built-in role back what it is by default").returns::<RoleRights>()),
        Route::delete("/api/v1/roles/{role}", write, remove)
            .doc(ApiDoc::new("Remove a role that was added and that nobody holds")),
    ]
}

/// A role to be added.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewRole {
    /// 1 to 40 characters.
    title: String,
    /// The role whose rights it begins with; `null`: none.
    #[serde(default)]
    like: Option<String>,
}

/// What a role may do from now on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RoleChange {
    /// All of its permissions, by name.
    permissions: BTreeSet<String>,
    /// Of a role that was added; `null`: as it is.
    #[serde(default)]
    title: Option<String>,
}

/// # Errors
/// `NotFound` for whoever may change roles at some places only: roles are the whole system's.
fn expect_keeper(caller: &Caller) -> Result<()> {
    caller.expect_person()?;
    if *caller.facilities(ROLES_WRITE) == Scope::All { Ok(()) } else { Err(Error::NotFound) }
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    ctx.json_ok(&List::whole(roles(&ctx).await?))
}

/// Every role, with the holders that the caller sees.
///
/// # Errors
/// Whatever keeps the database from answering.
pub(super) async fn roles(ctx: &Ctx) -> Result<Vec<RoleRights>> {
    let (permissions, seen) = (ctx.app().permissions.clone(), ctx.caller().facilities(PEOPLE_READ).clone());
    ctx.app().db.read(move |db| list_roles(db, &permissions, &seen)).await
}

/// # Errors
/// `NotFound` when there is none of that name.
pub(super) async fn role(ctx: &Ctx, name: String) -> Result<RoleRights> {
    let (permissions, seen) = (ctx.app().permissions.clone(), ctx.caller().facilities(PEOPLE_READ).clone());
    ctx.app().db.read(move |db| find_role(db, &permissions, &seen, &name)).await
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    ctx.json_ok(&role(&ctx, ctx.param("role").to_owned()).await?)
}

/// # Errors
/// Those of [`create_role`].
pub(super) async fn make(ctx: &Ctx, title: String, like: Option<String>) -> Result<String> {
    expect_keeper(ctx.caller())?;
    let (permissions, actor) = (ctx.app().permissions.clone(), ctx.caller().user_id);
    ctx.once(move |tx| create_role(tx, &permissions, &title, like.as_deref(), actor)).await
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let NewRole { title, like } = ctx.json()?;
    let name = make(&ctx, title, like).await?;
    ctx.created(&role(&ctx, name).await?)
}

/// # Errors
/// Those of [`set_role`].
pub(super) async fn set(ctx: &Ctx, title: Option<String>, wanted: BTreeSet<String>) -> Result<()> {
    expect_keeper(ctx.caller())?;
    let (permissions, actor, name) =
        (ctx.app().permissions.clone(), ctx.caller().user_id, ctx.param("role").to_owned());
    ctx.app().db.write(move |tx| set_role(tx, &permissions, &name, title.as_deref(), &wanted, actor)).await
}

async fn change(ctx: Ctx) -> Result<HttpResponse> {
    let RoleChange { permissions, title } = ctx.json()?;
    set(&ctx, title, permissions).await?;
    show(ctx).await
}

/// # Errors
/// Those of [`reset_role`].
pub(super) async fn give_back(ctx: &Ctx) -> Result<()> {
    expect_keeper(ctx.caller())?;
    let (permissions, actor, name) =
        (ctx.app().permissions.clone(), ctx.caller().user_id, ctx.param("role").to_owned());
    ctx.app().db.write(move |tx| reset_role(tx, &permissions, &name, actor)).await
}

async fn reset(ctx: Ctx) -> Result<HttpResponse> {
    give_back(&ctx).await?;
    show(ctx).await
}

/// # Errors
/// Those of [`delete_role`].
pub(super) async fn take_away(ctx: &Ctx) -> Result<()> {
    expect_keeper(ctx.caller())?;
    let (permissions, actor, name) =
        (ctx.app().permissions.clone(), ctx.caller().user_id, ctx.param("role").to_owned());
    ctx.app().db.write(move |tx| delete_role(tx, &permissions, &name, actor)).await
}

async fn remove(ctx: Ctx) -> Result<HttpResponse> {
    take_away(&ctx).await?;
    ctx.no_content()
}
