//! `serve`, `check`, `migrate`.

use std::sync::Arc;

use songhe_kernel::db::{DatabaseSettings, applied_versions, pending_versions};
use songhe_kernel::{Database, SystemClock};

use super::words::start_failure;
use super::{Failure, start_log, until_stopped};
use crate::assembly::{Server, StartOptions, open_database};
use crate::brokers::lossy::{self, Verdict};
use crate::brokers::mosquitto;
use crate::config::{Config, Mqtt, MqttMode};
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
    let tested_later =
        refuse_lossy_broker(&config.mqtt).await?.then(|| tokio::spawn(lossy::test_later(config.mqtt.clone())));
    let server = Server::start_on(opened, config, StartOptions::default()).await.map_err(start_failure)?;
    announce(&server);
    until_stopped().await;
    if let Some(test) = tested_later {
        test.abort();
    }
    server.stop().await;
    Ok(())
}

/// A broker outside must keep what it acknowledges. True if it does not answer yet and is to be tested later: after a
/// power cut everything starts at once.
async fn refuse_lossy_broker(mqtt: &Mqtt) -> Result<bool, Failure> {
    if mqtt.mode != MqttMode::External {
        return Ok(false);
    }
    match lossy::test(mqtt).await {
        Ok(Verdict::Keeps) => Ok(false),
        Ok(Verdict::Loses { kept }) if mqtt.accept_lossy_broker => {
            tracing::warn!("{}", lossy::sentence(mqtt, kept));
            Ok(false)
        }
        Ok(Verdict::Loses { kept }) => Err(Failure(lossy::sentence(mqtt, kept))),
        Err(why) => {
            tracing::warn!(why, "the broker could not be tested for losses; it is tried again");
            Ok(true)
        }
    }
}

/// Writes Mosquitto's files once.
pub(super) async fn mosquitto(config: &Config) -> Result<(), Failure> {
    start_log(&config.log);
    let Some(files) = mosquitto::Files::of(&config.mqtt) else {
        return Err(Failure(
            "Give mqtt.mosquitto_password_file and mqtt.mosquitto_acl_file: the files to write.".into(),
        ));
    };
    let opened = open_database(config, Arc::new(SystemClock::new())).await.map_err(start_failure)?;
    let content = files.write(&opened.db).await.map_err(Failure)?;
    mosquitto::warn_of(&content);
    println!("Mosquitto's files hold {} devices.", content.devices);
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
        tls::read_pair(certificate, key)?;
        println!("certificate:   good");
    }
    check_broker(config).await?;
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

/// What the embedded broker needs of this machine; whether one outside keeps messages.
async fn check_broker(config: &Config) -> Result<(), Failure> {
    if config.mqtt.mode == MqttMode::External {
        match lossy::test(&config.mqtt).await {
            Ok(Verdict::Keeps) => println!("broker:        good, keeps messages for an absent server"),
            Ok(Verdict::Loses { kept }) if config.mqtt.accept_lossy_broker => {
                println!("broker:        {}", lossy::sentence(&config.mqtt, kept));
            }
            Ok(Verdict::Loses { kept }) => return Err(Failure(lossy::sentence(&config.mqtt, kept))),
            Err(why) => println!("broker:        not tested: {why}"),
        }
    }
    if config.mqtt.mode != MqttMode::Embedded {
        return Ok(());
    }
    if let (Some(_), Some((certificate, key))) = (config.mqtt.tls_listen, config.mqtt.tls_files(&config.tls)) {
        tls::read_pair(certificate, key)?;
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
