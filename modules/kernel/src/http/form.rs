//! Forms that come back: what was refused, at its input and in the summary above.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Ctx;
use crate::error::{Error, FieldError, Result, Text};

/// A form's inputs: name of the input and of the operation's field, Fluent key of its label.
pub type Fields = &'static [(&'static str, &'static str)];

/// One choice of a select.
#[derive(Debug, Clone, Serialize)]
pub struct Choice {
    value: String,
    label: String,
}

impl Choice {
    pub fn new(value: impl ToString, label: impl Into<String>) -> Self {
        Self { value: value.to_string(), label: label.into() }
    }
}

/// A line of the summary.
#[derive(Debug, Serialize)]
struct Line {
    field: &'static str,
    label: String,
    text: String,
}

/// `errors` (by input, null where nothing was refused) and `error_list` of a page's model.
#[derive(Debug, Serialize)]
pub struct Refused {
    errors: BTreeMap<&'static str, Option<String>>,
    error_list: Option<Vec<Line>>,
}

impl Refused {
    /// What was refused of a form, in the caller's language.
    pub fn new(ctx: &Ctx, fields: Fields, refused: &[FieldError]) -> Self {
        let fields: Vec<_> = fields.iter().map(|(name, label)| (*name, *name, *label)).collect();
        Self::of(ctx, &fields, refused)
    }

    /// The same for a form whose inputs have other names than the operation's fields: field, input, Fluent key of the
    /// label. Several fields may share one input, which shows the first refusal.
    pub fn of(ctx: &Ctx, fields: &[(&'static str, &'static str, &'static str)], refused: &[FieldError]) -> Self {
        let mut errors: BTreeMap<&'static str, Option<String>> =
            fields.iter().map(|(_, input, _)| (*input, None)).collect();
        let mut lines = Vec::new();
        for (field, input, label) in fields {
            if let Some(error) = refused.iter().find(|error| error.field == *field) {
                lines.push(Line { field: input, label: ctx.say(&Text::key(label)), text: ctx.say(&error.text) });
            }
        }
        // A field without an input has no label, and must not be refused in silence.
        for error in refused.iter().filter(|error| fields.iter().all(|(field, ..)| error.field != *field)) {
            lines.push(Line { field: error.field, label: String::new(), text: ctx.say(&error.text) });
        }
        for line in &lines {
            errors.entry(line.field).or_default().get_or_insert_with(|| line.text.clone());
        }
        Self { errors, error_list: Some(lines).filter(|lines| !lines.is_empty()) }
    }
}

/// Splits refused fields, which are shown with the form, from all other errors.
///
/// # Errors
/// Everything but `Invalid`.
pub fn refused<T>(outcome: Result<T>) -> Result<Result<T, Vec<FieldError>>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(Error::Invalid(fields)) => Ok(Err(fields)),
        Err(error) => Err(error),
    }
}
