#![allow(clippy::unwrap_used, clippy::expect_used)]
//! Good and bad messages as tables, the fixtures, and generated messages.

use chrono::{DateTime, TimeZone, Utc};
use proptest::prelude::*;
use songhe_adapter_core::*;
use songhe_adapter_mqtt::{MAX_PAYLOAD, MAX_READINGS, SongheMqtt, device};
use std::str::FromStr;

fn received() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 5, 1, 0, 1, 0).unwrap()
}

fn decode_from(channel: &str, payload: &[u8], retained: bool) -> Result<Decoded, DecodeError> {
    let topic = format!("songhe/v1/SH-0001/{channel}");
    SongheMqtt.decode(Inbound { topic: &topic, payload, retained, received_at: received() }, &Directory::default())
}

fn fixture(name: &str) -> Result<Decoded, DecodeError> {
    let path = format!("{}/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let channel = name.trim_start_matches("bad_").split('_').next().unwrap();
    let channel = if ["telemetry", "event", "state", "ack"].contains(&channel) { channel } else { "event" };
    decode_from(channel, &bytes, false)
}

fn ignored(decoded: &Decoded) -> Vec<&str> {
    decoded.ignored.iter().map(|i| i.name.as_str()).collect()
}

fn readings(decoded: &Decoded) -> Vec<(&'static str, i64, &'static str)> {
    let reading = |item: &Item| match item {
        Item::Reading(r) => Some((r.measure.name(), r.value_micro(), r.quality.name())),
        _ => None,
    };
    decoded.items.iter().filter_map(reading).collect()
}

#[test]
fn telemetry_is_exact_and_converted() {
    let decoded = fixture("telemetry_vitals").unwrap();
    assert_eq!(decoded.device.as_str(), "SH-0001");
    assert_eq!(decoded.message_id.as_deref(), Some("17-000042"));
    assert_eq!(decoded.observed_at, Some(Utc.with_ymd_and_hms(2026, 5, 1, 0, 0, 0).unwrap()));
    assert!(!decoded.historical && !decoded.is_emergency() && decoded.ignored.is_empty());
    assert_eq!(
        readings(&decoded),
        [
            ("heart_rate", 72_000_000, "good"),
            ("respiratory_rate", 16_500_000, "good"),
            ("body_temperature", 37_000_000, "good"),
            ("systolic_pressure", 124_000_000, "good"),
            ("diastolic_pressure", 78_006_448, "good"),
        ]
    );
}

#[test]
fn an_unknown_reading_costs_only_itself() {
    let decoded = fixture("telemetry_unknown_kind").unwrap();
    assert_eq!(readings(&decoded), [("humidity", 41_500_000, "good")]);
    assert_eq!(ignored(&decoded), ["mood", "heart_rate"]);
}

#[test]
fn back_filled_and_absent_values_are_marked() {
    let decoded = fixture("telemetry_historical").unwrap();
    assert!(decoded.historical);
    assert_eq!(readings(&decoded), [("heart_rate", 0, "no_reading"), ("oxygen_saturation", 0, "no_reading")]);
    let retained = decode_from("telemetry", br#"{"id":"1","readings":[{"kind":"co2","value":9,"unit":"ppm"}]}"#, true);
    assert!(retained.unwrap().historical);
}

#[test]
fn a_call_for_help_survives_everything_around_it() {
    for (name, id, notes) in [
        ("event_sos", Some("17-000045"), vec![]),
        ("event_sos_bare", None, vec!["id"]),
        ("event_sos_broken_neighbours", None, vec!["active", "detail", "id", "time", "historical"]),
    ] {
        let decoded = fixture(name).unwrap();
        assert!(decoded.is_emergency(), "{name}");
        assert_eq!(decoded.message_id.as_deref(), id, "{name}");
        assert_eq!(ignored(&decoded), notes, "{name}");
    }
    assert!(!fixture("event_smoke_over").unwrap().is_emergency());
}

#[test]
fn a_wrong_clock_is_noted_and_not_believed() {
    for (time, believed) in [
        ("2026-05-01T00:00:59Z", true),
        ("2026-05-01T00:05:59Z", true),
        ("2026-05-01T00:06:01Z", false),
        ("2024-02-29T23:59:59.999999+08:00", true),
        ("1970-01-01T00:00:00Z", false),
        ("2026-05-01T00:00:59", false),
        ("2026-05-01", false),
        ("", false),
    ] {
        let body = format!(r#"{{"id":"1","time":"{time}","event":"fall"}}"#);
        let decoded = decode_from("event", body.as_bytes(), false).unwrap();
        assert_eq!(decoded.observed_at.is_some(), believed, "{time}");
        assert_eq!(ignored(&decoded).is_empty(), believed, "{time}");
    }
}

#[test]
fn state_carries_facts_battery_and_signal() {
    let decoded = fixture("state_full").unwrap();
    let state = DeviceState {
        online: Some(true),
        firmware: Some("1.4.2".into()),
        hardware: Some("SH-B2".into()),
        report_seconds: Some(60),
    };
    assert_eq!(decoded.items[0], Item::State(state));
    assert_eq!(
        readings(&decoded),
        [
            ("battery_percent", 87_000_000, "good"),
            ("battery_voltage", 2_950_000_000, "good"),
            ("signal_dbm", -71_000_000, "good")
        ]
    );
    let will = fixture("state_will").unwrap();
    assert!(matches!(&will.items[0], Item::State(s) if s.online == Some(false)));
    let odd = decode_from("state", br#"{"id":"1","battery":7,"report_seconds":0,"signal_dbm":"x"}"#, false).unwrap();
    assert_eq!(ignored(&odd), ["report_seconds", "battery", "signal_dbm"]);
}

#[test]
fn answers_to_commands_have_their_own_dedupe_key() {
    let decoded = fixture("ack_done").unwrap();
    assert_eq!(decoded.message_id.as_deref(), Some("ack:cmd_01"));
    assert!(
        matches!(&decoded.items[0], Item::CommandResult { command_id, ok: true, detail: Some(_) } if command_id == "cmd_01")
    );
    assert!(decode_from("ack", br#"{"id":"cmd_01"}"#, false).is_err());
    assert!(decode_from("ack", br#"{"ok":true}"#, false).is_err());
}

#[test]
fn bad_messages_say_what_is_wrong() {
    for (name, part) in [
        ("bad_event_unknown", "event: unknown event \"earthquake\""),
        ("bad_not_json", "malformed at line 2"),
        ("bad_array", "not a JSON object"),
        ("bad_telemetry_without_id", "id: missing"),
        ("bad_telemetry_without_unit", "missing field `unit`"),
        ("bad_duplicate_field", "duplicate field `event`"),
    ] {
        let error = fixture(name).unwrap_err().to_string();
        assert!(error.contains(part), "{name}: {error}");
    }
    let long = "x".repeat(65);
    for (channel, payload, part) in [
        ("event", String::new(), "not a JSON object"),
        ("event", "null".into(), "not a JSON object"),
        ("event", r#"{"id":"1"}"#.into(), "event: missing"),
        ("event", r#"{"id":"1","event":7}"#.into(), "event: must be a text"),
        ("event", format!(r#"{{"id":"1","event":"{}"}}"#, "q".repeat(9000)), "unknown event"),
        ("telemetry", r#"{"id":"1"}"#.into(), "readings: missing"),
        ("telemetry", r#"{"id":"1","readings":[]}"#.into(), "0 entries"),
        ("telemetry", r#"{"id":"1","readings":{}}"#.into(), "readings: "),
        (
            "telemetry",
            format!(r#"{{"id":"{long}","readings":[{{"kind":"co2","value":1,"unit":"ppm"}}]}}"#),
            "id: must be",
        ),
        ("telemetry", r#"{"id":"a b","readings":[{"kind":"co2","value":1,"unit":"ppm"}]}"#.into(), "id: must be"),
        ("state", "{}".into(), "id: missing"),
    ] {
        let error = decode_from(channel, payload.as_bytes(), false).unwrap_err().to_string();
        assert!(error.contains(part), "{payload:.60}: {error}");
        assert!(error.len() < 250, "{error}");
    }
}

#[test]
fn limits_hold() {
    let reading = r#"{"kind":"co2","value":1,"unit":"ppm"}"#;
    let many = |n: usize| format!(r#"{{"id":"1","readings":[{}]}}"#, vec![reading; n].join(","));
    assert_eq!(decode_from("telemetry", many(MAX_READINGS).as_bytes(), false).unwrap().items.len(), MAX_READINGS);
    assert!(decode_from("telemetry", many(MAX_READINGS + 1).as_bytes(), false).is_err());
    let mut large = br#"{"id":"1","event":"sos"}"#.to_vec();
    large.resize(MAX_PAYLOAD, b' ');
    assert!(decode_from("event", &large, false).is_ok());
    large.push(b' ');
    assert!(matches!(decode_from("event", &large, false), Err(DecodeError::TooLarge { .. })));
    let deep = format!(r#"{{"id":"1","event":"sos","x":{}{}}}"#, "[".repeat(8000), "]".repeat(8000));
    let _ = decode_from("event", deep.as_bytes(), false);
    assert!(matches!(decode_from("event", b"{\"id\":\"\xff\"}", false), Err(DecodeError::Malformed { .. })));
}

#[test]
fn numbers_never_pass_through_floating_point() {
    for (number, micro) in [
        ("0.1", Some(100_000)),
        ("0.1000000000000000055511151231257827021181583404541015625", Some(100_000)),
        ("1e2", Some(100_000_000)),
        ("1.5E-3", Some(1_500)),
        ("-0", Some(0)),
        ("36.599998474121094", Some(36_599_998)),
        ("9007199254.740993", Some(9_007_199_254_740_993)),
        ("1e-400", Some(0)),
        ("\"7\"", None),
        ("true", None),
        ("[7]", None),
    ] {
        let body = format!(r#"{{"id":"1","readings":[{{"kind":"illuminance","value":{number},"unit":"lx"}}]}}"#);
        let decoded = decode_from("telemetry", body.as_bytes(), false).unwrap();
        assert_eq!(readings(&decoded).first().map(|r| r.1), micro, "{number}");
        assert_eq!(decoded.ignored.len(), usize::from(micro.is_none()), "{number}");
    }
}

#[test]
fn a_number_that_cannot_be_stored_is_kept_as_implausible() {
    let nines = "9".repeat(80);
    for number in ["1e999999999", "1e30", "-1e30", "9300000000000", "-99999999999999", &nines] {
        let body = format!(r#"{{"id":"1","readings":[{{"kind":"illuminance","value":{number},"unit":"lx"}}]}}"#);
        let decoded = decode_from("telemetry", body.as_bytes(), false).unwrap();
        let Item::Reading(reading) = &decoded.items[0] else { panic!("{number}: {decoded:?}") };
        assert_eq!(reading.quality, Quality::Implausible, "{number}");
        assert_eq!(reading.value_micro().signum(), if number.starts_with('-') { -1 } else { 1 }, "{number}");
        assert_eq!(reading.raw_value.as_deref(), number.get(..64).or(Some(number)), "{number}");
        assert!(decoded.ignored.is_empty(), "{decoded:?}");
    }
}

#[test]
fn topics_are_exact() {
    for topic in ["songhe/v1/SH/telemetry", "songhe/v1/a.b:c-d_e/event"] {
        assert!(SongheMqtt.is_topic(topic) && SongheMqtt.device_of(topic, &Directory::default()).is_some(), "{topic}");
    }
    for topic in [
        "",
        "songhe/v1/SH",
        "songhe/v1//event",
        "songhe/v2/SH/event",
        "songhe/v1/SH/event/x",
        "songhe/v1/S+/event",
        "/songhe/v1/SH/event",
        "songhe/v1/SH/EVENT",
    ] {
        assert!(!SongheMqtt.is_topic(topic) && SongheMqtt.device_of(topic, &Directory::default()).is_none(), "{topic}");
    }
    assert_eq!(decode_from("command", br#"{"id":"1","command":"locate"}"#, false), Err(DecodeError::Topic));
}

#[test]
fn commands_and_acknowledgements_are_understood_by_devices() {
    let key = DeviceKey::new("SH-0001").unwrap();
    for action in [
        Action::Lamp { on: true },
        Action::Siren { on: true, seconds: 30 },
        Action::Locate,
        Action::Set { key: "volume".into(), value: "\"5\"".into() },
    ] {
        let command = Command { id: "cmd_7".into(), action, valid_until: None };
        let out = SongheMqtt.encode(&key, &command, &Directory::default()).unwrap();
        assert_eq!(out.topic, "songhe/v1/SH-0001/command");
        assert_eq!(device::parse_command(&out.payload), Some(command));
    }
    let ack = SongheMqtt.acknowledge(&key, "17-000042").unwrap();
    assert_eq!(ack.topic, "songhe/v1/SH-0001/ack");
    assert_eq!(device::parse_acknowledgement(&ack.payload).as_deref(), Some("17-000042"));
    assert_eq!(device::parse_acknowledgement(&device::command_result(&key, "c", true).payload), None);
}

fn decode_out(out: &Outbound) -> Decoded {
    SongheMqtt
        .decode(
            Inbound { topic: &out.topic, payload: &out.payload, retained: false, received_at: received() },
            &Directory::default(),
        )
        .unwrap()
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(topic in "(songhe/v1/)?[a-z+#/]{0,12}/(event|telemetry|state|ack|command)", payload in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = SongheMqtt.decode(Inbound { topic: &topic, payload: &payload, retained: false, received_at: received() }, &Directory::default());
    }

    #[test]
    fn almost_json_never_panics(channel in "event|telemetry|state|ack", payload in r#"\{("(id|time|event|readings|battery|value)":("[a-z0-9-]{0,5}"|-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,12})?|null|\[\{"kind":"co2","value":-?[0-9]{1,30}e[0-9]{1,9},"unit":"ppm"\}\]|\{\}),?){0,4}\}"#) {
        let _ = decode_from(&channel, payload.as_bytes(), false);
    }

    #[test]
    fn generated_telemetry_round_trips(serial in "[A-Za-z0-9._:-]{1,64}", id in "[!-~]{1,64}", ago in 0i64..100_000_000, historical: bool,
        values in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(-4_000_000_000_000_000i64..4_000_000_000_000_000)), 1..=MAX_READINGS)) {
        let key = DeviceKey::new(&serial).unwrap();
        let time = received() - chrono::TimeDelta::microseconds(ago * 1_000_001);
        let list: Vec<_> = values.iter().map(|(i, v)| (*i.get(Measure::ALL), v.map(|v| Decimal::new(v, 6)))).collect();
        let out = device::telemetry(&key, &device::Stamp { id: &id, time, historical }, &list);
        prop_assume!(out.payload.len() <= MAX_PAYLOAD);
        let decoded = decode_out(&out);
        prop_assert_eq!(&decoded.device, &key);
        prop_assert_eq!(decoded.message_id.as_deref(), Some(id.as_str()));
        prop_assert_eq!(decoded.historical, historical);
        prop_assert_eq!(decoded.observed_at, Some(time));
        let got: Vec<_> = readings(&decoded).into_iter().map(|(name, micro, _)| (name, micro)).collect();
        let want: Vec<_> = list.iter().map(|(m, v)| (m.name(), v.map_or(0, |v| (v * Decimal::from_str("1000000").unwrap()).try_into().unwrap()))).collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn generated_events_round_trip(index in 0usize..EventKind::ALL.len(), active: bool, detail in prop::option::of("\\PC{1,200}")) {
        let kind = EventKind::ALL[index];
        let key = DeviceKey::new("SH-1").unwrap();
        let stamp = device::Stamp { id: "1-1", time: received(), historical: false };
        let decoded = decode_out(&device::event(&key, &stamp, kind, active, detail.as_deref()));
        prop_assert_eq!(decoded.is_emergency(), active && kind.is_emergency());
        prop_assert_eq!(&decoded.items, &vec![Item::Event { kind, active, detail }]);
    }

    #[test]
    fn generated_states_round_trip(online: Option<bool>, firmware in prop::option::of("[ -~]{1,64}"), hardware in prop::option::of("[ -~]{1,64}"), report_seconds in prop::option::of(1u32..=604_800)) {
        let key = DeviceKey::new("SH-1").unwrap();
        let stamp = device::Stamp { id: "1-1", time: received(), historical: false };
        let state = DeviceState { online, firmware, hardware, report_seconds };
        let decoded = decode_out(&device::state(&key, &stamp, &state));
        prop_assert_eq!(&decoded.items, &vec![Item::State(state)]);
    }
}
