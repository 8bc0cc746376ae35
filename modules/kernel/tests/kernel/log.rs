//! SQLite's write-ahead log beside somebody who reads for long: a backup, say.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use songhe_kernel::db::DatabaseSettings;
use songhe_kernel::schema::meta;
use songhe_kernel::{Database, SystemClock};
use songhe_testkit::{Kind, MIGRATED, TestDb, run_test};

/// How often the log began anew: it stands in its head.
fn begun(log: &Path) -> u32 {
    let head = std::fs::read(log).unwrap();
    u32::from_be_bytes(head[12..16].try_into().unwrap())
}

/// Writes; answers the longest that one of them took.
async fn write(db: &Database, times: usize, text: &str) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..times {
        let (text, started) = (text.to_owned(), Instant::now());
        let put = db.write(move |tx| {
            diesel::delete(meta::table.find("filler")).execute(tx.db())?;
            let row = (meta::key.eq("filler"), meta::value.eq(&text));
            Ok(diesel::insert_into(meta::table).values(row).execute(tx.db())?)
        });
        put.await.unwrap();
        longest = longest.max(started.elapsed());
    }
    longest
}

#[test]
fn a_log_that_a_long_reader_kept_begins_anew_after_it() {
    run_test(async {
        let test = TestDb::create(Kind::Sqlite, &MIGRATED);
        let db = Database::open(&DatabaseSettings::new(test.url()), Arc::new(SystemClock::new()), 0).unwrap();
        let file = test.file().unwrap();
        let log = file.with_file_name("songhe.db-wal");
        write(&db, 1, "first").await;
        let mut reader = SqliteConnection::establish(&file.display().to_string()).unwrap();
        reader.batch_execute("BEGIN; SELECT * FROM meta").unwrap();
        let before = begun(&log);
        // More than any commit should ever have to move: 30 MB.
        let beside = write(&db, 300, &"x".repeat(100_000)).await;
        assert!(std::fs::metadata(&log).unwrap().len() > 20_000_000, "the log grows beside a reader");
        assert_eq!(begun(&log), before);
        reader.batch_execute("COMMIT").unwrap();
        let (mut after, began) = (Duration::ZERO, Instant::now());
        while begun(&log) == before {
            assert!(began.elapsed() < Duration::from_secs(60), "the log goes on and on");
            after = after.max(write(&db, 50, "y").await);
        }
        println!("longest write beside the reader {beside:?}, after it {after:?}");
    });
}
