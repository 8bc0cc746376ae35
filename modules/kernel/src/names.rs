//! Names that people type: of residents, places, devices, staff, facilities, accounts. Pages and API check them here.

use crate::error::{FieldError, Text};

/// A name without white space around it.
///
/// # Errors
/// For none at all, for more than `max` characters, and for a character that nobody can see: two names that look alike
/// would be two, and one that turns its surroundings around reads as something else.
pub fn check_name<'a>(field: &'static str, typed: &'a str, max: usize) -> Result<&'a str, FieldError> {
    let name = typed.trim();
    let refused = |text| Err(FieldError::new(field, text));
    if name.is_empty() {
        return refused(Text::key("error-required"));
    }
    if let Some(unseen) = name.chars().find(|c| is_unseen(*c)) {
        return refused(Text::key("error-unseen-character").arg("code", format!("U+{:04X}", u32::from(unseen))));
    }
    if name.chars().count() > max {
        return refused(Text::key("error-too-long").arg("max", max));
    }
    Ok(name)
}

/// Whether a character has no shape of its own: controls, marks of direction, joiners, fillers, selectors. Joiners
/// and selectors shape emoji and some scripts; names do without them.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_is_what_can_be_seen() {
        for name in ["王秀英", "2号楼 305 室", "阿依古丽·买买提", "O’Brien", "José", "𠮷田", "呼叫器 (卫)"]
        {
            assert_eq!(check_name("name", &format!(" {name}\u{3000}"), 60).unwrap(), name);
        }
        for unseen in [
            '\u{0}',
            '\u{9}',
            '\u{1B}',
            '\u{7F}',
            '\u{85}',
            '\u{9F}',
            '\u{AD}',
            '\u{200B}',
            '\u{200C}',
            '\u{200D}',
            '\u{200E}',
            '\u{202A}',
            '\u{202D}',
            '\u{202E}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{FE0F}',
            '\u{FEFF}',
            '\u{E0041}',
        ] {
            let refused = check_name("name", &format!("王{unseen}秀英"), 60).unwrap_err();
            assert_eq!(refused.text.key, "error-unseen-character", "{unseen:?}");
            assert_eq!(refused.text.args, [("code", format!("U+{:04X}", u32::from(unseen)))]);
        }
    }

    #[test]
    fn a_name_is_there_and_not_too_long() {
        assert_eq!(check_name("name", " \u{3000}", 5).unwrap_err().text.key, "error-required");
        assert_eq!(check_name("name", "123456", 5).unwrap_err().text.key, "error-too-long");
        assert!(check_name("name", "五个字正好", 5).is_ok());
    }
}
