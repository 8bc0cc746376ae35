use crate::{DeviceKey, EventKind, Member, Reading};
use chrono::{DateTime, TimeDelta, Utc};

/// Most entries kept in [`Decoded::ignored`].
pub const MAX_IGNORED: usize = 16;
/// Most entries kept in [`Decoded::settings`].
pub const MAX_SETTINGS: usize = 32;
/// Longest message id (the dedupe key), in characters.
const MAX_MESSAGE_ID: usize = 64;
/// How far a device's clock may run ahead before its time is not believed.
const MAX_AHEAD: TimeDelta = TimeDelta::minutes(5);
/// 2020-01-01T00:00:00Z: a device that says less has never had its clock set.
const EARLIEST_UNIX: i64 = 1_577_836_800;

/// A message of a device in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The device that sent it, from the topic or the protocol's identity.
    pub device: DeviceKey,
    /// The dedupe key within the device. Without one the message is known by its content: for good if it has a time of
    /// its own, else as modules/devices/README.md tells.
    pub message_id: Option<String>,
    /// The device's own time, when it gave a believable one.
    pub observed_at: Option<DateTime<Utc>>,
    /// True for retained, cached or back-filled messages: their measurements never page.
    pub historical: bool,
    /// What the message said, in its order.
    pub items: Vec<Item>,
    /// What was not understood while the rest was, at most [`MAX_IGNORED`] entries.
    pub ignored: Vec<Ignored>,
    /// Settings of the device and their values as text: what tells that a command was done. At most [`MAX_SETTINGS`].
    pub settings: Vec<(String, String)>,
}

impl Decoded {
    /// An empty message of a device.
    #[must_use]
    pub const fn new(device: DeviceKey) -> Self {
        Self {
            device,
            message_id: None,
            observed_at: None,
            historical: false,
            items: Vec::new(),
            ignored: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// True if an emergency begins in this message; such a message takes the emergency lane.
    #[must_use]
    pub fn is_emergency(&self) -> bool {
        self.items.iter().any(|item| match item {
            Item::Event { kind, active, .. } | Item::Condition { kind, active, .. } => *active && kind.is_emergency(),
            _ => false,
        })
    }

    /// Notes something that was not understood. Names and reasons are clipped, and entries
    /// beyond [`MAX_IGNORED`] are not kept.
    pub fn ignore(&mut self, name: &str, reason: &str) {
        if self.ignored.len() < MAX_IGNORED {
            self.ignored.push(Ignored { name: clip(name, 64), reason: clip(reason, 120) });
        }
    }
}

/// A part of a message that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The reading or field, at most 64 characters.
    pub name: String,
    /// Why, in a short English phrase for the log and the device page.
    pub reason: String,
}

/// One thing a message said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A measured value.
    Reading(Reading),
    /// Something happened (`active`) or is over (not `active`).
    Event {
        /// What.
        kind: EventKind,
        /// Whether it began or ended.
        active: bool,
        /// The device's own words, at most 200 characters.
        detail: Option<String>,
    },
    /// How something stands at this moment. A device that says it in every message, changed or not: what counts is
    /// when it changes, and upstream knows how it stood before.
    Condition {
        /// What.
        kind: EventKind,
        /// Whether it is so.
        active: bool,
        /// The device's own words, at most 200 characters.
        detail: Option<String>,
    },
    /// Every device that a gateway knows; those of its former inventory that are not named are gone.
    Inventory(Vec<Member>),
    /// Facts about the device itself.
    State(DeviceState),
    /// The device's answer to a command.
    CommandResult {
        /// The id of the command.
        command_id: String,
        /// Whether the device did it.
        ok: bool,
        /// The device's own words, at most 200 characters.
        detail: Option<String>,
    },
}

/// Facts about a device; absent ones are unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceState {
    /// Whether the device is connected (a will says false).
    pub online: Option<bool>,
    /// Firmware version, at most 64 characters.
    pub firmware: Option<String>,
    /// Hardware or model name, at most 64 characters.
    pub hardware: Option<String>,
    /// How often the device means to report, in seconds, 1 to 604 800.
    pub report_seconds: Option<u32>,
}

/// Why a device's time is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// More than five minutes after the time of receipt.
    #[error("the device's clock runs ahead")]
    Ahead,
    /// Before 2020: the clock was never set.
    #[error("the device's clock was never set")]
    NeverSet,
}

/// Judges a device's own time against the time of receipt. Any past since 2020 is allowed:
/// messages wait in devices, gateways and brokers.
///
/// # Errors
/// [`TimeError`]; the message is then treated as observed when received.
pub fn check_observed_at(observed: DateTime<Utc>, received: DateTime<Utc>) -> Result<DateTime<Utc>, TimeError> {
    if observed.timestamp() < EARLIEST_UNIX {
        return Err(TimeError::NeverSet);
    }
    if observed.signed_duration_since(received) > MAX_AHEAD {
        return Err(TimeError::Ahead);
    }
    Ok(observed)
}

/// True for 1 to 64 printable ASCII characters without spaces, which every message id must be.
#[must_use]
pub fn valid_message_id(id: &str) -> bool {
    (1..=MAX_MESSAGE_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
}

/// The first `max` characters, control characters replaced by a space, so that a device's words
/// are safe in logs and on pages.
#[must_use]
pub fn clip(text: &str, max: usize) -> String {
    text.chars().take(max).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
