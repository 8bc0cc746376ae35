//! SIGKILL at random moments while devices send: what was acknowledged is there, once; every emergency is open, once;
//! every timer fires, every message goes out. The seed is printed when it fails.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use songhe_kernel::SystemClock;
use songhe_testkit::{Receiver, Server, TestDb, both_databases, is_long_profile};
use tokio::sync::watch;

use crate::kill_check;
use crate::world::{Button, MIGRATED, Plan, Wiring, linked, mosquitto, program, seed, toml};

const DEVICES: usize = 8;
/// What may open an incident, apart for each device.
pub const EMERGENCIES: [&str; 5] = ["sos", "fall", "smoke", "gas", "co"];
/// The rungs of the ladder, seconds after the call.
pub const RUNGS: [i32; 3] = [0, 1, 2];
/// The longest life between two kills.
const LIFE_MS: u64 = 900;
/// Between two messages of a device. A broker of its own takes messages faster than anybody stores them, and the test
/// would measure the queue.
const PACE: Duration = Duration::from_millis(10);
/// A device that heard nothing for so long connects anew.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

both_databases! {
    from MIGRATED;

    async fn killed_at_random_moments_nothing_is_lost_or_doubled(db: TestDb) {
        kill_under_load(db, if is_long_profile() { 50 } else { 10 }, |_| Wiring::Embedded).await;
    }

    async fn killed_at_random_moments_behind_mosquitto_nothing_is_lost_or_doubled(db: TestDb) {
        kill_under_load(db, if is_long_profile() { 50 } else { 4 }, |world| Wiring::External(mosquitto(world))).await;
    }
}

/// One message of a device.
#[derive(Clone, Debug)]
pub struct Message {
    pub serial: String,
    pub id: String,
    /// `None`: telemetry.
    pub emergency: Option<&'static str>,
}

impl Message {
    fn draw(rng: &mut StdRng, serial: &str, number: usize) -> Self {
        let alarm = rng.random_ratio(1, 20);
        let emergency = alarm.then(|| EMERGENCIES[rng.random_range(0..EMERGENCIES.len())]);
        Self { serial: serial.to_owned(), id: format!("1-{number:06}"), emergency }
    }

    fn topic(&self) -> String {
        let channel = if self.emergency.is_some() { "event" } else { "telemetry" };
        format!("songhe/v1/{}/{channel}", self.serial)
    }

    fn payload(&self) -> String {
        match self.emergency {
            Some(kind) => format!(r#"{{"id":"{}","event":"{kind}"}}"#, self.id),
            None => format!(
                r#"{{"id":"{}","readings":[{{"kind":"heart_rate","value":72,"unit":"/min"}},
                    {{"kind":"respiratory_rate","value":16,"unit":"/min"}}]}}"#,
                self.id
            ),
        }
    }
}

async fn kill_under_load(db: TestDb, kills: u32, wiring: impl FnOnce(&crate::world::World) -> Wiring) {
    let seed_number: u64 =
        std::env::var("SONGHE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    // Shown only when the test fails.
    println!("seed: SONGHE_TEST_SEED={seed_number}");
    let mut rng = StdRng::seed_from_u64(seed_number);
    let receiver = Receiver::start();
    let plan = Plan { homes: DEVICES, ..Plan::calls_at(receiver.url("/call"), &RUNGS) };
    let world = seed(&db, Arc::new(SystemClock::new()), &plan).await;
    let wiring = wiring(&world);
    // Its devices send as fast as they are acknowledged.
    let config = toml(&db, &wiring) + "messages_per_s = 0\nevents_per_s = 0\n";
    let mut server = Server::setup(program()).config(&config).start();
    if let Wiring::External(broker) = &wiring {
        linked(broker, 1).await;
    }
    let address = |server: &Server| match &wiring {
        Wiring::Embedded => server.mqtt_address().to_owned(),
        Wiring::External(broker) => broker.address(),
    };
    let (tell, told) = watch::channel(address(&server));
    let (stop, stopped) = watch::channel(false);
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut devices = tokio::task::JoinSet::new();
    let pace = if matches!(wiring, Wiring::Embedded) { Duration::ZERO } else { PACE };
    for button in &world.buttons {
        let rng = StdRng::seed_from_u64(rng.random());
        devices.spawn(device(button.clone(), rng, pace, told.clone(), stopped.clone(), acknowledged.clone()));
    }
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..LIFE_MS))).await;
        server.kill_and_restart();
        tell.send_replace(address(&server));
    }
    let enough = acknowledged.lock().unwrap().len() + 20 * DEVICES;
    let more = || async { acknowledged.lock().unwrap().len() >= enough };
    songhe_testkit::eventually_true("messages after the last restart", crate::SOON, more).await;
    stop.send_replace(true);
    while let Some(ended) = devices.join_next().await {
        ended.unwrap();
    }
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    let calls = acknowledged.iter().filter(|message| message.emergency.is_some()).count();
    println!("{kills} kills, {} messages acknowledged, {calls} of them emergencies", acknowledged.len());
    kill_check::compare(&db, &acknowledged, &receiver).await;
    assert!(server.is_running() && !server.log().contains("panicked"), "{}", server.log());
}

/// Sends, and repeats each message until it is acknowledged; now and then one that was acknowledged before.
pub async fn device(
    button: Button,
    mut rng: StdRng,
    pace: Duration,
    address: watch::Receiver<String>,
    stop: watch::Receiver<bool>,
    acknowledged: Arc<Mutex<Vec<Message>>>,
) {
    let mut link = None;
    let mut number = 0;
    let mut last: Option<Message> = None;
    while !*stop.borrow() {
        let again = last.take().filter(|_| rng.random_ratio(1, 10));
        let message = again.unwrap_or_else(|| {
            number += 1;
            Message::draw(&mut rng, &button.serial, number)
        });
        while !Link::publish(&mut link, &button, &address, &message).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        acknowledged.lock().unwrap().push(message.clone());
        last = Some(message);
        tokio::time::sleep(pace).await;
    }
}

struct Link {
    client: AsyncClient,
    events: EventLoop,
}

impl Link {
    fn open(button: &Button, address: &str) -> Self {
        let (host, port) = address.split_once(':').expect("host:port");
        let mut options = MqttOptions::new(button.serial.clone(), host, port.parse().unwrap());
        options.set_credentials(button.serial.clone(), button.secret.clone());
        options.set_clean_session(true);
        let (client, events) = AsyncClient::new(options, 10);
        Self { client, events }
    }

    /// True once the broker has acknowledged the message; otherwise the connection is given up.
    async fn publish(
        link: &mut Option<Self>,
        button: &Button,
        address: &watch::Receiver<String>,
        message: &Message,
    ) -> bool {
        let mut open = link.take().unwrap_or_else(|| Self::open(button, &address.borrow()));
        if open.client.publish(message.topic(), QoS::AtLeastOnce, false, message.payload()).await.is_err() {
            return false;
        }
        loop {
            match tokio::time::timeout(ANSWER_WITHIN, open.events.poll()).await {
                // One message is under way at a time: it can be no other's.
                Ok(Ok(Event::Incoming(Packet::PubAck(_)))) => {
                    *link = Some(open);
                    return true;
                }
                Ok(Ok(_)) => {}
                _ => return false,
            }
        }
    }
}
