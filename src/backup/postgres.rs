//! PostgreSQL: by its own tools, which know every version's ways. `pg_dump` writes into the archive and `pg_restore` reads
//! from it: no plain copy touches the disk.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text as SqlText};
use diesel::{PgConnection, sql_query};
use songhe_kernel::Text;

use super::archive::{DATABASE, NewArchive};
use super::manifest::{Tables, postgres_schema, postgres_tables};
use super::pack::Part;
use super::{Outcome, Trouble, of_database};

/// One backup of a database at a time.
const LOCK: i64 = 727_105;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = SqlText)]
    v: String,
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

/// A connection on which rows read as the same text whatever the server is set to.
pub(super) fn open(url: &str) -> Outcome<PgConnection> {
    let mut conn = PgConnection::establish(url).map_err(of_database)?;
    conn.batch_execute(
        "SET TIME ZONE 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET extra_float_digits = 1; \
         SET bytea_output = 'hex'; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0",
    )
    .map_err(of_database)?;
    Ok(conn)
}

fn word(conn: &mut PgConnection, sql: &str) -> Outcome<String> {
    Ok(sql_query(sql).get_result::<Word>(conn).map_err(of_database)?.v)
}

fn number(conn: &mut PgConnection, sql: &str) -> Outcome<i64> {
    Ok(sql_query(sql).get_result::<Number>(conn).map_err(of_database)?.n)
}

/// What a dump is of, all from one snapshot.
pub(super) struct Dumped {
    pub(super) part: Part,
    pub(super) tables: Tables,
    pub(super) schema: Vec<String>,
    pub(super) database: String,
}

/// About how large the database is, in bytes.
pub(super) fn size(url: &str) -> Outcome<u64> {
    let bytes = number(&mut open(url)?, "SELECT pg_database_size(current_database()) AS n")?;
    Ok(u64::try_from(bytes).unwrap_or_default())
}

/// Dumps into the archive, and sums up the same snapshot.
pub(super) fn dump(url: &str, tools: Option<&Path>, archive: &mut NewArchive) -> Outcome<Dumped> {
    let mut conn = open(url)?;
    let locked: Answer = sql_query("SELECT pg_try_advisory_lock($1) AS yes")
        .bind::<BigInt, _>(LOCK)
        .get_result(&mut conn)
        .map_err(of_database)?;
    if !locked.yes {
        return Err(Trouble(Text::key("backup-another-runs")));
    }
    let database = format!("PostgreSQL {}", word(&mut conn, "SELECT current_setting('server_version') AS v")?);
    // Read only: it takes no transaction id, so that no event waits for it.
    conn.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").map_err(of_database)?;
    let snapshot = word(&mut conn, "SELECT pg_export_snapshot() AS v")?;
    let schema = postgres_schema(&mut conn).map_err(of_database)?;
    let mut tool = Tool::start("pg_dump", tools, url, |command| {
        command.args(["--format=custom", "--compress=0", "--no-owner", "--no-privileges", "--no-comments"]);
        command.arg(format!("--snapshot={snapshot}")).stdin(Stdio::null()).stdout(Stdio::piped());
    })?;
    let mut out = tool.child.stdout.take().ok_or_else(|| Trouble::of("backup-defect", "no pipe"))?;
    let packed = archive.add(DATABASE, &mut out);
    drop(out);
    let ended = tool.end();
    // A disk that is full is the reason, and the tool's broken pipe what follows from it.
    let part = packed?;
    ended?;
    let tables = postgres_tables(&mut conn).map_err(of_database)?;
    conn.batch_execute("COMMIT").map_err(of_database)?;
    Ok(Dumped { part, tables, schema, database })
}

/// Restores into an empty database: all of it or nothing.
pub(super) fn load(url: &str, tools: Option<&Path>, from: &mut impl Read) -> Outcome<()> {
    let mut tool = Tool::start("pg_restore", tools, url, |command| {
        command.args(["--format=custom", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
    })?;
    let mut into = tool.child.stdin.take().ok_or_else(|| Trouble::of("backup-defect", "no pipe"))?;
    let copied = io::copy(from, &mut into).and_then(|_| into.flush());
    if let Err(error) = &copied
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        // Before its input ends: what it has so far must not be taken for the whole.
        let _ = tool.child.kill();
    }
    drop(into);
    tool.end()?;
    copied.map(drop).map_err(|error| Trouble::of("backup-interrupted", error))
}

/// # Errors
/// When the database holds anything already.
pub(super) fn expect_nothing(conn: &mut PgConnection) -> Outcome<()> {
    const OURS: &str = "SELECT count(*) AS n FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace \
         WHERE s.nspname NOT IN ('pg_catalog', 'information_schema') AND s.nspname NOT LIKE 'pg\\_%' \
         AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
         AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')";
    match number(conn, OURS)? {
        0 => Ok(()),
        n => Err(Trouble(Text::key("backup-target-is-full").arg("n", n))),
    }
}

/// A database that goes when the value does.
pub(super) struct PassingDatabase {
    cluster: PgConnection,
    name: String,
    pub(super) url: String,
}

impl PassingDatabase {
    /// On the cluster of `url`.
    pub(super) fn beside(url: &str) -> Outcome<Self> {
        let mut cluster = open(url)?;
        let name = format!("songhe_verify_{}", hex::encode(rand::random::<[u8; 6]>()));
        cluster
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0"))
            .map_err(|error| Trouble::of("backup-no-passing-database", error))?;
        Ok(Self { cluster, url: named(url, &name), name })
    }
}

impl Drop for PassingDatabase {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(error) = self.cluster.batch_execute(&sql) {
            tracing::warn!(%error, database = self.name, "a database made for a comparison is still there");
        }
    }
}

/// The same cluster's database of that name.
fn named(url: &str, name: &str) -> String {
    let (place, parameters) = url.split_once('?').map_or((url, None), |(place, rest)| (place, Some(rest)));
    let (scheme, rest) = place.split_once("://").unwrap_or(("postgres", place));
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    let parameters = parameters.map(|rest| format!("?{rest}")).unwrap_or_default();
    format!("{scheme}://{host}/{name}{parameters}")
}

/// A program of PostgreSQL at work. Its words are kept, since they tell what is wrong.
struct Tool {
    name: &'static str,
    child: Child,
    said: JoinHandle<String>,
}

impl Tool {
    fn start(name: &'static str, folder: Option<&Path>, url: &str, set: impl FnOnce(&mut Command)) -> Outcome<Self> {
        let program = folder.map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
        // Everybody on the machine sees the arguments.
        let (url, password) = without_password(url);
        let mut command = Command::new(&program);
        command.arg("--no-password").arg(format!("--dbname={url}")).stderr(Stdio::piped());
        if let Some(password) = password {
            command.env("PGPASSWORD", password);
        }
        set(&mut command);
        let mut child = command.spawn().map_err(|error| {
            let key =
                if error.kind() == io::ErrorKind::NotFound { "backup-no-tool" } else { "backup-tool-does-not-run" };
            Trouble(Text::key(key).arg("tool", program.display()).arg("why", error))
        })?;
        let stderr = child.stderr.take();
        let said = std::thread::spawn(move || {
            let mut said = Vec::new();
            if let Some(mut stderr) = stderr {
                let _ = stderr.read_to_end(&mut said);
            }
            String::from_utf8_lossy(&said).trim().to_owned()
        });
        Ok(Self { name, child, said })
    }

    fn end(mut self) -> Outcome<()> {
        let ended = self.child.wait().map_err(|error| Trouble::of("backup-defect", error))?;
        let said = self.said.join().unwrap_or_default();
        if ended.success() { Ok(()) } else { Err(failed(self.name, ended, &said)) }
    }
}

fn failed(name: &str, ended: ExitStatus, said: &str) -> Trouble {
    let why = if said.is_empty() { ended.to_string() } else { said.to_owned() };
    Trouble(Text::key("backup-tool-failed").arg("tool", name).arg("why", why))
}

/// The URL without its password, and the password.
fn without_password(url: &str) -> (String, Option<String>) {
    let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
    let (mut shown, mut password) = (place.to_owned(), None);
    if let Some((scheme, rest)) = place.split_once("://")
        && let Some((account, host)) = rest.rsplit_once('@')
        && let Some((user, secret)) = account.split_once(':')
    {
        shown = format!("{scheme}://{user}@{host}");
        password = Some(decoded(secret));
    }
    let mut kept = Vec::new();
    for pair in parameters.split('&').filter(|pair| !pair.is_empty()) {
        match pair.strip_prefix("password=") {
            Some(secret) => password = Some(decoded(secret)),
            None => kept.push(pair),
        }
    }
    if !kept.is_empty() {
        shown = format!("{shown}?{}", kept.join("&"));
    }
    (shown, password)
}

/// `%40` is `@`.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let two = after.get(..2).filter(|_| *first == b'%').and_then(|two| hex::decode(two).ok());
        match two {
            Some(decoded) => {
                bytes.extend(decoded);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_no_argument() {
        for (url, shown, password) in [
            ("postgres://a:p%40s%3As@h:1/d?sslmode=require", "postgres://a@h:1/d?sslmode=require", Some("p@s:s")),
            ("postgres://h/d?user=a&password=x%25y", "postgres://h/d?user=a", Some("x%y")),
            ("postgres://a:p@ss@h/d", "postgres://a@h/d", Some("p@ss")),
            ("postgres://a@h/d", "postgres://a@h/d", None),
            ("postgres:///d", "postgres:///d", None),
        ] {
            assert_eq!(without_password(url), (shown.to_owned(), password.map(str::to_owned)), "{url}");
        }
    }

    #[test]
    fn a_passing_database_is_on_the_same_cluster() {
        assert_eq!(named("postgres://a:b@h:1/d?sslmode=require", "x"), "postgres://a:b@h:1/x?sslmode=require");
        assert_eq!(named("postgres://a@h", "x"), "postgres://a@h/x");
    }
}
