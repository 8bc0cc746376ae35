//! Silence and low batteries: incidents that open once, tell when they are over, and stay until a person closes them.

use std::time::Duration;

use crate::common::{Street, adapters, street};
use diesel::prelude::*;
use serde_json::json;
use songhe_adapter_core::Measure;
use songhe_devices::lifecycle::{self, Status};
use songhe_devices::online::Heartbeat;
use songhe_devices::{DeviceId, Message, NewDevice, faults, gateways};
use songhe_incidents::schema::{incident, incident_entry};
use songhe_testkit::{MIGRATED, TestDb, both_databases};

impl Street {
    /// A look each minute, as the timer has it.
    async fn minutes(&self, minutes: u32) {
        for _ in 0..minutes {
            self.clock.advance(Duration::from_secs(60));
            self.look().await;
        }
    }

    /// Looks as seldom as is still no pause.
    async fn hours(&self, hours: u32) {
        for _ in 0..hours * 24 {
            self.clock.advance(Duration::from_secs(150));
            self.look().await;
        }
    }

    async fn look(&self) {
        self.db.write(faults::look_for_silence).await.unwrap();
    }

    /// Kind, priority, presses and source of all incidents that nobody closed.
    async fn open(&self) -> Vec<(String, String, i32, String)> {
        self.db
            .read(|db| {
                Ok(incident::table
                    .filter(incident::open_key.is_not_null())
                    .order(incident::id.asc())
                    .select((incident::kind, incident::priority, incident::presses, incident::source))
                    .load(db)?)
            })
            .await
            .unwrap()
    }

    async fn cleared(&self) -> i64 {
        let told = incident_entry::table.filter(incident_entry::kind.eq("cleared")).count();
        self.db.read(move |db| Ok(told.get_result(db)?)).await.unwrap()
    }

    async fn add(&self, serial: &str, adapter: &str, class: &str) -> DeviceId {
        let new = NewDevice {
            facility: self.here.facility,
            serial: serial.to_owned(),
            class: class.to_owned(),
            adapter: adapter.to_owned(),
            name: format!("设备 {serial}"),
            place: None,
            resident: None,
        };
        self.db.write(move |tx| gateways::register(tx, &new, &adapters(), None)).await.unwrap()
    }

    async fn speaks(&self, serial: &str) {
        let id = self.now().unix_ms().to_string();
        self.accept(self.reading(serial, &id, Measure::RoomTemperature, "21")).await;
    }
}

fn offline(priority: &str, source: &str) -> (String, String, i32, String) {
    ("device_offline".into(), priority.into(), 1, source.into())
}

fn said(path: &str, payload: &str) -> Message {
    let topic = format!("zigbee2mqtt/{path}");
    Message { source: "test", topic, payload: payload.as_bytes().to_vec(), retained: false }
}

both_databases! {
    from MIGRATED;

    async fn a_guard_that_falls_silent_is_one_incident_and_a_contact_that_sleeps_is_none(test: TestDb) {
        let street = street(&test).await;
        let sensor = street.here.sensor;
        street.db.write(move |tx| lifecycle::set_heartbeat(tx, sensor, Heartbeat::Daily, None)).await.unwrap();
        for serial in ["SH-1", "SH-2"] {
            street.speaks(serial).await;
        }
        street.look().await;
        street.minutes(15).await;
        assert_eq!(street.open().await, [], "not yet");
        street.minutes(1).await;
        assert_eq!(street.open().await, [offline("medium", "床头拉绳")]);
        street.minutes(60).await;
        assert_eq!(street.open().await, [offline("medium", "床头拉绳")], "joined by nothing, and LA-1 was never heard");
        street.speaks("SH-1").await;
        street.minutes(2).await;
        assert_eq!(street.cleared().await, 1);
        assert_eq!(street.open().await.len(), 1, "a person closes it");
        street.minutes(16).await;
        assert_eq!(street.open().await[0].2, 2, "silent a second time, it joins the open one");
        street.hours(25).await;
        let low: Vec<_> = street.open().await.into_iter().filter(|one| one.1 == "low").collect();
        assert_eq!(low, [offline("low", "室温传感器")]);
    }

    async fn silence_counts_only_while_songhe_listens_and_its_clock_goes_on(test: TestDb) {
        let street = street(&test).await;
        street.speaks("SH-1").await;
        street.look().await;
        // It stood still, or its clock was set forward.
        street.clock.advance(Duration::from_secs(6 * 3_600));
        street.look().await;
        street.minutes(14).await;
        assert_eq!(street.open().await, []);
        street.speaks("SH-1").await;
        // Set back an hour, the device has its whole time again, and not an hour more.
        street.clock.step(chrono::TimeDelta::hours(-1));
        street.look().await;
        street.minutes(14).await;
        assert_eq!(street.open().await, []);
        street.minutes(3).await;
        assert_eq!(street.open().await, [offline("medium", "床头拉绳")]);
        // Nor is it told again after a restart.
        let street = street.restart().await;
        street.minutes(5).await;
        assert_eq!(street.open().await, [offline("medium", "床头拉绳")]);
    }

    async fn the_timer_looks_by_itself(test: TestDb) {
        let street = street(&test).await;
        street.speaks("SH-1").await;
        street.db.write(faults::anchor).await.unwrap();
        let running = street.run().await;
        for _ in 0..17 {
            street.clock.advance(Duration::from_secs(60));
            street.db.wakes().timers.notify_one();
            let now = street.now();
            songhe_testkit::eventually_true("a look", Duration::from_secs(20), || async {
                street.db.read(faults::looked_at).await.unwrap() == Some(now)
            })
            .await;
        }
        assert_eq!(street.open().await, [offline("medium", "床头拉绳")]);
        running.stop().await;
    }

    async fn what_is_in_maintenance_or_out_of_use_alarms_nobody(test: TestDb) {
        let street = street(&test).await;
        let (cord, sensor) = (street.here.cord, street.here.sensor);
        for serial in ["SH-1", "SH-2"] {
            street.speaks(serial).await;
        }
        street.look().await;
        street
            .db
            .write(move |tx| {
                lifecycle::set_status(tx, cord, Status::Maintenance, "换电池", None)?;
                lifecycle::set_status(tx, sensor, Status::Decommissioned, "已损坏", None)
            })
            .await
            .unwrap();
        street.minutes(40).await;
        assert_eq!(street.open().await, []);
        street.db.write(move |tx| lifecycle::set_status(tx, cord, Status::Active, "", None)).await.unwrap();
        street.minutes(1).await;
        assert_eq!(street.open().await, [offline("medium", "床头拉绳")]);
    }

    async fn many_at_once_are_one_incident(test: TestDb) {
        let street = street(&test).await;
        for number in 0..7 {
            street.add(&format!("M-{number}"), "songhe-mqtt", "3.1").await;
            street.speaks(&format!("M-{number}")).await;
        }
        street.look().await;
        street.minutes(20).await;
        assert_eq!(street.open().await, [offline("medium", "设备 M-0 ×7")]);
        for number in 0..7 {
            assert_eq!(street.cleared().await, 0);
            street.speaks(&format!("M-{number}")).await;
            street.look().await;
        }
        assert_eq!(street.cleared().await, 1, "with the last of them");
    }

    async fn behind_a_gateway_that_is_off_line_silence_is_the_gateways(test: TestDb) {
        let street = street(&test).await;
        street.add("GW-1", "zigbee2mqtt", "5").await;
        let (one, two) = ("0x00158d0001e5c3a1", "0x00158d0001e5c3a2");
        let named = |address: &str, name: &str| json!({ "ieee_address": address, "friendly_name": name });
        let inventory = json!([named(one, "one"), named(two, "two")]).to_string();
        street.ingest.accept(said("bridge/devices", &inventory)).await.unwrap();
        for address in [one, two] {
            street.add(address, "zigbee2mqtt", "3.1").await;
        }
        for name in ["one", "two"] {
            street.ingest.accept(said(name, r#"{"contact":true}"#)).await.unwrap();
        }
        street.look().await;
        street.minutes(8).await;
        street.ingest.accept(said("bridge/state", r#"{"state":"offline"}"#)).await.unwrap();
        street.minutes(30).await;
        assert_eq!(street.open().await, [offline("medium", "设备 GW-1")]);
        // It is back; one of its devices is, too.
        street.ingest.accept(said("bridge/state", r#"{"state":"online"}"#)).await.unwrap();
        street.ingest.accept(said("one", r#"{"contact":false}"#)).await.unwrap();
        street.minutes(10).await;
        assert_eq!(street.open().await.len(), 1, "the other has its time to be heard");
        street.ingest.accept(said("one", r#"{"contact":true}"#)).await.unwrap();
        street.minutes(6).await;
        assert_eq!(street.open().await[1..], [offline("medium", &format!("设备 {two}"))]);
    }

    async fn a_low_battery_is_told_once_and_a_new_one_is_noted(test: TestDb) {
        let street = street(&test).await;
        let look = || async { street.db.write(faults::look_for_low_batteries).await.unwrap() };
        for (id, percent, open, cleared) in
            [("1", "21", 0, 0), ("2", "20", 1, 0), ("3", "12", 1, 0), ("4", "22", 1, 0), ("5", "100", 1, 1)]
        {
            street.clock.advance(Duration::from_secs(600));
            street.accept(street.reading("SH-1", id, Measure::BatteryPercent, percent)).await;
            look().await;
            look().await;
            let told = street.open().await;
            assert_eq!((told.len(), street.cleared().await), (open, cleared), "{percent} %: {told:?}");
            assert!(told.iter().all(|one| (one.0.as_str(), one.1.as_str(), one.2) == ("low_battery", "low", 1)), "{told:?}");
        }
    }
}
