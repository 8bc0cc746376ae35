//! Commands as Zigbee2MQTT takes them: `{base}/{name}/set`.

use serde_json::{Value, json};
use songhe_adapter_core::{Action, Command, Confirmation, DeviceKey, Directory, Outbound};

/// `None` for a device that no gateway names. Zigbee2MQTT answers nothing: whether it was done is told by the device's
/// next state.
pub fn encode(device: &DeviceKey, command: &Command, directory: &Directory) -> Option<Outbound> {
    let gateway = directory.gateway_with(device)?;
    let name = gateway.name_of(device)?;
    let body = match &command.action {
        Action::Lamp { on } => json!({ "state": if *on { "ON" } else { "OFF" } }),
        Action::Siren { on: true, seconds } => {
            json!({ "warning": { "mode": "emergency", "level": "high", "strobe": true, "duration": seconds } })
        }
        Action::Siren { on: false, .. } => json!({ "warning": { "mode": "stop", "strobe": false } }),
        Action::Locate => json!({ "identify": "identify" }),
        Action::Set { key, value } => json!({ key.as_str(): plain(value) }),
    };
    let topic = format!("{}/{name}/set", gateway.base_topic);
    Some(Outbound { topic, payload: body.to_string().into_bytes() })
}

/// Numbers and truths as such, everything else as text.
fn plain(value: &str) -> Value {
    match serde_json::from_str(value) {
        Ok(plain @ (Value::Number(_) | Value::Bool(_))) => plain,
        _ => Value::String(value.to_owned()),
    }
}

/// Zigbee2MQTT publishes a device's state after it changed something. Of a siren's warning and of identifying itself a
/// device has no state.
pub fn confirmation(action: &Action) -> Confirmation {
    match action {
        Action::Lamp { on } => {
            Confirmation::Setting { key: "state".to_owned(), value: if *on { "ON" } else { "OFF" }.to_owned() }
        }
        Action::Set { key, value } => Confirmation::Setting { key: key.clone(), value: value.clone() },
        Action::Siren { .. } | Action::Locate => Confirmation::Nothing,
    }
}
