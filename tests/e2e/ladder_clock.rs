//! A clock that is set an hour back or forward fires nothing twice and skips nothing.

use std::collections::BTreeSet;

use serde_json::Value;
use songhe_testkit::{Receiver, TestDb, both_databases};

use crate::SOON;
use crate::api::{Api, lines, text};
use crate::ladder::{key, states};
use crate::world::{House, MIGRATED, Plan};

both_databases! {
    from MIGRATED;

    async fn set_back_an_hour_it_climbs_as_if_nothing_had_happened(db: TestDb) {
        back(db).await;
    }

    async fn set_forward_an_hour_every_rung_is_told_once(db: TestDb) {
        forward(db).await;
    }

    async fn set_back_an_hour_a_failed_message_is_still_sent_again(db: TestDb) {
        back_while_failing(db).await;
    }
}

/// Each rung told exactly once: in the story, by the messages, and at the receiver.
async fn exactly_once(carer: &Api, receiver: &Receiver, rungs: usize) {
    let told = |incident: &Value| states(incident).iter().all(|(state, _)| state == "told");
    let incident = carer.the_incident("all rungs told", told).await;
    let detail = carer.detail(text(&incident, "id"), "its story", |_| true).await;
    let counts = (lines(&detail, "sending").len(), lines(&detail, "told").len(), lines(&detail, "passed").len());
    assert_eq!(counts, (rungs, rungs, 0), "{detail:#}");
    let received = receiver.received();
    let keys: BTreeSet<&str> = received.iter().map(key).collect();
    assert_eq!((received.len(), keys.len()), (rungs, rungs));
}

async fn back(db: TestDb) {
    let receiver = Receiver::start();
    let mut house = House::start(db, &Plan::calls_at(receiver.url("/call"), &[0, 60, 120, 180])).await;
    let carer = house.api("carer").await;
    house.press(0, "1-1").await;
    receiver.wait_for(1, SOON).await;
    house.timers_have_looked().await;
    house.pass_seconds(30);
    house.set_clock(-3_600);
    house.timers_have_looked().await;
    assert_eq!(receiver.received().len(), 1, "setting the clock back fired a timer");
    house.pass_seconds(30);
    receiver.wait_for(2, SOON).await;
    for (seconds, calls) in [(60, 3), (60, 4)] {
        house.timers_have_looked().await;
        house.pass_seconds(seconds - 1);
        house.timers_have_looked().await;
        assert_eq!(receiver.received().len(), calls - 1, "a rung was told before its time");
        house.pass_seconds(1);
        receiver.wait_for(calls, SOON).await;
    }
    exactly_once(&carer, &receiver, 4).await;
    house.close().await;
}

async fn forward(db: TestDb) {
    let receiver = Receiver::start();
    let mut house = House::start(db, &Plan::calls_at(receiver.url("/call"), &[0, 60, 120, 180])).await;
    let carer = house.api("carer").await;
    house.press(0, "1-1").await;
    receiver.wait_for(1, SOON).await;
    house.pass_seconds(30);
    house.set_clock(3_600);
    receiver.wait_for(4, SOON).await;
    exactly_once(&carer, &receiver, 4).await;
    // And back to where it was: nothing is told again.
    house.set_clock(-3_600);
    house.timers_have_looked().await;
    house.pass_seconds(600);
    house.timers_have_looked().await;
    exactly_once(&carer, &receiver, 4).await;
    house.close().await;
}

async fn back_while_failing(db: TestDb) {
    let receiver = Receiver::start();
    receiver.fail_times(1, 503);
    let mut house = House::start(db, &Plan::calls_at(receiver.url("/call"), &[0])).await;
    let carer = house.api("carer").await;
    house.press(0, "1-1").await;
    receiver.wait_for(1, SOON).await;
    let passed = |incident: &Value| states(incident)[0].0 == "passed";
    carer.the_incident("the failure", passed).await;
    house.set_clock(-3_600);
    house.pass_seconds(2);
    receiver.wait_for(2, SOON).await;
    let told = |incident: &Value| states(incident)[0].0 == "told";
    carer.the_incident("the delivery", told).await;
    house.close().await;
}
