//! E-mail by the server of the configuration, and the sign of life for a monitor outside.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use songhe::assembly::{Server, StartOptions, open_database};
use songhe::config::{BeatMethod, Config, TlsMode};
use songhe_kernel::{Clock, ManualClock, Tx};
use songhe_testkit::{Receiver, Smtp, TestDb, both_databases, eventually_true};

use crate::SOON;
use crate::api::{Api, text};
use crate::sql::Connection;
use crate::world::{KEYS, MIGRATED, Plan, noon, seed};

both_databases! {
    from MIGRATED;

    async fn a_call_leaves_as_an_e_mail_by_the_configured_server(db: TestDb) {
        let smtp = Smtp::start();
        let (clock, dir) = (Arc::new(ManualClock::at(noon())), songhe_testkit::temp_dir());
        let world = seed(&db, clock.clone(), &Plan { homes: 1, ..Plan::default() }).await;
        let mut config = config(&db, dir.path());
        config.mail.host = Some("127.0.0.1".into());
        config.mail.port = smtp.port();
        config.mail.tls = TlsMode::None;
        config.mail.from = Some("songhe@songhe.example".into());
        let server = Server::start(&config, clock.clone(), StartOptions::default()).await.unwrap();
        let manager = Api::sign_in(&server.url, "manager").await;
        let new = json!({ "facility": world.facility, "kind": "email", "name": "值班邮箱", "recipients": ["duty@example.com"] });
        let made = manager.post("/api/v1/webhook-endpoints", new).await;
        let broker = server.mqtt.unwrap().to_string();
        let button = &world.buttons[0];
        let sent = crate::mqtt::publish(&broker, button, "event", br#"{"id":"1-1","event":"sos"}"#).await;
        assert!(sent.ok, "{}", sent.said);
        // No board is open: passed at once, the next rung goes out.
        let mail = smtp.wait_for(1, SOON).await.remove(0);
        let detail = manager.get(&format!("/api/v1/webhook-endpoints/{}", text(&made, "id"))).await;
        let effect = text(&detail["deliveries"][0], "effect_id");
        assert_eq!(mail.header("message-id").unwrap(), format!("<{effect}@songhe.example>"));
        assert_eq!(mail.to, ["duty@example.com"]);
        server.stop().await;
    }

    async fn a_monitor_hears_songhe_only_while_its_database_takes_what_is_written(db: TestDb) {
        let monitor = Receiver::start();
        let (clock, dir) = (Arc::new(ManualClock::at(noon())), songhe_testkit::temp_dir());
        seed(&db, clock.clone(), &Plan { homes: 0, ..Plan::default() }).await;
        let mut config = config(&db, dir.path());
        config.heartbeat.url = Some(monitor.url("/ping/1"));
        config.heartbeat.method = BeatMethod::Post;
        config.heartbeat.every_s = 1;
        let server = Server::start(&config, clock.clone(), StartOptions::default()).await.unwrap();
        let beats = monitor.wait_for(2, SOON).await;
        assert_eq!((beats[0].method.as_str(), beats[0].path.as_str()), ("POST", "/ping/1"));
        let mut connection = Connection::open(&db);
        connection.run("ALTER TABLE meta RENAME TO meta_gone");
        // The look at the database writes every five seconds at most.
        clock.advance(Duration::from_secs(10));
        let silent = || async {
            let before = monitor.received().len();
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            monitor.received().len() == before
        };
        eventually_true("silence", SOON, silent).await;
        connection.run("ALTER TABLE meta_gone RENAME TO meta");
        let before = monitor.received().len();
        monitor.wait_for(before + 1, SOON).await;
        server.stop().await;
    }

    async fn timers_that_nobody_fires_are_noticed(db: TestDb) {
        let clock = Arc::new(ManualClock::at(noon()));
        let config = Config { database: songhe::config::Database { url: db.url().to_owned(), ..Default::default() }, ..Config::default() };
        let opened = open_database(&config, clock.clone()).await.unwrap();
        assert!(!songhe::heartbeat::timers_stand(&opened.db).await.unwrap());
        let due_at = clock.now();
        let timer = move |tx: &mut Tx<'_>| {
            tx.set_timer(songhe_kernel::NewTimer {
                key: "standing".into(),
                module: "incidents",
                kind: "ladder",
                facility: None,
                data: serde_json::Value::Null,
                due_at,
            })
        };
        opened.db.write(timer).await.unwrap();
        clock.advance(Duration::from_secs(59));
        assert!(!songhe::heartbeat::timers_stand(&opened.db).await.unwrap());
        clock.advance(Duration::from_secs(2));
        assert!(songhe::heartbeat::timers_stand(&opened.db).await.unwrap());
    }
}

fn config(db: &TestDb, dir: &std::path::Path) -> Config {
    let mut config = Config::default();
    config.database.url = db.url().to_owned();
    config.vault.keys = Some(KEYS.clone());
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.server.workers = 1;
    config.mqtt.listen = "127.0.0.1:0".parse().unwrap();
    config.mqtt.data_dir = dir.join("mqtt");
    config
}
