//! What a device told, as an incident remembers its cause.

use serde_json::json;
use songhe_adapter_core::{Item, Quality};
use songhe_kernel::Moment;

use crate::ingest::Arrival;
use crate::register::Device;
use crate::{rules, words};

/// One item of a message, as an incident remembers what caused it.
#[derive(Debug, Clone)]
pub(crate) struct Sighting {
    pub(crate) observed_at: Moment,
    pub(crate) received_at: Moment,
    pub(crate) historical: bool,
    message_id: String,
    kind: &'static str,
    event: bool,
    value: Option<String>,
    unit: Option<&'static str>,
    quality: &'static str,
    pub(crate) detail: Option<String>,
}

impl Sighting {
    pub(crate) fn of(arrival: &Arrival, item: &Item) -> Self {
        let mut sighting = Self {
            observed_at: arrival.observed_at,
            received_at: arrival.received_at,
            historical: arrival.decoded.historical,
            message_id: arrival.message_id.clone(),
            kind: "state",
            event: false,
            value: None,
            unit: None,
            quality: Quality::Good.name(),
            detail: None,
        };
        match item {
            Item::Reading(reading) => {
                sighting.kind = reading.measure.name();
                sighting.value = Some(reading.value.to_string());
                sighting.unit = Some(reading.measure.unit());
                sighting.quality = reading.quality.name();
            }
            Item::Event { kind, detail, .. } | Item::Condition { kind, detail, .. } => {
                sighting.kind = kind.name();
                sighting.event = true;
                sighting.detail = detail.clone();
            }
            Item::State(_) | Item::Inventory(_) | Item::CommandResult { .. } => {}
        }
        sighting
    }

    /// The observation as the API shows it inside an incident.
    pub(crate) fn cause(&self, device: &Device, rule: Option<&rules::Rule>) -> serde_json::Value {
        json!({
            "device": device.id,
            "device_name": device.name,
            "serial": device.serial,
            "adapter": device.adapter,
            "kind": self.kind,
            "event": self.event,
            "value": self.value,
            "unit": self.unit,
            "quality": self.quality,
            "detail": self.detail,
            "message_id": self.message_id,
            "observed_at": self.observed_at,
            "received_at": self.received_at,
            "rule": rule.map(|rule| json!({
                "id": rule.id,
                "name": rule.name,
                "measure": rule.measure,
                "above": rule.above_micro.map(words::decimal),
                "below": rule.below_micro.map(words::decimal),
                "onset_seconds": rule.onset_seconds,
            })),
        })
    }
}
