//! The register: binding history, credentials.

use std::time::Duration;

use crate::common::street;
use songhe_devices::{NewDevice, register};
use songhe_kernel::Error;
use songhe_testkit::{MIGRATED, TestDb, both_databases};

both_databases! {
    from MIGRATED;

    async fn a_device_keeps_the_history_of_where_it_was_and_with_whom(test: TestDb) {
        let street = street(&test).await;
        let (cord, room, bed, resident) =
            (street.here.cord, street.here.room, street.here.bed, street.here.resident);
        let registered_at = street.now();
        street.clock.advance(Duration::from_secs(3_600));
        let moved_at = street.now();
        street.db.write(move |tx| register::bind(tx, cord, Some(room), Some(resident), None)).await.unwrap();
        // The same again is no new stretch.
        street.db.write(move |tx| register::bind(tx, cord, Some(room), Some(resident), None)).await.unwrap();
        let history = street.db.read(move |db| register::bindings(db, cord)).await.unwrap();
        assert_eq!(history.len(), 2);
        assert_eq!((history[0].place_id, history[0].resident_id), (Some(room), Some(resident)));
        assert_eq!((history[0].bound_at, history[0].unbound_at), (moved_at, None));
        assert_eq!((history[1].place_id, history[1].resident_id), (Some(bed), None));
        assert_eq!((history[1].bound_at, history[1].unbound_at), (registered_at, Some(moved_at)));
        assert_eq!(street.device(cord).await.place_id, Some(room));
    }

    async fn a_device_is_not_bound_across_facilities(test: TestDb) {
        let street = street(&test).await;
        let (cord, there) = (street.here.cord, street.elsewhere);
        let outcome =
            street.db.write(move |tx| register::bind(tx, cord, Some(there.bed), Some(there.resident), None)).await;
        let Err(Error::Invalid(fields)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(fields.iter().map(|field| field.field).collect::<Vec<_>>(), ["place", "resident"]);
        assert_eq!(street.device(cord).await.place_id, Some(street.here.bed));
    }

    async fn a_form_is_told_everything_that_is_wrong(test: TestDb) {
        let street = street(&test).await;
        let new = NewDevice {
            facility: street.here.facility,
            serial: "a/b".into(),
            class: "9".into(),
            adapter: "none".into(),
            name: " ".into(),
            place: Some(street.elsewhere.bed),
            resident: None,
        };
        let outcome = street.db.write(move |tx| register::register(tx, &new, &["songhe-mqtt"], None)).await;
        let Err(Error::Invalid(fields)) = outcome else { panic!("{outcome:?}") };
        let names: Vec<_> = fields.iter().map(|field| field.field).collect();
        assert_eq!(names, ["serial", "class", "adapter", "name", "place"]);
    }

    async fn a_new_credential_voids_the_one_before(test: TestDb) {
        let street = street(&test).await;
        let cord = street.here.cord;
        let mut given = Vec::new();
        for _ in 0..2 {
            let secret = register::new_secret();
            given.push(street.db.write(move |tx| register::set_secret(tx, cord, &secret, None)).await.unwrap());
        }
        assert_eq!((given[0].username.as_str(), given[0].client_id.as_str()), ("SH-1", "SH-1"));
        assert_eq!(given[0].password.len(), 32);
        let accepted = |password: String, serial: &'static str| {
            let db = street.db.clone();
            async move { db.read(move |db| register::verify_secret(db, serial, password.as_bytes())).await.unwrap() }
        };
        assert!(!accepted(given[0].password.clone(), "SH-1").await);
        assert!(accepted(given[1].password.clone(), "SH-1").await);
        assert!(!accepted(given[1].password.clone(), "SH-2").await, "it has none");
        assert!(!accepted(given[1].password.clone(), "XX-9").await);
    }
}
