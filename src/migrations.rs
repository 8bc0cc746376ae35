//! The migrations of every module, embedded; all of them run whatever modules are compiled.

use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use songhe_kernel::db::{Kind, Migrations};

const SQLITE: [EmbeddedMigrations; 5] = [
    embed_migrations!("migrations/sqlite/kernel"),
    embed_migrations!("migrations/sqlite/registry"),
    embed_migrations!("migrations/sqlite/incidents"),
    embed_migrations!("migrations/sqlite/devices"),
    embed_migrations!("migrations/sqlite/care-beds"),
];
const POSTGRES: [EmbeddedMigrations; 5] = [
    embed_migrations!("migrations/postgres/kernel"),
    embed_migrations!("migrations/postgres/registry"),
    embed_migrations!("migrations/postgres/incidents"),
    embed_migrations!("migrations/postgres/devices"),
    embed_migrations!("migrations/postgres/care-beds"),
];

/// The migrations for a kind of database.
pub fn all(kind: Kind) -> Migrations {
    Migrations(Vec::from(match kind {
        Kind::Sqlite => SQLITE,
        Kind::Postgres => POSTGRES,
    }))
}

/// Their versions, as a database that has run them knows them.
///
/// # Errors
/// When this build's migrations are broken.
pub fn versions(kind: Kind) -> diesel::migration::Result<Vec<String>> {
    fn named<DB: diesel::backend::Backend>(all: Vec<Box<dyn Migration<DB>>>) -> Vec<String> {
        all.iter().map(|migration| migration.name().version().to_string()).collect()
    }
    let all = all(kind);
    match kind {
        Kind::Sqlite => Ok(named(MigrationSource::<Sqlite>::migrations(&&all)?)),
        Kind::Postgres => Ok(named(MigrationSource::<Pg>::migrations(&&all)?)),
    }
}
