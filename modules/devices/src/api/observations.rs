//! `/api/v1/observations`.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use songhe_kernel::{FacilityId, Moment, Result};
use songhe_registry::{PlaceId, ResidentId};

use crate::history::list::{Filter, Place, observations};
use crate::module::OBSERVATIONS_READ;
use crate::observations::{Observation, ObservationId};
use crate::register::DeviceId;
use crate::words;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/observations", Access::Permission(OBSERVATIONS_READ), show_list).doc(
            ApiDoc::new("List observations, the last to be observed first")
                .description("By the time of observation; of one moment, the last to arrive first.")
                .query::<Query>()
                .returns::<List<ObservationBody>>(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Only of this device.
    device: Option<DeviceId>,
    /// Only of this resident.
    resident: Option<ResidentId>,
    /// Only of this kind: `heart_rate`, `sos` …
    kind: Option<String>,
    /// Observed at this time or later.
    from: Option<Moment>,
    /// Observed before this time.
    to: Option<Moment>,
    /// `next` of the part before.
    after: Option<Place>,
    /// How many at most.
    #[serde(default)]
    limit: Limit,
}

/// What a device told.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Observation")]
struct ObservationBody {
    id: ObservationId,
    device_id: DeviceId,
    facility_id: FacilityId,
    /// Where the device was.
    place_id: Option<PlaceId>,
    /// With whom it was.
    resident_id: Option<ResidentId>,
    /// A reading (`heart_rate`) or an event (`sos`).
    kind: String,
    /// Of an event: whether it began (`true`) or ended; `null` for readings.
    active: Option<bool>,
    /// A decimal number; `null` for events, sensors without a reading, and a number beyond ±9.2 × 10^12.
    value: Option<String>,
    /// UCUM.
    unit: Option<String>,
    /// `good`, `implausible` or `no_reading`.
    quality: String,
    /// It waited in the device or a broker.
    historical: bool,
    /// The device's own words; of a number that is too large for `value`, the number.
    detail: Option<String>,
    /// The device's own id of the message: the dedupe key.
    message_id: String,
    observed_at: Moment,
    received_at: Moment,
    #[serde(skip)]
    place: Place,
}

impl From<Observation> for ObservationBody {
    fn from(row: Observation) -> Self {
        Self {
            place: Place::of(&row),
            id: row.id,
            device_id: row.device_id,
            facility_id: row.facility_id,
            place_id: row.place_id,
            resident_id: row.resident_id,
            kind: row.kind,
            active: row.active,
            value: row.value_micro.map(words::decimal),
            unit: row.unit,
            quality: row.quality,
            historical: row.historical,
            detail: row.detail,
            message_id: row.message_id,
            observed_at: row.observed_at,
            received_at: row.received_at,
        }
    }
}

async fn show_list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let filter = Filter {
        facilities: ctx.caller().facilities(OBSERVATIONS_READ).ids().map(<[FacilityId]>::to_vec),
        device: query.device,
        resident: query.resident,
        kind: query.kind,
        from: query.from,
        until: query.to,
        after: query.after,
    };
    let rows = ctx.app().db.read(move |db| observations(db, &filter, query.limit.rows())).await?;
    let items = rows.into_iter().map(ObservationBody::from).collect();
    ctx.json_ok(&List::part(items, query.limit, |row: &ObservationBody| row.place))
}
