//! The ladder of one incident: rungs are told at their times, passed at once when they reach nobody, repeated until
//! somebody answers.
//!
//! The rungs are copied to the incident when it is raised, so that an edited ladder forgets none. One timer per
//! incident stands at the next rung; it is set in the transaction that acts on the one before.

use std::collections::BTreeSet;

use diesel::prelude::*;
use serde_json::json;
use songhe_kernel::effects::{Effect, Outcome};
use songhe_kernel::{Db, KeptExt, Moment, NewTimer, Result, Tx, insert_rows};

use crate::ladders::{self, Ladder, Rung};
use crate::model::{Channel, IncidentId, Reason, Row, RungRow, RungState, Status, Target};
use crate::reach::{self, Person, Reach, names};
use crate::schema::{incident, incident_rung};
use crate::story::{self, Fact};
use crate::{MODULE, telling};

/// Timer kind: the next rung is due.
pub(crate) const TIMER: &str = "ladder";
/// After so many repeats at the ladder's own pace they come every five minutes: the story stays readable.
const FAST_REPEATS: i32 = 10;
const SLOW_REPEAT_S: i64 = 300;
/// A timer that fires so little before its wall-clock time is no sign of a clock set back.
const CLOCK_SLACK: chrono::TimeDelta = chrono::TimeDelta::seconds(1);

fn timer_key(id: IncidentId) -> String {
    format!("ladder:{id}")
}

/// Copies the ladder that applies and acts on what is due at once.
pub(crate) fn start(tx: &mut Tx<'_>, row: &Row) -> Result<()> {
    begin_round(tx, row, row.round)
}

/// The same incident calls again after somebody had answered: a new round from the first rung.
pub(crate) fn start_again(tx: &mut Tx<'_>, row: &Row) -> Result<()> {
    let round = row.round + 1;
    diesel::update(incident::table.find(row.id.0))
        .set((
            incident::status.eq(Status::Raised.as_str()),
            incident::round.eq(round),
            incident::repeats.eq(0),
            incident::notified_at.eq(None::<Moment>),
        ))
        .execute(tx.db())?;
    begin_round(tx, row, round)
}

fn begin_round(tx: &mut Tx<'_>, row: &Row, round: i32) -> Result<()> {
    let ladder = ladders::for_incident(tx.db(), row.facility_id, &row.scenario, row.priority()?)?;
    let now = tx.now();
    let copy = |(position, rung): (i32, &Rung)| RungRow {
        round,
        position,
        target: rung.target.as_str().to_owned(),
        rank: rung.rank,
        channel: rung.channel.as_str().to_owned(),
        due_at: now.plus_seconds(i64::from(rung.after_seconds)),
        state: RungState::Waiting.as_str().to_owned(),
        reason: None,
        done_at: None,
        who: "[]".to_owned(),
        effect_id: None,
    };
    let mut climb = Climb::new(row, (0i32..).zip(&ladder.rungs).map(copy).collect());
    climb.advance(tx, false)?;
    // Stored once, as it stands after the first step: this is the transaction that opens the incident.
    climb.insert_rungs(tx)?;
    let repeat_seconds = Some(ladder.repeat_seconds);
    climb.finish(tx, row.repeats, repeat_seconds)
}

/// The rungs of an incident, in order; of one round.
pub fn rungs(db: &mut Db, id: IncidentId, round: i32) -> Result<Vec<RungRow>> {
    Ok(incident_rung::table
        .filter(incident_rung::incident_id.eq(id.0).and(incident_rung::round.eq(round)))
        .order(incident_rung::position.asc())
        .select(RungRow::as_select())
        .load(db)?)
}

/// The timer of an incident fired; `due_at` is what it stood at.
pub(crate) fn on_timer(tx: &mut Tx<'_>, id: IncidentId, due_at: Moment) -> Result<()> {
    let row = story::row(tx.db(), id)?;
    if !row.status()?.is_unanswered() {
        return Ok(());
    }
    let mut climb = Climb::new(&row, rungs(tx.db(), id, row.round)?);
    if climb.next_due().is_none() {
        return repeat(tx, climb);
    }
    climb.follow_clock(tx, due_at)?;
    // The timer stands at the next rung's time: it is due whatever the wall clock says by now.
    climb.advance(tx, true)?;
    climb.finish(tx, row.repeats, None)?;
    touch(tx, id)
}

/// The whole ladder was climbed and nobody answered: everybody is told again.
fn repeat(tx: &mut Tx<'_>, mut climb: Climb<'_>) -> Result<()> {
    let row = climb.row;
    let times = row.repeats + 1;
    diesel::update(incident::table.find(row.id.0))
        .set((incident::repeats.eq(times), incident::version.eq(incident::version + 1)))
        .execute(tx.db())?;
    climb.facts.push(Fact::Repeated { times });
    climb.repeats = times;
    for at in 0..climb.rungs.len() {
        climb.act(tx, at)?;
    }
    climb.finish(tx, times, None)?;
    let row = story::row(tx.db(), row.id)?;
    story::publish(tx, &row, "incidents.incident.told", None)
}

/// One step on the ladder of one incident: the rungs as they stand, what changed in them, and what is to be told of it.
struct Climb<'r> {
    row: &'r Row,
    rungs: Vec<RungRow>,
    /// Places in `rungs` that are not stored as they are here.
    changed: BTreeSet<usize>,
    facts: Vec<Fact>,
    /// How often the whole ladder was climbed before.
    repeats: i32,
}

impl<'r> Climb<'r> {
    fn new(row: &'r Row, rungs: Vec<RungRow>) -> Self {
        Self { row, rungs, changed: BTreeSet::new(), facts: Vec::new(), repeats: 0 }
    }

    /// When the next rung is told; `None`: all are done with.
    fn next_due(&self) -> Option<Moment> {
        self.rungs.iter().find(|rung| rung.is(RungState::Waiting)).map(|rung| rung.due_at)
    }

    /// The timer fired before its wall-clock time: the clock was set back. The rungs that wait move along with it, so
    /// that the next one is as far away as the ladder says, not an hour more.
    fn follow_clock(&mut self, tx: &Tx<'_>, due_at: Moment) -> Result<()> {
        let back = due_at.since(tx.now());
        if back >= CLOCK_SLACK {
            for (at, rung) in self.rungs.iter_mut().enumerate().filter(|(_, rung)| rung.is(RungState::Waiting)) {
                rung.due_at = rung.due_at.plus(-back);
                self.changed.insert(at);
            }
        }
        Ok(())
    }

    /// Acts on every rung that is due, and on the next ones as long as nobody was reached. Rungs of one time belong
    /// together: one of them that reaches somebody is enough to wait for the next time.
    fn advance(&mut self, tx: &mut Tx<'_>, first_is_due: bool) -> Result<()> {
        let now = tx.now();
        let mut reached = !first_is_due;
        let mut time = None;
        for at in 0..self.rungs.len() {
            let Some(rung) = self.rungs.get(at).filter(|rung| rung.is(RungState::Waiting)) else { continue };
            if time != Some(rung.due_at) {
                if rung.due_at > now && reached {
                    break;
                }
                time = Some(rung.due_at);
                reached = false;
            }
            reached |= self.act(tx, at)?;
        }
        Ok(())
    }

    /// Tells a rung, or passes it. Answers whether it reached somebody (or a message is on its way).
    fn act(&mut self, tx: &mut Tx<'_>, at: usize) -> Result<bool> {
        let row = self.row;
        let Some(rung) = self.rungs.get_mut(at) else { return Ok(false) };
        let target: Target = rung.target.parse()?;
        let channel: Channel = rung.channel.parse()?;
        rung.effect_id = None;
        let before = (rung.state.clone(), rung.reason.clone());
        let who = match reach::find(tx, row, target, rung.rank, channel)? {
            Reach::Nobody(reason, who) => {
                rung.set(tx, RungState::Passed, Some(reason));
                // Told again and again, the story is read for what changes.
                if before != (rung.state.clone(), rung.reason.clone()) {
                    self.facts.push(Fact::Passed { target, channel, who: names(&who), reason });
                }
                who
            }
            Reach::Board(who) => {
                rung.set(tx, RungState::Told, None);
                self.facts.push(Fact::Told { target, channel, who: names(&who) });
                who
            }
            Reach::Message(way, who) => {
                let effect = telling::call(tx, row, target, &who, &way, self.repeats)?;
                rung.set(tx, RungState::Sending, None);
                rung.effect_id = Some(effect.0);
                let channel = Some(channel);
                self.facts.push(Fact::Sending { target, channel, who: names(&who), effect: effect.to_string() });
                who
            }
        };
        rung.who = serde_json::to_string(&who)?;
        let passed = rung.is(RungState::Passed);
        self.changed.insert(at);
        Ok(!passed)
    }

    fn insert_rungs(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let of = incident_rung::incident_id.eq(self.row.id.0);
        let rows: Vec<_> = self.rungs.iter().map(|rung| (of, rung)).collect();
        insert_rows!(tx.db(), rows, |values| diesel::insert_into(incident_rung::table).values(values));
        self.changed.clear();
        Ok(())
    }

    /// Stores what changed, sets the timer at what comes next, tells the story.
    fn finish(mut self, tx: &mut Tx<'_>, repeats: i32, repeat_seconds: Option<i32>) -> Result<()> {
        for at in std::mem::take(&mut self.changed) {
            if let Some(rung) = self.rungs.get(at) {
                save(tx, self.row.id, rung)?;
            }
        }
        let due_at = match self.next_due() {
            Some(due_at) => due_at,
            None => {
                let is_news = self.facts.iter().any(|fact| matches!(fact, Fact::Passed { .. }));
                if is_news && !self.rungs.iter().any(RungRow::reached) {
                    self.facts.push(Fact::Exhausted);
                }
                let pace = i64::from(match repeat_seconds {
                    Some(seconds) => seconds,
                    None => self.ladder(tx)?.repeat_seconds,
                });
                tx.now().plus_seconds(if repeats >= FAST_REPEATS { pace.max(SLOW_REPEAT_S) } else { pace })
            }
        };
        story::add_all(tx, self.row.id, &self.facts)?;
        if self.facts.iter().any(|fact| matches!(fact, Fact::Told { .. })) {
            mark_notified(tx, self.row.id)?;
        }
        tx.set_timer(NewTimer {
            key: timer_key(self.row.id),
            module: MODULE,
            kind: TIMER,
            facility: Some(self.row.facility_id),
            data: json!({ "incident": self.row.id }),
            due_at,
        })
    }

    fn ladder(&self, tx: &mut Tx<'_>) -> Result<Ladder> {
        ladders::for_incident(tx.db(), self.row.facility_id, &self.row.scenario, self.row.priority()?)
    }
}

impl RungRow {
    fn is(&self, state: RungState) -> bool {
        self.state == state.as_str()
    }

    /// Whether somebody was told, or a message is on its way.
    fn reached(&self) -> bool {
        self.is(RungState::Told) || self.is(RungState::Sending)
    }

    fn set(&mut self, tx: &Tx<'_>, state: RungState, reason: Option<Reason>) {
        self.state = state.as_str().to_owned();
        self.reason = reason.map(|reason| reason.as_str().to_owned());
        self.done_at = Some(tx.now());
    }
}

fn save(tx: &mut Tx<'_>, id: IncidentId, rung: &RungRow) -> Result<()> {
    diesel::update(incident_rung::table.find((id.0, rung.round, rung.position))).set(rung).execute(tx.db())?;
    Ok(())
}

/// Somebody has been told for the first time.
fn mark_notified(tx: &mut Tx<'_>, id: IncidentId) -> Result<()> {
    let now = tx.now();
    let raised = incident::table.find(id.0).filter(incident::status.eq(Status::Raised.as_str()));
    diesel::update(raised)
        .set((
            incident::status.eq(Status::Notified.as_str()),
            incident::notified_at.eq(now),
            incident::version.eq(incident::version + 1),
        ))
        .run_kept(tx.db())?;
    Ok(())
}

/// What came of a message: told, or the rung is passed at its first failure while delivery goes on trying.
pub(crate) fn on_effect(tx: &mut Tx<'_>, effect: &Effect, outcome: &Outcome) -> Result<()> {
    let first = telling::first_of(effect);
    let found: Option<RungRow> = incident_rung::table
        .filter(incident_rung::effect_id.eq(first.0))
        .select(RungRow::as_select())
        .first(tx.db())
        .optional()?;
    // A test message is about an endpoint, not about an incident.
    let Ok(id) = effect.subject.parse::<IncidentId>() else { return Ok(()) };
    let effect_id = effect.id.to_string();
    let fact = match outcome {
        Outcome::Delivered => None,
        Outcome::Delayed(why) => Some(Fact::DeliveryDelayed { effect: effect_id, why: why.clone() }),
        Outcome::Failed(why) | Outcome::Expired(why) => {
            Some(Fact::DeliveryFailed { effect: effect_id, why: why.clone() })
        }
    };
    // Only the first delay is worth a line; the system page has the attempts.
    let tell = !matches!(outcome, Outcome::Delayed(_)) || effect.attempts == 0;
    if let Some(fact) = fact.filter(|_| tell) {
        story::add(tx, id, None, &fact)?;
    }
    if let Some(mut rung) = found {
        match outcome {
            // Another number of the same rung was reached before.
            Outcome::Delivered if rung.is(RungState::Told) => {}
            Outcome::Delivered => {
                rung.set(tx, RungState::Told, None);
                save(tx, id, &rung)?;
                let who: Vec<Person> = serde_json::from_str(&rung.who)?;
                let (target, channel) = (rung.target.parse()?, rung.channel.parse()?);
                story::add(tx, id, None, &Fact::Told { target, channel, who: names(&who) })?;
                mark_notified(tx, id)?;
            }
            _ if rung.is(RungState::Sending) && !telling::another_may_reach(tx, id, first, effect.id)? => {
                rung.set(tx, RungState::Passed, Some(Reason::ChannelFailed));
                save(tx, id, &rung)?;
                go_on(tx, id, &rung)?;
            }
            _ => {}
        }
    }
    touch(tx, id)
}

/// A rung turned out to reach nobody: unless another one of its time did, the next is told now.
fn go_on(tx: &mut Tx<'_>, id: IncidentId, passed: &RungRow) -> Result<()> {
    let row = story::row(tx.db(), id)?;
    if !row.status()?.is_unanswered() || row.round != passed.round {
        return Ok(());
    }
    let mut climb = Climb::new(&row, rungs(tx.db(), id, row.round)?);
    if climb.next_due().is_some() {
        if !climb.rungs.iter().any(|rung| rung.due_at == passed.due_at && rung.reached()) {
            climb.advance(tx, true)?;
            climb.finish(tx, row.repeats, None)?;
        }
    } else if !climb.rungs.iter().any(RungRow::reached) {
        story::add(tx, id, None, &Fact::Exhausted)?;
    }
    Ok(())
}

pub(crate) fn touch(tx: &mut Tx<'_>, id: IncidentId) -> Result<()> {
    diesel::update(incident::table.find(id.0)).set(incident::version.eq(incident::version + 1)).execute(tx.db())?;
    let row = story::row(tx.db(), id)?;
    story::publish(tx, &row, "incidents.incident.told", None)
}

/// Somebody answered: the timer goes, waiting rungs stop.
pub(crate) fn stop(tx: &mut Tx<'_>, id: IncidentId) -> Result<()> {
    tx.cancel_timer(&timer_key(id))?;
    let now = tx.now();
    let waiting = incident_rung::table
        .filter(incident_rung::incident_id.eq(id.0))
        .filter(incident_rung::state.eq(RungState::Waiting.as_str()));
    diesel::update(waiting)
        .set((incident_rung::state.eq(RungState::Stopped.as_str()), incident_rung::done_at.eq(now)))
        .execute(tx.db())?;
    Ok(())
}
