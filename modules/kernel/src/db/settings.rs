//! How to reach the database, and what opens its sealed fields.

use crate::error::{Error, Result};
use crate::vault::{Algorithm, KeyRing};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// How to reach the database and how much of it to use.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// `sqlite:path/to/file.db` or `postgres://user:password@host/name`.
    pub url: String,
    /// Connections that read (SQLite) or that read and write (PostgreSQL). Emergencies have three of their own.
    pub connections: u32,
    /// What opens and seals sensitive fields; none: whoever tries to is refused.
    pub keys: KeyRing,
    /// What new keys of persons are made for.
    pub algorithm: Algorithm,
}

impl DatabaseSettings {
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), connections: 6, keys: KeyRing::default(), algorithm: Algorithm::default() }
    }

    /// The same with keys: `KeyRing::draw()` in tests.
    #[must_use]
    pub fn with_keys(mut self, keys: KeyRing) -> Self {
        self.keys = keys;
        self
    }

    pub fn kind(&self) -> Result<Kind> {
        if self.url.starts_with("sqlite:") {
            Ok(Kind::Sqlite)
        } else if self.url.starts_with("postgres://") || self.url.starts_with("postgresql://") {
            Ok(Kind::Postgres)
        } else {
            // The URL may carry a password: it is not repeated.
            Err(Error::Internal("database.url must begin with sqlite: or postgres://".into()))
        }
    }
}
