//! Charts of the device page: one for each kind of reading, one strip for each kind of event, drawn on the server.
//!
//! A chart is an SVG that is stretched to its place, so it holds lines only; words and figures stand beside it as text.

use chrono::{Days, NaiveDate, TimeDelta};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Ctx, url};
use songhe_kernel::{Db, Moment, Result, Text};

use super::edit::say;
use crate::history::series::{Point, Resolution, Series, series};
use crate::observations::State;
use crate::register::DeviceId;
use crate::words;

/// Size of the drawing, in its own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 200.0;
/// Room above and below the line.
const MARGIN: f64 = 12.0;
/// Rows of the table beside a chart at most: points that are next to each other share one.
const TABLE_ROWS: usize = 60;
/// Up to so many points each has a dot.
const DOTS: usize = 60;
/// Averages and axes are rounded to tenths.
const TENTH_MICRO: i64 = 100_000;
/// The longest range of a page, in days.
const MOST_DAYS: i64 = 36_525;
/// Ranges by one press: name and days, today included.
const RANGES: [(&str, u64); 4] = [("day", 1), ("week", 7), ("month", 30), ("year", 365)];
const WEEK: u64 = 7;

/// What the address asks for; a day is a civil day of the facility.
#[derive(Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    range: String,
    from: String,
    until: String,
}

/// The days shown, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    first: NaiveDate,
    last: NaiveDate,
    zone: Tz,
}

impl Span {
    fn from(self) -> Moment {
        crate::history::start_of(self.first, self.zone)
    }

    fn until(self) -> Moment {
        crate::history::start_of(self.last.checked_add_days(Days::new(1)).unwrap_or(self.last), self.zone)
    }
}

/// The span asked for; with what is wrong with it, the last week.
pub(super) fn span_of(asked: &Asked, now: Moment, zone: Tz) -> (Span, Option<Text>) {
    let today = now.day_in(zone);
    let back = |days: u64| today.checked_sub_days(Days::new(days - 1)).unwrap_or(today);
    let fallback = Span { first: back(WEEK), last: today, zone };
    if asked.from.is_empty() && asked.until.is_empty() {
        let days = RANGES.iter().find(|(name, _)| *name == asked.range).map_or(WEEK, |(_, days)| *days);
        return (Span { first: back(days), last: today, zone }, None);
    }
    let (Ok(first), Ok(last)) = (asked.from.parse::<NaiveDate>(), asked.until.parse::<NaiveDate>()) else {
        return (fallback, Some(Text::key("devices-error-two-days")));
    };
    let days = last.signed_duration_since(first).num_days();
    if days < 0 {
        return (fallback, Some(Text::key("devices-error-days-order")));
    }
    if days > MOST_DAYS {
        return (fallback, Some(Text::key("devices-error-range-long").arg("days", MOST_DAYS)));
    }
    (Span { first, last, zone }, None)
}

/// What one look at the database gives: a series for each kind that the device has told.
pub(super) fn load(db: &mut Db, device: DeviceId, states: &[State], span: Span) -> Result<Vec<(String, Series)>> {
    let (from, until) = (span.from(), span.until());
    states
        .iter()
        .map(|state| Ok((state.kind.clone(), series(db, device, &state.kind, from, until, span.zone)?)))
        .collect()
}

#[derive(Serialize)]
pub(super) struct Model {
    ranges: Vec<RangeModel>,
    from: NaiveDate,
    until: NaiveDate,
    error: Option<String>,
    readings: Vec<Chart>,
    events: Vec<Chart>,
}

impl Model {
    pub(super) fn is_refused(&self) -> bool {
        self.error.is_some()
    }
}

#[derive(Serialize)]
struct RangeModel {
    name: &'static str,
    url: String,
    current: bool,
}

#[derive(Serialize)]
struct Chart {
    kind: String,
    /// Whole Fluent key of what it shows.
    name_key: String,
    /// What the figures say, in words.
    finding: String,
    resolution: &'static str,
    /// SVG paths; empty ones are left out.
    band: String,
    line: String,
    dots: String,
    grid: String,
    top: String,
    bottom: String,
    /// At equal distances from the left edge to the right one.
    times: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    at: Moment,
    until: Option<Moment>,
    count: i64,
    other: i64,
    avg: String,
    min: String,
    max: String,
}

pub(super) fn model(
    ctx: &Ctx,
    device: DeviceId,
    span: Span,
    error: Option<Text>,
    asked: &Asked,
    all: Vec<(String, Series)>,
) -> Model {
    let path = format!("/devices/{device}");
    let custom = !asked.from.is_empty() || !asked.until.is_empty();
    let chosen = RANGES.iter().find(|(name, _)| *name == asked.range).map_or("week", |(name, _)| *name);
    let ranges = RANGES
        .iter()
        .map(|(name, _)| RangeModel {
            name,
            url: format!("{}#charts", url(&path, &[("range", name)])),
            current: !custom && *name == chosen,
        })
        .collect();
    let (mut readings, mut events) = (Vec::new(), Vec::new());
    for (kind, series) in all {
        if series.points.is_empty() {
            continue;
        }
        if words::is_measure(&kind) {
            readings.push(reading(ctx, kind, &series, span));
        } else {
            events.extend(event(ctx, kind, &series, span));
        }
    }
    // What tells of the device rather than of a person or room comes last.
    readings.sort_by_key(|chart: &Chart| {
        ["battery_percent", "battery_voltage", "link_quality", "signal_dbm"].contains(&chart.kind.as_str())
    });
    let error = error.map(|error| ctx.say(&error));
    Model { ranges, from: span.first, until: span.last, error, readings, events }
}

fn tenths(micro: i64) -> String {
    let half = if micro < 0 { -TENTH_MICRO / 2 } else { TENTH_MICRO / 2 };
    words::decimal(micro.saturating_add(half) / TENTH_MICRO * TENTH_MICRO)
}

fn reading(ctx: &Ctx, kind: String, series: &Series, span: Span) -> Chart {
    let total = Point { at: span.from(), until: span.until(), sum: series.total() };
    let unit = say(ctx, words::unit_of(&kind).and_then(words::unit_key));
    let finding = match (total.avg_micro(), total.sum.min_micro, total.sum.max_micro) {
        (Some(avg), Some(min), Some(max)) => ctx.say(
            &Text::key("devices-chart-finding")
                .arg("avg", tenths(avg))
                .arg("min", words::decimal(min))
                .arg("max", words::decimal(max))
                .arg("unit", unit),
        ),
        _ => ctx.say(&Text::key("devices-chart-no-good")),
    };
    let (low, high) = (total.sum.min_micro.unwrap_or_default(), total.sum.max_micro.unwrap_or_default());
    let shape = Shape::of(&series.points, span, (low, high));
    Chart {
        name_key: format!("devices-measure-{kind}"),
        kind,
        finding,
        resolution: series.resolution.name(),
        band: if series.resolution == Resolution::Raw { String::new() } else { shape.band() },
        line: shape.line(),
        dots: shape.dots(),
        grid: grid(span),
        top: tenths(high),
        bottom: tenths(low),
        times: times(span),
        rows: table(&series.points, |point| point.sum.n),
    }
}

/// A kind of event; `None` when nothing began in the range.
fn event(ctx: &Ctx, kind: String, series: &Series, span: Span) -> Option<Chart> {
    let total = series.total().events;
    let most = series.points.iter().map(|point| point.sum.events).max().filter(|most| *most > 0)?;
    let across = Across::of(span);
    let bars = series.points.iter().filter(|point| point.sum.events > 0).map(|point| {
        let height = (HEIGHT - MARGIN) * point.sum.events as f64 / most as f64;
        format!("M{:.1} {HEIGHT}V{:.1}", across.x(middle(point)), HEIGHT - height)
    });
    let began: Vec<Point> = series.points.iter().filter(|point| point.sum.events > 0).copied().collect();
    Some(Chart {
        name_key: words::event_key(&kind)?.to_owned(),
        kind,
        finding: ctx.say(&Text::key("devices-chart-events").arg("n", total)),
        resolution: series.resolution.name(),
        band: String::new(),
        line: bars.collect(),
        dots: String::new(),
        grid: grid(span),
        top: if series.resolution == Resolution::Raw { String::new() } else { most.to_string() },
        bottom: String::new(),
        times: times(span),
        rows: table(&began, |point| point.sum.events),
    })
}

/// Newest first, as the list of observations.
fn table(points: &[Point], count: impl Fn(&Point) -> i64) -> Vec<Row> {
    let several = points.len().div_ceil(TABLE_ROWS).max(1);
    let row = |points: &[Point]| {
        let (first, rest) = points.split_first()?;
        let joined = rest.iter().fold(*first, |mut joined, point| {
            joined.until = point.until;
            joined.sum.join(&point.sum);
            joined
        });
        let decimal = |micro: Option<i64>| micro.map(words::decimal).unwrap_or_default();
        Some(Row {
            at: joined.at,
            until: (joined.until > joined.at).then_some(joined.until),
            count: count(&joined),
            other: joined.sum.other,
            avg: joined.avg_micro().map(tenths).unwrap_or_default(),
            min: decimal(joined.sum.min_micro),
            max: decimal(joined.sum.max_micro),
        })
    };
    points.chunks(several).rev().filter_map(row).collect()
}

fn middle(point: &Point) -> Moment {
    point.at.plus(point.until.since(point.at) / 2)
}

/// Time from left to right.
#[derive(Clone, Copy)]
struct Across {
    from: Moment,
    range_ms: f64,
}

impl Across {
    fn of(span: Span) -> Self {
        let (from, until) = (span.from(), span.until());
        Self { from, range_ms: (until.since(from).num_milliseconds().max(1)) as f64 }
    }

    fn x(self, at: Moment) -> f64 {
        (at.since(self.from).num_milliseconds() as f64 / self.range_ms * WIDTH).clamp(0.0, WIDTH)
    }
}

/// Places of points in the drawing.
struct Shape {
    /// x; y of the average, the greatest and the least; whether it hangs together with the one before.
    places: Vec<(f64, f64, f64, f64, bool)>,
}

impl Shape {
    fn of(points: &[Point], span: Span, (low, high): (i64, i64)) -> Self {
        let across = Across::of(span);
        // In floating point: the difference of two extreme values has no room in 64 bits.
        let (low, range) = (low as f64, (high as f64 - low as f64).max(1.0));
        let flat = high as f64 <= low;
        let y = |micro: i64| {
            let share = if flat { 0.5 } else { (micro as f64 - low) / range };
            HEIGHT - MARGIN - share * (HEIGHT - 2.0 * MARGIN)
        };
        let gap = span.until().since(span.from()) / 24;
        let mut before: Option<Point> = None;
        let mut places = Vec::new();
        for point in points {
            let (Some(avg), Some(min), Some(max)) = (point.avg_micro(), point.sum.min_micro, point.sum.max_micro)
            else {
                continue;
            };
            let wide = point.until.since(point.at) * 2;
            let together = before.is_some_and(|before| point.at.since(before.until) <= gap.max(wide));
            places.push((across.x(middle(point)), y(avg), y(max), y(min), together));
            before = Some(*point);
        }
        Self { places }
    }

    fn line(&self) -> String {
        self.places
            .iter()
            .map(|(x, y, .., together)| format!("{}{x:.1} {y:.1}", if *together { 'L' } else { 'M' }))
            .collect()
    }

    /// Dots of zero length, which a round line cap shows: where points are few, and where one stands alone.
    fn dots(&self) -> String {
        let few = self.places.len() <= DOTS;
        let next_together = self.places.iter().skip(1).map(|place| place.4).chain([false]);
        self.places
            .iter()
            .zip(next_together)
            .filter(|(place, next)| few || (!place.4 && !next))
            .map(|((x, y, ..), _)| format!("M{x:.1} {y:.1}h0"))
            .collect()
    }

    /// From the greatest to the least, for each stretch that hangs together.
    fn band(&self) -> String {
        let mut path = String::new();
        let mut start = 0;
        while start < self.places.len() {
            let rest = self.places.iter().skip(start + 1).take_while(|place| place.4).count();
            let stretch = self.places.get(start..=start + rest).unwrap_or_default();
            if stretch.len() > 1 {
                let above = stretch.iter().map(|(x, _, top, ..)| format!("{x:.1} {top:.1}"));
                let below = stretch.iter().rev().map(|(x, _, _, bottom, _)| format!("{x:.1} {bottom:.1}"));
                path.push_str(&format!("M{}Z", above.chain(below).collect::<Vec<_>>().join("L")));
            }
            start += rest + 1;
        }
        path
    }
}

/// Into how many parts the time is divided.
fn parts(span: Span) -> i32 {
    match span.last.signed_duration_since(span.first).num_days() + 1 {
        1 => 4,
        days @ 2..=7 => i32::try_from(days).unwrap_or(4),
        _ => 5,
    }
}

fn grid(span: Span) -> String {
    let parts = parts(span);
    let upright = (1..parts).map(|n| format!("M{:.1} 0V{HEIGHT}", WIDTH * f64::from(n) / f64::from(parts)));
    let level = [MARGIN, HEIGHT / 2.0, HEIGHT - MARGIN].map(|y| format!("M0 {y}H{WIDTH}"));
    upright.chain(level).collect()
}

fn times(span: Span) -> Vec<String> {
    let (from, until, parts) = (span.from(), span.until(), parts(span));
    let days = until.since(from).num_days();
    let format = match days {
        0..=1 => "%H:%M",
        2..=120 => "%m-%d",
        _ => "%Y-%m-%d",
    };
    (0..=parts)
        .map(|n| {
            let into = TimeDelta::milliseconds(until.since(from).num_milliseconds() / i64::from(parts) * i64::from(n));
            let text = from.plus(into).in_zone(span.zone).format(format).to_string();
            // The end of a day is not the beginning of the same.
            if days <= 1 && n == parts { "24:00".to_owned() } else { text }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::history::rollups::Sum;

    fn asked(range: &str, from: &str, until: &str) -> Asked {
        Asked { range: range.into(), from: from.into(), until: until.into() }
    }

    fn now() -> Moment {
        "2026-11-22T17:00:00Z".parse().unwrap()
    }

    const ZONE: Tz = chrono_tz::Asia::Shanghai;

    #[test]
    fn a_range_ends_with_today_and_days_are_the_facilitys() {
        let days = |asked: &Asked| {
            let (span, error) = span_of(asked, now(), ZONE);
            (span.first.to_string(), span.last.to_string(), error.map(|error| error.key))
        };
        let today = "2026-11-23".to_owned();
        assert_eq!(days(&asked("", "", "")), ("2026-11-17".into(), today.clone(), None));
        assert_eq!(days(&asked("day", "", "")), (today.clone(), today.clone(), None));
        assert_eq!(days(&asked("year", "", "")), ("2025-11-24".into(), today.clone(), None));
        let chosen = asked("day", "2026-01-01", "2026-01-31");
        assert_eq!(days(&chosen), ("2026-01-01".into(), "2026-01-31".into(), None));
        for (from, until, told) in [
            ("2026-01-01", "", "devices-error-two-days"),
            ("1.1.2026", "2026-01-31", "devices-error-two-days"),
            ("2026-01-31", "2026-01-01", "devices-error-days-order"),
            ("1800-01-01", "2026-01-01", "devices-error-range-long"),
        ] {
            assert_eq!(days(&asked("", from, until)), ("2026-11-17".into(), today.clone(), Some(told)), "{from}");
        }
        let (span, _) = span_of(&asked("day", "", ""), now(), ZONE);
        assert_eq!(
            (span.from().to_string(), span.until().to_string()),
            ("2026-11-22T16:00:00Z".into(), "2026-11-23T16:00:00Z".into())
        );
        assert_eq!(times(span), ["00:00", "06:00", "12:00", "18:00", "24:00"]);
    }

    #[test]
    fn a_line_breaks_where_nothing_was_told_and_a_lone_point_is_a_dot() {
        let (span, _) = span_of(&asked("day", "", ""), now(), ZONE);
        let point = |minutes: i64, micro: i64| {
            let at = span.from().plus(TimeDelta::minutes(minutes));
            let mut sum = Sum::default();
            sum.reading(at, micro);
            Point { at, until: at, sum }
        };
        let shape = Shape::of(&[point(0, 0), point(30, 10), point(720, 5)], span, (0, 10));
        assert_eq!(shape.line(), "M0.0 188.0L20.8 12.0M500.0 100.0");
        assert_eq!(shape.dots(), "M0.0 188.0h0M20.8 12.0h0M500.0 100.0h0");
        assert_eq!(shape.band(), "M0.0 188.0L20.8 12.0L20.8 12.0L0.0 188.0Z");
        let extreme = Shape::of(&[point(0, i64::MIN), point(30, i64::MAX)], span, (i64::MIN, i64::MAX));
        assert_eq!(extreme.line(), "M0.0 188.0L20.8 12.0");
        let flat = Shape::of(&[point(0, 7)], span, (7, 7));
        assert_eq!(flat.line(), "M0.0 100.0");
    }

    #[test]
    fn figures_are_rounded_to_tenths() {
        for (micro, text) in [(72_349_999, "72.3"), (72_350_000, "72.4"), (-550_000, "-0.6"), (36_600_000, "36.6")] {
            assert_eq!(tenths(micro), text);
        }
    }
}
