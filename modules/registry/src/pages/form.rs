//! Forms that come back: what was refused, at its field and in the summary.

use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveTime};
use serde::Serialize;
use songhe_kernel::http::Ctx;
use songhe_kernel::{Error, FieldError, Result, Text};

/// A form's fields: name of the input, Fluent key of its label.
pub(super) type Fields = &'static [(&'static str, &'static str)];

/// A line of the summary.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    field: &'static str,
    label: String,
    text: String,
}

/// `errors` and `error_list` of a page's model.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    errors: BTreeMap<&'static str, Option<String>>,
    error_list: Option<Vec<Line>>,
}

impl Refused {
    /// Nothing refused.
    pub(super) fn nothing(fields: Fields) -> Self {
        Self { errors: fields.iter().map(|(name, _)| (*name, None)).collect(), error_list: None }
    }

    pub(super) fn new(ctx: &Ctx, fields: Fields, refused: &[FieldError]) -> Self {
        let mut shown = Self::nothing(fields);
        let line = |error: &FieldError| {
            let label = fields.iter().find(|(name, _)| *name == error.field).map(|(_, key)| ctx.say(&Text::key(key)));
            Line { field: error.field, label: label.unwrap_or_default(), text: ctx.say(&error.text) }
        };
        let lines: Vec<Line> = refused.iter().map(line).collect();
        for line in &lines {
            shown.errors.insert(line.field, Some(line.text.clone()));
        }
        shown.error_list = Some(lines).filter(|lines| !lines.is_empty());
        shown
    }
}

/// Splits refused fields, which are shown with the form, from all other errors.
pub(super) fn refused<T>(outcome: Result<T>) -> Result<Result<T, Vec<FieldError>>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(Error::Invalid(fields)) => Ok(Err(fields)),
        Err(error) => Err(error),
    }
}

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
