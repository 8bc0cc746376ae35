//! `songhe bench latency`: from a button's publish to a program that reads `/api/v1/stream`, at 200 messages a second;
//! beside it, with the same messages at the same pace, a bare broker that only hands on, and one synced write of the disk.

use std::collections::HashMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use rumqttc::QoS;
use rust_decimal::Decimal;
use songhe_adapter_core::{DeviceKey, EventKind, Measure, Outbound};
use songhe_adapter_mqtt::device::{self, Stamp};
use songhe_broker::{Admission, BrokerSettings, Gate, Publish, Receipt, SignIn};
use songhe_devices::register::{self, NewDevice, new_secret};
use songhe_incidents::presence;
use songhe_kernel::identity::{NewUser, PasswordHash, Role, create_user, grant_role};
use songhe_kernel::{Database, SystemClock, UserId};
use songhe_registry::{self as registry, FacilityKind, Job, NewFacility, NewShift, NewStaff};
use tokio::sync::mpsc;

use super::clients::{Client, connect, connect_all};
use super::percentile_ms;
use crate::assembly::{Server, StartOptions};
use crate::cli::Failure;
use crate::config::Config;

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
const PASSWORD: &str = "bench-only-password";

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

/// A gate that lets everybody in and hands everything on: the limit of any path through this broker.
struct Open;

#[async_trait]
impl Gate for Open {
    async fn sign_in(&self, who: SignIn<'_>) -> Admission {
        match who.user {
            "echo" => Admission::Server,
            user if user.starts_with("BENCH-") => Admission::Device,
            _ => Admission::Refused,
        }
    }

    async fn on_publish(&self, _: Publish<'_>) -> Receipt {
        Receipt::Accepted { deliver: true }
    }
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

fn sorted(mut samples: Vec<f64>) -> Vec<f64> {
    samples.sort_by(f64::total_cmp);
    samples
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

async fn songhe(arguments: &Arguments, names: &[(String, String)], folder: PathBuf) -> Result<Vec<f64>, Failure> {
    let mut config = Config::default();
    config.server.listen = loopback();
    config.mqtt.listen = loopback();
    config.mqtt.data_dir = folder.join("mqtt");
    config.database.url =
        arguments.database.clone().unwrap_or_else(|| format!("sqlite:{}", folder.join("songhe.db").display()));
    let server = Server::start(&config, Arc::new(SystemClock::new()), StartOptions::default()).await?;
    let nurse = prepare(&server.db, names).await?;
    let board = tokio::spawn(keep_board_live(server.db.clone(), nurse));
    let http = reqwest::Client::builder().tcp_nodelay(true).build()?;
    let reading = read_stream(&http, &server.url).await?;
    let broker = server.mqtt.ok_or_else(|| Failure("The embedded broker did not start.".into()))?;
    let clients = connect_all(broker, names).await?;
    let pressed = send(arguments, names, &clients).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    board.abort();
    drop(clients);
    server.stop().await;
    let seen = reading.await?;
    let samples =
        seen.iter().filter_map(|(key, at)| pressed.get(key).map(|pressed| (*at - *pressed).as_secs_f64() * 1000.0));
    let samples = sorted(samples.collect());
    if samples.len() < pressed.len() {
        println!("  {} of {} calls were not seen on the stream", pressed.len() - samples.len(), pressed.len());
    }
    Ok(samples)
}

/// A nurse on duty with a live board: the first rung reaches her, as in a house that is well kept.
async fn prepare(db: &Database, names: &[(String, String)]) -> Result<UserId, Failure> {
    let hash = PasswordHash::make(PASSWORD)?;
    let (facility, nurse) = db
        .write(move |tx| {
            let user = NewUser {
                username: "bench".into(),
                display_name: "bench".into(),
                password: hash.clone(),
                locale: None,
            };
            let user = create_user(tx, &user)?;
            let region = registry::create_region(tx, None, "bench")?;
            grant_role(tx, user, Role::SystemAdmin, None)?;
            let new = NewFacility::new(region, FacilityKind::CareBedStation, "care-beds", "bench", "bench");
            let facility = registry::create_facility(tx, &new, None)?;
            let staff = NewStaff { facility_id: facility, user_id: Some(user), name: "bench".into(), job: Job::Nurse };
            let staff_id = registry::create_staff(tx, &staff, None)?;
            let (starts_at, ends_at) = (tx.now().plus_seconds(-3_600), tx.now().plus_seconds(12 * 3_600));
            let shift = NewShift { staff_id, duty: Job::Nurse, name: "bench".into(), starts_at, ends_at };
            registry::add_shift(tx, &shift, None)?;
            Ok((facility, user))
        })
        .await?;
    for chunk in names.chunks(100) {
        let chunk = chunk.to_vec();
        db.write(move |tx| {
            for (serial, secret) in &chunk {
                let new = NewDevice {
                    facility,
                    serial: serial.clone(),
                    class: "3.1".into(),
                    adapter: "songhe-mqtt".into(),
                    name: "bench".into(),
                    place: None,
                    resident: None,
                };
                let id = register::register(tx, &new, &["songhe-mqtt"], None)?;
                register::set_secret(tx, id, secret, None)?;
            }
            Ok(())
        })
        .await?;
    }
    Ok(nurse)
}

async fn keep_board_live(db: Database, nurse: UserId) {
    let mut every = tokio::time::interval(Duration::from_secs(10));
    loop {
        every.tick().await;
        if let Err(error) = db.write(move |tx| presence::seen(tx, "bench", nurse, true)).await {
            tracing::warn!(%error, "the board could not say that it is there");
        }
    }
}

type Seen = Vec<(String, Instant)>;

/// Reads the API's stream as a program would; each call is noted when its first frame is complete.
async fn read_stream(http: &reqwest::Client, url: &str) -> Result<tokio::task::JoinHandle<Seen>, Failure> {
    let body = serde_json::json!({ "username": "bench", "password": PASSWORD });
    let session: serde_json::Value =
        http.post(format!("{url}/api/v1/session")).json(&body).send().await?.error_for_status()?.json().await?;
    let token = session.get("token").and_then(|token| token.as_str()).unwrap_or_default().to_owned();
    let answer = http.get(format!("{url}/api/v1/stream")).bearer_auth(token).send().await?.error_for_status()?;
    Ok(tokio::spawn(async move {
        let mut chunks = answer.bytes_stream();
        let mut text = String::new();
        let mut seen = Vec::new();
        while let Some(Ok(chunk)) = chunks.next().await {
            let at = Instant::now();
            text.push_str(&String::from_utf8_lossy(&chunk));
            while let Some((frame, rest)) = text.split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())) {
                text = rest;
                if let Some(key) = call_of(&frame) {
                    seen.push((key, at));
                }
            }
        }
        seen
    }))
}

/// `serial/message id` of a frame that carries a new incident.
fn call_of(frame: &str) -> Option<String> {
    let data: String = frame.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let value: serde_json::Value = serde_json::from_str(&data).ok()?;
    let cause = value.get("cause")?;
    Some(format!("{}/{}", cause.get("serial")?.as_str()?, cause.get("message_id")?.as_str()?))
}
