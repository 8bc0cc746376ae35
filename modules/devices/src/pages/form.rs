//! Forms that come back: what was refused, at its field and in the summary.

use std::collections::BTreeMap;

use serde::Serialize;
use songhe_kernel::http::Ctx;
use songhe_kernel::{Error, FieldError, Result, Text};

/// A form's fields: name of the input, Fluent key of its label.
pub(super) type Fields = &'static [(&'static str, &'static str)];

/// A line of the summary.
#[derive(Debug, Serialize)]
struct Line {
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
    pub(super) fn new(ctx: &Ctx, fields: Fields, refused: &[FieldError]) -> Self {
        let mut errors: BTreeMap<_, _> = fields.iter().map(|(name, _)| (*name, None)).collect();
        let lines: Vec<Line> = refused
            .iter()
            .map(|error| {
                let label = fields.iter().find(|(name, _)| *name == error.field).map(|(_, key)| Text::key(key));
                let text = ctx.say(&error.text);
                errors.insert(error.field, Some(text.clone()));
                Line { field: error.field, label: label.map(|key| ctx.say(&key)).unwrap_or_default(), text }
            })
            .collect();
        Self { errors, error_list: Some(lines).filter(|lines| !lines.is_empty()) }
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

/// What a select names: nothing for an empty one.
///
/// # Errors
/// `Invalid` on the field for text that is no id.
pub(super) fn choice<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<Option<T>> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    text.trim().parse().map(Some).map_err(|_| Error::field(field, Text::key("error-unknown-choice")))
}
