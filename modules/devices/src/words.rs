//! Values, units, kinds and classes as people read them.

use rust_decimal::Decimal;
use songhe_adapter_core::{EventKind, Measure};

/// A stored value without trailing zeros: 36_600_000 is "36.6".
pub fn decimal(micro: i64) -> String {
    Decimal::new(micro, 6).normalize().to_string()
}

/// The inverse; `None` for text that is no decimal number or has more than six places or too many digits.
pub fn micro(text: &str) -> Option<i64> {
    let value: Decimal = text.trim().parse().ok()?;
    let scaled = value.checked_mul(Decimal::from(1_000_000))?.normalize();
    if scaled.scale() == 0 { i64::try_from(scaled.mantissa()).ok() } else { None }
}

/// Fluent key of a canonical unit; `None` for counts without one.
pub fn unit_key(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "/min" => "devices-unit-per-minute",
        "%" => "devices-unit-percent",
        "Cel" => "devices-unit-celsius",
        "mm[Hg]" => "devices-unit-mmhg",
        "mmol/L" => "devices-unit-mmol-l",
        "kg" => "devices-unit-kg",
        "cm" => "devices-unit-cm",
        "{steps}" => "devices-unit-steps",
        "lx" => "devices-unit-lux",
        "[ppm]" => "devices-unit-ppm",
        "%{LEL}" => "devices-unit-lel",
        "ug/m3" => "devices-unit-ug-m3",
        "mV" => "devices-unit-mv",
        "dB[mW]" => "devices-unit-dbm",
        _ => return None,
    })
}

/// Fluent key of an event kind; `None` for a reading's kind.
pub fn event_key(kind: &str) -> Option<&'static str> {
    EventKind::from_name(kind).map(|kind| match kind {
        EventKind::Sos => "devices-event-sos",
        EventKind::Fall => "devices-event-fall",
        EventKind::Smoke => "devices-event-smoke",
        EventKind::Gas => "devices-event-gas",
        EventKind::Co => "devices-event-co",
        EventKind::Leak => "devices-event-leak",
        EventKind::DoorOpen => "devices-event-door_open",
        EventKind::DoorClose => "devices-event-door_close",
        EventKind::BedExit => "devices-event-bed_exit",
        EventKind::BedEnter => "devices-event-bed_enter",
        EventKind::Presence => "devices-event-presence",
        EventKind::NoPresence => "devices-event-no_presence",
        EventKind::Vibration => "devices-event-vibration",
        EventKind::Tamper => "devices-event-tamper",
        EventKind::LowBattery => "devices-event-low_battery",
        EventKind::Test => "devices-event-test",
    })
}

/// The same for how something stands: a door that is not open is closed.
pub fn condition_key(kind: &str, active: Option<bool>) -> Option<&'static str> {
    match (EventKind::from_name(kind), active) {
        (Some(EventKind::DoorOpen), Some(false)) => Some("devices-event-door_close"),
        (Some(EventKind::Presence), Some(false)) => Some("devices-event-no_presence"),
        _ => event_key(kind),
    }
}

/// Whether pages have a name for this kind of reading.
pub fn is_measure(kind: &str) -> bool {
    Measure::from_name(kind).is_some()
}

/// The canonical unit of a kind of reading; `None` for events and counts without one.
pub fn unit_of(kind: &str) -> Option<&'static str> {
    Measure::from_name(kind).map(Measure::unit)
}

/// Last part of `devices-quality-…`. `late_s`: how much later than it was observed it arrived, in seconds.
pub fn quality_key(quality: &str, late_s: i64) -> &'static str {
    match quality {
        "implausible" => "invalid",
        "no_reading" => "no_reading",
        _ if late_s >= 60 => "late",
        _ => "ok",
    }
}

/// Fluent key of a catalogue class.
pub fn class_key(class: &str) -> &'static str {
    match class {
        "1.1" => "devices-class-1-1",
        "1.2" => "devices-class-1-2",
        "1.3" => "devices-class-1-3",
        "1.4" => "devices-class-1-4",
        "2" => "devices-class-2",
        "3.1" => "devices-class-3-1",
        "3.2" => "devices-class-3-2",
        "4" => "devices-class-4",
        "5" => "devices-class-5",
        _ => "devices-class-6",
    }
}

/// Bytes as text, or as hexadecimal digits when they are none.
pub fn raw(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => hex::encode(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_without_trailing_zeros_and_reads_back() {
        for (micros, text) in
            [(36_600_000, "36.6"), (0, "0"), (-500_000, "-0.5"), (120_000_000, "120"), (1, "0.000001")]
        {
            assert_eq!(decimal(micros), text);
            assert_eq!(micro(text), Some(micros));
        }
        for text in ["", "x", "1.0000001", "9300000000000", "NaN"] {
            assert_eq!(micro(text), None, "{text}");
        }
        assert_eq!(micro("16.50"), Some(16_500_000));
    }

    #[test]
    fn every_canonical_unit_has_words_and_no_event_is_called_like_a_reading() {
        for measure in Measure::ALL {
            assert!(measure.unit() == "1" || unit_key(measure.unit()).is_some(), "{}", measure.name());
            // Latest states are kept by (device, kind): the two must never meet.
            assert_eq!(EventKind::from_name(measure.name()), None);
        }
    }
}
