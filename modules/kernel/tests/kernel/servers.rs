//! Several servers on one PostgreSQL: what they tell each other, and whose turn it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use songhe_kernel::db::DatabaseSettings;
use songhe_kernel::runtime::{self, Opened};
use songhe_kernel::servers::{Intake, Introduction, Servers, Term};
use songhe_kernel::{Database, Error, NewEvent, SystemClock, Tx};
use songhe_testkit::{Kind, MIGRATED, TestDb, eventually, eventually_true, run_test};
use tokio::sync::broadcast::Receiver;

const SOON: Duration = Duration::from_secs(20);

async fn open(test: &TestDb) -> Opened {
    let mut settings = DatabaseSettings::new(test.url());
    settings.connections = 2;
    runtime::open(&settings, Arc::new(SystemClock::new())).await.unwrap()
}

async fn join(test: &TestDb) -> (Opened, Servers) {
    let opened = open(test).await;
    let who = Introduction { name: "here".into(), intake: Intake::Shared, mqtt_session: "songhe-1".into() };
    let servers = Servers::join(&opened, test.url(), who).await.unwrap().expect("PostgreSQL has others");
    (opened, servers)
}

async fn term(servers: &Servers) -> Arc<Term> {
    let terms = servers.peers().terms();
    eventually("a turn", SOON, || {
        let term = terms.borrow().clone();
        async move { term }
    })
    .await
}

/// Waits for a topic, passing others; answers how many signals of lost ones came before.
async fn heard(signals: &mut Receiver<songhe_kernel::db::Signal>, topic: &str) -> usize {
    let mut gaps = 0;
    tokio::time::timeout(SOON, async {
        loop {
            let signal = signals.recv().await.unwrap();
            gaps += usize::from(signal.is_gap());
            if &*signal.topic == topic {
                return;
            }
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{topic} was not heard"));
    gaps
}

fn note(tx: &mut Tx<'_>, word: &str) -> songhe_kernel::Result<()> {
    tx.publish(NewEvent {
        kind: "kernel.test.said",
        version: 1,
        facility: None,
        subject: word.to_owned(),
        actor: None,
        data: serde_json::json!({}),
    })
}

#[test]
fn what_one_signals_the_other_hears_also_after_a_lost_connection() {
    run_test(async {
        let test = TestDb::create(Kind::Postgres, &MIGRATED);
        let ((one, _one), (two, _two)) = (join(&test).await, join(&test).await);
        let (mut here, mut there) = (one.db.signals(), two.db.signals());
        one.db.signal("first");
        assert_eq!(heard(&mut there, "first").await, 0);
        one.db
            .write(|tx| {
                tx.signal("second");
                Ok(())
            })
            .await
            .unwrap();
        heard(&mut there, "second").await;
        heard(&mut here, "second").await;
        two.db.signal("back");
        heard(&mut here, "back").await;
        while let Ok(signal) = here.try_recv() {
            assert!(!["first", "second"].contains(&&*signal.topic), "its own signal came back to it");
        }
        test.postgres().unwrap().disconnect_all();
        // Whoever listens is told that something may be missing, and hears again.
        let mut gaps = 0;
        eventually_true("the line is back", SOON, || {
            one.db.signal("third");
            while let Ok(signal) = there.try_recv() {
                gaps += usize::from(signal.is_gap());
            }
            let back = gaps > 0;
            async move { back }
        })
        .await;
        one.db.signal("fourth");
        heard(&mut there, "fourth").await;
    });
}

#[test]
fn what_an_earlier_holder_writes_is_refused() {
    run_test(async {
        let test = TestDb::create(Kind::Postgres, &MIGRATED);
        let (one, servers) = join(&test).await;
        let turn = term(&servers).await;
        let fenced = one.db.fenced(turn.clone());
        fenced.write(|tx| note(tx, "mine")).await.unwrap();
        // Another takes over, and this one's own clock does not tell it.
        let mut sql = PgConnection::establish(test.url()).unwrap();
        sql.batch_execute("UPDATE server_duty SET token = token + 1").unwrap();
        assert!(turn.holds());
        for refused in [fenced.write(|tx| note(tx, "late")).await, fenced.write_emergency(|tx| note(tx, "late")).await]
        {
            assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        }
        eventually_true("it notices", SOON, || async { !turn.holds() }).await;
        // It gets another turn; what belongs to the earlier one stays refused.
        let again = eventually("another turn", SOON, || {
            let term = servers.peers().terms().borrow().clone();
            async move { term }
        })
        .await;
        assert!(fenced.write(|tx| note(tx, "late")).await.is_err());
        one.db.fenced(again).write(|tx| note(tx, "again")).await.unwrap();
        one.db.write(|tx| note(tx, "a page's")).await.unwrap();
        assert_eq!(subjects(&one.db).await, ["mine", "again", "a page's"]);
    });
}

async fn subjects(db: &Database) -> Vec<String> {
    use diesel::prelude::*;
    use songhe_kernel::schema::event;
    db.read(|db| Ok(event::table.order(event::seq).select(event::subject).load(db)?)).await.unwrap()
}

#[test]
fn the_turn_goes_over_when_it_is_given_back_and_when_its_holder_is_gone() {
    run_test(async {
        let test = TestDb::create(Kind::Postgres, &MIGRATED);
        let ((first, one), (_, two)) = (join(&test).await, join(&test).await);
        let turn = term(&one).await;
        assert!(two.peers().terms().borrow().is_none(), "one at a time");
        let seen = eventually("both are known", SOON, || {
            let view = two.peers().view();
            async move { (view.alive.len() == 2 && view.holder.is_some()).then_some(view) }
        })
        .await;
        assert_eq!(seen.holder.unwrap().number, first.number.cast_signed());
        one.hand_over();
        term(&two).await;
        assert!(!turn.holds());
        // It does not ask for another turn, and the other one leaves.
        drop(two);
        let (_, three) = join(&test).await;
        term(&three).await;
        three.leave().await;
        assert!(one.peers().terms().borrow().is_none());
    });
}

/// Events of an epoch that is over are never read again: it must not end under the hands of a server that writes.
#[test]
fn a_server_that_starts_while_another_writes_keeps_the_epoch() {
    run_test(async {
        let test = TestDb::create(Kind::Postgres, &MIGRATED);
        let first = open(&test).await;
        let epoch = first.db.epoch();
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..2 {
            let (db, stop) = (first.db.clone(), stop.clone());
            writers.spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    db.write(|tx| note(tx, "busy")).await.unwrap();
                }
            });
        }
        for _ in 0..25 {
            assert_eq!(open(&test).await.db.epoch(), epoch);
        }
        stop.store(true, Ordering::SeqCst);
        while writers.join_next().await.is_some() {}
    });
}
