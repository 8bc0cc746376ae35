//! `serve`, `check`, `migrate`.

use std::sync::Arc;

use songhe_kernel::db::{DatabaseSettings, applied_versions, pending_versions};
use songhe_kernel::{Database, SystemClock};

use super::words::start_failure;
use super::{Failure, start_log, until_stopped};
use crate::assembly::{Server, StartOptions, open_database};
use crate::config::{Config, MqttMode};
use crate::{demo, migrations, open_files, tls};

/// Tells whoever started this (a person, a service manager, a test) that it is up.
pub(crate) fn announce(server: &Server) {
    let mqtt = server.mqtt.map(|address| address.to_string());
    println!(
        "ready {}",
        serde_json::json!({ "http": server.url, "mqtt": mqtt.unwrap_or_default(), "mqtts": server.mqtts })
    );
}

pub(super) async fn serve(config: &Config) -> Result<(), Failure> {
    start_log(&config.log);
    config.check_production()?;
    let clock = Arc::new(SystemClock::new());
    let opened = open_database(config, clock).await.map_err(start_failure)?;
    refuse_demo(&opened.db).await?;
    let server = Server::start_on(opened, config, StartOptions::default()).await.map_err(start_failure)?;
    announce(&server);
    until_stopped().await;
    server.stop().await;
    Ok(())
}

async fn refuse_demo(db: &Database) -> Result<(), Failure> {
    if demo::is_demo(db).await? {
        return Err(Failure(
            "This database holds demo data, whose passwords everybody knows. Give another database.url, or run \
             `songhe demo`."
                .into(),
        ));
    }
    Ok(())
}

/// Everything that a start would find wrong, without starting.
pub(super) async fn check(config: &Config) -> Result<(), Failure> {
    config.check_production()?;
    println!("configuration: good");
    if let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key) {
        tls::server_config(certificate, key)?;
        println!("certificate:   good");
    }
    check_broker(config)?;
    let settings = DatabaseSettings::new(config.database.url.clone());
    let kind = settings.kind()?;
    if let Some(path) = config.database.url.strip_prefix("sqlite:")
        && !std::path::Path::new(path.strip_prefix("//").unwrap_or(path)).exists()
    {
        println!("database:      {path} does not exist yet; `songhe serve` makes it");
        return Ok(());
    }
    let url = settings.url.clone();
    let (pending, applied) = tokio::task::spawn_blocking(move || {
        Ok::<_, songhe_kernel::Error>((pending_versions(&url, &migrations::all(kind))?, applied_versions(&url)?))
    })
    .await??;
    // Without a single migration there is no table in which the mark could stand.
    if !applied.is_empty() {
        refuse_demo(&Database::open(&settings, Arc::new(SystemClock::new()), 0)?).await?;
    }
    match pending.len() {
        0 => println!("database:      good, up to date"),
        n => println!("database:      good, {n} migrations to run; `songhe serve` runs them"),
    }
    Ok(())
}

/// What the embedded broker needs of this machine.
fn check_broker(config: &Config) -> Result<(), Failure> {
    if config.mqtt.mode != MqttMode::Embedded {
        return Ok(());
    }
    if let (Some(_), Some((certificate, key))) = (config.mqtt.tls_listen, config.mqtt.tls_files(&config.tls)) {
        tls::server_config(certificate, key)?;
        println!("broker's TLS:  good");
    }
    open_files::raise();
    let (limit, most) = (open_files::limit(), config.mqtt.max_clients);
    if limit < open_files::needed(most) {
        println!("open files:    {limit} are too few for {most} devices; {}", open_files::mend(most));
    } else {
        println!("open files:    good");
    }
    Ok(())
}

pub(super) async fn migrate(config: &Config) -> Result<(), Failure> {
    start_log(&config.log);
    open_database(config, Arc::new(SystemClock::new())).await.map_err(start_failure)?;
    println!("The database is up to date.");
    Ok(())
}
