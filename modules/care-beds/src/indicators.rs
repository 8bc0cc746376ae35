//! The evidence of the catalogue's function 紧急呼叫: how the calls of the last 30 days were answered, by facility.

use std::collections::HashMap;

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;
use songhe_kernel::identity::Scope;
use songhe_kernel::schema::module_enabled;
use songhe_kernel::{Db, FacilityId, Moment, Result};
use songhe_registry::facilities_in;

use crate::MODULE;
use crate::beds::{Status, beds_by_facility};
use crate::calls::calls_since;
use crate::figures::{Call, CallFigures};

/// How far the figures look back, in days.
pub(crate) const DAYS: i64 = 30;

/// The figures of all facilities in reach where the module is on.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Indicators {
    /// The first moment whose calls count.
    pub since: Moment,
    pub until: Moment,
    /// Over all facilities below.
    pub total: CallFigures,
    /// By name.
    pub facilities: Vec<FacilityFigures>,
}

/// The figures of one facility.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FacilityFigures {
    pub facility_id: FacilityId,
    pub facility: String,
    /// Since when the module is on there: earlier calls were not heard.
    pub enabled_at: Moment,
    pub beds_active: i64,
    pub beds_suspended: i64,
    pub emergency_call: CallFigures,
}

/// Figures of the 30 days before `now`.
pub fn indicators(db: &mut Db, scope: &Scope, now: Moment) -> Result<Indicators> {
    let since = now.plus_seconds(-DAYS * 86_400);
    let enabled: HashMap<FacilityId, Moment> = module_enabled::table
        .filter(module_enabled::module.eq(MODULE))
        .select((module_enabled::facility_id, module_enabled::enabled_at))
        .load::<(FacilityId, Moment)>(db)?
        .into_iter()
        .collect();
    let mut calls: HashMap<FacilityId, Vec<Call>> = HashMap::new();
    for (facility, call) in calls_since(db, scope, since)? {
        calls.entry(facility).or_default().push(call);
    }
    let active: HashMap<FacilityId, i64> = beds_by_facility(db, scope, Status::Active)?.into_iter().collect();
    let suspended: HashMap<FacilityId, i64> = beds_by_facility(db, scope, Status::Suspended)?.into_iter().collect();
    let mut facilities = Vec::new();
    for facility in facilities_in(db, scope)? {
        let Some(enabled_at) = enabled.get(&facility.id) else { continue };
        let own = calls.get(&facility.id).map(Vec::as_slice).unwrap_or_default();
        facilities.push(FacilityFigures {
            facility_id: facility.id,
            facility: facility.name,
            enabled_at: *enabled_at,
            beds_active: active.get(&facility.id).copied().unwrap_or_default(),
            beds_suspended: suspended.get(&facility.id).copied().unwrap_or_default(),
            emergency_call: CallFigures::of(own, now),
        });
    }
    let all = facilities.iter().filter_map(|facility| calls.get(&facility.facility_id)).flatten();
    Ok(Indicators { since, until: now, total: CallFigures::of(all, now), facilities })
}
