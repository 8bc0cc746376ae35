//! What a chart of one device and kind shows: at most about 500 points, whatever the range. Up to three days they come
//! from the readings themselves, one by one or by minutes; beyond that from the hours, and then from the days.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use chrono_tz::Tz;
use diesel::prelude::*;
use songhe_kernel::{Db, Moment, Result};

use super::rollups::{Sum, days, hours};
use super::zones::{day_after, day_of, hour_of};
use crate::register::DeviceId;
use crate::schema::observation;

/// Points of a series at most; hours may be a few more.
pub const MOST_POINTS: usize = 500;
/// Up to this range the readings themselves are read.
const READ_RAW: TimeDelta = TimeDelta::days(3);
/// … unless there are more of them than this.
const MOST_RAW: usize = 20_000;
/// Up to this range hours are shown: 504 of them.
const SHOW_HOURS: TimeDelta = TimeDelta::days(21);
/// Widths of a bucket of readings, in minutes.
const MINUTES: [i64; 7] = [1, 2, 5, 10, 15, 20, 30];

/// What a point stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Each stored row.
    Raw,
    /// Some minutes of them.
    Minutes,
    Hour,
    /// A civil day of the facility, or several.
    Day,
}

impl Resolution {
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Minutes => "minutes",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// What happened from `at` until `until` (of a raw point both are the moment of observation).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub at: Moment,
    pub until: Moment,
    pub sum: Sum,
}

impl Point {
    /// Average of the good readings, × 10⁶.
    pub fn avg_micro(&self) -> Option<i64> {
        // Between the least and the greatest, which are whole numbers of 64 bits.
        (self.sum.n > 0).then(|| (self.sum.sum_micro / self.sum.n as f64).round() as i64)
    }
}

/// A device's readings or events of one kind over a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub resolution: Resolution,
    /// Oldest first; where nothing arrived there is none.
    pub points: Vec<Point>,
}

impl Series {
    /// Of the whole range.
    pub fn total(&self) -> Sum {
        self.points.iter().fold(Sum::default(), |mut total, point| {
            total.join(&point.sum);
            total
        })
    }
}

/// Of [from, until); the first hour or day of a coarser resolution may have begun before `from`.
///
/// # Errors
/// When the database does not answer.
pub fn series(db: &mut Db, device: DeviceId, kind: &str, from: Moment, until: Moment, zone: Tz) -> Result<Series> {
    let range = until.since(from);
    if range <= READ_RAW
        && let Some(found) = from_rows(db, device, kind, from, until)?
    {
        return Ok(found);
    }
    if range <= SHOW_HOURS {
        let found = hours::load(db, device.0, kind, hour_of(from, zone), until)?;
        // Hours are not kept for as long as days.
        if !found.is_empty() {
            let point = |(at, sum): (Moment, Sum)| Point { at, until: at.plus(TimeDelta::hours(1)), sum };
            return Ok(Series { resolution: Resolution::Hour, points: found.into_iter().map(point).collect() });
        }
    }
    let found = days::load(db, device.0, kind, day_of(from, zone), until)?;
    let point = |(at, sum): (Moment, Sum)| Point { at, until: day_after(at, zone), sum };
    Ok(Series { resolution: Resolution::Day, points: thinned(found.into_iter().map(point).collect()) })
}

/// `None` when there are no rows (any more), or too many.
fn from_rows(db: &mut Db, device: DeviceId, kind: &str, from: Moment, until: Moment) -> Result<Option<Series>> {
    let limit = i64::try_from(MOST_RAW + 1).unwrap_or(i64::MAX);
    let rows: Vec<(Moment, Option<i64>, Option<bool>, String)> = observation::table
        .filter(observation::device_id.eq(device.0).and(observation::kind.eq(kind)))
        .filter(observation::observed_at.ge(from).and(observation::observed_at.lt(until)))
        .order((observation::observed_at.asc(), observation::seq.asc()))
        .select((observation::observed_at, observation::value_micro, observation::active, observation::quality))
        .limit(limit)
        .load(db)?;
    if rows.is_empty() || rows.len() > MOST_RAW {
        return Ok(None);
    }
    let is_few = rows.len() <= MOST_POINTS;
    let width = TimeDelta::milliseconds(width_ms(until.since(from)));
    let mut buckets: BTreeMap<Moment, Sum> = BTreeMap::new();
    let mut points = Vec::new();
    for (at, micro, active, quality) in rows {
        if is_few {
            let mut sum = Sum::default();
            sum.row(at, micro, active, &quality);
            points.push(Point { at, until: at, sum });
        } else {
            let into = at.unix_ms().rem_euclid(width.num_milliseconds());
            let start = Moment::from_unix_ms(at.unix_ms() - into).unwrap_or(at);
            buckets.entry(start).or_default().row(at, micro, active, &quality);
        }
    }
    if is_few {
        return Ok(Some(Series { resolution: Resolution::Raw, points }));
    }
    let points = buckets.into_iter().map(|(at, sum)| Point { at, until: at.plus(width), sum }).collect();
    Ok(Some(Series { resolution: Resolution::Minutes, points }))
}

/// The narrowest bucket of which no more than the allowed number cover the range.
fn width_ms(range: TimeDelta) -> i64 {
    let most = i64::try_from(MOST_POINTS).unwrap_or(i64::MAX);
    let fits = |minutes: &i64| range.num_milliseconds() / (minutes * 60_000) <= most;
    MINUTES.into_iter().find(fits).unwrap_or(60) * 60_000
}

/// Days that stand together for several, where there are too many.
fn thinned(points: Vec<Point>) -> Vec<Point> {
    let several = points.len().div_ceil(MOST_POINTS).max(1);
    let join = |points: &[Point]| {
        let (first, rest) = points.split_first()?;
        Some(rest.iter().fold(*first, |mut joined, point| {
            joined.until = point.until;
            joined.sum.join(&point.sum);
            joined
        }))
    };
    points.chunks(several).filter_map(join).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_range_has_more_points_than_a_chart_can_show() {
        for hours in 1..=72 {
            let range = TimeDelta::hours(hours);
            assert!(range.num_milliseconds() / width_ms(range) <= 500, "{hours} h");
        }
        assert_eq!(width_ms(TimeDelta::hours(24)), 5 * 60_000);
        let start: Moment = "2016-01-01T00:00:00Z".parse().unwrap();
        let day = |n| {
            let at = start.plus(TimeDelta::days(n));
            let mut sum = Sum::default();
            sum.reading(at, n * 1_000_000);
            Point { at, until: at.plus(TimeDelta::days(1)), sum }
        };
        let ten_years = thinned((0..3650).map(day).collect());
        assert!(ten_years.len() <= MOST_POINTS, "{}", ten_years.len());
        assert_eq!(ten_years.iter().map(|point| point.sum.n).sum::<i64>(), 3650);
        assert_eq!(ten_years[0].until, ten_years[1].at);
        assert_eq!((ten_years[0].sum.min_micro, ten_years[0].sum.max_micro), (Some(0), Some(7_000_000)));
    }
}
