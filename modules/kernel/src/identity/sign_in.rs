//! Signing in: throttle, password, session.

use std::net::IpAddr;

use super::throttle::Throttle;
use super::users::{MAX_USERNAME_CHARS, find_credential, normal};
use super::{Passwords, Session, SessionKind, SessionToken, open_session};
use crate::audit::{Actor, AuditEntry};
use crate::db::Database;
use crate::error::{Error, Result};
use crate::ids::UserId;

/// Somebody at the door.
pub struct Attempt {
    pub username: String,
    pub password: String,
    pub kind: SessionKind,
    pub address: IpAddr,
    pub user_agent: Option<String>,
}

/// A session just opened.
pub struct SignedIn {
    pub user_id: UserId,
    pub session: Session,
    /// To be handed to its owner now; it cannot be read again.
    pub token: SessionToken,
}

/// The door: knows who failed lately.
pub struct SignIn {
    passwords: Passwords,
    throttle: Throttle,
}

impl SignIn {
    /// # Errors
    /// `Internal` when the machine cannot hash.
    pub fn new() -> Result<Self> {
        Ok(Self { passwords: Passwords::new()?, throttle: Throttle::default() })
    }

    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Opens a session; `None` when user name and password do not belong together. An unknown user takes as long.
    ///
    /// # Errors
    /// `TooMany` after five failures of this account from this address, or thirty of any accounts.
    pub async fn attempt(&self, db: &Database, attempt: Attempt) -> Result<Option<SignedIn>> {
        let username: String = normal(&attempt.username).chars().take(MAX_USERNAME_CHARS).collect();
        let pair = (username.clone(), attempt.address);
        self.throttle.charge(&pair, db.clock().mono()).map_err(|retry_after_s| Error::TooMany { retry_after_s })?;
        let (user, stored) = db.read(move |db| find_credential(db, &username)).await?.unzip();
        let right = self.passwords.verify(stored, attempt.password).await?;
        let (Some(user_id), true) = (user, right) else {
            tracing::info!(address = %attempt.address, "sign-in refused");
            db.write(move |tx| tx.audit(refused(user))).await?;
            return Ok(None);
        };
        self.throttle.forgive(&pair);
        let token = SessionToken::random();
        let (kind, theirs, user_agent) = (attempt.kind, token.clone(), attempt.user_agent);
        let session = db
            .write(move |tx| {
                let session = open_session(tx, user_id, kind, &theirs, user_agent.as_deref())?;
                let after = serde_json::json!({ "kind": kind.as_str() });
                let entry = AuditEntry::new("session.open", session.id).by(Actor::User(user_id)).after(after);
                tx.audit(entry)?;
                Ok(session)
            })
            .await?;
        tracing::info!(user = %user_id, session = %session.id, "signed in");
        Ok(Some(SignedIn { user_id, session, token }))
    }
}

/// A door that stayed shut. What was typed as a user name may be a password: only that of an account is told, by its id.
fn refused(user: Option<UserId>) -> AuditEntry {
    let subject = user.map(|id| id.to_string()).unwrap_or_default();
    AuditEntry::new("session.refuse", subject).by(Actor::Stranger)
}
