//! Tests of emergency devices: one press is taken for each test that was started, and everything else is a call.

use std::time::Duration;

use songhe_adapter_core::EventKind::{self, Fall, Smoke, Sos};
use songhe_adapter_core::Measure;
use songhe_devices::device_tests::{self, Expects, Order, Test, TestId, TestKind};
use songhe_devices::{Accepted, DeviceId};
use songhe_kernel::identity::Scope;
use songhe_kernel::schema::{effect, timer};
use songhe_kernel::{Error, UserId};
use songhe_testkit::{MIGRATED, TestDb, both_databases, eventually_true};

use crate::common::{Street, message, street};
use diesel::prelude::*;

const SOON: Duration = Duration::from_secs(20);

impl Street {
    pub(crate) async fn start_test(&self, device: DeviceId, expects: Option<EventKind>) -> Result<TestId, Error> {
        self.order(device, TestKind::Weekly, expects.map(Expects::Event)).await
    }

    async fn order(&self, device: DeviceId, kind: TestKind, expects: Option<Expects>) -> Result<TestId, Error> {
        let device = self.device(device).await;
        let order = Order { kind, expects, window_seconds: None, by: UserId(1) };
        let start =
            move |tx: &mut songhe_kernel::Tx<'_>| device_tests::start(tx, std::slice::from_ref(&device), &order);
        self.db.write(start).await.map(|started| started[0])
    }

    pub(crate) async fn test(&self, id: TestId) -> Test {
        self.db.read(move |db| device_tests::find(db, &Scope::All, id)).await.unwrap()
    }

    async fn tests_of(&self, device: DeviceId) -> Vec<Test> {
        self.db.read(move |db| device_tests::latest(db, &Scope::All, Some(device), None, 50)).await.unwrap()
    }

    /// How many incidents there are, of which kinds.
    async fn kinds(&self) -> Vec<String> {
        self.incidents().await.into_iter().map(|incident| incident.kind).collect()
    }
}

both_databases! {
    from MIGRATED;

    async fn the_press_of_a_test_is_measured_and_pages_nobody(test: TestDb) {
        let street = street(&test).await;
        let id = street.start_test(street.here.cord, None).await.unwrap();
        assert_eq!(street.start_test(street.here.cord, None).await.unwrap(), id, "pressed twice it is one test");
        street.clock.advance(Duration::from_secs(30));
        // The device's clock tells that it was pressed two seconds ago.
        street.accept(street.told("SH-1", "1", Sos, true, 2)).await;
        let passed = street.test(id).await;
        assert_eq!((passed.state.as_str(), passed.told.as_deref()), ("passed", Some("sos")));
        assert_eq!((passed.stored_ms(), passed.shown_ms()), (Some(2_000), None));
        assert_eq!(street.kinds().await, [""; 0]);
        let left: (i64, i64) = street
            .db
            .read(|db| Ok((effect::table.count().get_result(db)?, timer::table.count().get_result(db)?)))
            .await
            .unwrap();
        assert_eq!(left, (0, 0), "nobody is told, no ladder climbs");
        assert_eq!(street.observations().await.len(), 1, "what was pressed is stored");

        street.clock.advance(Duration::from_millis(700));
        for _ in 0..2 {
            street.db.write(move |tx| device_tests::shown(tx, &Scope::All, id)).await.unwrap();
            assert_eq!(street.test(id).await.shown_ms(), Some(2_700), "the first screen counts");
            street.clock.advance(Duration::from_secs(5));
        }
        // The same message once more changes nothing.
        assert_eq!(street.accept(street.told("SH-1", "1", Sos, true, 7)).await, Accepted::Duplicate);
        // A second press within the window is a call: the test had its one.
        street.accept(street.sos("SH-1", "2")).await;
        assert_eq!(street.kinds().await, ["sos"]);
    }

    async fn whatever_else_is_pressed_is_a_call(test: TestDb) {
        let street = street(&test).await;
        let (cord, sensor) = (street.here.cord, street.here.sensor);
        street.accept(street.told("SH-2", "0", Smoke, true, 0)).await;
        street.accept(street.told("SH-2", "0b", Smoke, false, 0)).await;
        assert_eq!(street.kinds().await, ["smoke"]);
        street.clock.advance(Duration::from_secs(60));
        let id = street.start_test(cord, None).await.unwrap();
        street.clock.advance(Duration::from_secs(10));
        street.accept(street.sos("LA-1", "1")).await;
        assert_eq!(street.kinds().await, ["smoke", "sos"], "another device");
        street.accept(street.told("SH-1", "2", Fall, true, 0)).await;
        assert_eq!(street.kinds().await, ["smoke", "sos", "fall"], "another kind");
        street.accept(street.told("SH-1", "3", Sos, true, 11)).await;
        assert_eq!(street.kinds().await.len(), 4, "pressed before the test was started");
        assert_eq!(street.test(id).await.state, "waiting");
        // What is open must not be tested away.
        let Err(Error::Invalid(wrong)) = street.start_test(cord, None).await else { panic!("started") };
        assert_eq!(wrong[0].field, "devices");
        let Err(Error::Invalid(_)) = street.start_test(sensor, None).await else { panic!("started") };
    }

    async fn what_a_broker_kept_or_a_device_remembers_is_a_call(test: TestDb) {
        let street = street(&test).await;
        let id = street.start_test(street.here.cord, None).await.unwrap();
        street.clock.advance(Duration::from_secs(10));
        let mut kept = message(street.told("SH-1", "1", Sos, true, 0));
        kept.retained = true;
        street.ingest.accept(kept).await.unwrap();
        assert_eq!(street.kinds().await, ["sos"]);
        let time = street.now().utc();
        let stamp = songhe_adapter_mqtt::device::Stamp { id: "2", time, historical: true };
        let remembered = songhe_adapter_mqtt::device::event(&crate::common::key("SH-1"), &stamp, Sos, true, None);
        street.accept(remembered).await;
        assert_eq!(street.incidents().await[0].presses, 2);
        assert_eq!(street.test(id).await.state, "waiting");
    }

    async fn after_the_window_a_press_is_a_call_again(test: TestDb) {
        let street = street(&test).await;
        let running = street.run().await;
        let id = street.start_test(street.here.cord, None).await.unwrap();
        street.clock.advance(Duration::from_secs(301));
        eventually_true("the end of the window", SOON, || async { street.test(id).await.state == "missed" }).await;
        street.accept(street.sos("SH-1", "1")).await;
        assert_eq!(street.kinds().await, ["sos"]);
        running.stop().await;
    }

    async fn after_the_window_a_press_is_a_call_even_when_the_timer_is_late(test: TestDb) {
        let street = street(&test).await;
        street.start_test(street.here.cord, None).await.unwrap();
        street.clock.advance(Duration::from_secs(301));
        street.accept(street.sos("SH-1", "1")).await;
        assert_eq!(street.kinds().await, ["sos"]);
    }

    async fn who_ends_a_test_makes_the_next_press_a_call(test: TestDb) {
        let street = street(&test).await;
        let id = street.start_test(street.here.cord, None).await.unwrap();
        street.db.write(move |tx| device_tests::cancel(tx, &Scope::All, id)).await.unwrap();
        street.accept(street.sos("SH-1", "1")).await;
        assert_eq!((street.kinds().await.len(), street.test(id).await.state.as_str()), (1, "cancelled"));
    }

    async fn a_press_that_was_a_call_after_all_is_raised(test: TestDb) {
        let street = street(&test).await;
        let id = street.start_test(street.here.cord, None).await.unwrap();
        let real = || street.db.write(move |tx| device_tests::was_real(tx, &Scope::All, id));
        assert!(matches!(real().await, Err(Error::Conflict(_))), "nobody pressed yet");
        street.accept(street.sos("SH-1", "1")).await;
        street.clock.advance(Duration::from_secs(90));
        for _ in 0..2 {
            real().await.unwrap();
        }
        let raised = street.incidents().await;
        assert_eq!((raised.len(), raised[0].kind.as_str(), raised[0].presses), (1, "sos", 1));
        assert_eq!(raised[0].delayed_s, Some(90), "whoever goes there must know");
        assert_eq!(street.test(id).await.state, "real");
    }

    async fn smoke_that_stays_is_a_fire_when_its_test_is_over(test: TestDb) {
        let street = street(&test).await;
        let running = street.run().await;
        for (round, clears, expected) in [("a", true, 0), ("b", false, 1)] {
            let id = street.start_test(street.here.sensor, Some(Smoke)).await.unwrap();
            street.accept(street.told("SH-2", &format!("{round}1"), Smoke, true, 0)).await;
            assert_eq!(street.test(id).await.state, "passed");
            assert_eq!(street.kinds().await.len(), 0);
            street.clock.advance(Duration::from_secs(20));
            if clears {
                street.accept(street.told("SH-2", &format!("{round}2"), Smoke, false, 0)).await;
            }
            street.clock.advance(Duration::from_secs(300));
            let fired = || async {
                let left: i64 = street.db.read(|db| Ok(timer::table.filter(timer::module.eq("devices").and(timer::kind.eq("device-test"))).count().get_result(db)?)).await.unwrap();
                left == 0
            };
            eventually_true("the end of the window", SOON, fired).await;
            assert_eq!(street.kinds().await.len(), expected, "{round}");
        }
        running.stop().await;
    }

    async fn a_device_that_calls_nobody_is_commissioned_by_any_word(test: TestDb) {
        let street = street(&test).await;
        street.rule(Measure::RoomTemperature, (Some(30), None), 0).await;
        let sensor = street.here.sensor;
        let id = street.order(sensor, TestKind::Commissioning, Some(Expects::Any)).await.unwrap();
        street.accept(street.read_before("SH-2", "0", Measure::RoomTemperature, "20", 0, true)).await;
        street.accept(street.reading("SH-1", "0", Measure::RoomTemperature, "20")).await;
        assert_eq!(street.test(id).await.state, "waiting", "what had waited, and what another device says, is not its word");
        street.accept(street.reading("SH-2", "1", Measure::RoomTemperature, "35")).await;
        let passed = street.test(id).await;
        assert_eq!((passed.state.as_str(), passed.told.as_deref()), ("passed", Some("room_temperature")));
        assert_eq!(street.device(sensor).await.commissioned_at, passed.done_at);
        assert_eq!(street.kinds().await, ["threshold"], "a measurement means what it always means");
        let real = street.db.write(move |tx| device_tests::was_real(tx, &Scope::All, id)).await;
        assert!(matches!(real, Err(Error::Conflict(_))), "a reading is no call");
        street.accept(street.sos("SH-2", "2")).await;
        assert_eq!(street.kinds().await, ["threshold", "sos"], "the test had its word");
    }

    async fn what_waits_for_something_else_ends(test: TestDb) {
        let street = street(&test).await;
        let cord = street.here.cord;
        let any = street.order(cord, TestKind::Commissioning, Some(Expects::Any)).await.unwrap();
        assert_eq!(street.order(cord, TestKind::Commissioning, Some(Expects::Any)).await.unwrap(), any);
        let weekly = street.start_test(cord, None).await.unwrap();
        assert_eq!((street.test(any).await.state.as_str(), street.test(weekly).await.state.as_str()), ("cancelled", "waiting"));
        street.accept(street.reading("SH-1", "1", Measure::RoomTemperature, "21")).await;
        assert_eq!(street.test(weekly).await.state, "waiting");
        street.accept(street.sos("SH-1", "2")).await;
        assert_eq!((street.kinds().await.len(), street.test(weekly).await.state.as_str()), (0, "passed"));
        assert_eq!(street.device(cord).await.commissioned_at, None, "a weekly test commissions nothing");
        let late = street.start_test(cord, None).await.unwrap();
        street.clock.advance(Duration::from_secs(301));
        let again = street.start_test(cord, None).await.unwrap();
        assert_eq!((late == again, street.test(late).await.state.as_str()), (false, "missed"), "over before its timer says so");
        for wrong in [Expects::Any, Expects::Alarm] {
            assert!(matches!(street.order(cord, TestKind::Weekly, Some(wrong)).await, Err(Error::Invalid(_))), "{wrong:?}");
        }
    }

    async fn a_device_that_tests_itself_has_been_tested(test: TestDb) {
        let street = street(&test).await;
        let own = |id: &str| street.told("SH-1", id, EventKind::Test, true, 0);
        for id in ["1", "2"] {
            street.accept(own(id)).await;
        }
        let tests = street.tests_of(street.here.cord).await;
        assert_eq!(tests.len(), 1, "a chatty device does not fill the book");
        assert_eq!((tests[0].state.as_str(), tests[0].started_by), ("passed", None));
        let id = street.start_test(street.here.cord, None).await.unwrap();
        street.accept(own("3")).await;
        assert_eq!(street.test(id).await.told.as_deref(), Some("test"));
        street.accept(street.sos("SH-1", "4")).await;
        assert_eq!(street.kinds().await, ["sos"], "the test had its message");
    }
}

mod over_http {
    //! The same as people meet it: the page with the tablet, the API, and who may do what.

    use serde_json::{Value, json};
    use songhe_adapter_core::EventKind::Smoke;

    use super::*;
    use crate::screens::Desk;

    fn items(list: &Value) -> &Vec<Value> {
        list["items"].as_array().unwrap()
    }

    /// Serial, standing, and what the device is asked for.
    async fn standings(desk: &Desk, token: &str) -> Vec<(String, String, Value)> {
        let path = format!("/api/v1/device-tests?facility={}", desk.street.here.facility);
        let (status, list) = desk.get(token, &path).await;
        assert_eq!(status, 200, "{list}");
        let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
        items(&list).iter().map(|one| (text(one, "serial"), text(one, "standing"), one["asks"].clone())).collect()
    }

    both_databases! {
        from MIGRATED;

        async fn a_round_with_the_tablet(test: TestDb) {
            let desk = Desk::open(&test).await;
            let (here, carer, admin) = (desk.street.here, desk.token("carer").await, desk.token("admin").await);
            let facility = here.facility.to_string();
            assert_eq!(
                standings(&desk, &carer).await,
                [("SH-2".into(), "due".into(), json!(null)), ("SH-1".into(), "due".into(), json!(null))],
                "by place; what was never tested is due"
            );
            let room = here.room.to_string();
            // One press of a button starts all that is due in the room.
            let sent = desk.form(&carer, "/device-tests", &[("facility", &*facility), ("place", &room)]).await;
            assert_eq!((sent.status, sent.location.contains("place=plc_")), (303, true), "{}", sent.body);
            desk.street.clock.advance(Duration::from_secs(20));
            desk.street.accept(desk.street.sos("SH-1", "1")).await;
            let page = desk.page(&carer, "/device-tests").await;
            let id = page.body.split("data-unshown=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
            for words in ["等待按键", "通过", "取消测试", "这是真的呼叫"] {
                assert!(page.body.contains(words), "{words}: {}", page.body);
            }
            // The page's script tells that the result is on a screen.
            assert_eq!(desk.form(&carer, &format!("/device-tests/{id}/shown"), &[]).await.status, 204);
            let (_, past) = desk.get(&carer, &format!("/api/v1/device-tests/history?facility={facility}")).await;
            let passed = items(&past).iter().find(|test| test["state"] == "passed").unwrap();
            assert_eq!((&passed["stored_ms"], &passed["shown_ms"]), (&json!(0), &json!(0)));
            assert!(passed["started_by"].is_string());
            let waiting = items(&past).iter().find(|test| test["state"] == "waiting").unwrap()["id"].as_str().unwrap();
            let path = format!("/device-tests/{waiting}/cancel");
            assert_eq!(desk.form(&carer, &path, &[("facility", &*facility)]).await.status, 303);
            assert_eq!(
                standings(&desk, &carer).await,
                [("SH-2".into(), "due".into(), json!(null)), ("SH-1".into(), "passed".into(), json!("sos"))]
            );
            assert_eq!(desk.street.incidents().await, []);
            // A day goes by, and a week.
            desk.street.clock.advance(Duration::from_secs(8 * 86_400));
            let (carer, admin) = (desk.token("carer").await, if desk.page(&admin, "/device-tests").await.status == 200 { admin } else { desk.token("admin").await });
            assert!(standings(&desk, &carer).await.iter().all(|(_, standing, _)| standing == "overdue"));
            // What needs no test is not asked for.
            let body = json!({ "device_id": here.sensor, "exempt": true });
            assert_eq!(desk.post(&carer, "/api/v1/device-tests/exempt", body.clone()).await.0, 403);
            let answer = desk.send(&admin, actix_web::test::TestRequest::post().uri("/api/v1/device-tests/exempt").set_json(&body)).await;
            assert_eq!(answer.status, 204);
            assert_eq!(standings(&desk, &admin).await.len(), 1);
            let page = desk.page(&admin, "/device-tests").await;
            assert!(page.body.contains("恢复测试"), "{}", page.body);
            let csv = desk.page(&admin, "/device-tests?format=csv").await;
            assert!(csv.kind.starts_with("text/csv") && csv.body.contains("\"SH-1\",\"已逾期\",\"2026-11-29\""), "{}", csv.body);
        }

        async fn a_sensor_of_a_room_is_not_among_those_that_call(test: TestDb) {
            let desk = Desk::open(&test).await;
            let (street, carer) = (&desk.street, desk.token("carer").await);
            let serials = || async { standings(&desk, &carer).await.into_iter().map(|(serial, ..)| serial).collect::<Vec<_>>() };
            street.accept(street.reading("SH-2", "1", Measure::BatteryPercent, "90")).await;
            assert_eq!(serials().await, ["SH-2", "SH-1"], "one that says nothing but its battery may be a button");
            street.accept(street.reading("SH-2", "2", Measure::RoomTemperature, "21")).await;
            assert_eq!(serials().await, ["SH-1"]);
            let page = desk.page(&carer, "/device-tests").await.body;
            assert!(page.contains("另有 1 台安全监护设备未列入") && page.contains("SH-2"), "{page}");
            let (_, list) = desk.get(&carer, &format!("/api/v1/device-tests?facility={}", street.here.facility)).await;
            assert_eq!((&list["unlisted"], &list["totals"]["devices"]), (&json!([street.here.sensor]), &json!(1)));
            // A radar knows the climate as well, and tells what no thermometer can.
            street.accept(street.told("SH-2", "3", EventKind::Presence, true, 0)).await;
            assert_eq!(serials().await, ["SH-2", "SH-1"]);
        }

        async fn what_was_commissioned_by_an_alarm_is_among_those_that_call(test: TestDb) {
            let desk = Desk::open(&test).await;
            let (street, admin) = (&desk.street, desk.token("admin").await);
            street.accept(street.reading("SH-2", "1", Measure::RoomTemperature, "21")).await;
            assert_eq!(standings(&desk, &admin).await.len(), 1);
            street.order(street.here.sensor, TestKind::Commissioning, Some(Expects::Any)).await.unwrap();
            street.accept(street.reading("SH-2", "2", Measure::RoomTemperature, "21")).await;
            assert_eq!(standings(&desk, &admin).await.len(), 1, "any word makes no alarm of it");
            street.order(street.here.sensor, TestKind::Commissioning, Some(Expects::Alarm)).await.unwrap();
            street.accept(street.told("SH-2", "3", Smoke, true, 0)).await;
            street.accept(street.told("SH-2", "4", Smoke, false, 0)).await;
            let all = standings(&desk, &admin).await;
            assert_eq!(all[0], ("SH-2".into(), "passed".into(), json!("smoke")), "and its test counts");
            assert_eq!(street.kinds().await, [""; 0]);
        }

        async fn a_press_that_was_a_call_is_raised_from_the_page(test: TestDb) {
            let desk = Desk::open(&test).await;
            let carer = desk.token("carer").await;
            let (status, started) = desk.post(&carer, "/api/v1/device-tests", json!({ "devices": [desk.street.here.cord] })).await;
            assert_eq!(status, 201, "{started}");
            let id = items(&started)[0]["id"].as_str().unwrap().to_owned();
            desk.street.accept(desk.street.sos("SH-1", "1")).await;
            assert_eq!(desk.street.incidents().await, []);
            assert_eq!(desk.form(&carer, &format!("/device-tests/{id}/real"), &[]).await.status, 303);
            let raised = desk.street.incidents().await;
            assert_eq!((raised.len(), raised[0].kind.as_str()), (1, "sos"));
            // With the call open nobody can test it away: the page says why.
            let form = [("facility", desk.street.here.facility.to_string()), ("device", desk.street.here.cord.to_string())];
            let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let refused = desk.form(&carer, "/device-tests", &form).await;
            assert!(refused.status == 422 && refused.body.contains("还没有处理完"), "{}", refused.body);
        }

        async fn who_may_test_what(test: TestDb) {
            let desk = Desk::open(&test).await;
            let (here, there) = (desk.street.here, desk.street.elsewhere);
            let (carer, supervisor, admin) = (desk.token("carer").await, desk.token("supervisor").await, desk.token("admin").await);
            assert_eq!(desk.post(&supervisor, "/api/v1/device-tests", json!({ "devices": [here.cord] })).await.0, 403);
            assert_eq!(desk.page(&supervisor, "/device-tests").await.status, 200, "supervision looks");
            assert_eq!(desk.post(&carer, "/api/v1/device-tests", json!({ "devices": [there.cord] })).await.0, 404);
            assert_eq!(desk.post(&carer, "/api/v1/device-tests", json!({ "facility_id": there.facility })).await.0, 404);
            assert_eq!(desk.get(&carer, &format!("/api/v1/device-tests?facility={}", there.facility)).await.0, 404);
            assert_eq!(desk.page(&carer, &format!("/device-tests?facility={}", there.facility)).await.status, 404);
            assert!(desk.street.tests_of(there.cord).await.is_empty(), "what was refused began all the same");
            let theirs = desk.street.start_test(there.cord, None).await.unwrap();
            for act in ["cancel", "shown", "real"] {
                assert_eq!(desk.post(&carer, &format!("/api/v1/device-tests/{theirs}/{act}"), json!({})).await.0, 404, "{act}");
            }
            let plan = |interval: i32, window: i32| json!({ "facility_id": here.facility, "interval_days": interval, "window_seconds": window });
            let put = |token: String, body: Value| {
                let request = actix_web::test::TestRequest::put().uri("/api/v1/device-tests/plan").set_json(body);
                let desk = &desk;
                async move { desk.send(&token, request).await }
            };
            assert_eq!(put(carer.clone(), plan(14, 120)).await.status, 403);
            let refused = put(admin.clone(), plan(0, 7_200)).await;
            assert!(refused.status == 422 && refused.body.contains("interval_days") && refused.body.contains("window_seconds"));
            assert_eq!(put(admin.clone(), plan(14, 120)).await.status, 204);
            let (_, list) = desk.get(&admin, &format!("/api/v1/device-tests?facility={}", here.facility)).await;
            assert_eq!(list["plan"], json!({ "interval_days": 14, "window_seconds": 120 }));
            let id = desk.street.start_test(here.sensor, Some(Smoke)).await.unwrap();
            let test = desk.street.test(id).await;
            assert_eq!((test.ends_at.seconds_since(test.started_at), test.expects.as_str()), (120, "smoke"));
        }
    }
}
