//! `docs/configuration.md` tells every key of the configuration as it is: name, default, environment variable.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use serde_json::Value;
use songhe::config::Config;

/// Default, environment variable and meaning by (section, key).
type Keys = BTreeMap<(String, String), (String, String)>;

/// The rows of the tables below `## [section]`.
fn documented() -> (Keys, Vec<String>) {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    let (mut keys, mut meanings, mut section) = (Keys::new(), Vec::new(), None);
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).map(str::to_owned);
        } else if let (Some(section), Some(row)) = (&section, line.strip_prefix("| `")) {
            let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 4, "[{section}] {line}");
            let bare = |cell: &str| cell.trim_matches('`').to_owned();
            let row = (bare(cells[1]), bare(cells[2]));
            let before = keys.insert((section.clone(), bare(cells[0])), row);
            assert!(before.is_none(), "[{section}] {} is there twice", cells[0]);
            meanings.push(cells[3].to_owned());
        }
    }
    (keys, meanings)
}

/// What the configuration has, written as the document writes it.
fn existing() -> Keys {
    let Value::Object(sections) = serde_json::to_value(Config::default()).unwrap() else { panic!("no sections") };
    let mut keys = Keys::new();
    for (section, values) in sections {
        let Value::Object(values) = values else { panic!("{section} is no section") };
        for (key, value) in values {
            let default = if value.is_null() { "none".to_owned() } else { value.to_string() };
            let variable = format!("SONGHE_{}__{}", section.to_uppercase(), key.to_uppercase());
            keys.insert((section.clone(), key), (default, variable));
        }
    }
    keys
}

#[test]
fn every_key_is_documented_with_its_default_and_no_other() {
    let (documented, meanings) = documented();
    let existing = existing();
    assert!(existing.len() > 10, "only {} keys found", existing.len());
    assert_eq!(documented, existing);
    assert!(meanings.iter().all(|meaning| meaning.len() > 10), "a key without a meaning: {meanings:?}");
}

#[test]
fn every_documented_variable_reaches_its_key() {
    for ((section, key), (_, variable)) in existing() {
        // Either it stands where it belongs, or it is refused there: the key's own kind of value is another one.
        let sentinel = "no-value-of-its-kind";
        if let Ok(config) = Config::parse("", std::iter::once((variable.clone(), sentinel.to_owned()))) {
            let written = serde_json::to_value(config).unwrap();
            assert_eq!(written[&section][&key], sentinel, "{variable} does not reach {section}.{key}");
        }
    }
}

#[test]
fn the_example_in_the_document_is_a_configuration() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    let example = text.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let config = Config::parse(example, std::iter::empty()).unwrap();
    config.check_production().unwrap();
}
