//! Every page, and what must never be on one.

use serde_json::Value;
use songhe_testkit::{Browser, Screen};

use crate::stage::{SOON, Stage, ask};

/// A page by a name for messages and pictures, and its address; `{…}` stands for the first link of that kind, whose id comes
/// at the end, or in the place of a `*`, with what follows `link` behind it.
pub struct Page {
    pub name: &'static str,
    path: &'static str,
    /// Whose screen it is.
    pub who: &'static str,
}

const fn page(name: &'static str, path: &'static str, who: &'static str) -> Page {
    Page { name, path, who }
}

/// In the order of their readers, so that each signs in once.
pub const PAGES: [Page; 46] = [
    page("home-carer", "/", "carer"),
    page("board", "/incidents/board", "carer"),
    page("incident", "{/api/v1/incidents}/incidents/", "carer"),
    page("incidents", "/incidents", "carer"),
    page("care-beds", "/care-beds", "carer"),
    page("device-tests-carer", "/device-tests", "carer"),
    page("home-manager", "/", "manager"),
    page("residents", "/residents", "manager"),
    page("resident", "{/api/v1/residents}/residents/", "manager"),
    page("resident-edit", "{/api/v1/residents}/residents/*/edit", "manager"),
    page("resident-document", "{/api/v1/residents}/residents/*/document", "manager"),
    page("resident-record", "{/api/v1/residents}/residents/*/record", "manager"),
    page("resident-new", "/residents/new", "manager"),
    page("places", "/places", "manager"),
    page("place", "{/api/v1/incidents}/places/", "manager"),
    page("devices", "/devices", "manager"),
    page("device", "{/api/v1/incidents}/devices/", "manager"),
    page("device-new", "/devices/new", "manager"),
    page("device-import", "/devices/import", "manager"),
    page("device-limits", "/devices/heartbeats", "manager"),
    page("quarantine", "/quarantine", "manager"),
    page("device-tests", "/device-tests", "manager"),
    page("report-response", "/reports/response", "manager"),
    page("report-false-alarms", "/reports/false-alarms?by=device", "manager"),
    page("report-incidents", "/reports/incidents?figure=calls&urgent=yes", "manager"),
    page("ladders", "/ladders", "manager"),
    page("ladder-new", "/ladders/new", "manager"),
    page("ladder", "{link}/ladders", "manager"),
    page("rosters", "/rosters", "manager"),
    page("staff", "/staff", "manager"),
    page("endpoints", "/endpoints", "manager"),
    page("endpoint", "{link}/endpoints", "manager"),
    page("endpoint-edit", "{link/edit}/endpoints", "manager"),
    page("message-templates", "/message-templates", "manager"),
    page("account", "/account", "manager"),
    page("home-admin", "/", "admin"),
    page("people", "/people", "admin"),
    page("person-new", "/people/new", "admin"),
    page("person", "{/api/v1/people}/people/", "admin"),
    page("roles", "/roles", "admin"),
    page("role", "/roles/nurse", "admin"),
    page("password", "/account/password", "admin"),
    page("system", "/system", "admin"),
    page("audit", "/audit", "admin"),
    page("api-docs", "/api/docs", "admin"),
    page("not-found", "/no/such/page", "admin"),
];

impl Page {
    /// Where it is on this server; the examples are those of the first open incident.
    pub async fn open(&self, browser: &Browser, stage: &Stage, token: &str) {
        let path = match self.path.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            None => self.path.to_owned(),
            Some((link, list)) if link.starts_with("link") => {
                browser.goto(&stage.url(list)).await.unwrap();
                let script = format!(
                    "return document.querySelector(\"main a[href^='{list}/']:not([href$='/new'])\")?.getAttribute('href')"
                );
                let found = ask(browser, &script).await;
                let found = found.as_str().unwrap_or_else(|| panic!("no link on {list}"));
                format!("{found}{}", link.trim_start_matches("link"))
            }
            Some((api, folder)) => {
                let list = stage.get(token, api).await;
                let item = &list["items"][0];
                let id = match folder {
                    "/places/" => &item["place_id"],
                    "/devices/" => &item["device_id"],
                    _ => &item["id"],
                };
                let id = id.as_str().unwrap_or_else(|| panic!("{api}: {list}"));
                if folder.contains('*') { folder.replace('*', id) } else { format!("{folder}{id}") }
            }
        };
        browser.goto(&stage.url(&path)).await.unwrap();
        browser.wait_css("h1", SOON).await;
        // Whatever arrives by script is there: the board's chips, the first fragment.
        if self.name == "board" {
            crate::stage::until(browser, "a live board", crate::stage::LIVE, SOON).await;
        }
    }
}

/// What is wrong with the words and the size of the page, in sentences.
const FAULTS: &str = r#"
const faults = [];
const skip = "script,style,code,pre,.mono,[lang]:not(html),input,textarea,noscript,.demo-accounts td";
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const english = document.documentElement.lang === "en";
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const text = node.textContent.trim();
  const parent = node.parentElement;
  if (!text || parent.closest(skip)) continue;
  if (/[‹›]/.test(text)) faults.push(`no translation: ${text}`);
  if (/\b[a-z]+(_[a-z0-9]+)+\b/.test(text)) faults.push(`a raw word: ${text}`);
  if (/\{\s*\$/.test(text)) faults.push(`an argument is missing: ${text}`);
  if (/\d{4}-\d\d-\d\dT/.test(text)) faults.push(`a raw time: ${text}`);
  if (/\b(undefined|NaN|null|\[object)\b/.test(text)) faults.push(`a raw value: ${text}`);
  if (english && /[，。；：！？（）、]/.test(text) && !/[\u4e00-\u9fff]/.test(text)) faults.push(`Chinese marks: ${text}`);
  if (!english && /[A-Za-z]{3,}/.test(text) && !/[\u4e00-\u9fff]/.test(text) && !FOREIGN.test(text)) faults.push(`English: ${text}`);
}
for (const node of document.querySelectorAll("[aria-label],[title],[placeholder],[alt],[data-say],[data-label]"))
  for (const name of ["aria-label", "title", "placeholder", "alt", "data-say", "data-label"])
    if (/[‹›]|\{\s*\$/.test(node.getAttribute(name) ?? "")) faults.push(`no translation in ${name}: ${node.getAttribute(name)}`);
const wide = document.documentElement.scrollWidth - innerWidth;
if (wide > 0) {
  const beyond = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && getComputedStyle(e).position !== "fixed" && !e.closest(".table-wrap,.scroll")).slice(0, 3);
  faults.push(`${wide}px wider than the screen: ${beyond.map(e => e.outerHTML.slice(0, 160)).join(" | ")}`);
}
for (const button of document.querySelectorAll(".btn,.chip,h1,h2,.call-place")) {
  if (button.closest(".sr-only,[hidden]") || button.classList.contains("sr-only")) continue;
  if (button.scrollWidth > button.clientWidth + 2 && button.clientWidth > 0 && getComputedStyle(button).overflowX === "hidden") faults.push(`clipped: ${button.textContent.trim()}`);
}
return [...new Set(faults)];
"#;

/// Names and abbreviations that Chinese pages write in Latin letters as well.
const FOREIGN: &str = "/^(English|CSV|API|JSON|GET|POST|PUT|OpenAPI.*|HMAC.*|SQLite [0-9.]+|[0-9.]+ [KMG]iB|PostgreSQL [0-9.]+|MQTT|songhe-mqtt|zigbee2mqtt|GMT.*|v?[0-9.]+(-[a-z]+)?)$/";

pub async fn faults(browser: &Browser) -> Vec<String> {
    let found = ask(browser, &format!("const FOREIGN = {FOREIGN};{FAULTS}")).await;
    let Value::Array(found) = found else { panic!("the look at the page failed: {found}") };
    found.iter().map(|fault| fault.as_str().unwrap_or_default().to_owned()).collect()
}

/// What went wrong out of sight: script errors, refused scripts and styles, failed loads.
pub async fn console_faults(browser: &Browser) -> Vec<String> {
    let expected = ["status of 404", "status of 422"];
    let lines = browser.console().await.into_iter();
    lines.filter(|line| line.starts_with("SEVERE") && !expected.iter().any(|words| line.contains(words))).collect()
}

pub async fn assert_quiet_console(browser: &Browser, page: &str) {
    let faults = console_faults(browser).await;
    assert!(faults.is_empty(), "{page}: {faults:#?}");
}

/// Day or night, as the machine tells the page.
pub async fn light(browser: &Browser, night: bool) {
    let value = if night { "dark" } else { "light" };
    let media = serde_json::json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
    browser.cdp("Emulation.setEmulatedMedia", media).await;
}

pub const SCREENS: [(Screen, &str); 3] =
    [(Screen::Desktop, "desktop"), (Screen::Tablet, "tablet"), (Screen::Phone, "phone")];
