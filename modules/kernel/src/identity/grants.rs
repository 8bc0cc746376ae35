//! The scope tree and the roles held at its nodes. The only place where a node becomes a set of facilities.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::caller::Held;
use super::roles::has_right;
use super::schema::{app_user, role, role_grant, role_permission, scope_node};
use super::{Role, RoleName, Scope};
use crate::audit::AuditEntry;
use crate::db::{Db, KeptExt, Tx};
use crate::define_id;
use crate::error::{Error, Result};
use crate::ids::{FacilityId, UserId};

/// What a node of the scope tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A city, district, street or community: holds other nodes.
    Region,
    /// A leaf: where care happens. Its id is the facility's id.
    Facility,
}

impl NodeKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Facility => "facility",
        }
    }
}

/// Adds a node below `parent` (`None`: a root) and answers its id; a facility's is its [`FacilityId`].
///
/// # Errors
/// `NotFound` when there is no such parent.
pub fn add_scope_node(tx: &mut Tx<'_>, parent: Option<i64>, kind: NodeKind, name: &str) -> Result<i64> {
    let above = match parent {
        None => "/".to_owned(),
        Some(id) => scope_node::table
            .find(id)
            .select(scope_node::path)
            .first::<String>(tx.db())
            .optional()?
            .ok_or(Error::NotFound)?,
    };
    let id = tx.next_id();
    diesel::insert_into(scope_node::table)
        .values((
            scope_node::id.eq(id),
            scope_node::parent_id.eq(parent),
            scope_node::kind.eq(kind.as_str()),
            scope_node::name.eq(name),
            scope_node::path.eq(format!("{above}{id}/")),
        ))
        .execute(tx.db())?;
    Ok(id)
}

define_id!(
    /// A role that somebody holds at a node.
    GrantId, "grt"
);

/// Gives a user a role at a node, or over the whole system (`None`). Given twice it is held once.
///
/// # Errors
/// `NotFound` when the user, the role or the node does not exist.
pub fn grant_role(tx: &mut Tx<'_>, user: UserId, role: impl Into<RoleName>, scope: Option<i64>) -> Result<()> {
    let role = role.into();
    if give(tx, user, &role, scope)?.is_none() {
        return Ok(());
    }
    let node = scope.map(|id| FacilityId(id).to_string());
    let entry = AuditEntry::new("role.grant", user).after(serde_json::json!({ "role": role.as_str(), "at": node }));
    // A node that is no facility has no readers of its own.
    tx.audit(AuditEntry { facility: scope.map(FacilityId), ..entry })
}

/// The same; answers `None` when it was held before.
pub(super) fn give(tx: &mut Tx<'_>, user: UserId, name: &RoleName, scope: Option<i64>) -> Result<Option<GrantId>> {
    let users = app_user::table.find(user).count().get_result::<i64>(tx.db())?;
    let role_known = match name {
        RoleName::BuiltIn(_) => true,
        RoleName::Own(name) => role::table.find(name).count().get_result::<i64>(tx.db())? > 0,
    };
    let node_known = match scope {
        Some(id) => scope_node::table.find(id).count().get_result::<i64>(tx.db())? > 0,
        None => true,
    };
    if users == 0 || !node_known || !role_known {
        return Err(Error::NotFound);
    }
    let held: Vec<Option<i64>> = role_grant::table
        .filter(role_grant::user_id.eq(user).and(role_grant::role.eq(name.as_str())))
        .select(role_grant::scope_id)
        .load(tx.db())?;
    if held.contains(&scope) {
        return Ok(None);
    }
    let id = GrantId(tx.next_id());
    diesel::insert_into(role_grant::table)
        .values((
            role_grant::id.eq(id),
            role_grant::user_id.eq(user),
            role_grant::role.eq(name.as_str()),
            role_grant::scope_id.eq(scope),
        ))
        .execute(tx.db())?;
    Ok(Some(id))
}

/// Those among some users who have a permission at a facility: by a role there, above it, or over the whole system.
/// `defaults` are the roles that its module gives it to. A disabled account has none.
pub fn permitted(
    db: &mut Db,
    facility: FacilityId,
    permission: &str,
    defaults: &[Role],
    among: &[UserId],
) -> Result<Vec<UserId>> {
    let changed: Vec<(String, bool)> = role_permission::table
        .filter(role_permission::permission.eq(permission))
        .select((role_permission::role, role_permission::granted))
        .load(db)?;
    let names = Role::ALL.iter().map(|role| role.as_str()).chain(changed.iter().map(|(role, _)| role.as_str()));
    let mut having: Vec<&str> = Vec::new();
    for name in names {
        let change = changed.iter().find(|(role, _)| role == name).map(|(_, granted)| *granted);
        if has_right(&RoleName::of(name), defaults, change) && !having.contains(&name) {
            having.push(name);
        }
    }
    holding(db, facility, Some(&having), among)
}

/// Those among some users who hold any role at a facility. A disabled account holds none.
pub fn with_a_role(db: &mut Db, facility: FacilityId, among: &[UserId]) -> Result<Vec<UserId>> {
    holding(db, facility, None, among)
}

fn holding(db: &mut Db, facility: FacilityId, roles: Option<&[&str]>, among: &[UserId]) -> Result<Vec<UserId>> {
    if among.is_empty() {
        return Ok(Vec::new());
    }
    let path: Option<String> = scope_node::table.find(facility.0).select(scope_node::path).first(db).optional()?;
    // "/1/7/42/": the facility and what lies above it.
    let nodes: Vec<i64> = path.unwrap_or_default().split('/').filter_map(|id| id.parse().ok()).collect();
    let rows: Vec<(UserId, String)> = role_grant::table
        .inner_join(app_user::table)
        .filter(app_user::disabled.eq(false))
        .filter(role_grant::user_id.eq_any(among.iter().map(|user| user.0).collect::<Vec<_>>()))
        .filter(role_grant::scope_id.is_null().or(role_grant::scope_id.eq_any(nodes.clone()).assume_not_null()))
        .select((role_grant::user_id, role_grant::role))
        .kept(among.len().max(nodes.len()))
        .load(db)?;
    let mut users: Vec<UserId> = Vec::new();
    for (user, role) in rows {
        if roles.is_none_or(|roles| roles.contains(&role.as_str())) && !users.contains(&user) {
            users.push(user);
        }
    }
    Ok(users)
}

/// A role that is held, with what was changed of it here: role, node, permission, granted, title.
type Row = (String, Option<i64>, Option<String>, Option<bool>, Option<String>);

/// The roles a user holds, each with the facilities it reaches: read at every request, so that whatever changes counts
/// at the next one, at every server.
pub(super) fn load_roles(db: &mut Db, user: UserId) -> Result<Held> {
    let rows: Vec<Row> = role_grant::table
        .left_join(role_permission::table.on(role_permission::role.eq(role_grant::role)))
        .left_join(role::table.on(role::name.eq(role_grant::role)))
        .filter(role_grant::user_id.eq(user))
        .select((
            role_grant::role,
            role_grant::scope_id,
            role_permission::permission.nullable(),
            role_permission::granted.nullable(),
            role::title.nullable(),
        ))
        .load(db)?;
    let mut expanded: BTreeMap<Option<i64>, Scope> = BTreeMap::new();
    let mut held = Held::default();
    for (name, node, permission, granted, title) in rows {
        let role = RoleName::of(&name);
        let scope = match expanded.get(&node) {
            Some(known) => known.clone(),
            None => expanded.entry(node).or_insert(facilities_of_node(db, node)?).clone(),
        };
        let before = held.scopes.remove(&role).unwrap_or(Scope::NONE);
        held.scopes.insert(role.clone(), before.union(&scope));
        if let Some((permission, granted)) = permission.zip(granted) {
            held.changes.entry(role).or_default().insert(permission, granted);
        }
        if let Some(title) = title {
            held.own_titles.insert(name, title);
        }
    }
    Ok(held)
}

/// The facilities that a node reaches; `None`: the whole system.
pub(super) fn facilities_of_node(db: &mut Db, node: Option<i64>) -> Result<Scope> {
    node.map_or(Ok(Scope::All), |id| facilities_below(db, id))
}

/// The facilities at and below a node. A path holds digits and slashes only, so that LIKE needs no escape.
fn facilities_below(db: &mut Db, node: i64) -> Result<Scope> {
    let path: Option<String> = scope_node::table.find(node).select(scope_node::path).first(db).optional()?;
    let Some(path) = path else { return Ok(Scope::NONE) };
    let ids: Vec<FacilityId> = scope_node::table
        .filter(scope_node::path.like(format!("{path}%")).and(scope_node::kind.eq(NodeKind::Facility.as_str())))
        .order(scope_node::id)
        .select(scope_node::id)
        .load(db)?;
    Ok(Scope::Only(ids))
}
