//! Adapter for Songhe's own JSON over MQTT. The README beside this file is the protocol.
//!
//! Two rules shape the decoder. A number never passes through floating point. And a flaw in one
//! part of a message costs only that part: a broken clock or an odd extra field must not hide a
//! call for help.

mod decode;
pub mod device;
mod topic;

pub use topic::{Channel, PREFIX};

use chrono::SecondsFormat;
use serde_json::json;
use songhe_adapter_core::{
    Action, AdapterManifest, Capability, Command, DecodeError, Decoded, DeviceAdapter, DeviceKey, Directory, Inbound,
    Outbound,
};

/// Largest payload, in bytes.
pub const MAX_PAYLOAD: usize = 16 * 1024;
/// Most readings in one message.
pub const MAX_READINGS: usize = 64;

/// The adapter; it has no state.
#[derive(Debug, Clone, Copy, Default)]
pub struct SongheMqtt;

impl DeviceAdapter for SongheMqtt {
    fn manifest(&self) -> AdapterManifest {
        AdapterManifest {
            name: "songhe-mqtt",
            topics: &["songhe/v1/+/telemetry", "songhe/v1/+/event", "songhe/v1/+/state", "songhe/v1/+/ack"],
            identity: "serial",
            capabilities: &[
                Capability::Readings,
                Capability::Events,
                Capability::Emergencies,
                Capability::State,
                Capability::Commands,
                Capability::Acknowledgement,
            ],
            gateways: false,
        }
    }

    fn is_topic(&self, topic: &str) -> bool {
        topic::parse(topic).is_ok()
    }

    fn device_of(&self, topic: &str, _directory: &Directory) -> Option<DeviceKey> {
        topic::parse(topic).ok().map(|(device, _)| device)
    }

    fn decode(&self, message: Inbound<'_>, _directory: &Directory) -> Result<Decoded, DecodeError> {
        decode::decode(message)
    }

    fn encode(&self, device: &DeviceKey, command: &Command, _directory: &Directory) -> Option<Outbound> {
        let id = &command.id;
        let mut body = match &command.action {
            Action::Lamp { on } => json!({"id": id, "command": "lamp", "on": on}),
            Action::Siren { on, seconds } => {
                json!({"id": id, "command": "siren", "on": on, "seconds": seconds})
            }
            Action::Locate => json!({"id": id, "command": "locate"}),
            Action::Set { key, value } => {
                json!({"id": id, "command": "set", "key": key, "value": value})
            }
        };
        if let Some(until) = command.valid_until {
            body["until"] = until.to_rfc3339_opts(SecondsFormat::Secs, true).into();
        }
        Some(topic::outbound(device, Channel::Command, body.to_string()))
    }

    fn acknowledge(&self, device: &DeviceKey, message_id: &str) -> Option<Outbound> {
        let body = json!({"id": message_id}).to_string();
        Some(topic::outbound(device, Channel::Ack, body))
    }
}
