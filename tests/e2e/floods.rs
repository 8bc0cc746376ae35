//! One device sends as fast as it can; the others are stored and a call is heard, behind either broker, and the device
//! is told of as the one that is at fault.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use songhe_kernel::SystemClock;
use songhe_testkit::{Server, TestDb, both_databases, eventually, eventually_true};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::api::{Api, text};
use crate::mqtt::publish;
use crate::sql::Connection;
use crate::traffic::{Flood, message, reading, sign_in};
use crate::world::{Button, MIGRATED, Plan, Wiring, World, linked, mosquitto, program, seed, toml};
use crate::{AFTER_A_KILL, SOON};

/// Homes that behave.
const OTHERS: usize = 20;
/// What each of them says.
const READINGS: u16 = 10;

both_databases! {
    from MIGRATED;

    async fn a_flood_behind_mosquitto_is_left_out_and_the_others_are_served(db: TestDb) {
        among_a_flood(db, |world| Wiring::External(mosquitto(world))).await;
    }

    async fn a_flood_at_the_embedded_broker_waits_and_the_others_are_served(db: TestDb) {
        among_a_flood(db, |_| Wiring::Embedded).await;
    }
}

async fn among_a_flood(db: TestDb, wiring: impl FnOnce(&World) -> Wiring) {
    let plan = Plan { homes: OTHERS + 2, ..Plan::default() };
    let world = seed(&db, Arc::new(SystemClock::new()), &plan).await;
    let mut wiring = wiring(&world);
    let config = toml(&db, &wiring) + "messages_per_s = 5\nmessage_burst = 20\n";
    let server = Server::setup(program()).config(&config).start();
    let external = matches!(wiring, Wiring::External(_));
    let broker = if external {
        linked(wiring.external(), 1).await;
        wiring.external().address()
    } else {
        server.mqtt_address().to_owned()
    };
    let admin = Api::sign_in(&server.url(""), "admin").await;
    let (caller, loud) = (&world.buttons[0], &world.buttons[1]);
    let flood = Flood::start(broker.clone(), loud.clone());
    let over = if external { "left_out" } else { "delayed" };
    eventually_true("the flood is over its rate", SOON, || async {
        admin.get("/api/v1/system").await["broker"][over].as_u64() > Some(40)
    })
    .await;
    let speaking: Vec<_> =
        world.buttons[2..].iter().map(|one| tokio::spawn(say(broker.clone(), one.clone()))).collect();
    let sent = publish(&broker, caller, "event", br#"{"id":"2-1","event":"sos"}"#).await;
    assert!(sent.ok, "{}", sent.said);
    eventually_true("the call", SOON, || async { admin.open_incidents().await.iter().any(|one| one["kind"] == "sos") })
        .await;
    for one in speaking {
        one.await.unwrap();
    }
    let others = format!(
        "observation o JOIN device d ON d.id = o.device_id WHERE o.kind = 'room_temperature' AND d.serial <> '{}'",
        loud.serial
    );
    eventually_true("what the others said", SOON, || async {
        Connection::open(&db).count(&others) == i64::from(READINGS) * i64::try_from(OTHERS).unwrap()
    })
    .await;
    assert!(flood.is_running(), "all this was during the flood");
    let fault = fault_of(&admin, &loud.serial).await;
    assert!(fault["cause"]["n"].as_u64() > Some(20), "{fault}");
    if external {
        every_message_is_accounted_for(&db, &admin, flood, &broker, loud).await;
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// The one fault of a device that floods; nobody else has one.
async fn fault_of(admin: &Api, serial: &str) -> Value {
    let fault = eventually("a fault of the device", AFTER_A_KILL, || async {
        let open = admin.open_incidents().await;
        let faults: Vec<_> = open.into_iter().filter(|one| one["cause"]["kind"] == "device_flood").collect();
        assert!(faults.iter().all(|one| one["cause"]["serial"] == serial), "{faults:#?}");
        faults.into_iter().next()
    })
    .await;
    assert_eq!(text(&fault, "kind"), "system");
    fault
}

/// What the broker has acknowledged is stored or counted, and a call of the very device that floods is heard.
async fn every_message_is_accounted_for(db: &TestDb, admin: &Api, flood: Flood, broker: &str, loud: &Button) {
    let acknowledged = flood.stop().await;
    let own = format!(
        "observation o JOIN device d ON d.id = o.device_id WHERE o.kind = 'room_temperature' AND d.serial = '{}'",
        loud.serial
    );
    eventually_true("every message of the flood", AFTER_A_KILL, || async {
        let left_out = admin.get("/api/v1/system").await["broker"]["left_out"].as_u64().unwrap();
        let stored = Connection::open(db).count(&own).unsigned_abs();
        assert!(stored + left_out <= acknowledged, "{stored} and {left_out} of {acknowledged}");
        stored + left_out == acknowledged
    })
    .await;
    let again = Flood::start(broker.to_owned(), loud.clone());
    eventually_true("it floods again", SOON, || async { again.acknowledged() > 400 }).await;
    drop(again);
    let sent = publish(broker, loud, "event", br#"{"id":"8-1","event":"fall"}"#).await;
    assert!(sent.ok, "{}", sent.said);
    eventually_true("its own call", SOON, || async {
        admin.open_incidents().await.iter().any(|one| one["kind"] == "fall")
    })
    .await;
}

/// A device that behaves: one reading after another, each when the one before is acknowledged.
async fn say(broker: String, button: Button) {
    let (mut stream, code) = sign_in(&broker, &button).await.expect("let in");
    assert_eq!(code, 0);
    for n in 1..=READINGS {
        stream.write_all(&message(&button, "telemetry", n, &reading(&format!("1-{n}")))).await.unwrap();
        let mut ack = [0; 4];
        let acked = tokio::time::timeout(Duration::from_secs(30), stream.read_exact(&mut ack)).await;
        acked.expect("acknowledged").unwrap();
    }
}
