//! A street with two nursing homes, each with a room, a bed with somebody in it, and two devices there; a clock that
//! stands still; devices that speak songhe-mqtt.

use std::sync::Arc;

use diesel::prelude::*;
use songhe_adapter_core::{Decimal, DeviceAdapter, DeviceKey, EventKind, Measure, Outbound};
use songhe_adapter_mqtt::SongheMqtt;
use songhe_adapter_mqtt::device::{Stamp, event, telemetry};
use songhe_adapter_zigbee2mqtt::Zigbee2Mqtt;
use songhe_devices::rules::{NewRule, RuleId, create_rule};
use songhe_devices::schema::{observation, quarantine};
use songhe_devices::{Accepted, Device, DeviceId, Devices, Ingest, Message, NewDevice, register};
use songhe_incidents::schema::incident;
use songhe_incidents::{IncidentId, Priority};
use songhe_kernel::db::DatabaseSettings;
use songhe_kernel::identity::{NewUser, PasswordHash, Role, create_user, grant_role};
use songhe_kernel::runtime::{self, Opened, Runtime};
use songhe_kernel::vault::KeyRing;
use songhe_kernel::{Database, FacilityId, ManualClock, Modules, Moment, Result, Tx, UserId};
use songhe_registry::*;
use songhe_testkit::TestDb;

/// 16:00 in Shanghai.
pub const START: &str = "2026-11-22T08:00:00Z";

pub struct Street {
    url: String,
    pub clock: Arc<ManualClock>,
    pub opened: Opened,
    pub db: Database,
    pub ingest: Arc<Ingest>,
    pub here: House,
    pub elsewhere: House,
}

#[derive(Clone, Copy)]
pub struct House {
    pub facility: FacilityId,
    pub room: PlaceId,
    pub bed: PlaceId,
    pub resident: ResidentId,
    /// Beside the bed, bound to it: `{serial}-1`.
    pub cord: DeviceId,
    /// In the room, bound to it: `{serial}-2`.
    pub sensor: DeviceId,
}

pub fn adapters() -> Vec<Arc<dyn DeviceAdapter>> {
    vec![Arc::new(SongheMqtt), Arc::new(Zigbee2Mqtt)]
}

pub fn devices_module() -> Devices {
    Devices::new(adapters(), "mqtt://songhe.example:1883")
}

async fn open(url: &str, clock: Arc<ManualClock>) -> (Opened, Database, Arc<Ingest>) {
    let opened = runtime::open(&DatabaseSettings::new(url).with_keys(KeyRing::draw()), clock).await.unwrap();
    let db = opened.db.clone();
    let ingest = Ingest::start(db.clone(), adapters());
    (opened, db, ingest)
}

pub async fn street(test: &TestDb) -> Street {
    let clock = Arc::new(ManualClock::at(START.parse().unwrap()));
    let (opened, db, ingest) = open(test.url(), clock.clone()).await;
    let password = PasswordHash::make("correct-horse").unwrap();
    let (here, elsewhere) = db
        .write(move |tx| {
            let city = create_region(tx, None, "滨江市")?;
            let street = create_region(tx, Some(city), "梧桐街道")?;
            let here = house(tx, street, "梧桐里养老院", "SH")?;
            let elsewhere = house(tx, street, "柳岸养老院", "LA")?;
            for (name, role) in
                [("admin", Role::FacilityAdmin), ("carer", Role::Carer), ("supervisor", Role::Supervisor)]
            {
                let user = user(tx, name, &password)?;
                grant_role(tx, user, role, Some(here.facility.0))?;
            }
            Ok((here, elsewhere))
        })
        .await
        .unwrap();
    Street { url: test.url().to_owned(), clock, opened, db, ingest, here, elsewhere }
}

fn user(tx: &mut Tx<'_>, name: &str, password: &PasswordHash) -> Result<UserId> {
    let new =
        NewUser { username: name.to_owned(), display_name: name.to_owned(), password: password.clone(), locale: None };
    create_user(tx, &new)
}

fn house(tx: &mut Tx<'_>, region: i64, name: &str, serial: &str) -> Result<House> {
    let new = NewFacility::new(region, FacilityKind::NursingHome, "nursing-home", name, "养老院");
    let facility = create_facility(tx, &new, None)?;
    let place = |parent_id, kind, name: &str| NewPlace {
        facility_id: facility,
        parent_id,
        kind,
        name: name.to_owned(),
        label: None,
    };
    let room = create_place(tx, &place(None, PlaceKind::Room, "305 室"), None)?;
    let bed = create_place(tx, &place(Some(room), PlaceKind::Bed, "1 床"), None)?;
    let lives = NewResident {
        facility_id: facility,
        place_id: Some(bed),
        name: format!("{serial} 王秀英"),
        sex: Sex::Female,
        birth_date: None,
        ability_level: None,
        living_alone: false,
        fall_risk_high: false,
        phone: None,
    };
    let resident = create_resident(tx, &lives, None)?;
    let device = |number: u8, name: &str, place| NewDevice {
        facility,
        serial: format!("{serial}-{number}"),
        class: "3.1".to_owned(),
        adapter: "songhe-mqtt".to_owned(),
        name: name.to_owned(),
        place: Some(place),
        resident: None,
    };
    let cord = register::register(tx, &device(1, "床头拉绳", bed), &["songhe-mqtt"], None)?;
    let sensor = register::register(tx, &device(2, "室温传感器", room), &["songhe-mqtt"], None)?;
    Ok(House { facility, room, bed, resident, cord, sensor })
}

/// An incident as the tests look at it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Incident {
    pub id: IncidentId,
    pub kind: String,
    pub priority: String,
    pub presses: i32,
    pub delayed_s: Option<i64>,
    pub resident_id: Option<ResidentId>,
    pub place_label: String,
    pub cause: Option<String>,
}

impl Street {
    pub fn now(&self) -> Moment {
        self.db.clock().now()
    }

    /// The process ends and another one begins on the same database.
    pub async fn restart(self) -> Self {
        let Self { url, clock, opened, db, ingest, here, elsewhere } = self;
        drop((opened, db, ingest));
        let (opened, db, ingest) = open(&url, clock.clone()).await;
        Self { url, clock, opened, db, ingest, here, elsewhere }
    }

    /// The timers of this process run.
    pub async fn run(&self) -> Runtime {
        Runtime::start(&self.opened, Modules::new(vec![Arc::new(devices_module())])).await.unwrap()
    }

    pub async fn accept(&self, out: Outbound) -> Accepted {
        self.ingest.accept(message(out)).await.unwrap()
    }

    pub async fn incidents(&self) -> Vec<Incident> {
        self.db
            .read(|db| {
                Ok(incident::table
                    .order(incident::id.asc())
                    .select((
                        incident::id,
                        incident::kind,
                        incident::priority,
                        incident::presses,
                        incident::delayed_s,
                        incident::resident_id,
                        incident::place_label,
                        incident::cause,
                    ))
                    .load(db)?)
            })
            .await
            .unwrap()
    }

    /// Kind and quality of what was stored, in the order of arrival.
    pub async fn observations(&self) -> Vec<(String, String)> {
        self.db
            .read(|db| {
                Ok(observation::table
                    .order(observation::id.asc())
                    .select((observation::kind, observation::quality))
                    .load(db)?)
            })
            .await
            .unwrap()
    }

    /// Reason, sender and bytes.
    pub async fn quarantined(&self) -> Vec<(String, Option<String>, Vec<u8>)> {
        self.db
            .read(|db| {
                Ok(quarantine::table
                    .order(quarantine::id.asc())
                    .select((quarantine::reason, quarantine::serial, quarantine::payload))
                    .load(db)?)
            })
            .await
            .unwrap()
    }

    pub async fn device(&self, id: DeviceId) -> Device {
        self.db.read(move |db| register::find(db, id)).await.unwrap().unwrap()
    }

    /// A rule of the house "here".
    pub async fn rule(&self, measure: Measure, limits: (Option<i64>, Option<i64>), onset_seconds: i32) -> RuleId {
        let new = NewRule {
            facility: self.here.facility,
            name: "限值".to_owned(),
            measure: measure.name().to_owned(),
            above_micro: limits.0.map(|limit| limit * 1_000_000),
            below_micro: limits.1.map(|limit| limit * 1_000_000),
            hysteresis_micro: 500_000,
            onset_seconds,
            priority: Priority::High,
        };
        self.db.write(move |tx| create_rule(tx, &new)).await.unwrap()
    }

    /// An event that happened `ago_s` seconds ago.
    pub fn told(&self, serial: &str, id: &str, kind: EventKind, active: bool, ago_s: i64) -> Outbound {
        let time = self.now().plus_seconds(-ago_s).utc();
        event(&key(serial), &Stamp { id, time, historical: false }, kind, active, None)
    }

    pub fn sos(&self, serial: &str, id: &str) -> Outbound {
        self.told(serial, id, EventKind::Sos, true, 0)
    }

    pub fn reading(&self, serial: &str, id: &str, measure: Measure, value: &str) -> Outbound {
        self.read_before(serial, id, measure, value, 0, false)
    }

    /// A reading that was taken `ago_s` seconds ago.
    pub fn read_before(
        &self,
        serial: &str,
        id: &str,
        measure: Measure,
        value: &str,
        ago_s: i64,
        historical: bool,
    ) -> Outbound {
        let time = self.now().plus_seconds(-ago_s).utc();
        let value: Decimal = value.parse().unwrap();
        telemetry(&key(serial), &Stamp { id, time, historical }, &[(measure, Some(value))])
    }
}

pub fn key(serial: &str) -> DeviceKey {
    DeviceKey::new(serial).unwrap()
}

pub fn message(out: Outbound) -> Message {
    Message { source: "test", topic: out.topic, payload: out.payload, retained: false }
}
