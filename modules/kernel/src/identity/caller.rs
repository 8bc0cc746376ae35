//! Whoever sent a request, and the facilities at which they may do what.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::roles::has_right;
use super::{Permission, Permissions, RoleName, Session, SessionId, SessionKind};
use crate::error::{Error, Result};
use crate::i18n::Locale;
use crate::ids::{FacilityId, UserId};
use crate::time::Moment;

/// The facilities that a permission reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    All,
    /// Sorted, without doubles.
    Only(Vec<FacilityId>),
}

impl Scope {
    /// No facility at all.
    pub const NONE: Self = Self::Only(Vec::new());

    pub fn contains(&self, facility: FacilityId) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.binary_search(&facility).is_ok(),
        }
    }

    /// The facilities to filter a query by; `None`: no filter, everything is in reach.
    pub fn ids(&self) -> Option<&[FacilityId]> {
        match self {
            Self::All => None,
            Self::Only(ids) => Some(ids),
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Only(ids) if ids.is_empty())
    }

    /// The facilities of either.
    #[must_use]
    pub fn union(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(mut mine), Self::Only(theirs)) => {
                mine.extend_from_slice(theirs);
                mine.sort_unstable();
                mine.dedup();
                Self::Only(mine)
            }
            _ => Self::All,
        }
    }
}

/// A signed-in user, as of this request.
#[derive(Debug, Clone)]
pub struct Caller {
    pub user_id: UserId,
    pub username: String,
    pub display_name: String,
    /// What the user chose; `None`: the browser's wish counts.
    pub locale: Option<Locale>,
    /// Sorted, without doubles.
    pub roles: Vec<RoleName>,
    /// Titles of those of them that were added on this installation, by name.
    pub(crate) own_titles: BTreeMap<String, String>,
    pub session: Session,
    /// What has to be done before anything else is possible.
    pub first: Option<First>,
    /// By permission; only those that reach some facility.
    scopes: BTreeMap<&'static str, Scope>,
    reach: Scope,
}

/// What somebody who signed in has to do before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// Choose a password: the one they came with was made by somebody else, or has had its time.
    ChoosePassword,
}

impl First {
    /// The page on which it is done.
    pub const fn page(self) -> &'static str {
        match self {
            Self::ChoosePassword => "/account/password",
        }
    }

    /// Fluent key of the sentence that asks for it.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::ChoosePassword => "error-choose-password-first",
        }
    }
}

/// The roles somebody holds, where, and what was changed of them here.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    pub(super) scopes: BTreeMap<RoleName, Scope>,
    /// By role, then by permission.
    pub(super) changes: BTreeMap<RoleName, BTreeMap<String, bool>>,
    pub(super) own_titles: BTreeMap<String, String>,
}

impl Held {
    /// Where a permission is held.
    fn scope(&self, permission: &Permission) -> Scope {
        let changed = |role| self.changes.get(role).and_then(|changes| changes.get(permission.name)).copied();
        let having = self.scopes.iter().filter(|(role, _)| has_right(role, permission.roles, changed(*role)));
        having.fold(Scope::NONE, |all, (_, scope)| all.union(scope))
    }
}

/// What a token leaves of its owner's rights.
#[derive(Debug, Clone)]
pub(super) struct Narrowing {
    pub(super) permissions: Vec<String>,
    pub(super) facility: Option<FacilityId>,
}

impl Narrowing {
    fn apply(&self, permission: &str, scope: Scope) -> Scope {
        if !self.permissions.iter().any(|kept| kept == permission) {
            return Scope::NONE;
        }
        self.within(scope)
    }

    fn within(&self, scope: Scope) -> Scope {
        match self.facility {
            None => scope,
            Some(facility) if scope.contains(facility) => Scope::Only(vec![facility]),
            Some(_) => Scope::NONE,
        }
    }
}

/// Who a caller is, apart from what they may do.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) user_id: UserId,
    pub(super) username: String,
    pub(super) display_name: String,
    pub(super) locale: Option<Locale>,
    pub(super) session: Session,
    pub(super) first: Option<First>,
    pub(super) narrowing: Option<Narrowing>,
}

impl Caller {
    /// A stranger: may do nothing anywhere.
    pub fn nobody() -> &'static Self {
        static NOBODY: LazyLock<Caller> = LazyLock::new(|| {
            let epoch = Moment::from_utc(chrono::DateTime::UNIX_EPOCH);
            let session = Session {
                id: SessionId(0),
                kind: SessionKind::Bearer,
                csrf: String::new(),
                last_seen_at: epoch,
                expires_at: epoch,
            };
            let (username, display_name) = (String::new(), String::new());
            let (user_id, locale, first, narrowing) = (UserId(0), None, None, None);
            let who = Identity { user_id, username, display_name, locale, session, first, narrowing };
            Caller::new(who, &Held::default(), &Permissions::default())
        });
        &NOBODY
    }

    pub(super) fn new(who: Identity, held: &Held, permissions: &Permissions) -> Self {
        let narrowing = who.narrowing.as_ref();
        let mut scopes = BTreeMap::new();
        for permission in permissions.iter() {
            let whole = held.scope(&permission);
            let scope = narrowing.map_or(whole.clone(), |narrowing| narrowing.apply(permission.name, whole));
            if !scope.is_empty() {
                scopes.insert(permission.name, scope);
            }
        }
        let reach = held.scopes.values().fold(Scope::NONE, Scope::union);
        Self {
            reach: narrowing.map_or(reach.clone(), |narrowing| narrowing.within(reach)),
            user_id: who.user_id,
            username: who.username,
            display_name: who.display_name,
            locale: who.locale,
            session: who.session,
            first: who.first,
            roles: held.scopes.keys().cloned().collect(),
            own_titles: held.own_titles.clone(),
            scopes,
        }
    }

    /// Whether the caller has the permission at some facility at least.
    pub fn can(&self, permission: &str) -> bool {
        self.scopes.contains_key(permission)
    }

    /// Where the caller has the permission; what lies outside does not exist for them.
    pub fn facilities(&self, permission: &str) -> &Scope {
        const NOWHERE: &Scope = &Scope::NONE;
        self.scopes.get(permission).unwrap_or(NOWHERE)
    }

    /// The same, narrowed to the facility that a request names.
    ///
    /// # Errors
    /// `NotFound` when the caller does not have the permission there.
    pub fn narrowed(&self, permission: &str, only: Option<FacilityId>) -> Result<Scope> {
        let Some(facility) = only else { return Ok(self.facilities(permission).clone()) };
        self.expect_at(permission, facility)?;
        Ok(Scope::Only(vec![facility]))
    }

    /// # Errors
    /// `NotFound` when the caller does not have the permission at that facility.
    pub fn expect_at(&self, permission: &str, facility: FacilityId) -> Result<()> {
        if self.facilities(permission).contains(facility) { Ok(()) } else { Err(Error::NotFound) }
    }

    /// The facilities at which the caller has any role.
    pub fn reach(&self) -> &Scope {
        &self.reach
    }

    /// What the caller may do, by name.
    pub fn permissions(&self) -> impl Iterator<Item = (&'static str, &Scope)> {
        self.scopes.iter().map(|(name, scope)| (*name, scope))
    }

    /// Whether a person sits there, rather than a program with a token: what concerns the account itself is theirs.
    ///
    /// # Errors
    /// `Forbidden` for a token.
    pub fn expect_person(&self) -> Result<()> {
        if self.session.kind == SessionKind::Token { Err(Error::Forbidden) } else { Ok(()) }
    }

    /// Whether both may do the same things; an open stream ends when they no longer may.
    pub fn same_rights(&self, other: &Self) -> bool {
        let both = |caller: &Self| (caller.first, caller.reach.clone());
        self.roles == other.roles && self.scopes == other.scopes && both(self) == both(other)
    }
}
