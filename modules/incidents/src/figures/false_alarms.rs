//! How often devices call in vain: pure. Of the incidents that turned out to be real or a false alarm; tests and duplicates
//! say nothing, and what is still open is counted beside.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::facts::{Call, RuleRef};
use crate::model::{Kind, Outcome};

/// With fewer decided incidents than this a rate is no rate: the numbers are shown instead.
pub const ENOUGH: usize = 10;

/// What the rates are of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "FalseAlarmsBy")]
pub enum By {
    #[default]
    Kind,
    Device,
    /// Threshold rules.
    Rule,
}

impl By {
    pub const ALL: [Self; 3] = [Self::Kind, Self::Device, Self::Rule];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Device => "device",
            Self::Rule => "rule",
        }
    }
}

/// Of what a rate is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    Kind(Kind),
    Device(i64),
    Rule(RuleRef),
}

/// A rate with the numbers that it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    pub of: Of,
    /// Of devices: as the latest incident calls it.
    pub name: String,
    pub real: usize,
    pub false_alarms: usize,
    pub tests: usize,
    pub duplicates: usize,
    /// Not closed yet.
    pub undecided: usize,
}

impl Rate {
    /// Real or false alarm.
    pub fn decided(&self) -> usize {
        self.real + self.false_alarms
    }

    /// Thousandths, rounded; `None` with fewer than [`ENOUGH`] decided.
    pub fn per_mille(&self) -> Option<usize> {
        let decided = self.decided();
        (decided >= ENOUGH).then(|| (self.false_alarms * 1_000 + decided / 2) / decided)
    }
}

/// The rates of some incidents: those that can be told first, the highest first; then by how many were false alarms.
pub fn rates<'a>(calls: impl IntoIterator<Item = &'a Call>, by: By) -> Vec<Rate> {
    let mut all: BTreeMap<Of, Rate> = BTreeMap::new();
    for call in calls {
        let of = match by {
            By::Kind => Some(Of::Kind(call.kind)),
            By::Device => call.device.map(Of::Device),
            By::Rule => call.rule.clone().map(Of::Rule),
        };
        let Some(of) = of else { continue };
        let rate = all.entry(of.clone()).or_insert_with(|| Rate {
            of,
            name: String::new(),
            real: 0,
            false_alarms: 0,
            tests: 0,
            duplicates: 0,
            undecided: 0,
        });
        rate.name.clone_from(&call.device_name);
        let count = match call.outcome {
            Some(Outcome::Real) => &mut rate.real,
            Some(Outcome::FalseAlarm) => &mut rate.false_alarms,
            Some(Outcome::Test) => &mut rate.tests,
            Some(Outcome::Duplicate) => &mut rate.duplicates,
            None => &mut rate.undecided,
        };
        *count += 1;
    }
    let mut rates: Vec<Rate> = all.into_values().collect();
    rates.sort_by_key(|rate| std::cmp::Reverse((rate.per_mille(), rate.false_alarms, rate.decided())));
    rates
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::{IncidentId, Priority};
    use songhe_kernel::FacilityId;

    fn call(kind: Kind, device: i64, outcome: Option<Outcome>) -> Call {
        Call {
            id: IncidentId(1),
            facility: FacilityId(1),
            kind,
            priority: Priority::High,
            raised_at: "2026-11-10T08:00:00Z".parse().unwrap(),
            answer_s: None,
            on_site_s: None,
            close_s: None,
            outcome,
            delayed: false,
            nobody: false,
            undelivered: false,
            changed_later: false,
            shift: None,
            device: Some(device),
            device_name: format!("设备 {device}"),
            rule: (kind == Kind::Threshold).then(|| RuleRef { id: format!("rul_{device}"), name: "室温".into() }),
        }
    }

    fn some(kind: Kind, device: i64, outcomes: &[(Outcome, usize)]) -> Vec<Call> {
        let each = |(outcome, count): &(Outcome, usize)| vec![call(kind, device, Some(*outcome)); *count];
        outcomes.iter().flat_map(each).collect()
    }

    #[test]
    fn a_rate_is_of_what_was_decided_and_needs_enough_of_it() {
        for (real, vain, expected) in [
            (0, 0, None),
            (0, 2, None),
            (5, 4, None),
            (5, 5, Some(500)),
            (10, 0, Some(0)),
            (0, 10, Some(1_000)),
            (2, 1, None),
            (20, 10, Some(333)),
            (10, 20, Some(667)),
        ] {
            let calls = some(
                Kind::Fall,
                1,
                &[(Outcome::Real, real), (Outcome::FalseAlarm, vain), (Outcome::Test, 50), (Outcome::Duplicate, 50)],
            );
            let all = rates(&calls, By::Kind);
            assert_eq!(all[0].per_mille(), expected, "{real} {vain}");
            assert_eq!((all[0].decided(), all[0].tests, all[0].duplicates), (real + vain, 50, 50));
        }
    }

    #[test]
    fn rates_are_by_kind_by_device_or_by_rule_the_worst_first() {
        let mut calls = some(Kind::Sos, 1, &[(Outcome::Real, 12)]);
        calls.extend(some(Kind::Fall, 2, &[(Outcome::Real, 6), (Outcome::FalseAlarm, 6)]));
        calls.extend(some(Kind::Threshold, 3, &[(Outcome::FalseAlarm, 3)]));
        calls.push(call(Kind::Sos, 2, None));
        let of = |by| rates(&calls, by).into_iter().map(|rate| (rate.of, rate.undecided)).collect::<Vec<_>>();
        assert_eq!(of(By::Kind), [(Of::Kind(Kind::Fall), 0), (Of::Kind(Kind::Sos), 1), (Of::Kind(Kind::Threshold), 0)]);
        assert_eq!(of(By::Device), [(Of::Device(2), 1), (Of::Device(1), 0), (Of::Device(3), 0)]);
        let rule = RuleRef { id: "rul_3".into(), name: "室温".into() };
        assert_eq!(of(By::Rule), [(Of::Rule(rule), 0)], "what no rule raised has none");
    }
}
