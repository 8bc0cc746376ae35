//! Sessions: a random token outside, its SHA-256 in the database; 12 hours idle, 7 days in all.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use diesel::prelude::*;
use rand::RngCore;
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::caller::{First, Identity};
use super::grants::load_roles;
use super::schema::{app_user, session};
use super::{Caller, Permissions, tokens};
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
    /// A program that signed in, by `Authorization: Bearer`.
    Bearer,
    /// A program with a token of an account's own making, by `Authorization: Bearer`.
    Token,
}

impl SessionKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Bearer => "bearer",
            Self::Token => "token",
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

    /// How it was given out: what begins like a program's token is one.
    pub(crate) fn bearer_kind(&self) -> SessionKind {
        if self.0.starts_with(tokens::PREFIX) { SessionKind::Token } else { SessionKind::Bearer }
    }

    /// What the database keeps.
    pub(super) fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.0.as_bytes()))
    }
}

pub(super) fn random_text() -> String {
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

/// Where a session is opened from.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// What the program calls itself; kept to 200 characters.
    pub user_agent: Option<String>,
    pub address: Option<IpAddr>,
}

/// Opens a session for a user whose password was right, whose origin is nobody's business.
pub fn open_session(
    tx: &mut Tx<'_>,
    user: UserId,
    kind: SessionKind,
    token: &SessionToken,
    user_agent: Option<&str>,
) -> Result<Session> {
    let client = Client { user_agent: user_agent.map(ToOwned::to_owned), address: None };
    open_session_from(tx, user, kind, token, &client)
}

/// Opens a session for a user whose password was right.
pub fn open_session_from(
    tx: &mut Tx<'_>,
    user: UserId,
    kind: SessionKind,
    token: &SessionToken,
    client: &Client,
) -> Result<Session> {
    let now = tx.now();
    let opened = Session {
        id: SessionId(tx.next_id()),
        kind,
        csrf: random_text(),
        last_seen_at: now,
        expires_at: now.plus(ABSOLUTE),
    };
    let user_agent = client.user_agent.as_ref().map(|text| text.chars().take(MAX_USER_AGENT_CHARS).collect::<String>());
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
            session::address.eq(client.address.map(|address| address.to_string())),
        ))
        .execute(tx.db())?;
    diesel::update(app_user::table.find(user)).set(app_user::signed_in_at.eq(now)).execute(tx.db())?;
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
    must_change: bool,
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
    if kind == SessionKind::Token {
        return tokens::find_caller(db, permissions, token, now);
    }
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
            app_user::must_change,
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
        first: row.must_change.then_some(First::ChoosePassword),
        narrowing: None,
    };
    Ok(Some(Caller::new(who, &held, permissions)))
}

/// Notes that a session, or a token, is in use from an address.
pub fn touch_session(tx: &mut Tx<'_>, session: &Session, address: Option<IpAddr>) -> Result<()> {
    let (now, address) = (tx.now(), address.map(|address| address.to_string()));
    if session.kind == SessionKind::Token {
        return tokens::touch(tx, session.id.0, address);
    }
    diesel::update(session::table.find(session.id)).set(session::last_seen_at.eq(now)).execute(tx.db())?;
    if let Some(address) = address {
        diesel::update(session::table.find(session.id)).set(session::address.eq(address)).execute(tx.db())?;
    }
    Ok(())
}

/// Ends a session; ended before, nothing happens.
pub fn close_session(tx: &mut Tx<'_>, id: SessionId) -> Result<()> {
    diesel::delete(session::table.find(id)).execute(tx.db()).map(drop).map_err(Error::from)
}

/// A session as its owner, and whoever manages the account, sees it.
#[derive(Debug, Clone, Queryable, Serialize, JsonSchema)]
pub struct OpenSession {
    pub id: SessionId,
    /// `cookie`: a browser; `bearer`: a program.
    pub kind: String,
    pub created_at: Moment,
    pub last_seen_at: Moment,
    /// The end, whatever the use.
    pub expires_at: Moment,
    /// What the browser or program calls itself.
    pub user_agent: Option<String>,
    /// The network address it was last used from.
    pub address: Option<String>,
}

/// A user's sessions that have not ended, the last used first.
pub fn sessions_of(db: &mut Db, user: UserId, now: Moment) -> Result<Vec<OpenSession>> {
    Ok(session::table
        .filter(session::user_id.eq(user))
        .filter(session::expires_at.gt(now).and(session::last_seen_at.gt(now.plus(-IDLE))))
        .order((session::last_seen_at.desc(), session::id.desc()))
        .select((
            session::id,
            session::kind,
            session::created_at,
            session::last_seen_at,
            session::expires_at,
            session::user_agent,
            session::address,
        ))
        .load(db)?)
}

/// Ends one of a user's sessions.
///
/// # Errors
/// `NotFound` when it is not theirs.
pub fn end_session_of(tx: &mut Tx<'_>, user: UserId, id: SessionId) -> Result<()> {
    let theirs = session::table.find(id).filter(session::user_id.eq(user));
    if diesel::delete(theirs).execute(tx.db())? == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Ends all of a user's sessions but one; answers how many.
pub fn end_sessions_of(tx: &mut Tx<'_>, user: UserId, but: Option<SessionId>) -> Result<usize> {
    let kept = but.unwrap_or(SessionId(0));
    let others = session::table.filter(session::user_id.eq(user).and(session::id.ne(kept)));
    Ok(diesel::delete(others).execute(tx.db())?)
}
