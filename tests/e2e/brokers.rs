//! Brokers outside: Mosquitto by the files that Songhe writes, EMQX by its questions, and a broker that loses messages.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use songhe_kernel::SystemClock;
use songhe_testkit::{
    Kind, Mosquitto, Server, TestDb, both_databases, eventually_true, free_port, http, run_test, temp_dir,
};

use crate::SOON;
use crate::api::{Api, text};
use crate::mqtt::{publish, publish_as, stay};
use crate::world::{Button, LINK_PASSWORD, MIGRATED, Plan, keys_line, linked, program, seed};

const SOS: &[u8] = br#"{"id":"9-1","event":"sos"}"#;

fn external(db: &TestDb, port: u16, more: &str) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n\n[database]\nurl = \"{}\"\n\n[vault]\n{}\n\n[mqtt]\nmode = \"external\"\n\
         port = {port}\npassword = \"{LINK_PASSWORD}\"\n{more}\n",
        db.url(),
        keys_line()
    )
}

fn files(dir: &Path) -> String {
    format!(
        "mosquitto_password_file = \"{0}/passwords\"\nmosquitto_acl_file = \"{0}/acl\"\nmosquitto_pid_file = \"{0}/pid\"",
        dir.display()
    )
}

/// Registers a device by the API and gives it a credential.
async fn register(admin: &Api, facility: &str, serial: &str, adapter: &str, class: &str) -> (String, Button) {
    let body =
        json!({ "facility_id": facility, "serial": serial, "class": class, "adapter": adapter, "name": "新设备" });
    let id = text(&admin.post("/api/v1/devices", body).await, "id").to_owned();
    let button = renew(admin, &id, serial).await;
    (id, button)
}

async fn renew(admin: &Api, id: &str, serial: &str) -> Button {
    let credential = admin.post(&format!("/api/v1/devices/{id}/credential"), json!({})).await;
    Button { serial: serial.to_owned(), secret: text(&credential, "password").to_owned() }
}

both_databases! {
    from MIGRATED;

    async fn mosquitto_knows_devices_by_the_files_that_songhe_writes(db: TestDb) {
        let world = seed(&db, Arc::new(SystemClock::new()), &Plan::default()).await;
        let dir = temp_dir();
        // Once by hand, before there is a Mosquitto to be told.
        let once = external(&db, 1, &files(dir.path())).replace("mosquitto_pid_file", "# ");
        let setup = Server::setup(program()).config(&once).args(&["mosquitto", "--config", "{config}"]);
        let (status, log) = setup.run_to_end(SOON);
        assert!(status.success() && log.contains("3 devices"), "{log}");
        let mosquitto = Mosquitto::setup()
            .password_file(&dir.path().join("passwords"))
            .acl_file(&dir.path().join("acl"))
            .line(&format!("pid_file {}/pid", dir.path().display()))
            .start();
        let server = Server::setup(program()).config(&external(&db, mosquitto.port(), &files(dir.path()))).start();
        linked(&mosquitto, 1).await;
        let (broker, admin) = (mosquitto.address(), Api::sign_in(&server.url(""), "admin").await);
        let (own, other) = (&world.buttons[0], &world.buttons[1]);

        // To another's topic, and below a gateway's: nobody hears it.
        publish_as(&broker, &own.serial, own, &format!("songhe/v1/{}/event", other.serial), SOS).await;
        publish_as(&broker, &own.serial, own, "zigbee2mqtt/卧室", br#"{"action":"emergency"}"#).await;
        let wrong = Button { secret: "f".repeat(32), ..own.clone() };
        assert!(!publish(&broker, &wrong, "event", SOS).await.ok, "a wrong password was let in");
        assert!(publish(&broker, own, "event", SOS).await.ok);
        let call = admin.the_incident("the device's own call", |_| true).await;
        assert_eq!(call["presses"], 1, "{call}");

        // A new device gets in, and a new credential ends the old one.
        let facility = world.facility.to_string();
        let (id, new) = register(&admin, &facility, "SH-5000", "songhe-mqtt", "3.1").await;
        eventually_true("a new device gets in", SOON, || async { publish(&broker, &new, "state", b"{}").await.ok }).await;
        let mut connection = stay(&broker, &new).await;
        let renewed = renew(&admin, &id, "SH-5000").await;
        eventually_true("the new credential", SOON, || async { publish_as(&broker, "SH-5000#2", &renewed, "songhe/v1/SH-5000/state", b"{}").await.ok })
            .await;
        assert!(!publish(&broker, &new, "event", SOS).await.ok, "the old credential is void");
        tokio::time::timeout(SOON, connection.ended()).await.expect("the old connection is still there");

        // A gateway owns what is below its topic, and nothing else.
        let (_, gateway) = register(&admin, &facility, "GW-1", "zigbee2mqtt", "5").await;
        eventually_true("the gateway gets in", SOON, || async {
            publish_as(&broker, "GW-1", &gateway, "zigbee2mqtt/bridge/state", b"online").await.ok
        })
        .await;
        let rules = std::fs::read_to_string(dir.path().join("acl")).unwrap();
        assert!(rules.contains("user GW-1\ntopic readwrite zigbee2mqtt/#\n"), "{rules}");
        publish_as(&broker, "GW-1", &gateway, &format!("songhe/v1/{}/event", other.serial), SOS).await;
        assert!(publish(&broker, own, "event", br#"{"id":"9-2","event":"sos"}"#).await.ok);
        admin.the_incident("the second press", |call| call["presses"] == 2).await;
        assert!(!server.log().contains("does not know the devices"), "{}", server.log());
    }

    async fn emqx_asks_and_is_answered(db: TestDb) {
        let world = seed(&db, Arc::new(SystemClock::new()), &Plan::default()).await;
        let config = external(&db, free_port(), "emqx_secret = \"7d2e91c04ab65f38\"");
        let server = Server::setup(program()).config(&config).start();
        let admin = Api::sign_in(&server.url(""), "admin").await;
        let (_, gateway) = register(&admin, &world.facility.to_string(), "GW-1", "zigbee2mqtt", "5").await;
        let ask = |path: &'static str, secret: &'static str, body: Value| {
            let url = server.url(&format!("/api/v1/brokers/emqx/{path}"));
            async move { http::client().post(url).header("x-songhe-secret", secret).json(&body).send().await.unwrap() }
        };
        let sign_in = |clientid: &str, username: &str, password: &str| {
            let body = json!({ "clientid": clientid, "username": username, "password": password });
            async { ask("authentication", "7d2e91c04ab65f38", body).await.json::<Value>().await.unwrap() }
        };
        let own = &world.buttons[0];
        let good = sign_in(&own.serial, &own.serial, &own.secret).await;
        assert_eq!((good["result"].as_str(), good["is_superuser"].as_bool()), (Some("allow"), Some(false)));
        let rules = good["acl"].as_array().unwrap();
        let event = json!({ "permission": "allow", "action": "publish", "topic": format!("songhe/v1/{}/event", own.serial) });
        assert!(rules.contains(&event) && rules.last().unwrap()["permission"] == "deny", "{good}");
        let of_gateway = sign_in("GW-1", "GW-1", &gateway.secret).await;
        assert_eq!(of_gateway["acl"][0]["topic"], "zigbee2mqtt/#");
        for (clientid, username, password) in [
            (&*own.serial, &*own.serial, "wrong"),
            (&world.buttons[1].serial, &own.serial, &own.secret),
            ("SH-7777", "SH-7777", &own.secret),
            ("songhe-1-emergency", "songhe-server", "wrong"),
        ] {
            assert_eq!(sign_in(clientid, username, password).await, json!({ "result": "deny" }), "{clientid}");
        }
        let own_account = sign_in("songhe-1-emergency", "songhe-server", LINK_PASSWORD).await;
        assert_eq!(own_account, json!({ "result": "allow", "is_superuser": true }));
        for (username, action, topic, result) in [
            (&*own.serial, "publish", format!("songhe/v1/{}/event", own.serial), "allow"),
            (&own.serial, "subscribe", format!("songhe/v1/{}/command", own.serial), "allow"),
            (&own.serial, "publish", format!("songhe/v1/{}/event", world.buttons[1].serial), "deny"),
            (&own.serial, "subscribe", "#".to_owned(), "deny"),
            (&own.serial, "publish", "zigbee2mqtt/x".to_owned(), "deny"),
            ("GW-1", "publish", "zigbee2mqtt/x".to_owned(), "allow"),
            ("GW-1", "publish", "songhe/v1/GW-1/event".to_owned(), "deny"),
            ("songhe-server", "subscribe", "songhe/v1/+/event".to_owned(), "allow"),
        ] {
            let body = json!({ "username": username, "action": action, "topic": topic });
            let answer = ask("authorization", "7d2e91c04ab65f38", body).await.json::<Value>().await.unwrap();
            assert_eq!(answer, json!({ "result": result }), "{username} {action}");
        }
        let stranger = ask("authorization", "another", json!({})).await;
        assert_eq!(stranger.status(), 403);
    }
}

#[test]
fn a_broker_that_loses_messages_is_refused_unless_that_is_wanted() {
    run_test(async {
        let db = TestDb::create(Kind::Sqlite, &MIGRATED);
        let account = || Mosquitto::setup().user("songhe-server", LINK_PASSWORD);
        let lossy = account().line("max_queued_messages 1000").start();
        let check = |config: &str| {
            let setup = Server::setup(program()).config(config);
            setup.args(&["check", "--config", "{config}"]).run_to_end(Duration::from_secs(60))
        };
        let config = external(&db, lossy.port(), "");
        let (status, log) = Server::setup(program()).config(&config).run_to_end(Duration::from_secs(60));
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("loses messages") && log.contains("max_queued_messages 200000"), "{log}");
        let (status, log) = check(&config);
        assert!(!status.success() && log.contains("loses messages"), "{log}");
        let wanted = external(&db, lossy.port(), "accept_lossy_broker = true");
        let server = Server::setup(program()).config(&wanted).start();
        assert!(server.log().contains("loses messages"), "{}", server.log());
        drop(server);
        let sound = account().start();
        let (status, log) = check(&external(&db, sound.port(), ""));
        assert!(status.success() && log.contains("keeps messages"), "{log}");
    });
}
