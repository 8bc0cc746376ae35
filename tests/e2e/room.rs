//! A disk that fills up under a SQLite database: calls for help and what people do are kept, readings are judged, and all
//! of it is told.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use songhe_kernel::SystemClock;
use songhe_testkit::{Kind, Server, SseEvent, TestDb, eventually, eventually_true, run_test, temp_dir};

use crate::SOON;
use crate::api::{Api, is_change, lines, text};
use crate::mqtt::publish;
use crate::sql::Connection;
use crate::traffic::Flood;
use crate::world::{DISK_OFF, MIGRATED, Plan, Wiring, program, seed, toml};

const MB: u64 = 1 << 20;

fn config(db: &TestDb, disk: &str) -> String {
    let rates = "messages_per_s = 0\nevents_per_s = 0\n";
    toml(db, &Wiring::Embedded).replace(DISK_OFF, disk) + rates
}

async fn incidents(admin: &Api, kind: &str) -> Vec<Value> {
    admin.open_incidents().await.into_iter().filter(|one| one["kind"] == kind).collect()
}

/// The operator's incident about something.
async fn told(admin: &Api, cause: &str) -> Value {
    eventually(&format!("an incident {cause}"), crate::AFTER_A_KILL, || async {
        incidents(admin, "system").await.into_iter().find(|one| one["cause"]["kind"] == cause)
    })
    .await
}

async fn level(admin: &Api, wanted: &str) {
    eventually_true(&format!("room: {wanted}"), crate::AFTER_A_KILL, || async {
        admin.get("/api/v1/system").await["disk"]["level"] == wanted
    })
    .await;
}

fn size(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |found| found.len())
}

/// A file may hold so much from now on.
fn limit_files(server: &Server, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

#[test]
fn a_call_is_kept_and_answered_when_readings_find_no_room() {
    run_test(async {
        let db = TestDb::create(Kind::Sqlite, &MIGRATED);
        let world = seed(&db, Arc::new(SystemClock::new()), &Plan::default()).await;
        let text_of = config(&db, "[disk]\nwarn_below_mb = 36\nspare_below_mb = 32\nreserve_mb = 0");
        // The signal that comes with this limit would end the process; whoever sets such limits ignores it.
        let server = Server::setup("sh")
            .args(&["-c", "trap '' XFSZ; exec \"$0\" serve --config \"$1\"", program(), "{config}"])
            .config(&text_of)
            .start();
        let admin = Api::sign_in(&server.url(""), "admin").await;
        let nurse = Api::sign_in(&server.url(""), "carer").await;
        let mut stream = nurse.stream().await;
        let file = PathBuf::from(db.url().strip_prefix("sqlite:").unwrap());
        let log = PathBuf::from(format!("{}-wal", file.display()));
        limit_files(&server, Some(size(&file).max(size(&log)) + 40 * MB));
        let flood = Flood::start(server.mqtt_address().to_owned(), world.buttons[1].clone());
        level(&admin, "short").await;
        let state = eventually("readings that are not kept", SOON, || async {
            Some(admin.get("/api/v1/system").await).filter(|state| state["disk"]["not_kept"].as_i64() > Some(0))
        })
        .await;
        assert!(state["disk"]["free_mb"].as_u64().unwrap() < 40, "{}", state["disk"]);
        let ready: Value =
            songhe_testkit::http::client().get(server.url("/readyz")).send().await.unwrap().json().await.unwrap();
        assert_eq!((&ready["ready"], &ready["disk"]), (&json!(true), &json!("short")));
        // The flood goes on: the call is acknowledged to its device, stored, told and answered.
        let sent = publish(server.mqtt_address(), &world.buttons[0], "event", br#"{"id":"2-1","event":"sos"}"#).await;
        assert!(sent.ok, "{}", sent.said);
        let call = eventually("the call", SOON, || async { incidents(&admin, "sos").await.pop() }).await;
        let raised = |event: &SseEvent| is_change(event, "raised") && event.json()["incident"]["kind"] == "sos";
        stream.expect("the call on the stream", SOON, raised).await;
        let id = text(&call, "id").to_owned();
        nurse.post(&format!("/api/v1/incidents/{id}/acknowledge"), json!({})).await;
        let story = admin.detail(&id, "answered", |detail| !lines(detail, "acknowledged").is_empty()).await;
        assert_eq!(lines(&story, "raised").len(), 1, "{story}");
        let operator = told(&admin, "disk_short").await;
        assert!(flood.is_running());
        // There is room again.
        limit_files(&server, None);
        level(&admin, "plenty").await;
        let operator = text(&operator, "id").to_owned();
        admin.detail(&operator, "over", |detail| !lines(detail, "cleared").is_empty()).await;
        let before = flood.acknowledged();
        eventually_true("messages after it", SOON, || async { flood.acknowledged() > before }).await;
        let not_kept = admin.get("/api/v1/system").await["disk"]["not_kept"].as_u64().unwrap();
        let acknowledged = flood.stop().await;
        let mut tables = Connection::open(&db);
        let stored = tables.count("observation WHERE kind = 'room_temperature'").unsigned_abs();
        println!("{acknowledged} acknowledged: {stored} stored, {not_kept} judged and not kept");
        assert!(stored + not_kept >= acknowledged && stored <= acknowledged, "{acknowledged}: {stored} and {not_kept}");
        let last = tables.count(&format!("observation WHERE message_id = '9-{acknowledged}'"));
        assert_eq!(last, 1, "readings are kept again");
        assert_eq!(admin.get("/api/v1/system").await["disk"]["not_kept"].as_u64(), Some(not_kept));
    });
}

/// How a file system of our own can be mounted here: by root, or in a user's own namespace. Nothing where both are forbidden.
fn own_mounts() -> Option<&'static str> {
    ["-m", "-Urm"].into_iter().find(|how| {
        let tried = Command::new("unshare").args([how, "sh", "-c", "mount -t tmpfs -o size=1m songhe /tmp"]).output();
        tried.is_ok_and(|done| done.status.success())
    })
}

#[test]
fn on_a_disk_without_a_byte_left_the_reserve_keeps_calls() {
    let Some(how) = own_mounts() else {
        println!("no file system can be mounted here: this runs where unshare(1) is allowed");
        return;
    };
    run_test(async {
        let db = TestDb::create(Kind::Sqlite, &MIGRATED);
        let world = seed(&db, Arc::new(SystemClock::new()), &Plan::default()).await;
        let dir = temp_dir();
        let disk = dir.path().join("disk");
        std::fs::create_dir(&disk).unwrap();
        let seeded = db.url().strip_prefix("sqlite:").unwrap().to_owned();
        let settings = config(&db, "[disk]\nwarn_below_mb = 4\nspare_below_mb = 2\nreserve_mb = 6")
            .replace(&seeded, &format!("{}/songhe.db", disk.display()));
        let script = "mount -t tmpfs -o size=48m songhe \"$2\" && cp \"$3\"* \"$2\" && cd \"$2\" && \
                      for f in *; do mv \"$f\" \"songhe.db${f#\"${3##*/}\"}\"; done; exec \"$0\" serve --config \"$1\"";
        let disk_text = disk.display().to_string();
        let server = Server::setup("unshare")
            .args(&[how, "sh", "-c", script, program(), "{config}", &disk_text, &seeded])
            .config(&settings)
            .start();
        let admin = Api::sign_in(&server.url(""), "admin").await;
        // The server's own file system, seen from here.
        let inside = PathBuf::from(format!("/proc/{}/root{disk_text}", server.pid()));
        let reserve = inside.join("songhe.db.reserve");
        eventually_true("a reserve", SOON, || async { size(&reserve) == 6 * MB }).await;
        let ballast = inside.join("ballast");
        let filled = Command::new("dd").args(["if=/dev/zero", "bs=64k", &format!("of={}", ballast.display())]).output();
        assert!(!filled.unwrap().status.success(), "the disk takes all that");
        level(&admin, "short").await;
        let button = &world.buttons[0];
        let mut presses = 0;
        while reserve.exists() {
            presses += 1;
            assert!(presses < 400, "the database never ran out of room");
            let press = format!(r#"{{"id":"2-{presses}","event":"sos"}}"#);
            let sent = publish(server.mqtt_address(), button, "event", press.as_bytes()).await;
            assert!(sent.ok, "press {presses}: {}\n{}", sent.said, server.log());
        }
        println!("the reserve was given up at press {presses}");
        // It is given up once, and all goes on.
        for more in 1..=20 {
            let press = format!(r#"{{"id":"3-{more}","event":"sos"}}"#);
            assert!(publish(server.mqtt_address(), button, "event", press.as_bytes()).await.ok, "{}", server.log());
        }
        let call = incidents(&admin, "sos").await.pop().expect("the call");
        assert_eq!(call["presses"].as_i64(), Some(presses + 20), "{call}");
        let nurse = Api::sign_in(&server.url(""), "carer").await;
        nurse.post(&format!("/api/v1/incidents/{}/acknowledge", text(&call, "id")), json!({})).await;
        told(&admin, "disk_short").await;
        std::fs::remove_file(&ballast).unwrap();
        level(&admin, "plenty").await;
        eventually_true("a new reserve", SOON, || async { size(&reserve) == 6 * MB }).await;
        let sent = publish(server.mqtt_address(), button, "telemetry", crate::traffic::reading("4-1").as_bytes()).await;
        assert!(sent.ok, "{}", sent.said);
        assert!(!server.log().contains("panicked"), "{}", server.log());
    });
}
