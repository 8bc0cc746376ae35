//! Who reaches what: every route of the table, without a session and with somebody else's.

use serde_json::Value;
use songhe_kernel::http::Access;
use songhe_testkit::{Server, TestDb, both_databases, http};

use crate::api::text;
use crate::world::{House, MIGRATED, Plan, Wiring, program, toml};

/// Open to everybody, and why that is right stands at the route.
const PUBLIC: [&str; 9] = [
    "GET /api/docs",
    "GET /api/openapi.json",
    "GET /healthz",
    "GET /metrics",
    "GET /readyz",
    "GET /sign-in",
    "POST /api/v1/session",
    "POST /preferences",
    "POST /sign-in",
];

both_databases! {
    from MIGRATED;

    async fn without_a_session_nothing_but_the_door_is_open(db: TestDb) {
        let mut house = House::start(db, &Plan::default()).await;
        let app = house.server().app.clone();
        let client = http::client();
        let mut public = Vec::new();
        let mut looked_at = 0;
        for route in app.routes().iter() {
            if route.access == Access::Public {
                public.push(format!("{} {}", route.method, route.path));
                continue;
            }
            looked_at += 1;
            let path = concrete(route.path);
            let request = client.request(route.method.as_str().parse().unwrap(), format!("{}{path}", house.server().url));
            let answer = request.header("content-type", "application/json").body("{}").send().await.unwrap();
            let status = answer.status().as_u16();
            let to_the_door = status == 303
                && answer.headers().get("location").is_some_and(|to| to.to_str().unwrap().starts_with("/sign-in"));
            let refused = if route.is_api() { status == 401 } else { to_the_door || status == 401 };
            assert!(refused, "{} {path} answered {status} to nobody", route.method);
        }
        public.sort();
        assert_eq!(public, PUBLIC);
        assert!(looked_at > 60, "{looked_at} routes");
        house.close().await;
    }

    async fn the_api_describes_all_of_itself(db: TestDb) {
        let mut house = House::start(db, &Plan::default()).await;
        let url = format!("{}/api/openapi.json", house.server().url);
        let document: Value = http::client().get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let app = house.server().app.clone();
        for route in app.routes().iter().filter(|route| route.path.starts_with("/api/v1/")) {
            let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
            assert!(operation["summary"].as_str().is_some_and(|words| !words.is_empty()), "{} {}", route.method, route.path);
        }
        for (method, path) in [
            ("post", "/session"), ("get", "/residents"), ("post", "/residents"), ("get", "/places"), ("post", "/places"),
            ("get", "/devices"), ("post", "/devices"), ("post", "/devices/{id}/credential"), ("get", "/observations"),
            ("get", "/incidents"), ("post", "/incidents/{id}/acknowledge"), ("post", "/incidents/{id}/arrive"),
            ("post", "/incidents/{id}/resolve"), ("get", "/stream"),
        ] {
            assert!(document["paths"][format!("/api/v1{path}")][method].is_object(), "{method} {path}");
        }
        house.close().await;
    }

    async fn an_address_that_is_no_text_is_refused_and_no_defect(db: TestDb) {
        let mut house = House::start(db, &Plan::default()).await;
        let (app, admin) = (house.server().app.clone(), house.api("admin").await);
        let mut looked_at = 0;
        for route in app.routes().iter() {
            for odd in ["%00", "a%00b", "%FF", "%C3%28", "%ED%A0%80"] {
                let method = route.method.as_str();
                if route.path.contains('{') {
                    let path: Vec<_> =
                        route.path.split('/').map(|part| if part.starts_with('{') { odd } else { part }).collect();
                    let status = admin.status(method, &path.join("/")).await;
                    // Not everything is the administrator's.
                    assert!(matches!(status, 403 | 404), "{method} {} answered {status}", path.join("/"));
                }
                let path = format!("{}?q={odd}&after={odd}&facility={odd}", concrete(route.path));
                let status = admin.status(method, &path).await;
                let public = route.access == Access::Public;
                assert!(matches!(status, 400 | 403) || (public && status < 500), "{method} {path} answered {status}");
                looked_at += 1;
            }
        }
        assert!(looked_at > 300, "{looked_at} requests");
        house.close().await;
    }

    async fn what_is_elsewhere_does_not_exist(db: TestDb) {
        let mut house = House::start(db, &Plan::default()).await;
        house.press(0, "1-1").await;
        let (carer, stranger) = (house.api("carer").await, house.api("stranger").await);
        let incident = carer.the_incident("the call", |_| true).await;
        let path = format!("/api/v1/incidents/{}", text(&incident, "id"));
        assert_eq!(carer.status("GET", &path).await, 200);
        assert_eq!(stranger.status("GET", &path).await, 404);
        for action in ["acknowledge", "arrive"] {
            assert_eq!(stranger.status("POST", &format!("{path}/{action}")).await, 404, "{action}");
        }
        assert_eq!(stranger.open_incidents().await, Vec::<Value>::new());
        for list in ["residents", "places", "devices"] {
            for item in stranger.get(&format!("/api/v1/{list}")).await["items"].as_array().unwrap() {
                assert_eq!(item["facility_id"], house.world.foreign.to_string(), "{list}: {item}");
            }
        }
        let own = house.world.facility;
        assert_eq!(stranger.status("GET", &format!("/api/v1/stream?facility={own}")).await, 404);
        // Without the permission at all it is refused, not hidden.
        assert_eq!(carer.status("GET", "/api/v1/ladders").await, 403);
        assert_eq!(carer.status("GET", &path).await, 200, "the attempts changed nothing");
        let seen = carer.get(&path).await;
        assert_eq!(seen["acknowledged_at"], Value::Null);
        house.close().await;
    }

    async fn a_list_says_what_it_cannot_read_and_hides_what_is_elsewhere(db: TestDb) {
        let mut house = House::start(db, &Plan::default()).await;
        let manager = house.api("manager").await;
        let foreign = house.world.foreign;
        let document = manager.get("/api/openapi.json").await;
        let mut looked_at = [0; 3];
        for (path, operations) in document["paths"].as_object().unwrap() {
            let parameters = operations["get"]["parameters"].as_array().into_iter().flatten();
            for name in parameters.map(|parameter| text(parameter, "name")) {
                let (values, told): (&[&str], _) = match name {
                    "limit" => (&["0", "-1", "abc", "999999", ""], "error-expects-range"),
                    "after" => (&["x", "fac_0000000000001", ""], "error-expects-id"),
                    "facility" => {
                        looked_at[2] += 1;
                        assert_eq!(manager.status("GET", &format!("{path}?facility={foreign}")).await, 404, "{path}");
                        (&["x"], "error-expects-id")
                    }
                    _ => continue,
                };
                looked_at[0] += usize::from(name == "limit");
                looked_at[1] += usize::from(name == "after");
                for value in values {
                    let answer = manager.request("GET", &format!("{path}?{name}={value}")).send().await.unwrap();
                    assert_eq!(answer.status(), 400, "{path}?{name}={value}");
                    let problem: Value = answer.json().await.unwrap();
                    assert_eq!((text(&problem["errors"][0], "field"), text(&problem["errors"][0], "code")), (name, told));
                }
            }
            if operations["get"]["parameters"].as_array().into_iter().flatten().any(|named| named["name"] == "limit") {
                assert_eq!(manager.status("GET", &format!("{path}?limit=200")).await, 200, "{path}");
                assert_eq!(manager.status("GET", &format!("{path}?limits=2")).await, 400, "{path}");
            }
        }
        assert!(looked_at.iter().all(|lists| *lists >= 8), "{looked_at:?} lists");
        for page in ["/residents", "/staff", "/devices", "/quarantine", "/incidents", "/care-beds"] {
            let answer = manager.request("GET", &format!("{page}?after=x")).send().await.unwrap();
            assert_eq!(answer.status(), 400, "{page}");
            assert!(answer.text().await.unwrap().contains("翻页位置已失效"), "{page}");
        }
        house.close().await;
    }

    async fn probes_answer_and_metrics_are_for_this_machine_or_the_token(db: TestDb) {
        let token = "7d2e91c04ab65f38d1e0";
        let config = format!("{}\n[metrics]\ntoken = \"{token}\"\n", toml(&db, &Wiring::Embedded));
        let server = Server::setup(program()).config(&config).start();
        let client = http::client();
        let get = |path: &str| client.get(server.url(path));
        assert_eq!(get("/healthz").send().await.unwrap().status(), 200);
        let ready = get("/readyz").send().await.unwrap();
        assert_eq!((ready.status().as_u16(), ready.json::<Value>().await.unwrap()["ready"].clone()), (200, true.into()));
        let text = get("/metrics").send().await.unwrap().text().await.unwrap();
        assert!(text.contains("songhe_"), "{text}");
        // A proxy on this machine speaks for somebody elsewhere.
        let foreign = || get("/metrics").header("X-Forwarded-For", "203.0.113.9");
        assert_eq!(foreign().send().await.unwrap().status(), 403);
        assert_eq!(foreign().bearer_auth("wrong").send().await.unwrap().status(), 403);
        assert_eq!(foreign().bearer_auth(token).send().await.unwrap().status(), 200);
        let answer = get("/api/v1/incidents").send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let nobody = serde_json::json!({ "username": "nobody", "password": "a-long-password" });
        let answer = client.post(server.url("/api/v1/session")).json(&nobody).send().await.unwrap();
        assert_eq!(answer.status(), 401);
    }
}

/// A path with an id that fits nothing in each parameter's place.
fn concrete(path: &str) -> String {
    let segment = |segment: &str| if segment.starts_with('{') { "x".to_owned() } else { segment.to_owned() };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}
