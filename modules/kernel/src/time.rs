//! Time: moments in UTC, the clock everybody is handed, and the facility's civil day.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, NaiveDateTime, SubsecRound, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The zone of a facility that names none.
pub const DEFAULT_ZONE: Tz = chrono_tz::Asia::Shanghai;

/// A point in time, UTC, to the microsecond (what both databases keep).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, diesel::deserialize::FromSqlRow)]
#[diesel(sql_type = Timestamp)]
pub struct Moment(NaiveDateTime);

impl Moment {
    pub fn from_utc(at: DateTime<Utc>) -> Self {
        Self(at.naive_utc().trunc_subsecs(6))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_ms(self) -> i64 {
        self.0.and_utc().timestamp_millis()
    }

    /// `None` outside the years that chrono can express.
    pub fn from_unix_ms(ms: i64) -> Option<Self> {
        DateTime::from_timestamp_millis(ms).map(Self::from_utc)
    }

    pub fn utc(self) -> DateTime<Utc> {
        self.0.and_utc()
    }

    pub fn in_zone(self, zone: Tz) -> DateTime<Tz> {
        zone.from_utc_datetime(&self.0)
    }

    /// The civil day in a facility's zone.
    pub fn day_in(self, zone: Tz) -> NaiveDate {
        self.in_zone(zone).date_naive()
    }

    /// The moment at which a civil time begins in a zone. A time that the zone skips (spring forward) is moved to the
    /// first one after the gap; one that occurs twice is the earlier.
    pub fn from_local(local: NaiveDateTime, zone: Tz) -> Self {
        let mut probe = local;
        for _ in 0..8 {
            if let Some(found) = zone.from_local_datetime(&probe).earliest() {
                return Self::from_utc(found.with_timezone(&Utc));
            }
            probe += TimeDelta::minutes(30);
        }
        Self(local)
    }

    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        self.plus(TimeDelta::seconds(seconds))
    }

    #[must_use]
    pub fn plus(self, delta: TimeDelta) -> Self {
        Self(self.0.checked_add_signed(delta).unwrap_or(self.0))
    }

    /// `self - earlier`; negative when `earlier` is later.
    pub fn since(self, earlier: Self) -> TimeDelta {
        self.0 - earlier.0
    }

    /// Whole seconds from `earlier` to `self`, rounded towards zero.
    pub fn seconds_since(self, earlier: Self) -> i64 {
        self.since(earlier).num_seconds()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%dT%H:%M:%S%.fZ"))
    }
}

impl FromStr for Moment {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text).map(|at| Self::from_utc(at.with_timezone(&Utc)))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = "a time like 2026-11-22T08:00:00Z";
        text.parse().map_err(|_| serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &expected))
    }
}

impl schemars::JsonSchema for Moment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time", "description": "RFC 3339, UTC" })
    }
}

impl<DB: Backend> FromSql<Timestamp, DB> for Moment
where
    NaiveDateTime: FromSql<Timestamp, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        NaiveDateTime::from_sql(bytes).map(Self)
    }
}

impl<DB: Backend> ToSql<Timestamp, DB> for Moment
where
    NaiveDateTime: ToSql<Timestamp, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.0.to_sql(out)
    }
}

/// Where time comes from. Two readings, since a wall clock can be stepped by an administrator or by NTP.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Moment;
    /// Time since some fixed point of this process; never steps.
    fn mono(&self) -> Duration;
}

pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment::from_utc(Utc::now())
    }

    fn mono(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock for tests: stands still until moved.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<(Moment, Duration)>,
}

impl ManualClock {
    pub fn at(now: Moment) -> Self {
        Self { state: Mutex::new((now, Duration::ZERO)) }
    }

    /// Time passes: both readings move.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state.lock();
        state.0 = state.0.plus(TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX));
        state.1 += by;
    }

    /// The wall clock is set, no time passes: an administrator, NTP, a dead battery.
    pub fn step(&self, by: TimeDelta) {
        let mut state = self.state.lock();
        state.0 = state.0.plus(by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        self.state.lock().0
    }

    fn mono(&self) -> Duration {
        self.state.lock().1
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_civil_time_that_the_zone_skips_moves_past_the_gap() {
        let zone = chrono_tz::America::New_York;
        let skipped = NaiveDate::from_ymd_opt(2026, 3, 8).unwrap().and_hms_opt(2, 30, 0).unwrap();
        assert_eq!(Moment::from_local(skipped, zone).to_string(), "2026-03-08T07:00:00Z");
    }

    #[test]
    fn the_business_day_turns_at_the_facilitys_midnight() {
        let late: Moment = "2026-11-22T16:30:00Z".parse().unwrap();
        assert_eq!(late.day_in(DEFAULT_ZONE), NaiveDate::from_ymd_opt(2026, 11, 23).unwrap());
    }

    #[test]
    fn a_moment_reads_back_what_it_wrote() {
        for text in ["2026-11-22T16:30:00Z", "2026-11-22T16:30:00.000001Z", "2026-11-22T16:30:00.250Z"] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.to_string().parse::<Moment>().unwrap(), moment);
        }
    }
}
