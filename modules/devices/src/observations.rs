//! Observations as stored, the latest state of each device, and when it was last heard.

use std::collections::HashMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamp};
use songhe_kernel::{Db, FacilityId, KeptExt, Moment, Result, define_id, insert_rows};
use songhe_registry::{PlaceId, ResidentId};

use crate::register::DeviceId;
use crate::schema::{device_health, device_state, observation};

define_id!(
    /// An observation.
    ObservationId, "obs"
);

/// Rows of one statement.
const ROWS: usize = 500;
/// From so many rows on PostgreSQL takes them faster as a copy.
const COPIED: usize = 16;

#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = observation, treat_none_as_default_value = false)]
pub(crate) struct NewObservation {
    pub(crate) id: i64,
    pub(crate) device_id: i64,
    pub(crate) facility_id: i64,
    pub(crate) place_id: Option<i64>,
    pub(crate) resident_id: Option<i64>,
    pub(crate) kind: String,
    pub(crate) value_micro: Option<i64>,
    pub(crate) unit: Option<String>,
    pub(crate) active: Option<bool>,
    pub(crate) quality: String,
    pub(crate) historical: bool,
    pub(crate) detail: Option<String>,
    pub(crate) message_id: String,
    pub(crate) observed_at: Moment,
    pub(crate) received_at: Moment,
}

/// An observation as stored.
#[derive(Debug, Clone, QueryableByName)]
#[diesel(table_name = observation)]
pub struct Observation {
    /// The order of arrival; of this database only.
    pub(crate) seq: i64,
    pub id: ObservationId,
    pub device_id: DeviceId,
    pub facility_id: FacilityId,
    pub place_id: Option<PlaceId>,
    pub resident_id: Option<ResidentId>,
    pub kind: String,
    pub value_micro: Option<i64>,
    pub unit: Option<String>,
    pub active: Option<bool>,
    pub quality: String,
    pub historical: bool,
    pub detail: Option<String>,
    pub message_id: String,
    pub observed_at: Moment,
    pub received_at: Moment,
}

pub(crate) fn write(db: &mut Db, rows: &[NewObservation]) -> Result<()> {
    if rows.len() >= COPIED
        && let Db::Pg(conn) = db
    {
        diesel::copy_from(observation::table).from_insertable(rows).execute(conn)?;
        return Ok(());
    }
    for rows in rows.chunks(ROWS) {
        insert_rows!(db, rows, |values| diesel::insert_into(observation::table).values(values));
    }
    Ok(())
}

/// The latest of one kind from one device.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = device_state, treat_none_as_default_value = false)]
pub struct State {
    pub device_id: DeviceId,
    pub kind: String,
    pub value_micro: Option<i64>,
    pub unit: Option<String>,
    pub active: Option<bool>,
    pub quality: String,
    pub observed_at: Moment,
}

pub fn states(db: &mut Db, devices: &[DeviceId]) -> Result<Vec<State>> {
    Ok(device_state::table
        .filter(device_state::device_id.eq_any(devices.iter().map(|id| id.0).collect::<Vec<_>>()))
        .order((device_state::device_id.asc(), device_state::kind.asc()))
        .select(State::as_select())
        .kept(devices.len())
        .load(db)?)
}

/// Those of some kinds.
pub(crate) fn states_of(db: &mut Db, devices: &[DeviceId], kinds: &[&str]) -> Result<Vec<State>> {
    Ok(device_state::table
        .filter(device_state::device_id.eq_any(devices.iter().map(|id| id.0).collect::<Vec<_>>()))
        .filter(device_state::kind.eq_any(kinds))
        .select(State::as_select())
        .load(db)?)
}

/// What was known of some devices before a batch.
#[derive(Default)]
pub(crate) struct Earlier(HashMap<(DeviceId, String), State>);

impl Earlier {
    /// Looks up the devices of events and conditions: whether something is over is asked of those alone.
    pub(crate) fn look_up(db: &mut Db, rows: &[NewObservation]) -> Result<Self> {
        let told = rows.iter().filter(|row| row.active.is_some()).map(|row| DeviceId(row.device_id));
        let mut devices: Vec<DeviceId> = told.collect();
        devices.sort_unstable();
        devices.dedup();
        if devices.is_empty() {
            return Ok(Self::default());
        }
        let states = states(db, &devices)?.into_iter();
        Ok(Self(states.map(|state| ((state.device_id, state.kind.clone()), state)).collect()))
    }

    /// Whether a condition was already known to be over at a time after `at`.
    pub(crate) fn cleared_after(&self, device: DeviceId, kind: &str, at: Moment) -> bool {
        self.0
            .get(&(device, kind.to_owned()))
            .is_some_and(|state| state.active == Some(false) && state.observed_at > at)
    }
}

/// The column of whichever is newer: the other lane may have written since we looked.
macro_rules! newer {
    ($kind:ty, $column:literal) => {
        sql::<$kind>(concat!(
            "CASE WHEN excluded.observed_at >= device_state.observed_at THEN excluded.",
            $column,
            " ELSE device_state.",
            $column,
            " END"
        ))
    };
}

/// Keeps the newest of each kind; what arrives late does not overwrite what is newer. One row for each device and kind, in
/// one order for everybody: two transactions that meet wait for each other, and do not deadlock.
pub(crate) fn write_states(db: &mut Db, states: &[State]) -> Result<()> {
    for states in states.chunks(ROWS) {
        insert_rows!(db, states, |values| diesel::insert_into(device_state::table)
            .values(values)
            .on_conflict((device_state::device_id, device_state::kind))
            .do_update()
            .set((
                device_state::value_micro.eq(newer!(Nullable<BigInt>, "value_micro")),
                device_state::unit.eq(newer!(Nullable<Text>, "unit")),
                device_state::active.eq(newer!(Nullable<Bool>, "active")),
                device_state::quality.eq(newer!(Text, "quality")),
                device_state::observed_at.eq(newer!(Timestamp, "observed_at")),
            )));
    }
    Ok(())
}

/// When a device was last heard, and what it says of itself.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = device_health, treat_none_as_default_value = false)]
pub struct Health {
    pub device_id: i64,
    pub last_seen_at: Moment,
    pub online: Option<bool>,
    pub firmware: Option<String>,
}

/// The later of both: the lanes commit in any order.
const LATER: &str = "CASE WHEN excluded.last_seen_at > device_health.last_seen_at THEN excluded.last_seen_at \
                     ELSE device_health.last_seen_at END";

/// What was said later counts; a message that says nothing of it changes nothing.
const ONLINE: &str = "CASE WHEN excluded.last_seen_at >= device_health.last_seen_at \
                      THEN COALESCE(excluded.online, device_health.online) \
                      ELSE COALESCE(device_health.online, excluded.online) END";

pub(crate) fn write_health(db: &mut Db, seen: &[Health]) -> Result<()> {
    for seen in seen.chunks(ROWS) {
        // A message without these facts leaves them as they are.
        insert_rows!(db, seen, |values| {
            diesel::insert_into(device_health::table)
                .values(values)
                .on_conflict(device_health::device_id)
                .do_update()
                .set((
                    device_health::last_seen_at.eq(sql::<Timestamp>(LATER)),
                    device_health::online.eq(sql::<Nullable<Bool>>(ONLINE)),
                    device_health::firmware
                        .eq(sql::<Nullable<Text>>("COALESCE(excluded.firmware, device_health.firmware)")),
                ))
        });
    }
    Ok(())
}

pub fn health(db: &mut Db, devices: &[DeviceId]) -> Result<Vec<Health>> {
    Ok(device_health::table
        .filter(device_health::device_id.eq_any(devices.iter().map(|id| id.0).collect::<Vec<_>>()))
        .select(Health::as_select())
        .load(db)?)
}
