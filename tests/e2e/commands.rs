//! Commands to devices, through real brokers: sent, done, answered; nothing waits for a device that is away.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::{Value, json};
use songhe_adapter_core::DeviceKey;
use songhe_adapter_mqtt::device::{command_result, parse_command};
use songhe_testkit::{TestDb, both_databases, eventually};

use crate::SOON;
use crate::api::{Api, text};
use crate::world::{Button, House, MIGRATED, Plan, Wiring, mosquitto};

both_databases! {
    from MIGRATED;

    async fn a_device_does_what_it_is_asked_on_the_embedded_broker(db: TestDb) {
        asked(House::start(db, &Plan::default()).await).await;
    }

    async fn a_device_does_what_it_is_asked_on_mosquitto(db: TestDb) {
        asked(House::start_with(db, &Plan::default(), |world| Wiring::External(mosquitto(world))).await).await;
    }

    async fn what_was_asked_while_a_device_was_away_is_not_done_later(db: TestDb) {
        let house = House::start(db, &Plan::default()).await;
        let admin = house.api("admin").await;
        let path = commands_of(&admin, &house.world.buttons[0]).await;
        // It was here and keeps its session.
        obey_one(&house, true).await.abort();
        admin.post(&path, json!({ "command": { "action": "locate" }, "valid_seconds": 30 })).await;
        state(&admin, &path, |newest| newest["detail"].as_str().is_some_and(|why| why.contains("not connected"))).await;
        house.pass_seconds(60);
        state(&admin, &path, |newest| newest["state"] == "expired").await;
        let back = obey_one(&house, false).await;
        admin.post(&path, json!({ "command": { "action": "lamp", "on": true } })).await;
        state(&admin, &path, |newest| newest["state"] == "acknowledged").await;
        let done = back.await.unwrap();
        assert_eq!(done, ["lamp"], "and not where it is");
    }
}

async fn commands_of(admin: &Api, button: &Button) -> String {
    let list = admin.get(&format!("/api/v1/devices?q={}", button.serial)).await;
    format!("/api/v1/devices/{}/commands", text(&list["items"][0], "id"))
}

async fn state(admin: &Api, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
    eventually("the command's state", SOON, || async {
        let newest = admin.get(path).await["items"][0].clone();
        fits(&newest).then_some(newest)
    })
    .await
}

/// The first home's button: connects, listens, does what it is asked, and ends after the first thing. Answers when it
/// listens.
async fn obey_one(house: &House, away: bool) -> tokio::task::JoinHandle<Vec<&'static str>> {
    let (host, port) = house.broker().split_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
    let button = house.world.buttons[0].clone();
    let mut options = MqttOptions::new(&button.serial, host, port.parse().unwrap());
    options.set_credentials(&button.serial, &button.secret);
    options.set_clean_session(false);
    let (client, mut events) = AsyncClient::new(options, 8);
    client.subscribe(format!("songhe/v1/{}/command", button.serial), QoS::AtLeastOnce).await.unwrap();
    loop {
        if let Event::Incoming(Packet::SubAck(_)) = events.poll().await.unwrap() {
            break;
        }
    }
    if away {
        client.disconnect().await.unwrap();
        while events.poll().await.is_ok() {}
    }
    tokio::spawn(async move {
        let key = DeviceKey::new(&button.serial).unwrap();
        let mut done = Vec::new();
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::Publish(asked))) => {
                    let command = parse_command(&asked.payload).unwrap();
                    done.push(match command.action {
                        songhe_adapter_core::Action::Locate => "locate",
                        songhe_adapter_core::Action::Lamp { .. } => "lamp",
                        _ => "another",
                    });
                    let answer = command_result(&key, &command.id, true);
                    client.publish(answer.topic, QoS::AtLeastOnce, false, answer.payload).await.unwrap();
                }
                Ok(Event::Incoming(Packet::PubAck(_))) | Err(_) => return done,
                Ok(_) => {}
            }
        }
    })
}

async fn asked(house: House) {
    let admin = house.api("admin").await;
    let path = commands_of(&admin, &house.world.buttons[0]).await;
    let device = obey_one(&house, false).await;
    let made = admin.post(&path, json!({ "command": { "action": "lamp", "on": true } })).await;
    let done = state(&admin, &path, |newest| newest["state"] == "acknowledged").await;
    assert_eq!(done["id"], made["id"]);
    let took = tokio::time::timeout(Duration::from_secs(20), device).await.unwrap().unwrap();
    assert_eq!(took, ["lamp"], "once");
}
