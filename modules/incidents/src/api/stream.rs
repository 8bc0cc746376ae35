//! `GET /api/v1/stream`: incidents as they change, as server-sent events.
//!
//! Two sources feed it. A signal after each commit names the incident, so that its frame leaves at once. The event log
//! is read behind it, with every signal and every few seconds: it gives frames their ids, and it finds what no signal
//! told (another server's change, an overrun channel). A frame's id is a place in the log up to which everything has been
//! sent; frames sent before the log's safe end reached them carry the place before, so that `Last-Event-ID` may bring
//! something twice and never leaves anything out.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::HeaderName;
use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use songhe_kernel::db::Signal;
use songhe_kernel::events::{self, Position};
use songhe_kernel::http::{ApiDoc, Ctx, SseFrame};
use songhe_kernel::identity::Scope;
use songhe_kernel::{Database, Db, Error, FacilityId, Result};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::model::{IncidentId, Row};
use crate::module::INCIDENTS_READ;
use crate::resource::{self, Incident};
use crate::story;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How often the log is read without a signal.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After a failed read.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Events read at a time.
const SLICE: i64 = 200;
/// Versions remembered; beyond it an incident may be sent twice.
const MAX_REMEMBERED: usize = 5_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamQuery {
    /// Only this facility's. A session that reads no more than that does not count as a board (`POST /presence`).
    facility: Option<FacilityId>,
    /// Where to go on, as the header `Last-Event-ID`, for clients that cannot set one.
    last_event_id: Option<String>,
}

/// Data of an `incident` event.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct IncidentFrame {
    /// `raised`, `signal` (reported again), `cleared`, `told` (the ladder went on), `acknowledged`, `arrived`,
    /// `resolved`, `reviewed`, `noted`.
    change: String,
    incident: Incident,
    /// The observation that raised it.
    cause: Option<Value>,
}

pub(super) fn doc() -> ApiDoc {
    ApiDoc::new("Follow incidents as they change")
        .description(
            "Server-sent events. `hello` comes first, then an `incident` event for each change, carrying the incident's \
             present state; `beat` every 10 s of silence. With `Last-Event-ID` everything after it is sent again, one \
             event for each incident; `reset` means that the place is not known any more: read `GET /incidents` anew. \
             An incident may come twice: keep the one with the higher `version`.",
        )
        .query::<StreamQuery>()
        .streams::<IncidentFrame>()
}

/// GET /api/v1/stream
pub(super) async fn open(ctx: Ctx) -> Result<HttpResponse> {
    let query: StreamQuery = ctx.query()?;
    let scope = ctx.caller().narrowed(INCIDENTS_READ, query.facility)?;
    let last = ctx.header(&LAST_EVENT_ID).map(str::to_owned).or(query.last_event_id);
    let db = ctx.app().db.clone();
    // Before the place in the log is read: what happens in between is in both.
    let signals = db.signals();
    let epoch = db.epoch();
    let (start, known) = db.read(move |db| start(db, last.as_deref(), epoch)).await?;
    let mut queue = VecDeque::new();
    let hello = json!({ "now": db.clock().now(), "facility": query.facility });
    queue.push_back(SseFrame::json("hello", &hello)?.with_id(start));
    if !known {
        queue.push_back(SseFrame::json("reset", &json!({}))?.with_id(start));
    }
    let reader = Reader { db, scope, signals, position: start, queue, sent: HashMap::new(), behind: true };
    let frames = stream::unfold(reader, |mut reader| async move { reader.next().await.map(|frame| (frame, reader)) });
    if query.facility.is_some() { ctx.sse_of_part(frames) } else { ctx.sse(frames) }
}

/// Where a reader begins, and whether everything after what it has seen can be told.
fn start(db: &mut Db, last: Option<&str>, epoch: i64) -> Result<(Position, bool)> {
    let head = events::head(db, epoch)?;
    let Some(last) = last else { return Ok((head, true)) };
    let Ok(place) = last.parse::<Position>() else { return Ok((head, false)) };
    // Nothing was ever removed while the first event is still there.
    let pruned = events::oldest(db)?.is_some_and(|oldest| oldest.seq > 1 && place < oldest);
    if place > head || pruned { Ok((head, false)) } else { Ok((place, true)) }
}

struct Reader {
    db: Database,
    scope: Scope,
    signals: Receiver<Signal>,
    /// Everything up to here has been sent.
    position: Position,
    queue: VecDeque<SseFrame>,
    /// The version last sent of each incident.
    sent: HashMap<IncidentId, i32>,
    /// There may be more in the log right now.
    behind: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<SseFrame> {
        loop {
            if let Some(frame) = self.queue.pop_front() {
                return Some(frame);
            }
            let named = if self.behind { Vec::new() } else { self.wait().await? };
            if let Err(error) = self.read(named).await {
                tracing::warn!(%error, "a stream of incidents could not read and tries again");
                self.behind = true;
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }

    /// The incidents that signals name, as soon as there is one; none when it is time to look. `None`: the server ends.
    async fn wait(&mut self) -> Option<Vec<(IncidentId, String)>> {
        let look_at = tokio::time::Instant::now() + LOOK_EVERY;
        loop {
            match tokio::time::timeout_at(look_at, self.signals.recv()).await {
                Err(_) | Ok(Err(RecvError::Lagged(_))) => return Some(Vec::new()),
                Ok(Err(RecvError::Closed)) => return None,
                Ok(Ok(signal)) if signal.is_gap() => return Some(Vec::new()),
                Ok(Ok(signal)) => {
                    if let Some(named) = story::changed(&signal.topic) {
                        let mut all = vec![named];
                        while let Ok(more) = self.signals.try_recv() {
                            all.extend(story::changed(&more.topic));
                        }
                        return Some(all);
                    }
                }
            }
        }
    }

    /// Reads the log's next slice and the incidents named by it or by signals, and queues their frames.
    async fn read(&mut self, named: Vec<(IncidentId, String)>) -> Result<()> {
        let (position, epoch, scope) = (self.position, self.db.epoch(), self.scope.clone());
        let sent = std::mem::take(&mut self.sent);
        let (slice, sent) = self
            .db
            .read(move |db| {
                let slice = read_slice(db, position, epoch, &scope, named, &sent);
                Ok((slice, sent))
            })
            .await?;
        self.sent = sent;
        let slice = slice?;
        self.behind = slice.full;
        if self.sent.len() > MAX_REMEMBERED {
            self.sent.clear();
        }
        let last = slice.frames.len().checked_sub(1);
        for (index, (id, version, frame)) in slice.frames.into_iter().enumerate() {
            self.sent.insert(id, version);
            // Only the last one may say that everything up to there has been sent.
            let frame = if Some(index) == last { frame.with_id(slice.position) } else { frame };
            self.queue.push_back(frame);
        }
        self.position = slice.position;
        Ok(())
    }
}

struct Slice {
    position: Position,
    full: bool,
    frames: Vec<(IncidentId, i32, SseFrame)>,
}

fn read_slice(
    db: &mut Db,
    from: Position,
    epoch: i64,
    scope: &Scope,
    named: Vec<(IncidentId, String)>,
    sent: &HashMap<IncidentId, i32>,
) -> Result<Slice> {
    let found = events::after(db, from, epoch, SLICE)?;
    let mut changes: Vec<(IncidentId, String)> = Vec::new();
    let logged = found.iter().filter(|event| story::EVENTS.contains(&event.kind.as_str())).filter_map(|event| {
        let id = event.subject.parse().ok()?;
        Some((id, story::change_of(&event.kind).to_owned()))
    });
    for (id, change) in logged.chain(named) {
        // One frame for each incident, with its last change.
        changes.retain(|(known, _)| *known != id);
        changes.push((id, change));
    }
    let mut rows: Vec<(Row, String)> = Vec::new();
    for (id, change) in changes {
        match story::row(db, id) {
            Ok(row) if sent.get(&id) == Some(&row.version) || !scope.contains(row.facility_id) => {}
            Ok(row) => rows.push((row, change)),
            Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    let (rows, words): (Vec<Row>, Vec<String>) = rows.into_iter().unzip();
    let frames = resource::incidents(db, rows)?
        .into_iter()
        .zip(words)
        .map(|(incident, change)| {
            let (id, version, cause) = (incident.id, incident.version, incident.cause.clone());
            Ok((id, version, SseFrame::json("incident", &IncidentFrame { change, incident, cause })?))
        })
        .collect::<Result<_>>()?;
    Ok(Slice {
        position: found.last().map_or(from, events::Event::position),
        full: found.len() as i64 == SLICE,
        frames,
    })
}
