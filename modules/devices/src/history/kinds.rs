//! Which kinds of observations there are, and what retention tells apart.

use songhe_adapter_core::{EventKind, Measure};

/// Kinds that are kept alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Values that are told again and again: heart rate, room temperature, battery.
    Readings,
    /// Something happened: a door, a bed, presence, a low battery, a test.
    Events,
    /// Calls, falls, fire, gas, water: what somebody may ask about after years.
    Emergencies,
}

impl Class {
    pub(super) const ALL: [Self; 3] = [Self::Readings, Self::Events, Self::Emergencies];

    /// Names as the database has them. Only letters, digits and underscores: they are written into statements.
    pub(super) fn kinds(self) -> Vec<&'static str> {
        let events = |emergency| {
            EventKind::ALL.iter().filter(move |kind| kind.is_emergency() == emergency).map(|kind| kind.name()).collect()
        };
        match self {
            Self::Readings => Measure::ALL.iter().map(|measure| measure.name()).collect(),
            Self::Events => events(false),
            Self::Emergencies => events(true),
        }
    }
}

/// Every kind that can be stored.
pub(super) fn all() -> Vec<&'static str> {
    Class::ALL.into_iter().flat_map(Class::kinds).collect()
}

/// The kind of that name.
pub(super) fn known(name: &str) -> Option<&'static str> {
    all().into_iter().find(|kind| *kind == name)
}

/// `('a'),('b')` for VALUES.
pub(super) fn rows(kinds: &[&'static str]) -> String {
    kinds.iter().map(|kind| format!("('{kind}')")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_stand_in_a_statement_and_none_is_there_twice() {
        let mut names = all();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')));
        let there = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), there);
        assert!(known("sos").is_some() && known("sos'").is_none());
    }
}
