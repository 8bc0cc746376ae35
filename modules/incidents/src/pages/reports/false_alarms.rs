//! `/reports/false-alarms`: how often kinds of calls, devices and rules were right.

use actix_web::HttpResponse;
use serde::Serialize;
use songhe_kernel::Result;
use songhe_kernel::http::{Access, Csv, Ctx, Route, url};

use super::{About, Query, Shown, percent, say};
use crate::figures::false_alarms::{By, ENOUGH, Of, Rate, rates};
use crate::figures::response::{Figure, Group};
use crate::module::REPORTS_READ;
use crate::resource;

/// Rows of the page; the CSV file has all.
const ROWS: usize = 200;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/reports/false-alarms", Access::Permission(REPORTS_READ), page)]
}

#[derive(Serialize)]
struct Page {
    about: About,
    by: &'static str,
    tabs: Vec<Tab>,
    first: String,
    sorts: Vec<Sort>,
    rows: Vec<Row>,
    cut: usize,
    enough: usize,
    csv_url: String,
    response_url: String,
}

#[derive(Serialize)]
struct Tab {
    label: String,
    url: String,
    current: bool,
}

#[derive(Serialize)]
struct Sort {
    key: &'static str,
    url: String,
    current: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    /// `None`: too few for a rate.
    rate: Option<String>,
    false_alarms: Count,
    decided: Count,
    undecided: Count,
    tests: Count,
    duplicates: Count,
}

#[derive(Serialize)]
struct Count {
    n: usize,
    url: Option<String>,
}

async fn page(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let shown = query.read(&ctx).await?;
    let ctx = ctx.in_zone(shown.zone());
    let by = By::ALL.into_iter().find(|by| by.as_str() == query.by).unwrap_or_default();
    let mut rates = rates(shown.months.iter().flat_map(|month| &month.calls), by);
    let sort = match query.sort.as_str() {
        "count" => {
            rates.sort_by_key(|rate| std::cmp::Reverse(rate.decided()));
            "count"
        }
        "name" => {
            rates.sort_by_key(|rate| name(&ctx, rate));
            "name"
        }
        _ => "rate",
    };
    if query.format == "csv" {
        return Ok(csv(&ctx, &shown, &rates));
    }
    let month = shown.month.to_string();
    let facility = shown.only.map(|id| id.to_string()).unwrap_or_default();
    let address = |path: &str, by: &str, sort: &str, format: &str| {
        let pairs = [("facility", &*facility), ("month", &month), ("by", by), ("sort", sort), ("format", format)];
        url(path, &pairs)
    };
    let tab = |one: By| Tab {
        label: say(&ctx, by_key(one)),
        url: address("/reports/false-alarms", one.as_str(), "", ""),
        current: one == by,
    };
    let page = Page {
        about: shown.about(),
        by: by.as_str(),
        tabs: By::ALL.map(tab).into(),
        first: say(&ctx, by_key(by)),
        sorts: ["name", "rate", "count"]
            .map(|key| Sort { key, url: address("/reports/false-alarms", by.as_str(), key, ""), current: key == sort })
            .into(),
        rows: rates.iter().take(ROWS).map(|rate| row(&ctx, &shown, rate)).collect(),
        cut: rates.len().saturating_sub(ROWS),
        enough: ENOUGH,
        csv_url: address("/reports/false-alarms", by.as_str(), sort, "csv"),
        response_url: address("/reports/response", "", "", ""),
    };
    ctx.page("incidents/report-false-alarms", &page)
}

const fn by_key(by: By) -> &'static str {
    match by {
        By::Kind => "reports-by-kind-tab",
        By::Device => "reports-by-device-tab",
        By::Rule => "reports-by-rule-tab",
    }
}

fn name(ctx: &Ctx, rate: &Rate) -> String {
    match &rate.of {
        Of::Kind(kind) => say(ctx, kind.text_key()),
        Of::Device(_) => rate.name.clone(),
        Of::Rule(rule) => rule.name.clone(),
    }
}

fn row(ctx: &Ctx, shown: &Shown, rate: &Rate) -> Row {
    let group = match &rate.of {
        Of::Kind(kind) => Group { kind: Some(*kind), ..Group::default() },
        Of::Device(id) => Group { device: Some(*id), ..Group::default() },
        Of::Rule(rule) => {
            let wanted = if rule.id.is_empty() { &rule.name } else { &rule.id };
            Group { rule: Some(wanted.clone()), ..Group::default() }
        }
    };
    let count = |n: usize, figure: Figure| Count { n, url: (n > 0).then(|| shown.list_url(&group, figure)) };
    Row {
        name: name(ctx, rate),
        rate: rate.per_mille().map(percent),
        false_alarms: count(rate.false_alarms, Figure::FalseAlarm),
        decided: count(rate.decided(), Figure::Decided),
        undecided: count(rate.undecided, Figure::Undecided),
        tests: count(rate.tests, Figure::Tests),
        duplicates: count(rate.duplicates, Figure::Duplicates),
    }
}

fn csv(ctx: &Ctx, shown: &Shown, rates: &[Rate]) -> HttpResponse {
    let heads = [
        "kernel-name",
        "reports-csv-id",
        "reports-rate",
        "reports-false-alarms",
        "reports-decided",
        "reports-undecided",
        "reports-csv-tests",
        "reports-csv-duplicates",
        "reports-csv-as-of",
    ];
    let mut csv = Csv::new(heads.map(|key| say(ctx, key)));
    let as_of = shown.about().as_of.map(|at| at.in_zone(shown.zone()).format("%Y-%m-%d %H:%M").to_string());
    for rate in rates {
        let id = match &rate.of {
            Of::Kind(kind) => kind.as_str().to_owned(),
            Of::Device(id) => resource::device_id(*id),
            Of::Rule(rule) => rule.id.clone(),
        };
        csv.line([
            name(ctx, rate),
            id,
            rate.per_mille().map_or_else(|| say(ctx, "reports-too-few"), percent),
            rate.false_alarms.to_string(),
            rate.decided().to_string(),
            rate.undecided.to_string(),
            rate.tests.to_string(),
            rate.duplicates.to_string(),
            as_of.clone().unwrap_or_default(),
        ]);
    }
    csv.answer("false-alarms.csv")
}
