//! What becomes of a message: one incident for one call, nothing lost, nothing twice, nothing acted on that must not be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{self, message, street};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use futures_util::future::join_all;
use songhe_adapter_core::{EventKind, Measure};
use songhe_devices::schema::{inbox, observation};
use songhe_devices::{Accepted, Ingest, Message};
use songhe_kernel::Db;
use songhe_testkit::{MIGRATED, TestDb, both_databases};

both_databases! {
    from MIGRATED;

    async fn a_call_for_help_is_one_incident_however_often_the_message_comes(test: TestDb) {
        let street = street(&test).await;
        let sos = street.sos("SH-1", "17-1");
        assert_eq!(street.accept(sos.clone()).await, Accepted::Stored);
        let raised = street.incidents().await;
        assert_eq!(raised.len(), 1);
        assert_eq!((raised[0].kind.as_str(), raised[0].presses, raised[0].delayed_s), ("sos", 1, None));
        assert_eq!(raised[0].resident_id, Some(street.here.resident), "device → bed → resident");
        assert_eq!(raised[0].place_label, "305 室 · 1 床");
        assert!(raised[0].cause.as_deref().unwrap().contains("\"message_id\":\"17-1\""));

        assert_eq!(street.accept(sos.clone()).await, Accepted::Duplicate);
        let second = Ingest::start(street.db.clone(), common::adapters());
        assert_eq!(second.accept(message(sos.clone())).await.unwrap(), Accepted::Duplicate);
        let street = street.restart().await;
        assert_eq!(street.accept(sos).await, Accepted::Duplicate);
        assert_eq!(street.incidents().await, raised);
        assert_eq!(street.observations().await.len(), 1);
    }

    async fn the_same_call_on_two_ways_at_once_is_stored_once_and_neither_way_fails(test: TestDb) {
        let street = street(&test).await;
        for round in 0..10 {
            let sos = street.sos("SH-1", &format!("17-{round}"));
            let other = Ingest::start(street.db.clone(), common::adapters());
            let ways = [&street.ingest, &street.ingest, &other];
            let answers = join_all(ways.map(|way| way.accept(message(sos.clone())))).await;
            let stored = answers.iter().filter(|answer| matches!(answer, Ok(Accepted::Stored))).count();
            let known = answers.iter().filter(|answer| matches!(answer, Ok(Accepted::Duplicate))).count();
            assert_eq!((stored, known), (1, 2), "{answers:?}");
        }
        assert_eq!(street.incidents().await[0].presses, 10);
    }

    async fn ten_presses_are_one_incident(test: TestDb) {
        let street = street(&test).await;
        for press in 0..10 {
            assert_eq!(street.accept(street.sos("SH-1", &format!("17-{press}"))).await, Accepted::Stored);
        }
        let raised = street.incidents().await;
        assert_eq!(raised.len(), 1);
        assert_eq!(raised[0].presses, 10);
    }

    async fn an_emergency_that_arrives_late_pages_and_says_how_late(test: TestDb) {
        let street = street(&test).await;
        street.accept(street.told("SH-1", "17-1", EventKind::Fall, true, 7_200)).await;
        assert_eq!(street.incidents().await[0].delayed_s, Some(7_200));
    }

    async fn a_message_without_an_id_is_known_by_its_content(test: TestDb) {
        let street = street(&test).await;
        let bare = Message {
            source: "test",
            topic: "songhe/v1/SH-1/event".into(),
            payload: br#"{"event":"sos","time":"2026-11-22T08:00:00Z"}"#.to_vec(),
            retained: false,
        };
        assert_eq!(street.ingest.accept(bare.clone()).await.unwrap(), Accepted::Stored);
        assert_eq!(street.ingest.accept(bare).await.unwrap(), Accepted::Duplicate);
    }

    async fn a_retained_emergency_pages_once_and_never_again(test: TestDb) {
        let street = street(&test).await;
        let mut kept = message(street.told("SH-1", "17-1", EventKind::Smoke, true, 90));
        kept.retained = true;
        assert_eq!(street.ingest.accept(kept.clone()).await.unwrap(), Accepted::Stored);
        assert_eq!(street.incidents().await.len(), 1);
        street.clock.advance(Duration::from_secs(40 * 86_400));
        purge(&street).await;
        assert_eq!(street.ingest.accept(kept).await.unwrap(), Accepted::Duplicate);
        assert_eq!(street.incidents().await[0].presses, 1);
    }

    async fn what_is_known_to_be_over_stays_silent_unless_the_clock_is_wrong(test: TestDb) {
        let street = street(&test).await;
        street.accept(street.told("SH-1", "17-2", EventKind::Smoke, false, 60)).await;
        assert_eq!(street.accept(street.told("SH-1", "17-1", EventKind::Smoke, true, 600)).await, Accepted::Stored);
        assert_eq!(street.incidents().await, []);
        // A battery was changed: the device believes that it is years ago.
        street.accept(street.told("SH-1", "18-1", EventKind::Smoke, true, 3 * 365 * 86_400)).await;
        assert_eq!(street.incidents().await.len(), 1);
    }

    async fn a_test_and_an_event_that_is_a_state_never_page(test: TestDb) {
        let street = street(&test).await;
        for (id, kind) in [("1", EventKind::Test), ("2", EventKind::DoorOpen), ("3", EventKind::BedExit)] {
            assert_eq!(street.accept(street.told("SH-1", id, kind, true, 0)).await, Accepted::Stored);
        }
        assert_eq!(street.incidents().await, []);
        assert_eq!(street.observations().await.len(), 3);
    }

    async fn strangers_and_garbage_are_kept_with_their_bytes_and_bound_to_nobody(test: TestDb) {
        let street = street(&test).await;
        let stranger = street.sos("XX-9", "1-1");
        assert_eq!(street.accept(stranger.clone()).await, Accepted::Quarantined);
        let garbage = |topic: &str, payload: &[u8]| {
            let message =
                Message { source: "test", topic: topic.to_owned(), payload: payload.to_vec(), retained: false };
            street.ingest.accept(message)
        };
        assert_eq!(garbage("songhe/v1/SH-1/event", b"\xff\x00nonsense").await.unwrap(), Accepted::Quarantined);
        assert_eq!(garbage("somebody/else\u{0}", b"x").await.unwrap(), Accepted::Quarantined);
        assert_eq!(garbage("songhe/v1/SH-1/telemetry", &[b'['; 20_000]).await.unwrap(), Accepted::Quarantined);
        let kept = street.quarantined().await;
        assert_eq!(kept[0], ("unknown_device".into(), Some("XX-9".into()), stranger.payload));
        assert_eq!(kept[1], ("undecodable".into(), Some("SH-1".into()), b"\xff\x00nonsense".to_vec()));
        assert_eq!(kept[2], ("no_adapter".into(), None, b"x".to_vec()));
        assert_eq!(kept[3].2.len(), 4_096, "the first bytes of a large one");
        assert_eq!(street.incidents().await, []);
        assert_eq!(street.observations().await, []);
    }

    async fn a_flood_of_strangers_does_not_fill_the_disk(test: TestDb) {
        let street = street(&test).await;
        let flood = (0..300).map(|n| street.reading("XX-9", &format!("1-{n}"), Measure::HeartRate, "70"));
        let last = street.reading("XX-9", "1-299", Measure::HeartRate, "70").payload;
        let answers = join_all(flood.map(|out| street.ingest.accept(message(out)))).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(Accepted::Quarantined))));
        for n in 0..30 {
            let noise = Message { source: "test", topic: format!("noise/{n}"), payload: vec![1], retained: false };
            street.ingest.accept(noise).await.unwrap();
        }
        let kept = street.quarantined().await;
        let of = |serial: Option<&str>| kept.iter().filter(|row| row.1.as_deref() == serial).count();
        assert_eq!((of(Some("XX-9")), of(None)), (20, 20));
        assert!(kept.iter().any(|row| row.2 == last), "the newest ones");
    }

    async fn one_message_that_the_database_refuses_does_not_hold_back_the_others(test: TestDb) {
        let street = street(&test).await;
        refuse(&street.db, "17-77").await;
        let batch = (0..500).map(|n| street.reading("SH-2", &format!("17-{n}"), Measure::Humidity, "50"));
        let answers = join_all(batch.map(|out| street.ingest.accept(message(out)))).await;
        let count = |wanted: Accepted| answers.iter().filter(|answer| answer.as_ref().ok() == Some(&wanted)).count();
        assert_eq!((count(Accepted::Stored), count(Accepted::Quarantined)), (499, 1));
        assert_eq!(answers[77].as_ref().unwrap(), &Accepted::Quarantined);
        assert_eq!(street.observations().await.len(), 499);
        assert_eq!(street.quarantined().await[0].0, "refused");
    }

    async fn a_call_that_the_database_refuses_pages_once_and_is_kept(test: TestDb) {
        let street = street(&test).await;
        refuse(&street.db, "17-1").await;
        for answer in [Accepted::Quarantined, Accepted::Duplicate] {
            let again = street.ingest.accept(message(street.sos("SH-1", "17-1"))).await.unwrap();
            assert_eq!(again, answer);
        }
        let open = street.incidents().await;
        assert_eq!(open.len(), 1);
        assert_eq!(open[0].presses, 1, "sent again it is still one press");
        assert!(street.quarantined().await.iter().all(|row| row.0 == "refused"));
    }

    async fn telemetry_does_not_stand_before_an_emergency(test: TestDb) {
        let street = street(&test).await;
        street.accept(street.reading("SH-2", "16-0", Measure::Humidity, "50")).await;
        // A transaction that takes its time: it holds the writer, on PostgreSQL what every batch of telemetry needs.
        let sensor = street.here.sensor;
        let (holds, released) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let slow = {
            let (db, holds, released) = (street.db.clone(), holds.clone(), released.clone());
            tokio::spawn(async move {
                db.write(move |tx| {
                    let at = tx.now();
                    for n in 0..3_000 {
                        let row = (
                            inbox::device_id.eq(sensor.0),
                            inbox::message_id.eq(format!("17-{n}")),
                            inbox::received_at.eq(at),
                        );
                        diesel::insert_into(inbox::table).values(row).execute(tx.db())?;
                    }
                    holds.store(true, Ordering::SeqCst);
                    while !released.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    // Nothing of it stays.
                    Err::<(), _>(songhe_kernel::Error::NotFound)
                })
                .await
            })
        };
        wait_until(|| holds.load(Ordering::SeqCst)).await;
        let answered = Arc::new(AtomicUsize::new(0));
        let telemetry: Vec<_> = (0..3_000)
            .map(|n| {
                let out = street.reading("SH-2", &format!("17-{n}"), Measure::Humidity, "50");
                let (ingest, answered) = (street.ingest.clone(), answered.clone());
                tokio::spawn(async move {
                    ingest.accept(message(out)).await.unwrap();
                    answered.fetch_add(1, Ordering::SeqCst);
                })
            })
            .collect();
        let (ingest, press) = (street.ingest.clone(), message(street.sos("SH-1", "17-1")));
        let call = tokio::spawn(async move { ingest.accept(press).await.unwrap() });
        // Told while the other one still holds on PostgreSQL; next in line for SQLite's one writer.
        wait_until(|| street.db.writer_stats().map_or(call.is_finished(), |writer| writer.waiting_emergency > 0)).await;
        assert_eq!(answered.load(Ordering::SeqCst), 0, "telemetry came first");
        released.store(true, Ordering::SeqCst);
        assert_eq!(call.await.unwrap(), Accepted::Stored);
        assert!(slow.await.unwrap().is_err());
        for task in telemetry {
            task.await.unwrap();
        }
        // The order in which the transactions ran: ids are made inside them.
        let kinds = street.observations().await;
        let place = kinds.iter().position(|(kind, _)| kind == "sos").unwrap();
        assert_eq!(place, 1, "after {place} others");
        assert_eq!(kinds.len(), 3_002);
    }

    async fn the_latest_state_is_that_of_the_newest_reading_not_of_the_last_to_arrive(test: TestDb) {
        let street = street(&test).await;
        street.accept(street.reading("SH-2", "2", Measure::Humidity, "60")).await;
        street.accept(street.read_before("SH-2", "1", Measure::Humidity, "40", 120, false)).await;
        let sensor = street.here.sensor;
        let states = street.db.read(move |db| songhe_devices::observations::states(db, &[sensor])).await.unwrap();
        assert_eq!(states[0].value_micro, Some(60_000_000));
    }

    async fn a_device_that_speaks_after_its_last_will_is_on_line(test: TestDb) {
        let street = street(&test).await;
        let state = |id: &str, retained| Message {
            source: "test",
            topic: "songhe/v1/SH-2/state".into(),
            payload: format!("{{\"id\":\"{id}\",\"online\":false}}").into_bytes(),
            retained,
        };
        let sensor = street.here.sensor;
        let online = || async {
            let health = street.db.read(move |db| songhe_devices::observations::health(db, &[sensor])).await.unwrap();
            songhe_devices::online::is_online(900, health.first(), street.now())
        };
        street.ingest.accept(state("kept", true)).await.unwrap();
        assert!(!online().await, "what a broker kept is no sign of life");
        street.accept(street.reading("SH-2", "1", Measure::Humidity, "50")).await;
        assert!(online().await);
        street.ingest.accept(state("will-1", false)).await.unwrap();
        assert!(!online().await);
        street.accept(street.read_before("SH-2", "0", Measure::Humidity, "50", 60, true)).await;
        assert!(!online().await, "it waited somewhere");
        street.accept(street.reading("SH-2", "2", Measure::Humidity, "50")).await;
        assert!(online().await);
        street.clock.advance(Duration::from_secs(901));
        assert!(!online().await);
    }

    async fn observations_remember_who_had_the_place_when_they_were_made(test: TestDb) {
        let street = street(&test).await;
        street.accept(street.reading("SH-1", "1", Measure::HeartRate, "70")).await;
        let (resident, room) = (street.here.resident, street.here.room);
        street.db.write(move |tx| songhe_registry::move_resident(tx, resident, Some(room), None)).await.unwrap();
        street.accept(street.reading("SH-1", "2", Measure::HeartRate, "71")).await;
        let of: Vec<Option<i64>> = street
            .db
            .read(|db| Ok(observation::table.order(observation::id.asc()).select(observation::resident_id).load(db)?))
            .await
            .unwrap();
        assert_eq!(of, [Some(resident.0), None]);
    }

    async fn old_messages_are_forgotten_in_slices_and_emergencies_never(test: TestDb) {
        let street = street(&test).await;
        street.accept(street.sos("SH-1", "17-1")).await;
        let (device, old) = (street.here.sensor.0, street.now());
        street
            .db
            .write(move |tx| {
                for chunk in (0..6_000).collect::<Vec<i32>>().chunks(1_000) {
                    let rows: Vec<_> = chunk
                        .iter()
                        .map(|n| {
                            let id = inbox::message_id.eq(format!("old-{n}"));
                            (inbox::device_id.eq(device), id, inbox::received_at.eq(old))
                        })
                        .collect();
                    songhe_kernel::each!(tx.db(), |conn| diesel::insert_into(inbox::table)
                        .values(&rows)
                        .execute(conn)?);
                }
                Ok(())
            })
            .await
            .unwrap();
        street.clock.advance(Duration::from_secs(31 * 86_400));
        street.accept(street.reading("SH-2", "new", Measure::Humidity, "50")).await;
        assert_eq!(purge(&street).await, 1_002, "one slice");
        assert_eq!(purge(&street).await, 2, "the emergency and the new one");
        let timers: i64 = street
            .db
            .read(|db| {
                use songhe_kernel::schema::timer;
                Ok(timer::table.filter(timer::module.eq("devices")).count().get_result(db)?)
            })
            .await
            .unwrap();
        assert_eq!(timers, 1, "armed again once, after the full slice");
    }
}

async fn wait_until(done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it never came to it");
}

/// One run of the daily purge; answers how many rows are left.
async fn purge(street: &common::Street) -> i64 {
    use songhe_kernel::{Module, Timer};
    let now = street.now();
    street
        .db
        .write(move |tx| {
            let tick = Timer {
                key: "cron:devices:purge-inbox".into(),
                module: "devices".into(),
                kind: "purge-inbox".into(),
                facility_id: None,
                data: "{}".into(),
                due_at: now,
                attempts: 0,
            };
            common::devices_module().on_timer(tx, &tick)?;
            Ok(inbox::table.count().get_result(tx.db())?)
        })
        .await
        .unwrap()
}

/// From now on the database refuses an observation of this message.
async fn refuse(db: &songhe_kernel::Database, message_id: &'static str) {
    db.write(move |tx| {
        match tx.db() {
            Db::Sqlite(conn) => conn.batch_execute(&format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON observation WHEN NEW.message_id = '{message_id}' \
                 BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
            ))?,
            Db::Pg(conn) => conn.batch_execute(&format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'refused by the test'; END $$; \
                 CREATE TRIGGER refuse BEFORE INSERT ON observation FOR EACH ROW \
                 WHEN (NEW.message_id = '{message_id}') EXECUTE FUNCTION refuse()"
            ))?,
        }
        Ok(())
    })
    .await
    .unwrap();
}
