//! The months of PostgreSQL's `observation`: `observation_2026_11` holds what was observed in November 2026, UTC. What
//! belongs to no month that is there lies in `observation_default`, so that a device whose clock is wrong loses nothing.
//!
//! Months are made ahead. No step waits for a lock for longer than a moment: it fails and is tried again, since whoever
//! waits for a lock holds up everybody behind.

use chrono::{Datelike, Months, NaiveDate};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use songhe_kernel::{Database, Db, Moment, Result, Tx};

use super::zones::start_of;

/// So many months after this one are made ahead.
const AHEAD: u32 = 2;
/// Rows that the default partition may give to a new month in one transaction.
const MOST_MOVED: i64 = 5_000;
/// Above this size, in bytes, the default partition is not searched for them: it takes too long.
const LARGE: i64 = 256 * 1024 * 1024;
/// Only one server at a time changes partitions.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock(727105)::int::bigint AS n";
/// For a lock nobody waits longer.
pub(super) const SHORT_WAIT: &str = "SET LOCAL lock_timeout = '100ms'";

/// A month, by its first day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(NaiveDate);

impl Month {
    pub fn of(at: Moment) -> Self {
        let day = at.utc().date_naive();
        Self(day.with_day(1).unwrap_or(day))
    }

    /// The month so many months later.
    #[must_use]
    pub fn plus(self, months: u32) -> Self {
        Self(self.0.checked_add_months(Months::new(months)).unwrap_or(self.0))
    }

    #[must_use]
    pub fn minus(self, months: u32) -> Self {
        Self(self.0.checked_sub_months(Months::new(months)).unwrap_or(self.0))
    }

    pub fn start(self) -> Moment {
        start_of(self.0, chrono_tz::UTC)
    }

    pub fn end(self) -> Moment {
        self.plus(1).start()
    }

    /// `observation_2026_11`.
    pub fn table(self) -> String {
        format!("observation_{:04}_{:02}", self.0.year(), self.0.month())
    }

    pub(super) fn from_table(name: &str) -> Option<Self> {
        let (year, month) = name.strip_prefix("observation_")?.split_once('_')?;
        NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, 1).map(Self)
    }

    /// `FOR VALUES …` of the partition.
    pub(super) fn bounds(self) -> String {
        format!("FOR VALUES FROM ('{}') TO ('{}')", self.0, self.plus(1).0)
    }
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

pub(super) fn number(conn: &mut diesel::PgConnection, sql: &str) -> Result<i64> {
    Ok(diesel::sql_query(sql).get_result::<Number>(conn)?.n)
}

pub(super) fn names(conn: &mut diesel::PgConnection, sql: &str) -> Result<Vec<String>> {
    Ok(diesel::sql_query(sql).load::<Name>(conn)?.into_iter().map(|row| row.name).collect())
}

/// Takes the turn to change partitions; `false` when another server has it.
pub(super) fn take_turn(conn: &mut diesel::PgConnection) -> Result<bool> {
    conn.batch_execute(SHORT_WAIT)?;
    Ok(number(conn, LOCK)? == 1)
}

/// The months that have a partition, oldest first; none on SQLite.
///
/// # Errors
/// When the database does not answer.
pub fn months(db: &mut Db) -> Result<Vec<Month>> {
    let Db::Pg(conn) = db else { return Ok(Vec::new()) };
    const ATTACHED: &str = "SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                            WHERE i.inhparent = 'observation'::regclass ORDER BY c.relname";
    Ok(names(conn, ATTACHED)?.iter().filter_map(|name| Month::from_table(name)).collect())
}

/// Makes what is missing from the month before this one to the next ones.
pub(super) async fn make_ahead(db: &Database) -> Result<()> {
    let now = Month::of(db.clock().now());
    make(db, now.minus(1), now.plus(AHEAD)).await
}

/// Makes the partitions of these months, both ends included, where there are none. Nothing on SQLite.
///
/// # Errors
/// When the database does not answer. A month that cannot be made now is logged: its rows go to the default partition.
pub async fn make(db: &Database, first: Month, last: Month) -> Result<()> {
    if db.kind() == songhe_kernel::db::Kind::Sqlite {
        return Ok(());
    }
    let there = db.read(months).await?;
    let mut month = first;
    while month <= last {
        if !there.contains(&month) {
            match db.write(move |tx| make_one(tx, month)).await {
                Ok(true) => tracing::info!(partition = month.table(), "a month of observations was made"),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(partition = month.table(), %error, "a month of observations was not made")
                }
            }
        }
        month = month.plus(1);
    }
    let count = db.read(|db| Ok(months(db)?.len())).await?;
    db.set_gauge("observation_partitions", i64::try_from(count).unwrap_or(i64::MAX));
    Ok(())
}

/// Attaching locks the default partition only; `CREATE TABLE … PARTITION OF` would lock all of them.
fn make_one(tx: &mut Tx<'_>, month: Month) -> Result<bool> {
    let Db::Pg(conn) = tx.db() else { return Ok(false) };
    let (table, bounds) = (month.table(), month.bounds());
    if !take_turn(conn)? || number(conn, &format!("SELECT count(to_regclass('{table}')) AS n"))? > 0 {
        return Ok(false);
    }
    let within = format!("observed_at >= '{}' AND observed_at < '{}'", month.0, month.plus(1).0);
    // What a device with a fast clock has told already.
    let waiting = format!(
        "SELECT count(*) AS n FROM (SELECT 1 FROM observation_default WHERE {within} LIMIT {}) found",
        MOST_MOVED + 1
    );
    if number(conn, "SELECT pg_relation_size('observation_default') AS n")? > LARGE
        || number(conn, &waiting)? > MOST_MOVED
    {
        tracing::warn!(
            partition = table,
            "the default partition is too full to make a month of it: its rows stay there"
        );
        return Ok(false);
    }
    conn.batch_execute(&format!(
        "CREATE TABLE {table} (LIKE observation INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
         ALTER TABLE {table} ADD CONSTRAINT {table}_month CHECK ({within});
         LOCK TABLE observation_default IN ACCESS EXCLUSIVE MODE;
         WITH moved AS (DELETE FROM observation_default WHERE {within} RETURNING *) INSERT INTO {table} SELECT * FROM moved;
         ALTER TABLE observation ATTACH PARTITION {table} {bounds};
         ALTER TABLE {table} DROP CONSTRAINT {table}_month;"
    ))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_month_is_known_by_its_table() {
        let month = Month::of("2026-12-31T23:59:59Z".parse().unwrap());
        assert_eq!(month.table(), "observation_2026_12");
        assert_eq!(Month::from_table("observation_2026_12"), Some(month));
        assert_eq!(month.bounds(), "FOR VALUES FROM ('2026-12-01') TO ('2027-01-01')");
        assert_eq!(month.end().to_string(), "2027-01-01T00:00:00Z");
        for name in ["observation_default", "observation_2026_12_old", "observation_2026_13", "observation_hour"] {
            assert_eq!(Month::from_table(name), None, "{name}");
        }
    }
}
