//! The HTTP half of the kernel on a real server (port 0) and a real database, with a small module of its own.

use std::time::Duration;

use songhe_testkit::{MIGRATED, TestDb, both_databases};

use crate::support::{self, Answer, Server};
use serde_json::{Value, json};

fn problem(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["status"], status);
    assert_eq!(Some(problem["request_id"].as_str().unwrap()), answer.header("x-request-id"));
    problem
}

both_databases! {
    from MIGRATED;

    async fn signing_in_opens_the_door_and_signing_out_closes_it(test: TestDb) {
        let server = Server::start(&test).await;
        let stranger = server.get("/").send().await;
        assert_eq!((stranger.status, stranger.header("location")), (303, Some("/sign-in?next=/")));

        let page = server.get("/sign-in?next=/api/docs").send().await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains(r#"name="next" value="/api/docs""#));

        let form = "username=Nurse&password=correct-horse&next=/api/docs";
        let opened = server.post("/sign-in").form(form).send().await;
        assert_eq!((opened.status, opened.header("location")), (303, Some("/api/docs")));
        let cookie = opened.header("set-cookie").unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"), "{cookie}");

        let nurse = server.browser("nurse").await;
        let home = server.get("/").with(&nurse).send().await;
        assert_eq!(home.status, 200);
        assert!(home.body.contains("王护士"));

        let out = server.post("/sign-out").with(&nurse).form(&format!("csrf={}", nurse.csrf)).send().await;
        assert_eq!((out.status, out.header("location")), (303, Some("/sign-in")));
        assert_eq!(server.get("/").with(&nurse).send().await.status, 303);
    }

    async fn a_next_from_elsewhere_is_not_followed(test: TestDb) {
        let server = Server::start(&test).await;
        for next in ["https://evil.example/", "//evil.example/", "/\\evil.example"] {
            let form = format!("username=nurse&password=correct-horse&next={next}");
            let answer = server.post("/sign-in").form(&form).send().await;
            assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{next}");
        }
    }

    async fn wrong_passwords_are_told_apart_from_nothing_and_slowed_down(test: TestDb) {
        let server = Server::start(&test).await;
        for username in ["nurse", "nobody", "nurse", "nurse", "nurse", "nurse"] {
            let wrong = server.post("/sign-in").form(&format!("username={username}&password=wrong-horse")).send().await;
            assert_eq!(wrong.status, 422);
            assert!(wrong.body.contains(&format!(r#"value="{username}""#)), "what was typed is kept");
            assert!(!wrong.body.contains("wrong-horse"));
        }
        let form = "username=nurse&password=correct-horse";
        let waiting = server.post("/sign-in").form(form).send().await;
        assert_eq!((waiting.status, waiting.header("retry-after")), (429, Some("30")));
        let over_api = server.post("/api/v1/session").json(&json!({"username": "nurse", "password": "correct-horse"}));
        problem(&over_api.send().await, 429);

        server.clock.advance(Duration::from_secs(31));
        assert_eq!(server.post("/sign-in").form(form).send().await.status, 303);
    }

    async fn the_api_gives_tokens_that_end(test: TestDb) {
        let server = Server::start(&test).await;
        let credentials = |password| json!({ "username": "nurse", "password": password });
        problem(&server.post("/api/v1/session").json(&credentials("wrong-horse")).send().await, 401);
        let unknown_field = json!({ "username": "nurse", "password": "correct-horse", "admin": true });
        problem(&server.post("/api/v1/session").json(&unknown_field).send().await, 400);

        let token = server.token("nurse").await;
        let me: Value = serde_json::from_str(&server.get("/api/v1/me").bearer(&token).send().await.body).unwrap();
        assert_eq!(me["username"], "nurse");
        assert_eq!(me["roles"], json!(["nurse"]));
        let beds = me["permissions"].as_array().unwrap().iter().find(|held| held["name"] == "beds.read").unwrap();
        assert_eq!(beds["facilities"], json!([server.facility.to_string()]));
        assert_eq!(beds["everywhere"], false);

        // A token is good for its own kind only.
        let as_cookie = server.get("/api/v1/me").header("Cookie", &format!("songhe_session={token}")).send().await;
        problem(&as_cookie, 401);

        server.clock.advance(Duration::from_secs(11 * 3600));
        assert_eq!(server.get("/api/v1/me").bearer(&token).send().await.status, 200, "use keeps it alive");
        server.clock.advance(Duration::from_secs(11 * 3600));
        assert_eq!(server.get("/api/v1/me").bearer(&token).send().await.status, 200);
        server.clock.advance(Duration::from_secs(12 * 3600));
        let idle = server.get("/api/v1/me").bearer(&token).send().await;
        problem(&idle, 401);
        assert_eq!(idle.header("www-authenticate"), Some("Bearer"));

        let token = server.token("nurse").await;
        assert_eq!(server.request("DELETE", "/api/v1/session").bearer(&token).send().await.status, 204);
        problem(&server.get("/api/v1/me").bearer(&token).send().await, 401);
    }

    async fn what_another_site_sends_is_refused(test: TestDb) {
        let server = Server::start(&test).await;
        let nurse = server.browser("nurse").await;
        let csrf = format!("csrf={}", nurse.csrf);
        let post = || server.post("/preferences").with(&nurse);

        assert_eq!(post().form("theme=night").send().await.status, 403, "no token");
        assert_eq!(post().form("csrf=wrong&theme=night").send().await.status, 403, "another token");
        for (name, value) in [
            ("Origin", "https://evil.example"),
            ("Origin", "null"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
        ] {
            assert_eq!(post().header(name, value).form(&csrf).send().await.status, 403, "{name}: {value}");
        }
        // Signing a victim in under the attacker's account needs no session.
        let foreign = server.post("/sign-in").header("Origin", "https://evil.example");
        assert_eq!(foreign.form("username=nurse&password=correct-horse").send().await.status, 403);

        let own = format!("http://{}", server.address);
        let answer = post().header("Origin", &own).header("Sec-Fetch-Site", "same-origin").form(&csrf).send().await;
        assert_eq!(answer.status, 303);
        let by_header = post().header("X-CSRF-Token", &nurse.csrf).form("theme=night").send().await;
        assert_eq!(by_header.status, 303);
        assert!(by_header.header("set-cookie").unwrap().starts_with("theme=night"));
    }

    async fn a_chosen_language_stays_with_the_user(test: TestDb) {
        let server = Server::start(&test).await;
        let nurse = server.browser("nurse").await;
        let form = format!("csrf={}&locale=en&back=//evil.example", nurse.csrf);
        let chosen = server.post("/preferences").with(&nurse).form(&form).send().await;
        assert_eq!((chosen.status, chosen.header("location")), (303, Some("/")));
        assert!(server.get("/").with(&nurse).send().await.body.contains(r#"<html lang="en""#));

        let browser_wish = server.get("/sign-in").header("Accept-Language", "en-GB,en;q=0.9").send().await;
        assert!(browser_wish.body.contains(r#"<html lang="en""#));
        assert!(server.get("/sign-in").send().await.body.contains(r#"<html lang="zh-CN""#));
    }

    async fn refusals_have_two_shapes(test: TestDb) {
        let server = Server::start(&test).await;
        let token = server.token("nurse").await;
        let nurse = server.browser("nurse").await;

        problem(&server.get("/api/v1/nothing").send().await, 404);
        problem(&server.get("/api/v1/beds/bed_x").bearer(&token).send().await, 404);
        let method = server.request("PUT", "/api/v1/me").bearer(&token).send().await;
        problem(&method, 405);
        assert_eq!(method.header("allow"), Some("GET, HEAD"));
        problem(&server.get("/api/v1/secret").send().await, 401);
        problem(&server.get("/api/v1/secret").bearer(&token).send().await, 403);
        let invalid = server.post("/api/v1/beds").bearer(&token).json(&json!({ "name": "" })).send().await;
        assert_eq!(problem(&invalid, 422)["errors"][0]["field"], "name");
        problem(&server.post("/api/v1/beds").bearer(&token).header("Content-Type", "text/plain").send().await, 400);
        let nul = server.post("/api/v1/beds").bearer(&token).json(&json!({ "name": "a\0b" })).send().await;
        assert_eq!(problem(&nul, 400)["code"], "error-nul");
        for name in ["a%00b", "a%FFb", "%c3%28"] {
            let form = format!("csrf={}&name={name}", nurse.csrf);
            assert_eq!(server.post("/beds").with(&nurse).form(&form).send().await.status, 400, "{name}");
        }
        let cut = server.get("/api/v1/beds/bed_x?after=%E7%8E").bearer(&token).send().await;
        assert_eq!(problem(&cut, 400)["code"], "error-not-utf8");
        for path in ["/api/v1/beds/%00", "/api/v1/beds/%FF"] {
            problem(&server.get(path).bearer(&token).send().await, 404);
        }
        let large = json!({ "name": "x".repeat(70_000) });
        problem(&server.post("/api/v1/beds").bearer(&token).json(&large).send().await, 413);

        for (path, status) in [("/nothing", 404), ("/secret", 403)] {
            let page = server.get(path).with(&nurse).send().await;
            assert_eq!(page.status, status);
            assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
            assert!(page.body.contains(page.header("x-request-id").unwrap()));
            assert!(page.body.contains("王护士"), "the frame stays");
        }
        assert_eq!(server.post("/secret").with(&nurse).send().await.status, 405);
        // A script that fetches a part of a page is told; a person is led to the sign-in page.
        assert_eq!(server.get("/secret").header("Sec-Fetch-Mode", "cors").send().await.status, 401);
    }

    async fn what_cannot_be_read_is_told_in_the_callers_language(test: TestDb) {
        let server = Server::start(&test).await;
        let token = server.token("nurse").await;
        let raw = |body: &str, language: &str| {
            let request = server.post("/api/v1/session").header("Accept-Language", language);
            request.header("Content-Type", "application/json").text(body).send()
        };
        for (body, field, chinese, english) in [
            (
                r#"{"username":"nurse","password":"x","admin":true}"#,
                Some("admin"),
                "没有名为“admin”的字段",
                "no field “admin”",
            ),
            (r#"{"username":"nurse"}"#, Some("password"), "缺少“password”", "“password” is missing"),
            (r#"{"username":7,"password":"x"}"#, Some("username"), "“username”应为文本", "“username” has to be text"),
            ("{\"username\":\n nurse}", None, "第 2 行第 4 列", "line 2, column 4"),
        ] {
            for (language, words, title) in [("zh-CN", chinese, "请求无法识别"), ("en", english, "Bad request")] {
                let told = problem(&raw(body, language).await, 400);
                let detail = told["detail"].as_str().unwrap();
                assert!(detail.contains(words), "{words}: {detail}");
                assert!(language == "en" || !detail.contains("expected"), "{detail}");
                assert_eq!((&told["title"], told["errors"][0]["field"].as_str()), (&json!(title), field));
            }
        }
        let missing = problem(&server.get("/api/v1/beds/bed_x").bearer(&token).send().await, 404);
        assert_eq!(missing["title"], "不存在", "a program asked for no page");

        let nurse = server.browser("nurse").await;
        let page = server.post("/beds").with(&nurse).form(&format!("csrf={}", nurse.csrf)).send().await;
        assert_eq!(page.status, 400);
        assert!(page.body.contains("缺少“name”"), "{}", page.body);
    }

    async fn a_program_keeps_what_its_user_prefers(test: TestDb) {
        let server = Server::start(&test).await;
        let token = server.token("nurse").await;
        let keep =
            async |body: Value| server.request("PUT", "/api/v1/me/preferences").bearer(&token).json(&body).send().await;
        let kept = keep(json!({ "locale": "en" })).await;
        assert_eq!((kept.status, kept.body.as_str()), (200, r#"{"locale":"en","theme":"auto"}"#));
        let me: Value = serde_json::from_str(&server.get("/api/v1/me").bearer(&token).send().await.body).unwrap();
        assert_eq!(me["locale"], "en", "kept with the account");
        let night = keep(json!({ "theme": "night" })).await;
        assert_eq!(night.body, r#"{"locale":"en","theme":"night"}"#);
        assert!(night.header("set-cookie").unwrap().starts_with("theme=night;"));
        let wrong = keep(json!({ "locale": "fr", "theme": "pink" })).await;
        assert_eq!(problem(&wrong, 422)["errors"].as_array().unwrap().len(), 2);
        problem(&server.request("PUT", "/api/v1/me/preferences").json(&json!({})).send().await, 401);
    }

    async fn a_defect_tells_its_request_id_and_nothing_else(test: TestDb) {
        let server = Server::start(&test).await;
        let token = server.token("nurse").await;
        for path in ["/api/v1/broken", "/api/v1/panics"] {
            let answer = server.get(path).bearer(&token).send().await;
            problem(&answer, 500);
            assert!(!answer.body.contains("secret detail"));
        }
        assert_eq!(server.get("/healthz").send().await.status, 200);
    }

    async fn every_answer_binds_the_browser(test: TestDb) {
        let server = Server::start(&test).await;
        for path in ["/sign-in", "/nothing", "/api/v1/me", "/healthz"] {
            let answer = server.get(path).send().await;
            assert!(answer.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"), "{path}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("strict-transport-security"), None, "plain HTTP");
        }
    }

    async fn a_head_request_is_answered_like_get_and_without_a_body(test: TestDb) {
        let server = Server::start(&test).await;
        let nurse = server.browser("nurse").await;
        for path in ["/sign-in", "/", "/stream"] {
            let request = server.request("HEAD", path).with(&nurse).send();
            let answer = tokio::time::timeout(Duration::from_secs(5), request).await.expect("an end");
            assert!(matches!(answer.status, 200 | 303), "{path}: {}", answer.status);
            assert_eq!(answer.body, "", "{path}");
        }
        assert_eq!(server.app.live.open_streams(), 0);
    }

    async fn a_request_sent_again_under_its_key_is_done_once(test: TestDb) {
        let server = Server::start(&test).await;
        let token = server.token("nurse").await;
        let post = |key: &'static str, name: &'static str| {
            let request = server.post("/api/v1/beds").bearer(&token).header("Idempotency-Key", key);
            request.json(&json!({ "name": name })).send()
        };
        let first = post("key-1", "A").await;
        assert_eq!(first.status, 201);
        let again = post("key-1", "A").await;
        assert_eq!((again.status, &again.body), (201, &first.body));
        assert_eq!(server.beds().await, 1);

        let other_body = problem(&post("key-1", "B").await, 409);
        assert_eq!(other_body["code"], "error-idempotency-conflict");
        assert_eq!(post("key-2", "A").await.status, 201);
        // Refused work leaves its key free.
        assert_eq!(post("key-3", "").await.status, 422);
        assert_eq!(post("key-3", "C").await.status, 201);
        assert_eq!(server.beds().await, 3);
        let long: &'static str = Box::leak("k".repeat(129).into_boxed_str());
        problem(&post(long, "D").await, 400);

        let at_once = futures_util::future::join_all((0..8).map(|_| post("key-4", "E"))).await;
        assert!(at_once.iter().all(|answer| answer.status == 201 && answer.body == at_once[0].body));
        assert_eq!(server.beds().await, 4);
    }

    async fn a_form_pressed_twice_is_done_once(test: TestDb) {
        let server = Server::start(&test).await;
        let nurse = server.browser("nurse").await;
        let page = server.get("/beds").with(&nurse).send().await;
        let form_key = support::between(&page.body, r#"name="form_key" value=""#, "\"");
        let form = format!("csrf={}&form_key={form_key}&name=A", nurse.csrf);
        for _ in 0..2 {
            let answer = server.post("/beds").with(&nurse).form(&form).send().await;
            assert_eq!((answer.status, answer.header("location")), (303, Some("/beds")), "{}", answer.body);
        }
        assert_eq!(server.beds().await, 1);
        let next = server.get("/beds").with(&nurse).send().await;
        assert_ne!(support::between(&next.body, r#"name="form_key" value=""#, "\""), form_key);
    }

    async fn a_fragment_that_has_not_changed_is_not_sent_again(test: TestDb) {
        let server = Server::start(&test).await;
        let nurse = server.browser("nurse").await;
        let first = server.get("/beds").with(&nurse).send().await;
        let tag = first.header("etag").unwrap();
        let same = server.get("/beds").with(&nurse).header("If-None-Match", tag).send().await;
        assert_eq!((same.status, same.header("etag"), same.body.as_str()), (304, Some(tag), ""));

        let token = server.token("nurse").await;
        server.post("/api/v1/beds").bearer(&token).json(&json!({ "name": "A" })).send().await;
        let changed = server.get("/beds").with(&nurse).header("If-None-Match", tag).send().await;
        assert_eq!(changed.status, 200);
    }

    async fn assets_are_kept_under_their_hash(test: TestDb) {
        let server = Server::start(&test).await;
        let page = server.get("/sign-in").send().await;
        let hash = support::between(&page.body, "/assets/", "/");
        let kept = server.get(&format!("/assets/{hash}/css/tokens.css")).header("Accept-Encoding", "gzip").send().await;
        assert_eq!(kept.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(kept.header("content-type"), Some("text/css; charset=utf-8"));
        assert_eq!(kept.header("content-encoding"), Some("gzip"));
        let old = server.get("/assets/0000/css/tokens.css").send().await;
        assert_eq!((old.status, old.header("cache-control")), (200, Some("no-cache")));
        assert_eq!(server.get(&format!("/assets/{hash}/../Cargo.toml")).send().await.status, 404);
    }

    async fn the_description_of_the_api_names_every_documented_route(test: TestDb) {
        let server = Server::start(&test).await;
        let answer = server.get("/api/openapi.json").send().await;
        let document: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let post = &document["paths"]["/api/v1/beds"]["post"];
        assert_eq!(post["x-permission"], "beds.read");
        assert_eq!(post["requestBody"]["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/NewBed");
        let parameters = post["parameters"].as_array().unwrap();
        assert!(parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key"));
        let get = &document["paths"]["/api/v1/beds/{id}"]["get"];
        assert_eq!(
            get["parameters"][0],
            json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}})
        );
        assert_eq!(document["paths"]["/api/v1/session"]["post"]["security"], json!([]));

        let text = answer.body;
        for reference in text.split(r##""$ref":"#/components/schemas/"##).skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{name} is described");
        }
        let docs = server.get("/api/docs").send().await;
        assert_eq!(docs.status, 200, "{}", docs.body);
        assert!(docs.body.contains("/api/v1/beds/{id}"));
    }

    async fn pages_are_told_what_changed_until_the_server_stops(test: TestDb) {
        let server = Server::start(&test).await;
        let nurse = server.browser("nurse").await;
        assert_eq!(server.get("/stream").send().await.status, 303, "strangers are not told");
        let mut stream = server.get("/stream").with(&nurse).header("Last-Event-ID", "41").open().await;
        let hello = stream.until("event: hello").await;
        assert!(hello.contains("retry: 2000"));
        assert!(hello.contains("text/event-stream"));
        assert_eq!(server.presence.open(), 1);

        server.app.db.signal("beds:fac_0000000000001");
        server.app.db.signal(&format!("beds:{}", server.facility));
        let change = stream.until("event: change").await;
        assert!(change.contains(&format!(r#""topic":"beds:{}""#, server.facility)), "{change}");
        assert!(!change.contains("fac_0000000000001"), "another facility's");

        server.stop.send(true).unwrap();
        tokio::time::timeout(Duration::from_secs(2), stream.end()).await.expect("streams end at once");
        server.presence.until_closed().await;
        assert_eq!(server.app.live.open_streams(), 0);
    }

    async fn a_reader_that_goes_away_is_noticed(test: TestDb) {
        let server = Server::start(&test).await;
        let nurse = server.browser("nurse").await;
        let mut stream = server.get("/stream").with(&nurse).open().await;
        stream.until("event: hello").await;
        assert_eq!(server.presence.open(), 1);
        drop(stream);
        server.presence.until_closed().await;
    }

    async fn a_collector_is_told_from_a_visitor(test: TestDb) {
        let server = Server::start(&test).await;
        server.get("/api/v1/beds/bed_x").send().await;
        let metrics = server.get("/metrics").send().await;
        assert_eq!(metrics.status, 200);
        let by_pattern = r#"songhe_http_request_seconds_count{method="GET",route="/api/v1/beds/{id}",status="401"} 1"#;
        assert!(metrics.body.contains(by_pattern), "{}", metrics.body);
        let through_proxy = server.get("/metrics").header("X-Forwarded-For", "203.0.113.9").send().await;
        assert_eq!(through_proxy.status, 403);
        let with_token = server.get("/metrics").header("X-Forwarded-For", "203.0.113.9").bearer("collector").send().await;
        assert_eq!(with_token.status, 200);

        let ready = server.get("/readyz").send().await;
        assert_eq!((ready.status, ready.body.as_str()), (200, r#"{"checks":{"database":true},"disk":"plenty","ready":true}"#));
    }
}
