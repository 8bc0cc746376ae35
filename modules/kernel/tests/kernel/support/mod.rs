//! A server with a small module, and a client that shows exactly what went over the wire.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use songhe_kernel::db::DatabaseSettings;
use songhe_kernel::http::{App, HttpSettings, StreamId, StreamListener};
use songhe_kernel::identity::{NewUser, NodeKind, PasswordHash, Role, add_scope_node, create_user, grant_role};
use songhe_kernel::vault::KeyRing;
use songhe_kernel::{Database, FacilityId, ManualClock, Modules, UserId};
use songhe_testkit::{Served, Site, TestDb};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

mod beds;

pub struct Server {
    pub app: Arc<App>,
    pub address: SocketAddr,
    pub clock: Arc<ManualClock>,
    pub facility: FacilityId,
    pub presence: Arc<Presence>,
    pub stop: watch::Sender<bool>,
    _served: Served,
}

impl Server {
    /// One facility in a street; a nurse of the street, "nurse", whose password is "correct-horse".
    pub async fn start(test: &TestDb) -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-22T08:00:00Z".parse().unwrap()));
        let db =
            Database::open(&DatabaseSettings::new(test.url()).with_keys(KeyRing::draw()), clock.clone(), 0).unwrap();
        let facility = people(&db).await;
        let settings = HttpSettings { metrics_token: Some("collector".into()), ..HttpSettings::default() };
        let modules = Modules::new(vec![Arc::new(beds::Beds)]);
        let site = Site::open(&db, modules, settings);
        let (app, stop) = (site.app.clone(), site.stop.clone());
        let presence = Arc::new(Presence::default());
        app.live.listen(presence.clone());
        let served = site.serve();
        Self { app, address: served.address, clock, facility, presence, stop, _served: served }
    }

    pub fn request(&self, method: &str, path: &str) -> Request {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        Request { address: self.address, head, body: String::new() }
    }

    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    pub fn post(&self, path: &str) -> Request {
        self.request("POST", path)
    }

    pub async fn token(&self, username: &str) -> String {
        let body = serde_json::json!({ "username": username, "password": "correct-horse" });
        let answer = self.post("/api/v1/session").json(&body).send().await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let opened: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        opened["token"].as_str().unwrap().to_owned()
    }

    pub async fn browser(&self, username: &str) -> Browser {
        let form = format!("username={username}&password=correct-horse");
        let answer = self.post("/sign-in").form(&form).send().await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let page = self.get("/").header("Cookie", &cookie).send().await;
        assert_eq!(page.status, 200, "{}", page.body);
        Browser { cookie, csrf: between(&page.body, r#"name="csrf" value=""#, "\"").to_owned() }
    }

    pub async fn beds(&self) -> i64 {
        self.app.db.read(beds::count).await.unwrap()
    }
}

async fn people(db: &Database) -> FacilityId {
    let password = PasswordHash::make("correct-horse").unwrap();
    db.write(move |tx| {
        let street = add_scope_node(tx, None, NodeKind::Region, "松鹤街道")?;
        let facility = add_scope_node(tx, Some(street), NodeKind::Facility, "松鹤养老院")?;
        add_scope_node(tx, None, NodeKind::Facility, "elsewhere")?;
        let nurse = create_user(
            tx,
            &NewUser {
                username: "Nurse".into(),
                display_name: "王护士".into(),
                password: password.clone(),
                locale: None,
            },
        )?;
        grant_role(tx, nurse, Role::Nurse, Some(street))?;
        Ok(FacilityId(facility))
    })
    .await
    .unwrap()
}

pub struct Browser {
    cookie: String,
    pub csrf: String,
}

pub struct Request {
    address: SocketAddr,
    head: String,
    body: String,
}

impl Request {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub fn with(self, browser: &Browser) -> Self {
        self.header("Cookie", &browser.cookie)
    }

    pub fn form(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self.header("Content-Type", "application/x-www-form-urlencoded")
    }

    pub fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = body.to_string();
        self.header("Content-Type", "application/json")
    }

    pub fn text(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    pub async fn open(self) -> Open {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{}Content-Length: {}\r\n\r\n{}", self.head, self.body.len(), self.body);
        // A server that refuses a large body may answer and close before it has read all of it.
        let _ = socket.write_all(request.as_bytes()).await;
        Open { socket, seen: String::new() }
    }

    pub async fn send(self) -> Answer {
        let mut open = self.header("Connection", "close").open().await;
        let mut bytes = Vec::new();
        let _ = open.socket.read_to_end(&mut bytes).await;
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned()));
        Answer { status, headers: headers.collect(), body: body.to_owned() }
    }
}

pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A connection whose answer does not end by itself.
pub struct Open {
    socket: TcpStream,
    seen: String,
}

impl Open {
    /// Everything up to the end of the event in which `mark` stands.
    pub async fn until(&mut self, mark: &str) -> String {
        let wait = async {
            loop {
                if let Some(start) = self.seen.find(mark)
                    && let Some(end) = self.seen[start..].find("\n\n")
                {
                    let rest = self.seen.split_off(start + end + 2);
                    return std::mem::replace(&mut self.seen, rest);
                }
                let mut bytes = [0; 4096];
                let count = self.socket.read(&mut bytes).await.unwrap();
                assert!(count > 0, "ended before {mark}: {}", self.seen);
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        };
        tokio::time::timeout(Duration::from_secs(5), wait).await.expect("an event in time")
    }

    /// The end of the body: its last, empty chunk.
    pub async fn end(mut self) {
        while !self.seen.ends_with("0\r\n\r\n") {
            let mut bytes = [0; 4096];
            let count = self.socket.read(&mut bytes).await.unwrap();
            if count == 0 {
                return;
            }
            self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }
}

/// Counts open page streams as a module would.
#[derive(Default)]
pub struct Presence(Mutex<HashSet<StreamId>>);

impl StreamListener for Presence {
    fn opened(&self, stream: &StreamId, _: UserId) {
        self.0.lock().insert(stream.clone());
    }

    fn closed(&self, stream: &StreamId) {
        self.0.lock().remove(stream);
    }
}

impl Presence {
    pub fn open(&self) -> usize {
        self.0.lock().len()
    }

    /// Waits for the last stream to be gone.
    pub async fn until_closed(&self) {
        for _ in 0..70 {
            if self.open() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("a stream is still counted");
    }
}

pub fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("{before} in {text}")).1;
    rest.split_once(after).unwrap().0
}
