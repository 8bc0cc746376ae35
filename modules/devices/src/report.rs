//! From a device's word to an incident's report.

use std::collections::HashMap;

use diesel::prelude::*;
use songhe_incidents::{Kind, Report};
use songhe_kernel::{Db, Error, KeptExt, Moment, Result};
use songhe_registry::schema::resident;
use songhe_registry::{self as registry, PlaceId, ResidentId};

use crate::register::Device;

/// Fills in where the device hangs and with whom: a bed's or home's only resident if the device names none itself.
pub(crate) fn of(
    db: &mut Db,
    device: &Device,
    kind: Kind,
    discriminator: String,
    cause: serde_json::Value,
    observed_at: Moment,
    received_at: Moment,
) -> Result<Report> {
    let facility =
        registry::facility(db, device.facility_id)?.ok_or_else(|| Error::internal("a device's facility is gone"))?;
    let mut place = device.place_id;
    let mut resident = device.resident_id;
    match (place, resident) {
        (None, Some(id)) => place = registry::resident(db, id)?.and_then(|resident| resident.place_id),
        (Some(id), None) => {
            let here = registry::residents_at(db, id)?;
            if let [only] = here.as_slice() {
                resident = Some(only.id);
            }
        }
        _ => {}
    }
    let place_label = match place {
        Some(id) => registry::place(db, id)?.map(|place| place.label).unwrap_or_default(),
        None => String::new(),
    };
    Ok(Report {
        kind,
        priority: None,
        facility: device.facility_id,
        scenario: facility.scenario,
        place,
        place_label,
        resident,
        device: Some(device.id.0),
        discriminator,
        source: device.name.clone(),
        detail: String::new(),
        cause,
        observed_at,
        received_at,
    })
}

/// Who has a bed or home for themselves: what is measured there is theirs.
pub(crate) fn only_residents(
    db: &mut Db,
    places: impl Iterator<Item = PlaceId>,
) -> Result<HashMap<PlaceId, ResidentId>> {
    let places: Vec<PlaceId> = places.collect();
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let values = places.len();
    let rows: Vec<(PlaceId, ResidentId)> = resident::table
        .filter(resident::place_id.eq_any(places))
        .select((resident::place_id.assume_not_null(), resident::id))
        .kept(values)
        .load(db)?;
    let mut counts: HashMap<PlaceId, usize> = HashMap::new();
    for (place, _) in &rows {
        *counts.entry(*place).or_default() += 1;
    }
    Ok(rows.into_iter().filter(|(place, _)| counts.get(place) == Some(&1)).collect())
}
