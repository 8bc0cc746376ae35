//! Rows of the audit log as they are written.

use diesel::prelude::*;

use super::schema::audit;
use super::{Actor, AuditEntry, Origin};
use crate::db::Db;
use crate::error::Result;
use crate::insert_rows;
use crate::time::Moment;

/// Rows of one statement.
const ROWS: usize = 500;
/// What a person may have typed is kept to so many characters.
const MAX_CHARS: usize = 2_000;

/// A line to be written; id and transaction are the database's.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = audit, treat_none_as_default_value = false)]
pub(crate) struct NewRow {
    epoch: i64,
    at: Moment,
    actor_kind: &'static str,
    actor_id: Option<i64>,
    action: &'static str,
    subject: String,
    facility_id: Option<i64>,
    person_id: Option<i64>,
    value_before: Option<String>,
    value_after: Option<String>,
    address: Option<String>,
    request_id: Option<String>,
    session: Option<String>,
    reason: Option<String>,
}

impl NewRow {
    pub(super) fn new(entry: AuditEntry, origin: Option<&Origin>, at: Moment, epoch: i64) -> Result<Self> {
        let json = |value: Option<serde_json::Value>| value.map(|value| serde_json::to_string(&value)).transpose();
        let actor = entry.actor.or(origin.map(|origin| origin.actor)).unwrap_or(Actor::System);
        Ok(Self {
            epoch,
            at,
            actor_kind: actor.kind(),
            actor_id: actor.user().map(|id| id.0),
            action: entry.action,
            subject: kept(&entry.subject),
            facility_id: entry.facility.map(|id| id.0),
            person_id: entry.person,
            value_before: json(entry.before)?,
            value_after: json(entry.after)?,
            address: origin.and_then(|origin| origin.address.clone()),
            request_id: origin.and_then(|origin| origin.request_id.clone()),
            session: origin.and_then(|origin| origin.session.clone()),
            reason: entry.reason.as_deref().map(kept),
        })
    }
}

/// PostgreSQL has no text with a NUL in it, and a row must not be refused for one.
fn kept(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(MAX_CHARS).collect()
}

pub(super) fn insert(db: &mut Db, rows: &[NewRow]) -> Result<()> {
    for rows in rows.chunks(ROWS) {
        insert_rows!(db, rows, |values| diesel::insert_into(audit::table).values(values));
    }
    Ok(())
}
