//! `songhe bench latency`: from a button's publish to a program that reads `/api/v1/stream`, at 200 messages a second;
//! beside it, with the same messages at the same pace, a bare broker that only hands on, and one synced write of the disk.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rumqttc::QoS;
use rust_decimal::Decimal;
use songhe_adapter_core::{DeviceKey, EventKind, Measure, Outbound};
use songhe_adapter_mqtt::device::{self, Stamp};
use songhe_broker::BrokerSettings;
use songhe_devices::register::new_secret;
use songhe_kernel::SystemClock;
use tokio::sync::mpsc;

use super::clients::{Client, connect, connect_all};
use super::house::{keep_board_live, prepare};
use super::limits::Open;
use super::stream::Reader;
use super::{loopback, percentile_ms, sorted};
use crate::assembly::{Server, StartOptions};
use crate::cli::Failure;
use crate::config::{Config, Disk};

#[derive(clap::Args)]
pub struct Arguments {
    /// Seconds that are measured
    #[arg(long, default_value_t = 20)]
    seconds: usize,
    /// Messages a second
    #[arg(long, default_value_t = 200)]
    rate: usize,
    /// How many of them are buttons
    #[arg(long, default_value_t = 20)]
    buttons: usize,
    /// The database: an empty one; without it a SQLite file in a new folder
    #[arg(long)]
    database: Option<String>,
}

/// Devices that send the telemetry between the calls.
const SENSORS: usize = 50;

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("songhe-bench-{}", new_secret()));
    std::fs::create_dir_all(&folder)?;
    let outcome = measure(&arguments, &folder).await;
    std::fs::remove_dir_all(&folder)?;
    outcome
}

async fn measure(arguments: &Arguments, folder: &std::path::Path) -> Result<(), Failure> {
    let buttons = arguments.buttons * arguments.seconds;
    let names: Vec<(String, String)> =
        (0..buttons + SENSORS).map(|n| (format!("BENCH-{n:05}"), new_secret())).collect();
    let echo = echo(arguments, &names).await?;
    let disk = synced_writes(folder)?;
    let songhe = songhe(arguments, &names, folder.to_owned()).await?;
    println!("songhe bench latency");
    println!(
        "  rate            {} messages/s, {} of them calls, for {} s",
        arguments.rate, arguments.buttons, arguments.seconds
    );
    println!("  clients         {} buttons, {SENSORS} sensors, one stream reader, all in this process", buttons);
    println!("  database        {}", arguments.database.as_deref().map_or("SQLite, synchronous=FULL", |_| "as given"));
    println!("  broker          embedded; QoS 1, acknowledged after the commit");
    println!("  ladder          built in; its first rung reaches a live board");
    report("bare broker echo", &echo);
    report("one synced write", &disk);
    report("button to stream", &songhe);
    let ratio = |p: f64, limit: f64| percentile_ms(&songhe, p) / limit;
    let durable = |p: f64| percentile_ms(&echo, p) + percentile_ms(&disk, p);
    println!(
        "  ratio           p50 {:.1}, p99 {:.1} times the echo; p50 {:.1}, p99 {:.1} times echo and synced write",
        ratio(0.5, percentile_ms(&echo, 0.5)),
        ratio(0.99, percentile_ms(&echo, 0.99)),
        ratio(0.5, durable(0.5)),
        ratio(0.99, durable(0.99))
    );
    Ok(())
}

fn report(what: &str, sorted: &[f64]) {
    println!(
        "  {what:<18}p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms ({} samples)",
        percentile_ms(sorted, 0.5),
        percentile_ms(sorted, 0.99),
        percentile_ms(sorted, 1.0),
        sorted.len()
    );
}

/// What one page appended to a file and synced takes on this disk: a call is told after such a write, an echo before.
fn synced_writes(folder: &std::path::Path) -> Result<Vec<f64>, Failure> {
    let mut file = std::fs::File::create(folder.join("limit"))?;
    let mut samples = Vec::new();
    for _ in 0..400 {
        let start = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        samples.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(sorted(samples))
}

/// Sends the messages at their pace; answers when each call was pressed, by its id.
async fn send(arguments: &Arguments, names: &[(String, String)], clients: &[Client]) -> HashMap<String, Instant> {
    // Sensors first, then buttons, each pressed once: each call is an incident of its own.
    let buttons = clients.len().saturating_sub(SENSORS);
    let mut pressed = HashMap::new();
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / arguments.rate as f64));
    let every = arguments.rate / arguments.buttons.max(1);
    let mut next_button = 0;
    for n in 0..arguments.rate * arguments.seconds {
        pace.tick().await;
        let id = format!("1-{n:06}");
        let stamp = Stamp { id: &id, time: chrono::Utc::now(), historical: false };
        let is_call = n % every.max(1) == 0 && next_button < buttons;
        let at = if is_call { SENSORS + next_button } else { n % SENSORS };
        let Some((client, key)) = clients.get(at).zip(names.get(at).and_then(|(name, _)| DeviceKey::new(name).ok()))
        else {
            continue;
        };
        let message: Outbound = if is_call {
            next_button += 1;
            device::event(&key, &stamp, EventKind::Sos, true, None)
        } else {
            device::telemetry(&key, &stamp, &[(Measure::HeartRate, Some(Decimal::from(72)))])
        };
        if is_call {
            pressed.insert(format!("{}/{id}", key.as_str()), Instant::now());
        }
        let _ = client.client.publish(message.topic, QoS::AtLeastOnce, false, message.payload).await;
    }
    pressed
}

async fn echo(arguments: &Arguments, names: &[(String, String)]) -> Result<Vec<f64>, Failure> {
    let broker = songhe_broker::start(BrokerSettings::new(loopback()), Arc::new(Open)).await?;
    let (received, mut arriving) = mpsc::unbounded_channel();
    let reader = connect(broker.local_addr(), "echo", "any", Some(received)).await?;
    reader.client.subscribe("songhe/v1/+/event", QoS::AtLeastOnce).await?;
    let clients = connect_all(broker.local_addr(), names).await?;
    let collecting = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(payload) = arriving.recv().await {
            seen.push((payload, Instant::now()));
        }
        seen
    });
    let pressed = send(arguments, names, &clients).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(reader);
    drop(clients);
    broker.stop().await;
    let seen = collecting.await?;
    let by_id: HashMap<&str, Instant> =
        pressed.iter().map(|(key, at)| (key.split_once('/').map_or(key.as_str(), |(_, id)| id), *at)).collect();
    let samples = seen.iter().filter_map(|(payload, at)| {
        let message: serde_json::Value = serde_json::from_slice(payload).ok()?;
        by_id.get(message.get("id")?.as_str()?).map(|pressed| (*at - *pressed).as_secs_f64() * 1000.0)
    });
    Ok(sorted(samples.collect()))
}

async fn songhe(arguments: &Arguments, names: &[(String, String)], folder: PathBuf) -> Result<Vec<f64>, Failure> {
    let mut config = Config { disk: Disk::OFF, ..Config::default() };
    config.server.listen = loopback();
    config.mqtt.listen = loopback();
    config.mqtt.data_dir = folder.join("mqtt");
    config.database.url =
        arguments.database.clone().unwrap_or_else(|| format!("sqlite:{}", folder.join("songhe.db").display()));
    let server = Server::start(&config, Arc::new(SystemClock::new()), StartOptions::default()).await?;
    let (_, nurse) = prepare(&server.db, names).await?;
    let board = tokio::spawn(keep_board_live(server.db.clone(), nurse));
    let reader = Reader::open(&server.url).await?;
    let broker = server.mqtt.ok_or_else(|| Failure("The embedded broker did not start.".into()))?;
    let clients = connect_all(broker, names).await?;
    let pressed = send(arguments, names, &clients).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    board.abort();
    drop(clients);
    let seen = reader.seen();
    server.stop().await;
    let samples =
        seen.iter().filter_map(|(key, at)| pressed.get(key).map(|pressed| (*at - *pressed).as_secs_f64() * 1000.0));
    let samples = sorted(samples.collect());
    if samples.len() < pressed.len() {
        println!("  {} of {} calls were not seen on the stream", pressed.len() - samples.len(), pressed.len());
    }
    Ok(samples)
}
