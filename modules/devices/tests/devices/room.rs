//! A disk without room: readings are judged and not kept, whatever happens is.

use std::time::Duration;

use diesel::prelude::*;
use songhe_adapter_core::{EventKind, Measure};
use songhe_devices::Accepted;
use songhe_devices::observations;
use songhe_devices::schema::{device_health, inbox};
use songhe_devices::sparing::NOT_KEPT;
use songhe_kernel::Db;
use songhe_kernel::db::room::Level;
use songhe_testkit::{MIGRATED, TestDb, both_databases};

use crate::common::{Street, street};

/// The database refuses readings, as each says it when the disk is full.
async fn refuse_readings(street: &Street) {
    let make = |db: &mut Db| {
        match db {
            Db::Sqlite(conn) => {
                diesel::sql_query(
                    "CREATE TRIGGER no_room BEFORE INSERT ON observation WHEN NEW.active IS NULL \
                     BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
                )
                .execute(conn)?;
            }
            Db::Pg(conn) => {
                diesel::sql_query(
                    "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.active IS NULL THEN \
                     RAISE EXCEPTION 'could not extend file \"base/1/2\": No space left on device' USING ERRCODE = '53100'; \
                     END IF; RETURN NEW; END $$",
                )
                .execute(conn)?;
                diesel::sql_query(
                    "CREATE TRIGGER no_room BEFORE INSERT ON observation FOR EACH ROW EXECUTE FUNCTION no_room()",
                )
                .execute(conn)?;
            }
        }
        Ok(())
    };
    street.db.write(move |tx| make(tx.db())).await.unwrap();
}

async fn allow_readings(street: &Street) {
    let drop = |db: &mut Db| {
        match db {
            Db::Sqlite(conn) => diesel::sql_query("DROP TRIGGER no_room").execute(conn)?,
            Db::Pg(conn) => diesel::sql_query("DROP TRIGGER no_room ON observation").execute(conn)?,
        };
        Ok(())
    };
    street.db.write(move |tx| drop(tx.db())).await.unwrap();
}

async fn heart_rate(street: &Street, id: &str, value: &str) -> Accepted {
    street.accept(street.reading("SH-1", id, Measure::HeartRate, value)).await
}

/// Kinds of the observations that are stored.
async fn kinds(street: &Street) -> Vec<String> {
    street.observations().await.into_iter().map(|(kind, _)| kind).collect()
}

both_databases! {
    from MIGRATED;

    async fn without_room_readings_are_judged_and_not_kept_and_calls_are(test: TestDb) {
        let street = street(&test).await;
        street.rule(Measure::HeartRate, (Some(120), None), 0).await;
        street.db.room().measure(Level::Short, 1);
        assert_eq!(heart_rate(&street, "1", "72").await, Accepted::Judged);
        assert_eq!(heart_rate(&street, "2", "150").await, Accepted::Judged);
        let incidents = street.incidents().await;
        assert_eq!(incidents.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>(), ["threshold"], "it still pages");
        let cord = street.here.cord;
        let states = street.db.read(move |db| observations::states(db, &[cord])).await.unwrap();
        assert_eq!(states[0].value_micro, Some(150_000_000), "the latest state stands");
        let heard = street.db.read(|db| Ok(device_health::table.count().get_result::<i64>(db)?)).await.unwrap();
        assert_eq!(heard, 1, "nobody takes it for silent");
        let known = street.db.read(|db| Ok(inbox::table.count().get_result::<i64>(db)?)).await.unwrap();
        assert_eq!((known, kinds(&street).await.len()), (0, 0));
        assert_eq!(street.db.gauge(NOT_KEPT), 2);
        // What happens is kept, with its readings.
        assert_eq!(street.accept(street.sos("SH-1", "3")).await, Accepted::Stored);
        let door = street.told("SH-2", "4", EventKind::DoorOpen, true, 0);
        assert_eq!(street.accept(door.clone()).await, Accepted::Stored);
        assert_eq!(street.accept(door).await, Accepted::Duplicate);
        assert_eq!(kinds(&street).await, ["sos", "door_open"]);
        street.db.room().measure(Level::Low, 1);
        assert_eq!(heart_rate(&street, "5", "74").await, Accepted::Stored);
        assert_eq!(street.db.room_level(), Level::Low);
    }

    async fn what_the_database_refuses_for_want_of_room_is_judged_and_kept_again_later(test: TestDb) {
        let street = street(&test).await;
        assert_eq!(heart_rate(&street, "1", "70").await, Accepted::Stored);
        refuse_readings(&street).await;
        // The refusal itself tells: nobody measures that disk.
        assert_eq!(heart_rate(&street, "2", "71").await, Accepted::Judged);
        assert_eq!(street.db.room_level(), Level::Short);
        assert_eq!(heart_rate(&street, "3", "72").await, Accepted::Judged);
        assert_eq!(street.accept(street.sos("SH-1", "4")).await, Accepted::Stored);
        assert_eq!(kinds(&street).await, ["heart_rate", "sos"]);
        assert_eq!(street.quarantined().await, [], "none of them is a bad message");
        // A try now and then, and shown as one shortage.
        street.clock.advance(Duration::from_secs(11));
        assert!(!street.db.is_short_of_room() && street.db.room_level() == Level::Short);
        assert_eq!(heart_rate(&street, "5", "73").await, Accepted::Judged);
        assert!(street.db.is_short_of_room());
        allow_readings(&street).await;
        street.clock.advance(Duration::from_secs(31));
        assert_eq!(heart_rate(&street, "6", "74").await, Accepted::Stored);
        assert_eq!((street.db.room_level(), street.db.gauge(NOT_KEPT)), (Level::Plenty, 3));
    }
}
