//! Two servers on one PostgreSQL and one Mosquitto: what people at either of them notice.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use songhe_kernel::SystemClock;
use songhe_testkit::{Kind, Receiver, Server, Sse, TestDb, eventually, eventually_true, http, run_test};

use crate::SOON;
use crate::api::{Api, is_change, text};
use crate::ladder::key;
use crate::sql::Connection;
use crate::world::{Button, MIGRATED, Plan, Wiring, World, linked, mosquitto, program, seed, toml};

/// The street, its broker and its servers; all servers have one configuration.
pub struct Pair {
    pub servers: [Server; 2],
    pub world: World,
    pub wiring: Wiring,
    pub db: TestDb,
}

impl Pair {
    /// The first server takes device messages, the second stands by.
    pub async fn start(plan: &Plan) -> Self {
        Self::start_by(plan, |url| url.to_owned()).await
    }

    /// `way`: how the first server reaches the database.
    pub async fn start_by(plan: &Plan, way: impl FnOnce(&str) -> String) -> Self {
        let db = TestDb::create(Kind::Postgres, &MIGRATED);
        let world = seed(&db, std::sync::Arc::new(SystemClock::new()), plan).await;
        let wiring = Wiring::External(mosquitto(&world));
        let config = toml(&db, &wiring);
        let first = Server::setup(program()).config(&config.replace(db.url(), &way(db.url()))).start();
        if let Wiring::External(broker) = &wiring {
            linked(broker, 1).await;
        }
        let second = Server::setup(program()).config(&config).start();
        let pair = Self { servers: [first, second], world, wiring, db };
        pair.holds(0, SOON).await;
        eventually_true("two servers that know each other", SOON, || async {
            alive(&pair.servers[0]).await.len() == 2 && alive(&pair.servers[1]).await.len() == 2
        })
        .await;
        pair
    }

    pub fn broker(&self) -> String {
        match &self.wiring {
            Wiring::External(broker) => broker.address(),
            Wiring::Embedded => unreachable!("servers share a broker"),
        }
    }

    /// Waits until it is that server's turn; answers how long it took.
    pub async fn holds(&self, server: usize, limit: Duration) -> Duration {
        let since = Instant::now();
        eventually_true("a server that takes device messages", limit, || async {
            ready(&self.servers[server]).await["servers"]["ingest"]["here"] == true
        })
        .await;
        since.elapsed()
    }

    pub async fn press(&self, button: &Button, id: &str) {
        let payload = format!(r#"{{"id":"{id}","event":"sos"}}"#);
        let sent = crate::mqtt::publish(&self.broker(), button, "event", payload.as_bytes()).await;
        assert!(sent.ok, "{}", sent.said);
    }

    pub fn sql(&self) -> Connection {
        Connection::open(&self.db)
    }
}

/// What a server says of itself.
pub async fn ready(server: &Server) -> Value {
    let answer = http::client().get(server.url("/readyz")).timeout(Duration::from_secs(5)).send().await;
    match answer {
        Ok(answer) => answer.json().await.unwrap_or_default(),
        Err(_) => Value::Null,
    }
}

async fn alive(server: &Server) -> Vec<i64> {
    let servers = ready(server).await["servers"]["alive"].clone();
    servers.as_array().map(|all| all.iter().filter_map(Value::as_i64).collect()).unwrap_or_default()
}

async fn number(server: &Server) -> i64 {
    ready(server).await["servers"]["here"].as_i64().expect("a number")
}

#[test]
fn what_one_server_takes_in_is_heard_at_the_other() {
    run_test(async {
        let pair = Pair::start(&Plan { homes: 6, ..Plan::default() }).await;
        let carer = Api::sign_in(&pair.servers[1].url(""), "carer").await;
        let mut page = Sse::open(carer.request("GET", "/stream")).await;
        page.expect("a greeting", SOON, |event| event.event == "hello").await;
        let mut calls = carer.stream().await;
        calls.expect("a greeting", SOON, |event| event.event == "hello").await;
        let board = format!("incidents:{}", pair.world.facility);
        let mut took = Vec::new();
        for (index, button) in pair.world.buttons.iter().enumerate() {
            let pressed = Instant::now();
            pair.press(button, "1-1").await;
            // A page has no other way to learn of it.
            page.expect("a change", SOON, |event| event.event == "change" && event.json()["topic"] == board.as_str())
                .await;
            calls.expect("the call", SOON, |event| is_change(event, "raised")).await;
            took.push(pressed.elapsed());
            page.drain();
            assert_eq!(carer.open_incidents().await.len(), index + 1);
        }
        took.sort();
        // Without signals the log is read every two seconds.
        assert!(took[2] < Duration::from_millis(700), "{took:?}");
        // The other way: what is done at the second server is seen at the first.
        let first = Api::sign_in(&pair.servers[0].url(""), "carer").await;
        let mut page = Sse::open(first.request("GET", "/stream")).await;
        page.expect("a greeting", SOON, |event| event.event == "hello").await;
        let id = text(&carer.open_incidents().await[0], "id").to_owned();
        for api in [&carer, &first, &carer] {
            let path = format!("/api/v1/incidents/{id}/acknowledge");
            let asked = api.request("POST", &path).header("idempotency-key", "one press").json(&json!({}));
            assert!(asked.send().await.unwrap().status().is_success());
        }
        assert_eq!(crate::api::lines(&first.detail(&id, "answered", |_| true).await, "acknowledged").len(), 1);
        page.expect("a change", SOON, |event| event.event == "change" && event.json()["topic"] == board.as_str()).await;
    });
}

/// The state and reason of the first rung.
async fn first_rung(pair: &Pair, api: &Api, button: usize) -> (String, Value) {
    let button = &pair.world.buttons[button];
    pair.press(button, "1-1").await;
    let rung = eventually("a rung", SOON, || async {
        let open = api.open_incidents().await;
        let mine = open.into_iter().find(|incident| incident["place"].to_string().contains(&room(button)))?;
        let rung = mine["rungs"][0].clone();
        (rung["state"] == "told" || rung["state"] == "passed").then_some(rung)
    })
    .await;
    (text(&rung, "state").to_owned(), rung["reason"].clone())
}

fn room(button: &Button) -> String {
    let number: usize = button.serial.trim_start_matches("SH-").parse().unwrap();
    format!("枫林里 {number} 室")
}

#[test]
fn a_board_counts_wherever_it_is_open_and_wherever_it_speaks_and_goes_with_its_server() {
    run_test(async {
        let mut pair = Pair::start(&Plan { homes: 3, ..Plan::default() }).await;
        let there = Api::sign_in(&pair.servers[1].url(""), "carer").await;
        // One session at both servers.
        let here = there.at(&pair.servers[0].url(""));
        assert_eq!(here.status("POST", "/api/v1/presence?nothing").await / 100, 4);
        let mut stream = there.stream().await;
        stream.expect("a greeting", SOON, |event| event.event == "hello").await;
        here.post("/api/v1/presence", json!({ "sound": true })).await;
        assert_eq!(first_rung(&pair, &here, 0).await.0, "told", "the ladder runs at the first server");
        drop(stream);
        eventually_true("the board is gone", SOON, || async {
            here.request("POST", "/api/v1/presence").json(&json!({ "sound": true })).send().await.unwrap().status()
                == 409
        })
        .await;
        assert_eq!(first_rung(&pair, &here, 1).await, ("passed".to_owned(), json!("no_live_board")));

        let mut stream = there.stream().await;
        stream.expect("a greeting", SOON, |event| event.event == "hello").await;
        here.post("/api/v1/presence", json!({ "sound": true })).await;
        pair.servers[1].kill();
        let killed = Instant::now();
        eventually_true("a board that went with its server", SOON, || async {
            pair.sql().count("board_stream") + pair.sql().count("open_stream") == 0
        })
        .await;
        assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
        assert_eq!(first_rung(&pair, &here, 2).await, ("passed".to_owned(), json!("no_live_board")));
        assert_eq!(alive(&pair.servers[0]).await.len(), 1);
    });
}

#[test]
fn two_servers_climb_each_ladder_once_and_send_each_message_once() {
    run_test(async {
        let receiver = Receiver::start();
        let plan = Plan { homes: 5, ..Plan::calls_at(receiver.url("/call"), &[0, 1, 2]) };
        let pair = Pair::start(&plan).await;
        for button in &pair.world.buttons {
            pair.press(button, "1-1").await;
        }
        eventually_true("every message", SOON, || async {
            pair.sql().count("effect WHERE status = 'delivered'") == 15
        })
        .await;
        assert_eq!(pair.sql().count("incident_rung WHERE state = 'told'"), 15);
        assert_eq!(pair.sql().count("effect"), 15);
        let received = receiver.received();
        let keys: std::collections::BTreeSet<&str> = received.iter().map(key).collect();
        assert_eq!((received.len(), keys.len()), (15, 15), "each once");
        assert_eq!(pair.sql().count("incident_entry WHERE kind = 'raised'"), 5);
    });
}

#[test]
fn servers_have_numbers_of_their_own_and_share_no_embedded_broker() {
    run_test(async {
        let mut pair = Pair::start(&Plan::default()).await;
        let (first, second) = (number(&pair.servers[0]).await, number(&pair.servers[1]).await);
        assert_ne!(first, second);
        pair.servers[1].kill_and_restart();
        let again = number(&pair.servers[1]).await;
        assert!(again != first && again != second, "{first}, {second}, then {again}");

        let (status, said) =
            Server::setup(program()).config(&toml(&pair.db, &Wiring::Embedded)).run_to_end(Duration::from_secs(30));
        assert!(!status.success() && said.contains("Another Songhe is running on this database"), "{said}");
        let admin = Api::sign_in(&pair.servers[1].url(""), "admin").await;
        let state = admin.get("/api/v1/system").await;
        let servers = state["servers"]["list"].as_array().unwrap();
        let takes: Vec<(i64, bool, bool)> = servers
            .iter()
            .map(|server| (server["number"].as_i64().unwrap(), server["ingest"] == true, server["here"] == true))
            .collect();
        assert!(takes.contains(&(first, true, false)) && takes.contains(&(again, false, true)), "{takes:?}");
        assert_eq!(state["servers"]["sessions_differ"], false);
        assert_eq!(state["broker"]["status"], "ok", "it stands by: {}", state["broker"]);
        let page = admin.request("GET", "/system").send().await.unwrap().text().await.unwrap();
        assert!(page.contains("待命") && page.contains("接收设备消息"), "{page}");

        let alone = TestDb::create(Kind::Postgres, &MIGRATED);
        let one = Server::setup(program()).config(&toml(&alone, &Wiring::Embedded)).start();
        let (status, said) =
            Server::setup(program()).config(&toml(&alone, &pair.wiring)).run_to_end(Duration::from_secs(30));
        assert!(!status.success() && said.contains("Another Songhe is running on this database"), "{said}");
        drop(one);
    });
}
