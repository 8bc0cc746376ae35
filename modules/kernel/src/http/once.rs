//! Idempotency: the outcome of a request, kept in the transaction that did its work.
//!
//! The row is claimed first. On PostgreSQL a second request with the same key waits at the claim until the first one
//! has committed, and then reads its outcome; if the first one failed, the claim is free again. On SQLite there is one
//! writer.

use actix_web::http::header::HeaderName;
use diesel::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Ctx;
use super::ctx::parse_form;
use crate::db::{BothExt, Tx};
use crate::error::{Error, Result, Text};
use crate::identity::schema::idempotency;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const MAX_KEY_CHARS: usize = 128;

/// A request's key, whose it is, and what it was sent with.
pub(super) struct Key {
    /// User, method and path: one key sent to two resources is two requests.
    scope: String,
    key: String,
    request_hash: String,
}

impl Key {
    pub(super) fn of(ctx: &Ctx) -> Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Form {
            form_key: String,
        }
        let request = ctx.request();
        let key = match request.headers().get(HEADER) {
            Some(value) => Some(value.to_str().map_err(|_| bad_key())?.to_owned()),
            None => parse_form::<Form>(request, ctx.body()).ok().map(|form| form.form_key),
        };
        let Some(key) = key else { return Ok(None) };
        if key.is_empty() || key.contains('\0') || key.chars().count() > MAX_KEY_CHARS {
            return Err(bad_key());
        }
        let scope = format!("{} {} {}", ctx.caller().user_id, ctx.route().method, request.path());
        Ok(Some(Self { scope, key, request_hash: hex::encode(Sha256::digest(ctx.body())) }))
    }
}

fn bad_key() -> Error {
    Error::BadRequest(Text::key("error-idempotency-key").arg("max", MAX_KEY_CHARS))
}

/// Does the work, or answers what it answered before.
pub(super) fn run<T, F>(tx: &mut Tx<'_>, key: &Key, work: &F) -> Result<T>
where
    T: Serialize + DeserializeOwned,
    F: Fn(&mut Tx<'_>) -> Result<T>,
{
    let row = idempotency::table.find((&key.scope, &key.key));
    let now = tx.now();
    let claimed = diesel::insert_into(idempotency::table)
        .values((
            idempotency::scope.eq(&key.scope),
            idempotency::key.eq(&key.key),
            idempotency::request_hash.eq(&key.request_hash),
            idempotency::body.eq(""),
            idempotency::created_at.eq(now),
        ))
        .on_conflict((idempotency::scope, idempotency::key))
        .do_nothing()
        .both()
        .execute(tx.db())?;
    if claimed == 0 {
        let (request_hash, body): (String, String) =
            row.select((idempotency::request_hash, idempotency::body)).first(tx.db())?;
        if request_hash != key.request_hash {
            return Err(Error::conflict("error-idempotency-conflict"));
        }
        // Nothing is done this time, and so nothing is written down.
        tx.set_audited();
        return Ok(serde_json::from_str(&body)?);
    }
    let outcome = work(tx)?;
    let body = serde_json::to_string(&outcome)?;
    diesel::update(row).set(idempotency::body.eq(body)).execute(tx.db())?;
    Ok(outcome)
}
