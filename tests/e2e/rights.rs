//! Every route of the table, asked by every role, about what is theirs and about what is elsewhere.
//!
//! The requests are made from the route table and the API's own description: a route that is added is asked as well. What
//! lies elsewhere does not exist: whatever is planted there, no answer here changes by a byte, and whatever is asked by
//! its id is answered as an id that nobody has.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};
use songhe_kernel::FacilityId;
use songhe_kernel::http::Access;
use songhe_kernel::identity::Role;
use songhe_testkit::{Sse, TestDb, both_databases, http};

use crate::SOON;
use crate::rights_plant::{examples, happens, people, plant};
use crate::world::{House, MIGRATED, Plan};

/// Stands in every name that is planted elsewhere.
const MARK: &str = "暗处";
/// How many requests are under way at a time.
const AT_ONCE: usize = 8;
/// What its own server tells of itself alone: figures of the whole process move with whatever happens anywhere.
/// So does the audit log with whatever anybody does, this test included: `audit.rs` holds it against the scopes.
const OF_THE_PROCESS: [&str; 8] = [
    "/system",
    "/api/v1/system",
    "/metrics",
    "/readyz",
    "/audit",
    "/audit.csv",
    "/api/v1/audit",
    "/api/v1/audit/standing",
];
/// Routes by ids of which nobody but the system has any; `tests/system.rs` asks for those of others.
const OF_THE_SYSTEM: [&str; 3] = ["/api/v1/system/effects", "/api/v1/system/retries", "/api/v1/system/timers"];
/// Parts that the example here does not have: a picture, a contact of another number than its own.
const PARTS: [&str; 3] =
    ["/residents/{id}/photo", "/api/v1/residents/{id}/photo", "/residents/{id}/contacts/{contact}"];
/// What is the whole system's, and the same for everybody who may see it.
const OF_EVERYBODY: [&str; 1] = ["roles"];
/// Asked last of all, since they end what the other requests are sent with.
const ENDS_SESSIONS: [&str; 2] = ["POST /sign-out", "DELETE /api/v1/session"];
/// A route as it is asked here.
#[derive(Clone)]
pub struct Asked {
    method: String,
    pub path: &'static str,
    access: Access,
}

/// A session of somebody.
#[derive(Clone)]
pub struct Person {
    pub name: String,
    pub role: Role,
    pub token: String,
}

pub struct Asker {
    client: reqwest::Client,
    base: String,
    pub routes: Vec<Asked>,
    document: Value,
}

impl Asker {
    pub async fn ask(&self, person: &Person, method: &str, path: &str, body: &str) -> (u16, String) {
        let url = format!("{}{path}", self.base);
        let request = self.client.request(method.parse().unwrap(), url).bearer_auth(&person.token);
        let kind = if path.starts_with("/api/") { "application/json" } else { "application/x-www-form-urlencoded" };
        let request = request.header("content-type", kind).header("accept-language", "zh-CN");
        let answer = request.body(body.to_owned()).send().await.unwrap();
        let (status, endless) = (answer.status().as_u16(), is_stream(path));
        (status, if endless && status == 200 { String::new() } else { answer.text().await.unwrap() })
    }

    /// What the route's rule says of a role.
    fn admits(&self, house: &House, route: &Asked, role: Role) -> bool {
        match route.access {
            Access::Public | Access::SignedIn => true,
            Access::Permission(name) => house.server().app.permissions.roles(name).contains(&role),
        }
    }

    fn reads(&self) -> impl Iterator<Item = &Asked> {
        self.routes.iter().filter(|route| route.method == "GET" && !is_stream(route.path))
    }

    /// The parameters without which a list is not read.
    fn query(&self, route: &Asked, facility: FacilityId) -> String {
        let documented = self.document["paths"][route.path]["get"]["parameters"].as_array();
        let wanted = documented.into_iter().flatten().filter(|one| one["in"] == "query" && one["required"] == true);
        let pair = |one: &Value| {
            let name = one["name"].as_str().unwrap_or_default();
            let value = self.example(name, &one["schema"], facility);
            format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned))
        };
        let pairs: Vec<String> = wanted.map(pair).collect();
        if pairs.is_empty() || route.method != "GET" { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    /// A body that the operation's description allows, as far as a description tells.
    fn body(&self, route: &Asked, facility: FacilityId) -> String {
        let operation = &self.document["paths"][route.path][route.method.to_lowercase()];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if schema.is_null() { String::new() } else { self.example("", schema, facility).to_string() }
    }

    fn example(&self, name: &str, schema: &Value, facility: FacilityId) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
            return self.example(name, target, facility);
        }
        for one_of in ["anyOf", "oneOf"] {
            if let Some(first) = schema[one_of].as_array().and_then(|choices| choices.first()) {
                return self.example(name, first, facility);
            }
        }
        if let Some(value) = schema["enum"].as_array().and_then(|choices| choices.first()) {
            return value.clone();
        }
        if !schema["const"].is_null() {
            return schema["const"].clone();
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("object");
        match kind {
            "string" => text_example(name, schema, facility).into(),
            "integer" | "number" => schema["minimum"].as_i64().unwrap_or(1).max(1).into(),
            "boolean" => true.into(),
            "array" => json!([]),
            _ => {
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let fields: Map<String, Value> = required
                    .map(|name| (name.to_owned(), self.example(name, &schema["properties"][name], facility)))
                    .collect();
                fields.into()
            }
        }
    }
}

fn text_example(name: &str, schema: &Value, facility: FacilityId) -> String {
    match (name, schema["format"].as_str(), schema["pattern"].as_str()) {
        (_, _, Some(pattern)) if pattern.starts_with("^fac_") => facility.to_string(),
        (_, _, Some(pattern)) => format!("{}_0000000000001", pattern.trim_start_matches('^').get(..3).unwrap_or("x")),
        ("until" | "to" | "ends_at", Some("date-time"), _) => "2026-11-22T06:00:00Z".to_owned(),
        (_, Some("date-time"), _) => "2026-11-22T05:00:00Z".to_owned(),
        (_, Some("date"), _) => "2026-11-22".to_owned(),
        ("kind", ..) => "heart_rate".to_owned(),
        ("url", ..) => "https://example.invalid/".to_owned(),
        _ => "some words".to_owned(),
    }
}

fn is_stream(path: &str) -> bool {
    path == "/stream" || path == "/api/v1/stream"
}

/// A path with these ids in its parameters' places; ids that nobody has, where none is given.
fn with_id(path: &str, id: Option<&str>, prefix: &str) -> String {
    let mut id = id.map(ToOwned::to_owned);
    let nobody = format!("{prefix}_0000000000001");
    let part = |part: &str| {
        if part.starts_with('{') { id.take().unwrap_or_else(|| nobody.clone()) } else { part.to_owned() }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// What stands before the first parameter: `residents`.
pub fn noun(path: &str) -> &str {
    let head = path.split('{').next().unwrap_or_default().trim_matches('/');
    head.strip_prefix("api/v1/").unwrap_or(head)
}

/// Ids by what they are of.
pub type Examples = BTreeMap<&'static str, String>;

/// Takes out what differs between two answers about the same state: keys of forms, and tokens.
fn settled(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut run = String::new();
    for letter in text.chars().chain(std::iter::once('\n')) {
        if letter.is_ascii_alphanumeric() || letter == '-' || letter == '_' {
            run.push(letter);
            continue;
        }
        kept.push_str(if run.len() >= 32 { "#" } else { &run });
        run.clear();
        kept.push(letter);
    }
    kept
}

/// Whoever lacks the permission is refused whatever they ask for, and whoever has it is not.
async fn each_role_meets_the_rule(house: &House, asker: &Asker, people: &[Person]) {
    let mut asked = Vec::new();
    for person in people {
        for route in &asker.routes {
            let name = format!("{} {}", route.method, route.path);
            if !ENDS_SESSIONS.contains(&name.as_str()) && !is_stream(route.path) {
                asked.push((person, route, name));
            }
        }
    }
    let count = asked.len();
    let faults: Vec<String> = stream::iter(asked)
        .map(|(person, route, name)| async move {
            // A body that nobody can read: nothing is done, and the rule is asked before it.
            let path = with_id(route.path, None, "xxx");
            let (status, _) = asker.ask(person, &route.method, &path, "\u{1}").await;
            let right = match asker.admits(house, route, person.role) {
                true => !matches!(status, 401 | 403) && status < 500 || (status == 403 && route.path == "/metrics"),
                false => status == 403,
            };
            (!right).then(|| format!("{name} answered {status} to {}", person.name))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(|fault| async move { fault })
        .collect()
        .await;
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(count > 1_000, "{count} requests");
}

/// Every answer that these people get to reading anything of theirs.
async fn seen(asker: &Asker, people: &[Person], here: &Examples) -> BTreeMap<String, String> {
    let mut asked = Vec::new();
    for person in people {
        for route in asker.reads().filter(|route| !OF_THE_PROCESS.contains(&route.path)) {
            if !route.path.contains('{') {
                asked.push((person, route.path.to_owned()));
                for query in queries(asker, route) {
                    asked.push((person, format!("{}?{query}", route.path)));
                }
            } else if let Some(id) = here.get(noun(route.path)) {
                asked.push((person, with_id(route.path, Some(id), "xxx")));
            }
        }
    }
    let answers = stream::iter(asked).map(|(person, path)| async move {
        let (status, text) = asker.ask(person, "GET", &path, "").await;
        let text = if status == 200 { settled(&text) } else { String::new() };
        (format!("{} GET {path}", person.name), format!("{status} {text}"))
    });
    answers.buffer_unordered(AT_ONCE).collect().await
}

/// Searches for what is planted elsewhere, where a list can be searched.
fn queries(asker: &Asker, route: &Asked) -> Vec<String> {
    let documented = asker.document["paths"][route.path]["get"]["parameters"].as_array();
    let has = |wanted: &str| documented.into_iter().flatten().any(|parameter| parameter["name"] == wanted);
    let mark = "%E6%9A%97%E5%A4%84";
    let pages = ["/residents", "/people", "/devices"];
    let mut queries = Vec::new();
    if has("q") || pages.contains(&route.path) {
        queries.push(format!("q={mark}"));
    }
    if has("limit") {
        queries.push("limit=200".to_owned());
    }
    queries
}

/// Whatever appears elsewhere, nobody here is answered anything else than before.
async fn no_answer_tells_of_elsewhere(
    asker: &Asker,
    people: &[Person],
    here: &Examples,
    before: &BTreeMap<String, String>,
    foreign_ids: &[String],
) {
    let after = seen(asker, people, here).await;
    let mut faults = Vec::new();
    for (name, answer) in &after {
        if before.get(name) != Some(answer) {
            let (was, is) = (before.get(name).map_or("", String::as_str), answer.as_str());
            let at = was.bytes().zip(is.bytes()).position(|(a, b)| a != b).unwrap_or(was.len().min(is.len()));
            let from = (0..=at.saturating_sub(60)).rev().find(|at| is.is_char_boundary(*at)).unwrap_or_default();
            faults.push(format!("{name} changed: …{}", is[from..].chars().take(200).collect::<String>()));
        }
        // A search gives back what was searched for.
        let words =
            if name.contains("?q=") { answer.replace(&format!("value=\"{MARK}\""), "") } else { answer.clone() };
        if foreign_ids.iter().any(|id| words.contains(id)) || words.contains(&format!("{MARK}屋")) {
            faults.push(format!("{name} tells of elsewhere"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(after.values().filter(|answer| answer.starts_with("200")).count() > 100, "{} answers", after.len());
}

/// By its id, what is elsewhere is answered as what is nowhere; reading what is here succeeds.
async fn ids_of_elsewhere_are_ids_of_nothing(
    house: &House,
    asker: &Asker,
    people: &[Person],
    (mine, others): (&Examples, &Examples),
) {
    let mut asked = Vec::new();
    let mut without = BTreeSet::new();
    for route in asker.routes.iter().filter(|route| route.path.contains('{')) {
        match mine.get(noun(route.path)).zip(others.get(noun(route.path))) {
            Some(pair) => {
                assert_ne!(pair.0, pair.1, "{}: both see the same one", route.path);
                asked.extend(people.iter().map(|person| (person, route, pair)));
            }
            None if OF_THE_SYSTEM.iter().any(|known| route.path.starts_with(known)) => {}
            None if OF_EVERYBODY.contains(&noun(route.path)) => {}
            None => drop(without.insert(noun(route.path))),
        }
    }
    let count = asked.len();
    let faults: Vec<String> = stream::iter(asked)
        .map(|(person, route, (own, foreign))| async move {
            if !asker.admits(house, route, person.role) {
                return None;
            }
            let (body, query) = (asker.body(route, house.world.facility), asker.query(route, house.world.facility));
            let prefix = foreign.split('_').next().unwrap_or_default();
            let theirs = with_id(route.path, Some(foreign), "xxx") + &query;
            let nowhere = with_id(route.path, None, prefix) + &query;
            let (theirs, _) = asker.ask(person, &route.method, &theirs, &body).await;
            let (nowhere, _) = asker.ask(person, &route.method, &nowhere, &body).await;
            let name = format!("{} {} for {}", route.method, route.path, person.name);
            // A form about what is gone already leads back to its list.
            let refused = (400..500).contains(&theirs) || (theirs == 303 && route.method == "POST");
            if theirs != nowhere || !refused {
                return Some(format!("{name}: elsewhere {theirs}, nowhere {nowhere}"));
            }
            if route.method != "GET" {
                return None;
            }
            let mine = with_id(route.path, Some(own), "xxx") + &query;
            let (here, _) = asker.ask(person, "GET", &mine, "").await;
            // The sessions of an account with more rights than one's own are seen by nobody else.
            let above = here == 403 && route.path == "/api/v1/people/{id}/sessions";
            let absent = here == 404 && PARTS.contains(&route.path);
            (theirs != 404 || (here != 200 && !above && !absent))
                .then(|| format!("{name}: here {here}, elsewhere {theirs}"))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(|fault| async move { fault })
        .collect()
        .await;
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(count > 300, "{count} requests");
    // A new kind of thing needs an example here and elsewhere: plant it in `plant`, or tell its list in `LISTS`.
    assert!(without.is_empty(), "no examples of {without:?}");
}

/// Opens both streams for everybody who may have them.
async fn streams(asker: &Asker, people: &[Person]) -> Vec<(String, Sse)> {
    let mut open = Vec::new();
    for person in people {
        for path in ["/stream", "/api/v1/stream"] {
            let request = asker.client.get(format!("{}{path}", asker.base)).bearer_auth(&person.token);
            if let Ok(sse) = Sse::try_open(request).await {
                open.push((format!("{path} of {}", person.name), sse));
            }
        }
    }
    open
}

/// The streams of people here tell of what happens here, and of nothing else that happened since they were opened.
async fn streams_tell_of_here_alone(streams: Vec<(String, Sse)>, here: FacilityId, foreign: FacilityId) {
    let (own, foreign) = (here.to_string(), foreign.to_string());
    let mut told = 0;
    for (name, mut stream) in streams {
        let topic = format!("incidents:{own}");
        let listens = !name.contains("cashier") && !name.contains("pharmacist") && !name.contains("therapist");
        let mut all = Vec::new();
        if listens && !name.contains("family") {
            // What happened elsewhere was earlier: it would stand before this.
            let mine = |event: &songhe_testkit::SseEvent| event.data.contains(&topic) || event.event == "incident";
            while let Some(event) = stream.next(SOON).await {
                let done = mine(&event);
                all.push(event);
                if done {
                    told += 1;
                    break;
                }
            }
        }
        all.extend(stream.drain());
        for event in &all {
            assert!(!event.data.contains(&foreign) && !event.data.contains(MARK), "{name}: {event:?}");
        }
    }
    assert!(told >= 8, "{told} streams told of the call here");
}

both_databases! {
    from MIGRATED;

    async fn every_route_keeps_to_its_permission_and_its_scope(db: TestDb) {
        let mut house = House::start(db, &Plan::default()).await;
        let (own, foreign) = (house.world.facility, house.world.foreign);
        let app = house.server().app.clone();
        let asker = Asker {
            client: http::client(),
            base: house.server().url.clone(),
            routes: app
                .routes()
                .iter()
                .map(|route| Asked { method: route.method.to_string(), path: route.path, access: route.access })
                .collect(),
            document: serde_json::from_str(app.openapi()).unwrap(),
        };
        let (_, my_tag) = house.server().db.write(move |tx| plant(tx, own, "明处")).await.unwrap();
        house.press(0, "here-1").await;
        let here = people(&house, own, "here").await;
        let elsewhere = people(&house, foreign, "elsewhere").await;
        house.api("manager").await.the_incident("the call here", |_| true).await;
        happens(&house, &asker, &here, &house.world.buttons[0]).await;

        each_role_meets_the_rule(&house, &asker, &here).await;

        // What is here settles first: a device that was just heard, a stream that was just opened.
        let known = examples(&asker, &here, &my_tag).await;
        let mut before = seen(&asker, &here, &known).await;
        for _ in 0..10 {
            let again = seen(&asker, &here, &known).await;
            if again == before {
                break;
            }
            before = again;
        }

        let open = streams(&asker, &here).await;
        let (place, tag) = house.server().db.write(move |tx| plant(tx, foreign, MARK)).await.unwrap();
        let (broker, call) = (house.broker(), br#"{"id":"f-1","event":"sos"}"#);
        assert!(crate::mqtt::publish(&broker, &house.world.foreign_button, "event", call).await.ok);
        let incident = house.api("stranger").await.the_incident("the call elsewhere", |_| true).await;
        let foreign_ids = [place, incident["id"].as_str().unwrap().to_owned(), foreign.to_string(), tag.clone()];

        no_answer_tells_of_elsewhere(&asker, &here, &known, &before, &foreign_ids).await;
        happens(&house, &asker, &elsewhere, &house.world.foreign_button).await;
        let theirs = examples(&asker, &elsewhere, &tag).await;
        ids_of_elsewhere_are_ids_of_nothing(&house, &asker, &here, (&known, &theirs)).await;
        assert_eq!(examples(&asker, &elsewhere, &tag).await, theirs, "what is elsewhere was changed from here");

        house.press(1, "here-2").await;
        streams_tell_of_here_alone(open, own, foreign).await;
        for person in &here {
            assert_eq!(asker.ask(person, "DELETE", "/api/v1/session", "").await.0, 204, "{}", person.name);
        }
        house.close().await;
    }
}
