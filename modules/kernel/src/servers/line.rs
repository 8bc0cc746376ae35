//! The connection by which a server knows of the others: a thread that says "I am here", keeps or seeks the duty, and
//! carries signals. One thread and one connection: if either hangs, so does the lease, and another server takes over.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::{PgConnection, sql_query};
use tokio::sync::oneshot;

use super::{Holder, Intake, Introduction, Known, LEASE_MS, NOTIFY_EVERY, Order, Peers, SILENT_MS, Term, View, rows};
use crate::db::{Database, line_to};
use crate::error::{Error, Result, Text};
use crate::runtime::Opened;
use crate::time::Moment;

/// How often is looked for notifications: with others, and alone (when only a newcomer's greeting can come).
const POLL: Duration = Duration::from_millis(5);
pub(super) const ALONE_POLL: Duration = Duration::from_millis(40);
/// How often a server says that it is there and renews its lease; who seeks the duty looks more often.
const LOOK: Duration = Duration::from_secs(1);
const SEEK: Duration = Duration::from_millis(500);
/// Before another try at a lost connection.
const RECONNECT: Duration = Duration::from_millis(250);
/// The sessions of a process that was just killed are there for a moment.
const LEFTOVERS: Duration = Duration::from_secs(3);
/// How long is waited for the end of another's sessions.
const END_OF_SESSIONS: Duration = Duration::from_secs(2);
/// Topics that may wait for a lost connection; beyond it the others are told to look at everything.
const MAX_WAITING: usize = 10_000;
/// PostgreSQL takes less than 8,000 bytes at a time.
const MAX_PAYLOAD: usize = 7_500;

const HELLO: &str = "!hello";
const BYE: &str = "!bye";
const GAP: &str = "!gap";

/// What comes after a moment's wait.
enum Next {
    GoOn,
    HandOver,
    Leave,
}

pub(super) struct Line {
    url: String,
    instance: String,
    number: i16,
    who: Introduction,
    /// With a broker of its own.
    alone: bool,
    /// Wants the duty.
    takes_turns: bool,
    orders: Receiver<Order>,
    peers: Arc<Peers>,
    together: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    db: Database,
    term: Option<Arc<Term>>,
    /// Topics to be told, and what of them is known to be lost.
    waiting: HashSet<Arc<str>>,
    gap: bool,
    /// What this connection has locked.
    holds_duty: bool,
    holds_place: bool,
}

impl Line {
    pub(super) fn new(
        opened: &Opened,
        url: &str,
        who: Introduction,
        orders: Receiver<Order>,
        peers: Arc<Peers>,
        together: Arc<AtomicBool>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            url: url.to_owned(),
            instance: opened.instance.clone(),
            number: opened.number.cast_signed(),
            alone: who.intake == Intake::Own,
            takes_turns: who.intake == Intake::Shared,
            who,
            orders,
            peers,
            together,
            stop,
            db: opened.db.clone(),
            term: None,
            waiting: HashSet::new(),
            gap: false,
            holds_duty: false,
            holds_place: false,
        }
    }

    /// Until the server leaves or ends. The first connection decides whether it may begin at all.
    pub(super) fn run(mut self, joined: oneshot::Sender<Result<bool>>) {
        let mut joined = Some(joined);
        while !self.stops() {
            let over = match self.begin(joined.is_some()) {
                Ok((mut conn, others)) => {
                    match joined.take() {
                        Some(joined) => drop(joined.send(Ok(others))),
                        // Whatever was told in the meantime was not heard.
                        None => self.db.signal_gap(),
                    }
                    self.serve(&mut conn).map_err(Error::from)
                }
                Err(error) => Err(error),
            };
            match (over, joined.take()) {
                (Ok(()), _) => break,
                (Err(error), Some(joined)) => {
                    let _ = joined.send(Err(error));
                    break;
                }
                (Err(error), None) => {
                    tracing::warn!(%error, "the connection to other servers is lost; it is made anew")
                }
            }
            std::thread::sleep(RECONNECT);
        }
        self.end_term();
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// A connection that hears the others, and whether there are any.
    fn begin(&mut self, first: bool) -> Result<(PgConnection, bool)> {
        (self.holds_duty, self.holds_place) = (false, false);
        let mut conn = line_to(&self.url, self.number)?;
        // What is written here is worth nothing after a crash of the database.
        sql_query("SET synchronous_commit = off").execute(&mut conn)?;
        sql_query("LISTEN songhe").execute(&mut conn)?;
        let since = Instant::now();
        loop {
            self.holds_place = rows::lock_here(&mut conn, self.alone)?;
            if self.holds_place || !first || self.stops() {
                break;
            }
            if since.elapsed() > LEFTOVERS {
                return Err(Error::Conflict(Text::key("error-other-server")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.look(&mut conn)?;
        self.say(&mut conn, HELLO)?;
        let others = self.together.load(Ordering::Relaxed);
        Ok((conn, others))
    }

    fn serve(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let (mut looked, mut told) = (Instant::now(), Instant::now());
        while !self.stops() {
            match self.next_order(told) {
                Next::Leave => return self.leave(conn),
                Next::HandOver => self.hand_over(conn)?,
                Next::GoOn => {}
            }
            if !self.waiting.is_empty() && told.elapsed() >= NOTIFY_EVERY {
                self.tell(conn)?;
                told = Instant::now();
            }
            let news = self.hear(conn)?;
            let every = if self.seeks() { SEEK } else { LOOK };
            if news || looked.elapsed() >= every {
                looked = Instant::now();
                self.look(conn)?;
            }
        }
        Ok(())
    }

    fn seeks(&self) -> bool {
        self.takes_turns && self.term.is_none()
    }

    /// Waits a moment for something to do.
    fn next_order(&mut self, told: Instant) -> Next {
        let poll = if self.together.load(Ordering::Relaxed) { POLL } else { ALONE_POLL };
        let wait = if self.waiting.is_empty() { poll } else { poll.min(NOTIFY_EVERY.saturating_sub(told.elapsed())) };
        let mut order = match self.orders.recv_timeout(wait) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Next::Leave,
        };
        while let Some(now) = order {
            match now {
                Order::Leave => return Next::Leave,
                Order::HandOver => return Next::HandOver,
                Order::Topic(topic) if self.waiting.len() < MAX_WAITING => drop(self.waiting.insert(topic)),
                Order::Topic(_) => self.gap = true,
            }
            order = self.orders.try_recv().ok();
        }
        Next::GoOn
    }

    fn say(&self, conn: &mut PgConnection, word: &str) -> QueryResult<()> {
        rows::notify(conn, &format!("{}\n{word}", self.instance))
    }

    /// Tells the others what changed here.
    fn tell(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let mut payload = self.instance.clone();
        for topic in &self.waiting {
            if payload.len() + topic.len() >= MAX_PAYLOAD {
                rows::notify(conn, &payload)?;
                payload.clone_from(&self.instance);
            }
            payload.push('\n');
            payload.push_str(topic);
        }
        rows::notify(conn, &payload)?;
        self.waiting.clear();
        if std::mem::take(&mut self.gap) {
            self.say(conn, GAP)?;
        }
        Ok(())
    }

    /// What the others told; true when a server came or went.
    fn hear(&self, conn: &mut PgConnection) -> QueryResult<bool> {
        let mut news = false;
        for notification in conn.notifications_iter() {
            let payload = notification?.payload;
            let mut lines = payload.lines();
            if lines.next() == Some(&self.instance) {
                continue;
            }
            for topic in lines {
                match topic {
                    HELLO | BYE => news = true,
                    GAP => self.db.signal_gap(),
                    topic => self.db.signal_here(topic),
                }
            }
        }
        Ok(news)
    }

    /// Says that this server is alive, keeps or seeks the duty, and looks who else is there.
    fn look(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let fresh = rows::beat(conn, &self.instance, self.number, &self.who.name, &self.who.mqtt_session)?;
        if let Some(roll) = self.peers.roll.get().filter(|_| fresh) {
            // The others had given it up, and forgot its streams.
            roll.again();
        }
        if !self.holds_place {
            self.holds_place = rows::lock_here(conn, self.alone)?;
        }
        if self.takes_turns {
            self.tend(conn)?;
        }
        let mut alive = Vec::new();
        for server in rows::servers(conn)? {
            let here = server.instance == self.instance;
            let Some(started_at) = Moment::from_unix_ms(server.started_ms) else { continue };
            if server.silent_ms <= SILENT_MS || here {
                alive.push(Known {
                    number: server.number,
                    name: server.name,
                    mqtt_session: server.mqtt_session,
                    started_at,
                    silent_ms: server.silent_ms.max(0),
                    here,
                });
            } else {
                self.bury(conn, &server.instance, server.number)?;
            }
        }
        self.together.store(alive.len() > 1, Ordering::Relaxed);
        let holder = rows::duty(conn)?.filter(|duty| duty.left_ms > 0).and_then(|duty| {
            Some(Holder {
                here: duty.instance? == self.instance,
                number: duty.number,
                since: Moment::from_unix_ms(duty.since_ms)?,
                renewed_ms: (LEASE_MS - duty.left_ms).max(0),
            })
        });
        let view = View { here: self.number, alive, holder, not_alone: !self.holds_place };
        let changed = {
            let mut known = self.peers.view.write();
            let changed = known.0.alive.len() != view.alive.len()
                || known.0.holder.as_ref().map(|holder| holder.number)
                    != view.holder.as_ref().map(|holder| holder.number);
            *known = (view, Instant::now());
            changed
        };
        if changed {
            self.db.signal_here("system");
        }
        Ok(())
    }

    fn bury(&self, conn: &mut PgConnection, instance: &str, number: i16) -> QueryResult<()> {
        let ended = rows::bury(conn, instance, SILENT_MS)?;
        tracing::warn!(server = number, streams = ended.len(), "a server is silent and counts as gone");
        if let Some(roll) = self.peers.roll.get() {
            roll.ended(ended);
        }
        Ok(())
    }

    /// Renews the lease, or takes the duty when nobody has it.
    fn tend(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let asked = Instant::now();
        if let Some(term) = self.term.clone() {
            if term.holds() && rows::renew(conn, &self.instance, term.token)? {
                term.renewed(asked);
                self.holds_duty = self.holds_duty || rows::lock_holder(conn)?;
                return Ok(());
            }
            tracing::warn!(
                "this server takes device messages no longer: another does, or it could not renew its lease"
            );
            self.end_term();
            return self.let_go(conn);
        }
        let Some(before) = rows::duty(conn)? else { return Ok(()) };
        self.holds_duty = self.holds_duty || rows::lock_holder(conn)?;
        // The lock is free when the holder's connection has ended; the lease has run out when the holder hangs.
        if !self.holds_duty && before.left_ms > 0 {
            return Ok(());
        }
        let asked = Instant::now();
        let Some(token) = rows::take(conn, &self.instance, self.number, before.token)? else {
            return self.let_go(conn);
        };
        if before.instance.as_ref().is_some_and(|instance| *instance != self.instance) {
            self.end_sessions(conn, before.number)?;
        }
        self.holds_duty = self.holds_duty || rows::lock_holder(conn)?;
        tracing::info!(token, "this server takes device messages");
        let term = Arc::new(Term::begin(&self.instance, token, asked));
        self.term = Some(term.clone());
        self.peers.term.send_replace(Some(term));
        Ok(())
    }

    fn let_go(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        if std::mem::take(&mut self.holds_duty) {
            rows::unlock_holder(conn)?;
        }
        Ok(())
    }

    /// What the holder before had begun must not be committed after what begins now, nor hold its locks.
    fn end_sessions(&self, conn: &mut PgConnection, number: i16) -> QueryResult<()> {
        let since = Instant::now();
        while rows::end_sessions(conn, number)? > 0 {
            if since.elapsed() > END_OF_SESSIONS {
                tracing::warn!(server = number, "database sessions of the server before are still there");
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn end_term(&mut self) {
        if let Some(term) = self.term.take() {
            term.end();
            self.peers.term.send_replace(None);
        }
    }

    /// Gives the duty back, so that another server takes it at once.
    fn hand_over(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        self.takes_turns = false;
        self.end_term();
        rows::give_back(conn, &self.instance)?;
        self.let_go(conn)?;
        self.say(conn, BYE)
    }

    fn leave(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        self.end_term();
        self.let_go(conn)?;
        if !self.waiting.is_empty() {
            self.tell(conn)?;
        }
        rows::leave(conn, &self.instance)?;
        self.say(conn, BYE)
    }
}
