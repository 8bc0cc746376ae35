//! What was observed, newest first. Each owner (device, resident or facility) and kind is one descent of an index that
//! ends with the time; a few dozen of them are merged, so that a rare kind is found among millions without an index more.

use std::fmt;
use std::str::FromStr;

use diesel::prelude::*;
use diesel::sql_types::Timestamp;
use serde::{Deserialize, Deserializer};
use songhe_kernel::{Db, FacilityId, Moment, Result};
use songhe_registry::ResidentId;
use songhe_registry::schema::facility;

use super::kinds;
use crate::observations::Observation;
use crate::register::DeviceId;

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// `None`: every facility.
    pub facilities: Option<Vec<FacilityId>>,
    pub device: Option<DeviceId>,
    pub resident: Option<ResidentId>,
    pub kind: Option<String>,
    /// Observed at this moment or later.
    pub from: Option<Moment>,
    /// Observed before this moment.
    pub until: Option<Moment>,
    /// Behind this row.
    pub after: Option<Place>,
}

/// Where a row stands in a list: a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    at: Moment,
    seq: i64,
}

impl Place {
    pub fn of(row: &Observation) -> Self {
        Self { at: row.observed_at, seq: row.seq }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.at.utc().timestamp_micros(), self.seq)
    }
}

/// Text that is no cursor of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAPlace;

impl fmt::Display for NotAPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Read by `misread.rs` of the kernel.
        f.write_str("an id like 1763798400000000-7")
    }
}

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> std::result::Result<Self, NotAPlace> {
        // From behind: a time before 1970 is negative.
        let (at, seq) = text.rsplit_once('-').ok_or(NotAPlace)?;
        let at = at.parse().ok().and_then(chrono::DateTime::from_timestamp_micros).ok_or(NotAPlace)?;
        let seq = seq.parse().ok().filter(|seq| *seq >= 0).ok_or(NotAPlace)?;
        Ok(Self { at: Moment::from_utc(at), seq })
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |error: NotAPlace| {
            serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &error.to_string().as_str())
        };
        text.parse().map_err(wrong)
    }
}

impl schemars::JsonSchema for Place {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ObservationCursor".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^-?[0-9]+-[0-9]+$" })
    }
}

/// Whose rows, by which index.
struct Search {
    column: &'static str,
    index: &'static str,
    owners: Vec<i64>,
    kinds: Vec<&'static str>,
    /// Further conditions.
    also: String,
}

impl Search {
    /// `None` when nothing can be found.
    fn of(db: &mut Db, filter: &Filter) -> Result<Option<Self>> {
        let kinds = match &filter.kind {
            Some(name) => kinds::known(name).into_iter().collect(),
            None => kinds::all(),
        };
        let among = filter.facilities.as_ref().map(|ids| ids.iter().map(|id| id.0).collect::<Vec<_>>());
        let mut also = match &among {
            Some(ids) if !ids.is_empty() => format!(" AND i.facility_id IN ({})", list(ids)),
            _ => String::new(),
        };
        let (column, index, owners) = match (filter.device, filter.resident) {
            (Some(device), resident) => {
                if let Some(resident) = resident {
                    also.push_str(&format!(" AND i.resident_id = {}", resident.0));
                }
                ("device_id", "observation_device", vec![device.0])
            }
            (None, Some(resident)) => ("resident_id", "observation_resident", vec![resident.0]),
            (None, None) => {
                also.clear();
                let owners = match &among {
                    Some(ids) => ids.clone(),
                    None => facility::table.select(facility::id).load(db)?,
                };
                ("facility_id", "observation_facility", owners)
            }
        };
        let nobody = owners.is_empty() || kinds.is_empty() || among.is_some_and(|ids| ids.is_empty());
        Ok((!nobody).then_some(Self { column, index, owners, kinds, also }))
    }

    /// Binds: from, until, the time of the row before.
    fn statement(&self, db: &Db, behind: i64, limit: i64) -> String {
        let Self { column, index, owners, kinds, also } = self;
        let owners = owners.iter().map(|id| format!("({id})")).collect::<Vec<_>>().join(",");
        let with = format!("WITH w(id) AS (VALUES {owners}), k(kind) AS (VALUES {})", kinds::rows(kinds));
        let newest = "observed_at DESC, seq DESC";
        match db {
            Db::Pg(_) => format!(
                "{with} SELECT o.* FROM w, k, LATERAL (SELECT * FROM observation i \
                 WHERE i.{column} = w.id AND i.kind = k.kind COLLATE \"C\" AND i.observed_at >= $1 \
                 AND i.observed_at < $2 AND i.observed_at <= $3 AND (i.observed_at < $3 OR i.seq < {behind}){also} \
                 ORDER BY {newest} LIMIT {limit}) o ORDER BY {newest} LIMIT {limit}"
            ),
            Db::Sqlite(_) => format!(
                "{with} SELECT o.* FROM w CROSS JOIN k CROSS JOIN observation o WHERE o.seq IN \
                 (SELECT i.seq FROM observation i INDEXED BY {index} WHERE i.{column} = w.id AND i.kind = k.kind \
                 AND i.observed_at >= ?1 AND i.observed_at < ?2 AND i.observed_at <= ?3 \
                 AND (i.observed_at < ?3 OR i.seq < {behind}){also} ORDER BY {newest} LIMIT {limit}) \
                 ORDER BY o.observed_at DESC, o.seq DESC LIMIT {limit}"
            ),
        }
    }
}

fn list(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}

/// Before and after everything that can be observed.
const EVER: (i64, i64) = (-62_135_596_800_000, 253_402_300_799_000);

/// Up to `limit` observations, the last to be observed first; of one moment, the last to arrive first.
///
/// # Errors
/// When the database does not answer.
pub fn observations(db: &mut Db, filter: &Filter, limit: i64) -> Result<Vec<Observation>> {
    let Some(search) = Search::of(db, filter)? else { return Ok(Vec::new()) };
    let ever = |ms| Moment::from_unix_ms(ms).ok_or_else(|| songhe_kernel::Error::internal("no such year"));
    let (first, last) = (ever(EVER.0)?, ever(EVER.1)?);
    let behind = filter.after.unwrap_or(Place { at: last, seq: i64::MAX });
    let statement = search.statement(db, behind.seq, limit);
    let (from, until) = (filter.from.unwrap_or(first), filter.until.unwrap_or(last));
    songhe_kernel::each!(db, |conn| Ok(diesel::sql_query(statement)
        .bind::<Timestamp, _>(from)
        .bind::<Timestamp, _>(until)
        .bind::<Timestamp, _>(behind.at)
        .load(conn)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_anything_else_is_refused() {
        for (at, seq) in [("2026-11-22T08:00:00.000001Z", 7), ("1969-12-31T23:59:59Z", 0)] {
            let place = Place { at: at.parse().unwrap(), seq };
            assert_eq!(place.to_string().parse::<Place>(), Ok(place));
        }
        for text in ["", "-", "1", "obs_0123456789abc", "1-x", "x-1", "1--1", "99999999999999999999-1"] {
            assert_eq!(text.parse::<Place>(), Err(NotAPlace), "{text}");
        }
    }
}
