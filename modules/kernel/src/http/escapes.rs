//! What stands in an address or a form in percent escapes: text that can be stored, or a request that is refused.

use actix_web::HttpRequest;

use crate::error::{Error, Result, Text};

/// Key of the words for what is wrong with escaped text: a NUL, which PostgreSQL cannot store and nobody types, or
/// bytes that are no UTF-8, which would be taken for something else. `None`: nothing.
fn fault(escaped: &[u8]) -> Option<&'static str> {
    let bytes = unescaped(escaped);
    if bytes.contains(&0) {
        return Some("error-nul");
    }
    std::str::from_utf8(&bytes).is_err().then_some("error-not-utf8")
}

/// A percent sign that begins no escape stands for itself.
fn unescaped(mut rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((&first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let byte = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes
}

/// A query or form.
///
/// # Errors
/// `BadRequest`, which says what is wrong.
pub(super) fn expect_text(escaped: &[u8]) -> Result<()> {
    fault(escaped).map_or(Ok(()), |key| Err(Error::BadRequest(Text::key(key))))
}

/// The address of a request, whoever reads it later.
///
/// # Errors
/// `NotFound` for a path that nothing can be called by; `BadRequest` for the query.
pub(super) fn expect_address(request: &HttpRequest) -> Result<()> {
    if fault(request.uri().path().as_bytes()).is_some() {
        return Err(Error::NotFound);
    }
    expect_text(request.query_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_stored_is_found_wherever_it_hides() {
        for nul in ["name=%00", "a=1&b=x%00y", "%00=1", "a=%%00", "a=%2%00", "a=\0"] {
            assert_eq!(fault(nul.as_bytes()), Some("error-nul"), "{nul}");
        }
        for bytes in ["a=%FF", "%c3%28", "/t/%80", "a=%ED%A0%80", "a=%C0%80"] {
            assert_eq!(fault(bytes.as_bytes()), Some("error-not-utf8"), "{bytes}");
        }
        for text in ["", "a=%2500", "a=%0A0", "a=000", "q=%E7%8E%8B", "100%", "%zz", "a=%2"] {
            assert_eq!(fault(text.as_bytes()), None, "{text}");
        }
    }
}
