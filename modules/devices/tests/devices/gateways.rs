//! Gateways and the devices behind them: adopted by page, kept apart by facility; what is news of messages without ids.

use std::time::Duration;

use crate::common::{Street, adapters, street};
use crate::screens::Desk;
use serde_json::json;
use songhe_devices::{Accepted, DeviceId, Message, NewDevice, gateways};
use songhe_kernel::FacilityId;
use songhe_testkit::{MIGRATED, TestDb, both_databases};

const BUTTON: &str = "0x00158d0001e5c3a2";

fn inventory(address: &str) -> String {
    let known = json!({ "model": "WXKG11LM", "vendor": "Aqara" });
    json!([{ "ieee_address": address, "friendly_name": "床头/按键", "definition": known }]).to_string()
}

fn said(path: &str, payload: &str, retained: bool) -> Message {
    Message { source: "test", topic: format!("zigbee2mqtt/{path}"), payload: payload.as_bytes().to_vec(), retained }
}

async fn register(street: &Street, facility: FacilityId, serial: &str) -> songhe_kernel::Result<DeviceId> {
    let new = NewDevice {
        facility,
        serial: serial.to_owned(),
        class: "3.1".to_owned(),
        adapter: "zigbee2mqtt".to_owned(),
        name: "按键".to_owned(),
        place: None,
        resident: None,
    };
    street.db.write(move |tx| gateways::register(tx, &new, &adapters(), None)).await
}

both_databases! {
    from MIGRATED;

    async fn a_device_behind_a_gateway_is_adopted_from_quarantine(test: TestDb) {
        let desk = Desk::open(&test).await;
        let admin = desk.token("admin").await;
        let facility = desk.street.here.facility.to_string();
        let gateway = [("facility", facility.as_str()), ("serial", "GW-1"), ("class", "5"), ("adapter", "zigbee2mqtt"), ("name", "网关")];
        let shown = desk.form(&admin, "/devices", &gateway).await;
        assert_eq!(shown.status, 200);
        assert!(shown.body.contains(r#"<dd class="mono">zigbee2mqtt</dd>"#), "its base topic: {}", shown.body);
        desk.street.ingest.accept(said("bridge/devices", &inventory(BUTTON), true)).await.unwrap();
        let page = desk.page(&admin, "/quarantine").await.body;
        assert!(page.contains("Aqara WXKG11LM") && page.contains("床头/按键"), "{page}");
        let link = page.split("/devices/new?").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
        let form = desk.page(&admin, &format!("/devices/new?{}", link.replace("&#x3D;", "="))).await.body;
        assert!(form.contains(&format!("value=\"{BUTTON}\"")) && form.contains("value=\"床头/按键\""), "{form}");
        assert!(form.contains(r#"<option value="zigbee2mqtt" selected"#), "{form}");
        let button = [("facility", facility.as_str()), ("serial", BUTTON), ("class", "3.1"), ("adapter", "zigbee2mqtt"), ("name", "床头按键")];
        let made = desk.form(&admin, "/devices", &button).await;
        assert_eq!(made.status, 303, "it needs no credential");
        assert!(!desk.page(&admin, "/quarantine").await.body.contains(BUTTON), "nothing is left to do about it");
        let path = made.location;
        let page = desk.page(&admin, &path).await.body;
        assert!(page.contains("网关内名称") && page.contains("按键呼叫") && !page.contains("生成新凭据"), "{page}");
        assert_eq!(desk.form(&admin, &format!("{path}/call-actions"), &[("actions", "single，double hold")]).await.status, 303);
        assert!(desk.page(&admin, &path).await.body.contains(r#"value="double hold single""#));
        let refused = desk.form(&admin, &format!("{path}/call-actions"), &[("actions", "a/b")]).await;
        assert_eq!(refused.status, 422);
        assert!(refused.body.contains("请用空格分隔动作名称") && refused.body.contains(r#"value="a/b""#), "{}", refused.body);
        assert_eq!(desk.form(&admin, &format!("{path}/credential"), &[]).await.status, 422);
        assert_eq!(desk.street.ingest.accept(said("床头/按键", r#"{"action":"hold"}"#, false)).await.unwrap(), Accepted::Stored);
        assert_eq!(desk.street.incidents().await.len(), 1);
    }

    async fn what_is_behind_a_gateway_elsewhere_is_not_seen_and_not_taken(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (here, there) = (desk.street.here.facility, desk.street.elsewhere.facility);
        register(&desk.street, there, "GW-1").await.unwrap();
        desk.street.ingest.accept(said("bridge/devices", &inventory(BUTTON), false)).await.unwrap();
        assert_eq!(desk.street.quarantined().await.len(), 1);
        let admin = desk.token("admin").await;
        assert!(!desk.page(&admin, "/quarantine").await.body.contains(BUTTON));
        assert_eq!(desk.get(&admin, "/api/v1/quarantine").await.1["items"], json!([]));
        assert!(register(&desk.street, here, BUTTON).await.is_err(), "another house's device was taken");
        let device = register(&desk.street, there, BUTTON).await.unwrap();
        let (status, _) = desk.get(&admin, &format!("/api/v1/devices/{device}/gateway")).await;
        let (refused, _) = desk.post(&admin, &format!("/api/v1/devices/{device}/call-actions"), json!({ "actions": [] })).await;
        assert_eq!((status, refused), (404, 404));
    }

    async fn what_a_broker_kept_does_not_hide_what_comes_alive(test: TestDb) {
        let street = street(&test).await;
        register(&street, street.here.facility, "GW-1").await.unwrap();
        street.ingest.accept(said("bridge/devices", &inventory(BUTTON), true)).await.unwrap();
        register(&street, street.here.facility, BUTTON).await.unwrap();
        let tamper = r#"{"tamper":true,"contact":false}"#;
        for (retained, incidents) in [(true, 0), (false, 1), (false, 1), (true, 1)] {
            street.ingest.accept(said("床头/按键", tamper, retained)).await.unwrap();
            assert_eq!(street.incidents().await.len(), incidents, "kept: {retained}");
            street.clock.advance(Duration::from_secs(60));
        }
        let kinds: Vec<String> = street.observations().await.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, ["door_open", "tamper"], "each change once");
        // Kept before the smoke was over, and delivered after: known, and old.
        for (payload, retained) in [
            (r#"{"smoke":true}"#, false), (r#"{"smoke":false}"#, false), (r#"{"smoke":true}"#, true),
            (r#"{"smoke":true}"#, true),
        ] {
            street.ingest.accept(said("床头/按键", payload, retained)).await.unwrap();
            street.clock.advance(Duration::from_secs(60));
        }
        let smoke = street.incidents().await.into_iter().find(|incident| incident.kind == "smoke").unwrap();
        assert_eq!(smoke.presses, 1);
        street.ingest.accept(said("床头/按键", r#"{"smoke":true}"#, false)).await.unwrap();
        let smoke = street.incidents().await.into_iter().find(|incident| incident.kind == "smoke").unwrap();
        assert_eq!(smoke.presses, 2, "a fire of its own");
    }

    async fn the_same_bytes_minutes_later_are_a_second_press(test: TestDb) {
        let street = street(&test).await;
        let bare = |retained| Message {
            source: "test",
            topic: "songhe/v1/SH-1/event".into(),
            payload: br#"{"event":"sos"}"#.to_vec(),
            retained,
        };
        for (after_s, retained, accepted, presses) in [
            (0, false, Accepted::Stored, 1),
            (4, false, Accepted::Duplicate, 1),
            (120, false, Accepted::Stored, 2),
            (600, true, Accepted::Duplicate, 2),
            (86_400, true, Accepted::Duplicate, 2),
            (120, false, Accepted::Stored, 3),
        ] {
            street.clock.advance(Duration::from_secs(after_s));
            assert_eq!(street.ingest.accept(bare(retained)).await.unwrap(), accepted, "after {after_s} s");
            assert_eq!(street.incidents().await[0].presses, presses, "after {after_s} s");
        }
        // By a topic of another protocol than the one it is registered with nobody speaks for a device.
        register(&street, street.here.facility, "GW-1").await.unwrap();
        let foreign = Message { topic: "songhe/v1/GW-1/event".into(), ..bare(false) };
        assert_eq!(street.ingest.accept(foreign).await.unwrap(), Accepted::Quarantined);
    }
}
