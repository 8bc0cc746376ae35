//! Lines of the audit log, newest first, as somebody looks for them.

use std::collections::HashMap;

use diesel::prelude::*;

use super::AuditId;
use super::schema::audit;
use super::seal::Row;
use crate::db::Db;
use crate::error::Result;
use crate::identity::Scope;
use crate::identity::schema::{app_user, scope_node};
use crate::ids::{FacilityId, UserId};
use crate::time::Moment;

/// What is looked for; what is `None` does not narrow.
#[derive(Debug, Clone)]
pub struct Filter {
    /// The facilities whose lines the reader may see; lines of no facility are for readers of the whole system.
    pub scope: Scope,
    pub from: Option<Moment>,
    /// Before it, not at it.
    pub until: Option<Moment>,
    pub actor: Option<UserId>,
    /// The beginning of an action's name: `resident.`.
    pub action: Option<String>,
    pub subject: Option<String>,
    pub person: Option<i64>,
    /// Behind this line.
    pub after: Option<(Moment, AuditId)>,
}

impl Filter {
    /// Everything in reach.
    pub fn new(scope: Scope) -> Self {
        Self { scope, from: None, until: None, actor: None, action: None, subject: None, person: None, after: None }
    }
}

/// A line as its reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub id: AuditId,
    pub at: Moment,
    /// `user`, `stranger`, `system` or `command_line`.
    pub actor_kind: String,
    pub actor: Option<UserId>,
    /// As others see the account today; empty where there is none.
    pub actor_name: String,
    pub action: String,
    pub subject: String,
    pub facility: Option<FacilityId>,
    pub facility_name: String,
    pub person: Option<i64>,
    /// JSON.
    pub before: Option<String>,
    /// JSON.
    pub after: Option<String>,
    pub address: Option<String>,
    pub request_id: Option<String>,
    pub session: Option<String>,
    pub reason: Option<String>,
}

/// When a line was written; `None` when there is none of that id. For a cursor.
///
/// # Errors
/// When the database does not answer.
pub fn when(db: &mut Db, id: AuditId) -> Result<Option<Moment>> {
    Ok(audit::table.filter(audit::id.eq(id.0)).select(audit::at).first(db).optional()?)
}

/// Up to `limit` lines, newest first.
///
/// # Errors
/// When the database does not answer.
pub fn search(db: &mut Db, filter: &Filter, limit: i64) -> Result<Vec<Found>> {
    let mut query = audit::table.select(Row::as_select()).into_boxed();
    if let Some(ids) = filter.scope.ids() {
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        query = query.filter(audit::facility_id.eq_any(ids));
    }
    if let Some(from) = filter.from {
        query = query.filter(audit::at.ge(from));
    }
    if let Some(until) = filter.until {
        query = query.filter(audit::at.lt(until));
    }
    if let Some(actor) = filter.actor {
        query = query.filter(audit::actor_id.eq(actor.0));
    }
    if let Some(action) = &filter.action {
        // No LIKE: an underscore in a name is none of its signs.
        let last = format!("{action}\u{10ffff}");
        query = query.filter(audit::action.ge(action.clone()).and(audit::action.lt(last)));
    }
    if let Some(subject) = &filter.subject {
        query = query.filter(audit::subject.eq(subject.clone()));
    }
    if let Some(person) = filter.person {
        query = query.filter(audit::person_id.eq(person));
    }
    if let Some((at, id)) = filter.after {
        query = query.filter(audit::at.le(at)).filter(audit::at.lt(at).or(audit::id.lt(id.0)));
    }
    let rows: Vec<Row> = query.order((audit::at.desc(), audit::id.desc())).limit(limit).load(db)?;
    named(db, rows)
}

fn named(db: &mut Db, rows: Vec<Row>) -> Result<Vec<Found>> {
    let distinct = |ids: Vec<i64>| {
        let mut ids = ids;
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    let actors = distinct(rows.iter().filter_map(|row| row.actor_id).collect());
    let places = distinct(rows.iter().filter_map(|row| row.facility_id).collect());
    let actors: HashMap<i64, String> = app_user::table
        .filter(app_user::id.eq_any(actors))
        .select((app_user::id, app_user::display_name))
        .load::<(i64, String)>(db)?
        .into_iter()
        .collect();
    let places: HashMap<i64, String> = scope_node::table
        .filter(scope_node::id.eq_any(places))
        .select((scope_node::id, scope_node::name))
        .load::<(i64, String)>(db)?
        .into_iter()
        .collect();
    let name = |names: &HashMap<i64, String>, id: Option<i64>| id.and_then(|id| names.get(&id).cloned());
    let found = rows.into_iter().map(|row| Found {
        actor_name: name(&actors, row.actor_id).unwrap_or_default(),
        facility_name: name(&places, row.facility_id).unwrap_or_default(),
        id: AuditId(row.id),
        at: row.at,
        actor_kind: row.actor_kind,
        actor: row.actor_id.map(UserId),
        action: row.action,
        subject: row.subject,
        facility: row.facility_id.map(FacilityId),
        person: row.person_id,
        before: row.value_before,
        after: row.value_after,
        address: row.address,
        request_id: row.request_id,
        session: row.session,
        reason: row.reason,
    });
    Ok(found.collect())
}
