//! PostgreSQL: the run's cluster, and a database per test copied from a template.
//!
//! `tests/run` starts one cluster and hands its URL over as `SONGHE_TEST_PG`. Under a plain
//! `cargo test` each test process starts its own at first use; it ends with the process.

use crate::database::Template;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

struct Cluster {
    url: String,
    /// While this end of the pipe is open the cluster runs (see postgres.sh).
    _lifeline: Option<ChildStdin>,
}

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| match std::env::var("SONGHE_TEST_PG") {
    Ok(url) if !url.is_empty() => Cluster { url, _lifeline: None },
    _ => start_cluster(),
});

static COUNTER: AtomicU32 = AtomicU32::new(0);

#[allow(clippy::zombie_processes)] // it ends after this process, and cannot be waited for
fn start_cluster() -> Cluster {
    let mut child = Command::new("sh")
        .args(["-c", include_str!("../postgres.sh")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("cannot start sh");
    let mut url = String::new();
    let read = BufReader::new(child.stdout.take().expect("stdout was piped")).read_line(&mut url);
    assert!(
        read.is_ok_and(|bytes| bytes > 0),
        "cannot start a private PostgreSQL (its own words are above). Install it \
         (Debian and Ubuntu: apt-get install postgresql), or set SONGHE_TEST_PG to the URL \
         of a cluster where databases may be made and dropped."
    );
    Cluster { url: url.trim().to_owned(), _lifeline: child.stdin.take() }
}

/// A cluster of its own, that nothing has happened in; it ends with the value.
pub struct FreshCluster(Cluster);

impl FreshCluster {
    /// Starts it, in about two seconds.
    pub fn start() -> Self {
        Self(start_cluster())
    }

    /// The URL of a new, empty database.
    pub fn database(&self, name: &str) -> String {
        let mut connection = PgConnection::establish(&self.0.url).expect("the fresh cluster answers");
        run(&mut connection, &format!("CREATE DATABASE \"{name}\" TEMPLATE template0"));
        let (server, _) = self.0.url.rsplit_once('/').expect("the URL ends in /database");
        format!("{server}/{name}")
    }
}

/// The URL of the cluster's maintenance database.
pub fn cluster_url() -> &'static str {
    &CLUSTER.url
}

/// The URL of the database `name` in the cluster.
pub fn url_of(name: &str) -> String {
    let (server, _) = cluster_url().rsplit_once('/').expect("SONGHE_TEST_PG ends in /database");
    format!("{server}/{name}")
}

fn admin() -> PgConnection {
    PgConnection::establish(cluster_url())
        .unwrap_or_else(|error| panic!("cannot connect to the test cluster {}: {error}", cluster_url()))
}

fn run(connection: &mut PgConnection, sql: &str) {
    connection.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

fn count(connection: &mut PgConnection, sql: &str) -> usize {
    sql_query(sql).execute(connection).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// A database of its own for one test; dropped with the value.
pub struct PgDatabase {
    name: String,
}

impl PgDatabase {
    /// The URL to connect to.
    pub fn url(&self) -> String {
        url_of(&self.name)
    }

    /// Ends all connections to it, as a restart of the database server would.
    pub fn disconnect_all(&self) {
        let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", self.name);
        count(&mut admin(), &sql);
    }
}

impl Drop for PgDatabase {
    fn drop(&mut self) {
        // No panic here: a test that is already failing must keep its own message.
        if let Ok(mut connection) = PgConnection::establish(cluster_url()) {
            let sql = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
            let _ = connection.batch_execute(&sql);
        }
    }
}

/// Makes a database from `template`, which is itself made and filled once per cluster.
pub fn create_database(template: &Template) -> PgDatabase {
    let source = ensure_template(template);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = format!("t_{}_{number}", std::process::id());
    let mut connection = admin();
    run(&mut connection, &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"));
    run(&mut connection, &format!("CREATE DATABASE \"{name}\" TEMPLATE \"{source}\""));
    PgDatabase { name }
}

/// Test processes may run side by side, so the template is made under an advisory lock; one that
/// was left half filled is not marked as a template, and is made anew.
fn ensure_template(template: &Template) -> String {
    let name = format!("template_{}", template.name);
    let mut connection = admin();
    run(&mut connection, "SELECT pg_advisory_lock(716253)");
    let found = format!("SELECT 1 FROM pg_database WHERE datname = '{name}' AND datistemplate");
    if count(&mut connection, &found) == 0 {
        run(&mut connection, &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"));
        run(&mut connection, &format!("CREATE DATABASE \"{name}\" TEMPLATE template0"));
        (template.fill)(&url_of(&name));
        run(&mut connection, &format!("ALTER DATABASE \"{name}\" IS_TEMPLATE true"));
    }
    run(&mut connection, "SELECT pg_advisory_unlock(716253)");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILLED: Template = Template {
        name: "kit_filled",
        fill: |url| {
            let mut connection = PgConnection::establish(url).unwrap();
            run(&mut connection, "CREATE TABLE word (w text); INSERT INTO word VALUES ('a'), ('b')");
        },
    };

    #[test]
    fn databases_of_one_template_do_not_see_each_other() {
        let (one, two) = (create_database(&FILLED), create_database(&FILLED));
        let mut first = PgConnection::establish(&one.url()).unwrap();
        run(&mut first, "INSERT INTO word VALUES ('c')");
        let mut second = PgConnection::establish(&two.url()).unwrap();
        assert_eq!(count(&mut second, "SELECT w FROM word"), 2);
        assert_eq!(count(&mut first, "SELECT w FROM word"), 3);
    }

    #[test]
    fn the_database_is_gone_after_the_drop_even_when_connected() {
        let database = create_database(&FILLED);
        let name = database.name.clone();
        let _open = PgConnection::establish(&database.url()).unwrap();
        drop(database);
        let sql = format!("SELECT 1 FROM pg_database WHERE datname = '{name}'");
        assert_eq!(count(&mut admin(), &sql), 0);
    }

    #[test]
    fn a_database_server_that_goes_away_is_felt() {
        let database = create_database(&FILLED);
        let mut open = PgConnection::establish(&database.url()).unwrap();
        database.disconnect_all();
        assert!(open.batch_execute("SELECT 1").is_err());
    }
}
