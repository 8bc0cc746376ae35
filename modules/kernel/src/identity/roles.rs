//! Roles, and the permissions that modules give them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// What somebody is, at a node of the scope tree or over the whole system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    SystemAdmin,
    FacilityAdmin,
    Nurse,
    Carer,
    Cashier,
    Pharmacist,
    Therapist,
    Supervisor,
    Family,
}

impl Role {
    pub const ALL: [Self; 9] = [
        Self::SystemAdmin,
        Self::FacilityAdmin,
        Self::Nurse,
        Self::Carer,
        Self::Cashier,
        Self::Pharmacist,
        Self::Therapist,
        Self::Supervisor,
        Self::Family,
    ];

    /// As stored, and as the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SystemAdmin => "system_admin",
            Self::FacilityAdmin => "facility_admin",
            Self::Nurse => "nurse",
            Self::Carer => "carer",
            Self::Cashier => "cashier",
            Self::Pharmacist => "pharmacist",
            Self::Therapist => "therapist",
            Self::Supervisor => "supervisor",
            Self::Family => "family",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| Error::Internal(format!("{text} is no role")))
    }
}

/// A role by the name that is stored with a grant: one of the nine, or one that was added on this installation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleName {
    BuiltIn(Role),
    Own(String),
}

impl RoleName {
    /// The role of a stored name.
    pub fn of(name: &str) -> Self {
        name.parse().map_or_else(|_| Self::Own(name.to_owned()), Self::BuiltIn)
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::BuiltIn(role) => role.as_str(),
            Self::Own(name) => name,
        }
    }
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        Self::BuiltIn(role)
    }
}

impl PartialEq<Role> for RoleName {
    fn eq(&self, other: &Role) -> bool {
        matches!(self, Self::BuiltIn(role) if role == other)
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a role has a right: what was changed here counts, and else what the right's module says. The one place where
/// this is decided.
pub fn has_right(role: &RoleName, defaults: &[Role], changed: Option<bool>) -> bool {
    changed.unwrap_or_else(|| defaults.iter().any(|default| role == default))
}

/// A right that a module declares in its manifest, and the roles that have it unless an administrator says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// `noun.verb`: `residents.read`.
    pub name: &'static str,
    pub roles: &'static [Role],
}

/// All permissions of the assembled server.
#[derive(Debug, Default)]
pub struct Permissions(BTreeMap<&'static str, &'static [Role]>);

impl Permissions {
    /// Collects what the modules declare.
    ///
    /// # Errors
    /// `Internal` when two modules declare the same name.
    pub fn collect(declared: impl IntoIterator<Item = Permission>) -> Result<Self> {
        let mut all = BTreeMap::new();
        for permission in declared {
            if all.insert(permission.name, permission.roles).is_some() {
                return Err(Error::Internal(format!("permission {} is declared twice", permission.name)));
            }
        }
        Ok(Self(all))
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The roles that have a permission by default; none for a name that nobody declared.
    pub fn roles(&self, name: &str) -> &'static [Role] {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// The declared name that a text is.
    pub fn name(&self, text: &str) -> Option<&'static str> {
        self.0.get_key_value(text).map(|(name, _)| *name)
    }

    pub fn iter(&self) -> impl Iterator<Item = Permission> {
        self.0.iter().map(|(name, roles)| Permission { name, roles })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_role_reads_back_what_it_wrote() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
        }
        assert!("chief".parse::<Role>().is_err());
    }

    #[test]
    fn what_was_changed_here_counts_before_what_a_module_says() {
        let (nurse, own) = (RoleName::of("nurse"), RoleName::of("rol_0"));
        assert_eq!((nurse.clone(), own.as_str()), (Role::Nurse.into(), "rol_0"));
        assert!(has_right(&nurse, &[Role::Nurse], None) && !has_right(&own, &[Role::Nurse], None));
        assert!(!has_right(&nurse, &[Role::Nurse], Some(false)) && has_right(&own, &[], Some(true)));
    }

    #[test]
    fn a_permission_declared_twice_is_refused() {
        let permission = Permission { name: "beds.read", roles: &[Role::Nurse] };
        assert!(Permissions::collect([permission, permission]).is_err());
    }
}
