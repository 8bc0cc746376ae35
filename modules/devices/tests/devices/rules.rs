//! Threshold rules through the real timers: limits, hysteresis, onset, restarts; what must never page.

use std::time::Duration;

use crate::common::{Street, message, street};
use songhe_adapter_core::Measure::{HeartRate, RoomTemperature};
use songhe_devices::Accepted;
use songhe_devices::rules::{NewRule, create_rule};
use songhe_incidents::Priority;
use songhe_kernel::Error;
use songhe_testkit::{MIGRATED, TestDb, both_databases};

/// Time enough for the timers to have fired if they were due.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1_500)).await;
}

async fn until_raised(street: &Street) {
    for _ in 0..100 {
        if !street.incidents().await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no incident");
}

both_databases! {
    from MIGRATED;

    async fn limits_beyond_which_every_value_lies_are_refused(test: TestDb) {
        let street = street(&test).await;
        let facility = street.here.facility;
        let make = |above: i64, below: i64| {
            let new = NewRule {
                facility,
                name: "限值".to_owned(),
                measure: RoomTemperature.name().to_owned(),
                above_micro: Some(above * 1_000_000),
                below_micro: Some(below * 1_000_000),
                hysteresis_micro: 0,
                onset_seconds: 0,
                priority: Priority::Medium,
            };
            street.db.write(move |tx| create_rule(tx, &new))
        };
        for (above, below) in [(20, 25), (20, 20)] {
            let Err(Error::Invalid(wrong)) = make(above, below).await else { panic!("{above} {below}") };
            assert_eq!(wrong[0].field, "above");
        }
        assert!(make(30, 16).await.is_ok());
    }

    async fn a_limit_that_is_passed_for_long_enough_pages_once(test: TestDb) {
        let street = street(&test).await;
        let running = street.run().await;
        street.rule(RoomTemperature, (None, Some(16)), 1_800).await;
        street.accept(street.reading("SH-2", "1", RoomTemperature, "15.5")).await;
        street.clock.advance(Duration::from_secs(1_700));
        street.accept(street.reading("SH-2", "2", RoomTemperature, "16.3")).await;
        settle().await;
        assert_eq!(street.incidents().await, [], "not yet, and 16.3 is within the hysteresis");
        street.clock.advance(Duration::from_secs(101));
        until_raised(&street).await;
        let raised = street.incidents().await;
        assert_eq!((raised[0].kind.as_str(), raised[0].priority.as_str()), ("threshold", "high"));
        assert_eq!(raised[0].delayed_s, None, "the onset is the rule's delay, not the message's");
        assert_eq!(raised[0].place_label, "305 室");
        assert!(raised[0].cause.as_deref().unwrap().contains("\"below\":\"16\""));
        street.accept(street.reading("SH-2", "3", RoomTemperature, "15")).await;
        street.clock.advance(Duration::from_secs(3_600));
        settle().await;
        assert_eq!(street.incidents().await.len(), 1);
        assert_eq!(street.incidents().await[0].presses, 1);
        // The other house has no such rule.
        street.accept(street.reading("LA-2", "1", RoomTemperature, "3")).await;
        running.stop().await;
    }

    async fn a_recovery_before_the_onset_pages_nobody_and_the_next_time_counts_anew(test: TestDb) {
        let street = street(&test).await;
        let running = street.run().await;
        street.rule(RoomTemperature, (None, Some(16)), 1_800).await;
        street.accept(street.reading("SH-2", "1", RoomTemperature, "15.5")).await;
        street.clock.advance(Duration::from_secs(1_000));
        street.accept(street.reading("SH-2", "2", RoomTemperature, "16.6")).await;
        street.clock.advance(Duration::from_secs(1_000));
        settle().await;
        assert_eq!(street.incidents().await, []);
        street.accept(street.reading("SH-2", "3", RoomTemperature, "15.5")).await;
        street.clock.advance(Duration::from_secs(1_000));
        settle().await;
        assert_eq!(street.incidents().await, []);
        street.clock.advance(Duration::from_secs(801));
        until_raised(&street).await;
        running.stop().await;
    }

    async fn an_onset_goes_on_across_a_restart(test: TestDb) {
        let street = street(&test).await;
        street.rule(RoomTemperature, (None, Some(16)), 1_800).await;
        street.accept(street.reading("SH-2", "1", RoomTemperature, "15.5")).await;
        let street = street.restart().await;
        // Still standing: another reading beyond the limit does not begin anew.
        street.clock.advance(Duration::from_secs(1_700));
        street.accept(street.reading("SH-2", "2", RoomTemperature, "15.4")).await;
        let street = street.restart().await;
        street.clock.advance(Duration::from_secs(101));
        let running = street.run().await;
        until_raised(&street).await;
        running.stop().await;
        let street = street.restart().await;
        street.accept(street.reading("SH-2", "3", RoomTemperature, "15.4")).await;
        assert_eq!(street.incidents().await[0].presses, 1, "already raised");
    }

    async fn an_implausible_reading_is_kept_and_marked_and_triggers_nothing(test: TestDb) {
        let street = street(&test).await;
        street.rule(HeartRate, (Some(130), Some(40)), 0).await;
        street.accept(street.reading("SH-1", "1", HeartRate, "700")).await;
        street.accept(street.reading("SH-1", "2", HeartRate, "0")).await;
        assert_eq!(street.incidents().await, []);
        let kept = street.observations().await;
        assert_eq!(kept[0], ("heart_rate".into(), "implausible".into()));
        assert_eq!(kept[1], ("heart_rate".into(), "no_reading".into()));
        street.accept(street.reading("SH-1", "3", HeartRate, "150")).await;
        assert_eq!(street.incidents().await.len(), 1);
        // Nor does it end anything.
        street.accept(street.reading("SH-1", "4", HeartRate, "0")).await;
        street.accept(street.reading("SH-1", "5", HeartRate, "150")).await;
        assert_eq!(street.incidents().await[0].presses, 1);
    }

    async fn a_measurement_that_is_history_never_pages(test: TestDb) {
        let street = street(&test).await;
        street.rule(HeartRate, (Some(130), None), 0).await;
        assert_eq!(street.accept(street.read_before("SH-1", "1", HeartRate, "150", 0, true)).await, Accepted::Stored);
        assert_eq!(street.accept(street.read_before("SH-1", "2", HeartRate, "150", 301, false)).await, Accepted::Stored);
        let mut kept = message(street.reading("SH-1", "3", HeartRate, "150"));
        kept.retained = true;
        assert_eq!(street.ingest.accept(kept).await.unwrap(), Accepted::Stored);
        assert_eq!(street.incidents().await, []);
        assert_eq!(street.observations().await.len(), 3);
    }

    async fn history_may_tell_of_a_recovery_but_not_of_one_before_the_limit_was_passed(test: TestDb) {
        let street = street(&test).await;
        let running = street.run().await;
        street.rule(RoomTemperature, (None, Some(16)), 1_800).await;
        street.accept(street.reading("SH-2", "1", RoomTemperature, "15")).await;
        street.accept(street.read_before("SH-2", "0", RoomTemperature, "20", 60, false)).await;
        street.clock.advance(Duration::from_secs(1_801));
        until_raised(&street).await;
        running.stop().await;

        street.accept(street.reading("SH-1", "1", RoomTemperature, "15")).await;
        street.clock.advance(Duration::from_secs(1_200));
        // It recovered while the way to us was down; the message comes ten minutes later.
        street.accept(street.read_before("SH-1", "2", RoomTemperature, "20", 600, false)).await;
        let running = street.run().await;
        street.clock.advance(Duration::from_secs(700));
        settle().await;
        assert_eq!(street.incidents().await.len(), 1);
        running.stop().await;
    }

    async fn a_batch_that_goes_out_and_back_in_pages_nobody(test: TestDb) {
        let street = street(&test).await;
        street.rule(HeartRate, (Some(130), None), 60).await;
        let batch = ["150", "100", "150", "100"].iter().enumerate();
        let batch = batch.map(|(n, value)| message(street.reading("SH-1", &format!("{n}"), HeartRate, value)));
        let answers = futures_util::future::join_all(batch.map(|message| street.ingest.accept(message))).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(Accepted::Stored))));
        let running = street.run().await;
        street.clock.advance(Duration::from_secs(120));
        settle().await;
        assert_eq!(street.incidents().await, []);
        running.stop().await;
    }
}
