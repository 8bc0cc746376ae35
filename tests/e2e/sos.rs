//! From a button to one incident and the stream, however often it is pressed or sent.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use songhe_kernel::Clock;
use songhe_testkit::{Receiver, TestDb, both_databases};

use crate::SOON;
use crate::api::{is_change, text};
use crate::mqtt;
use crate::world::{Button, House, MIGRATED, Plan, Wiring, mosquitto};

both_databases! {
    from MIGRATED;

    async fn however_often_it_is_sent_it_is_one_incident_on_the_embedded_broker(db: TestDb) {
        one_incident(House::start(db, &Plan::default()).await).await;
    }

    async fn however_often_it_is_sent_it_is_one_incident_on_mosquitto(db: TestDb) {
        one_incident(House::start_with(db, &Plan::default(), |world| Wiring::External(mosquitto(world))).await).await;
    }

    async fn published_while_songhe_is_down_it_pages_on_start_and_is_marked_late(db: TestDb) {
        waits_at_the_broker(db).await;
    }

    async fn a_device_learns_that_its_call_is_safe_on_the_embedded_broker(db: TestDb) {
        acknowledged(House::start(db, &Plan::default()).await).await;
    }

    async fn a_device_learns_that_its_call_is_safe_on_mosquitto(db: TestDb) {
        acknowledged(House::start_with(db, &Plan::default(), |world| Wiring::External(mosquitto(world))).await).await;
    }

    async fn a_stream_goes_on_where_it_was_cut(db: TestDb) {
        stream_goes_on(House::start(db, &Plan::default()).await).await;
    }
}

async fn one_incident(mut house: House) {
    let carer = house.api("carer").await;
    let mut stream = carer.stream().await;
    house.press(0, "1-1").await;
    let raised = stream.expect("the call", SOON, |event| is_change(event, "raised")).await.json();
    assert_eq!(raised["incident"]["kind"], "sos");
    assert_eq!(raised["incident"]["facility_id"], house.world.facility.to_string());
    assert_eq!(raised["cause"]["kind"], "sos", "the observation that caused it: {raised:#}");
    let incident = carer.the_incident("the incident", |_| true).await;
    assert_eq!(incident["id"], raised["incident"]["id"]);
    assert_eq!((&incident["presses"], &incident["delayed_s"]), (&1.into(), &serde_json::Value::Null));

    // The same message twice, then ten presses: what is re-sent does not count, what is pressed does.
    for id in (1..=11).flat_map(|n| [n, n]) {
        house.press(0, &format!("1-{id}")).await;
    }
    carer.the_incident("eleven presses", |incident| incident["presses"] == 11).await;

    house.close().await;
    house.open().await;
    let carer = house.api("carer").await;
    for id in ["1-1", "1-7", "1-11", "1-12"] {
        house.press(0, id).await;
    }
    let later = carer.the_incident("twelve presses", |incident| incident["presses"] == 12).await;
    assert_eq!(later["id"], incident["id"]);
    for event in stream.drain().into_iter().filter(|event| event.event == "incident") {
        assert_eq!(event.json()["incident"]["id"], incident["id"], "the stream told of another incident");
    }
    house.close().await;
}

async fn waits_at_the_broker(db: TestDb) {
    let receiver = Receiver::start();
    let plan = Plan::calls_at(receiver.url("/call"), &[0]);
    let mut house = House::start_with(db, &plan, |world| Wiring::External(mosquitto(world))).await;
    let carer = house.api("carer").await;
    // The first call proves that the session stands at the broker.
    house.press(1, "1-1").await;
    let first = carer.the_incident("the call of the other home", |_| true).await;
    receiver.wait_for(1, SOON).await;
    house.close().await;
    let pressed_at = house.clock.now();
    let payload = format!(r#"{{"id":"1-1","time":"{pressed_at}","event":"sos"}}"#);
    let broker = house.broker();
    for _ in 0..2 {
        assert!(mqtt::publish(&broker, &house.world.buttons[0], "event", payload.as_bytes()).await.ok);
    }
    // The broker as well goes down and comes back with what it keeps.
    house.wiring.external().restart();
    house.clock.advance(Duration::from_secs(600));
    house.open().await;
    let calls = receiver.wait_for(2, SOON).await;
    assert_eq!(calls[1].json()["delayed_s"], 600, "who is called must know that it is late: {}", calls[1].text());
    let carer = house.api("carer").await;
    let open = carer.open_incidents().await;
    assert_eq!(open.len(), 2, "{open:#?}");
    let late = open.iter().find(|incident| incident["id"] != first["id"]).unwrap();
    assert_eq!((&late["delayed_s"], &late["presses"]), (&600.into(), &1.into()));
    house.close().await;
}

/// The protocol promises an `ack` after which a device need not repeat.
async fn acknowledged(mut house: House) {
    let button = house.world.buttons[0].clone();
    // Mosquitto bars client ids with a #; the embedded broker takes no others than the serial's.
    let mark = if matches!(house.wiring, Wiring::Embedded) { '#' } else { '-' };
    let mut ear = Ear::open(&house.broker(), &button, mark).await;
    house.press(0, "7-1").await;
    ear.hears(r#"{"id":"7-1"}"#).await;
    // The device did not hear it, say, and repeats: it is told again.
    house.press(0, "7-1").await;
    ear.hears(r#"{"id":"7-1"}"#).await;
    // Songhe hears its own words at some brokers, and must not take them for a device's.
    house.press(0, "7-2").await;
    ear.hears(r#"{"id":"7-2"}"#).await;
    let admin = house.api("admin").await;
    admin.the_incident("two presses", |incident| incident["presses"] == 2).await;
    assert_eq!(admin.get("/api/v1/quarantine").await["items"], serde_json::json!([]));
    house.close().await;
}

/// The button's second connection, which listens.
struct Ear {
    _client: AsyncClient,
    events: EventLoop,
}

impl Ear {
    async fn open(broker: &str, button: &Button, mark: char) -> Self {
        let (host, port) = broker.split_once(':').expect("host:port");
        let mut options = MqttOptions::new(format!("{}{mark}ear", button.serial), host, port.parse().unwrap());
        options.set_credentials(button.serial.clone(), button.secret.clone());
        let (client, events) = AsyncClient::new(options, 10);
        client.subscribe(format!("songhe/v1/{}/ack", button.serial), QoS::AtLeastOnce).await.unwrap();
        let mut ear = Self { _client: client, events };
        ear.until("the subscription", |packet| matches!(packet, Packet::SubAck(_))).await;
        ear
    }

    async fn hears(&mut self, payload: &str) {
        let is_it =
            |packet: &Packet| matches!(packet, Packet::Publish(publish) if publish.payload == payload.as_bytes());
        self.until(payload, is_it).await;
    }

    async fn until(&mut self, what: &str, fits: impl Fn(&Packet) -> bool) {
        let heard = async {
            loop {
                if let Event::Incoming(packet) = self.events.poll().await.unwrap()
                    && fits(&packet)
                {
                    return;
                }
            }
        };
        assert!(tokio::time::timeout(SOON, heard).await.is_ok(), "the device did not hear {what}");
    }
}

async fn stream_goes_on(mut house: House) {
    let carer = house.api("carer").await;
    let mut stream = carer.stream().await;
    stream.expect("the greeting", SOON, |event| event.event == "hello").await;
    house.press(0, "1-1").await;
    stream.expect("the first call", SOON, |event| is_change(event, "raised")).await;
    // A frame's id says what has been sent; the first call may come again, the second must.
    let last = stream.last_id().to_owned();
    drop(stream);
    house.press(1, "1-1").await;
    let second = carer.until_two_open().await;
    let mut stream = carer.stream_after(&last).await;
    let told = stream
        .expect("the call that was missed", SOON, |event| {
            event.event == "incident" && event.json()["incident"]["id"] == second.as_str()
        })
        .await;
    assert_eq!(told.json()["cause"]["kind"], "sos");
    // Across a restart as well.
    let last = stream.last_id().to_owned();
    house.close().await;
    house.open().await;
    let carer = house.api("carer").await;
    let id = &second;
    carer.post(&format!("/api/v1/incidents/{id}/acknowledge"), serde_json::json!({})).await;
    let mut stream = carer.stream_after(&last).await;
    stream
        .expect("the answer that was missed", SOON, |event| {
            event.event == "incident" && event.json()["incident"]["status"] == "acknowledged"
        })
        .await;
    for nonsense in ["yesterday", "9-9-999999999", "-1--1--1"] {
        let mut stream = carer.stream_after(nonsense).await;
        stream.expect("a reset", SOON, |event| event.event == "reset").await;
        house.press(0, &format!("2-{nonsense}")).await;
        stream.expect("what comes after it", SOON, |event| is_change(event, "signal")).await;
    }
    house.close().await;
}

impl crate::api::Api {
    /// The id of the second open incident, once there is one.
    async fn until_two_open(&self) -> String {
        songhe_testkit::eventually("two open incidents", SOON, || async {
            let open = self.open_incidents().await;
            (open.len() == 2).then(|| text(&open[0], "id").to_owned())
        })
        .await
    }
}
