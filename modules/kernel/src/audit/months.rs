//! The months of PostgreSQL's `audit`, made ahead. What belongs to no month that is there lies in `audit_default`.

use chrono::{Datelike, Months, NaiveDate};
use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, RunQueryDsl};

use crate::db::{Database, Db, Kind, Tx};
use crate::error::Result;

/// So many months after this one are made ahead.
const AHEAD: u32 = 2;
/// Only one server at a time; nobody waits for a lock for longer.
const TURN: &str = "SELECT pg_try_advisory_xact_lock(727106160)::int::bigint AS n";
const SHORT_WAIT: &str = "SET LOCAL lock_timeout = '100ms'";

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Makes what is missing; nothing on SQLite. A month that cannot be made now is logged and tried again: its rows are safe
/// in the default partition meanwhile.
pub(super) async fn make_ahead(db: &Database) {
    if db.kind() == Kind::Sqlite {
        return;
    }
    let today = db.clock().now().utc().date_naive();
    let first = today.with_day(1).unwrap_or(today);
    for later in 0..=AHEAD {
        let month = first.checked_add_months(Months::new(later)).unwrap_or(first);
        if let Err(error) = db.write(move |tx| make(tx, month)).await {
            tracing::warn!(%error, %month, "a month of the audit log was not made");
        }
    }
}

fn make(tx: &mut Tx<'_>, month: NaiveDate) -> Result<()> {
    let Db::Pg(conn) = tx.db() else { return Ok(()) };
    let next = month.checked_add_months(Months::new(1)).unwrap_or(month);
    let table = format!("audit_{:04}_{:02}", month.year(), month.month());
    let there = format!("SELECT count(to_regclass('{table}')) AS n");
    if diesel::sql_query(there).get_result::<Number>(conn)?.n > 0
        || diesel::sql_query(TURN).get_result::<Number>(conn)?.n == 0
    {
        return Ok(());
    }
    let within = format!("at >= '{month}' AND at < '{next}'");
    // Rows of this month that came before it was made: they stay where they are, and the month comes next month.
    let taken = format!("SELECT count(*) AS n FROM (SELECT 1 FROM audit_default WHERE {within} LIMIT 1) found");
    if diesel::sql_query(taken).get_result::<Number>(conn)?.n > 0 {
        return Ok(());
    }
    conn.batch_execute(SHORT_WAIT)?;
    // Attaching locks the default partition only; `CREATE TABLE … PARTITION OF` would lock all of them.
    conn.batch_execute(&format!(
        "CREATE TABLE {table} (LIKE audit INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
         ALTER TABLE {table} ADD CONSTRAINT {table}_month CHECK ({within});
         ALTER TABLE audit ATTACH PARTITION {table} FOR VALUES FROM ('{month}') TO ('{next}');
         ALTER TABLE {table} DROP CONSTRAINT {table}_month;"
    ))?;
    Ok(())
}
