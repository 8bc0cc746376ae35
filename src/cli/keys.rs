//! `songhe keys`: which keys seal sensitive fields, and another one in their place while the server runs.

use std::path::PathBuf;
use std::sync::Arc;

use songhe_kernel::vault::{self, KeyRing, KnownKey, Purpose};
use songhe_kernel::{Database, Error, SystemClock};

use super::Failure;
use crate::assembly::open_database;
use crate::config::Config;
use crate::keys;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Which keys there are, which are active, and how much hangs on each
    List(WithConfig),
    /// Draws a new key and writes it to the key file; it is not active yet
    Add {
        #[command(flatten)]
        with: WithConfig,
        kind: Kind,
    },
    /// Makes the newest key the active one; a running server then wraps and indexes everything anew
    Rotate {
        #[command(flatten)]
        with: WithConfig,
        kind: Kind,
    },
    /// Takes a key that nothing hangs on out of the database and the key file
    Remove {
        #[command(flatten)]
        with: WithConfig,
        kind: Kind,
        number: i16,
    },
    /// Looks whether this server's keys open everything
    Check(WithConfig),
}

#[derive(clap::Args)]
pub(super) struct WithConfig {
    /// The configuration file; without it the defaults and the environment
    #[arg(long)]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Kind {
    /// Wraps the keys of persons
    Master,
    /// Finds numbers by their end
    Index,
}

impl From<Kind> for Purpose {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Master => Self::Master,
            Kind::Index => Self::Index,
        }
    }
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    let with = match &command {
        Command::List(with) | Command::Check(with) => with,
        Command::Add { with, .. } | Command::Rotate { with, .. } | Command::Remove { with, .. } => with,
    };
    let config = Config::load(with.config.as_deref(), std::env::vars())?;
    // Also brings this server's keys to the database's knowledge; refuses when one is missing.
    let db = open_database(&config, Arc::new(SystemClock::new())).await?.db;
    match command {
        Command::List(_) => list(&db).await,
        Command::Check(_) => {
            list(&db).await?;
            println!("Every key that this database was used with is here.");
            Ok(())
        }
        Command::Add { kind, .. } => add(&db, &config, kind.into()).await,
        Command::Rotate { kind, .. } => rotate(&db, kind.into()).await,
        Command::Remove { kind, number, .. } => remove(&db, &config, kind.into(), number).await,
    }
}

async fn list(db: &Database) -> Result<(), Failure> {
    let rows: Vec<(KnownKey, i64)> = db
        .read(|db| {
            let mut rows = Vec::new();
            for purpose in Purpose::ALL {
                for key in vault::known_keys(db)?.into_iter().filter(|key| key.purpose == purpose.as_str()) {
                    let uses = vault::uses(db, purpose, key.number)?;
                    rows.push((key, uses));
                }
            }
            Ok(rows)
        })
        .await?;
    for (key, uses) in rows {
        let active = if key.active { "active" } else { "" };
        println!("{:<7} {:>3}  {active:<7}  {uses} values", key.purpose, key.number);
    }
    Ok(())
}

/// The ring of the key file, to be changed.
fn of_file(config: &Config) -> Result<KeyRing, Failure> {
    if config.vault.keys.is_some() {
        return Err(Failure(
            "The keys stand in vault.keys, which Songhe cannot write: add a line `master 2 …` there with 32 bytes from \
             `openssl rand -base64 32`, or use a key file (docs/keys.md)."
                .into(),
        ));
    }
    keys::read(config)?.ok_or_else(|| Failure("There is no key file yet; `songhe serve` makes it.".into()))
}

fn write(config: &Config, ring: &KeyRing) -> Result<(), Failure> {
    let path = keys::file(config);
    ring.write(&path).map_err(|error| Failure(format!("The key file {} cannot be written: {error}.", path.display())))
}

async fn add(db: &Database, config: &Config, purpose: Purpose) -> Result<(), Failure> {
    let mut ring = of_file(config)?;
    let number = ring.add(purpose);
    write(config, &ring)?;
    db.vault().give(ring, config.vault.algorithm.into());
    db.write(vault::attach).await?;
    println!(
        "{} key {number} stands in {}. Copy this file to the other servers and to its safe place, then run `songhe keys \
         rotate {}`.",
        purpose.as_str(),
        keys::file(config).display(),
        purpose.as_str()
    );
    Ok(())
}

async fn rotate(db: &Database, purpose: Purpose) -> Result<(), Failure> {
    let newest = db.vault().ring().newest(purpose).map(|key| key.number);
    let Some(number) = newest else { return Err(Failure("There is no key.".into())) };
    db.write(move |tx| vault::activate(tx, purpose, number)).await?;
    println!(
        "{} key {number} is active. A running server takes it within seconds and goes through everything older; `songhe keys \
         list` tells when nothing hangs on the former key.",
        purpose.as_str()
    );
    Ok(())
}

async fn remove(db: &Database, config: &Config, purpose: Purpose, number: i16) -> Result<(), Failure> {
    let mut ring = of_file(config)?;
    match db.write(move |tx| vault::retire(tx, purpose, number)).await {
        Ok(()) => {}
        Err(Error::NotFound) => return Err(Failure(format!("There is no {} key {number}.", purpose.as_str()))),
        Err(Error::Conflict(_)) => {
            return Err(Failure(format!(
                "{} key {number} is active, or values still hang on it: see `songhe keys list`.",
                purpose.as_str()
            )));
        }
        Err(error) => return Err(error.into()),
    }
    ring.remove(purpose, number);
    write(config, &ring)?;
    println!(
        "{} key {number} is gone. Backups made before need it: keep its copy as long as you keep them.",
        purpose.as_str()
    );
    Ok(())
}
