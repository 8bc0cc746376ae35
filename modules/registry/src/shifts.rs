//! Rosters: who is on duty when. Kept in UTC; entered and shown in the facility's zone, where a night shift crosses
//! midnight and a day may have 23 or 25 hours.

use chrono::{Datelike, Days, NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_kernel::db::{Db, Tx};
use songhe_kernel::identity::Scope;
use songhe_kernel::vault::Sealed;
use songhe_kernel::{Error, FacilityId, KeptExt, Moment, NewEvent, Result, Text, UserId};

use crate::check::Check;
use crate::facilities::zone_of;
use crate::schema::{shift, staff};
use crate::sealed::SealedNumber;
use crate::staff::{Duty, Job, Staff, staff_member};
use crate::{ShiftId, StaffId};

const MAX_SHIFT_NAME_CHARS: usize = 12;
const MAX_CIVIL_HOURS: i64 = 24;

/// One person's time on duty.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, JsonSchema)]
#[diesel(table_name = shift)]
pub struct Shift {
    pub id: ShiftId,
    pub facility_id: FacilityId,
    pub staff_id: StaffId,
    pub duty: Duty,
    /// 早班, 中班, 夜班 …
    pub name: String,
    pub starts_at: Moment,
    /// The first moment that is not covered any more.
    pub ends_at: Moment,
}

/// A shift to be put on the roster of the staff member's facility.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewShift {
    pub staff_id: StaffId,
    /// What the person is there for.
    pub duty: Duty,
    /// 1 to 12 characters: 早班, 夜班 …
    pub name: String,
    pub starts_at: Moment,
    /// After the start, at most 24 hours later by the facility's wall clock.
    pub ends_at: Moment,
}

/// Somebody who can be called now.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct StaffOnDuty {
    pub staff_id: StaffId,
    pub user_id: Option<UserId>,
    pub name: String,
    pub phone: Option<Sealed>,
}

impl StaffOnDuty {
    pub fn number(&self) -> Option<SealedNumber> {
        SealedNumber::of_staff(self.staff_id, self.phone.clone())
    }
}

/// The shift that runs at some time, whoever is on it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct ShiftWindow {
    pub name: String,
    pub starts_at: Moment,
    pub ends_at: Moment,
}

/// A civil start and end as moments: an end not after the start is of the next day (a night shift; the same time is 24
/// hours).
pub fn civil_window(day: NaiveDate, starts: NaiveTime, ends: NaiveTime, zone: Tz) -> (Moment, Moment) {
    let last = if ends > starts { day } else { day.checked_add_days(Days::new(1)).unwrap_or(day) };
    (Moment::from_local(day.and_time(starts), zone), Moment::from_local(last.and_time(ends), zone))
}

/// The Monday of a day's week.
pub fn monday_of(day: NaiveDate) -> NaiveDate {
    day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into())).unwrap_or(day)
}

/// Puts a shift on the roster.
///
/// # Errors
/// `Invalid` on `staff_id` (not there, or no longer active), `name`, `ends_at` (not after the start, or over 24 hours
/// by the facility's wall clock) or `starts_at` (the person has another shift then, at whichever facility).
pub fn add_shift(tx: &mut Tx<'_>, new: &NewShift, actor: Option<UserId>) -> Result<ShiftId> {
    let mut check = Check::default();
    let name = check.words("name", &new.name, MAX_SHIFT_NAME_CHARS);
    let member = staff_member(tx.db(), new.staff_id)?.filter(|member| member.active);
    let Some(member) = member else {
        check.refuse("staff_id", Text::key("error-unknown-choice"));
        return Err(check.finish().err().unwrap_or(Error::NotFound));
    };
    let zone = zone_of(tx.db(), member.facility_id)?;
    if new.ends_at <= new.starts_at {
        check.refuse("ends_at", Text::key("error-end-before-start"));
    } else if civil_length(new, zone) > TimeDelta::hours(MAX_CIVIL_HOURS) {
        check.refuse("ends_at", Text::key("registry-error-shift-length").arg("max", MAX_CIVIL_HOURS));
    } else if let Some(other) = overlapping(tx, &member, new)? {
        check.refuse("starts_at", overlap_text(&member, &other, zone));
    }
    check.finish()?;

    let id = ShiftId(tx.next_id());
    diesel::insert_into(shift::table)
        .values((
            shift::id.eq(id),
            shift::facility_id.eq(member.facility_id),
            shift::staff_id.eq(new.staff_id),
            shift::duty.eq(new.duty),
            shift::name.eq(name),
            shift::starts_at.eq(new.starts_at),
            shift::ends_at.eq(new.ends_at),
        ))
        .execute(tx.db())?;
    let added = Shift {
        id,
        facility_id: member.facility_id,
        staff_id: new.staff_id,
        duty: new.duty,
        name: name.to_owned(),
        starts_at: new.starts_at,
        ends_at: new.ends_at,
    };
    announce(tx, &added, "added", actor)?;
    Ok(id)
}

/// Names the other shift; one at another facility is told of without a word about it.
fn overlap_text(member: &Staff, other: &Shift, zone: Tz) -> Text {
    if other.facility_id != member.facility_id {
        return Text::key("registry-error-shift-elsewhere");
    }
    let local = |at: Moment| at.in_zone(zone).format("%m-%d %H:%M");
    Text::key("registry-error-shift-overlap")
        .arg("name", &other.name)
        .arg("start", local(other.starts_at))
        .arg("end", local(other.ends_at))
}

/// By the wall clock: 08:00 to 08:00 is 24 hours, also on the night that has one more.
fn civil_length(new: &NewShift, zone: Tz) -> TimeDelta {
    new.ends_at.in_zone(zone).naive_local() - new.starts_at.in_zone(zone).naive_local()
}

/// A shift of the same person that shares time with the new one.
fn overlapping(tx: &mut Tx<'_>, member: &Staff, new: &NewShift) -> Result<Option<Shift>> {
    // Locks the person: two shifts entered at once cannot both find the time free.
    let ids: Vec<StaffId> = match member.user_id {
        Some(user) => {
            diesel::update(staff::table.filter(staff::user_id.eq(user)))
                .set(staff::user_id.eq(user))
                .execute(tx.db())?;
            staff::table.filter(staff::user_id.eq(user)).select(staff::id).load(tx.db())?
        }
        None => {
            diesel::update(staff::table.find(member.id)).set(staff::id.eq(member.id)).execute(tx.db())?;
            vec![member.id]
        }
    };
    Ok(shift::table
        .filter(shift::staff_id.eq_any(ids))
        .filter(shift::starts_at.lt(new.ends_at).and(shift::ends_at.gt(new.starts_at)))
        .order(shift::starts_at)
        .select(Shift::as_select())
        .first(tx.db())
        .optional()?)
}

/// Takes a shift off the roster. `false` when it was not there.
pub fn remove_shift(tx: &mut Tx<'_>, id: ShiftId, actor: Option<UserId>) -> Result<bool> {
    let Some(found) = shift(tx.db(), id)? else { return Ok(false) };
    if diesel::delete(shift::table.find(id)).execute(tx.db())? == 0 {
        return Ok(false);
    }
    announce(tx, &found, "removed", actor)?;
    Ok(true)
}

fn announce(tx: &mut Tx<'_>, shift: &Shift, change: &str, actor: Option<UserId>) -> Result<()> {
    tx.publish(NewEvent {
        kind: "registry.roster.changed",
        version: 1,
        facility: Some(shift.facility_id),
        // Changes of one roster are handled in order.
        subject: shift.facility_id.to_string(),
        actor,
        data: json!({
            "change": change, "shift_id": shift.id, "staff_id": shift.staff_id, "duty": shift.duty,
            "starts_at": shift.starts_at, "ends_at": shift.ends_at,
        }),
    })?;
    tx.signal(crate::topic(shift.facility_id));
    Ok(())
}

pub fn shift(db: &mut Db, id: ShiftId) -> Result<Option<Shift>> {
    Ok(shift::table.find(id).select(Shift::as_select()).first(db).optional()?)
}

/// The present staff who are on duty as `duty` at a moment. Nobody steps in for anybody: a ladder says whom it asks
/// next.
pub fn on_duty(db: &mut Db, facility: FacilityId, duty: Duty, at: Moment) -> Result<Vec<StaffOnDuty>> {
    on_duty_as(db, facility, &[duty], at)
}

/// All carers and nurses on duty at a moment.
pub fn on_duty_any(db: &mut Db, facility: FacilityId, at: Moment) -> Result<Vec<StaffOnDuty>> {
    on_duty_as(db, facility, &[Job::Carer, Job::Nurse], at)
}

fn on_duty_as(db: &mut Db, facility: FacilityId, duties: &[Duty], at: Moment) -> Result<Vec<StaffOnDuty>> {
    // Nobody has two shifts at a time, so nobody comes twice.
    Ok(shift::table
        .inner_join(staff::table)
        .filter(shift::facility_id.eq(facility).and(shift::duty.eq_any(duties.to_vec())))
        .filter(shift::starts_at.le(at).and(shift::ends_at.gt(at)))
        .filter(staff::active.eq(true))
        .order(staff::id)
        .select((staff::id, staff::user_id, staff::name, staff::phone_sealed))
        .kept(duties.len())
        .load(db)?)
}

/// The shifts of present staff that share time with a window, by start: what the check for uncovered hours reads.
pub fn duty_hours(db: &mut Db, facility: FacilityId, from: Moment, to: Moment) -> Result<Vec<Shift>> {
    Ok(shift::table
        .inner_join(staff::table)
        .filter(shift::facility_id.eq(facility).and(staff::active.eq(true)))
        .filter(shift::starts_at.lt(to).and(shift::ends_at.gt(from)))
        .order((shift::starts_at, shift::id))
        .select(Shift::as_select())
        .load(db)?)
}

/// The shift that runs at a moment: of carers and nurses if one is there, the latest begun if several are.
pub fn current_shift(db: &mut Db, facility: FacilityId, at: Moment) -> Result<Option<ShiftWindow>> {
    let running = || {
        shift::table
            .filter(shift::facility_id.eq(facility))
            .filter(shift::starts_at.le(at).and(shift::ends_at.gt(at)))
            .order((shift::starts_at.desc(), shift::ends_at, shift::name))
            .select((shift::name, shift::starts_at, shift::ends_at))
    };
    let care = running().filter(shift::duty.eq_any(vec![Job::Carer, Job::Nurse])).first(db).optional()?;
    match care {
        Some(window) => Ok(Some(window)),
        None => Ok(running().first(db).optional()?),
    }
}

/// A list of shifts: where and when.
#[derive(Debug, Clone)]
pub struct ShiftFilter {
    /// Where the caller may see rosters; others do not exist.
    pub scope: Scope,
    /// Shifts that end after this.
    pub from: Option<Moment>,
    /// Shifts that start before this.
    pub to: Option<Moment>,
    /// The last one of the page before.
    pub after: Option<ShiftId>,
}

/// A page of shifts, by id: up to `limit`.
pub fn list_shifts(db: &mut Db, filter: &ShiftFilter, limit: i64) -> Result<Vec<Shift>> {
    let mut query = shift::table.select(Shift::as_select()).order(shift::id).limit(limit).into_boxed();
    if let Some(ids) = filter.scope.ids() {
        query = query.filter(shift::facility_id.eq_any(ids.to_vec()));
    }
    if let Some(from) = filter.from {
        query = query.filter(shift::ends_at.gt(from));
    }
    if let Some(to) = filter.to {
        query = query.filter(shift::starts_at.lt(to));
    }
    if let Some(after) = filter.after {
        query = query.filter(shift::id.gt(after));
    }
    Ok(query.load(db)?)
}

/// Those of some staff who are on duty at a moment, as whatever.
pub(crate) fn present(db: &mut Db, staff: &[StaffId], at: Moment) -> Result<Vec<StaffId>> {
    Ok(shift::table
        .filter(shift::staff_id.eq_any(staff.to_vec()))
        .filter(shift::starts_at.le(at).and(shift::ends_at.gt(at)))
        .select(shift::staff_id)
        .load(db)?)
}

/// An account's shifts that end after `from` and start before `to`, by start.
pub fn shifts_of_user(db: &mut Db, user: UserId, from: Moment, to: Moment) -> Result<Vec<Shift>> {
    Ok(shift::table
        .inner_join(staff::table)
        .filter(staff::user_id.eq(user))
        .filter(shift::starts_at.lt(to).and(shift::ends_at.gt(from)))
        .order(shift::starts_at)
        .select(Shift::as_select())
        .load(db)?)
}
