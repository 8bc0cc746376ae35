//! A street with a care-bed station, another station, and a nursing home where care beds are off; each has a resident in
//! a private home. The real background work runs; the clock stands still until moved.

use std::sync::Arc;
use std::time::Duration;

use songhe_care_beds::*;
use songhe_incidents::act::{self, Closing, FollowUp};
use songhe_incidents::report::cause_of;
use songhe_incidents::{IncidentId, Kind, Outcome, Report, report};
use songhe_kernel::db::DatabaseSettings;
use songhe_kernel::identity::{NewUser, PasswordHash, Role, Scope, create_user, grant_role};
use songhe_kernel::runtime::{self, Opened, Runtime};
use songhe_kernel::vault::KeyRing;
use songhe_kernel::{Clock, Database, FacilityId, ManualClock, Modules, Result, Tx, UserId};
use songhe_registry::*;
use songhe_testkit::{TestDb, eventually};

#[derive(Debug, Clone, Copy)]
pub struct House {
    pub facility: FacilityId,
    pub home: PlaceId,
    pub resident: ResidentId,
}

pub struct Street {
    pub db: Database,
    pub clock: Arc<ManualClock>,
    pub here: House,
    pub elsewhere: House,
    /// Care beds are off here.
    pub off: House,
    pub nurse: UserId,
    runtime: Runtime,
    _opened: Opened,
}

impl Street {
    pub async fn open(test: &TestDb) -> Self {
        // 16:00 in Shanghai, a Sunday.
        let clock = Arc::new(ManualClock::at("2026-11-22T08:00:00Z".parse().unwrap()));
        let opened =
            runtime::open(&DatabaseSettings::new(test.url()).with_keys(KeyRing::draw()), clock.clone()).await.unwrap();
        let db = opened.db.clone();
        let runtime = Runtime::start(&opened, Modules::new(vec![Arc::new(CareBeds)])).await.unwrap();
        let password = PasswordHash::make("correct-horse").unwrap();
        let (here, elsewhere, off, nurse) = db
            .write(move |tx| {
                let street = create_region(tx, None, "梧桐街道")?;
                let station = FacilityKind::CareBedStation;
                let here = house(tx, street, station, "care-beds", "梧桐里站", "陈秀英")?;
                let elsewhere = house(tx, street, station, "care-beds", "柳岸站", "周桂兰")?;
                let off = house(tx, street, FacilityKind::NursingHome, "nursing-home", "松柏养老院", "吴国华")?;
                let nurse = user(tx, "nurse", &password, Role::Nurse, Some(here.facility.0))?;
                user(tx, "supervisor", &password, Role::Supervisor, Some(street))?;
                user(tx, "admin", &password, Role::SystemAdmin, None)?;
                Ok((here, elsewhere, off, nurse))
            })
            .await
            .unwrap();
        Self { db, clock, here, elsewhere, off, nurse, runtime, _opened: opened }
    }

    pub async fn close(self) {
        self.runtime.stop().await;
    }

    pub async fn bed(&self, house: House) -> CareBedId {
        let new = NewCareBed::new(house.resident);
        self.db.write(move |tx| create_care_bed(tx, &new, None)).await.unwrap()
    }

    pub async fn call(&self, house: House, kind: Kind) -> IncidentId {
        let now = self.clock.now();
        let told = Report {
            kind,
            priority: None,
            facility: house.facility,
            scenario: "care-beds".into(),
            place: Some(house.home),
            place_label: "家".into(),
            resident: Some(house.resident),
            device: None,
            discriminator: String::new(),
            source: "床头呼叫器".into(),
            detail: String::new(),
            cause: cause_of(kind.as_str(), now),
            observed_at: now,
            received_at: now,
        };
        self.db.write_emergency(move |tx| Ok(report(tx, &told)?.incident)).await.unwrap()
    }

    pub async fn answer(&self, id: IncidentId, after_s: u64) {
        self.clock.advance(Duration::from_secs(after_s));
        let by = self.nurse;
        self.db.write(move |tx| act::acknowledge(tx, id, by)).await.unwrap();
    }

    pub async fn arrive(&self, id: IncidentId, after_s: u64) {
        self.clock.advance(Duration::from_secs(after_s));
        let by = self.nurse;
        self.db.write(move |tx| act::arrive(tx, id, by, false)).await.unwrap();
    }

    pub async fn resolve(&self, id: IncidentId, outcome: Outcome) {
        let closing = Closing {
            outcome: Some(outcome),
            note: "扶起，无外伤".into(),
            follow_up_kind: Some(FollowUp::None),
            follow_up: String::new(),
            follow_up_due: None,
            duplicate_of: None,
        };
        let (by, resolution) = (self.nurse, closing.check().unwrap());
        self.db.write(move |tx| act::resolve(tx, id, by, &resolution)).await.unwrap();
    }

    pub async fn indicators(&self) -> Indicators {
        let now = self.clock.now();
        self.db.read(move |db| indicators(db, &Scope::All, now)).await.unwrap()
    }

    /// The figures of a facility; `None` where the module is off.
    pub async fn figures(&self, house: House) -> Option<CallFigures> {
        let all = self.indicators().await.facilities;
        all.into_iter().find(|found| found.facility_id == house.facility).map(|found| found.emergency_call)
    }

    /// Waits until the walked events make the figures of a facility so.
    pub async fn until(&self, house: House, wanted: impl Fn(&CallFigures) -> bool) -> CallFigures {
        let wanted = &wanted;
        eventually("the events to be walked", Duration::from_secs(10), || async move {
            self.figures(house).await.filter(wanted)
        })
        .await
    }
}

fn house(
    tx: &mut Tx<'_>,
    street: i64,
    kind: FacilityKind,
    scenario: &'static str,
    name: &str,
    resident: &str,
) -> Result<House> {
    let facility = create_facility(tx, &NewFacility::new(street, kind, scenario, name, name), None)?;
    let home =
        NewPlace {
            facility_id: facility, parent_id: None, kind: PlaceKind::Home, name: "12-3 号".into(), label: None
        };
    let home = create_place(tx, &home, None)?;
    let resident = create_resident(tx, &new_resident(facility, Some(home), resident), None)?;
    Ok(House { facility, home, resident })
}

pub fn new_resident(facility_id: FacilityId, place_id: Option<PlaceId>, name: &str) -> NewResident {
    NewResident {
        facility_id,
        place_id,
        name: name.to_owned(),
        sex: Sex::Female,
        birth_date: "1944-11-23".parse().ok(),
        ability_level: Some(2),
        living_alone: true,
        fall_risk_high: false,
        phone: None,
    }
}

fn user(tx: &mut Tx<'_>, name: &str, password: &PasswordHash, role: Role, node: Option<i64>) -> Result<UserId> {
    let new =
        NewUser { username: name.to_owned(), display_name: name.to_owned(), password: password.clone(), locale: None };
    let id = create_user(tx, &new)?;
    grant_role(tx, id, role, node)?;
    Ok(id)
}
