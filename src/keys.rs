//! The keys of sensitive fields: from the configuration, or a file of their own beside the database; made at the first start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use songhe_kernel::vault::{self, KeyRing, SealedColumn, Unknown};
use songhe_kernel::{Database, Modules};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::assembly::StartError;
use crate::config::Config;

/// Where the keys of a PostgreSQL database stand unless told.
const FOLDER: &str = "songhe-data";
const FILE: &str = "keys/songhe.keys";

/// The file that keys are read from: the one configured, else `keys/songhe.keys` beside a SQLite file or in `songhe-data`.
pub(crate) fn file(config: &Config) -> PathBuf {
    if let Some(path) = &config.vault.key_file {
        return path.clone();
    }
    let folder = config.database.url.strip_prefix("sqlite:").and_then(|path| {
        let path = Path::new(path.strip_prefix("//").unwrap_or(path));
        path.parent().map(Path::to_path_buf)
    });
    folder.unwrap_or_else(|| FOLDER.into()).join(FILE)
}

/// Gives an opened database the keys of this server.
///
/// # Errors
/// When they cannot be read, or are not those that its fields were sealed by: a sentence that tells the mend.
pub(crate) async fn open(db: &Database, config: &Config) -> Result<(), StartError> {
    let known = db.read(vault::known_keys).await?;
    let ring = match read(config)? {
        Some(ring) => ring,
        None if known.is_empty() => make(&file(config))?,
        None => return Err(StartError::Other(lost(&file(config)))),
    };
    db.vault().give(ring, config.vault.algorithm.into());
    let missing = db.write(vault::attach).await?;
    match missing.first() {
        Some(first) => Err(StartError::Other(unknown(first, config))),
        None => Ok(()),
    }
}

/// The configured keys; `None`: there is no file yet.
///
/// # Errors
/// When what is there cannot be read.
pub(crate) fn read(config: &Config) -> Result<Option<KeyRing>, StartError> {
    if let Some(keys) = &config.vault.keys {
        let ring = KeyRing::parse(keys);
        return ring.map(Some).map_err(|why| StartError::Other(format!("vault.keys cannot be used: {why}.")));
    }
    let path = file(config);
    let cannot = |why: String| StartError::Other(format!("The key file {} cannot be used: {why}.", path.display()));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error.to_string())),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = std::fs::metadata(&path).map_err(|error| cannot(error.to_string()))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(cannot(format!("others may read it; run `chmod 600 {}`", path.display())));
        }
    }
    KeyRing::parse(&text).map(Some).map_err(cannot)
}

/// Draws keys and writes them, for a database that has sealed nothing yet.
fn make(path: &Path) -> Result<KeyRing, StartError> {
    let ring = KeyRing::draw();
    let cannot = |why: &dyn std::fmt::Display| {
        StartError::Other(format!("The key file {} cannot be written: {why}.", path.display()))
    };
    match ring.write_new(path) {
        Ok(()) => {
            tracing::warn!(
                path = %path.display(),
                "keys for sensitive fields were drawn: keep a copy of this file in another place (docs/keys.md)"
            );
            Ok(ring)
        }
        // Another server of this folder was first.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
            KeyRing::parse(&text).map_err(|why| cannot(&why))
        }
        Err(error) => Err(cannot(&error)),
    }
}

fn lost(path: &Path) -> String {
    format!(
        "The key file {} is missing, and this database holds fields that were sealed by its keys. Put it back from its copy \
         or from another server; do not let Songhe draw new keys (docs/keys.md).",
        path.display()
    )
}

fn unknown(key: &Unknown, config: &Config) -> String {
    let place = match &config.vault.keys {
        Some(_) => "vault.keys".to_owned(),
        None => format!("the key file {}", file(config).display()),
    };
    let (purpose, number) = (key.purpose.as_str(), key.number);
    let what = if key.differs { "has another one of that number" } else { "does not have" };
    format!(
        "This database was used with the {purpose} key {number}, which {place} {what}. Give the keys that it was used with, \
         from their copy or from another server (docs/keys.md)."
    )
}

/// How often the key file, the active keys and what is left to do for them are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Every sealed column of this build.
pub(crate) fn columns(modules: &Modules) -> Vec<&'static SealedColumn> {
    modules.iter().flat_map(|module| module.sealed_columns()).collect()
}

/// Seals what earlier releases kept in clear: before anything is served.
///
/// # Errors
/// When the database refuses.
pub(crate) async fn convert(db: &Database, columns: &[&'static SealedColumn], url: &str) -> Result<(), StartError> {
    let moved = vault::convert(db, columns.to_vec(), url).await?;
    if moved > 0 {
        tracing::info!(values = moved, "sensitive fields were sealed");
    }
    Ok(())
}

/// Takes a changed key file over, and does what is left to do for a new key.
pub(crate) async fn keep(
    db: Database,
    config: Config,
    columns: Vec<&'static SealedColumn>,
    mut stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        if let Err(error) = look(&db, &config, &columns).await {
            tracing::error!(%error, "the keys of sensitive fields cannot be looked at");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn look(db: &Database, config: &Config, columns: &[&'static SealedColumn]) -> Result<(), StartError> {
    if config.vault.keys.is_none()
        && let Some(ring) = read(config)?
    {
        db.vault().give(ring, config.vault.algorithm.into());
    }
    // Looked at first: an idle server must not write every five seconds.
    let vault = db.vault();
    if db.read(move |db| vault::is_attached(&vault, db)).await? {
        return catch_up(db, columns).await;
    }
    match db.write(vault::attach).await?.first() {
        Some(first) => Err(StartError::Other(unknown(first, config))),
        None => catch_up(db, columns).await,
    }
}

async fn catch_up(db: &Database, columns: &[&'static SealedColumn]) -> Result<(), StartError> {
    let done = vault::catch_up(db, columns).await?;
    if done > 0 {
        tracing::info!(values = done, "everything hangs on the new key now");
    }
    Ok(())
}
