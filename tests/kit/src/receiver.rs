//! A local HTTP receiver for webhooks: records every request, and answers as it is told.

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Received {
    /// "POST"
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body as it was sent, for signatures.
    pub body: Vec<u8>,
}

impl Received {
    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Sends the same request again to `base` (`http://host:port`), as an attacker or a
    /// doubling network would.
    pub async fn repeat_to(&self, base: &str) -> reqwest::Response {
        let method = self.method.parse().expect("a method that was received");
        let mut request = crate::http::client().request(method, format!("{base}{}", self.path));
        for (name, value) in &self.headers {
            if name != "host" && name != "content-length" {
                request = request.header(name, value);
            }
        }
        request.body(self.body.clone()).send().await.expect("the repeated request had no answer")
    }
}

#[derive(Default)]
struct Behaviour {
    received: Vec<Received>,
    /// Answers for the coming requests; then `default`.
    planned: VecDeque<(u16, String)>,
    default: Option<u16>,
    delay: Duration,
    headers: Vec<(String, String)>,
    /// Of every answer that is not planned.
    body: String,
}

/// A running receiver; stopped on drop.
pub struct Receiver {
    port: u16,
    behaviour: Arc<Mutex<Behaviour>>,
    handle: ServerHandle,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Receiver {
    /// Listens on a free port of 127.0.0.1 and answers 200 to everything.
    pub fn start() -> Self {
        Self::start_on(0)
    }

    /// Listens on that port: a receiver that comes back.
    pub fn start_on(port: u16) -> Self {
        let behaviour = Arc::new(Mutex::new(Behaviour::default()));
        let data = web::Data::from(Arc::clone(&behaviour));
        let (send, receive) = std::sync::mpsc::channel();
        // A thread of its own: the receiver works in tests of any runtime, and in none.
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    let body_limit = web::PayloadConfig::new(16 * 1024 * 1024);
                    App::new().app_data(data.clone()).app_data(body_limit).default_service(web::to(answer))
                });
                let server = server.workers(1).disable_signals().shutdown_timeout(0);
                let server = server.bind(("127.0.0.1", port)).expect("cannot listen");
                let port = server.addrs()[0].port();
                let server = server.run();
                send.send((port, server.handle())).expect("the starter waits");
                server.await.expect("the receiver failed");
            });
        });
        let (port, handle) = receive.recv().expect("the receiver did not start");
        Self { port, behaviour, handle, thread: Some(thread) }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:PORT` + `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Behaviour) -> T) -> T {
        change(&mut lock(&self.behaviour))
    }

    /// Answers the next `times` requests with `status`, then as before. Calls add up.
    pub fn fail_times(&self, times: usize, status: u16) {
        self.with(|b| b.planned.extend(std::iter::repeat_n((status, String::new()), times)));
    }

    /// Answers the next request with `status` and a body. Calls add up.
    pub fn answer_once(&self, status: u16, body: &str) {
        self.with(|b| b.planned.push_back((status, body.to_owned())));
    }

    /// Every answer that is not planned has this body from now on.
    pub fn answer_body(&self, body: &str) {
        self.with(|b| b.body = body.to_owned());
    }

    /// Answers everything with `status` from now on.
    pub fn answer_always(&self, status: u16) {
        self.with(|b| b.default = Some(status));
    }

    /// Adds a header to every answer ("retry-after", "120").
    pub fn answer_header(&self, name: &str, value: &str) {
        self.with(|b| b.headers.push((name.to_owned(), value.to_owned())));
    }

    /// Records requests at once but answers only after `delay`.
    pub fn stall(&self, delay: Duration) {
        self.with(|b| b.delay = delay);
    }

    /// Back to answering 200 at once.
    pub fn behave(&self) {
        self.with(|b| *b = Behaviour { received: std::mem::take(&mut b.received), ..Behaviour::default() });
    }

    /// Everything received so far.
    pub fn received(&self) -> Vec<Received> {
        self.with(|b| b.received.clone())
    }

    /// Everything received so far, and forgets it.
    pub fn take(&self) -> Vec<Received> {
        self.with(|b| std::mem::take(&mut b.received))
    }

    /// Waits until at least `count` requests have come; panics after `limit`.
    pub async fn wait_for(&self, count: usize, limit: Duration) -> Vec<Received> {
        crate::eventually(&format!("{count} requests"), limit, || {
            let received = self.received();
            async move { (received.len() >= count).then_some(received) }
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Polled once or not, the stop command is already sent.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(behaviour: &Mutex<Behaviour>) -> std::sync::MutexGuard<'_, Behaviour> {
    behaviour.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

async fn answer(request: HttpRequest, body: web::Bytes, behaviour: web::Data<Mutex<Behaviour>>) -> HttpResponse {
    let headers = request.headers().iter();
    let received = Received {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        headers: headers
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: body.to_vec(),
    };
    let (status, text, delay, extra) = {
        let mut behaviour = lock(&behaviour);
        behaviour.received.push(received);
        let usual = (behaviour.default.unwrap_or(200), behaviour.body.clone());
        let (status, text) = behaviour.planned.pop_front().unwrap_or(usual);
        (status, text, behaviour.delay, behaviour.headers.clone())
    };
    if !delay.is_zero() {
        actix_web::rt::time::sleep(delay).await;
    }
    let status = actix_web::http::StatusCode::from_u16(status).expect("a status code");
    let mut response = HttpResponse::build(status);
    for header in extra {
        response.append_header(header);
    }
    response.body(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_records_and_answers_as_told() {
        let receiver = Receiver::start();
        receiver.fail_times(2, 503);
        let client = crate::http::client();
        let mut statuses = Vec::new();
        for _ in 0..3 {
            let request = client.post(receiver.url("/hook?a=1")).header("X-Sign", "s").body("{\"n\":1}");
            statuses.push(request.send().await.unwrap().status().as_u16());
        }
        assert_eq!(statuses, [503, 503, 200]);
        let received = receiver.wait_for(3, Duration::from_secs(5)).await;
        assert_eq!(received[0].path, "/hook?a=1");
        assert_eq!(received[0].header("x-sign"), Some("s"));
        assert_eq!(received[0].json()["n"], 1);
        received[0].repeat_to(&receiver.url("")).await;
        assert_eq!(receiver.take().len(), 4);
    }

    #[tokio::test]
    async fn a_stalled_receiver_has_the_request_and_gives_no_answer() {
        let receiver = Receiver::start();
        receiver.stall(Duration::from_secs(30));
        let request = crate::http::client().get(receiver.url("/"));
        assert!(request.timeout(Duration::from_millis(100)).send().await.is_err());
        assert_eq!(receiver.received().len(), 1);
        receiver.behave();
        assert!(crate::http::client().get(receiver.url("/")).send().await.is_ok());
    }

    #[tokio::test]
    async fn a_receiver_can_go_and_come_back_on_its_port() {
        let receiver = Receiver::start();
        let (port, url) = (receiver.port(), receiver.url("/"));
        drop(receiver);
        assert!(crate::http::client().get(&url).send().await.is_err());
        let _again = Receiver::start_on(port);
        assert!(crate::http::client().get(&url).send().await.is_ok());
    }
}
