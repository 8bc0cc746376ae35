//! What a handler is given: the request, parsed where it asks; the caller; the ways to answer.

use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, EntityTag, Header, IfNoneMatch};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use chrono_tz::Tz;
use futures_util::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::escapes::expect_text;
use super::page::{Draft, html};
use super::visitor::{Visitor, text};
use super::{App, Route, SseFrame, live, misread, multipart, once};
use crate::audit::AuditEntry;
use crate::db::Tx;
use crate::error::{Error, Result, Text};
use crate::i18n::Locale;
use crate::identity::Caller;

struct Inner {
    visitor: Visitor,
    route: Arc<Route>,
    request: HttpRequest,
    body: Bytes,
}

/// One request, admitted: its access rule holds and its body is read.
#[derive(Clone)]
pub struct Ctx {
    inner: Rc<Inner>,
    zone: Tz,
}

impl Ctx {
    pub(super) fn new(visitor: Visitor, route: Arc<Route>, request: HttpRequest, body: Bytes) -> Self {
        let zone = visitor.app.settings.zone;
        Self { inner: Rc::new(Inner { visitor, route, request, body }), zone }
    }

    pub(crate) fn visitor(&self) -> &Visitor {
        &self.inner.visitor
    }

    pub fn app(&self) -> &Arc<App> {
        &self.inner.visitor.app
    }

    /// Who asks. On a public route a stranger is [`Caller::nobody`], who may do nothing.
    pub fn caller(&self) -> &Caller {
        match self.caller_opt() {
            Some(caller) => caller,
            None => Caller::nobody(),
        }
    }

    pub fn caller_opt(&self) -> Option<&Caller> {
        self.inner.visitor.caller.as_deref()
    }

    pub(super) fn caller_shared(&self) -> Option<Arc<Caller>> {
        self.inner.visitor.caller.clone()
    }

    pub fn locale(&self) -> Locale {
        self.inner.visitor.locale()
    }

    /// The words of a text in the caller's language.
    pub fn say(&self, words: &Text) -> String {
        self.app().pages.i18n().say(self.locale(), words)
    }

    pub fn request(&self) -> &HttpRequest {
        &self.inner.request
    }

    /// The value of a header that is plain text.
    pub fn header(&self, name: &header::HeaderName) -> Option<&str> {
        text(&self.inner.request, name)
    }

    pub fn body(&self) -> &[u8] {
        &self.inner.body
    }

    /// A path parameter as a typed id.
    ///
    /// # Errors
    /// `NotFound` when it is no id of that kind: such a thing does not exist.
    pub fn id<T: FromStr>(&self, name: &str) -> Result<T> {
        self.param(name).parse().map_err(|_| Error::NotFound)
    }

    /// A path parameter as text; empty when the route has none of that name.
    pub fn param(&self, name: &str) -> &str {
        self.inner.request.match_info().query(name)
    }

    /// # Errors
    /// `Unreadable` when a parameter is unknown, missing, doubled or of the wrong kind.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T> {
        misread::pairs(self.inner.request.query_string(), "error-query")
    }

    /// # Errors
    /// `Unreadable` when the body is no JSON or does not fit; `BadRequest` for another content type or a NUL in it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let request = &self.inner.request;
        if !content_type(request).eq_ignore_ascii_case("application/json") {
            return Err(Error::BadRequest(Text::key("error-not-json")));
        }
        // PostgreSQL has no text with a NUL in it, and nobody types one.
        if json_has_nul(&self.inner.body) {
            return Err(Error::BadRequest(Text::key("error-nul")));
        }
        misread::json(&self.inner.body)
    }

    /// # Errors
    /// `Unreadable` when an input is missing or does not fit; `BadRequest` when the body is no form, or has a NUL or what
    /// is no UTF-8 in it.
    pub fn form<T: DeserializeOwned>(&self) -> Result<T> {
        expect_text(&self.inner.body)?;
        parse_form(&self.inner.request, &self.inner.body)
    }

    /// Pages of this answer show times of another zone than the server's: a facility's.
    #[must_use]
    pub fn in_zone(mut self, zone: Tz) -> Self {
        self.zone = zone;
        self
    }

    /// The inputs of a form with a file.
    ///
    /// # Errors
    /// `BadRequest` when the body is no such form.
    pub fn multipart(&self) -> Result<Vec<multipart::Part>> {
        multipart::parts(&self.inner.request, &self.inner.body)
    }

    /// 200 with a page.
    pub fn page(&self, template: &str, model: &impl Serialize) -> Result<HttpResponse> {
        self.page_with(StatusCode::OK, template, model)
    }

    /// A page with another status: 422 for a form shown again.
    pub fn page_with(&self, status: StatusCode, template: &str, model: &impl Serialize) -> Result<HttpResponse> {
        Ok(html(status, Draft::render(self.visitor(), self.zone, template, model)?.finish()))
    }

    /// Part of a page, fetched again whenever its topic changes: 304 when the browser has it already.
    pub fn fragment(&self, template: &str, model: &impl Serialize) -> Result<HttpResponse> {
        let draft = Draft::render(self.visitor(), self.zone, template, model)?;
        let digest: String = hex::encode(Sha256::digest(draft.text())).chars().take(32).collect();
        let tag = EntityTag::new_strong(digest);
        let known = match IfNoneMatch::parse(&self.inner.request) {
            Ok(IfNoneMatch::Any) => true,
            Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|theirs| theirs.weak_eq(&tag)),
            Err(_) => false,
        };
        let mut response =
            if known { HttpResponse::NotModified().finish() } else { html(StatusCode::OK, draft.finish()) };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("private, no-cache"));
        let value = header::HeaderValue::from_str(&tag.to_string()).map_err(Error::internal)?;
        headers.insert(header::ETAG, value);
        Ok(response)
    }

    /// 303: the answer to a form that was accepted.
    pub fn redirect(&self, location: &str) -> Result<HttpResponse> {
        Ok(HttpResponse::SeeOther().insert_header((header::LOCATION, location)).finish())
    }

    /// 200.
    pub fn json_ok(&self, body: &impl Serialize) -> Result<HttpResponse> {
        json(StatusCode::OK, body)
    }

    /// 201.
    pub fn created(&self, body: &impl Serialize) -> Result<HttpResponse> {
        json(StatusCode::CREATED, body)
    }

    /// 204.
    pub fn no_content(&self) -> Result<HttpResponse> {
        Ok(HttpResponse::NoContent().finish())
    }

    /// A write transaction whose outcome is kept under the request's idempotency key: the `Idempotency-Key` header, or
    /// the key that `{{csrf}}` put into a form. Sent again, the work is not done again and the kept outcome is
    /// answered, so that the handler gives the same answer. Without a key it is a plain write.
    ///
    /// # Errors
    /// `Conflict` when the key was used for another body; `BadRequest` for a key that is empty or over 128 characters;
    /// those of the work, which then leaves nothing behind.
    pub async fn once<T, F>(&self, work: F) -> Result<T>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static,
    {
        let db = &self.app().db;
        match once::Key::of(self)? {
            None => db.write(work).await,
            Some(key) => db.write(move |tx| once::run(tx, &key, &work)).await,
        }
    }

    /// Writes down that the caller reads something sensitive, and returns when that is committed; then it may be shown.
    /// Cheap: readers at the same time share a commit.
    ///
    /// # Errors
    /// When it cannot be written down; nothing may be shown then.
    pub async fn audit_read(&self, entry: AuditEntry) -> Result<()> {
        self.app().reads.note(entry).await
    }

    /// A stream of server-sent events: heartbeats between the frames; ends when the server stops, and when the session
    /// ends or its rights change (the browser then connects again).
    ///
    /// # Errors
    /// `Unavailable` when too many streams are open; `TooMany` when too many of them are the caller's.
    pub fn sse(&self, frames: impl Stream<Item = SseFrame> + 'static) -> Result<HttpResponse> {
        live::respond(self, frames, true)
    }

    /// The same, of a part of what the caller may see: nobody counts on such a stream to be told of everything.
    ///
    /// # Errors
    /// As [`Self::sse`].
    pub fn sse_of_part(&self, frames: impl Stream<Item = SseFrame> + 'static) -> Result<HttpResponse> {
        live::respond(self, frames, false)
    }

    pub(super) fn route(&self) -> &Route {
        &self.inner.route
    }
}

fn json(status: StatusCode, body: &impl Serialize) -> Result<HttpResponse> {
    let text = serde_json::to_vec(body)?;
    Ok(HttpResponse::build(status).content_type("application/json").body(text))
}

/// The media type without parameters.
fn content_type(request: &HttpRequest) -> &str {
    text(request, &header::CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default().trim()
}

/// Whether some string of a JSON text has a NUL in it. Outside strings JSON has no backslash, and a bare NUL nowhere.
fn json_has_nul(body: &[u8]) -> bool {
    let mut rest = body;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let escape = rest.get(at + 1..).unwrap_or_default();
        if escape.starts_with(b"u0000") {
            return true;
        }
        rest = escape.get(1..).unwrap_or_default();
    }
    false
}

pub(super) fn parse_form<T: DeserializeOwned>(request: &HttpRequest, body: &[u8]) -> Result<T> {
    let is_form = content_type(request).eq_ignore_ascii_case("application/x-www-form-urlencoded");
    let text = std::str::from_utf8(body).ok().filter(|_| is_form);
    misread::pairs(text.ok_or_else(|| Error::BadRequest(Text::key("error-not-form")))?, "error-form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_found_wherever_it_hides() {
        for json in [r#"{"a":"\u0000"}"#, r#"{"\u0000":1}"#, r#"["\\\u0000"]"#, r#"["\n\u0000"]"#] {
            assert!(json_has_nul(json.as_bytes()), "{json}");
        }
        for json in [r#"["\\u0000"]"#, r#"["\u0001"]"#, r#"["u0000"]"#, r#"["\"#] {
            assert!(!json_has_nul(json.as_bytes()), "{json}");
        }
    }
}
