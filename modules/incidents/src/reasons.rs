//! Why a message was not delivered, in the reader's words. What a peer or a library said stays beside it, as it came.

use songhe_kernel::Text;
use songhe_kernel::http::Ctx;

/// Begins what is said of an attempt whose answer was lost after the request was sent: the peer may have taken it.
pub(crate) const DOUBT: &str = "in doubt: ";
/// Follows it when the repeat was in doubt as well, so that there is no other.
pub(crate) const GIVEN_UP: &str = "sent twice, not again: ";

/// What a failure's text holds, and the words for it. The first that fits counts.
const KNOWN: [(&str, &str); 17] = [
    (GIVEN_UP, "outgoing-why-doubt-twice"),
    (DOUBT, "outgoing-why-doubt"),
    ("removed or switched off", "outgoing-why-off"),
    ("names no mail server", "outgoing-why-no-mail-server"),
    ("UnknownIssuer", "outgoing-why-authority"),
    // By an authority of the right name and another key.
    ("BadSignature", "outgoing-why-authority"),
    ("not valid for name", "outgoing-why-name"),
    ("NotValidForName", "outgoing-why-name"),
    ("certificate expired", "outgoing-why-expired"),
    ("STARTTLS", "outgoing-why-no-encryption"),
    ("InvalidContentType", "outgoing-why-no-encryption"),
    ("refuses user name or password", "outgoing-why-password"),
    ("redirects are not followed", "outgoing-why-redirect"),
    ("timed out", "outgoing-why-slow"),
    ("onnection refused", "outgoing-why-nobody-there"),
    ("dns error", "outgoing-why-unknown-host"),
    ("connection closed before message completed", "outgoing-why-cut"),
];

/// Whether the peer may have taken a message that counts as not delivered.
pub(crate) fn in_doubt(error: &str) -> bool {
    error.starts_with(DOUBT)
}

/// The words for a failure, where it is one that has some.
pub(crate) fn explain(ctx: &Ctx, error: Option<&str>) -> Option<String> {
    key(error?).map(|key| ctx.say(&Text::key(key)))
}

fn key(error: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(part, _)| error.contains(part)).map(|(_, key)| *key)
}

/// For a line of a story: the words, else what was said.
pub(crate) fn note(ctx: &Ctx, error: &str) -> String {
    match explain(ctx, Some(error)) {
        Some(words) => format!("{words}（{}）", without_mark(error)),
        None => error.to_owned(),
    }
}

/// What was said, without the marks that the words stand for.
pub(crate) fn without_mark(error: &str) -> &str {
    let rest = error.strip_prefix(DOUBT).unwrap_or(error);
    rest.strip_prefix(GIVEN_UP).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_is_told_before_what_caused_it() {
        assert_eq!(key("in doubt: operation timed out"), Some("outgoing-why-doubt"));
        assert_eq!(key("in doubt: sent twice, not again: operation timed out"), Some("outgoing-why-doubt-twice"));
        assert_eq!(key("operation timed out"), Some("outgoing-why-slow"));
        assert_eq!(key("310000 sign not match"), None);
        assert_eq!(without_mark("in doubt: sent twice, not again: x"), "x");
        assert!(in_doubt("in doubt: x") && !in_doubt("answered 503"));
    }
}
