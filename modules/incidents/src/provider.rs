//! Providers of text messages and voice calls: the request that an endpoint's settings describe, and what its answer means.

use serde_json::Value;
use songhe_kernel::effects::Sent;
use songhe_kernel::{FieldError, Text};

use crate::endpoints::{Format, Method, Provider};
use crate::sender::{clipped, judge_status};

const MAX_BODY_CHARS: usize = 4_000;
const MAX_HEADERS: usize = 20;
/// Headers that say where a request goes, where it ends and which message it is: not a provider's to set.
const OWN_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "idempotency-key",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const MAX_HEADER_CHARS: usize = 1_000;
/// What stands for the values while settings are checked.
const SAMPLE: Values<'static> = Values { phone: "13800000000", text: "\"", id: "eff_0000000000001" };

/// What a request carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    pub(crate) phone: &'a str,
    pub(crate) text: &'a str,
    /// The effect's id: the same at every attempt.
    pub(crate) id: &'a str,
}

/// Puts the values in place of `{phone}`, `{text}` and `{id}`, in one pass: what a value holds is never looked at again.
fn fill(template: &str, values: Values<'_>, escape: impl Fn(&str) -> String) -> String {
    let mut done = String::with_capacity(template.len() + values.text.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        done.push_str(before);
        let found = [("{phone}", values.phone), ("{text}", values.text), ("{id}", values.id)]
            .into_iter()
            .find_map(|(mark, value)| Some((from.strip_prefix(mark)?, value)));
        match found {
            Some((after, value)) => {
                done.push_str(&escape(value));
                rest = after;
            }
            None => {
                done.push('{');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    done.push_str(rest);
    done
}

/// Percent-encoded, everything but letters and digits.
fn in_url(value: &str) -> String {
    let mut done = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => done.push(char::from(byte)),
            _ => done.push_str(&format!("%{byte:02X}")),
        }
    }
    done
}

/// As the inside of a JSON string.
fn in_json(value: &str) -> String {
    let quoted = Value::from(value).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

/// The URL of an endpoint with samples in it, for the check that all URLs go through.
pub(crate) fn sample(url: &str) -> String {
    fill(url, SAMPLE, in_url)
}

/// The URL of one message.
pub(crate) fn url(url: &str, values: Values<'_>) -> String {
    fill(url, values, in_url)
}

/// Body and content type of one message; `None` for `GET`.
pub(crate) fn body(provider: &Provider, values: Values<'_>) -> Option<(String, &'static str)> {
    if provider.method == Method::Get {
        return None;
    }
    Some(match provider.format {
        Format::Json => (fill(&provider.body, values, in_json), "application/json"),
        Format::Form => (fill(&provider.body, values, in_url), "application/x-www-form-urlencoded"),
    })
}

/// What is wrong with the settings, field by field.
pub(crate) fn check(url: &str, provider: &Provider) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let mut refuse = |field: &'static str, text: Text| wrong.push(FieldError::new(field, text));
    let carried = if provider.method == Method::Get { String::new() } else { provider.body.clone() };
    for mark in ["{phone}", "{text}"] {
        if !url.contains(mark) && !carried.contains(mark) {
            refuse("body", Text::key("channels-error-placeholder-missing").arg("name", mark));
        }
    }
    if provider.body.chars().count() > MAX_BODY_CHARS {
        refuse("body", Text::key("error-too-long").arg("max", MAX_BODY_CHARS));
    }
    let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if provider.format == Format::Json
        && let Some((text, _)) = body(provider, SAMPLE)
        && !is_json(&text)
    {
        refuse("body", Text::key("channels-error-body-json"));
    }
    let fits = |(name, value): (&String, &String)| {
        reqwest::header::HeaderName::try_from(name.as_str()).is_ok_and(|name| !OWN_HEADERS.contains(&name.as_str()))
            && value.len() <= MAX_HEADER_CHARS
            && reqwest::header::HeaderValue::try_from(value.as_str()).is_ok()
    };
    if provider.headers.len() > MAX_HEADERS || !provider.headers.iter().all(fits) {
        refuse("headers", Text::key("channels-error-headers").arg("max", MAX_HEADERS));
    }
    if provider.ok_status.is_some_and(|status| !(200..=599).contains(&status)) {
        refuse("ok_status", Text::key("error-out-of-range").arg("min", 200).arg("max", 599));
    }
    wrong
}

/// Whether a provider is told a message's id, by which it can tell a repeat.
pub(crate) fn tells_id(url: &str, provider: &Provider) -> bool {
    url.contains("{id}") || (provider.method != Method::Get && provider.body.contains("{id}"))
}

/// What an answer says; `None`: where a field decides, that it is no JSON, or half of it. A provider that answers that it
/// did not take the message has decided.
pub(crate) fn judge(provider: &Provider, status: u16, answer: &str) -> Option<Sent> {
    let right = provider.ok_status.map_or((200..300).contains(&status), |wanted| wanted == status);
    if !right {
        return Some(match judge_status(status, answer) {
            // Another success than the one that counts.
            Sent::Delivered => Sent::Refused(format!("{status} {}", clipped(answer))),
            failure => failure,
        });
    }
    if provider.ok_field.is_empty() {
        return Some(Sent::Delivered);
    }
    let whole: Value = serde_json::from_str(answer).ok()?;
    let found = provider.ok_field.split('.').try_fold(&whole, |value, name| match value {
        Value::Array(list) => list.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    });
    let text = match found {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Null) | None => None,
        Some(other) => Some(other.to_string()),
    };
    Some(if text.as_deref() == Some(provider.ok_value.as_str()) {
        Sent::Delivered
    } else {
        Sent::Refused(format!("{} ≠ {}: {}", provider.ok_field, provider.ok_value, clipped(answer)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(body: &str) -> Provider {
        Provider { body: body.into(), ..Provider::default() }
    }

    #[test]
    fn values_are_escaped_where_they_stand_and_never_looked_at_again() {
        let values = Values { phone: "+86 138", text: "张\"秀\\英 {id}\n", id: "eff_1" };
        let json = provider(r#"{"to":"{phone}","params":{"m":"{text}"},"n":"{other}","key":"{id}"}"#);
        let (text, kind) = body(&json, values).unwrap_or_default();
        assert_eq!(kind, "application/json");
        let read: Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(read["params"]["m"], "张\"秀\\英 {id}\n");
        assert_eq!((read["to"].as_str(), read["n"].as_str()), (Some("+86 138"), Some("{other}")));
        let form = Provider { format: Format::Form, ..provider("to={phone}&m={text}") };
        assert_eq!(
            body(&form, values).unwrap_or_default().0,
            "to=%2B86%20138&m=%E5%BC%A0%22%E7%A7%80%5C%E8%8B%B1%20%7Bid%7D%0A"
        );
        assert_eq!(url("https://example.com/{phone}?k={id}", values), "https://example.com/%2B86%20138?k=eff_1");
        assert_eq!(body(&Provider { method: Method::Get, ..form }, values), None);
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let fields = |url: &str, provider: &Provider| -> Vec<&str> {
            check(url, provider).into_iter().map(|error| error.field).collect()
        };
        let good = provider(r#"{"to":"{phone}","text":"{text}"}"#);
        assert!(fields("https://example.com", &good).is_empty());
        assert_eq!(fields("https://example.com", &provider(r#"{"to":"{phone}"}"#)), ["body"]);
        assert_eq!(fields("https://example.com", &provider(r#"{"to":{phone},"text":{text}}"#)), ["body"]);
        let get = Provider { method: Method::Get, ..Provider::default() };
        assert!(fields("https://example.com?to={phone}&m={text}", &get).is_empty());
        let mut bent = good.clone();
        bent.headers.insert("Content-Length".into(), "3".into());
        assert_eq!(fields("https://example.com", &bent), ["headers"]);
        let mut broken = Provider { ok_status: Some(99), ..good };
        broken.headers.insert("a b".into(), "x".into());
        assert_eq!(fields("https://example.com", &broken), ["headers", "ok_status"]);
    }

    #[test]
    fn success_is_what_the_settings_call_so() {
        let plain = provider("");
        assert_eq!(judge(&plain, 204, ""), Some(Sent::Delivered));
        assert!(matches!(judge(&plain, 503, "busy"), Some(Sent::TryAgain(why)) if why.contains("busy")));
        assert!(matches!(judge(&plain, 401, ""), Some(Sent::Refused(_))));
        let strict = Provider {
            ok_status: Some(200),
            ok_field: "Response.0.Code".into(),
            ok_value: "Ok".into(),
            ..Provider::default()
        };
        assert_eq!(judge(&strict, 200, r#"{"Response":[{"Code":"Ok"}]}"#), Some(Sent::Delivered));
        assert!(
            matches!(judge(&strict, 200, r#"{"Response":[{"Code":"Limit"}]}"#), Some(Sent::Refused(why)) if why.contains("Limit"))
        );
        assert!(matches!(judge(&strict, 202, ""), Some(Sent::Refused(_))));
        let number = Provider { ok_field: "code".into(), ok_value: "0".into(), ..Provider::default() };
        assert_eq!(judge(&number, 200, r#"{"code":0}"#), Some(Sent::Delivered));
        assert_eq!((judge(&number, 200, "<html>"), judge(&number, 200, r#"{"code":"#)), (None, None));
    }
}
