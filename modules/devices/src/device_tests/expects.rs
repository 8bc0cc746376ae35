//! What a test waits for.

use songhe_adapter_core::{EventKind, Item};

use super::TESTABLE;

/// What a test waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expects {
    /// An alarm of this kind, one of [`TESTABLE`]; or the device's own word for a test.
    Event(EventKind),
    /// Any alarm: a press, smoke, a fall …; or the device's own word for a test.
    Alarm,
    /// Any word of the device, an alarm among them: of those that call nobody.
    Any,
}

impl Expects {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event(kind) => kind.name(),
            Self::Alarm => "alarm",
            Self::Any => "any",
        }
    }

    /// `None` for a word that names nothing a test may wait for.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "alarm" => Some(Self::Alarm),
            "any" => Some(Self::Any),
            name => EventKind::from_name(name).filter(|kind| TESTABLE.contains(kind)).map(Self::Event),
        }
    }

    /// What of a message it would be passed by. An alarm of the kind that was asked for comes before a word for a test.
    pub(super) fn word(self, items: &[&Item]) -> Option<Word> {
        let mut alarms: Vec<EventKind> = items.iter().filter_map(|item| alarm(item)).collect();
        alarms.sort_by_key(|kind| *kind == EventKind::Test);
        let fits = |kind: &EventKind| *kind == EventKind::Test || self == Self::Event(*kind);
        match self {
            Self::Event(_) => alarms.into_iter().find(fits).map(Word::Alarm),
            Self::Alarm => alarms.first().copied().map(Word::Alarm),
            Self::Any => alarms.first().copied().map(Word::Alarm).or_else(|| items.iter().find_map(|item| other(item))),
        }
    }
}

/// What a test was passed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// It is no call, and the caller does nothing more with it.
    Alarm(EventKind),
    /// Of this kind: it means what it always means.
    Other(&'static str),
}

impl Word {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Alarm(kind) => kind.name(),
            Self::Other(name) => name,
        }
    }
}

pub(super) fn is_alarm(kind: EventKind) -> bool {
    kind == EventKind::Test || TESTABLE.contains(&kind)
}

/// The alarm, or word for a test, that an item is.
pub(super) fn alarm(item: &Item) -> Option<EventKind> {
    match item {
        Item::Event { kind, active: true, .. } | Item::Condition { kind, active: true, .. } if is_alarm(*kind) => {
            Some(*kind)
        }
        _ => None,
    }
}

fn other(item: &Item) -> Option<Word> {
    match item {
        Item::Reading(reading) => Some(Word::Other(reading.measure.name())),
        Item::Event { kind, .. } | Item::Condition { kind, .. } => Some(Word::Other(kind.name())),
        Item::State(state) if state.online != Some(false) => Some(Word::Other("state")),
        Item::State(_) | Item::Inventory(_) | Item::CommandResult { .. } => None,
    }
}
