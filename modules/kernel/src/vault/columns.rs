//! What is done to all sealed columns, whatever module they are of: clear values of earlier releases are moved into them, and
//! their indexes are made anew when another index key is active. In slices, while the server runs; begun again it goes on.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Text};

use super::{Field, Person, Sealed};
use crate::db::{Database, Db, Tx, write_connection};
use crate::each;
use crate::error::{Error, Result};
use crate::schema::meta;

/// Rows of one transaction.
const SLICE: usize = 100;
/// Stands while clear values may still be in free pages of the file.
const UNSWEPT: &str = "vault.unswept";

/// A sealed column and whose it is. Names of tables and columns, never input.
#[derive(Debug)]
pub struct SealedColumn {
    pub field: &'static Field,
    /// Its primary key is `id`, which is also the row that its values are bound to.
    pub table: &'static str,
    pub column: &'static str,
    /// The column in which earlier releases kept it in clear.
    pub clear: Option<&'static str>,
    /// [`Person::kind`].
    pub kind: &'static str,
    /// The column of [`Person::id`].
    pub person: &'static str,
}

#[derive(QueryableByName)]
struct ClearRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    person: i64,
    #[diesel(sql_type = Text)]
    clear: String,
}

impl SealedColumn {
    fn person(&self, id: i64) -> Person {
        Person::of(self.kind, id)
    }

    /// Seals a slice of clear values; answers how many. What belongs to somebody erased is dropped.
    fn convert_slice(&self, tx: &mut Tx<'_>, clear: &str) -> Result<usize> {
        let (table, person) = (self.table, self.person);
        let select = format!(
            "SELECT id, {person} AS person, {clear} AS clear FROM {table} WHERE {clear} IS NOT NULL ORDER BY id LIMIT {SLICE}"
        );
        let rows: Vec<ClearRow> = each!(tx.db(), |conn| diesel::sql_query(select).load(conn)?);
        for row in &rows {
            let key = tx.person_key(self.person(row.person))?;
            let sealed = if key.is_destroyed() || row.clear.trim().is_empty() {
                None
            } else {
                tx.index_field(&key, self.field, row.id, Some(&row.clear))?;
                Some(key.seal(self.field, row.id, &row.clear)?)
            };
            self.put(tx.db(), row, clear, sealed)?;
        }
        Ok(rows.len())
    }

    /// In place of the clear value, unless that was changed meanwhile: then the next slice takes it.
    fn put(&self, db: &mut Db, row: &ClearRow, clear: &str, sealed: Option<Sealed>) -> Result<()> {
        let (table, column) = (self.table, self.column);
        let set = |one: &str, two: &str, three: &str| {
            format!("UPDATE {table} SET {column} = {one}, {clear} = NULL WHERE id = {two} AND {clear} = {three}")
        };
        let text = match db {
            Db::Pg(_) => set("$1", "$2", "$3"),
            Db::Sqlite(_) => set("?", "?", "?"),
        };
        each!(db, |conn| diesel::sql_query(text)
            .bind::<diesel::sql_types::Nullable<Binary>, _>(sealed)
            .bind::<BigInt, _>(row.id)
            .bind::<Text, _>(&row.clear)
            .execute(conn)?);
        Ok(())
    }
}

/// What stands in a sealed column; `None`: nothing, or there is no such row any more.
pub(super) fn stored(db: &mut Db, column: &SealedColumn, row: i64) -> Result<Option<Sealed>> {
    #[derive(QueryableByName)]
    struct Value {
        #[diesel(sql_type = diesel::sql_types::Nullable<Binary>)]
        value: Option<Sealed>,
    }
    let (table, name) = (column.table, column.column);
    let place = if matches!(db, Db::Pg(_)) { "$1" } else { "?" };
    let text = format!("SELECT {name} AS value FROM {table} WHERE id = {place}");
    let found: Option<Value> =
        each!(db, |conn| diesel::sql_query(text).bind::<BigInt, _>(row).get_result(conn).optional()?);
    Ok(found.and_then(|found| found.value))
}

/// Moves what earlier releases kept in clear into the sealed columns, and sweeps the file: a SQLite file keeps what was
/// overwritten in its free pages, and its log what it was before. Answers how many values were moved.
///
/// # Errors
/// When the database refuses; what was done until then stays done.
pub async fn convert(db: &Database, columns: Vec<&'static SealedColumn>, url: &str) -> Result<usize> {
    let mut moved = 0;
    for column in columns {
        let Some(clear) = column.clear else { continue };
        loop {
            let done = db
                .write(move |tx| {
                    let done = column.convert_slice(tx, clear)?;
                    if done > 0 { mark_unswept(tx.db()).map(|()| done) } else { Ok(0) }
                })
                .await?;
            moved += done;
            if done == 0 {
                break;
            }
        }
    }
    if db.read(is_unswept).await? {
        if url.starts_with("sqlite:") {
            let url = url.to_owned();
            tokio::task::spawn_blocking(move || sweep(&url)).await.map_err(Error::internal)??;
        }
        db.write(|tx| Ok(diesel::delete(meta::table.find(UNSWEPT)).execute(tx.db())?)).await?;
    }
    Ok(moved)
}

fn mark_unswept(db: &mut Db) -> Result<()> {
    use crate::db::BothExt;
    diesel::insert_into(meta::table)
        .values((meta::key.eq(UNSWEPT), meta::value.eq("")))
        .on_conflict(meta::key)
        .do_nothing()
        .both()
        .execute(db)?;
    Ok(())
}

fn is_unswept(db: &mut Db) -> Result<bool> {
    let mark: Option<String> = meta::table.find(UNSWEPT).select(meta::value).first(db).optional()?;
    Ok(mark.is_some())
}

/// Writes the file anew without its free pages, then empties the log.
fn sweep(url: &str) -> Result<()> {
    let mut db = write_connection(url)?;
    db.batch_execute("VACUUM")?;
    db.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}
