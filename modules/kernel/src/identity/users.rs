//! Accounts.

use diesel::prelude::*;

use super::schema::app_user;
use super::{PasswordHash, SessionId, end_sessions_of, trail};
use crate::audit::AuditEntry;
use crate::db::{Db, Tx};
use crate::error::{Error, FieldError, Result, Text};
use crate::i18n::Locale;
use crate::ids::UserId;
use crate::names::check_name;
use crate::time::Moment;

pub(super) const MAX_USERNAME_CHARS: usize = 64;
pub(super) const MAX_DISPLAY_NAME_CHARS: usize = 100;

/// An account to be made.
#[derive(Clone)]
pub struct NewUser {
    /// 2 to 64 characters without white space; compared without case.
    pub username: String,
    /// 1 to 100 characters, as others see it.
    pub display_name: String,
    pub password: PasswordHash,
    pub locale: Option<Locale>,
}

/// How a user name is stored and compared.
pub(super) fn normal(username: &str) -> String {
    username.trim().to_lowercase()
}

/// Makes an account.
///
/// # Errors
/// `Invalid` on `username` or `display_name`, also when the name is taken.
pub fn create_user(tx: &mut Tx<'_>, user: &NewUser) -> Result<UserId> {
    let username = normal(&user.username);
    let display_name = check(&username, &user.display_name)?;
    let (id, now) = (UserId(tx.next_id()), tx.now());
    let inserted = diesel::insert_into(app_user::table)
        .values((
            app_user::id.eq(id),
            app_user::username.eq(&username),
            app_user::display_name.eq(display_name),
            app_user::password_hash.eq(user.password.as_str()),
            app_user::locale.eq(user.locale.map(Locale::as_str)),
            app_user::disabled.eq(false),
            app_user::created_at.eq(now),
            app_user::password_set_at.eq(Some(now)),
        ))
        .execute(tx.db())
        .map_err(Error::from);
    match inserted {
        Ok(_) => {
            tx.audit(AuditEntry::new("user.create", id).after(serde_json::json!({ "username": username })))?;
            Ok(id)
        }
        Err(error) if error.is_unique_violation() => Err(Error::field("username", Text::key("error-username-taken"))),
        Err(error) => Err(error),
    }
}

/// Answers the display name as it is kept.
fn check<'a>(username: &str, display_name: &'a str) -> Result<&'a str> {
    let mut refused = Vec::new();
    let length = username.chars().count();
    if !(2..=MAX_USERNAME_CHARS).contains(&length) || username.chars().any(|c| c.is_whitespace() || c.is_control()) {
        refused.push(FieldError::new("username", Text::key("error-username-form").arg("max", MAX_USERNAME_CHARS)));
    } else if let Err(unseen) = check_name("username", username, MAX_USERNAME_CHARS) {
        refused.push(unseen);
    }
    match check_name("display_name", display_name, MAX_DISPLAY_NAME_CHARS) {
        Ok(display_name) if refused.is_empty() => Ok(display_name),
        Ok(_) => Err(Error::Invalid(refused)),
        Err(other) => {
            refused.push(other);
            Err(Error::Invalid(refused))
        }
    }
}

/// The account of that name, in whatever case it is written.
pub fn find_user_id(db: &mut Db, username: &str) -> Result<Option<UserId>> {
    let found = app_user::table.filter(app_user::username.eq(normal(username))).select(app_user::id).first(db);
    Ok(found.optional()?)
}

/// What a sign-in is checked against.
#[derive(Queryable, Selectable)]
#[diesel(table_name = app_user)]
pub(super) struct Credential {
    #[diesel(column_name = id)]
    pub(super) user: UserId,
    password_hash: String,
    /// A one-time password is good until then.
    one_time_until: Option<Moment>,
    password_set_at: Option<Moment>,
    created_at: Moment,
}

impl Credential {
    pub(super) fn hash(&self) -> PasswordHash {
        PasswordHash::from_stored(self.password_hash.clone())
    }

    /// Whether it still opens the door; a one-time password that nobody used in time does not.
    pub(super) fn counts(&self, now: Moment) -> bool {
        self.one_time_until.is_none_or(|until| now < until)
    }

    /// For how many days it has been the account's.
    pub(super) fn days_old(&self, now: Moment) -> i64 {
        now.since(self.password_set_at.unwrap_or(self.created_at)).num_days()
    }
}

/// By user name; disabled accounts are unknown.
pub(super) fn find_credential(db: &mut Db, username: &str) -> Result<Option<Credential>> {
    let found = app_user::table.filter(app_user::username.eq(username).and(app_user::disabled.eq(false)));
    Ok(found.select(Credential::as_select()).first(db).optional()?)
}

/// By account; disabled ones are unknown.
pub(super) fn credential_of(db: &mut Db, user: UserId) -> Result<Option<Credential>> {
    let found = app_user::table.filter(app_user::id.eq(user).and(app_user::disabled.eq(false)));
    Ok(found.select(Credential::as_select()).first(db).optional()?)
}

/// Sets a new password and ends all of the user's sessions.
///
/// # Errors
/// `NotFound` when there is no such user.
pub fn set_password(tx: &mut Tx<'_>, user: UserId, password: &PasswordHash) -> Result<()> {
    keep_password(tx, user, password)?;
    let ended = end_sessions_of(tx, user, None)?;
    tx.audit(AuditEntry::new("user.password", user).after(serde_json::json!({ "sessions_ended": ended })))
}

/// Sets the password that a user chose and ends their other sessions.
///
/// # Errors
/// `NotFound` when there is no such user.
pub fn choose_password(tx: &mut Tx<'_>, user: UserId, password: &PasswordHash, session: SessionId) -> Result<()> {
    keep_password(tx, user, password)?;
    end_sessions_of(tx, user, Some(session))?;
    trail::note(tx, user, "people.choose_password", user, None, (None, None))
}

fn keep_password(tx: &mut Tx<'_>, user: UserId, password: &PasswordHash) -> Result<()> {
    let now = tx.now();
    let changed = diesel::update(app_user::table.find(user))
        .set((
            app_user::password_hash.eq(password.as_str()),
            app_user::password_set_at.eq(Some(now)),
            app_user::one_time_until.eq(None::<Moment>),
            app_user::must_change.eq(false),
        ))
        .execute(tx.db())?;
    if changed == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Asks a user for another password before anything else: theirs has had its time.
pub(super) fn ask_for_another(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    diesel::update(app_user::table.find(user)).set(app_user::must_change.eq(true)).execute(tx.db())?;
    Ok(())
}

/// Keeps the language a user chose.
pub fn set_locale(tx: &mut Tx<'_>, user: UserId, locale: Locale) -> Result<()> {
    diesel::update(app_user::table.find(user)).set(app_user::locale.eq(locale.as_str())).execute(tx.db())?;
    Ok(())
}
