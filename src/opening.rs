//! The database file before it is opened: its folder, its owner, its one server.

use std::fs::{File, TryLockError};
use std::path::PathBuf;

use songhe_kernel::SharedClock;
use songhe_kernel::db::DatabaseSettings;
use songhe_kernel::runtime::{self, Opened};

use crate::assembly::StartError;
use crate::config::Config;
use crate::{keys, migrations};

/// Opens the migrated database; creates the folder of a SQLite file.
///
/// # Errors
/// When it cannot be opened or migrated.
pub async fn open_database(config: &Config, clock: SharedClock) -> Result<Opened, StartError> {
    let mut settings = DatabaseSettings::new(config.database.url.clone());
    settings.connections = config.database.connections;
    prepare_folder(&config.database.url)?;
    prepare_file(&config.database.url)?;
    let kind = settings.kind()?;
    let url = settings.url.clone();
    let ran = tokio::task::spawn_blocking(move || songhe_kernel::db::migrate(&url, &migrations::all(kind)))
        .await
        .map_err(|error| StartError::Other(error.to_string()))??;
    if !ran.is_empty() {
        tracing::info!(migrations = ran.len(), "database migrated");
    }
    let opened = runtime::open(&settings, clock).await?;
    keys::open(&opened.db, config).await?;
    Ok(opened)
}

/// Before work on a database that a running server must not be disturbed in.
///
/// # Errors
/// When another Songhe is running on this SQLite file.
pub(crate) fn expect_alone(url: &str) -> Result<(), StartError> {
    prepare_folder(url)?;
    lock_file(url).map(drop)
}

fn prepare_folder(url: &str) -> Result<(), StartError> {
    let Some(path) = url.strip_prefix("sqlite:") else { return Ok(()) };
    let path = std::path::Path::new(path.strip_prefix("//").unwrap_or(path));
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => std::fs::create_dir_all(parent)
            .map_err(|error| StartError::Other(format!("{} cannot be created: {error}", parent.display()))),
        None => Ok(()),
    }
}

/// A SQLite file belongs to its owner alone: it holds residents, password hashes and secrets, and SQLite gives its
/// companions the same rights. Answers its path without links, so that one file has one lock; `None` for PostgreSQL.
fn prepare_file(url: &str) -> Result<Option<PathBuf>, StartError> {
    let Some(path) = url.strip_prefix("sqlite:") else { return Ok(None) };
    let path = path.strip_prefix("//").unwrap_or(path);
    let cannot = |error| StartError::Other(format!("The database file {path} cannot be opened: {error}."));
    private_file(path).map(Some).map_err(cannot)
}

/// A file that is there is not opened: closing it would take away the locks of every SQLite connection of this process to
/// it, and another program that looks into the database would then throw the write-ahead log away.
fn private_file(path: &str) -> std::io::Result<PathBuf> {
    if !std::fs::exists(path)? {
        let mut options = File::options();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        drop(options.open(path)?);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if std::fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        }
    }
    std::fs::canonicalize(path)
}

/// A SQLite file has one server: a lock beside it, given back by the system however the process ends.
pub(crate) fn lock_file(url: &str) -> Result<Option<File>, StartError> {
    let Some(database) = prepare_file(url)? else { return Ok(None) };
    let path = format!("{}.lock", database.display());
    let cannot = |error: std::io::Error| StartError::Other(format!("{path} cannot be locked: {error}"));
    let file = File::options().create(true).write(true).truncate(false).open(&path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(StartError::Other(format!(
            "Another Songhe is running on this database ({path} is locked). Stop it, or give this one a database.url of its own."
        ))),
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}
