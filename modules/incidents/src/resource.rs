//! An incident as the API and its streams show it.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use songhe_kernel::{Db, EffectId, FacilityId, Moment, Result, UserId, ids};
use songhe_registry::{PlaceId, ResidentId};

use crate::lists::{self, Names};
use crate::model::{
    Channel, IncidentId, Kind, Outcome, Priority, Reason, Resolution, Row, RungRow, RungState, Status, Target,
};
use crate::reach::{Person, names};
use crate::story;
use crate::telling::{self, Delivery};

/// Somebody who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Actor {
    pub id: UserId,
    /// As others see it.
    pub name: String,
}

/// A step of the ladder that the incident climbs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RungView {
    /// From 0; rungs of one time follow each other.
    pub position: i32,
    pub target: Target,
    /// Which contact, from 1; `null`: all of them, or no contact at all.
    pub rank: Option<i32>,
    pub channel: Channel,
    pub due_at: Moment,
    pub state: RungState,
    /// Why it was passed.
    pub reason: Option<Reason>,
    /// When it was told, sent, passed or stopped.
    pub done_at: Option<Moment>,
    /// Names of those it told, or would have told.
    pub who: Vec<String>,
    /// The message, where one was sent.
    pub effect_id: Option<EffectId>,
}

/// An incident. Its `version` grows with every change: of two copies the one with the higher version is the newer.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Incident {
    pub id: IncidentId,
    pub version: i32,
    pub facility_id: FacilityId,
    /// The scenario module at that facility, `nursing-home`.
    pub scenario: String,
    pub kind: Kind,
    pub priority: Priority,
    pub status: Status,
    pub place_id: Option<PlaceId>,
    /// The place in full, as one says it; empty if unknown.
    pub place: String,
    pub resident_id: Option<ResidentId>,
    pub resident_name: Option<String>,
    /// `dev_` and 13 characters.
    pub device_id: Option<String>,
    /// The device as one says it.
    pub source: String,
    /// What it said, in words.
    pub detail: String,
    /// When it happened, by the device.
    pub observed_at: Moment,
    /// When Songhe raised it: answers are timed from here.
    pub raised_at: Moment,
    /// Seconds from event to arrival, if it came late.
    pub delayed_s: Option<i64>,
    /// How often it was pressed or reported.
    pub presses: i32,
    pub last_signal_at: Moment,
    /// 1, and one more each time it called again after somebody had answered.
    pub round: i32,
    /// How often the whole ladder of this round was repeated.
    pub repeats: i32,
    pub notified_at: Option<Moment>,
    pub acknowledged_at: Option<Moment>,
    pub acknowledged_by: Option<Actor>,
    pub arrived_at: Option<Moment>,
    pub arrived_by: Option<Actor>,
    pub resolved_at: Option<Moment>,
    pub resolved_by: Option<Actor>,
    pub outcome: Option<Outcome>,
    pub resolution: Option<Resolution>,
    /// Seconds from the call to the first answer.
    pub response_s: Option<i64>,
    /// Seconds from the call to the first arrival.
    pub on_site_s: Option<i64>,
    /// Of the present round, in order.
    pub rungs: Vec<RungView>,
    /// The observation that raised it, as the API shows observations.
    pub cause: Option<Value>,
}

/// A line of an incident's story.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StoryLine {
    pub at: Moment,
    /// `raised`, `signal`, `told`, `passed`, `acknowledged` …
    pub kind: String,
    pub by: Option<Actor>,
    /// What the line says, by its kind.
    pub data: Value,
}

/// An incident with its whole story.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct IncidentDetail {
    #[serde(flatten)]
    pub incident: Incident,
    /// Oldest first.
    pub story: Vec<StoryLine>,
    pub deliveries: Vec<Delivery>,
}

pub(crate) fn device_id(id: i64) -> String {
    ids::encode("dev", id)
}

fn actor(names: &Names, id: Option<UserId>) -> Option<Actor> {
    id.map(|id| Actor { id, name: names.get(&id).cloned().unwrap_or_default() })
}

fn rung(row: &RungRow) -> Result<RungView> {
    let who: Vec<Person> = serde_json::from_str(&row.who)?;
    Ok(RungView {
        position: row.position,
        target: row.target.parse()?,
        rank: row.rank,
        channel: row.channel.parse()?,
        due_at: row.due_at,
        state: row.state.parse()?,
        reason: row.reason.as_deref().map(str::parse).transpose()?,
        done_at: row.done_at,
        who: names(&who),
        effect_id: row.effect_id.map(EffectId),
    })
}

fn one(row: Row, names: &Names, resident_name: Option<String>, rungs: Vec<RungView>) -> Result<Incident> {
    Ok(Incident {
        kind: row.kind.parse()?,
        priority: row.priority()?,
        status: row.status()?,
        acknowledged_by: actor(names, row.acknowledged_by),
        arrived_by: actor(names, row.arrived_by),
        resolved_by: actor(names, row.resolved_by),
        outcome: row.outcome.as_deref().map(str::parse).transpose()?,
        resolution: row.resolution()?,
        response_s: row.response_s(),
        on_site_s: row.arrived_at.map(|at| at.seconds_since(row.raised_at)),
        cause: row.cause.as_deref().map(serde_json::from_str).transpose()?,
        device_id: row.device_id.map(device_id),
        resident_name,
        rungs,
        id: row.id,
        version: row.version,
        facility_id: row.facility_id,
        scenario: row.scenario,
        place_id: row.place_id,
        place: row.place_label,
        resident_id: row.resident_id,
        source: row.source,
        detail: row.detail,
        observed_at: row.observed_at,
        raised_at: row.raised_at,
        delayed_s: row.delayed_s,
        presses: row.presses,
        last_signal_at: row.last_signal_at,
        round: row.round,
        repeats: row.repeats,
        notified_at: row.notified_at,
        acknowledged_at: row.acknowledged_at,
        arrived_at: row.arrived_at,
        resolved_at: row.resolved_at,
    })
}

/// Rows as the API shows them, in their order.
pub(crate) fn incidents(db: &mut Db, rows: Vec<Row>) -> Result<Vec<Incident>> {
    let (names, residents) = (lists::names_on(db, &rows)?, lists::residents_of(db, &rows)?);
    let mut rungs = lists::rungs_of(db, &rows)?;
    rows.into_iter()
        .map(|row| {
            let mine = rungs.remove(&row.id).unwrap_or_default();
            let resident = row.resident_id.and_then(|id| residents.get(&id)).map(|resident| resident.name.clone());
            one(row, &names, resident, mine.iter().map(rung).collect::<Result<_>>()?)
        })
        .collect()
}

pub(crate) fn incident(db: &mut Db, row: Row) -> Result<Incident> {
    incidents(db, vec![row])?.pop().ok_or_else(|| songhe_kernel::Error::internal("one row makes one incident"))
}

/// An incident with its story and its messages.
pub(crate) fn detail(db: &mut Db, row: Row) -> Result<IncidentDetail> {
    // Before the story: what became of a message is never newer than what is told of it.
    let deliveries = telling::messages(db, row.id)?;
    let entries = story::entries(db, row.id)?;
    let names = lists::names(db, entries.iter().map(|entry| entry.actor_id))?;
    let story = entries
        .into_iter()
        .map(|entry| {
            let mut data: Value = serde_json::from_str(&entry.data)?;
            if let Some(fields) = data.as_object_mut() {
                // The line's kind says it already.
                fields.remove("fact");
            }
            Ok(StoryLine { at: entry.at, kind: entry.kind, by: actor(&names, entry.actor_id), data })
        })
        .collect::<Result<_>>()?;
    Ok(IncidentDetail { incident: incident(db, row)?, story, deliveries })
}
