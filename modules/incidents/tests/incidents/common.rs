//! A home with a resident, people on duty, their boards and a webhook; the real runtime on a clock that is moved by hand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel::prelude::*;
use serde_json::{Value, json};
use songhe_incidents::model::{Row, RungRow, Target};
use songhe_incidents::{IncidentId, Incidents, Kind, MailSettings, Report, presence, report, story, webhook};
use songhe_kernel::db::DatabaseSettings;
use songhe_kernel::effects::{Effect, EffectSender, Outcome, SendFuture, Sent};
use songhe_kernel::http::Route;
use songhe_kernel::identity::{NewUser, PasswordHash, Role, create_user, grant_role};
use songhe_kernel::runtime::{self, Opened, Runtime};
use songhe_kernel::schema::{effect, timer};
use songhe_kernel::vault::KeyRing;
use songhe_kernel::{
    Database, EffectId, FacilityId, Manifest, ManualClock, Module, Modules, Moment, Result, Timer, Tx, UserId,
};
use songhe_registry::*;
use songhe_testkit::TestDb;

/// 16:00 in Shanghai, a Sunday.
pub const START: &str = "2026-11-22T08:00:00Z";

/// Takes the place of the network: keeps what was sent and answers as told, else with success.
#[derive(Default)]
pub struct Post {
    pub sent: Mutex<Vec<(EffectId, Value)>>,
    pub answers: Mutex<VecDeque<Sent>>,
}

impl EffectSender for Post {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn send(&self, effect: Effect) -> SendFuture {
        self.sent.lock().unwrap().push((effect.id, serde_json::from_str(&effect.payload).unwrap()));
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Sent::Delivered);
        Box::pin(async move { answer })
    }
}

/// The module, with another way out or its own.
pub struct Tested {
    inner: Incidents,
    post: Option<Arc<Post>>,
}

impl Module for Tested {
    fn manifest(&self) -> &'static Manifest {
        self.inner.manifest()
    }
    fn routes(&self) -> Vec<Route> {
        self.inner.routes()
    }
    fn on_timer(&self, tx: &mut Tx<'_>, timer: &Timer) -> Result<()> {
        self.inner.on_timer(tx, timer)
    }
    fn on_effect(&self, tx: &mut Tx<'_>, effect: &Effect, outcome: &Outcome) -> Result<()> {
        self.inner.on_effect(tx, effect, outcome)
    }
    fn effect_senders(&self) -> Vec<Arc<dyn EffectSender>> {
        match &self.post {
            Some(post) => vec![post.clone()],
            None => self.inner.effect_senders(),
        }
    }
}

#[derive(Clone)]
pub struct People {
    pub here: FacilityId,
    pub elsewhere: FacilityId,
    pub room: PlaceId,
    pub bed: PlaceId,
    pub resident: ResidentId,
    pub carer: UserId,
    pub second: UserId,
    pub stranger: UserId,
}

pub struct Home {
    pub opened: Opened,
    pub db: Database,
    pub clock: Arc<ManualClock>,
    pub people: People,
    pub post: Arc<Post>,
    pub modules: Modules,
    runtime: Option<Runtime>,
    boards: Mutex<Vec<UserId>>,
}

impl Home {
    /// Carer, nurse lead and manager are on duty for a day; nobody has a board open, nothing is configured.
    pub async fn open(test: &TestDb) -> Self {
        Self::open_with(test, Some(Arc::default()), None).await
    }

    /// The same, with the module's own way out.
    pub async fn open_outside(test: &TestDb, mail: Option<MailSettings>) -> Self {
        Self::open_with(test, None, mail).await
    }

    async fn open_with(test: &TestDb, post: Option<Arc<Post>>, mail: Option<MailSettings>) -> Self {
        // reqwest wants a TLS provider in the process, which the server installs at its start.
        drop(songhe_testkit::http::builder());
        let clock = Arc::new(ManualClock::at(START.parse().unwrap()));
        let opened =
            runtime::open(&DatabaseSettings::new(test.url()).with_keys(KeyRing::draw()), clock.clone()).await.unwrap();
        let db = opened.db.clone();
        let password = PasswordHash::make("correct-horse").unwrap();
        let people = db.write(move |tx| settle(tx, &password)).await.unwrap();
        let inner = Incidents::with_mail(db.clone(), mail.as_ref()).unwrap();
        let tested = Tested { inner, post: post.clone() };
        let post = post.unwrap_or_default();
        let modules = Modules::new(vec![Arc::new(Registry), Arc::new(tested)]);
        let runtime = Some(Runtime::start(&opened, modules.clone()).await.unwrap());
        Self { opened, db, clock, people, post, modules, runtime, boards: Mutex::default() }
    }

    pub async fn stop(&mut self) {
        self.runtime.take().unwrap().stop().await;
    }

    pub async fn start(&mut self) {
        self.runtime = Some(Runtime::start(&self.opened, self.modules.clone()).await.unwrap());
        self.settle().await;
    }

    /// A board with sound, kept open while time passes.
    pub async fn board(&self, user: UserId) {
        self.boards.lock().unwrap().push(user);
        self.boards_speak().await;
    }

    pub async fn boards_speak(&self) {
        let users = self.boards.lock().unwrap().clone();
        for user in users {
            self.db.write(move |tx| presence::seen(tx, &format!("s{}:t", user.0), user, true)).await.unwrap();
        }
    }

    /// An endpoint for a target, or for all.
    pub async fn endpoint(&self, target: Option<Target>) {
        let here = self.people.here;
        self.db
            .write(move |tx| webhook::create_endpoint(tx, here, target, "test", "https://example.com/x", "secret"))
            .await
            .unwrap();
    }

    pub fn sos(&self) -> Report {
        let now = songhe_kernel::Clock::now(self.clock.as_ref());
        Report {
            kind: Kind::Sos,
            priority: None,
            facility: self.people.here,
            scenario: "nursing-home".into(),
            place: Some(self.people.bed),
            place_label: "305 室 · 1 床".into(),
            resident: Some(self.people.resident),
            device: Some(77),
            discriminator: String::new(),
            source: "卫生间拉绳".into(),
            detail: String::new(),
            cause: json!({ "id": "obs_1", "device": "dev_000000000002d", "kind": "sos", "event": true, "value": null }),
            observed_at: now,
            received_at: now,
        }
    }

    pub async fn press(&self) -> IncidentId {
        self.report(self.sos()).await
    }

    pub async fn report(&self, what: Report) -> IncidentId {
        let id = self.db.write_emergency(move |tx| report(tx, &what)).await.unwrap().incident;
        self.settle().await;
        id
    }

    pub async fn act<T: Send + 'static>(
        &self,
        f: impl Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let done = self.db.write_emergency(f).await;
        self.settle().await;
        done
    }

    /// Time passes; boards go on speaking; everything due is done before this returns.
    pub async fn pass(&self, seconds: u64) {
        let mut left = seconds;
        while left > 0 {
            let step = left.min(10);
            self.clock.advance(Duration::from_secs(step));
            self.settle().await;
            self.boards_speak().await;
            left -= step;
        }
    }

    /// Until no timer is due and no message is under way.
    pub async fn settle(&self) {
        for round in 0..2_000 {
            self.db.wakes().timers.notify_one();
            self.db.wakes().effects.notify_one();
            let now = songhe_kernel::Clock::now(self.clock.as_ref());
            let due: i64 = self
                .db
                .read(move |db| {
                    let timers: i64 = timer::table.filter(timer::due_at.le(now)).count().get_result(db)?;
                    let queued = effect::status.eq("queued").and(effect::next_at.le(now));
                    Ok(timers + effect::table.filter(queued).count().get_result::<i64>(db)?)
                })
                .await
                .unwrap();
            if due == 0 && round > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("something that is due was not done");
    }

    pub async fn row(&self, id: IncidentId) -> Row {
        self.db.read(move |db| story::row(db, id)).await.unwrap()
    }

    /// Each rung of the present round: seconds after the call, target, channel, state, reason.
    pub async fn rungs(&self, id: IncidentId) -> Vec<String> {
        let row = self.row(id).await;
        let all = self.rung_rows(id).await;
        all.iter()
            .filter(|rung| rung.round == row.round)
            .map(|rung| {
                let reason = rung.reason.as_deref().map(|reason| format!(" {reason}")).unwrap_or_default();
                format!("{} {} {}{reason}", rung.target, rung.channel, rung.state)
            })
            .collect()
    }

    pub async fn rung_rows(&self, id: IncidentId) -> Vec<RungRow> {
        use songhe_incidents::schema::incident_rung;
        self.db
            .read(move |db| {
                Ok(incident_rung::table
                    .filter(incident_rung::incident_id.eq(id.0))
                    .order((incident_rung::round, incident_rung::position))
                    .select(RungRow::as_select())
                    .load(db)?)
            })
            .await
            .unwrap()
    }

    pub async fn story(&self, id: IncidentId) -> Vec<String> {
        let entries = self.db.read(move |db| story::entries(db, id)).await.unwrap();
        entries.into_iter().map(|entry| entry.kind).collect()
    }

    pub async fn incidents(&self) -> i64 {
        use songhe_incidents::schema::incident;
        self.db.read(|db| Ok(incident::table.count().get_result(db)?)).await.unwrap()
    }

    /// Whom messages went to, sorted: those of one moment go out side by side.
    pub fn told(&self) -> Vec<String> {
        let sent = self.post.sent.lock().unwrap();
        let mut all: Vec<String> =
            sent.iter().map(|(_, message)| message["target"].as_str().unwrap_or("test").to_owned()).collect();
        all.sort_unstable();
        all
    }
}

/// How a call is closed.
pub fn resolution() -> songhe_incidents::model::Resolution {
    let closing = songhe_incidents::act::Closing {
        outcome: Some(songhe_incidents::Outcome::Real),
        note: "已处理".into(),
        follow_up_kind: Some(songhe_incidents::act::FollowUp::None),
        follow_up: String::new(),
        follow_up_due: None,
        duplicate_of: None,
    };
    closing.check().unwrap()
}

fn settle(tx: &mut Tx<'_>, password: &PasswordHash) -> Result<People> {
    let city = create_region(tx, None, "滨江市")?;
    let street = create_region(tx, Some(city), "梧桐街道")?;
    let new = NewFacility::new(street, FacilityKind::NursingHome, "nursing-home", "梧桐里养老院", "梧桐里");
    let here = create_facility(tx, &new, None)?;
    let new = NewFacility::new(street, FacilityKind::NursingHome, "nursing-home", "柳岸养老院", "柳岸");
    let elsewhere = create_facility(tx, &new, None)?;
    let place = |tx: &mut Tx<'_>, facility_id, parent_id, kind, name: &str| {
        create_place(tx, &NewPlace { facility_id, parent_id, kind, name: name.into(), label: None }, None)
    };
    let room = place(tx, here, None, PlaceKind::Room, "305 室")?;
    let bed = place(tx, here, Some(room), PlaceKind::Bed, "1 床")?;
    place(tx, elsewhere, None, PlaceKind::Room, "101 室")?;
    let new = NewResident {
        facility_id: here,
        place_id: Some(bed),
        name: "张秀英".into(),
        sex: Sex::Female,
        birth_date: "1940-05-01".parse().ok(),
        ability_level: Some(2),
        living_alone: false,
        fall_risk_high: true,
        phone: None,
    };
    let resident = create_resident(tx, &new, None)?;
    let daughter = NewContact {
        rank: None,
        name: "张小红".into(),
        relation: "女儿".into(),
        phone: Some("13800000000".into()),
        user_id: None,
    };
    add_contact(tx, resident, &daughter, None)?;
    let carer = on_duty(tx, here, "carer", "李护理", Role::Carer, Job::Carer, password)?;
    let second = on_duty(tx, here, "second", "赵护理", Role::Carer, Job::Carer, password)?;
    on_duty(tx, here, "lead", "王组长", Role::Nurse, Job::NurseLead, password)?;
    on_duty(tx, here, "manager", "陈主任", Role::FacilityAdmin, Job::Manager, password)?;
    let admin = user(tx, "admin", "管理员", password)?;
    grant_role(tx, admin, Role::FacilityAdmin, Some(here.0))?;
    let stranger = user(tx, "stranger", "外人", password)?;
    grant_role(tx, stranger, Role::Nurse, Some(elsewhere.0))?;
    grant_role(tx, stranger, Role::FacilityAdmin, Some(elsewhere.0))?;
    Ok(People { here, elsewhere, room, bed, resident, carer, second, stranger })
}

fn user(tx: &mut Tx<'_>, username: &str, name: &str, password: &PasswordHash) -> Result<UserId> {
    create_user(
        tx,
        &NewUser { username: username.into(), display_name: name.into(), password: password.clone(), locale: None },
    )
}

fn on_duty(
    tx: &mut Tx<'_>,
    facility_id: FacilityId,
    username: &str,
    name: &str,
    role: Role,
    job: Job,
    password: &PasswordHash,
) -> Result<UserId> {
    let id = user(tx, username, name, password)?;
    grant_role(tx, id, role, Some(facility_id.0))?;
    let staff = NewStaff { facility_id, user_id: Some(id), name: name.into(), job };
    let staff_id = create_staff(tx, &staff, None)?;
    let start: Moment = START.parse().unwrap();
    add_shift(
        tx,
        &NewShift {
            staff_id,
            duty: job,
            name: "白班".into(),
            starts_at: start.plus_seconds(-4 * 3_600),
            ends_at: start.plus_seconds(8 * 3_600),
        },
        None,
    )?;
    Ok(id)
}
