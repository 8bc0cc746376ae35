//! Seals: what was committed is bound, batch by batch, by a keyed code over its stored bytes and over the seal before.
//!
//! Rows are taken in the order in which they became visible (as events are, see `events`): on PostgreSQL only below the
//! oldest running transaction, so that a row with a lower number that commits late comes into a later batch and into no
//! gap. A seal lists each row with a tag of its own, so that a check can name the row that was changed.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use sha2::{Digest, Sha256};

use super::keys::AuditKeys;
use super::schema::{audit, audit_seal};
use crate::db::{BothExt, Database, Db, MultiBackend};
use crate::error::{Error, Result};
use crate::events::{Position, horizon};
use crate::time::Moment;

/// Rows of one seal at most.
pub const BATCH: i64 = 500;
/// A row's tag: enough that nobody finds another row of the same tag.
const TAG_BYTES: usize = 16;
/// Before the first row.
pub(super) const BEGINNING: Position = Position { epoch: i64::MIN, xid: i64::MIN, seq: i64::MIN };

/// A line of the audit log as stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = audit)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) epoch: i64,
    pub(super) xid: i64,
    pub(super) at: Moment,
    pub(super) actor_kind: String,
    pub(super) actor_id: Option<i64>,
    pub(super) action: String,
    pub(super) subject: String,
    pub(super) facility_id: Option<i64>,
    pub(super) person_id: Option<i64>,
    pub(super) value_before: Option<String>,
    pub(super) value_after: Option<String>,
    pub(super) address: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) session: Option<String>,
    pub(super) reason: Option<String>,
}

impl Row {
    pub(super) fn position(&self) -> Position {
        Position { epoch: self.epoch, xid: self.xid, seq: self.id }
    }

    fn tag(&self, keys: &AuditKeys, key: &str) -> Result<Vec<u8>> {
        let mut code = keys.code(key, "songhe-audit-row-1")?;
        code.number(Some(self.id)).number(Some(self.epoch)).number(Some(self.xid));
        code.number(Some(self.at.utc().timestamp_micros()));
        code.text(Some(&self.actor_kind)).number(self.actor_id).text(Some(&self.action)).text(Some(&self.subject));
        code.number(self.facility_id).number(self.person_id);
        for text in
            [&self.value_before, &self.value_after, &self.address, &self.request_id, &self.session, &self.reason]
        {
            code.text(text.as_deref());
        }
        let mut tag = code.bytes();
        tag.truncate(TAG_BYTES);
        Ok(tag)
    }
}

/// A seal as stored.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_seal)]
pub(super) struct Seal {
    pub(super) seq: i64,
    pub(super) key_id: String,
    pub(super) epoch: i64,
    pub(super) xid: i64,
    pub(super) last_id: i64,
    pub(super) row_count: i32,
    pub(super) newest_at: Moment,
    pub(super) sealed_at: Moment,
    pub(super) listing: Option<Vec<u8>>,
    pub(super) listing_hash: String,
    pub(super) previous: String,
    pub(super) mac: String,
    pub(super) purged_at: Option<Moment>,
    pub(super) purge_mac: Option<String>,
}

impl Seal {
    /// Of rows that follow the seal before, in order.
    fn over(rows: &[Row], before: Option<&Self>, keys: &AuditKeys, now: Moment) -> Result<Option<Self>> {
        let Some(last) = rows.last() else { return Ok(None) };
        let key_id = keys.current().to_owned();
        let listing = listing(rows, keys, &key_id)?;
        let mut seal = Self {
            seq: before.map_or(0, |seal| seal.seq) + 1,
            epoch: last.epoch,
            xid: last.xid,
            last_id: last.id,
            row_count: i32::try_from(rows.len()).map_err(Error::internal)?,
            newest_at: rows.iter().map(|row| row.at).max().unwrap_or(now),
            sealed_at: now,
            listing_hash: hex::encode(Sha256::digest(&listing)),
            listing: Some(listing),
            previous: before.map(|seal| seal.mac.clone()).unwrap_or_default(),
            mac: String::new(),
            key_id,
            purged_at: None,
            purge_mac: None,
        };
        seal.mac = seal.code(keys)?;
        Ok(Some(seal))
    }

    /// Up to and including this row.
    pub(super) fn end(&self) -> Position {
        Position { epoch: self.epoch, xid: self.xid, seq: self.last_id }
    }

    /// What `mac` has to be.
    pub(super) fn code(&self, keys: &AuditKeys) -> Result<String> {
        let mut code = keys.code(&self.key_id, "songhe-audit-seal-1")?;
        code.text(Some(&self.previous)).number(Some(self.seq)).text(Some(&self.key_id));
        code.number(Some(self.epoch)).number(Some(self.xid)).number(Some(self.last_id));
        code.number(Some(self.row_count.into())).text(Some(&self.listing_hash));
        code.number(Some(self.newest_at.utc().timestamp_micros()));
        code.number(Some(self.sealed_at.utc().timestamp_micros()));
        Ok(code.hex())
    }

    /// What `purge_mac` has to be once the rows have had their time.
    pub(super) fn purge_code(&self, keys: &AuditKeys, purged_at: Moment) -> Result<String> {
        let mut code = keys.code(&self.key_id, "songhe-audit-purge-1")?;
        code.number(Some(self.seq)).text(Some(&self.mac)).number(Some(purged_at.utc().timestamp_micros()));
        Ok(code.hex())
    }

    /// Ids and tags that it lists; `None` when the list is not what was sealed.
    pub(super) fn listed(&self) -> Option<Vec<(i64, Vec<u8>)>> {
        let listing = self.listing.as_ref()?;
        if hex::encode(Sha256::digest(listing)) != self.listing_hash {
            return None;
        }
        let entries = listing.chunks_exact(8 + TAG_BYTES).map(|entry| {
            let (id, tag) = entry.split_at(8);
            (i64::from_be_bytes(id.try_into().unwrap_or_default()), tag.to_vec())
        });
        Some(entries.collect())
    }

    /// Whether a row is as it was sealed.
    pub(super) fn fits(&self, row: &Row, tag: &[u8], keys: &AuditKeys) -> Result<bool> {
        Ok(row.tag(keys, &self.key_id)? == tag)
    }
}

fn listing(rows: &[Row], keys: &AuditKeys, key: &str) -> Result<Vec<u8>> {
    let mut listing = Vec::with_capacity(rows.len() * (8 + TAG_BYTES));
    for row in rows {
        listing.extend_from_slice(&row.id.to_be_bytes());
        listing.extend_from_slice(&row.tag(keys, key)?);
    }
    Ok(listing)
}

type Condition = Box<dyn BoxableExpression<audit::table, MultiBackend, SqlType = Bool>>;

/// Compared as a row, so that both databases go straight to its place in the index.
fn compared(how: &str, position: Position) -> Condition {
    let row = sql::<Bool>("(audit.epoch, audit.xid, audit.id) ").sql(how).sql(" (");
    let row = row.bind::<BigInt, _>(position.epoch).sql(", ").bind::<BigInt, _>(position.xid).sql(", ");
    Box::new(row.bind::<BigInt, _>(position.seq).sql(")"))
}

/// Rows after a position, up to and including another, in their order.
pub(super) fn rows_between(db: &mut Db, after: Position, until: Position, limit: i64) -> Result<Vec<Row>> {
    Ok(audit::table
        .filter(compared(">", after))
        .filter(compared("<=", until))
        .order((audit::epoch.asc(), audit::xid.asc(), audit::id.asc()))
        .limit(limit)
        .select(Row::as_select())
        .load(db)?)
}

pub(super) fn newest_seal(db: &mut Db) -> Result<Option<Seal>> {
    Ok(audit_seal::table.order(audit_seal::seq.desc()).select(Seal::as_select()).first(db).optional()?)
}

/// How many rows no seal covers yet, and since when the oldest of them waits.
pub(super) fn unsealed(db: &mut Db, after: Position) -> Result<(i64, Option<Moment>)> {
    let tail = audit::table.filter(compared(">", after));
    Ok(tail.select((diesel::dsl::count_star(), diesel::dsl::min(audit::at))).first(db)?)
}

/// Committed rows after a position that no running transaction can precede.
fn settled(db: &mut Db, after: Position, epoch_now: i64) -> Result<Vec<Row>> {
    let safe: Condition = match db {
        Db::Pg(_) => Box::new(audit::epoch.lt(epoch_now).or(audit::xid.lt(horizon(db)?))),
        Db::Sqlite(_) => Box::new(audit::id.is_not_null()),
    };
    Ok(audit::table
        .filter(compared(">", after))
        .filter(safe)
        .order((audit::epoch.asc(), audit::xid.asc(), audit::id.asc()))
        .limit(BATCH)
        .select(Row::as_select())
        .load(db)?)
}

/// The head of the chain: what an anchor keeps.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Head {
    /// The newest seal.
    pub seq: i64,
    pub mac: String,
    /// When it was made.
    pub at: Moment,
}

/// Seals one batch of what is committed; answers how many rows it covers, 0 when none wait. Two servers may try at once:
/// one of them succeeds.
///
/// # Errors
/// `Internal` when the newest seal was made with a key that is not here: a chain must not be continued blindly.
pub async fn seal_batch(db: &Database, keys: std::sync::Arc<AuditKeys>) -> Result<usize> {
    let (epoch, now) = (db.epoch(), db.clock().now());
    let seal = db
        .read(move |db| {
            let before = newest_seal(db)?;
            if let Some(key) = before.as_ref().map(|seal| &seal.key_id).filter(|key| !keys.has(key)) {
                return Err(Error::Internal(format!(
                    "the audit log was sealed with the key {key}, which is not in the key file: restore it there"
                )));
            }
            let rows = settled(db, before.as_ref().map_or(BEGINNING, Seal::end), epoch)?;
            Seal::over(&rows, before.as_ref(), &keys, now)
        })
        .await?;
    let Some(seal) = seal else { return Ok(0) };
    let covered = usize::try_from(seal.row_count).unwrap_or_default();
    db.write(move |tx| {
        Ok(diesel::insert_into(audit_seal::table)
            .values(seal.clone())
            .on_conflict_do_nothing()
            .both()
            .execute(tx.db())?)
    })
    .await?;
    Ok(covered)
}

/// The newest seal; `None` when nothing was sealed yet.
///
/// # Errors
/// When the database does not answer.
pub fn head(db: &mut Db) -> Result<Option<Head>> {
    Ok(newest_seal(db)?.map(|seal| Head { seq: seal.seq, mac: seal.mac, at: seal.sealed_at }))
}

/// How far the log is sealed, for whoever shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    pub head: Option<Head>,
    /// Rows that wait for their seal.
    pub unsealed: i64,
    /// When the oldest of them was written.
    pub unsealed_since: Option<Moment>,
}

/// # Errors
/// When the database does not answer.
pub fn standing(db: &mut Db) -> Result<Standing> {
    let newest = newest_seal(db)?;
    let (unsealed, unsealed_since) = unsealed(db, newest.as_ref().map_or(BEGINNING, Seal::end))?;
    let head = newest.map(|seal| Head { seq: seal.seq, mac: seal.mac, at: seal.sealed_at });
    Ok(Standing { head, unsealed, unsealed_since })
}
