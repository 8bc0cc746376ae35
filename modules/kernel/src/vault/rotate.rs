//! Another master or index key, while the server runs. The key that is made active counts for new values at once; in slices
//! everything older is wrapped and indexed anew. Until that is done both keys open and both are searched by.

use std::collections::HashMap;

use diesel::prelude::*;

use super::persons::Row;
use super::schema::{blind_index, person_key, vault_key};
use super::{Purpose, SealedColumn, columns};
use crate::db::{BothExt, Database, Db, Tx};
use crate::error::{Error, Result};
use crate::schema::meta;

/// Rows of one transaction.
const SLICE: i64 = 100;

/// Stands while something is still to be done for a new key.
const fn mark(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Master => "vault.rewrap",
        Purpose::Index => "vault.reindex",
    }
}

/// Makes a key the active one.
///
/// # Errors
/// `NotFound` when the database or this server knows none of that number.
pub fn activate(tx: &mut Tx<'_>, purpose: Purpose, number: i16) -> Result<()> {
    if tx.vault().ring().get(purpose, number).is_none() {
        return Err(Error::NotFound);
    }
    let of_purpose = || vault_key::table.filter(vault_key::purpose.eq(purpose.as_str()));
    let found = diesel::update(of_purpose().filter(vault_key::number.eq(number)))
        .set(vault_key::active.eq(true))
        .execute(tx.db())?;
    if found == 0 {
        return Err(Error::NotFound);
    }
    diesel::update(of_purpose().filter(vault_key::number.ne(number)))
        .set(vault_key::active.eq(false))
        .execute(tx.db())?;
    diesel::insert_into(meta::table)
        .values((meta::key.eq(mark(purpose)), meta::value.eq("")))
        .on_conflict(meta::key)
        .do_nothing()
        .both()
        .execute(tx.db())?;
    Ok(())
}

/// How many wrapped keys and index rows still hang on a key.
///
/// # Errors
/// When the database does not answer.
pub fn uses(db: &mut Db, purpose: Purpose, number: i16) -> Result<i64> {
    Ok(match purpose {
        Purpose::Master => person_key::table
            .filter(person_key::master.eq(number).and(person_key::destroyed_at.is_null()))
            .count()
            .get_result(db)?,
        Purpose::Index => blind_index::table.filter(blind_index::number.eq(number)).count().get_result(db)?,
    })
}

/// Forgets a key that nothing hangs on; then it may leave the key file.
///
/// # Errors
/// `Conflict` when it is the active one or something still hangs on it; `NotFound` when it is unknown.
pub fn retire(tx: &mut Tx<'_>, purpose: Purpose, number: i16) -> Result<()> {
    let row = vault_key::table.find((purpose.as_str(), number));
    let active: Option<bool> = row.select(vault_key::active).first(tx.db()).optional()?;
    if active.ok_or(Error::NotFound)? || uses(tx.db(), purpose, number)? > 0 {
        return Err(Error::conflict("vault-error-key-in-use"));
    }
    diesel::delete(row).execute(tx.db())?;
    Ok(())
}

/// Does what is left to do for new keys; answers how many values it touched. Begun again it goes on.
///
/// # Errors
/// When the database refuses, or a key is missing here; what was done stays done.
pub async fn catch_up(db: &Database, columns: &[&'static SealedColumn]) -> Result<usize> {
    let mut done = 0;
    if is_marked(db, Purpose::Master).await? {
        loop {
            let slice = db.write(rewrap_slice).await?;
            done += slice;
            if slice == 0 {
                break;
            }
        }
        unmark(db, Purpose::Master).await?;
    }
    if is_marked(db, Purpose::Index).await? {
        done += reindex(db, columns).await?;
        unmark(db, Purpose::Index).await?;
    }
    Ok(done)
}

async fn is_marked(db: &Database, purpose: Purpose) -> Result<bool> {
    let found = db.read(move |db| Ok(meta::table.find(mark(purpose)).count().get_result::<i64>(db)?)).await?;
    Ok(found > 0)
}

async fn unmark(db: &Database, purpose: Purpose) -> Result<()> {
    db.write(move |tx| Ok(diesel::delete(meta::table.find(mark(purpose))).execute(tx.db())?)).await?;
    Ok(())
}

fn rewrap_slice(tx: &mut Tx<'_>) -> Result<usize> {
    let (active, _) = tx.vault().wraps_by()?;
    let rows: Vec<Row> = person_key::table
        .filter(person_key::master.ne(active).and(person_key::destroyed_at.is_null()))
        .order(person_key::id)
        .limit(SLICE)
        .select(Row::as_select())
        .load(tx.db())?;
    for row in &rows {
        let (master, wrapped) = tx.vault().rewrap(row)?;
        // Destroyed meanwhile it stays destroyed.
        diesel::update(person_key::table.find(row.id).filter(person_key::wrapped.eq(&row.wrapped)))
            .set((person_key::master.eq(master), person_key::wrapped.eq(wrapped)))
            .execute(tx.db())?;
    }
    Ok(rows.len())
}

/// A field with rows of another index key: key id, row id, name of the field.
type Stale = (i64, i64, String);

async fn reindex(db: &Database, columns: &[&'static SealedColumn]) -> Result<usize> {
    let by_field: HashMap<&'static str, &'static SealedColumn> =
        columns.iter().map(|column| (column.field.name, *column)).collect();
    let active = db.vault().active_index()?.number;
    let (mut after, mut done): (Stale, usize) = ((0, 0, String::new()), 0);
    loop {
        let from = after.clone();
        let stale = db.read(move |db| stale(db, active, &from)).await?;
        let Some(last) = stale.last() else { return Ok(done) };
        (after, done) = (last.clone(), done + stale.len());
        let by_field = by_field.clone();
        db.write(move |tx| stale.iter().try_for_each(|one| reindex_one(tx, &by_field, active, one))).await?;
    }
}

fn stale(db: &mut Db, active: i16, after: &Stale) -> Result<Vec<Stale>> {
    let (key, row, field) = after;
    let later = blind_index::key_id
        .gt(key)
        .or(blind_index::key_id.eq(key).and(blind_index::row_id.gt(row)))
        .or(blind_index::key_id.eq(key).and(blind_index::row_id.eq(row)).and(blind_index::field.gt(field)));
    Ok(blind_index::table
        .filter(blind_index::number.ne(active).and(later))
        .select((blind_index::key_id, blind_index::row_id, blind_index::field))
        .distinct()
        .order((blind_index::key_id, blind_index::row_id, blind_index::field))
        .limit(SLICE)
        .load(db)?)
}

fn reindex_one(
    tx: &mut Tx<'_>,
    by_field: &HashMap<&'static str, &'static SealedColumn>,
    active: i16,
    (key_id, row, field): &Stale,
) -> Result<()> {
    let Some(column) = by_field.get(field.as_str()) else {
        tracing::error!(field, "an index of a field that no module of this build has is left as it is");
        return Ok(());
    };
    if let Some(sealed) = columns::stored(tx.db(), column, *row)?
        && sealed.key_id()? == *key_id
    {
        let keys = tx.vault().keys(tx.db(), [&sealed])?;
        let key = keys.get(*key_id).ok_or_else(|| Error::Internal(format!("the key {key_id} does not open")))?;
        if let Some(clear) = key.open(column.field, *row, &sealed)?.clear() {
            tx.index_new_field(key, column.field, *row, &clear)?;
        }
    }
    diesel::delete(
        blind_index::table
            .filter(blind_index::key_id.eq(key_id).and(blind_index::row_id.eq(row)))
            .filter(blind_index::field.eq(field).and(blind_index::number.ne(active))),
    )
    .execute(tx.db())?;
    Ok(())
}
