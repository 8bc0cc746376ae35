//! Ladders: after n seconds, to whom, by which channel. Data per facility, scenario and priority; a facility without
//! one of its own has the built-in one, so that no call is ever without.

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::{AuditEntry, Db, Error, FacilityId, FieldError, Result, Text, Tx, check_name};

use crate::model::{Channel, LadderId, Priority, Target};
use crate::schema::{ladder, ladder_rung};

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rung {
    /// Seconds from the call; 0 = at once; at most a day.
    pub after_seconds: i32,
    pub target: Target,
    /// Which contact, from 1; only for `contact`. `None`: all of them.
    pub rank: Option<i32>,
    pub channel: Channel,
}

/// A ladder as it is climbed and edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ladder {
    /// `None`: the built-in one.
    pub id: Option<LadderId>,
    pub facility: FacilityId,
    /// `None`: every scenario that has no ladder of its own.
    pub scenario: Option<String>,
    pub priority: Priority,
    pub name: String,
    /// Seconds between repeats of the whole ladder while nobody answers.
    pub repeat_seconds: i32,
    pub active: bool,
    pub rungs: Vec<Rung>,
}

const MAX_RUNGS: usize = 20;
const MAX_AFTER_S: i32 = 86_400;
const MAX_NAME_CHARS: usize = 60;
const REPEAT_S: std::ops::RangeInclusive<i32> = 10..=3_600;

/// Care (domain/care.md, Alarms): high unacknowledged: 60 s again, 120 s nurse lead, 180 s manager and family.
fn built_in_rungs(priority: Priority) -> Vec<Rung> {
    let rung = |after_seconds, target, rank, channel| Rung { after_seconds, target, rank, channel };
    use Channel::{Board, Webhook};
    use Target::{Contact, Manager, NurseLead, OnCall, StreetCentre};
    match priority {
        Priority::High => vec![
            rung(0, OnCall, None, Board),
            rung(60, OnCall, None, Webhook),
            rung(120, NurseLead, None, Board),
            rung(120, NurseLead, None, Webhook),
            rung(180, Manager, None, Webhook),
            rung(180, Contact, Some(1), Webhook),
            rung(300, StreetCentre, None, Board),
        ],
        Priority::Medium => vec![
            rung(0, OnCall, None, Board),
            rung(300, OnCall, None, Webhook),
            rung(600, NurseLead, None, Board),
            rung(900, NurseLead, None, Webhook),
        ],
        Priority::Low | Priority::Info => vec![rung(0, OnCall, None, Board)],
    }
}

pub fn built_in(facility: FacilityId, priority: Priority) -> Ladder {
    Ladder {
        id: None,
        facility,
        scenario: None,
        priority,
        name: String::new(),
        repeat_seconds: if priority == Priority::High { 60 } else { 1_800 },
        active: true,
        rungs: built_in_rungs(priority),
    }
}

type LadderRow = (LadderId, FacilityId, Option<String>, String, String, i32, bool);

fn load(db: &mut Db, row: LadderRow) -> Result<Ladder> {
    let (id, facility, scenario, priority, name, repeat_seconds, active) = row;
    let rungs: Vec<(i32, String, Option<i32>, String)> = ladder_rung::table
        .filter(ladder_rung::ladder_id.eq(id.0))
        .order(ladder_rung::position.asc())
        .select((ladder_rung::after_seconds, ladder_rung::target, ladder_rung::rank, ladder_rung::channel))
        .load(db)?;
    let rungs = rungs
        .into_iter()
        .map(|(after_seconds, target, rank, channel)| {
            Ok(Rung { after_seconds, target: target.parse()?, rank, channel: channel.parse()? })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Ladder { id: Some(id), facility, scenario, priority: priority.parse()?, name, repeat_seconds, active, rungs })
}

type LadderColumns = (
    ladder::id,
    ladder::facility_id,
    ladder::scenario,
    ladder::priority,
    ladder::name,
    ladder::repeat_seconds,
    ladder::active,
);

const COLUMNS: LadderColumns = (
    ladder::id,
    ladder::facility_id,
    ladder::scenario,
    ladder::priority,
    ladder::name,
    ladder::repeat_seconds,
    ladder::active,
);

/// The ladder that a call climbs: the scenario's own, else the facility's, else the built-in one.
pub fn for_incident(db: &mut Db, facility: FacilityId, scenario: &str, priority: Priority) -> Result<Ladder> {
    let found: Vec<LadderRow> = ladder::table
        .filter(ladder::facility_id.eq(facility.0).and(ladder::active.eq(true)))
        .filter(ladder::priority.eq(priority.as_str()))
        .filter(ladder::scenario.eq(scenario).or(ladder::scenario.is_null()))
        .order(ladder::id.asc())
        .select(COLUMNS)
        .load(db)?;
    let own = found.iter().position(|row| row.2.is_some()).or(if found.is_empty() { None } else { Some(0) });
    match own.and_then(|at| found.into_iter().nth(at)) {
        Some(row) => load(db, row),
        None => Ok(built_in(facility, priority)),
    }
}

/// The ladders of a facility, by priority; a priority without one shows the built-in one.
pub fn of_facility(db: &mut Db, facility: FacilityId) -> Result<Vec<Ladder>> {
    let rows: Vec<LadderRow> =
        ladder::table.filter(ladder::facility_id.eq(facility.0)).order(ladder::id.asc()).select(COLUMNS).load(db)?;
    let mut all = rows.into_iter().map(|row| load(db, row)).collect::<Result<Vec<_>>>()?;
    for priority in [Priority::High, Priority::Medium, Priority::Low] {
        if !all.iter().any(|ladder| ladder.priority == priority && ladder.active) {
            all.push(built_in(facility, priority));
        }
    }
    all.sort_by_key(|ladder| (ladder.priority, ladder.scenario.clone()));
    Ok(all)
}

/// # Errors
/// `NotFound` when there is none.
pub fn find(db: &mut Db, id: LadderId) -> Result<Ladder> {
    let row: Option<LadderRow> = ladder::table.find(id.0).select(COLUMNS).first(db).optional()?;
    match row {
        Some(row) => load(db, row),
        None => Err(Error::NotFound),
    }
}

/// What is wrong with a ladder, field by field.
pub fn check(ladder: &Ladder) -> Result<()> {
    let mut wrong = Vec::new();
    wrong.extend(check_name("name", &ladder.name, MAX_NAME_CHARS).err());
    if !REPEAT_S.contains(&ladder.repeat_seconds) {
        let text = Text::key("error-out-of-range").arg("min", REPEAT_S.start()).arg("max", REPEAT_S.end());
        wrong.push(FieldError::new("repeat_seconds", text));
    }
    if ladder.rungs.is_empty() {
        wrong.push(FieldError::new("rungs", Text::key("incidents-error-rungs-empty")));
    }
    if ladder.rungs.len() > MAX_RUNGS {
        wrong.push(FieldError::new("rungs", Text::key("incidents-error-too-many-rungs").arg("max", MAX_RUNGS)));
    }
    for rung in &ladder.rungs {
        if !(0..=MAX_AFTER_S).contains(&rung.after_seconds) {
            let text = Text::key("error-out-of-range").arg("min", 0).arg("max", MAX_AFTER_S);
            wrong.push(FieldError::new("after_seconds", text));
        }
        if rung.target == Target::Contact && rung.channel == Channel::Board {
            wrong.push(FieldError::new("channel", Text::key("incidents-error-contact-board")));
        }
        if rung.rank.is_some_and(|rank| !(1..=9).contains(&rank)) {
            wrong.push(FieldError::new("rank", Text::key("error-out-of-range").arg("min", 1).arg("max", 9)));
        }
    }
    if ladder.rungs.first().is_some_and(|_| ladder.rungs.iter().all(|rung| rung.after_seconds > 0)) {
        wrong.push(FieldError::new("rungs", Text::key("incidents-error-first-rung")));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}

/// Another active ladder that applies to the same calls.
fn rival(db: &mut Db, new: &Ladder) -> Result<bool> {
    let rows: Vec<LadderRow> = ladder::table
        .filter(ladder::facility_id.eq(new.facility.0).and(ladder::active.eq(true)))
        .filter(ladder::priority.eq(new.priority.as_str()))
        .select(COLUMNS)
        .load(db)?;
    Ok(rows.iter().any(|row| Some(row.0) != new.id && row.2 == new.scenario))
}

/// Removes a ladder; incidents under way go on with their copy, new ones climb the next that applies.
///
/// # Errors
/// `NotFound` when there is none.
pub fn remove(tx: &mut Tx<'_>, id: LadderId) -> Result<()> {
    let known = find(tx.db(), id)?;
    let before = serde_json::to_value(&known)?;
    tx.audit(AuditEntry::new("ladder.remove", id).at(known.facility).before(before))?;
    diesel::delete(ladder_rung::table.filter(ladder_rung::ladder_id.eq(id.0))).execute(tx.db())?;
    diesel::delete(ladder::table.find(id.0)).execute(tx.db())?;
    tx.signal(format!("ladders:{}", known.facility));
    Ok(())
}

/// Writes a ladder, new or changed. Incidents under way go on with their copy.
///
/// # Errors
/// `Invalid` on every field that is wrong, and on `priority` when another active ladder stands for the same calls;
/// `NotFound` when the ladder to be changed is gone.
pub fn save(tx: &mut Tx<'_>, new: &Ladder) -> Result<LadderId> {
    check(new)?;
    if new.active && rival(tx.db(), new)? {
        return Err(Error::field("priority", Text::key("error-already-exists")));
    }
    let now = tx.now();
    let before = match new.id {
        Some(id) => Some(serde_json::to_value(find(tx.db(), id)?)?),
        None => None,
    };
    let values = (
        ladder::facility_id.eq(new.facility.0),
        ladder::scenario.eq(&new.scenario),
        ladder::priority.eq(new.priority.as_str()),
        ladder::name.eq(new.name.trim()),
        ladder::repeat_seconds.eq(new.repeat_seconds),
        ladder::active.eq(new.active),
        ladder::updated_at.eq(now),
    );
    let id = match new.id {
        Some(id) => {
            let found = diesel::update(ladder::table.find(id.0)).set(values).execute(tx.db())?;
            if found == 0 {
                return Err(Error::NotFound);
            }
            diesel::delete(ladder_rung::table.filter(ladder_rung::ladder_id.eq(id.0))).execute(tx.db())?;
            id
        }
        None => {
            let id = LadderId(tx.next_id());
            diesel::insert_into(ladder::table).values((ladder::id.eq(id.0), values)).execute(tx.db())?;
            id
        }
    };
    let mut rungs = new.rungs.clone();
    rungs.sort_by_key(|rung| rung.after_seconds);
    for (position, rung) in (0i32..).zip(&rungs) {
        diesel::insert_into(ladder_rung::table)
            .values((
                ladder_rung::ladder_id.eq(id.0),
                ladder_rung::position.eq(position),
                ladder_rung::after_seconds.eq(rung.after_seconds),
                ladder_rung::target.eq(rung.target.as_str()),
                ladder_rung::rank.eq(rung.rank),
                ladder_rung::channel.eq(rung.channel.as_str()),
            ))
            .execute(tx.db())?;
    }
    let entry = AuditEntry::new("ladder.save", id).at(new.facility).after(serde_json::to_value(new)?);
    tx.audit(AuditEntry { before, ..entry })?;
    tx.signal(format!("ladders:{}", new.facility));
    Ok(id)
}
