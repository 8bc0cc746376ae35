//! Observations over years: partitions by month (PostgreSQL), roll-ups by hour and day, retention by kind, lists and
//! series that stay fast.
//!
//! - [`list`]: what was observed, newest first, one descent of an index for each owner and kind
//! - [`partitions`]: the months of PostgreSQL's table, made ahead
//! - [`rollups`]: hours and days, behind a cursor over the order of arrival; never in the transaction of a message
//! - [`retention`]: what has had its time goes: whole months where that is possible, small slices elsewhere
//! - [`series`]: what a chart shows: readings, minutes, hours or days, as the range asks for
//!
//! [`run`] keeps all of it up to date beside the server. Each step is a short transaction that may run twice, also on
//! two servers at once; none of it may ever hold up a message.

mod kinds;
pub mod list;
pub mod partitions;
pub mod retention;
pub mod rollups;
pub mod series;
mod zones;

use std::time::Duration;

use songhe_kernel::{Database, Result};
use tokio::sync::watch;

pub use retention::Keep;
pub use rollups::catch_up;
pub use series::Series;
pub(crate) use zones::start_of;

/// How often what arrived is brought into the roll-ups.
const ROLL_UP_EVERY: Duration = Duration::from_secs(5);
/// How often partitions are made ahead and retention looks for work.
const TEND_EVERY: Duration = Duration::from_secs(600);
/// Between two slices of a purge: messages go first.
const BREATH: Duration = Duration::from_millis(20);

/// What has to stand before the first message: the partitions of this month and the next ones.
///
/// # Errors
/// When the database does not answer. A partition that cannot be made now is no error: the default one takes its rows.
pub async fn prepare(db: &Database) -> Result<()> {
    partitions::make_ahead(db).await
}

/// Makes partitions, roll-ups and room until told to stop.
pub async fn run(db: Database, keep: Keep, stop: watch::Receiver<bool>) {
    tokio::join!(roll_up(&db, stop.clone()), tend(&db, keep, stop));
}

async fn roll_up(db: &Database, mut stop: watch::Receiver<bool>) {
    let mut rollups = rollups::RollUps::default();
    while !*stop.borrow() {
        let wait = match rollups.step(db).await {
            Ok(rollups::Step::More) => Duration::from_millis(1),
            Ok(rollups::Step::Waits) => Duration::from_millis(500),
            Ok(rollups::Step::Done) => ROLL_UP_EVERY,
            Err(error) => {
                tracing::error!(%error, "roll-ups stand");
                ROLL_UP_EVERY
            }
        };
        pause(wait, &mut stop).await;
    }
}

async fn tend(db: &Database, keep: Keep, mut stop: watch::Receiver<bool>) {
    let mut gone: u64 = 0;
    while !*stop.borrow() {
        if let Err(error) = partitions::make_ahead(db).await {
            tracing::error!(%error, "no partition of observations could be made");
        }
        loop {
            if *stop.borrow() {
                return;
            }
            match retention::step(db, &keep).await {
                Ok(retention::Step::Removed(rows)) if rows > 0 => {
                    gone = gone.saturating_add(rows);
                    db.set_gauge("observations_purged", i64::try_from(gone).unwrap_or(i64::MAX));
                    pause(BREATH, &mut stop).await;
                }
                // Nothing removed: another server has the turn.
                Ok(retention::Step::Removed(_) | retention::Step::Done) => break,
                Err(error) => {
                    tracing::warn!(%error, "retention could not go on and tries again later");
                    break;
                }
            }
        }
        pause(TEND_EVERY, &mut stop).await;
    }
}

async fn pause(time: Duration, stop: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        // A sender that is gone says stop, too; the loop must not spin meanwhile.
        changed = stop.changed() => if changed.is_err() { tokio::time::sleep(time).await },
    }
}
