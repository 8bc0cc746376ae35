//! `songhe backup` and `songhe restore`.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use songhe_kernel::db::DatabaseSettings;
use songhe_kernel::{Clock, Database, SystemClock, Text};

use super::Failure;
use super::words::Words;
use crate::backup::{self, Compared, KeySource, Order, Outcome, Place, Plan, Report, records, routine, shelf};
use crate::config::Config;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[arg(long)]
    config: Option<PathBuf>,
    /// The file that becomes the archive, or the folder it goes to; without it backup.directory
    #[arg(long)]
    to: Option<PathBuf>,
    #[command(flatten)]
    key: KeyArguments,
    /// Instead of making an archive: restores this one to a passing place, compares it with what it was made from, and
    /// takes the copy away
    #[arg(long, value_name = "ARCHIVE", conflicts_with = "to")]
    verify: Option<PathBuf>,
    /// Where to: a path, or the URL of a PostgreSQL on which databases may be made; without it beside database.url
    #[arg(long, value_name = "PATH|URL", requires = "verify")]
    on: Option<String>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Lists the archives in a folder, newest first
    List {
        #[arg(long)]
        config: Option<PathBuf>,
        /// Without it backup.directory
        folder: Option<PathBuf>,
    },
    /// Makes a key, in a file that only its owner can read
    Key { file: PathBuf },
}

/// The key; without any that of the configuration.
#[derive(clap::Args)]
struct KeyArguments {
    /// A file with the key
    #[arg(long, conflicts_with = "passphrase")]
    key_file: Option<PathBuf>,
    /// The passphrase is read from standard input
    #[arg(long)]
    passphrase: bool,
}

#[derive(clap::Args)]
pub(super) struct RestoreArguments {
    archive: PathBuf,
    #[arg(long)]
    config: Option<PathBuf>,
    /// A path where nothing is, or the URL of an empty PostgreSQL database
    #[arg(long, value_name = "PATH|URL")]
    into: String,
    #[command(flatten)]
    key: KeyArguments,
    /// Nothing leaves the restored system (calls, messages, commands) before an administrator says so on its page
    /// "System state": for a copy beside the original
    #[arg(long)]
    hold_effects: bool,
    /// Ends all sessions: what was signed out after the backup stays out
    #[arg(long)]
    end_sessions: bool,
}

impl KeyArguments {
    fn source(&self, words: &Words, config: &Config) -> Result<KeySource, Failure> {
        if let Some(file) = &self.key_file {
            return Ok(KeySource::File(file.clone()));
        }
        if !self.passphrase {
            return config.backup.key().ok_or_else(|| words.failure(&Text::key("backup-no-key")));
        }
        if std::io::stdin().is_terminal() {
            eprint!("{}", words.say(&Text::key("backup-passphrase-prompt")));
        }
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        let line = line.trim_end_matches(['\r', '\n']);
        if line.chars().count() < MIN_PASSPHRASE {
            return Err(words.failure(&Text::key("backup-short-passphrase").arg("n", MIN_PASSPHRASE)));
        }
        Ok(KeySource::Passphrase(line.to_owned()))
    }
}

/// As of every secret of the configuration.
const MIN_PASSPHRASE: usize = 16;

/// What blocks, in a thread where it may; its trouble in words.
async fn done<T: Send + 'static>(
    words: &Words,
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await?.map_err(|trouble| words.failure(&trouble.0))
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let words = Words::load()?;
    match arguments.command {
        Some(Command::Key { file }) => {
            backup::make_key_file(&file).map_err(|trouble| words.failure(&trouble.0))?;
            println!("{}", words.say(&Text::key("backup-key-made").arg("file", file.display())));
            Ok(())
        }
        Some(Command::List { config, folder }) => list(&words, &load(config.as_deref())?, folder),
        None => {
            let config = load(arguments.config.as_deref())?;
            let key = arguments.key.source(&words, &config)?;
            match arguments.verify {
                Some(archive) => verify(&words, &config, archive, key, arguments.on).await,
                None => make(&words, &config, arguments.to, key).await,
            }
        }
    }
}

fn load(config: Option<&Path>) -> Result<Config, Failure> {
    Ok(Config::load(config, std::env::vars())?)
}

async fn make(words: &Words, config: &Config, to: Option<PathBuf>, key: KeySource) -> Result<(), Failure> {
    let now = SystemClock::new().now();
    let to = to
        .or_else(|| config.backup.directory.clone())
        .ok_or_else(|| words.failure(&Text::key("backup-no-directory")))?;
    let to = if to.is_dir() || config.backup.directory.as_ref() == Some(&to) {
        std::fs::create_dir_all(&to)?;
        to.join(shelf::name(now))
    } else {
        to
    };
    let tools = config.backup.postgres_tools.clone();
    let order = Order { place: Place::of(&config.database.url), to, key, tools, now };
    let made = done(words, move || backup::make(&order)).await?;
    let (tables, rows) = (made.manifest.tables.len(), made.manifest.tables.values().map(|sum| sum.rows).sum::<i64>());
    let text = Text::key("backup-made").arg("file", made.path.display()).arg("tables", tables).arg("rows", rows);
    println!("{}", words.say(&text.arg("size", size(made.bytes)).arg("seconds", made.took.as_secs())));
    // Whoever looks after the server sees it on the page; the archive is good without that.
    let settings = DatabaseSettings { connections: 1, ..DatabaseSettings::new(config.database.url.clone()) };
    let remember = async {
        let db = Database::open(&settings, Arc::new(SystemClock::new()), 0)?;
        let good = routine::good(&made);
        db.write(move |tx| records::put_good(tx, &good)).await
    };
    if let Err(error) = remember.await {
        eprintln!("{}", words.say(&Text::key("backup-not-remembered").arg("why", words.why(&error, &[]))));
    }
    Ok(())
}

fn list(words: &Words, config: &Config, folder: Option<PathBuf>) -> Result<(), Failure> {
    let folder = folder
        .or_else(|| config.backup.directory.clone())
        .ok_or_else(|| words.failure(&Text::key("backup-no-directory")))?;
    let all = shelf::list(&folder).map_err(|trouble| words.failure(&trouble.0))?;
    if all.is_empty() {
        println!("{}", words.say(&Text::key("backup-none").arg("folder", folder.display())));
    }
    let zone = config.zone()?;
    for kept in all {
        let header = &kept.header;
        println!(
            "{}  {:<10}  {:>10}  {} {}  {}",
            header.created_at.in_zone(zone).format("%Y-%m-%d %H:%M:%S"),
            header.kind.name(),
            size(kept.bytes),
            words.say(&Text::key("backup-key-of")),
            header.key_id,
            kept.path.display()
        );
    }
    Ok(())
}

async fn verify(
    words: &Words,
    config: &Config,
    archive: PathBuf,
    key: KeySource,
    on: Option<String>,
) -> Result<(), Failure> {
    let near = Place::of(on.as_deref().unwrap_or(&config.database.url));
    let (tools, named) = (config.backup.postgres_tools.clone(), archive.clone());
    let report = done(words, move || backup::verify(&archive, &key, &near, tools.as_deref())).await?;
    show(words, &report);
    if report.is_equal() {
        println!("{}", words.say(&Text::key("backup-verified").arg("file", named.display())));
        return Ok(());
    }
    let n = report.tables.iter().filter(|table| !table.equal).count();
    Err(words.failure(&Text::key("backup-differs").arg("file", named.display()).arg("n", n)))
}

pub(super) async fn restore(arguments: RestoreArguments) -> Result<(), Failure> {
    let words = Words::load()?;
    let config = load(arguments.config.as_deref())?;
    let plan = Plan {
        archive: arguments.archive,
        key: arguments.key.source(&words, &config)?,
        into: Place::of(&arguments.into),
        hold_effects: arguments.hold_effects,
        end_sessions: arguments.end_sessions,
        tools: config.backup.postgres_tools.clone(),
        now: SystemClock::new().now(),
    };
    let report = done(&words, move || backup::restore(&plan)).await?;
    show(&words, &report);
    let from = report.archive.header.created_at.in_zone(config.zone()?).format("%Y-%m-%d %H:%M:%S").to_string();
    println!("{}", words.say(&Text::key("backup-restored").arg("at", from).arg("rows", report.rows())));
    if arguments.hold_effects {
        println!("{}", words.say(&Text::key("backup-restored-held")));
    }
    Ok(())
}

/// The comparison, table by table; empty tables that are equal are counted alone.
fn show(words: &Words, report: &Report) {
    let told = |table: &&Compared| !table.equal || table.found.unwrap_or_default() > 0;
    let width = report.tables.iter().map(|table| table.table.len()).max().unwrap_or_default();
    let rows = |rows: Option<i64>| rows.map_or_else(|| "—".to_owned(), |rows| rows.to_string());
    let head = ["backup-head-archive", "backup-head-found"].map(|key| words.say(&Text::key(key)));
    println!("{:width$}  {:>12}  {:>12}", "", head[0], head[1]);
    for table in report.tables.iter().filter(told) {
        let mark = words.say(&Text::key(if table.equal { "backup-equal" } else { "backup-unequal" }));
        println!("{:width$}  {:>12}  {:>12}  {mark}", table.table, rows(table.archived), rows(table.found));
    }
    let empty = report.tables.iter().filter(|table| !told(table)).count();
    println!("{}", words.say(&Text::key("backup-empty-tables").arg("n", empty)));
}

/// `1.5 MB`.
fn size(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        1_000_000_000.. => format!("{} GB", tenths(1_000_000_000)),
        1_000_000.. => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} kB", tenths(1_000)),
    }
}
