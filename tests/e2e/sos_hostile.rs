//! What is wrong or hostile is refused or quarantined with a line in the log, and harms nobody.

use std::time::Duration;

use songhe_testkit::{TestDb, both_databases, eventually_true};

use crate::SOON;
use crate::api::Api;
use crate::mqtt::{publish, publish_as, stay};
use crate::world::{Button, MIGRATED, Plan, Wiring, linked, mosquitto, program, seed, start_program, toml};

const SOS: &[u8] = br#"{"id":"9-1","event":"sos"}"#;

both_databases! {
    from MIGRATED;

    async fn the_embedded_broker_keeps_everybody_to_what_is_theirs(db: TestDb) {
        let (world, mut server) = start_program(&db, &Plan::default()).await;
        let broker = server.mqtt_address().to_owned();
        let (own, other) = (&world.buttons[0], &world.buttons[1]);
        let admin = Api::sign_in(&server.url(""), "admin").await;

        // Another device's topic. MQTT 3.1.1 has no way to say no but to end the connection.
        let foreign = publish_as(&broker, &own.serial, own, &format!("songhe/v1/{}/event", other.serial), SOS).await;
        assert!(!foreign.ok, "it believes another's call delivered");
        server.wait_for_log("MQTT topic refused", SOON).await;
        let wrong = Button { secret: "f".repeat(32), ..own.clone() };
        assert!(!publish(&broker, &wrong, "event", SOS).await.ok, "a wrong password was let in");
        let stranger = Button { serial: "SH-7777".into(), secret: "f".repeat(32) };
        assert!(!publish(&broker, &stranger, "event", SOS).await.ok, "an unknown device was let in");
        assert!(!publish_as(&broker, &other.serial, own, &format!("songhe/v1/{}/event", own.serial), SOS).await.ok);
        server.wait_for_log("MQTT sign-in refused", SOON).await;
        // One id is enough to sign in, and none to be somebody else: with 70 KB the connection ends.
        let oversized = publish(&broker, own, "event", &vec![b'x'; 70_000]).await;
        assert!(!oversized.ok, "70 KB were accepted: {}", oversized.said);
        server.wait_for_log("MQTT connection broke off", SOON).await;
        assert!(!server.log().contains('\u{1b}'), "colours in a log that no person reads: {}", server.log());
        unharmed(&mut server, &admin, own, &broker).await;
    }

    async fn what_cannot_be_understood_is_kept_in_quarantine(db: TestDb) {
        let (world, mut server) = start_program(&db, &Plan::default()).await;
        let broker = server.mqtt_address().to_owned();
        quarantined(&world.buttons[0], &broker, &mut server).await;
    }

    async fn a_new_credential_ends_the_connection_that_the_old_one_made(db: TestDb) {
        let (world, server) = start_program(&db, &Plan::default()).await;
        let broker = server.mqtt_address().to_owned();
        let admin = Api::sign_in(&server.url(""), "admin").await;
        let (own, other) = (&world.buttons[0], &world.buttons[1]);
        let (mut mine, mut theirs) = (stay(&broker, own).await, stay(&broker, other).await);
        let devices = admin.get(&format!("/api/v1/devices?q={}", own.serial)).await;
        let id = devices["items"][0]["id"].as_str().unwrap().to_owned();
        let credential = admin.post(&format!("/api/v1/devices/{id}/credential"), serde_json::json!({})).await;
        tokio::time::timeout(SOON, mine.ended()).await.expect("the old connection is still there");
        server.wait_for_log("its credential was replaced", SOON).await;
        assert!(tokio::time::timeout(Duration::from_millis(500), theirs.ended()).await.is_err(), "another's, too");
        assert!(!publish(&broker, own, "event", SOS).await.ok, "the old credential is void");
        let renewed = Button { secret: credential["password"].as_str().unwrap().to_owned(), ..own.clone() };
        // Whoever comes with the new one stays.
        let mut back = stay(&broker, &renewed).await;
        assert!(tokio::time::timeout(Duration::from_secs(13), back.ended()).await.is_err(), "the new one was ended");
    }

    async fn what_mosquitto_lets_through_harms_nobody(db: TestDb) {
        let world = seed(&db, std::sync::Arc::new(songhe_kernel::SystemClock::new()), &Plan::default()).await;
        let wiring = Wiring::External(mosquitto(&world));
        let mut server = songhe_testkit::Server::setup(program()).config(&toml(&db, &wiring)).start();
        let Wiring::External(mosquitto) = wiring else { unreachable!() };
        linked(&mosquitto, 1).await;
        let (own, other, broker) = (&world.buttons[0], &world.buttons[1], mosquitto.address());
        let wrong = Button { secret: "f".repeat(32), ..own.clone() };
        assert!(!publish(&broker, &wrong, "event", SOS).await.ok, "a wrong password was let in");
        publish_as(&broker, &own.serial, own, &format!("songhe/v1/{}/event", other.serial), SOS).await;
        // Mosquitto carries what the embedded broker would not.
        assert!(publish(&broker, own, "event", &vec![b'x'; 70_000]).await.ok);
        quarantined(own, &broker, &mut server).await;
    }
}

async fn quarantined(own: &Button, broker: &str, server: &mut songhe_testkit::Server) {
    let admin = Api::sign_in(&server.url(""), "admin").await;
    let garbage: [&[u8]; 6] = [
        b"\x00\xff\xfe not JSON at all",
        b"",
        br#"{"id":"1-1","event":"dance"}"#,
        br#"{"id":"1-1"}"#,
        b"[[[[[[[[[[[[[[[[",
        "{\"id\":\"1-\u{0}\",\"event\":\"\u{202e}sos\"}".as_bytes(),
    ];
    for payload in garbage {
        let sent = publish(broker, own, "event", payload).await;
        assert!(sent.ok, "kept is acknowledged, or it comes for ever: {payload:?}: {}", sent.said);
    }
    let huge = format!(r#"{{"id":"1-2","event":"test","detail":"{}"}}"#, "x".repeat(20_000));
    assert!(publish(broker, own, "event", huge.as_bytes()).await.ok);
    eventually_true("seven messages in quarantine", SOON, || async {
        let kept = admin.get("/api/v1/quarantine").await["items"].as_array().unwrap().clone();
        assert!(kept.iter().all(|message| message["reason"] == "undecodable"), "{kept:#?}");
        kept.iter().filter(|message| message["serial"] == own.serial.as_str()).count() > garbage.len()
    })
    .await;
    server.wait_for_log("message quarantined", SOON).await;
    unharmed(server, &admin, own, broker).await;
}

/// The server runs, nothing of it became a call, and a call that follows is heard.
async fn unharmed(server: &mut songhe_testkit::Server, admin: &Api, own: &Button, broker: &str) {
    assert!(server.is_running(), "{}", server.log());
    assert_eq!(admin.open_incidents().await, Vec::<serde_json::Value>::new(), "something foreign became a call");
    assert!(publish(broker, own, "event", br#"{"id":"2-1","event":"sos"}"#).await.ok);
    let call = admin.the_incident("the real call", |_| true).await;
    assert_eq!((call["kind"].as_str(), call["presses"].as_i64()), (Some("sos"), Some(1)));
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
