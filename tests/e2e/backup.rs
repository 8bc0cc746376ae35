//! Backup of a running system, restored at another place, where it goes on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use songhe_kernel::SystemClock;
use songhe_testkit::pg::FreshCluster;
use songhe_testkit::{Kind, Receiver, Server, TestDb, both_databases, eventually_true};
use tokio::sync::watch;

use crate::SOON;
use crate::api::{Api, is_change};
use crate::kill::{Message, device};
use crate::sql::Connection;
use crate::world::{MIGRATED, Plan, Wiring, World, program, seed, start_program, toml, toml_at};

both_databases! {
    from MIGRATED;

    async fn restored_elsewhere_a_pressed_sos_reaches_who_was_up_to_date(db: TestDb) {
        goes_on(db).await;
    }

    async fn made_under_load_it_has_all_that_was_acknowledged_before(db: TestDb) {
        under_load(db).await;
    }

    async fn a_copy_that_is_held_calls_nobody_until_it_is_released(db: TestDb) {
        held(db).await;
    }
}

/// A command's end and words, in English.
pub fn songhe(args: &[&str]) -> (bool, String) {
    let mut command = Command::new(program());
    let output = command.env("LC_ALL", "C").args(args).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// The same, beside what the test does.
pub async fn run(args: &[&str]) -> (bool, String) {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    tokio::task::spawn_blocking(move || songhe(&args.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap()
}

/// A place where nothing is: another path, or a database in a cluster that has just been made.
pub struct Elsewhere {
    pub url: String,
    _dir: tempfile::TempDir,
    _cluster: Option<FreshCluster>,
}

impl Elsewhere {
    pub fn of(kind: Kind) -> Self {
        let dir = songhe_testkit::temp_dir();
        match kind {
            Kind::Sqlite => {
                let url = format!("sqlite:{}", dir.path().join("other/restored.db").display());
                Self { url, _dir: dir, _cluster: None }
            }
            Kind::Postgres => {
                let cluster = FreshCluster::start();
                Self { url: cluster.database("restored"), _dir: dir, _cluster: Some(cluster) }
            }
        }
    }
}

/// A folder for archives, and a key that lies elsewhere.
pub struct Shelf {
    dir: tempfile::TempDir,
    key: PathBuf,
}

impl Shelf {
    pub fn new() -> Self {
        let dir = songhe_testkit::temp_dir();
        std::fs::create_dir(dir.path().join("archives")).unwrap();
        let key = dir.path().join("backup.key");
        let (made, said) = songhe(&["backup", "key", &key.display().to_string()]);
        assert!(made, "{said}");
        Self { dir, key }
    }

    pub fn folder(&self) -> String {
        self.dir.path().join("archives").display().to_string()
    }

    pub fn key(&self) -> String {
        self.key.display().to_string()
    }

    /// Backs a running server up; answers the archive.
    pub async fn back_up(&self, config: &Path, name: &str) -> String {
        let to = format!("{}/{name}", self.folder());
        let (made, said) =
            run(&["backup", "--config", &config.display().to_string(), "--to", &to, "--key-file", &self.key()]).await;
        assert!(made && said.contains("read back and whole"), "{said}");
        to
    }

    pub async fn restore(&self, archive: &str, into: &str, more: &[&str]) -> (bool, String) {
        run(&[&["restore", archive, "--into", into, "--key-file", &self.key()], more].concat()).await
    }
}

async fn press(server: &Server, world: &World, home: usize, id: &str) {
    let payload = format!(r#"{{"id":"{id}","event":"sos"}}"#);
    let sent = crate::mqtt::publish(server.mqtt_address(), &world.buttons[home], "event", payload.as_bytes()).await;
    assert!(sent.ok, "{}", sent.said);
}

async fn care_beds_have_heard(url: &str, calls: i64) {
    let what = format!("{calls} calls at the care beds");
    eventually_true(&what, SOON, || async { Connection::at(url).count("care_bed_call") == calls }).await;
}

async fn goes_on(db: TestDb) {
    let (world, server) = start_program(&db, &Plan::default()).await;
    if db.kind() == Kind::Postgres {
        // A cluster in use is far ahead of a new one.
        let mut connection = Connection::open(&db);
        for _ in 0..3_000 {
            connection.number("SELECT pg_current_xact_id()::text::bigint AS n");
        }
    }
    let carer = Api::sign_in(&server.url(""), "carer").await;
    let mut stream = carer.stream().await;
    press(&server, &world, 0, "1-1").await;
    stream.expect("the call", SOON, |event| is_change(event, "raised")).await;
    care_beds_have_heard(db.url(), 1).await;
    let up_to_date = stream.last_id().to_owned();

    let shelf = Shelf::new();
    let config = server.dir().join("songhe.toml");
    let archive = shelf.back_up(&config, "one.backup").await;
    let (equal, said) =
        run(&["backup", "--verify", &archive, "--key-file", &shelf.key(), "--config", &config.display().to_string()])
            .await;
    assert!(equal && said.contains("can be restored: every table is equal"), "{said}");
    // What happens afterwards is lost with the machine, but for those who have heard of it.
    press(&server, &world, 1, "1-1").await;
    stream.expect("a call after the backup", SOON, |event| is_change(event, "raised")).await;
    care_beds_have_heard(db.url(), 2).await;
    let ahead = stream.last_id().to_owned();
    let behind = "SELECT xid AS n FROM subscription WHERE module = 'care-beds'";
    let cursor = Connection::open(&db).number(behind);
    drop(server);

    let there = Elsewhere::of(db.kind());
    let (restored, said) = shelf.restore(&archive, &there.url, &[]).await;
    assert!(restored && said.contains("every table equal"), "{said}");
    if db.kind() == Kind::Postgres {
        let now = Connection::at(&there.url).number("SELECT pg_current_xact_id()::text::bigint AS n");
        assert!(now < cursor, "transaction ids begin anew: {now}, {cursor}");
    }
    assert_eq!(Connection::at(&there.url).count("care_bed_call"), 1);
    let server = Server::setup(program()).config(&toml_at(&there.url, &Wiring::Embedded)).start();
    let carer = Api::sign_in(&server.url(""), "carer").await;
    let (mut known, mut lost) = (carer.stream_after(&up_to_date).await, carer.stream_after(&ahead).await);
    press(&server, &world, 1, "1-2").await;
    for stream in [&mut known, &mut lost] {
        stream.expect("a call at the copy", SOON, |event| is_change(event, "raised")).await;
    }
    care_beds_have_heard(&there.url, 2).await;
}

async fn under_load(db: TestDb) {
    let mut rng = StdRng::seed_from_u64(7);
    let plan = Plan { homes: 8, ..Plan::default() };
    let world = seed(&db, Arc::new(SystemClock::new()), &plan).await;
    let server = Server::setup(program()).config(&toml(&db, &Wiring::Embedded)).start();
    let (_tell, told) = watch::channel(server.mqtt_address().to_owned());
    let (stop, stopped) = watch::channel(false);
    let acknowledged = Arc::new(Mutex::new(Vec::<Message>::new()));
    let mut devices = tokio::task::JoinSet::new();
    for button in &world.buttons {
        let rng = StdRng::seed_from_u64(rng.random());
        devices.spawn(device(button.clone(), rng, Duration::ZERO, told.clone(), stopped.clone(), acknowledged.clone()));
    }
    let count = || acknowledged.lock().unwrap().len();
    let shelf = Shelf::new();
    let config = server.dir().join("songhe.toml");
    let (mut before, mut archive) = (Vec::new(), String::new());
    for round in 1..=3 {
        let enough = count() + 300;
        eventually_true("messages", SOON * 3, || async { count() >= enough }).await;
        before = acknowledged.lock().unwrap().clone();
        archive = shelf.back_up(&config, &format!("{round}.backup")).await;
        assert!(count() > before.len(), "the load went on meanwhile");
    }
    stop.send_replace(true);
    while let Some(ended) = devices.join_next().await {
        ended.unwrap();
    }
    let there = Elsewhere::of(db.kind());
    let (restored, said) = shelf.restore(&archive, &there.url, &[]).await;
    assert!(restored, "{said}");
    let mut copy = Connection::at(&there.url);
    let stored: std::collections::BTreeSet<String> = copy
        .lines("SELECT d.serial || ' ' || i.message_id AS line FROM inbox i JOIN device d ON d.id = i.device_id")
        .into_iter()
        .collect();
    let missing: Vec<&Message> =
        before.iter().filter(|message| !stored.contains(&format!("{} {}", message.serial, message.id))).collect();
    assert!(missing.is_empty(), "{} of {} are missing: {:?}", missing.len(), before.len(), missing.first());
    let emergencies = before.iter().filter(|message| message.emergency.is_some()).count();
    assert!(emergencies > 0 && copy.count("incident WHERE open_key IS NOT NULL") > 0);
    if db.kind() == Kind::Sqlite {
        assert_eq!(copy.count("pragma_foreign_key_check"), 0);
    }
    // Every incident has its story and its ladder: a transaction is in the copy as a whole.
    assert_eq!(
        copy.count("incident i WHERE NOT EXISTS (SELECT 1 FROM incident_entry e WHERE e.incident_id = i.id)"),
        0
    );
    assert_eq!(copy.count("incident i WHERE NOT EXISTS (SELECT 1 FROM incident_rung r WHERE r.incident_id = i.id)"), 0);
}

async fn held(db: TestDb) {
    let receiver = Receiver::start();
    let plan = Plan { homes: 3, ..Plan::calls_at(receiver.url("/call"), &[0]) };
    let (world, server) = start_program(&db, &plan).await;
    press(&server, &world, 0, "1-1").await;
    receiver.wait_for(1, SOON).await;
    eventually_true("it is done with", SOON, || async {
        Connection::open(&db).count("effect WHERE status = 'queued'") == 0
    })
    .await;
    let admin = Api::sign_in(&server.url(""), "admin").await;
    let shelf = Shelf::new();
    let archive = shelf.back_up(&server.dir().join("songhe.toml"), "one.backup").await;
    drop(server);

    let there = Elsewhere::of(db.kind());
    let (restored, said) = shelf.restore(&archive, &there.url, &["--hold-effects", "--end-sessions"]).await;
    assert!(restored && said.contains("held back"), "{said}");
    receiver.take();
    let server = Server::setup(program()).config(&toml_at(&there.url, &Wiring::Embedded)).start();
    assert_eq!(admin.at(&server.url("")).status("GET", "/api/v1/me").await, 401, "sessions were ended");
    let admin = Api::sign_in(&server.url(""), "admin").await;
    let carer = Api::sign_in(&server.url(""), "carer").await;
    let mut stream = carer.stream().await;
    press(&server, &world, 1, "1-1").await;
    stream.expect("a call at the board", SOON, |event| is_change(event, "raised")).await;
    let waits = |n: i64| {
        let admin = &admin;
        async move { admin.get("/api/v1/system").await["held"]["waiting"] == n }
    };
    eventually_true("one message that waits", SOON, || waits(1)).await;
    care_beds_have_heard(&there.url, 2).await;
    // This one has lost its meaning by the time of the release, the next one has not.
    Connection::at(&there.url).run("UPDATE effect SET valid_until = created_at WHERE status = 'queued'");
    press(&server, &world, 2, "1-1").await;
    eventually_true("two messages that wait", SOON, || waits(2)).await;
    let attention = "SELECT value AS line FROM meta WHERE key = 'effects_held'";
    assert_eq!(Connection::at(&there.url).lines(attention).len(), 1);
    assert!(receiver.received().is_empty(), "nobody was called");

    assert_eq!(carer.status("POST", "/api/v1/system/effects/release").await, 403);
    admin.post("/api/v1/system/effects/release", json!({})).await;
    receiver.wait_for(1, SOON).await;
    eventually_true("the other one is reported", SOON, || async {
        Connection::at(&there.url).count("effect WHERE status = 'expired'") == 1
    })
    .await;
    assert_eq!(receiver.received().len(), 1);
    assert!(admin.get("/api/v1/system").await["held"].is_null());
    assert_eq!(admin.status("POST", "/api/v1/system/effects/release").await, 409);
}
