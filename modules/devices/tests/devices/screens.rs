//! The module over HTTP: what a caller's scope hides, forms that come back, and every screen in both languages.

use std::sync::Arc;

use crate::common::{self, Street, devices_module, street};
use actix_web::test::TestRequest;
use diesel::prelude::*;
use serde_json::{Value, json};
use songhe_adapter_core::Measure;
use songhe_devices::register;
use songhe_kernel::Modules;
use songhe_kernel::http::HttpSettings;
use songhe_registry::Registry;
use songhe_testkit::{Answer, MIGRATED, Site, TestDb, both_databases};

pub(crate) struct Desk {
    pub(crate) street: Street,
    site: Site,
}

impl Desk {
    pub(crate) async fn open(test: &TestDb) -> Self {
        let street = street(test).await;
        let modules = Modules::new(vec![Arc::new(Registry), Arc::new(devices_module())]);
        let site = Site::open(&street.db, modules, HttpSettings::default());
        Self { street, site }
    }

    pub(crate) async fn token(&self, username: &'static str) -> String {
        self.site.token(username).await
    }

    pub(crate) async fn send(&self, token: &str, request: TestRequest) -> Answer {
        self.site.send(token, request).await
    }

    pub(crate) async fn page(&self, token: &str, path: &str) -> Answer {
        self.send(token, TestRequest::get().uri(path)).await
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        let answer = self.page(token, path).await;
        (answer.status, answer.json())
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: Value) -> (u16, Value) {
        let answer = self.send(token, TestRequest::post().uri(path).set_json(body)).await;
        (answer.status, answer.json())
    }

    pub(crate) async fn form(&self, token: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(token, TestRequest::post().uri(path).set_form(form)).await
    }
}

fn items(body: &Value) -> &Vec<Value> {
    body["items"].as_array().unwrap()
}

both_databases! {
    from MIGRATED;

    async fn what_lies_outside_the_scope_does_not_exist(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (here, there) = (desk.street.here, desk.street.elsewhere);
        for serial in ["SH-1", "LA-1"] {
            desk.street.accept(desk.street.reading(serial, "1", Measure::HeartRate, "70")).await;
        }
        let admin = desk.token("admin").await;
        let (status, list) = desk.get(&admin, "/api/v1/devices").await;
        assert_eq!(status, 200);
        let serials: Vec<_> = items(&list).iter().map(|device| device["serial"].as_str().unwrap()).collect();
        assert_eq!(serials, ["SH-1", "SH-2"]);
        assert_eq!(desk.get(&admin, &format!("/api/v1/devices/{}", here.cord)).await.0, 200);
        assert_eq!(desk.get(&admin, &format!("/api/v1/devices/{}", there.cord)).await.0, 404);
        assert_eq!(desk.get(&admin, &format!("/api/v1/devices?facility={}", there.facility)).await.0, 404);
        let (_, seen) = desk.get(&admin, "/api/v1/observations").await;
        assert_eq!(items(&seen).len(), 1);
        let (_, none) = desk.get(&admin, &format!("/api/v1/observations?device={}", there.cord)).await;
        assert_eq!(none["items"], json!([]));
        for path in ["bind", "credential"] {
            let body = json!({ "place_id": null, "resident_id": null });
            let path = format!("/api/v1/devices/{}/{path}", there.cord);
            assert_eq!(desk.post(&admin, &path, body).await.0, 404);
            assert_eq!(desk.form(&admin, &path.replace("/api/v1", ""), &[]).await.status, 404);
        }
        assert_eq!(desk.page(&admin, &format!("/devices/{}", there.cord)).await.status, 404);
        let page = desk.page(&admin, "/devices").await;
        assert!(page.body.contains("SH-1") && !page.body.contains("LA-1"));
        assert!(page.body.contains(r#"<dd class="figure">2</dd>"#), "the count, too");
        let rule = json!({
            "facility_id": there.facility, "name": "x", "measure": "humidity", "above": "70", "priority": "low"
        });
        assert_eq!(desk.post(&admin, "/api/v1/threshold-rules", rule).await.0, 404);
        let device = json!({
            "facility_id": there.facility, "serial": "N-1", "class": "3.1", "adapter": "songhe-mqtt", "name": "x"
        });
        assert_eq!(desk.post(&admin, "/api/v1/devices", device).await.0, 404);
        let form = [("facility", &*there.facility.to_string()), ("serial", "N-1")].map(|(n, v)| (n, v.to_owned()));
        let form: Vec<(&str, &str)> = form.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(desk.form(&admin, "/devices", &form).await.status, 404);
    }

    async fn a_role_sees_what_it_needs_and_no_more(test: TestDb) {
        let desk = Desk::open(&test).await;
        let cord = desk.street.here.cord;
        let resident = desk.street.here.resident;
        let bed = desk.street.here.bed;
        desk.street.db.write(move |tx| register::bind(tx, cord, Some(bed), Some(resident), None)).await.unwrap();
        desk.street.accept(desk.street.reading("SH-1", "1", Measure::HeartRate, "70")).await;
        let (carer, supervisor) = (desk.token("carer").await, desk.token("supervisor").await);
        assert_eq!(desk.get(&carer, "/api/v1/quarantine").await.0, 403);
        assert_eq!(desk.get(&carer, "/api/v1/threshold-rules").await.0, 403);
        assert_eq!(desk.post(&carer, "/api/v1/devices", json!({})).await.0, 403);
        assert_eq!(desk.get(&supervisor, "/api/v1/observations").await.0, 403);
        let path = format!("/devices/{cord}");
        let (theirs, mine) = (desk.page(&supervisor, &path).await.body, desk.page(&carer, &path).await.body);
        assert!(!theirs.contains("王秀英") && !theirs.contains("次/分"), "neither name nor measurement");
        assert!(mine.contains("王秀英") && mine.contains("次/分") && mine.contains("心率"));
        assert!(!mine.contains("credential\""), "no form for a credential");
        let (_, body) = desk.get(&supervisor, &format!("/api/v1/devices/{cord}")).await;
        assert_eq!(body["resident_id"], Value::Null);
        assert_eq!(body["online"], true);
    }

    async fn a_message_of_another_houses_device_is_not_seen_in_quarantine(test: TestDb) {
        let desk = Desk::open(&test).await;
        for serial in ["SH-1", "LA-1"] {
            let topic = format!("songhe/v1/{serial}/telemetry");
            let message =
                songhe_devices::Message { source: "test", topic, payload: serial.as_bytes().to_vec(), retained: false };
            desk.street.ingest.accept(message).await.unwrap();
        }
        desk.street.accept(desk.street.sos("XX-9", "1")).await;
        let admin = desk.token("admin").await;
        let (_, list) = desk.get(&admin, "/api/v1/quarantine").await;
        let serials: Vec<_> = items(&list).iter().map(|row| row["serial"].as_str().unwrap()).collect();
        assert_eq!(serials, ["XX-9", "SH-1"]);
        assert_eq!(items(&list)[1]["payload_text"], "SH-1");
        let page = desk.page(&admin, "/quarantine").await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.contains("含紧急呼叫") && page.body.contains("/devices/new?serial=XX-9"));
        assert!(!page.body.contains("LA-1") && !page.body.contains("serial=SH-1"));
        assert!(desk.page(&admin, "/devices").await.body.contains("隔离区有 2 台"));
        // Another's message cannot be thrown away either.
        let rows: Vec<(i64, Option<String>)> = desk
            .street
            .db
            .read(|db| {
                use songhe_devices::schema::quarantine;
                Ok(quarantine::table.select((quarantine::id, quarantine::serial)).load(db)?)
            })
            .await
            .unwrap();
        for (id, _) in rows {
            let path = format!("/quarantine/{}/dismiss", songhe_devices::quarantine::QuarantineId(id));
            let answer = desk.form(&admin, &path, &[]).await;
            assert_eq!((answer.status, answer.location.as_str()), (303, "/quarantine"));
        }
        let left = desk.street.quarantined().await;
        assert_eq!(left.iter().map(|row| row.1.as_deref().unwrap()).collect::<Vec<_>>(), ["LA-1"]);
    }

    async fn a_program_throws_away_what_nobody_could_act_on(test: TestDb) {
        let desk = Desk::open(&test).await;
        for n in 0..3 {
            desk.street.accept(desk.street.sos("XX-9", &n.to_string())).await;
        }
        let topic = "songhe/v1/LA-1/telemetry".to_owned();
        let message = songhe_devices::Message { source: "test", topic, payload: b"?".to_vec(), retained: false };
        desk.street.ingest.accept(message).await.unwrap();
        let (admin, carer) = (desk.token("admin").await, desk.token("carer").await);
        let (_, list) = desk.get(&admin, "/api/v1/quarantine").await;
        let path = format!("/api/v1/quarantine/{}/dismiss", items(&list)[1]["id"].as_str().unwrap());
        assert_eq!(desk.post(&carer, &path, json!({})).await.0, 403);
        let keyed = || TestRequest::post().uri(&path).insert_header(("Idempotency-Key", "once"));
        for _ in 0..2 {
            let answer = desk.send(&admin, keyed()).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"messages":3}"#));
        }
        assert_eq!(desk.post(&admin, &path, json!({})).await.0, 404, "gone");
        // What another facility's device sent cannot be thrown away.
        let left = desk.street.quarantined().await;
        assert_eq!(left.iter().map(|row| row.1.as_deref().unwrap()).collect::<Vec<_>>(), ["LA-1"]);
        let id: i64 = desk
            .street
            .db
            .read(|db| Ok(songhe_devices::schema::quarantine::table.select(songhe_devices::schema::quarantine::id).first(db)?))
            .await
            .unwrap();
        let foreign = format!("/api/v1/quarantine/{}/dismiss", songhe_devices::quarantine::QuarantineId(id));
        assert_eq!(desk.post(&admin, &foreign, json!({})).await.0, 404);
        assert_eq!(desk.street.quarantined().await.len(), 1);
    }

    async fn a_program_sees_what_a_device_told_last_and_where_it_was(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (admin, supervisor, cord) =
            (desk.token("admin").await, desk.token("supervisor").await, desk.street.here.cord);
        desk.street.accept(desk.street.reading("SH-1", "1", Measure::HeartRate, "70")).await;
        let path = format!("/api/v1/devices/{cord}");
        let body = json!({ "place_id": desk.street.here.room, "resident_id": desk.street.here.resident });
        assert_eq!(desk.post(&admin, &format!("{path}/bind"), body).await.0, 200);
        let (status, state) = desk.get(&admin, &format!("{path}/state")).await;
        assert_eq!(status, 200);
        assert_eq!((&items(&state)[0]["kind"], &items(&state)[0]["value"]), (&json!("heart_rate"), &json!("70")));
        let (_, history) = desk.get(&admin, &format!("{path}/bindings")).await;
        assert_eq!(items(&history).len(), 2);
        assert_eq!(items(&history)[0]["resident_id"], json!(desk.street.here.resident));
        assert_eq!((&items(&history)[0]["unbound_at"], items(&history)[1]["unbound_at"].is_string()), (&Value::Null, true));
        // Neither measurements nor residents for supervision; nothing of another facility's.
        assert_eq!(desk.get(&supervisor, &format!("{path}/state")).await.0, 403);
        assert_eq!(items(&desk.get(&supervisor, &format!("{path}/bindings")).await.1)[0]["resident_id"], Value::Null);
        let there = desk.street.elsewhere.cord;
        for part in ["state", "bindings"] {
            assert_eq!(desk.get(&admin, &format!("/api/v1/devices/{there}/{part}")).await.0, 404);
        }
    }

    async fn a_number_that_is_too_large_is_kept_and_shown_as_implausible(test: TestDb) {
        let desk = Desk::open(&test).await;
        for (n, number) in ["9300000000000", "-1e40"].into_iter().enumerate() {
            let payload = format!(r#"{{"id":"b-{n}","readings":[{{"kind":"illuminance","value":{number},"unit":"lx"}}]}}"#);
            let topic = "songhe/v1/SH-1/telemetry".to_owned();
            let message =
                songhe_devices::Message { source: "test", topic, payload: payload.into_bytes(), retained: false };
            desk.street.ingest.accept(message).await.unwrap();
        }
        let admin = desk.token("admin").await;
        let (_, list) = desk.get(&admin, "/api/v1/observations").await;
        let kept: Vec<_> =
            items(&list).iter().map(|row| (&row["quality"], &row["value"], row["detail"].as_str().unwrap())).collect();
        let implausible = json!("implausible");
        assert_eq!(kept, [(&implausible, &Value::Null, "-1e40"), (&implausible, &Value::Null, "9300000000000")]);
        let page = desk.page(&admin, &format!("/devices/{}", desk.street.here.cord)).await;
        assert!(page.status == 200 && page.body.contains("9300000000000"), "{}", page.body);
    }

    async fn a_name_that_cannot_be_seen_or_is_songhes_own_is_refused(test: TestDb) {
        let desk = Desk::open(&test).await;
        let admin = desk.token("admin").await;
        let facility = desk.street.here.facility.to_string();
        for (serial, name, field) in [
            ("songhe-server", "夜灯", "serial"),
            ("songhe-1-emergency", "夜灯", "serial"),
            ("SONGHE-X", "夜灯", "serial"),
            ("N-1", "夜\u{202E}灯", "name"),
            ("N-1", "夜\u{200B}灯", "name"),
        ] {
            let body = json!({
                "facility_id": facility, "serial": serial, "class": "3.1", "adapter": "songhe-mqtt", "name": name
            });
            let (status, problem) = desk.post(&admin, "/api/v1/devices", body).await;
            assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some(field)), "{serial} {name:?}: {problem}");
            let form = [("facility", &*facility), ("serial", serial), ("class", "3.1"), ("adapter", "songhe-mqtt"), ("name", name)];
            let page = desk.form(&admin, "/devices", &form).await;
            assert!(page.status == 422 && page.body.contains(&format!("id=\"{field}-error\"")), "{}", page.body);
        }
        let rule = json!({
            "facility_id": facility, "name": "低\u{FEFF}温", "measure": "humidity", "above": "70", "priority": "low"
        });
        assert_eq!(desk.post(&admin, "/api/v1/threshold-rules", rule).await.0, 422);
    }

    async fn a_device_is_registered_bound_and_given_a_credential_that_is_shown_once(test: TestDb) {
        let desk = Desk::open(&test).await;
        let admin = desk.token("admin").await;
        let (facility, room) = (desk.street.here.facility.to_string(), desk.street.here.room.to_string());
        let wrong = [("facility", &*facility), ("serial", "a/b"), ("class", "3.1"), ("adapter", "songhe-mqtt"), ("name", "夜灯")];
        let answer = desk.form(&admin, "/devices", &wrong).await;
        assert_eq!(answer.status, 422);
        assert!(answer.body.contains("夜灯") && answer.body.contains("id=\"serial-error\""), "{}", answer.body);
        let good = [
            ("facility", &*facility), ("serial", "N-1"), ("class", "3.1"), ("adapter", "songhe-mqtt"),
            ("name", "夜灯"), ("place", &*room), ("resident", ""),
        ];
        let answer = desk.form(&admin, "/devices", &good).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.cache.contains("no-store"), "{}", answer.cache);
        assert!(answer.body.contains("songhe/v1/N-1") && answer.body.contains("mqtt://songhe.example:1883"));
        let secret = answer.body.split("<output class=\"value\">").nth(1).unwrap().split('<').next().unwrap();
        let valid = |secret: String| {
            let db = desk.street.db.clone();
            async move { db.read(move |db| register::verify_secret(db, "N-1", secret.as_bytes())).await.unwrap() }
        };
        assert!(valid(secret.to_owned()).await);

        let (_, list) = desk.get(&admin, "/api/v1/devices?q=N-1").await;
        let id = items(&list)[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(items(&list)[0]["place_label"], "305 室");
        let request = TestRequest::post()
            .uri(&format!("/api/v1/devices/{id}/credential"))
            .insert_header(("Idempotency-Key", "once"))
            .set_json(json!({}));
        let answer = desk.send(&admin, request).await;
        assert_eq!((answer.status, answer.cache.contains("no-store")), (201, true));
        let credential: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(!valid(secret.to_owned()).await, "void");
        let password = credential["password"].as_str().unwrap();
        assert!(valid(password.to_owned()).await);
        let kept: Vec<String> = desk
            .street
            .db
            .read(|db| {
                use songhe_kernel::identity::schema::idempotency;
                Ok(idempotency::table.select(idempotency::body).load(db)?)
            })
            .await
            .unwrap();
        assert!(!kept.iter().any(|body| body.contains(password)));

        let answer = desk.form(&admin, &format!("/devices/{id}/bind"), &[("place", ""), ("resident", "")]).await;
        assert_eq!((answer.status, answer.location), (303, format!("/devices/{id}")));
        let foreign = desk.street.elsewhere.bed.to_string();
        let answer = desk.form(&admin, &format!("/devices/{id}/bind"), &[("place", &foreign)]).await;
        assert_eq!(answer.status, 422);
        let (_, unbound) = desk.get(&admin, "/api/v1/devices?state=unbound").await;
        assert_eq!(items(&unbound).len(), 1);
    }

    async fn a_post_sent_again_under_its_key_registers_once(test: TestDb) {
        let desk = Desk::open(&test).await;
        let admin = desk.token("admin").await;
        let body = json!({
            "facility_id": desk.street.here.facility, "serial": "N-1", "class": "1.2", "adapter": "songhe-mqtt",
            "name": "血压计", "place_id": desk.street.here.bed
        });
        let mut answers = Vec::new();
        for _ in 0..2 {
            let request = TestRequest::post()
                .uri("/api/v1/devices")
                .insert_header(("Idempotency-Key", "k-1"))
                .set_json(body.clone());
            let answer = desk.send(&admin, request).await;
            assert_eq!(answer.status, 201, "{}", answer.body);
            answers.push(answer.body);
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(desk.post(&admin, "/api/v1/devices", body).await.0, 422, "without the key the serial is taken");
    }

    async fn observations_are_paged_newest_first_with_decimal_values(test: TestDb) {
        let desk = Desk::open(&test).await;
        let admin = desk.token("admin").await;
        for (id, value) in [("1", "36.50"), ("2", "36.6"), ("3", "37")] {
            desk.street.accept(desk.street.reading("SH-1", id, Measure::BodyTemperature, value)).await;
        }
        desk.street.accept(desk.street.sos("SH-1", "4")).await;
        let (_, first) = desk.get(&admin, "/api/v1/observations?limit=2").await;
        assert_eq!((&items(&first)[0]["kind"], &items(&first)[0]["value"]), (&json!("sos"), &Value::Null));
        assert_eq!((&items(&first)[1]["value"], &items(&first)[1]["unit"]), (&json!("37"), &json!("Cel")));
        assert_eq!(items(&first)[1]["observed_at"], common::START);
        let next = first["next"].as_str().unwrap();
        let (_, second) = desk.get(&admin, &format!("/api/v1/observations?limit=2&after={next}")).await;
        let values: Vec<_> = items(&second).iter().map(|row| row["value"].as_str().unwrap()).collect();
        assert_eq!((values, &second["next"]), (vec!["36.6", "36.5"], &Value::Null));
        let of = format!("/api/v1/observations?resident={}&kind=body_temperature", desk.street.here.resident);
        assert_eq!(items(&desk.get(&admin, &of).await.1).len(), 3);
        let (_, before) = desk.get(&admin, &format!("/api/v1/observations?to={}", common::START)).await;
        assert_eq!(before["items"], json!([]));
        assert_eq!(desk.get(&admin, "/api/v1/observations?device=nonsense").await.0, 400);
    }

    async fn rules_are_made_and_listed_with_decimal_limits(test: TestDb) {
        let desk = Desk::open(&test).await;
        let admin = desk.token("admin").await;
        let good = json!({
            "facility_id": desk.street.here.facility, "name": "低温", "measure": "room_temperature", "below": "16.5",
            "hysteresis": "0.5", "onset_seconds": 1800, "priority": "high"
        });
        let (status, made) = desk.post(&admin, "/api/v1/threshold-rules", good.clone()).await;
        assert_eq!((status, &made["below"], &made["above"]), (201, &json!("16.5"), &Value::Null));
        let (_, list) = desk.get(&admin, "/api/v1/threshold-rules").await;
        assert_eq!(items(&list), &vec![made]);
        for (field, value) in
            [("below", json!("cold")), ("measure", json!("mood")), ("onset_seconds", json!(86_401)), ("hysteresis", json!("-1"))]
        {
            let mut bad = good.clone();
            bad[field] = value;
            assert_eq!(desk.post(&admin, "/api/v1/threshold-rules", bad).await.0, 422, "{field}");
        }
    }

    async fn every_screen_renders_in_both_languages(test: TestDb) {
        let desk = Desk::open(&test).await;
        let admin = desk.token("admin").await;
        let street = &desk.street;
        for (n, measure) in Measure::ALL.iter().enumerate() {
            street.accept(street.reading("SH-1", &format!("m-{n}"), *measure, "1")).await;
        }
        for (n, kind) in songhe_adapter_core::EventKind::ALL.iter().enumerate() {
            street.accept(street.told("SH-1", &format!("e-{n}"), *kind, n % 2 == 0, 0)).await;
        }
        for n in 0..25 {
            street.accept(street.sos(&format!("XX-{n}"), "1")).await;
        }
        let cord = street.here.cord;
        let pages = [
            "/devices".to_owned(),
            "/devices?q=305&class=3.1&state=online".to_owned(),
            "/devices?q=nothing".to_owned(),
            "/devices?state=offline".to_owned(),
            "/devices?state=low_battery".to_owned(),
            "/devices/new?serial=XX-1".to_owned(),
            format!("/devices/{cord}"),
            "/quarantine".to_owned(),
        ];
        for locale in ["zh-CN", "en"] {
            for path in &pages {
                let request = TestRequest::get().uri(path).insert_header(("Accept-Language", locale));
                let answer = desk.send(&admin, request).await;
                assert_eq!(answer.status, 200, "{path}: {}", answer.body);
                // A text that is missing is shown as its key.
                for prefix in ["devices-measure-", "devices-event-", "devices-unit-", "devices-class-", "devices-reason-"] {
                    assert!(!answer.body.contains(prefix), "{path} {locale}: {prefix}");
                }
            }
        }
        let device = desk.page(&admin, &format!("/devices/{cord}")).await.body;
        let older = device.split("?after=").nth(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        let older = desk.page(&admin, &format!("/devices/{cord}?after={}", older.unwrap())).await;
        assert_eq!(older.status, 200);
        let second = desk.page(&admin, "/quarantine").await.body;
        let next = second.split("/quarantine?after=").nth(1).unwrap().split('"').next().unwrap().to_owned();
        assert!(desk.page(&admin, &format!("/quarantine?after={next}")).await.body.contains("XX-0"));
        let csv = desk.page(&admin, "/devices?format=csv").await;
        assert!(csv.kind.starts_with("text/csv"));
        assert_eq!(csv.body.lines().count(), 3);
        assert!(csv.body.contains("\"SH-1\""));
    }
}
