//! The device's side of the protocol, for the simulator, the benchmark and tests.

use crate::topic::{self, Channel};
use chrono::{DateTime, SecondsFormat, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use songhe_adapter_core::{Action, Command, DeviceKey, DeviceState, EventKind, Measure, Outbound};

/// What every message of a device begins with.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// Boot number and counter, such as `17-000042`.
    pub id: &'a str,
    /// The device's own time.
    pub time: DateTime<Utc>,
    /// True when the message waited in the device.
    pub historical: bool,
}

#[derive(Serialize)]
struct Telemetry<'a> {
    id: &'a str,
    time: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    historical: bool,
    readings: Vec<Reading>,
}

#[derive(Serialize)]
struct Reading {
    kind: &'static str,
    value: Option<Box<RawValue>>,
    unit: &'static str,
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A telemetry message with values in the canonical units; `None` is a sensor without a reading.
#[must_use]
pub fn telemetry(device: &DeviceKey, stamp: &Stamp<'_>, readings: &[(Measure, Option<Decimal>)]) -> Outbound {
    let readings = readings
        .iter()
        .map(|&(measure, value)| Reading {
            kind: measure.name(),
            // A decimal's text is a JSON number.
            value: value.and_then(|v| RawValue::from_string(v.to_string()).ok()),
            unit: measure.unit(),
        })
        .collect();
    let Stamp { id, time, historical } = *stamp;
    let body = Telemetry { id, time: rfc3339(time), historical, readings };
    // These types always serialise; an empty body would be refused by the decoder.
    let body = serde_json::to_string(&body).unwrap_or_default();
    topic::outbound(device, Channel::Telemetry, body)
}

/// An event message.
#[must_use]
pub fn event(device: &DeviceKey, stamp: &Stamp<'_>, kind: EventKind, active: bool, detail: Option<&str>) -> Outbound {
    let mut body = json!({"id": stamp.id, "time": rfc3339(stamp.time), "event": kind.name()});
    if !active {
        body["active"] = false.into();
    }
    if let Some(detail) = detail {
        body["detail"] = detail.into();
    }
    if stamp.historical {
        body["historical"] = true.into();
    }
    topic::outbound(device, Channel::Event, body.to_string())
}

/// A state message; absent facts are left out.
#[must_use]
pub fn state(device: &DeviceKey, stamp: &Stamp<'_>, state: &DeviceState) -> Outbound {
    let mut body = json!({"id": stamp.id, "time": rfc3339(stamp.time)});
    if let Some(online) = state.online {
        body["online"] = online.into();
    }
    if let Some(firmware) = &state.firmware {
        body["firmware"] = firmware.as_str().into();
    }
    if let Some(hardware) = &state.hardware {
        body["hardware"] = hardware.as_str().into();
    }
    if let Some(seconds) = state.report_seconds {
        body["report_seconds"] = seconds.into();
    }
    if stamp.historical {
        body["historical"] = true.into();
    }
    topic::outbound(device, Channel::State, body.to_string())
}

/// The device's answer to a command.
#[must_use]
pub fn command_result(device: &DeviceKey, command_id: &str, ok: bool) -> Outbound {
    let body = json!({"id": command_id, "ok": ok}).to_string();
    topic::outbound(device, Channel::Ack, body)
}

/// Understands a command as a device would. `None` for anything else.
#[must_use]
pub fn parse_command(payload: &[u8]) -> Option<Command> {
    #[derive(Deserialize)]
    struct Wire {
        id: String,
        command: String,
        on: Option<bool>,
        seconds: Option<u16>,
        key: Option<String>,
        value: Option<String>,
        until: Option<DateTime<Utc>>,
    }
    let wire: Wire = serde_json::from_slice(payload).ok()?;
    let action = match wire.command.as_str() {
        "lamp" => Action::Lamp { on: wire.on? },
        "siren" => Action::Siren { on: wire.on?, seconds: wire.seconds? },
        "locate" => Action::Locate,
        "set" => Action::Set { key: wire.key?, value: wire.value? },
        _ => return None,
    };
    Some(Command { id: wire.id, action, valid_until: wire.until })
}

/// The id of the message that the server acknowledges. `None` for anything else, the device's own
/// answers included, which a broker may send back to it.
#[must_use]
pub fn parse_acknowledgement(payload: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Wire {
        id: String,
        ok: Option<bool>,
    }
    let wire: Wire = serde_json::from_slice(payload).ok()?;
    wire.ok.is_none().then_some(wire.id)
}
