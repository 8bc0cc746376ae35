//! SQLite: a copy of the file that is in use, and a copy that becomes the file in use.
//!
//! The copy is made by `VACUUM INTO`, which reads one snapshot and never holds the writer. As long as it reads, the
//! write-ahead log cannot begin anew: it grows by what is written meanwhile, and shrinks afterwards (see the kernel's
//! `db/writer.rs`). So only the copying has the snapshot open; summing up, packing and encrypting go on from the copy.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text as SqlText};
use diesel::{SqliteConnection, sql_query};
use songhe_kernel::Text;

use super::{Outcome, Trouble, cannot, expect_space, folder_of, of_database};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = SqlText)]
    v: String,
}

/// A file that goes when the value does, whatever happens in between. It holds what the database holds: for its owner
/// alone, in the database's own folder.
pub(super) struct Passing {
    path: PathBuf,
    /// One at a time: another one would take it away.
    _lock: File,
}

impl Passing {
    /// An empty file beside `database`; what a kill left of an earlier one goes.
    pub(super) fn beside(database: &Path, purpose: &str) -> Outcome<Self> {
        use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
        let path = PathBuf::from(format!("{}.{purpose}", database.display()));
        let lock = PathBuf::from(format!("{}.lock", path.display()));
        let file = File::options().create(true).write(true).truncate(false).mode(0o600).open(&lock);
        let file = file.map_err(cannot("backup-unwritten", &lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Trouble(Text::key("backup-another-runs"))),
            Err(TryLockError::Error(error)) => return Err(cannot("backup-unwritten", &lock)(error)),
        }
        // The one before took the file away between our opening and our locking it: a third could lock a new one.
        let number = |about: std::io::Result<std::fs::Metadata>| about.map(|about| about.ino()).ok();
        if number(file.metadata()) != number(std::fs::metadata(&lock)) {
            return Err(Trouble(Text::key("backup-another-runs")));
        }
        remove(&path);
        let made = File::options().create_new(true).write(true).mode(0o600).open(&path);
        made.map_err(cannot("backup-unwritten", &path))?;
        Ok(Self { path, _lock: file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name for good, once it is on the disk.
    pub(super) fn keep_as(self, path: &Path) -> Outcome<()> {
        let keep = || -> std::io::Result<()> {
            File::open(&self.path)?.sync_all()?;
            // Never over a file that came meanwhile; where a file has one name only, by moving it.
            match std::fs::hard_link(&self.path, path) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => std::fs::rename(&self.path, path)?,
                linked => linked?,
            }
            super::archive::sync_folder(path)
        };
        keep().map_err(cannot("backup-unwritten", path))
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        remove(&self.path);
        remove(Path::new(&format!("{}.lock", self.path.display())));
    }
}

/// With the companions that SQLite may have made.
fn remove(path: &Path) {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

pub(super) fn open(path: &Path) -> Outcome<SqliteConnection> {
    if !path.exists() {
        return Err(Trouble(Text::key("backup-no-database").arg("file", path.display())));
    }
    let mut conn = SqliteConnection::establish(&path.display().to_string()).map_err(of_database)?;
    conn.batch_execute("PRAGMA busy_timeout=5000; PRAGMA temp_store=MEMORY").map_err(of_database)?;
    Ok(conn)
}

fn number(conn: &mut SqliteConnection, sql: &str) -> Outcome<i64> {
    Ok(sql_query(sql).get_result::<Number>(conn).map_err(of_database)?.n)
}

/// Its size in bytes, with what has been freed inside.
fn size(conn: &mut SqliteConnection) -> Outcome<u64> {
    let pages = number(conn, "SELECT page_count AS n FROM pragma_page_count")?;
    let page = number(conn, "SELECT page_size AS n FROM pragma_page_size")?;
    Ok(u64::try_from(pages.saturating_mul(page)).unwrap_or_default())
}

/// Copies the database in use, as it is at one moment.
pub(super) fn copy(database: &Path) -> Outcome<Passing> {
    let mut conn = open(database)?;
    let size = size(&mut conn)?;
    // Once for the copy, and as much again at most for the log that grows meanwhile.
    expect_space(folder_of(database), size.saturating_mul(2))?;
    let copy = Passing::beside(database, "backup-copy")?;
    let into = copy.path().display().to_string();
    sql_query("VACUUM INTO ?").bind::<SqlText, _>(into).execute(&mut conn).map_err(of_database)?;
    // What came while it was read is moved from the log by this connection, not by one that somebody waits for.
    if let Err(error) = conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE)") {
        tracing::warn!(%error, "the write-ahead log could not be emptied after a backup");
    }
    Ok(copy)
}

/// `SQLite 3.50.2`.
pub(super) fn version(conn: &mut SqliteConnection) -> Outcome<String> {
    let found: Word = sql_query("SELECT sqlite_version() AS v").get_result(conn).map_err(of_database)?;
    Ok(format!("SQLite {}", found.v))
}

/// # Errors
/// When a page is damaged, or a row refers to one that is not there.
pub(super) fn expect_sound(conn: &mut SqliteConnection) -> Outcome<()> {
    let found: Word =
        sql_query("SELECT quick_check AS v FROM pragma_quick_check LIMIT 1").get_result(conn).map_err(of_database)?;
    if found.v != "ok" {
        return Err(Trouble::of("backup-unsound", found.v));
    }
    match number(conn, "SELECT count(*) AS n FROM pragma_foreign_key_check")? {
        0 => Ok(()),
        n => Err(Trouble(Text::key("backup-orphans").arg("n", n))),
    }
}

/// # Errors
/// When there is something already.
pub(super) fn expect_nothing(path: &Path) -> Outcome<()> {
    let companions = ["", "-wal", "-journal"].map(|suffix| PathBuf::from(format!("{}{suffix}", path.display())));
    match companions.iter().find(|file| std::fs::symlink_metadata(file).is_ok()) {
        Some(file) => Err(Trouble(Text::key("backup-target-is-there").arg("file", file.display()))),
        None => Ok(()),
    }
}
