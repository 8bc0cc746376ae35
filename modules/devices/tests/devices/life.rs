//! A device's life after it was registered: tests, credentials that overlap, loans, the end; commands and their answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::adapters;
use crate::screens::Desk;
use serde_json::{Value, json};
use songhe_adapter_core::{EventKind, Measure};
use songhe_adapter_mqtt::device::{command_result, parse_command};
use songhe_devices::lifecycle::{self, Status};
use songhe_devices::outlet::{Carried, Outlet, Way};
use songhe_devices::{Accepted, Devices, Message, register};
use songhe_kernel::Modules;
use songhe_kernel::effects::Sent;
use songhe_kernel::runtime::Runtime;
use songhe_testkit::{MIGRATED, TestDb, both_databases, eventually, eventually_true};

const SOON: Duration = Duration::from_secs(20);

/// What was carried: account, topic, payload.
type Carriage = (String, String, Vec<u8>);

/// A broker that notes what it is given, or has no connection.
#[derive(Default)]
struct Notes {
    carried: Mutex<Vec<Carriage>>,
    away: Mutex<bool>,
}

struct Broker(Arc<Notes>);

impl Way for Broker {
    fn carry(&self, account: String, topic: String, payload: Vec<u8>) -> Carried {
        let notes = self.0.clone();
        Box::pin(async move {
            if *notes.away.lock().unwrap() {
                return Sent::TryAgain("not connected".into());
            }
            notes.carried.lock().unwrap().push((account, topic, payload));
            Sent::Delivered
        })
    }
}

/// The server's loops with a broker that takes notes.
async fn run(desk: &Desk) -> (Runtime, Arc<Notes>) {
    let (notes, outlet) = (Arc::new(Notes::default()), Outlet::default());
    outlet.open(Arc::new(Broker(notes.clone())));
    let module = Devices::new(adapters(), "mqtt://songhe.example:1883").with_outlet(outlet);
    (Runtime::start(&desk.street.opened, Modules::new(vec![Arc::new(module)])).await.unwrap(), notes)
}

async fn command(desk: &Desk, token: &str, path: &str, state: &str) -> Value {
    eventually("the command's state", SOON, || async {
        let newest = desk.get(token, path).await.1["items"][0].clone();
        (newest["state"] == state).then_some(newest)
    })
    .await
}

both_databases! {
    from MIGRATED;

    async fn a_test_takes_the_next_press_and_the_one_after_it_is_a_call(test: TestDb) {
        let desk = Desk::open(&test).await;
        let street = &desk.street;
        let (cord, admin, carer) = (street.here.cord, desk.token("admin").await, desk.token("carer").await);
        let order = |seconds: i64| json!({
            "devices": [cord], "kind": "commissioning", "expects": "alarm", "window_seconds": seconds
        });
        let path = format!("/api/v1/device-tests/history?device={cord}");
        assert_eq!(desk.post(&admin, "/api/v1/device-tests", order(0)).await.0, 422);
        assert_eq!(desk.post(&carer, "/api/v1/device-tests", order(300)).await.0, 403, "who may test may not commission");
        let (status, tests) = desk.post(&admin, "/api/v1/device-tests", order(300)).await;
        assert_eq!((status, &tests["items"][0]["state"]), (201, &json!("waiting")), "{tests}");
        // What was pressed before somebody started the test, and what is no alarm, is no part of it.
        street.accept(street.told("SH-1", "1", EventKind::Sos, true, 120)).await;
        assert_eq!(street.incidents().await.len(), 1, "a call that waited in the device");
        street.clock.advance(Duration::from_secs(12));
        street.accept(street.reading("SH-1", "2", Measure::RoomTemperature, "21")).await;
        assert_eq!(desk.get(&admin, &path).await.1["items"][0]["state"], "waiting");
        assert_eq!(desk.get(&admin, &format!("/api/v1/devices/{cord}/life")).await.1["commissioned_at"], Value::Null);
        street.accept(street.told("SH-1", "3", EventKind::Sos, true, 2)).await;
        let test = desk.get(&admin, &path).await.1["items"][0].clone();
        assert_eq!((&test["state"], &test["told"]), (&json!("passed"), &json!("sos")));
        assert_eq!((&test["took_ms"], &test["stored_ms"]), (&json!(12_000), &json!(2_000)));
        assert!(desk.get(&admin, &format!("/api/v1/devices/{cord}/life")).await.1["commissioned_at"].is_string());
        assert_eq!(street.incidents().await[0].presses, 1, "it paged nobody");
        assert_eq!(street.accept(street.told("SH-1", "3", EventKind::Sos, true, 2)).await, Accepted::Duplicate);
        street.accept(street.sos("SH-1", "4")).await;
        assert_eq!(street.incidents().await[0].presses, 2, "a call like any other");
        let page = desk.page(&admin, &format!("/devices/{cord}")).await.body;
        assert!(page.contains("通过") && page.contains("12.0 秒") && page.contains("调试"), "{page}");
    }

    async fn when_its_time_is_over_a_press_is_a_call(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (cord, admin) = (desk.street.here.cord, desk.token("admin").await);
        let path = format!("/devices/{cord}/tests");
        let refused = desk.form(&admin, &path, &[("minutes", "31"), ("wants", "any")]).await;
        let kept = refused.body.contains("name=\"minutes\" type=\"number\" value=\"31\"");
        assert!(refused.status == 422 && refused.body.contains("请填写 1 到 30 之间的整数") && kept, "{}", refused.body);
        assert_eq!(desk.form(&admin, &path, &[("minutes", "2"), ("wants", "alarm")]).await.status, 303);
        let (running, _) = run(&desk).await;
        desk.street.clock.advance(Duration::from_secs(121));
        desk.street.accept(desk.street.sos("SH-1", "1")).await;
        assert_eq!(desk.street.incidents().await.len(), 1);
        desk.street.db.wakes().timers.notify_one();
        let history = format!("/api/v1/device-tests/history?device={cord}");
        eventually_true("the end of the test", SOON, || async {
            desk.get(&admin, &history).await.1["items"][0]["state"] == "missed"
        })
        .await;
        running.stop().await;
    }

    async fn the_former_credential_counts_until_the_overlap_is_over(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (cord, admin) = (desk.street.here.cord, desk.token("admin").await);
        let path = format!("/api/v1/devices/{cord}/credential");
        let first = desk.post(&admin, &path, json!({})).await.1["password"].as_str().unwrap().to_owned();
        let rotate = format!("{path}/rotate");
        assert_eq!(desk.post(&admin, &rotate, json!({ "overlap_minutes": 1_441 })).await.0, 422);
        let (status, second) = desk.post(&admin, &rotate, json!({ "overlap_minutes": 30 })).await;
        assert_eq!(status, 201);
        let second = second["password"].as_str().unwrap().to_owned();
        let counts = |secret: &str| {
            let (db, secret) = (desk.street.db.clone(), secret.to_owned());
            async move { db.read(move |db| register::verify_secret(db, "SH-1", secret.as_bytes())).await.unwrap() }
        };
        assert!(counts(&first).await && counts(&second).await);
        let (running, _) = run(&desk).await;
        desk.street.clock.advance(Duration::from_secs(30 * 60));
        desk.street.db.wakes().timers.notify_one();
        eventually_true("the end of the overlap", SOON, || async { !counts(&first).await }).await;
        assert!(counts(&second).await);
        running.stop().await;
    }

    async fn out_of_use_a_device_is_a_stranger_and_keeps_its_history(test: TestDb) {
        let desk = Desk::open(&test).await;
        let street = &desk.street;
        let (cord, admin) = (street.here.cord, desk.token("admin").await);
        let secret = register::new_secret();
        let given = secret.clone();
        street.db.write(move |tx| register::set_secret(tx, cord, &given, None).map(drop)).await.unwrap();
        street.accept(street.reading("SH-1", "1", Measure::RoomTemperature, "21")).await;
        let path = format!("/devices/{cord}/status");
        let refused = desk.form(&admin, &path, &[("status", "decommissioned"), ("reason", " ")]).await;
        assert!(refused.status == 422 && refused.body.contains("请填写 1 到 200 个字"), "{}", refused.body);
        assert_eq!(desk.form(&admin, &path, &[("status", "decommissioned"), ("reason", "外壳破裂")]).await.status, 303);
        assert_eq!(street.accept(street.sos("SH-1", "2")).await, Accepted::Quarantined);
        let quarantine = desk.page(&admin, "/quarantine").await.body;
        assert!(quarantine.contains("已停用的设备"), "{quarantine}");
        let valid = street.db.read(move |db| register::verify_secret(db, "SH-1", secret.as_bytes())).await.unwrap();
        assert!(!valid);
        let history = street.db.read(move |db| register::bindings(db, cord)).await.unwrap();
        assert_eq!((history.len(), history[0].place_id), (2, None));
        let page = desk.page(&admin, &format!("/devices/{cord}")).await.body;
        assert!(page.contains("外壳破裂") && page.contains("室温"), "{page}");
        let body = json!({ "status": "active" });
        assert_eq!(desk.post(&admin, &format!("/api/v1/devices/{cord}/status"), body).await.0, 200);
        assert_eq!(street.accept(street.sos("SH-1", "3")).await, Accepted::Stored);
    }

    async fn a_device_is_lent_until_a_day_and_then_overdue(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (cord, resident, admin) = (desk.street.here.cord, desk.street.here.resident, desk.token("admin").await);
        let path = format!("/api/v1/devices/{cord}/loan");
        let loan = |day: &str, who: String| json!({ "resident_id": who, "due_on": day, "note": "术后一月" });
        assert_eq!(desk.post(&admin, &path, loan("2026-11-21", resident.to_string())).await.0, 422, "it is over");
        let foreign = desk.street.elsewhere.resident.to_string();
        assert_eq!(desk.post(&admin, &path, loan("2026-11-24", foreign)).await.0, 422);
        let (status, loans) = desk.post(&admin, &path, loan("2026-11-24", resident.to_string())).await;
        assert_eq!((status, &loans["items"][0]["overdue"]), (200, &json!(false)), "{loans}");
        assert_eq!(desk.street.device(cord).await.resident_id, Some(resident));
        // The last minute of that day in Shanghai, and the first of the next.
        desk.street.clock.advance(Duration::from_secs(2 * 86_400 + 8 * 3_600 - 60));
        // Sessions do not last that long.
        let admin = desk.token("admin").await;
        let list = format!("/api/v1/devices/{cord}/loans");
        assert_eq!(desk.get(&admin, &list).await.1["items"][0]["overdue"], false);
        desk.street.clock.advance(Duration::from_secs(60));
        assert_eq!(desk.get(&admin, &list).await.1["items"][0]["overdue"], true);
        assert!(desk.page(&admin, &format!("/devices/{cord}")).await.body.contains("已超过应还日期"));
        assert_eq!(desk.form(&admin, &format!("/devices/{cord}/return"), &[]).await.status, 303);
        assert_eq!(desk.post(&admin, &format!("/api/v1/devices/{cord}/return"), json!({})).await.0, 409);
        assert_eq!(desk.street.device(cord).await.resident_id, None);
    }

    async fn a_command_is_sent_and_done_when_the_device_says_so(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (cord, admin) = (desk.street.here.cord, desk.token("admin").await);
        let path = format!("/api/v1/devices/{cord}/commands");
        let (running, notes) = run(&desk).await;
        let (status, made) = desk.post(&admin, &path, json!({ "command": { "action": "siren", "on": true, "seconds": 5 } })).await;
        // It may be on its way before it is answered.
        assert!(status == 201 && ["requested", "sent"].contains(&made["state"].as_str().unwrap()), "{made}");
        command(&desk, &admin, &path, "sent").await;
        let (account, topic, payload) = notes.carried.lock().unwrap()[0].clone();
        assert_eq!((account.as_str(), topic.as_str()), ("SH-1", "songhe/v1/SH-1/command"));
        let order = parse_command(&payload).unwrap();
        assert_eq!(order.id, made["id"]);
        assert_eq!(order.valid_until, Some(desk.street.now().plus_seconds(60).utc()), "a device knows when it is too late");
        // Of another device it is no answer.
        let key = crate::common::key;
        desk.street.accept(command_result(&key("SH-2"), &order.id, true)).await;
        assert_eq!(desk.get(&admin, &path).await.1["items"][0]["state"], "sent");
        desk.street.accept(command_result(&key("SH-1"), &order.id, true)).await;
        command(&desk, &admin, &path, "acknowledged").await;
        let page = desk.page(&admin, &format!("/devices/{cord}")).await.body;
        assert!(page.contains("警号响 5 秒") && page.contains("设备已执行"), "{page}");
        desk.post(&admin, &path, json!({ "command": { "action": "locate" } })).await;
        command(&desk, &admin, &path, "sent").await;
        let order = parse_command(&notes.carried.lock().unwrap()[1].2).unwrap();
        desk.street.accept(command_result(&key("SH-1"), &order.id, false)).await;
        command(&desk, &admin, &path, "failed").await;
        running.stop().await;
    }

    async fn a_command_that_nobody_answers_or_takes_expires(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (cord, admin) = (desk.street.here.cord, desk.token("admin").await);
        let path = format!("/api/v1/devices/{cord}/commands");
        let (running, notes) = run(&desk).await;
        desk.post(&admin, &path, json!({ "command": { "action": "lamp", "on": true }, "valid_seconds": 5 })).await;
        command(&desk, &admin, &path, "sent").await;
        desk.street.clock.advance(Duration::from_secs(15));
        desk.street.db.wakes().timers.notify_one();
        command(&desk, &admin, &path, "expired").await;
        // A device that is away: nothing reaches it when it is back an hour later.
        *notes.away.lock().unwrap() = true;
        desk.form(&admin, &format!("/devices/{cord}/commands"), &[("action", "lamp_on")]).await;
        eventually_true("a failed attempt", SOON, || async {
            desk.get(&admin, &path).await.1["items"][0]["detail"] == "not connected"
        })
        .await;
        desk.street.clock.advance(Duration::from_secs(3_600));
        *notes.away.lock().unwrap() = false;
        desk.street.db.wakes().effects.notify_one();
        desk.street.db.wakes().timers.notify_one();
        command(&desk, &admin, &path, "expired").await;
        assert_eq!(notes.carried.lock().unwrap().len(), 1, "the first alone");
        running.stop().await;
    }

    async fn behind_zigbee2mqtt_the_state_that_comes_back_is_the_answer(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (facility, admin) = (desk.street.here.facility.to_string(), desk.token("admin").await);
        let lamp = "0x00158d0001e5c3a1";
        let said = |path: &str, payload: &str| Message {
            source: "test", topic: format!("zigbee2mqtt/{path}"), payload: payload.as_bytes().to_vec(), retained: false,
        };
        let device = |serial: &str, class: &str| json!({
            "facility_id": facility, "serial": serial, "class": class, "adapter": "zigbee2mqtt", "name": "夜灯"
        });
        let gateway = desk.post(&admin, "/api/v1/devices", device("GW-1", "5")).await.1;
        let inventory = json!([{ "ieee_address": lamp, "friendly_name": "卧室/灯" }]).to_string();
        desk.street.ingest.accept(said("bridge/devices", &inventory)).await.unwrap();
        let id = desk.post(&admin, "/api/v1/devices", device(lamp, "3.1")).await.1["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/devices/{id}/commands");
        let (running, notes) = run(&desk).await;
        desk.post(&admin, &path, json!({ "command": { "action": "lamp", "on": true } })).await;
        command(&desk, &admin, &path, "sent").await;
        let carried = notes.carried.lock().unwrap()[0].clone();
        assert_eq!((carried.0.as_str(), carried.1.as_str()), ("GW-1", "zigbee2mqtt/卧室/灯/set"));
        desk.street.ingest.accept(said("卧室/灯", r#"{"state":"OFF","linkquality":80}"#)).await.unwrap();
        assert_eq!(desk.get(&admin, &path).await.1["items"][0]["state"], "sent");
        desk.street.ingest.accept(said("卧室/灯", r#"{"state":"ON","linkquality":80}"#)).await.unwrap();
        command(&desk, &admin, &path, "acknowledged").await;
        desk.post(&admin, &path, json!({ "command": { "action": "locate" } })).await;
        let located = command(&desk, &admin, &path, "sent").await;
        assert_eq!(located["confirmed"], false);
        let gateway = gateway["id"].as_str().unwrap();
        let (status, _) = desk.post(&admin, &format!("/api/v1/devices/{gateway}/commands"), json!({ "command": { "action": "locate" } })).await;
        assert_eq!(status, 422, "a gateway takes none");
        running.stop().await;
    }

    async fn a_limit_that_is_refused_is_told_in_minutes_and_kept(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (facility, admin) = (desk.street.here.facility.to_string(), desk.token("admin").await);
        let limits = |guard: &'static str, regular: &'static str| {
            let form = [("facility", facility.clone()), ("guard", guard.into()), ("regular", regular.into()), ("daily", "1500".into())];
            let (desk, admin) = (&desk, &admin);
            async move {
                let form: Vec<(&str, &str)> = form.iter().map(|(name, value): &(&str, String)| (*name, value.as_str())).collect();
                desk.form(admin, "/devices/heartbeats", &form).await
            }
        };
        let refused = limits("1", "soon").await;
        assert!(refused.status == 422 && refused.body.contains("请输入 2 到 10080 之间的数"), "{}", refused.body);
        assert!(refused.body.contains("value=\"soon\"") && refused.body.contains("href=\"#guard\""), "{}", refused.body);
        assert_eq!(limits("20", "120").await.status, 303);
        assert!(desk.page(&admin, "/devices/heartbeats").await.body.contains("value=\"20\""));
    }

    async fn who_may_command_and_who_may_set(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (cord, there) = (desk.street.here.cord, desk.street.elsewhere.cord);
        let (admin, carer) = (desk.token("admin").await, desk.token("carer").await);
        let locate = json!({ "command": { "action": "locate" } });
        let at = |id| format!("/api/v1/devices/{id}/commands");
        assert_eq!(desk.post(&carer, &at(cord), locate.clone()).await.0, 403);
        assert_eq!(desk.post(&admin, &at(there), locate.clone()).await.0, 404);
        assert!(!desk.page(&carer, &format!("/devices/{cord}")).await.body.contains("下发指令"));
        for wrong in [
            json!({ "command": { "action": "siren", "on": true, "seconds": 601 } }),
            json!({ "command": { "action": "set", "key": "a b", "value": "1" } }),
            json!({ "command": { "action": "locate" }, "valid_seconds": 4 }),
        ] {
            assert_eq!(desk.post(&admin, &at(cord), wrong.clone()).await.0, 422, "{wrong}");
        }
        let device = desk.street.device(cord).await.id;
        desk.street.db.write(move |tx| lifecycle::set_status(tx, device, Status::Decommissioned, "x", None)).await.unwrap();
        assert_eq!(desk.post(&admin, &at(cord), locate).await.0, 422, "out of use");
    }
}
