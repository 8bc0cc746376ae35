//! What only the tables can tell.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection as _, PgConnection, SqliteConnection, sql_query};
use songhe_testkit::TestDb;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// A connection of the test's own.
pub enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

macro_rules! on {
    ($connection:expr, |$conn:ident| $body:expr) => {
        match $connection {
            Connection::Sqlite($conn) => $body,
            Connection::Postgres($conn) => $body,
        }
    };
}

impl Connection {
    pub fn open(db: &TestDb) -> Self {
        Self::at(db.url())
    }

    pub fn at(url: &str) -> Self {
        match url.strip_prefix("sqlite:") {
            Some(file) => {
                let mut connection = SqliteConnection::establish(file).unwrap();
                sql_query("PRAGMA busy_timeout = 10000").execute(&mut connection).unwrap();
                Self::Sqlite(connection)
            }
            None => Self::Postgres(PgConnection::establish(url).unwrap()),
        }
    }

    pub fn run(&mut self, sql: &str) -> usize {
        on!(self, |conn| sql_query(sql).execute(conn)).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The number that a query names `n`.
    pub fn number(&mut self, sql: &str) -> i64 {
        let row: QueryResult<Number> = on!(self, |conn| sql_query(sql).get_result(conn));
        row.unwrap_or_else(|error| panic!("{sql}: {error}")).n
    }

    pub fn count(&mut self, from: &str) -> i64 {
        self.number(&format!("SELECT CAST(COUNT(*) AS BIGINT) AS n FROM {from}"))
    }

    /// The texts that a query names `line`.
    pub fn lines(&mut self, sql: &str) -> Vec<String> {
        let rows: QueryResult<Vec<Line>> = on!(self, |conn| sql_query(sql).load(conn));
        rows.unwrap_or_else(|error| panic!("{sql}: {error}")).into_iter().map(|row| row.line).collect()
    }
}
