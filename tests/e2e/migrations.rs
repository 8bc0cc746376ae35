//! The schemas of both databases, up and down on real data, and a database that was restored in another cluster.

use std::collections::BTreeSet;
use std::sync::Arc;

use diesel::prelude::*;
use diesel_migrations::MigrationHarness;
use serde_json::json;
use songhe_kernel::db::{Kind as DbKind, applied_versions, migrate, pending_versions, revert_all};
use songhe_testkit::{Kind, TestDb, both_databases, eventually_true, run_test};

use crate::SOON;
use crate::api::{is_change, text};
use crate::sql::Connection;
use crate::world::{House, MIGRATED, Plan};

both_databases! {
    from MIGRATED;

    async fn every_step_goes_down_and_up_again_on_a_filled_database(db: TestDb) {
        let db = filled(db).await;
        let kind = kind(&db);
        let steps = applied_versions(db.url()).unwrap().len();
        assert!(steps >= 6, "{steps} migrations");
        let whole = shape(&db);
        for undone in 1..=steps {
            revert(&db, undone);
            assert_eq!(pending_versions(db.url(), &songhe::migrations::all(kind)).unwrap().len(), undone);
            migrate(db.url(), &songhe::migrations::all(kind)).unwrap();
            assert_eq!(shape(&db), whole, "after {undone} steps down and up");
        }
    }

    async fn all_the_way_down_nothing_is_left(db: TestDb) {
        let db = filled(db).await;
        revert_all(db.url(), &songhe::migrations::all(kind(&db))).unwrap();
        let left: BTreeSet<String> = columns(&db).into_iter().filter_map(|c| Some(c.split_once('.')?.0.to_owned())).collect();
        assert_eq!(left, BTreeSet::from(["__diesel_schema_migrations".to_owned()]));
    }

    async fn commissioning_tests_of_the_release_before_are_kept(db: TestDb) {
        let mut house = House::start(db, &Plan::default()).await;
        house.close().await;
        let db = house.db;
        let back = || while !pending_versions(db.url(), &songhe::migrations::all(kind(&db))).unwrap().iter().any(|one| one.ends_with("000130")) {
            revert(&db, 1);
        };
        back();
        let mut connection = Connection::open(&db);
        let columns = "id, device_id, wants_alarm, started_at, until_at, passed_at, heard, delay_ms";
        for values in [
            "11, MIN(id), TRUE, '2026-11-20 08:00:00', '2026-11-20 08:05:00', '2026-11-20 08:00:12', 'sos', 2000",
            "12, MIN(id), FALSE, '2026-11-20 09:00:00', '2026-11-20 09:05:00', NULL, NULL, NULL",
        ] {
            connection.run(&format!("INSERT INTO commission_test ({columns}) SELECT {values} FROM device"));
        }
        migrate(db.url(), &songhe::migrations::all(kind(&db))).unwrap();
        let moved = "SELECT id || ' ' || kind || ' ' || expects || ' ' || state || ' ' || COALESCE(told, '-') || ' ' || \
                     SUBSTR(COALESCE(CAST(observed_at AS TEXT), '-'), 1, 19) AS line FROM device_test ORDER BY id";
        let expected = ["11 commissioning alarm passed sos 2026-11-20 08:00:10", "12 commissioning any missed - -"];
        assert_eq!(connection.lines(moved), expected);
        // What is tested meanwhile goes back as well.
        connection.run(
            "INSERT INTO device_test (id, device_id, facility_id, kind, expects, state, started_at, ends_at, told, observed_at, received_at, done_at) \
             SELECT 13, device_id, facility_id, kind, expects, state, started_at, ends_at, told, observed_at, received_at, done_at FROM device_test WHERE id = 11",
        );
        back();
        let kept = "SELECT id || ' ' || COALESCE(heard, '-') || ' ' || COALESCE(CAST(delay_ms AS TEXT), '-') AS line FROM commission_test ORDER BY id";
        assert_eq!(connection.lines(kept), ["11 sos 2000", "12 - -", "13 sos 2000"]);
        assert_eq!(connection.count("device_test"), 0);
    }

    async fn a_second_start_finds_nothing_to_migrate(db: TestDb) {
        assert_eq!(migrate(db.url(), &songhe::migrations::all(kind(&db))).unwrap(), Vec::<String>::new());
    }

    async fn restored_in_another_cluster_no_event_is_lost(db: TestDb) {
        restored(db).await;
    }
}

#[test]
fn both_databases_have_the_same_tables_and_columns() {
    let sqlite = TestDb::create(Kind::Sqlite, &MIGRATED);
    let postgres = TestDb::create(Kind::Postgres, &MIGRATED);
    assert_eq!(columns(&sqlite), columns(&postgres));
    // Names of our own: what keys and constraints make by themselves differs. Block ranges are PostgreSQL's; the order of
    // arrival, which they serve, is the key of SQLite's table.
    assert_eq!(indexes(&sqlite), indexes(&postgres));
}

fn kind(db: &TestDb) -> DbKind {
    match db.kind() {
        Kind::Sqlite => DbKind::Sqlite,
        Kind::Postgres => DbKind::Postgres,
    }
}

/// A database in which something has happened: a call, answered and resolved.
async fn filled(db: TestDb) -> TestDb {
    let mut house = House::start(db, &Plan::default()).await;
    let carer = house.api("carer").await;
    house.press(0, "1-1").await;
    let incident = carer.the_incident("the call", |_| true).await;
    let path = format!("/api/v1/incidents/{}", text(&incident, "id"));
    carer.post(&format!("{path}/acknowledge"), json!({})).await;
    let telemetry = br#"{"id":"1-2","readings":[{"kind":"heart_rate","value":72,"unit":"/min"}]}"#;
    crate::mqtt::publish(&house.broker(), &house.world.buttons[0], "telemetry", telemetry).await;
    let url = house.db.url().to_owned();
    eventually_true("a care bed's call", SOON, || async { Connection::open(&house.db).count("care_bed_call") == 1 })
        .await;
    house.close().await;
    assert!(!url.is_empty());
    house.db
}

/// `table.column` of everything.
fn columns(db: &TestDb) -> BTreeSet<String> {
    let sql = match db.kind() {
        Kind::Sqlite => {
            "SELECT t.name || '.' || c.name AS line FROM sqlite_master t, pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'"
        }
        Kind::Postgres => {
            "SELECT c.table_name || '.' || c.column_name AS line FROM information_schema.columns c \
             JOIN pg_class t ON t.oid = c.table_name::regclass WHERE c.table_schema = 'public' AND NOT t.relispartition"
        }
    };
    Connection::open(db).lines(sql).into_iter().collect()
}

fn indexes(db: &TestDb) -> BTreeSet<String> {
    let sql = match db.kind() {
        Kind::Sqlite => "SELECT name AS line FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
        Kind::Postgres => {
            "SELECT i.indexname::text AS line FROM pg_indexes i JOIN pg_class t ON t.oid = i.tablename::regclass \
             WHERE i.schemaname = 'public' AND i.indexname NOT LIKE '%\\_pkey' AND i.indexname NOT LIKE '%\\_key' \
             AND NOT t.relispartition AND i.indexdef NOT LIKE '% USING brin %'"
        }
    };
    Connection::open(db).lines(sql).into_iter().collect()
}

/// Everything that a migration makes, in words; not the months of observations, which a running server makes.
fn shape(db: &TestDb) -> BTreeSet<String> {
    let sql = match db.kind() {
        Kind::Sqlite => {
            "SELECT type || ' ' || name || ' ' || COALESCE(sql, '') AS line FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'"
        }
        Kind::Postgres => {
            "SELECT c.table_name || '.' || c.column_name || ' ' || c.data_type || ' ' || c.is_nullable || ' ' || \
             COALESCE(c.column_default, '') AS line FROM information_schema.columns c \
             JOIN pg_class t ON t.oid = c.table_name::regclass WHERE c.table_schema = 'public' AND NOT t.relispartition \
             UNION ALL SELECT i.indexdef::text FROM pg_indexes i JOIN pg_class t ON t.oid = i.tablename::regclass \
             WHERE i.schemaname = 'public' AND NOT t.relispartition \
             UNION ALL SELECT conrelid::regclass::text || ' ' || conname || ' ' || pg_get_constraintdef(k.oid) \
             FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid \
             WHERE k.connamespace = 'public'::regnamespace AND NOT t.relispartition"
        }
    };
    Connection::open(db).lines(sql).into_iter().collect()
}

/// Undoes the last steps one by one, as an operator would.
fn revert(db: &TestDb, steps: usize) {
    let migrations = songhe::migrations::all(kind(db));
    match Connection::open(db) {
        Connection::Sqlite(mut conn) => {
            diesel::sql_query("PRAGMA foreign_keys=OFF").execute(&mut conn).unwrap();
            for _ in 0..steps {
                conn.revert_last_migration(&migrations).unwrap();
            }
        }
        Connection::Postgres(mut conn) => {
            for _ in 0..steps {
                conn.revert_last_migration(&migrations).unwrap();
            }
        }
    }
}

/// A dump that is restored in a fresh cluster: its events and cursors carry transaction ids far above the present one.
/// (SQLite has none; there it is a plain restart.)
async fn restored(db: TestDb) {
    let mut house = House::start(db, &Plan::default()).await;
    let carer = house.api("carer").await;
    let mut stream = carer.stream().await;
    house.press(0, "1-1").await;
    stream.expect("the call", SOON, |event| is_change(event, "raised")).await;
    eventually_true("the care bed's call", SOON, || async { Connection::open(&house.db).count("care_bed_call") == 1 })
        .await;
    house.close().await;
    let mut connection = Connection::open(&house.db);
    let epoch = "meta WHERE key = 'epoch' AND CAST(value AS BIGINT) > 1";
    assert_eq!(connection.count(epoch), 0);
    let last = if house.db.kind() == Kind::Postgres {
        connection.run("UPDATE event SET xid = xid + 1000000000000");
        connection.run("UPDATE subscription SET xid = xid + 1000000000000");
        connection.run("UPDATE meta SET value = '1' WHERE key = 'cluster'");
        let newest = "SELECT epoch || '-' || xid || '-' || seq AS line FROM event ORDER BY xid DESC, seq DESC LIMIT 1";
        connection.lines(newest).remove(0)
    } else {
        stream.last_id().to_owned()
    };
    house.open().await;
    assert_eq!(connection.count(epoch), i64::from(house.db.kind() == Kind::Postgres), "the epoch");
    let carer = house.api("carer").await;
    let mut stream = carer.stream_after(&last).await;
    house.press(1, "1-1").await;
    stream.expect("a call after the move", SOON, |event| is_change(event, "raised")).await;
    eventually_true("the second care bed's call", SOON, || async {
        Connection::open(&house.db).count("care_bed_call") == 2
    })
    .await;
    house.close().await;
    // The raised epoch stays: another start in the same cluster changes nothing.
    house.open().await;
    assert_eq!(connection.count("meta WHERE key = 'epoch' AND value = '3'"), 0);
    house.close().await;
}

#[test]
fn two_servers_that_start_together_migrate_once() {
    let db = TestDb::create(Kind::Postgres, &songhe_testkit::EMPTY);
    let url: Arc<str> = db.url().into();
    let start = |url: Arc<str>| {
        std::thread::spawn(move || migrate(&url, &songhe::migrations::all(DbKind::Postgres)).unwrap().len())
    };
    let (one, two) = (start(url.clone()), start(url.clone()));
    let ran = [one.join().unwrap(), two.join().unwrap()];
    assert!(ran.contains(&0) && ran.contains(&applied_versions(&url).unwrap().len()), "{ran:?}");
    run_test(async { drop(db) });
}
