//! A civil month, and the moment at which its figures are settled.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, Months, NaiveDate, NaiveTime};
use chrono_tz::Tz;
use songhe_kernel::Moment;

/// How long after its end a month still takes in answers, arrivals and closings, in hours. Then it is settled.
pub const SETTLED_AFTER_H: i64 = 72;

/// `2026-11`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(NaiveDate);

/// A month at one facility.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: Moment,
    /// The first moment after it.
    pub to: Moment,
    /// What happened up to here is counted.
    pub as_of: Moment,
    /// Nothing changes any more.
    pub settled: bool,
}

impl Month {
    pub fn of(day: NaiveDate) -> Self {
        Self(day.with_day(1).unwrap_or(day))
    }

    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add_months(Months::new(1)).unwrap_or(self.0))
    }

    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.checked_sub_months(Months::new(1)).unwrap_or(self.0))
    }

    /// From the first midnight of the zone to the next month's.
    pub fn span(self, zone: Tz, now: Moment) -> Span {
        let midnight = |day: NaiveDate| Moment::from_local(day.and_time(NaiveTime::MIN), zone);
        let (from, to) = (midnight(self.0), midnight(self.next().0));
        let settles = to.plus_seconds(SETTLED_AFTER_H * 3_600);
        Span { from, to, as_of: now.min(settles), settled: now >= settles }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m"))
    }
}

impl FromStr for Month {
    /// It is no month of these years.
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let day = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").map_err(drop)?;
        // Nothing was recorded before, and no zone knows the years far from ours.
        if text.len() == 7 && (2000..3000).contains(&day.year()) { Ok(Self(day)) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use songhe_kernel::time::DEFAULT_ZONE;

    #[test]
    fn a_month_turns_at_the_facilitys_midnight_and_settles_three_days_later() {
        let month: Month = "2026-11".parse().unwrap();
        let at = |text: &str| text.parse::<Moment>().unwrap();
        let span = month.span(DEFAULT_ZONE, at("2026-11-22T08:00:00Z"));
        assert_eq!((span.from, span.to), (at("2026-10-31T16:00:00Z"), at("2026-11-30T16:00:00Z")));
        assert_eq!((span.as_of, span.settled), (at("2026-11-22T08:00:00Z"), false));
        let later = month.span(DEFAULT_ZONE, at("2027-05-01T00:00:00Z"));
        assert_eq!((later.as_of, later.settled), (at("2026-12-03T16:00:00Z"), true));
        assert_eq!(
            month.span(chrono_tz::America::New_York, at("2026-11-22T08:00:00Z")).from,
            at("2026-11-01T04:00:00Z")
        );
    }

    #[test]
    fn months_are_read_as_they_are_written() {
        for text in ["2026-11", "2026-01", "2000-12"] {
            assert_eq!(text.parse::<Month>().unwrap().to_string(), text);
        }
        for text in ["2026", "2026-13", "2026-1-1", "", "x", "2026-11-01", "-0001-01", "0001-12", "+2026-11", "9999-01"]
        {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
        let december: Month = "2026-12".parse().unwrap();
        assert_eq!((december.next().to_string(), december.before().to_string()), ("2027-01".into(), "2026-11".into()));
    }
}
