//! The emergency path: a signal from a device opens an incident or joins the open one, in the caller's transaction.
//!
//! One press, ten presses and a re-sent message are one incident: `incident.open_key` is unique while it is open, and
//! the database decides who was first.

use diesel::prelude::*;
use serde_json::json;
use songhe_kernel::{BothExt, Db, FacilityId, Moment, Result, Tx};
use songhe_registry::{PlaceId, ResidentId};

use crate::climb;
use crate::model::{IncidentId, Kind, Priority, Row, Status};
use crate::schema::incident;
use crate::story::{self, Fact};

/// A signal older than this at its arrival is marked as late, in seconds.
const LATE_AFTER_S: i64 = 60;
/// A new signal this long after somebody answered is a new call for help, in seconds: the ladder starts again.
const CALLS_AGAIN_AFTER_S: i64 = 60;

/// What a device (or a rule) reports.
#[derive(Debug, Clone)]
pub struct Report {
    pub kind: Kind,
    /// `None`: the usual one of the kind.
    pub priority: Option<Priority>,
    pub facility: FacilityId,
    pub scenario: String,
    pub place: Option<PlaceId>,
    pub place_label: String,
    pub resident: Option<ResidentId>,
    pub device: Option<i64>,
    /// Tells apart what must not be joined beyond kind and subject (a rule's id); empty as a rule.
    pub discriminator: String,
    /// The device as one says it: "卫生间拉绳".
    pub source: String,
    /// The device's own words, if any.
    pub detail: String,
    /// The observation that caused it, as the API shows observations.
    pub cause: serde_json::Value,
    pub observed_at: Moment,
    pub received_at: Moment,
}

impl Report {
    /// Kind and subject: a resident if one is known, else the place, else the device.
    fn open_key(&self) -> String {
        let subject = match (self.resident, self.place, self.device) {
            (Some(resident), _, _) => resident.to_string(),
            (None, Some(place), _) => place.to_string(),
            (None, None, Some(device)) => format!("dev:{device}"),
            (None, None, None) => self.facility.to_string(),
        };
        format!("{}:{subject}:{}", self.kind, self.discriminator)
    }

    fn delayed_s(&self) -> Option<i64> {
        let delay = self.received_at.seconds_since(self.observed_at);
        (delay > LATE_AFTER_S).then_some(delay)
    }
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported {
    pub incident: IncidentId,
    /// It is a new incident; otherwise it joined one that was open.
    pub opened: bool,
}

/// Opens or joins, starts the ladder, publishes. The caller has recorded the message under its dedupe key before.
pub fn report(tx: &mut Tx<'_>, report: &Report) -> Result<Reported> {
    let key = report.open_key();
    if let Some(row) = find_open(tx.db(), &key)? {
        return join(tx, &row, report);
    }
    let row = row(tx, report)?;
    if insert(tx, &key, &row)? == 0 {
        // Another server was first, between our look and our insert.
        let row = find_open(tx.db(), &key)?.ok_or_else(|| songhe_kernel::Error::internal("open incident vanished"))?;
        return join(tx, &row, report);
    }
    let raised = Fact::Raised { source: report.source.clone(), delayed_s: report.delayed_s() };
    story::add(tx, row.id, None, &raised)?;
    climb::start(tx, &row)?;
    story::publish(tx, &row, "incidents.incident.raised", None)?;
    Ok(Reported { incident: row.id, opened: true })
}

fn find_open(db: &mut Db, key: &str) -> Result<Option<Row>> {
    Ok(incident::table.filter(incident::open_key.eq(key)).select(Row::as_select()).first(db).optional()?)
}

fn insert(tx: &mut Tx<'_>, key: &str, row: &Row) -> Result<usize> {
    Ok(diesel::insert_into(incident::table)
        .values((incident::open_key.eq(key), row))
        .on_conflict(incident::open_key)
        .do_nothing()
        .both()
        .execute(tx.db())?)
}

fn row(tx: &Tx<'_>, report: &Report) -> Result<Row> {
    let now = tx.now();
    Ok(Row {
        id: IncidentId(tx.next_id()),
        facility_id: report.facility,
        scenario: report.scenario.clone(),
        kind: report.kind.as_str().to_owned(),
        priority: report.priority.unwrap_or_else(|| report.kind.usual_priority()).as_str().to_owned(),
        status: Status::Raised.as_str().to_owned(),
        place_id: report.place,
        place_label: report.place_label.clone(),
        resident_id: report.resident,
        device_id: report.device,
        source: report.source.clone(),
        detail: report.detail.clone(),
        cause: Some(serde_json::to_string(&report.cause)?),
        observed_at: report.observed_at,
        raised_at: now,
        delayed_s: report.delayed_s(),
        presses: 1,
        last_signal_at: now,
        round: 1,
        repeats: 0,
        notified_at: None,
        acknowledged_at: None,
        acknowledged_by: None,
        arrived_at: None,
        arrived_by: None,
        resolved_at: None,
        resolved_by: None,
        outcome: None,
        resolution: None,
        version: 1,
    })
}

/// A further signal of an open incident: counted; if somebody had answered and it calls again, it sounds again.
fn join(tx: &mut Tx<'_>, row: &Row, report: &Report) -> Result<Reported> {
    let now = tx.now();
    diesel::update(incident::table.find(row.id.0))
        .set((
            incident::presses.eq(incident::presses + 1),
            incident::last_signal_at.eq(now),
            incident::version.eq(incident::version + 1),
        ))
        .execute(tx.db())?;
    let answered_at = if row.status()?.is_unanswered() { None } else { story::answered_at(tx.db(), row.id)? };
    // A device's clock may be ahead: its signal is not later than its arrival.
    let called_at = report.observed_at.min(report.received_at);
    let calls_again = report.delayed_s().is_none()
        && answered_at.is_some_and(|at| called_at.seconds_since(at) >= CALLS_AGAIN_AFTER_S);
    story::add(tx, row.id, None, &Fact::Signal { source: report.source.clone(), calls_again })?;
    if calls_again {
        climb::start_again(tx, row)?;
    }
    let row = story::row(tx.db(), row.id)?;
    story::publish(tx, &row, "incidents.incident.signal", None)?;
    Ok(Reported { incident: row.id, opened: false })
}

/// A device says that its condition ended (smoke gone): a fact on the open incident, which stays open.
pub fn report_cleared(tx: &mut Tx<'_>, report: &Report) -> Result<Option<IncidentId>> {
    let Some(row) = find_open(tx.db(), &report.open_key())? else { return Ok(None) };
    diesel::update(incident::table.find(row.id.0)).set(incident::version.eq(incident::version + 1)).execute(tx.db())?;
    story::add(tx, row.id, None, &Fact::Cleared { source: report.source.clone() })?;
    let row = story::row(tx.db(), row.id)?;
    story::publish(tx, &row, "incidents.incident.cleared", None)?;
    Ok(Some(row.id))
}

/// The observation of a report as JSON, for tests and rules that have no device.
pub fn cause_of(kind: &str, observed_at: Moment) -> serde_json::Value {
    json!({ "kind": kind, "observed_at": observed_at })
}
