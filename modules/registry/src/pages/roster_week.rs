//! A week of a roster as a table: pure, from shifts and a zone.

use chrono::{Days, NaiveDate, NaiveTime};
use chrono_tz::Tz;
use songhe_kernel::Moment;

use crate::{Job, Shift};

/// Seven days from a Monday, in a facility's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Week {
    pub(super) monday: NaiveDate,
    pub(super) zone: Tz,
}

impl Week {
    /// `2026-W48`; `None` for anything else.
    pub(super) fn parse(text: &str, zone: Tz) -> Option<Self> {
        let (year, week) = text.split_once("-W")?;
        let (year, week): (i32, u32) = (year.parse().ok()?, week.parse().ok()?);
        let known = (1970..=9999).contains(&year);
        let monday = NaiveDate::from_isoywd_opt(year, week, chrono::Weekday::Mon).filter(|_| known)?;
        Some(Self { monday, zone })
    }

    pub(super) fn of(day: NaiveDate, zone: Tz) -> Self {
        Self { monday: crate::monday_of(day), zone }
    }

    /// As [`Week::parse`] reads it.
    pub(super) fn name(self) -> String {
        self.monday.format("%G-W%V").to_string()
    }

    pub(super) fn before(self) -> Self {
        Self { monday: self.monday.checked_sub_days(Days::new(7)).unwrap_or(self.monday), ..self }
    }

    pub(super) fn after(self) -> Self {
        Self { monday: self.day(7), ..self }
    }

    pub(super) fn day(self, index: u64) -> NaiveDate {
        self.monday.checked_add_days(Days::new(index)).unwrap_or(self.monday)
    }

    pub(super) fn days(self) -> impl Iterator<Item = NaiveDate> {
        (0..7).map(move |index| self.day(index))
    }

    /// From Monday's midnight to the next Monday's.
    pub(super) fn window(self) -> (Moment, Moment) {
        (midnight(self.monday, self.zone), midnight(self.day(7), self.zone))
    }

    /// The hours of a day at which no carer and no nurse is on duty, `22:00–06:00` style; the day's end is `24:00`.
    pub(super) fn gaps(self, day: NaiveDate, shifts: &[Shift]) -> Vec<String> {
        let next = day.checked_add_days(Days::new(1)).unwrap_or(day);
        let (start, end) = (midnight(day, self.zone), midnight(next, self.zone));
        let mut covered: Vec<(Moment, Moment)> = shifts
            .iter()
            .filter(|shift| matches!(shift.duty, Job::Carer | Job::Nurse))
            .map(|shift| (shift.starts_at.max(start), shift.ends_at.min(end)))
            .filter(|(from, to)| from < to)
            .collect();
        covered.sort_unstable();
        let (mut gaps, mut at) = (Vec::new(), start);
        for (from, to) in covered {
            if from > at {
                gaps.push((at, from));
            }
            at = at.max(to);
        }
        if at < end {
            gaps.push((at, end));
        }
        let local = |at: Moment| if at == end { "24:00".to_owned() } else { self.time(at) };
        gaps.into_iter().map(|(from, to)| format!("{}–{}", local(from), local(to))).collect()
    }

    /// The civil time of a moment, `07:00`.
    pub(super) fn time(self, at: Moment) -> String {
        at.in_zone(self.zone).format("%H:%M").to_string()
    }
}

fn midnight(day: NaiveDate, zone: Tz) -> Moment {
    Moment::from_local(day.and_time(NaiveTime::MIN), zone)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{ShiftId, StaffId, civil_window};
    use songhe_kernel::FacilityId;

    fn shift(day: &str, from: &str, to: &str, duty: Job, zone: Tz) -> Shift {
        let (starts_at, ends_at) = civil_window(day.parse().unwrap(), from.parse().unwrap(), to.parse().unwrap(), zone);
        let (id, facility_id, staff_id) = (ShiftId(1), FacilityId(1), StaffId(1));
        Shift { id, facility_id, staff_id, duty, name: "班".to_owned(), starts_at, ends_at }
    }

    #[test]
    fn a_week_reads_back_its_name_also_at_the_turn_of_the_year() {
        let zone = chrono_tz::Asia::Shanghai;
        for (day, name) in [("2026-11-22", "2026-W47"), ("2027-01-01", "2026-W53"), ("2026-11-23", "2026-W48")] {
            let week = Week::of(day.parse().unwrap(), zone);
            assert_eq!(week.name(), name);
            assert_eq!(Week::parse(name, zone), Some(week));
            assert_eq!(week.after().before(), week);
        }
        assert_eq!(Week::parse("2026-W60", zone), None);
        assert_eq!(Week::parse("2026-48", zone), None);
    }

    #[test]
    fn uncovered_hours_are_told_by_day_and_a_manager_does_not_cover_them() {
        let zone = chrono_tz::Asia::Shanghai;
        let day: NaiveDate = "2026-11-23".parse().unwrap();
        let week = Week::of(day, zone);
        let shifts = [
            shift("2026-11-22", "22:00:00", "06:00:00", Job::Carer, zone),
            shift("2026-11-23", "07:00:00", "15:00:00", Job::Nurse, zone),
            shift("2026-11-23", "08:00:00", "20:00:00", Job::Carer, zone),
            shift("2026-11-23", "00:00:00", "00:00:00", Job::Manager, zone),
        ];
        assert_eq!(week.gaps(day, &shifts), ["06:00–07:00", "20:00–24:00"]);
        assert_eq!(week.gaps(week.day(1), &shifts), ["00:00–24:00"]);
    }

    #[test]
    fn a_day_of_25_hours_is_covered_by_three_shifts() {
        let zone = chrono_tz::America::New_York;
        let day: NaiveDate = "2026-11-01".parse().unwrap();
        let shifts = [
            shift("2026-11-01", "00:00:00", "08:00:00", Job::Carer, zone),
            shift("2026-11-01", "08:00:00", "16:00:00", Job::Carer, zone),
            shift("2026-11-01", "16:00:00", "00:00:00", Job::Carer, zone),
        ];
        assert_eq!(shifts[0].ends_at.seconds_since(shifts[0].starts_at), 9 * 3600);
        assert!(Week::of(day, zone).gaps(day, &shifts).is_empty());
    }
}
