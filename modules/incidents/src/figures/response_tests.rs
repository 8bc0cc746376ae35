#![allow(clippy::unwrap_used)]
use super::*;
use crate::figures::facts::RuleRef;
use crate::model::IncidentId;

const RAISED: &str = "2026-11-10T08:00:00Z";

fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

fn call(answer_s: Option<i64>) -> Call {
    Call {
        id: IncidentId(1),
        facility: FacilityId(1),
        kind: Kind::Sos,
        priority: Priority::High,
        raised_at: at(RAISED),
        answer_s,
        on_site_s: answer_s.map(|s| s + 120),
        close_s: answer_s.map(|s| s + 600),
        outcome: answer_s.map(|_| Outcome::Real),
        delayed: false,
        nobody: false,
        undelivered: false,
        changed_later: false,
        shift: Some("早班".into()),
        device: Some(7),
        device_name: "拉绳".into(),
        rule: None,
    }
}

/// Judged long after.
fn figures(calls: &[Call]) -> Figures {
    figures_at(calls, "2026-12-03T16:00:00Z")
}

fn figures_at(calls: &[Call], as_of: &str) -> Figures {
    let (target, as_of) = (Target::default(), at(as_of));
    Figures::of(calls.iter().map(|call| (call, &target, as_of)))
}

#[test]
fn times_are_those_of_calls() {
    for (seconds, median, p90) in [
        (vec![], None, None),
        (vec![7], Some(7), Some(7)),
        (vec![9, 1], Some(1), Some(9)),
        (vec![3, 1, 2], Some(2), Some(3)),
        ((1..=10).collect(), Some(5), Some(9)),
        ((1..=11).collect(), Some(6), Some(10)),
        ((1..=100).rev().collect(), Some(50), Some(90)),
    ] {
        let times = Times::of(seconds.clone());
        assert_eq!((times.median_s, times.p90_s), (median, p90), "{seconds:?}");
        assert_eq!(times.count, seconds.len());
    }
}

#[test]
fn a_share_counts_what_was_in_time_and_what_waited_too_long() {
    let calls = [call(Some(0)), call(Some(60)), call(Some(61)), call(Some(180)), call(Some(181)), call(None)];
    let all = figures(&calls);
    assert_eq!(all.within_answer, Share { met: 2, of: 6 }, "60 s is in time, 61 s is not, no answer is not");
    assert_eq!(all.within_last, Share { met: 4, of: 6 });
    assert_eq!((all.unanswered, all.open, all.answer.count), (1, 1, 5));
    // A call that can still be answered in time is not judged.
    let soon = figures_at(&[call(None)], "2026-11-10T08:01:00Z");
    assert_eq!((soon.within_answer, soon.unanswered), (Share { met: 0, of: 0 }, 1));
    let late = figures_at(&[call(None)], "2026-11-10T08:01:01Z");
    assert_eq!((late.within_answer, late.within_last), (Share { met: 0, of: 1 }, Share { met: 0, of: 0 }));
}

#[test]
fn a_share_is_never_rounded_up_to_all() {
    assert_eq!(Share { met: 9_999, of: 10_000 }.per_mille(), Some(999));
    assert_eq!(Share { met: 39, of: 40 }.per_mille(), Some(975));
    assert_eq!(Share::default().per_mille(), None);
}

#[test]
fn tests_duplicates_and_what_came_late_measure_nobody() {
    let with = |change: fn(&mut Call)| {
        let mut call = call(Some(5_000));
        change(&mut call);
        call
    };
    let calls = [
        call(Some(10)),
        with(|call| call.outcome = Some(Outcome::Test)),
        with(|call| call.outcome = Some(Outcome::Duplicate)),
        with(|call| call.delayed = true),
        with(|call| (call.delayed, call.outcome) = (true, Some(Outcome::Test))),
    ];
    let all = figures(&calls);
    assert_eq!((all.raised, all.tests, all.duplicates, all.delayed, all.calls), (5, 2, 1, 1, 1));
    assert_eq!((all.answer.p90_s, all.within_answer), (Some(10), Share { met: 1, of: 1 }));
}

#[test]
fn nobody_there_is_no_arrival_and_counts_apart() {
    let mut gone = call(Some(30));
    gone.on_site_s = None;
    let mut far = call(Some(30));
    far.on_site_s = Some(1_801);
    let all = figures(&[call(Some(30)), far, gone]);
    assert_eq!((all.within_on_site, all.arrival.count, all.no_arrival), (Share { met: 1, of: 2 }, 2, 1));
}

#[test]
fn groups_hold_what_their_names_say() {
    let mut night = call(None);
    (night.shift, night.priority, night.kind) = (None, Priority::Low, Kind::LowBattery);
    night.rule = Some(RuleRef { id: "rul_1".into(), name: "室温".into() });
    let any = Group::default();
    let day = call(None);
    for (group, holds_day, holds_night) in [
        (any.clone(), true, true),
        (Group { urgent: true, ..any.clone() }, true, false),
        (Group { shift: Some(None), ..any.clone() }, false, true),
        (Group { shift: Some(Some("早班".into())), ..any.clone() }, true, false),
        (Group { kind: Some(Kind::Sos), ..any.clone() }, true, false),
        (Group { device: Some(7), ..any.clone() }, true, true),
        (Group { device: Some(8), ..any.clone() }, false, false),
        (Group { rule: Some("rul_1".into()), ..any.clone() }, false, true),
        (Group { rule: Some("室温".into()), ..any.clone() }, false, false),
        (Group { facility: Some(FacilityId(2)), ..any }, false, false),
    ] {
        assert_eq!((group.holds(&day), group.holds(&night)), (holds_day, holds_night), "{group:?}");
    }
}

/// Numbers without a pattern, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn seconds(&mut self, after: Option<i64>) -> Option<i64> {
        let after = after?;
        (self.below(4) > 0).then(|| after + i64::try_from(self.below(400)).unwrap())
    }

    fn call(&mut self) -> Call {
        let answer_s = self.seconds(Some(0));
        let on_site_s = self.seconds(answer_s);
        let close_s = self.seconds(answer_s);
        let pick = usize::try_from(self.below(4)).unwrap();
        Call {
            outcome: close_s.map(|_| Outcome::ALL[pick]),
            priority: Priority::ALL[usize::try_from(self.below(4)).unwrap()],
            kind: Kind::ALL[usize::try_from(self.below(13)).unwrap()],
            shift: (self.below(3) > 0).then(|| format!("{}", self.below(3))),
            delayed: self.below(10) == 0,
            nobody: self.below(9) == 0,
            undelivered: self.below(9) == 0,
            facility: FacilityId(i64::try_from(self.below(3)).unwrap()),
            on_site_s,
            close_s,
            ..call(answer_s)
        }
    }
}

#[test]
fn the_figures_of_any_month_fit_together() {
    let target = Target::default();
    let as_of = at("2026-11-10T08:02:00Z");
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let calls: Vec<Call> = (0..dice.below(60)).map(|_| dice.call()).collect();
        let judged = || calls.iter().map(|call| (call, &target, as_of));
        let all = Figures::of(judged());
        assert_eq!(all.raised, calls.len());
        assert_eq!(all.raised, all.tests + all.duplicates + all.delayed + all.calls, "seed {seed}");
        assert_eq!(all.calls, all.answer.count + all.unanswered);
        assert_eq!(all.calls, all.closing.count + all.open);
        for share in [all.within_answer, all.within_last, all.within_on_site] {
            assert!(share.met <= share.of && share.of <= all.calls, "{share:?}");
        }
        assert!(all.within_answer.met <= all.within_last.met);
        for times in [all.answer, all.arrival, all.closing] {
            assert!(times.median_s <= times.p90_s);
            assert_eq!(times.median_s.is_some(), times.count > 0);
        }
        // Whatever a month is divided by, nothing is lost and nothing counted twice.
        let parts = |of: &dyn Fn(&Call) -> bool| Figures::of(judged().filter(|(call, ..)| of(call))).calls;
        let by_facility: usize = (0..3).map(|id| parts(&|call| call.facility == FacilityId(id))).sum();
        let by_kind: usize = Kind::ALL.iter().map(|kind| parts(&|call| call.kind == *kind)).sum();
        assert_eq!((by_facility, by_kind), (all.calls, all.calls));
        // Order changes nothing.
        let mut turned = calls.clone();
        turned.reverse();
        assert_eq!(Figures::of(turned.iter().map(|call| (call, &target, as_of))), all);
    }
}
