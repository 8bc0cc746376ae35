//! `/care-beds`: figures, and the beds with what goes on there now. The head comment of `templates/care-beds/beds.hbs` is the
//! contract of the model here.

use std::collections::HashMap;

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use songhe_incidents::{IncidentId, Priority};
use songhe_kernel::http::{Access, Choice, Ctx, Figure, Menu, Route, Section, cursor, cut, url};
use songhe_kernel::identity::Scope;
use songhe_kernel::{Db, Error, FacilityId, Moment, Result, Text};
use songhe_registry::{Facility, Resident, ResidentId, Sex, facilities_in};

use crate::around::{DeviceCount, OpenIncident, devices_at, devices_of, open_incidents, waiting_calls};
use crate::beds::{BedFilter, BedRow, Status, count_care_beds, list_care_beds};
use crate::calls::{call_counts, last_calls};
use crate::figures::Share;
use crate::indicators::{Indicators, indicators};
use crate::{CARE_BEDS_READ, CareBedId, MODULE};

const PAGE_ROWS: i64 = 50;
/// Published targets, in thousandths: answered within 60 s, within 180 s.
const TARGET_60_S: i64 = 975;
const TARGET_180_S: i64 = 990;

pub(crate) fn routes() -> Vec<Route> {
    let menu = Menu { key: "care-beds-menu", icon: "bed", section: Section::Scenes, order: 10 };
    vec![Route::get("/care-beds", Access::Permission(CARE_BEDS_READ), list).menu(menu)]
}

#[derive(Deserialize)]
struct Query {
    #[serde(default)]
    q: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    after: String,
}

#[derive(Serialize)]
struct Page {
    region: String,
    figures: Vec<Figure>,
    items: Vec<Item>,
    total: i64,
    q: String,
    status: String,
    statuses: Vec<Choice>,
    filtered: bool,
    first_url: Option<String>,
    next_url: Option<String>,
}

#[derive(Serialize)]
struct Item {
    id: CareBedId,
    resident_id: ResidentId,
    name: String,
    sex: Sex,
    age: Option<u32>,
    notes: Vec<String>,
    address: String,
    now: Now,
    last_call_at: Option<Moment>,
    calls_month: i64,
    devices_online: i64,
    devices: i64,
    status: Status,
}

#[derive(Serialize)]
struct Now {
    incident_id: Option<IncidentId>,
    priority: Option<Priority>,
    text: String,
}

/// All that one reading of the database gives.
struct Found {
    facilities: HashMap<FacilityId, Facility>,
    rows: Vec<BedRow>,
    more: bool,
    total: i64,
    counts: HashMap<CareBedId, i64>,
    last: HashMap<CareBedId, Option<Moment>>,
    open: HashMap<ResidentId, OpenIncident>,
    devices: HashMap<ResidentId, DeviceCount>,
    indicators: Indicators,
    waiting: i64,
    station_devices: DeviceCount,
}

fn find(db: &mut Db, filter: &BedFilter, now: Moment) -> Result<Found> {
    let scope: &Scope = &filter.scope;
    let facilities: HashMap<FacilityId, Facility> =
        facilities_in(db, scope)?.into_iter().map(|facility| (facility.id, facility)).collect();
    let mut rows = list_care_beds(db, filter, PAGE_ROWS + 1)?;
    let more = cut(&mut rows, PAGE_ROWS);
    let beds: Vec<CareBedId> = rows.iter().map(|(bed, ..)| bed.id).collect();
    let residents: Vec<ResidentId> = rows.iter().map(|(bed, ..)| bed.resident_id).collect();
    // A closed bed of a resident who has a new one does not count that one's devices.
    let served: Vec<_> = rows
        .iter()
        .filter(|(bed, ..)| bed.status != Status::Closed)
        .map(|(bed, ..)| (bed.resident_id, bed.place_id))
        .collect();
    let indicators = indicators(db, scope, now)?;
    // Stations that do nothing but care beds: elsewhere most devices belong to other scenarios.
    let stations: Vec<FacilityId> =
        facilities.values().filter(|facility| facility.scenario == MODULE).map(|facility| facility.id).collect();
    Ok(Found {
        more,
        total: count_care_beds(db, filter)?,
        counts: call_counts(db, &beds, indicators.since)?.into_iter().collect(),
        last: last_calls(db, &beds)?.into_iter().collect(),
        open: open_incidents(db, &residents)?,
        devices: devices_of(db, &served)?,
        waiting: waiting_calls(db, scope)?,
        station_devices: devices_at(db, &stations)?,
        indicators,
        facilities,
        rows,
    })
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let filter = BedFilter {
        status: Status::parse(&query.status),
        text: query.q.clone(),
        after: cursor(&query.after)?,
        ..BedFilter::within(ctx.caller().facilities(CARE_BEDS_READ).clone())
    };
    let now = ctx.app().clock.now();
    let found = ctx.app().db.read(move |db| find(db, &filter, now)).await?;
    let region = match found.indicators.facilities.as_slice() {
        [only] => only.facility.clone(),
        _ => ctx.say(&Text::key("kernel-section-scenes")),
    };
    let figures = figures(&ctx, &found);
    let items: Vec<Item> = found.rows.iter().map(|row| item(&ctx, &found, row, now)).collect::<Result<_>>()?;
    let at = |after: &str| url("/care-beds", &[("q", &query.q), ("status", &query.status), ("after", after)]);
    let label = |status: Status| Choice::new(status.as_str(), ctx.say(&Text::key(status.text_key())));
    ctx.page(
        "care-beds/beds",
        &Page {
            region,
            figures,
            total: found.total,
            statuses: Status::ALL.map(label).into(),
            filtered: !query.q.trim().is_empty() || !query.status.is_empty(),
            first_url: (!query.after.is_empty()).then(|| at("")),
            next_url: items.last().filter(|_| found.more).map(|item| at(&item.id.to_string())),
            items,
            q: query.q,
            status: query.status,
        },
    )
}

fn item(ctx: &Ctx, found: &Found, row: &BedRow, now: Moment) -> Result<Item> {
    let (bed, resident, address) = row;
    let facility = found.facilities.get(&bed.facility_id).ok_or(Error::NotFound)?;
    let devices = match bed.status {
        Status::Closed => DeviceCount::default(),
        _ => found.devices.get(&bed.resident_id).copied().unwrap_or_default(),
    };
    Ok(Item {
        id: bed.id,
        resident_id: resident.id,
        name: resident.name.clone(),
        sex: resident.sex,
        age: resident.age_on(now.day_in(facility.tz()?)),
        notes: notes(ctx, resident),
        address: address.clone(),
        now: match found.open.get(&resident.id) {
            Some(open) => Now {
                incident_id: Some(open.id),
                priority: Some(open.priority),
                text: ctx.say(&Text::key(open.kind.text_key())),
            },
            None => Now { incident_id: None, priority: None, text: ctx.say(&Text::key("care-beds-now-quiet")) },
        },
        last_call_at: found.last.get(&bed.id).copied().flatten(),
        calls_month: found.counts.get(&bed.id).copied().unwrap_or_default(),
        devices_online: devices.online,
        devices: devices.all,
        status: bed.status,
    })
}

/// What carers should know at a glance, in words.
fn notes(ctx: &Ctx, resident: &Resident) -> Vec<String> {
    let keys = [
        resident.living_alone.then_some("registry-living-alone"),
        resident.fall_risk_high.then_some("registry-fall-risk-high"),
    ];
    keys.into_iter().flatten().map(|key| ctx.say(&Text::key(key))).collect()
}

fn figures(ctx: &Ctx, found: &Found) -> Vec<Figure> {
    let say = |key: &'static str| ctx.say(&Text::key(key));
    let calls = &found.indicators.total;
    let active: i64 = found.indicators.facilities.iter().map(|facility| facility.beds_active).sum();
    let suspended: i64 = found.indicators.facilities.iter().map(|facility| facility.beds_suspended).sum();
    let answered = |label: &'static str, share: Share, target: i64| Figure {
        label: say(label),
        value: share.per_mille().map_or_else(|| say("kernel-dash"), percent),
        note: Some(ctx.say(&Text::key("care-beds-figure-within-note").arg("target", percent(target)))),
        tone: share.per_mille().map(|reached| if reached >= target { "good" } else { "medium" }),
    };
    let on_site = calls.on_site_within_30_min;
    vec![
        Figure {
            label: say("care-beds-figure-active"),
            value: active.to_string(),
            note: Some(ctx.say(&Text::key("care-beds-figure-active-note").arg("n", suspended))),
            tone: None,
        },
        Figure {
            label: say("care-beds-figure-open"),
            value: found.waiting.to_string(),
            note: Some(ctx.say(&Text::key("care-beds-figure-open-note").arg("n", calls.calls))),
            tone: None,
        },
        answered("care-beds-figure-within-60", calls.within_60_s, TARGET_60_S),
        answered("care-beds-figure-within-180", calls.within_180_s, TARGET_180_S),
        Figure {
            label: say("care-beds-figure-on-site"),
            value: calls.on_site_median_s.map_or_else(
                || say("kernel-dash"),
                |seconds| {
                    // Rounded up: nobody is told that help came sooner than it did.
                    ctx.say(&Text::key("care-beds-minutes").arg("n", (seconds + 59) / 60))
                },
            ),
            note: (on_site.of > 0).then(|| {
                ctx.say(&Text::key("care-beds-figure-on-site-note").arg("met", on_site.met).arg("of", on_site.of))
            }),
            tone: None,
        },
        Figure {
            label: say("care-beds-devices"),
            value: format!("{} / {}", found.station_devices.online, found.station_devices.all),
            note: None,
            tone: None,
        },
    ]
}

/// `975` as `97.5%`.
fn percent(per_mille: i64) -> String {
    match per_mille % 10 {
        0 => format!("{}%", per_mille / 10),
        tenth => format!("{}.{tenth}%", per_mille / 10),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousandths_read_as_per_cent() {
        assert_eq!([975, 1000, 999, 0, 5].map(super::percent), ["97.5%", "100%", "99.9%", "0%", "0.5%"]);
    }
}
