//! Whether a device counts as on line: heard within the time that it may be silent, and not signed off.

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::Moment;

use crate::observations::Health;

/// How often a device is expected to be heard. Each facility sets the limit of each class for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Heartbeat {
    /// It guards somebody and reports by itself, within minutes: a smoke detector, a call button.
    Guard,
    /// Worn or standing: by the hour.
    Regular,
    /// Used now and then, or a contact that sleeps: at least once a day.
    Daily,
}

impl Heartbeat {
    pub const ALL: [Self; 3] = [Self::Guard, Self::Regular, Self::Daily];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Regular => "regular",
            Self::Daily => "daily",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    /// How long it may be silent where nobody set another limit, in seconds.
    pub const fn usual_silence_s(self) -> i32 {
        match self {
            Self::Guard => 15 * 60,
            Self::Regular => 2 * 3_600,
            Self::Daily => 25 * 3_600,
        }
    }

    /// That of a catalogue class. An unknown class is taken as strictly as a guard.
    pub fn of_class(class: &str) -> Self {
        match class {
            "1.1" | "1.4" | "5" => Self::Regular,
            "1.2" | "1.3" | "2" | "4" | "6" => Self::Daily,
            _ => Self::Guard,
        }
    }

    pub const fn text_key(self) -> &'static str {
        match self {
            Self::Guard => "devices-heartbeat-guard",
            Self::Regular => "devices-heartbeat-regular",
            Self::Daily => "devices-heartbeat-daily",
        }
    }
}

pub(crate) fn since(now: Moment, seconds: i64) -> Moment {
    now.plus(-TimeDelta::seconds(seconds))
}

/// `silence_s`: how long the device may be silent, in seconds.
pub fn is_online(silence_s: i32, health: Option<&Health>, now: Moment) -> bool {
    health.is_some_and(|health| health.online != Some(false) && health.last_seen_at >= since(now, i64::from(silence_s)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_guard_is_off_line_sooner_than_a_scale_and_a_will_counts_at_once() {
        let now: Moment = "2026-11-22T10:00:00Z".parse().unwrap();
        let limit = |class| Heartbeat::of_class(class).usual_silence_s();
        let mut health = Health { device_id: 1, last_seen_at: now.plus_seconds(-3_600), online: None, firmware: None };
        assert!(!is_online(limit("3.1"), Some(&health), now));
        assert!(is_online(limit("1.2"), Some(&health), now));
        assert!(!is_online(limit("1.2"), None, now));
        assert!(!is_online(limit("no such class"), Some(&health), now));
        health.online = Some(false);
        assert!(!is_online(limit("1.2"), Some(&health), now));
    }
}
