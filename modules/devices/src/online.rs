//! Whether a device counts as on line: heard within the time that its class may be silent, and not signed off.

use chrono::TimeDelta;
use songhe_kernel::Moment;

use crate::observations::Health;

/// Classes that guard somebody report by themselves, within minutes.
pub(crate) const GUARDS: (&[&str], i64) = (&["3.1", "3.2"], 15 * 60);
/// Worn or standing devices report by the hour.
pub(crate) const REPORTERS: (&[&str], i64) = (&["1.1", "1.4", "5"], 2 * 3_600);
/// What is used now and then (a scale, a blood pressure monitor) says at least once a day that it is there.
pub(crate) const OCCASIONAL: (&[&str], i64) = (&["1.2", "1.3", "2", "4", "6"], 25 * 3_600);

/// How long a device of this class may be silent, in seconds. An unknown class is taken as strictly as a guard.
pub fn silence_allowed_s(class: &str) -> i64 {
    [REPORTERS, OCCASIONAL]
        .into_iter()
        .find(|(classes, _)| classes.contains(&class))
        .map_or(GUARDS.1, |(_, seconds)| seconds)
}

pub(crate) fn since(now: Moment, seconds: i64) -> Moment {
    now.plus(-TimeDelta::seconds(seconds))
}

pub fn is_online(class: &str, health: Option<&Health>, now: Moment) -> bool {
    health.is_some_and(|health| {
        health.online != Some(false) && health.last_seen_at >= since(now, silence_allowed_s(class))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::register::CLASSES;

    #[test]
    fn every_class_of_the_catalogue_has_its_window() {
        for class in CLASSES {
            let groups = [GUARDS, REPORTERS, OCCASIONAL].iter().filter(|(all, _)| all.contains(&class)).count();
            assert_eq!(groups, 1, "{class}");
        }
    }

    #[test]
    fn a_guard_is_off_line_sooner_than_a_scale_and_a_will_counts_at_once() {
        let now: Moment = "2026-11-22T10:00:00Z".parse().unwrap();
        let mut health = Health { device_id: 1, last_seen_at: now.plus_seconds(-3_600), online: None, firmware: None };
        assert!(!is_online("3.1", Some(&health), now));
        assert!(is_online("1.2", Some(&health), now));
        assert!(!is_online("1.2", None, now));
        health.online = Some(false);
        assert!(!is_online("1.2", Some(&health), now));
    }
}
