//! What the registry promises to the modules above it, on both databases.

use crate::common::{House, Street, new_place, new_resident, new_staff, street};
use diesel::prelude::*;

use songhe_kernel::identity::Scope;
use songhe_kernel::{Error, FacilityId, Moment, Result};
use songhe_registry::*;
use songhe_testkit::{MIGRATED, TestDb, both_databases};

fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

/// The refused fields with the keys of their words.
fn refused<T: std::fmt::Debug>(outcome: Result<T>) -> Vec<(&'static str, &'static str)> {
    match outcome {
        Err(Error::Invalid(fields)) => fields.into_iter().map(|error| (error.field, error.text.key)).collect(),
        other => panic!("not refused as input: {other:?}"),
    }
}

fn shift_of(staff_id: StaffId, duty: Job, starts_at: &str, ends_at: &str) -> NewShift {
    NewShift { staff_id, duty, name: "夜班".to_owned(), starts_at: at(starts_at), ends_at: at(ends_at) }
}

async fn add(street: &Street, new: NewShift) -> Result<ShiftId> {
    street.db.write(move |tx| add_shift(tx, &new, None)).await
}

async fn carers(street: &Street, facility: FacilityId, when: &str) -> Vec<String> {
    let when = at(when);
    let found = street.db.read(move |db| on_duty(db, facility, Job::Carer, when)).await.unwrap();
    found.into_iter().map(|staff| staff.name).collect()
}

async fn event_kinds(street: &Street) -> Vec<String> {
    use songhe_kernel::schema::event;
    street.db.read(|db| Ok(event::table.order(event::seq).select(event::kind).load(db)?)).await.unwrap()
}

async fn enter(street: &Street, new: NewResident) -> Result<ResidentId> {
    street.db.write(move |tx| create_resident(tx, &new, None)).await
}

both_databases! {
    from MIGRATED;

    async fn a_persons_shifts_never_share_time(test: TestDb) {
        let street = street(&test).await;
        let House { carer, nurse, .. } = street.here;
        let first = add(&street, shift_of(carer, Job::Carer, "2026-11-22T14:00:00Z", "2026-11-22T22:00:00Z")).await.unwrap();
        for (from, to) in [("13:00", "14:00"), ("22:00", "23:00")] {
            let touching = shift_of(carer, Job::Carer, &format!("2026-11-22T{from}:00Z"), &format!("2026-11-22T{to}:00Z"));
            add(&street, touching).await.unwrap();
        }
        for (from, to) in [("21:59", "22:30"), ("12:00", "23:30"), ("15:00", "16:00")] {
            let new = shift_of(carer, Job::Nurse, &format!("2026-11-22T{from}:00Z"), &format!("2026-11-22T{to}:00Z"));
            assert_eq!(refused(add(&street, new).await), [("starts_at", "registry-error-shift-overlap")]);
        }
        add(&street, shift_of(nurse, Job::Nurse, "2026-11-22T15:00:00Z", "2026-11-22T16:00:00Z")).await.unwrap();

        street.db.write(move |tx| remove_shift(tx, first, None)).await.unwrap();
        add(&street, shift_of(carer, Job::Carer, "2026-11-22T15:00:00Z", "2026-11-22T16:00:00Z")).await.unwrap();
        assert_eq!(event_kinds(&street).await.iter().filter(|kind| *kind == "registry.roster.changed").count(), 6);
    }

    async fn one_account_at_two_facilities_has_one_calendar(test: TestDb) {
        let street = street(&test).await;
        let (user, other) = (street.here.carer_user, street.elsewhere.facility);
        let there = street
            .db
            .write(move |tx| create_staff(tx, &new_staff(other, Some(user), "李护理", Job::Carer), None))
            .await
            .unwrap();
        add(&street, shift_of(street.here.carer, Job::Carer, "2026-11-22T14:00:00Z", "2026-11-22T22:00:00Z")).await.unwrap();
        let clash = add(&street, shift_of(there, Job::Carer, "2026-11-22T20:00:00Z", "2026-11-23T02:00:00Z")).await;
        assert_eq!(refused(clash), [("starts_at", "registry-error-shift-elsewhere")]);

        let found = street.db.read(move |db| staff_of_user(db, user)).await.unwrap();
        assert_eq!(found.iter().map(|staff| staff.id).collect::<Vec<_>>(), [street.here.carer, there]);
        let again = street.db.write(move |tx| create_staff(tx, &new_staff(other, Some(user), "李", Job::Nurse), None)).await;
        assert_eq!(refused(again), [("user_id", "registry-error-staff-exists")]);
    }

    async fn a_shift_ends_after_its_start_and_lasts_a_day_at_most(test: TestDb) {
        let street = street(&test).await;
        let carer = street.here.carer;
        let backwards = add(&street, shift_of(carer, Job::Carer, "2026-11-22T14:00:00Z", "2026-11-22T14:00:00Z")).await;
        assert_eq!(refused(backwards), [("ends_at", "error-end-before-start")]);
        let long = add(&street, shift_of(carer, Job::Carer, "2026-11-22T14:00:00Z", "2026-11-23T14:00:01Z")).await;
        assert_eq!(refused(long), [("ends_at", "registry-error-shift-length")]);
        add(&street, shift_of(carer, Job::Carer, "2026-11-22T14:00:00Z", "2026-11-23T14:00:00Z")).await.unwrap();
        let nobody = add(&street, shift_of(StaffId(1), Job::Carer, "2026-11-22T14:00:00Z", "2026-11-22T15:00:00Z")).await;
        assert_eq!(refused(nobody), [("staff_id", "error-unknown-choice")]);
    }

    async fn a_night_shift_is_on_duty_across_the_facilitys_midnight(test: TestDb) {
        let street = street(&test).await;
        let facility = street.here.facility;
        let (day, from, to) = ("2026-11-22".parse().unwrap(), "22:00:00".parse().unwrap(), "06:00:00".parse().unwrap());
        let (starts_at, ends_at) = civil_window(day, from, to, chrono_tz::Asia::Shanghai);
        assert_eq!((starts_at, ends_at), (at("2026-11-22T14:00:00Z"), at("2026-11-22T22:00:00Z")));
        let night = NewShift { staff_id: street.here.carer, duty: Job::Carer, name: "夜班".into(), starts_at, ends_at };
        add(&street, night).await.unwrap();
        for (when, there) in [
            ("2026-11-22T13:59:59Z", false),
            ("2026-11-22T14:00:00Z", true),
            ("2026-11-22T16:30:00Z", true),
            ("2026-11-22T21:59:59.999999Z", true),
            ("2026-11-22T22:00:00Z", false),
        ] {
            assert_eq!(!carers(&street, facility, when).await.is_empty(), there, "{when}");
            assert!(carers(&street, street.elsewhere.facility, when).await.is_empty());
        }
        let window = street.db.read(move |db| current_shift(db, facility, at("2026-11-22T16:30:00Z"))).await.unwrap();
        assert_eq!(window, Some(ShiftWindow { name: "夜班".into(), starts_at, ends_at }));
    }

    async fn the_night_of_25_hours_is_a_shift_of_a_day(test: TestDb) {
        let street = street(&test).await;
        let region = street.region;
        let zone = chrono_tz::America::New_York;
        let (facility, carer) = street
            .db
            .write(move |tx| {
                let home = NewFacility {
                    zone,
                    ..NewFacility::new(region, FacilityKind::CareBedStation, "care-beds", "Station", "Station")
                };
                let facility = create_facility(tx, &home, None)?;
                Ok((facility, create_staff(tx, &new_staff(facility, None, "Ann", Job::Carer), None)?))
            })
            .await
            .unwrap();
        assert_eq!(street.db.read(move |db| zone_of(db, facility)).await.unwrap(), zone);
        let eight = "08:00:00".parse().unwrap();
        let (starts_at, ends_at) = civil_window("2026-10-31".parse().unwrap(), eight, eight, zone);
        assert_eq!(ends_at.seconds_since(starts_at), 25 * 3600);
        let new = NewShift { staff_id: carer, duty: Job::Carer, name: "24 h".into(), starts_at, ends_at };
        add(&street, new).await.unwrap();
        assert_eq!(carers(&street, facility, "2026-11-01T12:59:59Z").await, ["Ann"]);
        assert!(carers(&street, facility, "2026-11-01T13:00:00Z").await.is_empty());
    }

    async fn who_is_on_duty_goes_by_duty_and_leaves_out_those_who_left(test: TestDb) {
        let street = street(&test).await;
        let House { facility, carer, nurse, .. } = street.here;
        let (from, to, now) = ("2026-11-22T07:00:00Z", "2026-11-22T15:00:00Z", at("2026-11-22T08:00:00Z"));
        add(&street, shift_of(carer, Job::Carer, from, to)).await.unwrap();
        add(&street, shift_of(nurse, Job::NurseLead, from, to)).await.unwrap();
        let lead = street.db.read(move |db| on_duty(db, facility, Job::NurseLead, now)).await.unwrap();
        assert_eq!(lead, [StaffOnDuty { staff_id: nurse, user_id: None, name: "王护士".into(), phone: None }]);
        let any = street.db.read(move |db| on_duty_any(db, facility, now)).await.unwrap();
        assert_eq!(any.iter().map(|staff| staff.staff_id).collect::<Vec<_>>(), [carer]);
        let hours = street.db.read(move |db| duty_hours(db, facility, now, at("2026-11-29T08:00:00Z"))).await.unwrap();
        assert_eq!(hours.len(), 2);

        street
            .db
            .write(move |tx| {
                use songhe_registry::schema::staff;
                diesel::update(staff::table.find(carer)).set(staff::active.eq(false)).execute(tx.db())?;
                Ok(())
            })
            .await
            .unwrap();
        assert!(street.db.read(move |db| on_duty_any(db, facility, now)).await.unwrap().is_empty());
    }

    async fn places_are_found_by_tag_and_know_what_they_hold(test: TestDb) {
        let street = street(&test).await;
        let House { facility, building, room, beds, .. } = street.here;
        let bed = street.db.read(move |db| place(db, beds[1])).await.unwrap().unwrap();
        assert_eq!(bed.label, "2号楼 305 室 · 2 床");
        assert_eq!((bed.tag_code.len(), bed.depth()), (32, 3));
        let code = bed.tag_code.clone();
        assert_eq!(street.db.read(move |db| place_by_tag(db, &code)).await.unwrap(), Some(bed));
        assert_eq!(street.db.read(|db| place_by_tag(db, "0123")).await.unwrap(), None);
        assert_eq!(street.db.read(move |db| places_under(db, room)).await.unwrap(), [room, beds[0], beds[1]]);
        let above = street.db.read(move |db| ancestors(db, beds[0])).await.unwrap();
        assert_eq!(above.iter().map(|place| place.name.as_str()).collect::<Vec<_>>(), ["2号楼", "3层", "305 室"]);
        assert_eq!(above[0].id, building);
        assert_eq!(street.db.read(move |db| room_of(db, beds[0])).await.unwrap().unwrap().id, room);
        let region = street.region;
        assert_eq!(street.db.read(move |db| region_above(db, facility)).await.unwrap(), Some(region));

        for (new, expected) in [
            (new_place(facility, Some(room), PlaceKind::Bed, "2 床"), ("name", "registry-error-place-exists")),
            (new_place(facility, Some(building), PlaceKind::Bed, "3 床"), ("parent_id", "registry-error-place-parent-kind")),
            (new_place(facility, None, PlaceKind::Bed, "3 床"), ("parent_id", "registry-error-place-parent-missing")),
            (new_place(facility, Some(street.elsewhere.room), PlaceKind::Bed, "3 床"), ("parent_id", "error-unknown-choice")),
            (new_place(facility, Some(room), PlaceKind::Bed, " "), ("name", "error-required")),
        ] {
            let outcome = street.db.write(move |tx| create_place(tx, &new, None)).await;
            assert_eq!(refused(outcome), [expected]);
        }
    }

    async fn a_place_stands_for_those_who_live_there(test: TestDb) {
        let street = street(&test).await;
        let House { facility, building, room, beds, .. } = street.here;
        let (bath, hall) = street
            .db
            .write(move |tx| {
                let bath = create_place(tx, &new_place(facility, Some(room), PlaceKind::Area, "卫生间"), None)?;
                Ok((bath, create_place(tx, &new_place(facility, Some(building), PlaceKind::Area, "大厅"), None)?))
            })
            .await
            .unwrap();
        let wang = enter(&street, new_resident(facility, Some(beds[0]), "王秀英")).await.unwrap();
        let zhao = enter(&street, new_resident(facility, Some(beds[1]), "赵桂兰")).await.unwrap();
        for (place, expected) in [(beds[0], vec![wang]), (room, vec![wang, zhao]), (bath, vec![wang, zhao]), (hall, vec![])] {
            let found = street.db.read(move |db| residents_at(db, place)).await.unwrap();
            assert_eq!(found.into_iter().map(|resident| resident.id).collect::<Vec<_>>(), expected);
        }

        let (there, taken) = (street.elsewhere.beds[0], beds[1]);
        for (to, key) in [
            (taken, "registry-error-bed-taken"),
            (there, "error-unknown-choice"),
            (building, "registry-error-place-not-dwelling"),
        ] {
            let outcome = street.db.write(move |tx| move_resident(tx, wang, Some(to), None)).await;
            assert_eq!(refused(outcome), [("place_id", key)]);
        }
        street.db.write(move |tx| move_resident(tx, zhao, None, None)).await.unwrap();
        street.db.write(move |tx| move_resident(tx, wang, Some(taken), None)).await.unwrap();
        street.db.write(move |tx| move_resident(tx, wang, Some(taken), None)).await.unwrap();
        let moved = street.db.read(move |db| resident(db, wang)).await.unwrap().unwrap();
        assert_eq!(moved.place_id, Some(taken));
        assert_eq!(event_kinds(&street).await.iter().filter(|kind| *kind == "registry.resident.moved").count(), 2);
        let unknown = street.db.write(move |tx| move_resident(tx, ResidentId(1), None, None)).await;
        assert!(matches!(unknown, Err(Error::NotFound)));
    }

    async fn all_that_is_wrong_with_a_resident_is_told_at_once(test: TestDb) {
        let street = street(&test).await;
        let new = NewResident {
            ability_level: Some(5),
            birth_date: "2026-11-23".parse().ok(),
            phone: Some("call me".into()),
            ..new_resident(street.here.facility, Some(street.elsewhere.room), "")
        };
        let mut fields: Vec<_> = refused(enter(&street, new).await).into_iter().map(|(field, _)| field).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["ability_level", "birth_date", "name", "phone", "place_id"]);
    }

    async fn ages_turn_on_the_facilitys_day(test: TestDb) {
        let street = street(&test).await;
        let id = enter(&street, new_resident(street.here.facility, None, "王秀英")).await.unwrap();
        let found = street.db.read(move |db| resident(db, id)).await.unwrap().unwrap();
        let zone = chrono_tz::Asia::Shanghai;
        assert_eq!(found.age_on(at("2026-11-22T15:59:59Z").day_in(zone)), Some(81));
        assert_eq!(found.age_on(at("2026-11-22T16:00:00Z").day_in(zone)), Some(82));
    }

    async fn contacts_are_told_in_their_order(test: TestDb) {
        let street = street(&test).await;
        let id = enter(&street, new_resident(street.here.facility, None, "王秀英")).await.unwrap();
        let contact = |rank, name: &str| NewContact {
            rank,
            name: name.into(),
            relation: "女儿".into(),
            phone: Some("138 0000 0000".into()),
            user_id: None,
        };
        for new in [contact(Some(2), "second"), contact(None, "third"), contact(Some(1), "first")] {
            street.db.write(move |tx| add_contact(tx, id, &new, None)).await.unwrap();
        }
        let taken = contact(Some(2), "again");
        let taken = street.db.write(move |tx| add_contact(tx, id, &taken, None)).await;
        assert_eq!(refused(taken), [("rank", "registry-error-rank-taken")]);
        let all = street.db.read(move |db| contacts(db, id)).await.unwrap();
        assert_eq!(all.iter().map(|contact| contact.name.as_str()).collect::<Vec<_>>(), ["first", "second", "third"]);
    }

    async fn pages_of_residents_are_stable_and_stay_within_the_scope(test: TestDb) {
        let street = street(&test).await;
        let (here, elsewhere) = (street.here.facility, street.elsewhere.facility);
        for n in 0..5 {
            enter(&street, new_resident(here, None, &format!("老人{n}"))).await.unwrap();
            enter(&street, new_resident(elsewhere, None, &format!("外人{n}"))).await.unwrap();
        }
        let page = |scope: Scope, name: &str, after| {
            let filter = ResidentFilter { scope, name: name.into(), after };
            street.db.read(move |db| list_residents(db, &filter, 2))
        };
        let only = || Scope::Only(vec![here]);
        let mut names = Vec::new();
        let mut after = None;
        loop {
            let rows = page(only(), "", after).await.unwrap();
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.id);
            names.extend(rows.into_iter().map(|(resident, _)| resident.name));
            if names.len() == 2 {
                enter(&street, new_resident(here, None, "老人5")).await.unwrap();
            }
        }
        assert_eq!(names, ["老人0", "老人1", "老人2", "老人3", "老人4", "老人5"]);
        assert!(page(Scope::NONE, "", None).await.unwrap().is_empty());
        assert!(page(only(), "外人", None).await.unwrap().is_empty());
        assert_eq!(page(Scope::All, "外", None).await.unwrap().len(), 2);
        assert_eq!(page(only(), "人4", None).await.unwrap()[0].0.name, "老人4");
        // What LIKE understands is text like any other.
        assert!(page(Scope::All, "%", None).await.unwrap().is_empty());
        assert!(page(Scope::All, "老人_", None).await.unwrap().is_empty());
    }

    async fn events_and_topics_carry_no_names(test: TestDb) {
        use songhe_kernel::schema::event;
        let street = street(&test).await;
        let mut signals = street.db.signals();
        enter(&street, new_resident(street.here.facility, None, "王秀英")).await.unwrap();
        assert_eq!(&*signals.recv().await.unwrap().topic, topic(street.here.facility));
        let data: Vec<String> = street.db.read(|db| Ok(event::table.select(event::data).load(db)?)).await.unwrap();
        assert!(data.iter().all(|data| data.is_ascii()), "{data:?}");
        let declared = songhe_kernel::Module::manifest(&Registry).events_out;
        assert!(event_kinds(&street).await.iter().all(|kind| declared.contains(&kind.as_str())));
    }
}
