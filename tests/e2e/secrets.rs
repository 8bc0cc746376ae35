//! What nobody may read: telephone numbers, identity numbers, tokens and passwords, planted by a full scenario and then
//! looked for in the database, the log, the metrics and the answers to mistakes. Keys: made, changed, lost.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use songhe_incidents::model::{Channel, Target};
use songhe_testkit::{Receiver, Server, TestDb, both_databases, eventually_true, http};

use crate::SOON;
use crate::api::Api;
use crate::mqtt::publish;
use crate::sql::Connection;
use crate::world::{MIGRATED, PASSWORD, Plan, Wiring, World, keys_line, program, rung, seed_with_keys, toml};

const RESIDENT: &str = "13711130001";
const CONTACT: &str = "13711130002";
const STAFF: &str = "13711130003";
const TESTED: &str = "13711130004";
/// A number of an earlier release, in clear.
const BEFORE: &str = "13711130005";
/// Typed where none belongs.
const ID_NUMBER: &str = "11010119491231002X";
const WRONG_PASSWORD: &str = "planted-wrong-password";

/// The planted values, with how they would look in a dump of bytes.
fn planted(api: &Api, credential: &str) -> Vec<String> {
    let clear =
        [RESIDENT, CONTACT, STAFF, TESTED, BEFORE, ID_NUMBER, WRONG_PASSWORD, PASSWORD, credential, api.token()];
    clear.iter().flat_map(|text| [(*text).to_owned(), hex::encode(text)]).collect()
}

fn expect_none(what: &str, bytes: &[u8], planted: &[String]) {
    for secret in planted {
        let found = bytes.windows(secret.len()).position(|window| window == secret.as_bytes());
        let around = found
            .map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(80)..(at + 40).min(bytes.len())]).into_owned());
        assert_eq!(around, None, "{secret} can be read in {what}");
    }
}

/// Everything that the database holds: the files of SQLite, or each row of each table.
fn held(db: &TestDb) -> Vec<(String, Vec<u8>)> {
    if let Some(file) = db.file() {
        let name = |end: &str| format!("{}{end}", file.display());
        let files = ["", "-wal"].map(name);
        return files.into_iter().filter_map(|name| Some((name.clone(), std::fs::read(&name).ok()?))).collect();
    }
    let mut connection = Connection::open(db);
    let tables = connection.lines("SELECT tablename::text AS line FROM pg_tables WHERE schemaname = 'public'");
    assert!(tables.len() > 20, "{tables:?}");
    let rows = |table: &String| connection.lines(&format!("SELECT t::text AS line FROM \"{table}\" t")).join("\n");
    let held: Vec<String> = tables.iter().map(rows).collect();
    tables.into_iter().zip(held.into_iter().map(String::into_bytes)).collect()
}

fn config(db: &TestDb, keys: &Path) -> String {
    let own = format!("key_file = \"{}\"", keys.display());
    toml(db, &Wiring::Embedded).replace(&keys_line(), &own) + "\n[log]\nfilter = \"debug\"\n"
}

/// The seed, by its own keys: the same file as the server's.
async fn house(db: &TestDb, plan: &Plan) -> (World, Server, tempfile::TempDir) {
    let folder = songhe_testkit::temp_dir();
    let file = folder.path().join("songhe.keys");
    let world = seed_with_keys(db, plan, &file).await;
    let server = Server::setup(program()).config(&config(db, &file)).start();
    (world, server, folder)
}

async fn find(api: &Api, path: &str) -> String {
    let found = api.get(path).await;
    found["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{path}: {found}")).to_owned()
}

/// People with numbers, a call that leaves by webhook and by text message, a provider that repeats the number, mistakes.
/// Answers a device's credential.
async fn scenario(api: &Api, server: &Server, world: &World, receiver: &Receiver) -> String {
    let base = server.url("");
    let resident = json!({ "facility_id": world.facility, "name": "赵明华", "sex": "female", "phone": RESIDENT });
    let made = api.post("/api/v1/residents", resident).await;
    assert_eq!(made["phone"], "137****0001", "{made}");
    let lives = find(api, "/api/v1/residents?q=老人0").await;
    let contact = json!({ "name": "女儿", "relation": "女儿", "phone": CONTACT });
    api.post(&format!("/api/v1/residents/{lives}/contacts"), contact).await;
    let carer = find(api, &format!("/api/v1/staff?facility={}", world.facility)).await;
    let put = api.request("PUT", &format!("/api/v1/staff/{carer}/phone")).json(&json!({ "phone": STAFF }));
    assert_eq!(put.header("Idempotency-Key", "a-key").send().await.unwrap().status(), 200);
    let sms = json!({ "facility": world.facility, "kind": "sms", "name": "短信", "url": receiver.url("/sms"),
        "provider": { "body": "{\"p\":\"{phone}\",\"t\":\"{text}\"}" } });
    let endpoint = api.post("/api/v1/webhook-endpoints", sms).await["id"].as_str().unwrap().to_owned();
    let device = find(api, &format!("/api/v1/devices?q={}", world.buttons[1].serial)).await;
    let credential = api.request("POST", &format!("/api/v1/devices/{device}/credential"));
    let credential = credential.header("Idempotency-Key", "another").json(&json!({})).send().await.unwrap();
    let credential = credential.json::<Value>().await.unwrap()["password"].as_str().unwrap().to_owned();

    receiver.answer_once(400, &format!("no such number {TESTED}"));
    let tested = api.post(&format!("/api/v1/webhook-endpoints/{endpoint}/test?phone={TESTED}"), json!({})).await;
    assert!(tested["error"].as_str().unwrap().contains("137****0004"), "{tested}");
    assert!(publish(server.mqtt_address(), &world.buttons[0], "event", br#"{"id":"1-1","event":"sos"}"#).await.ok);
    eventually_true("both numbers called", SOON, || async {
        let heard: String = receiver.received().iter().map(|call| call.text()).collect();
        heard.contains(STAFF) && heard.contains(CONTACT)
    })
    .await;

    let client = http::client();
    let wrong = json!({ "username": "admin", "password": WRONG_PASSWORD });
    assert_eq!(client.post(format!("{base}/api/v1/session")).json(&wrong).send().await.unwrap().status(), 401);
    let broken = format!("{{\"phone\": \"{RESIDENT}\", ");
    for (method, path, body) in [
        ("POST", "/api/v1/residents".to_owned(), broken),
        ("POST", "/api/v1/residents".to_owned(), json!({ "id_number": ID_NUMBER, "phone": RESIDENT }).to_string()),
        ("POST", format!("/api/v1/residents/{lives}/contacts"), json!({ "name": "", "phone": CONTACT }).to_string()),
        ("GET", format!("/api/v1/residents?q={ID_NUMBER}"), String::new()),
        ("GET", format!("/residents/{ID_NUMBER}?phone={RESIDENT}"), String::new()),
    ] {
        let request = api.request(method, &path).header("Content-Type", "application/json");
        request.body(body).send().await.unwrap();
    }
    credential
}

both_databases! {
    from MIGRATED;

    async fn nothing_that_was_planted_can_be_read_afterwards(db: TestDb) {
        let receiver = Receiver::start();
        let rungs = vec![rung(0, Target::OnCall, Channel::Sms), rung(1, Target::Contact, Channel::Webhook)];
        let plan = Plan { hook: Some(receiver.url("/call")), rungs: Some(rungs), ..Plan::default() };
        let (world, mut server, folder) = house(&db, &plan).await;
        let api = Api::sign_in(&server.url(""), "admin").await;
        let credential = scenario(&api, &server, &world, &receiver).await;

        // In full, for a reason, once; and what was shown is on record without the number.
        let lives = find(&api, "/api/v1/residents?q=老人0").await;
        let unmask = format!("/api/v1/residents/{lives}/unmask");
        let refused = api.request("POST", &unmask).json(&json!({ "reason": " " })).send().await.unwrap();
        assert_eq!(refused.status(), 422);
        let numbers = api.post(&unmask, json!({ "reason": "家属要求核对号码" })).await;
        assert!(numbers.to_string().contains(CONTACT), "{numbers}");
        let masked = api.get(&format!("/api/v1/residents/{lives}/contacts")).await.to_string();
        assert!(masked.contains("137****0002") && !masked.contains(CONTACT), "{masked}");

        // What an earlier release kept in clear is sealed at the next start, and found all the same.
        let seals = Connection::open(&db).run(&format!("UPDATE resident SET phone = '{BEFORE}' WHERE name = '老人1'"));
        assert_eq!(seals, 1);
        server.terminate(SOON);
        server.start_again();
        let other = find(&api.at(&server.url("")), "/api/v1/residents?q=老人1").await;
        let shown = api.at(&server.url("")).get(&format!("/api/v1/residents/{other}")).await;
        assert_eq!(shown["phone"], "137****0005");

        let planted = planted(&api, &credential);
        let metrics = http::client().get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
        assert!(metrics.contains("songhe"), "{metrics}");
        expect_none("the metrics", metrics.as_bytes(), &planted);
        for path in ["/api/v1/nothing", "/residents/none"] {
            let page = api.at(&server.url("")).request("GET", path).send().await.unwrap().text().await.unwrap();
            expect_none(path, page.as_bytes(), &planted);
        }
        let log = server.log();
        assert!(log.contains("DEBUG"), "the log says little");
        expect_none("the log", log.as_bytes(), &planted);
        for (what, bytes) in held(&db) {
            expect_none(&what, &bytes, &planted);
        }
        drop(folder);
    }

    async fn keys_are_changed_while_the_server_runs_and_a_lost_one_is_told(db: TestDb) {
        let (_, mut server, folder) = house(&db, &Plan::default()).await;
        let file = folder.path().join("songhe.keys");
        let config = config(&db, &file);
        let keys = |args: &[&str]| {
            let args: Vec<&str> = ["keys"].iter().chain(args).chain(&["--config", "{config}"]).copied().collect();
            let (status, said) = Server::setup(program()).config(&config).args(&args).run_to_end(SOON);
            assert!(status.success(), "songhe {args:?}: {said}");
            said
        };
        let before = std::fs::read(&file).unwrap();
        for kind in ["master", "index"] {
            assert!(keys(&["list"]).contains(&format!("{kind:<7}   1  active")));
            keys(&["add", kind]);
            keys(&["rotate", kind]);
        }
        eventually_true("nothing hangs on the former keys", Duration::from_secs(60), || async {
            let said = keys(&["list"]);
            ["master", "index"].iter().all(|kind| {
                let line = |number: u8| said.lines().find(|line| line.starts_with(&format!("{kind:<7}   {number}")));
                line(1).is_some_and(|line| line.ends_with(" 0 values")) && line(2).is_some_and(|line| line.contains("active"))
            })
        })
        .await;
        let api = Api::sign_in(&server.url(""), "admin").await;
        let lives = find(&api, "/api/v1/residents?q=老人0").await;
        let contacts = format!("/api/v1/residents/{lives}/contacts");
        assert_eq!(api.get(&contacts).await["items"][0]["phone"], "138****0000");
        keys(&["remove", "master", "1"]);
        keys(&["remove", "index", "1"]);
        server.terminate(SOON);
        server.start_again();
        assert_eq!(api.at(&server.url("")).get(&contacts).await["items"][0]["phone"], "138****0000");
        server.terminate(SOON);

        // With the keys of yesterday, and with none.
        let now = std::fs::read(&file).unwrap();
        let refused = || Server::setup(program()).config(&config).run_to_end(SOON);
        std::fs::write(&file, before).unwrap();
        let (status, said) = refused();
        assert!(!status.success() && said.contains("master key 2") && said.contains("docs/keys.md"), "{said}");
        std::fs::remove_file(&file).unwrap();
        let (status, said) = refused();
        assert!(!status.success() && said.contains("is missing") && said.contains("docs/keys.md"), "{said}");
        assert!(!file.exists(), "new keys were drawn over what the old ones sealed");
        std::fs::write(&file, now).unwrap();
        let (status, said) = refused();
        assert!(!status.success() && said.contains("chmod 600"), "{said}");
    }
}
