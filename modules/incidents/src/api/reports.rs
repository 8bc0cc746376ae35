//! `/api/v1/reports`: figures of a month, and the incidents that each counts.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use songhe_kernel::{Error, FacilityId, Moment, Result, Text, ids};
use songhe_registry::{Facility, facilities_of};

use crate::figures::facts::{self, Call, FacilityMonth};
use crate::figures::false_alarms::{By, Of, rates};
use crate::figures::month::Month;
use crate::figures::response::{Figure, Figures, Group, Line, report};
use crate::figures::target::{self, Target};
use crate::model::{IncidentId, Kind, Outcome, Priority};
use crate::module::{REPORTS_READ, REPORTS_WRITE};
use crate::resource;

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(REPORTS_READ), Access::Permission(REPORTS_WRITE));
    vec![
        Route::get("/api/v1/reports/response", read, response).doc(
            ApiDoc::new("How soon the calls of a month were answered")
                .description(
                    "Months are civil months of each facility. What happened up to `as_of` is counted; 72 hours after its \
                     end a month is settled, and its figures no longer change.",
                )
                .query::<Query>()
                .returns::<ResponseReport>(),
        ),
        Route::get("/api/v1/reports/false-alarms", read, false_alarms).doc(
            ApiDoc::new("How often kinds, devices and rules called in vain")
                .description("Of what turned out to be real or a false alarm; with fewer than ten of them there is no rate.")
                .query::<FalseAlarmQuery>()
                .returns::<FalseAlarmReport>(),
        ),
        Route::get("/api/v1/reports/incidents", read, incidents)
            .doc(ApiDoc::new("The incidents that a figure counts").query::<ListQuery>().returns::<List<Counted>>()),
        Route::get("/api/v1/reports/targets", read, show_target)
            .doc(ApiDoc::new("What a facility means to reach").query::<TargetQuery>().returns::<Target>()),
        Route::put("/api/v1/reports/targets", write, set_target).doc(
            ApiDoc::new("Say what a facility means to reach")
                .description("From now on: months that are over are judged by what was in force at their end.")
                .body::<NewTarget>()
                .returns::<Target>(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Only this facility's.
    facility: Option<FacilityId>,
    /// `2026-11`; the present month without it.
    month: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FalseAlarmQuery {
    facility: Option<FacilityId>,
    /// `2026-11`; the present month without it.
    month: Option<String>,
    #[serde(default)]
    by: By,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    facility: Option<FacilityId>,
    /// `2026-11`; the present month without it.
    month: Option<String>,
    #[serde(default)]
    figure: Figure,
    /// High and medium priority alone, as totals and shifts count.
    #[serde(default)]
    urgent: bool,
    kind: Option<Kind>,
    priority: Option<Priority>,
    /// A shift's name; empty: raised while nobody was on the roster.
    shift: Option<String>,
    device: Option<String>,
    /// A rule's id, or its name where no id is known.
    rule: Option<String>,
    /// How many at most.
    #[serde(default)]
    limit: Limit,
    /// `next` of the part before.
    after: Option<IncidentId>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TargetQuery {
    facility: FacilityId,
}

/// What a facility means to reach.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewResponseTarget")]
struct NewTarget {
    facility_id: FacilityId,
    target: Target,
}

/// A month at a facility.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReportedFacility")]
struct Reported {
    facility_id: FacilityId,
    name: String,
    /// IANA name.
    zone: String,
    /// The first moment of the month.
    from: Moment,
    /// The first moment after it.
    to: Moment,
    /// What happened up to here is counted.
    as_of: Moment,
    /// Its figures no longer change.
    settled: bool,
    target: Target,
}

impl From<&FacilityMonth> for Reported {
    fn from(month: &FacilityMonth) -> Self {
        Self {
            facility_id: month.facility.id,
            name: month.facility.name.clone(),
            zone: month.zone.name().to_owned(),
            from: month.span.from,
            to: month.span.to,
            as_of: month.span.as_of,
            settled: month.span.settled,
            target: month.target,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct ResponseReport {
    month: String,
    facilities: Vec<Reported>,
    /// High and medium priority: somebody is asked to come.
    total: Figures,
    /// By kind and priority, all priorities.
    by_kind: Vec<KindLine>,
    /// High and medium, by the shift in which they were raised.
    by_shift: Vec<ShiftLine>,
    /// High and medium, when there are several facilities.
    by_facility: Vec<FacilityLine>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReportByKind")]
struct KindLine {
    kind: Option<Kind>,
    priority: Option<Priority>,
    figures: Figures,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReportByShift")]
struct ShiftLine {
    /// `null`: nobody was on the roster.
    shift: Option<String>,
    figures: Figures,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReportByFacility")]
struct FacilityLine {
    facility_id: Option<FacilityId>,
    figures: Figures,
}

#[derive(Serialize, JsonSchema)]
struct FalseAlarmReport {
    month: String,
    facilities: Vec<Reported>,
    items: Vec<RateBody>,
}

/// How often something called in vain.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FalseAlarmRate")]
struct RateBody {
    kind: Option<Kind>,
    device_id: Option<String>,
    rule_id: Option<String>,
    /// Of devices and rules.
    name: Option<String>,
    /// Thousandths; `null`: fewer than ten are decided.
    per_mille: Option<usize>,
    false_alarms: usize,
    real: usize,
    /// Not closed yet.
    undecided: usize,
    tests: usize,
    duplicates: usize,
}

/// An incident as reports see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CountedIncident")]
struct Counted {
    id: IncidentId,
    facility_id: FacilityId,
    kind: Kind,
    priority: Priority,
    raised_at: Moment,
    /// Whole seconds to the first answer, as far as it was counted.
    answer_s: Option<i64>,
    on_site_s: Option<i64>,
    close_s: Option<i64>,
    outcome: Option<Outcome>,
    delayed: bool,
    shift: Option<String>,
}

impl From<&Call> for Counted {
    fn from(call: &Call) -> Self {
        Self {
            id: call.id,
            facility_id: call.facility,
            kind: call.kind,
            priority: call.priority,
            raised_at: call.raised_at,
            answer_s: call.answer_s,
            on_site_s: call.on_site_s,
            close_s: call.close_s,
            outcome: call.outcome,
            delayed: call.delayed,
            shift: call.shift.clone(),
        }
    }
}

async fn read(ctx: &Ctx, only: Option<FacilityId>, month: Option<&str>) -> Result<(Month, Vec<FacilityMonth>)> {
    let scope = ctx.caller().narrowed(REPORTS_READ, only)?;
    let now = ctx.app().clock.now();
    let facilities: Vec<Facility> =
        facilities_of(ctx, REPORTS_READ).await?.into_iter().filter(|one| scope.contains(one.id)).collect();
    let month = match month {
        Some(text) => text.parse().map_err(|_| Error::field("month", Text::key("reports-error-month")))?,
        None => {
            let zone = facilities.first().map_or(Ok(songhe_kernel::time::DEFAULT_ZONE), Facility::tz)?;
            Month::of(now.day_in(zone))
        }
    };
    Ok((month, facts::read(&ctx.app().db, facilities, month, now).await?))
}

async fn response(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let (month, months) = read(&ctx, query.facility, query.month.as_deref()).await?;
    let report = report(&months);
    ctx.json_ok(&ResponseReport {
        month: month.to_string(),
        facilities: months.iter().map(Reported::from).collect(),
        total: report.total.figures,
        by_kind: report
            .by_kind
            .into_iter()
            .map(|Line { group, figures }| KindLine { kind: group.kind, priority: group.priority, figures })
            .collect(),
        by_shift: report
            .by_shift
            .into_iter()
            .map(|Line { group, figures }| ShiftLine { shift: group.shift.flatten(), figures })
            .collect(),
        by_facility: report
            .by_facility
            .into_iter()
            .map(|Line { group, figures }| FacilityLine { facility_id: group.facility, figures })
            .collect(),
    })
}

async fn false_alarms(ctx: Ctx) -> Result<HttpResponse> {
    let query: FalseAlarmQuery = ctx.query()?;
    let (month, months) = read(&ctx, query.facility, query.month.as_deref()).await?;
    let rates = rates(months.iter().flat_map(|one| &one.calls), query.by);
    let items = rates.into_iter().map(|rate| {
        let mut body = RateBody {
            kind: None,
            device_id: None,
            rule_id: None,
            name: None,
            per_mille: rate.per_mille(),
            false_alarms: rate.false_alarms,
            real: rate.real,
            undecided: rate.undecided,
            tests: rate.tests,
            duplicates: rate.duplicates,
        };
        match rate.of {
            Of::Kind(kind) => body.kind = Some(kind),
            Of::Device(id) => (body.device_id, body.name) = (Some(resource::device_id(id)), Some(rate.name)),
            Of::Rule(rule) => {
                body.rule_id = Some(rule.id).filter(|id| !id.is_empty());
                body.name = Some(rule.name);
            }
        }
        body
    });
    ctx.json_ok(&FalseAlarmReport {
        month: month.to_string(),
        facilities: months.iter().map(Reported::from).collect(),
        items: items.collect(),
    })
}

async fn incidents(ctx: Ctx) -> Result<HttpResponse> {
    let query: ListQuery = ctx.query()?;
    let device = match query.device.as_deref() {
        Some(text) => Some(ids::decode("dev", text).ok_or(Error::NotFound)?),
        None => None,
    };
    let group = Group {
        urgent: query.urgent,
        facility: None,
        kind: query.kind,
        priority: query.priority,
        shift: query.shift.map(|name| Some(name).filter(|name| !name.is_empty())),
        device,
        rule: query.rule,
    };
    let (_, months) = read(&ctx, query.facility, query.month.as_deref()).await?;
    let mut found: Vec<&Call> = Vec::new();
    for month in &months {
        let counted = |call: &&Call| query.figure.counts(call, &month.target, month.span.as_of) && group.holds(call);
        found.extend(month.calls.iter().filter(counted));
    }
    found.sort_by_key(|call| call.id);
    let rows = usize::try_from(query.limit.rows()).unwrap_or_default();
    let part = found.into_iter().filter(|call| query.after.is_none_or(|after| call.id > after)).take(rows);
    ctx.json_ok(&List::part(part.map(Counted::from).collect(), query.limit, |call: &Counted| call.id))
}

async fn show_target(ctx: Ctx) -> Result<HttpResponse> {
    let TargetQuery { facility } = ctx.query()?;
    ctx.caller().expect_at(REPORTS_READ, facility)?;
    present(&ctx, facility).await
}

async fn present(ctx: &Ctx, facility: FacilityId) -> Result<HttpResponse> {
    let soon = ctx.app().clock.now().plus_seconds(1);
    let target = ctx.app().db.read(move |db| target::target(db, facility, soon)).await?;
    ctx.json_ok(&target)
}

async fn set_target(ctx: Ctx) -> Result<HttpResponse> {
    let NewTarget { facility_id, target } = ctx.json()?;
    ctx.caller().expect_at(REPORTS_WRITE, facility_id)?;
    let by = ctx.caller().user_id;
    ctx.once(move |tx| target::set_target(tx, facility_id, target, by)).await?;
    present(&ctx, facility_id).await
}
