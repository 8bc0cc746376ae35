use crate::{
    MAX_PAYLOAD, MAX_READINGS,
    topic::{self, Channel},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use songhe_adapter_core::{
    DecodeError, Decoded, DeviceState, EventKind, Inbound, Item, Measure, Reading, check_observed_at, clip,
    mark_contradictions, valid_message_id,
};
use std::borrow::Cow;

const MAX_DETAIL: usize = 200;
const MAX_VERSION: usize = 64;

/// A field whose type is judged on its own, so that a wrong one does not fail its neighbours.
type Raw<'a> = Option<&'a RawValue>;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    time: Raw<'a>,
    #[serde(borrow)]
    historical: Raw<'a>,
    #[serde(borrow)]
    readings: Raw<'a>,
    #[serde(borrow)]
    event: Raw<'a>,
    #[serde(borrow)]
    active: Raw<'a>,
    #[serde(borrow)]
    detail: Raw<'a>,
    #[serde(borrow)]
    online: Raw<'a>,
    #[serde(borrow)]
    firmware: Raw<'a>,
    #[serde(borrow)]
    hardware: Raw<'a>,
    #[serde(borrow)]
    report_seconds: Raw<'a>,
    #[serde(borrow)]
    battery: Raw<'a>,
    #[serde(borrow)]
    signal_dbm: Raw<'a>,
    #[serde(borrow)]
    ok: Raw<'a>,
}

#[derive(Deserialize)]
struct WireReading<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow)]
    unit: Cow<'a, str>,
}

#[derive(Deserialize)]
struct WireBattery<'a> {
    #[serde(borrow)]
    percent: Raw<'a>,
    #[serde(borrow)]
    voltage: Raw<'a>,
}

pub fn decode(message: Inbound<'_>) -> Result<Decoded, DecodeError> {
    let (device, channel) = topic::parse(message.topic)?;
    let bytes = message.payload.len();
    if bytes > MAX_PAYLOAD {
        return Err(DecodeError::TooLarge { bytes, limit: MAX_PAYLOAD });
    }
    let envelope = envelope(message.payload)?;
    let mut decoded = Decoded::new(device);
    match channel {
        Channel::Event => event(&envelope, &mut decoded)?,
        Channel::Telemetry => telemetry(&envelope, &mut decoded)?,
        Channel::State => state(&envelope, &mut decoded),
        Channel::Ack => command_result(&envelope, &mut decoded)?,
        // A device has no business on its own command topic.
        Channel::Command => return Err(DecodeError::Topic),
    }
    if channel != Channel::Ack {
        message_id(&envelope, channel, &mut decoded)?;
    }
    observed_at(&envelope, message.received_at, &mut decoded);
    let flag: Option<bool> = lenient(envelope.historical, "historical", &mut decoded);
    decoded.historical = flag.unwrap_or(false) || message.retained;
    mark_contradictions(&mut decoded.items);
    Ok(decoded)
}

fn envelope(payload: &[u8]) -> Result<Envelope<'_>, DecodeError> {
    let text = std::str::from_utf8(payload).map_err(|e| DecodeError::Malformed {
        problem: format!("not UTF-8 at byte {}", e.valid_up_to()),
        line: 1,
        column: e.valid_up_to(),
    })?;
    // serde would also take an array for a struct.
    if !text.trim_start().starts_with('{') {
        return Err(DecodeError::Malformed { problem: "not a JSON object".to_owned(), line: 1, column: 0 });
    }
    serde_json::from_str(text).map_err(|e| DecodeError::Malformed {
        problem: problem(&e),
        line: e.line(),
        column: e.column(),
    })
}

/// serde_json quotes values in some messages; clipping keeps payloads out of the log.
fn problem(error: &serde_json::Error) -> String {
    clip(&error.to_string(), 120)
}

/// The dedupe key. An emergency without a proper one is accepted and noted: it is worse to lose
/// it than to hear it twice. Elsewhere the id is required.
fn message_id(envelope: &Envelope<'_>, channel: Channel, decoded: &mut Decoded) -> Result<(), DecodeError> {
    let found = match envelope.id {
        None => Err("missing"),
        Some(raw) => match serde_json::from_str::<String>(raw.get()) {
            Ok(id) if valid_message_id(&id) => Ok(id),
            _ => Err("must be a text of 1 to 64 printable ASCII characters without spaces"),
        },
    };
    match found {
        Ok(id) => decoded.message_id = Some(id),
        Err(why) if channel == Channel::Event => decoded.ignore("id", why),
        Err(why) => return Err(DecodeError::field("id", why)),
    }
    Ok(())
}

fn observed_at(envelope: &Envelope<'_>, received_at: DateTime<Utc>, decoded: &mut Decoded) {
    let Some(text) = lenient::<String>(envelope.time, "time", decoded) else {
        return;
    };
    match DateTime::parse_from_rfc3339(&text) {
        Err(_) => decoded.ignore("time", "not an RFC 3339 time with a zone"),
        Ok(time) => match check_observed_at(time.with_timezone(&Utc), received_at) {
            Ok(time) => decoded.observed_at = Some(time),
            Err(why) => decoded.ignore("time", &why.to_string()),
        },
    }
}

fn event(envelope: &Envelope<'_>, decoded: &mut Decoded) -> Result<(), DecodeError> {
    let raw = envelope.event.ok_or_else(|| DecodeError::field("event", "missing"))?;
    let name: String = serde_json::from_str(raw.get()).map_err(|_| DecodeError::field("event", "must be a text"))?;
    let kind = EventKind::from_name(&name)
        .ok_or_else(|| DecodeError::field("event", &format!("unknown event \"{}\"", clip(&name, 40))))?;
    let active = lenient(envelope.active, "active", decoded).unwrap_or(true);
    let detail = text(envelope.detail, "detail", MAX_DETAIL, decoded);
    decoded.items.push(Item::Event { kind, active, detail });
    Ok(())
}

fn telemetry(envelope: &Envelope<'_>, decoded: &mut Decoded) -> Result<(), DecodeError> {
    let raw = envelope.readings.ok_or_else(|| DecodeError::field("readings", "missing"))?;
    let readings: Vec<WireReading<'_>> =
        serde_json::from_str(raw.get()).map_err(|e| DecodeError::field("readings", &problem(&e)))?;
    if readings.is_empty() || readings.len() > MAX_READINGS {
        let why = format!("{} entries, 1 to {MAX_READINGS} are allowed", readings.len());
        return Err(DecodeError::field("readings", &why));
    }
    for reading in &readings {
        match Measure::from_name(&reading.kind) {
            None => decoded.ignore(&reading.kind, "unknown kind of reading"),
            Some(measure) => push_reading(measure, reading.value, &reading.unit, decoded),
        }
    }
    Ok(())
}

fn state(envelope: &Envelope<'_>, decoded: &mut Decoded) {
    let online = lenient(envelope.online, "online", decoded);
    let firmware = text(envelope.firmware, "firmware", MAX_VERSION, decoded);
    let hardware = text(envelope.hardware, "hardware", MAX_VERSION, decoded);
    let mut report_seconds: Option<u32> = lenient(envelope.report_seconds, "report_seconds", decoded);
    if report_seconds.is_some_and(|s| !(1..=604_800).contains(&s)) {
        decoded.ignore("report_seconds", "1 to 604800 is allowed");
        report_seconds = None;
    }
    let state = DeviceState { online, firmware, hardware, report_seconds };
    decoded.items.push(Item::State(state));
    let battery = envelope.battery.filter(|raw| raw.get() != "null");
    match battery.map(|raw| serde_json::from_str::<WireBattery<'_>>(raw.get())) {
        None => {}
        Some(Err(_)) => decoded.ignore("battery", "must be an object with percent or voltage"),
        Some(Ok(battery)) => {
            if let Some(raw) = battery.percent {
                push_reading(Measure::BatteryPercent, raw, "%", decoded);
            }
            if let Some(raw) = battery.voltage {
                push_reading(Measure::BatteryVoltage, raw, "V", decoded);
            }
        }
    }
    if let Some(raw) = envelope.signal_dbm {
        push_reading(Measure::SignalDbm, raw, "dBm", decoded);
    }
}

fn command_result(envelope: &Envelope<'_>, decoded: &mut Decoded) -> Result<(), DecodeError> {
    message_id(envelope, Channel::Ack, decoded)?;
    let Some(command_id) = decoded.message_id.take() else {
        return Err(DecodeError::field("id", "missing"));
    };
    // A device's answer says whether it worked; the word that a message is safe is ours.
    let raw = envelope.ok.ok_or(DecodeError::Own)?;
    let ok = serde_json::from_str(raw.get()).map_err(|_| DecodeError::field("ok", "must be true or false"))?;
    let detail = text(envelope.detail, "detail", MAX_DETAIL, decoded);
    decoded.message_id = Some(format!("ack:{command_id}"));
    decoded.items.push(Item::CommandResult { command_id, ok, detail });
    Ok(())
}

fn push_reading(measure: Measure, raw: &RawValue, unit: &str, decoded: &mut Decoded) {
    match Reading::from_json(measure, raw.get(), unit) {
        Ok(mut reading) => {
            reading.raw_unit = clip(&reading.raw_unit, 32);
            decoded.items.push(Item::Reading(reading));
        }
        Err(why) => decoded.ignore(measure.name(), &why.to_string()),
    }
}

/// An optional field; a value of the wrong type is noted and treated as absent.
fn lenient<'a, T: Deserialize<'a>>(raw: Raw<'a>, name: &str, decoded: &mut Decoded) -> Option<T> {
    match serde_json::from_str::<Option<T>>(raw?.get()) {
        Ok(value) => value,
        Err(_) => {
            decoded.ignore(name, "wrong type");
            None
        }
    }
}

fn text(raw: Raw<'_>, name: &str, max: usize, decoded: &mut Decoded) -> Option<String> {
    lenient::<String>(raw, name, decoded).map(|text| clip(&text, max)).filter(|t| !t.is_empty())
}
