//! `/rosters`: a facility's week, staff by day; shifts are added and taken off.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Ctx, Fields, Refused, Route, Section, refused, url};
use songhe_kernel::{Error, FieldError, Moment, Result, Text};

use super::form::Reader;
use super::roster_week::Week;
use super::{chosen, facilities_of, facility_choices, menu};
use crate::module::{ROSTERS_READ, ROSTERS_WRITE};
use crate::{
    Facility, Job, NewShift, Shift, ShiftId, Staff, StaffId, add_shift, civil_window, duty_hours, remove_shift, shift,
    staff_in, staff_member,
};

pub(super) fn routes() -> Vec<Route> {
    let write = Access::Permission(ROSTERS_WRITE);
    let entry = menu("registry-menu-rosters", "roster", Section::Manage, 30);
    vec![
        Route::get("/rosters", Access::Permission(ROSTERS_READ), show).menu(entry),
        Route::post("/rosters/shifts", write, add),
        Route::post("/rosters/shifts/{id}/remove", write, remove),
    ]
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct ShiftForm {
    facility: String,
    week: String,
    staff_id: String,
    duty: String,
    name: String,
    date: String,
    from: String,
    to: String,
}

impl ShiftForm {
    const FIELDS: Fields = &[
        ("staff_id", "registry-staff"),
        ("duty", "registry-duty"),
        ("name", "registry-shift-name"),
        ("date", "registry-date"),
        ("from", "registry-from"),
        ("to", "registry-to"),
    ];

    fn read(&self, facility: &Facility) -> Result<NewShift> {
        let mut reader = Reader::default();
        let staff_id: Option<StaffId> = reader.choice("staff_id", &self.staff_id, |text| text.parse().ok());
        let duty = reader.choice("duty", &self.duty, Job::parse);
        let date = reader.date("date", &self.date);
        let from = reader.time("from", &self.from);
        let to = reader.time("to", &self.to);
        let zone = facility.tz()?;
        let new = (|| {
            let (starts_at, ends_at) = civil_window(date?, from?, to?, zone);
            Some(NewShift { staff_id: staff_id?, duty: duty?, name: self.name.clone(), starts_at, ends_at })
        })();
        reader.finish(new)
    }
}

/// The operation speaks of moments, the form of civil times.
fn by_input(mut errors: Vec<FieldError>) -> Vec<FieldError> {
    for error in &mut errors {
        error.field = match error.field {
            "starts_at" => "from",
            "ends_at" => "to",
            other => other,
        };
    }
    errors
}

#[derive(Serialize)]
struct Day {
    date: NaiveDate,
    label: String,
    today: bool,
    gaps: Vec<String>,
}

#[derive(Serialize)]
struct Person {
    id: StaffId,
    name: String,
    job: Job,
}

#[derive(Serialize)]
struct Turn {
    id: ShiftId,
    from: String,
    to: String,
    name: String,
    duty: Job,
    /// Whether alarms come to whoever is on it first.
    called: bool,
    /// For the button that removes it, spoken.
    label: String,
}

#[derive(Serialize)]
struct Cell {
    shifts: Vec<Turn>,
}

#[derive(Serialize)]
struct Row {
    staff: Person,
    cells: Vec<Cell>,
}

#[derive(Serialize)]
struct RosterPage<'a> {
    facility: String,
    facilities: Vec<Choice>,
    week: String,
    week_label: String,
    prev_url: String,
    next_url: String,
    can_edit: bool,
    days: Vec<Day>,
    rows: Vec<Row>,
    form: &'a ShiftForm,
    staff_options: Vec<Choice>,
    duties: Vec<Choice>,
    #[serde(flatten)]
    refused: Refused,
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Query {
        facility: String,
        week: String,
    }
    let query: Query = ctx.query()?;
    let form = ShiftForm { facility: query.facility, week: query.week, ..ShiftForm::default() };
    render(&ctx, form, &[]).await
}

async fn render(ctx: &Ctx, mut form: ShiftForm, errors: &[FieldError]) -> Result<HttpResponse> {
    let facilities = facilities_of(ctx, ROSTERS_READ).await?;
    let facility = chosen(&facilities, &form.facility)?;
    let (id, zone) = (facility.id, facility.tz()?);
    let today = ctx.app().clock.now().day_in(zone);
    let week = Week::parse(&form.week, zone).unwrap_or_else(|| Week::of(today, zone));
    if form.date.is_empty() {
        form.date = week.days().find(|day| *day == today).unwrap_or(week.monday).to_string();
    }
    let (from, to) = week.window();
    let (staff, shifts) = ctx.app().db.read(move |db| Ok((staff_in(db, id)?, duty_hours(db, id, from, to)?))).await?;
    let days: Vec<Day> = week
        .days()
        .map(|date| Day { date, label: day_label(ctx, date), today: date == today, gaps: week.gaps(date, &shifts) })
        .collect();
    let link = |week: Week| url("/rosters", &[("facility", &id.to_string()), ("week", &week.name())]);
    let job = |job: &Job| Choice::new(job, ctx.say(&Text::key(job_key(*job))));
    let page = RosterPage {
        facility: id.to_string(),
        facilities: facility_choices(&facilities),
        week: week.name(),
        week_label: format!("{} – {}", week.monday, week.day(6)),
        prev_url: link(week.before()),
        next_url: link(week.after()),
        can_edit: ctx.caller().facilities(ROSTERS_WRITE).contains(id),
        staff_options: staff.iter().map(|member| Choice::new(member.id, &member.name)).collect(),
        rows: staff.iter().map(|member| row(member, week, &days, &shifts)).collect(),
        days,
        form: &form,
        duties: Job::ALL.iter().map(job).collect(),
        refused: Refused::new(ctx, ShiftForm::FIELDS, errors),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.clone().in_zone(zone).page_with(status, "registry/rosters", &page)
}

pub(super) fn job_key(job: Job) -> &'static str {
    match job {
        Job::Carer => "registry-job-carer",
        Job::Nurse => "registry-job-nurse",
        Job::NurseLead => "registry-job-nurse_lead",
        Job::Manager => "registry-job-manager",
    }
}

/// `周一 23日`.
fn day_label(ctx: &Ctx, day: NaiveDate) -> String {
    let key = match day.weekday() {
        chrono::Weekday::Mon => "registry-day-mon",
        chrono::Weekday::Tue => "registry-day-tue",
        chrono::Weekday::Wed => "registry-day-wed",
        chrono::Weekday::Thu => "registry-day-thu",
        chrono::Weekday::Fri => "registry-day-fri",
        chrono::Weekday::Sat => "registry-day-sat",
        chrono::Weekday::Sun => "registry-day-sun",
    };
    ctx.say(&Text::key(key).arg("day", day.day()))
}

/// A person's shifts by the day on which they begin.
fn row(member: &Staff, week: Week, days: &[Day], shifts: &[Shift]) -> Row {
    let mine = |day: &Day| {
        let on_day = |at: Moment| at.day_in(week.zone) == day.date;
        let turns = shifts.iter().filter(|shift| shift.staff_id == member.id && on_day(shift.starts_at));
        let turns = turns.map(|shift| {
            let (from, to) = (week.time(shift.starts_at), week.time(shift.ends_at));
            Turn {
                id: shift.id,
                label: format!("{} {} {from}–{to}", member.name, day.label),
                from,
                to,
                name: shift.name.clone(),
                duty: shift.duty,
                called: matches!(shift.duty, Job::Carer | Job::Nurse),
            }
        });
        Cell { shifts: turns.collect() }
    };
    Row {
        staff: Person { id: member.id, name: member.name.clone(), job: member.job },
        cells: days.iter().map(mine).collect(),
    }
}

async fn add(ctx: Ctx) -> Result<HttpResponse> {
    let form: ShiftForm = ctx.form()?;
    let facilities = facilities_of(&ctx, ROSTERS_WRITE).await?;
    let facility = chosen(&facilities, &form.facility)?;
    let id = facility.id;
    let outcome = match form.read(facility) {
        Ok(new) => {
            let (staff, actor) = (new.staff_id, Some(ctx.caller().user_id));
            let member = ctx.app().db.read(move |db| staff_member(db, staff)).await?;
            if member.is_some_and(|member| member.facility_id == id) {
                ctx.once(move |tx| add_shift(tx, &new, actor)).await
            } else {
                Err(Error::field("staff_id", Text::key("error-unknown-choice")))
            }
        }
        Err(error) => Err(error),
    };
    match refused(outcome)? {
        Ok(_) => ctx.redirect(&url("/rosters", &[("facility", &id.to_string()), ("week", &form.week)])),
        Err(errors) => render(&ctx, form, &by_input(errors)).await,
    }
}

async fn remove(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        #[serde(default)]
        week: String,
    }
    let form: Form = ctx.form()?;
    let id: ShiftId = ctx.id("id")?;
    let found = ctx.app().db.read(move |db| shift(db, id)).await?.ok_or(Error::NotFound)?;
    ctx.caller().expect_at(ROSTERS_WRITE, found.facility_id)?;
    let actor = Some(ctx.caller().user_id);
    ctx.once(move |tx| remove_shift(tx, id, actor)).await?;
    ctx.redirect(&url("/rosters", &[("facility", &found.facility_id.to_string()), ("week", &form.week)]))
}
