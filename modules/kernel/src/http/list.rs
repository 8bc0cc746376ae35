//! Lists, part by part: how many rows a part has, where it begins, and the address of the next one.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result, Text};

const MAX: i64 = 200;

/// How many items of a list are asked for: 1 to 200; 50 where the query does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(i64);

impl Limit {
    /// One row more than asked for: it shows whether there is a next part.
    pub fn rows(self) -> i64 {
        self.0 + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wish = text.parse().ok().filter(|wish| (1..=MAX).contains(wish));
        // Read by `misread.rs`.
        let range = format!("a whole number from 1 to {MAX}");
        wish.map(Self).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &range.as_str()))
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX, "default": Self::default().0 })
    }
}

/// Part of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub struct List<T> {
    items: Vec<T>,
    /// Give it back as `after` for the next part; `null`: this was the last one.
    next: Option<String>,
}

impl<T> List<T> {
    /// From rows that were asked for with [`Limit::rows`]; `id` is the cursor behind a row.
    pub fn part<D: Display>(mut items: Vec<T>, limit: Limit, id: impl Fn(&T) -> D) -> Self {
        let more = cut(&mut items, limit.0);
        let next = items.last().filter(|_| more).map(|last| id(last).to_string());
        Self { items, next }
    }

    /// All there is.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// Cuts rows to `limit`; answers whether there were more.
pub fn cut<T>(rows: &mut Vec<T>, limit: i64) -> bool {
    let limit = usize::try_from(limit).unwrap_or_default();
    let more = rows.len() > limit;
    rows.truncate(limit);
    more
}

/// Behind which row a page of a list begins; `None`, for an empty text: with the first one.
///
/// # Errors
/// `BadRequest` for text that is no cursor of this list.
pub fn cursor<T: FromStr>(text: &str) -> Result<Option<T>> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Error::BadRequest(Text::key("error-bad-cursor")))
}

/// A path with its query, from pairs; empty values are left out.
pub fn url(path: &str, query: &[(&str, &str)]) -> String {
    let mut url = path.to_owned();
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(name);
        url.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => url.push(byte.into()),
                other => url.push_str(&format!("%{other:02X}")),
            }
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_leave_its_place_in_an_address() {
        assert_eq!(url("/residents", &[("q", "王&a=1"), ("after", "")]), "/residents?q=%E7%8E%8B%26a%3D1");
        assert_eq!(url("/devices/new", &[("serial", "SH:1"), ("x", "#")]), "/devices/new?serial=SH%3A1&x=%23");
        assert_eq!(url("/sign-in", &[("next", "/beds?after=%20")]), "/sign-in?next=/beds%3Fafter%3D%2520");
    }

    #[test]
    fn the_row_too_many_shows_that_there_is_more() {
        let limit = Limit(2);
        assert_eq!(limit.rows(), 3);
        let part = List::part(vec![1, 2, 3], limit, |row| *row);
        assert_eq!((part.items, part.next.as_deref()), (vec![1, 2], Some("2")));
        assert_eq!(List::part(vec![1, 2], limit, |row| *row).next, None);
    }
}
