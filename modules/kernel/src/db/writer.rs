//! SQLite has one writer. So has Songhe: one thread, two queues (emergencies first), group commit.
//!
//! Waiting operations run as savepoints inside one `BEGIN IMMEDIATE` until the queue is empty or five milliseconds have
//! passed; then one commit, one fsync, and all are answered. Nobody is answered before the commit. The first needs no
//! savepoint, which would copy each page that it changes: if it fails, nothing else is lost with it.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager, TransactionManagerStatus};
use diesel::sql_types::Integer;
use diesel::{Connection, QueryableByName, RunQueryDsl};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::room::{NO_ROOM, says_no_room};
use super::tx::{AfterCommit, Tx};
use super::{Db, Shared};
use crate::error::{Error, Result, Text};

/// After this long a group commits, however many still wait.
const GROUP_TIME: Duration = Duration::from_millis(5);
/// An operation that holds the writer longer delays an emergency: it is logged.
const SLOW: Duration = Duration::from_millis(50);
/// Commits between two checkpoints: about 1,000 pages of the log.
const CHECKPOINT_EVERY: u64 = 200;
/// A log longer than so many pages is to begin anew; that takes a moment in which all of it is in the database file.
const LONG_LOG: i32 = 4_000;
/// What the writer itself moves for it, at most, in pages: a few milliseconds. The rest is moved beside it.
const LAST_PAGES: i32 = 1_000;
/// A bound on what may wait. Callers beyond it are told that the server is busy.
const MAX_WAITING: usize = 20_000;

type Value = Box<dyn Any + Send>;
type Operation = Box<dyn Fn(&mut Tx<'_>) -> Result<Value> + Send>;

struct Job {
    operation: Operation,
    reply: oneshot::Sender<Result<Value>>,
}

#[derive(Default)]
struct Queues {
    emergency: VecDeque<Job>,
    normal: VecDeque<Job>,
    stopped: bool,
}

impl Queues {
    fn pop(&mut self) -> Option<Job> {
        self.emergency.pop_front().or_else(|| self.normal.pop_front())
    }
}

#[derive(Default)]
struct Inbox {
    queues: Mutex<Queues>,
    arrived: Condvar,
    commits: AtomicU64,
    operations: AtomicU64,
    slow: AtomicU64,
    /// Next to nothing of a long log is left to be moved: the writer does it between two commits.
    finish_log: AtomicBool,
}

/// Figures of the writer since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterStats {
    pub waiting_emergency: usize,
    pub waiting: usize,
    pub commits: u64,
    pub operations: u64,
    /// Operations that held the writer over 50 ms.
    pub slow: u64,
}

pub(super) struct Writer {
    inbox: Arc<Inbox>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    /// `checkpoints` is a connection of its own, for the thread that empties the write-ahead log.
    pub(super) fn start(db: Db, checkpoints: Db, shared: Arc<Shared>) -> Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let (theirs, log) = (inbox.clone(), inbox.clone());
        let (wake, woken) = sync_channel(1);
        // While a backup reads its snapshot nothing of the log can be moved. After it a commit would move all of it, and
        // an emergency wait for that: the thread below tells the writer when there is little left.
        let mut db = db;
        db.batch_execute("PRAGMA wal_autocheckpoint=0")?;
        std::thread::Builder::new()
            .name("sqlite-checkpoint".into())
            .spawn(move || checkpoint(checkpoints, &woken, &log))
            .map_err(Error::internal)?;
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || serve(&theirs, db, &shared, &wake))
            .map_err(Error::internal)?;
        Ok(Self { inbox, thread: Some(thread) })
    }

    pub(super) async fn run<T, F>(&self, emergency: bool, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let operation: Operation = Box::new(move |tx| f(tx).map(|value| Box::new(value) as Value));
        {
            let mut queues = self.inbox.queues.lock();
            if queues.stopped {
                return Err(Error::Unavailable(Text::key("error-stopping")));
            }
            let queue = if emergency { &mut queues.emergency } else { &mut queues.normal };
            if queue.len() >= MAX_WAITING {
                return Err(Error::Unavailable(Text::key("error-busy")));
            }
            queue.push_back(Job { operation, reply });
        }
        self.inbox.arrived.notify_one();
        let value = answer.await.map_err(|_| Error::Unavailable(Text::key("error-stopping")))??;
        value.downcast::<T>().map(|value| *value).map_err(|_| Error::internal("writer answered with another type"))
    }

    pub(super) fn stats(&self) -> WriterStats {
        let queues = self.inbox.queues.lock();
        WriterStats {
            waiting_emergency: queues.emergency.len(),
            waiting: queues.normal.len(),
            commits: self.inbox.commits.load(Ordering::Relaxed),
            operations: self.inbox.operations.load(Ordering::Relaxed),
            slow: self.inbox.slow.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Writer {
    /// Waits for what is queued: an operation that was accepted is finished before the file is closed.
    fn drop(&mut self) {
        self.inbox.queues.lock().stopped = true;
        self.inbox.arrived.notify_all();
        if let Some(thread) = self.thread.take() {
            // Dropped by the writer itself (a job that held the last handle) it must not wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// Moves what was committed from the log into the database file, so that no commit has to: an emergency would wait for
/// it. Ends with the writer.
fn checkpoint(mut db: Db, woken: &Receiver<()>, inbox: &Inbox) {
    while woken.recv().is_ok() {
        let mut moved = 0;
        loop {
            match move_pages(&mut db) {
                // Of much that is left, more came while it was moved.
                Ok(log) if log.left() > LAST_PAGES && log.checkpointed > moved => moved = log.checkpointed,
                Ok(log) => {
                    let little = log.pages > LONG_LOG && log.left() <= LAST_PAGES;
                    inbox.finish_log.store(little, Ordering::Relaxed);
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, "the write-ahead log could not be emptied");
                    break;
                }
            }
        }
    }
}

/// The log after pages were moved.
#[derive(QueryableByName)]
struct Log {
    #[diesel(sql_type = Integer, column_name = "log")]
    pages: i32,
    #[diesel(sql_type = Integer)]
    checkpointed: i32,
}

impl Log {
    /// Pages that only the log has: those of this moment, or those that an open reader keeps there.
    fn left(&self) -> i32 {
        self.pages - self.checkpointed
    }
}

fn move_pages(db: &mut Db) -> Result<Log> {
    let Db::Sqlite(conn) = db else {
        return Err(Error::internal("the writer thread is for SQLite"));
    };
    Ok(diesel::sql_query("PRAGMA wal_checkpoint(PASSIVE)").get_result(conn)?)
}

fn serve(inbox: &Inbox, mut db: Db, shared: &Shared, checkpoint: &SyncSender<()>) {
    loop {
        let first = {
            let mut queues = inbox.queues.lock();
            loop {
                if let Some(job) = queues.pop() {
                    break job;
                }
                if queues.stopped {
                    return;
                }
                inbox.arrived.wait(&mut queues);
            }
        };
        group(inbox, &mut db, shared, first);
        if inbox.finish_log.swap(false, Ordering::Relaxed)
            && let Err(error) = move_pages(&mut db)
        {
            tracing::warn!(%error, "the write-ahead log could not be emptied");
        }
        if inbox.commits.load(Ordering::Relaxed).is_multiple_of(CHECKPOINT_EVERY) {
            // One that runs already sees this commit or the next call does.
            let _ = checkpoint.try_send(());
        }
    }
}

struct Done {
    reply: oneshot::Sender<Result<Value>>,
    outcome: Result<(Value, AfterCommit)>,
}

fn group(inbox: &Inbox, db: &mut Db, shared: &Shared, first: Job) {
    if let Err(error) = begin(db) {
        let _ = first.reply.send(Err(error));
        return;
    }
    let started = Instant::now();
    let mut done = Vec::new();
    let mut next = Some(first);
    let mut no_room = false;
    while let Some(job) = next {
        let at = Instant::now();
        let outcome = if done.is_empty() {
            operate(db, shared, &job.operation)
        } else {
            db.transaction(|db| {
                let outcome = operate(db, shared, &job.operation);
                no_room = outcome.as_ref().is_err_and(Error::is_no_room);
                outcome
            })
        };
        if at.elapsed() > SLOW {
            inbox.slow.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(ms = at.elapsed().as_millis() as u64, "a database operation held the writer too long");
        }
        if done.is_empty() && outcome.is_err() {
            give_up(db);
            let _ = job.reply.send(outcome.map(|(value, _)| value));
            return;
        }
        done.push(Done { reply: job.reply, outcome });
        // Without room SQLite has undone the whole group: each is run again by itself.
        if no_room {
            give_up(db);
            return refuse(done);
        }
        next = if started.elapsed() < GROUP_TIME { inbox.queues.lock().pop() } else { None };
    }
    inbox.operations.fetch_add(done.len() as u64, Ordering::Relaxed);
    inbox.commits.fetch_add(1, Ordering::Relaxed);
    let committed = <Db as Connection>::TransactionManager::commit_transaction(db);
    if committed.is_err() {
        give_up(db);
    }
    answer(shared, done, committed);
}

fn refuse(done: Vec<Done>) {
    for one in done {
        let _ = one.reply.send(Err(Error::Unavailable(Text::key(NO_ROOM))));
    }
}

fn answer(shared: &Shared, done: Vec<Done>, committed: diesel::QueryResult<()>) {
    let failure = committed.err().map(|error| {
        tracing::error!(%error, operations = done.len(), "commit failed");
        if says_no_room(&error) { NO_ROOM } else { "error-database-unreachable" }
    });
    for Done { reply, outcome } in done {
        let answer = match (outcome, failure) {
            (Ok((value, after)), None) => {
                shared.committed(&after);
                Ok(value)
            }
            (Ok(_), Some(key)) => Err(Error::Unavailable(Text::key(key))),
            (Err(error), _) => Err(error),
        };
        // A caller that went away has still got its work done.
        let _ = reply.send(answer);
    }
}

fn begin(db: &mut Db) -> Result<()> {
    let Db::Sqlite(conn) = db else {
        return Err(Error::internal("the writer thread is for SQLite"));
    };
    // IMMEDIATE: a deferred transaction that reads first fails at once when another process wrote in between,
    // whatever busy_timeout says.
    AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE").map_err(Error::from)
}

/// SQLite itself undoes a transaction that finds no room; diesel then believes to be inside one, and would refuse every
/// later one. There is only this connection: it is set right.
fn give_up(db: &mut Db) {
    let Db::Sqlite(conn) = db else { return };
    if let Err(error) = AnsiTransactionManager::rollback_transaction(conn) {
        tracing::debug!(%error, "a transaction was over before it was rolled back");
        // Refused when there is none any more: then all is well.
        let _ = conn.batch_execute("ROLLBACK");
        *AnsiTransactionManager::transaction_manager_status_mut(conn) = TransactionManagerStatus::default();
    }
}

fn operate(db: &mut Db, shared: &Shared, operation: &Operation) -> Result<(Value, AfterCommit)> {
    let mut tx = Tx::new(db, shared);
    match catch_unwind(AssertUnwindSafe(|| operation(&mut tx))) {
        Ok(outcome) => outcome.map(|value| (value, tx.into_after())),
        Err(_) => Err(Error::internal("a database operation panicked")),
    }
}
