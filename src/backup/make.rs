//! Makes an archive.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use songhe_kernel::{Moment, Text};

use super::archive::{Archive, DATABASE, NewArchive};
use super::key::KeySource;
use super::manifest::{Manifest, sqlite_schema, sqlite_tables};
use super::{Kind, Outcome, Place, Trouble, expect_space, folder_of, of_database, postgres, sqlite};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Order {
    pub place: Place,
    /// The file that becomes the archive.
    pub to: PathBuf,
    pub key: KeySource,
    /// The folder of `pg_dump`; `None`: it is found as any program.
    pub tools: Option<PathBuf>,
    /// Everything committed by then is in it.
    pub now: Moment,
}

/// What came of it.
#[derive(Debug)]
pub struct Made {
    pub path: PathBuf,
    pub bytes: u64,
    pub took: Duration,
    pub manifest: Manifest,
}

/// Makes an archive, and reads it back from the disk.
///
/// # Errors
/// With nothing left behind.
pub fn make(order: &Order) -> Outcome<Made> {
    let started = Instant::now();
    if let KeySource::File(key) = &order.key
        && same_folder(key, &order.to)
    {
        return Err(Trouble(Text::key("backup-key-beside").arg("key", key.display())));
    }
    let (bytes, manifest) = match &order.place {
        Place::Sqlite(path) => of_sqlite(order, path)?,
        Place::Postgres(url) => of_postgres(order, url)?,
    };
    // What the disk gives back is what counts.
    Archive::open(&order.to, &order.key)?.check()?;
    Ok(Made { path: order.to.clone(), bytes, took: started.elapsed(), manifest })
}

/// Whoever took the archives would have their key as well.
fn same_folder(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(folder_of(path)).ok();
    real(one).is_some_and(|folder| Some(folder) == real(other))
}

fn of_sqlite(order: &Order, database: &Path) -> Outcome<(u64, Manifest)> {
    let copy = sqlite::copy(database)?;
    let mut conn = sqlite::open(copy.path())?;
    let (tables, schema) = (sqlite_tables(&mut conn), sqlite_schema(&mut conn));
    let (tables, schema) = (tables.map_err(of_database)?, schema.map_err(of_database)?);
    let version = sqlite::version(&mut conn)?;
    drop(conn);
    let file = File::open(copy.path()).map_err(of_database)?;
    expect_space(folder_of(&order.to), file.metadata().map_err(of_database)?.len() / 2)?;
    let mut archive = NewArchive::create(&order.to, Kind::Sqlite, order.now, &order.key)?;
    match archive.add(DATABASE, &mut BufReader::new(file)) {
        Ok(part) => {
            let manifest = Manifest {
                kind: Kind::Sqlite,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                database: version,
                created_at: order.now,
                schema,
                bytes: part.bytes,
                sha256: part.sha256,
                tables,
            };
            Ok((archive.finish(&manifest)?, manifest))
        }
        Err(trouble) => {
            archive.give_up();
            Err(trouble)
        }
    }
}

fn of_postgres(order: &Order, url: &str) -> Outcome<(u64, Manifest)> {
    expect_space(folder_of(&order.to), postgres::size(url)? / 2)?;
    let mut archive = NewArchive::create(&order.to, Kind::Postgres, order.now, &order.key)?;
    match postgres::dump(url, order.tools.as_deref(), &mut archive) {
        Ok(dumped) => {
            let manifest = Manifest {
                kind: Kind::Postgres,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                database: dumped.database,
                created_at: order.now,
                schema: dumped.schema,
                bytes: dumped.part.bytes,
                sha256: dumped.part.sha256,
                tables: dumped.tables,
            };
            Ok((archive.finish(&manifest)?, manifest))
        }
        Err(trouble) => {
            archive.give_up();
            Err(trouble)
        }
    }
}
