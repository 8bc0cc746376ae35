//! Whoever sent a request, and the facilities at which they may do what.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{Permissions, Role, Session, SessionId, SessionKind};
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
    pub roles: Vec<Role>,
    pub session: Session,
    /// By permission; only those that reach some facility.
    scopes: BTreeMap<&'static str, Scope>,
    reach: Scope,
}

/// Who a caller is, apart from what they may do.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) user_id: UserId,
    pub(super) username: String,
    pub(super) display_name: String,
    pub(super) locale: Option<Locale>,
    pub(super) session: Session,
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
            let who = Identity { user_id: UserId(0), username, display_name, locale: None, session };
            Caller::new(who, &BTreeMap::new(), &Permissions::default())
        });
        &NOBODY
    }

    pub(super) fn new(who: Identity, held: &BTreeMap<Role, Scope>, permissions: &Permissions) -> Self {
        let mut scopes = BTreeMap::new();
        for permission in permissions.iter() {
            let scope = permission.roles.iter().filter_map(|role| held.get(role)).fold(Scope::NONE, Scope::union);
            if !scope.is_empty() {
                scopes.insert(permission.name, scope);
            }
        }
        Self {
            user_id: who.user_id,
            username: who.username,
            display_name: who.display_name,
            locale: who.locale,
            session: who.session,
            roles: held.keys().copied().collect(),
            reach: held.values().fold(Scope::NONE, Scope::union),
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

    /// Whether both may do the same things; an open stream ends when they no longer may.
    pub fn same_rights(&self, other: &Self) -> bool {
        self.roles == other.roles && self.scopes == other.scopes && self.reach == other.reach
    }
}
