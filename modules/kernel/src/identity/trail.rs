//! Who changed whose rights, when: written in the transaction that does it.

use std::fmt::Display;

use serde_json::Value;

use crate::audit::{Actor, AuditEntry};
use crate::db::Tx;
use crate::error::Result;
use crate::ids::{FacilityId, UserId};

/// Keeps a change: `action` is `noun.verb`, `subject` the id of what was changed. Never a password, a token or a secret.
pub(super) fn note(
    tx: &mut Tx<'_>,
    actor: UserId,
    action: &'static str,
    subject: impl Display,
    facility: Option<FacilityId>,
    (before, after): (Option<Value>, Option<Value>),
) -> Result<()> {
    let entry = AuditEntry::new(action, subject).by(Actor::User(actor));
    tx.audit(AuditEntry { facility, before, after, ..entry })
}
