use crate::{Item, Measure, UnitError, clip};
use rust_decimal::{
    Decimal,
    prelude::{FromPrimitive, ToPrimitive},
};
use std::str::FromStr;

/// Characters kept of a number that cannot be stored.
const MAX_RAW_VALUE: usize = 64;
/// Longest number that is taken exactly, in characters; a decimal holds 28 digits.
const MAX_NUMBER: usize = 64;

/// Why a JSON value is no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadingError {
    /// A text, a truth, a list.
    #[error("the value is not a number")]
    NotANumber,
    /// See [`UnitError`].
    #[error(transparent)]
    Unit(#[from] UnitError),
}

/// How far a value can be believed. Nothing is dropped for its quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quality {
    /// Within the plausible range.
    Good,
    /// Outside the plausible range, or contradicted by another value of the message.
    Implausible,
    /// The sensor had nothing to say (null, or 0 for a vital sign).
    NoReading,
}

impl Quality {
    /// The name in the API and the database: `good`, `implausible`, `no_reading`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Implausible => "implausible",
            Self::NoReading => "no_reading",
        }
    }

    /// The quality of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Good, Self::Implausible, Self::NoReading].into_iter().find(|quality| quality.name() == name)
    }
}

/// One measured value in the canonical unit of its measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What was measured.
    pub measure: Measure,
    /// The value in `measure.unit()`, rounded to six decimal places. 0 without a reading.
    pub value: Decimal,
    /// How far it can be believed.
    pub quality: Quality,
    /// The unit as the device sent it.
    pub raw_unit: String,
    /// The number as the device sent it, where no field holds it: beyond ±9.2 × 10¹² in the canonical unit. `value`
    /// is then the nearest that fits, and the quality [`Quality::Implausible`].
    pub raw_value: Option<String>,
    micro: i64,
}

impl Reading {
    /// Converts a value to the canonical unit and judges its plausibility.
    ///
    /// # Errors
    /// [`UnitError::Unknown`] for a unit the measure does not know.
    pub fn new(measure: Measure, sent: Decimal, unit: &str) -> Result<Self, UnitError> {
        let value = match measure.to_canonical(sent, unit) {
            Ok(value) => value.round_dp(6).normalize(),
            Err(UnitError::TooLarge) => return Self::beyond(measure, &sent.to_string(), unit),
            Err(UnitError::Unknown) => return Err(UnitError::Unknown),
        };
        let scaled = value.checked_mul(Decimal::from(1_000_000)).and_then(|scaled| scaled.to_i64());
        let Some(micro) = scaled else { return Self::beyond(measure, &sent.to_string(), unit) };
        let quality = if micro == 0 && measure.zero_is_no_reading() {
            Quality::NoReading
        } else if measure.plausible_micro().contains(&micro) {
            Quality::Good
        } else {
            Quality::Implausible
        };
        Ok(Self { measure, value, quality, raw_unit: unit.to_owned(), raw_value: None, micro })
    }

    /// A reading whose number is larger than what can be stored, as text with its sign: kept as implausible.
    ///
    /// # Errors
    /// [`UnitError::Unknown`] for a unit the measure does not know.
    pub fn beyond(measure: Measure, sent: &str, unit: &str) -> Result<Self, UnitError> {
        measure.to_canonical(Decimal::ZERO, unit)?;
        let micro = if sent.starts_with('-') { -i64::MAX } else { i64::MAX };
        Ok(Self {
            measure,
            value: Decimal::new(micro, 6),
            quality: Quality::Implausible,
            raw_unit: unit.to_owned(),
            raw_value: Some(clip(sent, MAX_RAW_VALUE)),
            micro,
        })
    }

    /// A JSON value as a reading: a number of any length, or `null` for a sensor that saw nothing. It never passes
    /// through floating point, but for what no decimal is.
    ///
    /// # Errors
    /// [`ReadingError`].
    pub fn from_json(measure: Measure, json: &str, unit: &str) -> Result<Self, ReadingError> {
        let reading = match json {
            "null" => Self::none(measure, unit),
            number if !is_number(number) => return Err(ReadingError::NotANumber),
            number => match exact(number).or_else(|| nearest(number)) {
                None => Self::beyond(measure, number, unit),
                Some(value) => Self::new(measure, value, unit),
            },
        };
        Ok(reading?)
    }

    /// A reading the sensor could not take (a null value).
    ///
    /// # Errors
    /// [`UnitError::Unknown`] for a unit the measure does not know.
    pub fn none(measure: Measure, unit: &str) -> Result<Self, UnitError> {
        let mut reading = Self::new(measure, Decimal::ZERO, unit)?;
        reading.value = Decimal::ZERO;
        reading.micro = 0;
        reading.quality = Quality::NoReading;
        Ok(reading)
    }

    /// The value × 10⁶ as an integer, as the database stores it.
    #[must_use]
    pub const fn value_micro(&self) -> i64 {
        self.micro
    }
}

fn is_number(json: &str) -> bool {
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// A JSON number as a decimal, without floating point in between. Digits beyond the 28 that a
/// decimal holds are rounded; they are below any sensor's resolution.
fn exact(number: &str) -> Option<Decimal> {
    if number.len() > MAX_NUMBER {
        return None;
    }
    if number.contains(['e', 'E']) { Decimal::from_scientific(number).ok() } else { Decimal::from_str(number).ok() }
}

/// What is near a number that no decimal is: one that is very long or very small. `None` for a very
/// large one.
fn nearest(number: &str) -> Option<Decimal> {
    Decimal::from_f64(number.parse().ok()?)
}

/// Marks values of one message that contradict each other: a systolic pressure that is not above
/// the diastolic makes both implausible.
pub fn mark_contradictions(items: &mut [Item]) {
    let find = |items: &[Item], wanted: Measure| {
        items.iter().find_map(|item| match item {
            Item::Reading(r) if r.measure == wanted && r.quality == Quality::Good => Some(r.micro),
            _ => None,
        })
    };
    let systolic = find(items, Measure::SystolicPressure);
    let diastolic = find(items, Measure::DiastolicPressure);
    if let (Some(systolic), Some(diastolic)) = (systolic, diastolic)
        && systolic <= diastolic
    {
        for item in items {
            if let Item::Reading(r) = item
                && matches!(r.measure, Measure::SystolicPressure | Measure::DiastolicPressure)
                && r.quality == Quality::Good
            {
                r.quality = Quality::Implausible;
            }
        }
    }
}
