//! What the database remembers of its backups, for whoever looks after it: rows of `meta`.

use diesel::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use songhe_kernel::schema::meta;
use songhe_kernel::{BothExt, Db, Moment, Result, Tx};

const GOOD: &str = "backup_good";
const FAILED: &str = "backup_failed";
const TICK: &str = "backup_tick";
const SINCE: &str = "backup_since";

/// The last backup that is whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Good {
    pub(crate) at: Moment,
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) seconds: u64,
}

/// The last attempt that failed, in both languages.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) at: Moment,
    pub(crate) zh_cn: String,
    pub(crate) en: String,
}

fn get<T: DeserializeOwned>(db: &mut Db, key: &str) -> Result<Option<T>> {
    let text: Option<String> = meta::table.find(key).select(meta::value).first(db).optional()?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

fn put(tx: &mut Tx<'_>, key: &str, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value)?;
    diesel::insert_into(meta::table)
        .values((meta::key.eq(key), meta::value.eq(&text)))
        .on_conflict(meta::key)
        .do_update()
        .set(meta::value.eq(&text))
        .both()
        .execute(tx.db())?;
    Ok(())
}

pub(crate) fn good(db: &mut Db) -> Result<Option<Good>> {
    get(db, GOOD)
}

/// The last failure, if no good one came after it.
pub(crate) fn failed(db: &mut Db) -> Result<Option<Failed>> {
    let good = good(db)?;
    Ok(get::<Failed>(db, FAILED)?.filter(|failed| good.is_none_or(|good| good.at < failed.at)))
}

pub(crate) fn put_good(tx: &mut Tx<'_>, good: &Good) -> Result<()> {
    put(tx, GOOD, good)?;
    tx.signal("system");
    Ok(())
}

pub(crate) fn put_failed(tx: &mut Tx<'_>, failed: &Failed) -> Result<()> {
    put(tx, FAILED, failed)?;
    tx.signal("system");
    Ok(())
}

/// When a scheduled backup last began, at whichever server.
pub(crate) fn tick(db: &mut Db) -> Result<Option<Moment>> {
    get(db, TICK)
}

/// Takes the backup that is due since `due`. False when another server did: on PostgreSQL it waits here for its commit.
pub(crate) fn claim(tx: &mut Tx<'_>, due: Moment) -> Result<bool> {
    diesel::update(meta::table.find(TICK)).set(meta::value.eq(meta::value)).execute(tx.db())?;
    if tick(tx.db())?.is_some_and(|taken| taken >= due) {
        return Ok(false);
    }
    let now = tx.now();
    put(tx, TICK, &now)?;
    Ok(true)
}

/// Since when backups are expected; set when it is first asked for.
pub(crate) fn expect_from_now(tx: &mut Tx<'_>) -> Result<()> {
    if get::<Moment>(tx.db(), SINCE)?.is_none() {
        let now = tx.now();
        put(tx, SINCE, &now)?;
    }
    Ok(())
}

/// For how many seconds there has been no good backup; `None` where none is expected.
pub(crate) fn age_s(db: &mut Db, now: Moment) -> Result<Option<i64>> {
    let since = get::<Moment>(db, SINCE)?;
    let good = good(db)?.map(|good| good.at);
    Ok(since.max(good).map(|at| now.seconds_since(at).max(0)))
}
