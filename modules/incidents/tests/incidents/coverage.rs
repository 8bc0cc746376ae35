//! Would a ladder reach anybody, hour by hour of the coming week?

use crate::common::{self, Home};
use chrono::{Days, NaiveDate, NaiveTime};
use diesel::prelude::*;
use songhe_incidents::coverage;
use songhe_incidents::ladders::{Ladder, Rung, built_in};
use songhe_incidents::model::{Channel, Priority, Target};
use songhe_incidents::schema::incident;
use songhe_kernel::{FacilityId, Moment};
use songhe_registry::*;
use songhe_testkit::{MIGRATED, TestDb, both_databases};

fn ladder(facility: FacilityId, channel: Channel) -> Ladder {
    Ladder {
        rungs: vec![Rung { after_seconds: 0, target: Target::OnCall, rank: None, channel }],
        ..built_in(facility, Priority::High)
    }
}

/// Day shifts 08:00 to 20:00 by the wall clock.
async fn days(home: &Home, facility: FacilityId, first: &str, user: bool, zone: chrono_tz::Tz) {
    let first: NaiveDate = first.parse().unwrap();
    let account = user.then_some(home.people.stranger);
    home.db
        .write(move |tx| {
            let staff = NewStaff { facility_id: facility, user_id: account, name: "周护理".into(), job: Job::Carer };
            let staff_id = create_staff(tx, &staff, None)?;
            for day in 0..9 {
                let day = first.checked_add_days(Days::new(day)).unwrap();
                let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
                let (starts_at, ends_at) = civil_window(day, hour(8), hour(20), zone);
                let new = NewShift { staff_id, duty: Job::Carer, name: "白班".into(), starts_at, ends_at };
                add_shift(tx, &new, None)?;
            }
            Ok(())
        })
        .await
        .unwrap();
}

async fn gaps(home: &Home, ladder: &Ladder, zone: chrono_tz::Tz, now: &str) -> Vec<(String, String)> {
    let (ladder, now): (Ladder, Moment) = (ladder.clone(), now.parse().unwrap());
    let found = home.db.read(move |db| coverage::gaps(db, &ladder, zone, now)).await.unwrap();
    let civil = |at: Moment| at.in_zone(zone).format("%d %H:%M").to_string();
    found.iter().map(|gap| (civil(gap.from), civil(gap.until))).collect()
}

both_databases! {
    from MIGRATED;

    async fn nights_without_staff_are_found_and_the_short_one_is_no_exception(db: TestDb) {
        let home = Home::open(&db).await;
        // The clocks go forward at 02:00 on 8 March.
        let (there, zone) = (home.people.elsewhere, chrono_tz::America::New_York);
        days(&home, there, "2026-03-05", true, zone).await;
        let found = gaps(&home, &ladder(there, Channel::Board), zone, "2026-03-05T15:20:00Z").await;
        assert_eq!(found.len(), 7, "{found:?}");
        for (from, until) in &found[..6] {
            assert!(from.ends_with("20:00") && until.ends_with("08:00"), "{found:?}");
        }
        assert_eq!(found[2], ("07 20:00".into(), "08 08:00".into()));
        // 168 hours after 10:00, one of which the zone skipped.
        assert_eq!(found[6], ("11 20:00".into(), "12 08:00".into()));
    }

    async fn nobody_without_an_account_stands_before_a_board(db: TestDb) {
        let home = Home::open(&db).await;
        let (there, zone) = (home.people.elsewhere, chrono_tz::Asia::Shanghai);
        days(&home, there, "2026-11-22", false, zone).await;
        let found = gaps(&home, &ladder(there, Channel::Board), zone, common::START).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0], ("22 16:00".into(), "29 16:00".into()));
    }

    async fn a_channel_that_is_not_configured_reaches_nobody(db: TestDb) {
        let home = Home::open(&db).await;
        let zone = chrono_tz::Asia::Shanghai;
        let ladder = ladder(home.people.here, Channel::Webhook);
        assert_eq!(gaps(&home, &ladder, zone, common::START).await.len(), 1);
        home.endpoint(Some(Target::OnCall)).await;
        // On duty until midnight only.
        assert_eq!(gaps(&home, &ladder, zone, common::START).await, [("23 00:00".into(), "29 16:00".into())]);
    }

    async fn gaps_become_an_incident_each_day_joined(db: TestDb) {
        let home = Home::open(&db).await;
        let here = home.people.here;
        let modules = home.modules.clone();
        home.act(move |tx| {
            let zone = chrono_tz::Asia::Shanghai;
            songhe_kernel::schedules::ensure(tx, &modules, &[(here, zone)], zone)
        })
        .await
        .unwrap();
        home.clock.advance(std::time::Duration::from_secs(16 * 3_600 - 60));
        home.settle().await;
        assert_eq!(home.incidents().await, 0);
        home.clock.advance(std::time::Duration::from_secs(120));
        home.settle().await;
        home.clock.advance(std::time::Duration::from_secs(24 * 3_600));
        home.settle().await;
        let found: Vec<(String, String, i32)> = home
            .db
            .read(|db| {
                Ok(incident::table.select((incident::kind, incident::priority, incident::presses)).load(db)?)
            })
            .await
            .unwrap();
        assert_eq!(found, [("system".into(), "low".into(), 2)]);
    }
}
