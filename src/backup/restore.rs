//! Restores an archive, or restores it to compare and forgets it again.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use songhe_kernel::{Moment, Text};

use super::archive::{Archive, Checked, unreadable};
use super::key::KeySource;
use super::manifest::{Compared, Tables, compare, postgres_tables, sqlite_tables};
use super::postgres::{self, PassingDatabase};
use super::sqlite::{self, Passing};
use super::{Kind, Outcome, Place, Trouble, cannot, expect_space, folder_of, of_database, pack};
use crate::migrations;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Plan {
    pub archive: PathBuf,
    pub key: KeySource,
    /// Where to: a path where nothing is, an empty database.
    pub into: Place,
    /// Nothing leaves the restored system before somebody says so.
    pub hold_effects: bool,
    /// Everybody signs in anew.
    pub end_sessions: bool,
    /// The folder of `pg_restore`; `None`: it is found as any program.
    pub tools: Option<PathBuf>,
    pub now: Moment,
}

/// What came of it.
pub struct Report {
    pub archive: Checked,
    pub tables: Vec<Compared>,
}

impl Report {
    /// Whether every table is as it was in the archive.
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(|table| table.equal)
    }

    pub fn rows(&self) -> i64 {
        self.tables.iter().filter_map(|table| table.found).sum()
    }
}

/// Restores. The whole archive is read before anything is written; what is not equal is not put into its place.
///
/// # Errors
/// For a damaged archive, another key, another kind of database, a newer schema, or a place where something is.
pub fn restore(plan: &Plan) -> Outcome<Report> {
    let wanted = plan.into.kind();
    let archive = readable(&plan.archive, &plan.key)?;
    if archive.manifest.kind != wanted {
        let text = Text::key("backup-other-kind").arg("archived", archive.manifest.kind.name());
        return Err(Trouble(text.arg("wanted", wanted.name())));
    }
    let settle = settling(&archive, plan);
    match &plan.into {
        Place::Sqlite(path) => {
            sqlite::expect_nothing(path)?;
            let (file, found) = unpacked(&plan.archive, &plan.key, &archive, path, "restoring")?;
            let report = equal(Report { tables: compare(&archive.manifest.tables, &found), archive })?;
            let mut conn = sqlite::open(file.path())?;
            conn.batch_execute(&settle).map_err(of_database)?;
            drop(conn);
            file.keep_as(path)?;
            Ok(report)
        }
        Place::Postgres(url) => {
            let mut conn = postgres::open(url)?;
            postgres::expect_nothing(&mut conn)?;
            let mut opened = Archive::open(&plan.archive, &plan.key)?;
            postgres::load(url, plan.tools.as_deref(), opened.database()?)?;
            let found = postgres_tables(&mut conn).map_err(of_database)?;
            let report = equal(Report { tables: compare(&archive.manifest.tables, &found), archive })?;
            conn.batch_execute(&settle).map_err(of_database)?;
            Ok(report)
        }
    }
}

/// Restores beside the database at `near`, compares, and takes the copy away.
///
/// # Errors
/// As [`restore`]; a difference is told by the report, not as an error.
pub fn verify(archive: &Path, key: &KeySource, near: &Place, tools: Option<&Path>) -> Outcome<Report> {
    let checked = readable(archive, key)?;
    let found = match (checked.manifest.kind, near) {
        (Kind::Sqlite, Place::Sqlite(path)) => unpacked(archive, key, &checked, path, "verifying")?.1,
        (Kind::Postgres, Place::Postgres(url)) => {
            let passing = PassingDatabase::beside(url)?;
            let mut opened = Archive::open(archive, key)?;
            postgres::load(&passing.url, tools, opened.database()?)?;
            postgres_tables(&mut postgres::open(&passing.url)?).map_err(of_database)?
        }
        (kind, near) => {
            let text = Text::key("backup-verify-elsewhere").arg("archived", kind.name());
            return Err(Trouble(text.arg("wanted", near.kind().name())));
        }
    };
    Ok(Report { tables: compare(&checked.manifest.tables, &found), archive: checked })
}

/// Opens an archive, reads all of it, and makes sure that this version knows its schema.
fn readable(path: &Path, key: &KeySource) -> Outcome<Checked> {
    let checked = Archive::open(path, key)?.check()?;
    let known = migrations::versions(match checked.manifest.kind {
        Kind::Sqlite => songhe_kernel::db::Kind::Sqlite,
        Kind::Postgres => songhe_kernel::db::Kind::Postgres,
    });
    let known = known.map_err(|error| Trouble::of("backup-defect", error))?;
    if checked.manifest.schema.iter().all(|version| known.contains(version)) {
        return Ok(checked);
    }
    let text = Text::key("backup-newer-schema").arg("version", &checked.manifest.version);
    Err(Trouble(text.arg("mine", env!("CARGO_PKG_VERSION"))))
}

fn equal(report: Report) -> Outcome<Report> {
    match report.tables.iter().find(|table| !table.equal) {
        None => Ok(report),
        Some(table) => Err(Trouble(Text::key("backup-not-equal").arg("table", &table.table))),
    }
}

/// Writes a SQLite archive's database beside `near`, and sums it up.
fn unpacked(
    archive: &Path,
    key: &KeySource,
    checked: &Checked,
    near: &Path,
    purpose: &str,
) -> Outcome<(Passing, Tables)> {
    std::fs::create_dir_all(folder_of(near)).map_err(cannot("backup-unwritten", near))?;
    expect_space(folder_of(near), checked.manifest.bytes)?;
    let file = Passing::beside(near, purpose)?;
    let mut out =
        BufWriter::new(File::options().write(true).open(file.path()).map_err(cannot("backup-unwritten", file.path()))?);
    let mut opened = Archive::open(archive, key)?;
    let part = pack::pass_on(opened.database()?, |block| out.write_all(block)).map_err(unreadable(archive))?;
    out.flush().map_err(cannot("backup-unwritten", file.path()))?;
    if part.sha256 != checked.manifest.sha256 {
        return Err(super::archive::damage(archive));
    }
    let mut conn = sqlite::open(file.path())?;
    sqlite::expect_sound(&mut conn)?;
    let tables = sqlite_tables(&mut conn).map_err(of_database)?;
    Ok((file, tables))
}

/// What makes a copy a system of its own. Servers of the old one are not here. Whoever follows events has read some that
/// the copy does not know: the epoch is raised, so that the copy's next ones come after them.
fn settling(archive: &Checked, plan: &Plan) -> String {
    let kept = |key: &str, value: &str| {
        format!(
            "INSERT INTO meta (key, value) VALUES ('{key}', '{value}') ON CONFLICT (key) DO UPDATE SET value = '{value}';"
        )
    };
    let mut sql = String::from(
        "BEGIN; DELETE FROM server; DELETE FROM open_stream; UPDATE server_duty SET instance = NULL, until_ms = 0; \
         UPDATE meta SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE key = 'epoch';",
    );
    sql += &kept("restored_at", &plan.now.to_string());
    sql += &kept("restored_from", &archive.header.created_at.to_string());
    if plan.hold_effects {
        sql += &kept(songhe_kernel::effects::HELD, &plan.now.to_string());
    }
    if plan.end_sessions {
        sql += "DELETE FROM session;";
    }
    sql + "COMMIT"
}
