//! A street with two facilities, each with a building, a room of two beds, and staff; a clock that stands still.

use std::sync::Arc;

use songhe_kernel::db::DatabaseSettings;
use songhe_kernel::identity::{NewUser, PasswordHash, Role, create_user, grant_role};
use songhe_kernel::vault::KeyRing;
use songhe_kernel::{Database, FacilityId, ManualClock, Tx, UserId};
use songhe_registry::*;
use songhe_testkit::TestDb;

pub struct Street {
    pub db: Database,
    pub region: i64,
    pub here: House,
    pub elsewhere: House,
}

#[derive(Clone)]
pub struct House {
    pub facility: FacilityId,
    pub building: PlaceId,
    pub room: PlaceId,
    pub beds: [PlaceId; 2],
    pub carer: StaffId,
    pub nurse: StaffId,
    pub carer_user: UserId,
}

pub async fn street(test: &TestDb) -> Street {
    // 16:00 in Shanghai, a Sunday.
    let clock = Arc::new(ManualClock::at("2026-11-22T08:00:00Z".parse().unwrap()));
    let db = Database::open(&DatabaseSettings::new(test.url()).with_keys(KeyRing::draw()), clock, 0).unwrap();
    let password = PasswordHash::make("correct-horse").unwrap();
    let (region, here, elsewhere) = db
        .write(move |tx| {
            let city = create_region(tx, None, "滨江市")?;
            let region = create_region(tx, Some(city), "梧桐街道")?;
            let here = house(tx, region, "梧桐里养老院", "carer", &password)?;
            let elsewhere = house(tx, region, "柳岸养老院", "other", &password)?;
            let admin = user(tx, "admin", &password)?;
            grant_role(tx, admin, Role::FacilityAdmin, Some(here.facility.0))?;
            Ok((region, here, elsewhere))
        })
        .await
        .unwrap();
    Street { db, region, here, elsewhere }
}

fn user(tx: &mut Tx<'_>, name: &str, password: &PasswordHash) -> songhe_kernel::Result<UserId> {
    let new =
        NewUser { username: name.to_owned(), display_name: name.to_owned(), password: password.clone(), locale: None };
    create_user(tx, &new)
}

fn house(
    tx: &mut Tx<'_>,
    region: i64,
    name: &str,
    carer: &str,
    password: &PasswordHash,
) -> songhe_kernel::Result<House> {
    let new = NewFacility::new(region, FacilityKind::NursingHome, "nursing-home", name, "养老院");
    let facility = create_facility(tx, &new, None)?;
    let building = create_place(tx, &new_place(facility, None, PlaceKind::Building, "2号楼"), None)?;
    let floor = create_place(tx, &new_place(facility, Some(building), PlaceKind::Floor, "3层"), None)?;
    let room = create_place(tx, &new_place(facility, Some(floor), PlaceKind::Room, "305 室"), None)?;
    let first = create_place(tx, &new_place(facility, Some(room), PlaceKind::Bed, "1 床"), None)?;
    let second = create_place(tx, &new_place(facility, Some(room), PlaceKind::Bed, "2 床"), None)?;
    let carer_user = user(tx, carer, password)?;
    grant_role(tx, carer_user, Role::Carer, Some(facility.0))?;
    Ok(House {
        facility,
        building,
        room,
        beds: [first, second],
        carer: create_staff(tx, &new_staff(facility, Some(carer_user), "李护理", Job::Carer), None)?,
        nurse: create_staff(tx, &new_staff(facility, None, "王护士", Job::Nurse), None)?,
        carer_user,
    })
}

pub fn new_place(facility_id: FacilityId, parent_id: Option<PlaceId>, kind: PlaceKind, name: &str) -> NewPlace {
    NewPlace { facility_id, parent_id, kind, name: name.to_owned(), label: None }
}

pub fn new_staff(facility_id: FacilityId, user_id: Option<UserId>, name: &str, job: Job) -> NewStaff {
    NewStaff { facility_id, user_id, name: name.to_owned(), job }
}

pub fn new_resident(facility_id: FacilityId, place_id: Option<PlaceId>, name: &str) -> NewResident {
    NewResident {
        facility_id,
        place_id,
        name: name.to_owned(),
        sex: Sex::Female,
        birth_date: "1944-11-23".parse().ok(),
        ability_level: Some(2),
        living_alone: false,
        fall_risk_high: true,
        phone: None,
    }
}
