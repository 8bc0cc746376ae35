//! The latest state of each device, and when it was heard. Under load the readings of a second are written together: what
//! is in the database is then up to a second older than what was stored, and made good after a kill.

use std::collections::HashMap;

use diesel::dsl::max;
use diesel::prelude::*;
use songhe_kernel::{Db, Moment, Result, Tx};

use crate::observations::{self, Health, NewObservation, State};
use crate::register::DeviceId;
use crate::schema::observation;

/// What is the newest of each device and kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Newest {
    states: HashMap<(DeviceId, String), State>,
    health: HashMap<i64, Health>,
}

impl Newest {
    pub(crate) fn is_empty(&self) -> bool {
        self.states.is_empty() && self.health.is_empty()
    }

    pub(crate) fn add(&mut self, row: &NewObservation) {
        self.keep(State {
            device_id: DeviceId(row.device_id),
            kind: row.kind.clone(),
            value_micro: row.value_micro,
            unit: row.unit.clone(),
            active: row.active,
            quality: row.quality.clone(),
            observed_at: row.observed_at,
        });
    }

    fn keep(&mut self, state: State) {
        let key = (state.device_id, state.kind.clone());
        if self.states.get(&key).is_none_or(|known| state.observed_at >= known.observed_at) {
            self.states.insert(key, state);
        }
    }

    /// That a device was heard. Who says later whether it is on line is right.
    pub(crate) fn heard(&mut self, health: Health) {
        let known = self.health.entry(health.device_id).or_insert_with(|| health.clone());
        known.last_seen_at = known.last_seen_at.max(health.last_seen_at);
        known.online = health.online.or(known.online);
        known.firmware = health.firmware.or(known.firmware.take());
    }

    /// Adds what is newer.
    pub(crate) fn merge(&mut self, newer: Self) {
        newer.states.into_values().for_each(|state| self.keep(state));
        newer.health.into_values().for_each(|health| self.heard(health));
    }

    pub(crate) fn write(&self, db: &mut Db) -> Result<()> {
        let mut states: Vec<State> = self.states.values().cloned().collect();
        states.sort_unstable_by(|a, b| (a.device_id, &a.kind).cmp(&(b.device_id, &b.kind)));
        observations::write_states(db, &states)?;
        let mut health: Vec<Health> = self.health.values().cloned().collect();
        health.sort_unstable_by_key(|health| health.device_id);
        observations::write_health(db, &health)
    }
}

/// Seconds of observations before the last one that may be missing in the latest states after a kill.
const MISSING_S: i64 = 5;
/// Most rows that are looked at: what fits into that time at the rates this server can take.
const MISSING_ROWS: i64 = 50_000;

/// Brings the latest states up to what was stored before a kill.
pub(crate) fn catch_up(tx: &mut Tx<'_>) -> Result<()> {
    let first = last_seq(tx.db())? - MISSING_ROWS;
    let lately = observation::table.filter(observation::seq.gt(first));
    let Some(at) = lately.select(max(observation::received_at)).first::<Option<Moment>>(tx.db())? else {
        return Ok(());
    };
    type Row = (i64, String, Option<i64>, Option<String>, Option<bool>, String, Moment, Moment);
    let rows: Vec<Row> = lately
        .filter(observation::received_at.ge(at.plus_seconds(-MISSING_S)))
        .order(observation::seq.asc())
        .select((
            observation::device_id,
            observation::kind,
            observation::value_micro,
            observation::unit,
            observation::active,
            observation::quality,
            observation::observed_at,
            observation::received_at,
        ))
        .load(tx.db())?;
    let mut newest = Newest::default();
    // Oldest first: of two with one time the later one counts.
    for (device, kind, value_micro, unit, active, quality, observed_at, received_at) in rows {
        let device_id = DeviceId(device);
        newest.keep(State { device_id, kind, value_micro, unit, active, quality, observed_at });
        newest.heard(Health { device_id: device, last_seen_at: received_at, online: None, firmware: None });
    }
    newest.write(tx.db())
}

/// The number of the last row, or one above it. Not by order: PostgreSQL has no index that could tell.
fn last_seq(db: &mut Db) -> Result<i64> {
    #[derive(QueryableByName)]
    struct Last {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        seq: i64,
    }
    let last: Last = match db {
        Db::Pg(conn) => diesel::sql_query("SELECT last_value AS seq FROM observation_seq").get_result(conn)?,
        Db::Sqlite(conn) => {
            diesel::sql_query("SELECT COALESCE(MAX(seq), 0) AS seq FROM observation").get_result(conn)?
        }
    };
    Ok(last.seq)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn state(value: i64, seconds: i64) -> State {
        let at = "2026-11-22T08:00:00Z".parse::<Moment>().unwrap().plus_seconds(seconds);
        State {
            device_id: DeviceId(1),
            kind: "heart_rate".into(),
            value_micro: Some(value),
            unit: None,
            active: None,
            quality: "good".into(),
            observed_at: at,
        }
    }

    #[test]
    fn what_arrives_late_does_not_overwrite_what_is_newer() {
        let (mut all, mut later) = (Newest::default(), Newest::default());
        all.keep(state(72, 10));
        later.keep(state(60, 5));
        all.merge(later);
        assert_eq!(all.states.values().next().unwrap().value_micro, Some(72));
        let mut same = Newest::default();
        same.keep(state(80, 10));
        all.merge(same);
        assert_eq!(all.states.values().next().unwrap().value_micro, Some(80), "of two with one time the later one");
    }
}
