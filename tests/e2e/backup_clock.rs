//! Backups by the clock: made, kept, thrown away, missed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use songhe::assembly::{Server, StartOptions};
use songhe::backup::{make_key_file, shelf};
use songhe::config::Config;
use songhe_kernel::ManualClock;
use songhe_testkit::{TestDb, both_databases, eventually};

use crate::api::Api;
use crate::world::{KEYS, MIGRATED, Plan, noon, seed};

const HOUR: Duration = Duration::from_secs(3_600);
/// The server looks after itself every ten seconds.
const LOOKS: Duration = Duration::from_secs(60);

both_databases! {
    from MIGRATED;

    async fn by_the_clock_they_are_made_and_kept_and_their_absence_is_told(db: TestDb) {
        let (clock, dir) = (Arc::new(ManualClock::at(noon())), songhe_testkit::temp_dir());
        let world = seed(&db, clock.clone(), &Plan { homes: 1, ..Plan::default() }).await;
        let folder = dir.path().join("archives");
        let mut config = Config::default();
        config.database.url = db.url().to_owned();
        config.vault.keys = Some(KEYS.clone());
        config.server.listen = "127.0.0.1:0".parse().unwrap();
        config.mqtt.listen = "127.0.0.1:0".parse().unwrap();
        config.mqtt.data_dir = dir.path().join("mqtt");
        config.backup.directory = Some(folder.clone());
        config.backup.key_file = Some(dir.path().join("backup.key"));
        (config.backup.keep_days, config.backup.keep_weeks) = (1, 0);
        make_key_file(&dir.path().join("backup.key")).unwrap();
        let server = Server::start(&config, clock.clone(), StartOptions::default()).await.unwrap();
        let until = |what: &'static str, fits: fn(&Value) -> bool| {
            let url = server.url.clone();
            async move {
                let admin = Api::sign_in(&url, "admin").await;
                eventually(what, LOOKS, || async { Some(admin.get("/api/v1/system").await["backup"].clone()).filter(fits) }).await
            }
        };
        let first = until("the plan", |backup| backup["next_at"] == "2026-11-22T18:30:00Z").await;
        assert!(first["last"].is_null() && first["scheduled"] == true, "{first}");

        clock.advance(15 * HOUR);
        let made = until("the first one", |backup| !backup["last"].is_null()).await;
        assert_eq!(made["last"]["at"], "2026-11-22T19:00:00Z");
        assert_eq!(made["next_at"], "2026-11-23T18:30:00Z");
        clock.advance(24 * HOUR);
        until("the second one", |backup| backup["last"]["at"] == "2026-11-23T19:00:00Z").await;
        let kept = shelf::list(&folder).unwrap();
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!(kept[0].header.created_at.to_string(), "2026-11-23T19:00:00Z");

        // A folder that is none any more.
        std::fs::rename(&folder, dir.path().join("away")).unwrap();
        std::fs::write(&folder, "").unwrap();
        clock.advance(24 * HOUR);
        let failed = until("a failure", |backup| !backup["failed"].is_null()).await;
        assert!(failed["failed"]["why"].as_str().unwrap().contains("archives"), "{failed}");
        assert!(failed["overdue_h"].is_null());
        clock.advance(13 * HOUR);
        assert_eq!(until("too long", |backup| !backup["overdue_h"].is_null()).await["overdue_h"], 37);
        let admin = Api::sign_in(&server.url, "admin").await;
        let list = format!("/api/v1/incidents?status=open&facility={}", world.facility);
        let told = eventually("an incident", LOOKS, || async {
            let list = admin.get(&list).await;
            list["items"].as_array().unwrap().iter().find(|one| one["cause"]["kind"] == "backup_overdue").cloned()
        })
        .await;
        // It is tried again, and succeeds.
        std::fs::remove_file(&folder).unwrap();
        clock.advance(HOUR / 2);
        let good = until("a good one", |backup| backup["failed"].is_null()).await;
        assert_eq!(good["last"]["at"], "2026-11-25T08:30:00Z");
        let path = format!("/api/v1/incidents/{}", told["id"].as_str().unwrap());
        eventually("the incident is cleared", LOOKS, || async {
            let story = admin.get(&path).await["story"].clone();
            story.as_array().unwrap().iter().any(|line| line["kind"] == "cleared").then_some(())
        })
        .await;
        server.stop().await;
    }
}
