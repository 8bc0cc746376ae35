//! Would a ladder reach anybody? Looked at for every hour of the coming week, on saving and daily.

use std::collections::HashSet;

use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::Serialize;
use songhe_kernel::{Db, Moment, Result};
use songhe_registry::{self as registry, Duty, Shift, StaffId};

use crate::ladders::Ladder;
use crate::model::{Channel, Target};
use crate::reach;

/// How far is looked ahead.
const HOURS: i64 = 7 * 24;

/// A stretch of time, whole hours of the facility, in which a call would reach nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Gap {
    pub from: Moment,
    pub until: Moment,
}

/// What a rung depends on, looked up once.
struct Facts {
    shifts: Vec<Shift>,
    /// Staff who can stand before a board: they have an account.
    with_account: HashSet<StaffId>,
    supervisors: bool,
    /// Staff with a phone number.
    with_phone: HashSet<StaffId>,
    /// By target and channel: whether the endpoint reaches people only by numbers of their own.
    ways: Vec<(Target, Channel, bool)>,
}

/// The hours of the coming week in which no rung of the ladder could reach anybody, joined to stretches. A board rung
/// counts if somebody with an account is on duty to stand before one; contacts are counted on only with an endpoint, since whether the
/// resident has any is known when the call comes.
pub fn gaps(db: &mut Db, ladder: &Ladder, zone: Tz, now: Moment) -> Result<Vec<Gap>> {
    let first = start_of_hour(now, zone);
    let until = first.plus_seconds(HOURS * 3_600);
    let mut ways = Vec::new();
    for rung in ladder.rungs.iter().filter(|rung| rung.channel != Channel::Board) {
        let found = reach::endpoints(db, ladder.facility, rung.target, rung.channel)?;
        if !found.is_empty() {
            ways.push((rung.target, rung.channel, found.iter().all(reach::Candidate::needs_numbers)));
        }
    }
    let staff = registry::staff_in(db, ladder.facility)?;
    let facts = Facts {
        shifts: registry::duty_hours(db, ladder.facility, first, until)?,
        with_account: staff.iter().filter(|member| member.user_id.is_some()).map(|member| member.id).collect(),
        with_phone: staff.iter().filter(|member| member.phone.is_some()).map(|member| member.id).collect(),
        supervisors: !reach::supervisors(db, ladder.facility)?.is_empty(),
        ways,
    };
    let mut found: Vec<Gap> = Vec::new();
    for hour in 0..HOURS {
        let (from, to) = (first.plus_seconds(hour * 3_600), first.plus_seconds((hour + 1) * 3_600));
        if covered(ladder, &facts, from, to) {
            continue;
        }
        match found.last_mut() {
            Some(last) if last.until == from => last.until = to,
            _ => found.push(Gap { from, until: to }),
        }
    }
    Ok(found)
}

fn start_of_hour(now: Moment, zone: Tz) -> Moment {
    use chrono::Timelike;
    let local = now.in_zone(zone);
    now.plus_seconds(-i64::from(local.minute() * 60 + local.second()))
}

fn covered(ladder: &Ladder, facts: &Facts, from: Moment, to: Moment) -> bool {
    ladder.rungs.iter().any(|rung| {
        let way = facts.ways.iter().find(|(target, channel, _)| (*target, *channel) == (rung.target, rung.channel));
        let needed = match (rung.channel, way) {
            (Channel::Board, _) => Some(&facts.with_account),
            (_, None) => return false,
            (_, Some((_, _, true))) => Some(&facts.with_phone),
            (_, Some((_, _, false))) => None,
        };
        let duties: &[Duty] = match rung.target {
            Target::OnCall => &[Duty::Carer, Duty::Nurse],
            Target::NurseLead => &[Duty::NurseLead],
            Target::Manager => &[Duty::Manager],
            // Supervisors have no number here.
            Target::StreetCentre => return facts.supervisors && (rung.channel == Channel::Board || needed.is_none()),
            Target::Contact => return true,
        };
        on_duty(facts, duties, needed, from, to)
    })
}

/// Somebody of these duties is there for the whole hour (one after the other is enough).
fn on_duty(facts: &Facts, duties: &[Duty], of: Option<&HashSet<StaffId>>, from: Moment, to: Moment) -> bool {
    let counts =
        |shift: &&Shift| duties.contains(&shift.duty) && of.is_none_or(|staff| staff.contains(&shift.staff_id));
    let mut covered_until = from;
    while covered_until < to {
        let here = facts.shifts.iter().filter(counts).filter(|shift| shift.starts_at <= covered_until);
        match here.map(|shift| shift.ends_at).max() {
            Some(end) if end > covered_until => covered_until = end,
            _ => return false,
        }
    }
    true
}
