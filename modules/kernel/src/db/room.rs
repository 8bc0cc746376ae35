//! Whether the disk has room for what is written. The server measures it ([`Room::measure`]); the database tells it too,
//! by refusing. What can be spared (readings in the history) is then left out by whoever writes it, so that calls for help
//! and what people do still find room; a reserve that the server holds is given up at the first refusal.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{Database, Tx};
use crate::error::{Error, Result, Text};

/// The Fluent key of what a caller is told; also the sign by which [`Error::is_no_room`] knows it.
pub(super) const NO_ROOM: &str = "error-no-room";
/// For so long after a refusal nothing is written that can be spared. Then one batch tries again.
const SPARE_FOR: Duration = Duration::from_secs(10);
/// For so long a refusal is shown: the try at the end of [`SPARE_FOR`] must not look like an end.
const SHOWN_FOR: Duration = Duration::from_secs(30);
/// How often an operation is run again: it may have been refused with another's rows, or before the reserve was given up.
const RERUNS: usize = 2;

/// How databases say it. SQLite knows a full disk from its other errors, but not a quota or a limit of file sizes, which
/// it calls an input/output error; PostgreSQL repeats the system's words, in the language it was set up in.
const SIGNS: [&str; 7] = [
    "database or disk is full",
    "disk I/O error",
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "设备上没有空间",
    "超出磁盘限额",
];

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    Plenty = 0,
    /// Somebody should look after it.
    Low = 1,
    /// What can be spared is not written.
    Short = 2,
}

impl Level {
    /// `plenty`, `low`, `short`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plenty => "plenty",
            Self::Low => "low",
            Self::Short => "short",
        }
    }
}

type Relief = Box<dyn Fn() -> bool + Send + Sync>;

/// What is known of the room on the disk.
pub struct Room {
    measured: AtomicU8,
    /// Bytes; negative: not known.
    free: AtomicI64,
    /// When the database refused last: milliseconds of the monotonic clock, and one; 0: never.
    refused_at: AtomicU64,
    relief: OnceLock<Relief>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            measured: AtomicU8::new(0),
            free: AtomicI64::new(-1),
            refused_at: AtomicU64::new(0),
            relief: OnceLock::new(),
        }
    }
}

fn ms(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

impl Room {
    /// Keeps what was measured.
    pub fn measure(&self, level: Level, free_bytes: u64) {
        self.free.store(i64::try_from(free_bytes).unwrap_or(i64::MAX), Relaxed);
        self.measured.store(level as u8, Relaxed);
    }

    /// What gives room when the database refuses; it answers whether it did. The first call counts.
    pub fn relieve_by(&self, relief: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.relief.set(Box::new(relief));
    }

    /// As it was measured last; `None` where nobody measures.
    pub fn free_bytes(&self) -> Option<u64> {
        u64::try_from(self.free.load(Relaxed)).ok()
    }

    fn is_measured_short(&self) -> bool {
        self.measured.load(Relaxed) == Level::Short as u8
    }

    fn refused_within(&self, span: Duration, now: Duration) -> bool {
        match self.refused_at.load(Relaxed) {
            0 => false,
            at => ms(now).saturating_sub(at - 1) < ms(span),
        }
    }

    fn refused(&self, now: Duration) {
        if !self.refused_within(SHOWN_FOR, now) {
            tracing::error!("the database has no room for what is written: what can be spared is left out");
        }
        self.refused_at.store(ms(now) + 1, Relaxed);
    }
}

impl Database {
    /// What is known of the room on the database's disk.
    pub fn room(&self) -> &Room {
        &self.inner.room
    }

    /// Whether what can be spared is not to be written now. Asked for each message: two loads as long as all is well.
    pub fn is_short_of_room(&self) -> bool {
        let room = &self.inner.room;
        room.is_measured_short()
            || (room.refused_at.load(Relaxed) != 0 && room.refused_within(SPARE_FOR, self.clock().mono()))
    }

    /// For people: a shortage does not come and go with each attempt.
    pub fn room_level(&self) -> Level {
        let room = &self.inner.room;
        if room.is_measured_short() || room.refused_within(SHOWN_FOR, self.clock().mono()) {
            return Level::Short;
        }
        if room.measured.load(Relaxed) == Level::Low as u8 { Level::Low } else { Level::Plenty }
    }

    /// Writes; what finds no room is run again after the reserve was given up.
    ///
    /// # Errors
    /// `Unavailable` when there is still none.
    pub(super) async fn write_where_room<T, F>(&self, emergency: bool, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let mut left = RERUNS;
        loop {
            let work = f.clone();
            match self.write_on(emergency, move |tx| work(tx)).await {
                Err(error) if error.is_no_room() => {
                    self.inner.room.refused(self.clock().mono());
                    let inner = self.inner.clone();
                    let relieved = move || Ok(inner.room.relief.get().is_some_and(|relief| relief()));
                    if super::blocking(relieved).await? {
                        tracing::warn!("the reserve on the database's disk was given up");
                    }
                    if left == 0 {
                        return Err(Error::Unavailable(Text::key(NO_ROOM)));
                    }
                    left -= 1;
                }
                outcome => return outcome,
            }
        }
    }
}

impl Error {
    /// Whether the disk had no room for it.
    pub fn is_no_room(&self) -> bool {
        match self {
            Self::Unavailable(text) => text.key == NO_ROOM,
            Self::Database(error) => says_no_room(error),
            _ => false,
        }
    }
}

pub(super) fn says_no_room(error: &diesel::result::Error) -> bool {
    use diesel::result::Error as Diesel;
    match error {
        Diesel::DatabaseError(_, info) => SIGNS.iter().any(|sign| info.message().contains(sign)),
        Diesel::RollbackErrorOnCommit { commit_error, .. } => says_no_room(commit_error),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_counts_for_a_while() {
        let (room, at) = (Room::default(), Duration::from_secs(100));
        assert!(!room.refused_within(SHOWN_FOR, at));
        room.refused(at);
        assert!(room.refused_within(SPARE_FOR, at) && room.refused_within(SPARE_FOR, at + SPARE_FOR / 2));
        assert!(!room.refused_within(SPARE_FOR, at + SPARE_FOR) && room.refused_within(SHOWN_FOR, at + SPARE_FOR));
        assert!(!room.refused_within(SHOWN_FOR, at + SHOWN_FOR));
    }
}
