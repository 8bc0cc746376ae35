//! Backups by the clock as the page shows them, and a restored copy from which nothing leaves.

use schemars::JsonSchema;
use serde::Serialize;
use songhe_kernel::http::Ctx;
use songhe_kernel::i18n::Locale;
use songhe_kernel::{Database, Db, Moment, Result, effects};

use super::Facts;
use crate::backup::records::{self, Failed, Good};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemBackup")]
pub(super) struct Backup {
    /// Whether they are made by the clock.
    scheduled: bool,
    next_at: Option<Moment>,
    /// The last one that is whole, also of the command.
    last: Option<Last>,
    /// The last attempt by the clock, if it failed and no good one came after it.
    pub(super) failed: Option<Attempt>,
    /// For how many hours there has been no good one; `null` while that is not too long.
    pub(super) overdue_h: Option<i64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemBackupLast")]
struct Last {
    at: Moment,
    file: String,
    bytes: u64,
    /// In mebibytes, rounded up.
    mib: u64,
    seconds: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemBackupAttempt")]
pub(super) struct Attempt {
    at: Moment,
    pub(super) why: String,
}

/// What the database knows.
pub(super) struct Known {
    good: Option<Good>,
    failed: Option<Failed>,
    tick: Option<Moment>,
    age_s: Option<i64>,
    pub(super) held_since: Option<Moment>,
}

impl Known {
    pub(super) fn read(db: &mut Db, now: Moment) -> Result<Self> {
        Ok(Self {
            good: records::good(db)?,
            failed: records::failed(db)?,
            tick: records::tick(db)?,
            age_s: records::age_s(db, now)?,
            held_since: effects::held_since(db)?,
        })
    }
}

/// For how many hours there has been no good backup, when that is too long.
pub(super) fn overdue_h(db: &mut Db, now: Moment, warn_after_h: Option<i64>) -> Result<Option<i64>> {
    Ok(too_long(records::age_s(db, now)?, warn_after_h))
}

fn too_long(age_s: Option<i64>, warn_after_h: Option<i64>) -> Option<i64> {
    let (age_h, warn_after_h) = (age_s? / 3_600, warn_after_h?);
    (age_h >= warn_after_h).then_some(age_h)
}

impl Backup {
    pub(super) fn of(facts: &Facts, known: Known, ctx: &Ctx, now: Moment) -> Self {
        let next_at = facts.routine.as_ref().and_then(|routine| routine.next(known.tick.unwrap_or(now)));
        let why = |failed: Failed| if ctx.locale() == Locale::En { failed.en } else { failed.zh_cn };
        Self {
            scheduled: facts.routine.is_some(),
            next_at: next_at.filter(|_| known.held_since.is_none()).map(|at| at.max(now)),
            last: known.good.map(|good| Last {
                at: good.at,
                file: good.file,
                bytes: good.bytes,
                mib: good.bytes.div_ceil(1024 * 1024),
                seconds: good.seconds,
            }),
            failed: known.failed.map(|failed| Attempt { at: failed.at, why: why(failed) }),
            overdue_h: too_long(known.age_s, facts.warn_after_h()),
        }
    }
}

/// What a collector reads.
pub(super) async fn count(db: &Database) -> Result<()> {
    let now = db.clock().now();
    let figures = db
        .read(move |db| {
            let (good, failed) = (records::good(db)?, records::failed(db)?);
            // -1: never.
            let age_s = good.as_ref().map_or(-1, |good| now.seconds_since(good.at).max(0));
            let bytes = good.map_or(0, |good| i64::try_from(good.bytes).unwrap_or(i64::MAX));
            let held = i64::from(effects::held_since(db)?.is_some());
            Ok([
                ("backup_age_s", age_s),
                ("backup_bytes", bytes),
                ("backup_failed", i64::from(failed.is_some())),
                ("effects_held", held),
            ])
        })
        .await?;
    for (name, value) in figures {
        db.set_gauge(name, value);
    }
    Ok(())
}
