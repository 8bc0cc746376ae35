use crate::{Decoded, DeviceKey, DeviceKeyError, Directory, Standing};
use chrono::{DateTime, Utc};

/// A message as it came from a transport.
#[derive(Debug, Clone, Copy)]
pub struct Inbound<'a> {
    /// MQTT topic, or the adapter's own address for other transports.
    pub topic: &'a str,
    /// The bytes.
    pub payload: &'a [u8],
    /// True if a broker had kept the message and replayed it.
    pub retained: bool,
    /// When Songhe got it.
    pub received_at: DateTime<Utc>,
}

/// A message to a device. Never retained: an old command must not act on a later connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// MQTT topic, or the adapter's own address for other transports.
    pub topic: String,
    /// The bytes.
    pub payload: Vec<u8>,
}

/// Something a device should do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The id the device answers with; 1 to 64 characters.
    pub id: String,
    /// What to do.
    pub action: Action,
    /// A device that gets it later than this must not do it.
    pub valid_until: Option<DateTime<Utc>>,
}

/// What tells that a device did what it was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmation {
    /// It answers with the command's id.
    Answer,
    /// It says that a setting of its own has this value now, in [`crate::Decoded::settings`].
    Setting {
        /// Name of the setting.
        key: String,
        /// Its value as text.
        value: String,
    },
    /// Nothing: that it was sent is all that is ever known.
    Nothing,
}

/// What a device can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Switch the lamp.
    Lamp {
        /// On or off.
        on: bool,
    },
    /// Switch the siren.
    Siren {
        /// On or off.
        on: bool,
        /// How long it sounds, in seconds; the device stops by itself.
        seconds: u16,
    },
    /// Blink or beep so that the device is found.
    Locate,
    /// Change a setting of the device.
    Set {
        /// Name of the setting.
        key: String,
        /// Its new value.
        value: String,
    },
}

/// What the devices of an adapter can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capability {
    /// Report readings.
    Readings,
    /// Report events.
    Events,
    /// Raise emergencies.
    Emergencies,
    /// Report their own state.
    State,
    /// Take commands.
    Commands,
    /// Repeat a message until Songhe acknowledges it.
    Acknowledgement,
}

/// What an adapter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdapterManifest {
    /// Name in configuration and database, such as `songhe-mqtt`.
    pub name: &'static str,
    /// MQTT filters of everything the adapter wants to see.
    pub topics: &'static [&'static str],
    /// What identifies a device, for people who register one.
    pub identity: &'static str,
    /// What its devices can do.
    pub capabilities: &'static [Capability],
    /// Whether its devices come through gateways, so that it needs the directory. What comes by a gateway's topics is
    /// taken in the order of its arrival.
    pub gateways: bool,
}

/// Why a message could not be understood at all. The texts say what is wrong and where, and
/// never carry the payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The topic is none of this adapter's.
    #[error("the topic is not one of this adapter")]
    Topic,
    /// The server's own word: some brokers send it back to whoever listens to the topic.
    #[error("the message is the server's own")]
    Own,
    /// Well formed, and nothing in it is for Songhe: a gateway's log, the state of a lamp that nobody registers.
    #[error("the message holds nothing for Songhe")]
    Nothing,
    /// A gateway's message of a device that its inventory does not name (yet), or of a gateway that nobody registered.
    #[error("{}", stranger(.gateway.as_ref(), .name))]
    Stranger {
        /// The gateway, if it is registered.
        gateway: Option<DeviceKey>,
        /// What the topic says of the device, at most 120 characters.
        name: String,
    },
    /// The device key in the topic is malformed.
    #[error("the topic names no valid device: {0}")]
    Device(#[from] DeviceKeyError),
    /// More bytes than the protocol allows.
    #[error("the payload has {bytes} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Bytes received.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not the expected encoding.
    #[error("the payload is malformed at line {line}, column {column}: {problem}")]
    Malformed {
        /// What is wrong, at most 120 characters.
        problem: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 0.
        column: usize,
    },
    /// A field is missing, wrong or out of bounds.
    #[error("{field}: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong, at most 120 characters.
        problem: String,
    },
}

fn stranger(gateway: Option<&DeviceKey>, name: &str) -> String {
    match gateway {
        Some(gateway) => format!("the inventory of gateway {gateway} names no device \"{name}\""),
        None => format!("no gateway is registered for the topic \"{name}\""),
    }
}

impl DecodeError {
    /// A wrong field, the problem clipped to 120 characters.
    #[must_use]
    pub fn field(field: &'static str, problem: &str) -> Self {
        Self::Field { field, problem: crate::clip(problem, 120) }
    }
}

/// One device protocol. Implementations are pure: same input, same output.
pub trait DeviceAdapter: Send + Sync {
    /// What this adapter is.
    fn manifest(&self) -> AdapterManifest;

    /// Whether a topic is one of this protocol's.
    fn is_topic(&self, topic: &str) -> bool;

    /// The device a topic belongs to, without looking at the payload. Quarantine uses it to name
    /// the sender of a message that does not decode.
    fn device_of(&self, topic: &str, directory: &Directory) -> Option<DeviceKey>;

    /// How a device of that name comes to Songhe.
    fn standing(&self, device: &DeviceKey) -> Standing {
        let _ = device;
        Standing::Alone
    }

    /// Understands a message. The directory tells which names below a gateway's topics are which devices; it is empty
    /// unless [`AdapterManifest::gateways`].
    ///
    /// # Errors
    /// [`DecodeError`]; upstream puts such a message into quarantine with its raw bytes, but for
    /// [`DecodeError::Own`] and [`DecodeError::Nothing`].
    fn decode(&self, message: Inbound<'_>, directory: &Directory) -> Result<Decoded, DecodeError>;

    /// The bytes that make a device do something, or `None` if this protocol cannot.
    fn encode(&self, device: &DeviceKey, command: &Command, directory: &Directory) -> Option<Outbound>;

    /// How it is known that a command was done.
    fn confirmation(&self, action: &Action) -> Confirmation {
        let _ = action;
        Confirmation::Answer
    }

    /// The bytes that tell a device that its message is safe, or `None` if this protocol has no
    /// such answer.
    fn acknowledge(&self, device: &DeviceKey, message_id: &str) -> Option<Outbound>;
}
