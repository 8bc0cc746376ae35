//! Reports over HTTP: each figure is the number of incidents behind its link, and a month that is settled stays as it is.

use std::time::Duration;

use diesel::prelude::*;
use serde_json::{Value, json};
use songhe_incidents::model::{Resolution, Row};
use songhe_incidents::schema::incident;
use songhe_incidents::{IncidentId, Kind, Outcome, Priority, act};
use songhe_kernel::identity::{Role, grant_role};
use songhe_kernel::{Clock, FacilityId, Moment, insert_rows};
use songhe_testkit::{MIGRATED, TestDb, both_databases, is_long_profile};

use crate::common::START;
use crate::desk::Desk;

impl Desk {
    /// A call that is answered, reached and closed so many seconds after it was raised; what is `None` does not happen.
    async fn call(
        &self,
        kind: Kind,
        answer: Option<u64>,
        arrive: Option<u64>,
        close: Option<(u64, Outcome)>,
    ) -> IncidentId {
        let home = &self.home;
        let by = home.people.carer;
        let mut report = home.sos();
        report.kind = kind;
        let id = home.report(report).await;
        let mut gone = 0;
        if let Some(after) = answer {
            home.clock.advance(Duration::from_secs(after));
            gone = after;
            home.act(move |tx| act::acknowledge(tx, id, by)).await.unwrap();
        }
        if let Some(after) = arrive {
            home.clock.advance(Duration::from_secs(after - gone));
            gone = after;
            home.act(move |tx| act::arrive(tx, id, by, false)).await.unwrap();
        }
        if let Some((after, outcome)) = close {
            home.clock.advance(Duration::from_secs(after - gone));
            self.close(id, outcome).await;
        }
        id
    }

    async fn close(&self, id: IncidentId, outcome: Outcome) {
        let by = self.home.people.carer;
        let closing =
            Resolution { outcome, note: "已查看".into(), follow_up: None, follow_up_due: None, duplicate_of: None };
        self.home.act(move |tx| act::resolve(tx, id, by, &closing)).await.unwrap();
    }

    async fn report(&self, token: &str, query: &str) -> Value {
        let (status, report) = self.api(token, "GET", &format!("/reports/response?{query}"), None).await;
        assert_eq!(status, 200, "{report}");
        report
    }

    /// How many incidents a figure lists.
    async fn counted(&self, token: &str, query: &str) -> usize {
        let (status, list) = self.api(token, "GET", &format!("/reports/incidents?limit=200&{query}"), None).await;
        assert_eq!(status, 200, "{list}");
        list["items"].as_array().unwrap().len()
    }

    fn now(&self) -> Moment {
        self.home.clock.now()
    }
}

/// Figures of the API and the names of the lists behind them.
const FIGURES: [(&str, &str); 18] = [
    ("/raised", "raised"),
    ("/tests", "tests"),
    ("/duplicates", "duplicates"),
    ("/delayed", "delayed"),
    ("/calls", "calls"),
    ("/answer/count", "answered"),
    ("/within_answer/met", "within_answer"),
    ("/within_answer/of", "judged_answer"),
    ("/within_last/met", "within_last"),
    ("/within_last/of", "judged_last"),
    ("/arrival/count", "arrived"),
    ("/within_on_site/met", "within_on_site"),
    ("/no_arrival", "no_arrival"),
    ("/closing/count", "closed"),
    ("/open", "open"),
    ("/unanswered", "unanswered"),
    ("/nobody", "nobody"),
    ("/undelivered", "undelivered"),
];

async fn some_calls(desk: &Desk) {
    desk.call(Kind::Sos, Some(30), Some(150), Some((600, Outcome::Real))).await;
    desk.call(Kind::Sos, Some(100), Some(2_000), Some((2_400, Outcome::FalseAlarm))).await;
    desk.call(Kind::Sos, Some(20), None, Some((60, Outcome::Real))).await;
    desk.call(Kind::Sos, Some(5), None, Some((60, Outcome::Test))).await;
    desk.call(Kind::Fall, Some(240), None, None).await;
    desk.call(Kind::LowBattery, Some(3_600), None, None).await;
    let mut late = desk.home.sos();
    late.kind = Kind::Smoke;
    late.observed_at = desk.now().plus_seconds(-600);
    desk.home.report(late).await;
    desk.call(Kind::Gas, None, None, None).await;
    desk.home.clock.advance(Duration::from_secs(900));
    desk.home.settle().await;
}

both_databases! {
    from MIGRATED;

    async fn each_figure_is_the_number_of_incidents_behind_it(test: TestDb) {
        let desk = Desk::open(&test).await;
        let admin = desk.token("admin").await;
        some_calls(&desk).await;
        let report = desk.report(&admin, "").await;
        let total = &report["total"];
        assert_eq!(
            ["raised", "tests", "delayed", "calls", "open", "unanswered", "no_arrival"].map(|name| total[name].as_i64().unwrap()),
            [7, 1, 1, 5, 2, 1, 1],
            "{total:#}"
        );
        assert_eq!(total["answer"], json!({ "count": 4, "median_s": 30, "p90_s": 240 }));
        assert_eq!(total["within_answer"], json!({ "met": 2, "of": 5 }));
        assert_eq!(total["within_last"], json!({ "met": 3, "of": 5 }));
        assert_eq!(total["arrival"], json!({ "count": 2, "median_s": 150, "p90_s": 2000 }));
        assert_eq!(total["within_on_site"], json!({ "met": 1, "of": 2 }));
        assert!(total["nobody"].as_i64().unwrap() > 0, "no board was open: {total:#}");
        for (pointer, figure) in FIGURES {
            let figures = [(total, "urgent=true".to_owned())];
            let shifts = report["by_shift"].as_array().unwrap().iter().map(|line| {
                (&line["figures"], format!("urgent=true&shift={}", line["shift"].as_str().unwrap_or_default()))
            });
            let kinds = report["by_kind"].as_array().unwrap().iter().map(|line| {
                let (kind, priority) = (line["kind"].as_str().unwrap(), line["priority"].as_str().unwrap());
                (&line["figures"], format!("kind={kind}&priority={priority}"))
            });
            for (figures, group) in figures.into_iter().chain(shifts).chain(kinds) {
                let expected = figures.pointer(pointer).unwrap().as_u64().unwrap();
                let counted = desk.counted(&admin, &format!("figure={figure}&{group}")).await;
                assert_eq!(counted as u64, expected, "{figure} of {group}");
            }
        }
        let shifts: Vec<&Value> = report["by_shift"].as_array().unwrap().iter().map(|line| &line["shift"]).collect();
        assert_eq!(shifts, ["白班"]);
        let kinds: Vec<&str> = report["by_kind"].as_array().unwrap().iter().map(|line| line["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["sos", "fall", "smoke", "gas", "low_battery"], "by priority, then kind");

        for locale in ["zh-CN", "en"] {
            let (status, page) = desk.page(&admin, locale, "/reports/response").await;
            assert_eq!(status, 200, "{page}");
            assert!(page.contains("40%") && page.contains("figure&#x3D;judged_answer"), "{page}");
            let list = "/reports/incidents?figure=within_answer&urgent=yes";
            let (status, page) = desk.page(&admin, locale, list).await;
            assert_eq!((status, page.matches("href=\"/incidents/inc_").count()), (200, 2), "{page}");
        }
        let (_, csv) = desk.page(&admin, "en", "/reports/response?format=csv").await;
        assert_eq!(csv.lines().count(), 1 + 1 + 5 + 1, "{csv}");
        assert!(csv.contains("\"Total (high and medium)\",\"\",\"7\",\"1\",\"0\",\"1\",\"5\",\"4\",\"30\",\"240\""), "{csv}");
    }

    async fn a_settled_month_stays_as_it_is_and_tells_what_came_later(test: TestDb) {
        let desk = Desk::open(&test).await;
        let admin = desk.token("admin").await;
        some_calls(&desk).await;
        let open = desk.call(Kind::Co, Some(40), None, None).await;
        // Three days into December it still counts, then no more.
        let days = |day: u64| Duration::from_secs(day * 86_400);
        desk.home.clock.advance(days(10));
        desk.home.settle().await;
        let admin = if desk.page(&admin, "en", "/reports/response").await.0 == 200 { admin } else { desk.token("admin").await };
        let closing = desk.report(&admin, "month=2026-11").await;
        assert_eq!(closing["facilities"][0]["settled"], false);
        desk.home.clock.advance(days(10));
        desk.home.settle().await;
        let admin = desk.token("admin").await;
        let before = desk.report(&admin, "month=2026-11").await;
        assert_eq!(before["facilities"][0]["settled"], true);
        assert_eq!(before["facilities"][0]["as_of"], "2026-12-03T16:00:00Z");
        desk.close(open, Outcome::FalseAlarm).await;
        let after = desk.report(&admin, "month=2026-11").await;
        let mut expected = before["total"].clone();
        expected["changed_later"] = json!(1);
        assert_eq!(after["total"], expected, "nothing else changes");
        let (_, page) = desk.page(&admin, "en", "/reports/response?month=2026-11").await;
        assert!(page.contains("Something happened to 1 incident after the month was settled"), "{page}");
        assert_eq!(desk.counted(&admin, "month=2026-11&urgent=true&figure=changed_later").await, 1);
        let (_, rates) = desk.api(&admin, "GET", "/reports/false-alarms?month=2026-11", None).await;
        let co = rates["items"].as_array().unwrap().iter().find(|rate| rate["kind"] == "co").unwrap();
        assert_eq!((&co["undecided"], &co["false_alarms"]), (&json!(1), &json!(0)));
        // It was no call of December.
        assert_eq!(desk.report(&admin, "month=2026-12").await["total"]["raised"], 0);
    }

    async fn another_target_changes_no_month_that_is_over(test: TestDb) {
        let desk = Desk::open(&test).await;
        let here = desk.home.people.here;
        let admin = desk.token("admin").await;
        some_calls(&desk).await;
        let strict = json!({
            "answer_seconds": 20, "answer_per_mille": 990, "last_seconds": 30, "last_per_mille": 995, "on_site_seconds": 120,
        });
        let body = json!({ "facility_id": here, "target": strict });
        let wrong = json!({ "facility_id": here, "target": { "answer_seconds": 200, "answer_per_mille": 990, "last_seconds": 100, "last_per_mille": 5, "on_site_seconds": 1 } });
        let (status, refused) = desk.api(&admin, "PUT", "/reports/targets", Some(wrong)).await;
        assert_eq!(status, 422, "{refused}");
        let (status, _) = desk.api(&admin, "PUT", "/reports/targets", Some(body.clone())).await;
        assert_eq!(status, 200);
        let november = desk.report(&admin, "month=2026-11").await;
        assert_eq!(november["facilities"][0]["target"], strict);
        assert_eq!(november["total"]["within_answer"], json!({ "met": 1, "of": 5 }));
        desk.home.clock.advance(Duration::from_secs(20 * 86_400));
        desk.home.settle().await;
        let admin = desk.token("admin").await;
        let mut lax = body.clone();
        lax["target"]["answer_seconds"] = json!(1_000);
        lax["target"]["last_seconds"] = json!(2_000);
        assert_eq!(desk.api(&admin, "PUT", "/reports/targets", Some(lax)).await.0, 200);
        let later = desk.report(&admin, "month=2026-11").await;
        assert_eq!(later["total"]["within_answer"], november["total"]["within_answer"]);
        let fields = [
            ("facility", &*here.to_string()), ("month", "2026-12"), ("answer_seconds", "45"), ("answer_percent", "98.5"),
            ("last_seconds", "90"), ("last_percent", "99.9"), ("on_site_minutes", "20"),
        ];
        let (status, location, _) = desk.form(&admin, "/reports/targets", &fields).await;
        assert_eq!((status, location.contains("/reports/response")), (303, true));
        let (_, now) = desk.api(&admin, "GET", &format!("/reports/targets?facility={here}"), None).await;
        assert_eq!((&now["answer_per_mille"], &now["on_site_seconds"]), (&json!(985), &json!(1_200)));
        let (status, _, page) = desk.form(&admin, "/reports/targets", &[("facility", &here.to_string()), ("answer_seconds", "x"), ("answer_percent", "98,5"), ("last_seconds", "1"), ("last_percent", "1"), ("on_site_minutes", "1")]).await;
        assert!(status == 422 && page.contains("98,5"), "{page}");
    }

    async fn false_alarm_rates_tell_what_they_stand_on(test: TestDb) {
        let desk = Desk::open(&test).await;
        let admin = desk.token("admin").await;
        for n in 0..12 {
            let outcome = if n % 3 == 0 { Outcome::FalseAlarm } else { Outcome::Real };
            desk.call(Kind::Sos, Some(5), None, Some((10, outcome))).await;
        }
        desk.call(Kind::Sos, Some(5), None, Some((10, Outcome::Test))).await;
        desk.call(Kind::Fall, Some(5), None, Some((10, Outcome::FalseAlarm))).await;
        desk.call(Kind::Fall, Some(5), None, None).await;
        let (status, rates) = desk.api(&admin, "GET", "/reports/false-alarms", None).await;
        assert_eq!(status, 200, "{rates}");
        let of = |rate: &Value| {
            let number = |name: &str| rate[name].as_i64();
            (rate["kind"].as_str().unwrap().to_owned(), number("per_mille"), number("false_alarms"), number("real"), number("tests"), number("undecided"))
        };
        let all: Vec<_> = rates["items"].as_array().unwrap().iter().map(of).collect();
        assert_eq!(
            all,
            [
                ("sos".to_owned(), Some(333), Some(4), Some(8), Some(1), Some(0)),
                ("fall".to_owned(), None, Some(1), Some(0), Some(0), Some(1)),
            ]
        );
        let (_, devices) = desk.api(&admin, "GET", "/reports/false-alarms?by=device", None).await;
        let device = &devices["items"][0];
        assert_eq!((&device["name"], &device["false_alarms"]), (&json!("卫生间拉绳 · 305 室 · 1 床"), &json!(5)));
        let id = device["device_id"].as_str().unwrap();
        assert_eq!(desk.counted(&admin, &format!("figure=false_alarm&device={id}")).await, 5);
        for (path, words) in [("/reports/false-alarms", "33.3%"), ("/reports/false-alarms?by=device&sort=name", "卫生间拉绳"), ("/reports/false-alarms?by=rule", "这个月没有记录")] {
            let (status, page) = desk.page(&admin, "zh-CN", path).await;
            assert!(status == 200 && page.contains(words), "{path}: {page}");
        }
        let (_, page) = desk.page(&admin, "en", "/reports/false-alarms").await;
        assert!(page.contains("Too few"), "one of one is no rate: {page}");
        let (_, csv) = desk.page(&admin, "en", "/reports/false-alarms?format=csv").await;
        assert!(csv.contains("\"sos\",\"33.3%\",\"4\",\"12\",\"0\",\"1\",\"0\""), "{csv}");
    }

    async fn who_sees_reports_sees_those_of_his_facilities(test: TestDb) {
        let desk = Desk::open(&test).await;
        let (here, elsewhere) = (desk.home.people.here, desk.home.people.elsewhere);
        some_calls(&desk).await;
        let (carer, stranger) = (desk.token("carer").await, desk.token("stranger").await);
        for path in ["/reports/response", "/reports/false-alarms", "/reports/incidents?figure=calls"] {
            assert_eq!(desk.api(&carer, "GET", path, None).await.0, 403, "{path}");
            let there = format!("{path}{}facility={here}", if path.contains('?') { '&' } else { '?' });
            assert_eq!(desk.api(&stranger, "GET", &there, None).await.0, 404, "{there}");
            let page = there.replace("figure=calls", "figure=calls&urgent=yes");
            assert_eq!(desk.page(&stranger, "en", &page).await.0, 404, "{page}");
        }
        assert_eq!(desk.report(&stranger, "").await["total"]["raised"], 0);
        let body = json!({ "facility_id": here, "target": { "answer_seconds": 60, "answer_per_mille": 1, "last_seconds": 60, "last_per_mille": 1, "on_site_seconds": 60 } });
        assert_eq!(desk.api(&stranger, "PUT", "/reports/targets", Some(body)).await.0, 404);
        // A supervisor of the street sees both houses, and changes nothing.
        let carer_id = desk.home.people.second;
        desk.home.db.write(move |tx| {
            let street = songhe_registry::region_above(tx.db(), here)?.unwrap();
            grant_role(tx, carer_id, Role::Supervisor, Some(street))
        }).await.unwrap();
        let supervisor = desk.token("second").await;
        let report = desk.report(&supervisor, "").await;
        assert_eq!(report["facilities"].as_array().unwrap().len(), 2);
        assert_eq!(report["by_facility"].as_array().unwrap().len(), 1, "the other one had no calls");
        assert_eq!(desk.report(&supervisor, &format!("facility={elsewhere}")).await["total"]["raised"], 0);
        let target = json!({ "facility_id": here, "target": { "answer_seconds": 60, "answer_per_mille": 1, "last_seconds": 60, "last_per_mille": 1, "on_site_seconds": 60 } });
        assert_eq!(desk.api(&supervisor, "PUT", "/reports/targets", Some(target)).await.0, 403);
        assert_eq!(desk.api(&supervisor, "GET", "/reports/response?month=2026-13", None).await.0, 422);
    }

    async fn a_long_month_is_read_in_parts_without_loss(test: TestDb) {
        let desk = Desk::open(&test).await;
        let count: i64 = if is_long_profile() { 100_000 } else { 9_000 };
        fill(&desk, count).await;
        let admin = desk.token("admin").await;
        for path in ["/reports/response", "/reports/false-alarms?by=device"] {
            let begun = std::time::Instant::now();
            assert_eq!(desk.page(&admin, "en", path).await.0, 200);
            println!("{path} over {count} incidents: {:?}", begun.elapsed());
        }
        let total = &desk.report(&admin, "").await["total"];
        assert_eq!((&total["raised"], &total["calls"]), (&json!(count), &json!(count)));
        assert_eq!(total["within_answer"]["met"], json!(count / 3 * 2));
    }
}

/// Incidents of the past days: many at one moment, a third of them answered late.
async fn fill(desk: &Desk, count: i64) {
    let (facility, start): (FacilityId, Moment) = (desk.home.people.here, START.parse().unwrap());
    for part in 0..count / 1_000 {
        let write = move |tx: &mut songhe_kernel::Tx<'_>| {
            let rows: Vec<Row> = (0..1_000)
                .map(|n| {
                    row(
                        IncidentId(tx.next_id()),
                        facility,
                        start.plus_seconds(-600 - (part * 1_000 + n) / 7),
                        n + part * 1_000,
                    )
                })
                .collect();
            insert_rows!(tx.db(), &rows, |values| diesel::insert_into(incident::table).values(values));
            Ok(())
        };
        desk.home.db.write(write).await.unwrap();
    }
}

fn row(id: IncidentId, facility_id: FacilityId, raised_at: Moment, n: i64) -> Row {
    let answered = Some(raised_at.plus_seconds(if n % 3 == 0 { 90 } else { 30 }));
    Row {
        id,
        facility_id,
        scenario: "nursing-home".into(),
        kind: Kind::Sos.as_str().into(),
        priority: Priority::High.as_str().into(),
        status: "resolved".into(),
        place_id: None,
        place_label: String::new(),
        resident_id: None,
        device_id: Some(n % 500),
        source: "拉绳".into(),
        detail: String::new(),
        cause: None,
        observed_at: raised_at,
        raised_at,
        delayed_s: None,
        presses: 1,
        last_signal_at: raised_at,
        round: 1,
        repeats: 0,
        notified_at: None,
        acknowledged_at: answered,
        acknowledged_by: None,
        arrived_at: answered,
        arrived_by: None,
        resolved_at: Some(raised_at),
        resolved_by: None,
        outcome: Some(Outcome::Real.as_str().into()),
        resolution: None,
        version: 1,
    }
}
