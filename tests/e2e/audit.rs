//! The audit log through the real server: every change leaves a line, reads do, and the command finds what was done to it.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};
use songhe_testkit::{TestDb, both_databases, eventually_true};

use crate::SOON;
use crate::api::{Api, text};
use crate::sql::Connection;
use crate::world::{House, MIGRATED, PASSWORD, Plan, program, start_program};

/// Routes that answer well and write nothing, and why. Those that must not be audited say so themselves.
const WRITES_NOTHING: [(&str, &str); 3] = [
    ("POST /api/v1/message-templates/preview", "shows what a text would look like"),
    ("POST /devices/import", "looks at a file; what is imported comes by its commit"),
    ("POST /api/v1/devices/import", "of a file without rows there is nothing to import"),
];

/// What routes are told to do here, and the action that their line must name.
fn told(world: &World<'_>) -> Vec<(&'static str, Value, &'static str)> {
    let facility = world.facility;
    let rung = json!({ "after_seconds": 0, "target": "on_call", "rank": null, "channel": "board" });
    vec![
        ("POST /api/v1/places", json!({ "facility_id": facility, "kind": "home", "name": "新居" }), "place.create"),
        (
            "POST /api/v1/residents",
            json!({ "facility_id": facility, "name": "新来者", "sex": "female" }),
            "resident.create",
        ),
        ("POST /api/v1/residents/{id}/move", json!({ "place_id": null }), "resident.move"),
        (
            "POST /api/v1/residents/{id}/contacts",
            json!({ "name": "亲属", "relation": "儿子", "phone": "13800000001" }),
            "contact.add",
        ),
        ("POST /api/v1/staff", json!({ "facility_id": facility, "name": "新员工", "job": "carer" }), "staff.create"),
        ("PUT /api/v1/staff/{id}/phone", json!({ "phone": "13900000000" }), "staff.phone"),
        ("POST /api/v1/devices/{id}/bind", json!({ "place_id": null, "resident_id": null }), "device.bind"),
        ("POST /api/v1/devices/{id}/credential", json!({}), "device.credential"),
        ("POST /api/v1/devices/{id}/status", json!({ "status": "maintenance", "reason": "更换电池" }), "device.status"),
        (
            "POST /api/v1/ladders",
            json!({ "facility": facility, "priority": "low", "name": "一般", "repeat_seconds": 3600, "rungs": [rung] }),
            "ladder.save",
        ),
        ("POST /api/v1/incidents/{id}/acknowledge", json!({}), "incident.acknowledge"),
        ("POST /api/v1/incidents/{id}/arrive", json!({}), "incident.arrive"),
        ("POST /api/v1/incidents/{id}/note", json!({ "note": "已安抚" }), "incident.note"),
        ("POST /api/v1/incidents/{id}/review", json!({ "note": "无异议" }), "incident.review"),
        (
            "POST /api/v1/incidents/{id}/resolve",
            json!({ "outcome": "real", "note": "已扶起", "follow_up_kind": "none" }),
            "incident.resolve",
        ),
    ]
}

struct World<'a> {
    facility: &'a str,
}

both_databases! {
    from MIGRATED;

    async fn every_change_leaves_a_line(db: TestDb) {
        let mut house = House::start(db, &Plan::default()).await;
        house.press(0, "1-1").await;
        let people = [house.api("carer").await, house.api("manager").await, house.api("admin").await];
        people[0].the_incident("the call", |_| true).await;
        let facility = house.world.facility.to_string();
        let told = told(&World { facility: &facility });
        let app = house.server().app.clone();
        let mut routes: Vec<_> = app.routes().iter().filter(|route| !route.method.is_safe()).cloned().collect();
        // A review comes after what it reviews; what ends other people's sessions comes last.
        routes.sort_by_key(|route| (route.path.contains("/people"), route.path.ends_with("/review")));
        let (mut seen, mut missing) = (BTreeMap::new(), Vec::new());
        for route in routes {
            let name = format!("{} {}", route.method, route.path);
            let known = told.iter().find(|(route, ..)| *route == name);
            let body = known.map_or(json!({}), |(_, body, _)| body.clone());
            let Some(id) = answered(&people, &house, route.method.as_str(), route.path, &body).await else { continue };
            let sql = format!("SELECT action AS line FROM audit WHERE request_id = '{id}' ORDER BY id");
            let lines = Connection::open(&house.db).lines(&sql);
            let excepted = route.unaudited.is_some() || WRITES_NOTHING.iter().any(|(route, _)| *route == name);
            if lines.is_empty() && !excepted {
                missing.push(name.clone());
            }
            seen.insert(name, lines);
        }
        assert!(missing.is_empty(), "changed something and left no line: {missing:?}");
        for (route, _, action) in told {
            let lines = seen.get(route).unwrap_or_else(|| panic!("{route} did not succeed: {seen:#?}"));
            assert!(lines.iter().any(|line| line == action), "{route}: {lines:?}");
        }
        let unaudited: Vec<_> = app.routes().iter().filter(|route| route.unaudited.is_some()).collect();
        assert!(unaudited.len() <= 6 && unaudited.iter().all(|route| route.unaudited.is_some_and(|why| why.len() > 20)));
        house.close().await;
    }

    async fn no_number_stands_in_a_line_and_readers_see_their_facilities(db: TestDb) {
        let mut house = House::start(db, &Plan::default()).await;
        let (manager, admin, stranger) =
            (house.api("manager").await, house.api("admin").await, house.api("stranger").await);
        let resident = text(&manager.get("/api/v1/residents").await["items"][0], "id").to_owned();
        manager.get(&format!("/api/v1/residents/{resident}")).await;
        manager.get(&format!("/api/v1/residents/{resident}/contacts")).await;
        let page = manager.request("GET", &format!("/residents/{resident}")).send().await.unwrap();
        assert_eq!(page.status(), 200);
        let reads = manager.get(&format!("/api/v1/audit?action=resident.read&resident={resident}")).await;
        let reads = reads["items"].as_array().unwrap().clone();
        assert_eq!(reads.len(), 3, "{reads:?}");
        assert_eq!((text(&reads[0], "actor_name"), text(&reads[0], "subject")), ("manager", resident.as_str()));
        // Somebody of another facility finds neither it nor that it is there.
        let theirs = stranger.get(&format!("/api/v1/audit?resident={resident}")).await;
        assert_eq!(theirs["items"], json!([]));
        let everything = stranger.get("/api/v1/audit?limit=200").await.to_string();
        assert!(!everything.contains(&house.world.facility.to_string()) && !everything.contains("session."), "{everything}");
        assert_eq!(house.api("carer").await.status("GET", "/api/v1/audit").await, 403);
        // Sign-ins are of no facility: for readers of the whole system.
        assert_eq!(manager.get("/api/v1/audit?action=session.").await["items"], json!([]));
        assert!(!admin.get("/api/v1/audit?action=session.").await["items"].as_array().unwrap().is_empty());
        // Part by part nothing is lost or doubled.
        let all = admin.get("/api/v1/audit?limit=200").await["items"].as_array().unwrap().clone();
        let (mut parts, mut after) = (Vec::new(), String::new());
        while parts.len() < all.len().min(30) {
            let part = admin.get(&format!("/api/v1/audit?limit=7{after}")).await;
            parts.extend(part["items"].as_array().unwrap().clone());
            let Some(next) = part["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(parts[..28.min(parts.len())], all[..28.min(parts.len())]);
        // The file, which is a line itself.
        let file = admin.request("GET", "/audit?format=csv&noun=resident").send().await.unwrap().text().await.unwrap();
        assert!(file.contains(&resident) && file.contains("查看老人信息"), "{file}");
        assert_eq!(admin.get("/api/v1/audit?action=audit.export").await["items"][0]["after"]["noun"], "resident");
        let lines = Connection::open(&house.db).lines(
            "SELECT COALESCE(value_before, '') || COALESCE(value_after, '') || subject || COALESCE(reason, '') AS line FROM audit",
        );
        let lines = lines.join("\n");
        for secret in ["13800000000", "老人0", "女儿0", PASSWORD, &house.world.buttons[0].secret] {
            assert!(!lines.contains(secret), "{secret} stands in the audit log");
        }
        house.close().await;
    }

    async fn the_command_finds_what_was_done_to_the_log(db: TestDb) {
        let (_, server) = start_program(&db, &Plan::default()).await;
        let config = server.dir().join("songhe.toml").display().to_string();
        let verify = |language: &str| {
            let mut command = Command::new(program());
            command.args(["audit", "verify", "--config", &config]).env("LC_ALL", language);
            let done = command.output().unwrap();
            let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
            (done.status.success(), said)
        };
        // Beside the running server, whose first look seals what was there.
        let sealed = || async { Connection::open(&db).count("audit_seal") > 0 };
        eventually_true("a seal", SOON, sealed).await;
        let (good, said) = verify("C");
        assert!(good && said.contains("The audit log is whole.") && said.contains("as sealed"), "{said}");
        let (good, said) = verify("zh_CN.UTF-8");
        assert!(good && said.contains("审计日志完好。"), "{said}");
        let mut tables = Connection::open(&db);
        if db.postgres().is_some() {
            // The next two months are there before their first line; this one's began before the server did.
            assert_eq!(tables.count("pg_inherits WHERE inhparent = 'audit'::regclass"), 3);
        }
        let rows = tables.lines("SELECT CAST(MIN(id) AS TEXT) AS line FROM audit");
        let id: i64 = rows[0].parse().unwrap();
        assert_eq!(tables.run(&format!("UPDATE audit SET actor_kind = 'user' WHERE id = {id}")), 1);
        assert_eq!(tables.run(&format!("DELETE FROM audit WHERE id = {}", id + 1)), 1);
        let (good, said) = verify("C");
        let names = [id, id + 1].map(|id| songhe_kernel::audit::AuditId(id).to_string());
        assert!(!good, "{said}");
        assert!(said.contains(&format!("Line {} was changed.", names[0])), "{said}");
        assert!(said.contains(&format!("Line {} was removed.", names[1])), "{said}");
        assert!(said.contains("in 2 places"), "{said}");
        let (_, said) = verify("zh_CN.UTF-8");
        assert!(said.contains(&format!("记录 {} 被改动。", names[0])) && said.contains("2 处不符"), "{said}");
        // The end, with its seals: what was remembered outside tells.
        tables.run("DELETE FROM audit");
        tables.run("DELETE FROM audit_seal");
        let (good, said) = verify("C");
        assert!(!good && said.contains("The end of the log was cut off"), "{said}");
    }
}

/// Asks as whoever may, with the ids of what is there; the id of the request that succeeded.
async fn answered(people: &[Api], house: &House, method: &str, path: &str, body: &Value) -> Option<String> {
    for person in people {
        // What ends sessions ends those of somebody who does nothing else here.
        let ends_sessions = path.ends_with("sign-out") || path.ends_with("/session") || path.contains("/account/");
        let api = if ends_sessions { house.api("stranger").await } else { person.clone() };
        let path = concrete(&api, path).await;
        let request = api.request(method, &path);
        let request = if path.starts_with("/api/") {
            request.json(body)
        } else {
            request.header("content-type", "application/x-www-form-urlencoded").body("")
        };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        assert!(status < 500, "{method} {path} answered {status}");
        let sign_in = answer.headers().get("location").is_some_and(|to| to.as_bytes().starts_with(b"/sign-in"));
        if matches!(status, 200..=303) && !sign_in {
            return Some(answer.headers()["x-request-id"].to_str().unwrap().to_owned());
        }
    }
    None
}

/// A path with the first thing of its list in the parameter's place.
async fn concrete(api: &Api, path: &str) -> String {
    let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
    let Some(at) = parts.iter().position(|part| part.starts_with('{')) else { return path.to_owned() };
    let list = format!("/api/v1/{}", parts[at - 1]);
    let answer = api.request("GET", &list).send().await.unwrap();
    let first = match answer.status().as_u16() {
        200 => answer.json::<Value>().await.unwrap()["items"][0]["id"].as_str().map(str::to_owned),
        _ => None,
    };
    for part in parts.iter_mut().filter(|part| part.starts_with('{')) {
        *part = first.clone().unwrap_or_else(|| "x".to_owned());
    }
    parts.join("/")
}
