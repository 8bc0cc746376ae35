//! Pictures of the screens in target/screenshots, for people to look at. The normal profile takes the few that matter
//! most, the long one each screen in both languages, by day and by night, on all three sizes.

use std::time::Duration;

use songhe_testkit::{Browser, Screen, is_long_profile};

use crate::accessible::furnish;
use crate::pages::{PAGES, SCREENS, light};
use crate::stage::{CALLER_PLACE, SOON, Stage, call, click, open_board, sign_in, turn_sound_on, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_screens_are_pictured() {
    let stage = Stage::start().await;
    if !is_long_profile() {
        let browser = Browser::start_with("zh-CN", Screen::Tablet).await;
        light(&browser, true).await;
        sign_in(&browser, &stage.url(""), "carer").await;
        open_board(&browser, &stage.url("")).await;
        turn_sound_on(&browser).await;
        furnish(&stage).await;
        until(&browser, "the call", &call(CALLER_PLACE), SOON).await;
        shoot(&browser, "board-ringing", "zh-CN", &[(true, Screen::Tablet, "tablet"), (false, Screen::Phone, "phone")])
            .await;
        drop(browser);
        stage.end().await;
        return;
    }
    for language in ["zh-CN", "en"] {
        let browser = Browser::start_with(language, Screen::Tablet).await;
        board(&browser, &stage, language).await;
        everything_else(&browser, &stage, language).await;
    }
    stage.end().await;
}

fn all() -> Vec<(bool, Screen, &'static str)> {
    let by_light = |night| SCREENS.map(|(screen, name)| (night, screen, name));
    [by_light(false), by_light(true)].concat()
}

/// The board in each of its states; the calls of the first language are there for the second as well.
async fn board(browser: &Browser, stage: &Stage, language: &str) {
    browser.goto(&stage.url("/sign-in")).await.unwrap();
    shoot(browser, "sign-in", language, &all()).await;
    let proxy = songhe_testkit::Proxy::start(stage.address()).await;
    let base = format!("http://{}", proxy.address());
    sign_in(browser, &base, "carer").await;
    open_board(browser, &base).await;
    shoot(browser, "board-sound-off", language, &all()).await;
    turn_sound_on(browser).await;
    shoot(browser, "board-empty", language, &all()).await;
    furnish(stage).await;
    until(browser, "the call", &call(CALLER_PLACE), SOON).await;
    shoot(browser, "board-ringing", language, &all()).await;
    proxy.stall();
    let stale = "document.querySelector('[data-stream-chip]').dataset.state === 'stale'";
    until(browser, "the stale badge", stale, Duration::from_secs(40)).await;
    shoot(browser, "board-stale", language, &all()).await;
    proxy.cut();
    click(browser, ".call [data-act='acknowledge'] button").await;
    until(browser, "the words", "!document.querySelector('[data-failed]').hidden", SOON).await;
    shoot(browser, "board-undelivered", language, &all()).await;
}

async fn everything_else(browser: &Browser, stage: &Stage, language: &str) {
    let token = stage.token("manager").await;
    let mut who = "";
    for page in &PAGES {
        if page.who != who {
            browser.goto(&stage.url("/sign-in")).await.unwrap();
            browser.delete_all_cookies().await.unwrap();
            sign_in(browser, &stage.url(""), page.who).await;
            who = page.who;
        }
        page.open(browser, stage, &token).await;
        shoot(browser, page.name, language, &all()).await;
    }
}

/// The whole page, not only what fits on the screen.
async fn shoot(browser: &Browser, name: &str, language: &str, views: &[(bool, Screen, &str)]) {
    for (night, screen, size) in views {
        browser.resize(*screen).await;
        light(browser, *night).await;
        // Colours fade into each other.
        until(
            browser,
            "the end of all movement",
            "document.getAnimations().every(a => !(a instanceof CSSTransition))",
            SOON,
        )
        .await;
        let time = if *night { "night" } else { "day" };
        browser.shoot(&format!("{name}-{language}-{time}-{size}")).await;
    }
}
