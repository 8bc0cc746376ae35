//! Accounts, roles as data, sessions and tokens, as people who manage them notice.

use std::time::Duration;

use serde_json::{Value, json};
use songhe_kernel::FacilityId;
use songhe_kernel::identity::{NewUser, NodeKind, PasswordHash, Role, add_scope_node, create_user, grant_role};
use songhe_testkit::{MIGRATED, TestDb, both_databases};

use crate::support::{Answer, Server};

const DAY: Duration = Duration::from_secs(86_400);

impl Server {
    /// An account with a role; its password is "correct-horse".
    async fn account(&self, username: &'static str, role: Role, at: Option<FacilityId>) {
        let password = PasswordHash::make("correct-horse").unwrap();
        let write = self.app.db.write(move |tx| {
            let (username, display_name) = (username.to_owned(), username.to_owned());
            let id = create_user(tx, &NewUser { username, display_name, password: password.clone(), locale: None })?;
            grant_role(tx, id, role, at.map(|at| at.0))
        });
        write.await.unwrap();
    }

    async fn other_facility(&self) -> FacilityId {
        let add = self.app.db.write(|tx| add_scope_node(tx, None, NodeKind::Facility, "别院"));
        FacilityId(add.await.unwrap())
    }

    async fn api(&self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        let request = self.request(method, &format!("/api/v1{path}")).bearer(token);
        if body.is_null() { request.send().await } else { request.json(&body).send().await }
    }

    async fn done(&self, token: &str, method: &str, path: &str, body: Value) -> Value {
        let answer = self.api(token, method, path, body).await;
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.body);
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    /// The status, and the field that is refused with its code.
    async fn refused(&self, token: &str, method: &str, path: &str, body: Value) -> (u16, String, String) {
        let answer = self.api(token, method, path, body).await;
        let problem: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match problem["errors"].get(0) {
            Some(error) => (answer.status, text(&error["field"]), text(&error["code"])),
            None => (answer.status, String::new(), text(&problem["code"])),
        }
    }

    async fn sign_in(&self, username: &str, password: &str) -> u16 {
        let body = json!({ "username": username, "password": password });
        self.post("/api/v1/session").json(&body).send().await.status
    }

    async fn opened(&self, username: &str, password: &str) -> String {
        let body = json!({ "username": username, "password": password });
        let answer = self.post("/api/v1/session").json(&body).send().await;
        let opened: Value = serde_json::from_str(&answer.body).unwrap();
        opened["token"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
    }

    async fn id_of(&self, token: &str, username: &str) -> String {
        let found = self.done(token, "GET", &format!("/people?q={username}"), Value::Null).await;
        found["items"][0]["id"].as_str().unwrap_or_else(|| panic!("no {username}: {found}")).to_owned()
    }
}

fn refusal(field: &str, code: &str) -> (u16, String, String) {
    (422, field.to_owned(), code.to_owned())
}

both_databases! {
    from MIGRATED;

    async fn an_administrator_makes_accounts_within_their_house_and_never_above_themselves(test: TestDb) {
        let server = Server::start(&test).await;
        let other = server.other_facility().await;
        server.account("head", Role::FacilityAdmin, Some(server.facility)).await;
        server.account("foreign", Role::Carer, Some(other)).await;
        server.account("keeper", Role::SystemAdmin, None).await;
        let (head, keeper) = (server.token("head").await, server.token("keeper").await);
        let new = |role: &str, at: String| json!({ "username": "li", "display_name": "李护理", "role": role, "at": at });
        let here = server.facility.to_string();

        assert_eq!(server.refused(&head, "POST", "/people", new("system_admin", here.clone())).await, refusal("role", "error-role-above"));
        // A nurse sees beds here, which the administrator of this small house does not.
        assert_eq!(server.refused(&head, "POST", "/people", new("nurse", here.clone())).await, refusal("role", "error-role-above"));
        for elsewhere in [other.to_string(), "*".to_owned(), "reg_0000000000001".to_owned(), "here".to_owned()] {
            assert_eq!(server.refused(&head, "POST", "/people", new("carer", elsewhere)).await, refusal("at", "error-unknown-choice"));
        }
        let made = server.done(&head, "POST", "/people", new("carer", here.clone())).await;
        let (id, password) = (made["id"].as_str().unwrap(), made["password"].as_str().unwrap());

        // The one-time password opens the door to choosing another one, and to nothing else.
        let li = server.opened("li", password).await;
        assert_eq!(server.refused(&li, "GET", "/account/sessions", Value::Null).await.2, "error-choose-password-first");
        assert_eq!(server.done(&li, "GET", "/me", Value::Null).await["must_change_password"], true);
        let choose = |current: &str, password: &str| json!({ "current": current, "password": password });
        for (wrong, field, code) in [
            (choose("wrong-wrong-wrong", "four green tables"), "current", "error-password-wrong"),
            (choose(password, "short"), "password", "error-password-short"),
            (choose(password, "qwertyuiop"), "password", "error-password-common"),
            (choose(password, password), "password", "error-password-same"),
        ] {
            assert_eq!(server.refused(&li, "PUT", "/account/password", wrong).await, refusal(field, code));
        }
        server.done(&li, "PUT", "/account/password", choose(password, "four green tables")).await;
        server.done(&li, "GET", "/account/sessions", Value::Null).await;
        assert_eq!(server.sign_in("li", password).await, 401);

        // Whoever holds no role here does not exist here; whoever holds more is not managed from here.
        let names = server.done(&head, "GET", "/people", Value::Null).await;
        let names: Vec<&str> = names["items"].as_array().unwrap().iter().map(|one| one["username"].as_str().unwrap()).collect();
        assert_eq!(names, ["nurse", "head", "li"]);
        let (foreign, boss) = (server.id_of(&keeper, "foreign").await, server.id_of(&keeper, "keeper").await);
        for stranger in [foreign, boss] {
            assert_eq!(server.api(&head, "GET", &format!("/people/{stranger}"), Value::Null).await.status, 404);
            assert_eq!(server.api(&head, "POST", &format!("/people/{stranger}/password"), Value::Null).await.status, 404);
        }
        let nurse = server.id_of(&head, "nurse").await;
        assert_eq!(server.api(&head, "POST", &format!("/people/{nurse}/password"), Value::Null).await.status, 403);
        assert_eq!(server.api(&head, "POST", &format!("/people/{nurse}/disable"), Value::Null).await.status, 403);

        // Reset and closed, every session ends; the one-time password has its time.
        let reset = server.done(&head, "POST", &format!("/people/{id}/password"), Value::Null).await;
        assert_eq!(server.api(&li, "GET", "/me", Value::Null).await.status, 401);
        server.clock.advance(DAY * 8);
        assert_eq!(server.sign_in("li", reset["password"].as_str().unwrap()).await, 401);
        let head = server.token("head").await;
        let reset = server.done(&head, "POST", &format!("/people/{id}/password"), Value::Null).await;
        let again = server.opened("li", reset["password"].as_str().unwrap()).await;
        assert_eq!(server.done(&head, "POST", &format!("/people/{id}/disable"), Value::Null).await["disabled"], true);
        assert_eq!(server.api(&again, "GET", "/me", Value::Null).await.status, 401);
        assert_eq!(server.sign_in("li", reset["password"].as_str().unwrap()).await, 401);
        let me = server.id_of(&head, "head").await;
        assert_eq!(server.refused(&head, "POST", &format!("/people/{me}/disable"), Value::Null).await.2, "error-disable-self");
    }

    async fn what_a_role_may_do_is_changed_at_once_and_the_last_keeper_stays(test: TestDb) {
        let server = Server::start(&test).await;
        server.account("keeper", Role::SystemAdmin, None).await;
        server.account("local", Role::SystemAdmin, Some(server.facility)).await;
        let (keeper, nurse) = (server.token("keeper").await, server.token("nurse").await);
        let local = server.token("local").await;
        assert_eq!(server.get("/beds").bearer(&nurse).send().await.status, 200);

        let none = json!({ "permissions": [] });
        assert_eq!(server.done(&keeper, "PUT", "/roles/nurse", none.clone()).await["changed"], true);
        assert_eq!(server.get("/beds").bearer(&nurse).send().await.status, 403);
        assert_eq!(server.api(&nurse, "GET", "/roles", Value::Null).await.status, 403);
        server.done(&keeper, "POST", "/roles/nurse/reset", Value::Null).await;
        assert_eq!(server.get("/beds").bearer(&nurse).send().await.status, 200);

        // A role of one's own.
        let made = server.done(&keeper, "POST", "/roles", json!({ "title": "带教护士", "like": "nurse" })).await;
        let name = made["name"].as_str().unwrap().to_owned();
        assert_eq!((&made["title"], &made["permissions"]), (&json!("带教护士"), &json!(["beds.read"])));
        let again = json!({ "title": "带教护士" });
        assert_eq!(server.refused(&keeper, "POST", "/roles", again).await, refusal("title", "error-already-exists"));
        server.account("tutor", Role::Family, Some(server.facility)).await;
        let (tutor, id) = (server.token("tutor").await, server.id_of(&keeper, "tutor").await);
        assert_eq!(server.get("/beds").bearer(&tutor).send().await.status, 403);
        let grant = json!({ "role": name, "at": server.facility.to_string() });
        let granted = server.done(&keeper, "POST", &format!("/people/{id}/grants"), grant).await;
        assert_eq!(server.get("/beds").bearer(&tutor).send().await.status, 200);
        assert!(server.get("/").bearer(&tutor).send().await.body.contains("带教护士"));
        assert_eq!(server.refused(&keeper, "DELETE", &format!("/roles/{name}"), Value::Null).await.2, "error-role-held");
        let held = granted["grants"].as_array().unwrap().iter().find(|grant| grant["role"] == name.as_str()).unwrap();
        let grant = format!("/people/{id}/grants/{}", held["id"].as_str().unwrap());
        server.done(&keeper, "DELETE", &grant, Value::Null).await;
        assert_eq!(server.get("/beds").bearer(&tutor).send().await.status, 403);
        server.done(&keeper, "DELETE", &format!("/roles/{name}"), Value::Null).await;

        // Nobody saws off the branch that everybody sits on.
        assert_eq!(server.refused(&keeper, "PUT", "/roles/system_admin", none).await, refusal("permissions", "error-system-admin-rights"));
        let unknown = json!({ "permissions": ["beds.fly"] });
        assert_eq!(server.refused(&keeper, "PUT", "/roles/nurse", unknown).await, refusal("permissions", "error-invalid-choice"));
        assert_eq!(server.api(&local, "POST", "/roles/nurse/reset", Value::Null).await.status, 404, "roles are the whole system's");
        let me = server.done(&keeper, "GET", "/people?q=keeper", Value::Null).await["items"][0].clone();
        let own = format!("/people/{}/grants/{}", me["id"].as_str().unwrap(), me["grants"][0]["id"].as_str().unwrap());
        assert_eq!(server.refused(&keeper, "DELETE", &own, Value::Null).await.2, "error-last-keeper");
        server.account("second", Role::SystemAdmin, None).await;
        server.done(&keeper, "DELETE", &own, Value::Null).await;
        assert_eq!(server.api(&keeper, "GET", "/roles", Value::Null).await.status, 403);
    }

    async fn sessions_are_seen_and_ended(test: TestDb) {
        let server = Server::start(&test).await;
        server.account("keeper", Role::SystemAdmin, None).await;
        let (one, two, three) = (server.token("nurse").await, server.token("nurse").await, server.token("nurse").await);
        let keeper = server.token("keeper").await;
        let mine = server.done(&one, "GET", "/account/sessions", Value::Null).await["items"].clone();
        let mine = mine.as_array().unwrap();
        assert_eq!(mine.len(), 3);
        assert!(mine.iter().all(|session| session["address"] == "127.0.0.1"), "{mine:?}");
        assert_eq!(mine.iter().filter(|session| session["current"] == true).count(), 1);
        // The last opened is listed first.
        let third = format!("/account/sessions/{}", mine[0]["id"].as_str().unwrap());
        assert_eq!(server.api(&keeper, "DELETE", &third, Value::Null).await.status, 404, "somebody else's");
        server.done(&one, "DELETE", &third, Value::Null).await;
        assert_eq!(server.api(&three, "GET", "/me", Value::Null).await.status, 401);
        assert_eq!(server.done(&one, "DELETE", "/account/sessions", Value::Null).await["ended"], 1);
        assert_eq!(server.api(&two, "GET", "/me", Value::Null).await.status, 401);
        assert_eq!(server.api(&one, "GET", "/me", Value::Null).await.status, 200);

        let id = server.id_of(&keeper, "nurse").await;
        let seen = server.done(&keeper, "GET", &format!("/people/{id}/sessions"), Value::Null).await;
        assert_eq!(seen["items"].as_array().unwrap().len(), 1);
        assert_eq!(server.done(&keeper, "DELETE", &format!("/people/{id}/sessions"), Value::Null).await["ended"], 1);
        assert_eq!(server.api(&one, "GET", "/me", Value::Null).await.status, 401);
    }

    async fn a_token_may_some_of_what_its_owner_may_and_ends(test: TestDb) {
        let server = Server::start(&test).await;
        let other = server.other_facility().await;
        server.account("keeper", Role::SystemAdmin, None).await;
        let (nurse, keeper) = (server.token("nurse").await, server.token("keeper").await);
        let new = |permissions: Value, facility: Value, days: i64| {
            json!({ "name": "大屏", "permissions": permissions, "facility_id": facility, "days": days })
        };
        let here = json!(server.facility);
        for (wrong, field, code) in [
            (new(json!([]), Value::Null, 30), "permissions", "error-choose"),
            (new(json!(["beds.secret"]), Value::Null, 30), "permissions", "error-not-yours"),
            (new(json!(["beds.read"]), json!(other), 30), "facility_id", "error-unknown-choice"),
            (new(json!(["beds.read"]), here.clone(), 731), "days", "error-out-of-range"),
        ] {
            assert_eq!(server.refused(&nurse, "POST", "/account/tokens", wrong).await, refusal(field, code));
        }
        let made = server.done(&nurse, "POST", "/account/tokens", new(json!(["beds.read"]), here, 30)).await;
        let token = made["token"].as_str().unwrap().to_owned();
        assert!(token.starts_with("songhe_"));
        assert_eq!(server.get("/beds").bearer(&token).send().await.status, 200);
        let me = server.done(&token, "GET", "/me", Value::Null).await;
        assert_eq!(me["permissions"], json!([{ "name": "beds.read", "everywhere": false, "facilities": [server.facility] }]));
        // What concerns the account itself is its owner's.
        for (method, path) in [("POST", "/account/tokens"), ("DELETE", "/account/sessions"), ("DELETE", "/session")] {
            let body = if method == "POST" { new(json!(["beds.read"]), Value::Null, 30) } else { Value::Null };
            assert_eq!(server.api(&token, method, path, body).await.status, 403, "{method} {path}");
        }
        let listed = server.done(&nurse, "GET", "/account/tokens", Value::Null).await["items"].clone();
        assert_eq!((&listed[0]["name"], &listed[0]["address"]), (&json!("大屏"), &json!("127.0.0.1")));
        assert!(listed[0]["last_used_at"].is_string() && !listed.to_string().contains(&token));

        // It never may more than its owner may now.
        server.done(&keeper, "PUT", "/roles/nurse", json!({ "permissions": [] })).await;
        assert_eq!(server.get("/beds").bearer(&token).send().await.status, 403);
        server.done(&keeper, "POST", "/roles/nurse/reset", Value::Null).await;
        assert_eq!(server.get("/beds").bearer(&token).send().await.status, 200);
        server.clock.advance(DAY * 31);
        assert_eq!(server.api(&token, "GET", "/me", Value::Null).await.status, 401);

        let nurse = server.token("nurse").await;
        let made = server.done(&nurse, "POST", "/account/tokens", new(json!(["beds.read"]), Value::Null, 30)).await;
        let token = made["token"].as_str().unwrap();
        let path = format!("/account/tokens/{}", made["id"].as_str().unwrap());
        let keeper = server.token("keeper").await;
        assert_eq!(server.api(&keeper, "DELETE", &path, Value::Null).await.status, 404, "somebody else's");
        server.done(&nurse, "DELETE", &path, Value::Null).await;
        assert_eq!(server.api(token, "GET", "/me", Value::Null).await.status, 401);
    }

    async fn the_pages_do_the_same(test: TestDb) {
        let server = Server::start(&test).await;
        server.account("keeper", Role::SystemAdmin, None).await;
        let keeper = server.browser("keeper").await;
        for path in ["/people", "/people/new", "/roles", "/roles/nurse", "/account", "/account/password"] {
            let page = server.get(path).with(&keeper).send().await;
            assert_eq!(page.status, 200, "{path}: {}", page.body);
        }
        let post = |path: String, form: String| {
            server.post(&path).with(&keeper).form(&format!("csrf={}&{form}", keeper.csrf)).send()
        };
        let wrong = post("/people".into(), "username=x&display_name=&role=nurse&at=*".into()).await;
        assert_eq!(wrong.status, 422);
        let form = format!("username=zhao&display_name=ZHAO&role=nurse&at={}&form_key=k1", server.facility);
        let once = post("/people".into(), form.clone()).await;
        assert_eq!(once.status, 200);
        let password = once.body.split("<output class=\"value\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
        // Sent again it is made once, and its password is not known any more.
        let again = post("/people".into(), form).await;
        assert!(again.status == 200 && !again.body.contains("<output"), "{}", again.body);

        let opened = server.post("/sign-in").form(&format!("username=zhao&password={password}")).send().await;
        let cookie = opened.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let home = server.get("/").header("Cookie", &cookie).send().await;
        assert_eq!((home.status, home.header("location")), (303, Some("/account/password")));

        let changed = post("/roles/nurse".into(), "p%3Apeople.read=on".into()).await;
        assert_eq!((changed.status, changed.header("location")), (303, Some("/roles")));
        let token = server.token("nurse").await;
        assert_eq!(server.api(&token, "GET", "/people", Value::Null).await.status, 200);
        assert_eq!(post("/roles/nurse/reset".into(), String::new()).await.status, 303);
        let made = post("/account/tokens".into(), "name=wall&days=30&facility_id=&p%3Apeople.read=on".into()).await;
        assert!(made.status == 200 && made.body.contains("songhe_"), "{}", made.body);
    }
}
