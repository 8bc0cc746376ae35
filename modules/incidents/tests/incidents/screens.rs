//! Pages, API and stream over HTTP: every screen in both languages, and what a foreign scope hides.

use std::time::Duration;

use crate::common::Home;
use crate::desk::Desk;
use diesel::prelude::*;
use serde_json::{Value, json};
use songhe_incidents::{Boards, act};
use songhe_kernel::db::Kind;
use songhe_testkit::{MIGRATED, TestDb, both_databases};

pub const SOON: Duration = Duration::from_secs(10);

fn is_change(event: &songhe_testkit::SseEvent, change: &str) -> bool {
    event.event == "incident" && event.json()["change"] == change
}

both_databases! {
    from MIGRATED;

    async fn every_screen_renders_in_both_languages(db: TestDb) {
        let desk = Desk::open(&db).await;
        let home = &desk.home;
        home.endpoint(None).await;
        home.board(home.people.carer).await;
        let open = home.press().await;
        home.pass(130).await;
        let mut leak = home.sos();
        leak.kind = songhe_incidents::Kind::Leak;
        let closed = home.report(leak).await;
        let carer = home.people.carer;
        let resolution = act::Closing {
            outcome: Some(songhe_incidents::Outcome::FalseAlarm),
            note: "擦干".into(),
            follow_up_kind: Some(act::FollowUp::Needed),
            follow_up: "修水管".into(),
            follow_up_due: "2026-11-25".parse().ok(),
            duplicate_of: None,
        };
        let resolution = resolution.check().unwrap();
        home.act(move |tx| act::resolve(tx, closed, carer, &resolution)).await.unwrap();
        let (carer, admin, tag) = (desk.token("carer").await, desk.token("admin").await, desk.tag().await);
        let resident = home.people.resident;
        for locale in ["zh-CN", "en"] {
            for path in [
                "/".to_owned(),
                "/incidents/board".into(),
                "/incidents/board/fragment".into(),
                "/incidents".into(),
                "/incidents?status=open&kind=sos&priority=high&from=2026-11-22&to=2026-11-22".into(),
                "/incidents?kind=fall".into(),
                "/incidents?format=csv".into(),
                format!("/incidents/{open}"),
                format!("/incidents/{closed}"),
                format!("/t/{tag}"),
                format!("/residents/{resident}"),
            ] {
                let (status, page) = desk.page(&carer, locale, &path).await;
                assert_eq!(status, 200, "{path}: {page}");
                assert!(!page.contains("incidents-"), "{path} lacks words: {}", around(&page, "incidents-"));
            }
            for path in ["/ladders", "/ladders/new", "/endpoints", &format!("/ladders/built-in.high.{}", home.people.here)] {
                let (status, page) = desk.page(&admin, locale, path).await;
                assert_eq!(status, 200, "{path}: {page}");
            }
        }
        let (_, page) = desk.page(&carer, "zh-CN", &format!("/incidents/{open}")).await;
        for words in ["张秀英", "张小红", "13800000000", "305 室"] {
            assert!(page.contains(words), "{words} is not on the page");
        }
    }

    async fn an_unchanged_board_keeps_its_etag(db: TestDb) {
        let desk = Desk::open(&db).await;
        desk.home.board(desk.home.people.carer).await;
        let id = desk.home.press().await;
        let token = desk.token("carer").await;
        let ask = |tag: Option<String>| {
            let request = desk.request("GET", "/incidents/board/fragment", &token);
            let request = tag.map_or_else(|| request.try_clone().unwrap(), |tag| request.try_clone().unwrap().header("If-None-Match", tag));
            async move { request.send().await.unwrap() }
        };
        let first = ask(None).await;
        let tag = first.headers()["etag"].to_str().unwrap().to_owned();
        assert!(first.text().await.unwrap().contains(&id.to_string()));
        desk.home.pass(40).await;
        assert_eq!(ask(Some(tag.clone())).await.status(), 304);
        let carer = desk.home.people.carer;
        desk.home.act(move |tx| act::acknowledge(tx, id, carer)).await.unwrap();
        assert_eq!(ask(Some(tag)).await.status(), 200);
    }

    async fn a_call_is_handled_by_pages(db: TestDb) {
        let desk = Desk::open(&db).await;
        let id = desk.home.press().await;
        let token = desk.token("carer").await;
        let (status, ..) = desk.form(&token, "/incidents/board/presence", &[("stream", "%25"), ("tab", "t1"), ("sound", "true")]).await;
        assert_eq!(status, 400);
        let path = format!("/incidents/{id}");
        let (status, location, _) = desk.form(&token, &format!("{path}/acknowledge"), &[]).await;
        assert_eq!((status, location.as_str()), (303, path.as_str()));
        let tag = desk.tag().await;
        let (status, location, _) = desk.form(&token, &format!("/t/{tag}/arrive"), &[]).await;
        assert_eq!((status, location.as_str()), (303, format!("/t/{tag}?arrived=1").as_str()));
        assert_eq!(desk.page(&token, "en", &location).await.0, 200);
        assert_eq!(desk.home.row(id).await.status().unwrap(), songhe_incidents::Status::OnSite);
        let (status, _, page) = desk.form(&token, &format!("{path}/resolve"), &[("action", "kept"), ("follow_up", "needed"), ("follow_up_due", "soon")]).await;
        assert_eq!(status, 422);
        assert!(page.contains("kept") && page.contains("follow_up_due-error"), "{page}");
        let (status, _, page) = desk.form(&token, &format!("{path}/resolve"), &[("action", "kept"), ("follow_up", "needed")]).await;
        assert_eq!(status, 422);
        for field in ["outcome-error", "follow_up_text-error"] {
            assert!(page.contains(field), "{field} is not marked");
        }
        let (status, _, page) = desk.form(&token, &format!("{path}/note"), &[("note", "on the way"), ("form_key", "k1")]).await;
        assert_eq!(status, 303, "{page}");
        desk.form(&token, &format!("{path}/note"), &[("note", "on the way"), ("form_key", "k1")]).await;
        assert_eq!(desk.home.story(id).await.iter().filter(|kind| *kind == "note").count(), 1);
        let closing = [("outcome", "real"), ("action", "done"), ("follow_up", "none")];
        let (status, ..) = desk.form(&token, &format!("{path}/resolve"), &closing).await;
        assert_eq!(status, 303);
        let (status, ..) = desk.form(&token, &format!("{path}/review"), &[("note", "ok")]).await;
        assert_eq!(status, 403);
        let admin = desk.token("admin").await;
        let (status, ..) = desk.form(&admin, &format!("{path}/review"), &[("note", "ok")]).await;
        assert_eq!(status, 303);
        assert_eq!(desk.page(&admin, "en", &path).await.0, 200);
    }

    async fn a_call_is_handled_by_the_api(db: TestDb) {
        let desk = Desk::open(&db).await;
        let id = desk.home.press().await;
        let token = desk.token("carer").await;
        let (status, list) = desk.api(&token, "GET", "/incidents?status=open", None).await;
        assert_eq!((status, list["items"][0]["id"].as_str().unwrap()), (200, id.to_string().as_str()));
        assert_eq!(list["items"][0]["cause"]["kind"], "sos");
        let (status, answer) = desk.api(&token, "POST", &format!("/incidents/{id}/acknowledge"), None).await;
        assert_eq!((status, answer["acknowledged_by"]["name"].as_str().unwrap()), (200, "李护理"));
        let (status, answer) = desk.api(&token, "POST", &format!("/incidents/{id}/arrive"), None).await;
        assert_eq!((status, answer["status"].as_str().unwrap()), (200, "on_site"));
        let (status, problem) = desk.api(&token, "POST", &format!("/incidents/{id}/resolve"), Some(json!({}))).await;
        assert_eq!((status, problem["errors"].as_array().unwrap().len()), (422, 3), "{problem}");
        let body = json!({ "outcome": "real", "note": "扶起", "follow_up_kind": "none" });
        for _ in 0..2 {
            let (status, answer) = desk.api(&token, "POST", &format!("/incidents/{id}/resolve"), Some(body.clone())).await;
            assert_eq!((status, answer["outcome"].as_str().unwrap()), (200, "real"));
        }
        let other = json!({ "outcome": "test", "note": "x", "follow_up_kind": "none" });
        assert_eq!(desk.api(&token, "POST", &format!("/incidents/{id}/resolve"), Some(other)).await.0, 409);
        let (_, detail) = desk.api(&token, "GET", &format!("/incidents/{id}"), None).await;
        assert!(detail["story"].as_array().unwrap().iter().any(|line| line["kind"] == "acknowledged"));
        assert_eq!(detail["rungs"].as_array().unwrap().len(), 7);
        let (status, figures) = desk.api(&token, "GET", "/incidents/metrics?to=2026-11-22T09:00:00Z", None).await;
        assert_eq!((status, figures["total"]["resolved"].as_i64()), (200, Some(1)), "{figures}");
    }

    async fn a_board_counts_only_while_its_stream_is_open(db: TestDb) {
        let desk = Desk::open(&db).await;
        let (carer, second) = (desk.token("carer").await, desk.token("second").await);
        let by_page = async |token: &str, stream: &str| {
            let said = [("stream", stream), ("tab", "t1"), ("sound", "true")];
            desk.form(token, "/incidents/board/presence", &said).await.0
        };
        let by_api = async || desk.api(&carer, "POST", "/presence", Some(json!({ "sound": true }))).await.0;
        let first_rung = async || {
            let id = desk.home.press().await;
            let rung = desk.home.rungs(id).await[0].clone();
            let user = desk.home.people.carer;
            desk.home.act(move |tx| act::acknowledge(tx, id, user)).await.unwrap();
            desk.home.pass(61).await;
            rung
        };
        assert_eq!(by_page(&carer, "ab12").await, 409, "a stream that nobody opened");
        assert_eq!(by_api().await, 409);
        assert_eq!(first_rung().await, "on_call board passed no_live_board");
        let (stream, name) = desk.page_stream(&carer).await;
        assert_eq!(by_page(&second, &name).await, 409, "somebody else's");
        assert_eq!(by_page(&carer, &name).await, 204);
        assert_eq!(first_rung().await, "on_call board told");
        assert_eq!(by_page(&carer, &name).await, 204);
        drop(stream);
        songhe_testkit::eventually_true("the board is gone", SOON, || async { by_page(&carer, &name).await == 409 }).await;
        assert_eq!(first_rung().await, "on_call board passed no_live_board", "its word is a moment old");

        let mut stream = desk.stream(&carer, "", None).await;
        stream.expect("a greeting", SOON, |event| event.event == "hello").await;
        assert_eq!(by_api().await, 204);
        assert_eq!(first_rung().await, "on_call board told");
        assert_eq!(by_api().await, 204);
        drop(stream);
        songhe_testkit::eventually_true("the program is gone", SOON, || async { by_api().await == 409 }).await;
        assert_eq!(first_rung().await, "on_call board passed no_live_board");

        let here = format!("?facility={}", desk.home.people.here);
        let mut stream = desk.stream(&carer, &here, None).await;
        stream.expect("a greeting", SOON, |event| event.event == "hello").await;
        assert_eq!(by_api().await, 409, "it would not be told of another facility's calls");
    }

    async fn whoever_may_not_see_a_call_is_not_counted_on(db: TestDb) {
        let desk = Desk::open(&db).await;
        let carer = desk.home.people.carer;
        desk.home.board(carer).await;
        let id = desk.home.press().await;
        assert_eq!(desk.home.rungs(id).await[0], "on_call board told");
        let second = desk.home.people.second;
        let lose_roles = move |tx: &mut songhe_kernel::Tx<'_>| {
            use songhe_kernel::identity::schema::role_grant;
            diesel::delete(role_grant::table.filter(role_grant::user_id.eq(carer.0))).execute(tx.db())?;
            act::acknowledge(tx, id, second).map(drop)
        };
        desk.home.act(lose_roles).await.unwrap();
        desk.home.pass(61).await;
        desk.home.board(carer).await;
        assert_eq!(desk.home.press().await, id, "the same incident calls again");
        assert_eq!(desk.home.rungs(id).await[0], "on_call board passed no_live_board");
    }

    async fn a_program_arrives_by_the_tag(db: TestDb) {
        let desk = Desk::open(&db).await;
        let id = desk.home.press().await;
        let (carer, tag) = (desk.token("carer").await, desk.tag().await);
        let (status, seen) = desk.api(&carer, "GET", &format!("/tags/{tag}"), None).await;
        assert_eq!((status, seen["place"].as_str()), (200, Some("305 室")), "{seen}");
        assert_eq!(seen["incidents"][0]["id"], id.to_string());
        for _ in 0..2 {
            let (status, there) = desk.api(&carer, "POST", &format!("/tags/{tag}/arrive"), None).await;
            assert_eq!((status, there["incidents"][0]["status"].as_str()), (200, Some("on_site")), "{there}");
        }
        let story = desk.home.story(id).await;
        assert_eq!(story.iter().filter(|kind| *kind == "arrived").count(), 1, "{story:?}");
        for unknown in ["0".repeat(32), "%00".to_owned(), "%FF".to_owned()] {
            assert_eq!(desk.api(&carer, "POST", &format!("/tags/{unknown}/arrive"), None).await.0, 404, "{unknown}");
            assert_eq!(desk.form(&carer, &format!("/t/{unknown}/arrive"), &[]).await.0, 404, "{unknown}");
        }
        assert_eq!(desk.api(&carer, "GET", "/incidents?after=%00", None).await.0, 400);
    }

    async fn an_action_of_the_api_is_done_once_per_key(db: TestDb) {
        let desk = Desk::open(&db).await;
        let id = desk.home.press().await;
        let (carer, admin) = (desk.token("carer").await, desk.token("admin").await);
        let send = async |token: &str, action: &str, key: &str, body: Value| {
            let path = format!("/api/v1/{action}");
            let answer = desk.request("POST", &path, token).header("Idempotency-Key", key).json(&body).send().await.unwrap();
            let status = answer.status().as_u16();
            (status, serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap_or_default())
        };
        let of = |action: &str| format!("incidents/{id}/{action}");
        for _ in 0..2 {
            let (status, answer) = send(&carer, &of("note"), "k1", json!({ "note": "on the way" })).await;
            assert_eq!((status, answer["id"].as_str()), (200, Some(id.to_string().as_str())), "{answer}");
        }
        assert_eq!(desk.home.story(id).await.iter().filter(|kind| *kind == "note").count(), 1);
        assert_eq!(send(&carer, &of("note"), "k1", json!({ "note": "other" })).await.0, 409);
        assert_eq!(send(&carer, &of("note"), "k2", json!({ "note": "\u{200b}" })).await.0, 422);
        assert_eq!(send(&carer, &of("note"), "k2", json!({ "note": "on the way" })).await.0, 200);
        assert_eq!(desk.home.story(id).await.iter().filter(|kind| *kind == "note").count(), 2);
        let late = json!({ "outcome": "real", "note": "x", "follow_up_kind": "needed", "follow_up": "y", "follow_up_due": "2026-11-01" });
        let (status, problem) = send(&carer, &of("resolve"), "k3", late).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some("follow_up_due")), "{problem}");
        let closing = json!({ "outcome": "real", "note": "x", "follow_up_kind": "none" });
        for (token, action, body) in [
            (&carer, "acknowledge", json!({})),
            (&carer, "arrive", json!({})),
            (&carer, "resolve", closing),
            (&admin, "review", json!({ "note": "ok" })),
        ] {
            for key in ["", &"k".repeat(129)] {
                assert_eq!(send(token, &of(action), key, body.clone()).await.0, 400, "{action}");
            }
            for _ in 0..2 {
                assert_eq!(send(token, &of(action), "k", body.clone()).await.0, 200, "{action}");
            }
            assert_eq!(send(token, &of(action), "k", json!({ "note": "another" })).await.0, if action == "resolve" { 422 } else { 409 });
        }
        assert_eq!(send(&desk.token("stranger").await, &of("note"), "k1", json!({ "note": "x" })).await.0, 404);
        // An endpoint is made once; its secret is shown once and kept nowhere but with it.
        let new = json!({ "facility": desk.home.people.here, "name": "n", "url": "https://example.com/hook" });
        let (status, made) = send(&admin, "webhook-endpoints", "k", new.clone()).await;
        assert_eq!((status, made["secret"].as_str().unwrap().len()), (201, 64), "{made}");
        let (status, again) = send(&admin, "webhook-endpoints", "k", new).await;
        assert_eq!((status, &again["id"], &again["secret"]), (201, &made["id"], &Value::Null));
        let plain = json!({ "facility": desk.home.people.here, "name": "n", "url": "http://example.com/hook" });
        assert_eq!(send(&admin, "webhook-endpoints", "k2", plain).await.1["errors"][0]["field"], "url");
    }

    async fn a_start_forgets_the_boards_of_its_own_server_only(db: TestDb) {
        use songhe_incidents::schema::board_stream;
        let home = Home::open(&db).await;
        home.board(home.people.carer).await;
        Boards::start(home.db.clone()).await.unwrap();
        let left: i64 = home.db.read(|db| Ok(board_stream::table.count().get_result(db)?)).await.unwrap();
        // A file has one server; others may share a PostgreSQL.
        assert_eq!(left, i64::from(home.db.kind() == Kind::Postgres));
    }

    async fn ladders_and_endpoints_by_page_and_api(db: TestDb) {
        let desk = Desk::open(&db).await;
        let admin = desk.token("admin").await;
        let here = desk.home.people.here.to_string();
        let fields = [
            ("name", "Mine"), ("facility", here.as_str()), ("priority", "high"), ("repeat_s", "60"),
            ("rung_1_after_s", "0"), ("rung_1_target", "nurse_lead"), ("rung_1_channel", "board"), ("rung_2_target", ""),
            ("form_key", "k"),
        ];
        let (status, location, page) = desk.form(&admin, "/ladders", &fields).await;
        assert_eq!(status, 303, "{page}");
        assert_eq!(desk.form(&admin, "/ladders", &fields).await.1, location);
        let (status, page) = desk.page(&admin, "zh-CN", &location).await;
        // On duty until midnight: from then on nobody.
        assert!(status == 200 && page.contains("11-23 00:00 至 11-29 16:00"), "{page}");
        let again = json!({
            "facility": here, "priority": "high", "name": "Other", "repeat_seconds": 60,
            "rungs": [{ "after_seconds": 0, "target": "on_call", "rank": null, "channel": "board" }],
        });
        let (status, problem) = desk.api(&admin, "POST", "/ladders", Some(again.clone())).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some("priority")), "{problem}");
        let (_, list) = desk.api(&admin, "GET", "/ladders", None).await;
        let mine = list["items"].as_array().unwrap().iter().find(|ladder| ladder["name"] == "Mine").unwrap();
        let path = format!("/ladders/{}", mine["id"].as_str().unwrap());
        let (status, changed) = desk.api(&admin, "PUT", &path, Some(again)).await;
        assert_eq!((status, changed["gaps"].as_array().unwrap().len()), (200, 1), "{changed}");
        let (status, _, page) = desk.form(&admin, "/ladders", &[("facility", here.as_str()), ("rung_1_target", "on_call"), ("rung_1_after_s", "x")]).await;
        assert!(status == 422 && page.contains("priority-error"), "{status} {page}");
        let new = json!({ "facility": here, "target": "on_call", "name": "n", "url": "https://example.com/hook" });
        let (status, made) = desk.api(&admin, "POST", "/webhook-endpoints", Some(new)).await;
        assert_eq!((status, made["secret"].as_str().unwrap().len()), (201, 64), "{made}");
        let fields = [("url", "https://example.com/a"), ("facility", here.as_str()), ("target", "any"), ("form_key", "once")];
        let (status, _, page) = desk.form(&admin, "/endpoints", &fields).await;
        let secret = page.split("class=\"value\">").nth(1).and_then(|rest| rest.get(..64)).unwrap_or_else(|| panic!("{page}"));
        // Pressed twice, or sent again by the browser: the same endpoint, and its secret was shown.
        let (again, _, second) = desk.form(&admin, "/endpoints", &fields).await;
        assert_eq!((status, again), (200, 200), "{second}");
        assert!(!second.contains(secret) && !second.contains("class=\"value\""), "{second}");
        assert!(second.contains("密钥不会再次显示"), "{second}");
        let (_, list) = desk.api(&admin, "GET", "/webhook-endpoints", None).await;
        assert_eq!(list["items"].as_array().unwrap().len(), 2, "{list}");
        let id = made["id"].as_str().unwrap();
        assert_eq!(desk.form(&admin, &format!("/endpoints/{id}/test"), &[]).await.0, 303);
        desk.home.settle().await;
        assert_eq!(desk.home.told(), ["test"]);
        let test = format!("/webhook-endpoints/{id}/test");
        for _ in 0..2 {
            let request = desk.request("POST", &format!("/api/v1{test}"), &admin).header("Idempotency-Key", "t1");
            assert_eq!(request.send().await.unwrap().status(), 200);
        }
        desk.home.settle().await;
        assert_eq!(desk.home.told(), ["test", "test"], "once per key");
        let (_, list) = desk.api(&admin, "GET", "/webhook-endpoints", None).await;
        let fate = list["items"].as_array().unwrap().iter().find(|item| item["id"] == id).unwrap();
        assert!(fate["delivered_at"].is_string() && fate["failed_at"].is_null() && fate["pending"] == 0, "{fate}");
        let stranger = desk.token("stranger").await;
        assert_eq!(desk.api(&stranger, "POST", &test, None).await.0, 404);
        let (_, page) = desk.page(&admin, "en", "/endpoints").await;
        assert!(page.contains("example.com/hook") && !page.contains(made["secret"].as_str().unwrap()));
        assert_eq!(desk.api(&admin, "DELETE", &format!("/webhook-endpoints/{id}"), None).await.0, 204);
        assert_eq!(desk.api(&admin, "DELETE", &path, None).await.0, 204);
    }

    async fn what_is_of_another_facility_does_not_exist(db: TestDb) {
        let desk = Desk::open(&db).await;
        let id = desk.home.press().await;
        let (stranger, tag, here) = (desk.token("stranger").await, desk.tag().await, desk.home.people.here);
        for path in [format!("/incidents/{id}"), format!("/t/{tag}"), format!("/ladders/built-in.high.{here}")] {
            assert_eq!(desk.page(&stranger, "en", &path).await.0, 404, "{path}");
        }
        for path in ["/incidents", "/incidents/board/fragment", "/incidents?format=csv"] {
            assert!(!desk.page(&stranger, "en", path).await.1.contains(&id.to_string()), "{path}");
        }
        for (path, fields) in [
            (format!("/incidents/{id}/acknowledge"), vec![]),
            (format!("/incidents/{id}/arrive"), vec![]),
            (format!("/incidents/{id}/note"), vec![("note", "x")]),
            (format!("/incidents/{id}/resolve"), vec![("outcome", "real"), ("action", "x"), ("follow_up", "none")]),
            (format!("/incidents/{id}/review"), vec![]),
            (format!("/t/{tag}/arrive"), vec![]),
        ] {
            assert_eq!(desk.form(&stranger, &path, &fields).await.0, 404, "{path}");
        }
        let closing = json!({ "outcome": "real", "note": "x", "follow_up_kind": "none" });
        for (method, path, body) in [
            ("GET", format!("/incidents/{id}"), None),
            ("POST", format!("/incidents/{id}/acknowledge"), None),
            ("POST", format!("/incidents/{id}/arrive"), None),
            ("POST", format!("/incidents/{id}/resolve"), Some(closing)),
            ("POST", format!("/incidents/{id}/note"), Some(json!({ "note": "x" }))),
            ("POST", format!("/incidents/{id}/review"), Some(json!({}))),
            ("GET", format!("/tags/{tag}"), None),
            ("POST", format!("/tags/{tag}/arrive"), None),
            ("GET", format!("/incidents/metrics?facility={here}"), None),
            ("GET", format!("/stream?facility={here}"), None),
        ] {
            assert_eq!(desk.api(&stranger, method, &path, body).await.0, 404, "{path}");
        }
        let (_, list) = desk.api(&stranger, "GET", "/incidents", None).await;
        assert_eq!(list["items"].as_array().unwrap().len(), 0);
        assert_eq!(desk.home.row(id).await.status().unwrap(), songhe_incidents::Status::Raised);
    }

    async fn the_stream_tells_at_once_and_goes_on_where_it_ended(db: TestDb) {
        let desk = Desk::open(&db).await;
        let (carer, stranger) = (desk.token("carer").await, desk.token("stranger").await);
        let mut mine = desk.stream(&carer, "", None).await;
        let mut foreign = desk.stream(&stranger, "", None).await;
        assert_eq!(mine.next(SOON).await.unwrap().event, "hello");
        let before = mine.last_id().to_owned();
        let id = desk.home.press().await;
        let raised = mine.expect("the call", SOON, |event| is_change(event, "raised")).await;
        assert_eq!(raised.json()["incident"]["id"], id.to_string());
        assert_eq!(raised.json()["cause"]["kind"], "sos");
        drop(mine);
        let user = desk.home.people.carer;
        desk.home.act(move |tx| act::acknowledge(tx, id, user)).await.unwrap();
        let mut fall = desk.home.sos();
        fall.kind = songhe_incidents::Kind::Fall;
        let second = desk.home.report(fall).await;
        let mut again = desk.stream(&carer, "", Some(&before)).await;
        let mut seen = Vec::new();
        while seen.len() < 2 {
            let event = again.expect("what was missed", SOON, |event| event.event == "incident").await.json();
            seen.push((event["incident"]["id"].as_str().unwrap().to_owned(), event["change"].as_str().unwrap().to_owned()));
        }
        assert_eq!(seen, [(id.to_string(), "acknowledged".into()), (second.to_string(), "raised".into())]);
        // And live from there on.
        desk.home.act(move |tx| act::acknowledge(tx, second, user)).await.unwrap();
        again.expect("the second answer", SOON, |event| is_change(event, "acknowledged")).await;
        let next = again.last_id().to_owned();
        drop(again);
        let mut last = desk.stream(&carer, &format!("?last_event_id={next}"), None).await;
        last.expect_none("a reset", Duration::from_millis(300), |event| event.event == "reset").await;
        foreign.expect_none("a foreign call", Duration::from_secs(3), |event| event.event == "incident").await;
    }

    async fn a_place_that_is_not_known_is_answered_reset(db: TestDb) {
        let desk = Desk::open(&db).await;
        let carer = desk.token("carer").await;
        for last in ["nonsense", "9-0-1", "1-9223372036854775806-1"] {
            let mut stream = desk.stream(&carer, "", Some(last)).await;
            stream.expect("a reset", SOON, |event| event.event == "reset").await;
        }
    }
}

fn around<'a>(page: &'a str, what: &str) -> &'a str {
    let at = page.find(what).unwrap_or_default();
    page.get(at..(at + 60).min(page.len())).unwrap_or_default()
}
