//! A call from the button to its end, as a carer sees it.

use songhe_testkit::{Browser, Screen};

use crate::pages::assert_quiet_console;
use crate::stage::{CALLER, CALLER_PLACE, SOON, Stage, ask, call, click, open_board, sign_in, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_rings_until_it_is_answered_and_closes_with_its_outcome() {
    let stage = Stage::start().await;
    let browser = Browser::start_with("zh-CN", Screen::Tablet).await;
    sign_in(&browser, &stage.url(""), "carer").await;
    open_board(&browser, &stage.url("")).await;
    sound_is_asked_for_and_turned_on(&browser).await;

    stage.press(CALLER).await;
    it_shows_and_rings(&browser).await;
    stage.press(CALLER).await;
    browser.wait_text("已按 2 次", SOON).await;
    let calls = ask(&browser, "return document.querySelectorAll('.call').length").await;
    assert_eq!(calls, 1, "a second press is the same call");

    reading_another_page_keeps_the_sound(&stage, &browser).await;

    let this = call(CALLER_PLACE);
    click(&browser, ".call [data-act='acknowledge'] button").await;
    until(&browser, "silence", "board.dataset.sounding === ''", SOON).await;
    until(&browser, "the answer", &format!("{this}.textContent.includes('你已接手')"), SOON).await;
    assert_eq!(ask(&browser, "return document.title.startsWith('(')").await, false);
    click(&browser, ".call [data-act='arrive'] button").await;
    until(&browser, "the arrival", &format!("{this}.textContent.includes('你已到达')"), SOON).await;

    click(&browser, ".call a[href$='#resolve']").await;
    let page = browser.wait_css("#resolve form", SOON).await;
    drop(page);
    nothing_closes_without_outcome_and_follow_up(&stage, &browser).await;
    it_is_closed(&browser).await;

    open_board(&browser, &stage.url("")).await;
    browser.wait_text("没有待处理的告警", SOON).await;
    let recent = ask(&browser, "return document.getElementById('board-recent').innerText").await;
    assert!(recent.as_str().unwrap().contains(CALLER_PLACE), "{recent}");
    assert_quiet_console(&browser, "the board").await;
    drop(browser);
    stage.end().await;
}

/// A shift begins with the sound; until then a red badge says that it is off.
async fn sound_is_asked_for_and_turned_on(browser: &Browser) {
    until(browser, "the panel", "!document.querySelector('[data-sound-panel]').hidden", SOON).await;
    browser.wait_text("声音未开启", SOON).await;
    // A board without sound is seen, but nobody hears it.
    until(browser, "the server's notice of a silent board", "board.dataset.counted === 'seen'", SOON).await;
    click(browser, "[data-sound-begin]").await;
    browser.wait_text("听到提示音了吗", SOON).await;
    let tested = ask(browser, "return board.dataset.tested").await;
    assert_eq!(tested, "yes", "a test tone is played");
    click(browser, "[data-sound-yes]").await;
    browser.wait_text("声音已开启", SOON).await;
    until(browser, "the server's notice", "board.dataset.counted === 'heard'", SOON).await;
}

async fn it_shows_and_rings(browser: &Browser) {
    let this = call(CALLER_PLACE);
    until(browser, "the call", &this, SOON).await;
    until(browser, "its sound", "board.dataset.sounding === 'high'", SOON).await;
    let card = ask(browser, &format!("return {this}.innerText")).await;
    let card = card.as_str().unwrap();
    // Level in words and marks, what it is, who it is, who has been told, what to do.
    for words in ["***", "紧急", "一键呼叫", "一键呼叫器", "你", "已通知", "我去处理"] {
        assert!(card.contains(words), "no {words} in:\n{card}");
    }
    let told = ask(browser, &format!("return {this}.querySelector('.rung.told').innerText")).await;
    assert!(told.as_str().unwrap().contains('你'), "the carer's own board counts: {told}");
    // The place is what is read first: the largest words of the card beside the timer.
    let size = |css: &str| format!("parseFloat(getComputedStyle({this}.querySelector('{css}')).fontSize)");
    let first =
        format!("{} > {} && {} > {}", size(".call-place"), size(".call-kind"), size(".call-place"), size(".call-who"));
    until(browser, "the place first", &first, SOON).await;
    let timer = format!("return {this}.querySelector('.timer').textContent");
    let before = ask(browser, &timer).await;
    assert!(before.as_str().is_some_and(|text| text.len() == 5 && text.starts_with("00:")), "{before}");
    until(browser, "the running time", &format!("{this}.querySelector('.timer').textContent !== {before}"), SOON).await;
    until(browser, "the title", "document.title.startsWith('(1)')", SOON).await;
}

/// Looking up a resident must not silence the shift.
async fn reading_another_page_keeps_the_sound(stage: &Stage, browser: &Browser) {
    browser.goto(&stage.url("/residents")).await.unwrap();
    let bar = "document.querySelector('[data-watch]')";
    until(browser, "the bar", &format!("!{bar}.hidden && {bar}.dataset.sounding === 'high'"), SOON).await;
    let words = ask(browser, &format!("return {bar}.innerText")).await;
    assert!(words.as_str().unwrap().contains(CALLER_PLACE), "{words}");
    open_board(browser, &stage.url("")).await;
    until(browser, "the sound again", "board.dataset.sounding === 'high'", SOON).await;
}

async fn nothing_closes_without_outcome_and_follow_up(stage: &Stage, browser: &Browser) {
    click(browser, "#resolve form button.primary").await;
    let errors = browser.wait_css("#errors", SOON).await.text().await.unwrap();
    for words in ["请选择结果", "请写明做了什么", "请选择是否需要跟进"] {
        assert!(errors.contains(words), "no {words} in:\n{errors}");
    }
    let token = stage.token("nurse").await;
    let incident = stage.incident_at(&token, CALLER_PLACE).await;
    assert_eq!(incident["status"], "on_site", "a refused form closes nothing");
    click(browser, "#errors a[href='#action']").await;
    until(browser, "the field", "document.activeElement.id === 'action'", SOON).await;
    browser.fill("#action", "协助如厕，无受伤").await;
    click(browser, "label:has(input[name='outcome'][value='real'])").await;
    click(browser, "label:has(input[name='follow_up'][value='needed'])").await;
    click(browser, "#resolve form button.primary").await;
    browser.wait_text("请写明跟进内容", SOON).await;
    let kept = ask(browser, "return document.getElementById('action').value").await;
    assert_eq!(kept, "协助如厕，无受伤", "a refused form keeps what was typed");
}

async fn it_is_closed(browser: &Browser) {
    click(browser, "label:has(input[name='follow_up'][value='none'])").await;
    click(browser, "#resolve form button.primary").await;
    let resolution = browser.wait_css("[aria-labelledby='resolution-title']", SOON).await.text().await.unwrap();
    for words in ["真实", "协助如厕，无受伤", "不需要跟进", "演示护理员"] {
        assert!(resolution.contains(words), "no {words} in:\n{resolution}");
    }
    let story = browser.wait_css("#story", SOON).await.text().await.unwrap();
    for words in ["发生告警", "接手", "到达现场", "处理完成"] {
        assert!(story.contains(words), "no {words} in:\n{story}");
    }
}
