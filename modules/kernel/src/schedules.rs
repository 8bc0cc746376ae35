//! Cron schedules in the facility's zone. A tick is a timer keyed by (schedule, facility), holding its due time; the
//! handler of a tick runs in the transaction that sets the next one, so that two servers cannot run one twice and a
//! kill between two ticks loses none.

use std::str::FromStr;

use chrono_tz::Tz;
use diesel::prelude::*;

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::ids::FacilityId;
use crate::module::Modules;
use crate::schema::timer;
use crate::time::Moment;
use crate::timers::{NewTimer, Timer};

/// What a manifest declares: a tick arrives at `on_timer` with `kind` = `name`.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub name: &'static str,
    /// Seconds, minutes, hours, days of month, months, days of week: `0 30 3 * * *`.
    pub cron: &'static str,
    /// At each facility in its own zone, or once for the system.
    pub per_facility: bool,
}

/// After a longer silence the ticks in between are not made up one by one: the last one before now stands for them.
const CATCH_UP_HOURS: i64 = 24;

#[derive(serde::Serialize, serde::Deserialize)]
struct Tick {
    cron: String,
    zone: String,
}

/// The first tick strictly after a moment. A local time that the zone skips does not occur; the crate answers the next.
pub fn next_tick(expression: &str, zone: Tz, after: Moment) -> Result<Moment> {
    let schedule = cron::Schedule::from_str(expression).map_err(|error| Error::Internal(format!("cron: {error}")))?;
    schedule
        .after(&after.in_zone(zone))
        .next()
        .map(|tick| Moment::from_utc(tick.with_timezone(&chrono::Utc)))
        .ok_or_else(|| Error::Internal(format!("cron expression {expression} never comes")))
}

fn key(module: &str, name: &str, facility: Option<FacilityId>) -> String {
    match facility {
        Some(facility) => format!("cron:{module}:{name}:{facility}"),
        None => format!("cron:{module}:{name}"),
    }
}

/// Makes sure that every declared schedule has its next tick; an existing one keeps it unless its expression changed.
pub fn ensure(tx: &mut Tx<'_>, modules: &Modules, facilities: &[(FacilityId, Tz)], system_zone: Tz) -> Result<()> {
    for module in modules.iter() {
        let manifest = module.manifest();
        for schedule in manifest.schedules {
            let places: Vec<(Option<FacilityId>, Tz)> = if schedule.per_facility {
                facilities.iter().map(|(id, zone)| (Some(*id), *zone)).collect()
            } else {
                vec![(None, system_zone)]
            };
            for (facility, zone) in places {
                ensure_one(tx, manifest.name, schedule, facility, zone)?;
            }
        }
    }
    Ok(())
}

fn ensure_one(
    tx: &mut Tx<'_>,
    module: &'static str,
    schedule: &Schedule,
    facility: Option<FacilityId>,
    zone: Tz,
) -> Result<()> {
    let key = key(module, schedule.name, facility);
    let data = serde_json::to_value(Tick { cron: schedule.cron.into(), zone: zone.name().into() })?;
    let known: Option<String> = timer::table.find(&key).select(timer::data).first(tx.db()).optional()?;
    if known.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok()).as_ref() == Some(&data) {
        return Ok(());
    }
    let due_at = next_tick(schedule.cron, zone, tx.now())?;
    tx.set_timer(NewTimer { key, module, kind: schedule.name, facility, data, due_at })
}

/// Called in the transaction that fires a timer: a tick sets its successor first.
pub(crate) fn before_tick(tx: &mut Tx<'_>, modules: &Modules, fired: &Timer) -> Result<()> {
    if !fired.key.starts_with("cron:") {
        return Ok(());
    }
    let Some(module) = modules.get(&fired.module) else { return Ok(()) };
    let manifest = module.manifest();
    let Some(schedule) = manifest.schedules.iter().find(|schedule| schedule.name == fired.kind) else {
        return Ok(());
    };
    let tick: Tick = fired.data()?;
    let zone = Tz::from_str(&tick.zone).map_err(Error::internal)?;
    let now = tx.now();
    let from = if now.since(fired.due_at) > chrono::TimeDelta::hours(CATCH_UP_HOURS) {
        now.plus(-chrono::TimeDelta::hours(CATCH_UP_HOURS))
    } else {
        fired.due_at
    };
    let due_at = next_tick(schedule.cron, zone, from)?;
    tx.set_timer(NewTimer {
        key: fired.key.clone(),
        module: manifest.name,
        kind: schedule.name,
        facility: fired.facility_id,
        data: serde_json::to_value(tick)?,
        due_at,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::time::DEFAULT_ZONE;

    #[test]
    fn a_daily_tick_comes_at_the_facilitys_hour() {
        let now: Moment = "2026-11-22T18:59:00Z".parse().unwrap();
        assert_eq!(next_tick("0 0 3 * * *", DEFAULT_ZONE, now).unwrap().to_string(), "2026-11-22T19:00:00Z");
        let tick: Moment = "2026-11-22T19:00:00Z".parse().unwrap();
        assert_eq!(next_tick("0 0 3 * * *", DEFAULT_ZONE, tick).unwrap().to_string(), "2026-11-23T19:00:00Z");
    }

    #[test]
    fn a_tick_follows_the_zone_through_summer_time() {
        let zone = chrono_tz::America::New_York;
        let before: Moment = "2026-03-07T15:00:00Z".parse().unwrap();
        assert_eq!(next_tick("0 0 9 * * *", zone, before).unwrap().to_string(), "2026-03-08T13:00:00Z");
    }
}
