//! Removes what has had its time.

use chrono::TimeDelta;
use diesel::prelude::*;

use super::schema::{api_token, idempotency, session};
use super::sessions::IDLE;
use crate::db::Tx;
use crate::error::Result;

/// How long an answer is kept for a repeat of its request.
const KEEP_ANSWERS: TimeDelta = TimeDelta::days(7);

/// How long a token that has ended is still listed.
const SHOW_ENDED: TimeDelta = TimeDelta::days(30);

/// Removes sessions that have ended, tokens a month after, and answers older than seven days, at most `limit` of each so that nobody waits
/// long behind it; answers how many went.
pub fn purge_expired(tx: &mut Tx<'_>, limit: i64) -> Result<usize> {
    let now = tx.now();
    let ended: Vec<i64> = session::table
        .filter(session::expires_at.le(now).or(session::last_seen_at.le(now.plus(-IDLE))))
        .limit(limit)
        .select(session::id)
        .load(tx.db())?;
    let sessions = diesel::delete(session::table.filter(session::id.eq_any(ended))).execute(tx.db())?;
    let over: Vec<i64> = api_token::table
        .filter(api_token::expires_at.le(now.plus(-SHOW_ENDED)))
        .limit(limit)
        .select(api_token::id)
        .load(tx.db())?;
    let tokens = diesel::delete(api_token::table.filter(api_token::id.eq_any(over))).execute(tx.db())?;
    let old: Vec<(String, String)> = idempotency::table
        .filter(idempotency::created_at.lt(now.plus(-KEEP_ANSWERS)))
        .limit(limit)
        .select((idempotency::scope, idempotency::key))
        .load(tx.db())?;
    let mut answers = 0;
    for (scope, key) in old {
        answers += diesel::delete(idempotency::table.find((scope, key))).execute(tx.db())?;
    }
    Ok(sessions + tokens + answers)
}
