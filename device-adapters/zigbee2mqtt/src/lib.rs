//! Adapter for Zigbee devices behind Zigbee2MQTT. The README beside this file tells what is understood, and when
//! something that comes again is a new alarm.
//!
//! A device is its `ieee_address`; what the gateway calls it changes, and is looked up in the directory that upstream
//! keeps from the gateway's own inventory.

mod bridge;
mod command;
mod decode;
mod fields;

use songhe_adapter_core::{
    Action, AdapterManifest, Capability, Command, Confirmation, DecodeError, Decoded, DeviceAdapter, DeviceKey,
    Directory, Inbound, Outbound, Standing,
};

/// Name of this adapter in configuration and database.
pub const NAME: &str = "zigbee2mqtt";
/// Zigbee2MQTT's own base topic, and that of the first gateway.
pub const BASE_TOPIC: &str = "zigbee2mqtt";
/// Further gateways speak below this and their serial.
pub const BASE_OF_ONE: &str = "zigbee";
/// Largest payload of a device, in bytes.
pub const MAX_PAYLOAD: usize = 16 * 1024;
/// Largest inventory, in bytes: it describes everything that each device can do.
pub const MAX_INVENTORY: usize = 8 * 1024 * 1024;
/// Most devices of one gateway.
pub const MAX_MEMBERS: usize = 1_000;

/// The adapter; it has no state.
#[derive(Debug, Clone, Copy, Default)]
pub struct Zigbee2Mqtt;

impl DeviceAdapter for Zigbee2Mqtt {
    fn manifest(&self) -> AdapterManifest {
        AdapterManifest {
            name: NAME,
            topics: &["zigbee2mqtt/#", "zigbee/+/#"],
            identity: "ieee_address",
            capabilities: &[
                Capability::Readings,
                Capability::Events,
                Capability::Emergencies,
                Capability::State,
                Capability::Commands,
            ],
            gateways: true,
        }
    }

    fn is_topic(&self, topic: &str) -> bool {
        let of = |base: &str| topic.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
        of(BASE_TOPIC).is_some() || of(BASE_OF_ONE).is_some_and(|rest| rest.contains('/'))
    }

    fn device_of(&self, topic: &str, directory: &Directory) -> Option<DeviceKey> {
        let (gateway, path) = directory.gateway_of(topic)?;
        Some(gateway.longest_name(path).map_or(&gateway.key, |(key, _)| key).clone())
    }

    fn standing(&self, device: &DeviceKey) -> Standing {
        match bridge::address(device.as_str()) {
            Some(_) => Standing::Member,
            None => Standing::Gateway { base_topics: [BASE_TOPIC.to_owned(), format!("{BASE_OF_ONE}/{device}")] },
        }
    }

    fn decode(&self, message: Inbound<'_>, directory: &Directory) -> Result<Decoded, DecodeError> {
        decode::decode(message, directory)
    }

    fn encode(&self, device: &DeviceKey, command: &Command, directory: &Directory) -> Option<Outbound> {
        command::encode(device, command, directory)
    }

    fn confirmation(&self, action: &Action) -> Confirmation {
        command::confirmation(action)
    }

    fn acknowledge(&self, _device: &DeviceKey, _message_id: &str) -> Option<Outbound> {
        None
    }
}
