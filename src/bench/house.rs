//! The house that is measured: a nurse on duty with a live board, buttons and sensors, and a limit on what they measure.

use std::time::Duration;

use songhe_devices::register::{self, NewDevice};
use songhe_devices::rules::{self, NewRule};
use songhe_incidents::{Priority, presence};
use songhe_kernel::identity::{NewUser, PasswordHash, Role, create_user, grant_role};
use songhe_kernel::{Database, FacilityId, UserId};
use songhe_registry::{self as registry, FacilityKind, Job, NewFacility, NewShift, NewStaff};

use crate::cli::Failure;

pub(super) const PASSWORD: &str = "bench-only-password";
/// At or above: the limit that every reading is held against, and none passes.
const LIMIT_MICRO: i64 = 131_000_000;

/// A nurse on duty with a live board: the first rung reaches her, as in a house that is well kept.
pub(super) async fn prepare(db: &Database, names: &[(String, String)]) -> Result<(FacilityId, UserId), Failure> {
    let hash = PasswordHash::make(PASSWORD)?;
    let (facility, nurse) = db
        .write(move |tx| {
            let user = NewUser {
                username: "bench".into(),
                display_name: "bench".into(),
                password: hash.clone(),
                locale: None,
            };
            let user = create_user(tx, &user)?;
            let region = registry::create_region(tx, None, "bench")?;
            grant_role(tx, user, Role::SystemAdmin, None)?;
            let new = NewFacility::new(region, FacilityKind::CareBedStation, "care-beds", "bench", "bench");
            let facility = registry::create_facility(tx, &new, None)?;
            let staff = NewStaff { facility_id: facility, user_id: Some(user), name: "bench".into(), job: Job::Nurse };
            let staff_id = registry::create_staff(tx, &staff, None)?;
            let (starts_at, ends_at) = (tx.now().plus_seconds(-3_600), tx.now().plus_seconds(12 * 3_600));
            let shift = NewShift { staff_id, duty: Job::Nurse, name: "bench".into(), starts_at, ends_at };
            registry::add_shift(tx, &shift, None)?;
            let rule = NewRule {
                facility,
                name: "bench".into(),
                measure: "heart_rate".into(),
                above_micro: Some(LIMIT_MICRO),
                below_micro: None,
                hysteresis_micro: 0,
                onset_seconds: 60,
                priority: Priority::High,
            };
            rules::create_rule(tx, &rule)?;
            Ok((facility, user))
        })
        .await?;
    for chunk in names.chunks(100) {
        let chunk = chunk.to_vec();
        db.write(move |tx| {
            for (serial, secret) in &chunk {
                let new = NewDevice {
                    facility,
                    serial: serial.clone(),
                    class: "3.1".into(),
                    adapter: "songhe-mqtt".into(),
                    name: "bench".into(),
                    place: None,
                    resident: None,
                };
                let id = register::register(tx, &new, &["songhe-mqtt"], None)?;
                register::set_secret(tx, id, secret, None)?;
            }
            Ok(())
        })
        .await?;
    }
    Ok((facility, nurse))
}

pub(super) async fn keep_board_live(db: Database, nurse: UserId) {
    let mut every = tokio::time::interval(Duration::from_secs(10));
    loop {
        every.tick().await;
        if let Err(error) = db.write(move |tx| presence::seen(tx, "bench", nurse, true)).await {
            tracing::warn!(%error, "the board could not say that it is there");
        }
    }
}
