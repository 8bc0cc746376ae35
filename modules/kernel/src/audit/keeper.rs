//! The work that keeps the audit log: months ahead, seals, the daily anchor, and the end of what has had its time. One
//! server does it at a time; should two, the second one's seal is refused by its number.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;
use diesel::prelude::*;
use tokio::sync::watch;

use super::keys::AuditKeys;
use super::schema::{audit, audit_seal};
use super::seal::{BATCH, BEGINNING, Head, Seal, head, newest_seal, rows_between, seal_batch};
use super::{AuditEntry, add_anchor, months, read_anchors, verify};
use crate::db::{Database, Db};
use crate::error::{Error, Result};
use crate::time::Moment;

/// Between two looks at what waits to be sealed.
const EVERY: Duration = Duration::from_secs(60);
/// Batches that one look removes at most: the next look goes on.
const PURGED_AT_ONCE: usize = 50;

/// Where keys and anchors are, and for how long rows are kept.
#[derive(Debug, Clone)]
pub struct Keeping {
    pub key_file: PathBuf,
    pub anchor_file: PathBuf,
    /// Sealed rows older than this are removed.
    pub keep: TimeDelta,
    /// The zone whose days anchors count.
    pub zone: Tz,
}

impl Keeping {
    /// Beside the anchors: the newest head that this server has seen, so that not even a day's end can be cut off.
    pub fn head_file(&self) -> PathBuf {
        self.anchor_file.with_extension("head")
    }

    /// Everything that is remembered outside the database.
    ///
    /// # Errors
    /// When a file cannot be read or holds something else.
    pub fn anchors(&self) -> Result<Vec<Head>> {
        let mut all = read_anchors(&self.anchor_file)?;
        all.extend(read_anchors(&self.head_file())?);
        Ok(all)
    }
}

/// Keeps the log until told to stop, whenever it is this server's turn.
pub async fn keep(db: Database, keeping: Keeping, my_turn: impl Fn() -> bool, mut stop: watch::Receiver<bool>) {
    let mut anchored = None;
    while !*stop.borrow() {
        if my_turn() {
            months::make_ahead(&db).await;
            match round(&db, &keeping, &mut anchored).await {
                Ok(()) => db.set_gauge("audit_keeping_fails", 0),
                Err(error) => {
                    db.set_gauge("audit_keeping_fails", 1);
                    tracing::error!(%error, "the audit log is not being sealed");
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stop.changed() => {}
        }
    }
}

/// One look: seals what waits, anchors the head if that day has no anchor yet, removes what has had its time.
///
/// # Errors
/// When the key is missing or wrong, a file cannot be written, or the database does not answer.
pub async fn round(db: &Database, keeping: &Keeping, anchored: &mut Option<NaiveDate>) -> Result<()> {
    let keys = Arc::new(keys(db, keeping).await?);
    expect_head(db, keeping).await?;
    while seal_batch(db, keys.clone()).await? == usize::try_from(BATCH).unwrap_or_default() {}
    remember_head(db, keeping).await?;
    anchor(db, keeping, anchored).await?;
    let before = db.clock().now().plus(-keeping.keep);
    let mut batches = 0;
    while batches < PURGED_AT_ONCE && purge_batch(db, &keys, before).await? {
        batches += 1;
    }
    if batches > 0 {
        let kept_days = keeping.keep.num_days();
        let entry = AuditEntry::new("audit.purge", "")
            .after(serde_json::json!({ "batches": batches, "before": before, "kept_days": kept_days }));
        db.write(move |tx| tx.audit(entry.clone())).await?;
    }
    Ok(())
}

/// The keys; at the very first start they are made. A key that is lost is not replaced silently: what it sealed could
/// never be checked again, and nobody would know.
async fn keys(db: &Database, keeping: &Keeping) -> Result<AuditKeys> {
    if let Some(keys) = AuditKeys::read(&keeping.key_file)? {
        return Ok(keys);
    }
    if let Some(seal) = db.read(newest_seal).await? {
        return Err(Error::Internal(format!(
            "{} is not there, and the log was sealed with the key {}: restore the file, or make a new key with \
             `songhe audit new-key`",
            keeping.key_file.display(),
            seal.key_id
        )));
    }
    AuditKeys::add(&keeping.key_file)?;
    tracing::info!(file = %keeping.key_file.display(), "a key for the audit log was made; keep a copy of it elsewhere");
    AuditKeys::read(&keeping.key_file)?.ok_or_else(|| Error::internal("the audit key file vanished"))
}

/// A head that was seen and is not in the log any more becomes an anchor, before it is forgotten over a new one.
async fn expect_head(db: &Database, keeping: &Keeping) -> Result<()> {
    let Some(seen) = read_anchors(&keeping.head_file())?.pop() else { return Ok(()) };
    let expected = seen.clone();
    let there = audit_seal::table.filter(audit_seal::seq.eq(seen.seq).and(audit_seal::mac.eq(seen.mac.clone())));
    let there = db.read(move |db| Ok(there.count().get_result::<i64>(db)?)).await?;
    if there == 0 && !read_anchors(&keeping.anchor_file)?.contains(&expected) {
        tracing::error!(seal = expected.seq, "the end of the audit log is not there any more: `songhe audit verify`");
        add_anchor(&keeping.anchor_file, &expected)?;
    }
    Ok(())
}

async fn remember_head(db: &Database, keeping: &Keeping) -> Result<()> {
    let Some(head) = db.read(head).await? else { return Ok(()) };
    let file = keeping.head_file();
    if read_anchors(&file)?.pop().as_ref() == Some(&head) {
        return Ok(());
    }
    let fresh = file.with_extension("head-new");
    let cannot = |error: std::io::Error| Error::Internal(format!("{} cannot be written: {error}", file.display()));
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(error)),
        _ => {}
    }
    add_anchor(&fresh, &head)?;
    std::fs::rename(&fresh, &file).map_err(cannot)
}

async fn anchor(db: &Database, keeping: &Keeping, anchored: &mut Option<NaiveDate>) -> Result<()> {
    let today = db.clock().now().day_in(keeping.zone);
    if *anchored == Some(today) {
        return Ok(());
    }
    let Some(head) = db.read(head).await? else { return Ok(()) };
    let newest = read_anchors(&keeping.anchor_file)?.pop();
    let known = newest.as_ref().is_some_and(|anchor| anchor.seq == head.seq && anchor.mac == head.mac);
    let had_today = newest.is_some_and(|anchor| anchor.at.day_in(keeping.zone) == today);
    if !known && !had_today {
        add_anchor(&keeping.anchor_file, &head)?;
        // A log that leaves the machine is an anchor as well.
        tracing::info!(seal = head.seq, mac = head.mac, "the audit log is anchored");
    }
    *anchored = Some(today);
    Ok(())
}

/// Removes the rows of the oldest batch whose newest row is older; its seal stays. Answers whether one went.
///
/// # Errors
/// `Internal` when its rows are not as sealed: somebody has to look at them first.
pub async fn purge_batch(db: &Database, keys: &Arc<AuditKeys>, before: Moment) -> Result<bool> {
    let oldest = db.read(oldest_batch).await?.filter(|(seal, _)| seal.newest_at < before);
    let Some((seal, after)) = oldest else { return Ok(false) };
    if !verify::is_whole(db, keys, &seal, after).await? {
        return Err(Error::Internal(format!(
            "the rows of seal {} are not as sealed and are kept: `songhe audit verify` names them",
            seal.seq
        )));
    }
    let now = db.clock().now();
    let code = seal.purge_code(keys, now)?;
    db.write(move |tx| {
        let rows = rows_between(tx.db(), after, seal.end(), BATCH)?;
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        diesel::delete(audit::table.filter(audit::id.eq_any(ids))).execute(tx.db())?;
        diesel::update(audit_seal::table.find(seal.seq))
            .set((
                audit_seal::listing.eq(None::<Vec<u8>>),
                audit_seal::purged_at.eq(Some(now)),
                audit_seal::purge_mac.eq(Some(&code)),
            ))
            .execute(tx.db())?;
        Ok(true)
    })
    .await
}

/// The first seal whose rows are there, and where they begin.
fn oldest_batch(db: &mut Db) -> Result<Option<(Seal, crate::events::Position)>> {
    let first: Option<Seal> = audit_seal::table
        .filter(audit_seal::purged_at.is_null())
        .order(audit_seal::seq.asc())
        .select(Seal::as_select())
        .first(db)
        .optional()?;
    let Some(seal) = first else { return Ok(None) };
    let before: Option<Seal> = audit_seal::table.find(seal.seq - 1).select(Seal::as_select()).first(db).optional()?;
    Ok(Some((seal, before.as_ref().map_or(BEGINNING, Seal::end))))
}
