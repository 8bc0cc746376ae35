//! What a facility means to reach. Each change is kept with its time: a month is judged by what was in force at its end,
//! so that another target later changes no figure of it.

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::{AuditEntry, BothExt, Db, Error, FacilityId, FieldError, Moment, Result, Text, Tx, UserId};

use crate::schema::response_target;

const ANSWER_S: std::ops::RangeInclusive<i32> = 10..=3_600;
const ON_SITE_S: std::ops::RangeInclusive<i32> = 60..=86_400;
const PER_MILLE: std::ops::RangeInclusive<i32> = 1..=1_000;

/// Within which time calls are to be answered, and how many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable, Serialize, Deserialize, JsonSchema)]
#[diesel(table_name = response_target)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ResponseTarget")]
pub struct Target {
    /// 10 to 3600.
    pub answer_seconds: i32,
    /// Of a thousand calls so many are to be answered within that time: 1 to 1000.
    pub answer_per_mille: i32,
    /// The same once more, for the last ones: not less than `answer_seconds`.
    pub last_seconds: i32,
    /// Not less than `answer_per_mille`.
    pub last_per_mille: i32,
    /// Within which time somebody is to be there: 60 to 86400.
    pub on_site_seconds: i32,
}

impl Default for Target {
    /// Published targets (domain/care.md): 97.5 % answered within 60 s, 99 % within 180 s; on site within 30 min.
    fn default() -> Self {
        Self {
            answer_seconds: 60,
            answer_per_mille: 975,
            last_seconds: 180,
            last_per_mille: 990,
            on_site_seconds: 1_800,
        }
    }
}

/// What was in force at a facility right before a moment.
pub fn target(db: &mut Db, facility: FacilityId, before: Moment) -> Result<Target> {
    let stored: Option<Target> = response_target::table
        .filter(response_target::facility_id.eq(facility.0).and(response_target::set_at.lt(before)))
        .order((response_target::set_at.desc(), response_target::id.desc()))
        .select(Target::as_select())
        .first(db)
        .optional()?;
    Ok(stored.unwrap_or_default())
}

/// Sets it from now on.
///
/// # Errors
/// `Invalid` on what is outside its range, and on a last limit that is stricter in time or laxer in share than the first.
pub fn set_target(tx: &mut Tx<'_>, facility: FacilityId, target: Target, by: UserId) -> Result<()> {
    let mut wrong = Vec::new();
    for (field, value, range) in [
        ("answer_seconds", target.answer_seconds, ANSWER_S),
        ("answer_per_mille", target.answer_per_mille, PER_MILLE),
        ("last_seconds", target.last_seconds, target.answer_seconds.clamp(10, 3_600)..=*ANSWER_S.end()),
        ("last_per_mille", target.last_per_mille, target.answer_per_mille.clamp(1, 1_000)..=*PER_MILLE.end()),
        ("on_site_seconds", target.on_site_seconds, ON_SITE_S),
    ] {
        if !range.contains(&value) {
            let text = Text::key("reports-error-range").arg("min", range.start()).arg("max", range.end());
            wrong.push(FieldError::new(field, text));
        }
    }
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    let (id, now) = (tx.next_id(), tx.now());
    diesel::insert_into(response_target::table)
        .values((
            response_target::id.eq(id),
            response_target::facility_id.eq(facility.0),
            response_target::set_at.eq(now),
            response_target::set_by.eq(by.0),
            response_target::answer_seconds.eq(target.answer_seconds),
            response_target::answer_per_mille.eq(target.answer_per_mille),
            response_target::last_seconds.eq(target.last_seconds),
            response_target::last_per_mille.eq(target.last_per_mille),
            response_target::on_site_seconds.eq(target.on_site_seconds),
        ))
        .both()
        .execute(tx.db())?;
    let after = serde_json::json!({
        "answer_seconds": target.answer_seconds, "answer_per_mille": target.answer_per_mille,
        "last_seconds": target.last_seconds, "last_per_mille": target.last_per_mille,
        "on_site_seconds": target.on_site_seconds,
    });
    tx.audit(AuditEntry::new("target.set", facility).at(facility).after(after))?;
    Ok(())
}
