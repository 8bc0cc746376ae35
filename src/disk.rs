//! Room for a SQLite database: measured each second, with a reserve beside the file that is given up when the database is
//! refused any more. On PostgreSQL the database's own refusals tell (`modules/kernel/src/db/room.rs`).

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use songhe_kernel::Database;
use songhe_kernel::db::room::Level;
use tokio::sync::watch;

use crate::config::{self, Config};

const EVERY: Duration = Duration::from_secs(1);
const MB: u64 = 1 << 20;

/// The disk that a SQLite file is on.
pub(crate) struct Disk {
    database: PathBuf,
    /// Beside it, so that it is on the same disk.
    reserve: PathBuf,
    settings: config::Disk,
}

impl Disk {
    /// `None` on PostgreSQL.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let path = config.database.url.strip_prefix("sqlite:")?;
        let path = path.strip_prefix("//").unwrap_or(path);
        Some(Self { database: path.into(), reserve: format!("{path}.reserve").into(), settings: config.disk })
    }

    /// Measures until told to stop.
    pub(crate) async fn keep(self, db: Database, mut stop: watch::Receiver<bool>) {
        let disk = Arc::new(self);
        let holder = disk.clone();
        db.room().relieve_by(move || std::fs::remove_file(&holder.reserve).is_ok());
        let (mut level, mut readable) = (Level::Plenty, true);
        while !*stop.borrow() {
            let here = disk.clone();
            match tokio::task::spawn_blocking(move || here.look(level)).await {
                Ok(Ok((now, free))) => {
                    if now != level {
                        tracing::warn!(level = now.as_str(), free_mb = free / MB, "room for the database");
                    }
                    (level, readable) = (now, true);
                    db.room().measure(level, free);
                    db.set_gauge("disk_free_mb", i64::try_from(free / MB).unwrap_or(i64::MAX));
                }
                Ok(Err(error)) if readable => {
                    readable = false;
                    tracing::warn!(%error, "the room for the database cannot be measured");
                }
                Ok(Err(_)) | Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                changed = stop.changed() => if changed.is_err() { return },
            }
        }
    }

    fn look(&self, before: Level) -> io::Result<(Level, u64)> {
        let free = self.free()?;
        if self.wants_reserve(free)
            && let Err(error) = self.make_reserve()
        {
            tracing::warn!(%error, "no reserve could be made on the database's disk");
            let _ = std::fs::remove_file(&self.reserve);
        }
        Ok((level(self.settings, free, before), free))
    }

    /// Bytes that the database can still take: of the disk, and of what a file may hold (`ulimit -f`).
    fn free(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(folder(&self.database))?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Fsize).current else {
            return Ok(free);
        };
        let size = |path: &Path| std::fs::metadata(path).as_ref().map_or(0, Metadata::len);
        let log = PathBuf::from(format!("{}-wal", self.database.display()));
        Ok(free.min(limit.saturating_sub(size(&self.database).max(size(&log)))))
    }

    fn wants_reserve(&self, free: u64) -> bool {
        let wanted = self.settings.reserve_mb * MB;
        let plenty = self.settings.warn_below_mb * MB + wanted;
        let made = || std::fs::metadata(&self.reserve).is_ok_and(|found| found.len() == wanted);
        wanted > 0 && free >= plenty && !made()
    }

    /// Random bytes: a file system that compresses would keep nothing of zeros.
    fn make_reserve(&self) -> io::Result<()> {
        let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(&self.reserve)?;
        for _ in 0..self.settings.reserve_mb {
            let block: Vec<u8> = (0..MB / 32).flat_map(|_| rand::random::<[u8; 32]>()).collect();
            file.write_all(&block)?;
        }
        file.sync_all()
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What was told stands until there is a quarter more than the limit: it does not come and go.
fn level(settings: config::Disk, free: u64, before: Level) -> Level {
    let below = |mb: u64, told: bool| free < mb * MB + if told { mb * MB / 4 } else { 0 };
    if below(settings.spare_below_mb, before == Level::Short) {
        Level::Short
    } else if below(settings.warn_below_mb, before != Level::Plenty) {
        Level::Low
    } else {
        Level::Plenty
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SETTINGS: config::Disk = config::Disk { warn_below_mb: 100, spare_below_mb: 40, reserve_mb: 2 };

    #[test]
    fn levels_do_not_come_and_go() {
        let after = |free_mb: u64, before| level(SETTINGS, free_mb * MB, before);
        assert_eq!(after(100, Level::Plenty), Level::Plenty);
        assert_eq!(after(99, Level::Plenty), Level::Low);
        assert_eq!((after(110, Level::Low), after(125, Level::Low)), (Level::Low, Level::Plenty));
        assert_eq!(
            (after(39, Level::Low), after(45, Level::Short), after(50, Level::Short)),
            (Level::Short, Level::Short, Level::Low)
        );
        assert_eq!(level(config::Disk::OFF, 0, Level::Short), Level::Plenty);
    }

    #[test]
    fn a_reserve_is_made_where_there_is_plenty_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("songhe.db");
        let reserve = dir.path().join("songhe.db.reserve");
        let disk = Disk { database, reserve: reserve.clone(), settings: SETTINGS };
        assert!(disk.wants_reserve(102 * MB) && !disk.wants_reserve(101 * MB));
        disk.make_reserve().unwrap();
        assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 2 * MB);
        assert!(!disk.wants_reserve(102 * MB));
        std::fs::write(&reserve, "half").unwrap();
        assert!(disk.wants_reserve(102 * MB), "one that a kill left half made");
        assert!(disk.free().unwrap() > 0);
    }
}
