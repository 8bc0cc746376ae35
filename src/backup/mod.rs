//! Backup and restore: one encrypted file holds the whole database as it was at one moment, with a manifest by which a
//! restored copy is compared, table by table.
//!
//! - SQLite is copied by its own `VACUUM INTO` while the server runs, then packed; PostgreSQL by `pg_dump`, in the same
//!   snapshot as the manifest's sums.
//! - A restore reads the whole archive before it writes anything, and puts the database in its place at the end.
//! - Keys are not in the archive: neither its own, nor any of which the configuration knows.
//!
//! Everything here blocks: it runs in a thread of its own.

mod archive;
mod key;
mod make;
mod manifest;
mod pack;
mod postgres;
pub(crate) mod records;
mod restore;
pub(crate) mod routine;
mod seal;
pub mod shelf;
mod sqlite;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use songhe_kernel::Text;

pub use archive::{Checked, Header, header};
pub use key::{KeySource, make_key_file};
pub use make::{Made, Order, make};
pub use manifest::{Compared, Manifest};
pub use restore::{Plan, Report, restore, verify};

/// Why a backup or a restore did not happen, in words for whoever asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble(pub Text);

pub type Outcome<T> = Result<T, Trouble>;

impl Trouble {
    /// A sentence with its cause, `why`.
    fn of(key: &'static str, why: impl fmt::Display) -> Self {
        Self(Text::key(key).arg("why", why.to_string().trim()))
    }
}

/// A sentence about a file, with its cause.
fn cannot<E: fmt::Display>(key: &'static str, file: &Path) -> impl Fn(E) -> Trouble {
    move |why| Trouble(Text::key(key).arg("file", file.display()).arg("why", why))
}

fn of_database(error: impl fmt::Display) -> Trouble {
    Trouble::of("backup-database", error)
}

/// What an archive is of, and can be restored to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Sqlite(PathBuf),
    /// The URL.
    Postgres(String),
}

impl Place {
    /// Of a URL; a path without a scheme is a SQLite file's.
    pub fn of(text: &str) -> Self {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Self::Postgres(text.to_owned());
        }
        let path = text.strip_prefix("sqlite:").unwrap_or(text);
        Self::Sqlite(PathBuf::from(path.strip_prefix("//").unwrap_or(path)))
    }

    pub const fn kind(&self) -> Kind {
        match self {
            Self::Sqlite(_) => Kind::Sqlite,
            Self::Postgres(_) => Kind::Postgres,
        }
    }
}

/// Refuses to fill a disk on which emergencies are to be written.
fn expect_space(folder: &Path, bytes: u64) -> Outcome<()> {
    // What cannot be told is no reason not to try.
    let Ok(disk) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let wanted = bytes.saturating_add(SPARE);
    if free >= wanted {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
    let text = Text::key("backup-no-space").arg("folder", folder.display());
    Err(Trouble(text.arg("free", mib(free)).arg("wanted", mib(wanted))))
}

/// Left free on a disk: what is written meanwhile goes there as well.
const SPARE: u64 = 64 * 1024 * 1024;

/// The folder in which a file is or will be.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
