//! What cannot be read of a query, a form or a JSON body, and where, in words that are translated.
//!
//! A parser's own words are English and for programmers. Here the parts of a request are handed to serde one by one, so
//! that a refusal knows its field and keeps its kind: no such field, missing, twice, or not what was expected. A JSON
//! body is read by serde_json; it comes here only to be explained when that has refused it.

use std::fmt::{self, Display};

use actix_web::web::Query;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use crate::error::{Error, Result, Text};

/// Characters of a value that are repeated to whoever sent it.
const SHOWN_CHARS: usize = 60;

/// One refusal on its way out of the parser.
#[derive(Debug)]
pub(super) struct Misread {
    /// Names and positions, the innermost first.
    path: Vec<String>,
    /// What is wrong there, still without its `field`.
    text: Text,
}

impl Misread {
    fn here(text: Text) -> Self {
        Self { path: Vec::new(), text }
    }

    fn at(field: &str, key: &'static str) -> Self {
        Self { path: vec![field.to_owned()], text: Text::key(key) }
    }

    fn within(mut self, name: &str) -> Self {
        self.path.push(name.to_owned());
        self
    }

    /// `part` is the Fluent key of the sentence about the query, form or body as a whole.
    fn told_of(mut self, part: &'static str) -> Error {
        self.path.reverse();
        let field = self.path.join(".");
        // The body itself has no name.
        if field.is_empty() {
            return Error::Unreadable { part, field: None, reason: Text::key("error-unreadable") };
        }
        let reason = self.text.arg("field", &field);
        Error::Unreadable { part, field: Some(field), reason }
    }
}

impl Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.path, self.text)
    }
}

impl std::error::Error for Misread {}

impl de::Error for Misread {
    /// Words of somebody's parser: they name neither field nor kind.
    fn custom<T: Display>(_: T) -> Self {
        Self::here(Text::key("error-bad-value"))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::here(wanted(&expected.to_string()))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::here(wanted(&expected.to_string()))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::here(Text::key("error-expects-choice").arg("choices", expected.join(", ")))
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::at(field, "error-unknown-field")
    }

    fn missing_field(field: &'static str) -> Self {
        Self::at(field, "error-missing-field")
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::at(field, "error-double-field")
    }
}

/// What serde or one of our types says that it expects, translated; the fallback is that the value is wrong.
fn wanted(expected: &str) -> Text {
    let range = |min: i128, max: i128| Text::key("error-expects-range").arg("min", min).arg("max", max);
    if let Some(example) = expected.strip_prefix("an id like ") {
        return Text::key("error-expects-id").arg("example", example);
    }
    if let Some(example) = expected.strip_prefix("a time like ") {
        return Text::key("error-expects-time").arg("example", example);
    }
    if let Some((min, max)) = expected.strip_prefix("a whole number from ").and_then(|range| range.split_once(" to ")) {
        return Text::key("error-expects-range").arg("min", min).arg("max", max);
    }
    match expected {
        "u8" => range(u8::MIN.into(), u8::MAX.into()),
        "i16" => range(i16::MIN.into(), i16::MAX.into()),
        "u16" => range(u16::MIN.into(), u16::MAX.into()),
        "i32" => range(i32::MIN.into(), i32::MAX.into()),
        "u32" => range(u32::MIN.into(), u32::MAX.into()),
        "i64" | "u64" | "usize" => Text::key("error-expects-integer"),
        "f32" | "f64" => Text::key("error-expects-number"),
        "bool" | "a boolean" => Text::key("error-expects-bool"),
        "a string" => Text::key("error-expects-text"),
        "a sequence" => Text::key("error-expects-list"),
        other if other.starts_with("struct ") || other == "a map" => Text::key("error-expects-object"),
        _ => Text::key("error-bad-value"),
    }
}

/// One value of a request.
enum Node {
    /// Of a query or form: text that may stand for a number.
    Word(String),
    Json(Value),
}

impl Node {
    /// What was sent, short enough to be repeated.
    fn shown(&self) -> String {
        let text = match self {
            Self::Word(text) | Self::Json(Value::String(text)) => text.clone(),
            Self::Json(value) => value.to_string(),
        };
        let mut short: String = text.chars().take(SHOWN_CHARS).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        short
    }

    /// Reads the value of a field, and puts the field's name on what is wrong with it.
    fn read<'de, S: DeserializeSeed<'de>>(self, name: &str, seed: S) -> Result<S::Value, Misread> {
        let shown = self.shown();
        seed.deserialize(self).map_err(|mut wrong| {
            if wrong.path.is_empty() && wrong.text.key == "error-bad-value" {
                wrong.text = wrong.text.arg("value", shown);
            }
            wrong.within(name)
        })
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
            match self {
                Self::Word(text) => match text.parse::<$type>() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => Err(Misread::here(wanted(stringify!($type)))),
                },
                json => json.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Node {
    type Error = Misread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        match self {
            Self::Word(text) | Self::Json(Value::String(text)) => visitor.visit_string(text),
            Self::Json(Value::Null) => visitor.visit_unit(),
            Self::Json(Value::Bool(value)) => visitor.visit_bool(value),
            Self::Json(Value::Number(number)) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => visitor.visit_i64(value),
                (None, Some(value)) => visitor.visit_u64(value),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Self::Json(Value::Array(items)) => visitor.visit_seq(Items(items.into_iter().enumerate())),
            Self::Json(Value::Object(fields)) => {
                let fields: Vec<_> = fields.into_iter().map(|(name, value)| (name, Self::Json(value))).collect();
                visitor.visit_map(Fields { rest: fields.into_iter(), value: None })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        match self {
            Self::Json(Value::Null) => visitor.visit_none(),
            given => visitor.visit_some(given),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misread> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        choices: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misread> {
        match self {
            Self::Word(text) | Self::Json(Value::String(text)) => visitor.visit_enum(text.into_deserializer()),
            Self::Json(_) => Err(de::Error::unknown_variant("", choices)),
        }
    }

    numbers! {
        deserialize_bool visit_bool bool;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_f32 visit_f32 f32;
        deserialize_f64 visit_f64 f64;
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

/// The fields of an object, a query or a form; names may come twice.
struct Fields {
    rest: std::vec::IntoIter<(String, Node)>,
    value: Option<(String, Node)>,
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Misread;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misread> {
        let Some((name, node)) = self.rest.next() else { return Ok(None) };
        let key = seed.deserialize(name.as_str().into_deserializer())?;
        self.value = Some((name, node));
        Ok(Some(key))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misread> {
        match self.value.take() {
            Some((name, node)) => node.read(&name, seed),
            None => Err(de::Error::custom("a value before its name")),
        }
    }
}

struct Items(std::iter::Enumerate<std::vec::IntoIter<Value>>);

impl<'de> SeqAccess<'de> for Items {
    type Error = Misread;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misread> {
        let Some((index, item)) = self.0.next() else { return Ok(None) };
        Node::Json(item).read(&index.to_string(), seed).map(Some)
    }
}

struct Pairs(Vec<(String, Node)>);

impl<'de> Deserializer<'de> for Pairs {
    type Error = Misread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        visitor.visit_map(Fields { rest: self.0.into_iter(), value: None })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Reads `name=value&…`. `part` is the Fluent key of the sentence about it as a whole.
///
/// # Errors
/// `Unreadable`, naming the parameter.
pub(super) fn pairs<T: DeserializeOwned>(encoded: &str, part: &'static str) -> Result<T> {
    let whole = || Error::Unreadable { part, field: None, reason: Text::key("error-unreadable") };
    let pairs = Query::<Vec<(String, String)>>::from_query(encoded).map_err(|_| whole())?.into_inner();
    let pairs = pairs.into_iter().map(|(name, value)| (name, Node::Word(value))).collect();
    T::deserialize(Pairs(pairs)).map_err(|wrong| wrong.told_of(part))
}

/// Reads a JSON body.
///
/// # Errors
/// `Unreadable`: where it is no JSON by line and column, else naming the field.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|refusal| {
        if let Ok(value) = serde_json::from_slice::<Value>(body)
            && let Err(wrong) = T::deserialize(Node::Json(value))
        {
            return wrong.told_of("error-json");
        }
        let place = |key| Text::key(key).arg("line", refusal.line()).arg("column", refusal.column());
        // A value of ours keeps one of two fields with the same name, so that only the first reading noticed.
        let reason = if refusal.is_data() { place("error-json-place") } else { place("error-json-syntax") };
        Error::Unreadable { part: "error-json", field: None, reason }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::http::list::Limit;
    use crate::ids::FacilityId;
    use crate::time::Moment;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[allow(dead_code)]
    enum Colour {
        Red,
        DarkBlue,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Wish {
        #[serde(default)]
        name: String,
        facility: Option<FacilityId>,
        from: Option<Moment>,
        day: Option<chrono::NaiveDate>,
        #[serde(default)]
        limit: Limit,
        #[serde(default)]
        loud: bool,
        small: Option<i16>,
        large: Option<i64>,
        colour: Option<Colour>,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Inner {
        after: i32,
    }

    /// `key field …arguments`, without what is told of the whole.
    fn told<T>(outcome: Result<T>) -> String {
        match outcome {
            Err(Error::Unreadable { field, reason, .. }) => {
                let args: Vec<_> = reason.args.iter().filter(|(name, _)| *name != "field").collect();
                let args: String = args.iter().map(|(_, value)| format!(" {value}")).collect();
                format!("{} {}{args}", reason.key, field.unwrap_or_else(|| "-".into()))
            }
            Err(other) => format!("{other:?}"),
            Ok(_) => "read".to_owned(),
        }
    }

    #[test]
    fn a_query_is_read_or_its_parameter_named() {
        for (query, expected) in [
            ("name=%E7%8E%8B&limit=200&loud=true&small=-7&colour=dark_blue", "read"),
            ("facility=fac_0000000000001&from=2026-11-22T08:00:00Z&day=2026-11-22", "read"),
            ("nmae=x", "error-unknown-field nmae"),
            ("name=x&name=y", "error-double-field name"),
            ("facility=house", "error-expects-id facility fac_0123456789abc"),
            ("from=monday", "error-expects-time from 2026-11-22T08:00:00Z"),
            ("day=2026-13-01", "error-bad-value day 2026-13-01"),
            ("limit=0", "error-expects-range limit 1 200"),
            ("limit=-1", "error-expects-range limit 1 200"),
            ("limit=abc", "error-expects-range limit 1 200"),
            ("limit=999999", "error-expects-range limit 1 200"),
            ("limit=", "error-expects-range limit 1 200"),
            ("loud=yes", "error-expects-bool loud"),
            ("small=99999", "error-expects-range small -32768 32767"),
            ("large=x", "error-expects-integer large"),
            ("colour=green", "error-expects-choice colour red, dark_blue"),
        ] {
            assert_eq!(told(pairs::<Wish>(query, "error-query")), expected, "{query}");
        }
        assert_eq!(told(pairs::<Inner>("", "error-form")), "error-missing-field after");
    }

    #[test]
    fn a_body_is_read_or_its_field_named() {
        for (body, expected) in [
            (r#"{"name":"王","inner":[{"after":1}],"colour":"red","small":null}"#, "read"),
            (r#"{"nmae":"x"}"#, "error-unknown-field nmae"),
            (r#"{"name":7}"#, "error-expects-text name"),
            (r#"{"loud":"true"}"#, "error-expects-bool loud"),
            (r#"{"small":40000}"#, "error-expects-range small -32768 32767"),
            (r#"{"large":1.5}"#, "error-expects-integer large"),
            (r#"{"colour":"green"}"#, "error-expects-choice colour red, dark_blue"),
            (r#"{"colour":3}"#, "error-expects-choice colour red, dark_blue"),
            (r#"{"facility":"res_1"}"#, "error-expects-id facility fac_0123456789abc"),
            (r#"{"inner":{}}"#, "error-expects-list inner"),
            (r#"{"inner":[{"after":1},{}]}"#, "error-missing-field inner.1.after"),
            (r#"{"inner":[{"after":1},{"after":"x"}]}"#, "error-expects-range inner.1.after -2147483648 2147483647"),
            (r#"{"name":"x","name":"y"}"#, "error-json-place - 1 18"),
            ("[7]", "error-expects-text 0"),
            ("7", "error-unreadable -"),
            ("{\"name\":\n \"x\",}", "error-json-syntax - 2 6"),
            ("", "error-json-syntax - 1 0"),
        ] {
            assert_eq!(told(json::<Wish>(body.as_bytes())), expected, "{body}");
        }
    }
}
