//! What was typed into a form, read.

use chrono::{NaiveDate, NaiveTime};
use songhe_kernel::{Error, FieldError, Result, Text};

/// Reads typed text; collects what cannot be read.
#[derive(Debug, Default)]
pub(super) struct Reader(Vec<FieldError>);

impl Reader {
    fn read<T>(&mut self, field: &'static str, text: &str, key: &'static str, parsed: Option<T>) -> Option<T> {
        if parsed.is_none() {
            let key = if text.trim().is_empty() { "error-required" } else { key };
            self.0.push(FieldError::new(field, Text::key(key)));
        }
        parsed
    }

    pub(super) fn choice<T>(
        &mut self,
        field: &'static str,
        text: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.read(field, text, "error-choose", parse(text.trim()))
    }

    /// An empty one is `Some(None)`.
    pub(super) fn optional<T>(
        &mut self,
        field: &'static str,
        text: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        if text.trim().is_empty() { Some(None) } else { self.choice(field, text, parse).map(Some) }
    }

    pub(super) fn date(&mut self, field: &'static str, text: &str) -> Option<NaiveDate> {
        self.read(field, text, "error-invalid-date", text.trim().parse().ok())
    }

    /// An empty one is `Some(None)`.
    pub(super) fn optional_date(&mut self, field: &'static str, text: &str) -> Option<Option<NaiveDate>> {
        if text.trim().is_empty() { Some(None) } else { self.date(field, text).map(Some) }
    }

    /// `07:00`.
    pub(super) fn time(&mut self, field: &'static str, text: &str) -> Option<NaiveTime> {
        self.read(field, text, "error-invalid-time", NaiveTime::parse_from_str(text.trim(), "%H:%M").ok())
    }

    /// What was read, or what could not be.
    ///
    /// # Errors
    /// `Invalid` with the unreadable fields.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Error::Invalid(self.0)),
        }
    }
}

/// `None` for an empty input.
pub(super) fn given(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
