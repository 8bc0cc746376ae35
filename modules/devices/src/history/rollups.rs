//! Hours and days of each device and kind, kept behind a cursor over the order of arrival (`seq`).
//!
//! A step reads what arrived, adds it up outside any transaction, and then, in one short one, moves the cursor from where
//! it was read and adds the sums. So each row counts once, whether it is early, late or historical, however often a step
//! is broken off, and with two servers at once: the second finds that the cursor moved. Hours stay when their readings go.
//!
//! On PostgreSQL numbers are drawn before their rows are committed: a step goes as far as the numbers drawn at a moment
//! whose transactions are all over.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable, Timestamp};
use songhe_kernel::{Database, Db, Moment, Result, insert_rows};

use super::zones::{day_of, hour_of};
use crate::schema::{observation, rollup_cursor};

/// The cursor's row.
const NAME: &str = "observation";
/// Numbers looked at in one step.
const SLICE: i64 = 10_000;
/// Hours written in one transaction: beyond that it takes too long.
const MOST_HOURS: usize = 150;
/// Rows of one statement.
const ROWS: usize = 250;

/// What is known of a device's kind in one hour or day.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sum {
    /// Good readings.
    pub n: i64,
    /// Readings of other quality, and numbers that no field holds.
    pub other: i64,
    /// Events that began.
    pub events: i64,
    /// Of the good readings, × 10⁶. Not a whole number, since those of a day may have none that fits.
    pub sum_micro: f64,
    pub min_micro: Option<i64>,
    pub max_micro: Option<i64>,
    /// The newest of them and when it was observed.
    pub last: Option<(Moment, i64)>,
}

impl Sum {
    /// A good reading.
    pub(crate) fn reading(&mut self, at: Moment, micro: i64) {
        self.n += 1;
        self.sum_micro += micro as f64;
        self.min_micro = Some(self.min_micro.map_or(micro, |least| least.min(micro)));
        self.max_micro = Some(self.max_micro.map_or(micro, |most| most.max(micro)));
        if self.last.is_none_or(|(newest, _)| at >= newest) {
            self.last = Some((at, micro));
        }
    }

    /// A stored row, whatever it is.
    pub(crate) fn row(&mut self, at: Moment, micro: Option<i64>, active: Option<bool>, quality: &str) {
        match (active, micro) {
            (Some(began), _) => self.events += i64::from(began),
            (None, Some(micro)) if quality == "good" => self.reading(at, micro),
            (None, _) => self.other += 1,
        }
    }

    pub(crate) fn join(&mut self, later: &Self) {
        self.n += later.n;
        self.other += later.other;
        self.events += later.events;
        self.sum_micro += later.sum_micro;
        self.min_micro = [self.min_micro, later.min_micro].into_iter().flatten().min();
        self.max_micro = [self.max_micro, later.max_micro].into_iter().flatten().max();
        self.last = [self.last, later.last].into_iter().flatten().max_by_key(|(at, _)| *at);
    }

    fn counts(&self) -> bool {
        self.n + self.other + self.events > 0
    }
}

type Key = (i64, Arc<str>, Moment);
type Sums = BTreeMap<Key, Sum>;

macro_rules! rollup_table {
    ($module:ident, $table:ident) => {
        pub(super) mod $module {
            use super::*;
            use crate::schema::$table;

            #[derive(Insertable, Queryable, Selectable)]
            #[diesel(table_name = $table, treat_none_as_default_value = false)]
            struct Row {
                device_id: i64,
                kind: String,
                starts_at: Moment,
                n: i64,
                other: i64,
                events: i64,
                sum_micro: f64,
                min_micro: Option<i64>,
                max_micro: Option<i64>,
                last_micro: Option<i64>,
                last_at: Option<Moment>,
            }

            pub(super) fn add(db: &mut Db, sums: &Sums) -> Result<()> {
                let rows: Vec<Row> = sums
                    .iter()
                    .map(|((device_id, kind, starts_at), sum)| Row {
                        device_id: *device_id,
                        kind: kind.to_string(),
                        starts_at: *starts_at,
                        n: sum.n,
                        other: sum.other,
                        events: sum.events,
                        sum_micro: sum.sum_micro,
                        min_micro: sum.min_micro,
                        max_micro: sum.max_micro,
                        last_micro: sum.last.map(|(_, micro)| micro),
                        last_at: sum.last.map(|(at, _)| at),
                    })
                    .collect();
                /// The column of whichever row fits: a missing value never does.
                macro_rules! chosen {
                    ($kind:ty, $by:literal, $operator:literal, $column:literal) => {
                        sql::<Nullable<$kind>>(concat!(
                            "CASE WHEN ",
                            stringify!($table),
                            ".",
                            $by,
                            " IS NULL OR excluded.",
                            $by,
                            $operator,
                            stringify!($table),
                            ".",
                            $by,
                            " THEN excluded.",
                            $column,
                            " ELSE ",
                            stringify!($table),
                            ".",
                            $column,
                            " END"
                        ))
                    };
                }
                macro_rules! added {
                    ($kind:ty, $column:literal) => {
                        sql::<$kind>(concat!(stringify!($table), ".", $column, " + excluded.", $column))
                    };
                }
                for rows in rows.chunks(ROWS) {
                    insert_rows!(db, rows, |values| diesel::insert_into($table::table)
                        .values(values)
                        .on_conflict(($table::device_id, $table::kind, $table::starts_at))
                        .do_update()
                        .set((
                            $table::n.eq(added!(BigInt, "n")),
                            $table::other.eq(added!(BigInt, "other")),
                            $table::events.eq(added!(BigInt, "events")),
                            $table::sum_micro.eq(added!(Double, "sum_micro")),
                            $table::min_micro.eq(chosen!(BigInt, "min_micro", " < ", "min_micro")),
                            $table::max_micro.eq(chosen!(BigInt, "max_micro", " > ", "max_micro")),
                            $table::last_micro.eq(chosen!(BigInt, "last_at", " >= ", "last_micro")),
                            $table::last_at.eq(chosen!(Timestamp, "last_at", " >= ", "last_at")),
                        )));
                }
                Ok(())
            }

            /// The sums of one device and kind that begin in [from, until), oldest first.
            pub(in super::super) fn load(
                db: &mut Db,
                device: i64,
                kind: &str,
                from: Moment,
                until: Moment,
            ) -> Result<Vec<(Moment, Sum)>> {
                let rows: Vec<Row> = $table::table
                    .filter($table::device_id.eq(device).and($table::kind.eq(kind)))
                    .filter($table::starts_at.ge(from).and($table::starts_at.lt(until)))
                    .order($table::starts_at.asc())
                    .select(Row::as_select())
                    .load(db)?;
                let sum = |row: Row| Sum {
                    n: row.n,
                    other: row.other,
                    events: row.events,
                    sum_micro: row.sum_micro,
                    min_micro: row.min_micro,
                    max_micro: row.max_micro,
                    last: row.last_at.zip(row.last_micro),
                };
                Ok(rows.into_iter().map(|row| (row.starts_at, sum(row))).collect())
            }
        }
    };
}

rollup_table!(hours, observation_hour);
rollup_table!(days, observation_day);

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Up to which number rows may be added, and the first transaction that must not be waited for any more.
#[derive(Debug, Clone, Copy)]
struct Horizon {
    seq: i64,
    /// PostgreSQL only.
    xmax: i64,
}

/// The number first, then the transactions: whoever drew a number by then is among them.
fn horizon(db: &mut Db) -> Result<Horizon> {
    match db {
        Db::Pg(conn) => {
            const DRAWN: &str = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS n FROM observation_seq";
            const RUNNING: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS n";
            let drawn: Number = diesel::sql_query(DRAWN).get_result(conn)?;
            let running: Number = diesel::sql_query(RUNNING).get_result(conn)?;
            Ok(Horizon { seq: drawn.n, xmax: running.n })
        }
        Db::Sqlite(_) => {
            let last: Option<i64> = observation::table.select(diesel::dsl::max(observation::seq)).first(db)?;
            Ok(Horizon { seq: last.unwrap_or_default(), xmax: 0 })
        }
    }
}

/// Whether every transaction that may have drawn a number below the horizon is over.
fn is_settled(db: &mut Db, horizon: Horizon) -> Result<bool> {
    match db {
        Db::Pg(conn) => {
            const OLDEST: &str = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS n";
            Ok(diesel::sql_query(OLDEST).get_result::<Number>(conn)?.n >= horizon.xmax)
        }
        Db::Sqlite(_) => Ok(true),
    }
}

/// How far the roll-ups are.
pub(super) fn cursor(db: &mut Db) -> Result<i64> {
    Ok(rollup_cursor::table.find(NAME).select(rollup_cursor::seq).first(db)?)
}

/// What a step has found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is more to add.
    More,
    /// A transaction that may still add rows is not over.
    Waits,
    /// Everything that had arrived is added.
    Done,
}

/// Brings what arrived into the roll-ups, step by step.
#[derive(Debug, Default)]
pub struct RollUps {
    horizon: Option<Horizon>,
}

/// What lies between two places of the cursor.
struct Slice {
    from: i64,
    to: i64,
    hours: Sums,
    days: Sums,
}

type Stored = (i64, i64, i64, String, Option<i64>, Option<bool>, String, Moment);

impl RollUps {
    /// One slice.
    ///
    /// # Errors
    /// When the database does not answer; nothing is lost or counted twice by it.
    pub async fn step(&mut self, db: &Database) -> Result<Step> {
        let known = self.horizon;
        let (horizon, settled, from) = db
            .read(move |db| {
                let horizon = match known {
                    Some(known) => known,
                    None => horizon(db)?,
                };
                Ok((horizon, is_settled(db, horizon)?, cursor(db)?))
            })
            .await?;
        self.horizon = Some(horizon);
        db.set_gauge("observations_not_rolled_up", (horizon.seq - from).max(0));
        if from >= horizon.seq {
            self.horizon = None;
            return Ok(Step::Done);
        }
        if !settled {
            return Ok(Step::Waits);
        }
        let slice = Arc::new(db.read(move |db| slice(db, from, horizon.seq.min(from + SLICE))).await?);
        let to = slice.to;
        db.write(move |tx| {
            let here = rollup_cursor::table.find(NAME).filter(rollup_cursor::seq.eq(slice.from));
            let moved = diesel::update(here).set(rollup_cursor::seq.eq(slice.to)).execute(tx.db())?;
            // Another server was quicker: it has added them.
            if moved == 1 {
                hours::add(tx.db(), &slice.hours)?;
                days::add(tx.db(), &slice.days)?;
            }
            Ok(())
        })
        .await?;
        if to >= horizon.seq {
            self.horizon = None;
        }
        Ok(Step::More)
    }
}

/// Adds up what arrived behind `from`, as far as `to` at most.
fn slice(db: &mut Db, from: i64, to: i64) -> Result<Slice> {
    let mut zones: BTreeMap<i64, Tz> = BTreeMap::new();
    for facility in songhe_registry::facilities(db)? {
        zones.insert(facility.id.0, facility.tz()?);
    }
    let rows = arrived(db, from, to)?;
    let mut slice = Slice { from, to, hours: Sums::new(), days: Sums::new() };
    let mut kinds: BTreeMap<String, Arc<str>> = BTreeMap::new();
    for (seq, device, facility, kind, micro, active, quality, at) in rows {
        let zone = zones.get(&facility).copied().unwrap_or(songhe_kernel::time::DEFAULT_ZONE);
        let kind = kinds.entry(kind).or_insert_with_key(|kind| kind.as_str().into()).clone();
        slice.hours.entry((device, kind.clone(), hour_of(at, zone))).or_default().row(at, micro, active, &quality);
        slice.days.entry((device, kind, day_of(at, zone))).or_default().row(at, micro, active, &quality);
        if slice.hours.len() >= MOST_HOURS {
            slice.to = seq;
            break;
        }
    }
    slice.hours.retain(|_, sum| sum.counts());
    slice.days.retain(|_, sum| sum.counts());
    Ok(slice)
}

fn arrived(db: &mut Db, from: i64, to: i64) -> Result<Vec<Stored>> {
    db.transaction(|db| {
        if let Db::Pg(conn) = db {
            // The block ranges know where these rows are; without statistics the planner would read every month.
            conn.batch_execute("SET LOCAL enable_seqscan = off")?;
        }
        Ok(observation::table
            .filter(observation::seq.gt(from).and(observation::seq.le(to)))
            .order(observation::seq.asc())
            .select((
                observation::seq,
                observation::device_id,
                observation::facility_id,
                observation::kind,
                observation::value_micro,
                observation::active,
                observation::quality,
                observation::observed_at,
            ))
            .load(db)?)
    })
}

/// Adds everything that has arrived by now: after a bulk load, and in tests.
///
/// # Errors
/// As [`RollUps::step`].
pub async fn catch_up(db: &Database) -> Result<()> {
    let mut rollups = RollUps::default();
    loop {
        match rollups.step(db).await? {
            Step::More => {}
            Step::Waits => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            Step::Done => return Ok(()),
        }
    }
}
