//! Searching for part of a text.

/// A LIKE pattern, for `.escape('\\')`, of text that contains `part` literally.
pub fn containing(part: &str) -> String {
    let mut pattern = String::from("%");
    for c in part.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_search_is_no_pattern() {
        assert_eq!(super::containing(r"100%_\"), r"%100\%\_\\%");
    }
}
