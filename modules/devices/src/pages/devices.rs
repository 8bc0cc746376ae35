//! `/devices`: the list, with figures, filter, paging and the same as CSV.

use std::collections::HashMap;

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Csv, Ctx, Figure, Menu, Route, Section, cursor, cut, url};
use songhe_kernel::identity::Scope;
use songhe_kernel::{FacilityId, Moment, Result, Text};
use songhe_registry::RESIDENTS_READ;

use super::PAGE_ROWS;
use crate::list::{self, Condition, Filter, Listed};
use crate::module::{DEVICES_READ, DEVICES_WRITE, QUARANTINE_READ};
use crate::register::{CLASSES, DeviceId};
use crate::{quarantine, words};

/// Rows of a CSV file.
const CSV_ROWS: i64 = 10_000;

pub(super) fn routes() -> Vec<Route> {
    let menu = Menu { key: "devices-menu-devices", icon: "device", section: Section::Manage, order: 50 };
    vec![Route::get("/devices", Access::Permission(DEVICES_READ), list).menu(menu)]
}

#[derive(Deserialize)]
struct Query {
    #[serde(default)]
    q: String,
    #[serde(default)]
    class: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    format: String,
}

#[derive(Serialize)]
struct Page {
    figures: Vec<Figure>,
    items: Vec<Row>,
    q: String,
    class: String,
    state: String,
    classes: Vec<Choice>,
    states: Vec<Choice>,
    filtered: bool,
    can_edit: bool,
    quarantined: usize,
    first_url: Option<String>,
    next_url: Option<String>,
    csv_url: Option<String>,
}

#[derive(Serialize)]
struct Row {
    id: DeviceId,
    name: String,
    serial: String,
    class_name: String,
    place: String,
    resident_name: Option<String>,
    online: bool,
    last_at: Option<Moment>,
    battery: Option<i64>,
    low_battery: bool,
}

impl Row {
    fn new(ctx: &Ctx, listed: Listed) -> Self {
        let device = listed.device;
        let sees_residents = ctx.caller().facilities(RESIDENTS_READ).contains(device.facility_id);
        Self {
            id: device.id,
            class_name: ctx.say(&Text::key(words::class_key(&device.class))),
            name: device.name,
            serial: device.serial,
            place: listed.place_label.unwrap_or_default(),
            resident_name: listed.resident_name.filter(|_| sees_residents),
            online: listed.online,
            last_at: listed.last_seen_at,
            battery: listed.battery_percent,
            low_battery: listed.low_battery,
        }
    }
}

const fn condition_key(condition: Condition) -> &'static str {
    match condition {
        Condition::Online => "devices-filter-online",
        Condition::Offline => "devices-filter-offline",
        Condition::LowBattery => "devices-filter-low-battery",
        Condition::Unbound => "devices-filter-unbound",
    }
}

/// Devices in all, on line, with a low battery; senders in quarantine.
struct Counts {
    all: i64,
    online: i64,
    low_battery: i64,
    quarantined: usize,
}

async fn count(ctx: &Ctx, scope: Scope, now: Moment) -> Result<Counts> {
    let quarantine_scope = ctx.caller().can(QUARANTINE_READ).then(|| ctx.caller().facilities(QUARANTINE_READ).clone());
    ctx.app()
        .db
        .read(move |db| {
            let mut filter = Filter::all(scope);
            let all = list::count(db, &filter, now)?;
            filter.condition = Some(Condition::Online);
            let online = list::count(db, &filter, now)?;
            filter.condition = Some(Condition::LowBattery);
            let low_battery = list::count(db, &filter, now)?;
            let quarantined = match quarantine_scope {
                Some(scope) => quarantine::groups(db, &scope)?.len(),
                None => 0,
            };
            Ok(Counts { all, online, low_battery, quarantined })
        })
        .await
}

fn figures(ctx: &Ctx, counts: &Counts) -> Vec<Figure> {
    let figure =
        |key: &'static str, value: String, tone| Figure { label: ctx.say(&Text::key(key)), value, note: None, tone };
    let mut figures = vec![
        figure("devices-figure-total", counts.all.to_string(), None),
        figure("devices-figure-online", counts.online.to_string(), Some("good")),
        figure("devices-figure-low-battery", counts.low_battery.to_string(), Some("medium")),
    ];
    if ctx.caller().can(QUARANTINE_READ) {
        figures.push(figure("devices-figure-quarantine", counts.quarantined.to_string(), Some("medium")));
    }
    figures
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let scope = ctx.caller().facilities(DEVICES_READ).clone();
    let filter = Filter {
        scope: scope.clone(),
        text: query.q.clone(),
        class: Some(query.class.clone()).filter(|class| !class.is_empty()),
        condition: Condition::parse(&query.state),
        after: cursor(&query.after)?,
    };
    let now = ctx.app().clock.now();
    if query.format == "csv" {
        return csv(&ctx, Filter { after: None, ..filter }, now).await;
    }
    let mut rows = ctx.app().db.read(move |db| list::list(db, &filter, now, PAGE_ROWS + 1)).await?;
    let more = cut(&mut rows, PAGE_ROWS);
    let items: Vec<Row> = rows.into_iter().map(|listed| Row::new(&ctx, listed)).collect();
    let at = |after: &str, format: &str| {
        let pairs = [
            ("q", &*query.q),
            ("class", &*query.class),
            ("state", &*query.state),
            ("after", after),
            ("format", format),
        ];
        url("/devices", &pairs)
    };
    let counts = count(&ctx, scope, now).await?;
    let page = Page {
        figures: figures(&ctx, &counts),
        quarantined: counts.quarantined,
        classes: class_choices(&ctx),
        states: Condition::ALL
            .map(|condition| Choice::new(condition.as_str(), ctx.say(&Text::key(condition_key(condition)))))
            .to_vec(),
        filtered: !(query.q.trim().is_empty() && query.class.is_empty() && query.state.is_empty()),
        can_edit: ctx.caller().can(DEVICES_WRITE),
        first_url: (!query.after.is_empty()).then(|| at("", "")),
        next_url: items.last().filter(|_| more).map(|row| at(&row.id.to_string(), "")),
        csv_url: (!items.is_empty()).then(|| at("", "csv")),
        items,
        q: query.q.clone(),
        class: query.class.clone(),
        state: query.state.clone(),
    };
    ctx.page("devices/devices", &page)
}

pub(super) fn class_choices(ctx: &Ctx) -> Vec<Choice> {
    let name = |class: &str| format!("{class} {}", ctx.say(&Text::key(words::class_key(class))));
    CLASSES.iter().map(|class| Choice::new(class, name(class))).collect()
}

/// What the filter shows, of all pages.
async fn csv(ctx: &Ctx, filter: Filter, now: Moment) -> Result<HttpResponse> {
    let (rows, zones) = ctx
        .app()
        .db
        .read(move |db| {
            let rows = list::list(db, &filter, now, CSV_ROWS)?;
            let mut zones: HashMap<FacilityId, chrono_tz::Tz> = HashMap::new();
            for row in &rows {
                let id = row.device.facility_id;
                if let std::collections::hash_map::Entry::Vacant(entry) = zones.entry(id) {
                    entry.insert(songhe_registry::zone_of(db, id)?);
                }
            }
            Ok((rows, zones))
        })
        .await?;
    let heads = [
        "devices-serial",
        "kernel-name",
        "devices-class",
        "registry-place",
        "incidents-resident",
        "devices-last-seen",
        "devices-battery",
        "kernel-state",
    ];
    let mut csv = Csv::new(heads.map(|key| ctx.say(&Text::key(key))));
    for listed in rows {
        let zone = zones.get(&listed.device.facility_id).copied().unwrap_or(songhe_kernel::time::DEFAULT_ZONE);
        let row = Row::new(ctx, listed);
        let state = if row.online { "devices-online" } else { "devices-offline" };
        csv.line([
            row.serial,
            row.name,
            row.class_name,
            row.place,
            row.resident_name.unwrap_or_default(),
            row.last_at.map(|at| at.in_zone(zone).format("%Y-%m-%d %H:%M").to_string()).unwrap_or_default(),
            row.battery.map(|percent| percent.to_string()).unwrap_or_default(),
            ctx.say(&Text::key(state)),
        ]);
    }
    Ok(csv.answer("devices.csv"))
}
