//! A year of observations: what `songhe bench history` fills and asks for, small.

use std::sync::Arc;

use songhe::bench::history::{Arguments, measure};
use songhe_kernel::SystemClock;
use songhe_kernel::db::DatabaseSettings;
use songhe_testkit::{TestDb, both_databases};

use crate::sql::Connection;
use crate::world::MIGRATED;

/// In the long profile; the bench itself fills as many as it is told to.
const LONG_ROWS: i64 = 270_000;
const ROWS: i64 = 9_000;

both_databases! {
    from MIGRATED;

    async fn a_year_is_filled_rolled_up_and_answered(db: TestDb) {
        a_year(db).await;
    }
}

async fn a_year(db: TestDb) {
    let rows = if std::env::var_os("SONGHE_TEST_LONG").is_some() { LONG_ROWS } else { ROWS };
    let arguments = Arguments { rows, devices: 3, requests: 3, database: None };
    let (_, measured) = measure(&arguments, db.url()).await.unwrap();
    assert_eq!(measured.len(), 16);
    assert!(measured.iter().all(|(.., samples)| samples.len() == 3));
    let mut sql = Connection::open(&db);
    assert_eq!(sql.count("observation"), rows);
    // Rolled up by the server itself it is the same.
    let filled = [sums(&mut sql, "observation_hour"), sums(&mut sql, "observation_day")];
    assert!(filled[1].len() >= 365 * 9, "{} days", filled[1].len());
    sql.run("DELETE FROM observation_hour");
    sql.run("DELETE FROM observation_day");
    sql.run("UPDATE rollup_cursor SET seq = 0");
    let opened =
        songhe_kernel::runtime::open(&DatabaseSettings::new(db.url()), Arc::new(SystemClock::new())).await.unwrap();
    songhe_devices::history::catch_up(&opened.db).await.unwrap();
    assert!([sums(&mut sql, "observation_hour"), sums(&mut sql, "observation_day")] == filled, "the roll-ups differ");
}

fn sums(sql: &mut Connection, table: &str) -> Vec<String> {
    sql.lines(&format!(
        "SELECT device_id || ' ' || kind || ' ' || starts_at || ' ' || n || ' ' || CAST(sum_micro AS BIGINT) || ' ' || \
         min_micro || ' ' || max_micro || ' ' || last_micro || ' ' || last_at AS line FROM {table} ORDER BY 1"
    ))
}
