//! Server-sent events. Pages are told {topic, version} and look for themselves; module streams carry what they like.
//!
//! A stream ends when the server stops, when its session ends or its rights change, and when its reader is too slow:
//! browsers connect again by themselves, and a page reads everything anew when they do.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::web::Bytes;
use actix_web::{HttpResponse, http::header};
use futures_util::{Stream, StreamExt, future, stream};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::time::{Interval, MissedTickBehavior, interval_at};
use tokio_stream::wrappers::BroadcastStream;

use super::visitor::session_token;
use super::{App, Ctx};
use crate::db::{Db, Signal};
use crate::error::{Error, Result, Text};
use crate::identity::{Caller, Scope, SessionId, SessionKind, SessionToken, find_caller, touch_session};
use crate::ids::{FacilityId, UserId};
use crate::servers::{Roll, is_open_anywhere};

const MAX_STREAMS: usize = 2_000;
/// One account does not take everybody's places.
const MAX_STREAMS_OF_USER: usize = 24;
/// What a user with that many is told to wait, in seconds.
const RETRY_AFTER_S: u64 = 10;
/// An event that tells the page that the line is alive.
const BEAT: Duration = Duration::from_secs(10);
/// A comment, which no page sees: only by writing does a server learn that the reader has closed its end, and whoever
/// counts on an open board must learn it soon (at the second write).
const PROBE: Duration = Duration::from_secs(2);
const RECHECK: Duration = Duration::from_secs(15);
/// How long a browser waits before it connects again, in milliseconds.
const RETRY: &str = "retry: 2000\n\n";
/// How long a stream waits until other servers know of it.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseFrame {
    /// Comes back as `Last-Event-ID`.
    pub id: Option<String>,
    pub event: &'static str,
    pub data: String,
}

impl SseFrame {
    /// # Errors
    /// `Internal` when the data does not serialise.
    pub fn json(event: &'static str, data: &impl Serialize) -> Result<Self> {
        Ok(Self { id: None, event, data: serde_json::to_string(data)? })
    }

    #[must_use]
    pub fn with_id(mut self, id: impl fmt::Display) -> Self {
        self.id = Some(id.to_string());
        self
    }

    fn write(&self) -> Bytes {
        let mut text = String::new();
        if let Some(id) = &self.id {
            // A line break would begin another field.
            text.push_str(&format!("id: {}\n", id.replace(['\r', '\n'], "")));
        }
        text.push_str(&format!("event: {}\n", self.event));
        for line in self.data.lines() {
            text.push_str(&format!("data: {line}\n"));
        }
        text.push('\n');
        text.into()
    }
}

/// Names an open stream: that of a page, which learns it from the `hello` event, or those of a program's session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct StreamId(pub String);

impl StreamId {
    /// All streams of the API that a session has open.
    pub fn of_session(session: SessionId) -> Self {
        Self(format!("api:{session}"))
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Told when the first stream of a name is opened and the last one closed. Called from request handling: returns at once.
pub trait StreamListener: Send + Sync + 'static {
    fn opened(&self, stream: &StreamId, user: UserId);
    fn closed(&self, stream: &StreamId);
}

/// The open streams of this server.
#[derive(Default)]
pub struct Live {
    open: AtomicUsize,
    /// Only users that have some open.
    by_user: Mutex<HashMap<UserId, usize>>,
    /// Whose the open streams of each name are, and how many.
    named: Mutex<HashMap<StreamId, (UserId, usize)>>,
    listeners: RwLock<Vec<Arc<dyn StreamListener>>>,
    /// Where other servers read which streams are open here; empty where there can be no others.
    roll: OnceLock<Roll>,
}

impl Live {
    pub fn listen(&self, listener: Arc<dyn StreamListener>) {
        self.listeners.write().push(listener);
    }

    /// Streams of pages and programs open now.
    pub fn open_streams(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether a stream of that name is open, here or at another server, and is that user's. Asked within a transaction
    /// that writes: a stream that ends after it is told to the listeners after it.
    ///
    /// # Errors
    /// Whatever keeps the database from answering.
    pub fn is_open(&self, db: &mut Db, stream: &StreamId, user: UserId) -> Result<bool> {
        match self.roll.get() {
            Some(_) => is_open_anywhere(db, stream, user),
            None => Ok(self.named.lock().get(stream).is_some_and(|(owner, _)| *owner == user)),
        }
    }

    /// Waits until what opened and closed here is known to every server: a program may speak before it has read the first
    /// line of its stream.
    pub async fn settle(&self) {
        if let Some(roll) = self.roll.get() {
            roll.settle().await;
        }
    }

    /// From now on other servers know which streams are open here. The first call counts.
    pub(crate) fn keep_roll(&self, roll: Roll) {
        let _ = self.roll.set(roll);
    }

    /// A stream of that name is open at no server any more.
    pub(crate) fn tell_closed(&self, stream: &StreamId) {
        self.tell(|listener| listener.closed(stream));
    }

    fn enter(&self, user: UserId) -> Result<()> {
        let mut by_user = self.by_user.lock();
        let theirs = by_user.entry(user).or_default();
        if *theirs >= MAX_STREAMS_OF_USER {
            return Err(Error::TooMany { retry_after_s: RETRY_AFTER_S });
        }
        *theirs += 1;
        Ok(())
    }

    fn leave(&self, user: UserId) {
        let mut by_user = self.by_user.lock();
        if let Some(theirs) = by_user.get_mut(&user) {
            *theirs -= 1;
            if *theirs == 0 {
                by_user.remove(&user);
            }
        }
    }

    fn tell(&self, news: impl Fn(&dyn StreamListener)) {
        let listeners = self.listeners.read().clone();
        listeners.iter().for_each(|listener| news(listener.as_ref()));
    }
}

/// One of the places for streams; given back when dropped.
struct Slot {
    app: Arc<App>,
    /// Whose it is; nobody's on a public route.
    user: Option<UserId>,
}

impl Slot {
    /// # Errors
    /// `Unavailable` when all places are taken; `TooMany` when the user has their share.
    fn take(app: &Arc<App>, user: Option<UserId>) -> Result<Self> {
        let mut slot = Self { app: app.clone(), user: None };
        if app.live.open.fetch_add(1, Ordering::Relaxed) >= MAX_STREAMS {
            return Err(Error::Unavailable(Text::key("error-busy")));
        }
        if let Some(user) = user {
            app.live.enter(user)?;
            slot.user = Some(user);
        }
        Ok(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.app.live.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(user) = self.user {
            self.app.live.leave(user);
        }
    }
}

/// What an open response body holds on to.
struct Feed {
    frames: Pin<Box<dyn Stream<Item = SseFrame>>>,
    beat: Interval,
    probe: Interval,
    recheck: Interval,
    shutdown: watch::Receiver<bool>,
    watched: Option<Watched>,
    slot: Slot,
    /// Of a program's stream; a page's keeps its own.
    presence: Option<Presence>,
}

/// The rights that a stream was opened with.
struct Watched {
    caller: Arc<Caller>,
    kind: SessionKind,
    token: SessionToken,
}

impl Watched {
    /// Whether the session is still there with the same rights. Being open is use: a quiet board stays signed in.
    async fn holds(&self, app: &App) -> bool {
        let (permissions, kind, token, now) = (app.permissions.clone(), self.kind, self.token.clone(), app.clock.now());
        match app.db.read(move |db| find_caller(db, &permissions, kind, &token, now)).await {
            Ok(Some(caller)) if caller.same_rights(&self.caller) => {
                let (id, session) = (caller.session.id, caller.session.clone());
                if caller.session.wants_touch(now)
                    && let Err(error) = app.db.write(move |tx| touch_session(tx, &session, None)).await
                {
                    tracing::warn!(%error, session = %id, "last use of a session not kept");
                }
                true
            }
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(%error, "session of a stream not checked; it goes on");
                true
            }
        }
    }
}

impl Feed {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(presence) = &mut self.presence {
            presence.known().await;
        }
        loop {
            tokio::select! {
                biased;
                _ = self.shutdown.wait_for(|stopping| *stopping) => return None,
                _ = self.recheck.tick() => {
                    if let Some(watched) = &self.watched
                        && !watched.holds(&self.slot.app).await
                    {
                        return None;
                    }
                }
                _ = self.beat.tick() => return Some(Bytes::from_static(b"event: beat\ndata: {}\n\n")),
                frame = self.frames.next() => return frame.map(|frame| frame.write()),
                _ = self.probe.tick() => return Some(Bytes::from_static(b":\n\n")),
            }
        }
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// `counts`: whether a program's session is heard by this stream (see [`StreamId::of_session`]).
pub(super) fn respond(ctx: &Ctx, frames: impl Stream<Item = SseFrame> + 'static, counts: bool) -> Result<HttpResponse> {
    let watched = ctx.caller_shared().zip(session_token(ctx.request())).map(|(caller, (kind, token))| Watched {
        caller,
        kind,
        token,
    });
    let slot = Slot::take(ctx.app(), ctx.caller_opt().map(|caller| caller.user_id))?;
    let program = ctx.caller_opt().filter(|_| counts && ctx.route().is_api());
    let feed = Feed {
        frames: Box::pin(frames),
        beat: ticks(BEAT),
        probe: ticks(PROBE),
        recheck: ticks(RECHECK),
        shutdown: ctx.app().shutdown(),
        watched,
        slot,
        presence: program
            .map(|caller| Presence::begin(ctx.app(), StreamId::of_session(caller.session.id), caller.user_id)),
    };
    let events = stream::unfold(feed, |mut feed| async move { feed.next().await.map(|bytes| (bytes, feed)) });
    let body = stream::once(future::ready(Bytes::from_static(RETRY.as_bytes()))).chain(events);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        // Proxies of the nginx kind would hold events back.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(body.map(Ok::<_, actix_web::Error>)))
}

/// Knows that a stream is there, and tells the listeners; when dropped, that it is gone.
struct Presence {
    app: Arc<App>,
    stream: StreamId,
    /// Until other servers know of it.
    unknown: Option<oneshot::Receiver<()>>,
}

impl Presence {
    fn begin(app: &Arc<App>, stream: StreamId, user: UserId) -> Self {
        let (open, unknown) = {
            let mut named = app.live.named.lock();
            let (_, open) = named.entry(stream.clone()).or_insert((user, 0));
            *open += 1;
            // In here, so that one that opens and one that closes are written in this order.
            let roll = app.live.roll.get().filter(|_| *open == 1);
            (*open, roll.map(|roll| roll.opened(&stream, user)))
        };
        if open == 1 {
            app.live.tell(|listener| listener.opened(&stream, user));
        }
        Self { app: app.clone(), stream, unknown }
    }

    /// Waits until a page's word about this stream counts at every server.
    async fn known(&mut self) {
        if let Some(unknown) = self.unknown.take()
            && tokio::time::timeout(KNOWN_WITHIN, unknown).await.is_err()
        {
            tracing::warn!("a stream is open that other servers do not know of yet");
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        {
            let mut named = self.app.live.named.lock();
            if let Some((_, open)) = named.get_mut(&self.stream) {
                *open -= 1;
                if *open > 0 {
                    return;
                }
            }
            named.remove(&self.stream);
            if let Some(roll) = self.app.live.roll.get() {
                // It tells the listeners when no other server has one of that name.
                roll.closed(&self.stream);
                return;
            }
        }
        self.app.live.tell_closed(&self.stream);
    }
}

/// GET /stream: what changed, for the pages of one browser. `Last-Event-ID` needs no answer: a page that connects again
/// reads its parts anew.
pub(super) async fn page_stream(ctx: Ctx) -> Result<HttpResponse> {
    let signals = BroadcastStream::new(ctx.app().db.signals());
    let stream = StreamId(hex::encode(rand::random::<[u8; 16]>()));
    let mut presence = Presence::begin(ctx.app(), stream, ctx.caller().user_id);
    presence.known().await;
    let hello = SseFrame::json("hello", &json!({ "stream": presence.stream, "now": ctx.app().clock.now() }))?;
    let caller = ctx.caller_shared();
    let changes = signals
        // A reader that has fallen behind has missed something: its stream ends, and it reads everything anew.
        .take_while(|signal| future::ready(signal.as_ref().is_ok_and(|signal| !signal.is_gap())))
        .filter_map(move |signal| {
            let _belongs_to_the_stream = &presence;
            let held = caller.iter().flat_map(|caller| caller.permissions());
            future::ready(signal.ok().filter(|signal| may_see(held, &signal.topic)).map(|signal| change(&signal)))
        });
    ctx.sse(stream::once(future::ready(hello)).chain(changes))
}

fn change(signal: &Signal) -> SseFrame {
    let data = json!({ "topic": &*signal.topic, "version": signal.version });
    SseFrame { id: Some(signal.version.to_string()), event: "change", data: data.to_string() }
}

/// A topic names its facility after the colon, or none; a name that is no facility is for nobody. It is seen by those
/// who may do something with what it is named after, there or, without a facility, anywhere: `incidents` by those with
/// `incidents.read`.
fn may_see<'a>(held: impl IntoIterator<Item = (&'static str, &'a Scope)>, topic: &str) -> bool {
    let (name, facility) = match topic.split_once(':').map(|(name, facility)| (name, facility.parse::<FacilityId>())) {
        None => (topic, None),
        Some((name, Ok(facility))) => (name, Some(facility)),
        Some((_, Err(_))) => return false,
    };
    // The registry's permissions are named after what it holds.
    let noun = if name == "registry" { "residents" } else { name };
    held.into_iter().any(|(permission, scope)| {
        permission.split_once('.').is_some_and(|(theirs, _)| theirs == noun)
            && facility.is_none_or(|facility| scope.contains(facility))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_event_whatever_its_data() {
        let frame = SseFrame { id: Some("7\ndata: x".into()), event: "change", data: "a\nb".into() };
        assert_eq!(frame.write(), "id: 7data: x\nevent: change\ndata: a\ndata: b\n\n");
    }

    #[test]
    fn a_topic_is_seen_by_those_with_its_permission_at_its_facility() {
        let (mine, other) = (FacilityId(7), FacilityId(8));
        let (here, elsewhere) = (Scope::Only(vec![mine]), Scope::Only(vec![other]));
        let held = [("incidents.read", &here), ("devices.read", &elsewhere), ("residents.write", &here)];
        let sees = |topic: &str| may_see(held, topic);
        assert!(sees(&format!("incidents:{mine}")));
        assert!(!sees(&format!("incidents:{other}")));
        assert!(!sees(&format!("devices:{mine}")), "another permission's facility");
        assert!(!sees(&format!("observations:{mine}")), "a facility alone is not enough");
        assert!(sees(&format!("registry:{mine}")));
        assert!(!sees(&format!("registry:{other}")));
        assert!(!sees("incidents:everything"));
        assert!(!sees("incident"), "the whole name counts");
        assert!(!sees("system"));
        assert!(sees("devices"));
        assert!(may_see([("system.read", &here)], "system"));
        assert!(may_see([("incidents.read", &Scope::All)], &format!("incidents:{other}")));
        assert!(!may_see([], "system"));
    }

    #[test]
    fn one_user_does_not_take_all_places() {
        let live = Live::default();
        let (one, other) = (UserId(1), UserId(2));
        for _ in 0..MAX_STREAMS_OF_USER {
            assert!(live.enter(one).is_ok());
        }
        assert!(matches!(live.enter(one), Err(Error::TooMany { retry_after_s: 10 })));
        assert!(live.enter(other).is_ok());
        live.leave(one);
        assert!(live.enter(one).is_ok());
        live.leave(other);
        assert!(!live.by_user.lock().contains_key(&other));
    }
}
