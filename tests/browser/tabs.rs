//! Several tabs of one browser share one stream and one sound.

use songhe_testkit::{Browser, Screen};

use crate::stage::{
    CALLER, CALLER_PLACE, LIVE, SECOND_CALLER, SOON, Stage, ask, call, open_board, sign_in, streams, turn_sound_on,
    until,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_share_one_stream_and_one_sound_and_either_goes_on_alone() {
    let stage = Stage::start().await;
    let browser = Browser::start_with("zh-CN", Screen::Desktop).await;
    sign_in(&browser, &stage.url(""), "carer").await;
    open_board(&browser, &stage.url("")).await;
    turn_sound_on(&browser).await;
    let first = browser.window().await.unwrap();
    let second = browser.new_tab(&stage.url("/incidents/board"), Screen::Desktop).await;
    until(&browser, "a live second tab", LIVE, SOON).await;
    streams(&stage, 1).await;

    stage.press(CALLER).await;
    until(&browser, "the call in the second tab", &call(CALLER_PLACE), SOON).await;
    let chip = "document.querySelector('[data-sound-chip]')";
    until(&browser, "the other tab's sound", &format!("{chip}.dataset.state === 'other'"), SOON).await;
    assert_eq!(ask(&browser, "return board.dataset.sounding").await, "", "two tabs never sound at once");
    browser.switch_to_window(first).await.unwrap();
    until(&browser, "the call in the first tab", &call(CALLER_PLACE), SOON).await;
    until(&browser, "its sound", "board.dataset.sounding === 'high'", SOON).await;
    streams(&stage, 1).await;

    // The first tab holds the stream and the sound; it goes.
    browser.close_window().await.unwrap();
    browser.switch_to_window(second).await.unwrap();
    until(&browser, "the sound in the second tab", "board.dataset.sounding === 'high'", SOON).await;
    until(&browser, "a live second tab", LIVE, SOON).await;
    streams(&stage, 1).await;
    stage.press(SECOND_CALLER).await;
    until(&browser, "a new call in the second tab", &call("枫林里 1 号 102 室"), SOON).await;
    until(&browser, "the server's notice", "board.dataset.counted === 'heard'", SOON).await;
    drop(browser);
    stage.end().await;
}
