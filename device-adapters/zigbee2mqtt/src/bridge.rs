//! What the gateway says of itself and of its devices.

use serde::Deserialize;
use serde_json::value::RawValue;
use songhe_adapter_core::{DecodeError, Decoded, DeviceKey, DeviceState, Gateway, Item, Member, clip};

use crate::MAX_MEMBERS;
use crate::decode::{malformed, utf8};

/// Longest name of a device, in characters.
const MAX_NAME: usize = 200;
/// Characters kept of a model or vendor.
const MAX_WORD: usize = 100;

/// A device's address as Zigbee2MQTT writes it, as its key: `0x` and 16 hexadecimal digits, in lower case.
pub fn address(text: &str) -> Option<DeviceKey> {
    let digits = text.strip_prefix("0x")?;
    let whole = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    DeviceKey::new(&text.to_ascii_lowercase()).ok().filter(|_| whole)
}

/// `online` or `{"state":"online"}`.
pub fn availability(payload: &[u8], decoded: &mut Decoded) -> Result<(), DecodeError> {
    #[derive(Deserialize)]
    struct Availability {
        state: String,
    }
    let text = utf8(payload)?.trim();
    let state = if text.starts_with('{') {
        serde_json::from_str::<Availability>(text).map_err(|error| malformed(&error))?.state
    } else {
        text.trim_matches('"').to_owned()
    };
    let online = match state.as_str() {
        "online" => true,
        "offline" => false,
        _ => return Err(DecodeError::field("state", "must be online or offline")),
    };
    decoded.items.push(Item::State(DeviceState { online: Some(online), ..DeviceState::default() }));
    Ok(())
}

#[derive(Deserialize)]
struct Entry {
    ieee_address: String,
    friendly_name: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    definition: Option<Definition>,
    #[serde(default)]
    model_id: Option<String>,
    #[serde(default)]
    manufacturer: Option<String>,
}

#[derive(Deserialize)]
struct Definition {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    vendor: Option<String>,
}

/// `bridge/devices`. An entry that cannot be read costs itself alone; a list without any is no inventory, since a
/// gateway names at least its own radio: it would make strangers of all devices.
pub fn inventory(payload: &[u8], decoded: &mut Decoded) -> Result<(), DecodeError> {
    let text = utf8(payload)?;
    let entries: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    if entries.is_empty() || entries.len() > MAX_MEMBERS {
        let why = format!("{} entries, 1 to {MAX_MEMBERS} are allowed", entries.len());
        return Err(DecodeError::field("devices", &why));
    }
    let mut members: Vec<Member> = Vec::with_capacity(entries.len());
    for entry in entries {
        match serde_json::from_str::<Entry>(entry.get()) {
            Ok(entry) if entry.kind.as_deref() == Some("Coordinator") => {}
            Ok(entry) => match member(entry) {
                Ok(member) if members.iter().any(|known| known.key == member.key) => {
                    decoded.ignore(member.key.as_str(), "named twice");
                }
                Ok(member) => members.push(member),
                Err((name, why)) => decoded.ignore(&name, why),
            },
            Err(error) => decoded.ignore("devices", &error.to_string()),
        }
    }
    decoded.items.push(Item::Inventory(members));
    Ok(())
}

fn member(entry: Entry) -> Result<Member, (String, &'static str)> {
    let Some(key) = address(&entry.ieee_address) else {
        return Err((entry.ieee_address, "no ieee_address"));
    };
    let name = entry.friendly_name;
    let is_name = (1..=MAX_NAME).contains(&name.chars().count())
        && !name.contains(|c: char| c.is_control() || matches!(c, '+' | '#'));
    if !is_name {
        return Err((entry.ieee_address, "a friendly_name that cannot be part of a topic"));
    }
    let (model, vendor) = entry.definition.map_or((None, None), |known| (known.model, known.vendor));
    let word = |known: Option<String>, own: Option<String>| clip(known.or(own).unwrap_or_default().trim(), MAX_WORD);
    Ok(Member { key, name, model: word(model, entry.model_id), vendor: word(vendor, entry.manufacturer) })
}

/// `bridge/event`: whether one of the gateway's devices came or went. Its inventory follows by itself.
pub fn event(payload: &[u8], gateway: &Gateway) -> Result<Decoded, DecodeError> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        data: Data,
    }
    #[derive(Default, Deserialize)]
    struct Data {
        #[serde(default)]
        ieee_address: String,
    }
    let event: Event = serde_json::from_str(utf8(payload)?).map_err(|error| malformed(&error))?;
    let online = match event.kind.as_str() {
        "device_announce" | "device_joined" => true,
        "device_leave" => false,
        _ => return Err(DecodeError::Nothing),
    };
    // Of a device that is not its own a gateway has nothing to say.
    let known = address(&event.data.ieee_address).filter(|key| gateway.name_of(key).is_some());
    let mut decoded = Decoded::new(known.ok_or(DecodeError::Nothing)?);
    decoded.items.push(Item::State(DeviceState { online: Some(online), ..DeviceState::default() }));
    Ok(decoded)
}
