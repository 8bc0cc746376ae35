//! Accounts, scopes and sessions on a real database.

use std::sync::Arc;
use std::time::Duration;

use songhe_kernel::db::DatabaseSettings;
use songhe_kernel::identity::{
    Caller, NewUser, NodeKind, PasswordHash, Permission, Permissions, Role, Scope, SessionKind, SessionToken,
    add_scope_node, create_user, find_caller, find_user_id, grant_role, open_session, purge_expired, set_password,
};
use songhe_kernel::{Clock, Database, Error, FacilityId, ManualClock, Result, Tx, UserId};
use songhe_testkit::{MIGRATED, TestDb, both_databases};

struct House {
    db: Database,
    clock: Arc<ManualClock>,
    password: PasswordHash,
}

impl House {
    fn new(test: &TestDb) -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-22T08:00:00Z".parse().unwrap()));
        let db = Database::open(&DatabaseSettings::new(test.url()), clock.clone(), 0).unwrap();
        Self { db, clock, password: PasswordHash::make("correct-horse").unwrap() }
    }

    async fn user(&self, username: &str) -> Result<UserId> {
        let display_name = "王".to_owned();
        let user = NewUser { username: username.into(), display_name, password: self.password.clone(), locale: None };
        self.db.write(move |tx| create_user(tx, &user)).await
    }

    async fn write<T: Send + 'static>(&self, f: impl Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static) -> T {
        self.db.write(f).await.unwrap()
    }

    async fn session(&self, user: UserId) -> SessionToken {
        let token = SessionToken::random();
        let theirs = token.clone();
        self.write(move |tx| open_session(tx, user, SessionKind::Bearer, &theirs, None)).await;
        token
    }

    async fn caller(&self, token: &SessionToken) -> Option<Caller> {
        let permissions = Permissions::collect([
            Permission { name: "beds.read", roles: &[Role::Nurse, Role::Carer] },
            Permission { name: "beds.clean", roles: &[Role::Carer] },
        ]);
        let (permissions, token, now) = (permissions.unwrap(), token.clone(), self.clock.now());
        let find = move |db: &mut _| find_caller(db, &permissions, SessionKind::Bearer, &token, now);
        self.db.read(find).await.unwrap()
    }
}

both_databases! {
    from MIGRATED;

    async fn a_role_reaches_the_facilities_at_and_below_its_node(test: TestDb) {
        let house = House::new(&test);
        let user = house.user("wang").await.unwrap();
        let token = house.session(user).await;
        let add = |parent, kind| house.write(move |tx| add_scope_node(tx, parent, kind, "x"));
        let city = add(None, NodeKind::Region).await;
        let street = add(Some(city), NodeKind::Region).await;
        let near = FacilityId(add(Some(street), NodeKind::Facility).await);
        let far = FacilityId(add(Some(city), NodeKind::Facility).await);
        let other = FacilityId(add(None, NodeKind::Facility).await);

        let caller = house.caller(&token).await.unwrap();
        assert!(!caller.can("beds.read") && caller.reach().is_empty());

        house.write(move |tx| grant_role(tx, user, Role::Nurse, Some(street))).await;
        house.write(move |tx| grant_role(tx, user, Role::Carer, Some(other.0))).await;
        let nurse = house.caller(&token).await.unwrap();
        assert_eq!(nurse.roles, [Role::Nurse, Role::Carer]);
        assert_eq!(nurse.facilities("beds.read").ids(), Some([near, other].as_slice()));
        assert_eq!(nurse.facilities("beds.clean").ids(), Some([other].as_slice()));
        assert!(nurse.facilities("beds.read").contains(near) && !nurse.facilities("beds.read").contains(far));
        assert!(nurse.facilities("unheard.of").is_empty());
        assert!(!nurse.same_rights(&caller));

        house.write(move |tx| grant_role(tx, user, Role::Nurse, None)).await;
        house.write(move |tx| grant_role(tx, user, Role::Nurse, None)).await;
        let everywhere = house.caller(&token).await.unwrap();
        assert_eq!(everywhere.facilities("beds.read"), &Scope::All);
        assert_eq!(everywhere.facilities("beds.clean").ids(), Some([other].as_slice()));
    }

    async fn an_account_is_refused_in_words_about_its_fields(test: TestDb) {
        let house = House::new(&test);
        let id = house.user(" Wang ").await.unwrap();
        for username in ["WANG", "w", "two words", &"x".repeat(65)] {
            let refused = house.user(username).await;
            assert!(matches!(&refused, Err(Error::Invalid(fields)) if fields[0].field == "username"), "{username}");
        }
        assert_eq!(house.db.read(|db| find_user_id(db, "wAnG")).await.unwrap(), Some(id));
        assert!(matches!(PasswordHash::make("short"), Err(Error::Invalid(_))));
        assert!(matches!(PasswordHash::make(&"x".repeat(257)), Err(Error::Invalid(_))));
        let unknown = house.db.write(|tx| grant_role(tx, UserId(1), Role::Nurse, None)).await;
        assert!(matches!(unknown, Err(Error::NotFound)));
    }

    async fn a_new_password_ends_the_sessions_of_the_old_one(test: TestDb) {
        let house = House::new(&test);
        let user = house.user("wang").await.unwrap();
        let token = house.session(user).await;
        assert!(house.caller(&token).await.is_some());
        let password = PasswordHash::make("better-horse").unwrap();
        house.write(move |tx| set_password(tx, user, &password)).await;
        assert!(house.caller(&token).await.is_none());
    }

    async fn sessions_that_have_ended_are_removed(test: TestDb) {
        let house = House::new(&test);
        let user = house.user("wang").await.unwrap();
        for _ in 0..3 {
            house.session(user).await;
        }
        house.clock.advance(Duration::from_secs(6 * 3600));
        let fresh = house.session(user).await;
        house.clock.advance(Duration::from_secs(6 * 3600));
        assert_eq!(house.write(|tx| purge_expired(tx, 2)).await, 2);
        assert_eq!(house.write(|tx| purge_expired(tx, 500)).await, 1);
        assert_eq!(house.write(|tx| purge_expired(tx, 500)).await, 0);
        assert!(house.caller(&fresh).await.is_some());
    }
}
