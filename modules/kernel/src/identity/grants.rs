//! The scope tree and the roles held at its nodes. The only place where a node becomes a set of facilities.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::schema::{app_user, role_grant, scope_node};
use super::{Role, Scope};
use crate::audit::AuditEntry;
use crate::db::{Db, KeptExt, Tx};
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

/// Gives a user a role at a node, or over the whole system (`None`). Given twice it is held once.
///
/// # Errors
/// `NotFound` when the user or the node does not exist.
pub fn grant_role(tx: &mut Tx<'_>, user: UserId, role: Role, scope: Option<i64>) -> Result<()> {
    let users = app_user::table.find(user).count().get_result::<i64>(tx.db())?;
    let node_known = match scope {
        Some(id) => scope_node::table.find(id).count().get_result::<i64>(tx.db())? > 0,
        None => true,
    };
    if users == 0 || !node_known {
        return Err(Error::NotFound);
    }
    let held: Vec<Option<i64>> = role_grant::table
        .filter(role_grant::user_id.eq(user).and(role_grant::role.eq(role.as_str())))
        .select(role_grant::scope_id)
        .load(tx.db())?;
    if held.contains(&scope) {
        return Ok(());
    }
    let id = tx.next_id();
    diesel::insert_into(role_grant::table)
        .values((
            role_grant::id.eq(id),
            role_grant::user_id.eq(user),
            role_grant::role.eq(role.as_str()),
            role_grant::scope_id.eq(scope),
        ))
        .execute(tx.db())?;
    let node = scope.map(|id| FacilityId(id).to_string());
    let entry = AuditEntry::new("role.grant", user).after(serde_json::json!({ "role": role.as_str(), "at": node }));
    // A node that is no facility has no readers of its own.
    tx.audit(AuditEntry { facility: scope.map(FacilityId), ..entry })
}

/// Those among some users who hold one of these roles at a facility: there, above it, or over the whole system.
pub fn holding(db: &mut Db, facility: FacilityId, roles: &[Role], among: &[UserId]) -> Result<Vec<UserId>> {
    if among.is_empty() {
        return Ok(Vec::new());
    }
    let path: Option<String> = scope_node::table.find(facility.0).select(scope_node::path).first(db).optional()?;
    // "/1/7/42/": the facility and what lies above it.
    let nodes: Vec<i64> = path.unwrap_or_default().split('/').filter_map(|id| id.parse().ok()).collect();
    let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let values = among.len().max(nodes.len()).max(roles.len());
    Ok(role_grant::table
        .filter(role_grant::user_id.eq_any(among.iter().map(|user| user.0).collect::<Vec<_>>()))
        .filter(role_grant::role.eq_any(roles))
        .filter(role_grant::scope_id.is_null().or(role_grant::scope_id.eq_any(nodes).assume_not_null()))
        .select(role_grant::user_id)
        .distinct()
        .kept(values)
        .load(db)?)
}

/// The roles a user holds, each with the facilities it reaches.
pub(super) fn load_roles(db: &mut Db, user: UserId) -> Result<BTreeMap<Role, Scope>> {
    let grants: Vec<(String, Option<i64>)> = role_grant::table
        .filter(role_grant::user_id.eq(user))
        .select((role_grant::role, role_grant::scope_id))
        .load(db)?;
    let mut expanded: BTreeMap<i64, Scope> = BTreeMap::new();
    let mut held: BTreeMap<Role, Scope> = BTreeMap::new();
    for (role, node) in grants {
        let scope = match node {
            None => Scope::All,
            Some(id) => match expanded.get(&id) {
                Some(known) => known.clone(),
                None => expanded.entry(id).or_insert(facilities_below(db, id)?).clone(),
            },
        };
        let before = held.remove(&role.parse()?).unwrap_or(Scope::NONE);
        held.insert(role.parse()?, before.union(&scope));
    }
    Ok(held)
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
