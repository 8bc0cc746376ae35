//! `[backup]`: what is made by the clock, where it goes and how long it is kept.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use songhe_kernel::schedules::next_tick;
use songhe_kernel::time::DEFAULT_ZONE;
use songhe_kernel::{Clock, SystemClock};

use super::{Result, check_secret, wrong};
use crate::backup::KeySource;

/// Hours without a good backup after which somebody is told.
const WARN_HOURS: std::ops::RangeInclusive<i64> = 1..=8_760;
/// Archives of days, or of weeks.
const KEEP: std::ops::RangeInclusive<usize> = 0..=3_660;

/// Backups by the clock; without a directory there are none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backup {
    pub directory: Option<PathBuf>,
    /// 32 bytes in hex. It, or a passphrase.
    pub key_file: Option<PathBuf>,
    pub passphrase: Option<String>,
    /// Cron with seconds, in `server.zone`.
    pub schedule: String,
    pub keep_days: usize,
    pub keep_weeks: usize,
    pub warn_after_hours: i64,
    /// Folder of `pg_dump` and `pg_restore`.
    pub postgres_tools: Option<PathBuf>,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            directory: None,
            key_file: None,
            passphrase: None,
            schedule: "0 30 2 * * *".into(),
            keep_days: 14,
            keep_weeks: 8,
            warn_after_hours: 36,
            postgres_tools: None,
        }
    }
}

impl Backup {
    /// The key that archives are locked with, if one is given.
    pub fn key(&self) -> Option<KeySource> {
        match (&self.key_file, &self.passphrase) {
            (Some(file), _) => Some(KeySource::File(file.clone())),
            (None, Some(words)) => Some(KeySource::Passphrase(words.clone())),
            (None, None) => None,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.key_file.is_some() && self.passphrase.is_some() {
            return wrong("backup.key_file and backup.passphrase: give one of them.");
        }
        if let Some(directory) = &self.directory {
            match &self.key_file {
                None if self.passphrase.is_none() => {
                    return wrong(
                        "backup.directory is given without a key. `songhe backup key FILE` makes one; name it in \
                         backup.key_file.",
                    );
                }
                Some(key) if key.starts_with(directory) => {
                    return wrong(
                        "backup.key_file lies in backup.directory: whoever took the archives would have their key as \
                         well. Keep it elsewhere.",
                    );
                }
                _ => {}
            }
        }
        if next_tick(&self.schedule, DEFAULT_ZONE, SystemClock::new().now()).is_err() {
            return wrong(format!(
                "backup.schedule {:?} is no time that comes: write second, minute, hour, day, month and day of the week, \
                 for example \"0 30 2 * * *\" for half past two each night.",
                self.schedule
            ));
        }
        if !KEEP.contains(&self.keep_days) || !KEEP.contains(&self.keep_weeks) || self.keep_days + self.keep_weeks == 0
        {
            return wrong("backup.keep_days and backup.keep_weeks must be between 0 and 3660, and not both 0.");
        }
        if !WARN_HOURS.contains(&self.warn_after_hours) {
            return wrong("backup.warn_after_hours must be between 1 and 8760.");
        }
        Ok(())
    }

    pub(super) fn check_production(&self) -> Result<()> {
        self.passphrase.as_ref().map_or(Ok(()), |words| check_secret("backup.passphrase", words))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::config::Config;

    #[test]
    fn backups_need_a_key_that_does_not_lie_beside_them_and_a_time_that_comes() {
        let refused = |text: &str| Config::parse(&format!("[backup]\n{text}"), std::iter::empty()).unwrap_err().0;
        assert!(refused("directory = \"/srv/backups\"").contains("songhe backup key"));
        assert!(refused("directory = \"/srv/b\"\nkey_file = \"/srv/b/key\"").contains("elsewhere"));
        assert!(refused("key_file = \"k\"\npassphrase = \"p\"").contains("one of them"));
        assert!(refused("schedule = \"at night\"").contains("0 30 2 * * *"));
        assert!(refused("keep_days = 0\nkeep_weeks = 0").contains("keep_days"));
        assert!(refused("warn_after_hours = 0").contains("8760"));
        let weak = Config::parse("[backup]\npassphrase = \"secret\"", std::iter::empty()).unwrap();
        assert!(weak.check_production().unwrap_err().0.contains("backup.passphrase"));
    }
}
