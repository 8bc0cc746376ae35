//! Unanswered, a call climbs its ladder; passed rungs, failing receivers and killed servers do not stop it.

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use songhe_incidents::model::{Channel, Target};
use songhe_testkit::receiver::Received;
use songhe_testkit::{Receiver, TestDb, both_databases, eventually};

use crate::api::{Api, lines, text};
use crate::mqtt;
use crate::sql::Connection;
use crate::world::{HOOK_SECRET, House, MIGRATED, Plan, noon, rung, start_program};
use crate::{AFTER_A_KILL, SOON};

both_databases! {
    from MIGRATED;

    async fn unanswered_it_climbs_at_its_times(db: TestDb) {
        climbs(db).await;
    }

    async fn an_answer_stops_it(db: TestDb) {
        stops(db).await;
    }

    async fn a_rung_that_reaches_nobody_is_passed_at_once(db: TestDb) {
        passes(db).await;
    }

    async fn a_receiver_that_fails_is_passed_at_once_and_told_later(db: TestDb) {
        fails_first(db).await;
    }

    async fn it_climbs_on_across_kills(db: TestDb) {
        across_kills(db).await;
    }
}

/// State and reason of each rung, in order.
pub fn states(detail: &Value) -> Vec<(String, Option<String>)> {
    let rungs = detail["rungs"].as_array().expect("rungs");
    rungs.iter().map(|rung| (text(rung, "state").to_owned(), rung["reason"].as_str().map(str::to_owned))).collect()
}

fn state(word: &str, reason: Option<&str>) -> (String, Option<String>) {
    (word.to_owned(), reason.map(str::to_owned))
}

/// Seconds after noon at which each rung was done with.
fn done_after(detail: &Value) -> Vec<Option<i64>> {
    let rungs = detail["rungs"].as_array().expect("rungs");
    let at = |rung: &Value| rung["done_at"].as_str().map(|at| at.parse::<songhe_kernel::Moment>().unwrap());
    rungs.iter().map(|rung| at(rung).map(|at| at.seconds_since(noon()))).collect()
}

/// What a receiver must check: who sent it, when, and whether it came before.
fn check_signature(call: &Received) -> i64 {
    let header = call.header("songhe-signature").expect("a signature");
    let (time, mac) = header.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).expect("t=…,v1=…");
    let mut expected = Hmac::<sha2::Sha256>::new_from_slice(HOOK_SECRET.as_bytes()).unwrap();
    expected.update(format!("{time}.").as_bytes());
    expected.update(&call.body);
    assert_eq!(mac, hex::encode(expected.finalize().into_bytes()));
    time.parse().unwrap()
}

pub fn key(call: &Received) -> &str {
    call.header("idempotency-key").expect("an Idempotency-Key")
}

/// The built-in ladder for emergencies, with one live board and one endpoint.
async fn climbs(db: TestDb) {
    let receiver = Receiver::start();
    let plan = Plan { hook: Some(receiver.url("/call")), ..Plan::default() };
    let mut house = House::start(db, &plan).await;
    let carer = house.api("carer").await;
    let _stream = carer.stream().await;
    carer.post("/api/v1/presence", json!({ "sound": true })).await;
    house.press(0, "1-1").await;
    let incident = carer.the_incident("the call", |incident| incident["status"] == "notified").await;
    let id = text(&incident, "id").to_owned();
    assert_eq!(states(&incident)[0], state("told", None), "the board sounds");
    assert_eq!(incident["rungs"][0]["who"], json!(["王护理"]));

    house.pass_seconds(59);
    house.timers_have_looked().await;
    assert_eq!(receiver.received().len(), 0, "a rung was told before its time");
    house.pass_seconds(1);
    let first = receiver.wait_for(1, SOON).await.remove(0);
    assert_eq!(check_signature(&first), noon().unix_ms() / 1000 + 60);
    assert_eq!(
        (first.json()["incident"].as_str(), first.json()["target"].as_str()),
        (Some(id.as_str()), Some("on_call"))
    );

    // Time stands until each delivery is on record: its moment is what the story shows.
    let told = |rung: usize| move |detail: &Value| states(detail)[rung] == state("told", None);
    carer.detail(&id, "the first message told", told(1)).await;
    house.pass_seconds(60);
    receiver.wait_for(2, SOON).await;
    carer.detail(&id, "the second message told", told(3)).await;
    house.pass_seconds(60);
    let calls = receiver.wait_for(3, SOON).await;
    carer.detail(&id, "the third message told", told(5)).await;
    assert_eq!(calls[2].json()["phones"], json!(["13800000000"]), "the daughter is called by her number");
    house.pass_seconds(120);
    let all_told = |detail: &Value| states(detail).iter().all(|(state, _)| state == "told" || state == "passed");
    let detail = carer.detail(&id, "the whole ladder", all_told).await;
    let expected = [
        state("told", None),
        state("told", None),
        state("passed", Some("no_live_board")),
        state("told", None),
        state("passed", Some("nobody")),
        state("told", None),
        state("passed", Some("nobody")),
    ];
    assert_eq!(states(&detail), expected, "{detail:#}");
    assert_eq!(done_after(&detail), [0, 60, 120, 120, 180, 180, 300].map(Some));
    for (call, delivery) in receiver.received().iter().zip(detail["deliveries"].as_array().unwrap()) {
        assert_eq!(key(call), text(delivery, "effect_id"), "the key is the message's id");
        assert_eq!(delivery["status"], "delivered");
        check_signature(call);
    }
    house.pass_seconds(60);
    let repeated = |detail: &Value| lines(detail, "repeated").len() == 1;
    carer.detail(&id, "the ladder's repetition", repeated).await;
    house.close().await;
}

async fn stops(db: TestDb) {
    let receiver = Receiver::start();
    let mut house = House::start(db, &Plan::calls_at(receiver.url("/call"), &[0, 60, 120])).await;
    let carer = house.api("carer").await;
    house.press(0, "1-1").await;
    receiver.wait_for(1, SOON).await;
    let id = text(&carer.open_incidents().await[0], "id").to_owned();
    carer.post(&format!("/api/v1/incidents/{id}/acknowledge"), json!({})).await;
    assert_eq!(Connection::open(&house.db).count("timer WHERE kind = 'ladder'"), 0, "its timer is gone");
    house.pass_seconds(3_600);
    house.timers_have_looked().await;
    let detail = carer.detail(&id, "the answer", |detail| detail["status"] == "acknowledged").await;
    assert_eq!((receiver.received().len(), lines(&detail, "sending").len()), (1, 1), "{detail:#}");
    assert_eq!(states(&detail)[1..], [state("stopped", None), state("stopped", None)]);
    house.close().await;
}

/// No board, no manager, no supervisor: only the contact's webhook is left, and it is told at once.
async fn passes(db: TestDb) {
    let receiver = Receiver::start();
    let rungs = vec![
        rung(0, Target::OnCall, Channel::Board),
        rung(60, Target::Manager, Channel::Webhook),
        rung(120, Target::StreetCentre, Channel::Board),
        rung(180, Target::Contact, Channel::Webhook),
        rung(240, Target::OnCall, Channel::Webhook),
    ];
    let plan = Plan { hook: Some(receiver.url("/call")), rungs: Some(rungs), ..Plan::default() };
    let mut house = House::start(db, &plan).await;
    let carer = house.api("carer").await;
    house.press(0, "1-1").await;
    receiver.wait_for(1, SOON).await;
    let told = |incident: &Value| states(incident)[3].0 == "told";
    let incident = carer.the_incident("the contact told", told).await;
    let expected = [
        state("passed", Some("no_live_board")),
        state("passed", Some("nobody")),
        state("passed", Some("nobody")),
        state("told", None),
        state("waiting", None),
    ];
    assert_eq!(states(&incident), expected);
    assert_eq!(done_after(&incident), [Some(0), Some(0), Some(0), Some(0), None]);
    house.pass_seconds(240);
    receiver.wait_for(2, SOON).await;
    house.close().await;

    // Where nobody at all can be reached, the story says so, and the server stays at it.
    let mut connection = Connection::open(&house.db);
    connection.run("UPDATE webhook_endpoint SET active = FALSE");
    house.open().await;
    let carer = house.api("carer").await;
    house.press(1, "1-1").await;
    let open = carer.open_incidents().await;
    assert_eq!(open.len(), 2);
    let second = text(&open[0], "id");
    let detail = carer.detail(second, "the warning", |detail| lines(detail, "exhausted").len() == 1).await;
    assert!(states(&detail).iter().all(|(state, _)| state == "passed"), "{detail:#}");
    assert_eq!(states(&detail)[4], state("passed", Some("no_channel")));
    house.close().await;
}

async fn fails_first(db: TestDb) {
    let receiver = Receiver::start();
    receiver.fail_times(1, 503);
    let rungs = vec![
        rung(0, Target::OnCall, Channel::Webhook),
        rung(60, Target::NurseLead, Channel::Webhook),
        rung(120, Target::Contact, Channel::Webhook),
    ];
    let plan = Plan { hook: Some(receiver.url("/call")), rungs: Some(rungs), ..Plan::default() };
    let mut house = House::start(db, &plan).await;
    let carer = house.api("carer").await;
    house.press(0, "1-1").await;
    // No time has passed: the nurse lead is told because the first message failed.
    let calls = receiver.wait_for(2, SOON).await;
    assert_eq!(calls[1].json()["target"], "nurse_lead");
    let incident = carer.the_incident("the second rung", |incident| states(incident)[1].0 == "told").await;
    assert_eq!(states(&incident)[0], state("passed", Some("channel_failed")));
    let id = text(&incident, "id").to_owned();
    let detail = carer.detail(&id, "its story", |_| true).await;
    let delivery = &detail["deliveries"][0];
    assert_eq!((delivery["status"].as_str(), delivery["attempts"].as_i64()), (Some("queued"), Some(1)));
    assert!(text(delivery, "error").contains("503"), "{delivery}");
    assert_eq!(lines(&detail, "delivery_delayed").len(), 1);

    house.pass_seconds(2);
    let calls = receiver.wait_for(3, SOON).await;
    assert_eq!((key(&calls[0]), &calls[0].body), (key(&calls[2]), &calls[2].body), "the same message, the same key");
    let delivered = |detail: &Value| states(detail)[0].0 == "told";
    let detail = carer.detail(&id, "the late delivery", delivered).await;
    assert_eq!(detail["deliveries"][0]["attempts"], 2);
    assert_eq!(states(&detail)[2], state("waiting", None), "a late delivery brings no rung forward");
    house.pass_seconds(118);
    receiver.wait_for(4, SOON).await;

    // One that refuses for good is not asked again.
    receiver.answer_always(404);
    house.press(1, "1-1").await;
    let failed = |detail: &Value| {
        let all = detail["deliveries"].as_array().unwrap();
        all.len() == 3 && all.iter().all(|delivery| delivery["status"] == "failed")
    };
    let second = text(&carer.open_incidents().await[0], "id").to_owned();
    let detail = carer.detail(&second, "three refusals", failed).await;
    assert_eq!((lines(&detail, "delivery_failed").len(), lines(&detail, "exhausted").len()), (3, 1), "{detail:#}");
    house.close().await;
}

async fn across_kills(db: TestDb) {
    let receiver = Receiver::start();
    let plan = Plan::calls_at(receiver.url("/call"), &[0, 1, 2, 3, 4]);
    let (world, mut server) = start_program(&db, &plan).await;
    let sent = mqtt::publish(server.mqtt_address(), &world.buttons[0], "event", br#"{"id":"1-1","event":"sos"}"#).await;
    assert!(sent.ok, "{}", sent.said);
    for told in [1, 2, 4] {
        receiver.wait_for(told, SOON).await;
        server.kill_and_restart();
    }
    let carer = Api::sign_in(&server.url(""), "carer").await;
    let all_told = |incident: &Value| states(incident).iter().all(|(state, _)| state == "told");
    let id = text(&carer.the_incident("the call", |_| true).await, "id").to_owned();
    let detail = eventually("five rungs told", AFTER_A_KILL, || async {
        Some(carer.get(&format!("/api/v1/incidents/{id}")).await).filter(all_told)
    })
    .await;
    let sending: Vec<&str> = lines(&detail, "sending").into_iter().map(|line| text(&line["data"], "effect")).collect();
    assert_eq!(sending.len(), 5, "each rung once: {detail:#}");
    let received = receiver.received();
    let heard: std::collections::BTreeSet<&str> = received.iter().map(key).collect();
    assert_eq!(heard, sending.iter().copied().collect(), "the receiver knows each message, and no other");
    for rung in detail["rungs"].as_array().unwrap() {
        let moment = |field| text(rung, field).parse::<songhe_kernel::Moment>().unwrap();
        assert!(moment("done_at") >= moment("due_at"), "told before its time: {rung}");
    }
}
