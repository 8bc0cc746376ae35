//! The lane of everything that is no emergency: while one batch commits, the next one gathers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use songhe_kernel::{Database, Error, Result, Text};
use tokio::sync::{mpsc, oneshot};

use crate::batch::{store_all, store_one};
use crate::ingest::{Accepted, Arrival, STORED};
use crate::newest::{self, Newest};
use crate::refused::{self, is_passing};
use crate::sparing;

/// Messages written together at most.
const BATCH: usize = 500;
/// A batch of so many messages is load: the latest states of a while are then written together.
const LOAD: usize = 32;
/// How long they may wait for that.
const TOGETHER: Duration = Duration::from_secs(1);
/// Under load a batch gathers for so long, or until it is whole, or until nothing comes any more: few large transactions
/// leave the machine to the calls for help. A lone message does not wait.
const GATHERING: Duration = Duration::from_millis(24);
/// Nothing came for so long: who sends waits for its acknowledgement.
const LULL: Duration = Duration::from_millis(3);

/// A message and whoever waits for its commit.
pub(crate) type Waiting = (Arrival, oneshot::Sender<Result<Accepted>>);

/// Runs the lane until nobody can send to it any more.
pub(crate) async fn gather(db: Database, mut arrivals: mpsc::Receiver<Waiting>) {
    if let Err(error) = db.write(newest::catch_up).await {
        tracing::warn!(%error, "the latest states could not be brought up to what was stored before the start");
    }
    let mut waiting = Vec::with_capacity(BATCH);
    let mut pending = Newest::default();
    let mut written = Instant::now();
    let mut loaded = false;
    loop {
        let due = written + TOGETHER;
        tokio::select! {
            count = arrivals.recv_many(&mut waiting, BATCH) => if count == 0 { break },
            () = tokio::time::sleep_until(due.into()), if !pending.is_empty() => {}
        }
        if loaded {
            gather_more(&mut arrivals, &mut waiting).await;
        }
        loaded = waiting.len() >= LOAD;
        let (batch, answers): (Vec<Arrival>, Vec<_>) = waiting.drain(..).unzip();
        let batch = Arc::new(batch);
        db.set_gauge("ingest_batch", i64::try_from(batch.len()).unwrap_or(i64::MAX));
        let later = loaded && Instant::now() < due;
        let earlier = Arc::new(if later { Newest::default() } else { std::mem::take(&mut pending) });
        let (work, before) = (batch.clone(), earlier.clone());
        let stored = db.write(move |tx| {
            let (results, newest) = store_all(tx, &work)?;
            if later {
                return Ok((results, newest));
            }
            before.write(tx.db())?;
            newest.write(tx.db())?;
            Ok((results, Newest::default()))
        });
        match stored.await {
            Ok((results, newest)) => {
                pending.merge(newest);
                if !later {
                    written = Instant::now();
                }
                db.add_to_gauge(STORED, results.len());
                for (answer, result) in answers.into_iter().zip(results) {
                    let _ = answer.send(Ok(result));
                }
            }
            Err(error) => {
                pending.merge(Newest::clone(&earlier));
                refuse(&db, &batch, answers, error).await;
            }
        }
    }
    if let Err(error) = db.write(move |tx| pending.write(tx.db())).await {
        tracing::warn!(%error, "the latest states were not written; the next start makes that good");
    }
}

async fn gather_more(arrivals: &mut mpsc::Receiver<Waiting>, waiting: &mut Vec<Waiting>) {
    let until = Instant::now() + GATHERING;
    while waiting.len() < BATCH && Instant::now() < until {
        let room = BATCH - waiting.len();
        tokio::time::sleep(LULL).await;
        let before = waiting.len();
        while waiting.len() - before < room
            && let Ok(one) = arrivals.try_recv()
        {
            waiting.push(one);
        }
        if waiting.len() == before {
            break;
        }
    }
}

async fn refuse(db: &Database, batch: &[Arrival], answers: Vec<oneshot::Sender<Result<Accepted>>>, error: Error) {
    let error = if error.is_no_room() {
        match sparing::store(db, batch).await {
            Ok(results) => {
                return answers.into_iter().zip(results).for_each(|(answer, result)| drop(answer.send(Ok(result))));
            }
            Err(error) => error,
        }
    } else {
        error
    };
    if is_passing(&error) {
        tracing::error!(%error, messages = batch.len(), "the database does not answer, a batch must come again");
        for answer in answers {
            let _ = answer.send(Err(Error::Unavailable(Text::key("error-database-unreachable"))));
        }
        return;
    }
    // One message that the database refuses must not hold back the others: each by itself.
    tracing::warn!(%error, messages = batch.len(), "batch refused, messages are stored one by one");
    for (arrival, answer) in batch.iter().cloned().zip(answers) {
        let _ = answer.send(store_alone(db, arrival).await);
    }
}

/// A message of a batch that was refused.
async fn store_alone(db: &Database, arrival: Arrival) -> Result<Accepted> {
    let arrival = Arc::new(arrival);
    let work = arrival.clone();
    match db.write(move |tx| store_one(tx, &work)).await {
        Err(error) if !is_passing(&error) => refused::keep(db, arrival, error).await,
        outcome => outcome,
    }
}
