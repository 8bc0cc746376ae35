//! The alarm board. Its fragment depends on the state alone, never on the time: unchanged, it keeps its ETag.

use std::collections::HashMap;

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Ctx, Menu, Route, Section, StreamId};
use songhe_kernel::identity::Scope;
use songhe_kernel::time::DEFAULT_ZONE;
use songhe_kernel::{Db, Error, FacilityId, Moment, Result, Text, UserId};
use songhe_registry::{self as registry, Resident, ResidentId};

use super::{ResidentModel, detail_words, home_facility};
use crate::lists::{self, Names};
use crate::model::{IncidentId, Row, RungRow, RungState, Status};
use crate::module::{INCIDENTS_ACT, INCIDENTS_READ};
use crate::presence;
use crate::reach::Person;
use crate::shift::{self, Metrics};

const RECENT: i64 = 6;
/// A stream's or a tab's name is at most so long.
const MAX_NAME: usize = 64;

pub(super) fn routes() -> Vec<Route> {
    let read = Access::Permission(INCIDENTS_READ);
    let menu = Menu { key: "incidents-menu-board", icon: "bell", section: Section::Work, order: 10 };
    vec![
        Route::get("/incidents/board", read, page).menu(menu),
        Route::get("/incidents/board/fragment", read, fragment),
        Route::post("/incidents/board/presence", Access::Permission(INCIDENTS_ACT), say_present)
            .unaudited(presence::WHY_UNAUDITED),
    ]
}

#[derive(Serialize)]
struct Page {
    #[serde(flatten)]
    body: Body,
    topic: &'static str,
    shift_name: Option<String>,
    sound_expected: bool,
}

#[derive(Serialize)]
struct Body {
    open: Vec<Card>,
    shift: Option<Shift>,
    recent: Vec<Recent>,
}

#[derive(Serialize)]
struct Shift {
    resolved: usize,
    mean_response_s: Option<i64>,
    within_60_s_pct: Option<String>,
    false_alarms: usize,
    since: Moment,
}

#[derive(Serialize)]
struct Recent {
    id: IncidentId,
    resolved_at: Option<Moment>,
    place: String,
    kind: String,
    response_s: Option<i64>,
    outcome: String,
    note: String,
}

#[derive(Serialize)]
struct Card {
    id: IncidentId,
    kind: String,
    priority: String,
    status: String,
    place: String,
    resident: Option<ResidentModel>,
    source: String,
    detail: String,
    raised_at: Moment,
    delayed_s: Option<i64>,
    presses: i32,
    unanswered: bool,
    rungs: Vec<Rung>,
    exhausted: bool,
    acknowledged: Option<Answered>,
    on_site: Option<Arrived>,
    can_act: bool,
}

#[derive(Serialize)]
struct Rung {
    state: &'static str,
    at: Moment,
    target: String,
    channel: String,
    who: Vec<String>,
    me: bool,
    reason: Option<String>,
}

#[derive(Serialize)]
struct Answered {
    by: String,
    me: bool,
    at: Moment,
    response_s: i64,
}

#[derive(Serialize)]
struct Arrived {
    by: String,
    me: bool,
    at: Moment,
}

/// What the board is made from, read in one connection.
struct Facts {
    zone: chrono_tz::Tz,
    shift_name: Option<String>,
    since: Moment,
    open: Vec<Row>,
    rungs: HashMap<IncidentId, Vec<RungRow>>,
    residents: HashMap<ResidentId, Resident>,
    names: Names,
    recent: Vec<Row>,
    metrics: Metrics,
}

async fn page(ctx: Ctx) -> Result<HttpResponse> {
    let facts = facts(&ctx).await?;
    let ctx = ctx.in_zone(facts.zone);
    let page = Page {
        body: body(&ctx, &facts)?,
        topic: "incidents",
        shift_name: facts.shift_name,
        sound_expected: ctx.caller().can(INCIDENTS_ACT),
    };
    ctx.page("incidents/board", &page)
}

async fn fragment(ctx: Ctx) -> Result<HttpResponse> {
    let facts = facts(&ctx).await?;
    let ctx = ctx.in_zone(facts.zone);
    let body = body(&ctx, &facts)?;
    ctx.fragment("incidents/board-fragment", &body)
}

async fn facts(ctx: &Ctx) -> Result<Facts> {
    let scope = ctx.caller().facilities(INCIDENTS_READ).clone();
    let (user, now) = (ctx.caller().user_id, ctx.app().clock.now());
    ctx.app().db.read(move |db| read(db, &scope, user, now)).await
}

fn read(db: &mut Db, scope: &Scope, user: UserId, now: Moment) -> Result<Facts> {
    let home = home_facility(db, user, scope)?;
    let (zone, shift) = match home {
        Some(home) => (registry::zone_of(db, home)?, registry::current_shift(db, home, now)?),
        None => (DEFAULT_ZONE, None),
    };
    // Without a shift the day stands for it.
    let midnight = Moment::from_local(now.day_in(zone).and_time(chrono::NaiveTime::MIN), zone);
    let since = shift.as_ref().map_or(midnight, |shift| shift.starts_at);
    let counted = home.map_or_else(|| scope.clone(), |home: FacilityId| Scope::Only(vec![home]));
    let open = lists::open(db, scope)?;
    let recent = lists::recently_closed(db, &counted, since, RECENT)?;
    // Up to any later moment: what is closed right now counts.
    let (metrics, _) = shift::metrics(db, &counted, since, now.plus_seconds(86_400))?;
    Ok(Facts {
        zone,
        shift_name: shift.map(|shift| shift.name),
        since,
        rungs: lists::rungs_of(db, &open)?,
        residents: lists::residents_of(db, &open)?,
        names: lists::names_on(db, &open)?,
        open,
        recent,
        metrics,
    })
}

fn body(ctx: &Ctx, facts: &Facts) -> Result<Body> {
    let open = facts.open.iter().map(|row| card(ctx, facts, row)).collect::<Result<_>>()?;
    let recent = facts.recent.iter().map(recent).collect::<Result<_>>()?;
    let metrics = &facts.metrics;
    let shift = Some(Shift {
        resolved: metrics.resolved,
        mean_response_s: metrics.mean_response_s,
        within_60_s_pct: metrics.within_60_s.map(shift::percent),
        false_alarms: metrics.false_alarms,
        since: facts.since,
    });
    Ok(Body { open, shift, recent })
}

fn card(ctx: &Ctx, facts: &Facts, row: &Row) -> Result<Card> {
    let status = row.status()?;
    let unanswered = status.is_unanswered();
    let me = ctx.caller().user_id;
    let name = |user: Option<UserId>| user.and_then(|id| facts.names.get(&id)).cloned().unwrap_or_default();
    let none = Vec::new();
    let rows = facts.rungs.get(&row.id).unwrap_or(&none);
    let today = ctx.app().clock.now().day_in(facts.zone);
    let resident = row.resident_id.and_then(|id| facts.residents.get(&id));
    Ok(Card {
        id: row.id,
        kind: row.kind.clone(),
        priority: row.priority.clone(),
        status: row.status.clone(),
        place: row.place_label.clone(),
        resident: resident.map(|resident| ResidentModel::of(ctx, resident, today)),
        source: row.source.clone(),
        detail: detail_words(ctx, row),
        raised_at: row.raised_at,
        delayed_s: row.delayed_s,
        presses: row.presses,
        unanswered,
        rungs: rungs(rows, me)?,
        exhausted: unanswered && !rows.iter().any(|rung| rung.state == RungState::Waiting.as_str()),
        // A call that came again after an answer waits for a new one.
        acknowledged: row.acknowledged_at.filter(|_| !unanswered).map(|at| Answered {
            by: name(row.acknowledged_by),
            me: row.acknowledged_by == Some(me),
            at,
            response_s: row.response_s().unwrap_or_default(),
        }),
        on_site: row.arrived_at.filter(|_| status == Status::OnSite).map(|at| Arrived {
            by: name(row.arrived_by),
            me: row.arrived_by == Some(me),
            at,
        }),
        can_act: ctx.caller().facilities(INCIDENTS_ACT).contains(row.facility_id),
    })
}

fn rungs(rows: &[RungRow], me: UserId) -> Result<Vec<Rung>> {
    let mut next_seen = false;
    rows.iter()
        .map(|row| {
            let state = match row.state.parse()? {
                RungState::Waiting if next_seen => "later",
                RungState::Waiting => {
                    next_seen = true;
                    "next"
                }
                RungState::Sending | RungState::Told => "told",
                RungState::Passed => "passed",
                RungState::Stopped => "stopped",
            };
            let people: Vec<Person> = serde_json::from_str(&row.who)?;
            let is_me = |person: &Person| person.user == Some(me);
            Ok(Rung {
                state,
                at: row.done_at.unwrap_or(row.due_at),
                target: row.target.clone(),
                channel: row.channel.clone(),
                me: people.iter().any(is_me),
                who: people.into_iter().filter(|person| !is_me(person)).map(|person| person.name).collect(),
                reason: row.reason.clone(),
            })
        })
        .collect()
}

fn recent(row: &Row) -> Result<Recent> {
    let resolution = row.resolution()?;
    Ok(Recent {
        id: row.id,
        resolved_at: row.resolved_at,
        place: row.place_label.clone(),
        kind: row.kind.clone(),
        response_s: row.response_s(),
        outcome: row.outcome.clone().unwrap_or_default(),
        note: resolution.map(|resolution| resolution.note).unwrap_or_default(),
    })
}

#[derive(Deserialize)]
struct Presence {
    stream: String,
    tab: String,
    sound: bool,
}

/// A board says whether it can be heard. The stream's id is known to its own page only.
async fn say_present(ctx: Ctx) -> Result<HttpResponse> {
    let form: Presence = ctx.form()?;
    let plain = |name: &str| (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
    if !plain(&form.stream) || !plain(&form.tab) {
        return Err(Error::BadRequest(Text::key("error-bad-request")));
    }
    presence::say(&ctx, StreamId(form.stream), Some(&form.tab), form.sound).await?;
    ctx.no_content()
}
