//! `/api/v1/devices/{id}/series`.

use actix_web::HttpResponse;
use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Route};
use songhe_kernel::{Error, FieldError, Moment, Result, Text};
use songhe_registry::zone_of;

use crate::history::series::{Point, Series, series};
use crate::module::OBSERVATIONS_READ;
use crate::register::{self, DeviceId};
use crate::words;

/// The longest range, in days: a hundred years.
const MOST_DAYS: i64 = 36_525;

pub(super) fn routes() -> Vec<Route> {
    let doc = ApiDoc::new("What one device told of one kind over time").description(
        "As many points as a chart can show, about 500 at most. Up to three days they are the observations themselves, or \
         some minutes of them; then hours, then days of the facility's time zone, one or several a point. Only readings of \
         quality `good` count in `avg`, `min`, `max` and `last`. Hours and days stay when their observations have had \
         their time; what arrives is in them a few seconds later.",
    );
    vec![
        Route::get("/api/v1/devices/{id}/series", Access::Permission(OBSERVATIONS_READ), show)
            .doc(doc.query::<Query>().returns::<SeriesBody>()),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// `heart_rate`, `sos` …
    kind: String,
    /// Observed at this time or later.
    from: Moment,
    /// Observed before this time.
    until: Moment,
}

/// What a point stands for.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "SeriesResolution")]
enum ResolutionBody {
    /// One observation.
    Raw,
    /// Some minutes.
    Minutes,
    /// An hour of the facility's clock.
    Hour,
    /// A civil day of the facility, or several.
    Day,
}

/// A device's readings or events of one kind.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Series")]
struct SeriesBody {
    device_id: DeviceId,
    kind: String,
    /// UCUM; `null` for events.
    unit: Option<String>,
    resolution: ResolutionBody,
    from: Moment,
    until: Moment,
    /// Oldest first; there is none where nothing was observed.
    points: Vec<PointBody>,
}

/// What was observed from `at` until `until`; of resolution `raw` both are the same.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SeriesPoint")]
struct PointBody {
    at: Moment,
    until: Moment,
    /// How many good readings.
    count: i64,
    /// Readings of other quality.
    other: i64,
    /// Events that began.
    events: i64,
    /// Decimal numbers; `null` without a good reading.
    avg: Option<String>,
    min: Option<String>,
    max: Option<String>,
    /// The newest.
    last: Option<String>,
}

impl From<&Point> for PointBody {
    fn from(point: &Point) -> Self {
        let sum = point.sum;
        Self {
            at: point.at,
            until: point.until,
            count: sum.n,
            other: sum.other,
            events: sum.events,
            avg: point.avg_micro().map(words::decimal),
            min: sum.min_micro.map(words::decimal),
            max: sum.max_micro.map(words::decimal),
            last: sum.last.map(|(_, micro)| words::decimal(micro)),
        }
    }
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    use crate::history::series::Resolution;
    let (id, query) = (ctx.id::<DeviceId>("id")?, ctx.query::<Query>()?);
    let device = ctx.app().db.read(move |db| register::find(db, id)).await?.ok_or(Error::NotFound)?;
    ctx.caller().expect_at(OBSERVATIONS_READ, device.facility_id)?;
    expect_range(&query)?;
    let Query { kind, from, until } = query;
    let wanted = kind.clone();
    let (found, zone) = ctx
        .app()
        .db
        .read(move |db| {
            let zone = zone_of(db, device.facility_id)?;
            Ok((series(db, id, &wanted, from, until, zone)?, zone))
        })
        .await?;
    let Series { resolution, points } = found;
    let body = SeriesBody {
        device_id: id,
        unit: words::unit_of(&kind).map(str::to_owned),
        kind,
        resolution: match resolution {
            Resolution::Raw => ResolutionBody::Raw,
            Resolution::Minutes => ResolutionBody::Minutes,
            Resolution::Hour => ResolutionBody::Hour,
            Resolution::Day => ResolutionBody::Day,
        },
        from,
        until,
        points: points.iter().map(PointBody::from).collect(),
    };
    ctx.in_zone(zone).json_ok(&body)
}

fn expect_range(query: &Query) -> Result<()> {
    let mut wrong = Vec::new();
    if words::event_key(&query.kind).is_none() && !words::is_measure(&query.kind) {
        wrong.push(FieldError::new("kind", Text::key("devices-error-kind")));
    }
    if query.until <= query.from {
        wrong.push(FieldError::new("until", Text::key("devices-error-until")));
    } else if query.until.since(query.from) > TimeDelta::days(MOST_DAYS) {
        wrong.push(FieldError::new("until", Text::key("devices-error-range-long").arg("days", MOST_DAYS)));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}
