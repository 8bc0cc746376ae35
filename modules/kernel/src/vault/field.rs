//! Which fields are sealed, and how their values are made alike before they are searched for.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::ring::RingKey;
use crate::error::{Error, Result};

/// How values are made alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Identity numbers: letters upper-case, everything but letters and digits dropped.
    IdNumber,
    /// Digits only, without the country's 86.
    Phone,
    /// Never searched for: addresses, medical notes.
    Text,
}

/// A sealed field: `Field::new("resident.phone", Shape::Phone)`, one constant for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// `table.column`, unique. It is part of each ciphertext and each index: never change it.
    pub name: &'static str,
    pub shape: Shape,
}

impl Field {
    pub const fn new(name: &'static str, shape: Shape) -> Self {
        Self { name, shape }
    }
}

/// What of a value is searched for. Exactly these: an index of fewer digits would tell too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Whole,
    Last4,
    Last6,
}

impl Part {
    pub const ALL: [Self; 3] = [Self::Whole, Self::Last4, Self::Last6];

    pub(super) const fn code(self) -> i16 {
        match self {
            Self::Whole => 0,
            Self::Last4 => 4,
            Self::Last6 => 6,
        }
    }

    /// The part that a search text of a field can be: its last 4, its last 6 or all of it; `None` for other lengths of
    /// short texts.
    pub fn of_search(shape: Shape, text: &str) -> Option<Self> {
        match normalised(shape, text).chars().count() {
            4 => Some(Self::Last4),
            6 => Some(Self::Last6),
            7.. => Some(Self::Whole),
            _ => None,
        }
    }

    /// That part of a normalised value; `None` when it has fewer characters.
    fn take(self, value: &str) -> Option<&str> {
        let count = match self {
            Self::Whole => return Some(value).filter(|value| !value.is_empty()),
            Self::Last4 => 4,
            Self::Last6 => 6,
        };
        // ASCII after normalisation.
        value.len().checked_sub(count).and_then(|from| value.get(from..))
    }
}

/// A value as it is compared: `110101 19491001 123x` is `11010119491001123X`, `+86 138-0000-0000` is `13800000000`.
pub fn normalised(shape: Shape, text: &str) -> String {
    match shape {
        Shape::Text => text.trim().to_owned(),
        Shape::IdNumber => {
            text.chars().map(narrow).filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
        }
        Shape::Phone => {
            let digits: String = text.chars().map(narrow).filter(char::is_ascii_digit).collect();
            let abroad = digits.strip_prefix("00").unwrap_or(&digits);
            match abroad.strip_prefix("86") {
                Some(mobile) if mobile.len() == 11 && mobile.starts_with('1') => mobile.to_owned(),
                _ => digits,
            }
        }
    }
}

/// Full-width digits and letters, as a Chinese keyboard may write them, in their ASCII form.
fn narrow(c: char) -> char {
    match u32::from(c) {
        code @ 0xFF01..=0xFF5E => char::from_u32(code - 0xFEE0).unwrap_or(c),
        _ => c,
    }
}

/// The first 64 bits of HMAC-SHA-256 under an index key: field, part and value. `None`: the value has no such part.
///
/// A match is a candidate (four digits are shared by many anyway): what is opened decides.
pub(super) fn digest(key: &RingKey, field: &Field, part: Part, value: &str) -> Result<Option<i64>> {
    if field.shape == Shape::Text {
        return Ok(None);
    }
    let value = normalised(field.shape, value);
    let Some(text) = part.take(&value) else { return Ok(None) };
    let secret = key.derive("blind index")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_ref()).map_err(Error::internal)?;
    mac.update(format!("{}\n{}\n{text}", field.name, part.code()).as_bytes());
    let bytes = mac.finalize().into_bytes();
    let first: [u8; 8] = bytes.first_chunk().copied().unwrap_or_default();
    Ok(Some(i64::from_be_bytes(first)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{KeyRing, Purpose};
    use super::*;
    use proptest::prelude::*;

    const ID: Field = Field::new("test.id_number", Shape::IdNumber);
    const PHONE: Field = Field::new("test.phone", Shape::Phone);

    #[test]
    fn values_that_mean_the_same_are_one() {
        for (shape, text, same) in [
            (Shape::IdNumber, "11010119491001002x", "11010119491001002X"),
            (Shape::IdNumber, " 110101-19491001-002Ｘ ", "11010119491001002X"),
            (Shape::Phone, "+86 138-0000-0001", "13800000001"),
            (Shape::Phone, "0086 13800000001", "13800000001"),
            (Shape::Phone, "１３８００００００01", "13800000001"),
            (Shape::Phone, "(010) 8888 0000", "01088880000"),
            (Shape::Phone, "8612", "8612"),
        ] {
            assert_eq!(normalised(shape, text), same, "{text}");
        }
    }

    #[test]
    fn exactly_the_last_four_and_six_are_found() {
        let ring = KeyRing::draw();
        let key = ring.newest(Purpose::Index).unwrap();
        let of = |field, part, text| digest(key, &field, part, text).unwrap();
        let whole = "11010119491001002X";
        assert_eq!(of(ID, Part::Last4, whole), of(ID, Part::Last4, "002x"));
        assert_eq!(of(ID, Part::Last6, whole), of(ID, Part::Last6, "01002X"));
        // Not the same text in another field, as another part, or by another key.
        assert_ne!(of(PHONE, Part::Last4, "1234"), of(ID, Part::Last4, "1234"));
        assert_ne!(of(PHONE, Part::Last4, "1234"), of(PHONE, Part::Whole, "1234"));
        let other = KeyRing::draw();
        let other = other.newest(Purpose::Index).unwrap();
        assert_ne!(of(ID, Part::Whole, whole), digest(other, &ID, Part::Whole, whole).unwrap());
        assert_eq!(of(PHONE, Part::Last4, "120"), None);
        assert!(of(PHONE, Part::Whole, "120").is_some());
        assert_eq!(of(PHONE, Part::Whole, "-"), None);
        let searches = ["02X", "002X", "1002X", "01002X", whole].map(|text| Part::of_search(Shape::IdNumber, text));
        assert_eq!(searches, [None, Some(Part::Last4), None, Some(Part::Last6), Some(Part::Whole)]);
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_indexed_alike_however_often_it_is_normalised(text in ".{0,40}") {
            for shape in [Shape::IdNumber, Shape::Phone, Shape::Text] {
                let once = normalised(shape, &text);
                if shape != Shape::Phone {
                    prop_assert_eq!(&normalised(shape, &once), &once);
                }
                for part in Part::ALL {
                    let _ = part.take(&once);
                }
            }
        }
    }
}
