//! Every screen in both languages: axe-core finds nothing, no key or raw word shows, nothing is wider than a phone.

use std::fmt::Write as _;

use serde_json::json;
use songhe_testkit::{Browser, Raw, RawPeer, Screen, is_long_profile};

use crate::pages::{PAGES, console_faults, faults, light};
use crate::stage::{CALLER, CALLER_PLACE, SECOND_CALLER, SOON, Stage, sign_in, streams};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_screen_is_sound_in_chinese() {
    every_screen_is_sound("zh-CN", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_screen_is_sound_in_english() {
    every_screen_is_sound("en", true).await;
}

/// By day or by night; the long profile looks at both.
async fn every_screen_is_sound(language: &str, night: bool) {
    let stage = Stage::start().await;
    let browser = Browser::start_with(language, Screen::Desktop).await;
    light(&browser, night).await;
    let mut report = String::new();
    browser.goto(&stage.url("/sign-in")).await.unwrap();
    look(&browser, "sign-in", night, &mut report).await;
    furnish(&stage).await;
    let token = stage.token("manager").await;
    stage.incident_at(&token, CALLER_PLACE).await;
    let mut who = "";
    for page in &PAGES {
        if page.who != who {
            browser.delete_all_cookies().await.unwrap();
            sign_in(&browser, &stage.url(""), page.who).await;
            who = page.who;
        }
        page.open(&browser, &stage, &token).await;
        look(&browser, page.name, night, &mut report).await;
    }
    assert!(report.is_empty(), "{language}:\n{report}");
    browser.goto("about:blank").await.unwrap();
    streams(&stage, 0).await;
    drop(browser);
    stage.end().await;
}

/// Something of everything: calls of several kinds and levels, readings, an unknown device.
pub async fn furnish(stage: &Stage) {
    stage.press(CALLER).await;
    stage.press(SECOND_CALLER).await;
    stage.send("DEMO-H03-FALL", "fall").await;
    stage.send("DEMO-H01-SMK", "low_battery").await;
    let reading = |kind: &str, value: f64, unit: &str| {
        format!(r#"{{"id":"{kind}-{value}","readings":[{{"kind":"{kind}","value":{value},"unit":"{unit}"}}]}}"#)
    };
    stage.publish(CALLER, "telemetry", &reading("battery_percent", 12.0, "%")).await;
    stage.publish("DEMO-H01-BED", "telemetry", &reading("heart_rate", 72.0, "/min")).await;
    stage.publish("DEMO-H01-BED", "telemetry", &reading("heart_rate", 999.0, "/min")).await;
    // What no adapter understands is kept for whoever looks after the devices.
    stage.publish(CALLER, "event", "no json").await;
    channel(stage).await;
}

/// A way out of the house with a message whose answer was lost.
async fn channel(stage: &Stage) {
    let token = stage.token("manager").await;
    let incident = stage.incident_at(&token, CALLER_PLACE).await;
    let facility = &incident["facility_id"];
    let peer = RawPeer::start(Raw::Bytes(Vec::new()));
    // For supervisors alone, so that no call of the tests goes there.
    let new = json!({
        "facility": facility, "kind": "sms", "target": "street_centre", "name": "短信平台", "recipients": ["010 0000 0000"],
        "url": peer.url("/sms"),
        "provider": { "headers": { "Authorization": "Bearer k" }, "body": "{\"to\":\"{phone}\",\"m\":\"{text}\"}" },
    });
    let made = stage.send_json(&token, "/api/v1/webhook-endpoints", &new).await;
    let id = made["id"].as_str().unwrap_or_else(|| panic!("{made}"));
    stage.post(&token, &format!("/api/v1/webhook-endpoints/{id}/test")).await;
}

async fn look(browser: &Browser, name: &str, night: bool, report: &mut String) {
    browser.resize(Screen::Desktop).await;
    let lights = if is_long_profile() { vec![night, !night] } else { vec![night] };
    for night in lights {
        light(browser, night).await;
        for violation in browser.axe().await {
            let elements = violation.elements.iter().take(3).cloned().collect::<Vec<_>>().join("\n      ");
            let _ = writeln!(report, "{name} (night {night}): {} {}\n      {elements}", violation.id, violation.help);
        }
    }
    for screen in [Screen::Desktop, Screen::Phone] {
        browser.resize(screen).await;
        let width = format!("innerWidth === {}", screen.size().0);
        crate::stage::until(browser, "the new size", &width, SOON).await;
        for fault in faults(browser).await {
            let _ = writeln!(report, "{name} ({screen:?}): {fault}");
        }
    }
    for line in console_faults(browser).await {
        let _ = writeln!(report, "{name}: {line}");
    }
}
