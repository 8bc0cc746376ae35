//! What is in a database, table by table: how many rows, and a sum over their contents by which a restored copy is
//! compared. The order of rows does not count: each row is hashed by itself, and the hashes are added.

use std::collections::{BTreeMap, BTreeSet};

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use diesel::{PgConnection, SqliteConnection};
use ring::digest;
use serde::{Deserialize, Serialize};
use songhe_kernel::Moment;

use super::Kind;

/// Lies encrypted in the archive.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    pub kind: Kind,
    /// The version of Songhe that wrote it.
    pub version: String,
    /// `SQLite 3.50.2`.
    pub database: String,
    pub created_at: Moment,
    /// The migrations that had run.
    pub schema: Vec<String>,
    /// Of the database's part, in bytes.
    pub bytes: u64,
    pub sha256: String,
    pub tables: Tables,
}

/// By table.
pub type Tables = BTreeMap<String, Sum>;

/// A table's content in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    pub rows: i64,
    /// Sums of two databases of different kinds are not comparable.
    pub sum: String,
}

/// A table of the archive beside the same one in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    pub table: String,
    /// Rows in the archive; `None`: the table is not in it.
    pub archived: Option<i64>,
    /// Rows found; `None`: there is no such table.
    pub found: Option<i64>,
    pub equal: bool,
}

/// Every table of either side.
pub fn compare(archived: &Tables, found: &Tables) -> Vec<Compared> {
    let names: BTreeSet<&String> = archived.keys().chain(found.keys()).collect();
    let one = |name: &String| {
        let (before, now) = (archived.get(name), found.get(name));
        Compared {
            table: name.clone(),
            archived: before.map(|sum| sum.rows),
            found: now.map(|sum| sum.rows),
            equal: before == now,
        }
    };
    names.into_iter().map(one).collect()
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct PgSum {
    #[diesel(sql_type = BigInt)]
    rows: i64,
    #[diesel(sql_type = Text)]
    sum: String,
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn lines<C>(conn: &mut C, sql: &str) -> QueryResult<Vec<String>>
where
    diesel::query_builder::SqlQuery: for<'a> diesel::query_dsl::methods::LoadQuery<'a, C, Line>,
{
    Ok(sql_query(sql).load::<Line>(conn)?.into_iter().map(|row| row.line).collect())
}

const SCHEMA: &str = "SELECT version AS line FROM __diesel_schema_migrations ORDER BY version";

pub(super) fn sqlite_schema(conn: &mut SqliteConnection) -> QueryResult<Vec<String>> {
    lines(conn, SCHEMA)
}

pub(super) fn postgres_schema(conn: &mut PgConnection) -> QueryResult<Vec<String>> {
    lines(conn, SCHEMA)
}

/// Reads every row of a SQLite file; for minutes, if it is large: for a copy, never for the file that is in use.
pub(super) fn sqlite_tables(conn: &mut SqliteConnection) -> QueryResult<Tables> {
    const NAMES: &str = "SELECT name AS line FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' \
                         AND name NOT LIKE 'sqlite_stat%' ORDER BY name";
    let mut tables = Tables::new();
    for table in lines(conn, NAMES)? {
        let columns = sql_query("SELECT name AS line FROM pragma_table_info(?)").bind::<Text, _>(&table);
        let columns: Vec<Line> = columns.load(conn)?;
        let values: Vec<String> = columns.iter().map(|column| format!("quote({})", quoted(&column.line))).collect();
        let rows = sql_query(format!("SELECT {} AS line FROM {}", values.join("||','||"), quoted(&table)));
        let mut sum = Adder::default();
        for row in rows.load_iter::<Line, DefaultLoadingMode>(conn)? {
            sum.add(row?.line.as_bytes());
        }
        tables.insert(table, sum.done());
    }
    Ok(tables)
}

/// The same on PostgreSQL, which adds up by itself; of the snapshot that the transaction has.
pub(super) fn postgres_tables(conn: &mut PgConnection) -> QueryResult<Tables> {
    const NAMES: &str = "SELECT c.relname::text AS line FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace \
                         AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1";
    let mut tables = Tables::new();
    for table in lines(conn, NAMES)? {
        // The halves of each row's MD5, added up apart: against mistakes; against people there is the encryption.
        let half = |at: u32| format!("coalesce(sum(('x' || substr(h, {at}, 16))::bit(64)::bigint), 0)::text");
        let sql = format!(
            "SELECT count(*) AS rows, {} || ':' || {} AS sum FROM (SELECT md5(one_row::text) AS h FROM {} one_row) hashes",
            half(1),
            half(17),
            quoted(&table)
        );
        let PgSum { rows, sum } = sql_query(sql).get_result(conn)?;
        tables.insert(table, Sum { rows, sum });
    }
    Ok(tables)
}

/// Adds the SHA-256 of rows, in four words.
#[derive(Default)]
struct Adder {
    rows: i64,
    words: [u64; 4],
}

impl Adder {
    fn add(&mut self, row: &[u8]) {
        let hash = digest::digest(&digest::SHA256, row);
        for (word, bytes) in self.words.iter_mut().zip(hash.as_ref().chunks_exact(8)) {
            let part = bytes.try_into().map(u64::from_be_bytes).unwrap_or_default();
            *word = word.wrapping_add(part);
        }
        self.rows += 1;
    }

    fn done(self) -> Sum {
        Sum { rows: self.rows, sum: self.words.map(|word| format!("{word:016x}")).concat() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use diesel::connection::SimpleConnection;

    use super::*;

    fn tables(sql: &str) -> Tables {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute(sql).unwrap();
        sqlite_tables(&mut conn).unwrap()
    }

    #[test]
    fn one_changed_value_shows_and_the_order_of_rows_does_not() {
        let made = "CREATE TABLE a (x INTEGER PRIMARY KEY, y TEXT, \"odd \"\"name\" REAL);";
        let one = tables(&format!("{made} INSERT INTO a VALUES (1, 'p', 0.1), (2, NULL, 3)"));
        assert_eq!(one["a"].rows, 2);
        assert_eq!(one, tables(&format!("{made} INSERT INTO a VALUES (2, NULL, 3), (1, 'p', 0.1)")));
        for other in ["(1, 'p', 0.1), (2, '', 3)", "(1, 'q', 0.1), (2, NULL, 3)", "(1, 'p', 0.1)"] {
            let other = tables(&format!("{made} INSERT INTO a VALUES {other}"));
            assert_eq!(compare(&one, &other).iter().filter(|table| !table.equal).count(), 1);
        }
        let gone = compare(&one, &Tables::new());
        assert_eq!((gone[0].archived, gone[0].found, gone[0].equal), (Some(2), None, false));
    }
}
