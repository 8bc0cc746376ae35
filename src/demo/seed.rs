//! The demo's fictional street: 松柏街道, a nursing home with two floors, forty homes with care beds, about 200 devices.

use std::fmt::Write as _;
use std::path::Path;

use diesel::prelude::*;
use songhe_devices::register::{self, NewDevice, new_secret};
use songhe_devices::rules::{self, NewRule};
use songhe_incidents::Priority;
use songhe_kernel::identity::{NewUser, PasswordHash, Role, create_user, grant_role};
use songhe_kernel::schema::meta;
use songhe_kernel::{Database, Error, FacilityId, Result, Tx, UserId};
use songhe_registry::{
    self as registry, FacilityKind, Job, NewContact, NewFacility, NewPlace, NewResident, NewStaff, PlaceId, PlaceKind,
    ResidentId, Sex,
};

use super::people::{self, ACCOUNTS};
use super::{MARK, PASSWORD};
use crate::demo::simulate::Role as DeviceRole;

const FLOORS: usize = 2;
const ROOMS: usize = 6;
const BEDS: usize = 2;
const HOMES: usize = 40;

/// What the seeded street is, for later steps.
#[derive(Debug, Clone, Copy)]
struct Street {
    region: i64,
    home: FacilityId,
    station: FacilityId,
}

/// Makes everything, in steps that each hold the database shortly; the mark comes last but one, so that a demo that was
/// killed half-way is recognised as demo data and never served in production.
pub(super) async fn run(db: &Database, credentials: &Path) -> Result<()> {
    db.write(|tx| {
        diesel::insert_into(meta::table).values((meta::key.eq(MARK), meta::value.eq("1"))).execute(tx.db())?;
        Ok(())
    })
    .await?;
    let hash = tokio::task::spawn_blocking(|| PasswordHash::make(PASSWORD)).await.map_err(Error::internal)??;
    let street = db.write(street).await?;
    let family = db.write(move |tx| staff_and_accounts(tx, street, &hash)).await?;
    let mut devices = String::from("serial,secret,role\n");
    for floor in 0..FLOORS {
        devices.push_str(&step(db, move |tx, secrets| nursing_floor(tx, street.home, floor, secrets)).await?);
    }
    for block in 0..HOMES / 10 {
        devices.push_str(&step(db, move |tx, secrets| homes(tx, street.station, block, family, secrets)).await?);
    }
    db.write(move |tx| rules_of(tx, street)).await?;
    write_secret_file(credentials, &devices)
}

/// Secrets are drawn before the transaction, which may run twice; a step answers its lines of the credentials file.
async fn step(
    db: &Database,
    work: impl Fn(&mut Tx<'_>, &mut Secrets) -> Result<()> + Send + Sync + 'static,
) -> Result<String> {
    let drawn: Vec<String> = (0..80).map(|_| new_secret()).collect();
    db.write(move |tx| {
        let mut secrets = Secrets { left: drawn.clone(), csv: String::new() };
        work(tx, &mut secrets)?;
        Ok(secrets.csv)
    })
    .await
}

struct Secrets {
    left: Vec<String>,
    csv: String,
}

fn street(tx: &mut Tx<'_>) -> Result<Street> {
    let city = registry::create_region(tx, None, "演示市")?;
    let district = registry::create_region(tx, Some(city), "演示区")?;
    let region = registry::create_region(tx, Some(district), "松柏街道（演示）")?;
    let community = registry::create_region(tx, Some(region), "枫林社区（演示）")?;
    let mut home =
        NewFacility::new(region, FacilityKind::NursingHome, "nursing-home", "松柏养老院（演示）", "松柏养老院");
    home.address = Some("演示市演示区松柏路 1 号".into());
    let mut station = NewFacility::new(
        region,
        FacilityKind::CareBedStation,
        "care-beds",
        "枫林里家庭养老床位站（演示）",
        "枫林里床位站",
    );
    station.address = Some("演示市演示区枫林里".into());
    // The station serves the community; it hangs under the street, whose centre answers when nobody else does.
    let _ = community;
    Ok(Street {
        region,
        home: registry::create_facility(tx, &home, None)?,
        station: registry::create_facility(tx, &station, None)?,
    })
}

/// The accounts, what they are on the staff, and colleagues without accounts. Answers the relative's account.
fn staff_and_accounts(tx: &mut Tx<'_>, street: Street, hash: &PasswordHash) -> Result<Option<UserId>> {
    let mut family = None;
    for account in ACCOUNTS {
        let user = NewUser {
            username: account.username.into(),
            display_name: account.name.into(),
            password: hash.clone(),
            locale: None,
        };
        let id = create_user(tx, &user)?;
        let scope = match account.role {
            Role::SystemAdmin => None,
            _ => Some(street.region),
        };
        grant_role(tx, id, account.role, scope)?;
        if account.role == Role::Family {
            family = Some(id);
        }
        // Nobody can be in two shifts at once: the demo's accounts are on duty at the station, whose devices are most.
        let job = match account.role {
            Role::Carer => Some((street.station, Job::Carer)),
            Role::Nurse => Some((street.station, Job::NurseLead)),
            Role::FacilityAdmin => Some((street.station, Job::Manager)),
            _ => None,
        };
        if let Some((facility_id, job)) = job {
            registry::create_staff(
                tx,
                &NewStaff { facility_id, user_id: Some(id), name: account.name.into(), job },
                None,
            )?;
        }
    }
    colleagues(tx, street, hash)?;
    Ok(family)
}

/// Everybody else on the staff, each with an account of their own: nobody stands before a board without one.
fn colleagues(tx: &mut Tx<'_>, street: Street, hash: &PasswordHash) -> Result<()> {
    let mut n = 100;
    let jobs = [
        (Job::Carer, 6, Role::Carer),
        (Job::Nurse, 3, Role::Nurse),
        (Job::NurseLead, 3, Role::Nurse),
        (Job::Manager, 3, Role::FacilityAdmin),
    ];
    for facility_id in [street.home, street.station] {
        for (job, count, role) in jobs {
            for _ in 0..count {
                let name = people::name(n);
                let user = NewUser {
                    username: format!("staff{n}"),
                    display_name: name.clone(),
                    password: hash.clone(),
                    locale: None,
                };
                let id = create_user(tx, &user)?;
                grant_role(tx, id, role, Some(facility_id.0))?;
                registry::create_staff(tx, &NewStaff { facility_id, user_id: Some(id), name, job }, None)?;
                n += 1;
            }
        }
    }
    Ok(())
}

fn place(
    tx: &mut Tx<'_>,
    facility_id: FacilityId,
    parent: Option<PlaceId>,
    kind: PlaceKind,
    name: &str,
) -> Result<PlaceId> {
    let new = NewPlace { facility_id, parent_id: parent, kind, name: name.into(), label: None };
    registry::create_place(tx, &new, None)
}

fn resident(tx: &mut Tx<'_>, facility_id: FacilityId, place: PlaceId, n: usize, alone: bool) -> Result<ResidentId> {
    let new = NewResident {
        facility_id,
        place_id: Some(place),
        name: people::name(n),
        sex: if n.is_multiple_of(5) || n.is_multiple_of(3) { Sex::Male } else { Sex::Female },
        birth_date: people::birth_date(n),
        ability_level: i16::try_from(n * 7 % 5).ok(),
        living_alone: alone,
        fall_risk_high: n.is_multiple_of(4),
        phone: None,
    };
    registry::create_resident(tx, &new, None)
}

/// A device with its credential; its line goes into the file that the simulator reads.
#[allow(clippy::too_many_arguments)] // one column each
fn device(
    tx: &mut Tx<'_>,
    secrets: &mut Secrets,
    facility: FacilityId,
    serial: String,
    class: &str,
    name: &str,
    place: PlaceId,
    role: DeviceRole,
) -> Result<()> {
    let new = NewDevice {
        facility,
        serial: serial.clone(),
        class: class.into(),
        adapter: "songhe-mqtt".into(),
        name: name.into(),
        place: Some(place),
        resident: None,
    };
    let id = register::register(tx, &new, &["songhe-mqtt"], None)?;
    let secret = secrets.left.pop().ok_or_else(|| Error::internal("too few secrets were drawn"))?;
    register::set_secret(tx, id, &secret, None)?;
    writeln!(secrets.csv, "{serial},{secret},{}", role.as_str()).map_err(Error::internal)
}

fn nursing_floor(tx: &mut Tx<'_>, home: FacilityId, floor: usize, secrets: &mut Secrets) -> Result<()> {
    let building = match registry::places_in(tx.db(), home)?.iter().find(|place| place.parent_id.is_none()) {
        Some(building) => building.id,
        None => place(tx, home, None, PlaceKind::Building, "1号楼")?,
    };
    let level = floor + 1;
    let storey = place(tx, home, Some(building), PlaceKind::Floor, &format!("{level} 层"))?;
    for (area, serial, name) in [("走廊", "SMK", "走廊烟感"), ("活动室", "CLI", "活动室温湿度计")] {
        let id = place(tx, home, Some(storey), PlaceKind::Area, area)?;
        let role = if serial == "SMK" { DeviceRole::Smoke } else { DeviceRole::Climate };
        device(tx, secrets, home, format!("DEMO-N{level}-{serial}"), "3.1", name, id, role)?;
    }
    for room in 1..=ROOMS {
        let number = level * 100 + room;
        let room_id = place(tx, home, Some(storey), PlaceKind::Room, &format!("{number} 室"))?;
        device(tx, secrets, home, format!("DEMO-N{number}-PULL"), "3.1", "卫生间拉绳", room_id, DeviceRole::Call)?;
        for bed in 1..=BEDS {
            let bed_id = place(tx, home, Some(room_id), PlaceKind::Bed, &format!("{bed} 床"))?;
            let n = (floor * ROOMS + room - 1) * BEDS + bed - 1;
            resident(tx, home, bed_id, n, false)?;
            let serial = |kind: &str| format!("DEMO-N{number}-{bed}-{kind}");
            device(tx, secrets, home, serial("CALL"), "3.1", "床头呼叫器", bed_id, DeviceRole::Call)?;
            device(tx, secrets, home, serial("BED"), "3.2", "智能床垫", bed_id, DeviceRole::Mattress)?;
        }
    }
    Ok(())
}

fn homes(
    tx: &mut Tx<'_>,
    station: FacilityId,
    block: usize,
    family: Option<UserId>,
    secrets: &mut Secrets,
) -> Result<()> {
    let building = place(tx, station, None, PlaceKind::Building, &format!("枫林里 {} 号", block + 1))?;
    for n in 0..10 {
        let number = block * 10 + n;
        let flat = format!("{}0{} 室", n / 2 + 1, n % 2 + 1);
        let home = place(tx, station, Some(building), PlaceKind::Home, &flat)?;
        let person = resident(tx, station, home, 30 + number, number.is_multiple_of(3))?;
        let contact = NewContact {
            rank: Some(1),
            name: people::name(60 + number),
            relation: if number.is_multiple_of(2) { "女儿".into() } else { "儿子".into() },
            phone: None,
            user_id: family.filter(|_| number == 0),
        };
        registry::add_contact(tx, person, &contact, None)?;
        care_bed(tx, person)?;
        let serial = |kind: &str| format!("DEMO-H{:02}-{kind}", number + 1);
        device(tx, secrets, station, serial("CALL"), "3.1", "一键呼叫器", home, DeviceRole::Call)?;
        device(tx, secrets, station, serial("BED"), "3.2", "智能床垫", home, DeviceRole::Mattress)?;
        match number % 3 {
            0 => device(tx, secrets, station, serial("SMK"), "3.1", "厨房烟感", home, DeviceRole::Smoke)?,
            1 => device(tx, secrets, station, serial("GAS"), "3.1", "厨房燃气探测器", home, DeviceRole::Gas)?,
            _ => device(tx, secrets, station, serial("FALL"), "3.1", "卫生间跌倒雷达", home, DeviceRole::Fall)?,
        }
        if number.is_multiple_of(2) {
            device(tx, secrets, station, serial("CLI"), "3.1", "卧室温湿度计", home, DeviceRole::Climate)?;
        }
    }
    Ok(())
}

#[cfg(feature = "care-beds")]
fn care_bed(tx: &mut Tx<'_>, resident: ResidentId) -> Result<()> {
    songhe_care_beds::create_care_bed(tx, &songhe_care_beds::NewCareBed::new(resident), None)?;
    Ok(())
}

#[cfg(not(feature = "care-beds"))]
fn care_bed(_: &mut Tx<'_>, _: ResidentId) -> Result<()> {
    Ok(())
}

/// The limits of domain/care.md: a room below 16 ℃ or above 32 ℃ for half an hour; a heart rate of 40 or 131 held for a
/// minute.
fn rules_of(tx: &mut Tx<'_>, street: Street) -> Result<()> {
    const UNIT: i64 = 1_000_000;
    for facility in [street.home, street.station] {
        let rule = |name: &str, measure: &str, below: i64, above: i64, hysteresis: i64, onset_seconds| NewRule {
            facility,
            name: name.into(),
            measure: measure.into(),
            above_micro: Some(above * UNIT),
            below_micro: Some(below * UNIT),
            hysteresis_micro: hysteresis * UNIT,
            onset_seconds,
            priority: Priority::High,
        };
        rules::create_rule(tx, &rule("室温异常", "room_temperature", 16, 32, 1, 1_800))?;
        rules::create_rule(tx, &rule("心率异常", "heart_rate", 40, 131, 5, 60))?;
    }
    Ok(())
}

fn write_secret_file(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::Internal(format!("{} cannot be written: {error}", path.display())))?;
    file.write_all(text.as_bytes()).map_err(Error::internal)
}
