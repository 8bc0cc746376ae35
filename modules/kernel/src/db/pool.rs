//! Connections. Not `Db::establish`: an unreachable PostgreSQL would fall through to a SQLite file of that name.

use std::time::Duration;

use diesel::connection::{Connection, SimpleConnection, TransactionManager};
use diesel::r2d2;
use diesel::{PgConnection, SqliteConnection};

use super::Db;
use crate::error::{Error, Result, Text};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Read,
    Write,
}

#[derive(Debug)]
pub(super) struct Manager {
    url: String,
    role: Role,
    /// Whose sessions they are; `None` on SQLite.
    server: Option<i16>,
}

/// A pooled connection that remembers that its peer is gone.
pub(super) struct Slot {
    db: Db,
    broken: bool,
}

pub(super) type Pool = r2d2::Pool<Manager>;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ConnectError(String);

pub(super) fn connect(url: &str, role: Role) -> Result<Db> {
    match url.strip_prefix("sqlite:") {
        Some(path) => {
            let mut conn = SqliteConnection::establish(path.strip_prefix("//").unwrap_or(path))
                .map_err(|error| Error::Internal(format!("SQLite file cannot be opened: {error}")))?;
            // secure_delete: what is removed (a destroyed key, say) is overwritten where that costs no further page.
            conn.batch_execute(
                "PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; \
                 PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=67108864; PRAGMA secure_delete=FAST;",
            )?;
            match role {
                Role::Read => conn.batch_execute("PRAGMA query_only=ON;")?,
                // A thread of its own empties the log (see `writer`); this is for the rest that it never catches up with.
                // 64 MiB at most: the pages that a thousand devices' rows go to stay in memory.
                Role::Write => conn.batch_execute("PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-65536;")?,
            }
            Ok(Db::Sqlite(conn))
        }
        None => {
            let mut conn = PgConnection::establish(url).map_err(|error| {
                tracing::warn!(%error, "PostgreSQL does not answer");
                Error::Unavailable(Text::key("error-database-unreachable"))
            })?;
            // A server that hangs in the middle of a transaction must not keep its locks from the others. No transaction
            // waits for anything but the database, for 50 ms at most.
            conn.batch_execute("SET TIME ZONE 'UTC'; SET idle_in_transaction_session_timeout = '5s'")?;
            Ok(Db::Pg(conn))
        }
    }
}

/// A connection of its own, outside the pools and the writer.
pub(crate) fn write_connection(url: &str) -> Result<Db> {
    connect(url, Role::Write)
}

impl r2d2::ManageConnection for Manager {
    type Connection = Slot;
    type Error = ConnectError;

    fn connect(&self) -> Result<Slot, ConnectError> {
        let wrong = |error: Error| ConnectError(error.to_string());
        let mut db = connect(&self.url, self.role).map_err(wrong)?;
        if let (Db::Pg(conn), Some(server)) = (&mut db, self.server) {
            name_session(conn, server).map_err(wrong)?;
        }
        Ok(Slot { db, broken: false })
    }

    fn is_valid(&self, slot: &mut Slot) -> Result<(), ConnectError> {
        slot.db.batch_execute("SELECT 1").map_err(|error| ConnectError(error.to_string()))
    }

    fn has_broken(&self, slot: &mut Slot) -> bool {
        slot.broken
            || std::thread::panicking()
            || <Db as Connection>::TransactionManager::is_broken_transaction_manager(&mut slot.db)
    }
}

/// How the sessions of a server are called in `pg_stat_activity`.
pub(crate) fn session_name(server: i16) -> String {
    format!("songhe-{server}")
}

fn name_session(conn: &mut PgConnection, server: i16) -> Result<()> {
    Ok(conn.batch_execute(&format!("SET application_name = '{}'", session_name(server)))?)
}

/// A server's own connection to PostgreSQL outside the pools, which notices within seconds that nobody answers.
pub(crate) fn line_to(url: &str, server: i16) -> Result<PgConnection> {
    let joint = if url.contains('?') { '&' } else { '?' };
    let url = format!(
        "{url}{joint}connect_timeout=5&tcp_user_timeout=5000&keepalives_idle=2&keepalives_interval=1&keepalives_count=3"
    );
    match connect(&url, Role::Write)? {
        Db::Pg(mut conn) => {
            name_session(&mut conn, server)?;
            Ok(conn)
        }
        Db::Sqlite(_) => Err(Error::internal("not a PostgreSQL database")),
    }
}

/// Connections to PostgreSQL that are a server's.
pub(super) fn open_for(url: &str, server: u16, size: u32) -> Result<Pool> {
    build(Manager { url: url.to_owned(), role: Role::Write, server: Some(server.cast_signed()) }, size)
}

pub(super) fn open(url: &str, role: Role, size: u32) -> Result<Pool> {
    build(Manager { url: url.to_owned(), role, server: None }, size)
}

fn build(manager: Manager, size: u32) -> Result<Pool> {
    r2d2::Pool::builder()
        .max_size(size)
        .min_idle(Some(1))
        .connection_timeout(Duration::from_secs(5))
        // A round trip for each look-up is too dear; a dead connection shows itself at its first statement.
        .test_on_check_out(false)
        .build(manager)
        .map_err(|error| {
            tracing::error!(%error, "no database connection");
            Error::Unavailable(Text::key("error-database-unreachable"))
        })
}

pub(super) fn with<T>(pool: &Pool, f: impl FnOnce(&mut Db) -> Result<T>) -> Result<T> {
    let mut slot = pool.get().map_err(|error| {
        tracing::error!(%error, "no database connection");
        Error::Unavailable(Text::key("error-database-unreachable"))
    })?;
    let outcome = f(&mut slot.db);
    if let Err(Error::Database(error)) = &outcome {
        slot.broken = says_gone(error);
    }
    outcome
}

fn says_gone(error: &diesel::result::Error) -> bool {
    use diesel::result::{DatabaseErrorKind, Error as Diesel};
    match error {
        Diesel::DatabaseError(DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand, _) => true,
        Diesel::DatabaseError(_, info) => {
            let message = info.message();
            message.contains("server closed the connection") || message.contains("terminating connection")
        }
        Diesel::BrokenTransactionManager => true,
        _ => false,
    }
}
