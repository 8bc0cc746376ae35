//! `/account`: one's own password, sessions and tokens.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::account_api::{change_password, end_all_others, end_named, new_token, revoke_named};
use super::roles_pages::{Group, groups};
use super::tree::Tree;
use super::{First, NewToken, OpenSession, Token, sessions_of, tokens_of};
use crate::error::{FieldError, Result, Text};
use crate::http::{Access, Choice, Ctx, Fields, Refused, Route, refused};
use crate::time::Moment;

const PASSWORD_FIELDS: Fields =
    &[("current", "people-password-current"), ("password", "people-password-new"), ("again", "people-password-again")];
const TOKEN_FIELDS: Fields = &[
    ("name", "people-token-name"),
    ("permissions", "people-permissions"),
    ("facility_id", "people-facility"),
    ("days", "people-token-days"),
];
/// For how many days a token may live, as the form offers it.
const LIVES: [i64; 4] = [30, 90, 365, 730];
/// What the names of the form's boxes begin with.
pub(super) const BOX: &str = "p:";

pub(super) fn routes() -> Vec<Route> {
    let me = Access::SignedIn;
    vec![
        Route::get("/account", me, page),
        Route::get("/account/password", me, password_page).at_the_door(),
        Route::post("/account/password", me, set_password).at_the_door(),
        Route::post("/account/sessions/end-others", me, end_others),
        Route::post("/account/sessions/{id}/end", me, end_one),
        Route::post("/account/tokens", me, add_token),
        Route::post("/account/tokens/{id}/revoke", me, revoke),
    ]
}

/// A session as a page shows it.
#[derive(Serialize)]
pub(super) struct SessionModel {
    id: String,
    /// Browser and system, as far as they tell; `None`: they do not.
    device: Option<String>,
    address: Option<String>,
    created_at: Moment,
    last_seen_at: Moment,
    current: bool,
    /// Whether it is a program's.
    program: bool,
}

impl SessionModel {
    pub(super) fn of(session: OpenSession, current: bool) -> Self {
        Self {
            id: session.id.to_string(),
            device: session.user_agent.as_deref().and_then(device),
            address: session.address,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            current,
            program: session.kind == "bearer",
        }
    }
}

/// What a browser is called by those who use it; the first word that fits counts.
fn device(user_agent: &str) -> Option<String> {
    let find = |words: &[(&'static str, &'static str)]| {
        words.iter().find(|(word, _)| user_agent.contains(word)).map(|(_, name)| *name)
    };
    let browser = find(&[
        ("MicroMessenger", "WeChat"),
        ("Edg", "Edge"),
        ("Firefox", "Firefox"),
        ("Chrome", "Chrome"),
        ("Safari", "Safari"),
    ]);
    let system = find(&[
        ("HarmonyOS", "HarmonyOS"),
        ("Android", "Android"),
        ("iPad", "iPad"),
        ("iPhone", "iPhone"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    let parts: Vec<&str> = browser.into_iter().chain(system).collect();
    let name = parts.join(" · ");
    if name.is_empty() { user_agent.split(['/', ' ']).next().map(ToOwned::to_owned) } else { Some(name) }
}

#[derive(Serialize)]
struct Page {
    username: String,
    sessions: Vec<SessionModel>,
    others: usize,
    tokens: Vec<TokenModel>,
    groups: Vec<Group>,
    facilities: Vec<Choice>,
    lives: Vec<Choice>,
    form: TokenForm,
    #[serde(flatten)]
    refused: Refused,
}

#[derive(Serialize)]
struct TokenModel {
    #[serde(flatten)]
    token: Token,
    labels: Vec<String>,
    ended: bool,
}

#[derive(Default, Serialize)]
struct TokenForm {
    name: String,
    facility_id: String,
    days: String,
}

async fn page(ctx: Ctx) -> Result<HttpResponse> {
    render(&ctx, TokenForm { days: "90".into(), ..TokenForm::default() }, &[], &[]).await
}

async fn render(ctx: &Ctx, form: TokenForm, ticked: &[String], errors: &[FieldError]) -> Result<HttpResponse> {
    let caller = ctx.caller().clone();
    let (user, now, this) = (caller.user_id, ctx.app().clock.now(), caller.session.id);
    let reach = caller.reach().clone();
    let find =
        move |db: &mut _| Ok((sessions_of(db, user, now)?, tokens_of(db, user)?, Tree::load(db)?.choices(&reach)));
    let (sessions, tokens, places) = ctx.app().db.read(find).await?;
    let labels = |token: &Token| token.permissions.iter().map(|name| super::roles_pages::label(ctx, name)).collect();
    let page = Page {
        username: caller.username.clone(),
        others: sessions.iter().filter(|session| session.id != this).count(),
        sessions: sessions.into_iter().map(|session| SessionModel::of(session.clone(), session.id == this)).collect(),
        tokens: tokens
            .into_iter()
            .map(|token| TokenModel { labels: labels(&token), ended: token.expires_at <= now, token })
            .collect(),
        groups: groups(ctx, |name| caller.can(name), |name| ticked.iter().any(|one| one == name)),
        facilities: places
            .into_iter()
            .filter(|(at, _)| at.to_string().starts_with("fac_"))
            .map(|(at, name)| Choice::new(at, name))
            .collect(),
        lives: LIVES
            .iter()
            .map(|days| Choice::new(days, ctx.say(&Text::key("people-n-days").arg("days", days))))
            .collect(),
        form,
        refused: Refused::new(ctx, TOKEN_FIELDS, errors),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.page_with(status, "kernel/account", &page)
}

#[derive(Serialize)]
struct PasswordPage {
    /// Whether nothing else is possible before.
    first: bool,
    min: usize,
    username: String,
    #[serde(flatten)]
    refused: Refused,
}

async fn password_page(ctx: Ctx) -> Result<HttpResponse> {
    password_form(&ctx, &[]).await
}

async fn password_form(ctx: &Ctx, errors: &[FieldError]) -> Result<HttpResponse> {
    let page = PasswordPage {
        first: ctx.caller().first == Some(First::ChoosePassword),
        min: ctx.app().sign_in.rules().min_chars,
        username: ctx.caller().username.clone(),
        refused: Refused::new(ctx, PASSWORD_FIELDS, errors),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.page_with(status, "kernel/account-password", &page)
}

async fn set_password(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        current: String,
        password: String,
        again: String,
    }
    let form: Form = ctx.form()?;
    if form.password != form.again {
        return password_form(&ctx, &[FieldError::new("again", Text::key("error-password-again"))]).await;
    }
    match refused(change_password(&ctx, form.current, form.password).await)? {
        Ok(()) if ctx.caller().first.is_some() => ctx.redirect("/"),
        Ok(()) => ctx.redirect("/account"),
        Err(errors) => password_form(&ctx, &errors).await,
    }
}

async fn end_others(ctx: Ctx) -> Result<HttpResponse> {
    end_all_others(&ctx).await?;
    ctx.redirect("/account")
}

async fn end_one(ctx: Ctx) -> Result<HttpResponse> {
    end_named(&ctx).await?;
    ctx.redirect("/account")
}

/// What the answer to a token or password that is shown once needs.
#[derive(Serialize)]
pub(super) struct Once {
    /// Fluent key.
    pub(super) heading: &'static str,
    /// Fluent key.
    pub(super) text: &'static str,
    /// `None`: this was shown before.
    pub(super) secret: Option<String>,
    /// Whose it is.
    pub(super) of: String,
    pub(super) back: String,
}

async fn add_token(ctx: Ctx) -> Result<HttpResponse> {
    let inputs: BTreeMap<String, String> = ctx.form()?;
    let given = |name: &str| inputs.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let form = TokenForm { name: given("name"), facility_id: given("facility_id"), days: given("days") };
    let permissions = ticked(&inputs);
    let facility = (!form.facility_id.is_empty()).then(|| form.facility_id.parse());
    let Ok(facility_id) = facility.transpose() else {
        let wrong = FieldError::new("facility_id", Text::key("error-unknown-choice"));
        return render(&ctx, form, &permissions, &[wrong]).await;
    };
    let days = form.days.parse().unwrap_or_default();
    let new = NewToken { name: form.name.clone(), permissions: permissions.clone(), facility_id, days };
    match refused(new_token(&ctx, new).await)? {
        Ok((_, secret)) => {
            let (heading, text) = ("people-token-once", "people-token-once-text");
            ctx.page("kernel/once", &Once { heading, text, secret, of: form.name, back: "/account".into() })
        }
        Err(errors) => render(&ctx, form, &permissions, &errors).await,
    }
}

/// The permissions whose boxes are ticked.
pub(super) fn ticked(inputs: &BTreeMap<String, String>) -> Vec<String> {
    inputs.keys().filter_map(|name| name.strip_prefix(BOX)).map(ToOwned::to_owned).collect()
}

async fn revoke(ctx: Ctx) -> Result<HttpResponse> {
    revoke_named(&ctx).await?;
    ctx.redirect("/account")
}

#[cfg(test)]
mod tests {
    use super::device;

    #[test]
    fn a_device_is_called_as_its_owner_calls_it() {
        let tablet =
            "Mozilla/5.0 (Linux; Android 13; Tab) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36";
        assert_eq!(device(tablet).as_deref(), Some("Chrome · Android"));
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1 MicroMessenger/8.0";
        assert_eq!(device(phone).as_deref(), Some("WeChat · iPhone"));
        assert_eq!(device("curl/8.5.0").as_deref(), Some("curl"));
    }
}
