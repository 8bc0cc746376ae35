//! What a module says about something that it does.

use std::fmt::Display;

use serde_json::Value;

use super::Actor;
use crate::ids::FacilityId;

/// A line of the audit log, without what the request tells by itself.
///
/// `tx.audit(AuditEntry::new("resident.move", id).at(facility).about(id.0).before(json!({"place": was})).after(…))?`
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// `noun.verb`: `resident.create`, `session.open`.
    pub action: &'static str,
    /// What it was done to: a prefixed id.
    pub subject: String,
    /// Where; readers of that facility see the line. `None`: readers of the whole system alone.
    pub facility: Option<FacilityId>,
    /// The person whom it is about: a resident's id as a number, since the kernel knows no resident.
    pub person: Option<i64>,
    /// What held before, as far as it changed. Never a sensitive value in clear: masked or ciphertext.
    pub before: Option<Value>,
    /// What holds from now on; the same rule.
    pub after: Option<Value>,
    /// What somebody gave as the reason.
    pub reason: Option<String>,
    /// Who did it, where that is not who asked: at the door nobody is signed in yet.
    pub actor: Option<Actor>,
}

impl AuditEntry {
    /// Of an action on a subject, a prefixed id.
    pub fn new(action: &'static str, subject: impl Display) -> Self {
        Self {
            action,
            subject: subject.to_string(),
            facility: None,
            person: None,
            before: None,
            after: None,
            reason: None,
            actor: None,
        }
    }

    #[must_use]
    pub fn at(mut self, facility: FacilityId) -> Self {
        self.facility = Some(facility);
        self
    }

    /// `person`: a resident's id as a number.
    #[must_use]
    pub fn about(mut self, person: i64) -> Self {
        self.person = Some(person);
        self
    }

    #[must_use]
    pub fn before(mut self, values: Value) -> Self {
        self.before = Some(values);
        self
    }

    #[must_use]
    pub fn after(mut self, values: Value) -> Self {
        self.after = Some(values);
        self
    }

    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    #[must_use]
    pub fn by(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }
}

/// What may be written of a name or a number: its first character, and that there was more. Empty stays empty.
pub fn masked(text: &str) -> String {
    match text.trim().chars().next() {
        Some(first) => format!("{first}**"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn of_a_name_one_character_is_left() {
        assert_eq!(
            (masked("王秀英"), masked(" 13800000000"), masked("")),
            ("王**".into(), "1**".into(), String::new())
        );
    }
}
