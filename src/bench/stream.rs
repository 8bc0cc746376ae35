//! Reads `/api/v1/stream` as a program would.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_util::StreamExt;
use tokio::task::JoinHandle;

use super::house::PASSWORD;
use crate::cli::Failure;

/// Calls as `serial/message id`, and when their first frame was complete.
pub(super) type Seen = HashMap<String, Instant>;

/// A program that reads the stream; it ends when this is dropped.
pub(super) struct Reader {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Reader {
    /// Signs in and opens the stream.
    pub(super) async fn open(url: &str) -> Result<Self, Failure> {
        let http = reqwest::Client::builder().tcp_nodelay(true).build()?;
        let body = serde_json::json!({ "username": "bench", "password": PASSWORD });
        let session: serde_json::Value =
            http.post(format!("{url}/api/v1/session")).json(&body).send().await?.error_for_status()?.json().await?;
        let token = session.get("token").and_then(|token| token.as_str()).unwrap_or_default().to_owned();
        let answer = http.get(format!("{url}/api/v1/stream")).bearer_auth(token).send().await?.error_for_status()?;
        let seen = Arc::new(Mutex::new(Seen::new()));
        let theirs = seen.clone();
        let task = tokio::spawn(async move {
            let mut chunks = answer.bytes_stream();
            let mut text = String::new();
            while let Some(Ok(chunk)) = chunks.next().await {
                let at = Instant::now();
                text.push_str(&String::from_utf8_lossy(&chunk));
                while let Some((frame, rest)) = text.split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())) {
                    text = rest;
                    if let Some(key) = call_of(&frame) {
                        theirs.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(at);
                    }
                }
            }
        });
        Ok(Self { seen, task })
    }

    /// The calls so far, each when it was told first: a call that nobody answers is told again.
    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `serial/message id` of a frame that carries a new incident.
fn call_of(frame: &str) -> Option<String> {
    let data: String = frame.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let value: serde_json::Value = serde_json::from_str(&data).ok()?;
    let cause = value.get("cause")?;
    Some(format!("{}/{}", cause.get("serial")?.as_str()?, cause.get("message_id")?.as_str()?))
}
