//! The audit log: what is written, what is sealed, and that every attack on its tables is found and named.

use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use serde_json::json;
use songhe_kernel::audit::{
    AuditEntry, AuditId, AuditKeys, Fault, Filter, Found, Head, Keeping, Report, add_anchor, head, purge_batch,
    read_anchors, round, seal_batch, search, standing, verify,
};
use songhe_kernel::db::DatabaseSettings;
use songhe_kernel::identity::Scope;
use songhe_kernel::{Database, Db, ManualClock, each};
use songhe_testkit::{MIGRATED, TestDb, both_databases, eventually_true};

use crate::support::Server;

/// A log with a key of its own.
struct Log {
    db: Database,
    clock: Arc<ManualClock>,
    keys: Arc<AuditKeys>,
}

impl Log {
    fn open(test: &TestDb) -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-22T08:00:00Z".parse().unwrap()));
        let db = Database::open(&DatabaseSettings::new(test.url()), clock.clone(), 0).unwrap();
        let keys = Arc::new(AuditKeys::parse(&"5a".repeat(32)).unwrap());
        Self { db, clock, keys }
    }

    /// So many lines, each in a transaction of its own.
    async fn write(&self, count: usize) {
        for number in 0..count {
            let entry = AuditEntry::new("bed.clean", "bed_0000000000001").after(json!({ "clean": number }));
            self.db.write(move |tx| tx.audit(entry.clone())).await.unwrap();
        }
    }

    async fn seal(&self) -> usize {
        seal_batch(&self.db, self.keys.clone()).await.unwrap()
    }

    /// One seal over everything that waits. Another test's transaction on the cluster may hold rows back for a moment.
    async fn seal_all(&self) {
        let settled = |db: &mut Db| match db {
            Db::Sqlite(_) => Ok(true),
            Db::Pg(conn) => Ok(diesel::sql_query(
                "SELECT 1 FROM audit WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
            )
            .execute(conn)?
                == 0),
        };
        eventually_true("settled rows", Duration::from_secs(30), || async { self.db.read(settled).await.unwrap() })
            .await;
        assert!(self.seal().await > 0);
        assert_eq!(self.db.read(standing).await.unwrap().unsealed, 0);
    }

    /// Rounds of the keeper until nothing waits.
    async fn rounds(&self, keeping: &Keeping, anchored: &mut Option<NaiveDate>) {
        for _ in 0..600 {
            round(&self.db, keeping, anchored).await.unwrap();
            if self.db.read(standing).await.unwrap().unsealed == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("rows stay unsealed");
    }

    async fn head(&self) -> Head {
        self.db.read(head).await.unwrap().unwrap()
    }

    async fn verify(&self, anchors: &[Head]) -> Report {
        verify(&self.db, self.keys.clone(), anchors).await.unwrap()
    }

    async fn faults(&self) -> Vec<Fault> {
        self.verify(&[]).await.faults
    }

    /// As somebody would who has the database and not the key.
    async fn attack(&self, sql: &str) -> usize {
        let sql = sql.to_owned();
        let run = move |tx: &mut songhe_kernel::Tx<'_>| {
            Ok(each!(tx.db(), |conn| diesel::sql_query(sql.as_str()).execute(conn))?)
        };
        self.db.write(run).await.unwrap()
    }

    async fn ids(&self) -> Vec<i64> {
        let mut found = self.db.read(|db| search(db, &Filter::new(Scope::All), 1_000)).await.unwrap();
        found.reverse();
        found.into_iter().map(|line| line.id.0).collect()
    }

    /// A row like another one, at its place in the order, under a new id.
    async fn forge(&self, like: i64, position: &str) -> AuditId {
        let id = -like;
        let copied = format!(
            "INSERT INTO audit (id, epoch, xid, at, actor_kind, action, subject) \
             SELECT {id}, epoch, {position}, at, actor_kind, action, subject FROM audit WHERE id = {like}"
        );
        assert_eq!(self.attack(&copied).await, 1);
        AuditId(id)
    }
}

both_databases! {
    from MIGRATED;

    async fn what_is_as_it_was_sealed_is_good_and_the_tail_is_told(test: TestDb) {
        let log = Log::open(&test);
        log.write(5).await;
        log.seal_all().await;
        log.write(3).await;
        let report = log.verify(&[log.head().await]).await;
        assert_eq!((report.is_good(), report.good, report.anchors), (true, 5, 1));
        assert_eq!(report.unsealed, 3, "the tail");
        assert_eq!(report.unsealed_since.unwrap().to_string(), "2026-11-22T08:00:00Z");
        log.seal_all().await;
        let report = log.verify(&[]).await;
        assert_eq!((report.is_good(), report.good, report.unsealed), (true, 8, 0));
        assert!(report.seals >= 2);
    }

    async fn a_row_that_was_changed_removed_inserted_or_swapped_is_named(test: TestDb) {
        let log = Log::open(&test);
        log.write(12).await;
        log.seal_all().await;
        log.write(2).await;
        log.seal_all().await;
        let ids = log.ids().await;
        for column in ["action", "subject", "actor_kind", "value_after", "address", "request_id", "session", "reason"] {
            log.attack(&format!("UPDATE audit SET {column} = 'forged' WHERE id = {}", ids[1])).await;
            assert_eq!(log.faults().await, [Fault::Changed(AuditId(ids[1]))], "{column}");
            let back = match column {
                "action" => "'bed.clean'",
                "subject" => "'bed_0000000000001'",
                "actor_kind" => "'system'",
                "value_after" => "'{\"clean\":1}'",
                _ => "NULL",
            };
            log.attack(&format!("UPDATE audit SET {column} = {back} WHERE id = {}", ids[1])).await;
            assert_eq!(log.faults().await, [], "{column} put back");
        }
        for column in ["actor_id", "facility_id", "person_id"] {
            log.attack(&format!("UPDATE audit SET {column} = 7 WHERE id = {}", ids[2])).await;
            assert_eq!(log.faults().await, [Fault::Changed(AuditId(ids[2]))], "{column}");
            log.attack(&format!("UPDATE audit SET {column} = NULL WHERE id = {}", ids[2])).await;
        }
        log.attack(&format!("UPDATE audit SET at = '2026-11-22 08:00:01' WHERE id = {}", ids[3])).await;
        assert_eq!(log.faults().await, [Fault::Changed(AuditId(ids[3]))]);
        log.attack(&format!("DELETE FROM audit WHERE id = {}", ids[5])).await;
        let inserted = log.forge(ids[6], "xid").await;
        // Two rows change places.
        log.attack(&format!("UPDATE audit SET subject = 'bed_0000000000002' WHERE id = {}", ids[8])).await;
        log.attack(&format!("UPDATE audit SET id = -1 WHERE id = {}", ids[8])).await;
        log.attack(&format!("UPDATE audit SET id = {} WHERE id = {}", ids[8], ids[9])).await;
        log.attack(&format!("UPDATE audit SET id = {} WHERE id = -1", ids[9])).await;
        // One goes to the end, as if it had come last.
        log.attack(&format!("UPDATE audit SET epoch = epoch + 5 WHERE id = {}", ids[10])).await;
        let mut faults = log.faults().await;
        faults.sort_by_key(|fault| format!("{fault:?}"));
        let changed = [ids[3], ids[8], ids[9], ids[10]].map(|id| Fault::Changed(AuditId(id)));
        let mut expected = changed.to_vec();
        expected.push(Fault::Removed(AuditId(ids[5])));
        expected.push(Fault::Inserted(inserted));
        expected.sort_by_key(|fault| format!("{fault:?}"));
        assert_eq!(faults, expected);
        assert_eq!(log.verify(&[]).await.good, 14 - 5);
    }

    async fn an_end_that_was_cut_off_is_found_by_its_anchor(test: TestDb) {
        let log = Log::open(&test);
        log.write(4).await;
        log.seal_all().await;
        let first = log.head().await;
        log.write(4).await;
        log.seal_all().await;
        let anchor = log.head().await;
        let ids = log.ids().await;
        // Rows and their seals: without an anchor nothing is left that could tell.
        log.attack(&format!("DELETE FROM audit WHERE id > {}", ids[3])).await;
        log.attack(&format!("DELETE FROM audit_seal WHERE seq > {}", first.seq)).await;
        assert!(log.verify(std::slice::from_ref(&first)).await.is_good());
        let report = log.verify(&[first.clone(), anchor.clone()]).await;
        assert_eq!(report.faults, [Fault::CutOff(anchor.seq, anchor.at)]);
        // Written anew over it, the anchor still knows.
        log.write(4).await;
        log.seal_all().await;
        let report = log.verify(&[first, anchor.clone()]).await;
        assert!(report.faults.contains(&Fault::AnchorDiffers(anchor.seq, anchor.at)), "{report:?}");
        log.attack("DELETE FROM audit").await;
        log.attack("DELETE FROM audit_seal").await;
        assert_eq!(log.verify(std::slice::from_ref(&anchor)).await.faults, [Fault::CutOff(anchor.seq, anchor.at)]);
    }

    async fn seals_that_were_changed_or_removed_are_named(test: TestDb) {
        let log = Log::open(&test);
        for _ in 0..3 {
            log.write(2).await;
            log.seal_all().await;
        }
        let seals = log.head().await.seq;
        log.attack("UPDATE audit_seal SET row_count = 1 WHERE seq = 1").await;
        assert_eq!(log.faults().await, [Fault::SealChanged(1)]);
        log.attack("UPDATE audit_seal SET row_count = 2 WHERE seq = 1").await;
        log.attack("UPDATE audit_seal SET listing = NULL WHERE seq = 2").await;
        assert_eq!(log.faults().await, [Fault::SealChanged(2)]);
        log.attack("DELETE FROM audit_seal WHERE seq = 2").await;
        assert_eq!(log.faults().await, [Fault::SealsRemoved(2, 2)]);
        log.attack("DELETE FROM audit_seal WHERE seq = 1").await;
        assert_eq!(log.faults().await, [Fault::SealsRemoved(1, 2)]);
        // Who has another key can make other seals, and is found out by the key.
        log.attack("DELETE FROM audit_seal").await;
        let other = Arc::new(AuditKeys::parse(&"77".repeat(32)).unwrap());
        assert_eq!(seal_batch(&log.db, other.clone()).await.unwrap(), 6);
        assert_eq!(log.faults().await, [Fault::KeyMissing(1, other.current().to_owned())]);
        assert!(seals >= 3);
        let refused = seal_batch(&log.db, log.keys.clone()).await;
        assert!(refused.is_err(), "a chain is not continued with another key");
    }

    async fn what_has_had_its_time_goes_by_whole_batches_and_the_rest_can_be_checked(test: TestDb) {
        let log = Log::open(&test);
        log.write(3).await;
        log.seal_all().await;
        log.clock.advance(Duration::from_secs(86_400));
        log.write(2).await;
        log.seal_all().await;
        let anchor = log.head().await;
        let before = "2026-11-23T00:00:00Z".parse().unwrap();
        while purge_batch(&log.db, &log.keys, before).await.unwrap() {}
        assert_eq!(log.ids().await.len(), 2);
        let report = log.verify(std::slice::from_ref(&anchor)).await;
        assert_eq!((report.is_good(), report.good, report.purged, report.anchors), (true, 2, 3, 1));
        // A row that comes back, and a purge that nobody with the key did.
        let ids = log.ids().await;
        log.attack(&format!("UPDATE audit_seal SET listing = NULL, purged_at = sealed_at, purge_mac = mac WHERE seq = {}", anchor.seq)).await;
        log.attack(&format!("DELETE FROM audit WHERE id = {}", ids[1])).await;
        assert_eq!(log.faults().await, [Fault::PurgeForged(anchor.seq), Fault::Inserted(AuditId(ids[0]))]);
    }

    async fn a_batch_that_was_changed_is_not_removed_as_if_nothing_had_been(test: TestDb) {
        let log = Log::open(&test);
        log.write(3).await;
        log.seal_all().await;
        let ids = log.ids().await;
        log.attack(&format!("UPDATE audit SET subject = 'x' WHERE id = {}", ids[0])).await;
        assert!(purge_batch(&log.db, &log.keys, "2027-01-01T00:00:00Z".parse().unwrap()).await.is_err());
        assert_eq!(log.faults().await, [Fault::Changed(AuditId(ids[0]))]);
    }

    async fn a_round_makes_the_key_seals_anchors_and_remembers(test: TestDb) {
        let log = Log::open(&test);
        let folder = tempfile::tempdir().unwrap();
        let keeping = Keeping {
            key_file: folder.path().join("keys/audit.key"),
            anchor_file: folder.path().join("far/audit.anchors"),
            keep: TimeDelta::days(1_830),
            zone: chrono_tz::Asia::Shanghai,
        };
        log.write(3).await;
        let mut anchored = None;
        log.rounds(&keeping, &mut anchored).await;
        let keys = Arc::new(AuditKeys::read(&keeping.key_file).unwrap().unwrap());
        let daily = read_anchors(&keeping.anchor_file).unwrap();
        assert_eq!(daily.len(), 1);
        // The same day's next seal is remembered, and anchored the day after.
        log.write(1).await;
        log.rounds(&keeping, &mut anchored).await;
        assert_eq!(read_anchors(&keeping.anchor_file).unwrap(), daily);
        assert_eq!(read_anchors(&keeping.head_file()).unwrap(), [log.head().await]);
        let newest = log.head().await;
        log.clock.advance(Duration::from_secs(86_400));
        round(&log.db, &keeping, &mut anchored).await.unwrap();
        assert_eq!(read_anchors(&keeping.anchor_file).unwrap().last(), Some(&newest));
        assert!(verify(&log.db, keys.clone(), &keeping.anchors().unwrap()).await.unwrap().is_good());
        // An end that is cut off within the day is found by what this server remembers, also after it went on.
        log.attack(&format!("DELETE FROM audit_seal WHERE seq = {}", newest.seq)).await;
        log.attack(&format!("DELETE FROM audit WHERE id = {}", log.ids().await[3])).await;
        log.write(1).await;
        log.rounds(&keeping, &mut anchored).await;
        let report = verify(&log.db, keys, &keeping.anchors().unwrap()).await.unwrap();
        assert!(!report.is_good(), "{report:?}");
        // A key that is lost is not replaced silently.
        std::fs::remove_file(&keeping.key_file).unwrap();
        let lost = round(&log.db, &keeping, &mut anchored).await.unwrap_err().to_string();
        assert!(lost.contains("new-key") && !keeping.key_file.exists(), "{lost}");
        assert!(add_anchor(&keeping.anchor_file, &newest).is_ok());
    }

    async fn a_row_that_commits_late_is_sealed_and_no_seal_passes_it_over(test: TestDb) {
        let Some(_) = test.postgres() else { return };
        let log = Log::open(&test);
        log.write(2).await;
        log.seal_all().await;
        let mut late = PgConnection::establish(test.url()).unwrap();
        let insert = "INSERT INTO audit (epoch, at, actor_kind, action, subject) \
                      VALUES (0, '2026-11-22 08:00:00', 'system', 'late.row', 'x')";
        diesel::sql_query("BEGIN").execute(&mut late).unwrap();
        diesel::sql_query(insert).execute(&mut late).unwrap();
        log.write(2).await;
        assert_eq!(log.seal().await, 0, "what came later waits for it");
        diesel::sql_query("COMMIT").execute(&mut late).unwrap();
        log.seal_all().await;
        let report = log.verify(&[]).await;
        assert_eq!((report.is_good(), report.good, report.unsealed), (true, 5, 0));
    }

    async fn a_request_that_changes_something_leaves_a_line_once(test: TestDb) {
        let server = Server::start(&test).await;
        let token = server.token("nurse").await;
        let add = || server.post("/api/v1/beds").bearer(&token).header("Idempotency-Key", "one").json(&json!({ "name": "1" }));
        let answer = add().send().await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert_eq!(add().send().await.status, 201);
        let lines = lines(&server, "request.").await;
        assert_eq!(lines.len(), 1, "sent again nothing is done: {lines:?}");
        let line = &lines[0];
        assert_eq!((line.action.as_str(), line.actor_name.as_str()), ("request.post", "王护士"));
        assert_eq!(line.after.as_deref(), Some(r#"{"route":"/api/v1/beds"}"#));
        assert_eq!(line.request_id.as_deref(), Some(id.as_str()));
        assert_eq!(line.address.as_deref(), Some("127.0.0.1"));
        assert!(line.session.as_deref().unwrap().starts_with("ses_"));
        // What is refused changes nothing and leaves none.
        let refused = server.post("/api/v1/beds").bearer(&token).json(&json!({ "name": "" })).send().await;
        assert_eq!(refused.status, 422, "{}", refused.body);
        assert_eq!(self::lines(&server, "request.").await.len(), 1);
    }

    async fn who_comes_in_stays_out_or_leaves_is_written_down(test: TestDb) {
        let server = Server::start(&test).await;
        for (user, password) in [("nurse", "a-typed-secret"), ("no-such-user-secret", "x")] {
            let body = json!({ "username": user, "password": password });
            assert_eq!(server.post("/api/v1/session").json(&body).send().await.status, 401);
        }
        let token = server.token("nurse").await;
        assert_eq!(server.request("DELETE", "/api/v1/session").bearer(&token).send().await.status, 204);
        let mut lines = lines(&server, "session.").await;
        lines.reverse();
        let told: Vec<(&str, &str)> =
            lines.iter().map(|line| (line.action.as_str(), line.actor_kind.as_str())).collect();
        assert_eq!(told, [("session.refuse", "stranger"), ("session.refuse", "stranger"), ("session.open", "user"), ("session.close", "user")]);
        assert!(lines[0].subject.starts_with("usr_") && lines[1].subject.is_empty());
        assert_eq!(lines[2].subject, lines[3].subject);
        let all = format!("{lines:?}");
        assert!(!all.contains("secret"), "what was typed is not kept: {all}");
    }

    async fn a_read_is_committed_before_its_answer_and_readers_share_commits(test: TestDb) {
        let server = Server::start(&test).await;
        let token = server.token("nurse").await;
        let read = || server.get("/api/v1/beds/bed_0000000000001/chart").bearer(&token).send();
        assert_eq!(read().await.status, 200);
        assert_eq!(lines(&server, "bed.read").await.len(), 1);
        let before = server.app.db.gauge("audit_read_commits");
        // While the database is busy, forty readers come.
        let mut busy = Busy::hold(&test);
        let mut many = vec![tokio::task::spawn_local(read())];
        let first = || async { server.app.db.gauge("audit_read_commits") - before == 1 };
        eventually_true("the first reader", Duration::from_secs(4), first).await;
        many.extend((0..39).map(|_| tokio::task::spawn_local(read())));
        let all_there = || async { server.app.db.gauge("audit_reads_waiting") >= 39 };
        eventually_true("forty readers", Duration::from_secs(4), all_there).await;
        assert!(many.iter().all(|one| !one.is_finished()), "nobody is answered before the commit");
        busy.release();
        for one in many {
            assert_eq!(one.await.unwrap().status, 200);
        }
        assert_eq!(lines(&server, "bed.read").await.len(), 41);
        assert_eq!(server.app.db.gauge("audit_read_commits") - before, 2, "the first one's, and that of all others");
        // What cannot be written down is not shown.
        let drop_table = |tx: &mut songhe_kernel::Tx<'_>| Ok(each!(tx.db(), |conn| diesel::sql_query("ALTER TABLE audit RENAME TO audit_gone").execute(conn))?);
        server.app.db.write(drop_table).await.unwrap();
        let refused = read().await;
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert!(!refused.body.contains("chart"), "{}", refused.body);
    }
}

async fn lines(server: &Server, action: &str) -> Vec<Found> {
    let filter = Filter { action: Some(action.to_owned()), ..Filter::new(Scope::All) };
    server.app.db.read(move |db| search(db, &filter, 1_000)).await.unwrap()
}

/// Somebody else who writes: until released nothing can be committed to the audit log.
enum Busy {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Busy {
    fn hold(test: &TestDb) -> Self {
        match test.url().strip_prefix("sqlite:") {
            Some(file) => {
                let mut conn = SqliteConnection::establish(file).unwrap();
                conn.batch_execute("BEGIN IMMEDIATE").unwrap();
                Self::Sqlite(conn)
            }
            None => {
                let mut conn = PgConnection::establish(test.url()).unwrap();
                conn.batch_execute("BEGIN; LOCK TABLE audit IN EXCLUSIVE MODE").unwrap();
                Self::Postgres(conn)
            }
        }
    }

    fn release(&mut self) {
        match self {
            Self::Sqlite(conn) => conn.batch_execute("COMMIT").unwrap(),
            Self::Postgres(conn) => conn.batch_execute("COMMIT").unwrap(),
        }
    }
}
