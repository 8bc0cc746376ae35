//! `[retention]`: for how long what devices tell is kept.

use serde::{Deserialize, Serialize};

use super::{Result, wrong};

/// What somebody may want to look at again, and what nobody outlives.
const RETENTION_DAYS: std::ops::RangeInclusive<i64> = 35..=36_525;

/// For how long what devices tell is kept, in days.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Values that are told again and again.
    pub readings_days: i64,
    /// Doors, beds, presence, batteries, tests.
    pub events_days: i64,
    /// Calls, falls, smoke, gas, water.
    pub emergencies_days: i64,
    /// Hourly roll-ups.
    pub hourly_days: i64,
    /// Daily roll-ups.
    pub daily_days: i64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { readings_days: 400, events_days: 1_100, emergencies_days: 3_660, hourly_days: 1_100, daily_days: 3_660 }
    }
}

impl Retention {
    pub(super) fn check(&self) -> Result<()> {
        let all = [
            ("readings_days", self.readings_days),
            ("events_days", self.events_days),
            ("emergencies_days", self.emergencies_days),
            ("hourly_days", self.hourly_days),
            ("daily_days", self.daily_days),
        ];
        if let Some((key, days)) = all.into_iter().find(|(_, days)| !RETENTION_DAYS.contains(days)) {
            return wrong(format!(
                "retention.{key} is {days}: give days, from {} to {} (a hundred years).",
                RETENTION_DAYS.start(),
                RETENTION_DAYS.end()
            ));
        }
        if self.hourly_days < self.readings_days || self.daily_days < self.hourly_days {
            return wrong(
                "retention: hourly_days must not be below readings_days, nor daily_days below hourly_days; charts go \
                 from readings to hours to days.",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::config::{Config, ConfigError};

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, std::iter::empty())
    }

    #[test]
    fn a_retention_that_would_throw_away_too_soon_is_refused() {
        assert!(parse("[retention]\nreadings_days = 35").is_ok());
        for (text, told) in [
            ("emergencies_days = 0", "retention.emergencies_days"),
            ("events_days = 40000", "36525"),
            ("readings_days = 2000", "hourly_days"),
        ] {
            let sentence = parse(&format!("[retention]\n{text}")).unwrap_err().0;
            assert!(sentence.contains(told), "{sentence}");
        }
    }
}
