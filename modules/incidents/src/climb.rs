//! The ladder of one incident: rungs are told at their times, passed at once when they reach nobody, repeated until
//! somebody answers.
//!
//! The rungs are copied to the incident when it is raised, so that an edited ladder forgets none. One timer per
//! incident stands at the next rung; it is set in the transaction that acts on the one before.

use diesel::prelude::*;
use serde_json::json;
use songhe_kernel::effects::{Effect, NewEffect, Outcome};
use songhe_kernel::{Db, EffectId, Moment, NewTimer, Result, Tx};

use crate::ladders::{self, Rung};
use crate::model::{Channel, IncidentId, Reason, Row, RungRow, RungState, Status, Target};
use crate::reach::{self, Person, Reach, names};
use crate::schema::{incident, incident_rung};
use crate::story::{self, Fact};
use crate::{MODULE, webhook};

/// Timer kind: the next rung is due.
pub(crate) const TIMER: &str = "ladder";
/// How long a message about a call keeps its meaning, in seconds; later it is reported as not sent.
const MESSAGE_VALID_S: i64 = 15 * 60;
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
    insert_rungs(tx, row.id, round, &ladder.rungs)?;
    advance(tx, row, round, false)
}

fn insert_rungs(tx: &mut Tx<'_>, id: IncidentId, round: i32, rungs: &[Rung]) -> Result<()> {
    let now = tx.now();
    for (position, rung) in (0i32..).zip(rungs) {
        diesel::insert_into(incident_rung::table)
            .values((
                incident_rung::incident_id.eq(id.0),
                incident_rung::round.eq(round),
                incident_rung::position.eq(position),
                incident_rung::target.eq(rung.target.as_str()),
                incident_rung::rank.eq(rung.rank),
                incident_rung::channel.eq(rung.channel.as_str()),
                incident_rung::due_at.eq(now.plus_seconds(i64::from(rung.after_seconds))),
                incident_rung::state.eq(RungState::Waiting.as_str()),
                incident_rung::who.eq("[]"),
            ))
            .execute(tx.db())?;
    }
    Ok(())
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
    let waiting = rungs(tx.db(), id, row.round)?.iter().any(|rung| rung.state == RungState::Waiting.as_str());
    if !waiting {
        return repeat(tx, &row);
    }
    follow_clock(tx, &row, due_at)?;
    // The timer stands at the next rung's time: it is due whatever the wall clock says by now.
    advance(tx, &row, row.round, true)?;
    touch(tx, id)
}

/// The timer fired before its wall-clock time: the clock was set back. The rungs that wait move along with it, so that
/// the next one is as far away as the ladder says, not an hour more.
fn follow_clock(tx: &mut Tx<'_>, row: &Row, due_at: Moment) -> Result<()> {
    let back = due_at.since(tx.now());
    if back < CLOCK_SLACK {
        return Ok(());
    }
    for rung in rungs(tx.db(), row.id, row.round)? {
        if rung.state == RungState::Waiting.as_str() {
            diesel::update(incident_rung::table.find((row.id.0, row.round, rung.position)))
                .set(incident_rung::due_at.eq(rung.due_at.plus(-back)))
                .execute(tx.db())?;
        }
    }
    Ok(())
}

/// Acts on every rung that is due, and on the next ones as long as nobody was reached; then sets the timer. Rungs of one
/// time belong together: one of them that reaches somebody is enough to wait for the next time.
fn advance(tx: &mut Tx<'_>, row: &Row, round: i32, first_is_due: bool) -> Result<()> {
    let now = tx.now();
    let mut reached = !first_is_due;
    let mut time = None;
    let all = rungs(tx.db(), row.id, round)?;
    for rung in all.iter().filter(|rung| rung.state == RungState::Waiting.as_str()) {
        if time != Some(rung.due_at) {
            if rung.due_at > now && reached {
                break;
            }
            time = Some(rung.due_at);
            reached = false;
        }
        reached |= act(tx, row, round, rung)?;
    }
    set_timer(tx, row, round)
}

fn set_timer(tx: &mut Tx<'_>, row: &Row, round: i32) -> Result<()> {
    let now = tx.now();
    let all = rungs(tx.db(), row.id, round)?;
    let next = all.iter().find(|rung| rung.state == RungState::Waiting.as_str()).map(|rung| rung.due_at);
    let due_at = match next {
        Some(due_at) => due_at,
        None => {
            let reached = all.iter().any(|rung| matches!(rung.state.as_str(), "told" | "sending"));
            if !reached {
                story::add(tx, row.id, None, &Fact::Exhausted)?;
            }
            let ladder = ladders::for_incident(tx.db(), row.facility_id, &row.scenario, row.priority()?)?;
            let pace = i64::from(ladder.repeat_seconds);
            now.plus_seconds(if row.repeats >= FAST_REPEATS { pace.max(SLOW_REPEAT_S) } else { pace })
        }
    };
    tx.set_timer(NewTimer {
        key: timer_key(row.id),
        module: MODULE,
        kind: TIMER,
        facility: Some(row.facility_id),
        data: json!({ "incident": row.id }),
        due_at,
    })
}

/// The whole ladder was climbed and nobody answered: everybody is told again.
fn repeat(tx: &mut Tx<'_>, row: &Row) -> Result<()> {
    let times = row.repeats + 1;
    diesel::update(incident::table.find(row.id.0))
        .set((incident::repeats.eq(times), incident::version.eq(incident::version + 1)))
        .execute(tx.db())?;
    story::add(tx, row.id, None, &Fact::Repeated { times })?;
    for rung in rungs(tx.db(), row.id, row.round)? {
        act(tx, row, row.round, &rung)?;
    }
    let row = story::row(tx.db(), row.id)?;
    set_timer(tx, &row, row.round)?;
    story::publish(tx, &row, "incidents.incident.told", None)
}

/// Tells a rung, or passes it. Answers whether it reached somebody (or a message is on its way).
fn act(tx: &mut Tx<'_>, row: &Row, round: i32, rung: &RungRow) -> Result<bool> {
    let target: Target = rung.target.parse()?;
    let channel: Channel = rung.channel.parse()?;
    let reach = reach::find(tx, row, target, rung.rank, channel)?;
    let (state, reason, effect, who) = match reach {
        Reach::Nobody(reason, who) => (RungState::Passed, Some(reason), None, who),
        Reach::Board(who) => (RungState::Told, None, None, who),
        Reach::Webhook { endpoint, who } => {
            let message = webhook::message(tx, row, target, &who)?;
            let id = tx.enqueue_effect(NewEffect {
                module: MODULE,
                kind: webhook::KIND,
                subject: row.id.to_string(),
                facility: Some(row.facility_id),
                target: webhook::address(endpoint),
                payload: message,
                valid_until: tx.now().plus_seconds(MESSAGE_VALID_S),
            })?;
            (RungState::Sending, None, Some(id), who)
        }
    };
    mark(tx, row.id, round, rung.position, state, reason, effect, &who)?;
    let who = names(&who);
    let fact = match (state, reason, effect) {
        (RungState::Told, _, _) => Fact::Told { target, channel, who },
        (_, _, Some(effect)) => Fact::Sending { target, who, effect: effect.to_string() },
        (_, reason, None) => Fact::Passed { target, channel, who, reason: reason.unwrap_or(Reason::Nobody) },
    };
    story::add(tx, row.id, None, &fact)?;
    if state == RungState::Told {
        mark_notified(tx, row.id)?;
    }
    Ok(state != RungState::Passed)
}

#[allow(clippy::too_many_arguments)] // one column each
fn mark(
    tx: &mut Tx<'_>,
    id: IncidentId,
    round: i32,
    position: i32,
    state: RungState,
    reason: Option<Reason>,
    effect: Option<EffectId>,
    who: &[Person],
) -> Result<()> {
    let now = tx.now();
    diesel::update(incident_rung::table.find((id.0, round, position)))
        .set((
            incident_rung::state.eq(state.as_str()),
            incident_rung::reason.eq(reason.map(Reason::as_str)),
            incident_rung::done_at.eq(now),
            incident_rung::who.eq(serde_json::to_string(who)?),
            incident_rung::effect_id.eq(effect.map(|id| id.0)),
        ))
        .execute(tx.db())?;
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
        .execute(tx.db())?;
    Ok(())
}

/// What came of a message: told, or the rung is passed at its first failure while delivery goes on trying.
pub(crate) fn on_effect(tx: &mut Tx<'_>, effect: &Effect, outcome: &Outcome) -> Result<()> {
    let found: Option<RungRow> = incident_rung::table
        .filter(incident_rung::effect_id.eq(effect.id.0))
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
    if let Some(RungRow { round, position, target, who, state, .. }) = found {
        let who: Vec<Person> = serde_json::from_str(&who)?;
        let target: Target = target.parse()?;
        match (outcome, state.as_str()) {
            (Outcome::Delivered, _) => {
                mark(tx, id, round, position, RungState::Told, None, Some(effect.id), &who)?;
                story::add(tx, id, None, &Fact::Told { target, channel: Channel::Webhook, who: names(&who) })?;
                mark_notified(tx, id)?;
            }
            (_, "sending") => {
                let reason = Some(Reason::ChannelFailed);
                mark(tx, id, round, position, RungState::Passed, reason, Some(effect.id), &who)?;
                go_on(tx, id, round, position)?;
            }
            _ => {}
        }
    }
    touch(tx, id)
}

/// A rung turned out to reach nobody: unless another one of its time did, the next is told now.
fn go_on(tx: &mut Tx<'_>, id: IncidentId, round: i32, position: i32) -> Result<()> {
    let row = story::row(tx.db(), id)?;
    if !row.status()?.is_unanswered() || row.round != round {
        return Ok(());
    }
    let all = rungs(tx.db(), id, round)?;
    let time = all.iter().find(|rung| rung.position == position).map(|rung| rung.due_at);
    let reached = all
        .iter()
        .filter(|rung| Some(rung.due_at) == time)
        .any(|rung| matches!(rung.state.as_str(), "told" | "sending"));
    let waiting = all.iter().any(|rung| rung.state == RungState::Waiting.as_str());
    let any = all.iter().any(|rung| matches!(rung.state.as_str(), "told" | "sending"));
    match (waiting, reached, any) {
        (true, false, _) => advance(tx, &row, round, true),
        (false, _, false) => story::add(tx, id, None, &Fact::Exhausted),
        _ => Ok(()),
    }
}

fn touch(tx: &mut Tx<'_>, id: IncidentId) -> Result<()> {
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
