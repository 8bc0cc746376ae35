#![allow(clippy::unwrap_used, clippy::expect_used)]
//! Units, ranges and names, as tables.

use chrono::{TimeZone, Utc};
use proptest::prelude::*;
use songhe_adapter_core::*;
use std::str::FromStr;

fn reading(measure: Measure, value: &str, unit: &str) -> Reading {
    Reading::new(measure, Decimal::from_str(value).unwrap(), unit).unwrap()
}

#[test]
fn values_become_canonical_and_are_judged() {
    use Measure::*;
    use Quality::*;
    for (measure, value, unit, micro, quality) in [
        (HeartRate, "72", "/min", 72_000_000, Good),
        (HeartRate, "0", "/min", 0, NoReading),
        (HeartRate, "19.999999", "/min", 19_999_999, Implausible),
        (HeartRate, "20", "bpm", 20_000_000, Good),
        (HeartRate, "300.000001", "/min", 300_000_001, Implausible),
        (OxygenSaturation, "100", "%", 100_000_000, Good),
        (OxygenSaturation, "49", "%", 49_000_000, Implausible),
        (BodyTemperature, "98.6", "[degF]", 37_000_000, Good),
        (BodyTemperature, "0", "[degF]", 0, NoReading),
        (BodyTemperature, "100", "degF", 37_777_778, Good),
        (RoomTemperature, "32", "[degF]", 0, Good),
        (RoomTemperature, "-12.5", "Cel", -12_500_000, Good),
        (SystolicPressure, "16", "kPa", 120_009_920, Good),
        (DiastolicPressure, "201", "mm[Hg]", 201_000_000, Implausible),
        (BloodGlucose, "18.016", "mg/dL", 1_000_000, Good),
        (BloodGlucose, "100", "mg/dL", 5_550_622, Good),
        (BodyWeight, "70500", "g", 70_500_000, Good),
        (BodyWeight, "100", "[lb_av]", 45_359_237, Good),
        (BatteryVoltage, "2.95", "V", 2_950_000_000, Good),
        (Pm25, "0.035", "mg/m3", 35_000_000, Good),
        (Steps, "0", "{steps}", 0, Good),
        (CoPpm, "0", "ppm", 0, Good),
        (SignalDbm, "-71", "dBm", -71_000_000, Good),
        (Humidity, "0.1000000000000000055", "%", 100_000, Good),
    ] {
        let got = reading(measure, value, unit);
        assert_eq!((got.value_micro(), got.quality), (micro, quality), "{} {value} {unit}", measure.name());
        assert_eq!(got.raw_unit, unit);
    }
}

#[test]
fn unknown_units_are_errors_and_huge_values_are_kept_as_implausible() {
    assert_eq!(Reading::new(Measure::HeartRate, Decimal::ONE, "Hz"), Err(UnitError::Unknown));
    assert_eq!(Reading::beyond(Measure::HeartRate, "1e99", "Hz"), Err(UnitError::Unknown));
    for (measure, unit) in [(Measure::Humidity, "%"), (Measure::BodyHeight, "m"), (Measure::RoomTemperature, "[degF]")]
    {
        for huge in [Decimal::MAX, Decimal::MIN] {
            let kept = Reading::new(measure, huge, unit).unwrap();
            assert_eq!((kept.quality, kept.raw_unit.as_str()), (Quality::Implausible, unit));
            assert_eq!(kept.raw_value, Some(huge.to_string()), "the number itself");
            assert_eq!(kept.value_micro().is_negative(), huge.is_sign_negative());
        }
    }
    let none = Reading::none(Measure::RoomTemperature, "[degF]").unwrap();
    assert_eq!((none.quality, none.value_micro()), (Quality::NoReading, 0));
}

#[test]
fn systolic_not_above_diastolic_is_implausible() {
    let item = |m, v| Item::Reading(reading(m, v, "mm[Hg]"));
    let qualities = |items: &[Item]| -> Vec<Quality> {
        items.iter().filter_map(|i| if let Item::Reading(r) = i { Some(r.quality) } else { None }).collect()
    };
    let mut good = [item(Measure::SystolicPressure, "120"), item(Measure::DiastolicPressure, "80")];
    mark_contradictions(&mut good);
    assert_eq!(qualities(&good), [Quality::Good, Quality::Good]);
    let mut bad = [item(Measure::DiastolicPressure, "90"), item(Measure::SystolicPressure, "90")];
    mark_contradictions(&mut bad);
    assert_eq!(qualities(&bad), [Quality::Implausible, Quality::Implausible]);
}

#[test]
fn names_are_unique_and_found_again() {
    let mut names = std::collections::HashSet::new();
    for &measure in Measure::ALL {
        assert!(names.insert(measure.name()));
        assert_eq!(Measure::from_name(measure.name()), Some(measure));
        assert_eq!(measure.units().next(), Some(measure.unit()));
        assert!(measure.plausible_micro().start() < measure.plausible_micro().end());
    }
    for kind in EventKind::ALL {
        assert_eq!(EventKind::from_name(kind.name()), Some(kind));
    }
    let emergencies: Vec<_> = EventKind::ALL.into_iter().filter(|k| k.is_emergency()).map(EventKind::name).collect();
    assert_eq!(emergencies, ["sos", "fall", "smoke", "gas", "co", "leak"]);
    assert_eq!(Quality::from_name("no_reading"), Some(Quality::NoReading));
}

#[test]
fn device_keys_refuse_what_topics_cannot_bear() {
    for good in ["SH-0001", "a", "A_b.c:9", &"x".repeat(64)] {
        assert_eq!(DeviceKey::new(good).unwrap().as_str(), good);
    }
    for bad in ["", "a/b", "a+", "#", "a b", "a\n", "\0", "é", "$x", &"x".repeat(65)] {
        assert!(DeviceKey::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn device_time_is_judged_against_receipt() {
    let received = Utc.with_ymd_and_hms(2026, 5, 1, 8, 0, 0).unwrap();
    let at = |y, mo, d, h, mi| Utc.with_ymd_and_hms(y, mo, d, h, mi, 0).unwrap();
    assert!(check_observed_at(at(2026, 5, 1, 8, 5), received).is_ok());
    assert_eq!(check_observed_at(at(2026, 5, 1, 8, 6), received), Err(TimeError::Ahead));
    assert!(check_observed_at(at(2025, 1, 1, 0, 0), received).is_ok());
    assert_eq!(check_observed_at(at(1970, 1, 1, 0, 0), received), Err(TimeError::NeverSet));
}

#[test]
fn only_beginning_emergencies_take_the_lane_and_notes_are_capped() {
    let mut decoded = Decoded::new(DeviceKey::new("d").unwrap());
    let event = |kind, active| Item::Event { kind, active, detail: None };
    decoded.items = vec![event(EventKind::Sos, false), event(EventKind::DoorOpen, true)];
    assert!(!decoded.is_emergency());
    decoded.items.push(event(EventKind::Leak, true));
    assert!(decoded.is_emergency());
    for _ in 0..100 {
        decoded.ignore(&"n".repeat(1000), "a\nb");
    }
    assert_eq!(decoded.ignored.len(), MAX_IGNORED);
    assert_eq!((decoded.ignored[0].name.len(), decoded.ignored[0].reason.as_str()), (64, "a b"));
}

proptest! {
    #[test]
    fn no_value_panics_and_micro_agrees_with_value(mantissa in any::<i64>(), scale in 0u32..=28, index in any::<prop::sample::Index>()) {
        let measure = *index.get(Measure::ALL);
        for unit in measure.units() {
            if let Ok(r) = Reading::new(measure, Decimal::new(mantissa, scale), unit) {
                prop_assert_eq!(Decimal::from(r.value_micro()), r.value * Decimal::from(1_000_000));
            }
        }
    }

    #[test]
    fn device_key_round_trips(text in "\\PC{0,70}") {
        if let Ok(key) = DeviceKey::new(&text) {
            prop_assert_eq!(key.as_str(), text);
        }
    }
}
