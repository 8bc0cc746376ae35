//! From a topic and its bytes to what they mean.

use songhe_adapter_core::{DecodeError, Decoded, Directory, Gateway, Inbound, clip};

use crate::{MAX_INVENTORY, MAX_PAYLOAD, bridge, fields};

pub fn decode(message: Inbound<'_>, directory: &Directory) -> Result<Decoded, DecodeError> {
    let Some((gateway, path)) = directory.gateway_of(message.topic) else {
        // Of a gateway that nobody registered, its word that it is there is enough.
        return Err(match message.topic.split_once("/bridge/") {
            Some((_, "devices" | "state")) => stranger(None, message.topic),
            Some(_) => DecodeError::Nothing,
            None if is_for_others(message.topic) || message.payload.is_empty() => DecodeError::Nothing,
            None => stranger(None, message.topic),
        });
    };
    let limit = if path == "bridge/devices" { MAX_INVENTORY } else { MAX_PAYLOAD };
    let is_bridge = path.starts_with("bridge/");
    if message.payload.len() > limit && !(is_bridge && path != "bridge/devices") {
        return Err(DecodeError::TooLarge { bytes: message.payload.len(), limit });
    }
    let mut decoded = match path {
        "bridge/devices" => {
            let mut decoded = Decoded::new(gateway.key.clone());
            bridge::inventory(message.payload, &mut decoded)?;
            decoded
        }
        "bridge/state" => {
            let mut decoded = Decoded::new(gateway.key.clone());
            bridge::availability(message.payload, &mut decoded)?;
            decoded
        }
        "bridge/event" if message.payload.len() <= limit => bridge::event(message.payload, gateway)?,
        _ if is_bridge => return Err(DecodeError::Nothing),
        _ => of_device(message, gateway, path)?,
    };
    decoded.historical = message.retained;
    Ok(decoded)
}

fn of_device(message: Inbound<'_>, gateway: &Gateway, path: &str) -> Result<Decoded, DecodeError> {
    let Some((key, rest)) = gateway.longest_name(path) else {
        if is_for_others(path) || path.ends_with("/availability") || fields::is_nothing(message.payload) {
            return Err(DecodeError::Nothing);
        }
        return Err(stranger(Some(gateway), path));
    };
    let mut decoded = Decoded::new(key.clone());
    match rest {
        // How a broker is told to forget what it kept.
        "" | "availability" if message.payload.is_empty() => return Err(DecodeError::Nothing),
        "" => fields::decode(message, gateway, &mut decoded)?,
        "availability" => bridge::availability(message.payload, &mut decoded)?,
        _ if is_for_others(path) => return Err(DecodeError::Own),
        _ => return Err(DecodeError::field("topic", "one value a topic; set Zigbee2MQTT's advanced.output to json")),
    }
    Ok(decoded)
}

/// Commands and questions to devices: Songhe's own, or of whoever else shares the gateway.
fn is_for_others(path: &str) -> bool {
    path.rsplit('/').take(3).any(|level| level == "set" || level == "get")
}

fn stranger(gateway: Option<&Gateway>, name: &str) -> DecodeError {
    DecodeError::Stranger { gateway: gateway.map(|gateway| gateway.key.clone()), name: clip(name, 120) }
}

pub fn utf8(payload: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(payload).map_err(|e| DecodeError::Malformed {
        problem: format!("not UTF-8 at byte {}", e.valid_up_to()),
        line: 1,
        column: e.valid_up_to(),
    })
}

/// serde_json quotes values in some messages; clipping keeps payloads out of the log.
pub fn malformed(error: &serde_json::Error) -> DecodeError {
    DecodeError::Malformed { problem: clip(&error.to_string(), 120), line: error.line(), column: error.column() }
}
