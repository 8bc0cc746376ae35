//! A small street to play in: a care-bed station with homes, residents and buttons, staff on duty, and a foreign
//! facility that must never be seen.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use songhe::assembly::{Server, StartOptions, open_database};
use songhe::config::{Config, MqttMode};
use songhe_devices::register::{self, NewDevice};
use songhe_incidents::ladders::{self, Ladder, Rung};
use songhe_incidents::model::{Channel, Target};
use songhe_incidents::{Priority, webhook};
use songhe_kernel::db::{Kind as DbKind, migrate};
use songhe_kernel::identity::{NewUser, PasswordHash, Role, create_user, grant_role};
use songhe_kernel::{Clock as _, FacilityId, ManualClock, Moment, Result, SharedClock, SystemClock, Tx, UserId};
use songhe_registry::{
    self as registry, Duty, FacilityKind, NewContact, NewFacility, NewPlace, NewResident, NewShift, NewStaff,
    PlaceKind, Sex,
};
use songhe_testkit::{Mosquitto, Template, TestDb};

pub const PASSWORD: &str = "a-long-password";
/// Signs the facility's webhooks.
pub const HOOK_SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Songhe's own account at Mosquitto.
pub const LINK_PASSWORD: &str = "8f2c7a90b1d34e56";

/// A database with the schema and nothing in it.
pub const MIGRATED: Template = Template { name: "e2e_migrated", fill: fill_schema };

fn fill_schema(url: &str) {
    let kind = if url.starts_with("sqlite:") { DbKind::Sqlite } else { DbKind::Postgres };
    migrate(url, &songhe::migrations::all(kind)).unwrap();
}

pub static HASH: LazyLock<PasswordHash> = LazyLock::new(|| PasswordHash::make(PASSWORD).unwrap());

/// What the street is like.
#[derive(Clone)]
pub struct Plan {
    /// Homes, each with a resident and a button.
    pub homes: usize,
    /// Where webhooks go; `None`: there is no endpoint.
    pub hook: Option<String>,
    /// The ladder for emergencies; `None`: the built-in one.
    pub rungs: Option<Vec<Rung>>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { homes: 2, hook: None, rungs: None }
    }
}

impl Plan {
    /// One webhook after another, at these seconds, to whoever is on duty.
    pub fn calls_at(hook: String, seconds: &[i32]) -> Self {
        let rung = |after: &i32| rung(*after, Target::OnCall, Channel::Webhook);
        Self { hook: Some(hook), rungs: Some(seconds.iter().map(rung).collect()), ..Self::default() }
    }
}

pub fn rung(after_seconds: i32, target: Target, channel: Channel) -> Rung {
    Rung { after_seconds, target, rank: None, channel }
}

/// A home's button, with its credential.
#[derive(Clone, Debug)]
pub struct Button {
    pub serial: String,
    pub secret: String,
}

impl Button {
    fn of(number: usize) -> Self {
        Self { serial: format!("SH-{number:04}"), secret: format!("{number:032x}") }
    }
}

#[derive(Clone)]
pub struct World {
    pub facility: FacilityId,
    pub foreign: FacilityId,
    pub buttons: Vec<Button>,
    /// A button of the foreign facility.
    pub foreign_button: Button,
}

/// What seals sensitive fields, of the seed and of every server over it.
pub static KEYS: LazyLock<String> = LazyLock::new(|| {
    let ring = songhe_kernel::vault::KeyRing::draw().to_text();
    ring.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect::<Vec<_>>().join(";")
});

/// The line of a configuration that names [`KEYS`].
pub fn keys_line() -> String {
    format!("keys = \"{}\"", *KEYS)
}

/// Fills a migrated database and lets go of it.
pub async fn seed(db: &TestDb, clock: SharedClock, plan: &Plan) -> World {
    LazyLock::force(&HASH);
    let mut config = Config { database: database(db), ..Config::default() };
    config.vault.keys = Some(KEYS.clone());
    let opened = open_database(&config, clock).await.unwrap();
    let plan = plan.clone();
    opened.db.write(move |tx| fill(tx, &plan)).await.unwrap()
}

/// The same by keys of a file of one's own, on the machine's clock.
pub async fn seed_with_keys(db: &TestDb, plan: &Plan, keys: &Path) -> World {
    LazyLock::force(&HASH);
    let mut config = Config { database: database(db), ..Config::default() };
    config.vault.key_file = Some(keys.to_owned());
    let opened = open_database(&config, Arc::new(SystemClock::new())).await.unwrap();
    let plan = plan.clone();
    opened.db.write(move |tx| fill(tx, &plan)).await.unwrap()
}

fn database(db: &TestDb) -> songhe::config::Database {
    songhe::config::Database { url: db.url().to_owned(), ..Default::default() }
}

fn fill(tx: &mut Tx<'_>, plan: &Plan) -> Result<World> {
    let street = registry::create_region(tx, None, "松柏街道")?;
    let elsewhere = registry::create_region(tx, None, "别处街道")?;
    let station = |region, name| NewFacility::new(region, FacilityKind::CareBedStation, "care-beds", name, name);
    let facility = registry::create_facility(tx, &station(street, "枫林里床位站"), None)?;
    let foreign = registry::create_facility(tx, &station(elsewhere, "别处床位站"), None)?;
    account(tx, "admin", Role::SystemAdmin, None)?;
    account(tx, "stranger", Role::FacilityAdmin, Some(foreign))?;
    account(tx, "manager", Role::FacilityAdmin, Some(facility))?;
    let carer = account(tx, "carer", Role::Carer, Some(facility))?;
    on_duty(tx, facility, "王护理", Duty::Carer, Some(carer))?;
    on_duty(tx, facility, "李护士长", Duty::NurseLead, None)?;
    let buttons = (0..plan.homes).map(|n| home(tx, facility, n)).collect::<Result<_>>()?;
    let foreign_button = home(tx, foreign, 9_000)?;
    if let Some(url) = &plan.hook {
        webhook::create_endpoint(tx, facility, None, "呼叫中心", url, HOOK_SECRET)?;
    }
    if let Some(rungs) = &plan.rungs {
        let ladder = Ladder {
            id: None,
            facility,
            scenario: None,
            priority: Priority::High,
            name: "紧急".into(),
            repeat_seconds: 3_600,
            active: true,
            rungs: rungs.clone(),
        };
        ladders::save(tx, &ladder)?;
    }
    Ok(World { facility, foreign, buttons, foreign_button })
}

fn account(tx: &mut Tx<'_>, name: &str, role: Role, at: Option<FacilityId>) -> Result<UserId> {
    let user = NewUser { username: name.into(), display_name: name.into(), password: HASH.clone(), locale: None };
    let id = create_user(tx, &user)?;
    grant_role(tx, id, role, at.map(|id| id.0))?;
    Ok(id)
}

/// From six hours ago until in eighteen.
fn on_duty(tx: &mut Tx<'_>, facility_id: FacilityId, name: &str, job: Duty, user_id: Option<UserId>) -> Result<()> {
    let staff_id = registry::create_staff(tx, &NewStaff { facility_id, user_id, name: name.into(), job }, None)?;
    let now = tx.now();
    let (starts_at, ends_at) = (now.plus_seconds(-6 * 3_600), now.plus_seconds(18 * 3_600));
    let shift = NewShift { staff_id, duty: job, name: "全天".into(), starts_at, ends_at };
    registry::add_shift(tx, &shift, None)?;
    Ok(())
}

fn home(tx: &mut Tx<'_>, facility: FacilityId, number: usize) -> Result<Button> {
    let new = NewPlace {
        facility_id: facility,
        parent_id: None,
        kind: PlaceKind::Home,
        name: format!("枫林里 {number} 室"),
        label: None,
    };
    let place = registry::create_place(tx, &new, None)?;
    let new = NewResident {
        facility_id: facility,
        place_id: Some(place),
        name: format!("老人{number}"),
        sex: Sex::Female,
        birth_date: None,
        ability_level: None,
        living_alone: true,
        fall_risk_high: false,
        phone: None,
    };
    let resident = registry::create_resident(tx, &new, None)?;
    let contact = NewContact {
        rank: Some(1),
        name: format!("女儿{number}"),
        relation: "女儿".into(),
        phone: Some("13800000000".into()),
        user_id: None,
    };
    registry::add_contact(tx, resident, &contact, None)?;
    songhe_care_beds::create_care_bed(tx, &songhe_care_beds::NewCareBed::new(resident), None)?;
    let button = Button::of(number);
    let new = NewDevice {
        facility,
        serial: button.serial.clone(),
        class: "3.1".into(),
        adapter: "songhe-mqtt".into(),
        name: "一键呼叫器".into(),
        place: Some(place),
        resident: None,
    };
    let id = register::register(tx, &new, &["songhe-mqtt"], None)?;
    register::set_secret(tx, id, &button.secret, None)?;
    Ok(button)
}

/// A Mosquitto that knows the world's buttons, each for its own topics, and Songhe; the topics of a gateway, whose
/// account comes later.
pub fn mosquitto(world: &World) -> Mosquitto {
    let acl = "user songhe-server\ntopic readwrite songhe/v1/#\ntopic readwrite zigbee2mqtt/#\n\n\
               user GW-1\ntopic readwrite zigbee2mqtt/#\n\npattern write songhe/v1/%u/telemetry\n\
               pattern write songhe/v1/%u/event\npattern write songhe/v1/%u/state\npattern readwrite songhe/v1/%u/ack\n\
               pattern read songhe/v1/%u/command\n";
    let setup = Mosquitto::setup().user("songhe-server", LINK_PASSWORD).acl(acl);
    let known = world.buttons.iter().chain([&world.foreign_button]);
    known.fold(setup, |setup, button| setup.user(&button.serial, &button.secret)).start()
}

/// Waits until Songhe's connections have subscribed for the `times`th time: what is published before the first is
/// nobody's.
pub async fn linked(broker: &Mosquitto, times: usize) {
    songhe_testkit::eventually_true("Songhe at the broker", crate::SOON, || async {
        let log = broker.log();
        ["emergency", "telemetry", "gateways"]
            .iter()
            .all(|lane| log.matches(&format!("Sending SUBACK to songhe-1-{lane}")).count() >= times)
    })
    .await;
}

/// Which broker carries the messages.
pub enum Wiring {
    Embedded,
    External(Mosquitto),
}

impl Wiring {
    pub fn external(&mut self) -> &mut Mosquitto {
        match self {
            Self::External(broker) => broker,
            Self::Embedded => panic!("the broker is inside Songhe"),
        }
    }
}

/// The server in this process, on a clock that the test moves.
pub struct House {
    pub clock: Arc<ManualClock>,
    pub world: World,
    pub wiring: Wiring,
    config: Config,
    server: Option<Server>,
    /// How often Songhe has connected to an external broker.
    links: usize,
    _dir: tempfile::TempDir,
    pub db: TestDb,
}

/// Noon of some day in Shanghai.
pub fn noon() -> Moment {
    "2026-11-22T04:00:00Z".parse().unwrap()
}

impl House {
    /// Seeds and starts on the embedded broker.
    pub async fn start(db: TestDb, plan: &Plan) -> Self {
        Self::start_with(db, plan, |_| Wiring::Embedded).await
    }

    pub async fn start_with(db: TestDb, plan: &Plan, wiring: impl FnOnce(&World) -> Wiring) -> Self {
        let clock = Arc::new(ManualClock::at(noon()));
        let world = seed(&db, clock.clone(), plan).await;
        let dir = songhe_testkit::temp_dir();
        let wiring = wiring(&world);
        let config = config(&db, dir.path(), &wiring);
        let mut house = Self { clock, world, wiring, config, server: None, links: 0, _dir: dir, db };
        house.open().await;
        house
    }

    /// Starts the server, again after [`House::close`].
    pub async fn open(&mut self) {
        let server = Server::start(&self.config, self.clock.clone(), StartOptions::default()).await;
        self.server = Some(server.unwrap_or_else(|error| panic!("{error}")));
        if let Wiring::External(broker) = &self.wiring {
            self.links += 1;
            linked(broker, self.links).await;
        }
    }

    /// Waits until Songhe has come back to a broker that was restarted.
    pub async fn linked_again(&mut self) {
        self.links += 1;
        if let Wiring::External(broker) = &self.wiring {
            linked(broker, self.links).await;
        }
    }

    /// Changes the configuration of the next start.
    pub fn configure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
    }

    /// Ends the server in order.
    pub async fn close(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("the house is closed")
    }

    /// Where devices connect.
    pub fn broker(&self) -> String {
        match &self.wiring {
            Wiring::Embedded => self.server().mqtt.expect("an embedded broker").to_string(),
            Wiring::External(broker) => broker.address(),
        }
    }

    pub async fn api(&self, user: &str) -> crate::api::Api {
        crate::api::Api::sign_in(&self.server().url, user).await
    }

    /// Presses a home's button: `mosquitto_pub`, as the manual says.
    pub async fn press(&self, home: usize, message_id: &str) {
        let button = &self.world.buttons[home];
        let payload = format!(r#"{{"id":"{message_id}","event":"sos"}}"#);
        let sent = crate::mqtt::publish(&self.broker(), button, "event", payload.as_bytes()).await;
        assert!(sent.ok, "{}", sent.said);
    }

    /// Time passes, and whatever it brings about begins.
    pub fn pass_seconds(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.wake();
    }

    /// The wall clock is set, no time passes.
    pub fn set_clock(&self, by_seconds: i64) {
        self.clock.step(chrono::TimeDelta::seconds(by_seconds));
        self.wake();
    }

    fn wake(&self) {
        self.server().db.wakes().timers.notify_one();
        self.server().db.wakes().effects.notify_one();
    }
}

fn config(db: &TestDb, dir: &Path, wiring: &Wiring) -> Config {
    let mut config = Config { database: database(db), disk: songhe::config::Disk::OFF, ..Config::default() };
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.server.workers = 1;
    config.mqtt.listen = "127.0.0.1:0".parse().unwrap();
    config.mqtt.data_dir = dir.join("mqtt");
    config.vault.keys = Some(KEYS.clone());
    if let Wiring::External(broker) = wiring {
        config.mqtt.mode = MqttMode::External;
        config.mqtt.port = broker.port();
        config.mqtt.password = LINK_PASSWORD.into();
    }
    config
}

/// The server as a program, on the machine's clock.
pub fn program() -> &'static str {
    env!("CARGO_BIN_EXE_songhe")
}

/// The disk of this machine is none of a test's.
pub const DISK_OFF: &str = "[disk]\nwarn_below_mb = 0\nspare_below_mb = 0\nreserve_mb = 0";

/// Its configuration, on free ports; `{dir}` is filled in by the test kit.
pub fn toml(db: &TestDb, wiring: &Wiring) -> String {
    toml_at(db.url(), wiring)
}

/// The same for any database.
pub fn toml_at(url: &str, wiring: &Wiring) -> String {
    let mqtt = match wiring {
        Wiring::Embedded => "listen = \"127.0.0.1:0\"\ndata_dir = \"{dir}/mqtt\"".to_owned(),
        Wiring::External(broker) => {
            format!("mode = \"external\"\nport = {}\npassword = \"{LINK_PASSWORD}\"", broker.port())
        }
    };
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n\n[database]\nurl = \"{url}\"\n\n{DISK_OFF}\n\n[vault]\n{}\n\n[mqtt]\n{mqtt}\n",
        keys_line()
    )
}

/// Seeds by the machine's clock and starts the program.
pub async fn start_program(db: &TestDb, plan: &Plan) -> (World, songhe_testkit::Server) {
    let world = seed(db, Arc::new(SystemClock::new()), plan).await;
    let server = songhe_testkit::Server::setup(program()).config(&toml(db, &Wiring::Embedded)).start();
    (world, server)
}

impl House {
    /// Waits until the timers that are due by now have had their turn. A timer of no module stands in line behind them
    /// and is kept for later when it is reached; the second proves that a whole pass lies between.
    pub async fn timers_have_looked(&self) {
        for _ in 0..2 {
            let due_at = self.clock.now();
            let db = self.server().db.clone();
            let key = format!("sentinel:{}", db.next_id());
            let mine = key.clone();
            let sentinel = move |tx: &mut Tx<'_>| {
                tx.set_timer(songhe_kernel::NewTimer {
                    key: mine.clone(),
                    module: "nobody",
                    kind: "sentinel",
                    facility: None,
                    data: serde_json::Value::Null,
                    due_at,
                })
            };
            db.write(sentinel).await.unwrap();
            songhe_testkit::eventually_true("a pass of the timers", crate::SOON, || {
                let (db, key) = (db.clone(), key.clone());
                async move { db.write(move |tx| reached(tx, &key)).await.unwrap() }
            })
            .await;
        }
    }
}

/// Whether a sentinel was tried; then it is taken away.
fn reached(tx: &mut Tx<'_>, key: &str) -> Result<bool> {
    use diesel::prelude::*;
    use songhe_kernel::schema::timer;
    let tried = timer::table.find(key).filter(timer::attempts.gt(0));
    Ok(diesel::delete(tried).execute(tx.db())? > 0)
}
