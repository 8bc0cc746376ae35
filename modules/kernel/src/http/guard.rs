//! Requests that another site makes a browser send are refused; answers carry the headers that bind a browser.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::visitor::{Visitor, bearer, text};
use crate::identity::SessionKind;

const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; object-src 'none'; \
                                       base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

/// Whether a foreign page may have caused this state-changing request. A bearer token never travels by itself, so its
/// requests are trusted; cookies do, so theirs need an origin of ours and the session's token.
pub(super) fn may_be_forged(visitor: &Visitor, request: &HttpRequest, body: &[u8]) -> bool {
    if bearer(request).is_some() {
        return false;
    }
    if !is_own_origin(visitor, request) {
        tracing::warn!("refused: sent by another site");
        return true;
    }
    let Some(session) = visitor.caller.as_ref().map(|caller| &caller.session) else { return false };
    let forged = session.kind == SessionKind::Cookie && !carries_token(&session.csrf, request, body);
    if forged {
        tracing::warn!(session = %session.id, "refused: no CSRF token of this session");
    }
    forged
}

fn is_own_origin(visitor: &Visitor, request: &HttpRequest) -> bool {
    if text(request, &FETCH_SITE).is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return false;
    }
    let Some(origin) = request.headers().get(header::ORIGIN) else { return true };
    let Some((_, origin_host)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    let asked_host = text(request, &header::HOST).or_else(|| request.uri().authority().map(|host| host.as_str()));
    let public_host = visitor.app.settings.public_url.as_deref().and_then(|url| url.split_once("://"));
    asked_host == Some(origin_host) || public_host.is_some_and(|(_, host)| host == origin_host)
}

fn carries_token(expected: &str, request: &HttpRequest, body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Form {
        csrf: String,
    }
    if let Some(token) = text(request, &CSRF_HEADER) {
        return same(token, expected);
    }
    if let Ok(parts) = super::multipart::parts(request, body) {
        return parts.iter().any(|part| part.name == "csrf" && same(&String::from_utf8_lossy(&part.bytes), expected));
    }
    super::ctx::parse_form::<Form>(request, body).is_ok_and(|form| same(&form.csrf, expected))
}

/// Equality that takes as long wherever two secrets differ.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// Headers of every answer.
pub(super) fn protect(visitor: &Visitor, response: &mut HttpResponse) {
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // Not `no-referrer`: under it browsers send `Origin: null` with our own forms.
    set(header::REFERRER_POLICY, "same-origin");
    if visitor.secure {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=15552000");
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Ok(id) = HeaderValue::from_str(&visitor.request_id) {
        headers.insert(REQUEST_ID, id);
    }
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn secrets_are_equal_only_when_all_of_them_is() {
        assert!(same("token", "token"));
        assert!(!same("token", "tokem"));
        assert!(!same("token", "tokenx"));
        assert!(!same("", "token"));
    }
}
