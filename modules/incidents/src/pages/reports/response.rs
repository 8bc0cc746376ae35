//! `/reports/response`: how soon calls were answered.

use actix_web::HttpResponse;
use serde::Serialize;
use songhe_kernel::http::{Access, Csv, Ctx, Figure as Kpi, Menu, Refused, Route, Section, url};
use songhe_kernel::{FacilityId, FieldError, Result, Text};

use super::{About, Query, Shown, duration, percent, say};
use crate::figures::notes::{Note, ReportNotes};
use crate::figures::response::{Figure, Figures, Group, Line, Report, Share, Times, report};
use crate::figures::target::Target;
use crate::module::{REPORTS_READ, REPORTS_WRITE};

pub(super) fn routes() -> Vec<Route> {
    let menu = Menu { key: "reports-menu", icon: "gauge", section: Section::Manage, order: 15 };
    vec![Route::get("/reports/response", Access::Permission(REPORTS_READ), page).menu(menu)]
}

#[derive(Serialize)]
struct Page {
    about: About,
    kpis: Vec<Kpi>,
    heads: Vec<String>,
    total: Row,
    /// How the incidents of the total come together.
    made_of: Vec<Part>,
    tables: Vec<Table>,
    targets: Vec<TargetLine>,
    notes: Vec<NoteModel>,
    changed_later: Option<Part>,
    csv_url: String,
    false_alarms_url: String,
    form_facility: Option<FacilityId>,
    form: Option<TargetForm>,
    #[serde(flatten)]
    refused: Refused,
}

#[derive(Serialize)]
struct Table {
    id: &'static str,
    caption: String,
    first: String,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    priority: Option<&'static str>,
    cells: Vec<Cell>,
}

/// A figure, and the numbers it stands on, each with the list of what it counts.
#[derive(Serialize)]
struct Cell {
    label: String,
    main: Option<String>,
    /// What nine of ten did not exceed.
    note: Option<String>,
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    text: String,
    /// `None`: it counts nothing.
    url: Option<String>,
}

#[derive(Serialize)]
struct TargetLine {
    facility: String,
    text: String,
}

#[derive(Serialize)]
struct NoteModel {
    text: String,
    url: Option<String>,
    warns: bool,
}

/// The form's inputs, as typed: seconds, per cent with one place, minutes.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TargetForm {
    pub(super) answer_seconds: String,
    pub(super) answer_percent: String,
    pub(super) last_seconds: String,
    pub(super) last_percent: String,
    pub(super) on_site_minutes: String,
}

impl TargetForm {
    fn of(target: &Target) -> Self {
        let places = |per_mille: i32| percent(usize::try_from(per_mille).unwrap_or_default()).replace('%', "");
        Self {
            answer_seconds: target.answer_seconds.to_string(),
            answer_percent: places(target.answer_per_mille),
            last_seconds: target.last_seconds.to_string(),
            last_percent: places(target.last_per_mille),
            on_site_minutes: (target.on_site_seconds / 60).to_string(),
        }
    }
}

async fn page(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    show(ctx, query, None, &[]).await
}

pub(super) async fn show(
    ctx: Ctx,
    query: Query,
    form: Option<TargetForm>,
    errors: &[FieldError],
) -> Result<HttpResponse> {
    let shown = query.read(&ctx).await?;
    let ctx = ctx.in_zone(shown.zone());
    let report = report(&shown.months);
    if query.format == "csv" {
        return Ok(csv(&ctx, &shown, &report));
    }
    let month = shown.month.to_string();
    let facility = shown.only.map(|id| id.to_string()).unwrap_or_default();
    let address =
        |path: &str, format: &str| url(path, &[("facility", &*facility), ("month", &month), ("format", format)]);
    let only = match shown.months.as_slice() {
        [one] => Some(one),
        _ => None,
    };
    let can_edit = only.is_some_and(|one| ctx.caller().facilities(REPORTS_WRITE).contains(one.facility.id));
    let late = report.total.figures.changed_later;
    let page = Page {
        about: shown.about(),
        kpis: kpis(&ctx, &report.total.figures, only.map(|one| one.target)),
        heads: HEADS.map(|key| say(&ctx, key)).to_vec(),
        made_of: made_of(&ctx, &shown, &report.total),
        tables: tables(&ctx, &shown, &report),
        targets: shown
            .months
            .iter()
            .map(|one| TargetLine { facility: one.facility.name.clone(), text: target_words(&ctx, &one.target) })
            .collect(),
        notes: notes(&ctx, &shown).await?,
        changed_later: (late > 0).then(|| Part {
            text: ctx.say(&Text::key("reports-changed-later").arg("n", late)),
            url: Some(shown.list_url(&report.total.group, Figure::ChangedLater)),
        }),
        csv_url: address("/reports/response", "csv"),
        false_alarms_url: address("/reports/false-alarms", ""),
        form: only.filter(|_| can_edit).map(|one| form.unwrap_or_else(|| TargetForm::of(&one.target))),
        form_facility: only.map(|one| one.facility.id),
        total: row(&ctx, &shown, &report.total),
        refused: Refused::of(&ctx, super::targets::FIELDS, errors),
    };
    let status = if errors.is_empty() { 200 } else { 422 };
    ctx.page_with(actix_web::http::StatusCode::from_u16(status).unwrap_or_default(), "incidents/report-response", &page)
}

/// Of the columns, in their order.
const HEADS: [&str; 12] = [
    "reports-calls",
    "reports-answer",
    "reports-within-answer",
    "reports-within-last",
    "reports-arrival",
    "reports-within-on-site",
    "reports-closing",
    "reports-open",
    "reports-unanswered",
    "reports-nobody",
    "reports-undelivered",
    "reports-delayed",
];

fn row(ctx: &Ctx, shown: &Shown, line: &Line) -> Row {
    let Line { group, figures: f } = line;
    let link = |count: usize, figure: Figure| Part {
        text: count.to_string(),
        url: (count > 0).then(|| shown.list_url(group, figure)),
    };
    let count = |count: usize, figure: Figure| (None, None, vec![link(count, figure)]);
    let share = |share: Share, met: Figure, of: Figure| {
        (share.per_mille().map(percent), None, vec![link(share.met, met), link(share.of, of)])
    };
    let times = |times: Times, figure: Figure| {
        let p90 = times.p90_s.map(|p90| ctx.say(&Text::key("reports-p90").arg("p90", duration(ctx, p90))));
        let median = times.median_s.map_or_else(|| say(ctx, "kernel-dash"), |median| duration(ctx, median));
        (Some(median), p90, vec![link(times.count, figure)])
    };
    let cells = [
        count(f.calls, Figure::Calls),
        times(f.answer, Figure::Answered),
        share(f.within_answer, Figure::WithinAnswer, Figure::JudgedAnswer),
        share(f.within_last, Figure::WithinLast, Figure::JudgedLast),
        times(f.arrival, Figure::Arrived),
        share(f.within_on_site, Figure::WithinOnSite, Figure::Arrived),
        times(f.closing, Figure::Closed),
        count(f.open, Figure::Open),
        count(f.unanswered, Figure::Unanswered),
        count(f.nobody, Figure::Nobody),
        count(f.undelivered, Figure::Undelivered),
        count(f.delayed, Figure::Delayed),
    ];
    let cells = cells.into_iter().zip(HEADS);
    Row {
        name: name_of(ctx, shown, group),
        priority: group.priority.map(crate::Priority::as_str),
        cells: cells.map(|((main, note, parts), key)| Cell { label: say(ctx, key), main, note, parts }).collect(),
    }
}

fn name_of(ctx: &Ctx, shown: &Shown, group: &Group) -> String {
    if let Some(id) = group.facility {
        let found = shown.months.iter().find(|one| one.facility.id == id);
        return found.map(|one| one.facility.name.clone()).unwrap_or_default();
    }
    match (&group.shift, group.kind) {
        (Some(Some(name)), _) => name.clone(),
        (Some(None), _) => say(ctx, "reports-no-shift"),
        (None, Some(kind)) => ctx.say(&Text::key(kind.text_key())),
        (None, None) => say(ctx, "reports-total"),
    }
}

fn tables(ctx: &Ctx, shown: &Shown, report: &Report) -> Vec<Table> {
    let table = |id, caption: &'static str, first: &'static str, lines: &[Line]| Table {
        id,
        caption: say(ctx, caption),
        first: say(ctx, first),
        rows: lines.iter().map(|line| row(ctx, shown, line)).collect(),
    };
    let tables = vec![
        table("by-kind", "reports-by-kind", "incidents-what", &report.by_kind),
        table("by-shift", "reports-by-shift", "reports-shift", &report.by_shift),
        table("by-facility", "reports-by-facility", "reports-facility", &report.by_facility),
    ];
    tables.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

fn made_of(ctx: &Ctx, shown: &Shown, total: &Line) -> Vec<Part> {
    let f = &total.figures;
    [
        ("reports-made-raised", f.raised, Figure::Raised),
        ("reports-made-tests", f.tests, Figure::Tests),
        ("reports-made-duplicates", f.duplicates, Figure::Duplicates),
        ("reports-made-delayed", f.delayed, Figure::Delayed),
        ("reports-made-calls", f.calls, Figure::Calls),
        ("reports-made-no-arrival", f.no_arrival, Figure::NoArrival),
    ]
    .map(|(key, count, figure)| Part {
        text: ctx.say(&Text::key(key).arg("n", count)),
        url: (count > 0).then(|| shown.list_url(&total.group, figure)),
    })
    .into()
}

fn kpis(ctx: &Ctx, figures: &Figures, target: Option<Target>) -> Vec<Kpi> {
    let share = |label: &'static str, share: Share, wanted: Option<i32>| {
        let per_mille = share.per_mille();
        let wanted = wanted.and_then(|wanted| usize::try_from(wanted).ok());
        Kpi {
            label: say(ctx, label),
            value: per_mille.map_or_else(|| say(ctx, "kernel-dash"), percent),
            note: Some(match wanted {
                Some(wanted) => {
                    let words = Text::key("reports-share-target").arg("target", percent(wanted));
                    ctx.say(&words.arg("met", share.met).arg("of", share.of))
                }
                None => ctx.say(&Text::key("reports-share-note").arg("met", share.met).arg("of", share.of)),
            }),
            tone: wanted.zip(per_mille).map(|(wanted, reached)| if reached >= wanted { "good" } else { "medium" }),
        }
    };
    vec![
        Kpi { label: say(ctx, "reports-calls"), value: figures.calls.to_string(), note: None, tone: None },
        share("reports-within-answer", figures.within_answer, target.map(|target| target.answer_per_mille)),
        share("reports-within-last", figures.within_last, target.map(|target| target.last_per_mille)),
        share("reports-within-on-site", figures.within_on_site, None),
    ]
}

fn target_words(ctx: &Ctx, target: &Target) -> String {
    let form = TargetForm::of(target);
    ctx.say(
        &Text::key("reports-target-words")
            .arg("answer", target.answer_seconds)
            .arg("answer_share", form.answer_percent)
            .arg("last", target.last_seconds)
            .arg("last_share", form.last_percent)
            .arg("on_site", form.on_site_minutes),
    )
}

/// What other modules say of these facilities.
async fn notes(ctx: &Ctx, shown: &Shown) -> Result<Vec<NoteModel>> {
    // A build without such modules has none.
    let Ok(sources) = ctx.app().extension::<ReportNotes>() else { return Ok(Vec::new()) };
    let facilities: Vec<FacilityId> = shown.months.iter().map(|one| one.facility.id).collect();
    let now = shown.now;
    let read = move |db: &mut songhe_kernel::Db| {
        let mut notes: Vec<Note> = Vec::new();
        for source in &sources.0 {
            notes.extend(source.notes(db, &facilities, now)?);
        }
        Ok(notes)
    };
    let notes = ctx.app().db.read(read).await?;
    Ok(notes
        .into_iter()
        .map(|note| {
            let path = note.path.split('?').next().unwrap_or_default();
            let may = ctx.app().routes().permits(ctx.caller_opt(), path);
            NoteModel { text: ctx.say(&note.text), url: may.then(|| note.path.clone()), warns: note.warns }
        })
        .collect())
}

fn csv(ctx: &Ctx, shown: &Shown, report: &Report) -> HttpResponse {
    let heads = [
        "reports-csv-row",
        "incidents-priority",
        "reports-csv-raised",
        "reports-csv-tests",
        "reports-csv-duplicates",
        "reports-delayed",
        "reports-calls",
        "reports-csv-answer-n",
        "reports-csv-answer-median",
        "reports-csv-answer-p90",
        "reports-csv-answer-met",
        "reports-csv-answer-of",
        "reports-csv-last-met",
        "reports-csv-last-of",
        "reports-csv-arrival-n",
        "reports-csv-arrival-median",
        "reports-csv-arrival-p90",
        "reports-csv-on-site-met",
        "reports-csv-closing-n",
        "reports-csv-closing-median",
        "reports-csv-closing-p90",
        "reports-open",
        "reports-unanswered",
        "reports-nobody",
        "reports-undelivered",
        "reports-csv-as-of",
    ];
    let mut csv = Csv::new(heads.map(|key| say(ctx, key)));
    let seconds = |at: Option<i64>| at.map(|s| s.to_string()).unwrap_or_default();
    let as_of = shown.about().as_of.map(|at| at.in_zone(shown.zone()).format("%Y-%m-%d %H:%M").to_string());
    let lines = [&report.by_kind, &report.by_shift, &report.by_facility].into_iter().flatten();
    for Line { group, figures: f } in std::iter::once(&report.total).chain(lines) {
        let times = |times: Times| [times.count.to_string(), seconds(times.median_s), seconds(times.p90_s)];
        let priority = group.priority.map(|one| ctx.say(&Text::key(one.text_key()))).unwrap_or_default();
        let mut cells = vec![name_of(ctx, shown, group), priority];
        cells.extend([f.raised, f.tests, f.duplicates, f.delayed, f.calls].map(|count| count.to_string()));
        cells.extend(times(f.answer));
        let shares = [f.within_answer.met, f.within_answer.of, f.within_last.met, f.within_last.of];
        cells.extend(shares.map(|count| count.to_string()));
        cells.extend(times(f.arrival));
        cells.push(f.within_on_site.met.to_string());
        cells.extend(times(f.closing));
        cells.extend([f.open, f.unanswered, f.nobody, f.undelivered].map(|count| count.to_string()));
        cells.push(as_of.clone().unwrap_or_default());
        csv.line(cells);
    }
    csv.answer("response-report.csv")
}
