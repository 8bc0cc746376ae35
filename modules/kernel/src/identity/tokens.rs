//! Tokens for programs: some of their owner's permissions, perhaps at one facility, until a day. Random outside, SHA-256 in
//! the database; shown once.

use chrono::TimeDelta;
use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::caller::{Identity, Narrowing};
use super::grants::load_roles;
use super::schema::{api_token, app_user, scope_node};
use super::sessions::random_text;
use super::{Caller, Permissions, Session, SessionId, SessionKind, SessionToken, trail};
use crate::db::{Db, Tx};
use crate::define_id;
use crate::error::{Error, FieldError, Result, Text};
use crate::i18n::Locale;
use crate::ids::{FacilityId, UserId};
use crate::names::check_name;
use crate::time::Moment;

define_id!(
    /// A token that a program signs its requests with.
    TokenId, "tok"
);

/// What every token begins with, so that a leaked one can be recognised.
pub(super) const PREFIX: &str = "songhe_";
const MAX_NAME_CHARS: usize = 60;
/// Longer than this no token lives, in days.
const MAX_DAYS: i64 = 730;
/// So many may be there at a time.
const MAX_TOKENS: i64 = 50;

/// A token to be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for, 1 to 60 characters.
    pub name: String,
    /// Some of what its owner may do, by name: `incidents.read`.
    pub permissions: Vec<String>,
    /// Only there; `null`: wherever the owner may.
    #[serde(default)]
    pub facility_id: Option<FacilityId>,
    /// How long it lives, 1 to 730 days.
    pub days: i64,
}

/// A token as its owner sees it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Token {
    pub id: TokenId,
    pub name: String,
    pub permissions: Vec<String>,
    pub facility_id: Option<FacilityId>,
    pub facility: Option<String>,
    pub created_at: Moment,
    pub expires_at: Moment,
    /// `null`: never used.
    pub last_used_at: Option<Moment>,
    /// The network address it was last used from.
    pub address: Option<String>,
}

/// What a new token is signed with.
pub(super) fn random_token() -> SessionToken {
    SessionToken::from_request(&format!("{PREFIX}{}", random_text()))
}

/// Makes a token of a caller's.
///
/// # Errors
/// `Invalid` on `name`, `permissions` (none, or one that the caller does not have there), `facility_id` or `days`;
/// `Conflict` when there are too many.
pub fn make_token(tx: &mut Tx<'_>, owner: &Caller, new: &NewToken, token: &SessionToken) -> Result<TokenId> {
    let mut refused = Vec::new();
    let name = check_name("name", &new.name, MAX_NAME_CHARS).map_err(|error| refused.push(error)).unwrap_or_default();
    let lacks = |name: &&String| match new.facility_id {
        Some(facility) => !owner.facilities(name).contains(facility),
        None => !owner.can(name),
    };
    if new.facility_id.is_some_and(|facility| !owner.reach().contains(facility)) {
        refused.push(FieldError::new("facility_id", Text::key("error-unknown-choice")));
    } else if new.permissions.is_empty() {
        refused.push(FieldError::new("permissions", Text::key("error-choose")));
    } else if let Some(unknown) = new.permissions.iter().find(lacks) {
        refused.push(FieldError::new("permissions", Text::key("error-not-yours").arg("name", unknown)));
    }
    if !(1..=MAX_DAYS).contains(&new.days) {
        refused.push(FieldError::new("days", Text::key("error-out-of-range").arg("min", 1).arg("max", MAX_DAYS)));
    }
    if !refused.is_empty() {
        return Err(Error::Invalid(refused));
    }
    let now = tx.now();
    let alive = api_token::table.filter(api_token::user_id.eq(owner.user_id).and(api_token::expires_at.gt(now)));
    if alive.count().get_result::<i64>(tx.db())? >= MAX_TOKENS {
        return Err(Error::Conflict(Text::key("error-too-many-tokens").arg("n", MAX_TOKENS)));
    }
    let id = TokenId(tx.next_id());
    let mut permissions = new.permissions.clone();
    permissions.sort_unstable();
    permissions.dedup();
    diesel::insert_into(api_token::table)
        .values((
            api_token::id.eq(id),
            api_token::token_hash.eq(token.hash()),
            api_token::user_id.eq(owner.user_id),
            api_token::name.eq(name),
            api_token::permissions.eq(permissions.join(" ")),
            api_token::facility_id.eq(new.facility_id.map(|facility| facility.0)),
            api_token::created_at.eq(now),
            api_token::expires_at.eq(now.plus(TimeDelta::days(new.days))),
        ))
        .execute(tx.db())?;
    let after = json!({ "name": name, "permissions": permissions, "facility": new.facility_id, "days": new.days });
    trail::note(tx, owner.user_id, "tokens.create", id, new.facility_id, (None, Some(after)))?;
    Ok(id)
}

/// Ends one of a user's tokens.
///
/// # Errors
/// `NotFound` when it is not theirs.
pub fn revoke_token(tx: &mut Tx<'_>, owner: UserId, id: TokenId, actor: UserId) -> Result<()> {
    let theirs = api_token::table.find(id).filter(api_token::user_id.eq(owner));
    if diesel::delete(theirs).execute(tx.db())? == 0 {
        return Err(Error::NotFound);
    }
    trail::note(tx, actor, "tokens.revoke", id, None, (Some(json!({ "user": owner })), None))
}

#[derive(Queryable)]
struct Row {
    id: TokenId,
    name: String,
    permissions: String,
    facility_id: Option<i64>,
    facility: Option<String>,
    created_at: Moment,
    expires_at: Moment,
    last_used_at: Option<Moment>,
    address: Option<String>,
}

/// A user's tokens, the newest first; also those that have ended lately.
pub fn tokens_of(db: &mut Db, owner: UserId) -> Result<Vec<Token>> {
    let rows: Vec<Row> = api_token::table
        .left_join(scope_node::table.on(scope_node::id.nullable().eq(api_token::facility_id)))
        .filter(api_token::user_id.eq(owner))
        .order(api_token::id.desc())
        .select((
            api_token::id,
            api_token::name,
            api_token::permissions,
            api_token::facility_id,
            scope_node::name.nullable(),
            api_token::created_at,
            api_token::expires_at,
            api_token::last_used_at,
            api_token::address,
        ))
        .load(db)?;
    let token = |row: Row| Token {
        id: row.id,
        name: row.name,
        permissions: row.permissions.split(' ').map(ToOwned::to_owned).collect(),
        facility_id: row.facility_id.map(FacilityId),
        facility: row.facility,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        address: row.address,
    };
    Ok(rows.into_iter().map(token).collect())
}

#[derive(Queryable)]
struct Owned {
    id: i64,
    user_id: UserId,
    permissions: String,
    facility_id: Option<i64>,
    created_at: Moment,
    expires_at: Moment,
    last_used_at: Option<Moment>,
    username: String,
    display_name: String,
    locale: Option<String>,
}

/// The caller that a token stands for: its owner, as far as the token goes.
pub(super) fn find_caller(
    db: &mut Db,
    permissions: &Permissions,
    token: &SessionToken,
    now: Moment,
) -> Result<Option<Caller>> {
    let row: Option<Owned> = api_token::table
        .inner_join(app_user::table)
        .filter(api_token::token_hash.eq(token.hash()).and(api_token::expires_at.gt(now)))
        .filter(app_user::disabled.eq(false))
        .select((
            api_token::id,
            api_token::user_id,
            api_token::permissions,
            api_token::facility_id,
            api_token::created_at,
            api_token::expires_at,
            api_token::last_used_at,
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
            id: SessionId(row.id),
            kind: SessionKind::Token,
            csrf: String::new(),
            // One that was never used is noted at its first use.
            last_seen_at: row.last_used_at.unwrap_or(row.created_at.plus(-TimeDelta::days(1))),
            expires_at: row.expires_at,
        },
        first: None,
        narrowing: Some(Narrowing {
            permissions: row.permissions.split(' ').map(ToOwned::to_owned).collect(),
            facility: row.facility_id.map(FacilityId),
        }),
    };
    Ok(Some(Caller::new(who, &held, permissions)))
}

pub(super) fn touch(tx: &mut Tx<'_>, id: i64, address: Option<String>) -> Result<()> {
    let now = tx.now();
    let token = api_token::table.find(TokenId(id));
    diesel::update(token).set(api_token::last_used_at.eq(Some(now))).execute(tx.db())?;
    if address.is_some() {
        diesel::update(token).set(api_token::address.eq(address)).execute(tx.db())?;
    }
    Ok(())
}
