//! Boards that are open now. A board that sounds says so every ten seconds; after 25 seconds of silence it counts as
//! gone, as it does for the person before it. Its word alone is not enough: it counts only while the stream that would
//! tell it of a call is open.

use diesel::prelude::*;
use songhe_kernel::http::{Ctx, StreamId};
use songhe_kernel::{BothExt, Db, Error, KeptExt, Moment, Result, Tx, UserId};

use crate::schema::board_stream;

/// Why a board's sign of life is none of the audit log's.
pub(crate) const WHY_UNAUDITED: &str = "a board says every few seconds that it is there: nobody's data";

/// A board that has not spoken for so long is not counted on, in seconds.
pub const STALE_AFTER_S: i64 = 25;
/// Rows of boards that are long gone are removed after this, in seconds.
const FORGET_AFTER_S: i64 = 3_600;

/// A board of the caller's says whether it can be heard. `tab` tells apart those that share a stream.
///
/// # Errors
/// `Conflict` when the stream is open at no server, or not theirs.
pub(crate) async fn say(ctx: &Ctx, stream: StreamId, tab: Option<&str>, sound_on: bool) -> Result<()> {
    let key = tab.map_or_else(|| stream.to_string(), |tab| format!("{stream}:{tab}"));
    let (app, user) = (ctx.app().clone(), ctx.caller().user_id);
    ctx.app().live.settle().await;
    // Looked at within the transaction: a stream that ends after it is forgotten after it. The browser may speak to
    // another server than the one that holds its stream.
    let word = move |tx: &mut Tx<'_>| {
        if !app.live.is_open(tx.db(), &stream, user)? {
            return Err(Error::conflict("incidents-error-no-stream"));
        }
        seen(tx, &key, user, sound_on)
    };
    ctx.app().db.write(word).await
}

/// Records what a board says about itself. The stream's id is random and given to its own page only.
pub fn seen(tx: &mut Tx<'_>, stream: &str, user: UserId, sound_on: bool) -> Result<()> {
    let now = tx.now();
    diesel::insert_into(board_stream::table)
        .values((
            board_stream::stream.eq(stream),
            board_stream::user_id.eq(user.0),
            board_stream::sound_on.eq(sound_on),
            board_stream::seen_at.eq(now),
        ))
        .on_conflict(board_stream::stream)
        .do_update()
        .set((board_stream::user_id.eq(user.0), board_stream::sound_on.eq(sound_on), board_stream::seen_at.eq(now)))
        .both()
        .execute(tx.db())?;
    diesel::delete(board_stream::table.filter(board_stream::seen_at.lt(now.plus_seconds(-FORGET_AFTER_S))))
        .execute(tx.db())?;
    Ok(())
}

/// The stream of a board was closed.
pub fn gone(tx: &mut Tx<'_>, stream: &str) -> Result<()> {
    // A page's stream id may carry a tab's suffix: one stream, several tabs.
    diesel::delete(board_stream::table.filter(board_stream::stream.like(format!("{stream}%")))).execute(tx.db())?;
    Ok(())
}

/// No board survives a restart of the only server: streams open anew and say so themselves.
pub fn forget_all(tx: &mut Tx<'_>) -> Result<()> {
    diesel::delete(board_stream::table).execute(tx.db())?;
    Ok(())
}

/// Which of these users have a live board with its sound on.
pub(crate) fn live_with_sound(db: &mut Db, users: &[UserId], now: Moment) -> Result<Vec<UserId>> {
    Ok(board_stream::table
        .filter(board_stream::user_id.eq_any(users.iter().map(|user| user.0).collect::<Vec<_>>()))
        .filter(board_stream::sound_on.eq(true))
        .filter(board_stream::seen_at.ge(now.plus_seconds(-STALE_AFTER_S)))
        // With the clock set back, what was seen "later" proves nothing until the board speaks again.
        .filter(board_stream::seen_at.le(now.plus_seconds(STALE_AFTER_S)))
        .select(board_stream::user_id)
        .distinct()
        .kept(users.len())
        .load(db)?)
}
