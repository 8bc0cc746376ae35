//! `songhe audit`: whether the audit log is as it was sealed, and a new key.

use std::path::PathBuf;
use std::sync::Arc;

use songhe_kernel::audit::{AuditKeys, Fault, Head, Report, read_anchors, verify};
use songhe_kernel::db::DatabaseSettings;
use songhe_kernel::{Database, SystemClock, Text};

use super::Failure;
use super::words::Words;
use crate::config::Config;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Looks for rows that were changed, removed, inserted or cut off; also beside a running server
    Verify {
        #[arg(long)]
        config: Option<PathBuf>,
        /// A file of anchors kept elsewhere, beside those of the configuration
        #[arg(long)]
        anchor: Vec<PathBuf>,
    },
    /// Adds a key to the key file: it seals from now on, the earlier ones stay for what they sealed
    NewKey {
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    let words = Words::load()?;
    match command {
        Command::Verify { config, anchor } => {
            let config = Config::load(config.as_deref(), std::env::vars())?;
            check(&words, &config, &anchor).await
        }
        Command::NewKey { config } => {
            let keeping = Config::load(config.as_deref(), std::env::vars())?.keeping()?;
            AuditKeys::add(&keeping.key_file)?;
            println!("{}", words.say(&Text::key("cli-audit-new-key").arg("file", keeping.key_file.display())));
            Ok(())
        }
    }
}

async fn check(words: &Words, config: &Config, elsewhere: &[PathBuf]) -> Result<(), Failure> {
    let keeping = config.keeping()?;
    let no_key = || words.failure(&Text::key("cli-audit-no-key").arg("file", keeping.key_file.display()));
    let keys = AuditKeys::read(&keeping.key_file)?.ok_or_else(no_key)?;
    let mut anchors: Vec<Head> = keeping.anchors()?;
    for file in elsewhere {
        let theirs = read_anchors(file)?;
        if theirs.is_empty() {
            return Err(words.failure(&Text::key("cli-audit-no-anchor").arg("file", file.display())));
        }
        anchors.extend(theirs);
    }
    // Reads only: neither migrations nor a server's number are needed, nor does it disturb a running server.
    let db = Database::open(&DatabaseSettings::new(&config.database.url), Arc::new(SystemClock::new()), 0)?;
    let report = verify(&db, Arc::new(keys), &anchors).await?;
    for fault in &report.faults {
        println!("{}", words.say(&told(fault)));
    }
    summarize(words, &report, anchors.is_empty());
    if report.is_good() {
        return Ok(());
    }
    let count = report.faults.len() as u64 + report.more_faults;
    Err(words.failure(&Text::key("cli-audit-bad").arg("n", count)))
}

fn summarize(words: &Words, report: &Report, no_anchor: bool) {
    let counts = Text::key("cli-audit-counts").arg("good", report.good).arg("seals", report.seals);
    println!("{}", words.say(&counts.arg("purged", report.purged).arg("anchors", report.anchors)));
    if no_anchor {
        println!("{}", words.say(&Text::key("cli-audit-unanchored")));
    }
    let tail = match report.unsealed_since {
        Some(since) => Text::key("cli-audit-tail").arg("n", report.unsealed).arg("since", since),
        None => Text::key("cli-audit-no-tail"),
    };
    println!("{}", words.say(&tail));
    if report.is_good() {
        println!("{}", words.say(&Text::key("cli-audit-good")));
    }
}

fn told(fault: &Fault) -> Text {
    match fault {
        Fault::Changed(id) => Text::key("cli-audit-changed").arg("id", id),
        Fault::Removed(id) => Text::key("cli-audit-removed").arg("id", id),
        Fault::Inserted(id) => Text::key("cli-audit-inserted").arg("id", id),
        Fault::SealChanged(seal) => Text::key("cli-audit-seal-changed").arg("seal", seal),
        Fault::SealsRemoved(first, last) => Text::key("cli-audit-seals-removed").arg("first", first).arg("last", last),
        Fault::CutOff(seal, at) => Text::key("cli-audit-cut-off").arg("seal", seal).arg("at", at),
        Fault::AnchorDiffers(seal, at) => Text::key("cli-audit-anchor-differs").arg("seal", seal).arg("at", at),
        Fault::PurgeForged(seal) => Text::key("cli-audit-purge-forged").arg("seal", seal),
        Fault::KeyMissing(seal, key) => Text::key("cli-audit-key-missing").arg("seal", seal).arg("key", key),
    }
}
