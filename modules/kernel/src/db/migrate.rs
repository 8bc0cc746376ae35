//! Migrations of every module, in one order of versions; all of them always run, whatever modules are compiled.

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};

use super::Db;
use crate::error::{Error, Result};

/// The embedded migrations of all modules for one database.
pub struct Migrations(pub Vec<EmbeddedMigrations>);

impl<DB: diesel::backend::Backend> MigrationSource<DB> for &Migrations
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<DB>>>> {
        let mut all = Vec::new();
        for module in &self.0 {
            all.extend(MigrationSource::<DB>::migrations(module)?);
        }
        Ok(all)
    }
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Internal(format!("migration: {error}"))
}

fn names(versions: Vec<MigrationVersion<'_>>) -> Vec<String> {
    versions.iter().map(ToString::to_string).collect()
}

/// Runs what has not run; answers the versions it ran.
pub fn migrate(url: &str, migrations: &Migrations) -> Result<Vec<String>> {
    match super::pool::connect(url, super::pool::Role::Write)? {
        Db::Pg(mut conn) => {
            // Two servers that start at once: the second waits and finds nothing to do.
            conn.batch_execute("SELECT pg_advisory_lock(727104)")?;
            let ran = names(conn.run_pending_migrations(migrations).map_err(failed)?);
            conn.batch_execute("SELECT pg_advisory_unlock_all()")?;
            Ok(ran)
        }
        Db::Sqlite(mut conn) => {
            with_keys_off(&mut conn, |conn| Ok(names(conn.run_pending_migrations(migrations).map_err(failed)?)))
        }
    }
}

/// SQLite rebuilds tables to change them; with foreign keys on, dropping the old one would take its children along.
/// The pragma is ignored inside a transaction, so it is set around the whole run, and every key is checked after it.
fn with_keys_off<T>(
    conn: &mut diesel::SqliteConnection,
    f: impl FnOnce(&mut diesel::SqliteConnection) -> Result<T>,
) -> Result<T> {
    #[derive(QueryableByName)]
    struct Orphan {
        #[diesel(sql_type = diesel::sql_types::Text)]
        table: String,
    }
    conn.batch_execute("PRAGMA foreign_keys=OFF")?;
    let value = f(conn)?;
    let orphans: Vec<Orphan> = diesel::sql_query("SELECT \"table\" FROM pragma_foreign_key_check").load(conn)?;
    if let Some(orphan) = orphans.first() {
        return Err(Error::Internal(format!("migration left rows without a parent in {}", orphan.table)));
    }
    conn.batch_execute("PRAGMA foreign_keys=ON")?;
    Ok(value)
}

/// What would run.
pub fn pending_versions(url: &str, migrations: &Migrations) -> Result<Vec<String>> {
    fn of<DB, C>(conn: &mut C, migrations: &Migrations) -> Result<Vec<String>>
    where
        C: MigrationHarness<DB>,
        DB: diesel::backend::Backend,
        for<'a> &'a Migrations: MigrationSource<DB>,
    {
        let pending = conn.pending_migrations(migrations).map_err(failed)?;
        Ok(pending.iter().map(|migration| migration.name().version().to_string()).collect())
    }
    match super::pool::connect(url, super::pool::Role::Write)? {
        Db::Pg(mut conn) => of::<diesel::pg::Pg, _>(&mut conn, migrations),
        Db::Sqlite(mut conn) => of::<Sqlite, _>(&mut conn, migrations),
    }
}

pub fn applied_versions(url: &str) -> Result<Vec<String>> {
    match super::pool::connect(url, super::pool::Role::Write)? {
        Db::Pg(mut conn) => Ok(names(conn.applied_migrations().map_err(failed)?)),
        Db::Sqlite(mut conn) => Ok(names(conn.applied_migrations().map_err(failed)?)),
    }
}

/// Undoes everything: tests prove by it that each `down.sql` restores what its `up.sql` found.
pub fn revert_all(url: &str, migrations: &Migrations) -> Result<()> {
    match super::pool::connect(url, super::pool::Role::Write)? {
        Db::Pg(mut conn) => conn.revert_all_migrations(migrations).map(drop).map_err(failed),
        Db::Sqlite(mut conn) => {
            with_keys_off(&mut conn, |conn| conn.revert_all_migrations(migrations).map(drop).map_err(failed))
        }
    }
}
