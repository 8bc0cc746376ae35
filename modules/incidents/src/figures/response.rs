//! How soon calls were answered: pure. A figure and the list of what it counts ask the same question.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::{FacilityId, Moment};

use super::facts::{Call, FacilityMonth};
use super::target::Target;
use crate::model::{Kind, Outcome, Priority};

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ReportFigure")]
pub enum Figure {
    /// Every incident of the month, whatever became of it.
    #[default]
    Raised,
    /// Those that turned out to be a test.
    Tests,
    /// Those that tell of the same event as another.
    Duplicates,
    /// Those that came late: their times say nothing of how fast people were. No tests, no duplicates.
    Delayed,
    /// What is left: by these people are measured.
    Calls,
    /// Calls that somebody answered.
    Answered,
    WithinAnswer,
    /// Calls that were answered, or have waited longer than the time: those of which it can be said.
    JudgedAnswer,
    WithinLast,
    JudgedLast,
    /// Calls to which somebody came, as far as it was recorded.
    Arrived,
    WithinOnSite,
    /// Calls that were closed without anybody's arrival having been recorded.
    NoArrival,
    /// Calls that were closed.
    Closed,
    /// Calls that still wait for their closing.
    Open,
    /// Calls that nobody answered.
    Unanswered,
    /// Calls whose ladder reached nobody at some moment.
    Nobody,
    /// Calls of which a message could not be delivered.
    Undelivered,
    /// Incidents to which something happened after the month was settled: that is not counted.
    ChangedLater,
    /// Incidents that turned out to be real.
    Real,
    FalseAlarm,
    /// Real or false alarm.
    Decided,
    /// Not closed yet: nobody has said what it was.
    Undecided,
}

impl Figure {
    /// Whether it counts this incident.
    pub fn counts(self, call: &Call, target: &Target, as_of: Moment) -> bool {
        let aside = matches!(call.outcome, Some(Outcome::Test | Outcome::Duplicate));
        let is_call = !aside && !call.delayed;
        let waited = as_of.seconds_since(call.raised_at);
        let within = |seconds: Option<i64>, limit: i32| seconds.is_some_and(|s| s <= i64::from(limit));
        let judged = |limit: i32| call.answer_s.is_some() || waited > i64::from(limit);
        match self {
            Self::Raised => true,
            Self::Tests => call.outcome == Some(Outcome::Test),
            Self::Duplicates => call.outcome == Some(Outcome::Duplicate),
            Self::Delayed => !aside && call.delayed,
            Self::Calls => is_call,
            Self::Answered => is_call && call.answer_s.is_some(),
            Self::WithinAnswer => is_call && within(call.answer_s, target.answer_seconds),
            Self::JudgedAnswer => is_call && judged(target.answer_seconds),
            Self::WithinLast => is_call && within(call.answer_s, target.last_seconds),
            Self::JudgedLast => is_call && judged(target.last_seconds),
            Self::Arrived => is_call && call.on_site_s.is_some(),
            Self::WithinOnSite => is_call && within(call.on_site_s, target.on_site_seconds),
            Self::NoArrival => is_call && call.close_s.is_some() && call.on_site_s.is_none(),
            Self::Closed => is_call && call.close_s.is_some(),
            Self::Open => is_call && call.close_s.is_none(),
            Self::Unanswered => is_call && call.answer_s.is_none(),
            Self::Nobody => is_call && call.nobody,
            Self::Undelivered => is_call && call.undelivered,
            Self::ChangedLater => call.changed_later,
            Self::Real => call.outcome == Some(Outcome::Real),
            Self::FalseAlarm => call.outcome == Some(Outcome::FalseAlarm),
            Self::Decided => matches!(call.outcome, Some(Outcome::Real | Outcome::FalseAlarm)),
            Self::Undecided => call.outcome.is_none(),
        }
    }
}

/// Of how many it can be said, and of how many of them it is so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ReportShare")]
pub struct Share {
    pub met: usize,
    pub of: usize,
}

impl Share {
    /// Thousandths, rounded down, so that 1000 means all; `None` when nothing can be judged.
    pub fn per_mille(self) -> Option<usize> {
        (self.met * 1_000).checked_div(self.of)
    }
}

/// Seconds; each is the time of one of the calls (nearest rank), never between two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ReportTimes")]
pub struct Times {
    /// Over how many calls.
    pub count: usize,
    /// Half of them took no longer; `null`: there is none.
    pub median_s: Option<i64>,
    /// Nine of ten took no longer.
    pub p90_s: Option<i64>,
}

impl Times {
    pub fn of(mut seconds: Vec<i64>) -> Self {
        seconds.sort_unstable();
        // The smallest value that so many per cent do not exceed.
        let rank = |percent: usize| {
            let rank = (seconds.len() * percent).div_ceil(100);
            rank.checked_sub(1).and_then(|at| seconds.get(at)).copied()
        };
        Self { count: seconds.len(), median_s: rank(50), p90_s: rank(90) }
    }
}

/// The figures of a group of incidents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ResponseFigures")]
pub struct Figures {
    /// All incidents: `tests` + `duplicates` + `delayed` + `calls`.
    pub raised: usize,
    pub tests: usize,
    pub duplicates: usize,
    /// Calls that came late: their times are not counted.
    pub delayed: usize,
    pub calls: usize,
    /// From the call to the first answer.
    pub answer: Times,
    pub within_answer: Share,
    pub within_last: Share,
    /// From the call to the first arrival.
    pub arrival: Times,
    pub within_on_site: Share,
    /// Closed without a recorded arrival.
    pub no_arrival: usize,
    /// From the call to its closing.
    pub closing: Times,
    /// `calls` = closed + open.
    pub open: usize,
    /// Nobody answered.
    pub unanswered: usize,
    /// The ladder reached nobody.
    pub nobody: usize,
    /// A message could not be delivered.
    pub undelivered: usize,
    /// What happened after the month was settled is not counted.
    pub changed_later: usize,
}

/// A call with what it is judged by.
pub type Judged<'a> = (&'a Call, &'a Target, Moment);

impl Figures {
    pub fn of<'a>(calls: impl IntoIterator<Item = Judged<'a>>) -> Self {
        let calls: Vec<Judged<'a>> = calls.into_iter().collect();
        let which = |figure: Figure| calls.iter().filter(move |(call, target, at)| figure.counts(call, target, *at));
        let count = |figure: Figure| which(figure).count();
        let times = |figure: Figure, seconds: fn(&Call) -> Option<i64>| {
            Times::of(which(figure).filter_map(|(call, ..)| seconds(call)).collect())
        };
        let share = |met: Figure, of: Figure| Share { met: count(met), of: count(of) };
        Self {
            raised: count(Figure::Raised),
            tests: count(Figure::Tests),
            duplicates: count(Figure::Duplicates),
            delayed: count(Figure::Delayed),
            calls: count(Figure::Calls),
            answer: times(Figure::Answered, |call| call.answer_s),
            within_answer: share(Figure::WithinAnswer, Figure::JudgedAnswer),
            within_last: share(Figure::WithinLast, Figure::JudgedLast),
            arrival: times(Figure::Arrived, |call| call.on_site_s),
            within_on_site: share(Figure::WithinOnSite, Figure::Arrived),
            no_arrival: count(Figure::NoArrival),
            closing: times(Figure::Closed, |call| call.close_s),
            open: count(Figure::Open),
            unanswered: count(Figure::Unanswered),
            nobody: count(Figure::Nobody),
            undelivered: count(Figure::Undelivered),
            changed_later: count(Figure::ChangedLater),
        }
    }
}

/// Which incidents of a month a row of a report is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// High and medium alone: somebody is asked to come.
    pub urgent: bool,
    pub facility: Option<FacilityId>,
    pub kind: Option<Kind>,
    pub priority: Option<Priority>,
    /// `Some(None)`: nobody was on the roster.
    pub shift: Option<Option<String>>,
    pub device: Option<i64>,
    /// A rule's id, or its name where no id is known.
    pub rule: Option<String>,
}

impl Group {
    pub fn holds(&self, call: &Call) -> bool {
        let rule = |wanted: &String| {
            call.rule
                .as_ref()
                .is_some_and(|rule| if rule.id.is_empty() { rule.name == *wanted } else { rule.id == *wanted })
        };
        (!self.urgent || is_urgent(call))
            && self.facility.is_none_or(|id| id == call.facility)
            && self.kind.is_none_or(|kind| kind == call.kind)
            && self.priority.is_none_or(|priority| priority == call.priority)
            && self.shift.as_ref().is_none_or(|shift| *shift == call.shift)
            && self.device.is_none_or(|id| Some(id) == call.device)
            && self.rule.as_ref().is_none_or(rule)
    }
}

fn is_urgent(call: &Call) -> bool {
    matches!(call.priority, Priority::High | Priority::Medium)
}

/// A row of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub group: Group,
    pub figures: Figures,
}

/// The report of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// High and medium: somebody is asked to come.
    pub total: Line,
    /// By kind and priority, all priorities.
    pub by_kind: Vec<Line>,
    /// High and medium by the shift in which they were raised.
    pub by_shift: Vec<Line>,
    /// High and medium by facility.
    pub by_facility: Vec<Line>,
}

pub fn report(months: &[FacilityMonth]) -> Report {
    let all: Vec<Judged<'_>> = months
        .iter()
        .flat_map(|month| month.calls.iter().map(|call| (call, &month.target, month.span.as_of)))
        .collect();
    let urgent = Group { urgent: true, ..Group::default() };
    let lines = |group_of: &dyn Fn(&Call) -> Option<Group>| -> Vec<Line> {
        let mut groups: BTreeMap<Group, Vec<Judged<'_>>> = BTreeMap::new();
        for judged in &all {
            if let Some(group) = group_of(judged.0) {
                groups.entry(group).or_default().push(*judged);
            }
        }
        groups.into_iter().map(|(group, calls)| Line { group, figures: Figures::of(calls) }).collect()
    };
    let mut by_kind =
        lines(&|call| Some(Group { kind: Some(call.kind), priority: Some(call.priority), ..Group::default() }));
    by_kind.sort_by_key(|line| (line.group.priority, line.group.kind));
    let in_shift = |call: &Call| is_urgent(call).then(|| Group { shift: Some(call.shift.clone()), ..urgent.clone() });
    let at_facility = |call: &Call| is_urgent(call).then(|| Group { facility: Some(call.facility), ..urgent.clone() });
    Report {
        by_shift: lines(&in_shift),
        by_facility: if months.len() > 1 { lines(&at_facility) } else { Vec::new() },
        total: Line {
            figures: Figures::of(all.iter().copied().filter(|(call, ..)| is_urgent(call))),
            group: urgent.clone(),
        },
        by_kind,
    }
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
