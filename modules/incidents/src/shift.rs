//! How fast calls are answered: for a shift, a month, a facility.
//!
//! Published targets (domain/care.md): 97.5 % answered within 60 s, 99 % within 180 s.

use std::collections::BTreeMap;

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;
use songhe_kernel::identity::Scope;
use songhe_kernel::{Db, FacilityId, Moment, Result};

use crate::model::{Outcome, Priority};
use crate::schema::incident;

/// Answer times at one facility, or over several.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Metrics {
    /// `null`: all facilities asked for.
    pub facility_id: Option<FacilityId>,
    /// Incidents closed in the period.
    pub resolved: usize,
    /// Of these, false alarms.
    pub false_alarms: usize,
    /// Calls (high and medium priority) raised in the period.
    pub raised: usize,
    /// Of these, answered by now.
    pub answered: usize,
    /// Seconds from the call to the answer, over the answered ones.
    pub mean_response_s: Option<i64>,
    pub median_response_s: Option<i64>,
    /// Share of the answered calls, 0 to 1.
    pub within_60_s: Option<f64>,
    pub within_180_s: Option<f64>,
    /// Seconds from the call to somebody's arrival, where it is known.
    pub mean_on_site_s: Option<i64>,
}

/// What the figures are made from.
#[derive(Debug, Clone)]
struct Fact {
    facility: FacilityId,
    raised_in_period: bool,
    /// High or medium: somebody is asked to come.
    is_call: bool,
    closed_in_period: Option<Outcome>,
    response_s: Option<i64>,
    on_site_s: Option<i64>,
}

type Columns = (FacilityId, String, Moment, Option<Moment>, Option<Moment>, Option<Moment>, Option<String>);

/// The figures of a period, `from` up to but without `to`: over all facilities of the scope, and of each.
pub fn metrics(db: &mut Db, scope: &Scope, from: Moment, to: Moment) -> Result<(Metrics, Vec<Metrics>)> {
    let raised = incident::raised_at.ge(from).and(incident::raised_at.lt(to));
    let closed = incident::resolved_at.ge(from).and(incident::resolved_at.lt(to));
    let mut query = incident::table
        .filter(raised.or(closed))
        .select((
            incident::facility_id,
            incident::priority,
            incident::raised_at,
            incident::acknowledged_at,
            incident::arrived_at,
            incident::resolved_at,
            incident::outcome,
        ))
        .into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(incident::facility_id.eq_any(ids.to_vec()));
    }
    let rows: Vec<Columns> = query.load(db)?;
    let within = |at: Moment| from <= at && at < to;
    let facts: Vec<Fact> = rows
        .into_iter()
        .map(|(facility, priority, raised_at, acknowledged_at, arrived_at, resolved_at, outcome)| {
            let priority: Priority = priority.parse()?;
            let closed = resolved_at.is_some_and(within);
            Ok(Fact {
                facility,
                raised_in_period: within(raised_at),
                is_call: matches!(priority, Priority::High | Priority::Medium),
                closed_in_period: outcome.filter(|_| closed).map(|word| word.parse()).transpose()?,
                response_s: acknowledged_at.map(|at| at.seconds_since(raised_at).max(0)),
                on_site_s: arrived_at.map(|at| at.seconds_since(raised_at).max(0)),
            })
        })
        .collect::<Result<_>>()?;
    let mut by_facility: BTreeMap<FacilityId, Vec<Fact>> = BTreeMap::new();
    for fact in &facts {
        by_facility.entry(fact.facility).or_default().push(fact.clone());
    }
    let each = by_facility.iter().map(|(facility, facts)| figures(Some(*facility), facts)).collect();
    Ok((figures(None, &facts), each))
}

fn figures(facility_id: Option<FacilityId>, facts: &[Fact]) -> Metrics {
    let calls: Vec<&Fact> = facts.iter().filter(|fact| fact.raised_in_period && fact.is_call).collect();
    let mut responses: Vec<i64> = calls.iter().filter_map(|fact| fact.response_s).collect();
    responses.sort_unstable();
    let arrivals: Vec<i64> = calls.iter().filter_map(|fact| fact.on_site_s).collect();
    let outcomes: Vec<Outcome> = facts.iter().filter_map(|fact| fact.closed_in_period).collect();
    Metrics {
        facility_id,
        resolved: outcomes.len(),
        false_alarms: outcomes.iter().filter(|outcome| **outcome == Outcome::FalseAlarm).count(),
        raised: calls.len(),
        answered: responses.len(),
        mean_response_s: mean(&responses),
        median_response_s: median(&responses),
        within_60_s: share(&responses, 60),
        within_180_s: share(&responses, 180),
        mean_on_site_s: mean(&arrivals),
    }
}

/// Rounded to whole seconds.
fn mean(values: &[i64]) -> Option<i64> {
    let count = i64::try_from(values.len()).ok().filter(|count| *count > 0)?;
    Some((values.iter().sum::<i64>() + count / 2) / count)
}

/// Of sorted values; of an even number the mean of the middle two.
fn median(sorted: &[i64]) -> Option<i64> {
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(*upper);
    }
    let lower = middle.checked_sub(1).and_then(|at| sorted.get(at))?;
    Some((lower + upper + 1) / 2)
}

fn share(values: &[i64], limit_s: i64) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let within = values.iter().filter(|value| **value <= limit_s).count();
    Some(within as f64 / values.len() as f64)
}

/// `0.975` as `97.5%`, `1.0` as `100%`. Never rounded up to 100.
pub(crate) fn percent(share: f64) -> String {
    let tenths = (share * 1_000.0).floor();
    let text = format!("{:.1}", tenths / 10.0);
    format!("{}%", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(response_s: Option<i64>, closed: Option<Outcome>) -> Fact {
        Fact {
            facility: FacilityId(1),
            raised_in_period: true,
            is_call: true,
            closed_in_period: closed,
            response_s,
            on_site_s: response_s.map(|s| s + 60),
        }
    }

    #[test]
    fn the_figures_of_a_shift() {
        let facts = [
            call(Some(10), Some(Outcome::Real)),
            call(Some(60), Some(Outcome::FalseAlarm)),
            call(Some(61), None),
            call(Some(200), None),
            call(None, None),
        ];
        let figures = figures(None, &facts);
        assert_eq!((figures.resolved, figures.false_alarms, figures.raised, figures.answered), (2, 1, 5, 4));
        assert_eq!((figures.mean_response_s, figures.median_response_s), (Some(83), Some(61)));
        assert_eq!((figures.within_60_s, figures.within_180_s), (Some(0.5), Some(0.75)));
        assert_eq!(figures.mean_on_site_s, Some(143));
    }

    #[test]
    fn a_low_battery_is_no_call_but_is_counted_when_closed() {
        let battery = Fact { is_call: false, ..call(Some(5_000), Some(Outcome::Real)) };
        let figures = figures(None, &[battery]);
        assert_eq!((figures.resolved, figures.raised, figures.mean_response_s), (1, 0, None));
    }

    #[test]
    fn a_share_is_never_rounded_up_to_all() {
        assert_eq!(percent(1.0), "100%");
        assert_eq!(percent(0.975), "97.5%");
        assert_eq!(percent(0.9999), "99.9%");
        assert_eq!(percent(0.0), "0%");
    }
}
