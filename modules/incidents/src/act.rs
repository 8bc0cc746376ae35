//! What people do with an incident. Acknowledging silences, never closes; closing needs outcome and follow-up.
//!
//! Each of these may be called twice (a second press, a lost answer): the second changes nothing and answers the same.

use chrono::{Days, Months, NaiveDate};
use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::identity::Scope;
use songhe_kernel::{AuditEntry, Error, FieldError, Result, Text, Tx, UserId};
use songhe_registry as registry;

use crate::climb;
use crate::lists;
use crate::model::{IncidentId, Occasion, Outcome, Resolution, Row, Status};
use crate::schema::incident;
use crate::story::{self, Fact};
use crate::telling;

/// "我去处理": it stops sounding, the ladder stops.
///
/// # Errors
/// `Conflict` when it is closed already. Somebody else having answered is no error: the row tells who.
pub fn acknowledge(tx: &mut Tx<'_>, id: IncidentId, by: UserId) -> Result<Row> {
    let row = locked(tx, id)?;
    match row.status()? {
        Status::Raised | Status::Notified => {}
        Status::Acknowledged | Status::OnSite => return Ok(row),
        Status::Resolved | Status::Reviewed => return Err(Error::conflict(CLOSED)),
    }
    let now = tx.now();
    // A later round (it called again) keeps the first answer's time: the response time is that of the first call.
    diesel::update(incident::table.find(id.0))
        .set((
            incident::status.eq(Status::Acknowledged.as_str()),
            incident::acknowledged_at.eq(row.acknowledged_at.unwrap_or(now)),
            incident::acknowledged_by.eq(by.0),
            incident::version.eq(incident::version + 1),
        ))
        .execute(tx.db())?;
    climb::stop(tx, id)?;
    telling::follow(tx, &row, Occasion::Acknowledged, by)?;
    finish(tx, id, by, &Fact::Acknowledged, "incidents.incident.acknowledged")
}

/// "已到达": by the button, or by the tag in the room. Answers for it too, if nobody had.
///
/// # Errors
/// `Conflict` when it is closed already.
pub fn arrive(tx: &mut Tx<'_>, id: IncidentId, by: UserId, by_tag: bool) -> Result<Row> {
    let row = match locked(tx, id)?.status()? {
        Status::Raised | Status::Notified => acknowledge(tx, id, by)?,
        _ => locked(tx, id)?,
    };
    match row.status()? {
        Status::OnSite => return Ok(row),
        Status::Resolved | Status::Reviewed => return Err(Error::conflict(CLOSED)),
        _ => {}
    }
    let now = tx.now();
    diesel::update(incident::table.find(id.0))
        .set((
            incident::status.eq(Status::OnSite.as_str()),
            incident::arrived_at.eq(row.arrived_at.unwrap_or(now)),
            incident::arrived_by.eq(by.0),
            incident::version.eq(incident::version + 1),
        ))
        .execute(tx.db())?;
    finish(tx, id, by, &Fact::Arrived { by_tag }, "incidents.incident.arrived")
}

/// Whoever has read a room's tag is there: arrives at everything that is open in it.
///
/// # Errors
/// `NotFound` when no place within the scope has that tag.
pub fn arrive_at_tag(tx: &mut Tx<'_>, code: &str, scope: &Scope, by: UserId) -> Result<()> {
    let (_, open) = lists::open_at_tag(tx.db(), code, scope)?;
    open.iter().try_for_each(|row| arrive(tx, row.id, by, true).map(drop))
}

/// What a person says when closing.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct Closing {
    pub outcome: Option<Outcome>,
    /// What was found and done.
    #[serde(default)]
    pub note: String,
    /// `none`: decided that nothing remains; `needed`: `follow_up` says what.
    pub follow_up_kind: Option<FollowUp>,
    #[serde(default)]
    pub follow_up: String,
    pub follow_up_due: Option<NaiveDate>,
    /// The incident that tells of the same event; only with the outcome `duplicate`.
    pub duplicate_of: Option<IncidentId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FollowUp {
    None,
    Needed,
}

const MAX_NOTE: usize = 1_000;
/// A follow-up is due within so many months.
const MAX_DUE_MONTHS: u32 = 24;
const CLOSED: &str = "incidents-error-not-open";

impl Closing {
    /// # Errors
    /// `Invalid`, with every field that is missing or too long.
    pub fn check(&self) -> Result<Resolution> {
        let mut wrong = Vec::new();
        let (note, follow_up) = (written(&self.note), written(&self.follow_up));
        let mut text = |field: &'static str, value: &str, missing: &'static str| {
            if value.is_empty() {
                wrong.push(FieldError::new(field, Text::key(missing)));
            } else if value.chars().count() > MAX_NOTE {
                wrong.push(FieldError::new(field, Text::key("error-too-long").arg("max", MAX_NOTE)));
            }
        };
        text("note", &note, "incidents-error-action-required");
        if self.follow_up_kind == Some(FollowUp::Needed) {
            text("follow_up", &follow_up, "incidents-error-follow-up-text-required");
        }
        if self.outcome.is_none() {
            wrong.push(FieldError::new("outcome", Text::key("incidents-error-outcome-required")));
        }
        if self.follow_up_kind.is_none() {
            wrong.push(FieldError::new("follow_up_kind", Text::key("incidents-error-follow-up-required")));
        }
        match self.outcome {
            Some(outcome) if wrong.is_empty() => Ok(Resolution {
                outcome,
                note,
                follow_up: (self.follow_up_kind == Some(FollowUp::Needed)).then_some(follow_up),
                follow_up_due: self.follow_up_due.filter(|_| self.follow_up_kind == Some(FollowUp::Needed)),
                duplicate_of: self.duplicate_of.filter(|_| outcome == Outcome::Duplicate),
            }),
            _ => Err(Error::Invalid(wrong)),
        }
    }
}

/// What a person wrote, as it is stored: trimmed, without the characters that turn text around (what follows them would
/// read as something else). Empty when nothing of it can be seen.
fn written(text: &str) -> String {
    let overrides = |c: char| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let invisible = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}')
    };
    let text: String = text.chars().filter(|c| !overrides(*c)).collect();
    if text.chars().all(invisible) { String::new() } else { text.trim().to_owned() }
}

/// Yesterday is allowed: whoever closes after midnight means the day before.
fn check_due(due: NaiveDate, today: NaiveDate) -> Result<()> {
    let first = today.checked_sub_days(Days::new(1)).unwrap_or(NaiveDate::MIN);
    let last = today.checked_add_months(Months::new(MAX_DUE_MONTHS)).unwrap_or(NaiveDate::MAX);
    if (first..=last).contains(&due) {
        return Ok(());
    }
    Err(Error::field("follow_up_due", Text::key("incidents-error-follow-up-due").arg("months", MAX_DUE_MONTHS)))
}

/// Closes with outcome and follow-up. Answers for it too, if nobody had.
///
/// # Errors
/// `Conflict` when it was closed with other words; `Invalid` on `duplicate_of` when that is no other incident of this
/// facility, and on `follow_up_due` when that day is past or too far ahead.
pub fn resolve(tx: &mut Tx<'_>, id: IncidentId, by: UserId, resolution: &Resolution) -> Result<Row> {
    if let Some(other) = resolution.duplicate_of {
        let facility = story::row(tx.db(), id)?.facility_id;
        let theirs: Option<i64> =
            incident::table.find(other.0).select(incident::facility_id).first(tx.db()).optional()?;
        if other == id || theirs != Some(facility.0) {
            return Err(Error::field("duplicate_of", Text::key("error-unknown-choice")));
        }
    }
    let row = match locked(tx, id)?.status()? {
        Status::Raised | Status::Notified => acknowledge(tx, id, by)?,
        _ => locked(tx, id)?,
    };
    if !row.status()?.is_open() {
        return match row.resolution()? {
            Some(known) if known == *resolution => Ok(row),
            _ => Err(Error::conflict(CLOSED)),
        };
    }
    let now = tx.now();
    if let Some(due) = resolution.follow_up_due {
        check_due(due, now.day_in(registry::zone_of(tx.db(), row.facility_id)?))?;
    }
    diesel::update(incident::table.find(id.0))
        .set((
            incident::status.eq(Status::Resolved.as_str()),
            incident::open_key.eq(None::<String>),
            incident::resolved_at.eq(now),
            incident::resolved_by.eq(by.0),
            incident::outcome.eq(resolution.outcome.as_str()),
            incident::resolution.eq(serde_json::to_string(resolution)?),
            incident::version.eq(incident::version + 1),
        ))
        .execute(tx.db())?;
    telling::follow(tx, &row, Occasion::Resolved, by)?;
    finish(tx, id, by, &Fact::Resolved(resolution.clone()), "incidents.incident.resolved")
}

/// A nurse lead or manager has looked at how it was handled.
///
/// # Errors
/// `Conflict` while it is open.
pub fn review(tx: &mut Tx<'_>, id: IncidentId, by: UserId, note: &str) -> Result<Row> {
    let row = locked(tx, id)?;
    match row.status()? {
        Status::Resolved => {}
        Status::Reviewed => return Ok(row),
        _ => return Err(Error::conflict("incidents-error-still-open")),
    }
    diesel::update(incident::table.find(id.0))
        .set((incident::status.eq(Status::Reviewed.as_str()), incident::version.eq(incident::version + 1)))
        .execute(tx.db())?;
    let note = written(note).chars().take(MAX_NOTE).collect();
    finish(tx, id, by, &Fact::Reviewed { note }, "incidents.incident.reviewed")
}

/// Adds words to the story, at any time.
///
/// # Errors
/// `Invalid` on `note`.
pub fn note(tx: &mut Tx<'_>, id: IncidentId, by: UserId, text: &str) -> Result<Row> {
    let text = written(text);
    if text.is_empty() {
        return Err(Error::field("note", Text::key("error-required")));
    }
    if text.chars().count() > MAX_NOTE {
        return Err(Error::field("note", Text::key("error-too-long").arg("max", MAX_NOTE)));
    }
    locked(tx, id)?;
    diesel::update(incident::table.find(id.0)).set(incident::version.eq(incident::version + 1)).execute(tx.db())?;
    finish(tx, id, by, &Fact::Note { text }, "incidents.incident.noted")
}

/// The row, held until the end of the transaction: two people pressing at once come one after the other.
fn locked(tx: &mut Tx<'_>, id: IncidentId) -> Result<Row> {
    let found = diesel::update(incident::table.find(id.0)).set(incident::id.eq(id.0)).execute(tx.db())?;
    if found == 0 { Err(Error::NotFound) } else { story::row(tx.db(), id) }
}

fn finish(tx: &mut Tx<'_>, id: IncidentId, by: UserId, fact: &Fact, event: &'static str) -> Result<Row> {
    story::add(tx, id, Some(by), fact)?;
    let row = story::row(tx.db(), id)?;
    story::publish(tx, &row, event, Some(by))?;
    tx.audit(audited(&row, fact))?;
    Ok(row)
}

/// The story tells each step with its words; the audit log binds who pressed when to its seals, so that no response time
/// can be changed unseen. Words stay in the story: they may name people.
fn audited(row: &Row, fact: &Fact) -> AuditEntry {
    let action = match fact {
        Fact::Acknowledged => "incident.acknowledge",
        Fact::Arrived { .. } => "incident.arrive",
        Fact::Resolved(_) => "incident.resolve",
        Fact::Reviewed { .. } => "incident.review",
        _ => "incident.note",
    };
    let after = serde_json::json!({
        "status": row.status, "acknowledged_at": row.acknowledged_at, "arrived_at": row.arrived_at,
        "resolved_at": row.resolved_at,
    });
    let entry = AuditEntry::new(action, row.id).at(row.facility_id).after(after);
    match row.resident_id {
        Some(resident) => entry.about(resident.0),
        None => entry,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn closing(note: &str, follow_up: &str) -> Closing {
        Closing {
            outcome: Some(Outcome::Real),
            note: note.into(),
            follow_up_kind: Some(FollowUp::Needed),
            follow_up: follow_up.into(),
            follow_up_due: None,
            duplicate_of: None,
        }
    }

    #[test]
    fn what_cannot_be_seen_is_not_written() {
        for nothing in [
            "",
            " \n",
            "\u{200B}\u{200F}",
            "\u{202A}\u{202E}",
            "\u{2060} \u{2064}\u{2066}\u{2069}",
            "\u{FEFF}\u{0}\u{7}",
        ] {
            let Err(Error::Invalid(wrong)) = closing(nothing, nothing).check() else { panic!("{nothing:?} was taken") };
            assert_eq!(wrong.iter().map(|error| error.field).collect::<Vec<_>>(), ["note", "follow_up"]);
        }
    }

    #[test]
    fn nothing_turns_the_text_around() {
        let done = closing(" 扶\u{202E}起\n\u{2066}ok\u{2069} ", "\u{202D}回访\u{202C}").check().unwrap();
        assert_eq!((done.note.as_str(), done.follow_up.as_deref()), ("扶起\nok", Some("回访")));
        // Joiners shape emoji and scripts: they stay.
        assert_eq!(written("👩\u{200D}⚕"), "👩\u{200D}⚕");
    }

    #[test]
    fn a_follow_up_is_due_from_yesterday_to_two_years_ahead() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let today = day("2026-11-22");
        for due in ["2026-11-21", "2026-11-22", "2028-11-22"] {
            assert!(check_due(day(due), today).is_ok(), "{due}");
        }
        for due in ["2026-11-20", "0001-01-01", "2028-11-23", "9999-12-31"] {
            assert!(matches!(check_due(day(due), today), Err(Error::Invalid(_))), "{due}");
        }
    }
}
