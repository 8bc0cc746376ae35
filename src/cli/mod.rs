//! Commands. Each answers with a sentence when it cannot; an exit code of 1 means that it said why.

mod cert;
mod decode;
mod facility;
mod keys;
pub(crate) mod serve;
mod user;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Log, LogFormat};
use crate::{bench, demo};

#[derive(Parser)]
#[command(name = "songhe", version, about = "Songhe (松鹤): scenario solutions of smart eldercare, one server")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs with fictional data and simulated devices below ./songhe-data, on this machine only
    Demo(demo::Arguments),
    /// Runs the server
    Serve(WithConfig),
    /// Looks whether the server could start: configuration, secrets, certificate, database, demo data, migrations
    Check(WithConfig),
    /// Brings the database to this version's schema
    Migrate(WithConfig),
    /// Writes Mosquitto's password file and topic rules once, and has it read them
    Mosquitto(WithConfig),
    /// Accounts
    #[command(subcommand)]
    User(user::Command),
    /// Facilities
    #[command(subcommand)]
    Facility(facility::Command),
    /// The keys of sensitive fields
    #[command(subcommand)]
    Keys(keys::Command),
    /// Makes a certificate for a local network, by an authority of its own
    Cert(cert::Arguments),
    /// Prints what an adapter makes of a message, as JSON; the message is read from the standard input
    Decode(decode::Arguments),
    /// Sends simulated device traffic to a running server
    Simulate(demo::simulate::Arguments),
    /// Measures, beside a limit measured in the same run
    #[command(subcommand)]
    Bench(bench::Command),
}

#[derive(clap::Args)]
struct WithConfig {
    /// The configuration file; without it the defaults and the environment
    #[arg(long)]
    config: Option<PathBuf>,
}

impl WithConfig {
    fn load(&self) -> Result<Config, Failure> {
        Ok(Config::load(self.config.as_deref(), std::env::vars())?)
    }
}

/// What a command ends with when it cannot: a sentence.
#[derive(Debug)]
pub struct Failure(pub String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("No threads could be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(arguments.command));
    // A blocking call that hangs (a dead database, say) must not hold the exit.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(sentence)) => {
            eprintln!("songhe: {sentence}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Serve(with) => serve::serve(&with.load()?).await,
        Command::Check(with) => serve::check(&with.load()?).await,
        Command::Mosquitto(with) => serve::mosquitto(&with.load()?).await,
        Command::Migrate(with) => serve::migrate(&with.load()?).await,
        Command::User(command) => user::run(command).await,
        Command::Facility(command) => facility::run(command).await,
        Command::Keys(command) => keys::run(command).await,
        Command::Cert(arguments) => cert::run(&arguments),
        Command::Decode(arguments) => decode::run(&arguments),
        Command::Simulate(arguments) => demo::simulate::run(arguments).await,
        Command::Bench(command) => bench::run(command).await,
    }
}

/// Starts the log. The broker's library tells of every connection: only its warnings are wanted.
pub(crate) fn start_log(log: &Log) {
    // Checked with the configuration.
    let filter = EnvFilter::try_new(format!("mqtt5=error,rumqttc=warn,{}", log.filter))
        .unwrap_or_else(|_| EnvFilter::new("mqtt5=error,rumqttc=warn,info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colours are for people: in a file they would stand between the words that somebody looks for.
    let builder = builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // A second start in one process (tests) keeps the first.
    let _ = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Waits for Ctrl-C or the service manager's request to end.
pub(crate) async fn until_stopped() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(error) => {
            tracing::error!(%error, "no signal handler; stop with Ctrl-C");
            let _ = tokio::signal::ctrl_c().await;
            return;
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
