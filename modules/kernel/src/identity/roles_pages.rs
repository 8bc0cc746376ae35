//! `/roles`: what each role may do on this installation, by module, in plain words.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::account_pages::ticked;
use super::roles_api::{give_back, make, role, roles, set, take_away};
use super::{PEOPLE_READ, PERMISSIONS, ROLES_WRITE, RoleRights, Scope};
use crate::error::{FieldError, Result};
use crate::http::{Access, Choice, Ctx, Fields, Menu, Refused, Route, Section, refused};

const NEW_FIELDS: Fields = &[("title", "people-role-title"), ("like", "people-role-like")];
const FIELDS: Fields = &[("title", "people-role-title"), ("permissions", "people-permissions")];

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(PEOPLE_READ), Access::Permission(ROLES_WRITE));
    let menu = Menu { key: "people-roles", icon: "key", section: Section::Manage, order: 86 };
    vec![
        Route::get("/roles", read, list).menu(menu),
        Route::post("/roles", write, create),
        Route::get("/roles/{role}", read, show),
        Route::post("/roles/{role}", write, change),
        Route::post("/roles/{role}/reset", write, reset),
        Route::post("/roles/{role}/delete", write, remove),
    ]
}

/// A module's permissions.
#[derive(Serialize)]
pub(super) struct Group {
    heading: String,
    items: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    name: &'static str,
    /// In words.
    label: String,
    ticked: bool,
    /// In the matrix: whether each role has it.
    roles: Vec<Cell>,
}

#[derive(Clone, Serialize)]
struct Cell {
    has: bool,
    role: String,
}

/// A permission in words; its name where nobody has put it into words.
pub(super) fn label(ctx: &Ctx, name: &str) -> String {
    let key = format!("permission-{}", name.replace('.', "-"));
    if ctx.app().pages.i18n().has(ctx.locale(), &key) { ctx.visitor().words(&key) } else { name.to_owned() }
}

/// A role in words.
pub(super) fn role_words(ctx: &Ctx, name: &str, title: Option<&str>) -> String {
    title.map_or_else(|| ctx.visitor().words(&format!("kernel-role-{name}")), ToOwned::to_owned)
}

/// The permissions that are offered, by module, in the order of the menu's floors.
pub(super) fn groups(ctx: &Ctx, offered: impl Fn(&str) -> bool, ticked: impl Fn(&str) -> bool) -> Vec<Group> {
    let kernel = ("people-permissions-kernel", PERMISSIONS.as_slice());
    let modules = ctx.app().modules.iter().map(|module| (module.manifest().title_key, module.manifest().permissions));
    let item = |name: &'static str| Item { name, label: label(ctx, name), ticked: ticked(name), roles: Vec::new() };
    let group = |(title, permissions): (&'static str, &'static [super::Permission])| Group {
        heading: ctx.visitor().words(title),
        items: permissions.iter().filter(|known| offered(known.name)).map(|known| item(known.name)).collect(),
    };
    // Modules first: that is what people look for.
    modules.chain([kernel]).map(group).filter(|group| !group.items.is_empty()).collect()
}

#[derive(Serialize)]
struct RoleModel {
    name: String,
    words: String,
    own: bool,
    changed: bool,
    holders: i64,
}

impl RoleModel {
    fn of(ctx: &Ctx, role: &RoleRights) -> Self {
        Self {
            words: role_words(ctx, &role.name, role.title.as_deref()),
            name: role.name.clone(),
            own: role.title.is_some(),
            changed: role.changed,
            holders: role.holders,
        }
    }
}

#[derive(Serialize)]
struct ListPage {
    roles: Vec<RoleModel>,
    columns: usize,
    groups: Vec<Group>,
    can_edit: bool,
    form: NewForm,
    like: Vec<Choice>,
    #[serde(flatten)]
    refused: Refused,
}

#[derive(Default, Serialize, Deserialize)]
struct NewForm {
    #[serde(default)]
    title: String,
    #[serde(default)]
    like: String,
}

fn can_edit(ctx: &Ctx) -> bool {
    *ctx.caller().facilities(ROLES_WRITE) == Scope::All
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    render_list(&ctx, NewForm::default(), &[]).await
}

async fn render_list(ctx: &Ctx, form: NewForm, errors: &[FieldError]) -> Result<HttpResponse> {
    let roles = roles(ctx).await?;
    let mut groups = groups(ctx, |_| true, |_| false);
    let models: Vec<RoleModel> = roles.iter().map(|role| RoleModel::of(ctx, role)).collect();
    for item in groups.iter_mut().flat_map(|group| group.items.iter_mut()) {
        let has = |role: &RoleRights| role.permissions.iter().any(|name| name == item.name);
        item.roles =
            roles.iter().zip(&models).map(|(role, model)| Cell { has: has(role), role: model.words.clone() }).collect();
    }
    let page = ListPage {
        like: models.iter().map(|role| Choice::new(&role.name, &role.words)).collect(),
        columns: models.len() + 1,
        roles: models,
        groups,
        can_edit: can_edit(ctx),
        form,
        refused: Refused::new(ctx, NEW_FIELDS, errors),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.page_with(status, "kernel/roles", &page)
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let form: NewForm = ctx.form()?;
    let like = Some(form.like.clone()).filter(|like| !like.is_empty());
    match refused(make(&ctx, form.title.clone(), like).await)? {
        Ok(name) => ctx.redirect(&format!("/roles/{name}")),
        Err(errors) => render_list(&ctx, form, &errors).await,
    }
}

#[derive(Serialize)]
struct RolePage {
    role: RoleModel,
    title: String,
    groups: Vec<Group>,
    can_edit: bool,
    #[serde(flatten)]
    refused: Refused,
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let role = role(&ctx, ctx.param("role").to_owned()).await?;
    let title = role.title.clone().unwrap_or_default();
    render_role(&ctx, &role, title, &role.permissions, &[])
}

fn render_role(
    ctx: &Ctx,
    role: &RoleRights,
    title: String,
    held: &[String],
    errors: &[FieldError],
) -> Result<HttpResponse> {
    let page = RolePage {
        role: RoleModel::of(ctx, role),
        title,
        groups: groups(ctx, |_| true, |name| held.iter().any(|held| held == name)),
        can_edit: can_edit(ctx),
        refused: Refused::new(ctx, FIELDS, errors),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.page_with(status, "kernel/role", &page)
}

async fn change(ctx: Ctx) -> Result<HttpResponse> {
    let inputs: BTreeMap<String, String> = ctx.form()?;
    let (wanted, title) = (ticked(&inputs), inputs.get("title").cloned());
    match refused(set(&ctx, title.clone(), wanted.iter().cloned().collect::<BTreeSet<_>>()).await)? {
        Ok(()) => ctx.redirect("/roles"),
        Err(errors) => {
            let role = role(&ctx, ctx.param("role").to_owned()).await?;
            render_role(&ctx, &role, title.unwrap_or_default(), &wanted, &errors)
        }
    }
}

async fn reset(ctx: Ctx) -> Result<HttpResponse> {
    give_back(&ctx).await?;
    ctx.redirect("/roles")
}

async fn remove(ctx: Ctx) -> Result<HttpResponse> {
    take_away(&ctx).await?;
    ctx.redirect("/roles")
}

/// Roles as choices of a select.
pub(super) fn role_choices(ctx: &Ctx, roles: &[RoleRights]) -> Vec<Choice> {
    roles.iter().map(|role| Choice::new(&role.name, role_words(ctx, &role.name, role.title.as_deref()))).collect()
}
