//! Input checks that several nouns share. They collect what is wrong, so that a form shows everything at once.

use songhe_kernel::{Error, FieldError, Result, Text, check_name};

pub(crate) const MAX_NAME_CHARS: usize = 60;
pub(crate) const MAX_ADDRESS_CHARS: usize = 200;
const MAX_PHONE_CHARS: usize = 32;

/// The refused fields of one input.
#[derive(Debug, Default)]
pub(crate) struct Check(Vec<FieldError>);

impl Check {
    pub(crate) fn refuse(&mut self, field: &'static str, text: Text) {
        self.0.push(FieldError::new(field, text));
    }

    /// Words of 1 to `max` characters that can be seen; answers them without white space around.
    pub(crate) fn words<'a>(&mut self, field: &'static str, value: &'a str, max: usize) -> &'a str {
        match check_name(field, value, max) {
            Ok(name) => name,
            Err(refused) => {
                self.0.push(refused);
                value.trim()
            }
        }
    }

    /// The same, or nothing at all.
    pub(crate) fn optional_words<'a>(
        &mut self,
        field: &'static str,
        value: Option<&'a str>,
        max: usize,
    ) -> Option<&'a str> {
        let value = value.map(str::trim).filter(|value| !value.is_empty())?;
        Some(self.words(field, value, max))
    }

    /// Digits with the marks people write between them; at least three digits (120 is one).
    pub(crate) fn optional_phone<'a>(&mut self, field: &'static str, value: Option<&'a str>) -> Option<&'a str> {
        let value = value.map(str::trim).filter(|value| !value.is_empty())?;
        let fits = value.len() <= MAX_PHONE_CHARS
            && value.chars().all(|c| c.is_ascii_digit() || " +-()#*".contains(c))
            && value.chars().filter(char::is_ascii_digit).count() >= 3
            // A masked number that somebody sends back is none.
            && !value.contains("**");
        if !fits {
            self.refuse(field, Text::key("error-invalid-phone"));
        }
        Some(value)
    }

    /// Takes over what another check refused; any other error goes on at once.
    pub(crate) fn take<T>(&mut self, outcome: Result<T>) -> Result<Option<T>> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Error::Invalid(fields)) => {
                self.0.extend(fields);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// # Errors
    /// `Invalid` when anything was refused.
    pub(crate) fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let mut check = Check::default();
        check.words("name", "  ", 5);
        check.words("short_name", "abcdef", 5);
        assert_eq!(check.optional_words("address", Some(" "), 5), None);
        let Err(Error::Invalid(fields)) = check.finish() else { panic!("accepted") };
        assert_eq!(fields.iter().map(|field| field.field).collect::<Vec<_>>(), ["name", "short_name"]);
    }

    #[test]
    fn a_phone_number_is_kept_as_people_write_it() {
        for (text, fits) in
            [("120", true), ("+86 10-8888 0000", true), ("12", false), ("call me", false), ("138****0000", false)]
        {
            let mut check = Check::default();
            check.optional_phone("phone", Some(text));
            assert_eq!(check.finish().is_ok(), fits, "{text}");
        }
    }
}
