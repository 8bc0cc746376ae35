//! `/api/v1/account`: what concerns the caller's own account: password, sessions, tokens. A token cannot do any of it.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tokens::random_token;
use super::{
    NewToken, OpenSession, SessionId, Token, TokenId, choose_password, end_session_of, end_sessions_of, make_token,
    revoke_token, sessions_of, tokens_of,
};
use crate::error::{Error, Result, Text};
use crate::http::{Access, ApiDoc, Ctx, List, Route};

pub(super) fn routes() -> Vec<Route> {
    let me = Access::SignedIn;
    vec![
        Route::put("/api/v1/account/password", me, set_password).at_the_door().doc(
            ApiDoc::new("Choose a password")
                .description("Ends all other sessions of the account. 422 tells what is wrong with the password.")
                .body::<NewPassword>(),
        ),
        Route::get("/api/v1/account/sessions", me, list_sessions)
            .doc(ApiDoc::new("List my sessions, the last used first").returns::<List<SessionBody>>()),
        Route::delete("/api/v1/account/sessions", me, end_others)
            .doc(ApiDoc::new("End all my sessions but this one").returns::<Ended>()),
        Route::delete("/api/v1/account/sessions/{id}", me, end_one).doc(ApiDoc::new("End one of my sessions")),
        Route::get("/api/v1/account/tokens", me, list_tokens)
            .doc(ApiDoc::new("List my tokens for programs, the newest first").returns::<List<Token>>()),
        Route::post("/api/v1/account/tokens", me, add_token).doc(
            ApiDoc::new("Make a token for a program")
                .description(
                    "For `Authorization: Bearer`. It may do what it names of what its owner may do at that moment, and \
                     nothing with accounts themselves. The answer has the token; it cannot be read again.",
                )
                .body::<NewToken>()
                .creates::<MadeToken>(),
        ),
        Route::delete("/api/v1/account/tokens/{id}", me, end_token).doc(ApiDoc::new("Revoke one of my tokens")),
    ]
}

/// A password to be chosen.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The present one.
    current: String,
    /// The new one.
    password: String,
}

/// A session of the caller's.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Session")]
struct SessionBody {
    #[serde(flatten)]
    session: OpenSession,
    /// Whether this request was sent with it.
    current: bool,
}

/// How many sessions were ended.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndedSessions")]
pub(super) struct Ended {
    pub(super) ended: usize,
}

/// A token just made.
#[derive(Serialize, JsonSchema)]
struct MadeToken {
    id: TokenId,
    /// For `Authorization: Bearer`; it cannot be read again.
    token: String,
}

/// Sets the caller's password when they know the present one.
///
/// # Errors
/// `Invalid` on `current` or `password`; `TooMany` after five wrong ones; `Forbidden` for a token.
pub(super) async fn change_password(ctx: &Ctx, current: String, password: String) -> Result<()> {
    let caller = ctx.caller();
    caller.expect_person()?;
    let (sign_in, address) = (&ctx.app().sign_in, ctx.visitor().address);
    if !sign_in.knows_password(&ctx.app().db, caller, address, current.clone()).await? {
        return Err(Error::field("current", Text::key("error-password-wrong")));
    }
    sign_in.rules().check("password", &password, &[&caller.username, &caller.display_name])?;
    if password == current {
        return Err(Error::field("password", Text::key("error-password-same")));
    }
    let hash = sign_in.passwords().hash(password).await?;
    let (user, session) = (caller.user_id, caller.session.id);
    ctx.app().db.write(move |tx| choose_password(tx, user, &hash, session)).await
}

async fn set_password(ctx: Ctx) -> Result<HttpResponse> {
    let NewPassword { current, password } = ctx.json()?;
    change_password(&ctx, current, password).await?;
    ctx.no_content()
}

async fn list_sessions(ctx: Ctx) -> Result<HttpResponse> {
    let (user, now, this) = (ctx.caller().user_id, ctx.app().clock.now(), ctx.caller().session.id);
    let rows = ctx.app().db.read(move |db| sessions_of(db, user, now)).await?;
    let body = |session: OpenSession| SessionBody { current: session.id == this, session };
    ctx.json_ok(&List::whole(rows.into_iter().map(body).collect()))
}

/// Ends all sessions of the caller but this one.
///
/// # Errors
/// `Forbidden` for a token.
pub(super) async fn end_all_others(ctx: &Ctx) -> Result<usize> {
    ctx.caller().expect_person()?;
    let (user, this) = (ctx.caller().user_id, ctx.caller().session.id);
    ctx.app().db.write(move |tx| end_sessions_of(tx, user, Some(this))).await
}

async fn end_others(ctx: Ctx) -> Result<HttpResponse> {
    ctx.json_ok(&Ended { ended: end_all_others(&ctx).await? })
}

/// Ends the session of the path.
///
/// # Errors
/// `NotFound` when it is not the caller's; `Forbidden` for a token.
pub(super) async fn end_named(ctx: &Ctx) -> Result<()> {
    let id: SessionId = ctx.id("id")?;
    ctx.caller().expect_person()?;
    let user = ctx.caller().user_id;
    ctx.app().db.write(move |tx| end_session_of(tx, user, id)).await
}

async fn end_one(ctx: Ctx) -> Result<HttpResponse> {
    end_named(&ctx).await?;
    ctx.no_content()
}

async fn list_tokens(ctx: Ctx) -> Result<HttpResponse> {
    let user = ctx.caller().user_id;
    ctx.json_ok(&List::whole(ctx.app().db.read(move |db| tokens_of(db, user)).await?))
}

/// Makes a token of the caller's; `None` where this very request made it before and its text is not known any more.
///
/// # Errors
/// Those of [`make_token`]; `Forbidden` for a token.
pub(super) async fn new_token(ctx: &Ctx, new: NewToken) -> Result<(TokenId, Option<String>)> {
    ctx.caller().expect_person()?;
    let (owner, token) = (ctx.caller().clone(), random_token());
    let theirs = token.clone();
    let (id, fingerprint) = ctx.once(move |tx| Ok((make_token(tx, &owner, &new, &theirs)?, theirs.hash()))).await?;
    Ok((id, (fingerprint == token.hash()).then(|| token.reveal().to_owned())))
}

async fn add_token(ctx: Ctx) -> Result<HttpResponse> {
    let new: NewToken = ctx.json()?;
    let (id, token) = new_token(&ctx, new).await?;
    let token = token.ok_or_else(|| Error::conflict("error-shown-once"))?;
    ctx.created(&MadeToken { id, token })
}

/// Revokes the token of the path.
///
/// # Errors
/// `NotFound` when it is not the caller's; `Forbidden` for a token.
pub(super) async fn revoke_named(ctx: &Ctx) -> Result<()> {
    let id: TokenId = ctx.id("id")?;
    ctx.caller().expect_person()?;
    let user = ctx.caller().user_id;
    ctx.app().db.write(move |tx| revoke_token(tx, user, id, user)).await
}

async fn end_token(ctx: Ctx) -> Result<HttpResponse> {
    revoke_named(&ctx).await?;
    ctx.no_content()
}
