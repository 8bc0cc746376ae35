//! Sessions: a random token outside, its SHA-256 in the database; 12 hours idle, 7 days in all.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use diesel::prelude::*;
use rand::RngCore;
use sha2::{Digest, Sha256};

use super::caller::Identity;
use super::grants::load_roles;
use super::schema::{app_user, session};
use super::{Caller, Permissions};
use crate::db::{Db, Tx};
use crate::define_id;
use crate::error::{Error, Result};
use crate::i18n::Locale;
use crate::ids::UserId;
use crate::time::Moment;

define_id!(
    /// A sign-in.
    SessionId, "ses"
);

pub(super) const IDLE: TimeDelta = TimeDelta::hours(12);
const ABSOLUTE: TimeDelta = TimeDelta::days(7);
/// `last_seen_at` is written no oftener than this.
const TOUCH_AFTER: TimeDelta = TimeDelta::minutes(1);
const MAX_USER_AGENT_CHARS: usize = 200;

/// How the token travels; a token of one kind is refused as the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// A browser: state-changing requests need the session's CSRF token.
    Cookie,
    /// A program, by `Authorization: Bearer`.
    Bearer,
}

impl SessionKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Bearer => "bearer",
        }
    }
}

/// 256 random bits; shown to its owner once.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(String);

impl SessionToken {
    pub fn random() -> Self {
        Self(random_text())
    }

    pub fn from_request(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What the database keeps.
    fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.0.as_bytes()))
    }
}

fn random_text() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An open session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub kind: SessionKind,
    /// The token that forms of this session carry.
    pub csrf: String,
    pub last_seen_at: Moment,
    /// The end, whatever the use.
    pub expires_at: Moment,
}

impl Session {
    /// Whether its last use is old enough to be written again.
    pub fn wants_touch(&self, now: Moment) -> bool {
        now.since(self.last_seen_at) >= TOUCH_AFTER
    }
}

/// Opens a session for a user whose password was right. `user_agent` is kept to 200 characters.
pub fn open_session(
    tx: &mut Tx<'_>,
    user: UserId,
    kind: SessionKind,
    token: &SessionToken,
    user_agent: Option<&str>,
) -> Result<Session> {
    let now = tx.now();
    let opened = Session {
        id: SessionId(tx.next_id()),
        kind,
        csrf: random_text(),
        last_seen_at: now,
        expires_at: now.plus(ABSOLUTE),
    };
    let user_agent: Option<String> = user_agent.map(|text| text.chars().take(MAX_USER_AGENT_CHARS).collect());
    diesel::insert_into(session::table)
        .values((
            session::id.eq(opened.id),
            session::token_hash.eq(token.hash()),
            session::user_id.eq(user),
            session::kind.eq(kind.as_str()),
            session::csrf.eq(&opened.csrf),
            session::created_at.eq(now),
            session::last_seen_at.eq(now),
            session::expires_at.eq(opened.expires_at),
            session::user_agent.eq(user_agent),
        ))
        .execute(tx.db())?;
    Ok(opened)
}

#[derive(Queryable)]
struct Row {
    id: SessionId,
    user_id: UserId,
    csrf: String,
    last_seen_at: Moment,
    expires_at: Moment,
    username: String,
    display_name: String,
    locale: Option<String>,
}

/// The caller that a token stands for; `None` when it is unknown, of the other kind, idle or too old, or the account
/// is disabled.
pub fn find_caller(
    db: &mut Db,
    permissions: &Permissions,
    kind: SessionKind,
    token: &SessionToken,
    now: Moment,
) -> Result<Option<Caller>> {
    let row: Option<Row> = session::table
        .inner_join(app_user::table)
        .filter(session::token_hash.eq(token.hash()).and(session::kind.eq(kind.as_str())))
        .filter(session::expires_at.gt(now).and(session::last_seen_at.gt(now.plus(-IDLE))))
        .filter(app_user::disabled.eq(false))
        .select((
            session::id,
            session::user_id,
            session::csrf,
            session::last_seen_at,
            session::expires_at,
            app_user::username,
            app_user::display_name,
            app_user::locale,
        ))
        .first(db)
        .optional()?;
    let Some(row) = row else { return Ok(None) };
    let held = load_roles(db, row.user_id)?;
    let who = Identity {
        user_id: row.user_id,
        username: row.username,
        display_name: row.display_name,
        locale: row.locale.and_then(|text| Locale::parse(&text)),
        session: Session {
            id: row.id,
            kind,
            csrf: row.csrf,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
        },
    };
    Ok(Some(Caller::new(who, &held, permissions)))
}

/// Notes that a session is in use.
pub fn touch_session(tx: &mut Tx<'_>, id: SessionId) -> Result<()> {
    let now = tx.now();
    diesel::update(session::table.find(id)).set(session::last_seen_at.eq(now)).execute(tx.db())?;
    Ok(())
}

/// Ends a session; ended before, nothing happens.
pub fn close_session(tx: &mut Tx<'_>, id: SessionId) -> Result<()> {
    diesel::delete(session::table.find(id)).execute(tx.db()).map(drop).map_err(Error::from)
}
