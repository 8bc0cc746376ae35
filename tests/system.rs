//! The system page and its API: who sees what, what can be tried again, and what housekeeping removes; and that the
//! API does whatever pages do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use serde_json::Value;
use songhe::assembly::{Server, StartOptions};
use songhe::config::Config;
use songhe_kernel::http::Access;
use songhe_kernel::identity::{NewUser, NodeKind, PasswordHash, Role, add_scope_node, create_user, grant_role};
use songhe_kernel::schema::{effect, event, timer};
use songhe_kernel::{EffectId, FacilityId, ManualClock, Moment, NewEvent, Tx};
use songhe_registry::{FacilityKind, NewFacility};
use songhe_testkit::{TestDb, both_databases};

const PASSWORD: &str = "correct-horse";
const DAY: Duration = Duration::from_secs(86_400);

struct House {
    server: Server,
    clock: Arc<ManualClock>,
    here: FacilityId,
    elsewhere: FacilityId,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

/// A server with two facilities, and an administrator of all, one of the first, and a nurse.
async fn house(db: &TestDb) -> House {
    let folder = songhe_testkit::temp_dir();
    let mut config = Config { disk: songhe::config::Disk::OFF, ..Config::default() };
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.mqtt.listen = "127.0.0.1:0".parse().unwrap();
    config.mqtt.data_dir = folder.path().join("mqtt");
    config.database.url = db.url().to_owned();
    let clock = Arc::new(ManualClock::at("2026-11-22T08:00:00Z".parse().unwrap()));
    let server = Server::start(&config, clock.clone(), StartOptions::default()).await.unwrap();
    let password = PasswordHash::make(PASSWORD).unwrap();
    let (here, elsewhere) = server
        .db
        .write(move |tx| {
            let street = add_scope_node(tx, None, NodeKind::Region, "梧桐街道")?;
            let here = add_scope_node(tx, Some(street), NodeKind::Facility, "梧桐里养老院")?;
            let elsewhere = add_scope_node(tx, Some(street), NodeKind::Facility, "柳岸养老院")?;
            for (username, role, node) in [
                ("keeper", Role::SystemAdmin, None),
                ("head", Role::FacilityAdmin, Some(here)),
                ("nurse", Role::Nurse, Some(here)),
            ] {
                let user = NewUser {
                    username: username.into(),
                    display_name: username.into(),
                    password: password.clone(),
                    locale: None,
                };
                let id = create_user(tx, &user)?;
                grant_role(tx, id, role, node)?;
            }
            Ok((FacilityId(here), FacilityId(elsewhere)))
        })
        .await
        .unwrap();
    House { server, clock, here, elsewhere, client: reqwest::Client::new(), _folder: folder }
}

impl House {
    async fn token(&self, username: &str) -> String {
        let body = serde_json::json!({ "username": username, "password": PASSWORD });
        let url = format!("{}/api/v1/session", self.server.url);
        let answer = self.client.post(url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        answer.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned()
    }

    async fn get(&self, token: &str, path: &str) -> (u16, String) {
        let request = self.client.get(format!("{}{path}", self.server.url)).bearer_auth(token);
        let answer = request.header("Accept-Language", "en").send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn post(&self, token: &str, path: &str) -> u16 {
        let request = self.client.post(format!("{}{path}", self.server.url)).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    }

    /// The state by the API.
    async fn state(&self, token: &str) -> Value {
        let (status, text) = self.get(token, "/api/v1/system").await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }
}

impl House {
    /// Asks until the answer is as expected: the server looks after itself every ten seconds.
    async fn eventually(&self, token: &str, path: &str, expected: impl Fn(&Value) -> bool) -> Value {
        let mut text = String::new();
        for _ in 0..300 {
            let status;
            (status, text) = self.get(token, path).await;
            assert_eq!(status, 200, "{text}");
            let value: Value = serde_json::from_str(&text).unwrap();
            if expected(&value) {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{path} stays {text}");
    }
}

/// What pages do, and the operation of the API that does the same. Whoever adds a page's action adds a line here, and the
/// operation.
const ACTIONS: [(&str, &str); 88] = [
    ("POST /sign-in", "POST /api/v1/session"),
    ("POST /sign-out", "DELETE /api/v1/session"),
    ("POST /preferences", "PUT /api/v1/me/preferences"),
    ("POST /account/password", "PUT /api/v1/account/password"),
    ("POST /account/sessions/end-others", "DELETE /api/v1/account/sessions"),
    ("POST /account/sessions/{id}/end", "DELETE /api/v1/account/sessions/{id}"),
    ("POST /account/tokens", "POST /api/v1/account/tokens"),
    ("POST /account/tokens/{id}/revoke", "DELETE /api/v1/account/tokens/{id}"),
    ("POST /people", "POST /api/v1/people"),
    ("POST /people/{id}", "PUT /api/v1/people/{id}"),
    ("POST /people/{id}/grants", "POST /api/v1/people/{id}/grants"),
    ("POST /people/{id}/grants/{grant}/withdraw", "DELETE /api/v1/people/{id}/grants/{grant}"),
    ("POST /people/{id}/disable", "POST /api/v1/people/{id}/disable"),
    ("POST /people/{id}/enable", "POST /api/v1/people/{id}/enable"),
    ("POST /people/{id}/password", "POST /api/v1/people/{id}/password"),
    ("POST /people/{id}/sessions/end", "DELETE /api/v1/people/{id}/sessions"),
    ("POST /roles", "POST /api/v1/roles"),
    ("POST /roles/{role}", "PUT /api/v1/roles/{role}"),
    ("POST /roles/{role}/reset", "POST /api/v1/roles/{role}/reset"),
    ("POST /roles/{role}/delete", "DELETE /api/v1/roles/{role}"),
    ("POST /staff/{id}/account", "PUT /api/v1/staff/{id}/account"),
    ("POST /system/effects/release", "POST /api/v1/system/effects/release"),
    ("POST /residents", "POST /api/v1/residents"),
    ("POST /residents/{id}/move", "POST /api/v1/residents/{id}/move"),
    ("POST /residents/{id}/contacts", "POST /api/v1/residents/{id}/contacts"),
    ("POST /residents/{id}/contacts/{contact}", "PUT /api/v1/residents/{id}/contacts/{contact}"),
    ("POST /residents/{id}/contacts/{contact}/remove", "DELETE /api/v1/residents/{id}/contacts/{contact}"),
    ("POST /residents/{id}/contacts/{contact}/up", "PUT /api/v1/residents/{id}/contacts"),
    ("POST /residents/{id}/edit", "PUT /api/v1/residents/{id}/record"),
    ("POST /residents/{id}/status", "POST /api/v1/residents/{id}/status"),
    ("POST /residents/{id}/status/{fact}/correct", "POST /api/v1/residents/{id}/status/{fact}/correct"),
    ("POST /residents/{id}/consents", "POST /api/v1/residents/{id}/consents"),
    ("POST /residents/{id}/consents/{consent}/revoke", "POST /api/v1/residents/{id}/consents/{consent}/revoke"),
    ("POST /residents/{id}/cards", "POST /api/v1/residents/{id}/cards"),
    ("POST /residents/{id}/cards/{card}", "PUT /api/v1/residents/{id}/cards/{card}"),
    ("POST /residents/{id}/document", "PUT /api/v1/residents/{id}/document"),
    ("POST /residents/{id}/document/remove", "DELETE /api/v1/residents/{id}/document"),
    ("POST /residents/{id}/document/unmask", "POST /api/v1/residents/{id}/document/unmask"),
    ("POST /residents/{id}/photo", "PUT /api/v1/residents/{id}/photo"),
    ("POST /residents/{id}/photo/remove", "DELETE /api/v1/residents/{id}/photo"),
    ("POST /places", "POST /api/v1/places"),
    ("POST /staff", "POST /api/v1/staff"),
    ("POST /rosters/shifts", "POST /api/v1/shifts"),
    ("POST /rosters/shifts/{id}/remove", "DELETE /api/v1/shifts/{id}"),
    ("POST /devices", "POST /api/v1/devices"),
    ("POST /devices/{id}/bind", "POST /api/v1/devices/{id}/bind"),
    ("POST /devices/{id}/credential", "POST /api/v1/devices/{id}/credential"),
    ("POST /devices/{id}/call-actions", "POST /api/v1/devices/{id}/call-actions"),
    ("POST /device-tests", "POST /api/v1/device-tests"),
    ("POST /device-tests/{id}/cancel", "POST /api/v1/device-tests/{id}/cancel"),
    ("POST /device-tests/{id}/shown", "POST /api/v1/device-tests/{id}/shown"),
    ("POST /device-tests/{id}/real", "POST /api/v1/device-tests/{id}/real"),
    ("POST /device-tests/plan", "PUT /api/v1/device-tests/plan"),
    ("POST /device-tests/exempt", "POST /api/v1/device-tests/exempt"),
    ("POST /reports/targets", "PUT /api/v1/reports/targets"),
    ("POST /devices/{id}/status", "POST /api/v1/devices/{id}/status"),
    ("POST /devices/{id}/heartbeat", "POST /api/v1/devices/{id}/heartbeat"),
    ("POST /devices/{id}/tests", "POST /api/v1/device-tests"),
    ("POST /devices/{id}/loan", "POST /api/v1/devices/{id}/loan"),
    ("POST /devices/{id}/return", "POST /api/v1/devices/{id}/return"),
    ("POST /devices/{id}/rotate", "POST /api/v1/devices/{id}/credential/rotate"),
    ("POST /devices/{id}/commands", "POST /api/v1/devices/{id}/commands"),
    ("POST /devices/heartbeats", "PUT /api/v1/heartbeat-limits"),
    ("POST /devices/import", "POST /api/v1/devices/import"),
    ("POST /devices/import/commit", "POST /api/v1/devices/import"),
    ("POST /quarantine/{id}/dismiss", "POST /api/v1/quarantine/{id}/dismiss"),
    ("POST /incidents/board/presence", "POST /api/v1/presence"),
    ("POST /incidents/{id}/acknowledge", "POST /api/v1/incidents/{id}/acknowledge"),
    ("POST /incidents/{id}/arrive", "POST /api/v1/incidents/{id}/arrive"),
    ("POST /incidents/{id}/resolve", "POST /api/v1/incidents/{id}/resolve"),
    ("POST /incidents/{id}/note", "POST /api/v1/incidents/{id}/note"),
    ("POST /incidents/{id}/review", "POST /api/v1/incidents/{id}/review"),
    ("POST /t/{tag}/arrive", "POST /api/v1/tags/{tag}/arrive"),
    ("POST /ladders", "POST /api/v1/ladders"),
    ("POST /ladders/{id}", "PUT /api/v1/ladders/{id}"),
    ("POST /ladders/{id}/delete", "DELETE /api/v1/ladders/{id}"),
    ("POST /endpoints", "POST /api/v1/webhook-endpoints"),
    ("POST /endpoints/{id}/test", "POST /api/v1/webhook-endpoints/{id}/test"),
    ("POST /endpoints/{id}", "PUT /api/v1/webhook-endpoints/{id}"),
    ("POST /endpoints/{id}/active", "PUT /api/v1/webhook-endpoints/{id}/active"),
    ("POST /endpoints/{id}/secret", "POST /api/v1/webhook-endpoints/{id}/secret"),
    ("POST /endpoints/{id}/delete", "DELETE /api/v1/webhook-endpoints/{id}"),
    (
        "POST /endpoints/{id}/deliveries/{effect}/replay",
        "POST /api/v1/webhook-endpoints/{id}/deliveries/{effect}/replay",
    ),
    ("POST /incidents/{id}/deliveries/{effect}/replay", "POST /api/v1/incidents/{id}/deliveries/{effect}/replay"),
    ("POST /message-templates", "PUT /api/v1/message-templates"),
    ("POST /staff/{id}/phone", "PUT /api/v1/staff/{id}/phone"),
    ("POST /staff/{id}/unmask", "POST /api/v1/staff/{id}/unmask"),
    ("POST /residents/{id}/unmask", "POST /api/v1/residents/{id}/unmask"),
];

/// An effect that is over, written now.
fn add_effect(tx: &mut Tx<'_>, facility: FacilityId, status: &str) -> songhe_kernel::Result<EffectId> {
    let (id, now) = (tx.next_id(), tx.now());
    diesel::insert_into(effect::table)
        .values((
            effect::id.eq(id),
            effect::module.eq("system"),
            effect::kind.eq("webhook"),
            effect::subject.eq("inc_0000000000000"),
            effect::facility_id.eq(Some(facility.0)),
            effect::target.eq("{}"),
            effect::payload.eq("{}"),
            effect::status.eq(status),
            effect::next_at.eq(now),
            effect::valid_until.eq(now),
            effect::error.eq(Some("connection refused")),
            effect::created_at.eq(now),
            effect::done_at.eq(Some(now)),
        ))
        .execute(tx.db())?;
    Ok(EffectId(id))
}

fn ids(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

both_databases! {
    async fn a_reader_sees_what_is_of_his_facilities(db: TestDb) {
        let house = house(&db).await;
        let (here, elsewhere) = (house.here, house.elsewhere);
        let (mine, other) = house
            .server
            .db
            .write(move |tx| Ok((add_effect(tx, here, "failed")?, add_effect(tx, elsewhere, "expired")?)))
            .await
            .unwrap();
        let (keeper, head, nurse) = (house.token("keeper").await, house.token("head").await, house.token("nurse").await);

        let all = house.state(&keeper).await;
        assert_eq!(ids(&all["effects"]), [other.to_string(), mine.to_string()]);
        assert_eq!(all["totals"]["effects_lost"], 2);
        assert_eq!(all["broker"]["kind"], "embedded");
        assert_eq!(all["adapters"][0]["name"], "songhe-mqtt");
        assert_eq!(all["oldest_transaction_s"].is_null(), db.kind() == songhe_testkit::Kind::Sqlite);
        assert!(all["timers"].as_array().unwrap().iter().any(|timer| timer["kind"] == "system/purge"), "{all}");
        assert_eq!(ids(&house.state(&head).await["effects"]), [mine.to_string()]);
        assert_eq!(house.get(&nurse, "/api/v1/system").await.0, 403);

        for token in [&keeper, &head] {
            let (status, page) = house.get(token, "/system").await;
            assert_eq!(status, 200, "{page}");
            assert!(page.contains("connection refused") && page.contains("songhe-mqtt"), "{page}");
            assert!(page.contains("Effects that failed or expired in the last 24 hours"), "{page}");
        }
        house.server.stop().await;
    }

    async fn a_failed_effect_is_sent_again_by_who_keeps_the_system(db: TestDb) {
        let house = house(&db).await;
        let here = house.here;
        let id = house.server.db.write(move |tx| add_effect(tx, here, "failed")).await.unwrap();
        let (keeper, head) = (house.token("keeper").await, house.token("head").await);
        let replay = format!("/api/v1/system/effects/{id}/replay");
        assert_eq!(house.post(&head, &replay).await, 403);
        assert_eq!(house.post(&keeper, "/api/v1/system/effects/eff_0000000000001/replay").await, 404);
        assert_eq!(house.post(&keeper, "/api/v1/system/retries/rty_0000000000001/unpark").await, 404);
        assert_eq!(house.post(&keeper, "/api/v1/system/timers/cron:system:purge/unpark").await, 404);
        assert_eq!(house.post(&keeper, &replay).await, 204);
        // The endpoint that it names is none: it is refused again, after an attempt.
        let attempted = |state: &Value| state["effects"][0]["attempts"].as_i64().unwrap_or_default() > 0;
        let mut state = house.state(&keeper).await;
        for _ in 0..100 {
            if attempted(&state) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            state = house.state(&keeper).await;
        }
        assert!(attempted(&state), "{state}");
        house.server.stop().await;
    }

    async fn what_was_given_up_is_an_incident_until_somebody_decides(db: TestDb) {
        let house = house(&db).await;
        let facility = house.server.db.write(|tx| {
            let street = add_scope_node(tx, None, NodeKind::Region, "青松街道")?;
            let new = NewFacility::new(street, FacilityKind::NursingHome, "nursing-home", "青松院", "青松院");
            let facility = songhe_registry::create_facility(tx, &new, None)?;
            let now = tx.now();
            diesel::insert_into(timer::table)
                .values((
                    timer::key.eq("given-up"),
                    timer::module.eq("system"),
                    timer::kind.eq("unknown"),
                    timer::facility_id.eq(Some(facility.0)),
                    timer::data.eq("{}"),
                    timer::due_at.eq(now),
                    timer::attempts.eq(10),
                    timer::parked_at.eq(Some(now)),
                ))
                .execute(tx.db())?;
            Ok(facility)
        });
        let facility = facility.await.unwrap();
        let keeper = house.token("keeper").await;
        let list = format!("/api/v1/incidents?status=open&facility={facility}");
        let found = house.eventually(&keeper, &list, |list| list["items"][0].is_object()).await;
        assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
        assert_eq!(found["items"][0]["kind"], "system");
        assert_eq!(found["items"][0]["cause"]["kind"], "parked_work");
        let id = found["items"][0]["id"].as_str().unwrap();
        let (_, page) = house.get(&keeper, &format!("/incidents/{id}")).await;
        assert!(page.contains("One piece of background work"), "{page}");

        assert_eq!(house.post(&keeper, "/api/v1/system/timers/given-up/unpark").await, 204);
        let cleared = |incident: &Value| {
            incident["story"].as_array().unwrap().iter().any(|line| line["kind"] == "cleared")
        };
        house.eventually(&keeper, &format!("/api/v1/incidents/{id}"), cleared).await;
        house.server.stop().await;
    }

    async fn the_api_does_whatever_pages_do(db: TestDb) {
        let house = house(&db).await;
        let routes: BTreeMap<String, Access> = house
            .server
            .app
            .routes()
            .iter()
            .map(|route| (format!("{} {}", route.method, route.path), route.access))
            .collect();
        let actions: BTreeMap<&str, &str> = ACTIONS.into_iter().collect();
        let on_pages = routes.keys().filter(|name| !name.starts_with("GET ") && !name.contains(" /api/"));
        let without: Vec<&String> = on_pages.filter(|name| !actions.contains_key(name.as_str())).collect();
        assert!(without.is_empty(), "pages do what the API does not: {without:?}");
        let document: Value = serde_json::from_str(house.server.app.openapi()).unwrap();
        for (page, operation) in actions {
            let (Some(on_page), Some(by_api)) = (routes.get(page), routes.get(operation)) else {
                panic!("{page} or {operation} is not there");
            };
            // What is open to strangers on pages is about the door, or about their browser alone.
            assert!(on_page == by_api || *on_page == Access::Public, "{page} and {operation} ask for different rights");
            let (method, path) = operation.split_once(' ').unwrap();
            let described = &document["paths"][path][method.to_lowercase()];
            assert!(described["summary"].is_string(), "{operation} is not described");
            let parameters = described["parameters"].as_array().unwrap();
            let has_key = parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key");
            assert_eq!(has_key, method == "POST" && *by_api != Access::Public, "{operation}");
        }
        house.server.stop().await;
    }

    async fn what_has_had_its_time_goes_and_nothing_else(db: TestDb) {
        let house = house(&db).await;
        let here = house.here;
        let write = move |tx: &mut Tx<'_>| {
            for status in ["delivered", "expired", "failed"] {
                add_effect(tx, here, status)?;
            }
            tx.publish(NewEvent {
                kind: "registry.facility.created",
                version: 1,
                facility: Some(here),
                subject: here.to_string(),
                actor: None,
                data: serde_json::json!({}),
            })
        };
        let keeper = house.token("keeper").await;
        // What a module has not seen yet is not removed, and the next purge is an hour away.
        let passed = |state: &Value| state["subscriptions"].as_array().unwrap().iter().all(|cursor| cursor["behind"] == 0);
        house.server.db.write(write).await.unwrap();
        house.eventually(&keeper, "/api/v1/system", passed).await;
        house.clock.advance(DAY * 31);
        house.server.db.write(write).await.unwrap();
        eventually_left(&house, &["delivered", "expired", "failed", "failed"], 2).await;
        let keeper = house.token("keeper").await;
        house.eventually(&keeper, "/api/v1/system", passed).await;
        house.clock.advance(DAY * 150);
        eventually_left(&house, &["failed"], 1).await;
        house.server.stop().await;
    }
}

/// Waits until these effects and so many events are left; each slice comes a second after the one before.
async fn eventually_left(house: &House, statuses: &[&str], events: i64) {
    let left = || async {
        house.clock.advance(Duration::from_secs(2));
        let read = house.server.db.read(|db| {
            let effects: Vec<(String, Moment)> =
                effect::table.order(effect::status.asc()).select((effect::status, effect::created_at)).load(db)?;
            let effects: Vec<String> = effects.into_iter().map(|(status, _)| status).collect();
            Ok((effects, event::table.count().get_result::<i64>(db)?))
        });
        read.await.unwrap()
    };
    let mut found = left().await;
    for _ in 0..200 {
        if found.0 == statuses && found.1 == events {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        found = left().await;
    }
    panic!("left: {found:?}, expected {statuses:?} and {events} events");
}
