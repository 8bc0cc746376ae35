//! Backups by the clock, as `[backup]` says. One server makes them; what was missed while none ran is made up for once.

use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use songhe_kernel::schedules::next_tick;
use songhe_kernel::{Database, Moment, Result, effects};
use tokio::sync::watch;

use super::make::{Made, Order, make};
use super::records::{self, Good};
use super::{KeySource, Outcome, Place, Trouble, shelf, words};

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// After a failure.
const AGAIN_AFTER_S: i64 = 900;
/// Less than the server itself: an emergency is not to wait for a packer.
const NICE: i32 = 10;

/// What is made when, and kept for how long.
#[derive(Debug, Clone)]
pub(crate) struct Routine {
    pub(crate) place: Place,
    pub(crate) folder: PathBuf,
    pub(crate) key: KeySource,
    pub(crate) cron: String,
    pub(crate) zone: Tz,
    pub(crate) keep_days: usize,
    pub(crate) keep_weeks: usize,
    pub(crate) tools: Option<PathBuf>,
}

impl Routine {
    /// The next time after a moment; `None` if it never comes.
    pub(crate) fn next(&self, after: Moment) -> Option<Moment> {
        next_tick(&self.cron, self.zone, after).ok()
    }

    fn order(&self, now: Moment) -> Order {
        Order {
            place: self.place.clone(),
            to: self.folder.join(shelf::name(now)),
            key: self.key.clone(),
            tools: self.tools.clone(),
            now,
        }
    }

    /// Makes one and removes what has had its time.
    fn go(&self, now: Moment) -> Outcome<Made> {
        std::fs::create_dir_all(&self.folder).map_err(super::cannot("backup-unwritten", &self.folder))?;
        let made = make(&self.order(now))?;
        if let Err(Trouble(text)) = shelf::tidy(&self.folder, self.zone, self.keep_days, self.keep_weeks) {
            tracing::warn!(%text, "old backups could not be removed");
        }
        Ok(made)
    }

    /// Makes backups until told to stop.
    pub(crate) async fn run(self, db: Database, mut stop: watch::Receiver<bool>) {
        let mut due = None;
        while !*stop.borrow() {
            match self.look(&db, due).await {
                Ok(next) => due = next,
                Err(error) => tracing::error!(%error, "the schedule of backups stands"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                changed = stop.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Answers when the next one is due.
    async fn look(&self, db: &Database, due: Option<Moment>) -> Result<Option<Moment>> {
        let now = db.clock().now();
        let Some(due) = due else {
            db.write(records::expect_from_now).await?;
            return Ok(self.next(db.read(records::tick).await?.unwrap_or(now)));
        };
        // One that stands far in the future was set before the clock was set back.
        if now < due {
            return Ok(if self.next(now).is_some_and(|next| next < due) { self.next(now) } else { Some(due) });
        }
        // A copy beside the original has no say over the original's archives.
        if db.read(effects::held_since).await?.is_some() || !db.write(move |tx| records::claim(tx, due)).await? {
            return Ok(self.next(now));
        }
        if self.make_and_tell(db, now).await? {
            return Ok(self.next(now));
        }
        let again = now.plus_seconds(AGAIN_AFTER_S);
        Ok(self.next(now).map(|next| next.min(again)))
    }

    /// True if it is whole.
    async fn make_and_tell(&self, db: &Database, now: Moment) -> Result<bool> {
        let routine = self.clone();
        let (send, made) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("backup".into())
            .spawn(move || {
                // On Linux of this thread alone.
                let _ = rustix::process::nice(NICE);
                let _ = send.send(routine.go(now));
            })
            .map_err(songhe_kernel::Error::internal)?;
        let made = made.await.unwrap_or_else(|_| Err(Trouble::of("backup-defect", "the thread ended")));
        match made {
            Ok(made) => {
                tracing::info!(file = %made.path.display(), bytes = made.bytes, ms = made.took.as_millis() as u64, "backup made");
                let good = good(&made);
                db.write(move |tx| records::put_good(tx, &good)).await?;
                Ok(true)
            }
            Err(trouble) => {
                let failed = words::failed(now, &trouble)?;
                tracing::error!(why = failed.en, "no backup was made; it is tried again");
                db.write(move |tx| records::put_failed(tx, &failed)).await?;
                Ok(false)
            }
        }
    }
}

pub(crate) fn good(made: &Made) -> Good {
    Good {
        at: made.manifest.created_at,
        file: made.path.display().to_string(),
        bytes: made.bytes,
        seconds: made.took.as_secs(),
    }
}
