//! What an external broker kept while Songhe was away is taken once: an acknowledgement follows each commit, even if the
//! broker sends on without waiting for any.

use songhe_devices::ingest::STORED;
use songhe_devices::schema::observation;
use songhe_testkit::{TestDb, both_databases, eventually_true};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::SOON;
use crate::traffic::{message, reading, sign_in};
use crate::world::{Button, House, MIGRATED, Plan, Wiring, mosquitto};

const MESSAGES: u16 = 6_000;
/// Songhe goes once so many are stored.
const FIRST: i64 = 4_000;
/// What may be stored and not yet acknowledged when it goes: the messages under way, and a few at either end.
const UNDER_WAY: i64 = 1_500;

/// Publishes all readings and waits until the broker has acknowledged them.
async fn publish_all(broker: &str, button: &Button) {
    let (mut stream, code) = sign_in(broker, button).await.expect("the device is let in");
    assert_eq!(code, 0);
    let mut out = Vec::new();
    for number in 1..=MESSAGES {
        out.extend(message(button, "telemetry", number, &reading(&format!("9-{number}"))));
    }
    let (mut acks, mut publishing) = stream.split();
    let mut answers = vec![0; usize::from(MESSAGES) * 4];
    let (sent, answered) = tokio::join!(publishing.write_all(&out), acks.read_exact(&mut answers));
    sent.unwrap();
    answered.unwrap();
}

async fn stored(house: &House) -> i64 {
    use diesel::prelude::*;
    house.server().db.read(|db| Ok(observation::table.count().get_result(db)?)).await.unwrap()
}

both_databases! {
    from MIGRATED;

    async fn a_backlog_behind_mosquitto_is_acknowledged_as_it_is_stored(db: TestDb) {
        let plan = Plan::default();
        let mut house = House::start_with(db, &plan, |world| Wiring::External(mosquitto(world))).await;
        let button = house.world.buttons[0].clone();
        house.close().await;
        // One device stands for a street.
        house.configure(|config| config.mqtt.messages_per_s = 0);
        publish_all(&house.broker(), &button).await;
        house.open().await;
        let seen = |house: &House| house.server().db.gauge(STORED);
        eventually_true("most of it", SOON, || async { seen(&house) >= FIRST }).await;
        let before = stored(&house).await;
        house.close().await;
        house.open().await;
        eventually_true("all of it", SOON, || async { stored(&house).await == i64::from(MESSAGES) }).await;
        // The broker gives first what it was not told of.
        let again = seen(&house) - (i64::from(MESSAGES) - before);
        assert!(again <= UNDER_WAY, "{again} came twice after {before}");
    }
}
