//! The API as a program uses it.

use std::future::Future;

use serde_json::{Value, json};
use songhe_testkit::{Sse, SseEvent, eventually, http};

use crate::SOON;
use crate::world::PASSWORD;

/// Somebody who is signed in.
#[derive(Clone)]
pub struct Api {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    pub async fn sign_in(base: &str, user: &str) -> Self {
        Self::sign_in_with(http::client(), base, user, PASSWORD).await
    }

    pub async fn sign_in_with(client: reqwest::Client, base: &str, user: &str, password: &str) -> Self {
        let request = client.post(format!("{base}/api/v1/session"));
        let answer = request.json(&json!({ "username": user, "password": password })).send().await.unwrap();
        assert_eq!(answer.status(), 201, "sign-in of {user}");
        let token = answer.json::<Value>().await.unwrap()["token"].as_str().expect("a token").to_owned();
        Self { client, base: base.to_owned(), token }
    }

    /// What it signs requests with.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The same session at another server.
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    pub async fn status(&self, method: &str, path: &str) -> u16 {
        self.request(method, path).send().await.unwrap().status().as_u16()
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.request("GET", path).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 200, "GET {path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.request("POST", path).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "POST {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// `GET /api/v1/stream`.
    pub async fn stream(&self) -> Sse {
        Sse::open(self.request("GET", "/api/v1/stream")).await
    }

    pub async fn stream_after(&self, last_id: &str) -> Sse {
        Sse::open_after(self.request("GET", "/api/v1/stream"), last_id).await
    }

    pub async fn open_incidents(&self) -> Vec<Value> {
        self.get("/api/v1/incidents?status=open").await["items"].as_array().expect("items").clone()
    }

    /// Waits until exactly one incident is open and it fits.
    pub async fn the_incident(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.until(what, || async {
            let open = self.open_incidents().await;
            assert!(open.len() < 2, "one incident was wanted: {open:#?}");
            open.into_iter().next().filter(|incident| fits(incident))
        })
        .await
    }

    /// An incident with its story and deliveries, once it fits.
    pub async fn detail(&self, id: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/v1/incidents/{id}");
        self.until(what, || async { Some(self.get(&path).await).filter(|detail| fits(detail)) }).await
    }

    async fn until<T, P: Future<Output = Option<T>>>(&self, what: &str, probe: impl FnMut() -> P) -> T {
        eventually(what, SOON, probe).await
    }
}

/// A text field.
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value:#}"))
}

/// Whether it is the stream's word that an incident changed so.
pub fn is_change(event: &SseEvent, change: &str) -> bool {
    event.event == "incident" && event.json()["change"] == change
}

/// Lines of a kind in an incident's story.
pub fn lines<'a>(detail: &'a Value, kind: &str) -> Vec<&'a Value> {
    detail["story"].as_array().expect("a story").iter().filter(|line| line["kind"] == kind).collect()
}
