//! What a command says in words of the catalogues: in Chinese where the terminal's language is Chinese, else in English.

use std::sync::Arc;

use songhe_kernel::i18n::{I18n, Locale};
use songhe_kernel::pages::Pages;
use songhe_kernel::{Error, FieldError, Text};

use super::Failure;
use crate::assembly::StartError;

/// What a person typed for a field of an operation: `("display_name", "--name")`.
pub(super) type Inputs = &'static [(&'static str, &'static str)];

pub(super) struct Words {
    i18n: Arc<I18n>,
    locale: Locale,
}

impl Words {
    /// # Errors
    /// When the catalogues of this build are broken.
    pub(super) fn load() -> Result<Self, Failure> {
        let language = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| {
            let value = std::env::var(name).unwrap_or_default();
            (!value.is_empty()).then_some(value)
        });
        Ok(Self { i18n: Pages::load()?.i18n(), locale: locale_of(&language.unwrap_or_default()) })
    }

    pub(super) fn say(&self, text: &Text) -> String {
        self.i18n.say(self.locale, text)
    }

    pub(super) fn failure(&self, text: &Text) -> Failure {
        Failure(self.say(text))
    }

    /// Why an operation failed, as its reader can mend it: refused fields by what was typed for them.
    pub(super) fn why(&self, error: &Error, inputs: Inputs) -> String {
        match error {
            Error::Invalid(fields) => {
                let all: Vec<String> = fields.iter().map(|field| self.line(field, inputs)).collect();
                part_of_sentence(all.join(&self.say(&Text::key("kernel-semicolon"))))
            }
            Error::BadRequest(text) | Error::Conflict(text) | Error::Unavailable(text) => {
                part_of_sentence(self.say(text))
            }
            Error::NotFound => part_of_sentence(self.say(&Text::key("error-not-found"))),
            // Of the database or a defect: for whoever keeps the server, there are no other words.
            other => other.to_string(),
        }
    }

    fn line(&self, field: &FieldError, inputs: Inputs) -> String {
        let typed = inputs.iter().find(|(name, _)| *name == field.field).map_or(field.field, |(_, typed)| typed);
        format!("{typed}{}{}", self.say(&Text::key("kernel-colon")), self.say(&field.text))
    }

    /// A start's error, whose text may come from the catalogues.
    pub(super) fn start_failure(&self, error: &StartError) -> Failure {
        match error {
            StartError::Database(error) => self.failure(&Text::key("cli-database").arg("why", self.why(error, &[]))),
            other => Failure(other.to_string()),
        }
    }
}

/// Without the full stop: the sentence that it becomes part of has its own.
fn part_of_sentence(words: String) -> String {
    words.trim_end_matches(['.', '。']).to_owned()
}

/// A start's error in words, where there is nothing else to say.
pub(crate) fn start_failure(error: StartError) -> Failure {
    Words::load().map_or_else(|failure| failure, |words| words.start_failure(&error))
}

/// `zh_CN.UTF-8` is Chinese; everything that is not is English, as the rest of the command line.
fn locale_of(language: &str) -> Locale {
    if language.to_ascii_lowercase().starts_with("zh") { Locale::ZhCn } else { Locale::En }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chinese_terminal_is_spoken_to_in_chinese() {
        for (language, locale) in [
            ("zh_CN.UTF-8", Locale::ZhCn),
            ("zh", Locale::ZhCn),
            ("en_US.UTF-8", Locale::En),
            ("C", Locale::En),
            ("", Locale::En),
        ] {
            assert_eq!(locale_of(language), locale, "{language}");
        }
    }
}
