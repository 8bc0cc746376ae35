//! Idempotency: the outcome of a request, kept in the transaction that did its work.
//!
//! The row is claimed first. On PostgreSQL a second request with the same key waits at the claim until the first one
//! has committed, and then reads its outcome; if the first one failed, the claim is free again. On SQLite there is one
//! writer. Answers are sealed under a key of the month.

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
use crate::vault::{Field, Person, Sealed, Shape};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const MAX_KEY_CHARS: usize = 128;
/// A kept answer may hold what nobody may read: a credential that is shown once.
static ANSWER: Field = Field::new("idempotency.body", Shape::Text);

/// A request's key, whose it is, and what it was sent with.
pub(super) struct Key {
    /// User, method and path: one key sent to two resources is two requests.
    scope: String,
    key: String,
    /// Of the body.
    digest: [u8; 32],
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
        Ok(Some(Self { scope, key, digest: Sha256::digest(ctx.body()).into() }))
    }
}

impl Key {
    /// What a kept answer is bound to.
    fn row(&self) -> i64 {
        let digest = Sha256::digest(format!("{}\n{}", self.scope, self.key));
        i64::from_be_bytes(digest.first_chunk().copied().unwrap_or_default())
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
    let (now, vault) = (tx.now(), tx.vault());
    // Keyed: a short body, a telephone number, could be guessed from a plain hash.
    let hashes = vault.fingerprints(&key.digest)?;
    let claimed = diesel::insert_into(idempotency::table)
        .values((
            idempotency::scope.eq(&key.scope),
            idempotency::key.eq(&key.key),
            idempotency::request_hash.eq(hashes.first().map_or("", String::as_str)),
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
        // Releases before kept a plain hash, and the answer in clear.
        if !hashes.contains(&request_hash) && request_hash != hex::encode(key.digest) {
            return Err(Error::conflict("error-idempotency-conflict"));
        }
        // Nothing is done this time, and so nothing is written down.
        tx.set_audited();
        if !Sealed::is_text(&body) {
            return Ok(serde_json::from_str(&body)?);
        }
        let kept = vault.open(tx.db(), &ANSWER, key.row(), &Sealed::from_text(&body)?)?.clear();
        return Ok(serde_json::from_str(&kept.ok_or_else(|| Error::internal("a kept answer does not open"))?)?);
    }
    let outcome = work(tx)?;
    let body = serde_json::to_string(&outcome)?;
    let sealed = tx.person_key(Person::system(now))?.seal(&ANSWER, key.row(), &body)?;
    diesel::update(row).set(idempotency::body.eq(sealed.to_text())).execute(tx.db())?;
    Ok(outcome)
}
