//! Emergency calls from care beds, through the real event log and its walker.

use std::time::Duration;

use crate::common::{Street, new_resident};
use diesel::prelude::*;
use songhe_care_beds::schema::care_bed_call;
use songhe_care_beds::*;
use songhe_incidents::{Kind, Outcome};
use songhe_kernel::events::{self, Position};
use songhe_kernel::{Error, Event, Module, Moment};
use songhe_registry::{NewPlace, PlaceKind, create_place, create_resident};
use songhe_testkit::{MIGRATED, TestDb, both_databases};

type CallRow = (i64, Option<i64>, Option<i64>, Option<String>, Option<Moment>, bool);

async fn rows(street: &Street) -> Vec<CallRow> {
    street
        .db
        .read(|db| {
            Ok(care_bed_call::table
                .order(care_bed_call::incident_id)
                .select((
                    care_bed_call::incident_id,
                    care_bed_call::response_s,
                    care_bed_call::on_site_s,
                    care_bed_call::outcome,
                    care_bed_call::resolved_at,
                    care_bed_call::false_alarm,
                ))
                .load(db)?)
        })
        .await
        .unwrap()
}

/// What the module hears, as the log holds it.
async fn heard(street: &Street) -> Vec<Event> {
    let epoch = street.db.epoch();
    let all = street.db.read(move |db| events::after(db, Position::default(), epoch, 1_000)).await.unwrap();
    all.into_iter().filter(|event| CareBeds.manifest().events_in.contains(&event.kind.as_str())).collect()
}

both_databases! {
    from MIGRATED;

    async fn a_call_from_a_care_bed_is_counted_with_its_answer(test: TestDb) {
        let street = Street::open(&test).await;
        street.bed(street.here).await;
        let id = street.call(street.here, Kind::Sos).await;
        let waiting = street.until(street.here, |figures| figures.calls == 1).await;
        assert_eq!((waiting.answered, waiting.within_60_s), (0, Share { met: 0, of: 0 }));

        street.answer(id, 45).await;
        street.arrive(id, 600).await;
        street.resolve(id, Outcome::Real).await;
        let late = street.call(street.here, Kind::Fall).await;
        street.answer(late, 61).await;
        street.resolve(late, Outcome::FalseAlarm).await;

        let figures = street.until(street.here, |figures| figures.false_alarms == 1).await;
        assert_eq!((figures.calls, figures.answered), (2, 2));
        assert_eq!(figures.within_60_s, Share { met: 1, of: 2 });
        assert_eq!(figures.within_180_s, Share { met: 2, of: 2 });
        assert_eq!(figures.on_site_within_30_min, Share { met: 1, of: 1 });
        assert_eq!(figures.on_site_median_s, Some(645));
        assert_eq!(street.figures(street.elsewhere).await.unwrap(), CallFigures::default());
        assert_eq!(street.indicators().await.total, figures);

        street.clock.advance(Duration::from_secs(30 * 86_400));
        assert_eq!(street.figures(street.here).await.unwrap(), CallFigures::default());
        street.close().await;
    }

    async fn events_that_are_handled_again_count_once(test: TestDb) {
        let street = Street::open(&test).await;
        street.bed(street.here).await;
        let id = street.call(street.here, Kind::Sos).await;
        street.answer(id, 30).await;
        street.arrive(id, 300).await;
        street.resolve(id, Outcome::FalseAlarm).await;
        street.until(street.here, |figures| figures.false_alarms == 1).await;
        let before = rows(&street).await;
        assert_eq!(before.len(), 1);

        let mut events = heard(&street).await;
        assert_eq!(events.len(), 4, "raised, acknowledged, arrived, resolved");
        for _ in 0..2 {
            let again = events.clone();
            street.db.write(move |tx| again.iter().try_for_each(|event| CareBeds.on_event(tx, event))).await.unwrap();
            assert_eq!(rows(&street).await, before);
            events.reverse();
        }
        street.close().await;
    }

    async fn what_is_no_emergency_call_is_not_counted(test: TestDb) {
        let street = Street::open(&test).await;
        street.call(street.here, Kind::Sos).await;
        street.clock.advance(Duration::from_secs(1));
        let bed = street.bed(street.here).await;
        // Also when the walker comes to it after the bed was opened.
        let early = heard(&street).await;
        street.db.write(move |tx| early.iter().try_for_each(|event| CareBeds.on_event(tx, event))).await.unwrap();
        street.call(street.here, Kind::LowBattery).await;
        let drill = street.call(street.here, Kind::Smoke).await;
        street.resolve(drill, Outcome::Test).await;
        street.bed(street.elsewhere).await;
        street.call(street.elsewhere, Kind::Sos).await;
        street.until(street.elsewhere, |figures| figures.calls == 1).await;
        assert_eq!(rows(&street).await.len(), 2, "the drill and the call elsewhere");
        assert_eq!(street.figures(street.here).await.unwrap().calls, 0, "from before the bed, no emergency, a drill");

        street.db.write(move |tx| set_care_bed_status(tx, bed, Status::Suspended, None)).await.unwrap();
        street.call(street.here, Kind::Fall).await;
        street.call(street.elsewhere, Kind::Fall).await;
        street.until(street.elsewhere, |figures| figures.calls == 2).await;
        assert_eq!(street.figures(street.here).await.unwrap().calls, 0, "a bed that is not in service");
        street.close().await;
    }

    async fn a_facility_hears_nothing_until_the_module_is_on_and_then_from_now(test: TestDb) {
        let street = Street::open(&test).await;
        let off = street.off;
        street.bed(off).await;
        street.bed(street.here).await;
        let unheard = street.call(off, Kind::Sos).await;
        street.call(street.here, Kind::Sos).await;
        street.until(street.here, |figures| figures.calls == 1).await;
        assert_eq!(street.figures(off).await, None);
        assert_eq!(rows(&street).await.len(), 1);

        street.clock.advance(Duration::from_secs(10));
        street.db.write(move |tx| events::enable_module(tx, MODULE, off.facility)).await.unwrap();
        // The end of a call from before is heard, and makes no row.
        street.answer(unheard, 10).await;
        street.resolve(unheard, Outcome::Real).await;
        let second = street.call(off, Kind::Sos).await;
        street.answer(second, 20).await;
        let figures = street.until(off, |figures| figures.answered == 1).await;
        assert_eq!((figures.calls, figures.response_median_s), (1, Some(20)));
        street.close().await;
    }

    async fn a_resident_has_one_bed_at_their_private_home(test: TestDb) {
        let street = Street::open(&test).await;
        let (here, off) = (street.here, street.off);
        let first = street.bed(here).await;
        let refused = |new: NewCareBed| async {
            match street.db.write(move |tx| create_care_bed(tx, &new, None)).await {
                Err(Error::Invalid(fields)) => {
                    fields.iter().map(|field| (field.field, field.text.key)).collect::<Vec<_>>()
                }
                other => panic!("{other:?}"),
            }
        };
        let again = refused(NewCareBed::new(here.resident)).await;
        assert_eq!(again, [("resident_id", "care-beds-error-has-bed")]);
        let in_a_room = street
            .db
            .write(move |tx| {
                let facility_id = off.facility;
                let name = "305 室".to_owned();
                let room = NewPlace { facility_id, parent_id: None, kind: PlaceKind::Room, name, label: None };
                let room = create_place(tx, &room, None)?;
                create_resident(tx, &new_resident(facility_id, Some(room), "郑秀珍"), None)
            })
            .await
            .unwrap();
        let wrong = NewCareBed {
            resident_id: in_a_room,
            // 16:00 in Shanghai on the 22nd.
            opened_on: "2026-11-23".parse().ok(),
            note: Some("长".repeat(501)),
        };
        assert_eq!(
            refused(wrong).await,
            [
                ("resident_id", "care-beds-error-not-at-home"),
                ("opened_on", "error-in-future"),
                ("note", "error-too-long"),
            ]
        );
        street.db.write(move |tx| set_care_bed_status(tx, first, Status::Closed, None)).await.unwrap();
        let reopened = street.db.write(move |tx| set_care_bed_status(tx, first, Status::Active, None)).await;
        assert!(matches!(reopened, Err(Error::Conflict(_))), "{reopened:?}");
        assert_ne!(street.bed(here).await, first);
        street.close().await;
    }
}
