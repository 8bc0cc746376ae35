//! A call from the press to its review: who is told when, what stops it, what closes it.

use crate::common::Home;
use chrono::TimeDelta;
use songhe_incidents::act::{self, Closing, FollowUp};
use songhe_incidents::model::{Outcome, Resolution};
use songhe_incidents::{Status, report, report_cleared};
use songhe_kernel::Error;
use songhe_kernel::effects::Sent;
use songhe_testkit::{MIGRATED, TestDb, both_databases};

const ALL_WAIT: [&str; 6] = [
    "on_call webhook waiting",
    "nurse_lead board waiting",
    "nurse_lead webhook waiting",
    "manager webhook waiting",
    "contact webhook waiting",
    "street_centre board waiting",
];

fn resolution(note: &str) -> Resolution {
    Resolution { outcome: Outcome::Real, note: note.into(), follow_up: None, follow_up_due: None, duplicate_of: None }
}

both_databases! {
    from MIGRATED;

    async fn a_ladder_that_reaches_nobody_says_so_once_and_goes_on_trying(db: TestDb) {
        let home = Home::open(&db).await;
        let id = home.press().await;
        let count = |story: &[String], kind: &str| story.iter().filter(|line| *line == kind).count();
        let first = home.story(id).await;
        assert_eq!((count(&first, "passed"), count(&first, "exhausted")), (7, 1), "{first:?}");
        home.pass(200).await;
        let later = home.story(id).await;
        assert_eq!((count(&later, "passed"), count(&later, "exhausted")), (7, 1), "{later:?}");
        assert_eq!(count(&later, "repeated"), 3, "{later:?}");
    }

    async fn one_press_ten_presses_and_a_late_one_are_one_incident(db: TestDb) {
        let home = Home::open(&db).await;
        let presses = (0..10).map(|_| {
            let (db, what) = (home.db.clone(), home.sos());
            tokio::spawn(async move { db.write_emergency(move |tx| report(tx, &what)).await.unwrap() })
        });
        let mut opened = 0;
        let mut ids = Vec::new();
        for press in presses.collect::<Vec<_>>() {
            let reported = press.await.unwrap();
            opened += usize::from(reported.opened);
            ids.push(reported.incident);
        }
        ids.dedup();
        assert_eq!((opened, ids.len(), home.incidents().await), (1, 1, 1));
        let mut late = home.sos();
        late.observed_at = late.received_at.plus_seconds(-600);
        assert_eq!(home.report(late).await, ids[0]);
        assert_eq!(home.row(ids[0]).await.presses, 11);
    }

    async fn a_late_call_pages_and_says_how_late(db: TestDb) {
        let home = Home::open(&db).await;
        home.board(home.people.carer).await;
        let mut late = home.sos();
        late.observed_at = late.received_at.plus_seconds(-3_600);
        let row = home.row(home.report(late).await).await;
        assert_eq!((row.delayed_s, row.status().unwrap()), (Some(3_600), Status::Notified));
    }

    async fn unanswered_it_climbs_at_its_times(db: TestDb) {
        let home = Home::open(&db).await;
        home.endpoint(None).await;
        home.board(home.people.carer).await;
        let id = home.press().await;
        let mut expected = vec!["on_call board told"];
        expected.extend(ALL_WAIT);
        assert_eq!(home.rungs(id).await, expected);
        home.pass(59).await;
        assert_eq!(home.rungs(id).await, expected);
        home.pass(1).await;
        expected[1] = "on_call webhook told";
        assert_eq!(home.rungs(id).await, expected);
        home.pass(59).await;
        assert_eq!(home.rungs(id).await, expected);
        home.pass(1).await;
        // The lead has no board open, but her message went out: the manager is not pulled forward.
        expected[2] = "nurse_lead board passed no_live_board";
        expected[3] = "nurse_lead webhook told";
        assert_eq!(home.rungs(id).await, expected);
        home.pass(60).await;
        expected[4] = "manager webhook told";
        expected[5] = "contact webhook told";
        assert_eq!(home.rungs(id).await, expected);
        home.pass(120).await;
        expected[6] = "street_centre board passed nobody";
        assert_eq!(home.rungs(id).await, expected);
        assert_eq!(home.told(), ["contact", "manager", "nurse_lead", "on_call"]);
        let sent = home.post.sent.lock().unwrap().clone();
        let (_, contact) = sent.iter().find(|(_, message)| message["target"] == "contact").unwrap();
        assert_eq!(contact["to"][0], "张小红");
        // Kept sealed until it leaves the house (e2e/ladder shows what the receiver gets).
        assert_eq!(contact["phones"][0]["shown"], "138****0000");
        assert!(!contact.to_string().contains("13800000000"), "{contact}");
    }

    async fn what_reaches_nobody_is_passed_at_once(db: TestDb) {
        let home = Home::open(&db).await;
        let id = home.press().await;
        assert_eq!(home.rungs(id).await, [
            "on_call board passed no_live_board",
            "on_call webhook passed no_channel",
            "nurse_lead board passed no_live_board",
            "nurse_lead webhook passed no_channel",
            "manager webhook passed no_channel",
            "contact webhook passed no_channel",
            "street_centre board passed nobody",
        ]);
        assert_eq!(home.row(id).await.status().unwrap(), Status::Raised);
        assert!(home.story(id).await.contains(&"exhausted".to_owned()));
    }

    async fn a_failed_channel_is_passed_while_delivery_goes_on(db: TestDb) {
        let home = Home::open(&db).await;
        home.endpoint(None).await;
        home.post.answers.lock().unwrap().push_back(Sent::TryAgain("no connection".into()));
        let id = home.press().await;
        let rungs = home.rungs(id).await;
        assert_eq!(rungs[0], "on_call board passed no_live_board");
        assert_eq!(rungs[1], "on_call webhook passed channel_failed");
        assert_eq!(rungs[3], "nurse_lead webhook told");
        assert_eq!(rungs[4], "manager webhook waiting");
        home.pass(5).await;
        assert_eq!(home.rungs(id).await[1], "on_call webhook told");
        let first = home.post.sent.lock().unwrap().iter().filter(|(_, sent)| sent["target"] == "on_call").count();
        assert_eq!(first, 2);
    }

    async fn a_board_without_sound_or_long_silent_reaches_nobody(db: TestDb) {
        let home = Home::open(&db).await;
        let carer = home.people.carer;
        home.act(move |tx| songhe_incidents::presence::seen(tx, "a:t", carer, true)).await.unwrap();
        home.pass(26).await;
        let id = home.press().await;
        assert_eq!(home.rungs(id).await[0], "on_call board passed no_live_board");
    }

    async fn acknowledging_stops_and_a_later_press_calls_again(db: TestDb) {
        let home = Home::open(&db).await;
        home.endpoint(None).await;
        home.board(home.people.carer).await;
        let id = home.press().await;
        home.pass(30).await;
        let (carer, second) = (home.people.carer, home.people.second);
        home.act(move |tx| act::acknowledge(tx, id, carer)).await.unwrap();
        let row = home.act(move |tx| act::acknowledge(tx, id, second)).await.unwrap();
        assert_eq!((row.acknowledged_by, row.response_s()), (Some(carer), Some(30)));
        home.pass(600).await;
        assert!(home.told().is_empty());
        assert_eq!(home.rungs(id).await[1], "on_call webhook stopped");
        home.act(move |tx| act::arrive(tx, id, second, false)).await.unwrap();
        home.pass(59).await;
        home.press().await;
        assert_eq!(home.row(id).await.status().unwrap(), Status::OnSite);
        home.pass(1).await;
        home.press().await;
        let row = home.row(id).await;
        assert_eq!((row.status().unwrap(), row.round, row.presses), (Status::Notified, 2, 3));
        assert_eq!(home.rungs(id).await[0], "on_call board told");
        // Answered again: what counts is the last answer, not the first one long ago.
        home.act(move |tx| act::acknowledge(tx, id, second)).await.unwrap();
        home.pass(5).await;
        home.press().await;
        let row = home.row(id).await;
        assert_eq!((row.status().unwrap(), row.round, row.response_s()), (Status::Acknowledged, 2, Some(30)));
    }

    async fn unanswered_to_the_end_everybody_is_told_again(db: TestDb) {
        let home = Home::open(&db).await;
        home.endpoint(None).await;
        home.board(home.people.carer).await;
        let id = home.press().await;
        home.pass(359).await;
        assert_eq!((home.told().len(), home.row(id).await.repeats), (4, 0));
        home.pass(1).await;
        assert_eq!((home.told().len(), home.row(id).await.repeats), (8, 1));
        home.pass(60).await;
        assert_eq!((home.told().len(), home.row(id).await.repeats), (12, 2));
    }

    async fn it_goes_on_where_it_was_after_a_restart(db: TestDb) {
        let mut home = Home::open(&db).await;
        home.endpoint(None).await;
        home.board(home.people.carer).await;
        let id = home.press().await;
        home.pass(30).await;
        home.stop().await;
        home.clock.advance(std::time::Duration::from_secs(100));
        home.start().await;
        let rungs = home.rungs(id).await;
        assert_eq!((rungs[1].as_str(), rungs[4].as_str()), ("on_call webhook told", "manager webhook waiting"));
        // 130 s after the call: also the rungs of 120 s, once each.
        assert_eq!(home.told(), ["nurse_lead", "on_call"]);
    }

    async fn a_clock_set_back_delays_nobody(db: TestDb) {
        let home = Home::open(&db).await;
        home.endpoint(None).await;
        home.board(home.people.carer).await;
        let id = home.press().await;
        // The loop has seen the timer by now.
        home.db.wakes().timers.notify_one();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        home.clock.step(TimeDelta::hours(-1));
        home.boards_speak().await;
        for (passed, count) in [(59, 0), (1, 1), (59, 1), (1, 2), (60, 4)] {
            home.pass(passed).await;
            // Fired by the monotonic clock: no wall-clock time tells that it is due.
            home.db.wakes().timers.notify_one();
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            home.settle().await;
            assert_eq!(home.told().len(), count, "{:?}", home.rungs(id).await);
        }
    }

    async fn a_clock_set_forward_tells_each_once(db: TestDb) {
        let home = Home::open(&db).await;
        home.endpoint(None).await;
        home.board(home.people.carer).await;
        let id = home.press().await;
        home.clock.step(TimeDelta::hours(1));
        home.boards_speak().await;
        home.settle().await;
        assert_eq!(home.told(), ["contact", "manager", "nurse_lead", "on_call"]);
        assert_eq!(home.row(id).await.repeats, 0);
        home.pass(59).await;
        assert_eq!(home.told().len(), 4);
    }

    async fn nothing_closes_without_outcome_and_follow_up(db: TestDb) {
        let home = Home::open(&db).await;
        let id = home.press().await;
        let empty = Closing {
            outcome: None,
            note: " ".into(),
            follow_up_kind: None,
            follow_up: String::new(),
            follow_up_due: None,
            duplicate_of: None,
        };
        let fields = |closing: &Closing| match closing.check() {
            Err(Error::Invalid(wrong)) => wrong.into_iter().map(|error| error.field).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let mut wrong = fields(&empty);
        wrong.sort_unstable();
        assert_eq!(wrong, ["follow_up_kind", "note", "outcome"]);
        let unsaid = Closing {
            outcome: Some(Outcome::Real),
            note: "扶起".into(),
            follow_up_kind: Some(FollowUp::Needed),
            ..empty
        };
        assert_eq!(fields(&unsaid), ["follow_up"]);
        assert!(home.row(id).await.status().unwrap().is_open());
    }

    async fn closed_twice_alike_is_once_and_otherwise_a_conflict(db: TestDb) {
        let home = Home::open(&db).await;
        let id = home.press().await;
        let carer = home.people.carer;
        let review = home.act(move |tx| act::review(tx, id, carer, "")).await;
        assert!(matches!(review, Err(Error::Conflict(_))));
        let close = |note: &'static str| home.act(move |tx| act::resolve(tx, id, carer, &resolution(note)));
        let first = close("扶起").await.unwrap();
        // Nobody had answered: closing answered for it.
        assert_eq!((first.status().unwrap(), first.acknowledged_by), (Status::Resolved, Some(carer)));
        let again = close("扶起").await.unwrap();
        assert_eq!((again.version, again.resolved_at), (first.version, first.resolved_at));
        assert!(matches!(close("别的").await, Err(Error::Conflict(_))));
        assert!(matches!(home.act(move |tx| act::acknowledge(tx, id, carer)).await, Err(Error::Conflict(_))));
        home.act(move |tx| act::review(tx, id, carer, "ok")).await.unwrap();
        assert_eq!(home.row(id).await.status().unwrap(), Status::Reviewed);
        // The next press is a new call.
        assert_ne!(home.press().await, id);
    }

    async fn a_machine_never_closes(db: TestDb) {
        let home = Home::open(&db).await;
        let id = home.press().await;
        let what = home.sos();
        let cleared = home.act(move |tx| report_cleared(tx, &what)).await.unwrap();
        assert_eq!(cleared, Some(id));
        assert!(home.row(id).await.status().unwrap().is_unanswered());
        assert_eq!(home.story(id).await.last().unwrap(), "cleared");
    }

    async fn a_duplicate_names_another_incident_of_the_same_facility(db: TestDb) {
        let home = Home::open(&db).await;
        let id = home.press().await;
        let carer = home.people.carer;
        let itself = Resolution { outcome: Outcome::Duplicate, duplicate_of: Some(id), ..resolution("x") };
        let done = home.act(move |tx| act::resolve(tx, id, carer, &itself)).await;
        assert!(matches!(done, Err(Error::Invalid(wrong)) if wrong[0].field == "duplicate_of"));
    }
}
