//! Numbers of identity documents: read as people type and readers send them, checked, and what they tell.
//!
//! The resident identity number is GB 11643-1999: six digits of the region, eight of the birth date, three of sequence
//! (odd for men, even for women) and a check digit by ISO 7064 MOD 11-2. Residence permits of people from Hong Kong (81),
//! Macao (82) and Taiwan (83) follow it, and so does the permanent residence card of foreigners from 2023, which begins
//! with 9, the province of application and the nationality. The form of fifteen digits, without century and check digit,
//! is turned into that of eighteen.
//!
//! Pure: no clock, no database. A number never appears in an error, in `Debug` or in a log.

use std::fmt;

use chrono::{Datelike, NaiveDate};
use songhe_kernel::Text;

use crate::residents::Sex;
use crate::text_enum::text_enum;

text_enum! {
    /// The document by which somebody is known officially.
    pub enum DocumentKind {
        /// 居民身份证.
        IdCard = "id_card",
        /// 港澳台居民居住证.
        HongKongMacaoTaiwanPermit = "hmt_permit",
        /// 外国人永久居留身份证.
        PermanentResidence = "permanent_residence",
        Passport = "passport",
        /// 军官证, 户口簿 …
        Other = "other",
    }
}

/// GB 11643, annex: the weight of each of the first seventeen digits.
const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
/// The check digit by the remainder of the weighted sum.
const CHECK_DIGITS: [char; 11] = ['1', '0', 'X', '9', '8', '7', '6', '5', '4', '3', '2'];
/// Provinces, autonomous regions and municipalities (GB/T 2260).
const PROVINCES: [u32; 32] = [
    11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54, 61, 62, 63,
    64, 65, 71,
];
/// In the form of fifteen digits, sequences from here on were kept for people born before 1900.
const CENTENARIANS_FROM: u32 = 996;
const PASSPORT_CHARS: std::ops::RangeInclusive<usize> = 5..=20;
const OTHER_CHARS: std::ops::RangeInclusive<usize> = 3..=30;

/// What is wrong with a number, in words that a person at a desk can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Neither 18 nor 15 characters; for other documents: too short or too long.
    Length,
    /// Something else than digits, or an X before the end.
    Characters,
    /// Begins with no region that there is, or with that of another kind of document.
    Region,
    /// The eight digits are no day.
    BirthDate,
    CheckDigit,
}

impl Fault {
    pub fn text(self) -> Text {
        Text::key(match self {
            Self::Length => "record-error-id-length",
            Self::Characters => "record-error-id-characters",
            Self::Region => "record-error-id-region",
            Self::BirthDate => "record-error-id-birth",
            Self::CheckDigit => "record-error-id-check",
        })
    }
}

/// A checked number, and what it tells of its holder.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityNumber {
    number: String,
    /// `None` where the document does not tell.
    pub birth_date: Option<NaiveDate>,
    pub sex: Option<Sex>,
}

/// The number itself stays out of logs.
impl fmt::Debug for IdentityNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityNumber(…)")
    }
}

impl IdentityNumber {
    /// Reads what was typed or sent by a card reader: full-width digits, a small x, spaces and hyphens are put right.
    ///
    /// # Errors
    /// What is wrong first.
    pub fn parse(kind: DocumentKind, typed: &str) -> Result<Self, Fault> {
        let number = normalised(typed);
        match kind {
            DocumentKind::IdCard if number.chars().count() == 15 => national(kind, &converted(&number)?),
            DocumentKind::PermanentResidence if number.chars().count() == 15 => former_permanent(number),
            DocumentKind::IdCard | DocumentKind::HongKongMacaoTaiwanPermit | DocumentKind::PermanentResidence => {
                national(kind, &number)
            }
            DocumentKind::Passport => free(number, &PASSPORT_CHARS),
            DocumentKind::Other => free(number, &OTHER_CHARS),
        }
    }

    /// As it is stored and compared: ASCII, capitals, no blanks; an identity number has 18 characters.
    pub fn as_str(&self) -> &str {
        &self.number
    }
}

/// Without blanks and hyphens, half-width, in capitals.
pub fn normalised(typed: &str) -> String {
    typed
        .chars()
        .map(|c| match c {
            '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
            other => other,
        })
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '\u{2010}'..='\u{2015}'))
        .map(|c| c.to_ascii_uppercase())
        .collect()
}

/// The check digit of seventeen digits; `None` when they are not that.
pub fn check_digit(digits: &str) -> Option<char> {
    let mut sum = 0;
    let mut count = 0;
    for (digit, weight) in digits.chars().zip(WEIGHTS) {
        sum += digit.to_digit(10)? * weight;
        count += 1;
    }
    let remainder = usize::try_from(sum % 11).ok()?;
    (count == WEIGHTS.len() && digits.chars().count() == count).then(|| CHECK_DIGITS.get(remainder).copied())?
}

/// Fifteen digits as eighteen.
fn converted(number: &str) -> Result<String, Fault> {
    if !number.chars().all(|c| c.is_ascii_digit()) {
        return Err(Fault::Characters);
    }
    let (region, rest) = number.split_at_checked(6).ok_or(Fault::Length)?;
    let sequence: u32 = number.get(12..).and_then(|digits| digits.parse().ok()).ok_or(Fault::Characters)?;
    let century = if sequence >= CENTENARIANS_FROM { "18" } else { "19" };
    let body = format!("{region}{century}{rest}");
    let check = check_digit(&body).ok_or(Fault::Characters)?;
    Ok(format!("{body}{check}"))
}

/// Eighteen characters with a birth date, a sequence and a check digit.
fn national(kind: DocumentKind, number: &str) -> Result<IdentityNumber, Fault> {
    if number.chars().count() != 18 {
        return Err(Fault::Length);
    }
    let (body, last) = number.split_at_checked(17).ok_or(Fault::Characters)?;
    let ends_well = last.chars().all(|c| c.is_ascii_digit() || c == 'X');
    if !body.chars().all(|c| c.is_ascii_digit()) || !ends_well {
        return Err(Fault::Characters);
    }
    let digits = |from: usize, to: usize| body.get(from..to).and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
    let plausible = match kind {
        DocumentKind::IdCard => is_region(body.get(..6).unwrap_or_default()),
        DocumentKind::HongKongMacaoTaiwanPermit => matches!(digits(0, 6), 810_000 | 820_000 | 830_000),
        _ => digits(0, 1) == 9 && PROVINCES.contains(&digits(1, 3)),
    };
    if !plausible {
        return Err(Fault::Region);
    }
    let year = i32::try_from(digits(6, 10)).map_err(|_| Fault::BirthDate)?;
    let birth = NaiveDate::from_ymd_opt(year, digits(10, 12), digits(12, 14)).ok_or(Fault::BirthDate)?;
    // Before it nobody is alive: a transposed digit.
    if birth.year() < 1880 {
        return Err(Fault::BirthDate);
    }
    if check_digit(body) != last.chars().next() {
        return Err(Fault::CheckDigit);
    }
    let sex = if digits(16, 17) % 2 == 1 { Sex::Male } else { Sex::Female };
    Ok(IdentityNumber { number: number.to_owned(), birth_date: Some(birth), sex: Some(sex) })
}

/// The permanent residence card until 2023: three letters of the nationality and twelve digits, among them the birth date
/// without its century.
fn former_permanent(number: String) -> Result<IdentityNumber, Fault> {
    let (letters, digits) = number.split_at_checked(3).ok_or(Fault::Characters)?;
    let well_formed = letters.chars().all(|c| c.is_ascii_uppercase()) && digits.chars().all(|c| c.is_ascii_digit());
    if !well_formed {
        return Err(Fault::Characters);
    }
    let province = digits.get(..2).and_then(|code| code.parse().ok()).unwrap_or(0);
    if !PROVINCES.contains(&province) {
        return Err(Fault::Region);
    }
    Ok(IdentityNumber { number, birth_date: None, sex: None })
}

fn free(number: String, chars: &std::ops::RangeInclusive<usize>) -> Result<IdentityNumber, Fault> {
    if !number.chars().all(|c| c.is_alphanumeric() || matches!(c, '/' | '(' | ')' | '.')) {
        return Err(Fault::Characters);
    }
    if !chars.contains(&number.chars().count()) {
        return Err(Fault::Length);
    }
    Ok(IdentityNumber { number, birth_date: None, sex: None })
}

/// Whether text is an official code of a county or district (6 digits), of a street or town (9), or of a community or
/// village (12), within a province that there is.
pub fn is_region(code: &str) -> bool {
    let province = code.get(..2).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    matches!(code.len(), 6 | 9 | 12)
        && code.chars().all(|c| c.is_ascii_digit())
        && PROVINCES.contains(&province)
        // Nobody is registered at a whole province.
        && code.get(2..6) != Some("0000")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn id(typed: &str) -> Result<IdentityNumber, Fault> {
        IdentityNumber::parse(DocumentKind::IdCard, typed)
    }

    #[test]
    fn a_number_tells_birth_date_and_sex() {
        let read = id("11010519491231002X").unwrap();
        assert_eq!((read.birth_date, read.sex), (NaiveDate::from_ymd_opt(1949, 12, 31), Some(Sex::Female)));
        for typed in [
            "11010519491231002x",
            " 110105 19491231 002X ",
            "１１０１０５１９４９１２３１００２Ｘ",
            "110105-19491231-002X",
        ] {
            assert_eq!(id(typed).unwrap().as_str(), "11010519491231002X", "{typed}");
        }
        assert_eq!(format!("{read:?}"), "IdentityNumber(…)");
    }

    #[test]
    fn fifteen_digits_become_eighteen() {
        let read = id("110105491231002").unwrap();
        assert_eq!(read.as_str(), "11010519491231002X");
        let old = id("110105900101998").unwrap();
        assert_eq!(old.birth_date, NaiveDate::from_ymd_opt(1890, 1, 1));
        assert_eq!(id("11010549123100A").unwrap_err(), Fault::Characters);
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        for (typed, fault) in [
            ("", Fault::Length),
            ("1101051949123100", Fault::Length),
            ("11010519491231002XX", Fault::Length),
            ("1101051949123100X2", Fault::Characters),
            ("11010519491231002Y", Fault::Characters),
            ("身份证号码一二三四五六七八九十一二三", Fault::Characters),
            ("99010519491231002X", Fault::Region),
            ("11000019491231002X", Fault::Region),
            ("81000019491231002X", Fault::Region),
            ("11010519490231002X", Fault::BirthDate),
            ("11010517491231002X", Fault::BirthDate),
            ("110105194912310021", Fault::CheckDigit),
            ("11010519491231003X", Fault::CheckDigit),
        ] {
            assert_eq!(id(typed).unwrap_err(), fault, "{typed}");
        }
    }

    #[test]
    fn permits_and_passports_have_rules_of_their_own() {
        use DocumentKind::{HongKongMacaoTaiwanPermit as Permit, Other, Passport, PermanentResidence as Card};
        let with_check = |body: &str| format!("{body}{}", check_digit(body).unwrap());
        for code in ["810000", "820000", "830000"] {
            let number = with_check(&format!("{code}19510203001"));
            let read = IdentityNumber::parse(Permit, &number).unwrap();
            assert_eq!((read.birth_date, read.sex), (NaiveDate::from_ymd_opt(1951, 2, 3), Some(Sex::Male)));
            assert_eq!(id(&number).unwrap_err(), Fault::Region);
        }
        assert_eq!(IdentityNumber::parse(Permit, "11010519491231002X").unwrap_err(), Fault::Region);
        let card = with_check("91184019480405002");
        assert_eq!(IdentityNumber::parse(Card, &card).unwrap().birth_date, NaiveDate::from_ymd_opt(1948, 4, 5));
        assert_eq!(IdentityNumber::parse(Card, "FRA310048040512").unwrap().birth_date, None);
        assert_eq!(IdentityNumber::parse(Card, "FRA990048040512").unwrap_err(), Fault::Region);
        assert_eq!(IdentityNumber::parse(Passport, "e 1234 5678").unwrap().as_str(), "E12345678");
        assert_eq!(IdentityNumber::parse(Passport, "E1").unwrap_err(), Fault::Length);
        assert_eq!(IdentityNumber::parse(Passport, "E1234;").unwrap_err(), Fault::Characters);
        assert_eq!(IdentityNumber::parse(Other, "军字第12345号").unwrap().as_str(), "军字第12345号");
    }

    #[test]
    fn a_region_is_an_official_code() {
        for (code, fits) in [
            ("110105", true),
            ("310104012", true),
            ("440106003005", true),
            ("110000", false),
            ("990105", false),
            ("11010", false),
            ("1101051", false),
            ("11010a", false),
            ("", false),
        ] {
            assert_eq!(is_region(code), fits, "{code}");
        }
    }

    proptest! {
        /// The check digit finds each single wrong digit and each exchange of neighbours.
        #[test]
        fn a_slip_of_the_finger_is_found(
            days in 0_i64..45_000, sequence in 0_u32..1000, at in 0_usize..17, other in 0_u32..10,
        ) {
            let birth = NaiveDate::from_ymd_opt(1900, 1, 1).unwrap() + chrono::TimeDelta::days(days);
            let body = format!("110105{}{sequence:03}", birth.format("%Y%m%d"));
            let number = format!("{body}{}", check_digit(&body).unwrap());
            let read = id(&number).unwrap();
            prop_assert_eq!(read.birth_date, Some(birth));
            prop_assert_eq!(read.sex, Some(if sequence % 2 == 1 { Sex::Male } else { Sex::Female }));

            let mut digits: Vec<char> = number.chars().collect();
            let before = digits[at];
            digits[at] = char::from_digit(other, 10).unwrap();
            prop_assert_eq!(id(&digits.iter().collect::<String>()).is_ok(), digits[at] == before);
            digits[at] = before;
            digits.swap(at, at + 1);
            prop_assert_eq!(id(&digits.iter().collect::<String>()).is_ok(), digits[at] == digits[at + 1]);
        }

        #[test]
        fn whatever_is_typed_is_answered(typed in ".{0,40}", kind in 0_usize..5) {
            if let Ok(read) = IdentityNumber::parse(DocumentKind::ALL[kind], &typed) {
                // What was taken is taken again, and stays as it is.
                let again = IdentityNumber::parse(DocumentKind::ALL[kind], read.as_str());
                prop_assert_eq!(again.as_ref().map(IdentityNumber::as_str), Ok(read.as_str()));
            }
        }
    }
}
