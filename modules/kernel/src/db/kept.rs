//! Statements whose text grows with the number of their values, and rows that are written together.
//!
//! diesel prepares such a statement anew each time. Parsing costs SQLite more than running it, and PostgreSQL a round
//! trip: on the way of an emergency that is most of the time. With few values there are few texts, and they are kept.

use std::marker::PhantomData;

use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::query_dsl::methods::LoadQuery;
use diesel::sql_types::Integer;

/// Up to so many values a statement is kept: a statement for each number of values of each query stays in memory.
const FEW: usize = 8;

/// A statement that stays prepared although its text depends on the number of its values: `query.kept(ids.len())`.
#[derive(Debug, Clone, Copy)]
pub struct Kept<T> {
    query: T,
    keep: bool,
}

pub trait KeptExt: Sized {
    /// `values`: how many values the longest list in it has.
    fn kept(self, values: usize) -> Kept<Self> {
        Kept { query: self, keep: values <= FEW }
    }

    /// Runs an insert, update or delete that stays prepared. For those whose count of rows nobody asks for.
    fn run_kept<'query, Conn>(self, conn: &mut Conn) -> QueryResult<()>
    where
        Rowless<Kept<Self>>: LoadQuery<'query, Conn, i32>,
    {
        Rowless(self.kept(1)).load(conn).map(drop)
    }
}

impl<T> KeptExt for T {}

/// A query or insert whose text is the same each time, known by the type `K`: diesel finds the prepared statement without
/// writing the text again, which for a row of fifteen columns costs as much as storing it. See [`insert_rows!`].
#[derive(Debug, Clone, Copy)]
pub struct Fixed<K, T> {
    query: T,
    known_by: PhantomData<fn() -> K>,
}

impl<K, T> Fixed<K, T> {
    /// `K` is a type of this one place in the code, and the text of `query` depends on nothing.
    pub fn new(query: T) -> Self {
        Self { query, known_by: PhantomData }
    }

    /// Runs what answers no rows.
    pub fn run<'query, Conn>(self, conn: &mut Conn) -> QueryResult<()>
    where
        Rowless<Self>: LoadQuery<'query, Conn, i32>,
    {
        Rowless(self).load(conn).map(drop)
    }
}

impl<K, T, DB> QueryFragment<DB> for Fixed<K, T>
where
    DB: Backend,
    T: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.query.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<K: 'static, T> QueryId for Fixed<K, T> {
    type QueryId = K;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<K, T: Query> Query for Fixed<K, T> {
    type SqlType = T::SqlType;
}

impl<K, T, Conn> RunQueryDsl<Conn> for Fixed<K, T> {}

/// A statement that answers no rows, run the way queries are: `execute` forgets that a statement is to be kept.
#[derive(Debug, Clone, Copy)]
pub struct Rowless<T>(T);

impl<T, DB> QueryFragment<DB> for Rowless<T>
where
    DB: Backend,
    T: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, backend: &DB) -> QueryResult<bool> {
        self.0.is_safe_to_cache_prepared(backend)
    }
}

impl<T: QueryId> QueryId for Rowless<T> {
    type QueryId = T::QueryId;
    const HAS_STATIC_QUERY_ID: bool = T::HAS_STATIC_QUERY_ID;
}

impl<T> Query for Rowless<T> {
    type SqlType = Integer;
}

impl<T, Conn> RunQueryDsl<Conn> for Rowless<T> {}

impl<T, DB> QueryFragment<DB> for Kept<T>
where
    DB: Backend,
    T: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.query.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, backend: &DB) -> QueryResult<bool> {
        Ok(self.keep || self.query.is_safe_to_cache_prepared(backend)?)
    }
}

impl<T> QueryId for Kept<T> {
    type QueryId = ();
    /// Known by its text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T: Query> Query for Kept<T> {
    type SqlType = T::SqlType;
}

impl<T, Conn> RunQueryDsl<Conn> for Kept<T> {}

/// Writes rows that belong together: on PostgreSQL by one statement, on SQLite, which has no round trips, each by the
/// same prepared statement. `insert_rows!(db, rows, |values| diesel::insert_into(t::table).values(values))`
///
/// The rows' type says `treat_none_as_default_value = false`: the text does not depend on what is in a row.
#[macro_export]
macro_rules! insert_rows {
    ($db:expr, $rows:expr, |$values:ident| $statement:expr) => {{
        // A type of this place alone.
        enum Here {}
        let rows = $rows;
        match $db {
            $crate::db::Db::Pg(conn) if rows.len() > 1 => {
                let $values = rows;
                $statement.execute(conn)?;
            }
            $crate::db::Db::Pg(conn) => {
                for $values in rows {
                    $crate::db::Fixed::<Here, _>::new($statement).run(conn)?;
                }
            }
            $crate::db::Db::Sqlite(conn) => {
                for $values in rows {
                    $crate::db::Fixed::<Here, _>::new($statement).run(conn)?;
                }
            }
        }
    }};
}
