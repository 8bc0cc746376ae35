//! Emergency calls from care beds: one row for an incident, filled by what the incidents module publishes.

use diesel::prelude::*;
use serde::Deserialize;
use songhe_incidents::{IncidentId, Kind, Outcome};
use songhe_kernel::identity::Scope;
use songhe_kernel::{BothExt, Db, Event, FacilityId, Moment, Result, Tx};
use songhe_registry::ResidentId;

use crate::CareBedId;
use crate::beds::active_bed;
use crate::figures::Call;
use crate::schema::care_bed_call;

const RAISED: &str = "incidents.incident.raised";
const RESOLVED: &str = "incidents.incident.resolved";

/// The events that this module hears.
pub(crate) const HEARD: &[&str] = &[RAISED, "incidents.incident.acknowledged", "incidents.incident.arrived", RESOLVED];

/// More calls than this in 30 days are counted from the newest back.
const MAX_CALLS: i64 = 100_000;

/// What those events say (version 1), as far as it matters here.
#[derive(Debug, Deserialize)]
struct Told {
    incident: IncidentId,
    kind: String,
    resident: Option<ResidentId>,
    raised_at: Moment,
    response_s: Option<i64>,
    on_site_s: Option<i64>,
    outcome: Option<String>,
}

/// What became known; what is not known yet leaves what is stored.
#[derive(Debug, Default, PartialEq, AsChangeset)]
#[diesel(table_name = care_bed_call)]
struct Known {
    response_s: Option<i64>,
    on_site_s: Option<i64>,
    outcome: Option<String>,
    resolved_at: Option<Moment>,
    false_alarm: Option<bool>,
}

/// Opens a call's row when it is raised, and fills in what became of it. Run twice, or again after a later event of the
/// same incident, it leaves the same row. Without a row (raised before the module was switched on here, or before the
/// resident had a bed) there is nothing to fill in.
pub(crate) fn hear(tx: &mut Tx<'_>, event: &Event) -> Result<()> {
    let told: Told = event.data()?;
    let (Some(facility), Some(resident)) = (event.facility_id, told.resident) else { return Ok(()) };
    // A kind that only a later version knows is no reason to stop.
    if !Kind::parse(&told.kind).is_some_and(Kind::is_emergency) {
        return Ok(());
    }
    if event.kind == RAISED {
        let Some(bed) = active_bed(tx.db(), resident, facility, told.raised_at)? else { return Ok(()) };
        open(tx, &told, facility, bed)?;
    }
    let known = Known {
        response_s: told.response_s,
        on_site_s: told.on_site_s,
        resolved_at: (event.kind == RESOLVED).then_some(event.created_at),
        false_alarm: told.outcome.as_deref().map(|outcome| outcome == Outcome::FalseAlarm.as_str()),
        outcome: told.outcome,
    };
    if known != Known::default() {
        diesel::update(care_bed_call::table.find(told.incident)).set(known).execute(tx.db())?;
    }
    tx.signal(crate::topic(facility));
    Ok(())
}

fn open(tx: &mut Tx<'_>, told: &Told, facility: FacilityId, bed: CareBedId) -> Result<()> {
    diesel::insert_into(care_bed_call::table)
        .values((
            care_bed_call::incident_id.eq(told.incident.0),
            care_bed_call::care_bed_id.eq(bed.0),
            care_bed_call::facility_id.eq(facility.0),
            care_bed_call::kind.eq(&told.kind),
            care_bed_call::raised_at.eq(told.raised_at),
            care_bed_call::false_alarm.eq(false),
        ))
        .on_conflict(care_bed_call::incident_id)
        .do_nothing()
        .both()
        .execute(tx.db())?;
    Ok(())
}

/// Calls raised at or after a moment, newest first, with their facility. Tests and duplicates are no calls for help and
/// are left out.
pub(crate) fn calls_since(db: &mut Db, scope: &Scope, since: Moment) -> Result<Vec<(FacilityId, Call)>> {
    let no_call = [Outcome::Test.as_str(), Outcome::Duplicate.as_str()];
    let mut query = care_bed_call::table
        .filter(care_bed_call::raised_at.ge(since))
        .filter(care_bed_call::outcome.is_null().or(care_bed_call::outcome.ne_all(no_call)))
        .order(care_bed_call::raised_at.desc())
        .limit(MAX_CALLS)
        .select((care_bed_call::facility_id, Call::as_select()))
        .into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(care_bed_call::facility_id.eq_any(ids.to_vec()));
    }
    Ok(query.load(db)?)
}

/// How often each of these beds called since a moment, tests included.
pub(crate) fn call_counts(db: &mut Db, beds: &[CareBedId], since: Moment) -> Result<Vec<(CareBedId, i64)>> {
    Ok(care_bed_call::table
        .filter(care_bed_call::care_bed_id.eq_any(beds.to_vec()))
        .filter(care_bed_call::raised_at.ge(since))
        .group_by(care_bed_call::care_bed_id)
        .select((care_bed_call::care_bed_id, diesel::dsl::count_star()))
        .load(db)?)
}

/// When each of these beds called last; those that never did are left out.
pub(crate) fn last_calls(db: &mut Db, beds: &[CareBedId]) -> Result<Vec<(CareBedId, Option<Moment>)>> {
    Ok(care_bed_call::table
        .filter(care_bed_call::care_bed_id.eq_any(beds.to_vec()))
        .group_by(care_bed_call::care_bed_id)
        .select((care_bed_call::care_bed_id, diesel::dsl::max(care_bed_call::raised_at)))
        .load(db)?)
}
