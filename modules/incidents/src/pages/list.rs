//! The history of incidents, newest first, and the same as CSV.

use std::collections::HashMap;

use actix_web::HttpResponse;
use chrono::{Days, NaiveDate, NaiveTime};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Csv, Ctx, Menu, Route, Section, cursor, cut};
use songhe_kernel::time::DEFAULT_ZONE;
use songhe_kernel::{Moment, Result, Text};
use songhe_registry::{self as registry, Resident, ResidentId};

use super::home_facility;
use crate::lists::{self, Filter, State};
use crate::model::{IncidentId, Kind, Outcome, Priority, Row};
use crate::module::INCIDENTS_READ;

const PAGE: i64 = 50;
/// Rows of one CSV file.
const MAX_CSV: i64 = 5_000;

pub(super) fn routes() -> Vec<Route> {
    let menu = Menu { key: "incidents-menu-list", icon: "clock", section: Section::Work, order: 20 };
    vec![Route::get("/incidents", Access::Permission(INCIDENTS_READ), page).menu(menu)]
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Query {
    status: String,
    kind: String,
    priority: String,
    from: String,
    to: String,
    after: String,
    format: String,
}

#[derive(Serialize)]
struct Page {
    items: Vec<Item>,
    filter: Shown,
    filtered: bool,
    kinds: Vec<Choice>,
    priorities: Vec<Choice>,
    statuses: Vec<Choice>,
    first_url: Option<String>,
    next_url: Option<String>,
    csv_url: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    status: String,
    kind: String,
    priority: String,
    from: String,
    to: String,
}

#[derive(Serialize)]
struct Item {
    id: IncidentId,
    kind: String,
    priority: String,
    status: String,
    place: String,
    resident_name: Option<String>,
    raised_at: Moment,
    response_s: Option<i64>,
    outcome: Option<String>,
    delayed_s: Option<i64>,
    presses: i32,
}

impl Query {
    /// What cannot be read filters nothing: the form below shows what counts.
    ///
    /// # Errors
    /// `BadRequest` when `after` is no cursor.
    fn filter(&self, ctx: &Ctx, zone: Tz) -> Result<Filter> {
        let start = |day: NaiveDate| Moment::from_local(day.and_time(NaiveTime::MIN), zone);
        Ok(Filter {
            state: match self.status.as_str() {
                "open" => State::Open,
                "closed" => State::Closed,
                _ => State::All,
            },
            kind: Kind::parse(&self.kind),
            priority: Priority::parse(&self.priority),
            from: day(&self.from).map(start),
            to: day(&self.to).and_then(|day| day.checked_add_days(Days::new(1))).map(start),
            after: cursor(&self.after)?,
            ..Filter::within(ctx.caller().facilities(INCIDENTS_READ).clone())
        })
    }

    fn shown(&self) -> Shown {
        let known = |known: bool, text: &str| if known { text.to_owned() } else { String::new() };
        Shown {
            status: known(matches!(self.status.as_str(), "open" | "closed"), &self.status),
            kind: known(Kind::parse(&self.kind).is_some(), &self.kind),
            priority: known(Priority::parse(&self.priority).is_some(), &self.priority),
            from: known(day(&self.from).is_some(), &self.from),
            to: known(day(&self.to).is_some(), &self.to),
        }
    }
}

fn day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

impl Shown {
    /// The address of the list with this filter. The values are words, dates and ids: nothing to escape.
    fn url(&self, more: &str) -> String {
        let pairs = [
            ("status", &self.status),
            ("kind", &self.kind),
            ("priority", &self.priority),
            ("from", &self.from),
            ("to", &self.to),
        ];
        let mut parts: Vec<String> = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !more.is_empty() {
            parts.push(more.to_owned());
        }
        if parts.is_empty() { "/incidents".to_owned() } else { format!("/incidents?{}", parts.join("&")) }
    }

    fn is_any(&self) -> bool {
        [&self.status, &self.kind, &self.priority, &self.from, &self.to].iter().any(|value| !value.is_empty())
    }
}

async fn page(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let (scope, user) = (ctx.caller().facilities(INCIDENTS_READ).clone(), ctx.caller().user_id);
    let zone = ctx
        .app()
        .db
        .read(move |db| match home_facility(db, user, &scope)? {
            Some(home) => registry::zone_of(db, home),
            None => Ok(DEFAULT_ZONE),
        })
        .await?;
    let ctx = ctx.in_zone(zone);
    let (filter, csv) = (query.filter(&ctx, zone)?, query.format == "csv");
    let limit = if csv { MAX_CSV } else { PAGE };
    let (mut rows, residents) = ctx
        .app()
        .db
        .read(move |db| {
            let rows = lists::list(db, &filter, limit + 1)?;
            let residents = lists::residents_of(db, &rows)?;
            Ok((rows, residents))
        })
        .await?;
    let more = cut(&mut rows, limit);
    if csv {
        return Ok(as_csv(&ctx, zone, &rows, &residents));
    }
    let shown = query.shown();
    let page = Page {
        filtered: shown.is_any(),
        kinds: Kind::ALL.iter().map(|kind| Choice::new(kind.as_str(), ctx.say(&Text::key(kind.text_key())))).collect(),
        priorities: Priority::ALL
            .iter()
            .map(|priority| Choice::new(priority.as_str(), ctx.say(&Text::key(priority.text_key()))))
            .collect(),
        statuses: vec![
            Choice::new("open", ctx.say(&Text::key("incidents-filter-status-open"))),
            Choice::new("closed", ctx.say(&Text::key("incidents-filter-status-closed"))),
        ],
        first_url: (!query.after.is_empty()).then(|| shown.url("")),
        next_url: rows.last().filter(|_| more).map(|last| shown.url(&format!("after={}", last.id))),
        csv_url: (!rows.is_empty()).then(|| shown.url("format=csv")),
        items: rows.iter().map(|row| item(row, &residents)).collect(),
        filter: shown,
    };
    ctx.page("incidents/list", &page)
}

fn item(row: &Row, residents: &HashMap<ResidentId, Resident>) -> Item {
    Item {
        id: row.id,
        kind: row.kind.clone(),
        priority: row.priority.clone(),
        status: row.status.clone(),
        place: row.place_label.clone(),
        resident_name: row.resident_id.and_then(|id| residents.get(&id)).map(|resident| resident.name.clone()),
        raised_at: row.raised_at,
        response_s: row.response_s(),
        outcome: row.outcome.clone(),
        delayed_s: row.delayed_s,
        presses: row.presses,
    }
}

fn as_csv(ctx: &Ctx, zone: Tz, rows: &[Row], residents: &HashMap<ResidentId, Resident>) -> HttpResponse {
    let heads = [
        "incidents-incident",
        "incidents-what",
        "incidents-priority",
        "incidents-place",
        "incidents-resident",
        "incidents-raised-at",
        "incidents-csv-response",
        "incidents-status",
        "incidents-outcome",
    ];
    let word = |key: Option<&'static str>| key.map(|key| ctx.say(&Text::key(key))).unwrap_or_default();
    let mut csv = Csv::new(heads.map(|key| ctx.say(&Text::key(key))));
    for row in rows {
        let item = item(row, residents);
        csv.line([
            item.id.to_string(),
            word(Kind::parse(&row.kind).map(Kind::text_key)),
            word(Priority::parse(&row.priority).map(Priority::text_key)),
            item.place,
            item.resident_name.unwrap_or_default(),
            row.raised_at.in_zone(zone).format("%Y-%m-%d %H:%M:%S").to_string(),
            row.response_s().map(|s| s.to_string()).unwrap_or_default(),
            word(row.status().ok().map(crate::Status::text_key)),
            word(row.outcome.as_deref().and_then(Outcome::parse).map(Outcome::text_key)),
        ]);
    }
    csv.answer("incidents.csv")
}
