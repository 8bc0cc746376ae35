//! How often a facility tests its emergency devices, and which devices need no test.

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::{BothExt, Db, Error, FacilityId, FieldError, Result, Text, Tx, UserId};

use crate::register::Device;
use crate::schema::{device, device_test_exempt, device_test_plan};

/// Days between two tests; one test a week unless the facility says otherwise (domain/care.md, Alarms).
const INTERVAL_DAYS: std::ops::RangeInclusive<i32> = 1..=31;
/// How long a test waits for its press, in seconds. Short, since a call for help within it could be taken for the test.
pub(super) const WINDOW_S: std::ops::RangeInclusive<i32> = 60..=1_800;

/// A facility's plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DeviceTestPlan")]
pub struct Plan {
    /// Days from one test of a device to the next, 1 to 31.
    pub interval_days: i32,
    /// How long a started test waits for the press, in seconds: 60 to 1800.
    pub window_seconds: i32,
}

impl Default for Plan {
    fn default() -> Self {
        Self { interval_days: 7, window_seconds: 300 }
    }
}

pub fn plan(db: &mut Db, facility: FacilityId) -> Result<Plan> {
    let stored: Option<Plan> = device_test_plan::table
        .find(facility.0)
        .select((device_test_plan::interval_days, device_test_plan::window_seconds))
        .first(db)
        .optional()?;
    Ok(stored.unwrap_or_default())
}

/// # Errors
/// `Invalid` on a number outside its range.
pub fn set_plan(tx: &mut Tx<'_>, facility: FacilityId, plan: Plan) -> Result<()> {
    let mut wrong = Vec::new();
    for (field, value, range) in
        [("interval_days", plan.interval_days, INTERVAL_DAYS), ("window_seconds", plan.window_seconds, WINDOW_S)]
    {
        if !range.contains(&value) {
            let text = Text::key("device-tests-error-range").arg("min", range.start()).arg("max", range.end());
            wrong.push(FieldError::new(field, text));
        }
    }
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    let values = (
        device_test_plan::interval_days.eq(plan.interval_days),
        device_test_plan::window_seconds.eq(plan.window_seconds),
    );
    diesel::insert_into(device_test_plan::table)
        .values((device_test_plan::facility_id.eq(facility.0), values))
        .on_conflict(device_test_plan::facility_id)
        .do_update()
        .set(values)
        .both()
        .execute(tx.db())?;
    super::changed(tx, facility);
    Ok(())
}

/// The devices of a facility that need no test, by name.
pub fn exempt(db: &mut Db, facility: FacilityId) -> Result<Vec<Device>> {
    Ok(device::table
        .filter(device::facility_id.eq(facility.0))
        .filter(device::id.eq_any(device_test_exempt::table.select(device_test_exempt::device_id)))
        .order((device::name.asc(), device::id.asc()))
        .select(Device::as_select())
        .load(db)?)
}

/// A device that calls nobody needs no test, or needs one after all.
pub fn set_exempt(tx: &mut Tx<'_>, device: &Device, exempt: bool, by: UserId) -> Result<()> {
    let now = tx.now();
    if exempt {
        diesel::insert_into(device_test_exempt::table)
            .values((
                device_test_exempt::device_id.eq(device.id.0),
                device_test_exempt::exempt_by.eq(by.0),
                device_test_exempt::exempt_at.eq(now),
            ))
            .on_conflict(device_test_exempt::device_id)
            .do_nothing()
            .both()
            .execute(tx.db())?;
    } else {
        diesel::delete(device_test_exempt::table.find(device.id.0)).execute(tx.db())?;
    }
    super::changed(tx, device.facility_id);
    Ok(())
}
