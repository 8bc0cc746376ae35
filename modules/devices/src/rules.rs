//! Threshold rules: a limit, a hysteresis, an onset delay. Decided purely; written at edges only.

use std::collections::HashMap;

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_incidents::{Kind, Priority};
use songhe_kernel::identity::Scope;
use songhe_kernel::{
    AuditEntry, BothExt, Db, Error, FacilityId, FieldError, KeptExt, Moment, NewTimer, Result, Text, Timer, Tx,
    check_name, define_id,
};

use crate::register::{self, Device, DeviceId};
use crate::schema::{rule_state, threshold_rule};
use crate::sighting::Sighting;
use crate::{MODULE, report};

define_id!(
    /// A threshold rule.
    RuleId, "rul"
);

/// Timer kind: a limit has been passed for as long as the rule asks.
pub(crate) const TIMER: &str = "onset";
const MAX_ONSET_S: i32 = 86_400;
const MAX_NAME_CHARS: usize = 60;

/// A limit for one measure at a facility. Values in the measure's canonical unit, times 10^6.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, Deserialize, JsonSchema)]
#[diesel(table_name = threshold_rule)]
pub struct Rule {
    pub id: RuleId,
    pub facility_id: FacilityId,
    pub name: String,
    pub measure: String,
    /// At or above: beyond the limit.
    pub above_micro: Option<i64>,
    /// At or below: beyond the limit.
    pub below_micro: Option<i64>,
    /// How far inside the limit a value must come back to count as recovered.
    pub hysteresis_micro: i64,
    /// How long it must last before it is reported, in seconds.
    pub onset_seconds: i32,
    pub priority: String,
    pub enabled: bool,
}

/// What one reading means to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Beyond,
    /// Between the limit and the hysteresis: neither begins nor ends anything.
    Between,
    Inside,
}

impl Rule {
    fn side(&self, value: i64) -> Side {
        let above = self.above_micro.map(|limit| (value >= limit, value > limit.saturating_sub(self.hysteresis_micro)));
        let below = self.below_micro.map(|limit| (value <= limit, value < limit.saturating_add(self.hysteresis_micro)));
        let (beyond, near) = [above, below]
            .into_iter()
            .flatten()
            .fold((false, false), |(b, n), (beyond, near)| (b || beyond, n || near));
        match (beyond, near) {
            (true, _) => Side::Beyond,
            (false, true) => Side::Between,
            (false, false) => Side::Inside,
        }
    }
}

/// The change a reading makes. `standing`: a row stands for this rule and device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    None,
    Begin,
    End,
}

pub fn edge(rule: &Rule, standing: bool, value_micro: i64) -> Edge {
    match (rule.side(value_micro), standing) {
        (Side::Beyond, false) => Edge::Begin,
        (Side::Inside, true) => Edge::End,
        _ => Edge::None,
    }
}

fn timer_key(rule: RuleId, device: DeviceId) -> String {
    format!("onset:{rule}:{device}")
}

/// The rules in force at some facilities.
pub(crate) fn in_force(db: &mut Db, facilities: &[FacilityId]) -> Result<Vec<Rule>> {
    Ok(threshold_rule::table
        .filter(threshold_rule::facility_id.eq_any(facilities.iter().map(|id| id.0).collect::<Vec<_>>()))
        .filter(threshold_rule::enabled.eq(true))
        .select(Rule::as_select())
        .kept(facilities.len())
        .load(db)?)
}

/// Which devices stand beyond a rule's limit, and since when.
pub(crate) type Standing = HashMap<(RuleId, DeviceId), Moment>;

pub(crate) fn standing(db: &mut Db, devices: &[DeviceId]) -> Result<Standing> {
    let rows: Vec<(RuleId, DeviceId, Moment)> = rule_state::table
        .filter(rule_state::device_id.eq_any(devices.iter().map(|id| id.0).collect::<Vec<_>>()))
        .select((rule_state::rule_id, rule_state::device_id, rule_state::since))
        .kept(devices.len())
        .load(db)?;
    Ok(rows.into_iter().map(|(rule, device, since)| ((rule, device), since)).collect())
}

/// The limit was passed: remembered, and reported now or after the onset delay.
pub(crate) fn begin(tx: &mut Tx<'_>, rule: &Rule, device: &Device, sighting: &Sighting) -> Result<()> {
    let observation = serde_json::to_string(&sighting.cause(device, Some(rule)))?;
    diesel::insert_into(rule_state::table)
        .values((
            rule_state::rule_id.eq(rule.id.0),
            rule_state::device_id.eq(device.id.0),
            rule_state::since.eq(sighting.observed_at),
            rule_state::observation.eq(observation),
            rule_state::raised.eq(false),
        ))
        .on_conflict((rule_state::rule_id, rule_state::device_id))
        .do_nothing()
        .both()
        .execute(tx.db())?;
    if rule.onset_seconds == 0 {
        return raise(tx, rule, device.id);
    }
    tx.set_timer(NewTimer {
        key: timer_key(rule.id, device.id),
        module: MODULE,
        kind: TIMER,
        facility: Some(rule.facility_id),
        data: json!({ "rule": rule.id, "device": device.id }),
        due_at: sighting.observed_at.plus_seconds(i64::from(rule.onset_seconds)),
    })
}

/// Back inside: forgotten; an incident that was raised is told, and stays open.
pub(crate) fn end(tx: &mut Tx<'_>, rule: &Rule, device: &Device, at: Moment) -> Result<()> {
    tx.cancel_timer(&timer_key(rule.id, device.id))?;
    let key = (rule.id.0, device.id.0);
    let raised: Option<bool> = rule_state::table.find(key).select(rule_state::raised).first(tx.db()).optional()?;
    diesel::delete(rule_state::table.find(key)).execute(tx.db())?;
    if raised == Some(true) {
        let now = tx.now();
        let report = report::of(tx.db(), device, Kind::Threshold, rule.id.to_string(), json!({}), at, now)?;
        songhe_incidents::report_cleared(tx, &report)?;
    }
    Ok(())
}

/// The onset delay is over: still beyond the limit.
pub(crate) fn on_timer(tx: &mut Tx<'_>, timer: &Timer) -> Result<()> {
    #[derive(Deserialize)]
    struct Due {
        rule: RuleId,
        device: DeviceId,
    }
    let due: Due = timer.data()?;
    let rule: Option<Rule> =
        threshold_rule::table.find(due.rule.0).select(Rule::as_select()).first(tx.db()).optional()?;
    match rule.filter(|rule| rule.enabled) {
        Some(rule) => raise(tx, &rule, due.device),
        None => forget(tx.db(), due.rule, due.device),
    }
}

/// Nothing stands any more: the next reading beyond the limit begins anew.
fn forget(db: &mut Db, rule: RuleId, device: DeviceId) -> Result<()> {
    diesel::delete(rule_state::table.find((rule.0, device.0))).execute(db)?;
    Ok(())
}

fn raise(tx: &mut Tx<'_>, rule: &Rule, id: DeviceId) -> Result<()> {
    let key = (rule.id.0, id.0);
    let standing: Option<(Moment, String, bool)> = rule_state::table
        .find(key)
        .select((rule_state::since, rule_state::observation, rule_state::raised))
        .first(tx.db())
        .optional()?;
    let Some((since, observation, false)) = standing else { return Ok(()) };
    let Some(device) = register::find(tx.db(), id)?.filter(|device| device.enabled) else {
        return forget(tx.db(), rule.id, id);
    };
    diesel::update(rule_state::table.find(key)).set(rule_state::raised.eq(true)).execute(tx.db())?;
    let cause = serde_json::from_str(&observation)?;
    // The delay of the onset is the rule's, not the message's: it is not late.
    let now = tx.now();
    let mut report = report::of(tx.db(), &device, Kind::Threshold, rule.id.to_string(), cause, now, now)?;
    report.priority = Some(rule.priority.parse::<Priority>()?);
    report.observed_at = since.max(now.plus_seconds(-i64::from(rule.onset_seconds)));
    report.received_at = report.observed_at;
    songhe_incidents::report(tx, &report)?;
    Ok(())
}

/// Up to `limit` rules within a scope, by id.
pub fn list(db: &mut Db, scope: &Scope, after: Option<RuleId>, limit: i64) -> Result<Vec<Rule>> {
    let mut query = threshold_rule::table.select(Rule::as_select()).order(threshold_rule::id.asc()).into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(threshold_rule::facility_id.eq_any(ids.iter().map(|id| id.0).collect::<Vec<_>>()));
    }
    if let Some(after) = after {
        query = query.filter(threshold_rule::id.gt(after.0));
    }
    Ok(query.limit(limit).load(db)?)
}

pub fn find(db: &mut Db, id: RuleId) -> Result<Option<Rule>> {
    Ok(threshold_rule::table.find(id.0).select(Rule::as_select()).first(db).optional()?)
}

/// A rule as people give it.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct NewRule {
    pub facility: FacilityId,
    pub name: String,
    /// A measure's name: `heart_rate`.
    pub measure: String,
    pub above_micro: Option<i64>,
    pub below_micro: Option<i64>,
    pub hysteresis_micro: i64,
    pub onset_seconds: i32,
    pub priority: Priority,
}

/// # Errors
/// `Invalid` for a name that cannot be one, an unknown measure, no limit, a negative hysteresis or an onset over a day.
pub fn create_rule(tx: &mut Tx<'_>, new: &NewRule) -> Result<RuleId> {
    let mut wrong = Vec::new();
    wrong.extend(check_name("name", &new.name, MAX_NAME_CHARS).err());
    if songhe_adapter_core::Measure::from_name(&new.measure).is_none() {
        wrong.push(FieldError::new("measure", Text::key("devices-error-measure")));
    }
    if new.above_micro.is_none() && new.below_micro.is_none() {
        wrong.push(FieldError::new("above", Text::key("devices-error-no-limit")));
    }
    // Every value would lie beyond such limits.
    if new.above_micro.zip(new.below_micro).is_some_and(|(above, below)| above <= below) {
        wrong.push(FieldError::new("above", Text::key("devices-error-limits-crossed")));
    }
    if new.hysteresis_micro < 0 {
        wrong.push(FieldError::new("hysteresis", Text::key("error-invalid-number")));
    }
    if !(0..=MAX_ONSET_S).contains(&new.onset_seconds) {
        let text = Text::key("error-out-of-range").arg("min", 0).arg("max", MAX_ONSET_S);
        wrong.push(FieldError::new("onset_seconds", text));
    }
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    let id = RuleId(tx.next_id());
    diesel::insert_into(threshold_rule::table)
        .values((
            threshold_rule::id.eq(id.0),
            threshold_rule::facility_id.eq(new.facility.0),
            threshold_rule::name.eq(new.name.trim()),
            threshold_rule::measure.eq(&new.measure),
            threshold_rule::above_micro.eq(new.above_micro),
            threshold_rule::below_micro.eq(new.below_micro),
            threshold_rule::hysteresis_micro.eq(new.hysteresis_micro),
            threshold_rule::onset_seconds.eq(new.onset_seconds),
            threshold_rule::priority.eq(new.priority.as_str()),
            threshold_rule::enabled.eq(true),
        ))
        .execute(tx.db())?;
    let after = json!({
        "measure": new.measure, "above_micro": new.above_micro, "below_micro": new.below_micro,
        "hysteresis_micro": new.hysteresis_micro, "onset_seconds": new.onset_seconds, "priority": new.priority.as_str(),
    });
    tx.audit(AuditEntry::new("rule.create", id).at(new.facility).after(after))?;
    tx.signal(format!("{}:{}", register::TOPIC, new.facility));
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(above: Option<i64>, below: Option<i64>) -> Rule {
        Rule {
            id: RuleId(1),
            facility_id: FacilityId(1),
            name: String::new(),
            measure: "room_temperature".into(),
            above_micro: above,
            below_micro: below,
            hysteresis_micro: 1,
            onset_seconds: 1_800,
            priority: "high".into(),
            enabled: true,
        }
    }

    #[test]
    fn a_limit_begins_at_it_and_ends_beyond_the_hysteresis() {
        let hot = rule(Some(32), None);
        assert_eq!(edge(&hot, false, 31), Edge::None);
        assert_eq!(edge(&hot, false, 32), Edge::Begin);
        assert_eq!(edge(&hot, true, 33), Edge::None);
        assert_eq!(edge(&hot, true, 31), Edge::End);
        let cold = rule(None, Some(16));
        assert_eq!(edge(&cold, false, 16), Edge::Begin);
        assert_eq!(edge(&cold, true, 17), Edge::End);
        let both = rule(Some(131), Some(40));
        assert_eq!(edge(&both, false, 90), Edge::None);
        assert_eq!(edge(&both, false, 40), Edge::Begin);
        assert_eq!(edge(&both, false, 131), Edge::Begin);
    }

    #[test]
    fn a_value_that_flutters_at_the_limit_changes_nothing() {
        let mut wide = rule(Some(1_000), None);
        wide.hysteresis_micro = 100;
        for value in [999, 950, 901] {
            assert_eq!(edge(&wide, true, value), Edge::None);
            assert_eq!(edge(&wide, false, value), Edge::None);
        }
        assert_eq!(edge(&wide, true, 900), Edge::End);
    }
}
