#![allow(clippy::unwrap_used, clippy::expect_used)]
//! What Zigbee2MQTT says, as tables, and generated messages. Payloads have the form of its own documentation.

use chrono::{DateTime, TimeZone, Utc};
use proptest::prelude::*;
use songhe_adapter_core::*;
use songhe_adapter_zigbee2mqtt::{MAX_PAYLOAD, Zigbee2Mqtt};

const BUTTON: &str = "0x00158d0001e5c3a2";
const SENSOR: &str = "0xa4c1380f54b5e2d1";

fn received() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 5, 1, 0, 1, 0).unwrap()
}

fn key(text: &str) -> DeviceKey {
    DeviceKey::new(text).unwrap()
}

/// A gateway that knows a button in the hall and a sensor whose name has slashes in it.
fn directory() -> Directory {
    let mut gateway = Gateway::new(key("GW-1"), "zigbee2mqtt");
    gateway.name("hall", key(BUTTON));
    gateway.name("二楼/厨房/烟感", key(SENSOR));
    gateway.call_on(key(BUTTON), "single");
    gateway.call_on(key(BUTTON), "hold_left");
    let mut directory = Directory::default();
    directory.add(gateway);
    directory
}

fn decode_at(topic: &str, payload: &[u8], retained: bool) -> Result<Decoded, DecodeError> {
    Zigbee2Mqtt.decode(Inbound { topic, payload, retained, received_at: received() }, &directory())
}

fn hall(payload: &str) -> Decoded {
    decode_at("zigbee2mqtt/hall", payload.as_bytes(), false).unwrap()
}

/// `kind+` for what is so, `kind-` for what is not, `!kind` for what happened.
fn told(decoded: &Decoded) -> Vec<String> {
    let one = |item: &Item| match item {
        Item::Event { kind, active: true, .. } => Some(format!("!{}", kind.name())),
        Item::Condition { kind, active, .. } => Some(format!("{}{}", kind.name(), if *active { '+' } else { '-' })),
        _ => None,
    };
    decoded.items.iter().filter_map(one).collect()
}

fn readings(decoded: &Decoded) -> Vec<(&'static str, String)> {
    let one = |item: &Item| match item {
        Item::Reading(r) => Some((r.measure.name(), r.value.to_string())),
        _ => None,
    };
    decoded.items.iter().filter_map(one).collect()
}

#[test]
fn what_stands_how_is_a_condition() {
    for (payload, expected, emergency) in [
        (r#"{"smoke":true}"#, vec!["smoke+"], true),
        (r#"{"smoke":false,"battery_low":false,"tamper":true}"#, vec!["smoke-", "tamper+", "low_battery-"], false),
        (r#"{"gas":"ON"}"#, vec!["gas+"], true),
        (r#"{"gas":"OFF"}"#, vec!["gas-"], false),
        (r#"{"carbon_monoxide":true,"co":180}"#, vec!["co+"], true),
        (r#"{"water_leak":1}"#, vec!["leak+"], true),
        (r#"{"sos":true}"#, vec!["sos+"], true),
        (r#"{"contact":true}"#, vec!["door_open-"], false),
        (r#"{"contact":false}"#, vec!["door_open+"], false),
        (r#"{"contact":"OFF"}"#, vec!["door_open+"], false),
        (r#"{"occupancy":true}"#, vec!["presence+"], false),
        (r#"{"presence":false}"#, vec!["presence-"], false),
        (r#"{"presence":false,"occupancy":true}"#, vec!["presence+"], false),
        (r#"{"vibration":true}"#, vec!["vibration+"], false),
        (r#"{"fall_status":"fall_alarm"}"#, vec!["fall+"], true),
        (r#"{"fall_status":"normal"}"#, vec!["fall-"], false),
        (r#"{"fall_down_status":"fall"}"#, vec!["fall+"], true),
        (r#"{"fall_down_status":"maybe_fall"}"#, vec!["fall-"], false),
        (r#"{"status":"falling"}"#, vec!["fall+"], true),
        (r#"{"status":"normal"}"#, vec!["fall-"], false),
        (r#"{"status":"idle"}"#, vec![], false),
        (r#"{"smoke":null,"contact":null}"#, vec![], false),
        (r#"{"smoke":"maybe"}"#, vec![], false),
        // One condition, wherever it is so.
        (r#"{"contact_left":true,"contact_right":false}"#, vec!["door_open+"], false),
        (r#"{"water_leak_1":false,"water_leak_2":true}"#, vec!["leak+"], true),
        (r#"{"state_l1":"ON","state_l2":"OFF","brightness":7}"#, vec![], false),
    ] {
        let decoded = hall(payload);
        assert_eq!(told(&decoded), expected, "{payload}");
        assert_eq!(decoded.is_emergency(), emergency, "{payload}");
        assert_eq!(decoded.device.as_str(), BUTTON);
    }
    assert_eq!(hall(r#"{"smoke":"maybe"}"#).ignored[0].name, "smoke");
}

#[test]
fn a_press_is_an_event_and_a_call_if_it_is_meant_to_be_one() {
    for (payload, call) in [
        (r#"{"action":"emergency"}"#, true),
        (r#"{"action":"panic","linkquality":7}"#, true),
        (r#"{"action":"single"}"#, true),
        (r#"{"action":"double"}"#, false),
        (r#"{"action":""}"#, false),
        (r#"{"action":null}"#, false),
        (r#"{"action":7}"#, false),
        (r#"{"action_left":"single"}"#, true),
        (r#"{"action_left":"hold"}"#, true),
        (r#"{"action_right":"hold"}"#, false),
        (r#"{"action":"hold_left"}"#, true),
        (r#"{"action":"emergency","battery":"x","voltage":{},"last_seen":[]}"#, true),
    ] {
        let decoded = hall(payload);
        assert_eq!(told(&decoded) == ["!sos"], call, "{payload}: {decoded:?}");
        assert_eq!(decoded.is_emergency(), call, "{payload}");
    }
    assert_eq!(hall(r#"{"action":"double"}"#).ignored[0].reason, "\"double\" is not set to be a call");
    assert!(hall(r#"{"action":""}"#).ignored.is_empty());
    // Another device's setting is another's.
    let other = decode_at("zigbee2mqtt/二楼/厨房/烟感", br#"{"action":"single"}"#, false).unwrap();
    assert!(!other.is_emergency());
}

#[test]
fn a_test_alarms_nobody() {
    for payload in [
        r#"{"smoke":true,"test":true}"#,
        r#"{"test":true,"smoke":true,"tamper":true,"action":"emergency","sos":true,"fall_status":"fall_alarm"}"#,
        r#"{"test":"ON","gas":true}"#,
    ] {
        let decoded = hall(payload);
        assert_eq!(told(&decoded), ["test+"], "{payload}");
        assert!(!decoded.is_emergency());
        assert!(decoded.ignored.iter().all(|part| part.reason == "during a test") && !decoded.ignored.is_empty());
    }
    assert_eq!(told(&hall(r#"{"smoke":true,"test":false}"#)), ["test-", "smoke+"]);
}

#[test]
fn readings_have_their_units() {
    let decoded = hall(
        r#"{"battery":87,"voltage":2950,"temperature":21.37,"humidity":48.5,"illuminance":120,"co2":612,"pm25":9,
            "co":0,"linkquality":118,"device_temperature":30}"#,
    );
    let mut found = readings(&decoded);
    found.sort_unstable();
    let expected = [
        ("battery_percent", "87"),
        ("battery_voltage", "2950"),
        ("co2", "612"),
        ("co_ppm", "0"),
        ("humidity", "48.5"),
        ("illuminance", "120"),
        ("link_quality", "118"),
        ("pm25", "9"),
        ("room_temperature", "21.37"),
    ];
    assert_eq!(found, expected.map(|(name, value)| (name, value.to_owned())));
    // A socket's mains are no battery.
    assert_eq!(readings(&hall(r#"{"voltage":231,"state":"ON"}"#)), []);
    assert_eq!(readings(&hall(r#"{"temperature_1":20,"temperature_2":22}"#)).len(), 2);
    let wild = hall(r#"{"temperature":1e999999999,"humidity":"wet"}"#);
    assert!(matches!(&wild.items[..], [Item::Reading(r)] if r.quality == Quality::Implausible));
    assert_eq!(wild.ignored[0].name, "humidity");
}

#[test]
fn what_was_kept_is_history_and_last_seen_is_its_time() {
    for (seen, believed) in [
        (r#""2026-05-01T08:00:30+08:00""#, true),
        (r#""2026-05-01T00:00:30.123Z""#, true),
        ("1777593630000", true),
        (r#""2026-05-01 00:00:30""#, false),
        ("0", false),
        ("99999999999999999", false),
        ("null", false),
    ] {
        let decoded = hall(&format!(r#"{{"action":"emergency","last_seen":{seen}}}"#));
        assert_eq!(decoded.observed_at.is_some(), believed, "{seen}");
        assert!(decoded.is_emergency() && !decoded.historical && decoded.message_id.is_none());
    }
    assert!(decode_at("zigbee2mqtt/hall", br#"{"smoke":true}"#, true).unwrap().historical);
}

#[test]
fn names_are_the_longest_known() {
    let long = "zigbee2mqtt/二楼/厨房/烟感";
    let device = |topic: &str| Zigbee2Mqtt.device_of(topic, &directory()).map(|key| key.as_str().to_owned());
    assert_eq!(device(long).as_deref(), Some(SENSOR));
    assert_eq!(device(&format!("{long}/availability")).as_deref(), Some(SENSOR));
    assert_eq!(device("zigbee2mqtt/二楼/厨房").as_deref(), Some("GW-1"));
    assert_eq!(device("zigbee2mqtt/hall2").as_deref(), Some("GW-1"));
    assert_eq!(device("zigbee2mqtt2/hall"), None);
    let stranger = decode_at("zigbee2mqtt/attic", br#"{"action":"emergency"}"#, false).unwrap_err();
    assert_eq!(stranger, DecodeError::Stranger { gateway: Some(key("GW-1")), name: "attic".into() });
    let nobodys = decode_at("zigbee/GW-2/attic", br#"{"action":"emergency"}"#, false).unwrap_err();
    assert!(matches!(nobodys, DecodeError::Stranger { gateway: None, .. }));
    for (topic, is_topic) in [
        ("zigbee2mqtt/hall", true),
        ("zigbee/GW-2/hall", true),
        ("zigbee/GW-2", false),
        ("zigbee2mqtt", false),
        ("songhe/v1/hall/event", false),
    ] {
        assert_eq!(Zigbee2Mqtt.is_topic(topic), is_topic, "{topic}");
    }
    // A longer name is another device, although it begins alike.
    let mut gateway = Gateway::new(key("GW-1"), "zigbee2mqtt");
    gateway.name("hall", key(BUTTON));
    gateway.name("hall/availability", key(SENSOR));
    assert_eq!(gateway.longest_name("hall/availability"), Some((&key(SENSOR), "")));
    assert_eq!(gateway.longest_name("hall/set"), Some((&key(BUTTON), "set")));
}

#[test]
fn availability_has_two_forms() {
    for (payload, online) in
        [("online", true), ("offline", false), (r#"{"state":"online"}"#, true), (r#"{"state":"offline"}"#, false)]
    {
        for (topic, device) in [("zigbee2mqtt/hall/availability", BUTTON), ("zigbee2mqtt/bridge/state", "GW-1")] {
            let decoded = decode_at(topic, payload.as_bytes(), false).unwrap();
            assert_eq!(decoded.device.as_str(), device);
            assert!(matches!(&decoded.items[..], [Item::State(s)] if s.online == Some(online)), "{payload}");
        }
    }
    assert!(decode_at("zigbee2mqtt/hall/availability", b"asleep", false).is_err());
    let left = format!(r#"{{"type":"device_leave","data":{{"ieee_address":"{BUTTON}","friendly_name":"hall"}}}}"#);
    let left = decode_at("zigbee2mqtt/bridge/event", left.as_bytes(), false).unwrap();
    assert!(matches!(&left.items[..], [Item::State(s)] if s.online == Some(false)) && left.device.as_str() == BUTTON);
    let foreign = br#"{"type":"device_leave","data":{"ieee_address":"0x1111111111111111"}}"#;
    assert_eq!(decode_at("zigbee2mqtt/bridge/event", foreign, false), Err(DecodeError::Nothing));
}

#[test]
fn the_inventory_names_devices_and_costs_itself_what_is_broken() {
    let text = std::fs::read(format!("{}/fixtures/devices.json", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let decoded = decode_at("zigbee2mqtt/bridge/devices", &text, true).unwrap();
    assert_eq!(decoded.device.as_str(), "GW-1");
    let Item::Inventory(members) = &decoded.items[0] else { panic!("{decoded:?}") };
    let found: Vec<_> =
        members.iter().map(|m| (m.key.as_str(), m.name.as_str(), m.model.as_str(), m.vendor.as_str())).collect();
    assert_eq!(
        found,
        [
            (BUTTON, "卧室/呼叫按钮", "TS0215A_sos", "Tuya"),
            (SENSOR, "厨房烟感", "JTYJ-GD-01LM/BW", "Xiaomi"),
            ("0x54ef44100012ab34", "0x54ef44100012ab34", "lumi.unknown", "LUMI"),
        ]
    );
    assert_eq!(decoded.ignored.len(), 4, "{:?}", decoded.ignored);
    for bad in ["", "[]", "{}", "null", "[[[[", r#"[{"ieee_address":1}"#] {
        assert!(decode_at("zigbee2mqtt/bridge/devices", bad.as_bytes(), false).is_err(), "{bad}");
    }
}

#[test]
fn what_is_not_for_songhe_is_nothing() {
    for (topic, payload) in [
        ("zigbee2mqtt/bridge/logging", r#"{"level":"info"}"#),
        ("zigbee2mqtt/bridge/info", "{}"),
        ("zigbee2mqtt/hall/set", r#"{"state":"ON"}"#),
        ("zigbee2mqtt/hall/get", "{}"),
        ("zigbee2mqtt/hall/l1/set", "ON"),
        ("zigbee2mqtt/attic/set", "{}"),
        ("zigbee2mqtt/attic/availability", "online"),
        ("zigbee2mqtt/hall", ""),
        ("zigbee2mqtt/all-lamps", r#"{"state":"ON","brightness":7,"linkquality":9}"#),
        ("zigbee/GW-2/bridge/logging", "{}"),
    ] {
        let outcome = decode_at(topic, payload.as_bytes(), false);
        assert!(matches!(outcome, Err(DecodeError::Nothing | DecodeError::Own)), "{topic}: {outcome:?}");
    }
    // Where nothing is understood somebody has to know.
    for (topic, payload) in
        [("zigbee2mqtt/hall/smoke", "true"), ("zigbee2mqtt/hall", "true"), ("zigbee2mqtt/hall", "[]")]
    {
        let error = decode_at(topic, payload.as_bytes(), false).unwrap_err();
        assert!(matches!(error, DecodeError::Field { .. } | DecodeError::Malformed { .. }), "{topic}: {error}");
    }
    let large = format!(r#"{{"action":"emergency","x":"{}"}}"#, "x".repeat(MAX_PAYLOAD));
    assert!(matches!(decode_at("zigbee2mqtt/hall", large.as_bytes(), false), Err(DecodeError::TooLarge { .. })));
}

#[test]
fn commands_go_to_the_present_name() {
    for (device, action, topic, body) in [
        (BUTTON, Action::Lamp { on: true }, "hall", r#"{"state":"ON"}"#),
        (SENSOR, Action::Locate, "二楼/厨房/烟感", r#"{"identify":"identify"}"#),
        (
            SENSOR,
            Action::Set { key: "sensitivity".into(), value: "3".into() },
            "二楼/厨房/烟感",
            r#"{"sensitivity":3}"#,
        ),
        (SENSOR, Action::Set { key: "mode".into(), value: "low".into() }, "二楼/厨房/烟感", r#"{"mode":"low"}"#),
    ] {
        let out = Zigbee2Mqtt
            .encode(&key(device), &Command { id: "c".into(), action, valid_until: None }, &directory())
            .unwrap();
        assert_eq!(out.topic, format!("zigbee2mqtt/{topic}/set"));
        assert_eq!(String::from_utf8(out.payload).unwrap(), body);
    }
    let nobody = Command { id: "c".into(), action: Action::Locate, valid_until: None };
    assert_eq!(Zigbee2Mqtt.encode(&key("0x1111111111111111"), &nobody, &directory()), None);
}

#[test]
fn a_serial_tells_the_standing() {
    assert_eq!(Zigbee2Mqtt.standing(&key(BUTTON)), Standing::Member);
    assert_eq!(Zigbee2Mqtt.standing(&key("0x00158D0001E5C3A2")), Standing::Member);
    let base_topics = ["zigbee2mqtt".to_owned(), "zigbee/GW-1".to_owned()];
    assert_eq!(Zigbee2Mqtt.standing(&key("GW-1")), Standing::Gateway { base_topics });
    assert!(matches!(Zigbee2Mqtt.standing(&key("0x00158d0001e5c3a")), Standing::Gateway { .. }));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(topic in "(zigbee2mqtt|zigbee)?/?(hall|bridge|二楼/厨房/烟感|[a-z+#/]{0,12})(/(availability|devices|event|state|set|l1))?",
        payload in prop::collection::vec(any::<u8>(), 0..400), retained: bool) {
        let _ = decode_at(&topic, &payload, retained);
        let _ = Zigbee2Mqtt.is_topic(&topic);
    }

    #[test]
    fn almost_json_never_panics(topic in "zigbee2mqtt/(hall|bridge/(devices|event|state)|hall/availability)",
        payload in r#"[\[\{]{1,2}("(action|sos|smoke|test|battery|voltage|last_seen|contact_left|co|_1|ieee_address|friendly_name|type|state)":("[a-z0-9_-]{0,9}"|-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,12})?|null|true|\[\]|\{\}),?){0,5}[\]\}]{1,2}"#) {
        let _ = decode_at(&topic, payload.as_bytes(), false);
    }

    #[test]
    fn nothing_around_it_hides_a_call(fields in prop::collection::btree_map("[b-e][a-z_]{0,9}", r#"("[ -~&&[^"\\]]{0,9}"|-?[1-9][0-9]{0,19}|null|true|\[\]|\{\})"#, 0..6)) {
        let rest: String = fields.iter().filter(|(name, _)| *name != "test").map(|(name, value)| format!(r#","{name}":{value}"#)).collect();
        let decoded = hall(&format!(r#"{{"action":"emergency"{rest}}}"#));
        prop_assert!(decoded.is_emergency());
    }
}
