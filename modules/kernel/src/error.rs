//! What can go wrong, by what the caller can do about it.
//!
//! HTTP answers are made from these kinds in one place, `http/error_response.rs`. A database error is never read as
//! "not found": there is no way from [`diesel::result::Error`] to [`Error::NotFound`].

use std::fmt;

/// A message of the Fluent catalogue with its arguments; rendered in the reader's language where it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub key: &'static str,
    pub args: Vec<(&'static str, String)>,
}

impl Text {
    pub fn key(key: &'static str) -> Self {
        Self { key, args: Vec::new() }
    }

    #[must_use]
    pub fn arg(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.args.push((name, value.to_string()));
        self
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key)?;
        for (name, value) in &self.args {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

/// One refused input field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    pub field: &'static str,
    pub text: Text,
}

impl FieldError {
    pub fn new(field: &'static str, text: Text) -> Self {
        Self { field, text }
    }
}

/// Every way an operation of Songhe can fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request was understood, but fields have to be corrected (422).
    #[error("invalid input: {}", .0.iter().map(|p| format!("{}: {}", p.field, p.text)).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldError>),
    /// The request cannot be read at all (400).
    #[error("bad request: {0}")]
    BadRequest(Text),
    /// The request cannot be read at one place of its query, form or body (400).
    #[error("unreadable: {part}: {reason}")]
    Unreadable {
        /// Fluent key of the sentence that tells `reason`: `error-query`, `error-form`, `error-json`.
        part: &'static str,
        /// `limit`, `rungs.0.rank`; `None` where it is no field that is wrong.
        field: Option<String>,
        reason: Text,
    },
    /// Nobody is signed in (401, or the sign-in page).
    #[error("not signed in")]
    Unauthenticated,
    /// Signed in, but this is not theirs to do (403).
    #[error("not permitted")]
    Forbidden,
    /// Does not exist, or does not exist for this caller (404).
    #[error("not found")]
    NotFound,
    /// The state has moved on; reading again tells what is possible (409).
    #[error("conflict: {0}")]
    Conflict(Text),
    /// The body exceeds the limit, in bytes (413).
    #[error("body over {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    /// Asked too often; try again after so many seconds (429).
    #[error("too many requests, retry after {retry_after_s} s")]
    TooMany { retry_after_s: u64 },
    /// A part of the server is not able to answer now; the same request may succeed later (503).
    #[error("unavailable: {0}")]
    Unavailable(Text),
    /// The database refused or is gone (500, or 503 when a repeat may help).
    #[error("database: {0}")]
    Database(#[from] diesel::result::Error),
    /// A defect of Songhe (500). The text goes to the log only.
    #[error("internal: {0}")]
    Internal(String),
}

impl Error {
    /// One refused field.
    pub fn field(field: &'static str, text: Text) -> Self {
        Self::Invalid(vec![FieldError::new(field, text)])
    }

    pub fn conflict(key: &'static str) -> Self {
        Self::Conflict(Text::key(key))
    }

    pub fn internal(what: impl fmt::Display) -> Self {
        Self::Internal(what.to_string())
    }

    /// Whether running the same transaction again may succeed: busy, serialization failure, deadlock or a connection
    /// that died before anything was committed.
    pub fn is_transient(&self) -> bool {
        use diesel::result::{DatabaseErrorKind, Error as Diesel};
        match self {
            Self::Database(Diesel::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => true,
            Self::Database(Diesel::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                _,
            )) => true,
            Self::Database(Diesel::DatabaseError(_, info)) => {
                let message = info.message();
                ["database is locked", "deadlock detected", "terminating connection"]
                    .iter()
                    .any(|sign| message.contains(sign))
            }
            _ => false,
        }
    }

    /// Whether a unique constraint refused the row: somebody else was first.
    pub fn is_unique_violation(&self) -> bool {
        use diesel::result::{DatabaseErrorKind, Error as Diesel};
        matches!(self, Self::Database(Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation, _)))
    }
}

impl From<serde_json::Error> for Error {
    /// Our own values that do not serialise, or stored JSON that does not read back: a defect, never bad input
    /// (bodies are parsed by `Ctx::json`, which answers 400).
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(format!("stored JSON: {error}"))
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
