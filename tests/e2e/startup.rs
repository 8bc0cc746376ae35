//! Starting: what is wrong stops it with a sentence that tells the mend; commands do what they say.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use songhe_testkit::{Kind, Server, TestDb, both_databases, free_port, http, run_test};

use crate::SOON;
use crate::api::Api;
use crate::world::{MIGRATED, PASSWORD, Plan, Wiring, program, start_program, toml};

/// A start that must fail: answers what it said.
fn refused(config: &str) -> String {
    let (status, log) = Server::setup(program()).config(config).run_to_end(SOON);
    assert_eq!(status.code(), Some(1), "it said:\n{log}");
    log
}

fn holds(log: &str, words: &[&str]) {
    for word in words {
        assert!(log.contains(word), "{word:?} is missing in:\n{log}");
    }
}

#[test]
fn a_mistake_in_the_configuration_is_told_with_its_mend() {
    holds(&refused("[server]\nlisen = \"127.0.0.1:0\"\n"), &["lisen", "listen", "docs/configuration.md"]);
    holds(&refused("[server]\nworkers = \"many\"\n"), &["workers"]);
    holds(&refused("[server]\nzone = \"Shanghai\"\n"), &["server.zone", "Asia/Shanghai"]);
    holds(&refused("[database]\nurl = \"mysql://x\"\n"), &["database.url", "sqlite:", "postgres://"]);
    holds(&refused("[mqtt]\nmode = \"external\"\npassword = \"change-me\"\n"), &["mqtt.password", "openssl rand"]);
    holds(&refused("[metrics]\ntoken = \"secret\"\n"), &["metrics.token"]);
    holds(
        &refused("[server]\nlisten = \"0.0.0.0:0\"\n"),
        &["0.0.0.0:0", "tls.certificate", "songhe cert", "trusted_proxies"],
    );
    holds(&refused("[tls]\nkey = \"key.pem\"\n"), &["tls.certificate", "tls.key"]);
    holds(
        &refused("[tls]\nkey = \"no.pem\"\ncertificate = \"no.pem\"\n[database]\nurl=\"sqlite:{dir}/a.db\"\n"),
        &["no.pem"],
    );
}

#[test]
fn the_environment_is_checked_as_the_file_is() {
    let setup = Server::setup(program()).env("SONGHE_SERVER__LISEN", "127.0.0.1:0");
    let (status, log) = setup.run_to_end(SOON);
    assert_eq!(status.code(), Some(1));
    holds(&log, &["lisen"]);
}

#[test]
fn an_unreachable_database_is_told_in_time() {
    let config = format!("[database]\nurl = \"postgres://songhe@127.0.0.1:{}/songhe\"\n", free_port());
    let started = Instant::now();
    let log = refused(&config);
    assert!(started.elapsed() < Duration::from_secs(15));
    holds(&log, &["database"]);
}

#[test]
fn a_port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let database = "[database]\nurl = \"sqlite:{dir}/songhe.db\"\n";
    let log = refused(&format!("{database}[server]\nlisten = \"{address}\"\n"));
    holds(&log, &[&address.to_string(), "in use"]);
    let log = refused(&format!("{database}[server]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nlisten = \"{address}\"\n"));
    holds(&log, &[&address.to_string(), "in use"]);
}

both_databases! {
    fn check_tells_whether_it_would_start(db: TestDb) {
        let config = toml(&db, &Wiring::Embedded);
        let run = |command: &str| {
            let setup = Server::setup(program()).args(&[command, "--config", "{config}"]);
            setup.config(&config).run_to_end(SOON)
        };
        let (status, said) = run("check");
        assert!(status.success(), "{said}");
        holds(&said, &["configuration: good", "database:"]);
        let (status, said) = run("migrate");
        assert!(status.success(), "{said}");
        let (status, said) = run("check");
        assert!(status.success() && said.contains("up to date"), "{said}");
        for (section, words) in [
            ("[metrics]\ntoken = \"short\"", ["metrics.token", "openssl rand"]),
            ("[metrics]\ntoken = \"change-me-change-me\"", ["metrics.token", "openssl rand"]),
            ("[log]\nfilter = \"inof\"", ["log.filter", "songhe_devices=debug"]),
        ] {
            let broken = format!("{config}\n{section}\n");
            for command in ["check", "serve"] {
                let setup = Server::setup(program()).args(&[command, "--config", "{config}"]).config(&broken);
                let (status, said) = setup.run_to_end(SOON);
                assert_eq!(status.code(), Some(1), "{command}: {said}");
                holds(&said, &words);
            }
        }
    }

    fn a_database_with_demo_data_is_refused_by_check_and_serve(db: TestDb) {
        let config = toml(&db, &Wiring::Embedded);
        let setup = Server::setup(program()).args(&["migrate", "--config", "{config}"]).config(&config);
        assert!(setup.run_to_end(SOON).0.success());
        crate::sql::Connection::open(&db).run("INSERT INTO meta (key, value) VALUES ('demo', '1')");
        for command in ["check", "serve"] {
            let setup = Server::setup(program()).args(&[command, "--config", "{config}"]).config(&config);
            let (status, said) = setup.run_to_end(SOON);
            assert_eq!(status.code(), Some(1), "{command}: {said}");
            holds(&said, &["demo data", "database.url", "songhe demo"]);
        }
    }

    async fn a_first_account_is_made_from_the_command_line(db: TestDb) {
        let server = Server::setup(program()).config(&toml(&db, &Wiring::Embedded)).start();
        let config = server.dir().join("songhe.toml").display().to_string();
        let add = ["user", "add", "boss", "--name", "院长", "--role", "system_admin", "--config", &config];
        let (short, said) = with_password(&add, "short");
        assert!(!short && !said.contains("error-"), "{said}");
        holds(&said, &["too short: at least 10 characters", "run the command again"]);
        let (made, said) = with_password(&add, PASSWORD);
        assert!(made, "{said}");
        let boss = Api::sign_in(&server.url(""), "boss").await;
        assert_eq!(boss.get("/api/v1/me").await["username"], "boss");
        let (again, said) = with_password(&add, PASSWORD);
        assert!(!again && !said.contains("error-"), "the same name twice: {said}");
        holds(&said, &["USERNAME: This user name is taken", "songhe user password boss"]);
        let nowhere = ["user", "add", "x3", "--name", "院\u{200B}长", "--role", "nurse", "--everywhere", "--config", &config];
        let (made, said) = with_password(&nowhere, PASSWORD);
        assert!(!made && !said.contains("error-"), "{said}");
        holds(&said, &["--name: There is an invisible character (U+200B)", "correct it and run the command again"]);
        let nowhere = [&nowhere[..3], &["--name", "x", "--role", "nurse", "--at", "fac_0000000000001"], &nowhere[8..]].concat();
        holds(&with_password(&nowhere, PASSWORD).1, &["fac_0000000000001", "songhe facility add", "/api/v1/facilities"]);
        let everywhere = ["user", "add", "x4", "--name", "x", "--role", "carer", "--config", &config];
        let (made, said) = with_password(&everywhere, PASSWORD);
        assert!(!made, "a carer of every facility by an omission: {said}");
        holds(&said, &["carer", "--at", "--everywhere"]);
        // On a Chinese terminal in Chinese.
        let (made, said) = with_password_in("zh_CN.UTF-8", &add, PASSWORD);
        assert!(!made);
        holds(&said, &["账号 boss 没有创建", "这个用户名已经有人使用", "songhe user password boss"]);
        // A new password ends what the old one opened.
        let (changed, said) = with_password(&["user", "password", "boss", "--config", &config], "another-password");
        assert!(changed, "{said}");
        assert_eq!(boss.status("GET", "/api/v1/me").await, 401);
        Api::sign_in_with(http::client(), &server.url(""), "boss", "another-password").await;
        let (_, said) = with_password(&["user", "add", "x2", "--name", "x", "--role", "king", "--config", &config], PASSWORD);
        holds(&said, &["king", "system_admin", "carer"]);
    }

    async fn a_first_facility_is_made_from_the_command_line(db: TestDb) {
        let server = Server::setup(program()).config(&toml(&db, &Wiring::Embedded)).start();
        let config = server.dir().join("songhe.toml").display().to_string();
        let at = ["--region", "某市/某街道", "--config", &config];
        let home = ["facility", "add", "松柏养老院", "--short", "松柏", "--kind", "nursing-home"];
        let beds = ["facility", "add", "枫林里床位站", "--short", "枫林里", "--kind", "care-bed-station"];
        for facility in [home, beds] {
            let (made, said) = with_password(&[&facility[..], &at[..]].concat(), "");
            assert!(made, "{said}");
        }
        let (made, said) = with_password(&[&home[..], &at[..], &["--zone", "Shanghai"]].concat(), "");
        assert!(!made && said.contains("Asia/Shanghai"), "{said}");
        let long = ["facility", "add", "松柏", "--short", "松柏养老院松柏养老院松柏院", "--kind", "nursing-home", "--phone", "x"];
        let (made, said) = with_password(&[&long[..], &at[..]].concat(), "");
        assert!(!made && !said.contains("error-"), "{said}");
        holds(&said, &["--short: At most 12 characters", "--phone: Please enter a valid phone number", "correct it"]);
        let (made, said) = with_password(&[&home[..], &["--region", "某市//街道", "--config", &config]].concat(), "");
        assert!(!made && said.contains("--region: Please fill this in"), "{said}");
        let add = ["user", "add", "boss", "--name", "院长", "--role", "system_admin", "--config", &config];
        assert!(with_password(&add, PASSWORD).0);
        let boss = Api::sign_in(&server.url(""), "boss").await;
        let listed = boss.get("/api/v1/facilities").await;
        let names: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| item["short_name"].clone()).collect();
        assert!(names.contains(&"松柏".into()) && names.contains(&"枫林里".into()), "{listed}");
    }

    async fn an_interrupt_ends_it_within_three_seconds_with_streams_open(db: TestDb) {
        let (_, mut server) = start_program(&db, &Plan::default()).await;
        let carer = Api::sign_in(&server.url(""), "carer").await;
        let mut streams = vec![carer.stream().await, carer.stream().await];
        for stream in &mut streams {
            stream.expect("the greeting", SOON, |event| event.event == "hello").await;
        }
        let asked = Instant::now();
        server.signal("INT");
        songhe_testkit::poll_until("the end", Duration::from_secs(10), || !server.is_running());
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    }
}

#[test]
fn a_second_server_on_one_sqlite_file_is_refused_before_it_changes_anything() {
    let first = Server::setup(program())
        .config("[server]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"sqlite:{dir}/songhe.db\"\n[mqtt]\nmode = \"off\"\n")
        .start();
    let file = first.dir().join("songhe.db").display().to_string();
    let second = "[server]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nmode = \"off\"\n[database]\nurl = ";
    holds(&refused(&format!("{second}\"sqlite:{file}\"\n")), &["Another Songhe is running"]);
    let link = first.dir().join("link.db");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    holds(&refused(&format!("{second}\"sqlite:{}\"\n", link.display())), &["Another Songhe is running"]);
}

#[test]
fn a_sqlite_database_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::setup(program())
        .config("[server]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"sqlite:{dir}/songhe.db\"\n[mqtt]\nmode = \"off\"\n")
        .start();
    for name in ["songhe.db", "songhe.db-wal", "songhe.db-shm"] {
        let mode = std::fs::metadata(server.dir().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

fn with_password(args: &[&str], password: &str) -> (bool, String) {
    with_password_in("C", args, password)
}

fn with_password_in(language: &str, args: &[&str], password: &str) -> (bool, String) {
    use std::io::Write;
    let mut command = Command::new(program());
    command.env("LC_ALL", language).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may end before it has asked.
    let _ = writeln!(child.stdin.take().unwrap(), "{password}");
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn a_bearer_of_the_wrong_password_is_slowed_down() {
    run_test(async {
        let db = TestDb::create(Kind::Sqlite, &MIGRATED);
        let (_, server) = start_program(&db, &Plan::default()).await;
        let client = http::client();
        let attempt = || async {
            let body = json!({ "username": "carer", "password": "not-the-password" });
            client.post(server.url("/api/v1/session")).json(&body).send().await.unwrap().status().as_u16()
        };
        let mut answers = Vec::new();
        for _ in 0..7 {
            answers.push(attempt().await);
        }
        assert_eq!(answers[..5], [401; 5]);
        assert_eq!(answers[5..], [429; 2]);
    });
}
