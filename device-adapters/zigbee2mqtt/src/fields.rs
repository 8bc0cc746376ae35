//! The fields of a device's message. Zigbee2MQTT repeats everything it knows of a device in each message, so truths are
//! conditions, and only `action` is an event.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use songhe_adapter_core::{
    DecodeError, Decoded, DeviceKey, EventKind, Gateway, Inbound, Item, MAX_SETTINGS, Measure, Reading,
    check_observed_at, clip,
};
use std::collections::BTreeMap;

use crate::decode::{malformed, utf8};

/// Actions that are calls for help by their very name.
const CALLS: [&str; 3] = ["emergency", "panic", "sos"];
/// Parts of a device that has several.
const ENDPOINTS: [&str; 7] = ["left", "right", "center", "top", "bottom", "up", "down"];
/// A voltage below this is that of a socket, in V, and none of a battery, in mV.
const LEAST_BATTERY_MV: i64 = 1_000_000_000;
const MAX_DETAIL: usize = 200;
/// Longest word that is looked at, in characters.
const MAX_WORD: usize = 64;

type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// What a field is about.
#[derive(Clone, Copy)]
enum Field {
    /// Told by `true`.
    Truth(EventKind),
    /// Told by `false`: a contact that is open.
    Untruth(EventKind),
    /// Told by this word; not so with one of these, and with all others if there are none.
    Word(EventKind, &'static str, &'static [&'static str]),
    Measured(Measure, &'static str),
    Action,
}

fn field(name: &str) -> Option<Field> {
    use Field::{Action, Measured, Truth, Untruth, Word};
    Some(match name {
        "sos" => Truth(EventKind::Sos),
        "smoke" => Truth(EventKind::Smoke),
        "gas" => Truth(EventKind::Gas),
        "carbon_monoxide" => Truth(EventKind::Co),
        "water_leak" => Truth(EventKind::Leak),
        "fall_status" => Word(EventKind::Fall, "fall_alarm", &[]),
        "fall_down_status" => Word(EventKind::Fall, "fall", &[]),
        // Other devices say other things by this name.
        "status" => Word(EventKind::Fall, "falling", &["normal"]),
        "contact" => Untruth(EventKind::DoorOpen),
        "occupancy" | "presence" => Truth(EventKind::Presence),
        "vibration" => Truth(EventKind::Vibration),
        "tamper" => Truth(EventKind::Tamper),
        "battery_low" => Truth(EventKind::LowBattery),
        "action" => Action,
        "battery" => Measured(Measure::BatteryPercent, "%"),
        "voltage" => Measured(Measure::BatteryVoltage, "mV"),
        "temperature" => Measured(Measure::RoomTemperature, "Cel"),
        "humidity" => Measured(Measure::Humidity, "%"),
        "illuminance" | "illuminance_lux" => Measured(Measure::Illuminance, "lx"),
        "co" => Measured(Measure::CoPpm, "ppm"),
        "co2" => Measured(Measure::Co2, "ppm"),
        "pm25" => Measured(Measure::Pm25, "ug/m3"),
        "linkquality" => Measured(Measure::LinkQuality, "1"),
        _ => return None,
    })
}

/// The field of that name, and the part of the device it is about: `action_left`, `contact_l2`, `temperature_1`.
fn field_at(name: &str) -> Option<(Field, Option<&str>)> {
    if let Some(field) = field(name) {
        return Some((field, None));
    }
    let (base, part) = name.rsplit_once('_')?;
    let number = part.strip_prefix('l').unwrap_or(part);
    let is_part =
        ENDPOINTS.contains(&part) || (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    field(base).filter(|_| is_part).map(|field| (field, Some(part)))
}

/// One condition out of all fields and parts that tell of it: it is so if it is so anywhere.
#[derive(Default)]
struct Told {
    active: bool,
    details: Vec<String>,
}

struct Reader<'a> {
    gateway: &'a Gateway,
    key: &'a DeviceKey,
    events: Vec<Item>,
    conditions: BTreeMap<usize, Told>,
    readings: Vec<Reading>,
    notes: Vec<(String, String)>,
}

/// Whether a message says nothing that Songhe looks at: the state of a lamp, or of a group of them.
pub fn is_nothing(payload: &[u8]) -> bool {
    match parse(payload) {
        Ok(fields) => !fields.keys().any(|name| {
            let found = field_at(name);
            found.is_some_and(|(field, _)| !matches!(field, Field::Measured(Measure::LinkQuality, _)))
        }),
        Err(_) => payload.is_empty(),
    }
}

fn parse(payload: &[u8]) -> Result<Fields<'_>, DecodeError> {
    let text = utf8(payload)?;
    if !text.trim_start().starts_with('{') {
        return Err(DecodeError::Malformed { problem: "not a JSON object".to_owned(), line: 1, column: 0 });
    }
    serde_json::from_str(text).map_err(|error| malformed(&error))
}

pub fn decode(message: Inbound<'_>, gateway: &Gateway, decoded: &mut Decoded) -> Result<(), DecodeError> {
    let fields = parse(message.payload)?;
    let key = decoded.device.clone();
    let mut reader = Reader {
        gateway,
        key: &key,
        events: Vec::new(),
        conditions: BTreeMap::new(),
        readings: Vec::new(),
        notes: Vec::new(),
    };
    for (name, raw) in &fields {
        if let Some((field, part)) = field_at(name) {
            reader.read(name, field, part, raw.get());
        }
    }
    let Reader { mut events, mut conditions, mut readings, notes, .. } = reader;
    if let Some(testing) = fields.get("test").and_then(|raw| truth(raw.get())) {
        if testing {
            silence(&mut events, &mut conditions, decoded);
        }
        events.push(Item::Condition { kind: EventKind::Test, active: testing, detail: None });
    }
    let by_battery = fields.contains_key("battery") || fields.contains_key("battery_low");
    readings.retain(|reading| {
        reading.measure != Measure::BatteryVoltage || by_battery || reading.value_micro() >= LEAST_BATTERY_MV
    });
    decoded.items = events;
    decoded.items.extend(conditions.into_iter().filter_map(|(at, told)| {
        let kind = *EventKind::ALL.get(at)?;
        let detail = (!told.details.is_empty()).then(|| clip(&told.details.join(", "), MAX_DETAIL));
        Some(Item::Condition { kind, active: told.active, detail })
    }));
    decoded.items.extend(readings.into_iter().map(Item::Reading));
    for (name, why) in notes {
        decoded.ignore(&name, &why);
    }
    decoded.settings = settings(&fields);
    observed_at(&fields, message.received_at, decoded);
    Ok(())
}

/// What is neither measured nor an alarm, and is one plain value: whether a command was done shows here.
fn settings(fields: &Fields<'_>) -> Vec<(String, String)> {
    let plain = |json: &str| match serde_json::from_str::<serde_json::Value>(json).ok()? {
        serde_json::Value::String(text) => Some(text),
        value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => Some(value.to_string()),
        _ => None,
    };
    let unread = fields.iter().filter(|(name, raw)| field_at(name).is_none() && raw.get().len() <= MAX_WORD);
    let told = unread.filter_map(|(name, raw)| Some((clip(name, MAX_WORD), plain(raw.get())?)));
    told.take(MAX_SETTINGS).collect()
}

/// A device that is being tested alarms nobody; how it stood before the test is how it stands after it.
fn silence(events: &mut Vec<Item>, conditions: &mut BTreeMap<usize, Told>, decoded: &mut Decoded) {
    events.retain(|item| {
        if let Item::Event { kind, .. } = item {
            decoded.ignore(kind.name(), "during a test");
        }
        false
    });
    conditions.retain(|at, told| {
        let kind = EventKind::ALL.get(*at).copied();
        let alarms = kind.is_some_and(|kind| kind.is_emergency() || kind == EventKind::Tamper);
        if let Some(kind) = kind.filter(|_| alarms && told.active) {
            decoded.ignore(kind.name(), "during a test");
        }
        !(alarms && told.active)
    });
}

impl Reader<'_> {
    fn read(&mut self, name: &str, field: Field, part: Option<&str>, json: &str) {
        // What Zigbee2MQTT does not know yet.
        if json == "null" {
            return;
        }
        match field {
            Field::Measured(measure, unit) => match Reading::from_json(measure, json, unit) {
                Ok(reading) => self.readings.push(reading),
                Err(why) => self.note(name, &why.to_string()),
            },
            Field::Truth(kind) | Field::Untruth(kind) => match truth(json) {
                Some(told) => self.condition(kind, told == matches!(field, Field::Truth(_)), part),
                None => self.note(name, "neither true nor false"),
            },
            Field::Word(kind, yes, no) => match word(json) {
                Some(word) if word == yes => self.condition(kind, true, Some(&word)),
                Some(word) if no.is_empty() || no.contains(&word.as_str()) => self.condition(kind, false, None),
                Some(_) => {}
                None => self.note(name, "not a text"),
            },
            Field::Action => match word(json) {
                Some(action) => self.action(name, &action, part),
                None => self.note(name, "not a text"),
            },
        }
    }

    fn condition(&mut self, kind: EventKind, active: bool, detail: Option<&str>) {
        let Some(at) = EventKind::ALL.iter().position(|one| *one == kind) else { return };
        let told = self.conditions.entry(at).or_default();
        told.active |= active;
        told.details.extend(detail.filter(|_| active).map(str::to_owned));
    }

    /// A button was pressed. An empty one is the button let go.
    fn action(&mut self, name: &str, action: &str, part: Option<&str>) {
        if action.is_empty() {
            return;
        }
        let of_part = part.map(|part| format!("{action}_{part}"));
        let is_call = CALLS.contains(&action)
            || self.gateway.is_call(self.key, action)
            || of_part.as_ref().is_some_and(|action| self.gateway.is_call(self.key, action));
        if is_call {
            let detail = Some(clip(of_part.as_deref().unwrap_or(action), MAX_DETAIL));
            self.events.push(Item::Event { kind: EventKind::Sos, active: true, detail });
        } else {
            self.note(name, &format!("\"{}\" is not set to be a call", clip(action, MAX_WORD)));
        }
    }

    fn note(&mut self, name: &str, why: &str) {
        self.notes.push((name.to_owned(), why.to_owned()));
    }
}

/// `true`, `"ON"`, `1` and the like.
fn truth(json: &str) -> Option<bool> {
    match json {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => match word(json)?.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" => Some(true),
            "off" | "false" | "no" => Some(false),
            _ => None,
        },
    }
}

/// A text, if it is one and short.
fn word(json: &str) -> Option<String> {
    let text: String = serde_json::from_str(json).ok()?;
    (text.chars().count() <= MAX_WORD).then_some(text)
}

/// `last_seen`: with it a message is known for good, see the README.
fn observed_at(fields: &Fields<'_>, received_at: DateTime<Utc>, decoded: &mut Decoded) {
    let Some(raw) = fields.get("last_seen").map(|raw| raw.get()).filter(|json| *json != "null") else { return };
    let time = match serde_json::from_str::<i64>(raw) {
        Ok(milliseconds) => DateTime::from_timestamp_millis(milliseconds),
        Err(_) => {
            word(raw).and_then(|text| DateTime::parse_from_rfc3339(&text).ok()).map(|time| time.with_timezone(&Utc))
        }
    };
    match time.map(|time| check_observed_at(time, received_at)) {
        Some(Ok(time)) => decoded.observed_at = Some(time),
        Some(Err(why)) => decoded.ignore("last_seen", &why.to_string()),
        None => decoded.ignore("last_seen", "neither a time with a zone nor milliseconds"),
    }
}
