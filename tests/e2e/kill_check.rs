//! After the kills: what was promised against what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use songhe_testkit::{Receiver, TestDb, eventually_true};

use crate::AFTER_A_KILL;
use crate::kill::{EMERGENCIES, Message, RUNGS};
use crate::ladder::key;
use crate::sql::Connection;

pub async fn compare(db: &TestDb, acknowledged: &[Message], receiver: &Receiver) {
    let mut sql = Connection::open(db);
    every_acknowledged_message_is_there_once(&mut sql, acknowledged).await;
    let incidents = every_emergency_is_one_open_incident(&mut sql, acknowledged);
    everything_came_to_rest(db, incidents).await;
    every_ladder_was_climbed_once(&mut sql, incidents, receiver);
    nothing_is_left_over(&mut sql, incidents);
}

/// Lines with how often each is there.
fn counted(lines: Vec<String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line).or_default() += 1;
    }
    counts
}

fn observations(sql: &mut Connection) -> BTreeMap<String, usize> {
    counted(sql.lines(
        "SELECT d.serial || ' ' || o.message_id || ' ' || o.kind AS line FROM observation o JOIN device d ON d.id = o.device_id",
    ))
}

async fn every_acknowledged_message_is_there_once(sql: &mut Connection, acknowledged: &[Message]) {
    let mut expected: BTreeSet<String> = BTreeSet::new();
    for message in acknowledged {
        let kinds: &[&str] = match &message.emergency {
            Some(kind) => &[*kind],
            None => &["heart_rate", "respiratory_rate"],
        };
        expected.extend(kinds.iter().map(|kind| format!("{} {} {kind}", message.serial, message.id)));
    }
    // Behind Mosquitto the acknowledgement only says that the broker has it.
    let mut there = observations(sql);
    let deadline = std::time::Instant::now() + AFTER_A_KILL;
    while expected.iter().any(|line| !there.contains_key(line)) && std::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
        there = observations(sql);
    }
    let lost: Vec<_> = expected.iter().filter(|line| !there.contains_key(*line)).collect();
    assert!(lost.is_empty(), "{} acknowledged and lost, the first: {:?}", lost.len(), &lost[..lost.len().min(10)]);
    let doubled: Vec<_> = there.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "stored twice: {doubled:?}");
    let inbox =
        sql.lines("SELECT d.serial || ' ' || i.message_id AS line FROM inbox i JOIN device d ON d.id = i.device_id");
    let known: BTreeSet<&str> = there.keys().filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
    assert_eq!(inbox.iter().map(String::as_str).collect::<BTreeSet<_>>(), known, "inbox against observations");
}

/// For each device and kind that called: one incident, open, with as many presses as there are different messages.
/// Answers how many incidents there are.
fn every_emergency_is_one_open_incident(sql: &mut Connection, acknowledged: &[Message]) -> i64 {
    let mut presses: BTreeMap<String, usize> = BTreeMap::new();
    for line in observations(sql).into_keys() {
        if let [serial, _, kind] = line.split(' ').collect::<Vec<_>>()[..]
            && EMERGENCIES.contains(&kind)
        {
            *presses.entry(format!("{serial} {kind}")).or_default() += 1;
        }
    }
    for message in acknowledged {
        if let Some(kind) = message.emergency {
            assert!(presses.contains_key(&format!("{} {kind}", message.serial)), "{message:?}");
        }
    }
    let incidents = sql.lines(
        "SELECT d.serial || ' ' || i.kind || ' ' || i.presses || CASE WHEN i.open_key IS NULL THEN ' closed' ELSE '' END \
         AS line FROM incident i JOIN device d ON d.id = i.device_id",
    );
    let expected: BTreeSet<String> = presses.iter().map(|(call, count)| format!("{call} {count}")).collect();
    let mut found = incidents.clone();
    found.sort();
    assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "device, kind, presses");
    assert!(!incidents.is_empty(), "the load raised no emergency");
    i64::try_from(incidents.len()).unwrap()
}

/// Ladders are at their end, messages are out, events are heard.
async fn everything_came_to_rest(db: &TestDb, incidents: i64) {
    let unrest = [
        ("rungs that wait", "incident_rung WHERE state IN ('waiting', 'sending')", 0),
        ("effects that wait", "effect WHERE status = 'queued'", 0),
        ("events that were not handled", "retry", 0),
        ("calls that the care beds heard of", "care_bed_call", incidents),
    ];
    let mut last = Vec::new();
    let rest = eventually_true("rest", AFTER_A_KILL * 2, || {
        let mut sql = Connection::open(db);
        last = unrest.iter().map(|(what, from, wanted)| (*what, sql.count(from), *wanted)).collect();
        let quiet = last.iter().all(|(_, found, wanted)| found == wanted);
        async move { quiet }
    });
    if tokio::time::timeout(AFTER_A_KILL, rest).await.is_err() {
        panic!("it does not come to rest: {last:?}");
    }
}

fn every_ladder_was_climbed_once(sql: &mut Connection, incidents: i64, receiver: &Receiver) {
    let rungs = incidents * i64::try_from(RUNGS.len()).unwrap();
    assert_eq!(sql.count("incident_rung WHERE state = 'told'"), rungs, "rungs told");
    assert_eq!(sql.count("incident_rung"), rungs, "rungs");
    assert_eq!(sql.count("effect WHERE status = 'delivered'"), rungs, "messages delivered");
    assert_eq!(sql.count("effect"), rungs, "messages");
    let sending: Vec<String> = sql
        .lines("SELECT data AS line FROM incident_entry WHERE kind = 'sending'")
        .iter()
        .map(|data| serde_json::from_str::<serde_json::Value>(data).unwrap()["effect"].as_str().unwrap().to_owned())
        .collect();
    let distinct: BTreeSet<&str> = sending.iter().map(String::as_str).collect();
    assert_eq!(
        (sending.len(), distinct.len()),
        (rungs as usize, rungs as usize),
        "each rung is told once in the story"
    );
    let received = receiver.received();
    assert_eq!(
        received.iter().map(key).collect::<BTreeSet<_>>(),
        distinct,
        "the receiver heard each message, and no other"
    );
}

fn nothing_is_left_over(sql: &mut Connection, incidents: i64) {
    let once = counted(sql.lines("SELECT CAST(incident_id AS TEXT) AS line FROM incident_entry WHERE kind = 'raised'"));
    assert!(once.len() as i64 == incidents && once.values().all(|count| *count == 1), "raised once each: {once:?}");
    let signals = sql.number("SELECT CAST(SUM(presses - 1) AS BIGINT) AS n FROM incident");
    assert_eq!(sql.count("incident_entry WHERE kind = 'signal'"), signals, "a line for each further press");
    let events = counted(sql.lines("SELECT subject AS line FROM event WHERE kind = 'incidents.incident.raised'"));
    assert!(events.len() as i64 == incidents && events.values().all(|count| *count == 1), "one event each: {events:?}");
    // What is left is the ladders' repetition in an hour, and schedules: all of it ahead.
    assert_eq!(sql.count("timer WHERE kind = 'ladder'"), incidents, "each unanswered call has its timer");
    let now = chrono::Utc::now().naive_utc();
    for due in sql.lines("SELECT CAST(due_at AS TEXT) AS line FROM timer") {
        let at = chrono::NaiveDateTime::parse_from_str(&due.replace('T', " "), "%Y-%m-%d %H:%M:%S%.f").unwrap();
        assert!(at > now - chrono::TimeDelta::seconds(2), "a timer of {due} did not fire by {now}");
    }
    assert_eq!(sql.count("timer WHERE parked_at IS NOT NULL OR attempts > 0"), 0, "timers that failed");
    assert_eq!(sql.count("quarantine"), 0, "messages that were not understood");
}
