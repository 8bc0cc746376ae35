//! One query, two databases: SQLite embedded, PostgreSQL for a city. The URL chooses at run time.
//!
//! Queries are written once against [`Db`]. What diesel's multi-connection cannot say is said by [`Both`] (a whole
//! query that either backend can render) or by [`each!`] (the same code compiled for each concrete connection).
//! This folder must never know what a resident, a device or an incident is.

mod kept;
mod like;
mod migrate;
mod pool;
mod settings;
mod tx;
mod writer;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sqlite::Sqlite;
use parking_lot::RwLock;
use tokio::sync::{Notify, Semaphore, broadcast};

use crate::audit::Origin;
use crate::error::{Error, Result, Text};
use crate::ids::IdMaker;
use crate::servers::Outbox;
use crate::time::SharedClock;
use crate::vault::{self, Vault};

pub use kept::{Fixed, Kept, KeptExt};
pub use like::containing;
pub use migrate::{Migrations, applied_versions, migrate, pending_versions, revert_all};
pub(crate) use pool::{line_to, session_name, write_connection};
pub use settings::{DatabaseSettings, Kind};
pub use tx::Tx;
pub use writer::WriterStats;

/// A connection to either database.
#[derive(diesel::MultiConnection)]
pub enum Db {
    Pg(diesel::PgConnection),
    Sqlite(diesel::SqliteConnection),
}

/// Runs on the multi-connection what both backends can render (`on_conflict`, unions …): `query.both().execute(db)`.
#[derive(Debug, Clone, Copy)]
pub struct Both<T>(pub T);

impl<T> QueryFragment<MultiBackend> for Both<T>
where
    T: QueryFragment<Pg> + QueryFragment<Sqlite>,
{
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, MultiBackend>) -> QueryResult<()> {
        MultiBackend::walk_variant_ast(&self.0, pass)
    }
}

impl<T: QueryId> QueryId for Both<T> {
    type QueryId = T::QueryId;
    const HAS_STATIC_QUERY_ID: bool = T::HAS_STATIC_QUERY_ID;
}

impl<T: Query> Query for Both<T> {
    type SqlType = T::SqlType;
}

impl<T> RunQueryDsl<Db> for Both<T> {}

pub trait BothExt: Sized {
    fn both(self) -> Both<Self> {
        Both(self)
    }
}
impl<T> BothExt for T {}

/// Compiles one body for each concrete connection: batch inserts, raw SQL.
#[macro_export]
macro_rules! each {
    ($db:expr, |$conn:ident| $body:expr) => {
        match $db {
            $crate::db::Db::Pg($conn) => $body,
            $crate::db::Db::Sqlite($conn) => $body,
        }
    };
}

/// Lets tables of two crates meet in one query (`allow_tables_to_appear_in_same_query!` breaks the orphan rule there).
/// Called in the crate that owns the first table.
#[macro_export]
macro_rules! tables_meet {
    ($local:path, $($foreign:path),+ $(,)?) => {
        $crate::tables_meet!(@pairs $local; $($foreign),+);
    };
    (@pairs $local:path; $($foreign:path),+) => {$(
        const _: () = {
            use $local as local;
            use $foreign as foreign;
            impl ::diesel::query_source::TableNotEqual<local::table> for foreign::table {}
            impl ::diesel::query_source::TableNotEqual<foreign::table> for local::table {}
        };
    )+};
}

/// "Something changed": carries no data, the reader looks for itself.
#[derive(Debug, Clone)]
pub struct Signal {
    /// What changed, `name:<facility id>` or `name`.
    pub topic: Arc<str>,
    /// Grows with each signal of this process.
    pub version: u64,
}

impl Signal {
    /// Signals of other servers were lost: everything may have changed.
    pub fn is_gap(&self) -> bool {
        self.topic.is_empty()
    }
}

/// Asked first in every transaction of a [`Database::fenced`] handle.
pub trait Fence: Send + Sync + 'static {
    /// # Errors
    /// `Unavailable` when nothing may be written any more on its behalf.
    fn check(&self, db: &mut Db) -> Result<()>;
}

/// Wakes the background loops after a commit that gave them work.
#[derive(Debug, Default)]
pub struct Wakes {
    pub events: Notify,
    pub timers: Notify,
    pub effects: Notify,
}

/// What every transaction shares.
pub(crate) struct Shared {
    pub(crate) clock: SharedClock,
    pub(crate) ids: IdMaker,
    /// See `events`: raised when a restored database restarted its transaction ids.
    pub(crate) epoch: AtomicI64,
    pub(crate) wakes: Wakes,
    pub(crate) vault: Arc<Vault>,
    signals: broadcast::Sender<Signal>,
    versions: AtomicU64,
    /// To other servers; empty where there can be none.
    outbox: OnceLock<Outbox>,
}

impl Shared {
    fn signal(&self, topic: &str) {
        let topic: Arc<str> = topic.into();
        self.signal_here(topic.clone());
        if let Some(outbox) = self.outbox.get() {
            outbox.put(&topic);
        }
    }

    fn signal_here(&self, topic: Arc<str>) {
        // A gap may have hidden it.
        if topic.is_empty() || &*topic == vault::TOPIC {
            self.vault.forget();
        }
        let version = self.versions.fetch_add(1, Ordering::Relaxed);
        // No receiver is no error: nobody has a page open.
        let _ = self.signals.send(Signal { topic, version });
    }

    pub(crate) fn committed(&self, after: &tx::AfterCommit) {
        for topic in &after.topics {
            self.signal(topic);
        }
        if after.events {
            self.wakes.events.notify_one();
        }
        if after.timers {
            self.wakes.timers.notify_one();
        }
        if after.effects {
            self.wakes.effects.notify_one();
        }
    }
}

enum Lanes {
    Sqlite { writer: writer::Writer, readers: pool::Pool },
    Postgres { main: pool::Pool, emergency: pool::Pool },
}

struct Inner {
    kind: Kind,
    lanes: Lanes,
    shared: Arc<Shared>,
    /// Bounds blocking threads: as many as there are connections.
    read_permits: Semaphore,
    write_permits: Semaphore,
    emergency_permits: Semaphore,
    gauges: RwLock<HashMap<&'static str, i64>>,
}

/// The database as everybody sees it: `read` and `write`, each in a blocking thread.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
    fence: Option<Arc<dyn Fence>>,
}

const EMERGENCY_CONNECTIONS: u32 = 3;

impl Database {
    /// Opens the pools. The schema is not touched: see [`migrate`].
    pub fn open(settings: &DatabaseSettings, clock: SharedClock, server_number: u16) -> Result<Self> {
        let kind = settings.kind()?;
        let (signals, _) = broadcast::channel(1024);
        let shared = Arc::new(Shared {
            ids: IdMaker::new(clock.clone(), server_number),
            clock,
            epoch: AtomicI64::new(0),
            wakes: Wakes::default(),
            vault: Arc::new(Vault::default()),
            signals,
            versions: AtomicU64::new(1),
            outbox: OnceLock::new(),
        });
        shared.vault.give(settings.keys.clone(), settings.algorithm);
        let connections = settings.connections.max(1);
        let lanes = match kind {
            Kind::Sqlite => Lanes::Sqlite {
                writer: writer::Writer::start(
                    pool::connect(&settings.url, pool::Role::Write)?,
                    pool::connect(&settings.url, pool::Role::Write)?,
                    shared.clone(),
                )?,
                readers: pool::open(&settings.url, pool::Role::Read, connections)?,
            },
            Kind::Postgres => Lanes::Postgres {
                main: pool::open_for(&settings.url, server_number, connections)?,
                emergency: pool::open_for(&settings.url, server_number, EMERGENCY_CONNECTIONS)?,
            },
        };
        let permits = connections as usize;
        Ok(Self {
            inner: Arc::new(Inner {
                kind,
                lanes,
                shared,
                read_permits: Semaphore::new(permits),
                write_permits: Semaphore::new(permits),
                emergency_permits: Semaphore::new(EMERGENCY_CONNECTIONS as usize),
                gauges: RwLock::default(),
            }),
            fence: None,
        })
    }

    /// The same database, for writing only as long as the fence lets pass.
    #[must_use]
    pub fn fenced(&self, fence: Arc<dyn Fence>) -> Self {
        Self { inner: self.inner.clone(), fence: Some(fence) }
    }

    /// From now on other servers are told of signals too. The first call counts.
    pub(crate) fn send_signals_by(&self, outbox: Outbox) {
        let _ = self.inner.shared.outbox.set(outbox);
    }

    /// Another server's signal.
    pub(crate) fn signal_here(&self, topic: &str) {
        self.inner.shared.signal_here(topic.into());
    }

    /// See [`Signal::is_gap`].
    pub(crate) fn signal_gap(&self) {
        self.signal_here("");
    }

    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    pub fn clock(&self) -> &SharedClock {
        &self.inner.shared.clock
    }

    /// Opens sealed fields.
    pub fn vault(&self) -> Arc<Vault> {
        self.inner.shared.vault.clone()
    }

    pub fn wakes(&self) -> &Wakes {
        &self.inner.shared.wakes
    }

    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.inner.shared.signals.subscribe()
    }

    /// Tells pages that something changed outside a transaction (a connection state, say).
    pub fn signal(&self, topic: &str) {
        self.inner.shared.signal(topic);
    }

    pub fn next_id(&self) -> i64 {
        self.inner.shared.ids.next()
    }

    pub(crate) fn set_epoch(&self, epoch: i64) {
        self.inner.shared.epoch.store(epoch, Ordering::SeqCst);
    }

    pub fn epoch(&self) -> i64 {
        self.inner.shared.epoch.load(Ordering::SeqCst)
    }

    /// Queue depth, group sizes and slow operations of the SQLite writer; `None` on PostgreSQL.
    pub fn writer_stats(&self) -> Option<WriterStats> {
        match &self.inner.lanes {
            Lanes::Sqlite { writer, .. } => Some(writer.stats()),
            Lanes::Postgres { .. } => None,
        }
    }

    /// Named figures that background loops keep for the system page and the metrics.
    pub fn set_gauge(&self, name: &'static str, value: i64) {
        self.inner.gauges.write().insert(name, value);
    }

    /// Adds to such a figure: a count since the start.
    pub fn add_to_gauge(&self, name: &'static str, count: usize) {
        let mut gauges = self.inner.gauges.write();
        let value = gauges.entry(name).or_default();
        *value = value.saturating_add(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub fn gauge(&self, name: &str) -> i64 {
        self.inner.gauges.read().get(name).copied().unwrap_or_default()
    }

    pub fn gauges(&self) -> Vec<(&'static str, i64)> {
        let mut all: Vec<_> = self.inner.gauges.read().iter().map(|(name, value)| (*name, *value)).collect();
        all.sort_unstable();
        all
    }

    /// Reads. On SQLite the connection refuses writes.
    pub async fn read<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Db) -> Result<T> + Send + 'static,
    {
        let inner = self.inner.clone();
        let _permit = inner.read_permits.acquire().await.map_err(Error::internal)?;
        let inner = self.inner.clone();
        blocking(move || {
            let pool = match &inner.lanes {
                Lanes::Sqlite { readers, .. } => readers,
                Lanes::Postgres { main, .. } => main,
            };
            pool::with(pool, f)
        })
        .await
    }

    /// One transaction. `f` may run more than once (busy, serialization failure, deadlock): no I/O, hashing or
    /// rendering inside, and it holds the database for at most 50 ms.
    pub async fn write<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static,
    {
        self.write_on(false, f).await
    }

    /// One transaction in the lane that telemetry cannot block.
    pub async fn write_emergency<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static,
    {
        self.write_on(true, f).await
    }

    async fn write_on<T, F>(&self, emergency: bool, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static,
    {
        let (fence, origin) = (self.fence.clone(), Origin::current());
        let asked = origin.clone();
        let f = move |tx: &mut Tx<'_>| {
            if let Some(fence) = &fence {
                fence.check(tx.db())?;
            }
            tx.serve(asked.clone());
            let value = f(tx)?;
            tx.audit_unnamed()?;
            Ok(value)
        };
        let outcome = self.run(emergency, f).await;
        if let (Some(origin), Ok(_)) = (origin, &outcome) {
            origin.set_named();
        }
        outcome
    }

    async fn run<T, F>(&self, emergency: bool, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static,
    {
        match &self.inner.lanes {
            Lanes::Sqlite { writer, .. } => writer.run(emergency, f).await,
            Lanes::Postgres { .. } => {
                let permits = if emergency { &self.inner.emergency_permits } else { &self.inner.write_permits };
                let _permit = permits.acquire().await.map_err(Error::internal)?;
                let inner = self.inner.clone();
                blocking(move || inner.write_postgres(emergency, f)).await
            }
        }
    }
}

impl Inner {
    fn write_postgres<T>(&self, emergency: bool, f: impl Fn(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let Lanes::Postgres { main, emergency: reserved } = &self.lanes else {
            return Err(Error::internal("not a PostgreSQL database"));
        };
        let pool = if emergency { reserved } else { main };
        let mut attempt = 0;
        loop {
            let mut after = tx::AfterCommit::default();
            let outcome = pool::with(pool, |db| {
                db.transaction(|db| {
                    let mut tx = Tx::new(db, &self.shared);
                    let value = f(&mut tx)?;
                    after = tx.into_after();
                    Ok(value)
                })
            });
            match outcome {
                Ok(value) => {
                    self.shared.committed(&after);
                    return Ok(value);
                }
                Err(error) if error.is_transient() && attempt < MAX_RERUNS => {
                    attempt += 1;
                    tracing::debug!(attempt, %error, "transaction runs again");
                    std::thread::sleep(std::time::Duration::from_millis(1 << attempt.min(6)));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// How often a transaction that met a conflict or a dead connection is run again.
const MAX_RERUNS: u32 = 10;

async fn blocking<T: Send + 'static>(f: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(f).await {
        Ok(outcome) => outcome,
        Err(panic) if panic.is_panic() => Err(Error::internal("a database operation panicked")),
        Err(_) => Err(Error::Unavailable(Text::key("error-stopping"))),
    }
}

/// The database's own clock, in Unix milliseconds: leases are measured by it, so that servers with different clocks
/// agree who holds one.
pub fn database_unix_ms(db: &mut Db) -> Result<i64> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        ms: i64,
    }
    let row: Row = match db {
        Db::Pg(conn) => {
            diesel::sql_query("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms").get_result(conn)?
        }
        Db::Sqlite(conn) => {
            diesel::sql_query("SELECT CAST(unixepoch('subsec') * 1000 AS BIGINT) AS ms").get_result(conn)?
        }
    };
    Ok(row.ms)
}
