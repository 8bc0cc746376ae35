//! A gateway speaks for its own devices only, and whatever it says harms nobody.

use serde_json::json;
use songhe_testkit::{TestDb, both_databases, eventually_true};

use crate::SOON;
use crate::api::Api;
use crate::mqtt::publish_as;
use crate::world::{House, MIGRATED, Plan, Wiring, mosquitto};
use crate::zigbee::{Gateway, SOS, inventory, street};

const CALL: &str = r#"{"action":"emergency"}"#;

both_databases! {
    from MIGRATED;

    async fn a_gateway_keeps_to_its_topics_and_its_house_on_the_embedded_broker(db: TestDb) {
        let mut house = House::start(db, &Plan::default()).await;
        let admin = house.api("admin").await;
        let gateway = street(&house, &admin).await;
        // A second gateway, at another facility, has a topic of its own.
        let foreign = house.world.foreign.to_string();
        let second = Gateway::register(&house, &admin, "GW-2", &foreign).await;
        assert_eq!(second.base_topic, "zigbee/GW-2");
        foreign_topics(&house, &gateway, &second).await;
        // It names the first one's devices as its own, and calls for help in their name.
        second.says(&house, "bridge/devices", &inventory(&[])).await;
        second.says(&house, SOS, CALL).await;
        second.says(&house, "bridge/event", r#"{"type":"device_leave","data":{"ieee_address":"0x00158d0001e5c301"}}"#).await;
        strangers(&admin, "zigbee/GW-2/").await;
        let own = json!({ "facility_id": foreign, "serial": "0x00158D0001E5C3AA", "class": "3.1", "adapter": "zigbee2mqtt", "name": "按钮" });
        let made = admin.post("/api/v1/devices", own).await;
        assert_eq!(made["serial"], "0x00158d0001e5c3aa", "as gateways write it");
        // A device behind a gateway has no credential, and a call of its house is heard.
        let id = made["id"].as_str().unwrap();
        assert_eq!(admin.status("POST", &format!("/api/v1/devices/{id}/credential")).await, 422);
        unharmed(&house, &gateway, &admin).await;
        house.close().await;
    }

    async fn what_a_gateway_says_harms_nobody_on_the_embedded_broker(db: TestDb) {
        hostile(House::start(db, &Plan::default()).await).await;
    }

    async fn what_a_gateway_says_harms_nobody_on_mosquitto(db: TestDb) {
        let house = House::start_with(db, &Plan::default(), |world| Wiring::External(mosquitto(world))).await;
        let admin = house.api("admin").await;
        // Before it is registered nobody knows whose it is.
        let button = &house.world.buttons[0];
        publish_as(&house.broker(), &button.serial, button, "zigbee2mqtt/hall", CALL.as_bytes()).await;
        let Wiring::External(broker) = &house.wiring else { unreachable!() };
        eventually_true("the broker's no", SOON, || async { broker.log().contains("Denied PUBLISH") }).await;
        assert_eq!(admin.get("/api/v1/quarantine").await["items"], json!([]));
        hostile(house).await;
    }
}

/// Neither leaves its topics, and no button gets there.
async fn foreign_topics(house: &House, gateway: &Gateway, second: &Gateway) {
    let (broker, button) = (house.broker(), &house.world.buttons[0]);
    let sos = br#"{"id":"9-1","event":"sos"}"#;
    let (first, other) = (&gateway.account, &second.account);
    publish_as(&broker, &button.serial, button, "zigbee2mqtt/hall", CALL.as_bytes()).await;
    publish_as(&broker, &button.serial, button, &format!("zigbee2mqtt/{SOS}"), CALL.as_bytes()).await;
    publish_as(&broker, &first.serial, first, &format!("songhe/v1/{}/event", button.serial), sos).await;
    publish_as(&broker, &first.serial, first, "songhe/v1/GW-1/event", sos).await;
    publish_as(&broker, &first.serial, first, "zigbee/GW-2/hall", CALL.as_bytes()).await;
    publish_as(&broker, &other.serial, other, &format!("zigbee2mqtt/{SOS}"), CALL.as_bytes()).await;
}

/// Waits until such a topic's message is kept as a stranger's.
async fn strangers(admin: &Api, prefix: &str) {
    eventually_true("a stranger in quarantine", SOON, || async {
        let kept = admin.get("/api/v1/quarantine").await["items"].as_array().unwrap().clone();
        kept.iter().any(|message| {
            message["reason"] == "unknown_device"
                && message["topic"].as_str().unwrap().starts_with(prefix)
                && message["detail"].as_str().unwrap().contains("names no device")
        })
    })
    .await;
}

async fn hostile(mut house: House) {
    let admin = house.api("admin").await;
    let gateway = street(&house, &admin).await;
    let deep = "[".repeat(5_000);
    let long = format!(r#"{{"action":"emergency","x":"{}"}}"#, "x".repeat(20_000));
    let payloads = [
        "\u{0}\u{fffd} not JSON",
        "[]",
        "[[[[[[[",
        "true",
        "{",
        r#"{"smoke":"maybe","action":7,"fall_status":[]}"#,
        r#"{"action":"\u0000\u202esos","battery":1e999999999,"last_seen":"yesterday"}"#,
        &deep,
        &long,
    ];
    for payload in payloads {
        for path in
            [SOS, "bridge/devices", "bridge/state", "bridge/event", "卧室/呼叫按钮/availability", "attic", "a/+b"]
        {
            // A topic with a wildcard is refused by the program that publishes already.
            if path != "a/+b" {
                gateway.says(&house, path, payload).await;
            }
        }
    }
    // A list of nobody, of names that cannot be, and of one name for two.
    gateway.says(&house, "bridge/devices", "[]").await;
    strangers(&admin, "zigbee2mqtt/attic").await;
    unharmed(&house, &gateway, &admin).await;
    house.close().await;
}

/// Nothing of it became a call, the names are as they were, and a call that follows is heard.
async fn unharmed(house: &House, gateway: &Gateway, admin: &Api) {
    assert_eq!(admin.open_incidents().await, Vec::<serde_json::Value>::new(), "something foreign became a call");
    gateway.says(house, SOS, CALL).await;
    let call = admin.the_incident("the real call", |_| true).await;
    assert_eq!((call["kind"].as_str(), call["presses"].as_i64()), (Some("sos"), Some(1)));
}
