//! What the page reads of the shared modules: calls that wait now, and devices on line.

use std::collections::HashMap;

use diesel::prelude::*;
use songhe_devices::schema::{device, device_health};
use songhe_incidents::schema::incident;
use songhe_incidents::{IncidentId, Kind, Priority, Status as IncidentStatus};
use songhe_kernel::identity::Scope;
use songhe_kernel::{Db, FacilityId, Result};
use songhe_registry::schema::place;
use songhe_registry::{PlaceId, ResidentId};

use crate::beds::Status;
use crate::schema::care_bed;

/// What is going on with a resident now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenIncident {
    pub(crate) id: IncidentId,
    pub(crate) kind: Kind,
    pub(crate) priority: Priority,
}

/// The most urgent open incident of each resident, the longest waiting of several.
pub(crate) fn open_incidents(db: &mut Db, residents: &[ResidentId]) -> Result<HashMap<ResidentId, OpenIncident>> {
    let rows: Vec<(ResidentId, IncidentId, String, String)> = incident::table
        .filter(incident::open_key.is_not_null())
        .filter(incident::resident_id.eq_any(residents.to_vec()))
        .order(incident::raised_at.asc())
        .select((incident::resident_id.assume_not_null(), incident::id, incident::kind, incident::priority))
        .load(db)?;
    let mut open: HashMap<ResidentId, OpenIncident> = HashMap::new();
    for (resident, id, kind, priority) in rows {
        let found = OpenIncident { id, kind: kind.parse()?, priority: priority.parse()? };
        let most = open.entry(resident).or_insert(found);
        if found.priority < most.priority {
            *most = found;
        }
    }
    Ok(open)
}

/// Emergency calls of beds in service that nobody has answered yet.
pub(crate) fn waiting_calls(db: &mut Db, scope: &Scope) -> Result<i64> {
    let kinds: Vec<&str> = Kind::ALL.iter().filter(|kind| kind.is_emergency()).map(|kind| kind.as_str()).collect();
    let unanswered = [IncidentStatus::Raised.as_str(), IncidentStatus::Notified.as_str()];
    let mut query = care_bed::table
        .inner_join(incident::table.on(incident::resident_id.eq(care_bed::resident_id.nullable())))
        .filter(care_bed::status.eq(Status::Active))
        .filter(incident::open_key.is_not_null().and(incident::status.eq_any(unanswered)))
        .filter(incident::kind.eq_any(kinds))
        .select(diesel::dsl::count_star())
        .into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(care_bed::facility_id.eq_any(ids.to_vec()));
    }
    Ok(query.first(db)?)
}

/// Devices of a bed or a facility.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DeviceCount {
    pub(crate) online: i64,
    pub(crate) all: i64,
}

impl DeviceCount {
    fn add(&mut self, online: Option<bool>) {
        self.all += 1;
        self.online += i64::from(online == Some(true));
    }
}

/// The enabled devices of each bed: bound to its resident, or in the home or one of the places right below it.
pub(crate) fn devices_of(db: &mut Db, beds: &[(ResidentId, PlaceId)]) -> Result<HashMap<ResidentId, DeviceCount>> {
    let residents: Vec<ResidentId> = beds.iter().map(|(resident, _)| *resident).collect();
    let homes: HashMap<PlaceId, ResidentId> = beds.iter().map(|(resident, home)| (*home, *resident)).collect();
    let home_ids: Vec<PlaceId> = homes.keys().copied().collect();
    let below: Vec<(PlaceId, Option<PlaceId>)> = place::table
        .filter(place::id.eq_any(home_ids.clone()).or(place::parent_id.eq_any(home_ids)))
        .select((place::id, place::parent_id))
        .load(db)?;
    let mut holders: HashMap<PlaceId, ResidentId> = HashMap::new();
    for (id, parent) in below {
        if let Some(resident) = homes.get(&id).or_else(|| homes.get(&parent?)) {
            holders.insert(id, *resident);
        }
    }
    let places: Vec<PlaceId> = holders.keys().copied().collect();
    let devices: Vec<(Option<ResidentId>, Option<PlaceId>, Option<bool>)> = device::table
        .left_join(device_health::table.on(device_health::device_id.eq(device::id)))
        .filter(device::enabled.eq(true))
        .filter(device::resident_id.eq_any(residents.clone()).or(device::place_id.eq_any(places)))
        .select((device::resident_id, device::place_id, device_health::online.nullable()))
        .load(db)?;
    let mut counts: HashMap<ResidentId, DeviceCount> = HashMap::new();
    for (resident, place, online) in devices {
        let own = resident.filter(|id| residents.contains(id));
        if let Some(holder) = own.or_else(|| holders.get(&place?).copied()) {
            counts.entry(holder).or_default().add(online);
        }
    }
    Ok(counts)
}

/// The enabled devices of facilities.
pub(crate) fn devices_at(db: &mut Db, facilities: &[FacilityId]) -> Result<DeviceCount> {
    let enabled = || {
        device::table
            .left_join(device_health::table.on(device_health::device_id.eq(device::id)))
            .filter(device::enabled.eq(true).and(device::facility_id.eq_any(facilities.to_vec())))
    };
    let all = enabled().count().get_result(db)?;
    let online = enabled().filter(device_health::online.eq(true)).count().get_result(db)?;
    Ok(DeviceCount { online, all })
}
