//! The one mapping of errors to HTTP: problem details (RFC 9457) below `/api/`, a page elsewhere. What is ours to mend
//! is logged here in full, once; its answer tells nothing but the request's id.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use fluent_templates::fluent_bundle::FluentArgs;
use handlebars::html_escape;
use schemars::JsonSchema;
use serde::Serialize;

use super::home::BOARD;
use super::list::url;
use super::page::{Draft, html};
use super::visitor::Visitor;
use crate::error::{Error, FieldError, Text};
use crate::identity::First;

/// A refused request, as the API answers it (`application/problem+json`).
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    /// The kind of problem, in the caller's language.
    title: String,
    status: u16,
    /// What happened this time, in the caller's language.
    detail: String,
    /// The same in a form that does not change with the language.
    code: &'static str,
    /// To be told to whoever looks into the server's log.
    request_id: String,
    /// The fields that are refused; mostly none.
    errors: Vec<ProblemField>,
}

/// One field that is refused.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ProblemField {
    /// `name`; within the body's objects and lists `rungs.0.rank`.
    field: String,
    detail: String,
    code: &'static str,
}

/// An error by its status and words.
struct Refusal {
    status: StatusCode,
    detail: Text,
    /// Stands in `detail` as `reason`, about the field named with it.
    reason: Option<(Option<String>, Text)>,
    fields: Vec<FieldError>,
    retry_after_s: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, detail: Text) -> Self {
        Self { status, detail, reason: None, fields: Vec::new(), retry_after_s: None }
    }

    fn of(error: Error) -> Self {
        match error {
            Error::Invalid(fields) => {
                Self { fields, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, Text::key("error-invalid")) }
            }
            Error::BadRequest(text) => Self::new(StatusCode::BAD_REQUEST, text),
            Error::Unreadable { part, field, reason } => {
                Self { reason: Some((field, reason)), ..Self::new(StatusCode::BAD_REQUEST, Text::key(part)) }
            }
            Error::Unauthenticated => Self::new(StatusCode::UNAUTHORIZED, Text::key("error-unauthenticated")),
            Error::Forbidden => Self::new(StatusCode::FORBIDDEN, Text::key("error-forbidden")),
            Error::NotFound => Self::new(StatusCode::NOT_FOUND, Text::key("error-not-found")),
            Error::Conflict(text) => Self::new(StatusCode::CONFLICT, text),
            Error::TooLarge { limit_bytes } => {
                let detail = Text::key("error-too-large").arg("limit", limit_bytes);
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
            }
            Error::TooMany { retry_after_s } => Self {
                retry_after_s: Some(retry_after_s),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, Text::key("error-too-many").arg("seconds", retry_after_s))
            },
            Error::Unavailable(text) => {
                Self { retry_after_s: Some(5), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, text) }
            }
            error if error.is_transient() => {
                Self { retry_after_s: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, Text::key("error-busy")) }
            }
            Error::Database(_) | Error::Internal(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, Text::key("error-internal"))
            }
        }
    }
}

/// The answer to a request that failed.
pub(super) fn answer(visitor: &Visitor, error: Error) -> HttpResponse {
    match &error {
        Error::Database(_) | Error::Internal(_) => tracing::error!(%error, "request failed"),
        Error::Unavailable(_) => tracing::warn!(%error, "request failed"),
        refused => tracing::debug!(%refused, "request refused"),
    }
    let wants_page = !visitor.is_api() && visitor.navigates;
    if matches!(error, Error::Unauthenticated) && wants_page {
        return to_sign_in(visitor);
    }
    render(visitor, Refusal::of(error))
}

/// 403 that says what to do: the page is of a session that is over, or of another site.
pub(super) fn forged(visitor: &Visitor) -> HttpResponse {
    render(visitor, Refusal::new(StatusCode::FORBIDDEN, Text::key("error-csrf")))
}

/// 403 for a program, and the page on which it is done for a person.
pub(super) fn something_else_first(visitor: &Visitor, first: First) -> HttpResponse {
    if visitor.is_api() || !visitor.navigates {
        return render(visitor, Refusal::new(StatusCode::FORBIDDEN, Text::key(first.sentence())));
    }
    HttpResponse::SeeOther().insert_header((header::LOCATION, first.page())).finish()
}

/// 405: the path exists, the method does not.
pub(super) fn method_not_allowed(visitor: &Visitor, allowed: &str) -> HttpResponse {
    let mut response =
        render(visitor, Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Text::key("error-method-not-allowed")));
    if let Ok(value) = header::HeaderValue::from_str(allowed) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

/// The sign-in page, and back again to what was asked for, if it can be asked for again.
fn to_sign_in(visitor: &Visitor) -> HttpResponse {
    let location =
        if visitor.safe_method { url("/sign-in", &[("next", &visitor.target)]) } else { "/sign-in".to_owned() };
    HttpResponse::SeeOther().insert_header((header::LOCATION, location)).finish()
}

fn render(visitor: &Visitor, refusal: Refusal) -> HttpResponse {
    let problem = describe(visitor, &refusal);
    let mut response = if visitor.is_api() {
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        HttpResponse::build(refusal.status).content_type("application/problem+json").body(body)
    } else {
        html(refusal.status, error_page(visitor, &problem))
    };
    let headers = response.headers_mut();
    if let Some(seconds) = refusal.retry_after_s {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if refusal.status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    }
    response
}

fn describe(visitor: &Visitor, refusal: &Refusal) -> Problem {
    let (i18n, locale) = (visitor.app.pages.i18n(), visitor.locale());
    let field =
        |name: &str, text: &Text| ProblemField { field: name.into(), detail: i18n.say(locale, text), code: text.key };
    let mut errors: Vec<ProblemField> = refusal.fields.iter().map(|error| field(error.field, &error.text)).collect();
    let mut detail = refusal.detail.clone();
    if let Some((name, reason)) = &refusal.reason {
        errors.extend(name.as_ref().map(|name| field(name, reason)));
        detail = detail.arg("reason", i18n.say(locale, reason));
    }
    Problem {
        kind: "about:blank",
        title: i18n.text(locale, &format!("kernel-problem-title-{}", refusal.status.as_u16()), &FluentArgs::new()),
        status: refusal.status.as_u16(),
        detail: i18n.say(locale, &detail),
        code: refusal.detail.key,
        request_id: visitor.request_id.clone(),
        errors,
    }
}

/// The model of template `kernel/error`.
#[derive(Serialize)]
struct ErrorPage<'a> {
    status: u16,
    text: String,
    request_id: &'a str,
    /// Whether the same request may succeed later.
    retry: bool,
    /// Whether the reader may see the alarm board: whoever answers an alarm must find a way on.
    board: bool,
}

/// Even a broken template must not keep the words from the reader.
fn error_page(visitor: &Visitor, problem: &Problem) -> String {
    let mut text = problem.detail.clone();
    // The detail of what cannot be read at all names its field.
    for field in problem.errors.iter().filter(|_| problem.status != 400) {
        text.push_str(" · ");
        text.push_str(&field.detail);
    }
    let page = ErrorPage {
        status: problem.status,
        text,
        request_id: &problem.request_id,
        retry: visitor.safe_method && matches!(problem.status, 429 | 500 | 503),
        board: visitor.app.routes().permits(visitor.caller.as_deref(), BOARD),
    };
    match Draft::render(visitor, visitor.app.settings.zone, "kernel/error", &page) {
        Ok(draft) => draft.finish(),
        Err(error) => {
            tracing::error!(%error, "the error page cannot be shown");
            let (title, detail) = (html_escape(&problem.title), html_escape(&problem.detail));
            format!("<!doctype html><title>{title}</title><h1>{title}</h1><p>{detail}</p><p>{}</p>", problem.request_id)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use diesel::result::{DatabaseErrorKind, Error as Diesel};

    fn database(kind: DatabaseErrorKind) -> Error {
        Error::Database(Diesel::DatabaseError(kind, Box::new("table resident".to_owned())))
    }

    #[test]
    fn every_kind_has_its_status_and_a_defect_tells_nothing() {
        let text = Text::key("error-x");
        for (error, status) in [
            (Error::Invalid(Vec::new()), 422),
            (Error::BadRequest(text.clone()), 400),
            (Error::Unreadable { part: "error-query", field: None, reason: text.clone() }, 400),
            (Error::Unauthenticated, 401),
            (Error::Forbidden, 403),
            (Error::NotFound, 404),
            (Error::Conflict(text.clone()), 409),
            (Error::TooLarge { limit_bytes: 65_536 }, 413),
            (Error::TooMany { retry_after_s: 30 }, 429),
            (Error::Unavailable(text), 503),
            (database(DatabaseErrorKind::SerializationFailure), 503),
            (database(DatabaseErrorKind::UniqueViolation), 500),
            (Error::Database(Diesel::NotFound), 500),
            (Error::Internal("SELECT secret".to_owned()), 500),
        ] {
            let refusal = Refusal::of(error);
            assert_eq!(refusal.status.as_u16(), status);
            if status == 500 {
                assert_eq!(refusal.detail, Text::key("error-internal"));
            }
        }
    }
}
