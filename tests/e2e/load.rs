//! Many and hostile connections at the embedded broker: a call is heard all the same. Sizes are for every day; all of
//! 2,000 with `SONGHE_TEST_LONG`.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use songhe_devices::register::{self, NewDevice};
use songhe_kernel::SystemClock;
use songhe_testkit::{Server, TestDb, both_databases, eventually, temp_dir};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::SOON;
use crate::api::Api;
use crate::mqtt::{publish, publish_with};
use crate::traffic::{Flood, sign_in};
use crate::world::{Button, MIGRATED, Plan, Wiring, World, program, seed, toml};

/// What a call may take at most, whatever else goes on.
const AT_ONCE: Duration = Duration::from_secs(10);

fn many(long: usize) -> usize {
    if std::env::var_os("SONGHE_TEST_LONG").is_some() { long } else { long / 5 }
}

/// The call of a well-behaved device becomes an incident at once.
async fn call_is_heard(admin: &Api, broker: &str, button: &Button) {
    let started = Instant::now();
    let sent = publish(broker, button, "event", br#"{"id":"2-1","event":"sos"}"#).await;
    assert!(sent.ok, "{}", sent.said);
    admin.the_incident("the call", |_| true).await;
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
}

both_databases! {
    from MIGRATED;

    async fn a_call_is_heard_among_silent_garbage_and_flooding_connections(db: TestDb) {
        let world = seed(&db, Arc::new(SystemClock::new()), &Plan::default()).await;
        // One connection is taken at the pace of its commits: on a slow disk that is less than the usual limit.
        let limits = "messages_per_s = 5\nmessage_burst = 20\n";
        let config = toml(&db, &Wiring::Embedded) + limits;
        let mut server = Server::setup(program()).config(&config).start();
        let broker = server.mqtt_address().to_owned();
        let admin = Api::sign_in(&server.url(""), "admin").await;
        let mut open = Vec::new();
        for n in 0..many(2_300) {
            let mut stream = TcpStream::connect(&broker).await.unwrap();
            if n % 8 == 0 {
                let garbage: &[u8] = if n % 16 == 0 { b"GET / HTTP/1.1\r\n\r\n" } else { &[0x10, 0xFF, 0xFF, 0x7F, 1] };
                let _ = stream.write_all(garbage).await;
            }
            open.push(stream);
        }
        let flooding = Flood::start(broker.clone(), world.buttons[1].clone());
        eventually("the flood is held back", SOON, || async {
            let state = admin.get("/api/v1/system").await["broker"].clone();
            (state["delayed"].as_u64()? > 20).then_some(())
        })
        .await;
        call_is_heard(&admin, &broker, &world.buttons[0]).await;
        let state = admin.get("/api/v1/system").await["broker"].clone();
        assert_eq!((state["dropped"].as_u64(), state["lost"].as_u64()), (Some(0), Some(0)), "{state}");
        assert!(state["turned_away"].as_u64().unwrap() > 0, "{state}");
        assert!(flooding.is_running(), "the flooding device was cut off");
        drop(flooding);
        assert!(server.is_running() && !server.log().contains("panicked"), "{}", server.log());
    }

    async fn a_street_is_back_within_ten_seconds_of_a_restart(db: TestDb) {
        let world = seed(&db, Arc::new(SystemClock::new()), &Plan::default()).await;
        let devices = street(&db, &world, many(2_000)).await;
        let mut server = Server::setup(program()).config(&toml(&db, &Wiring::Embedded)).start();
        let before = all_sign_in(server.mqtt_address(), &devices).await;
        server.kill();
        drop(before);
        server.start_again();
        let started = Instant::now();
        let back = all_sign_in(server.mqtt_address(), &devices).await;
        let took = started.elapsed();
        println!("{} devices back in {took:?}", back.len());
        assert!(took < Duration::from_secs(10), "{took:?}");
        let admin = Api::sign_in(&server.url(""), "admin").await;
        assert_eq!(admin.get("/api/v1/system").await["broker"]["connections"].as_u64(), Some(devices.len() as u64));
        call_is_heard(&admin, server.mqtt_address(), &world.buttons[0]).await;
    }

    async fn devices_speak_tls_and_slow_ones_hold_up_nobody(db: TestDb) {
        let dir = temp_dir();
        let out = dir.path().join("tls");
        let made = Command::new(program()).args(["cert", "localhost", "127.0.0.1", "--out"]).arg(&out).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let world = seed(&db, Arc::new(SystemClock::new()), &Plan::default()).await;
        let config = toml(&db, &Wiring::Embedded)
            + &format!(
                "tls_listen = \"127.0.0.1:0\"\ntls_certificate = \"{0}/certificate.pem\"\ntls_key = \"{0}/key.pem\"\n",
                out.display()
            );
        let server = Server::setup(program()).config(&config).start();
        let admin = Api::sign_in(&server.url(""), "admin").await;
        let state = admin.get("/api/v1/system").await["broker"].clone();
        let (_, tls) = state["address"].as_str().unwrap().split_once("TLS 127.0.0.1:").expect("a TLS listener");
        let address = format!("localhost:{tls}");
        let mut slow = Vec::new();
        for _ in 0..many(500) {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
            slow.push(stream);
        }
        let button = &world.buttons[0];
        let topic = format!("songhe/v1/{}/event", button.serial);
        let sos = br#"{"id":"2-1","event":"sos"}"#;
        let authority = out.join("authority.crt");
        let trusting = ["--cafile", authority.to_str().unwrap()];
        let started = Instant::now();
        let plain = publish_with(&address, &button.serial, button, &topic, sos, &[]).await;
        assert!(!plain.ok, "plain MQTT on the port of TLS");
        let sent = publish_with(&address, &button.serial, button, &topic, sos, &trusting).await;
        assert!(sent.ok, "{}", sent.said);
        admin.the_incident("the call", |_| true).await;
        assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    }
}

/// Registers many devices with credentials.
async fn street(db: &TestDb, world: &World, count: usize) -> Vec<Button> {
    let settings = songhe_kernel::db::DatabaseSettings::new(db.url());
    let kernel = songhe_kernel::Database::open(&settings, Arc::new(SystemClock::new()), 0).unwrap();
    let devices: Vec<Button> =
        (0..count).map(|n| Button { serial: format!("ST-{n:04}"), secret: format!("{n:032x}") }).collect();
    for some in devices.chunks(100) {
        let (some, facility) = (some.to_vec(), world.facility);
        let write = move |tx: &mut songhe_kernel::Tx<'_>| {
            for one in &some {
                let new = NewDevice {
                    facility,
                    serial: one.serial.clone(),
                    class: "3.1".into(),
                    adapter: "songhe-mqtt".into(),
                    name: "一键呼叫器".into(),
                    place: None,
                    resident: None,
                };
                let id = register::register(tx, &new, &["songhe-mqtt"], None)?;
                register::set_secret(tx, id, &one.secret, None)?;
            }
            Ok(())
        };
        kernel.write(write).await.unwrap();
    }
    devices
}

/// Everybody signs in at once, and again when it was refused.
async fn all_sign_in(broker: &str, devices: &[Button]) -> Vec<TcpStream> {
    let all: Vec<_> = devices
        .iter()
        .map(|device| {
            let (broker, device) = (broker.to_owned(), device.clone());
            tokio::spawn(async move {
                loop {
                    if let Some((stream, 0)) = sign_in(&broker, &device).await {
                        return stream;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            })
        })
        .collect();
    let mut streams = Vec::new();
    for one in all {
        streams.push(tokio::time::timeout(Duration::from_secs(30), one).await.expect("signed in").unwrap());
    }
    streams
}
