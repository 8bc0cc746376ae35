//! Hours and days of a facility's zone, as moments.

use chrono::{Days, NaiveDate, NaiveTime, TimeDelta, Timelike};
use chrono_tz::Tz;
use songhe_kernel::Moment;

/// When the hour that a clock on the wall shows at a moment began.
pub(super) fn hour_of(at: Moment, zone: Tz) -> Moment {
    let local = at.in_zone(zone);
    let into = i64::from(local.minute()) * 60 + i64::from(local.second());
    at.plus(-TimeDelta::seconds(into) - TimeDelta::nanoseconds(i64::from(local.nanosecond())))
}

/// When a civil day begins. A day can have 23 or 25 hours.
pub(crate) fn start_of(day: NaiveDate, zone: Tz) -> Moment {
    Moment::from_local(day.and_time(NaiveTime::MIN), zone)
}

pub(super) fn day_of(at: Moment, zone: Tz) -> Moment {
    start_of(at.day_in(zone), zone)
}

/// When the day that began at a moment is over.
pub(super) fn day_after(start: Moment, zone: Tz) -> Moment {
    let day = start.day_in(zone);
    start_of(day.checked_add_days(Days::new(1)).unwrap_or(day), zone)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Moment {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_of_summer_time_has_23_or_25_hours() {
        let zone = chrono_tz::America::New_York;
        for (noon, hours) in [("2026-03-08T16:00:00Z", 23), ("2026-11-01T16:00:00Z", 25), ("2026-11-02T16:00:00Z", 24)]
        {
            let start = day_of(at(noon), zone);
            assert_eq!(day_after(start, zone).since(start).num_hours(), hours, "{noon}");
        }
    }

    #[test]
    fn hours_are_those_of_the_wall_clock_also_where_zones_differ_by_half_an_hour() {
        assert_eq!(hour_of(at("2026-11-22T08:59:59.999999Z"), chrono_tz::Asia::Shanghai), at("2026-11-22T08:00:00Z"));
        assert_eq!(hour_of(at("2026-11-22T08:10:00Z"), chrono_tz::Asia::Kolkata), at("2026-11-22T07:30:00Z"));
        // The hour that comes twice is two hours.
        let zone = chrono_tz::America::New_York;
        assert_eq!(hour_of(at("2026-11-01T05:30:00Z"), zone), at("2026-11-01T05:00:00Z"));
        assert_eq!(hour_of(at("2026-11-01T06:30:00Z"), zone), at("2026-11-01T06:00:00Z"));
    }
}
