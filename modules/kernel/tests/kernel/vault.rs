//! Sealed fields, keys of persons and blind indexes on a real database.

use std::sync::Arc;

use songhe_kernel::db::DatabaseSettings;
use songhe_kernel::vault::{Algorithm, Field, KeyRing, Opened, Part, Person, Purpose, Sealed, Shape, attach};
use songhe_kernel::{Database, Error, ManualClock, Result, Tx};
use songhe_testkit::{MIGRATED, TestDb, both_databases};

const PHONE: Field = Field::new("test.phone", Shape::Phone);
const ID: Field = Field::new("test.id_number", Shape::IdNumber);
const ROW: i64 = 7;
const WANG: Person = Person::of("res", 1);

struct House {
    db: Database,
    ring: KeyRing,
}

impl House {
    fn new(test: &TestDb, ring: KeyRing) -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-22T08:00:00Z".parse().unwrap()));
        let settings = DatabaseSettings::new(test.url()).with_keys(ring.clone());
        Self { db: Database::open(&settings, clock, 0).unwrap(), ring }
    }

    async fn write<T: Send + 'static>(&self, f: impl Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static) -> T {
        self.db.write(f).await.unwrap()
    }

    async fn seal(&self, person: Person, field: &'static Field, row: i64, clear: &'static str) -> Sealed {
        self.write(move |tx| Ok(tx.seal_field(person, field, row, Some(clear))?.unwrap())).await
    }

    async fn open(&self, field: &'static Field, row: i64, sealed: &Sealed) -> Result<Opened> {
        let (vault, sealed) = (self.db.vault(), sealed.clone());
        self.db.read(move |db| vault.open(db, field, row, &sealed)).await
    }

    async fn find(&self, field: &'static Field, part: Part, text: &'static str) -> Vec<i64> {
        let vault = self.db.vault();
        self.db.read(move |db| vault.rows_with(db, field, part, text, 10)).await.unwrap()
    }
}

both_databases! {
    from MIGRATED;

    async fn a_field_opens_at_its_place_and_nowhere_else(db: TestDb) {
        let house = House::new(&db, KeyRing::draw());
        let sealed = house.seal(WANG, &PHONE, ROW, "13800001234").await;
        let again = house.seal(WANG, &PHONE, ROW, "13800001234").await;
        assert_ne!(sealed, again, "two ciphertexts of one number look alike");
        assert_eq!(house.open(&PHONE, ROW, &sealed).await.unwrap(), Opened::Clear("13800001234".into()));
        // As a copy in JSON, and by a server that has opened nothing yet.
        let copy = Sealed::from_text(&sealed.to_text()).unwrap();
        let other = House::new(&db, house.ring.clone());
        assert_eq!(other.open(&PHONE, ROW, &copy).await.unwrap(), Opened::Clear("13800001234".into()));
        for (field, row) in [(&PHONE, ROW + 1), (&ID, ROW)] {
            let error = house.open(field, row, &sealed).await.unwrap_err();
            assert!(matches!(error, Error::Internal(_)) && !error.to_string().contains("1380000"), "{error}");
        }
        // SM4 beside AES, under one ring.
        house.db.vault().give(house.ring.clone(), Algorithm::Sm4Gcm);
        let national = house.seal(Person::of("stf", 1), &PHONE, ROW, "13900005678").await;
        assert_eq!(other.open(&PHONE, ROW, &national).await.unwrap(), Opened::Clear("13900005678".into()));
        assert_eq!(house.open(&PHONE, ROW, &sealed).await.unwrap(), Opened::Clear("13800001234".into()));
    }

    async fn who_is_erased_is_shown_as_erased_and_found_no_more(db: TestDb) {
        let house = House::new(&db, KeyRing::draw());
        let sealed = house.seal(WANG, &ID, ROW, "11010119491001002X").await;
        let neighbour = house.seal(Person::of("res", 2), &ID, ROW + 1, "11010119491002002X").await;
        assert_eq!(house.find(&ID, Part::Last4, "002x").await, [ROW, ROW + 1]);
        assert!(house.open(&ID, ROW, &sealed).await.is_ok(), "it is in memory now");
        assert!(house.write(|tx| tx.erase_person(WANG)).await);
        assert!(!house.write(|tx| tx.erase_person(WANG)).await, "erased twice");
        let opened = house.open(&ID, ROW, &sealed).await.unwrap();
        assert_eq!((opened.masked(|_| "shown".into(), str::to_owned), opened.clone().clear()), ("vault-erased".into(), None));
        assert_eq!(house.find(&ID, Part::Last4, "002X").await, [ROW + 1]);
        let more = house.db.write(|tx| tx.seal_field(WANG, &PHONE, ROW, Some("13800001234"))).await;
        assert!(matches!(more, Err(Error::Conflict(_))), "{more:?}");
        assert!(house.open(&ID, ROW + 1, &neighbour).await.unwrap().clear().is_some());
    }

    async fn a_value_is_found_by_all_of_it_and_by_its_last_four_and_six(db: TestDb) {
        let house = House::new(&db, KeyRing::draw());
        house.seal(WANG, &PHONE, ROW, "+86 138 0000 1234").await;
        assert_eq!(house.find(&PHONE, Part::Whole, "13800001234").await, [ROW]);
        assert_eq!(house.find(&PHONE, Part::Last6, "001234").await, [ROW]);
        assert_eq!(house.find(&PHONE, Part::Last4, "1234").await, [ROW]);
        assert_eq!(house.find(&ID, Part::Last4, "1234").await, [0_i64; 0], "another field");
        assert_eq!(house.find(&PHONE, Part::Whole, "1234").await, [0_i64; 0]);
        house.seal(WANG, &PHONE, ROW, "13800009999").await;
        assert_eq!(house.find(&PHONE, Part::Last4, "1234").await, [0_i64; 0], "its former number");
        house.write(|tx| tx.seal_field(WANG, &PHONE, ROW, None)).await;
        assert_eq!(house.find(&PHONE, Part::Last4, "9999").await, [0_i64; 0]);
    }

    async fn a_person_has_one_key_whoever_is_first_and_whatever_is_taken_back(db: TestDb) {
        let house = House::new(&db, KeyRing::draw());
        let taken_back = house.db.write(|tx| {
            tx.seal_field(WANG, &PHONE, ROW, Some("13800001234"))?;
            Err::<(), _>(Error::NotFound)
        });
        assert!(taken_back.await.is_err());
        let at_once = futures_util::future::join_all((0..8).map(|_| house.seal(WANG, &PHONE, ROW, "13800001234"))).await;
        let keys: std::collections::HashSet<i64> = at_once.iter().map(|sealed| sealed.key_id().unwrap()).collect();
        assert_eq!(keys.len(), 1);
        let fresh = House::new(&db, house.ring.clone());
        for sealed in &at_once {
            assert!(fresh.open(&PHONE, ROW, sealed).await.unwrap().clear().is_some());
        }
    }

    async fn a_server_with_other_keys_is_told_which_are_missing(db: TestDb) {
        let house = House::new(&db, KeyRing::draw());
        assert_eq!(house.write(attach).await, []);
        let mut more = house.ring.clone();
        more.add(Purpose::Master);
        house.db.vault().give(more.clone(), Algorithm::default());
        assert_eq!(house.write(attach).await, []);
        let sealed = house.seal(WANG, &PHONE, ROW, "13800001234").await;
        // A new key wraps nothing before it is made the active one: the server before this change opens all.
        let before = House::new(&db, house.ring.clone());
        assert!(before.open(&PHONE, ROW, &sealed).await.is_ok());
        let missing = before.write(attach).await;
        assert_eq!(missing.iter().map(|key| (key.purpose, key.number, key.differs)).collect::<Vec<_>>(), [(Purpose::Master, 2, false)]);
        let stranger = House::new(&db, KeyRing::draw());
        let missing = stranger.write(attach).await;
        let differs: Vec<_> = missing.iter().map(|key| (key.purpose, key.number, key.differs)).collect();
        assert_eq!(differs, [(Purpose::Master, 1, true), (Purpose::Master, 2, false), (Purpose::Index, 1, true)]);
        assert!(stranger.open(&PHONE, ROW, &sealed).await.is_err());
        let nothing = House::new(&db, KeyRing::default());
        assert!(nothing.db.write(|tx| tx.seal_field(WANG, &PHONE, ROW, Some("1"))).await.is_err());
    }
}
