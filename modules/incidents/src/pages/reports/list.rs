//! `/reports/incidents`: the incidents that a figure counts.

use actix_web::HttpResponse;
use serde::Serialize;
use songhe_kernel::http::{Access, Ctx, Route, url};
use songhe_kernel::{Moment, Result};

use super::{About, Query, say};
use crate::figures::facts::Call;
use crate::figures::response::Figure;
use crate::lists;
use crate::model::{IncidentId, Row};
use crate::module::REPORTS_READ;

const PAGE: usize = 50;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/reports/incidents", Access::Permission(REPORTS_READ), page)]
}

#[derive(Serialize)]
struct Page {
    about: About,
    title: String,
    total: usize,
    items: Vec<Item>,
    first_url: Option<String>,
    next_url: Option<String>,
    back_url: String,
}

#[derive(Serialize)]
struct Item {
    id: IncidentId,
    kind: String,
    priority: String,
    place: String,
    source: String,
    shift: Option<String>,
    raised_at: Moment,
    delayed_s: Option<i64>,
    answer_s: Option<i64>,
    on_site_s: Option<i64>,
    close_s: Option<i64>,
    outcome: Option<&'static str>,
}

async fn page(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let shown = query.read(&ctx).await?;
    let ctx = ctx.in_zone(shown.zone());
    let figure = figure_of(&query.figure);
    let group = query.group();
    let calls: Vec<&Call> = shown
        .months
        .iter()
        .flat_map(|month| {
            let (target, as_of) = (month.target, month.span.as_of);
            month.calls.iter().filter(move |call| figure.counts(call, &target, as_of))
        })
        .filter(|call| group.holds(call))
        .collect();
    let number: usize = query.page.parse().unwrap_or_default();
    let here: Vec<&Call> = calls.iter().skip(number.saturating_mul(PAGE)).take(PAGE).copied().collect();
    let ids: Vec<IncidentId> = here.iter().map(|call| call.id).collect();
    let rows = ctx.app().db.read(move |db| lists::by_ids(db, &ids)).await?;
    let items = here.iter().filter_map(|call| Some(item(call, rows.get(&call.id)?))).collect();
    let at = |number: usize| {
        let page = if number == 0 { String::new() } else { number.to_string() };
        let pairs = [
            ("month", &*query.month),
            ("facility", &query.facility),
            ("figure", &query.figure),
            ("urgent", &query.urgent),
            ("kind", &query.kind),
            ("priority", &query.priority),
            ("shift", &query.shift),
            ("no_shift", &query.no_shift),
            ("device", &query.device),
            ("rule", &query.rule),
            ("page", &page),
        ];
        url("/reports/incidents", &pairs)
    };
    let false_alarms = matches!(figure, Figure::FalseAlarm | Figure::Decided | Figure::Undecided | Figure::Real);
    let back = if false_alarms { "/reports/false-alarms" } else { "/reports/response" };
    let page = Page {
        about: shown.about(),
        title: title(&ctx, figure, &query),
        total: calls.len(),
        items,
        first_url: (number > 0).then(|| at(0)),
        next_url: (calls.len() > number.saturating_add(1).saturating_mul(PAGE)).then(|| at(number + 1)),
        back_url: url(back, &[("facility", &*query.facility), ("month", &query.month)]),
    };
    ctx.page("incidents/report-incidents", &page)
}

/// The figure of a word; without one every incident.
fn figure_of(word: &str) -> Figure {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).unwrap_or(Figure::Raised)
}

/// The figure in words, and what it is narrowed to.
fn title(ctx: &Ctx, figure: Figure, query: &Query) -> String {
    let group = query.group();
    let mut words = vec![say(ctx, figure_key(figure))];
    words.extend(group.kind.map(|kind| say(ctx, kind.text_key())));
    words.extend(group.priority.map(|priority| say(ctx, priority.text_key())));
    words.extend(group.shift.map(|shift| shift.unwrap_or_else(|| say(ctx, "reports-no-shift"))));
    words.join(" · ")
}

const fn figure_key(figure: Figure) -> &'static str {
    match figure {
        Figure::Raised => "reports-figure-raised",
        Figure::Tests => "reports-figure-tests",
        Figure::Duplicates => "reports-figure-duplicates",
        Figure::Delayed => "reports-delayed",
        Figure::Calls => "reports-calls",
        Figure::Answered => "reports-figure-answered",
        Figure::WithinAnswer => "reports-figure-within-answer",
        Figure::JudgedAnswer => "reports-figure-judged-answer",
        Figure::WithinLast => "reports-figure-within-last",
        Figure::JudgedLast => "reports-figure-judged-last",
        Figure::Arrived => "reports-figure-arrived",
        Figure::WithinOnSite => "reports-figure-within-on-site",
        Figure::NoArrival => "reports-figure-no-arrival",
        Figure::Closed => "reports-figure-closed",
        Figure::Open => "reports-open",
        Figure::Unanswered => "reports-unanswered",
        Figure::Nobody => "reports-nobody",
        Figure::Undelivered => "reports-undelivered",
        Figure::ChangedLater => "reports-figure-changed-later",
        Figure::Real => "reports-figure-real",
        Figure::FalseAlarm => "reports-false-alarms",
        Figure::Decided => "reports-decided",
        Figure::Undecided => "reports-undecided",
    }
}

fn item(call: &Call, row: &Row) -> Item {
    Item {
        id: call.id,
        kind: row.kind.clone(),
        priority: row.priority.clone(),
        place: row.place_label.clone(),
        source: row.source.clone(),
        shift: call.shift.clone(),
        raised_at: call.raised_at,
        delayed_s: row.delayed_s,
        answer_s: call.answer_s,
        on_site_s: call.on_site_s,
        close_s: call.close_s,
        outcome: call.outcome.map(crate::Outcome::as_str),
    }
}
