//! Whoever sends a request, before any route is asked.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};
use fluent_templates::fluent_bundle::FluentArgs;

use super::App;
use super::route::is_api;
use crate::error::Result;
use crate::i18n::Locale;
use crate::identity::{Caller, SessionKind, SessionToken, find_caller, touch_session};

pub(crate) const SESSION_COOKIE: &str = "songhe_session";
pub(crate) const LOCALE_COOKIE: &str = "locale";
pub(crate) const THEME_COOKIE: &str = "theme";

pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

pub(crate) struct Visitor {
    pub(crate) app: Arc<App>,
    /// Answered in `X-Request-Id`, on error pages and in the log.
    pub(crate) request_id: String,
    pub(crate) address: IpAddr,
    /// Whether the browser's connection is encrypted, here or at a trusted proxy.
    pub(crate) secure: bool,
    pub(crate) path: String,
    /// Path and query.
    pub(crate) target: String,
    /// Whether the request changes nothing, so that it can be sent again after signing in.
    pub(crate) safe_method: bool,
    /// Whether a person goes to this address, rather than a script that fetches it.
    pub(crate) navigates: bool,
    /// `auto`, `day` or `night`.
    pub(crate) theme: &'static str,
    pub(crate) caller: Option<Arc<Caller>>,
    wish: Option<Locale>,
}

impl Visitor {
    pub(crate) fn new(app: Arc<App>, request: &HttpRequest) -> Self {
        let trusted = request.peer_addr().is_some_and(|peer| app.settings.trusted_proxies.contains(&peer.ip()));
        let cookie_locale = request.cookie(LOCALE_COOKIE).and_then(|cookie| Locale::parse(cookie.value()));
        let target = request.uri().path_and_query().map_or_else(|| request.path().to_owned(), ToString::to_string);
        Self {
            request_id: hex::encode(rand::random::<[u8; 8]>()),
            address: address(request, trusted),
            secure: is_secure(&app, request, trusted),
            path: request.path().to_owned(),
            target,
            safe_method: request.method().is_safe(),
            navigates: text(request, &FETCH_MODE).is_none_or(|mode| mode == "navigate"),
            theme: request.cookie(THEME_COOKIE).map_or("auto", |cookie| theme(cookie.value())),
            caller: None,
            wish: cookie_locale
                .or_else(|| text(request, &header::ACCEPT_LANGUAGE).and_then(Locale::from_accept_language)),
            app,
        }
    }

    /// Finds the session that the request's token stands for. A token that stands for none leaves a stranger.
    pub(crate) async fn identify(&mut self, request: &HttpRequest) -> Result<()> {
        let Some((kind, token)) = session_token(request) else { return Ok(()) };
        let (permissions, now) = (self.app.permissions.clone(), self.app.clock.now());
        let found = self.app.db.read(move |db| find_caller(db, &permissions, kind, &token, now)).await?;
        let Some(caller) = found else { return Ok(()) };
        if caller.session.wants_touch(now) {
            let (session, address) = (caller.session.clone(), Some(self.address));
            if let Err(error) = self.app.db.write(move |tx| touch_session(tx, &session, address)).await {
                tracing::warn!(%error, session = %caller.session.id, "last use of a session not kept");
            }
        }
        self.caller = Some(Arc::new(caller));
        Ok(())
    }

    /// The user's choice, the cookie's, the browser's, then Chinese.
    pub(crate) fn locale(&self) -> Locale {
        self.caller.as_ref().and_then(|caller| caller.locale).or(self.wish).unwrap_or(Locale::DEFAULT)
    }

    /// A text without arguments, whose key is put together.
    pub(crate) fn words(&self, key: &str) -> String {
        self.app.pages.i18n().text(self.locale(), key, &FluentArgs::new())
    }

    pub(crate) fn is_api(&self) -> bool {
        is_api(&self.path)
    }
}

/// The value of a header that is plain text.
pub(crate) fn text<'a>(request: &'a HttpRequest, name: &HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// `auto` for anything that is no theme.
pub(crate) fn theme(name: &str) -> &'static str {
    match name {
        "day" => "day",
        "night" => "night",
        _ => "auto",
    }
}

/// What follows `Bearer ` in the Authorization header.
pub(crate) fn bearer(request: &HttpRequest) -> Option<&str> {
    let (scheme, token) = text(request, &header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub(crate) fn session_token(request: &HttpRequest) -> Option<(SessionKind, SessionToken)> {
    if let Some(token) = bearer(request) {
        let token = SessionToken::from_request(token);
        return Some((token.bearer_kind(), token));
    }
    let cookie = request.cookie(SESSION_COOKIE)?;
    Some((SessionKind::Cookie, SessionToken::from_request(cookie.value())))
}

/// The peer, or whom the trusted proxy in front says it speaks for: the last entry is the one that it wrote.
fn address(request: &HttpRequest, trusted: bool) -> IpAddr {
    let forwarded = text(request, &FORWARDED_FOR)
        .filter(|_| trusted)
        .and_then(|list| list.rsplit(',').next())
        .and_then(|last| last.trim().parse::<IpAddr>().ok());
    let peer = || request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    forwarded.unwrap_or_else(peer).to_canonical()
}

fn is_secure(app: &App, request: &HttpRequest, trusted: bool) -> bool {
    let by_proxy = trusted && text(request, &FORWARDED_PROTO).is_some_and(|proto| proto == "https");
    let declared = app.settings.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
    request.app_config().secure() || by_proxy || declared
}
