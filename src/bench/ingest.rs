//! `songhe bench ingest`: how many messages a second of many devices are stored, held against a rule and acknowledged,
//! beside what the broker alone and the storage alone can do; how fast a call is told at half of that; and what becomes
//! of twice as many.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use rumqttc::QoS;
use songhe_adapter_core::{DeviceKey, EventKind};
use songhe_adapter_mqtt::device::{self, Stamp};
use songhe_broker::BrokerSettings;
use songhe_devices::history::Keep;
use songhe_devices::register::new_secret;
use songhe_devices::schema::observation;
use songhe_kernel::db::Kind;
use songhe_kernel::{FacilityId, SystemClock};

use super::beside::{self, Beside};
use super::clients::{Client, connect_all};
use super::house::{keep_board_live, prepare};
use super::limits::{Open, broker_only, storage_only};
use super::load::{Load, PAYLOAD, UNPACED, WINDOW};
use super::mosquitto::Mosquitto;
use super::stream::{Reader, Seen};
use super::{loopback, percentile_ms, sorted};
use crate::assembly::{Server, StartOptions};
use crate::background::keep;
use crate::cli::Failure;
use crate::config::{Config, Disk, MqttMode};

#[derive(clap::Args)]
pub struct Arguments {
    /// Devices that send telemetry, each on a connection of its own
    #[arg(long, default_value_t = 500)]
    connections: usize,
    /// Seconds that each limit and the cap are measured
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Seconds of twice the cap
    #[arg(long, default_value_t = 60)]
    overload: u64,
    /// Calls a second beside the telemetry, each by a button of its own
    #[arg(long, default_value_t = 10)]
    calls: usize,
    /// The database: an empty one; without it a SQLite file in a new folder
    #[arg(long)]
    database: Option<String>,
    /// Over a private Mosquitto instead of the embedded broker
    #[arg(long)]
    mosquitto: bool,
}

/// Messages that may be under way to the server behind an external broker, which acknowledges before they are stored.
const UNDER_WAY: u64 = 5_000;
/// How long the drain after twice the cap is waited for.
const DRAIN_WITHIN: Duration = Duration::from_secs(600);

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("songhe-bench-{}", new_secret()));
    std::fs::create_dir_all(&folder)?;
    let outcome = measure(&arguments, &folder).await;
    std::fs::remove_dir_all(&folder)?;
    outcome
}

type Names = Vec<(String, String)>;

async fn measure(arguments: &Arguments, folder: &Path) -> Result<(), Failure> {
    let name = |n: usize| (format!("BENCH-{n:05}"), new_secret());
    let sensors: Names = (0..arguments.connections).map(name).collect();
    let calls = arguments.calls * (arguments.seconds + arguments.overload) as usize;
    let buttons: Names = (0..calls).map(|n| name(arguments.connections + n)).collect();
    let mosquitto = if arguments.mosquitto { Some(Mosquitto::start(folder)?) } else { None };
    settings(arguments);
    let limit = Duration::from_secs(arguments.seconds);
    let broker = match &mosquitto {
        Some(mosquitto) => broker_only(mosquitto.address, &sensors, limit).await?,
        None => {
            let bare = songhe_broker::start(BrokerSettings::new(loopback()), Arc::new(Open)).await?;
            let rate = broker_only(bare.local_addr(), &sensors, limit).await?;
            bare.stop().await;
            rate
        }
    };
    println!("  broker only       {broker:.0} messages/s handed on to one acknowledging subscriber");
    // Afresh: what the limit left behind in the broker is no concern of the server.
    let mosquitto = match mosquitto {
        Some(old) => {
            drop(old);
            let _ = std::fs::remove_file(folder.join("mosquitto.db"));
            Some(Mosquitto::start(folder)?)
        }
        None => None,
    };
    let server = start(arguments, folder.to_owned(), mosquitto.as_ref().map(|broker| broker.address)).await?;
    let storage = storage_only(&server.db, limit).await?;
    println!("  storage only      {storage:.0} messages/s (two rows each, 500 messages a transaction, one connection)");
    let devices: Names = sensors.iter().chain(&buttons).cloned().collect();
    let (facility, nurse) = prepare(&server.db, &devices).await?;
    beside::fill(&server.db).await?;
    let board = tokio::spawn(keep_board_live(server.db.clone(), nurse));
    let address = mosquitto.as_ref().map(|broker| broker.address).or(server.mqtt);
    let address = address.ok_or_else(|| Failure("The embedded broker did not start.".into()))?;
    let under_way = if mosquitto.is_some() { UNDER_WAY } else { u64::MAX };
    let load = Load::connect(address, &sensors).await?;
    let bench = Bench { arguments, server: &server, facility, keep: keep(&Config::default()), load, under_way };
    let outcome = bench.phases(address, &buttons, broker, storage).await;
    board.abort();
    drop(bench);
    server.stop().await;
    outcome
}

fn settings(arguments: &Arguments) {
    println!("songhe bench ingest");
    println!(
        "  load              {} connections of their own, QoS 1, {PAYLOAD} bytes, up to {WINDOW} unacknowledged each, one rule on each message",
        arguments.connections
    );
    let broker = if arguments.mosquitto { "Mosquitto, persistent, unlimited queue" } else { "embedded" };
    println!("  broker            {broker}");
    println!(
        "  database          {}",
        arguments.database.as_deref().map_or("SQLite, synchronous=FULL", |_| "PostgreSQL as given")
    );
    println!("  calls             {} a second from 'half' on, seen by one reader of the stream", arguments.calls);
}

async fn start(arguments: &Arguments, folder: PathBuf, external: Option<SocketAddr>) -> Result<Server, Failure> {
    let mut config = Config { disk: Disk::OFF, ..Config::default() };
    config.server.listen = loopback();
    config.mqtt.listen = loopback();
    config.mqtt.data_dir = folder.join("mqtt");
    // The load is the same for all; a limit for one device would be what is measured.
    (config.mqtt.messages_per_s, config.mqtt.events_per_s) = (0, 0);
    config.mqtt.accept_lossy_broker = true;
    if let Some(address) = external {
        config.mqtt.mode = MqttMode::External;
        config.mqtt.host = address.ip().to_string();
        config.mqtt.port = address.port();
    }
    config.database.url =
        arguments.database.clone().unwrap_or_else(|| format!("sqlite:{}", folder.join("songhe.db").display()));
    Ok(Server::start(&config, Arc::new(SystemClock::new()), StartOptions::default()).await?)
}

struct Bench<'a> {
    arguments: &'a Arguments,
    server: &'a Server,
    facility: FacilityId,
    keep: Keep,
    load: Load,
    /// Of the messages sent, how many may not be stored yet while the cap is looked for.
    under_way: u64,
}

impl Bench<'_> {
    async fn phases(&self, broker: SocketAddr, buttons: &Names, alone: f64, storage: f64) -> Result<(), Failure> {
        let cap = self.cap().await;
        println!("  songhe            {cap:.0} messages/s stored, judged and acknowledged, backlog bounded");
        println!(
            "  ratio             {:.2} of the broker alone, {:.2} of the storage alone",
            cap / alone,
            cap / storage
        );
        let reader = Reader::open(&self.server.url).await?;
        let clients = connect_all(broker, buttons).await?;
        let half = self.arguments.calls * self.arguments.seconds as usize;
        // Calls at half the cap, at twice the cap, and at twice the cap beside a purge and an import.
        let quiet = half + (clients.len() - half) / 2;
        let (mut at_half, mut at_twice, mut at_worst) = (HashMap::new(), HashMap::new(), HashMap::new());
        let calls: Vec<_> = clients.iter().zip(buttons).collect();
        let part = |from: usize, until: usize| calls.get(from..until).unwrap_or_default();
        self.load.pace((cap / 2.0) as u64);
        self.press(part(0, half), &mut at_half).await;
        self.load.pace((cap * 2.0) as u64);
        let (from, at) = (self.load.sent(), Instant::now());
        self.press(part(half, quiet), &mut at_twice).await;
        let beside = Beside::start(self.server.db.clone(), self.keep, self.server.url.clone(), self.facility);
        self.press(part(quiet, calls.len()), &mut at_worst).await;
        let (offered, stored) = (self.load.sent() - from, self.stored());
        let beside = beside.end().await;
        self.load.pace(0);
        let rate = offered as f64 / at.elapsed().as_secs_f64();
        let backlog = (self.load.sent() + calls.len() as u64).saturating_sub(stored);
        let drained = self.drain(calls.len() as u64).await;
        drop(calls);
        drop(clients);
        let seen = reader.seen();
        tell("calls at half", &at_half, &seen);
        println!(
            "  twice             {rate:.0} messages/s offered for {} s, then {backlog} not stored yet",
            self.arguments.overload
        );
        match drained {
            Some(time) => println!("  drained           in {:.1} s", time.as_secs_f64()),
            None => println!("  drained           NOT within {} s", DRAIN_WITHIN.as_secs()),
        }
        tell("calls at twice", &at_twice, &seen);
        tell("beside other work", &at_worst, &seen);
        println!("  other work        in the second half of that: {beside}");
        self.count().await
    }

    fn stored(&self) -> u64 {
        self.server.db.gauge(songhe_devices::ingest::STORED).unsigned_abs()
    }

    /// Messages a second that are stored when the devices send as fast as they may.
    async fn cap(&self) -> f64 {
        self.load.pace(UNPACED);
        let warm = Instant::now() + Duration::from_secs(3);
        let (mut begin, mut from) = (None, 0);
        loop {
            let stored = self.stored();
            self.load.up_to(stored.saturating_add(self.under_way));
            match begin {
                None if Instant::now() > warm => (begin, from) = (Some(Instant::now()), stored),
                Some(at) if Instant::now() - at > Duration::from_secs(self.arguments.seconds) => {
                    let rate = (stored - from) as f64 / at.elapsed().as_secs_f64();
                    self.load.pace(0);
                    self.load.up_to(u64::MAX);
                    self.drain(0).await;
                    return rate;
                }
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Presses one button after the other, so many a second.
    async fn press(&self, calls: &[(&Client, &(String, String))], pressed: &mut HashMap<String, Instant>) {
        let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / self.arguments.calls.max(1) as f64));
        for (client, (name, _)) in calls {
            pace.tick().await;
            let Ok(key) = DeviceKey::new(name) else { continue };
            let stamp = Stamp { id: "1-1", time: chrono::Utc::now(), historical: false };
            let message = device::event(&key, &stamp, EventKind::Sos, true, None);
            pressed.insert(format!("{name}/1-1"), Instant::now());
            let _ = client.client.publish(message.topic, QoS::AtLeastOnce, false, message.payload).await;
        }
    }

    /// Waits until everything that was sent is stored.
    async fn drain(&self, calls: u64) -> Option<Duration> {
        let begin = Instant::now();
        while begin.elapsed() < DRAIN_WITHIN {
            let sent = self.load.sent();
            if self.stored() >= sent + calls && self.load.acked() >= sent {
                return Some(begin.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        None
    }

    /// What is in the database, against what the devices sent.
    async fn count(&self) -> Result<(), Failure> {
        let stored: i64 = self
            .server
            .db
            .read(|db| Ok(observation::table.filter(observation::kind.eq("heart_rate")).count().get_result(db)?))
            .await?;
        let sent = self.load.sent();
        let lost = i128::from(sent) - i128::from(stored);
        println!(
            "  in the database   {stored} of {sent} sent ({lost} missing), {} connections lost",
            self.load.lost_connections()
        );
        let waiting = if self.server.db.kind() == Kind::Sqlite { "SQLite's writer" } else { "PostgreSQL" };
        println!(
            "  durable           each acknowledgement of the embedded broker, or to Mosquitto, after the commit by {waiting}"
        );
        Ok(())
    }
}

fn tell(what: &str, pressed: &HashMap<String, Instant>, seen: &Seen) {
    let asked = pressed.len();
    let samples =
        seen.iter().filter_map(|(key, at)| pressed.get(key).map(|pressed| (*at - *pressed).as_secs_f64() * 1000.0));
    let samples = sorted(samples.collect());
    println!(
        "  {what:<18}p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms ({} of {asked} seen)",
        percentile_ms(&samples, 0.5),
        percentile_ms(&samples, 0.99),
        percentile_ms(&samples, 1.0),
        samples.len()
    );
}
