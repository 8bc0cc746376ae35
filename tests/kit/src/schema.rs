//! The tables of all modules, as the server makes them.

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use songhe_kernel::db::{Migrations, migrate};

use crate::Template;

const SQLITE: [EmbeddedMigrations; 5] = [
    embed_migrations!("../../migrations/sqlite/kernel"),
    embed_migrations!("../../migrations/sqlite/registry"),
    embed_migrations!("../../migrations/sqlite/incidents"),
    embed_migrations!("../../migrations/sqlite/devices"),
    embed_migrations!("../../migrations/sqlite/care-beds"),
];
const POSTGRES: [EmbeddedMigrations; 5] = [
    embed_migrations!("../../migrations/postgres/kernel"),
    embed_migrations!("../../migrations/postgres/registry"),
    embed_migrations!("../../migrations/postgres/incidents"),
    embed_migrations!("../../migrations/postgres/devices"),
    embed_migrations!("../../migrations/postgres/care-beds"),
];

/// A database with every table and no row.
pub const MIGRATED: Template = Template { name: "migrated", fill };

fn fill(url: &str) {
    let all = if url.starts_with("sqlite:") { SQLITE } else { POSTGRES };
    migrate(url, &Migrations(all.into())).expect("the migrations run");
}
