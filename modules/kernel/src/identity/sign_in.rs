//! Signing in: throttle, password, session.

use std::net::IpAddr;

use super::password_rules::PasswordRules;
use super::throttle::Throttle;
use super::users::{Credential, MAX_USERNAME_CHARS, ask_for_another, credential_of, find_credential, normal};
use super::{Caller, Client, Passwords, Session, SessionKind, SessionToken, open_session_from};
use crate::audit::{Actor, AuditEntry};
use crate::db::{Database, Tx};
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
    rules: PasswordRules,
    throttle: Throttle,
}

impl SignIn {
    /// # Errors
    /// `Internal` when the machine cannot hash.
    pub fn new(rules: PasswordRules) -> Result<Self> {
        Ok(Self { passwords: Passwords::new()?, rules, throttle: Throttle::default() })
    }

    pub fn rules(&self) -> PasswordRules {
        self.rules
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
        let found = db.read(move |db| find_credential(db, &username)).await?;
        let right = self.passwords.verify(found.as_ref().map(Credential::hash), attempt.password).await?;
        let (now, user) = (db.clock().now(), found.as_ref().map(|credential| credential.user));
        let Some(credential) = found.filter(|credential| right && credential.counts(now)) else {
            tracing::info!(address = %attempt.address, "sign-in refused");
            db.write(move |tx| tx.audit(refused(user))).await?;
            return Ok(None);
        };
        self.throttle.forgive(&pair);
        let user_id = credential.user;
        let had_its_time = self.rules.max_days > 0 && credential.days_old(now) >= self.rules.max_days;
        let token = SessionToken::random();
        let (kind, theirs) = (attempt.kind, token.clone());
        let client = Client { user_agent: attempt.user_agent, address: Some(attempt.address) };
        let open = move |tx: &mut Tx<'_>| {
            if had_its_time {
                ask_for_another(tx, user_id)?;
            }
            let session = open_session_from(tx, user_id, kind, &theirs, &client)?;
            let after = serde_json::json!({ "kind": kind.as_str() });
            tx.audit(AuditEntry::new("session.open", session.id).by(Actor::User(user_id)).after(after))?;
            Ok(session)
        };
        let session = db.write(open).await?;
        tracing::info!(user = %user_id, session = %session.id, "signed in");
        Ok(Some(SignedIn { user_id, session, token }))
    }

    /// Whether a password is the caller's own, asked before something that a borrowed session must not do. Guesses are
    /// slowed down as those at the door.
    ///
    /// # Errors
    /// `TooMany` after five failures.
    pub async fn knows_password(
        &self,
        db: &Database,
        caller: &Caller,
        address: IpAddr,
        password: String,
    ) -> Result<bool> {
        let pair = (caller.username.clone(), address);
        self.throttle.charge(&pair, db.clock().mono()).map_err(|retry_after_s| Error::TooMany { retry_after_s })?;
        let user = caller.user_id;
        let found = db.read(move |db| credential_of(db, user)).await?;
        let right = self.passwords.verify(found.as_ref().map(Credential::hash), password).await?;
        if right {
            self.throttle.forgive(&pair);
        }
        Ok(right)
    }
}

/// A door that stayed shut. What was typed as a user name may be a password: only that of an account is told, by its id.
fn refused(user: Option<UserId>) -> AuditEntry {
    let subject = user.map(|id| id.to_string()).unwrap_or_default();
    AuditEntry::new("session.refuse", subject).by(Actor::Stranger)
}
