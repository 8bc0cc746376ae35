//! A database per test, and the macro that runs each test on SQLite and on PostgreSQL.

use crate::pg;
use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

/// What a fresh test database holds. `fill` gets a database URL and brings that database up
/// (runs the migrations); it must close its connections before it returns. It runs once per
/// cluster on PostgreSQL and once per test process on SQLite; tests get copies.
#[derive(Clone, Copy)]
pub struct Template {
    /// Unique among templates; lower-case letters, digits and underscores.
    pub name: &'static str,
    /// Brings the database at the given URL up.
    pub fill: fn(&str),
}

/// A template without any table.
pub const EMPTY: Template = Template { name: "empty", fill: |_| {} };

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file in a folder of its own.
    Sqlite,
    /// A database on the run's cluster.
    Postgres,
}

enum Holder {
    Sqlite(tempfile::TempDir),
    Postgres(pg::PgDatabase),
}

/// One test's own database; gone when the value is dropped.
pub struct TestDb {
    url: String,
    holder: Holder,
}

impl TestDb {
    /// A copy of `template` on the given kind of database.
    pub fn create(kind: Kind, template: &Template) -> Self {
        match kind {
            Kind::Sqlite => {
                let dir = crate::temp_dir();
                let file = dir.path().join("songhe.db");
                copy_sqlite(&sqlite_template(template), &file);
                Self { url: sqlite_url(&file), holder: Holder::Sqlite(dir) }
            }
            Kind::Postgres => {
                let database = pg::create_database(template);
                Self { url: database.url(), holder: Holder::Postgres(database) }
            }
        }
    }

    /// `sqlite:/folder/songhe.db` or `postgres://…/name`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Which database this is.
    pub fn kind(&self) -> Kind {
        match self.holder {
            Holder::Sqlite(_) => Kind::Sqlite,
            Holder::Postgres(_) => Kind::Postgres,
        }
    }

    /// The SQLite file, if it is one.
    pub fn file(&self) -> Option<PathBuf> {
        match &self.holder {
            Holder::Sqlite(dir) => Some(dir.path().join("songhe.db")),
            Holder::Postgres(_) => None,
        }
    }

    /// The PostgreSQL database, if it is one.
    pub fn postgres(&self) -> Option<&pg::PgDatabase> {
        match &self.holder {
            Holder::Sqlite(_) => None,
            Holder::Postgres(database) => Some(database),
        }
    }
}

/// The URL of a SQLite file.
pub fn sqlite_url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

static SQLITE_TEMPLATES: LazyLock<Mutex<HashMap<&'static str, PathBuf>>> = LazyLock::new(Mutex::default);

fn sqlite_template(template: &Template) -> PathBuf {
    let mut made = SQLITE_TEMPLATES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(file) = made.get(template.name) {
        return file.clone();
    }
    // Kept: other tests of this process copy it, and the reaper removes it at the end.
    let file = crate::temp_dir().keep().join("template.db");
    (template.fill)(&sqlite_url(&file));
    made.insert(template.name, file.clone());
    file
}

fn copy_sqlite(from: &Path, to: &Path) {
    // The write-ahead log is normally folded in when the last connection closes.
    for suffix in ["", "-wal"] {
        let source = PathBuf::from(format!("{}{suffix}", from.display()));
        if source.exists() {
            let target = format!("{}{suffix}", to.display());
            std::fs::copy(&source, &target).unwrap_or_else(|error| panic!("copy to {target}: {error}"));
        }
    }
}

/// Runs an async test body on a runtime where both `tokio::spawn` and actix's local tasks work.
pub fn run_test<F: Future>(body: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("cannot make a runtime");
    let output = tokio::task::LocalSet::new().block_on(&runtime, body);
    // A task that still blocks must not hold the test for ever.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    output
}

/// Emits each test twice, as `name::sqlite` and `name::postgres`, with a database of its own:
///
/// ```
/// mod tests {
///     use songhe_testkit::{TestDb, both_databases};
///     both_databases! {
///         async fn a_database_has_a_url(db: TestDb) {
///             assert!(!db.url().is_empty());
///         }
///     }
/// }
/// ```
///
/// `from PATH;` in front gives the [`Template`] that the databases are copied from; without it
/// they are empty. A test may be `fn` or `async fn`; attributes and doc comments are kept.
#[macro_export]
macro_rules! both_databases {
    (from $template:path; $($tests:tt)*) => {
        $crate::both_databases!(@each $template; $($tests)*);
    };
    (@each $template:path;) => {};
    (@each $template:path; $(#[$meta:meta])* async fn $name:ident($db:ident: $type:ty) $body:block $($rest:tt)*) => {
        mod $name {
            use super::*;
            async fn body($db: $type) $body
            $(#[$meta])*
            #[test]
            fn sqlite() {
                let db = $crate::TestDb::create($crate::Kind::Sqlite, &$template);
                $crate::run_test(body(db));
            }
            $(#[$meta])*
            #[test]
            fn postgres() {
                let db = $crate::TestDb::create($crate::Kind::Postgres, &$template);
                $crate::run_test(body(db));
            }
        }
        $crate::both_databases!(@each $template; $($rest)*);
    };
    (@each $template:path; $(#[$meta:meta])* fn $name:ident($db:ident: $type:ty) $body:block $($rest:tt)*) => {
        mod $name {
            use super::*;
            fn body($db: $type) $body
            $(#[$meta])*
            #[test]
            fn sqlite() {
                body($crate::TestDb::create($crate::Kind::Sqlite, &$template));
            }
            $(#[$meta])*
            #[test]
            fn postgres() {
                body($crate::TestDb::create($crate::Kind::Postgres, &$template));
            }
        }
        $crate::both_databases!(@each $template; $($rest)*);
    };
    ($($tests:tt)*) => {
        $crate::both_databases!(@each $crate::EMPTY; $($tests)*);
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, PgConnection, SqliteConnection};

    const NOTED: Template = Template { name: "kit_noted", fill: |url| execute(url, "CREATE TABLE note (n int)") };

    fn execute(url: &str, sql: &str) {
        match url.strip_prefix("sqlite:") {
            Some(file) => SqliteConnection::establish(file).unwrap().batch_execute(sql).unwrap(),
            None => PgConnection::establish(url).unwrap().batch_execute(sql).unwrap(),
        }
    }

    both_databases! {
        from NOTED;

        /// The body sees the template's table.
        async fn a_test_gets_a_copy_of_the_template(db: TestDb) {
            execute(db.url(), "INSERT INTO note VALUES (1)");
            let spawned = tokio::spawn(async { 1 }).await.unwrap();
            let local = tokio::task::spawn_local(async { 2 }).await.unwrap();
            assert_eq!(spawned + local, 3);
        }

        #[should_panic]
        fn a_plain_function_works_as_well(db: TestDb) {
            execute(db.url(), "SELECT absent FROM note");
        }
    }

    both_databases! {
        async fn without_a_template_it_is_empty(db: TestDb) {
            execute(db.url(), "CREATE TABLE note (n int)");
            assert_eq!(db.kind() == Kind::Sqlite, db.file().is_some());
        }
    }
}
