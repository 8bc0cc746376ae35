//! What of a sensitive value is shown to those who have not asked for more: enough to tell one from another.

const HIDDEN: char = '*';

/// `110101********1234`: region and last four of an identity number; of other numbers the first and last character.
pub fn id_number(text: &str) -> String {
    let count = text.trim().chars().count();
    if count >= 15 { keep(text, 6, 4) } else { keep(text, usize::from(count > 4), usize::from(count > 2)) }
}

/// `138****5678`; a number of fewer digits shows its last two, one of four or fewer nothing.
pub fn phone(text: &str) -> String {
    let digits: String = super::normalised(super::Shape::Phone, text);
    match digits.len() {
        11.. => keep(&digits, 3, 4),
        5..=10 => keep(&digits, 0, 2),
        _ => keep(&digits, 0, 0),
    }
}

/// Up to the street or town, `浙江省杭州市西湖区文三街道****`; without one up to the district or city; else nothing.
pub fn address(text: &str) -> String {
    let text = text.trim();
    let after = |word: &str| text.find(word).map(|at| at + word.len());
    let street = ["街道", "镇", "乡"].iter().filter_map(|word| after(word)).min();
    let wider = || ["区", "县", "市"].iter().filter_map(|word| after(word)).max();
    let shown = street.or_else(wider).and_then(|end| text.get(..end)).unwrap_or_default();
    format!("{shown}****")
}

/// `张*`, `欧**`: the first character of a name.
pub fn name(text: &str) -> String {
    keep(text, 1, 0)
}

/// Medical notes and whatever else shows nothing of itself.
pub fn all(_: &str) -> String {
    "****".to_owned()
}

/// The first and last characters, a star for each between.
fn keep(text: &str, first: usize, last: usize) -> String {
    let text = text.trim();
    let count = text.chars().count();
    let hides = |at: usize| at >= first && at + last < count;
    text.chars().enumerate().map(|(at, c)| if hides(at) { HIDDEN } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_shown_tells_one_from_another_and_no_more() {
        assert_eq!(id_number("110101194910011234"), "110101********1234");
        assert_eq!(id_number("G12345678"), "G*******8");
        assert_eq!(id_number("12"), "**");
        assert_eq!(phone("+86 138 0000 5678"), "138****5678");
        assert_eq!(phone("010-88885678"), "010****5678");
        assert_eq!(phone("88885678"), "******78");
        assert_eq!(phone("120"), "***");
        assert_eq!(address("滨江市梧桐区青桐街道松柏路 8 号 3 幢"), "滨江市梧桐区青桐街道****");
        assert_eq!(address("滨江市梧桐区松柏路 8 号"), "滨江市梧桐区****");
        assert_eq!(address("松柏路 8 号"), "****");
        assert_eq!(name("张秀英"), "张**");
        assert_eq!(all("高血压"), "****");
    }

    proptest! {
        #[test]
        fn a_masked_phone_shows_seven_digits_at_most(text in "[0-9 +-]{0,32}") {
            prop_assert!(phone(&text).chars().filter(char::is_ascii_digit).count() <= 7);
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,40}") {
            let _ = (id_number(&text), phone(&text), address(&text), name(&text));
        }
    }
}
