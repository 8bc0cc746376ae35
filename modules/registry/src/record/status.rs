//! Where somebody is and whether they still are: facts with dates, whose history is kept.
//!
//! Nothing is erased. A correction supersedes a fact, and both stay with who recorded them and when. What holds at a
//! moment is decided by one function, which deciding transactions call; it never silences an alarm.

use chrono::NaiveDate;
use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_kernel::db::{Db, Tx};
use songhe_kernel::{Error, Moment, Result, Text, UserId};

use super::tell;
use crate::check::Check;
use crate::residents::{lock, resident};
use crate::schema::resident_status;
use crate::text_enum::text_enum;
use crate::{ResidentId, StatusFactId};

text_enum! {
    pub enum ResidentStatus {
        /// Here, and looked after: what holds where no fact says otherwise.
        Active = "active",
        /// On leave with the family, on a journey.
        Away = "away",
        InHospital = "in_hospital",
        /// In another institution.
        InInstitution = "in_institution",
        /// Has left for good.
        Moved = "moved",
        Deceased = "deceased",
    }
}

impl ResidentStatus {
    /// Whether nothing comes after it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Moved | Self::Deceased)
    }
}

/// One recorded fact.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, JsonSchema)]
#[diesel(table_name = resident_status)]
pub struct StatusFact {
    pub id: StatusFactId,
    pub resident_id: ResidentId,
    pub status: ResidentStatus,
    pub from_at: Moment,
    /// The first moment at which it does not hold any more; `null`: until another fact begins.
    pub until_at: Option<Moment>,
    pub recorded_at: Moment,
    pub recorded_by: Option<UserId>,
    /// The fact that this one was recorded to correct.
    pub corrects: Option<StatusFactId>,
    /// Since when it does not count any more, because it was corrected or withdrawn.
    pub superseded_at: Option<Moment>,
    pub superseded_by: Option<UserId>,
}

/// A fact to be recorded.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStatus {
    pub status: ResidentStatus,
    /// At most a year ahead.
    pub from_at: Moment,
    /// Later than `from_at`; `null`: until another fact begins. None for `moved` and `deceased`.
    #[serde(default)]
    pub until_at: Option<Moment>,
}

/// What holds at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StatusThen {
    pub status: ResidentStatus,
    /// Since when, by the fact that says so; `null` where none does.
    pub since: Option<Moment>,
    pub until: Option<Moment>,
}

/// Further ahead is a typing error.
const MAX_AHEAD_S: i64 = 366 * 86_400;

/// What holds for a resident at a moment, by what is known now: death before everything, then the fact that began last.
pub fn status_on(db: &mut Db, id: ResidentId, at: Moment) -> Result<StatusThen> {
    let facts: Vec<StatusFact> = resident_status::table
        .filter(resident_status::resident_id.eq(id).and(resident_status::superseded_at.is_null()))
        .filter(resident_status::from_at.le(at))
        .select(StatusFact::as_select())
        .load(db)?;
    Ok(holding(&facts, at))
}

/// The same, in the transaction that decides, at its moment.
pub fn status_now(tx: &mut Tx<'_>, id: ResidentId) -> Result<StatusThen> {
    let now = tx.now();
    status_on(tx.db(), id, now)
}

/// What holds for many residents at a moment; those of whom no fact speaks are left out: they are active.
pub fn statuses_on(db: &mut Db, ids: &[ResidentId], at: Moment) -> Result<Vec<(ResidentId, StatusThen)>> {
    let mut facts = Vec::new();
    for some in ids.chunks(500) {
        facts.extend(
            resident_status::table
                .filter(resident_status::resident_id.eq_any(some))
                .filter(resident_status::superseded_at.is_null().and(resident_status::from_at.le(at)))
                .order(resident_status::resident_id)
                .select(StatusFact::as_select())
                .load::<StatusFact>(db)?,
        );
    }
    Ok(facts
        .chunk_by(|one, next| one.resident_id == next.resident_id)
        .filter_map(|of_one| Some((of_one.first()?.resident_id, holding(of_one, at))))
        .collect())
}

/// Pure: which of the facts holds.
fn holding(facts: &[StatusFact], at: Moment) -> StatusThen {
    facts
        .iter()
        .filter(|fact| fact.superseded_at.is_none() && fact.from_at <= at && fact.until_at.is_none_or(|end| at < end))
        .max_by_key(|fact| (fact.status == ResidentStatus::Deceased, fact.from_at, fact.recorded_at, fact.id))
        .map_or(StatusThen { status: ResidentStatus::Active, since: None, until: None }, |fact| StatusThen {
            status: fact.status,
            since: Some(fact.from_at),
            until: fact.until_at,
        })
}

/// All that was ever recorded, what was recorded last in front.
pub fn status_history(db: &mut Db, id: ResidentId) -> Result<Vec<StatusFact>> {
    Ok(resident_status::table
        .filter(resident_status::resident_id.eq(id))
        .order(resident_status::id.desc())
        .select(StatusFact::as_select())
        .load(db)?)
}

/// Records a fact.
///
/// # Errors
/// `NotFound` when there is no such resident; `Invalid` on `status`, `from_at` or `until_at`.
pub fn record_status(tx: &mut Tx<'_>, id: ResidentId, new: &NewStatus, actor: Option<UserId>) -> Result<StatusFactId> {
    lock(tx, id)?;
    insert(tx, id, new, None, actor)
}

/// Corrects a fact: another one counts in its place, or, for `None`, none.
///
/// # Errors
/// `NotFound` when there is no such fact of that resident; `Conflict` when it was corrected before; `Invalid` as in
/// [`record_status`].
pub fn correct_status(
    tx: &mut Tx<'_>,
    id: ResidentId,
    fact: StatusFactId,
    new: Option<&NewStatus>,
    actor: Option<UserId>,
) -> Result<Option<StatusFactId>> {
    lock(tx, id)?;
    let row = resident_status::table.filter(resident_status::id.eq(fact).and(resident_status::resident_id.eq(id)));
    let former: StatusFact = row.select(StatusFact::as_select()).first(tx.db()).optional()?.ok_or(Error::NotFound)?;
    if former.superseded_at.is_some() {
        return Err(Error::conflict("record-error-status-corrected"));
    }
    let now = tx.now();
    diesel::update(resident_status::table.find(fact))
        .set((resident_status::superseded_at.eq(Some(now)), resident_status::superseded_by.eq(actor)))
        .execute(tx.db())?;
    if let Some(new) = new {
        return insert(tx, id, new, Some(fact), actor).map(Some);
    }
    let person = resident(tx.db(), id)?.ok_or(Error::NotFound)?;
    let data = json!({ "withdrawn": fact, "status": former.status });
    tell(tx, "registry.resident.status_withdrawn", person.facility_id, id, actor, data)?;
    Ok(None)
}

fn insert(
    tx: &mut Tx<'_>,
    id: ResidentId,
    new: &NewStatus,
    corrects: Option<StatusFactId>,
    actor: Option<UserId>,
) -> Result<StatusFactId> {
    let person = resident(tx.db(), id)?.ok_or(Error::NotFound)?;
    let now = tx.now();
    let mut check = Check::default();
    if new.from_at > now.plus_seconds(MAX_AHEAD_S) || born_later(person.birth_date, new.from_at) {
        check.refuse("from_at", Text::key("error-invalid-date"));
    }
    // Nobody has died tomorrow.
    if new.status == ResidentStatus::Deceased && new.from_at > now {
        check.refuse("from_at", Text::key("record-error-future"));
    }
    match new.until_at {
        Some(_) if new.status.is_final() => check.refuse("until_at", Text::key("record-error-status-final")),
        Some(until) if until <= new.from_at => check.refuse("until_at", Text::key("error-end-before-start")),
        _ => {}
    }
    if new.status != ResidentStatus::Deceased && died_before(tx.db(), id, new.from_at)? {
        check.refuse("status", Text::key("record-error-status-after-death"));
    }
    check.finish()?;
    let fact = StatusFactId(tx.next_id());
    diesel::insert_into(resident_status::table)
        .values((
            resident_status::id.eq(fact),
            resident_status::resident_id.eq(id),
            resident_status::status.eq(new.status),
            resident_status::from_at.eq(new.from_at),
            resident_status::until_at.eq(new.until_at),
            resident_status::recorded_at.eq(now),
            resident_status::recorded_by.eq(actor),
            resident_status::corrects.eq(corrects),
        ))
        .execute(tx.db())?;
    let data = json!({
        "fact_id": fact, "status": new.status, "from_at": new.from_at, "until_at": new.until_at, "corrects": corrects,
    });
    tell(tx, "registry.resident.status_recorded", person.facility_id, id, actor, data)?;
    Ok(fact)
}

fn born_later(birth: Option<NaiveDate>, at: Moment) -> bool {
    // A day's difference is a matter of zones.
    birth.and_then(|day| day.pred_opt()).is_some_and(|day| at.utc().date_naive() < day)
}

fn died_before(db: &mut Db, id: ResidentId, at: Moment) -> Result<bool> {
    Ok(status_on(db, id, at)?.status == ResidentStatus::Deceased)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn fact(n: i64, status: ResidentStatus, from: &str, until: Option<&str>) -> StatusFact {
        let at = |day: &str| format!("2026-11-{day}T00:00:00Z").parse::<Moment>().unwrap();
        StatusFact {
            id: StatusFactId(n),
            resident_id: ResidentId(1),
            status,
            from_at: at(from),
            until_at: until.map(at),
            recorded_at: at("30"),
            recorded_by: None,
            corrects: None,
            superseded_at: None,
            superseded_by: None,
        }
    }

    #[test]
    fn the_fact_that_began_last_holds_and_death_before_everything() {
        use ResidentStatus::{Active, Away, Deceased, InHospital};
        let mut facts = vec![
            fact(1, Away, "02", None),
            fact(2, InHospital, "05", Some("08")),
            fact(3, Active, "10", None),
            fact(4, Deceased, "12", None),
            fact(5, InHospital, "13", None),
        ];
        let then = |facts: &[StatusFact], day: &str| {
            holding(facts, format!("2026-11-{day}T00:00:00Z").parse().unwrap()).status
        };
        for (day, status) in [
            ("01", Active),
            ("02", Away),
            ("05", InHospital),
            ("07", InHospital),
            ("08", Away),
            ("11", Active),
            ("12", Deceased),
            ("14", Deceased),
        ] {
            assert_eq!(then(&facts, day), status, "{day}");
        }
        facts[3].superseded_at = Some(facts[3].recorded_at);
        assert_eq!(then(&facts, "12"), Active);
        assert_eq!(then(&facts, "14"), InHospital);
    }
}
