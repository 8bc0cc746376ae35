//! The module over HTTP, and whoever speaks to it.

use std::sync::Arc;

use serde_json::Value;
use songhe_incidents::{Boards, IncidentPanels, IncidentsHome};
use songhe_kernel::http::HttpSettings;
use songhe_registry::{Panels, place};
use songhe_testkit::{Served, Site, Sse, TestDb};

use crate::common::Home;

/// The module served over HTTP.
pub struct Desk {
    pub home: Home,
    client: reqwest::Client,
    site: Site,
    served: Served,
}

impl Desk {
    pub async fn open(test: &TestDb) -> Self {
        Self::at(Home::open(test).await).await
    }

    pub async fn at(home: Home) -> Self {
        let site = Site::open(&home.db, home.modules.clone(), HttpSettings::default());
        site.app.add_home_part(Arc::new(IncidentsHome));
        site.app.live.listen(Boards::start(home.db.clone()).await.unwrap());
        site.app.extend(Arc::new(Panels(vec![Arc::new(IncidentPanels)])));
        let served = site.serve();
        Self { home, client: songhe_testkit::http::client(), site, served }
    }

    pub async fn token(&self, username: &'static str) -> String {
        self.site.token(username).await
    }

    pub fn request(&self, method: &str, path: &str, token: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.served.address);
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
