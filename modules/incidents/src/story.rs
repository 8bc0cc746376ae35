//! An incident's story: what happened, by whom, when. Kept forever; nothing is changed in it.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_kernel::{Db, Error, Moment, NewEvent, Result, Tx, UserId, insert_rows};

use crate::model::{Channel, Entry, IncidentId, Reason, Resolution, Row, Target};
use crate::schema::{incident, incident_entry};

/// One line of the story, with what is needed to say it in any language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    Raised {
        source: String,
        delayed_s: Option<i64>,
    },
    /// A further press or report; `calls_again`: after somebody had answered, so it sounds again.
    Signal {
        source: String,
        calls_again: bool,
    },
    Cleared {
        source: String,
    },
    Told {
        target: Target,
        channel: Channel,
        who: Vec<String>,
    },
    Passed {
        target: Target,
        channel: Channel,
        who: Vec<String>,
        reason: Reason,
    },
    /// A message is on its way: its outcome follows as told or passed.
    Sending {
        target: Target,
        /// `None` in stories of before there was more than one.
        #[serde(default)]
        channel: Option<Channel>,
        who: Vec<String>,
        effect: String,
    },
    DeliveryDelayed {
        effect: String,
        why: String,
    },
    DeliveryFailed {
        effect: String,
        why: String,
    },
    /// Somebody had a message that failed or expired sent again.
    SentAgain {
        effect: String,
    },
    /// Nobody answered: the whole ladder again.
    Repeated {
        times: i32,
    },
    /// Nobody could be reached on any rung.
    Exhausted,
    Acknowledged,
    Arrived {
        by_tag: bool,
    },
    Resolved(Resolution),
    Reviewed {
        note: String,
    },
    /// Something a person wants to be known.
    Note {
        text: String,
    },
}

impl Fact {
    /// The word it is stored and shown under.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Raised { .. } => "raised",
            Self::Signal { .. } => "signal",
            Self::Cleared { .. } => "cleared",
            Self::Told { .. } => "told",
            Self::Passed { .. } => "passed",
            Self::Sending { .. } => "sending",
            Self::DeliveryDelayed { .. } => "delivery_delayed",
            Self::DeliveryFailed { .. } => "delivery_failed",
            Self::SentAgain { .. } => "sent_again",
            Self::Repeated { .. } => "repeated",
            Self::Exhausted => "exhausted",
            Self::Acknowledged => "acknowledged",
            Self::Arrived { .. } => "arrived",
            Self::Resolved(_) => "resolved",
            Self::Reviewed { .. } => "reviewed",
            Self::Note { .. } => "note",
        }
    }
}

pub(crate) fn add(tx: &mut Tx<'_>, incident: IncidentId, actor: Option<UserId>, fact: &Fact) -> Result<()> {
    let entry = entry(tx, incident, actor, fact)?;
    diesel::insert_into(incident_entry::table).values(&entry).execute(tx.db())?;
    Ok(())
}

/// Facts of one moment, in order, that no person did.
pub(crate) fn add_all(tx: &mut Tx<'_>, incident: IncidentId, facts: &[Fact]) -> Result<()> {
    let entries = facts.iter().map(|fact| entry(tx, incident, None, fact)).collect::<Result<Vec<_>>>()?;
    insert_rows!(tx.db(), &entries, |values| diesel::insert_into(incident_entry::table).values(values));
    Ok(())
}

fn entry(tx: &Tx<'_>, incident: IncidentId, actor: Option<UserId>, fact: &Fact) -> Result<Entry> {
    Ok(Entry {
        id: tx.next_id(),
        incident_id: incident,
        at: tx.now(),
        kind: fact.kind().to_owned(),
        actor_id: actor,
        data: serde_json::to_string(fact)?,
    })
}

pub fn entries(db: &mut Db, incident: IncidentId) -> Result<Vec<Entry>> {
    Ok(incident_entry::table
        .filter(incident_entry::incident_id.eq(incident.0))
        .order(incident_entry::id.asc())
        .select(Entry::as_select())
        .load(db)?)
}

/// When somebody last said that they are on it, or there.
pub(crate) fn answered_at(db: &mut Db, incident: IncidentId) -> Result<Option<Moment>> {
    Ok(incident_entry::table
        .filter(incident_entry::incident_id.eq(incident.0))
        .filter(incident_entry::kind.eq_any(["acknowledged", "arrived"]))
        .select(diesel::dsl::max(incident_entry::at))
        .first(db)?)
}

/// # Errors
/// `NotFound` when there is none.
pub fn row(db: &mut Db, id: IncidentId) -> Result<Row> {
    incident::table.find(id.0).select(Row::as_select()).first(db).optional()?.ok_or(Error::NotFound)
}

/// What every change ends with: the event for modules and API streams, the signal for pages.
pub(crate) fn publish(tx: &mut Tx<'_>, row: &Row, kind: &'static str, actor: Option<UserId>) -> Result<()> {
    tx.publish(NewEvent {
        kind,
        version: 1,
        facility: Some(row.facility_id),
        subject: row.id.to_string(),
        actor,
        data: json!({
            "incident": row.id,
            "kind": row.kind,
            "priority": row.priority,
            "status": row.status,
            "scenario": row.scenario,
            "resident": row.resident_id,
            "place": row.place_id,
            "raised_at": row.raised_at,
            "response_s": row.response_s(),
            "on_site_s": row.arrived_at.map(|at| at.seconds_since(row.raised_at)),
            "outcome": row.outcome,
        }),
    })?;
    tx.signal(format!("incidents:{}", row.facility_id));
    tx.signal(format!("{CHANGED}{}:{}", row.id, change_of(kind)));
    Ok(())
}

/// What happened, as API streams say it: `raised`, `told`, `acknowledged` …
pub(crate) fn change_of(event: &str) -> &str {
    event.rsplit('.').next().unwrap_or_default()
}

/// The incident and the change that a signal's topic names, if it is one of ours.
pub(crate) fn changed(topic: &str) -> Option<(IncidentId, String)> {
    let (id, change) = topic.strip_prefix(CHANGED)?.split_once(':')?;
    Some((id.parse().ok()?, change.to_owned()))
}

/// Prefix of the in-process signal that names incident and change, for API streams; pages never see it, since what
/// follows the colon is no facility.
pub(crate) const CHANGED: &str = "incident-changed:";

/// The kinds of events that `publish` writes.
pub const EVENTS: &[&str] = &[
    "incidents.incident.raised",
    "incidents.incident.signal",
    "incidents.incident.cleared",
    "incidents.incident.told",
    "incidents.incident.acknowledged",
    "incidents.incident.arrived",
    "incidents.incident.resolved",
    "incidents.incident.reviewed",
    "incidents.incident.noted",
];
