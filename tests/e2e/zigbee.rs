//! Devices behind a gateway that runs Zigbee2MQTT: one credential, many devices, names that change.

use serde_json::{Value, json};
use songhe_testkit::{TestDb, both_databases, eventually, eventually_true};

use crate::SOON;
use crate::api::{Api, text};
use crate::mqtt::publish_with;
use crate::world::{Button, House, MIGRATED, Plan, Wiring, mosquitto};

/// Address, name at the gateway, model.
const DEVICES: [(&str, &str, &str); 7] = [
    ("0x00158d0001e5c301", "卧室/呼叫按钮", "TS0215A_sos"),
    ("0x00158d0001e5c302", "厨房/烟感", "JTYJ-GD-01LM/BW"),
    ("0x00158d0001e5c303", "厨房/燃气", "JTQJ-BF-01LM/BW"),
    ("0x00158d0001e5c304", "卫生间/水浸", "SJCGQ11LM"),
    ("0x00158d0001e5c305", "卫生间/跌倒雷达", "TS0601_fall"),
    ("0x00158d0001e5c306", "大门", "MCCGQ11LM"),
    ("0x00158d0001e5c307", "床头/无线按键", "WXKG11LM"),
];
pub const SOS: &str = "卧室/呼叫按钮";
const PRESS: &str = r#"{"action":"emergency","battery":100,"linkquality":90}"#;

both_databases! {
    from MIGRATED;

    async fn what_a_gateways_devices_tell_is_one_incident_or_state_each_on_the_embedded_broker(db: TestDb) {
        told_once(House::start(db, &Plan::default()).await).await;
    }

    async fn what_a_gateways_devices_tell_is_one_incident_or_state_each_on_mosquitto(db: TestDb) {
        told_once(external(db).await).await;
    }

    async fn what_a_broker_kept_pages_once_whoever_restarts(db: TestDb) {
        kept(external(db).await).await;
    }

    async fn what_a_gateway_repeats_when_it_is_back_pages_nobody(db: TestDb) {
        repeated(House::start(db, &Plan::default()).await).await;
    }

    async fn a_renamed_device_keeps_its_history_on_the_embedded_broker(db: TestDb) {
        renamed(House::start(db, &Plan::default()).await).await;
    }

    async fn a_renamed_device_keeps_its_history_on_mosquitto(db: TestDb) {
        renamed(external(db).await).await;
    }
}

async fn external(db: TestDb) -> House {
    House::start_with(db, &Plan::default(), |world| Wiring::External(mosquitto(world))).await
}

/// A gateway with its credential, as the people of a house set it up.
pub struct Gateway {
    pub account: Button,
    pub base_topic: String,
}

impl Gateway {
    /// Registers it by the API and, with an external broker, copies its credential there.
    pub async fn register(house: &House, admin: &Api, serial: &str, facility: &str) -> Self {
        let body = json!({ "facility_id": facility, "serial": serial, "class": "5", "adapter": "zigbee2mqtt", "name": "网关" });
        let id = text(&admin.post("/api/v1/devices", body).await, "id").to_owned();
        let credential = admin.post(&format!("/api/v1/devices/{id}/credential"), json!({})).await;
        let account = Button { serial: serial.to_owned(), secret: text(&credential, "password").to_owned() };
        if let Wiring::External(broker) = &house.wiring {
            broker.set_user(&account.serial, &account.secret);
        }
        let ties = admin.get(&format!("/api/v1/devices/{id}/gateway")).await;
        Self { account, base_topic: text(&ties, "base_topic").to_owned() }
    }

    pub async fn says_with(&self, house: &House, path: &str, payload: &str, options: &[&str]) {
        let topic = format!("{}/{path}", self.base_topic);
        let account = &self.account;
        let broker = house.broker();
        let said = || publish_with(&broker, &account.serial, account, &topic, payload.as_bytes(), options);
        // Mosquitto may not have read its new password file yet.
        eventually_true("the gateway's word", SOON, || async { said().await.ok }).await;
    }

    pub async fn says(&self, house: &House, path: &str, payload: &str) {
        self.says_with(house, path, payload, &[]).await;
    }
}

/// `bridge/devices` with other names for some.
pub fn inventory(renamed: &[(&str, &str)]) -> String {
    let mut all =
        vec![json!({ "ieee_address": "0x00124b0022813a6e", "type": "Coordinator", "friendly_name": "Coordinator" })];
    all.extend(DEVICES.iter().map(|(address, name, model)| {
        let name = renamed.iter().find(|(old, _)| old == name).map_or(*name, |(_, new)| *new);
        let definition = json!({ "model": model, "vendor": "Aqara", "exposes": [] });
        json!({ "ieee_address": address, "friendly_name": name, "type": "EndDevice", "definition": definition })
    }));
    Value::Array(all).to_string()
}

/// A gateway whose devices are all registered, each found in quarantine first.
pub async fn street(house: &House, admin: &Api) -> Gateway {
    let facility = house.world.facility.to_string();
    let gateway = Gateway::register(house, admin, "GW-1", &facility).await;
    assert_eq!(gateway.base_topic, "zigbee2mqtt", "the first gateway has the usual topic");
    gateway.says_with(house, "bridge/devices", &inventory(&[]), &["-r"]).await;
    for (address, name, model) in DEVICES {
        let found = eventually("a device to adopt", SOON, || async {
            let kept = admin.get("/api/v1/quarantine").await["items"].as_array().unwrap().clone();
            kept.into_iter().find(|message| message["serial"] == address)
        })
        .await;
        assert_eq!(found["reason"], "unknown_device");
        let named = json!({ "gateway_serial": "GW-1", "name": name, "model": model, "vendor": "Aqara" });
        assert_eq!(found["named"], named, "{found:#}");
        let body = json!({ "facility_id": facility, "serial": address, "class": "3.1", "adapter": "zigbee2mqtt", "name": name });
        admin.post("/api/v1/devices", body).await;
    }
    gateway
}

/// The id of a device by its address.
async fn id_of(admin: &Api, address: &str) -> String {
    text(&admin.get(&format!("/api/v1/devices?q={address}")).await["items"][0], "id").to_owned()
}

/// Kinds of open incidents with how often each was told, in their order.
async fn open_kinds(admin: &Api) -> Vec<(String, i64)> {
    let open = admin.open_incidents().await;
    let mut kinds: Vec<_> =
        open.iter().map(|one| (text(one, "kind").to_owned(), one["presses"].as_i64().unwrap())).collect();
    kinds.sort_unstable();
    kinds
}

async fn until_open(admin: &Api, expected: &[(&str, i64)]) {
    let expected: Vec<(String, i64)> = expected.iter().map(|(kind, times)| ((*kind).to_owned(), *times)).collect();
    let mut seen = Vec::new();
    for _ in 0..400 {
        seen = open_kinds(admin).await;
        if seen == expected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("open are {seen:?}, wanted were {expected:?}");
}

/// What was sent before has had its turn: a door that opens and closes says so.
async fn settled(house: &House, gateway: &Gateway, admin: &Api) {
    let door = id_of(admin, DEVICES[5].0).await;
    for open in [true, false] {
        gateway.says(house, "大门", &json!({ "contact": !open }).to_string()).await;
        eventually_true("the door", SOON, || async { state(admin, &door, "door_open").await == Some(json!(open)) })
            .await;
    }
}

async fn state(admin: &Api, device: &str, kind: &str) -> Option<Value> {
    let states = admin.get(&format!("/api/v1/devices/{device}/state")).await["items"].as_array().unwrap().clone();
    states.iter().find(|state| state["kind"] == kind).map(|state| state["active"].clone())
}

async fn told_once(mut house: House) {
    let admin = house.api("admin").await;
    let gateway = street(&house, &admin).await;
    let cases = [
        (SOS, PRESS, "sos"),
        ("厨房/烟感", r#"{"smoke":true,"battery":91}"#, "smoke"),
        ("厨房/燃气", r#"{"gas":"ON"}"#, "gas"),
        ("卫生间/水浸", r#"{"water_leak":true,"tamper":false}"#, "leak"),
        ("卫生间/跌倒雷达", r#"{"fall_down_status":"fall","presence":true}"#, "fall"),
    ];
    for (name, payload, _) in cases {
        gateway.says(&house, name, payload).await;
    }
    let each_once = [("fall", 1), ("gas", 1), ("leak", 1), ("smoke", 1), ("sos", 1)];
    until_open(&admin, &each_once).await;
    // The same bytes at once are one message; what stands as it stood is nothing new, minutes later as well.
    for (name, payload, _) in cases {
        gateway.says(&house, name, payload).await;
    }
    house.pass_seconds(180);
    for (name, payload, _) in &cases[1..] {
        gateway.says(&house, name, payload).await;
    }
    gateway.says(&house, SOS, r#"{"action":"","battery":100}"#).await;
    gateway.says(&house, "厨房/烟感", r#"{"smoke":true,"battery":90}"#).await;
    settled(&house, &gateway, &admin).await;
    until_open(&admin, &each_once).await;
    // A second press, the same to a byte, is one; so is smoke that went and came.
    gateway.says(&house, SOS, PRESS).await;
    gateway.says(&house, "厨房/烟感", r#"{"smoke":false,"battery":91}"#).await;
    gateway.says(&house, "厨房/烟感", r#"{"smoke":true,"battery":91}"#).await;
    let each_again = [("fall", 1), ("gas", 1), ("leak", 1), ("smoke", 2), ("sos", 2)];
    until_open(&admin, &each_again).await;
    // A test, and a press that nobody set to be a call.
    gateway.says(&house, "卫生间/水浸", r#"{"water_leak":false}"#).await;
    gateway.says(&house, "卫生间/水浸", r#"{"water_leak":true,"test":true}"#).await;
    gateway.says(&house, "床头/无线按键", r#"{"action":"single"}"#).await;
    settled(&house, &gateway, &admin).await;
    until_open(&admin, &each_again).await;
    let button = id_of(&admin, DEVICES[6].0).await;
    admin.post(&format!("/api/v1/devices/{button}/call-actions"), json!({ "actions": ["single"] })).await;
    house.pass_seconds(10);
    gateway.says(&house, "床头/无线按键", r#"{"action":"single"}"#).await;
    let with_button = [("fall", 1), ("gas", 1), ("leak", 1), ("smoke", 2), ("sos", 1), ("sos", 2)];
    until_open(&admin, &with_button).await;
    // Whether a device is there is said in two ways.
    let radar = id_of(&admin, DEVICES[4].0).await;
    for (payload, online) in [("offline", false), (r#"{"state":"online"}"#, true), (r#"{"state":"offline"}"#, false)] {
        gateway.says(&house, "卫生间/跌倒雷达/availability", payload).await;
        let path = format!("/api/v1/devices/{radar}");
        eventually_true("the radar's state", SOON, || async { admin.get(&path).await["online"] == online }).await;
    }
    house.close().await;
}

/// Answers and closes everything that is open.
async fn close_all(house: &House) {
    let carer = house.api("carer").await;
    for incident in carer.open_incidents().await {
        let path = format!("/api/v1/incidents/{}", text(&incident, "id"));
        carer.post(&format!("{path}/acknowledge"), json!({})).await;
        let closing = json!({ "outcome": "real", "note": "已到场处理", "follow_up_kind": "none" });
        carer.post(&format!("{path}/resolve"), closing).await;
    }
}

async fn kept(mut house: House) {
    let admin = house.api("admin").await;
    let gateway = street(&house, &admin).await;
    let retained =
        [(SOS, PRESS), ("厨房/烟感", r#"{"smoke":true}"#), ("卫生间/跌倒雷达", r#"{"fall_status":"fall_alarm"}"#)];
    for (name, payload) in retained {
        gateway.says_with(&house, name, payload, &["-r"]).await;
    }
    until_open(&admin, &[("fall", 1), ("smoke", 1), ("sos", 1)]).await;
    close_all(&house).await;
    // The smoke is over, and its topic kept by the broker as it was: that copy is an old one.
    gateway.says(&house, "厨房/烟感", r#"{"smoke":false}"#).await;
    for step in ["Songhe", "the broker", "both"] {
        house.clock.advance(std::time::Duration::from_secs(600));
        let log = house.wiring.external().log().matches("Sending PUBLISH to songhe-1-gateways").count();
        if step != "the broker" {
            house.close().await;
        }
        if step != "Songhe" {
            house.wiring.external().restart();
        }
        if step == "the broker" {
            house.linked_again().await;
        } else {
            house.open().await;
        }
        // All of them came again, the inventory beside them.
        let broker = &house.wiring;
        eventually_true("the broker's copies", SOON, || async {
            let Wiring::External(broker) = broker else { unreachable!() };
            broker.log().matches("Sending PUBLISH to songhe-1-gateways").count() > log + retained.len()
        })
        .await;
        let admin = house.api("admin").await;
        settled(&house, &gateway, &admin).await;
        until_open(&admin, &[]).await;
    }
    // What was kept while nobody listened, and is not known, pages.
    house.close().await;
    gateway.says_with(&house, "卫生间/水浸", r#"{"water_leak":true}"#, &["-r"]).await;
    house.open().await;
    let admin = house.api("admin").await;
    until_open(&admin, &[("leak", 1)]).await;
    // And a real press after all that is a press.
    gateway.says(&house, SOS, PRESS).await;
    until_open(&admin, &[("leak", 1), ("sos", 1)]).await;
    house.close().await;
}

async fn repeated(mut house: House) {
    let admin = house.api("admin").await;
    let gateway = street(&house, &admin).await;
    gateway.says(&house, "厨房/烟感", r#"{"smoke":true,"linkquality":7}"#).await;
    gateway.says(&house, "厨房/燃气", r#"{"gas":true,"last_seen":"2026-11-22T03:59:00.000Z"}"#).await;
    until_open(&admin, &[("gas", 1), ("smoke", 1)]).await;
    close_all(&house).await;
    for _ in 0..2 {
        house.close().await;
        house.clock.advance(std::time::Duration::from_secs(600));
        house.open().await;
        let admin = house.api("admin").await;
        gateway.says(&house, "bridge/state", r#"{"state":"online"}"#).await;
        gateway.says(&house, "bridge/devices", &inventory(&[])).await;
        gateway.says(&house, "厨房/烟感", r#"{"smoke":true,"linkquality":7}"#).await;
        gateway.says(&house, "厨房/烟感", r#"{"smoke":true,"linkquality":8}"#).await;
        gateway.says(&house, "厨房/燃气", r#"{"gas":true,"last_seen":"2026-11-22T03:59:00.000Z"}"#).await;
        settled(&house, &gateway, &admin).await;
        until_open(&admin, &[]).await;
    }
    house.close().await;
}

async fn renamed(mut house: House) {
    let admin = house.api("admin").await;
    let gateway = street(&house, &admin).await;
    gateway.says(&house, SOS, PRESS).await;
    until_open(&admin, &[("sos", 1)]).await;
    let first = admin.open_incidents().await[0].clone();
    let device = id_of(&admin, DEVICES[0].0).await;
    house.pass_seconds(120);
    // It calls under its new name before its gateway has told that name.
    gateway.says(&house, "老人床头", PRESS).await;
    eventually_true("a stranger", SOON, || async {
        let kept = admin.get("/api/v1/quarantine").await["items"].as_array().unwrap().clone();
        kept.iter().any(|message| message["topic"] == "zigbee2mqtt/老人床头" && message["serial"] == "GW-1")
    })
    .await;
    house.pass_seconds(120);
    gateway.says_with(&house, "bridge/devices", &inventory(&[(SOS, "老人床头")]), &["-r"]).await;
    until_open(&admin, &[("sos", 2)]).await;
    // It is taken away after it was acted on: a kill between the two acts on it again, which changes nothing.
    eventually_true("acted on, and no longer in quarantine", SOON, || async {
        let kept = admin.get("/api/v1/quarantine").await["items"].as_array().unwrap().clone();
        kept.iter().all(|message| message["topic"] != "zigbee2mqtt/老人床头")
    })
    .await;
    // A new start knows the names of before.
    house.close().await;
    house.clock.advance(std::time::Duration::from_secs(60));
    house.open().await;
    let admin = house.api("admin").await;
    gateway.says(&house, "老人床头", PRESS).await;
    until_open(&admin, &[("sos", 3)]).await;
    assert_eq!(admin.open_incidents().await[0]["id"], first["id"], "another incident");
    assert_eq!(id_of(&admin, DEVICES[0].0).await, device);
    let seen = admin.get(&format!("/api/v1/observations?device={device}&kind=sos")).await;
    assert_eq!(seen["items"].as_array().unwrap().len(), 3, "{seen:#}");
    let ties = admin.get(&format!("/api/v1/devices/{device}/gateway")).await;
    assert_eq!((text(&ties, "name"), text(&ties, "model")), ("老人床头", "TS0215A_sos"));
    house.close().await;
}
