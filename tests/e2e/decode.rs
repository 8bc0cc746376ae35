//! `songhe decode`, as an installer uses it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::world::program;
use crate::zigbee::{SOS, inventory};

/// Exit code, standard output, standard error.
fn decode(arguments: &[&str], message: &[u8]) -> (i32, String, String) {
    let mut command = Command::new(program());
    command.arg("decode").args(arguments).env("LC_ALL", "en_US.UTF-8");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // A command that refuses its arguments does not read on.
    let _ = process.stdin.take().unwrap().write_all(message);
    let output = process.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn understood(arguments: &[&str], message: &[u8]) -> Value {
    let (code, out, said) = decode(arguments, message);
    assert_eq!((code, said.as_str()), (0, ""));
    serde_json::from_str(&out).unwrap()
}

#[test]
fn an_installer_sees_what_an_adapter_makes_of_a_message() {
    let sos = understood(
        &["--adapter", "songhe-mqtt", "--topic", "songhe/v1/SH-1/event"],
        br#"{"id":"1-1","event":"sos","detail":"cord"}"#,
    );
    assert_eq!((&sos["device"], &sos["message_id"], &sos["emergency"]), (&json!("SH-1"), &json!("1-1"), &json!(true)));
    assert_eq!(sos["items"], json!([{ "type": "event", "kind": "sos", "active": true, "detail": "cord" }]));

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), inventory(&[])).unwrap();
    let file = file.path().display().to_string();
    let topic = format!("zigbee2mqtt/{SOS}");
    let at = ["--adapter", "zigbee2mqtt", "--topic", &topic, "--inventory", &file];
    let call = understood(&at, br#"{"action":"emergency","temperature":21.5,"smoke":false,"x":1}"#);
    assert_eq!((&call["device"], &call["emergency"]), (&json!("0x00158d0001e5c301"), &json!(true)));
    assert_eq!(
        call["items"],
        json!([
            { "type": "event", "kind": "sos", "active": true, "detail": "emergency" },
            { "type": "condition", "kind": "smoke", "active": false, "detail": null },
            { "type": "reading", "kind": "room_temperature", "value": "21.5", "unit": "Cel", "quality": "good" },
        ])
    );
    let press = br#"{"action":"single"}"#;
    assert_eq!(understood(&at, press)["emergency"], false);
    assert_eq!(understood(&[&at[..], &["--calls", "double,single"]].concat(), press)["emergency"], true);
    assert_eq!(understood(&[&at[..], &["--retained"]].concat(), press)["historical"], true);
    let devices = ["--adapter", "zigbee2mqtt", "--topic", "zigbee/GW-2/bridge/devices"];
    let named = understood(&devices, inventory(&[]).as_bytes());
    assert_eq!((&named["device"], &named["items"][0]["devices"][1]["name"]), (&json!("GW-2"), &json!("厨房/烟感")));
}

#[test]
fn what_cannot_be_decoded_is_a_sentence() {
    let topic = format!("zigbee2mqtt/{SOS}");
    let nowhere = "/nowhere/devices.json";
    let cases: [(&[&str], &[u8], &str); 6] = [
        (&["--adapter", "zwave", "--topic", "x"], b"", "no adapter zwave"),
        (&["--adapter", "zigbee2mqtt", "--topic", "songhe/v1/x/event"], b"", "no topic of this adapter"),
        (&["--adapter", "zigbee2mqtt", "--topic", &topic], br#"{"action":"emergency"}"#, "--inventory"),
        (&["--adapter", "zigbee2mqtt", "--topic", &topic, "--inventory", nowhere], b"{}", nowhere),
        (&["--adapter", "songhe-mqtt", "--topic", "songhe/v1/x/event"], b"\xff\x00", "cannot use this message: "),
        (&["--adapter", "songhe-mqtt", "--topic", "songhe/v1/x/event"], b"{}", "event: missing"),
    ];
    for (arguments, message, wanted) in cases {
        let (code, out, said) = decode(arguments, message);
        assert_eq!((code, out.as_str()), (1, ""), "{arguments:?}");
        assert!(said.contains(wanted) && said.lines().count() == 1 && !said.contains("cli-"), "{arguments:?}: {said}");
    }
}
