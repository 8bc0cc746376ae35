//! What this module adds to the page of a resident or place: the devices there, and a resident's latest values.

use diesel::prelude::*;
use serde_json::{Value, json};
use songhe_kernel::identity::Caller;
use songhe_kernel::{Db, FacilityId, Moment, Result};
use songhe_registry::{Panel, PanelSlot, PanelSource, PanelSubject, places_under, resident};

use crate::module::{DEVICES_READ, OBSERVATIONS_READ};
use crate::register::{Device, DeviceId};
use crate::schema::device;
use crate::{list, observations, words};

/// Given to the registry's pages with `Panels(vec![…, Arc::new(DevicePanels)])`.
#[derive(Debug, Default)]
pub struct DevicePanels;

impl PanelSource for DevicePanels {
    fn panels(
        &self,
        db: &mut Db,
        caller: &Caller,
        facility: FacilityId,
        subject: PanelSubject,
        now: Moment,
    ) -> Result<Vec<Panel>> {
        if !caller.facilities(DEVICES_READ).contains(facility) {
            return Ok(Vec::new());
        }
        let devices = devices_of(db, subject)?;
        let ids: Vec<DeviceId> = devices.iter().map(|device| device.id).collect();
        let mut panels = Vec::new();
        if matches!(subject, PanelSubject::Resident(_)) && caller.facilities(OBSERVATIONS_READ).contains(facility) {
            let latest = latest(db, &ids)?;
            panels.push(Panel {
                slot: PanelSlot::Body,
                template: "devices/panel-latest",
                model: json!({ "latest": latest }),
            });
        }
        let shown: Vec<Value> = list::describe(db, devices, now)?.iter().map(row).collect();
        panels.push(Panel {
            slot: PanelSlot::Body,
            template: "devices/panel-devices",
            model: json!({ "devices": shown }),
        });
        Ok(panels)
    }
}

/// The devices bound to a resident or hanging where they live; those of a place and below it.
fn devices_of(db: &mut Db, subject: PanelSubject) -> Result<Vec<Device>> {
    let (place, person) = match subject {
        PanelSubject::Place(id) => (Some(id), None),
        PanelSubject::Resident(id) => (resident(db, id)?.and_then(|resident| resident.place_id), Some(id)),
    };
    let places: Vec<i64> = match place {
        Some(id) => places_under(db, id)?.iter().map(|id| id.0).collect(),
        None => Vec::new(),
    };
    let mut query = device::table.select(Device::as_select()).into_boxed();
    query = query.filter(device::place_id.eq_any(places));
    if let Some(id) = person {
        query = query.or_filter(device::resident_id.eq(id.0));
    }
    Ok(query.order(device::id.asc()).load(db)?)
}

/// The newest value of each measure over several devices.
fn latest(db: &mut Db, devices: &[DeviceId]) -> Result<Vec<Value>> {
    let mut states = observations::states(db, devices)?;
    states.retain(|state| words::is_measure(&state.kind) && state.value_micro.is_some());
    states.sort_by(|a, b| a.kind.cmp(&b.kind).then(b.observed_at.cmp(&a.observed_at)));
    states.dedup_by(|next, kept| next.kind == kept.kind);
    let shown = states.iter().map(|state| {
        json!({
            "measure": state.kind,
            "value": state.value_micro.map(words::decimal),
            "unit_key": state.unit.as_deref().and_then(words::unit_key),
            "at": state.observed_at,
            "quality": words::quality_key(&state.quality, 0),
        })
    });
    Ok(shown.collect())
}

fn row(listed: &list::Listed) -> Value {
    json!({
        "id": listed.device.id,
        "name": listed.device.name,
        "class_key": words::class_key(&listed.device.class),
        "online": listed.online,
        "last_at": listed.last_seen_at,
        "battery": listed.battery_percent,
    })
}
