//! What the tests play on: the demo's street in a server of this process, its devices, and a browser before it.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use songhe::assembly::{Server, StartOptions};
use songhe::config::Config;
use songhe_kernel::{Database, SystemClock};
use songhe_registry::{self as registry, NewShift};
use songhe_testkit::{Browser, eventually, eventually_true, temp_dir};
use tempfile::TempDir;

/// For what a page or the server does at once; generous, since two tests share two cores.
pub const SOON: Duration = Duration::from_secs(15);
/// The one-button caller of the first home.
pub const CALLER: &str = "DEMO-H01-CALL";
/// Where it is, as the board says it.
pub const CALLER_PLACE: &str = "枫林里 1 号 101 室";
/// The caller of the second home.
pub const SECOND_CALLER: &str = "DEMO-H02-CALL";
/// Nobody's shift ends while a test runs, in seconds.
const ON_DUTY_S: i64 = 1_800;

/// A demo street, made once for all tests of this process.
fn seeded() -> &'static Path {
    static DATA: OnceLock<TempDir> = OnceLock::new();
    let data = DATA.get_or_init(|| {
        let dir = temp_dir();
        let folder = dir.path().display().to_string();
        let args = ["demo", "--data", &folder, "--port", "0", "--mqtt-port", "0", "--alarm-every", "0"];
        let demo = songhe_testkit::Server::setup(env!("CARGO_BIN_EXE_songhe")).args(&args);
        demo.ready_within(Duration::from_secs(120)).start().terminate(Duration::from_secs(10));
        dir
    });
    data.path()
}

/// The server, with the demo's people and devices but without its simulator.
pub struct Stage {
    server: Server,
    secrets: HashMap<String, String>,
    sent: AtomicU32,
    _dir: TempDir,
}

impl Stage {
    pub async fn start() -> Self {
        let seed = tokio::task::spawn_blocking(seeded).await.unwrap();
        let dir = temp_dir();
        for entry in std::fs::read_dir(seed).unwrap().flatten().filter(|entry| entry.path().is_file()) {
            std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        let mut config = Config { disk: songhe::config::Disk::OFF, ..Config::default() };
        config.vault.key_file = Some(seed.join("keys").join("songhe.keys"));
        config.server.listen = ([127, 0, 0, 1], 0).into();
        config.mqtt.listen = ([127, 0, 0, 1], 0).into();
        config.mqtt.data_dir = dir.path().join("mqtt");
        config.database.url = format!("sqlite:{}", dir.path().join("songhe.db").display());
        let clock = Arc::new(SystemClock::new());
        let server = Server::start(&config, clock, StartOptions::default()).await.unwrap();
        keep_on_duty(&server.db).await;
        let secrets = secrets(&dir.path().join("demo-devices.csv"));
        Self { server, secrets, sent: AtomicU32::new(0), _dir: dir }
    }

    /// The whole address of a page.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url)
    }

    /// `127.0.0.1:PORT`, for a proxy.
    pub fn address(&self) -> &str {
        self.server.url.trim_start_matches("http://")
    }

    pub async fn end(self) {
        self.server.stop().await;
    }

    /// A device sends an event, as a device does.
    pub async fn send(&self, serial: &str, event: &str) {
        let id = format!("test-{}", self.sent.fetch_add(1, Ordering::Relaxed));
        let message = json!({"id": id, "event": event}).to_string();
        self.publish(serial, "event", &message).await;
    }

    /// Somebody presses the button of this device.
    pub async fn press(&self, serial: &str) {
        self.send(serial, "sos").await;
    }

    /// Publishes with the device's credential.
    pub async fn publish(&self, serial: &str, topic: &str, message: &str) {
        let secret = self.secrets.get(serial).unwrap_or_else(|| panic!("the demo has no device {serial}"));
        let broker = self.server.mqtt.unwrap();
        publish(broker.port(), serial, secret, &format!("songhe/v1/{serial}/{topic}"), message).await;
    }

    /// A bearer token of one of the demo's accounts.
    pub async fn token(&self, username: &str) -> String {
        let account = json!({"username": username, "password": songhe::demo::PASSWORD});
        let client = songhe_testkit::http::client();
        let answer = client.post(self.url("/api/v1/session")).json(&account).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }

    pub async fn get(&self, token: &str, path: &str) -> Value {
        let request = songhe_testkit::http::client().get(self.url(path)).bearer_auth(token);
        request.send().await.unwrap().json().await.unwrap()
    }

    pub async fn post(&self, token: &str, path: &str) -> Value {
        self.send_json(token, path, &json!({})).await
    }

    pub async fn send_json(&self, token: &str, path: &str, body: &Value) -> Value {
        let request = songhe_testkit::http::client().post(self.url(path)).bearer_auth(token);
        request.json(body).send().await.unwrap().json().await.unwrap()
    }

    /// The open incident of this device, once it is there.
    pub async fn incident_at(&self, token: &str, place: &str) -> Value {
        eventually("the incident", SOON, || async {
            let list = self.get(token, "/api/v1/incidents?status=open").await;
            list["items"].as_array()?.iter().find(|incident| incident["place"] == place).cloned()
        })
        .await
    }

    /// Streams that the server counts as open now.
    pub async fn open_streams(&self) -> i64 {
        let response = songhe_testkit::http::client().get(self.url("/metrics")).send().await.unwrap();
        let text = response.text().await.unwrap();
        let line = text.lines().find(|line| line.contains("open_streams")).unwrap_or_else(|| panic!("{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

/// Publishes by mosquitto_pub; a suffix on the client id leaves a running simulator of the same device alone.
pub async fn publish(port: u16, serial: &str, secret: &str, topic: &str, message: &str) {
    let (port, client) = (port.to_string(), format!("{serial}#test"));
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-i", &client, "-u", serial, "-P", secret]);
    command.args(["-t", topic, "-m", message]);
    let run = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = run.expect("mosquitto_pub is part of the package mosquitto-clients");
    assert!(output.status.success(), "mosquitto_pub: {}", String::from_utf8_lossy(&output.stderr));
}

/// Serial and secret of each line of the demo's file.
pub fn secrets(file: &Path) -> HashMap<String, String> {
    let text = std::fs::read_to_string(file).unwrap();
    let pair = |line: &str| {
        let mut fields = line.split(',');
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    };
    text.lines().skip(1).filter_map(pair).collect()
}

/// The demo puts its accounts on duty in the shift that runs when it starts; a test may run across its end.
async fn keep_on_duty(db: &Database) {
    db.write(|tx| {
        let now = tx.now();
        let wanted = now.plus_seconds(ON_DUTY_S);
        for facility in registry::facilities(tx.db())? {
            for person in registry::staff_in(tx.db(), facility.id)? {
                let shifts = registry::duty_hours(tx.db(), facility.id, now, wanted)?;
                let own = shifts.iter().filter(|shift| shift.staff_id == person.id);
                let until = own.map(|shift| shift.ends_at).max().unwrap_or(now);
                if person.user_id.is_some() && until < wanted {
                    let (staff_id, duty, name) = (person.id, person.job, "加班".to_owned());
                    registry::add_shift(
                        tx,
                        &NewShift { staff_id, duty, name, starts_at: until, ends_at: wanted },
                        None,
                    )?;
                }
            }
        }
        Ok(())
    })
    .await
    .unwrap();
}

/// Signs in at this server and waits for the home page.
pub async fn sign_in(browser: &Browser, base: &str, username: &str) {
    browser.goto(&format!("{base}/sign-in")).await.unwrap();
    browser.fill("#username", username).await;
    browser.fill("#password", songhe::demo::PASSWORD).await;
    browser.click("form[action='/sign-in'] button").await;
    browser.wait_css(".app .menu", SOON).await;
}

/// What a script answers on the current page; null while a page is on its way.
pub async fn ask(browser: &Browser, script: &str) -> Value {
    browser.execute(script, Vec::new()).await.unwrap_or(Value::Null)
}

/// Waits until the expression is true on the page; panics with the page's words.
pub async fn until(browser: &Browser, what: &str, expression: &str, limit: Duration) {
    let script = format!("return Boolean({expression})");
    let waited = tokio::time::timeout(limit, async {
        while ask(browser, &script).await != Value::Bool(true) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    if waited.await.is_err() {
        panic!("waited {limit:?} for {what}; the page says:\n{}", browser.text().await);
    }
}

/// Opens the alarm board and waits until it follows the server.
pub async fn open_board(browser: &Browser, base: &str) {
    browser.goto(&format!("{base}/incidents/board")).await.unwrap();
    until(browser, "a live board", LIVE, SOON).await;
}

/// Starts the shift: sound on, test tone heard, and the server knows.
pub async fn turn_sound_on(browser: &Browser) {
    browser.click("[data-sound-begin]").await;
    browser.click("[data-sound-yes]").await;
    until(browser, "sound", "document.querySelector('[data-sound-chip]').dataset.state === 'on'", SOON).await;
    until(browser, "the server's notice of it", "board.dataset.counted === 'heard'", SOON).await;
}

pub const LIVE: &str = "document.querySelector('[data-stream-chip]')?.dataset.state === 'live'";

/// Of the call at this place; an expression, null if there is none.
pub fn call(place: &str) -> String {
    format!(
        "[...document.querySelectorAll('.call')].find(c => c.querySelector('.call-place').textContent.includes('{place}'))"
    )
}

/// Waits until the server counts so many open streams.
pub async fn streams(stage: &Stage, count: i64) {
    let what = format!("{count} open streams");
    eventually_true(&what, SOON, || async { stage.open_streams().await == count }).await;
}

/// Scrolls there, as a hand does (the bar at a tablet's bottom covers what lies below it), and clicks; on the board
/// once it is at rest: what has just moved below a finger cannot be pressed by mistake.
pub async fn click(browser: &Browser, css: &str) {
    browser.wait_css(css, SOON).await;
    until(browser, "the calls at rest", "!document.getElementById('calls')?.dataset.settling", SOON).await;
    let quoted = serde_json::to_string(css).unwrap();
    ask(
        browser,
        &format!("document.querySelector({quoted})?.scrollIntoView({{block: 'center', behavior: 'instant'}})"),
    )
    .await;
    browser.click(css).await;
}
