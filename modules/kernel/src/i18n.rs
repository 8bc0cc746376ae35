//! Texts: Fluent catalogues in `templates/locales/{zh-CN,en}/*.ftl`, one bundle for each language.

use std::fmt;

use fluent_templates::LanguageIdentifier;
use fluent_templates::fluent_bundle::concurrent::FluentBundle;
use fluent_templates::fluent_bundle::{FluentArgs, FluentResource, FluentValue};

use crate::error::{Error, Result, Text};

/// A language that every text exists in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Locale {
    ZhCn,
    En,
}

impl Locale {
    pub const ALL: [Self; 2] = [Self::ZhCn, Self::En];
    pub const DEFAULT: Self = Self::ZhCn;

    /// The BCP 47 tag: folder of the catalogue, `lang` of the page, value of the cookie.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ZhCn => "zh-CN",
            Self::En => "en",
        }
    }

    /// The exact tag, as stored and as cookies carry it.
    pub fn parse(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|locale| locale.as_str() == tag)
    }

    /// The first language of an Accept-Language header that we have, by its weights.
    pub fn from_accept_language(header: &str) -> Option<Self> {
        let mut best: Option<(Self, f32)> = None;
        for wish in header.split(',').take(20) {
            let mut parts = wish.split(';');
            let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight = parts
                .find_map(|part| part.trim().strip_prefix("q="))
                .map_or(1.0, |q| q.trim().parse::<f32>().unwrap_or(0.0));
            let locale = match tag.split('-').next() {
                Some("zh") => Self::ZhCn,
                Some("en") => Self::En,
                _ => continue,
            };
            if weight > 0.0 && best.is_none_or(|(_, known)| weight > known) {
                best = Some((locale, weight));
            }
        }
        best.map(|(locale, _)| locale)
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

type Bundle = FluentBundle<FluentResource>;

/// The catalogues of all languages.
pub struct I18n {
    zh_cn: Bundle,
    en: Bundle,
}

impl I18n {
    /// Reads catalogues: (path below `locales/`, content), `zh-CN/kernel.ftl`.
    ///
    /// # Errors
    /// `Internal`, naming the file, for broken Fluent, an unknown language or a key defined twice.
    pub fn load<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut catalogues = Self { zh_cn: bundle(Locale::ZhCn)?, en: bundle(Locale::En)? };
        for (path, content) in files {
            let bundle = match path.split('/').next().and_then(Locale::parse) {
                Some(Locale::ZhCn) => &mut catalogues.zh_cn,
                Some(Locale::En) => &mut catalogues.en,
                None => return Err(Error::Internal(format!("locales/{path}: no such language"))),
            };
            let resource = FluentResource::try_new(content.to_owned())
                .map_err(|(_, errors)| Error::Internal(format!("locales/{path}: {errors:?}")))?;
            bundle.add_resource(resource).map_err(|errors| Error::Internal(format!("locales/{path}: {errors:?}")))?;
        }
        Ok(catalogues)
    }

    fn bundle(&self, locale: Locale) -> &Bundle {
        match locale {
            Locale::ZhCn => &self.zh_cn,
            Locale::En => &self.en,
        }
    }

    /// Whether there is a message of that key.
    pub fn has(&self, locale: Locale, key: &str) -> bool {
        self.bundle(locale).has_message(key)
    }

    /// The message in a language. A missing one is logged; a debug build then shows the key, so that it is seen, a
    /// release build the Chinese text.
    pub fn text(&self, locale: Locale, key: &str, args: &FluentArgs<'_>) -> String {
        if let Some(text) = format(self.bundle(locale), key, args) {
            return text;
        }
        tracing::warn!(key, %locale, "text missing");
        if cfg!(debug_assertions) {
            return key.to_owned();
        }
        format(self.bundle(Locale::DEFAULT), key, args).unwrap_or_else(|| key.to_owned())
    }

    /// The message without arguments, if there is one: for keys that are made of data.
    pub fn known(&self, locale: Locale, key: &str) -> Option<String> {
        format(self.bundle(locale), key, &FluentArgs::new())
    }

    /// The words of an error or a note. The argument `n` is a number, by which plurals go; all others stay as they are,
    /// since a serial or a name may look like a number.
    pub fn say(&self, locale: Locale, text: &Text) -> String {
        let mut args = FluentArgs::new();
        for (name, value) in &text.args {
            let value = value.as_str();
            args.set(*name, if *name == "n" { FluentValue::try_number(value) } else { FluentValue::from(value) });
        }
        self.text(locale, text.key, &args)
    }

    /// A length of time in words, by its two largest units: `3 分 20 秒`. Negative lengths read as zero.
    pub fn duration(&self, locale: Locale, seconds: i64) -> String {
        let seconds = seconds.max(0);
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
        let (key, first, second) = match seconds {
            86_400.. => ("duration-days", days, hours),
            3_600.. => ("duration-hours", hours, minutes),
            60.. => ("duration-minutes", minutes, seconds % 60),
            _ => ("duration-seconds", seconds, 0),
        };
        let args = FluentArgs::from_iter([("first", FluentValue::from(first)), ("second", FluentValue::from(second))]);
        self.text(locale, key, &args)
    }
}

fn bundle(locale: Locale) -> Result<Bundle> {
    let tag: LanguageIdentifier =
        locale.as_str().parse().map_err(|error| Error::Internal(format!("language {locale}: {error}")))?;
    let mut bundle = Bundle::new_concurrent(vec![tag]);
    // The invisible marks around arguments would end up in titles, CSV files and tests.
    bundle.set_use_isolating(false);
    Ok(bundle)
}

fn format(bundle: &Bundle, key: &str, args: &FluentArgs<'_>) -> Option<String> {
    let pattern = bundle.get_message(key)?.value()?;
    let mut errors = Vec::new();
    let text = bundle.format_pattern(pattern, Some(args), &mut errors).into_owned();
    if !errors.is_empty() {
        tracing::warn!(key, ?errors, "text cannot be completed");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> I18n {
        I18n::load([
            ("zh-CN/a.ftl", "hello = 您好，{ $name }\nduration-minutes = { $first } 分 { $second } 秒"),
            (
                "en/a.ftl",
                "hello = Hello, { $name }\nbeds = { $count ->\n  [one] one bed\n *[other] { $count } beds\n }",
            ),
        ])
        .unwrap()
    }

    #[test]
    fn arguments_are_filled_in_and_numbers_choose_the_plural() {
        let i18n = sample();
        let name = Text::key("hello").arg("name", "王");
        assert_eq!(i18n.say(Locale::ZhCn, &name), "您好，王");
        assert_eq!(i18n.say(Locale::En, &name), "Hello, 王");
        let args = FluentArgs::from_iter([("count", FluentValue::from(1))]);
        assert_eq!(i18n.text(Locale::En, "beds", &args), "one bed");
        assert_eq!(i18n.duration(Locale::ZhCn, 200), "3 分 20 秒");
    }

    #[test]
    fn a_missing_text_shows_its_key_in_debug_builds() {
        assert_eq!(sample().say(Locale::En, &Text::key("nowhere")), "nowhere");
    }

    #[test]
    fn a_key_defined_twice_or_an_unknown_language_stops_the_start() {
        assert!(I18n::load([("en/a.ftl", "x = 1"), ("en/b.ftl", "x = 2")]).is_err());
        assert!(I18n::load([("fr/a.ftl", "x = 1")]).is_err());
    }

    #[test]
    fn the_browsers_wish_is_taken_by_weight() {
        for (header, expected) in [
            ("en-US,en;q=0.9", Some(Locale::En)),
            ("fr, en;q=0.4, zh-TW;q=0.6", Some(Locale::ZhCn)),
            ("zh;q=0, en", Some(Locale::En)),
            ("de", None),
            ("", None),
        ] {
            assert_eq!(Locale::from_accept_language(header), expected, "{header}");
        }
    }
}
