//! `songhe demo`: everything on this machine, with fictional data and simulated devices.

mod people;
mod roster;
mod seed;
pub mod simulate;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use diesel::prelude::*;
use songhe_kernel::http::DemoAccount;
use songhe_kernel::schema::meta;
use songhe_kernel::{Database, SystemClock};

use crate::assembly::{Server, StartOptions, open_database};
use crate::cli::{Failure, start_log, until_stopped};
use crate::config::Config;
use crate::opening::expect_alone;

#[derive(clap::Args)]
pub struct Arguments {
    /// Where the demo keeps its data
    #[arg(long, default_value = "songhe-data")]
    data: PathBuf,
    /// Port of the pages; if another program has it, the next free one
    #[arg(long, default_value_t = 8700)]
    port: u16,
    /// Port of the MQTT broker; if another program has it, the next free one
    #[arg(long, default_value_t = 1883)]
    mqtt_port: u16,
    /// Seconds between simulated alarms, on average; 0: none
    #[arg(long, default_value_t = 240)]
    alarm_every: u32,
    /// Tell everything that happens
    #[arg(long)]
    verbose: bool,
}

/// The password of every demo account.
pub const PASSWORD: &str = "songhe-demo";
/// Marks a database as one whose passwords everybody knows.
const MARK: &str = "demo";

/// Whether a database was made by the demo.
///
/// # Errors
/// When the database does not answer.
pub async fn is_demo(db: &Database) -> songhe_kernel::Result<bool> {
    db.read(|db| {
        let mark: Option<String> = meta::table.find(MARK).select(meta::value).first(db).optional()?;
        Ok(mark.is_some())
    })
    .await
}

/// The accounts that the sign-in page offers, one for each role.
fn accounts() -> Vec<DemoAccount> {
    people::ACCOUNTS
        .iter()
        .map(|account| DemoAccount {
            username: account.username.into(),
            password: PASSWORD.into(),
            role: account.role.as_str().into(),
        })
        .collect()
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut config = Config::default();
    config.log.filter = if arguments.verbose { "info".into() } else { "warn".into() };
    start_log(&config.log);
    let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    config.server.listen = here(arguments.port);
    config.mqtt.listen = here(arguments.mqtt_port);
    config.database.url = format!("sqlite:{}", arguments.data.join("songhe.db").display());
    config.mqtt.data_dir = arguments.data.join("mqtt");
    expect_alone(&config.database.url)?;
    let clock = Arc::new(SystemClock::new());
    let opened = open_database(&config, clock.clone()).await?;
    let credentials = arguments.data.join("demo-devices.csv");
    if !is_demo(&opened.db).await? {
        println!("Making a fictional street: a nursing home, forty homes with care beds, about 200 devices …");
        seed::run(&opened.db, &credentials).await?;
    }
    roster::extend(&opened.db).await?;
    let options = StartOptions { next_free_port: true, demo_accounts: accounts() };
    let server = Server::start_on(opened, &config, options).await?;
    tell(&server, &arguments, &config);
    crate::cli::serve::announce(&server);
    let traffic = match server.mqtt {
        Some(broker) => Some(simulate::start(broker.to_string(), &credentials, arguments.alarm_every, clock)?),
        None => None,
    };
    until_stopped().await;
    println!("Stopping …");
    if let Some(traffic) = traffic {
        traffic.abort();
    }
    server.stop().await;
    Ok(())
}

fn tell(server: &Server, arguments: &Arguments, config: &Config) {
    println!();
    println!("  Songhe 松鹤 · demo, fictional data only");
    println!();
    println!("  Pages   {}", server.url);
    if !server.url.ends_with(&format!(":{}", config.server.listen.port())) {
        println!("          (port {} is in use by another program)", config.server.listen.port());
    }
    if let Some(broker) = server.mqtt {
        println!("  MQTT    {broker}");
        if broker.port() != config.mqtt.listen.port() {
            println!("          (port {} is in use by another program)", config.mqtt.listen.port());
        }
    }
    println!("  Data    {}", arguments.data.display());
    println!();
    println!("  Sign in with the password {PASSWORD} as one of");
    for account in people::ACCOUNTS {
        println!("    {:<12} {:<15} {}", account.username, account.role.as_str(), account.what);
    }
    println!();
    println!("  Ctrl-C ends it.");
    println!();
}
