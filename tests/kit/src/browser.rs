//! Headless Chromium, driven through chromedriver.

use crate::process::Process;
use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The screens that pages are made for; sizes in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// 1440 × 900
    Desktop,
    /// 1024 × 768, touch
    Tablet,
    /// 390 × 844, touch
    Phone,
}

impl Screen {
    /// Width and height in CSS pixels.
    pub fn size(self) -> (u32, u32) {
        match self {
            Self::Desktop => (1440, 900),
            Self::Tablet => (1024, 768),
            Self::Phone => (390, 844),
        }
    }
}

/// What axe-core holds against a page.
#[derive(Clone, Debug, Deserialize)]
pub struct Violation {
    /// The rule: "color-contrast".
    pub id: String,
    /// "minor", "moderate", "serious" or "critical".
    pub impact: Option<String>,
    /// What to do, in a sentence.
    pub help: String,
    /// The HTML of each element at fault.
    pub elements: Vec<String>,
}

/// A browser with a fresh profile; dropped, it is killed with all its processes. Everything that
/// fantoccini's client can do is available on it.
pub struct Browser {
    client: Client,
    base: String,
    session: String,
    _driver: Process,
    _profile: tempfile::TempDir,
}

impl std::ops::Deref for Browser {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Browser {
    /// A browser with Chinese as its language and a desktop's screen.
    pub async fn start() -> Self {
        Self::start_with("zh-CN", Screen::Desktop).await
    }

    /// A browser that asks for pages in `language` ("zh-CN", "en").
    pub async fn start_with(language: &str, screen: Screen) -> Self {
        let profile = crate::temp_dir();
        let (driver, port) = start_driver(profile.path());
        let base = format!("http://127.0.0.1:{port}");
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities(language, profile.path()));
        let client = builder.connect(&base).await.unwrap_or_else(|error| {
            panic!("Chromium did not start: {error}; it is the package chromium (with chromium-driver)")
        });
        let session = client.session_id().await.ok().flatten().expect("a session has an id");
        let browser = Self { client, base, session, _driver: driver, _profile: profile };
        browser.resize(screen).await;
        browser
    }

    /// Gives the current tab another screen.
    pub async fn resize(&self, screen: Screen) {
        let (width, height) = screen.size();
        let touch = screen != Screen::Desktop;
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": screen == Screen::Phone});
        self.cdp("Emulation.setDeviceMetricsOverride", metrics).await;
        self.cdp("Emulation.setTouchEmulationEnabled", json!({"enabled": touch})).await;
    }

    /// Opens `url` in a new tab, which becomes the current one, with the given screen. Tabs are
    /// told apart by [`Client::windows`].
    pub async fn new_tab(&self, url: &str, screen: Screen) -> fantoccini::wd::WindowHandle {
        let handle = self.new_window(true).await.expect("no new tab").handle;
        self.switch_to_window(handle.clone()).await.expect("the new tab is gone");
        self.resize(screen).await;
        self.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        handle
    }

    /// A command of the Chrome DevTools protocol to the current tab.
    pub async fn cdp(&self, command: &str, params: Value) -> Value {
        self.ask("goog/cdp/execute", json!({"cmd": command, "params": params})).await
    }

    /// Everything the tabs printed to their console since the last call: script errors, refused
    /// scripts and styles, failed loads. A page that works prints no "SEVERE".
    pub async fn console(&self) -> Vec<String> {
        let entries = self.ask("se/log", json!({"type": "browser"})).await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        entries.iter().map(|entry| format!("{} {}", text(entry, "level"), text(entry, "message"))).collect()
    }

    async fn ask(&self, command: &str, body: Value) -> Value {
        let url = format!("{}/session/{}/{command}", self.base, self.session);
        let response = crate::http::client().post(url).json(&body).send().await.expect("chromedriver is gone");
        let answer: Value = response.json().await.expect("chromedriver answers JSON");
        assert!(answer["value"]["error"].is_null(), "{command} {body}: {}", answer["value"]["message"]);
        answer["value"].clone()
    }

    /// The element, once it is there; panics with the page's text after `limit`.
    pub async fn wait_css(&self, css: &str, limit: Duration) -> Element {
        let wait = self.wait().at_most(limit).every(Duration::from_millis(25));
        match wait.for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => panic!("no {css} within {limit:?}: {error}; the page says:\n{}", self.text().await),
        }
    }

    /// Waits until the visible text of the page holds `text`; panics with the page's text.
    pub async fn wait_text(&self, text: &str, limit: Duration) {
        let deadline = std::time::Instant::now() + limit;
        loop {
            let page = self.text().await;
            if page.contains(text) {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "no {text:?} within {limit:?}; the page says:\n{page}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// The visible text of the page; empty while it loads.
    pub async fn text(&self) -> String {
        let text = self.execute("return document.body ? document.body.innerText : ''", Vec::new()).await;
        text.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Clicks the element, once it is there and can be clicked.
    pub async fn click(&self, css: &str) {
        let limit = Duration::from_secs(10);
        let deadline = std::time::Instant::now() + limit;
        // A fragment may be replaced between finding and clicking, so it is found anew each time.
        while let Err(error) = self.wait_css(css, limit).await.click().await {
            assert!(std::time::Instant::now() < deadline, "cannot click {css}: {error}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Empties the field and types into it.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.wait_css(css, Duration::from_secs(10)).await;
        field.clear().await.unwrap_or_else(|error| panic!("cannot empty {css}: {error}"));
        field.send_keys(text).await.unwrap_or_else(|error| panic!("cannot type into {css}: {error}"));
    }

    /// Writes target/screenshots/NAME.png and gives its path.
    pub async fn shoot(&self, name: &str) -> PathBuf {
        let dir = crate::workspace_root().join("target/screenshots");
        std::fs::create_dir_all(&dir).expect("cannot make target/screenshots");
        let file = dir.join(format!("{name}.png"));
        let png = self.screenshot().await.expect("no screenshot");
        std::fs::write(&file, png).expect("cannot write the screenshot");
        file
    }

    /// Holds the current page against axe-core's rules (WCAG A and AA and good practice).
    pub async fn axe(&self) -> Vec<Violation> {
        let library = axe_source();
        self.execute(&library, Vec::new()).await.expect("axe-core does not load");
        let script = "const done = arguments[0];
            axe.run(document, {resultTypes: ['violations']}).then(
              result => done(result.violations.map(v => ({id: v.id, impact: v.impact, help: v.help,
                elements: v.nodes.map(n => n.html + (n.any[0] ? ' — ' + n.any[0].message : ''))}))),
              error => done(String(error)));";
        let found = self.execute_async(script, Vec::new()).await.expect("axe-core does not run");
        serde_json::from_value(found.clone()).unwrap_or_else(|_| panic!("axe-core says {found}"))
    }

    /// Panics with the list if axe-core finds anything.
    pub async fn assert_accessible(&self, page: &str) {
        let found = self.axe().await;
        assert!(found.is_empty(), "{page}: {found:#?}");
    }
}

/// Where `tests/run` put axe-core, or where an earlier run left it.
fn axe_source() -> String {
    let left = crate::workspace_root().join("target/tools/axe-core/axe.min.js");
    let file = std::env::var_os("SONGHE_TEST_AXE_JS").map_or(left, PathBuf::from);
    std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("axe-core is not at {}: {error}; ./tests/run fetches it", file.display()))
}

/// chromedriver chooses a free port itself and says which.
fn start_driver(dir: &Path) -> (Process, u16) {
    let mut command = Command::new("chromedriver");
    command.args(["--port=0", "--log-level=WARNING"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // What Chromium leaves behind goes into the folder that is removed.
    command.env("TMPDIR", dir).env("HOME", dir);
    let mut driver = Process::start(&mut command, "the package chromium-driver");
    let stdout = driver.child().stdout.take().expect("stdout was piped");
    let mut lines = BufReader::new(stdout).lines();
    let port = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
    // Read on, or chromedriver would block on a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (driver, port.expect("chromedriver did not name its port"))
}

fn capabilities(language: &str, profile: &Path) -> serde_json::Map<String, Value> {
    let flags = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--autoplay-policy=no-user-gesture-required",
        "--no-proxy-server",
    ];
    let mut args: Vec<String> = flags.map(str::to_owned).to_vec();
    args.push(format!("--lang={language}"));
    args.push(format!("--user-data-dir={}", profile.join("profile").display()));
    let mut options = json!({
        "args": args,
        "prefs": {"intl.accept_languages": language, "profile.default_content_setting_values.notifications": 2},
    });
    // Debian's name for it; elsewhere chromedriver looks for Chrome itself.
    if let Some(binary) =
        ["/usr/bin/chromium", "/usr/bin/chromium-browser"].iter().find(|file| Path::new(file).exists())
    {
        options["binary"] = json!(binary);
    }
    let capabilities = json!({
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL"},
        "acceptInsecureCerts": true,
        "timeouts": {"script": 60_000, "pageLoad": 60_000, "implicit": 0},
    });
    capabilities.as_object().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "data:text/html;charset=utf-8,<html lang=zh><meta name=viewport content='width=device-width'><title>试</title>\
        <body><main><h1>松鹤</h1><button id=b onclick=\"console.error('pressed')\">按</button><img src=''></main>";

    fn processes_of(profile: &Path) -> usize {
        let wanted = profile.display().to_string();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines.filter(|line| String::from_utf8_lossy(line).contains(&wanted)).count()
    }

    #[tokio::test]
    async fn a_page_is_opened_measured_pressed_and_photographed() {
        let browser = Browser::start_with("en", Screen::Phone).await;
        browser.goto(PAGE).await.unwrap();
        browser.wait_text("松鹤", Duration::from_secs(10)).await;
        let seen = browser.execute("return [innerWidth, innerHeight, navigator.language]", vec![]).await.unwrap();
        assert_eq!(seen, json!([390, 844, "en"]));
        browser.click("#b").await;
        assert!(browser.console().await.iter().any(|line| line.starts_with("SEVERE") && line.contains("pressed")));
        let file = browser.shoot("kit-phone").await;
        assert!(std::fs::metadata(file).unwrap().len() > 1000);
        let rules: Vec<String> = browser.axe().await.into_iter().map(|violation| violation.id).collect();
        assert!(rules.contains(&"image-alt".to_owned()), "{rules:?}");
        browser.new_tab("data:text/html,<p>second", Screen::Desktop).await;
        let width = browser.execute("return innerWidth", vec![]).await.unwrap();
        assert_eq!((width, browser.windows().await.unwrap().len()), (json!(1440), 2));
        let profile = browser._profile.path().to_owned();
        assert!(processes_of(&profile) > 1);
        drop(browser);
        crate::eventually_true("Chromium's end", Duration::from_secs(5), || async { processes_of(&profile) == 0 })
            .await;
        assert!(!profile.exists());
    }
}
