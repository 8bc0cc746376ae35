//! A month's incidents as figures see them: what had happened up to a moment, and nothing of what came later.

use std::collections::HashSet;

use chrono_tz::Tz;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};
use serde::Deserialize;
use songhe_kernel::{Database, Db, FacilityId, Moment, Result};
use songhe_registry::{self as registry, Facility, ShiftWindow};

use super::month::{Month, Span};
use super::target::{self, Target};
use crate::model::{IncidentId, Kind, Outcome, Priority};
use crate::schema::{incident, incident_entry};

/// Rows of one look into the database, so that none holds it for long.
const PART: i64 = 4_000;

/// An incident of the month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub id: IncidentId,
    pub facility: FacilityId,
    pub kind: Kind,
    pub priority: Priority,
    pub raised_at: Moment,
    /// Whole seconds until somebody answered; `None`: nobody had.
    pub answer_s: Option<i64>,
    /// Until somebody was there.
    pub on_site_s: Option<i64>,
    /// Until it was closed.
    pub close_s: Option<i64>,
    /// What it turned out to be, once closed.
    pub outcome: Option<Outcome>,
    /// It had come late: nobody could have answered in time.
    pub delayed: bool,
    /// At some moment its ladder had reached nobody.
    pub nobody: bool,
    /// A message of it could not be delivered.
    pub undelivered: bool,
    /// Something happened to it after the month was settled.
    pub changed_later: bool,
    /// The shift that had begun last among those that ran; `None`: nobody was on the roster.
    pub shift: Option<String>,
    pub device: Option<i64>,
    /// As one says it, and where it was.
    pub device_name: String,
    /// The threshold rule that raised it.
    pub rule: Option<RuleRef>,
}

/// A rule as an incident remembers it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleRef {
    /// Empty for incidents of before rules were remembered by id.
    pub id: String,
    pub name: String,
}

/// A month at one facility.
#[derive(Debug, Clone)]
pub struct FacilityMonth {
    pub facility: Facility,
    pub zone: Tz,
    pub span: Span,
    pub target: Target,
    pub calls: Vec<Call>,
}

#[derive(Queryable)]
struct Row {
    id: IncidentId,
    kind: String,
    priority: String,
    raised_at: Moment,
    acknowledged_at: Option<Moment>,
    arrived_at: Option<Moment>,
    resolved_at: Option<Moment>,
    outcome: Option<String>,
    delayed_s: Option<i64>,
    device_id: Option<i64>,
    source: String,
    place_label: String,
    cause: Option<String>,
}

/// What a facility's calls are looked at with.
struct Around {
    windows: Vec<ShiftWindow>,
    nobody: HashSet<IncidentId>,
    undelivered: HashSet<IncidentId>,
}

/// Reads a month at each facility, in parts of a few thousand incidents.
pub async fn read(db: &Database, facilities: Vec<Facility>, month: Month, now: Moment) -> Result<Vec<FacilityMonth>> {
    let mut all = Vec::with_capacity(facilities.len());
    for facility in facilities {
        let zone = facility.tz()?;
        let (id, span) = (facility.id, month.span(zone, now));
        let (target, around) = db
            .read(move |db| {
                Ok((target::target(db, id, span.to.min(now.plus_seconds(1)))?, Around::read(db, id, span)?))
            })
            .await?;
        let mut calls = Vec::new();
        let mut after = None;
        loop {
            let rows = db.read(move |db| part(db, id, span, after)).await?;
            let more = i64::try_from(rows.len()).is_ok_and(|count| count == PART);
            after = rows.last().map(|row| (row.raised_at, row.id));
            for row in rows {
                calls.push(call(id, row, span, &around)?);
            }
            if !more {
                break;
            }
        }
        all.push(FacilityMonth { facility, zone, span, target, calls });
    }
    Ok(all)
}

fn part(db: &mut Db, facility: FacilityId, span: Span, after: Option<(Moment, IncidentId)>) -> Result<Vec<Row>> {
    let mut query = incident::table
        .filter(incident::facility_id.eq(facility.0))
        .filter(incident::raised_at.lt(span.to).and(incident::raised_at.le(span.as_of)))
        .order((incident::raised_at.asc(), incident::id.asc()))
        .limit(PART)
        .select((
            incident::id,
            incident::kind,
            incident::priority,
            incident::raised_at,
            incident::acknowledged_at,
            incident::arrived_at,
            incident::resolved_at,
            incident::outcome,
            incident::delayed_s,
            incident::device_id,
            incident::source,
            incident::place_label,
            sql::<Nullable<Text>>("CASE WHEN kind = 'threshold' THEN cause END"),
        ))
        .into_boxed();
    query = match after {
        None => query.filter(incident::raised_at.ge(span.from)),
        Some((at, id)) => {
            query.filter(incident::raised_at.ge(at)).filter(incident::raised_at.gt(at).or(incident::id.gt(id.0)))
        }
    };
    Ok(query.load(db)?)
}

impl Around {
    fn read(db: &mut Db, facility: FacilityId, span: Span) -> Result<Self> {
        let trouble: Vec<(IncidentId, String)> = incident_entry::table
            .inner_join(incident::table.on(incident::id.eq(incident_entry::incident_id)))
            // The words of the partial index: it is used only where they stand in the statement.
            .filter(sql::<Bool>("incident_entry.kind IN ('exhausted', 'delivery_failed')"))
            .filter(incident_entry::at.ge(span.from).and(incident_entry::at.le(span.as_of)))
            .filter(incident::facility_id.eq(facility.0))
            .select((incident_entry::incident_id, incident_entry::kind))
            .load(db)?;
        let of = |kind: &str| trouble.iter().filter(|(_, word)| word == kind).map(|(id, _)| *id).collect();
        Ok(Self {
            nobody: of("exhausted"),
            undelivered: of("delivery_failed"),
            windows: registry::shift_windows(db, facility, span.from, span.to)?,
        })
    }
}

fn call(facility: FacilityId, row: Row, span: Span, around: &Around) -> Result<Call> {
    let known = |at: Option<Moment>| at.filter(|at| *at <= span.as_of);
    let seconds = |at: Option<Moment>| known(at).map(|at| at.seconds_since(row.raised_at).max(0));
    let moments = [row.acknowledged_at, row.arrived_at, row.resolved_at];
    Ok(Call {
        id: row.id,
        facility,
        kind: row.kind.parse()?,
        priority: row.priority.parse()?,
        raised_at: row.raised_at,
        answer_s: seconds(row.acknowledged_at),
        on_site_s: seconds(row.arrived_at),
        close_s: seconds(row.resolved_at),
        outcome: known(row.resolved_at).and(row.outcome).map(|word| word.parse()).transpose()?,
        delayed: row.delayed_s.is_some(),
        nobody: around.nobody.contains(&row.id),
        undelivered: around.undelivered.contains(&row.id),
        changed_later: span.settled && moments.into_iter().flatten().any(|at| at > span.as_of),
        shift: shift_at(&around.windows, row.raised_at).map(str::to_owned),
        device: row.device_id,
        // Many devices bear one name: where it hung tells them apart.
        device_name: if row.place_label.is_empty() {
            row.source
        } else {
            format!("{} · {}", row.source, row.place_label)
        },
        rule: row.cause.as_deref().and_then(rule_of),
    })
}

/// The shift that had begun last among those that run at a moment; `windows` are sorted, the latest begun first.
fn shift_at(windows: &[ShiftWindow], at: Moment) -> Option<&str> {
    let begun = windows.partition_point(|window| window.starts_at > at);
    let running = windows.iter().skip(begun).find(|window| window.ends_at > at);
    running.map(|window| window.name.as_str())
}

fn rule_of(cause: &str) -> Option<RuleRef> {
    #[derive(Deserialize)]
    struct Cause {
        rule: Option<Rule>,
    }
    #[derive(Deserialize)]
    struct Rule {
        #[serde(default)]
        id: String,
        name: String,
    }
    let rule = serde_json::from_str::<Cause>(cause).ok()?.rule?;
    Some(RuleRef { id: rule.id, name: rule.name })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_shift_is_the_one_that_began_last() {
        let window = |name: &str, from: &str, to: &str| ShiftWindow {
            name: name.into(),
            starts_at: format!("2026-11-{from}:00Z").parse().unwrap(),
            ends_at: format!("2026-11-{to}:00Z").parse().unwrap(),
        };
        let windows = [
            window("早班", "03T06:00", "03T14:00"),
            window("夜班", "02T22:00", "03T06:00"),
            window("白班", "02T08:00", "02T20:00"),
            window("早班", "02T06:00", "02T14:00"),
        ];
        for (at, expected) in [
            ("02T05:59", None),
            ("02T06:00", Some("早班")),
            ("02T09:00", Some("白班")),
            ("02T20:00", None),
            ("03T05:59", Some("夜班")),
            ("03T06:00", Some("早班")),
            ("03T14:00", None),
        ] {
            let at = format!("2026-11-{at}:00Z").parse().unwrap();
            assert_eq!(shift_at(&windows, at), expected, "{at}");
        }
    }
}
