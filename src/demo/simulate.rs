//! Simulated devices over songhe-mqtt: a day's rhythm, and now and then an alarm. `songhe simulate` runs them against
//! any server that has registered them; `songhe demo` against itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Timelike, Utc};
use rand::Rng;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use rust_decimal::Decimal;
use songhe_adapter_core::{DeviceKey, EventKind, Measure, Outbound};
use songhe_adapter_mqtt::PREFIX;
use songhe_adapter_mqtt::device::{self, Stamp};
use songhe_kernel::{SharedClock, SystemClock};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cli::{Failure, until_stopped};

/// Seconds between two reports of one device, on average.
const REPORT_S: u64 = 60;
/// The first alarm of a demo comes after so many seconds: somebody is watching.
const FIRST_ALARM_S: u64 = 25;

#[derive(clap::Args)]
pub struct Arguments {
    /// host:port of the MQTT broker
    #[arg(long, default_value = "127.0.0.1:1883")]
    broker: String,
    /// CSV file: serial,secret,role with a role of call, mattress, smoke, gas, fall, climate
    #[arg(long, default_value = "songhe-data/demo-devices.csv")]
    credentials: PathBuf,
    /// Seconds between alarms over all devices, on average; 0: none
    #[arg(long, default_value_t = 240)]
    alarm_every: u32,
}

/// What a simulated device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Call,
    Mattress,
    Smoke,
    Gas,
    Fall,
    Climate,
}

impl Role {
    const ALL: [Self; 6] = [Self::Call, Self::Mattress, Self::Smoke, Self::Gas, Self::Fall, Self::Climate];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Mattress => "mattress",
            Self::Smoke => "smoke",
            Self::Gas => "gas",
            Self::Fall => "fall",
            Self::Climate => "climate",
        }
    }

    /// The alarm it gives, if it gives any.
    const fn alarm(self) -> Option<EventKind> {
        match self {
            Self::Call => Some(EventKind::Sos),
            Self::Smoke => Some(EventKind::Smoke),
            Self::Gas => Some(EventKind::Gas),
            Self::Fall => Some(EventKind::Fall),
            Self::Mattress | Self::Climate => None,
        }
    }
}

struct Device {
    key: DeviceKey,
    secret: String,
    role: Role,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let clock = Arc::new(SystemClock::new());
    let traffic = start(arguments.broker, &arguments.credentials, arguments.alarm_every, clock)?;
    println!("Simulated devices run; Ctrl-C ends them.");
    until_stopped().await;
    traffic.abort();
    Ok(())
}

/// Starts all devices of a credentials file, which go by this clock; the handle ends them.
///
/// # Errors
/// When the file or the broker's address cannot be read.
pub(crate) fn start(
    broker: String,
    credentials: &Path,
    alarm_every: u32,
    clock: SharedClock,
) -> Result<JoinHandle<()>, Failure> {
    let (host, port) = broker
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host.to_owned(), port.parse::<u16>().ok()?)))
        .ok_or_else(|| Failure(format!("{broker} is no host:port.")))?;
    let devices = read(credentials)?;
    Ok(tokio::spawn(async move {
        let mut tasks = tokio::task::JoinSet::new();
        let mut pressing = Vec::new();
        for device in devices {
            let (press, pressed) = mpsc::channel(4);
            if device.role.alarm().is_some() {
                pressing.push((device.role, press));
            }
            tasks.spawn(live(host.clone(), port, device, pressed, clock.clone()));
        }
        if alarm_every > 0 {
            tasks.spawn(alarms(pressing, alarm_every));
        }
        while tasks.join_next().await.is_some() {}
    }))
}

fn read(path: &Path) -> Result<Vec<Device>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure(format!("{} cannot be read: {error}. It holds serial,secret,role.", path.display()))
    })?;
    text.lines()
        .enumerate()
        .skip(1)
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            let mut fields = line.split(',').map(str::trim);
            let device = (|| {
                Some(Device {
                    key: DeviceKey::new(fields.next()?).ok()?,
                    secret: fields.next()?.to_owned(),
                    role: fields.next().and_then(|word| Role::ALL.into_iter().find(|role| role.as_str() == word))?,
                })
            })();
            device.ok_or_else(|| {
                Failure(format!("{}, line {}: serial,secret,role is expected.", path.display(), number + 1))
            })
        })
        .collect()
}

/// Presses somewhere: mostly a call button, seldom smoke, gas or a fall.
async fn alarms(pressing: Vec<(Role, mpsc::Sender<()>)>, every_s: u32) {
    tokio::time::sleep(Duration::from_secs(FIRST_ALARM_S)).await;
    loop {
        press_one(&pressing);
        let every_ms = u64::from(every_s) * 1_000;
        tokio::time::sleep(random_ms(every_ms / 2..every_ms * 3 / 2)).await;
    }
}

fn press_one(pressing: &[(Role, mpsc::Sender<()>)]) {
    let mut random = rand::rng();
    let rare = random.random_ratio(1, 6);
    let fitting: Vec<_> = pressing.iter().filter(|(role, _)| (*role == Role::Call) != rare).collect();
    if let Some((_, press)) = fitting.get(random.random_range(0..fitting.len().max(1))) {
        // A device that is not connected just now does not press.
        let _ = press.try_send(());
    }
}

fn random_ms(range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rand::rng().random_range(range))
}

/// One device: connects, reports at its pace, presses when told.
async fn live(host: String, port: u16, device: Device, mut pressed: mpsc::Receiver<()>, clock: SharedClock) {
    // They do not all come in the same second.
    tokio::time::sleep(random_ms(0..5_000)).await;
    let mut options = MqttOptions::new(device.key.as_str(), host, port);
    options.set_credentials(device.key.as_str(), device.secret);
    options.set_keep_alive(Duration::from_secs(60));
    options.set_clean_session(false);
    let (client, mut events) = AsyncClient::new(options, 16);
    let poll = async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    let topic = format!("{PREFIX}{}/command", device.key);
                    let _ = client.try_subscribe(topic, QoS::AtLeastOnce);
                }
                Ok(Event::Incoming(Packet::Publish(asked))) => {
                    if let Some(answer) = obey(&device.key, &asked.payload, clock.now().utc()) {
                        let _ = client.try_publish(answer.topic, QoS::AtLeastOnce, false, answer.payload);
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(device = device.key.as_str(), %error, "simulated device has no connection");
                    tokio::time::sleep(Duration::from_secs(3)).await;
                }
            }
        }
    };
    // The boot number comes from the clock, so that ids differ after a restart.
    let boot = clock.now().utc().timestamp();
    let work = async {
        let mut n = 0u64;
        loop {
            let pause = random_ms(REPORT_S * 500..REPORT_S * 1_500);
            let press = tokio::select! {
                () = tokio::time::sleep(if n == 0 { Duration::from_secs(1) } else { pause }) => false,
                press = pressed.recv() => { if press.is_none() { tokio::time::sleep(pause).await; } press.is_some() }
            };
            n += 1;
            let id = format!("{boot}-{n:06}");
            let stamp = Stamp { id: &id, time: clock.now().utc(), historical: false };
            let message = match device.role.alarm().filter(|_| press) {
                Some(kind) => device::event(&device.key, &stamp, kind, true, None),
                None => report(&device.key, &stamp, device.role),
            };
            if client.publish(message.topic, QoS::AtLeastOnce, false, message.payload).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = poll => {}
        () = work => {}
    }
}

/// What it answers when it did what it was asked; nothing if it is too late for it. Asked again it answers again: the
/// server knows the command's id.
fn obey(key: &DeviceKey, payload: &[u8], now: DateTime<Utc>) -> Option<Outbound> {
    let command = device::parse_command(payload)?;
    let in_time = command.valid_until.is_none_or(|until| until >= now);
    in_time.then(|| device::command_result(key, &command.id, true))
}

/// What a device reports now: hearts are slower and beds fuller at night.
fn report(key: &DeviceKey, stamp: &Stamp<'_>, role: Role) -> Outbound {
    let hour = stamp.time.with_timezone(&songhe_kernel::time::DEFAULT_ZONE).hour();
    let night = !(6..21).contains(&hour);
    let mut random = rand::rng();
    let mut around = |middle: f64, spread: f64| {
        let value = middle + random.random_range(-spread..spread);
        Decimal::try_from((value * 10.0).round() / 10.0).ok()
    };
    let battery = (Measure::BatteryPercent, around(82.0, 15.0).map(|value| value.round()));
    let readings = match role {
        Role::Call | Role::Smoke | Role::Fall => vec![battery],
        Role::Gas => vec![(Measure::MethaneLel, around(0.6, 0.5))],
        Role::Climate => vec![
            (Measure::RoomTemperature, around(if night { 20.5 } else { 22.5 }, 1.5)),
            (Measure::Humidity, around(52.0, 8.0)),
            battery,
        ],
        Role::Mattress => vec![
            (Measure::HeartRate, around(if night { 60.0 } else { 72.0 }, 8.0).map(|value| value.round())),
            (Measure::RespiratoryRate, around(if night { 14.0 } else { 16.0 }, 2.0).map(|value| value.round())),
        ],
    };
    if role == Role::Mattress && rand::rng().random_ratio(1, 6) {
        let kind = if night { EventKind::BedEnter } else { EventKind::BedExit };
        return device::event(key, stamp, kind, true, None);
    }
    device::telemetry(key, stamp, &readings)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_asked_too_late_is_not_done() {
        let key = DeviceKey::new("SH-1").unwrap();
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let asked = br#"{"id":"cmd_1","command":"locate","until":"2026-11-22T08:01:00Z"}"#;
        let answer = obey(&key, asked, at("2026-11-22T08:01:00Z")).unwrap();
        assert_eq!(answer.topic, "songhe/v1/SH-1/ack");
        assert_eq!(obey(&key, asked, at("2026-11-22T08:01:01Z")), None);
        assert_eq!(obey(&key, b"{}", at("2026-11-22T08:00:00Z")), None);
    }
}
