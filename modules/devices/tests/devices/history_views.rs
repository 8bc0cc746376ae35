//! Observations over years as they are seen: lists, series and charts.

use crate::common::{Street, street};
use crate::history::{Dice, NEW_YORK, Told, anything, move_to, tell};
use crate::screens::Desk;
use chrono::TimeDelta;
use serde_json::{Value, json};
use songhe_adapter_core::{EventKind, Measure};
use songhe_devices::history::list::{Filter, Place, observations};
use songhe_devices::history::{catch_up, prepare};
use songhe_kernel::Moment;
use songhe_testkit::{MIGRATED, TestDb, both_databases};

both_databases! {
    from MIGRATED;

    async fn a_list_over_years_has_every_row_once_newest_first(test: TestDb) {
        lists(test).await;
    }

    async fn a_series_is_raw_then_hours_then_days_and_shows_what_is_stored(test: TestDb) {
        series(test).await;
    }

    async fn the_device_page_draws_what_is_stored_in_the_range_asked_for(test: TestDb) {
        charts(test).await;
    }
}

async fn lists(test: TestDb) {
    let street = street(&test).await;
    prepare(&street.db).await.unwrap();
    let mut dice = Dice(3);
    for _ in 0..5 {
        let rows = (0..60).map(|_| anything(&street, &mut dice, street.now(), 700)).collect();
        tell(&street, rows).await;
    }
    // Several of one moment.
    let same = anything(&street, &mut dice, street.now(), 1);
    tell(&street, vec![Told { kind: "heart_rate", micro: Some(1), active: None, ..same }; 7]).await;
    street.accept(street.reading("SH-1", "1", Measure::HeartRate, "72")).await;
    let all = page_through(&street, &Filter::default(), 1_000).await;
    assert_eq!(all.len(), 308);
    assert!(all.windows(2).all(|pair| pair[0].observed_at >= pair[1].observed_at));
    let day = |days: i64| Some(street.now().plus(TimeDelta::days(days)));
    let (here, elsewhere) = (street.here, street.elsewhere);
    let filters = [
        Filter { device: Some(here.cord), ..Filter::default() },
        Filter { device: Some(here.cord), kind: Some("heart_rate".into()), from: day(-200), ..Filter::default() },
        Filter { facilities: Some(vec![elsewhere.facility]), ..Filter::default() },
        Filter {
            facilities: Some(vec![here.facility, elsewhere.facility]),
            kind: Some("door_open".into()),
            ..Filter::default()
        },
        Filter { facilities: Some(vec![elsewhere.facility]), device: Some(here.cord), ..Filter::default() },
        Filter { facilities: Some(vec![]), ..Filter::default() },
        Filter { resident: Some(here.resident), ..Filter::default() },
        Filter { from: day(-100), until: day(100), ..Filter::default() },
        Filter { kind: Some("mood".into()), ..Filter::default() },
    ];
    for filter in filters {
        let expected: Vec<_> = all
            .iter()
            .filter(|row| filter.device.is_none_or(|device| row.device_id == device))
            .filter(|row| filter.resident.is_none_or(|resident| row.resident_id == Some(resident)))
            .filter(|row| filter.facilities.as_ref().is_none_or(|ids| ids.contains(&row.facility_id)))
            .filter(|row| filter.kind.as_ref().is_none_or(|kind| row.kind == *kind))
            .filter(|row| filter.from.is_none_or(|from| row.observed_at >= from))
            .filter(|row| filter.until.is_none_or(|until| row.observed_at < until))
            .map(|row| row.id)
            .collect();
        for limit in [3, 50] {
            let paged: Vec<_> = page_through(&street, &filter, limit).await.iter().map(|row| row.id).collect();
            assert_eq!(paged, expected, "{filter:?} by {limit}");
        }
    }
}

async fn page_through(street: &Street, filter: &Filter, limit: i64) -> Vec<songhe_devices::observations::Observation> {
    let mut all = Vec::new();
    let mut filter = filter.clone();
    loop {
        let asked = filter.clone();
        let part = street.db.read(move |db| observations(db, &asked, limit)).await.unwrap();
        let Some(last) = part.last() else { return all };
        filter.after = Some(Place::of(last));
        all.extend(part);
    }
}

fn points(body: &Value) -> &Vec<Value> {
    body["points"].as_array().unwrap_or_else(|| panic!("{body:#}"))
}

async fn series(test: TestDb) {
    let desk = Desk::open(&test).await;
    let admin = desk.token("admin").await;
    let street = &desk.street;
    let (cord, facility) = (street.here.cord, street.here.facility);
    // The day before yesterday has 25 hours there.
    move_to(street, facility, NEW_YORK).await;
    let start: Moment = "2026-11-01T04:00:00Z".parse().unwrap();
    let told = |minutes: i64, beats: i64, quality| Told {
        device: cord,
        facility,
        kind: "heart_rate",
        micro: Some(beats * 1_000_000),
        active: None,
        quality,
        at: start.plus(TimeDelta::minutes(minutes)),
    };
    tell(street, vec![told(0, 60, "good"), told(30, 70, "good"), told(31, 999, "implausible")]).await;
    tell(street, (0..24 * 60).map(|n| told(25 * 60 + n, 80, "good")).collect()).await;
    catch_up(&street.db).await.unwrap();
    let ask =
        |from: &str, until: &str| format!("/api/v1/devices/{cord}/series?kind=heart_rate&from={from}&until={until}");
    let (status, raw) = desk.get(&admin, &ask("2026-11-01T04:00:00Z", "2026-11-01T05:00:00Z")).await;
    assert_eq!((status, &raw["resolution"], &raw["unit"]), (200, &json!("raw"), &json!("/min")));
    assert_eq!(points(&raw).len(), 3);
    assert_eq!(
        points(&raw)[2],
        json!({
            "at": "2026-11-01T04:31:00Z", "until": "2026-11-01T04:31:00Z", "count": 0, "other": 1, "events": 0,
            "avg": null, "min": null, "max": null, "last": null
        })
    );
    let (_, minutes) = desk.get(&admin, &ask("2026-11-02T05:00:00Z", "2026-11-03T05:00:00Z")).await;
    assert_eq!((&minutes["resolution"], points(&minutes).len()), (&json!("minutes"), 288));
    assert_eq!((&points(&minutes)[0]["count"], &points(&minutes)[0]["avg"]), (&json!(5), &json!("80")));
    let (_, hours) = desk.get(&admin, &ask("2026-11-01T04:00:00Z", "2026-11-08T05:00:00Z")).await;
    assert_eq!((&hours["resolution"], points(&hours).len()), (&json!("hour"), 25));
    assert_eq!(
        points(&hours)[0],
        json!({
            "at": "2026-11-01T04:00:00Z", "until": "2026-11-01T05:00:00Z", "count": 2, "other": 1, "events": 0,
            "avg": "65", "min": "60", "max": "70", "last": "70"
        })
    );
    let (_, days) = desk.get(&admin, &ask("2026-01-01T05:00:00Z", "2026-12-31T05:00:00Z")).await;
    assert_eq!((&days["resolution"], points(&days).len()), (&json!("day"), 2));
    let day = &points(&days)[0];
    assert_eq!(
        (&day["at"], &day["until"]),
        (&json!("2026-11-01T04:00:00Z"), &json!("2026-11-02T05:00:00Z")),
        "25 hours"
    );
    assert_eq!((&day["avg"], &points(&days)[1]["count"]), (&json!("65"), &json!(1_440)));
    // What cannot be answered, and who may not ask.
    for (query, status) in [
        ("kind=mood&from=2026-11-01T04:00:00Z&until=2026-11-02T04:00:00Z", 422),
        ("kind=sos&from=2026-11-02T04:00:00Z&until=2026-11-02T04:00:00Z", 422),
        ("kind=sos&from=1800-01-01T00:00:00Z&until=2026-11-02T04:00:00Z", 422),
        ("kind=sos&from=2026-11-02T04:00:00Z", 400),
        ("kind=sos&from=monday&until=2026-11-02T04:00:00Z", 400),
    ] {
        assert_eq!(desk.get(&admin, &format!("/api/v1/devices/{cord}/series?{query}")).await.0, status, "{query}");
    }
    let there = ask("2026-11-01T04:00:00Z", "2026-11-02T04:00:00Z");
    let supervisor = desk.token("supervisor").await;
    assert_eq!(desk.get(&supervisor, &there).await.0, 403);
    let elsewhere = there.replace(&cord.to_string(), &street.elsewhere.cord.to_string());
    assert_eq!(desk.get(&admin, &elsewhere).await.0, 404);
}

async fn charts(test: TestDb) {
    let desk = Desk::open(&test).await;
    let admin = desk.token("admin").await;
    let cord = desk.street.here.cord;
    // 16:00 in Shanghai: an hour ago, and three days ago.
    for (id, value, ago_s) in [("1", "36.5", 3_600), ("2", "38.1", 3 * 86_400)] {
        desk.street.accept(desk.street.read_before("SH-1", id, Measure::BodyTemperature, value, ago_s, false)).await;
    }
    for n in 0..3 {
        desk.street.accept(desk.street.told("SH-1", &format!("d{n}"), EventKind::DoorOpen, true, n * 600)).await;
    }
    catch_up(&desk.street.db).await.unwrap();
    let day = desk.page(&admin, &format!("/devices/{cord}?range=day")).await;
    assert_eq!(day.status, 200);
    for text in
        ["平均 36.5，最低 36.5，最高 36.5 ℃", "共 3 次", r##"class="dots" d="M"##, "2026-11-22 15:00", "逐条数据"]
    {
        assert!(day.body.contains(text), "{text}: {}", day.body);
    }
    assert!(!day.body.contains("最高 38.1"));
    let week = desk.page(&admin, &format!("/devices/{cord}")).await;
    for text in ["平均 37.3，最低 36.5，最高 38.1 ℃", "按小时汇总", "2026-11-19 16:00"] {
        assert!(week.body.contains(text), "{text}");
    }
    let year = desk.page(&admin, &format!("/devices/{cord}?range=year")).await;
    assert!(year.body.contains("按天汇总") && year.body.contains("最高 38.1"));
    let chosen = desk.page(&admin, &format!("/devices/{cord}?from=2026-11-19&until=2026-11-19")).await;
    assert!(chosen.body.contains("最高 38.1") && !chosen.body.contains("共 3 次"));
    let empty = desk.page(&admin, &format!("/devices/{cord}?from=2020-01-01&until=2020-01-31")).await;
    assert!(empty.body.contains("这段时间没有数据"));
    let wrong = desk.page(&admin, &format!("/devices/{cord}?from=2026-11-20&until=2026-11-19")).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.body.contains("结束日期不能早于开始日期"));
    // Supervision sees that it works, not what it measures.
    let supervisor = desk.token("supervisor").await;
    let seen = desk.page(&supervisor, &format!("/devices/{cord}")).await;
    assert!(seen.status == 200 && !seen.body.contains("36.5"));
}
