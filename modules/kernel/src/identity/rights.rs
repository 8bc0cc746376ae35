//! Roles as data: what each may do here, and roles of one's own. Changes count at the next request, at every server, since
//! every request reads them (`grants.rs`).

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::roles::has_right;
use super::schema::{role, role_grant, role_permission};
use super::tree::Tree;
use super::{Permission, Permissions, Role, RoleName, Scope, trail};
use crate::db::{BothExt, Db, Tx};
use crate::define_id;
use crate::error::{Error, Result, Text};
use crate::ids::UserId;
use crate::names::check_name;

define_id!(
    /// A role that was added on this installation; written, it is the role's name.
    RoleId, "rol"
);

/// See accounts and the roles they hold.
pub const PEOPLE_READ: &str = "people.read";
/// Make accounts, give and withdraw roles, reset passwords.
pub const PEOPLE_WRITE: &str = "people.write";
/// Change what roles may do; counts only where it is held over the whole system.
pub const ROLES_WRITE: &str = "roles.write";

const ADMINS: &[Role] = &[Role::SystemAdmin, Role::FacilityAdmin];

/// The kernel's own permissions.
pub const PERMISSIONS: [Permission; 3] = [
    Permission { name: PEOPLE_READ, roles: ADMINS },
    Permission { name: PEOPLE_WRITE, roles: ADMINS },
    Permission { name: ROLES_WRITE, roles: &[Role::SystemAdmin] },
];

/// What a system administrator keeps whatever is edited: who may mend a mistake must not be lost by one.
const KEPT_BY_SYSTEM_ADMINS: [&str; 3] = [PEOPLE_READ, PEOPLE_WRITE, ROLES_WRITE];
const MAX_TITLE_CHARS: usize = 40;
/// So many may be added.
const MAX_OWN_ROLES: i64 = 50;

/// A role with what it may do here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RoleBody")]
pub struct RoleRights {
    /// As grants name it: `nurse`; `rol_…` for one that was added here.
    pub name: String,
    /// Of a role that was added here; `null`: built in.
    pub title: Option<String>,
    /// Whether it differs from what it is by default.
    pub changed: bool,
    /// How many accounts hold it where the caller sees accounts.
    pub holders: i64,
    /// What it may do, by name.
    pub permissions: Vec<String>,
}

fn changes(db: &mut Db) -> Result<BTreeMap<String, BTreeMap<String, bool>>> {
    let rows: Vec<(String, String, bool)> = role_permission::table
        .select((role_permission::role, role_permission::permission, role_permission::granted))
        .load(db)?;
    let mut by_role: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    for (role, permission, granted) in rows {
        by_role.entry(role).or_default().insert(permission, granted);
    }
    Ok(by_role)
}

/// Every role: the nine, then those that were added here by their titles. Holders are counted within a scope: who works
/// elsewhere is no number either.
pub fn list_roles(db: &mut Db, permissions: &Permissions, seen: &Scope) -> Result<Vec<RoleRights>> {
    let own: Vec<(String, Option<String>)> = role::table
        .filter(role::title.is_not_null())
        .order((role::title, role::name))
        .select((role::name, role::title))
        .load(db)?;
    let held = holders(db, seen)?;
    let changed = changes(db)?;
    let built_in = Role::ALL.iter().map(|role| (role.as_str().to_owned(), None));
    let rights = |(name, title): (String, Option<String>)| {
        let (role, changes) = (RoleName::of(&name), changed.get(&name));
        let change = |permission: &str| changes.and_then(|changes| changes.get(permission)).copied();
        let has = |permission: &Permission| has_right(&role, permission.roles, change(permission.name));
        RoleRights {
            changed: title.is_none() && changes.is_some_and(|changes| !changes.is_empty()),
            holders: held.get(&name).map_or(0, |users| i64::try_from(users.len()).unwrap_or(i64::MAX)),
            permissions: permissions.iter().filter(has).map(|permission| permission.name.to_owned()).collect(),
            name,
            title,
        }
    };
    Ok(built_in.chain(own).map(rights).collect())
}

fn holders(db: &mut Db, seen: &Scope) -> Result<BTreeMap<String, BTreeSet<UserId>>> {
    let nodes: BTreeSet<i64> = match seen {
        Scope::All => BTreeSet::new(),
        Scope::Only(_) => Tree::load(db)?.within(seen).into_iter().collect(),
    };
    let rows: Vec<(String, UserId, Option<i64>)> =
        role_grant::table.select((role_grant::role, role_grant::user_id, role_grant::scope_id)).load(db)?;
    let mut by_role: BTreeMap<String, BTreeSet<UserId>> = BTreeMap::new();
    for (role, user, node) in rows {
        if *seen == Scope::All || node.is_some_and(|node| nodes.contains(&node)) {
            by_role.entry(role).or_default().insert(user);
        }
    }
    Ok(by_role)
}

/// # Errors
/// `NotFound` when there is no role of that name.
pub fn find_role(db: &mut Db, permissions: &Permissions, seen: &Scope, name: &str) -> Result<RoleRights> {
    list_roles(db, permissions, seen)?.into_iter().find(|role| role.name == name).ok_or(Error::NotFound)
}

/// Adds a role that may do what another one may, or nothing.
///
/// # Errors
/// `Invalid` on `title` (also when another role is called so) or `like`; `Conflict` when there are too many.
pub fn create_role(
    tx: &mut Tx<'_>,
    permissions: &Permissions,
    title: &str,
    like: Option<&str>,
    actor: UserId,
) -> Result<String> {
    let title = checked_title(tx, title, None)?;
    let rights = match like {
        None => Vec::new(),
        Some(like) => match find_role(tx.db(), permissions, &Scope::All, like) {
            Ok(role) => role.permissions,
            Err(Error::NotFound) => return Err(Error::field("like", Text::key("error-unknown-choice"))),
            Err(error) => return Err(error),
        },
    };
    let own = role::table.filter(role::title.is_not_null()).count().get_result::<i64>(tx.db())?;
    if own >= MAX_OWN_ROLES {
        return Err(Error::Conflict(Text::key("error-too-many-roles").arg("n", MAX_OWN_ROLES)));
    }
    let (name, now) = (RoleId(tx.next_id()).to_string(), tx.now());
    diesel::insert_into(role::table)
        .values((role::name.eq(&name), role::title.eq(Some(&title)), role::created_at.eq(now)))
        .execute(tx.db())?;
    for permission in &rights {
        change(tx, &name, permission, true)?;
    }
    let after = json!({ "title": title, "permissions": rights });
    trail::note(tx, actor, "roles.create", &name, None, (None, Some(after)))?;
    Ok(name)
}

fn checked_title(tx: &mut Tx<'_>, title: &str, but: Option<&str>) -> Result<String> {
    let title = check_name("title", title, MAX_TITLE_CHARS).map_err(|refused| Error::Invalid(vec![refused]))?;
    let same: Vec<String> = role::table.filter(role::title.eq(title)).select(role::name).load(tx.db())?;
    if same.iter().any(|name| Some(name.as_str()) != but) {
        return Err(Error::field("title", Text::key("error-already-exists")));
    }
    Ok(title.to_owned())
}

fn change(tx: &mut Tx<'_>, role: &str, permission: &str, granted: bool) -> Result<()> {
    diesel::insert_into(role_permission::table)
        .values((
            role_permission::role.eq(role),
            role_permission::permission.eq(permission),
            role_permission::granted.eq(granted),
        ))
        .on_conflict((role_permission::role, role_permission::permission))
        .do_update()
        .set(role_permission::granted.eq(granted))
        .both()
        .execute(tx.db())?;
    Ok(())
}

/// Says what a role may do from now on; `title` counts for a role that was added here.
///
/// # Errors
/// `NotFound` when there is no such role; `Invalid` on `permissions` (one that no module declares, or a system
/// administrator's without those that nobody else has) or `title`.
pub fn set_role(
    tx: &mut Tx<'_>,
    permissions: &Permissions,
    name: &str,
    title: Option<&str>,
    wanted: &BTreeSet<String>,
    actor: UserId,
) -> Result<()> {
    let before = find_role(tx.db(), permissions, &Scope::All, name)?;
    if let Some(unknown) = wanted.iter().find(|wanted| !permissions.contains(wanted)) {
        return Err(Error::field("permissions", Text::key("error-invalid-choice").arg("value", unknown)));
    }
    let role = RoleName::of(name);
    if role == Role::SystemAdmin && KEPT_BY_SYSTEM_ADMINS.iter().any(|kept| !wanted.contains(*kept)) {
        return Err(Error::field("permissions", Text::key("error-system-admin-rights")));
    }
    for permission in permissions.iter() {
        let wants = wanted.contains(permission.name);
        if has_right(&role, permission.roles, None) == wants {
            let row = role_permission::table.find((name, permission.name));
            diesel::delete(row).execute(tx.db())?;
        } else {
            change(tx, name, permission.name, wants)?;
        }
    }
    if let (Some(title), true) = (title, before.title.is_some()) {
        let title = checked_title(tx, title, Some(name))?;
        diesel::update(role::table.find(name)).set(role::title.eq(Some(title))).execute(tx.db())?;
    }
    let after = json!({ "title": title, "permissions": wanted });
    let before = json!({ "title": before.title, "permissions": before.permissions });
    trail::note(tx, actor, "roles.change", name, None, (Some(before), Some(after)))
}

/// Gives a built-in role back what it is by default.
///
/// # Errors
/// `NotFound` when no built-in role is called so.
pub fn reset_role(tx: &mut Tx<'_>, permissions: &Permissions, name: &str, actor: UserId) -> Result<()> {
    let before = find_role(tx.db(), permissions, &Scope::All, name)?;
    if before.title.is_some() {
        return Err(Error::NotFound);
    }
    diesel::delete(role_permission::table.filter(role_permission::role.eq(name))).execute(tx.db())?;
    let before = json!({ "permissions": before.permissions });
    trail::note(tx, actor, "roles.reset", name, None, (Some(before), None))
}

/// Removes a role that was added here.
///
/// # Errors
/// `NotFound` when none was added under that name; `Conflict` while somebody holds it.
pub fn delete_role(tx: &mut Tx<'_>, permissions: &Permissions, name: &str, actor: UserId) -> Result<()> {
    let before = find_role(tx.db(), permissions, &Scope::All, name)?;
    if before.title.is_none() {
        return Err(Error::NotFound);
    }
    if before.holders > 0 {
        return Err(Error::Conflict(Text::key("error-role-held").arg("n", before.holders)));
    }
    diesel::delete(role_permission::table.filter(role_permission::role.eq(name))).execute(tx.db())?;
    diesel::delete(role::table.find(name)).execute(tx.db())?;
    let before = json!({ "title": before.title, "permissions": before.permissions });
    trail::note(tx, actor, "roles.delete", name, None, (Some(before), None))
}
