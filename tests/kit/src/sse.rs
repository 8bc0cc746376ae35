//! A client for server-sent events.

use futures_util::StreamExt;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The id that `Last-Event-ID` would name; empty when the stream gave none.
    pub id: String,
    /// The event's name; "message" when the stream gave none.
    pub event: String,
    /// The data lines, joined by newlines.
    pub data: String,
}

impl SseEvent {
    /// The data as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {}", self.data))
    }
}

/// An open stream; closed on drop.
pub struct Sse {
    events: mpsc::UnboundedReceiver<SseEvent>,
    reader: JoinHandle<()>,
    last_id: String,
}

impl Sse {
    /// Opens a stream; panics unless it answers 200 with `text/event-stream`.
    pub async fn open(request: reqwest::RequestBuilder) -> Self {
        Self::try_open(request).await.unwrap_or_else(|reason| panic!("no stream: {reason}"))
    }

    /// Opens a stream where an earlier one ended.
    pub async fn open_after(request: reqwest::RequestBuilder, last_id: &str) -> Self {
        Self::open(request.header("Last-Event-ID", last_id)).await
    }

    /// Opens a stream; an error is a sentence with the status or the network's reason.
    pub async fn try_open(request: reqwest::RequestBuilder) -> Result<Self, String> {
        let request = request.header("Accept", "text/event-stream");
        let response = request.send().await.map_err(|error| error.to_string())?;
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        if response.status() != 200 || !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Err(format!("status {}, content type {kind:?}", response.status()));
        }
        let (send, events) = mpsc::unbounded_channel();
        let reader = tokio::spawn(read(response, send));
        Ok(Self { events, reader, last_id: String::new() })
    }

    /// The next event; `None` when the stream ended or nothing came within `limit`.
    pub async fn next(&mut self, limit: Duration) -> Option<SseEvent> {
        let event = tokio::time::timeout(limit, self.events.recv()).await.ok()??;
        if !event.id.is_empty() {
            self.last_id.clone_from(&event.id);
        }
        Some(event)
    }

    /// Passes over events until one fits; panics after `limit`, naming what came instead.
    pub async fn expect(&mut self, what: &str, limit: Duration, fits: impl Fn(&SseEvent) -> bool) -> SseEvent {
        let deadline = tokio::time::Instant::now() + limit;
        let mut passed = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            match self.next(left).await {
                Some(event) if fits(&event) => return event,
                Some(event) => passed.push(event),
                None => panic!("waited {limit:?} for {what}; the stream gave {passed:#?}"),
            }
        }
    }

    /// Panics if an event that fits comes within `limit`.
    pub async fn expect_none(&mut self, what: &str, limit: Duration, fits: impl Fn(&SseEvent) -> bool) {
        let deadline = tokio::time::Instant::now() + limit;
        while let Some(event) = self.next(deadline.saturating_duration_since(tokio::time::Instant::now())).await {
            assert!(!fits(&event), "{what} came: {event:?}");
        }
    }

    /// What has arrived and was not looked at yet.
    pub fn drain(&mut self) -> Vec<SseEvent> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// The id of the last event handed out, for [`Sse::open_after`].
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// True once the server or the network has ended the stream.
    pub fn has_ended(&self) -> bool {
        self.reader.is_finished()
    }
}

impl Drop for Sse {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read(response: reqwest::Response, send: mpsc::UnboundedSender<SseEvent>) {
    let mut bytes = response.bytes_stream();
    let mut parser = Parser::default();
    while let Some(Ok(chunk)) = bytes.next().await {
        for event in parser.feed(&chunk) {
            if send.send(event).is_err() {
                return;
            }
        }
    }
}

/// Lines of the event stream format; the id stays until another is given, as the format says.
#[derive(Default)]
struct Parser {
    pending: Vec<u8>,
    id: String,
    event: String,
    data: Option<String>,
}

impl Parser {
    fn feed(&mut self, chunk: &[u8]) -> Vec<SseEvent> {
        self.pending.extend_from_slice(chunk);
        let mut events = Vec::new();
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            events.extend(self.line(line.trim_end_matches(['\n', '\r'])));
        }
        events
    }

    fn line(&mut self, line: &str) -> Option<SseEvent> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let event = if event.is_empty() { "message".to_owned() } else { event };
            return self.data.take().map(|data| SseEvent { id: self.id.clone(), event, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = value.to_owned(),
            "event" => self.event = value.to_owned(),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            _ => {} // a comment (heartbeat), retry, or something newer than us
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn events_are_parsed_across_chunks() {
        let mut parser = Parser::default();
        assert!(parser.feed(b": beat\n\nid: 7\r\nevent: incid").is_empty());
        let events = parser.feed(b"ent\ndata: a\ndata:b\n\ndata\n\n");
        let first = SseEvent { id: "7".into(), event: "incident".into(), data: "a\nb".into() };
        assert_eq!(events[0], first);
        assert_eq!(events[1], SseEvent { id: "7".into(), event: "message".into(), data: String::new() });
    }

    /// Two events after the last id, then nothing; the stream stays open.
    async fn stream(request: HttpRequest) -> HttpResponse {
        let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
        let from: u32 = last.unwrap_or(0);
        let text = (from + 1..from + 3).map(|id| format!("id: {id}\nevent: tick\ndata: {{\"n\":{id}}}\n\n"));
        let head = futures_util::stream::iter([Ok::<_, actix_web::Error>(web::Bytes::from(text.collect::<String>()))]);
        let open = futures_util::stream::pending();
        HttpResponse::Ok().content_type("text/event-stream").streaming(head.chain(open))
    }

    #[test]
    fn a_stream_is_read_and_taken_up_again_after_the_last_id() {
        crate::run_test(read_and_take_up_again());
    }

    async fn read_and_take_up_again() {
        let app = || App::new().route("/stream", web::get().to(stream));
        let server = HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}/stream", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let client = crate::http::client();
        let mut sse = Sse::open(client.get(&url)).await;
        let second = sse.expect("the second", SOON, |event| event.json()["n"] == 2).await;
        assert_eq!((second.event.as_str(), sse.last_id()), ("tick", "2"));
        assert_eq!(sse.next(Duration::from_millis(50)).await, None);
        let mut later = Sse::open_after(client.get(&url), sse.last_id()).await;
        assert_eq!(later.next(SOON).await.unwrap().id, "3");
        let absent = client.get(url.replace("stream", "absent"));
        assert!(Sse::try_open(absent).await.err().unwrap().contains("404"));
        handle.stop(false).await;
        crate::eventually_true("the end of the stream", SOON, || async { sse.has_ended() }).await;
    }
}
