//! What has had its time goes. A step is one short transaction, outside the lane of emergencies; the caller breathes
//! between two of them.
//!
//! PostgreSQL: a month that is wholly past everything is dropped; one that is past readings only is set aside as
//! `observation_2025_10_old`, an empty one takes its place, and what is to be kept moves over in slices before the rest is
//! dropped: no table full of holes is left behind. What is set aside is found again after a kill by its name.
//! SQLite, and the default partition: slices of rows.
//!
//! A row is past when it was both observed and received before the limit: the clock of a device may be years slow, and its
//! emergency is evidence all the same. Nothing goes that the roll-ups have not seen.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamp};
use songhe_kernel::{Database, Db, Moment, Result, Tx};

use super::kinds::{self, Class};
use super::partitions::{self, Month, names, number, take_turn};
use super::rollups;
use crate::schema::{observation_day, observation_hour};

/// Rows removed, or moved, in one transaction: three indexes each, and the writer is held for 50 ms at most.
const SLICE: i64 = 500;
/// Hours or days of one device and kind removed in one transaction, in days of time.
const HOURS_AT_ONCE: TimeDelta = TimeDelta::days(20);
const DAYS_AT_ONCE: TimeDelta = TimeDelta::days(500);

/// For how long what is kept, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    pub readings_days: i64,
    pub events_days: i64,
    pub emergencies_days: i64,
    /// Hourly roll-ups.
    pub hourly_days: i64,
    /// Daily roll-ups.
    pub daily_days: i64,
}

impl Keep {
    fn limit(&self, class: Class, now: Moment) -> Moment {
        let days = match class {
            Class::Readings => self.readings_days,
            Class::Events => self.events_days,
            Class::Emergencies => self.emergencies_days,
        };
        now.plus(-TimeDelta::days(days))
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many rows went or moved (a month counts as one); there may be more.
    Removed(u64),
    Done,
}

/// What there is to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Work {
    /// What is left of a month that was set aside.
    Empty(String, Month),
    Drop(Month),
    SetAside(Month),
    /// Rows of one facility and kind.
    Rows {
        facility: i64,
        kind: String,
        limit: Moment,
    },
    Hours {
        device: i64,
        kind: String,
    },
    Days {
        device: i64,
        kind: String,
    },
}

#[derive(QueryableByName)]
struct Owned {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    kind: String,
}

/// Does the next piece of work.
///
/// # Errors
/// When the database does not answer, or a lock is held for too long: nothing is lost, the next step goes on.
pub async fn step(db: &Database, keep: &Keep) -> Result<Step> {
    let (keep, now) = (*keep, db.clock().now());
    let work = db.read(move |db| find(db, &keep, now)).await?;
    let Some(work) = work else { return Ok(Step::Done) };
    db.write(move |tx| work_on(tx, &work, &keep, now)).await.map(Step::Removed)
}

fn find(db: &mut Db, keep: &Keep, now: Moment) -> Result<Option<Work>> {
    let seen = rollups::cursor(db)?;
    if let Some(work) = month_to_clear(db, keep, now, seen)? {
        return Ok(Some(work));
    }
    for class in Class::ALL {
        let limit = keep.limit(class, now);
        if let Some(found) = rows_past(db, class, limit, seen)? {
            return Ok(Some(Work::Rows { facility: found.id, kind: found.kind, limit }));
        }
    }
    let past = |days| now.plus(-TimeDelta::days(days));
    if let Some(found) = sums_past(db, "observation_hour", past(keep.hourly_days))? {
        return Ok(Some(Work::Hours { device: found.id, kind: found.kind }));
    }
    let days = sums_past(db, "observation_day", past(keep.daily_days))?;
    Ok(days.map(|found| Work::Days { device: found.id, kind: found.kind }))
}

/// Kinds whose time is over for everything in a month, and those that are still kept.
fn kinds_in(month: Month, keep: &Keep, now: Moment) -> (Vec<&'static str>, Vec<&'static str>) {
    let (mut past, mut kept) = (Vec::new(), Vec::new());
    for class in Class::ALL {
        let list = if month.end() <= keep.limit(class, now) { &mut past } else { &mut kept };
        list.extend(class.kinds());
    }
    (past, kept)
}

fn month_to_clear(db: &mut Db, keep: &Keep, now: Moment, seen: i64) -> Result<Option<Work>> {
    let months = partitions::months(db)?;
    let Db::Pg(conn) = db else { return Ok(None) };
    const ASIDE: &str = "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema() \
                         AND tablename ~ '^observation_[0-9]{4}_[0-9]{2}_old$' ORDER BY tablename";
    if let Some(table) = names(conn, ASIDE)?.into_iter().next()
        && let Some(month) = table.strip_suffix("_old").and_then(Month::from_table)
    {
        return Ok(Some(Work::Empty(table, month)));
    }
    for month in months {
        let (past, kept) = kinds_in(month, keep, now);
        if past.is_empty() {
            break;
        }
        let table = month.table();
        // Block ranges answer this at once.
        if number(conn, &format!("SELECT count(*) AS n FROM (SELECT 1 FROM {table} WHERE seq > {seen} LIMIT 1) new"))?
            > 0
        {
            continue;
        }
        if kept.is_empty() {
            return Ok(Some(Work::Drop(month)));
        }
        let there = format!(
            "WITH k(kind) AS (VALUES {}) SELECT count(*) AS n FROM (SELECT 1 FROM facility f CROSS JOIN k WHERE EXISTS \
             (SELECT 1 FROM {table} o WHERE o.facility_id = f.id AND o.kind = k.kind COLLATE \"C\") LIMIT 1) found",
            kinds::rows(&past)
        );
        if number(conn, &there)? > 0 {
            return Ok(Some(Work::SetAside(month)));
        }
    }
    Ok(None)
}

/// A facility and kind of which rows are past: all rows on SQLite, those of the default partition on PostgreSQL.
fn rows_past(db: &mut Db, class: Class, limit: Moment, seen: i64) -> Result<Option<Owned>> {
    let with = format!("WITH k(kind) AS (VALUES {})", kinds::rows(&class.kinds()));
    let select = |table: &str, collate: &str, first: &str| {
        format!(
            "{with} SELECT f.id AS id, k.kind AS kind FROM facility f CROSS JOIN k WHERE EXISTS (SELECT 1 FROM {table} o \
             WHERE o.facility_id = f.id AND o.kind = k.kind{collate} AND o.observed_at < {first} \
             AND o.received_at < {first} AND o.seq < {seen}) LIMIT 1"
        )
    };
    Ok(match db {
        Db::Pg(conn) => diesel::sql_query(select("observation_default", " COLLATE \"C\"", "$1"))
            .bind::<Timestamp, _>(limit)
            .get_result(conn)
            .optional()?,
        Db::Sqlite(conn) => diesel::sql_query(select("observation", "", "?1"))
            .bind::<Timestamp, _>(limit)
            .get_result(conn)
            .optional()?,
    })
}

/// A device and kind of which roll-ups are past. Whatever was ever observed has a latest state.
fn sums_past(db: &mut Db, table: &str, limit: Moment) -> Result<Option<Owned>> {
    let select = |collate: &str, first: &str| {
        format!(
            "SELECT s.device_id AS id, s.kind AS kind FROM device_state s WHERE EXISTS (SELECT 1 FROM {table} r \
             WHERE r.device_id = s.device_id AND r.kind = s.kind{collate} AND r.starts_at < {first}) LIMIT 1"
        )
    };
    Ok(match db {
        Db::Pg(conn) => {
            let query = diesel::sql_query(select(" COLLATE \"C\"", "$1"));
            query.bind::<Timestamp, _>(limit).get_result(conn).optional()?
        }
        Db::Sqlite(conn) => {
            diesel::sql_query(select("", "?1")).bind::<Timestamp, _>(limit).get_result(conn).optional()?
        }
    })
}

fn work_on(tx: &mut Tx<'_>, work: &Work, keep: &Keep, now: Moment) -> Result<u64> {
    let past = |days| now.plus(-TimeDelta::days(days));
    match work {
        Work::Empty(table, month) => empty(tx, table, &kinds_in(*month, keep, now).1),
        Work::Drop(month) => on_month(tx, *month, |table, _| {
            format!("ALTER TABLE observation DETACH PARTITION {table}; DROP TABLE {table};")
        }),
        Work::SetAside(month) => on_month(tx, *month, |table, bounds| {
            format!(
                "ALTER TABLE observation DETACH PARTITION {table}; ALTER TABLE {table} RENAME TO {table}_old; \
                 CREATE TABLE {table} PARTITION OF observation {bounds};"
            )
        }),
        Work::Rows { facility, kind, limit } => remove_rows(tx.db(), *facility, kind, *limit),
        Work::Hours { device, kind } => remove_hours(tx.db(), *device, kind, past(keep.hourly_days)),
        Work::Days { device, kind } => remove_days(tx.db(), *device, kind, past(keep.daily_days)),
    }
}

/// Changes of the catalogue only: the lock on everything is held for milliseconds.
fn on_month(tx: &mut Tx<'_>, month: Month, sql: impl Fn(&str, &str) -> String) -> Result<u64> {
    let Db::Pg(conn) = tx.db() else { return Ok(0) };
    if !take_turn(conn)? {
        return Ok(0);
    }
    let table = month.table();
    conn.batch_execute(&sql(&table, &month.bounds()))?;
    tracing::info!(partition = table, "a month of observations is past its time");
    Ok(1)
}

/// Moves a slice of what is kept back; drops the table when nothing of that is left in it.
fn empty(tx: &mut Tx<'_>, table: &str, kept: &[&'static str]) -> Result<u64> {
    let Db::Pg(conn) = tx.db() else { return Ok(0) };
    if !take_turn(conn)? {
        return Ok(0);
    }
    let mut moved = 0;
    if !kept.is_empty() {
        let rows = kinds::rows(kept);
        // What is kept is rare among millions.
        conn.batch_execute("SET LOCAL enable_seqscan = off")?;
        moved = diesel::sql_query(format!(
            "WITH k(kind) AS (VALUES {rows}), chosen AS (SELECT o.ctid FROM facility f CROSS JOIN k CROSS JOIN LATERAL \
             (SELECT ctid FROM {table} WHERE facility_id = f.id AND kind = k.kind COLLATE \"C\" LIMIT {SLICE}) o \
             LIMIT {SLICE}), moved AS (DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM chosen)) RETURNING *) \
             INSERT INTO observation SELECT * FROM moved"
        ))
        .execute(conn)?;
    }
    if moved == 0 {
        conn.batch_execute(&format!("DROP TABLE {table}"))?;
        return Ok(1);
    }
    Ok(moved as u64)
}

fn remove_rows(db: &mut Db, facility: i64, kind: &str, limit: Moment) -> Result<u64> {
    let seen = rollups::cursor(db)?;
    let gone = match db {
        Db::Pg(conn) => diesel::sql_query(format!(
            "DELETE FROM observation_default WHERE ctid = ANY(ARRAY(SELECT ctid FROM observation_default \
             WHERE facility_id = $1 AND kind = $2 AND observed_at < $3 AND received_at < $3 AND seq < {seen} LIMIT {SLICE}))"
        ))
        .bind::<BigInt, _>(facility)
        .bind::<Text, _>(kind)
        .bind::<Timestamp, _>(limit)
        .execute(conn)?,
        // The row at the cursor stays: SQLite gives the number of a last row that is gone to the next one.
        Db::Sqlite(conn) => diesel::sql_query(format!(
            "DELETE FROM observation WHERE seq IN (SELECT seq FROM observation INDEXED BY observation_facility \
             WHERE facility_id = ?1 AND kind = ?2 AND observed_at < ?3 AND received_at < ?3 AND seq < {seen} LIMIT {SLICE})"
        ))
        .bind::<BigInt, _>(facility)
        .bind::<Text, _>(kind)
        .bind::<Timestamp, _>(limit)
        .execute(conn)?,
    };
    Ok(gone as u64)
}

macro_rules! remove_sums {
    ($name:ident, $table:ident, $at_once:expr) => {
        fn $name(db: &mut Db, device: i64, kind: &str, limit: Moment) -> Result<u64> {
            use $table::{device_id, kind as of_kind, starts_at};
            let of = device_id.eq(device).and(of_kind.eq(kind.to_owned()));
            let oldest: Option<Moment> =
                $table::table.filter(of.clone()).order(starts_at.asc()).select(starts_at).first(db).optional()?;
            let Some(oldest) = oldest else { return Ok(0) };
            let until = limit.min(oldest.plus($at_once));
            Ok(diesel::delete($table::table.filter(of.and(starts_at.lt(until)))).execute(db)? as u64)
        }
    };
}

remove_sums!(remove_hours, observation_hour, HOURS_AT_ONCE);
remove_sums!(remove_days, observation_day, DAYS_AT_ONCE);
