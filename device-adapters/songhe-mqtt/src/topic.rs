use songhe_adapter_core::{DecodeError, DeviceKey, Outbound};

/// What all topics of this protocol begin with.
pub const PREFIX: &str = "songhe/v1/";

/// The last level of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Readings, device to server.
    Telemetry,
    /// Events, device to server.
    Event,
    /// Facts about the device, device to server.
    State,
    /// Commands, server to device.
    Command,
    /// Acknowledgements, both ways.
    Ack,
}

impl Channel {
    const ALL: [Self; 5] = [Self::Telemetry, Self::Event, Self::State, Self::Command, Self::Ack];

    /// The level's text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Telemetry => "telemetry",
            Self::Event => "event",
            Self::State => "state",
            Self::Command => "command",
            Self::Ack => "ack",
        }
    }

    /// The whole topic of a device.
    #[must_use]
    pub fn topic(self, device: &DeviceKey) -> String {
        format!("{PREFIX}{device}/{}", self.name())
    }
}

/// Device and channel of a topic with exactly the four levels of this protocol.
pub fn parse(topic: &str) -> Result<(DeviceKey, Channel), DecodeError> {
    let rest = topic.strip_prefix(PREFIX).ok_or(DecodeError::Topic)?;
    let (serial, last) = rest.split_once('/').ok_or(DecodeError::Topic)?;
    let channel = Channel::ALL.into_iter().find(|channel| channel.name() == last);
    let channel = channel.ok_or(DecodeError::Topic)?;
    Ok((DeviceKey::new(serial)?, channel))
}

pub fn outbound(device: &DeviceKey, channel: Channel, body: String) -> Outbound {
    Outbound { topic: channel.topic(device), payload: body.into_bytes() }
}
