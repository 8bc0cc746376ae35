//! The latest state of each device: under load it is written together, after a kill it is made good.

use std::time::Duration;

use diesel::prelude::*;
use futures_util::future::join_all;
use songhe_adapter_core::{EventKind, Measure};
use songhe_devices::observations;
use songhe_devices::schema::{device_health, device_state};
use songhe_devices::{Accepted, DeviceId};
use songhe_testkit::{MIGRATED, TestDb, both_databases};

use crate::common::{self, Street, street};

async fn value_of(street: &Street, device: DeviceId) -> Option<i64> {
    let states = street.db.read(move |db| observations::states(db, &[device])).await.unwrap();
    states.into_iter().find(|state| state.kind == "heart_rate").and_then(|state| state.value_micro)
}

/// Waits for what is written a while after its message was accepted.
async fn wait_for_value(street: &Street, device: DeviceId, value: i64) {
    let asked = async {
        while value_of(street, device).await != Some(value) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("the latest state never came");
}

both_databases! {
    from MIGRATED;

    async fn under_load_the_latest_state_is_that_of_the_newest_reading(test: TestDb) {
        let street = street(&test).await;
        // Two rounds: what the first one put off must not come after the second.
        for round in 1..=2 {
            let readings = (0..300).map(|n| {
                let id = format!("{round}-{n}");
                let ago = if n == 150 { 0 } else { 600 - n };
                let value = (if n == 150 { 60 + round } else { 100 }).to_string();
                street.accept(street.read_before("SH-1", &id, Measure::HeartRate, &value, ago, false))
            });
            let accepted = join_all(readings).await;
            assert!(accepted.iter().all(|one| *one == Accepted::Stored));
            wait_for_value(&street, street.here.cord, (60 + round) * 1_000_000).await;
            street.clock.advance(Duration::from_secs(1));
        }
        assert_eq!(street.observations().await.len(), 600);
    }

    async fn the_same_message_twice_in_one_batch_is_stored_once(test: TestDb) {
        let street = street(&test).await;
        let again = (0..200).map(|n| {
            let id = format!("1-{}", n / 2);
            street.accept(street.reading("SH-1", &id, Measure::HeartRate, "70"))
        });
        let stored = join_all(again).await.into_iter().filter(|one| *one == Accepted::Stored).count();
        assert_eq!((stored, street.observations().await.len()), (100, 100));
    }

    async fn what_a_kill_left_out_is_made_good_at_the_next_start(test: TestDb) {
        let street = street(&test).await;
        street.accept(street.reading("SH-1", "1", Measure::HeartRate, "71")).await;
        street.accept(street.told("SH-2", "2", EventKind::DoorOpen, true, 0)).await;
        let forget = |tx: &mut songhe_kernel::Tx<'_>| {
            diesel::delete(device_state::table).execute(tx.db())?;
            diesel::delete(device_health::table).execute(tx.db())?;
            Ok(())
        };
        street.db.write(forget).await.unwrap();
        let (cord, sensor) = (street.here.cord, street.here.sensor);
        let street = common::Street::restart(street).await;
        wait_for_value(&street, cord, 71_000_000).await;
        let health = street.db.read(move |db| observations::health(db, &[cord, sensor])).await.unwrap();
        assert_eq!(health.len(), 2, "when they were heard is known again");
    }
}
