//! A board before a broken network.

use std::time::{Duration, Instant};

use serde_json::Value;
use songhe_testkit::{Browser, Proxy, Screen, eventually_true};

use crate::stage::{
    CALLER, CALLER_PLACE, LIVE, SECOND_CALLER, SOON, Stage, ask, call, click, open_board, sign_in, turn_sound_on, until,
};

const SECOND_PLACE: &str = "枫林里 1 号 102 室";
const NETWORK_WORDS: &str = "The network is down and this did not arrive. Press again, or go there directly.";

async fn board_behind(proxy: &Proxy) -> (Browser, String) {
    let browser = Browser::start_with("en", Screen::Tablet).await;
    let base = format!("http://{}", proxy.address());
    sign_in(&browser, &base, "carer").await;
    open_board(&browser, &base).await;
    turn_sound_on(&browser).await;
    (browser, base)
}

fn acknowledgements(detail: &Value) -> usize {
    detail["story"].as_array().map_or(0, |story| story.iter().filter(|line| line["kind"] == "acknowledged").count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_is_seen_within_25_seconds_and_the_board_catches_up_afterwards() {
    let stage = Stage::start().await;
    let proxy = Proxy::start(stage.address()).await;
    let (browser, _) = board_behind(&proxy).await;
    let token = stage.token("nurse").await;
    stage.press(CALLER).await;
    let this = call(CALLER_PLACE);
    until(&browser, "the call", &this, SOON).await;

    // The worst kind: connections stay open and nothing passes, so that no error tells of it.
    let since = Instant::now();
    proxy.stall();
    stage.press(SECOND_CALLER).await;
    let second = stage.incident_at(&token, SECOND_PLACE).await;
    let chip = "document.querySelector('[data-stream-chip]')";
    let left = Duration::from_secs(25).saturating_sub(since.elapsed());
    until(&browser, "the stale badge", &format!("{chip}.dataset.state === 'stale'"), left).await;
    let red = format!(
        "return getComputedStyle({chip}).backgroundColor === getComputedStyle(document.querySelector('.call.high .chip.high.solid')).backgroundColor"
    );
    assert_eq!(ask(&browser, &red).await, true, "the badge has the colour of danger");
    assert_eq!(ask(&browser, &format!("return {chip}.innerText.trim()")).await, "Connection lost");
    assert_eq!(ask(&browser, "return board.dataset.sounding").await, "high", "it goes on ringing");

    proxy.cut();
    click(&browser, ".call [data-act='acknowledge'] button").await;
    browser.wait_text(NETWORK_WORDS, SOON).await;
    let button = format!("{this}.querySelector('[data-act] button')");
    until(&browser, "the button", &format!("!{button}.hasAttribute('aria-disabled')"), SOON).await;
    let first = stage.incident_at(&token, CALLER_PLACE).await;
    assert_eq!(first["acknowledged_at"], Value::Null, "a press that did not arrive is no answer");
    // Meanwhile somebody else goes to the second call, which this board has never shown.
    stage.post(&token, &format!("/api/v1/incidents/{}/acknowledge", second["id"].as_str().unwrap())).await;

    proxy.resume();
    until(&browser, "the board's return", LIVE, Duration::from_secs(30)).await;
    let taken = format!("{}?.textContent.includes('演示护士 is on it')", call(SECOND_PLACE));
    until(&browser, "what happened meanwhile", &taken, SOON).await;
    click(&browser, &format!("#{}-act", first["id"].as_str().unwrap())).await;
    until(&browser, "the answer", &format!("{this}.dataset.unanswered === 'no'"), SOON).await;
    until(&browser, "silence", "board.dataset.sounding === ''", SOON).await;
    drop(browser);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_one_acknowledgement() {
    let stage = Stage::start().await;
    let proxy = Proxy::start(stage.address()).await;
    let (browser, _) = board_behind(&proxy).await;
    let token = stage.token("nurse").await;
    stage.press(CALLER).await;
    let this = call(CALLER_PLACE);
    until(&browser, "the call", &this, SOON).await;
    let id = stage.incident_at(&token, CALLER_PLACE).await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/incidents/{id}");

    // Every answer is lost, the stream's as well: the server carries the press out, and the board does not hear of it.
    proxy.lose_replies(10_000);
    click(&browser, &format!("#{id}-act")).await;
    browser.wait_text(NETWORK_WORDS, SOON).await;
    eventually_true("the acknowledgement", SOON, || async { acknowledgements(&stage.get(&token, &path).await) == 1 })
        .await;
    let button = format!("{this}.querySelector('[data-act] button')");
    until(&browser, "the button", &format!("!{button}.hasAttribute('aria-disabled')"), SOON).await;
    assert_eq!(ask(&browser, "return board.dataset.sounding").await, "high", "unheard, it goes on ringing");
    click(&browser, &format!("#{id}-act")).await;
    let sending = format!("{button}.hasAttribute('aria-disabled')");
    until(&browser, "the second press", &sending, SOON).await;
    until(&browser, "its end", &format!("!({sending})"), SOON).await;

    proxy.resume();
    until(&browser, "the answer", &format!("{this}.dataset.unanswered === 'no'"), Duration::from_secs(30)).await;
    let detail = stage.get(&token, &path).await;
    assert_eq!(acknowledgements(&detail), 1, "{:#}", detail["story"]);
    until(&browser, "silence", "board.dataset.sounding === ''", SOON).await;
    drop(browser);
    stage.end().await;
}
