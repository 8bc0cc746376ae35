use rust_decimal::Decimal;
use std::ops::RangeInclusive;

/// Why a value could not be brought into the canonical unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The measure does not know this unit.
    #[error("the unit is not known for this kind of reading")]
    Unknown,
    /// The value has no number in the canonical unit; a reading keeps it as implausible.
    #[error("the number is too large")]
    TooLarge,
}

/// How a unit becomes the canonical one.
#[derive(Debug, Clone, Copy)]
enum Conversion {
    /// value × numerator ÷ denominator.
    Ratio(i64, i64),
    /// (value − 32) × 5 ÷ 9.
    Fahrenheit,
}
use Conversion::{Fahrenheit, Ratio};

const SAME: Conversion = Ratio(1, 1);

struct Spec {
    name: &'static str,
    loinc: Option<&'static str>,
    unit: &'static str,
    /// Other accepted units; common spellings that are not UCUM are here too.
    others: &'static [(&'static str, Conversion)],
    /// Plausible range in the canonical unit × 10⁶.
    plausible: (i64, i64),
    /// True where 0 is what a sensor says that sees nothing.
    zero_is_no_reading: bool,
}

macro_rules! measures {
    ($( $(#[$doc:meta])* $variant:ident = $name:literal, $loinc:expr, $unit:literal,
        [$(($other:literal, $conversion:expr)),*], $low:literal ..= $high:literal, $zero:literal; )*) => {
        /// The kinds of readings Songhe knows, each with one canonical unit.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Measure { $( $(#[$doc])* $variant, )* }

        impl Measure {
            /// Every measure.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            const fn spec(self) -> &'static Spec {
                match self { $( Self::$variant => &const { Spec {
                    name: $name, loinc: $loinc, unit: $unit, others: &[$(($other, $conversion)),*],
                    plausible: ($low * 1_000_000, $high * 1_000_000), zero_is_no_reading: $zero,
                } }, )* }
            }
        }
    };
}

measures! {
    /// Heart or pulse rate.
    HeartRate = "heart_rate", Some("8867-4"), "/min", [("{beats}/min", SAME), ("bpm", SAME)], 20..=300, true;
    /// Heart rate at rest.
    RestingHeartRate = "resting_heart_rate", Some("40443-4"), "/min", [("{beats}/min", SAME), ("bpm", SAME)], 20..=300, true;
    /// Breaths per minute.
    RespiratoryRate = "respiratory_rate", Some("9279-1"), "/min", [("{breaths}/min", SAME)], 3..=80, true;
    /// Oxygen saturation by pulse oximetry.
    OxygenSaturation = "oxygen_saturation", Some("59408-5"), "%", [], 50..=100, true;
    /// Body temperature.
    BodyTemperature = "body_temperature", Some("8310-5"), "Cel", [("[degF]", Fahrenheit), ("degF", Fahrenheit)], 25..=45, true;
    /// Systolic blood pressure.
    SystolicPressure = "systolic_pressure", Some("8480-6"), "mm[Hg]", [("mmHg", SAME), ("kPa", Ratio(750_062, 100_000))], 40..=300, true;
    /// Diastolic blood pressure.
    DiastolicPressure = "diastolic_pressure", Some("8462-4"), "mm[Hg]", [("mmHg", SAME), ("kPa", Ratio(750_062, 100_000))], 20..=200, true;
    /// Blood glucose.
    BloodGlucose = "blood_glucose", Some("15074-8"), "mmol/L", [("mg/dL", Ratio(1_000, 18_016))], 1..=60, true;
    /// Body weight.
    BodyWeight = "body_weight", Some("29463-7"), "kg", [("g", Ratio(1, 1_000)), ("[lb_av]", Ratio(45_359_237, 100_000_000))], 1..=400, true;
    /// Body height.
    BodyHeight = "body_height", Some("8302-2"), "cm", [("m", Ratio(100, 1)), ("mm", Ratio(1, 10))], 30..=250, true;
    /// Steps since midnight.
    Steps = "steps", Some("41950-7"), "{steps}", [("1", SAME), ("/d", SAME), ("{steps}/d", SAME)], 0..=200_000, false;
    /// Air temperature of a room.
    RoomTemperature = "room_temperature", None, "Cel", [("[degF]", Fahrenheit), ("degF", Fahrenheit)], -40..=85, false;
    /// Relative humidity.
    Humidity = "humidity", None, "%", [], 0..=100, false;
    /// Illuminance.
    Illuminance = "illuminance", None, "lx", [], 0..=200_000, false;
    /// Carbon monoxide in the air.
    CoPpm = "co_ppm", None, "[ppm]", [("ppm", SAME)], 0..=10_000, false;
    /// Combustible gas, in per cent of the lower explosive limit of methane.
    MethaneLel = "methane_lel", None, "%{LEL}", [("%", SAME)], 0..=100, false;
    /// Carbon dioxide in the air.
    Co2 = "co2", None, "[ppm]", [("ppm", SAME)], 0..=40_000, false;
    /// Fine dust below 2.5 µm.
    Pm25 = "pm25", None, "ug/m3", [("mg/m3", Ratio(1_000, 1))], 0..=10_000, false;
    /// Battery charge.
    BatteryPercent = "battery_percent", None, "%", [], 0..=100, false;
    /// Battery voltage.
    BatteryVoltage = "battery_voltage", None, "mV", [("V", Ratio(1_000, 1))], 0..=60_000, false;
    /// Radio link quality, 0 (none) to 255 (best).
    LinkQuality = "link_quality", None, "1", [], 0..=255, false;
    /// Radio signal strength.
    SignalDbm = "signal_dbm", None, "dB[mW]", [("dBm", SAME)], -150..=20, false;
}

impl Measure {
    /// The name in messages, the API and the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// The measure of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|measure| measure.name() == name)
    }

    /// The LOINC code, where there is one.
    #[must_use]
    pub const fn loinc(self) -> Option<&'static str> {
        self.spec().loinc
    }

    /// The canonical unit in UCUM.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        self.spec().unit
    }

    /// All accepted units, the canonical one first.
    pub fn units(self) -> impl Iterator<Item = &'static str> {
        let spec = self.spec();
        std::iter::once(spec.unit).chain(spec.others.iter().map(|(unit, _)| *unit))
    }

    /// The plausible range in the canonical unit × 10⁶, both ends included.
    #[must_use]
    pub const fn plausible_micro(self) -> RangeInclusive<i64> {
        let (low, high) = self.spec().plausible;
        low..=high
    }

    /// True for vital signs, where 0 means that the sensor saw nothing.
    #[must_use]
    pub const fn zero_is_no_reading(self) -> bool {
        self.spec().zero_is_no_reading
    }

    /// Brings a value into the canonical unit. A 0 stays 0 where it means "no reading",
    /// whatever the unit: 0 ℉ from a thermometer is not −17.8 ℃.
    ///
    /// # Errors
    /// [`UnitError::Unknown`] or, when the arithmetic overflows, [`UnitError::TooLarge`].
    pub fn to_canonical(self, value: Decimal, unit: &str) -> Result<Decimal, UnitError> {
        let spec = self.spec();
        let conversion = if unit == spec.unit {
            SAME
        } else {
            let found = spec.others.iter().find(|(other, _)| *other == unit);
            found.ok_or(UnitError::Unknown)?.1
        };
        if value.is_zero() && spec.zero_is_no_reading {
            return Ok(Decimal::ZERO);
        }
        match conversion {
            Ratio(1, 1) => Some(value),
            Ratio(numerator, denominator) => value
                .checked_mul(Decimal::from(numerator))
                .and_then(|product| product.checked_div(Decimal::from(denominator))),
            Fahrenheit => value
                .checked_sub(Decimal::from(32))
                .and_then(|above| above.checked_mul(Decimal::from(5)))
                .and_then(|five| five.checked_div(Decimal::from(9))),
        }
        .ok_or(UnitError::TooLarge)
    }
}
