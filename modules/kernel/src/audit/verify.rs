//! The check of the audit log: every seal, every row below them, and what anchors outside the database remember.
//!
//! It walks in slices, beside a running server, and names what it finds.

use std::collections::BTreeMap;
use std::sync::Arc;

use diesel::prelude::*;

use super::keys::AuditKeys;
use super::schema::{audit, audit_seal};
use super::seal::{BATCH, BEGINNING, Head, Row, Seal, rows_between, unsealed};
use crate::db::{Database, Db};
use crate::define_id;
use crate::error::Result;
use crate::events::Position;
use crate::time::Moment;

define_id!(
    /// A line of the audit log.
    AuditId, "aud"
);

/// Faults that are listed; the others are counted.
const MOST_LISTED: usize = 1_000;

/// Something that is not as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A row is not what was sealed.
    Changed(AuditId),
    /// A row that was sealed is not there.
    Removed(AuditId),
    /// A row is among sealed ones that was not there when they were sealed.
    Inserted(AuditId),
    /// A seal is not what was written.
    SealChanged(i64),
    /// Seals between others are not there: the first and the last.
    SealsRemoved(i64, i64),
    /// The end of the log is not there: an anchor knows this seal and when it was made.
    CutOff(i64, Moment),
    /// The seal that an anchor knows has another code: the log was written anew.
    AnchorDiffers(i64, Moment),
    /// A seal says that its rows have had their time, and nobody who has the key said so.
    PurgeForged(i64),
    /// Sealed with a key that is not in the key file.
    KeyMissing(i64, String),
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Seals looked at.
    pub seals: u64,
    /// Rows that they cover and that are there as sealed.
    pub good: u64,
    /// Rows that had had their time and were removed by Songhe.
    pub purged: u64,
    /// Anchors that fit.
    pub anchors: u64,
    pub faults: Vec<Fault>,
    /// Faults beyond those listed.
    pub more_faults: u64,
    /// Rows at the end that no seal covers yet, of which nothing can be said.
    pub unsealed: i64,
    /// When the oldest of them was written.
    pub unsealed_since: Option<Moment>,
    pub head: Option<Head>,
}

impl Report {
    pub fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MOST_LISTED {
            self.faults.push(fault);
        } else {
            self.more_faults += 1;
        }
    }
}

/// Checks everything, in slices.
///
/// # Errors
/// When the database does not answer.
pub async fn verify(db: &Database, keys: Arc<AuditKeys>, anchors: &[Head]) -> Result<Report> {
    let mut report = Report::default();
    let mut waiting: BTreeMap<i64, Vec<&Head>> = BTreeMap::new();
    for anchor in anchors {
        waiting.entry(anchor.seq).or_default().push(anchor);
    }
    let mut before: Option<Seal> = None;
    loop {
        let last = before.as_ref().map_or(0, |seal| seal.seq);
        let next = db.read(move |db| seal_after(db, last)).await?;
        let Some(seal) = next else { break };
        let after = before.as_ref().map_or(BEGINNING, Seal::end);
        let from = last + 1;
        report.seals += 1;
        if seal.seq != from {
            report.fault(Fault::SealsRemoved(from, seal.seq - 1));
        }
        for anchor in waiting.remove(&seal.seq).unwrap_or_default() {
            if anchor.mac == seal.mac {
                report.anchors += 1;
            } else {
                report.fault(Fault::AnchorDiffers(anchor.seq, anchor.at));
            }
        }
        let chained = seal.seq != from || seal.previous == before.as_ref().map_or("", |seal| seal.mac.as_str());
        if !keys.has(&seal.key_id) {
            report.fault(Fault::KeyMissing(seal.seq, seal.key_id.clone()));
        } else if !chained || seal.code(&keys)? != seal.mac {
            report.fault(Fault::SealChanged(seal.seq));
        } else if seal.seq == from {
            check_rows(db, &keys, &seal, after, &mut report).await?;
        }
        before = Some(seal);
    }
    for anchor in waiting.into_values().flatten() {
        // Between seals that are there, what is missing was told above.
        if before.as_ref().is_none_or(|seal| seal.seq < anchor.seq) {
            report.fault(Fault::CutOff(anchor.seq, anchor.at));
        }
    }
    let end = before.as_ref().map_or(BEGINNING, Seal::end);
    (report.unsealed, report.unsealed_since) = db.read(move |db| unsealed(db, end)).await?;
    report.head = before.map(|seal| Head { seq: seal.seq, mac: seal.mac, at: seal.sealed_at });
    Ok(report)
}

fn seal_after(db: &mut Db, seq: i64) -> Result<Option<Seal>> {
    Ok(audit_seal::table
        .filter(audit_seal::seq.gt(seq))
        .order(audit_seal::seq.asc())
        .select(Seal::as_select())
        .first(db)
        .optional()?)
}

/// The rows of one seal, whose own code is right.
async fn check_rows(
    db: &Database,
    keys: &Arc<AuditKeys>,
    seal: &Seal,
    after: Position,
    report: &mut Report,
) -> Result<()> {
    let found = compare(db, keys, seal, after).await?;
    if found.removed.is_empty() && found.faults.is_empty() {
        (report.good, report.purged) = (report.good + found.good, report.purged + found.purged);
        return Ok(());
    }
    // They may have had their time between the look at the seal and the look at its rows.
    let seq = seal.seq;
    let again = db.read(move |db| seal_after(db, seq - 1)).await?.filter(|again| again.seq == seq);
    let found = match again {
        Some(again) if again.purged_at != seal.purged_at => compare(db, keys, &again, after).await?,
        _ => found,
    };
    (report.good, report.purged) = (report.good + found.good, report.purged + found.purged);
    for fault in found.faults {
        report.fault(fault);
    }
    for id in found.removed {
        // Moved to another place in the order it is still there, but not as it was.
        let there = db.read(move |db| Ok(audit::table.filter(audit::id.eq(id)).count().get_result::<i64>(db)?)).await?;
        report.fault(if there > 0 { Fault::Changed(AuditId(id)) } else { Fault::Removed(AuditId(id)) });
    }
    Ok(())
}

#[derive(Default)]
struct Compared {
    good: u64,
    purged: u64,
    removed: Vec<i64>,
    faults: Vec<Fault>,
}

async fn compare(db: &Database, keys: &Arc<AuditKeys>, seal: &Seal, after: Position) -> Result<Compared> {
    let mut found = Compared::default();
    let mut listed: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
    match (seal.purged_at, seal.listed()) {
        (Some(at), _) => {
            if seal.purge_mac.as_deref() != Some(seal.purge_code(keys, at)?.as_str()) {
                found.faults.push(Fault::PurgeForged(seal.seq));
            }
            found.purged = u64::try_from(seal.row_count).unwrap_or_default();
        }
        (None, Some(entries)) => listed = entries.into_iter().collect(),
        (None, None) => {
            found.faults.push(Fault::SealChanged(seal.seq));
            return Ok(found);
        }
    }
    let (mut from, until) = (after, seal.end());
    loop {
        let rows: Vec<Row> = db.read(move |db| rows_between(db, from, until, BATCH)).await?;
        let Some(last) = rows.last() else { break };
        from = last.position();
        for row in &rows {
            match listed.remove(&row.id) {
                Some(tag) if seal.fits(row, &tag, keys)? => found.good += 1,
                Some(_) => found.faults.push(Fault::Changed(AuditId(row.id))),
                None if found.faults.len() > MOST_LISTED => {}
                None => found.faults.push(Fault::Inserted(AuditId(row.id))),
            }
        }
    }
    found.removed = listed.into_keys().collect();
    Ok(found)
}

/// Whether the rows of a seal are there as sealed; asked before they are removed, so that no trace of a change is.
pub(super) async fn is_whole(db: &Database, keys: &Arc<AuditKeys>, seal: &Seal, after: Position) -> Result<bool> {
    if !keys.has(&seal.key_id) || seal.code(keys)? != seal.mac {
        return Ok(false);
    }
    let found = compare(db, keys, seal, after).await?;
    Ok(found.faults.is_empty() && found.removed.is_empty())
}
