//! The words of messages: built in for each language, or the facility's own, with a fixed set of placeholders.

use chrono_tz::Tz;
use diesel::prelude::*;
use serde_json::Value;
use songhe_kernel::i18n::{I18n, Locale};
use songhe_kernel::{AuditEntry, Db, Error, FacilityId, Moment, Result, Text, Tx};

use crate::model::{Kind, Occasion, Priority};
use crate::schema::message_template;

/// What a template may hold, in braces.
pub const PLACEHOLDERS: [&str; 10] =
    ["place", "resident", "kind", "priority", "time", "facility", "source", "who", "times", "late"];
const MAX_CHARS: usize = 500;

impl Occasion {
    fn default_key(self) -> &'static str {
        match self {
            Self::Call => "channels-default-call",
            Self::Repeat => "channels-default-repeat",
            Self::Acknowledged => "channels-default-acknowledged",
            Self::Resolved => "channels-default-resolved",
            Self::Test => "channels-default-test",
        }
    }
}

/// The built-in template.
pub(crate) fn built_in(i18n: &I18n, locale: Locale, occasion: Occasion) -> String {
    let mut text = Text::key(occasion.default_key());
    for name in PLACEHOLDERS {
        text = text.arg(name, format!("{{{name}}}"));
    }
    i18n.say(locale, &text)
}

/// # Errors
/// `Invalid` on `body`: empty, too long, with an unknown placeholder or a brace of its own; without the place where it
/// calls somebody there.
pub(crate) fn check(occasion: Occasion, body: &str) -> Result<()> {
    let refuse = |text| Err(Error::field("body", text));
    if body.trim().is_empty() {
        return refuse(Text::key("error-required"));
    }
    if body.chars().count() > MAX_CHARS {
        return refuse(Text::key("error-too-long").arg("max", MAX_CHARS));
    }
    for part in parts(body) {
        match part {
            Part::Words(words) if words.contains(['{', '}']) => {
                return refuse(Text::key("channels-error-braces"));
            }
            Part::Name(name) if !PLACEHOLDERS.contains(&name) => {
                let known = PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(" ");
                return refuse(Text::key("channels-error-placeholder").arg("name", name).arg("known", known));
            }
            _ => {}
        }
    }
    let calls = matches!(occasion, Occasion::Call | Occasion::Repeat);
    if calls && !parts(body).any(|part| part == Part::Name("place")) {
        return refuse(Text::key("channels-error-placeholder-missing").arg("name", "{place}"));
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Part<'a> {
    Words(&'a str),
    Name(&'a str),
}

/// Words and placeholders in turn. A brace that belongs to no placeholder stays in the words.
fn parts(body: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if let Some(from) = rest.strip_prefix('{')
            && let Some((name, after)) = from.split_once('}')
            && is_name(name)
        {
            rest = after;
            return Some(Part::Name(name));
        }
        let end = rest.char_indices().skip(1).find(|(_, c)| *c == '{').map_or(rest.len(), |(at, _)| at);
        let (words, after) = rest.split_at(end);
        rest = after;
        Some(Part::Words(words))
    })
}

/// What a message is about, besides itself.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) facility: String,
    pub(crate) zone: Tz,
    /// The facility's own words, if it has any for this.
    pub(crate) template: Option<String>,
}

/// The occasion that a message's payload names.
pub(crate) fn occasion_of(payload: &Value) -> Occasion {
    match payload["type"].as_str() {
        Some("incident.acknowledged") => Occasion::Acknowledged,
        Some("incident.resolved") => Occasion::Resolved,
        Some("test") => Occasion::Test,
        _ if payload["repeats"].as_i64().unwrap_or_default() > 0 => Occasion::Repeat,
        _ => Occasion::Call,
    }
}

/// A message in words.
pub(crate) fn render(i18n: &I18n, locale: Locale, payload: &Value, setting: &Setting) -> String {
    let own = setting.template.clone();
    let template = own.unwrap_or_else(|| built_in(i18n, locale, occasion_of(payload)));
    let mut text = String::new();
    for part in parts(&template) {
        match part {
            Part::Words(words) => text.push_str(words),
            Part::Name(name) => text.push_str(&value(i18n, locale, name, payload, setting)),
        }
    }
    // A value that is empty leaves the spaces around it.
    text.replace("  ", " ").trim().to_owned()
}

fn value(i18n: &I18n, locale: Locale, name: &str, payload: &Value, setting: &Setting) -> String {
    let say = |key| i18n.say(locale, &Text::key(key));
    let field = |name: &str| payload[name].as_str().unwrap_or_default();
    let or = |text: &str, key| if text.is_empty() { say(key) } else { text.to_owned() };
    match name {
        "place" => or(field("place"), "incidents-place-unknown"),
        "resident" => or(field("resident"), "incidents-no-resident"),
        "kind" => Kind::parse(field("kind")).map(|kind| say(kind.text_key())).unwrap_or_default(),
        "priority" => Priority::parse(field("priority")).map(|level| say(level.text_key())).unwrap_or_default(),
        "time" => {
            let at = ["raised_at", "sent_at"].iter().find_map(|name| field(name).parse::<Moment>().ok());
            at.map(|at| at.in_zone(setting.zone).format("%m-%d %H:%M").to_string()).unwrap_or_default()
        }
        "facility" => setting.facility.clone(),
        "source" => field("source").to_owned(),
        "who" => match payload["by"].as_str() {
            Some(by) => by.to_owned(),
            None => {
                let to = payload["to"].as_array().into_iter().flatten().filter_map(Value::as_str);
                to.collect::<Vec<_>>().join(if locale == Locale::ZhCn { "、" } else { ", " })
            }
        },
        "times" => payload["repeats"].as_i64().unwrap_or_default().to_string(),
        "late" => match payload["delayed_s"].as_i64() {
            Some(seconds) => i18n.say(locale, &Text::key("channels-late").arg("seconds", seconds)),
            None => String::new(),
        },
        _ => String::new(),
    }
}

/// The facility's own words for an occasion.
pub(crate) fn own(db: &mut Db, facility: FacilityId, locale: Locale, occasion: Occasion) -> Result<Option<String>> {
    Ok(message_template::table
        .find((facility.0, locale.as_str(), occasion.as_str()))
        .select(message_template::body)
        .first(db)
        .optional()?)
}

/// Writes a facility's own words; `None`: the built-in ones again.
///
/// # Errors
/// Those of [`check`].
pub(crate) fn save(
    tx: &mut Tx<'_>,
    facility: FacilityId,
    locale: Locale,
    occasion: Occasion,
    body: Option<&str>,
) -> Result<()> {
    let key = (facility.0, locale.as_str(), occasion.as_str());
    if let Some(body) = body {
        check(occasion, body)?;
    }
    diesel::delete(message_template::table.find(key)).execute(tx.db())?;
    if let Some(body) = body {
        let now = tx.now();
        diesel::insert_into(message_template::table)
            .values((
                message_template::facility_id.eq(facility.0),
                message_template::locale.eq(locale.as_str()),
                message_template::occasion.eq(occasion.as_str()),
                message_template::body.eq(body.trim()),
                message_template::updated_at.eq(now),
            ))
            .execute(tx.db())?;
    }
    let after = serde_json::json!({ "locale": locale.as_str(), "occasion": occasion.as_str(), "body": body });
    tx.audit(AuditEntry::new("template.save", facility).at(facility).after(after))?;
    tx.signal(format!("ladders:{facility}"));
    Ok(())
}

/// An example of a message's payload, for previews.
pub(crate) fn example(i18n: &I18n, locale: Locale, occasion: Occasion, now: Moment) -> Value {
    let say = |key| i18n.say(locale, &Text::key(key));
    let kind = match occasion {
        Occasion::Call | Occasion::Repeat => "incident.call",
        Occasion::Acknowledged => "incident.acknowledged",
        Occasion::Resolved => "incident.resolved",
        Occasion::Test => "test",
    };
    let by = matches!(occasion, Occasion::Acknowledged | Occasion::Resolved).then(|| say("channels-example-person"));
    serde_json::json!({
        "type": kind, "kind": Kind::Sos, "priority": Priority::High,
        "place": say("channels-example-place"), "resident": say("channels-example-resident"),
        "source": say("channels-example-source"), "raised_at": now, "sent_at": now, "delayed_s": null,
        "repeats": i32::from(occasion == Occasion::Repeat), "to": [say("channels-example-person")], "by": by,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn setting(template: Option<&str>) -> Setting {
        Setting { facility: "梧桐里".into(), zone: chrono_tz::Asia::Shanghai, template: template.map(str::to_owned) }
    }

    #[test]
    fn the_built_in_words_pass_their_own_check_and_leave_nothing_open() {
        let i18n = songhe_kernel::pages::texts().unwrap();
        let now: Moment = "2026-11-22T08:00:00Z".parse().unwrap();
        for locale in Locale::ALL {
            for occasion in Occasion::ALL {
                check(*occasion, &built_in(&i18n, locale, *occasion)).unwrap();
                let text = render(&i18n, locale, &example(&i18n, locale, *occasion, now), &setting(None));
                assert!(!text.contains(['{', '}']) && text.contains("梧桐里"), "{locale} {occasion}: {text}");
            }
        }
    }

    #[test]
    fn a_value_is_never_read_as_a_placeholder() {
        let i18n = songhe_kernel::pages::texts().unwrap();
        let payload = serde_json::json!({ "type": "incident.call", "place": "{who} 室", "to": ["李护理", "赵护理"] });
        let text = render(&i18n, Locale::ZhCn, &payload, &setting(Some("{place}：{who}{late}")));
        assert_eq!(text, "{who} 室：李护理、赵护理");
    }

    #[test]
    fn what_cannot_be_filled_in_is_refused() {
        let wrong = |occasion, body: &str| match check(occasion, body) {
            Err(Error::Invalid(fields)) => fields[0].text.key,
            Ok(()) => "",
            Err(other) => panic!("{other}"),
        };
        for (body, key) in [
            ("{place} {kind}", ""),
            ("  ", "error-required"),
            ("{kind}", "channels-error-placeholder-missing"),
            ("{place} {adress}", "channels-error-placeholder"),
            ("{place} {", "channels-error-braces"),
            ("{place} }", "channels-error-braces"),
            ("{place} {a b}", "channels-error-braces"),
            (&"字".repeat(501), "error-too-long"),
        ] {
            assert_eq!(wrong(Occasion::Call, body), key, "{body}");
        }
        assert_eq!(wrong(Occasion::Test, "ok"), "");
    }
}
