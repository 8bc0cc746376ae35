//! The statements by which servers know each other. All times are the database's own.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, SmallInt, Text};
use diesel::{PgConnection, sql_query};

use super::LEASE_MS;

/// The duty of taking device messages.
pub(super) const INGEST: &str = "ingest";

/// Held by whoever has the duty.
const HOLDER_LOCK: i64 = 727_105;
/// Held by every server, and by one with a broker of its own alone.
const HERE_LOCK: i64 = 727_106;

/// Now, in Unix milliseconds.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

#[derive(QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    flag: bool,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// A server's row.
#[derive(QueryableByName)]
pub(super) struct Server {
    #[diesel(sql_type = Text)]
    pub(super) instance: String,
    #[diesel(sql_type = SmallInt)]
    pub(super) number: i16,
    #[diesel(sql_type = Text)]
    pub(super) name: String,
    #[diesel(sql_type = Text)]
    pub(super) mqtt_session: String,
    #[diesel(sql_type = BigInt)]
    pub(super) started_ms: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) silent_ms: i64,
}

/// The row of the duty.
#[derive(QueryableByName)]
pub(super) struct Duty {
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) instance: Option<String>,
    #[diesel(sql_type = SmallInt)]
    pub(super) number: i16,
    #[diesel(sql_type = BigInt)]
    pub(super) token: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) since_ms: i64,
    /// Until it runs out; negative when it has.
    #[diesel(sql_type = BigInt)]
    pub(super) left_ms: i64,
}

fn flag(conn: &mut PgConnection, sql: &str) -> QueryResult<bool> {
    Ok(sql_query(sql).get_result::<Flag>(conn)?.flag)
}

/// This connection keeps it until it ends.
pub(super) fn lock_holder(conn: &mut PgConnection) -> QueryResult<bool> {
    flag(conn, &format!("SELECT pg_try_advisory_lock({HOLDER_LOCK}) AS flag"))
}

pub(super) fn unlock_holder(conn: &mut PgConnection) -> QueryResult<()> {
    flag(conn, &format!("SELECT pg_advisory_unlock({HOLDER_LOCK}) AS flag")).map(drop)
}

pub(super) fn lock_here(conn: &mut PgConnection, alone: bool) -> QueryResult<bool> {
    let shared = if alone { "" } else { "_shared" };
    flag(conn, &format!("SELECT pg_try_advisory_lock{shared}({HERE_LOCK}) AS flag"))
}

/// Says that this server is alive; answers whether it had not been known, or not any more.
pub(super) fn beat(
    conn: &mut PgConnection,
    instance: &str,
    number: i16,
    name: &str,
    mqtt_session: &str,
) -> QueryResult<bool> {
    let sql = format!(
        "INSERT INTO server (instance, number, name, mqtt_session, started_ms, beat_ms) \
         VALUES ($1, $2, $3, $4, {NOW}, {NOW}) ON CONFLICT (instance) DO UPDATE SET beat_ms = EXCLUDED.beat_ms \
         RETURNING (xmax = 0) AS flag"
    );
    let said = sql_query(sql).bind::<Text, _>(instance).bind::<SmallInt, _>(number).bind::<Text, _>(name);
    Ok(said.bind::<Text, _>(mqtt_session).get_result::<Flag>(conn)?.flag)
}

pub(super) fn servers(conn: &mut PgConnection) -> QueryResult<Vec<Server>> {
    sql_query(format!(
        "SELECT instance, number, name, mqtt_session, started_ms, {NOW} - beat_ms AS silent_ms FROM server ORDER BY number"
    ))
    .load(conn)
}

pub(super) fn duty(conn: &mut PgConnection) -> QueryResult<Option<Duty>> {
    sql_query(format!(
        "SELECT instance, number, token, since_ms, until_ms - {NOW} AS left_ms FROM server_duty WHERE duty = '{INGEST}'"
    ))
    .get_result(conn)
    .optional()
}

/// Prolongs the holder's lease; false when it is not the holder any more.
pub(super) fn renew(conn: &mut PgConnection, instance: &str, token: i64) -> QueryResult<bool> {
    let sql = format!(
        "UPDATE server_duty SET until_ms = {NOW} + {LEASE_MS} WHERE duty = '{INGEST}' AND instance = $1 AND token = $2"
    );
    Ok(sql_query(sql).bind::<Text, _>(instance).bind::<BigInt, _>(token).execute(conn)? == 1)
}

/// Takes the duty over from the turn with that token; the next token, or `None` when somebody else was quicker.
pub(super) fn take(conn: &mut PgConnection, instance: &str, number: i16, before: i64) -> QueryResult<Option<i64>> {
    let sql = format!(
        "UPDATE server_duty SET instance = $1, number = $2, token = token + 1, since_ms = {NOW}, \
         until_ms = {NOW} + {LEASE_MS} WHERE duty = '{INGEST}' AND token = $3 RETURNING token AS n"
    );
    let taken = sql_query(sql).bind::<Text, _>(instance).bind::<SmallInt, _>(number).bind::<BigInt, _>(before);
    Ok(taken.get_result::<Number>(conn).optional()?.map(|row| row.n))
}

/// Ends the database sessions of a server; answers how many are still there.
pub(super) fn end_sessions(conn: &mut PgConnection, number: i16) -> QueryResult<i64> {
    let theirs = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 \
                  AND pid <> pg_backend_pid()";
    let name = crate::db::session_name(number);
    sql_query(format!("SELECT pg_terminate_backend(pid) AS flag {theirs}")).bind::<Text, _>(&name).execute(conn)?;
    let left = sql_query(format!("SELECT count(*) AS n {theirs}")).bind::<Text, _>(&name);
    Ok(left.get_result::<Number>(conn)?.n)
}

/// Gives the duty back, if this server has it.
pub(super) fn give_back(conn: &mut PgConnection, instance: &str) -> QueryResult<()> {
    let sql = "UPDATE server_duty SET instance = NULL, until_ms = 0 WHERE instance = $1";
    sql_query(sql).bind::<Text, _>(instance).execute(conn).map(drop)
}

/// Gives back everything that is this server's.
pub(super) fn leave(conn: &mut PgConnection, instance: &str) -> QueryResult<()> {
    give_back(conn, instance)?;
    for sql in ["DELETE FROM open_stream WHERE instance = $1", "DELETE FROM server WHERE instance = $1"] {
        sql_query(sql).bind::<Text, _>(instance).execute(conn)?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Stream {
    #[diesel(sql_type = Text)]
    stream: String,
}

/// Forgets a server that has been silent for too long; answers the streams that ended with it.
pub(super) fn bury(conn: &mut PgConnection, instance: &str, silent_ms: i64) -> QueryResult<Vec<String>> {
    conn.transaction(|conn| {
        let gone = sql_query(format!("DELETE FROM server WHERE instance = $1 AND {NOW} - beat_ms > $2"));
        if gone.bind::<Text, _>(instance).bind::<BigInt, _>(silent_ms).execute(conn)? == 0 {
            return Ok(Vec::new());
        }
        let ended = sql_query("DELETE FROM open_stream WHERE instance = $1 RETURNING stream");
        let ended: Vec<Stream> = ended.bind::<Text, _>(instance).load(conn)?;
        Ok(ended.into_iter().map(|row| row.stream).collect())
    })
}

/// Tells the other servers.
pub(super) fn notify(conn: &mut PgConnection, payload: &str) -> QueryResult<()> {
    sql_query("SELECT pg_notify('songhe', $1)").bind::<Text, _>(payload).execute(conn).map(drop)
}
