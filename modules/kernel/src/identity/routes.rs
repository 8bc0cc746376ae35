//! Signing in and out, the session as an API resource, and what a user chooses for themselves.

use actix_web::HttpResponse;
use actix_web::cookie::time::Duration as CookieTime;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::{StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Attempt, First, Scope, SessionId, SessionKind, SignedIn, account_api, account_pages, close_session, people_api,
    people_pages, roles_api, roles_pages, set_locale,
};
use crate::audit::AuditEntry;
use crate::db::Tx;
use crate::error::{Error, FieldError, Result, Text};
use crate::http::visitor::{LOCALE_COOKIE, SESSION_COOKIE, THEME_COOKIE, Visitor, theme};
use crate::http::{Access, ApiDoc, Ctx, DemoAccount, Route};
use crate::i18n::Locale;
use crate::ids::{FacilityId, UserId};
use crate::time::Moment;

const OWN_TASTE: &str = "language and colours of one's own pages: nobody's data";

pub(crate) fn routes() -> Vec<Route> {
    let mut routes = door();
    routes.extend(account_pages::routes());
    routes.extend(account_api::routes());
    routes.extend(people_pages::routes());
    routes.extend(people_api::routes());
    routes.extend(roles_pages::routes());
    routes.extend(roles_api::routes());
    routes
}

fn door() -> Vec<Route> {
    vec![
        Route::get("/sign-in", Access::Public, show_sign_in),
        Route::post("/sign-in", Access::Public, sign_in),
        Route::post("/sign-out", Access::SignedIn, sign_out).at_the_door(),
        Route::post("/preferences", Access::Public, keep_preferences).unaudited(OWN_TASTE),
        Route::post("/api/v1/session", Access::Public, open_api_session).doc(
            ApiDoc::new("Sign in")
                .description(
                    "Answers a token for `Authorization: Bearer`. It ends after 12 hours without use, and \
                              after 7 days at the latest. 401: user name and password do not belong together.",
                )
                .body::<Credentials>()
                .creates::<OpenedSession>(),
        ),
        Route::delete("/api/v1/session", Access::SignedIn, close_api_session)
            .at_the_door()
            .doc(ApiDoc::new("Sign out").description("Ends the session that this request is sent with.")),
        Route::get("/api/v1/me", Access::SignedIn, show_me)
            .at_the_door()
            .doc(ApiDoc::new("Who am I, and what may I do where").returns::<Me>()),
        Route::put("/api/v1/me/preferences", Access::SignedIn, keep_api_preferences).at_the_door().doc(
            ApiDoc::new("Keep what I prefer")
                .description(
                    "What is absent stays as it is. The language is kept with the account; both are answered as cookies, \
                     too, by which pages know a browser. The theme is kept there alone.",
                )
                .body::<Preferences>()
                .returns::<Preferences>(),
        )
        .unaudited(OWN_TASTE),
    ]
}

#[derive(Serialize)]
struct SignInPage<'a> {
    username: &'a str,
    next: &'a str,
    /// Fluent key.
    error: Option<&'static str>,
    wait_s: Option<u64>,
    demo: Option<&'a [DemoAccount]>,
}

impl<'a> SignInPage<'a> {
    fn new(ctx: &'a Ctx, username: &'a str, next: &'a str) -> Self {
        let demo = ctx.app().settings.demo_accounts.as_slice();
        Self { username, next, error: None, wait_s: None, demo: Some(demo).filter(|demo| !demo.is_empty()) }
    }
}

async fn show_sign_in(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Query {
        #[serde(default)]
        next: String,
    }
    let next = ctx.query::<Query>()?.next;
    let next = local_path(&next).unwrap_or_default();
    if ctx.caller_opt().is_some() {
        return ctx.redirect(if next.is_empty() { "/" } else { next });
    }
    // A cookie that stands for no session: it was one once.
    let ended = ctx.request().cookie(SESSION_COOKIE).is_some();
    let page = SignInPage { error: ended.then_some("kernel-sign-in-expired"), ..SignInPage::new(&ctx, "", next) };
    ctx.page("kernel/sign-in", &page)
}

async fn sign_in(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        username: String,
        password: String,
        #[serde(default)]
        next: String,
    }
    let Form { username, password, next } = ctx.form()?;
    let next = local_path(&next).unwrap_or_default();
    let page = SignInPage::new(&ctx, &username, next);
    match attempt(&ctx, username.clone(), password, SessionKind::Cookie).await {
        Ok(Some(opened)) => {
            // Whoever was signed in at this browser before is not any more.
            if let Some(session) = ctx.caller_opt().map(|caller| caller.session.id) {
                ctx.app().db.write(move |tx| sign_off(tx, session)).await?;
            }
            let mut response = ctx.redirect(if next.is_empty() { "/" } else { next })?;
            add_cookie(&mut response, session_cookie(ctx.visitor(), opened.token.reveal().to_owned()))?;
            Ok(response)
        }
        Ok(None) => {
            let page = SignInPage { error: Some("kernel-sign-in-wrong"), ..page };
            ctx.page_with(StatusCode::UNPROCESSABLE_ENTITY, "kernel/sign-in", &page)
        }
        Err(Error::TooMany { retry_after_s }) => {
            let page = SignInPage { error: Some("kernel-sign-in-locked"), wait_s: Some(retry_after_s), ..page };
            let mut response = ctx.page_with(StatusCode::TOO_MANY_REQUESTS, "kernel/sign-in", &page)?;
            response.headers_mut().insert(header::RETRY_AFTER, retry_after_s.into());
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

async fn attempt(ctx: &Ctx, username: String, password: String, kind: SessionKind) -> Result<Option<SignedIn>> {
    let attempt = Attempt {
        username,
        password,
        kind,
        address: ctx.visitor().address,
        user_agent: ctx.header(&header::USER_AGENT).map(ToOwned::to_owned),
    };
    ctx.app().sign_in.attempt(&ctx.app().db, attempt).await
}

async fn sign_out(ctx: Ctx) -> Result<HttpResponse> {
    end_session(&ctx).await?;
    let mut response = ctx.redirect("/sign-in")?;
    let mut cookie = session_cookie(ctx.visitor(), String::new());
    cookie.make_removal();
    add_cookie(&mut response, cookie)?;
    Ok(response)
}

async fn end_session(ctx: &Ctx) -> Result<()> {
    ctx.caller().expect_person()?;
    let session = ctx.caller().session.id;
    ctx.app().db.write(move |tx| sign_off(tx, session)).await
}

fn sign_off(tx: &mut Tx<'_>, session: SessionId) -> Result<()> {
    close_session(tx, session)?;
    tx.audit(AuditEntry::new("session.close", session))
}

fn session_cookie(visitor: &Visitor, value: String) -> Cookie<'static> {
    // A session cookie of the browser: the server knows when it ends.
    cookie(visitor, SESSION_COOKIE, value).http_only(true).finish()
}

fn cookie(visitor: &Visitor, name: &'static str, value: String) -> actix_web::cookie::CookieBuilder<'static> {
    Cookie::build(name, value).path("/").same_site(SameSite::Lax).secure(visitor.secure)
}

fn add_cookie(response: &mut HttpResponse, cookie: Cookie<'_>) -> Result<()> {
    response.add_cookie(&cookie).map_err(Error::internal)
}

/// A path of this server, or nothing: a `next` from elsewhere must not lead away from it.
fn local_path(next: &str) -> Option<&str> {
    let rest = next.strip_prefix('/')?;
    let leads_away = rest.starts_with('/') || next.contains('\\') || next.chars().any(char::is_control);
    (!leads_away && next.len() <= 2048 && next.is_ascii()).then_some(next)
}

async fn keep_preferences(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        theme: Option<String>,
        locale: Option<String>,
        #[serde(default)]
        back: String,
    }
    let form: Form = ctx.form()?;
    let response = ctx.redirect(local_path(&form.back).unwrap_or("/"))?;
    keep(&ctx, response, form.theme.as_deref().map(theme), form.locale.as_deref().and_then(Locale::parse)).await
}

/// Keeps what was chosen: the language with the account, if somebody is signed in, and both at the browser.
async fn keep(
    ctx: &Ctx,
    mut response: HttpResponse,
    theme: Option<&str>,
    locale: Option<Locale>,
) -> Result<HttpResponse> {
    let lasting =
        |name, value: &str| cookie(ctx.visitor(), name, value.to_owned()).max_age(CookieTime::days(365)).finish();
    if let Some(theme) = theme {
        add_cookie(&mut response, lasting(THEME_COOKIE, theme))?;
    }
    if let Some(locale) = locale {
        if let Some(user) = ctx.caller_opt().map(|caller| caller.user_id) {
            ctx.app().db.write(move |tx| set_locale(tx, user, locale)).await?;
        }
        add_cookie(&mut response, lasting(LOCALE_COOKIE, locale.as_str()))?;
    }
    Ok(response)
}

/// What a user chooses for themselves.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Preferences {
    /// `zh-CN` or `en`; `null`: as it is.
    #[serde(default)]
    locale: Option<String>,
    /// `day`, `night` or `auto`; `null`: as it is.
    #[serde(default)]
    theme: Option<String>,
}

/// Answers what holds from now on.
async fn keep_api_preferences(ctx: Ctx) -> Result<HttpResponse> {
    let wish: Preferences = ctx.json()?;
    let refused = |field, value: &str| FieldError::new(field, Text::key("error-invalid-choice").arg("value", value));
    let mut wrong = Vec::new();
    let locale = wish.locale.as_deref().and_then(Locale::parse);
    if let Some(value) = wish.locale.as_deref().filter(|_| locale.is_none()) {
        wrong.push(refused("locale", value));
    }
    if let Some(value) = wish.theme.as_deref().filter(|value| theme(value) != *value) {
        wrong.push(refused("theme", value));
    }
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    let held = Preferences {
        locale: Some(locale.unwrap_or(ctx.locale()).to_string()),
        theme: Some(wish.theme.clone().unwrap_or_else(|| ctx.visitor().theme.to_owned())),
    };
    let response = ctx.json_ok(&held)?;
    keep(&ctx, response, wish.theme.as_deref(), locale).await
}

/// A user name and its password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    username: String,
    password: String,
}

/// A session just opened.
#[derive(Serialize, JsonSchema)]
struct OpenedSession {
    /// For `Authorization: Bearer`; it cannot be read again.
    token: String,
    /// The end, whatever the use.
    expires_at: Moment,
    user: User,
}

#[derive(Serialize, JsonSchema)]
struct User {
    id: UserId,
    username: String,
}

async fn open_api_session(ctx: Ctx) -> Result<HttpResponse> {
    let Credentials { username, password } = ctx.json()?;
    let name = super::users::normal(&username);
    let opened = attempt(&ctx, username, password, SessionKind::Bearer).await?.ok_or(Error::Unauthenticated)?;
    ctx.created(&OpenedSession {
        token: opened.token.reveal().to_owned(),
        expires_at: opened.session.expires_at,
        user: User { id: opened.user_id, username: name },
    })
}

async fn close_api_session(ctx: Ctx) -> Result<HttpResponse> {
    end_session(&ctx).await?;
    ctx.no_content()
}

/// The caller.
#[derive(Serialize, JsonSchema)]
struct Me {
    id: UserId,
    username: String,
    display_name: String,
    /// The language in which this session is answered.
    locale: String,
    /// By name; those that were added here are `rol_…`.
    roles: Vec<String>,
    permissions: Vec<Held>,
    /// Whether another password has to be chosen before anything else.
    must_change_password: bool,
    session_expires_at: Moment,
}

/// A permission and where it is held.
#[derive(Serialize, JsonSchema)]
struct Held {
    name: &'static str,
    /// Everywhere; otherwise at `facilities`.
    everywhere: bool,
    facilities: Vec<FacilityId>,
}

async fn show_me(ctx: Ctx) -> Result<HttpResponse> {
    let caller = ctx.caller();
    let held = |(name, scope): (&'static str, &Scope)| Held {
        name,
        everywhere: scope.ids().is_none(),
        facilities: scope.ids().unwrap_or_default().to_vec(),
    };
    ctx.json_ok(&Me {
        id: caller.user_id,
        username: caller.username.clone(),
        display_name: caller.display_name.clone(),
        locale: ctx.locale().to_string(),
        roles: caller.roles.iter().map(ToString::to_string).collect(),
        permissions: caller.permissions().map(held).collect(),
        must_change_password: caller.first == Some(First::ChoosePassword),
        session_expires_at: caller.session.expires_at,
    })
}

#[cfg(test)]
mod tests {
    use super::local_path;

    #[test]
    fn only_paths_of_this_server_are_gone_to() {
        for path in ["/", "/beds?after=1", "/incidents/inc_0"] {
            assert_eq!(local_path(path), Some(path));
        }
        for path in ["", "beds", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nSet-Cookie: x"] {
            assert_eq!(local_path(path), None, "{path}");
        }
    }
}
