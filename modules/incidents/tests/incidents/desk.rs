//! The module over HTTP, and whoever speaks to it.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::HttpServer;
use serde_json::Value;
use songhe_incidents::{Boards, IncidentPanels, IncidentsHome};
use songhe_kernel::http::{self, App, HttpSettings, Parts};
use songhe_kernel::identity::{SessionKind, SessionToken, find_user_id, open_session};
use songhe_registry::{Panels, place};
use songhe_testkit::{Sse, TestDb};

use crate::common::Home;

/// The module served over HTTP.
pub struct Desk {
    pub home: Home,
    address: SocketAddr,
    client: reqwest::Client,
    stop: tokio::sync::watch::Sender<bool>,
    handle: actix_web::dev::ServerHandle,
}

impl Desk {
    pub async fn open(test: &TestDb) -> Self {
        let home = Home::open(test).await;
        let (stop, shutdown) = tokio::sync::watch::channel(false);
        let parts =
            Parts { db: home.db.clone(), modules: home.modules.clone(), settings: HttpSettings::default(), shutdown };
        let app = App::assemble(parts).unwrap();
        app.add_home_part(Arc::new(IncidentsHome));
        app.live.listen(Boards::start(home.db.clone()).await.unwrap());
        app.extend(Arc::new(Panels(vec![Arc::new(IncidentPanels)])));
        let configure = http::configure(app);
        let server = HttpServer::new(move || actix_web::App::new().configure(configure.clone()))
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { home, address, client: songhe_testkit::http::client(), stop, handle }
    }

    pub async fn token(&self, username: &'static str) -> String {
        let token = SessionToken::random();
        let text = token.reveal().to_owned();
        self.home
            .db
            .write(move |tx| {
                let user = find_user_id(tx.db(), username)?.unwrap();
                open_session(tx, user, SessionKind::Bearer, &token, None)
            })
            .await
            .unwrap();
        text
    }

    pub fn request(&self, method: &str, path: &str, token: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.client.request(method.parse().unwrap(), url).bearer_auth(token)
    }

    pub async fn page(&self, token: &str, locale: &str, path: &str) -> (u16, String) {
        let answer = self.request("GET", path, token).header("Accept-Language", locale).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub async fn form(&self, token: &str, path: &str, fields: &[(&str, &str)]) -> (u16, String, String) {
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self
            .request("POST", path, token)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body.join("&"));
        let answer = request.send().await.unwrap();
        let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), location.unwrap_or_default(), answer.text().await.unwrap())
    }

    pub async fn api(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.request(method, &format!("/api/v1{path}"), token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
    }

    pub async fn stream(&self, token: &str, query: &str, last: Option<&str>) -> Sse {
        let request = self.request("GET", &format!("/api/v1/stream{query}"), token);
        match last {
            Some(last) => Sse::open_after(request, last).await,
            None => Sse::open(request).await,
        }
    }

    /// A page's stream, and the name that the page is told.
    pub async fn page_stream(&self, token: &str) -> (Sse, String) {
        let mut stream = Sse::open(self.request("GET", "/stream", token)).await;
        let hello = stream.expect("a greeting", crate::screens::SOON, |event| event.event == "hello").await;
        (stream, hello.json()["stream"].as_str().unwrap().to_owned())
    }

    pub async fn tag(&self) -> String {
        let room = self.home.people.room;
        self.home.db.read(move |db| Ok(place(db, room)?.unwrap().tag_code)).await.unwrap()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        drop(self.handle.stop(false));
    }
}
