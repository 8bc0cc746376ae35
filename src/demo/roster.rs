//! The demo's rosters, always a week ahead: a demo started again after a month still has somebody on duty. Whoever
//! signs in as carer or nurse is on duty in the shift that runs at the start.

use std::collections::HashSet;

use chrono::{Days, NaiveTime};
use songhe_kernel::{Database, Error, FacilityId, Result, Tx};
use songhe_registry::{self as registry, Duty, NewShift, Staff, StaffId};

use super::people;

const SHIFTS: [(&str, u32, u32); 3] = [("早班", 7, 15), ("中班", 15, 23), ("夜班", 23, 7)];
/// Days that are covered from today on; yesterday's night shift is among them.
const DAYS: u64 = 9;

/// Adds the shifts that are missing.
pub(super) async fn extend(db: &Database) -> Result<()> {
    let facilities = db.read(registry::facilities).await?;
    for facility in facilities {
        for day in 0..DAYS {
            // A day at a time: no operation holds the writer for long.
            db.write(move |tx| extend_day(tx, facility.id, day)).await?;
        }
    }
    Ok(())
}

fn extend_day(tx: &mut Tx<'_>, facility: FacilityId, ahead: u64) -> Result<()> {
    let zone = registry::zone_of(tx.db(), facility)?;
    let now = tx.now();
    let yesterday = now.day_in(zone).pred_opt().unwrap_or(now.day_in(zone));
    let day = yesterday.checked_add_days(Days::new(ahead)).unwrap_or(yesterday);
    let staff = registry::staff_in(tx.db(), facility)?;
    for (index, (name, from, to)) in SHIFTS.iter().enumerate() {
        let (starts_at, ends_at) = registry::civil_window(day, hour(*from), hour(*to), zone);
        let taken: HashSet<StaffId> = registry::duty_hours(tx.db(), facility, starts_at, ends_at)?
            .into_iter()
            .filter(|shift| shift.starts_at < ends_at && shift.ends_at > starts_at)
            .map(|shift| shift.staff_id)
            .collect();
        let runs_now = covers(hour(*from), hour(*to), now.in_zone(zone).time());
        for person in wanted(&staff, index, runs_now).into_iter().filter(|person| !taken.contains(&person.id)) {
            let new = NewShift { staff_id: person.id, duty: person.job, name: (*name).into(), starts_at, ends_at };
            match tx.savepoint(|tx| registry::add_shift(tx, &new, None)) {
                Ok(_) => {}
                // Whoever was put on another facility's staff as well may be on duty there.
                Err(Error::Invalid(_)) => tracing::info!(staff = %person.id, "not free for a shift of the demo"),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Whether a shift from one hour to another is running at a time of day; a night shift ends after midnight.
fn covers(from: NaiveTime, to: NaiveTime, now: NaiveTime) -> bool {
    if from < to { from <= now && now < to } else { from <= now || now < to }
}

fn is_demo_account(person: &Staff) -> bool {
    people::ACCOUNTS.iter().any(|account| account.name == person.name)
}

/// Those of a shift: a third of the staff each; the demo's own accounts in the one that runs now.
fn wanted(staff: &[Staff], shift: usize, runs_now: bool) -> Vec<&Staff> {
    let mut plain = Vec::new();
    for duty in [Duty::Carer, Duty::Nurse, Duty::NurseLead, Duty::Manager] {
        let of_duty = staff.iter().filter(|person| person.job == duty && !is_demo_account(person));
        plain.extend(of_duty.enumerate().filter(|(n, _)| n % SHIFTS.len() == shift).map(|(_, person)| person));
    }
    if runs_now {
        plain.extend(staff.iter().filter(|person| is_demo_account(person)));
    }
    plain
}

fn hour(hour: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or(NaiveTime::MIN)
}
