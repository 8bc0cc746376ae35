//! Accounts as those see them who manage them: within their own facilities, and never above their own rights.
//!
//! An account is seen where it holds a role. It is managed (name, password, sessions, disabling) by whoever could have
//! given it every role it holds.

use chrono::TimeDelta;
use diesel::prelude::*;
use rand::RngCore;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::grants::{GrantId, give};
use super::rights::{PEOPLE_READ, PEOPLE_WRITE, ROLES_WRITE, RoleRights, list_roles};
use super::schema::{app_user, role_grant};
use super::tree::{At, Tree};
use super::users::{MAX_DISPLAY_NAME_CHARS, create_user};
use super::{Caller, NewUser, PasswordHash, Permissions, Role, RoleName, Scope, end_sessions_of, trail};
use crate::db::{Db, Tx, containing};
use crate::error::{Error, Result, Text};
use crate::i18n::Locale;
use crate::ids::UserId;
use crate::names::check_name;
use crate::time::Moment;

/// A one-time password is good for so long.
const ONE_TIME: TimeDelta = TimeDelta::days(7);
/// Letters and digits that nobody takes for one another.
const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// An account.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Person {
    pub id: UserId,
    pub username: String,
    pub display_name: String,
    /// `zh-CN` or `en`; `null`: as the browser wishes.
    pub locale: Option<String>,
    pub disabled: bool,
    pub created_at: Moment,
    /// `null`: never.
    pub signed_in_at: Option<Moment>,
    /// Whether the next sign-in asks for another password.
    pub must_change_password: bool,
    /// Those that the caller sees.
    pub grants: Vec<Grant>,
    /// Whether the caller may change the account itself, not only its roles here.
    pub manageable: bool,
}

/// A role held somewhere.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Grant {
    pub id: GrantId,
    /// `nurse`; `rol_…` for a role that was added here.
    pub role: String,
    /// Of a role that was added here.
    pub role_title: Option<String>,
    /// `fac_…`, `reg_…` or `*`: the whole system.
    pub at: String,
    /// The name of the facility or region; `null`: the whole system.
    pub at_name: Option<String>,
    /// Whether the caller may withdraw it.
    pub withdrawable: bool,
}

/// An account to be made, with its first role.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// 2 to 64 characters without white space; compared without case.
    pub username: String,
    /// 1 to 100 characters, as others see it.
    pub display_name: String,
    /// `zh-CN` or `en`; `null`: as the browser wishes.
    #[serde(default)]
    pub locale: Option<String>,
    pub role: String,
    /// `fac_…`, `reg_…` or `*`: the whole system.
    pub at: String,
}

/// A password to be told to its owner once: they choose their own with it.
pub fn one_time_password() -> String {
    let mut bytes = [0; 12];
    rand::rng().fill_bytes(&mut bytes);
    let letter =
        |byte: &u8| ALPHABET.get(usize::from(*byte) % ALPHABET.len()).map_or('x', |letter| char::from(*letter));
    let letters: Vec<char> = bytes.iter().map(letter).collect();
    letters.chunks(4).map(|part| part.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// What a caller may do with roles, as of one transaction.
struct Office<'a> {
    by: &'a Caller,
    tree: Tree,
    roles: Vec<RoleRights>,
}

impl<'a> Office<'a> {
    fn open(db: &mut Db, by: &'a Caller, permissions: &Permissions) -> Result<Self> {
        Ok(Self { by, tree: Tree::load(db)?, roles: list_roles(db, permissions, by.facilities(PEOPLE_READ))? })
    }

    /// Whoever says what roles may do could give themselves anything.
    fn may_all(&self) -> bool {
        *self.by.facilities(ROLES_WRITE) == Scope::All && *self.by.facilities(PEOPLE_WRITE) == Scope::All
    }

    fn may_grant(&self, role: &str, node: Option<i64>) -> bool {
        if self.may_all() {
            return true;
        }
        let covers = |permission: &str| self.tree.covers(self.by.facilities(permission), node);
        let rights = self.roles.iter().find(|known| known.name == role);
        covers(PEOPLE_WRITE) && rights.is_some_and(|role| role.permissions.iter().all(|name| covers(name)))
    }

    fn sees(&self, node: Option<i64>) -> bool {
        self.tree.covers(self.by.facilities(PEOPLE_READ), node)
    }

    fn title(&self, role: &str) -> Option<String> {
        self.roles.iter().find(|known| known.name == role).and_then(|known| known.title.clone())
    }

    /// Accounts with the roles that are seen of them.
    fn people(&self, db: &mut Db, rows: Vec<Row>) -> Result<Vec<Person>> {
        let ids: Vec<i64> = rows.iter().map(|row| row.id.0).collect();
        let grants: Vec<(GrantId, UserId, String, Option<i64>)> = role_grant::table
            .filter(role_grant::user_id.eq_any(ids))
            .order(role_grant::id)
            .select((role_grant::id, role_grant::user_id, role_grant::role, role_grant::scope_id))
            .load(db)?;
        let person = |row: Row| {
            let theirs: Vec<_> = grants.iter().filter(|(_, user, ..)| *user == row.id).collect();
            let mine = |(_, _, role, node): &&&(GrantId, UserId, String, Option<i64>)| self.may_grant(role, *node);
            let manageable =
                self.may_all() || (!theirs.is_empty() && theirs.iter().filter(mine).count() == theirs.len());
            let seen = theirs.iter().filter(|(_, _, _, node)| self.sees(*node));
            let grant = |(id, _, role, node): &&(GrantId, UserId, String, Option<i64>)| Grant {
                id: *id,
                role: role.clone(),
                role_title: self.title(role),
                at: self.tree.at(*node).to_string(),
                at_name: self.tree.name(*node),
                withdrawable: self.may_grant(role, *node),
            };
            Person { grants: seen.map(grant).collect(), manageable, ..row.person() }
        };
        Ok(rows.into_iter().map(person).collect())
    }

    /// # Errors
    /// `NotFound` for an account that is not there, and for one that holds no role where the caller sees any.
    fn person(&self, db: &mut Db, id: UserId) -> Result<Person> {
        let row = app_user::table.find(id).select(Row::as_select()).first(db).optional()?;
        let person = self.people(db, row.into_iter().collect())?.pop().ok_or(Error::NotFound)?;
        let all = *self.by.facilities(PEOPLE_READ) == Scope::All;
        if all || !person.grants.is_empty() { Ok(person) } else { Err(Error::NotFound) }
    }

    /// # Errors
    /// As [`Self::person`]; `Forbidden` when the caller could not have given every role of the account.
    fn managed(&self, db: &mut Db, id: UserId) -> Result<Person> {
        let person = self.person(db, id)?;
        if person.manageable { Ok(person) } else { Err(Error::Forbidden) }
    }

    /// # Errors
    /// `Invalid` on `role` or `at` when there is none of that name, or it is not the caller's to give.
    fn grantable(&self, role: &str, at: &str) -> Result<(RoleName, Option<i64>)> {
        if !self.roles.iter().any(|known| known.name == role) {
            return Err(Error::field("role", Text::key("error-unknown-choice")));
        }
        let unknown = || Error::field("at", Text::key("error-unknown-choice"));
        let node = at.parse::<At>().map_err(|()| unknown())?.0;
        if self.tree.at(node).to_string() != at || !self.tree.covers(self.by.facilities(PEOPLE_WRITE), node) {
            return Err(unknown());
        }
        if !self.may_grant(role, node) {
            return Err(Error::field("role", Text::key("error-role-above")));
        }
        Ok((RoleName::of(role), node))
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = app_user)]
struct Row {
    id: UserId,
    username: String,
    display_name: String,
    locale: Option<String>,
    disabled: bool,
    created_at: Moment,
    signed_in_at: Option<Moment>,
    must_change: bool,
}

impl Row {
    fn person(self) -> Person {
        Person {
            id: self.id,
            username: self.username,
            display_name: self.display_name,
            locale: self.locale,
            disabled: self.disabled,
            created_at: self.created_at,
            signed_in_at: self.signed_in_at,
            must_change_password: self.must_change,
            grants: Vec::new(),
            manageable: false,
        }
    }
}

/// A page of the accounts that a caller sees, by id; `search`: part of a user name or a name.
pub fn list_people(
    db: &mut Db,
    by: &Caller,
    permissions: &Permissions,
    search: &str,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<Person>> {
    let office = Office::open(db, by, permissions)?;
    let mut query = app_user::table.select(Row::as_select()).order(app_user::id).limit(limit).into_boxed();
    if *by.facilities(PEOPLE_READ) != Scope::All {
        let nodes = office.tree.within(by.facilities(PEOPLE_READ));
        let here = role_grant::table
            .filter(role_grant::scope_id.eq_any(nodes.into_iter().map(Some).collect::<Vec<_>>()))
            .select(role_grant::user_id);
        query = query.filter(app_user::id.eq_any(here));
    }
    if !search.trim().is_empty() {
        let (name, account) = (containing(search.trim()), containing(&search.trim().to_lowercase()));
        let named = app_user::display_name.like(name).escape('\\');
        query = query.filter(named.or(app_user::username.like(account).escape('\\')));
    }
    if let Some(after) = after {
        query = query.filter(app_user::id.gt(after));
    }
    let rows = query.load(db)?;
    office.people(db, rows)
}

/// # Errors
/// `NotFound` for an account that does not exist for the caller.
pub fn find_person(db: &mut Db, by: &Caller, permissions: &Permissions, id: UserId) -> Result<Person> {
    Office::open(db, by, permissions)?.person(db, id)
}

/// A place that a role may be given at, and its name.
pub type NamedNode = (At, String);

/// What a caller may choose from when giving a role: roles, and where.
pub fn grantable(db: &mut Db, by: &Caller, permissions: &Permissions) -> Result<(Vec<RoleRights>, Vec<NamedNode>)> {
    let office = Office::open(db, by, permissions)?;
    let places = office.tree.choices(by.facilities(PEOPLE_WRITE));
    let somewhere = |role: &&RoleRights| places.iter().any(|(at, _)| office.may_grant(&role.name, at.0));
    let roles = office.roles.iter().filter(|role| office.may_all() || somewhere(role)).cloned().collect();
    Ok((roles, places))
}

fn locale_of(wish: Option<&str>) -> Result<Option<Locale>> {
    match wish.filter(|wish| !wish.is_empty()) {
        None => Ok(None),
        Some(wish) => Locale::parse(wish)
            .map(Some)
            .ok_or_else(|| Error::field("locale", Text::key("error-invalid-choice").arg("value", wish))),
    }
}

/// Makes an account with its first role and a one-time password.
///
/// # Errors
/// `Invalid` on `username`, `display_name`, `locale`, `role` (also one above the caller's own rights) or `at`.
pub fn create_person(
    tx: &mut Tx<'_>,
    by: &Caller,
    permissions: &Permissions,
    new: &NewPerson,
    password: &PasswordHash,
) -> Result<UserId> {
    let locale = locale_of(new.locale.as_deref())?;
    let office = Office::open(tx.db(), by, permissions)?;
    let (role, node) = office.grantable(&new.role, &new.at)?;
    let user = NewUser {
        username: new.username.clone(),
        display_name: new.display_name.clone(),
        password: password.clone(),
        locale,
    };
    let id = create_user(tx, &user)?;
    let until = tx.now().plus(ONE_TIME);
    diesel::update(app_user::table.find(id))
        .set((app_user::must_change.eq(true), app_user::one_time_until.eq(Some(until))))
        .execute(tx.db())?;
    give(tx, id, &role, node)?;
    let after = json!({ "role": new.role, "at": new.at });
    trail::note(tx, by.user_id, "people.create", id, office.tree.facility(node), (None, Some(after)))?;
    Ok(id)
}

/// What may be changed of an account.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonChange {
    /// 1 to 100 characters, as others see it.
    pub display_name: String,
    /// `zh-CN` or `en`; `null`: as the browser wishes.
    #[serde(default)]
    pub locale: Option<String>,
}

/// Changes how an account is called and in which language it is answered.
///
/// # Errors
/// `NotFound`, `Forbidden`; `Invalid` on `display_name` or `locale`.
pub fn change_person(
    tx: &mut Tx<'_>,
    by: &Caller,
    permissions: &Permissions,
    id: UserId,
    change: &PersonChange,
) -> Result<()> {
    let before = Office::open(tx.db(), by, permissions)?.managed(tx.db(), id)?;
    let name = check_name("display_name", &change.display_name, MAX_DISPLAY_NAME_CHARS)
        .map_err(|refused| Error::Invalid(vec![refused]))?;
    let locale = locale_of(change.locale.as_deref())?;
    diesel::update(app_user::table.find(id))
        .set((app_user::display_name.eq(name), app_user::locale.eq(locale.map(Locale::as_str))))
        .execute(tx.db())?;
    let after = json!({ "name_changed": before.display_name != name, "locale": locale.map(Locale::as_str) });
    trail::note(tx, by.user_id, "people.change", id, None, (Some(json!({ "locale": before.locale })), Some(after)))
}

/// Gives an account another role.
///
/// # Errors
/// `NotFound` for an account that does not exist for the caller; `Invalid` on `role` or `at`.
pub fn give_role(
    tx: &mut Tx<'_>,
    by: &Caller,
    permissions: &Permissions,
    id: UserId,
    role: &str,
    at: &str,
) -> Result<()> {
    let office = Office::open(tx.db(), by, permissions)?;
    office.person(tx.db(), id)?;
    let (role, node) = office.grantable(role, at)?;
    if give(tx, id, &role, node)?.is_some() {
        let after = json!({ "role": role.as_str(), "at": at });
        trail::note(tx, by.user_id, "people.grant", id, office.tree.facility(node), (None, Some(after)))?;
    }
    Ok(())
}

/// Withdraws a role.
///
/// # Errors
/// `NotFound` for a grant that the caller does not see; `Forbidden` for one that they could not have given; `Conflict`
/// when nobody would be left who keeps the whole system.
pub fn withdraw_role(
    tx: &mut Tx<'_>,
    by: &Caller,
    permissions: &Permissions,
    id: UserId,
    grant: GrantId,
) -> Result<()> {
    let office = Office::open(tx.db(), by, permissions)?;
    let person = office.person(tx.db(), id)?;
    let held = person.grants.iter().find(|held| held.id == grant).ok_or(Error::NotFound)?;
    if !held.withdrawable {
        return Err(Error::Forbidden);
    }
    let node = held.at.parse::<At>().map_err(|()| Error::NotFound)?.0;
    lock_keepers(tx)?;
    diesel::delete(role_grant::table.find(grant)).execute(tx.db())?;
    expect_a_keeper(tx)?;
    let before = json!({ "role": held.role, "at": held.at });
    trail::note(tx, by.user_id, "people.withdraw", id, office.tree.facility(node), (Some(before), None))
}

/// Closes an account, or opens it again. Closed, it ends its sessions; what it did stays.
///
/// # Errors
/// `NotFound`, `Forbidden`; `Conflict` for one's own account, and when nobody would be left who keeps the whole system.
pub fn set_disabled(tx: &mut Tx<'_>, by: &Caller, permissions: &Permissions, id: UserId, disabled: bool) -> Result<()> {
    let before = Office::open(tx.db(), by, permissions)?.managed(tx.db(), id)?;
    if disabled && id == by.user_id {
        return Err(Error::conflict("error-disable-self"));
    }
    if before.disabled == disabled {
        return Ok(());
    }
    lock_keepers(tx)?;
    diesel::update(app_user::table.find(id)).set(app_user::disabled.eq(disabled)).execute(tx.db())?;
    if disabled {
        end_sessions_of(tx, id, None)?;
        expect_a_keeper(tx)?;
    }
    let action = if disabled { "people.disable" } else { "people.enable" };
    trail::note(tx, by.user_id, action, id, None, (None, None))
}

/// Gives an account a one-time password and ends its sessions.
///
/// # Errors
/// `NotFound`, `Forbidden`; `Conflict` for one's own account, whose password one changes with the one it has.
pub fn reset_password(
    tx: &mut Tx<'_>,
    by: &Caller,
    permissions: &Permissions,
    id: UserId,
    password: &PasswordHash,
) -> Result<()> {
    Office::open(tx.db(), by, permissions)?.managed(tx.db(), id)?;
    if id == by.user_id {
        return Err(Error::conflict("error-reset-self"));
    }
    let (now, until) = (tx.now(), tx.now().plus(ONE_TIME));
    diesel::update(app_user::table.find(id))
        .set((
            app_user::password_hash.eq(password.as_str()),
            app_user::password_set_at.eq(Some(now)),
            app_user::must_change.eq(true),
            app_user::one_time_until.eq(Some(until)),
        ))
        .execute(tx.db())?;
    end_sessions_of(tx, id, None)?;
    trail::note(tx, by.user_id, "people.reset_password", id, None, (None, None))
}

/// Ends all sessions of an account.
///
/// # Errors
/// `NotFound`, `Forbidden`.
pub fn end_sessions(tx: &mut Tx<'_>, by: &Caller, permissions: &Permissions, id: UserId) -> Result<usize> {
    Office::open(tx.db(), by, permissions)?.managed(tx.db(), id)?;
    let ended = end_sessions_of(tx, id, None)?;
    trail::note(tx, by.user_id, "people.end_sessions", id, None, (None, Some(json!({ "ended": ended }))))?;
    Ok(ended)
}

/// Those who keep the whole system, locked until the transaction's end: two administrators who withdraw each other's
/// role at the same time must not both succeed.
fn lock_keepers(tx: &mut Tx<'_>) -> Result<()> {
    let keepers =
        role_grant::table.filter(role_grant::role.eq(Role::SystemAdmin.as_str()).and(role_grant::scope_id.is_null()));
    diesel::update(keepers).set(role_grant::role.eq(Role::SystemAdmin.as_str())).execute(tx.db())?;
    Ok(())
}

fn expect_a_keeper(tx: &mut Tx<'_>) -> Result<()> {
    let left: i64 = role_grant::table
        .inner_join(app_user::table)
        .filter(app_user::disabled.eq(false))
        .filter(role_grant::role.eq(Role::SystemAdmin.as_str()).and(role_grant::scope_id.is_null()))
        .count()
        .get_result(tx.db())?;
    if left == 0 { Err(Error::conflict("error-last-keeper")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_time_password_can_be_read_aloud_and_is_never_the_same() {
        let password = one_time_password();
        assert_eq!((password.len(), password.matches('-').count()), (14, 2));
        assert_ne!(password, one_time_password());
    }
}
