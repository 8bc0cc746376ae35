//! `[audit]`: where the audit log's keys and anchors are, and for how long its rows are kept.

use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use songhe_kernel::audit::Keeping;

use super::{Config, Result, wrong};

/// From the time within which claims lapse to a human life.
const KEEP_YEARS: std::ops::RangeInclusive<i64> = 3..=100;
const DAYS_OF_A_YEAR: i64 = 366;

/// The audit log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// The keys that seal it; made at the first start. `None`: `keys/audit.key` beside the SQLite file, else
    /// beside `mqtt.data_dir`.
    pub key_file: Option<PathBuf>,
    /// What is remembered of it day by day; best on another machine's disk. `None`: `keys/audit.anchors`.
    pub anchor_file: Option<PathBuf>,
    /// Sealed rows are kept for so many years.
    pub keep_years: i64,
}

impl Default for Audit {
    fn default() -> Self {
        Self { key_file: None, anchor_file: None, keep_years: 5 }
    }
}

impl Audit {
    pub(super) fn check(&self) -> Result<()> {
        if KEEP_YEARS.contains(&self.keep_years) {
            return Ok(());
        }
        wrong(format!(
            "audit.keep_years is {}: give years, from {} to {}.",
            self.keep_years,
            KEEP_YEARS.start(),
            KEEP_YEARS.end()
        ))
    }
}

impl Config {
    /// Where and for how long the audit log is kept.
    ///
    /// # Errors
    /// For a zone that is none.
    pub fn keeping(&self) -> Result<Keeping> {
        let beside = self.database.url.strip_prefix("sqlite:").and_then(|path| {
            Path::new(path.strip_prefix("//").unwrap_or(path)).parent().filter(|folder| !folder.as_os_str().is_empty())
        });
        let keys = match beside {
            Some(folder) => folder.join("keys"),
            None if self.database.url.starts_with("sqlite:") => PathBuf::from("keys"),
            None => self.mqtt.data_dir.parent().unwrap_or(Path::new("")).join("keys"),
        };
        Ok(Keeping {
            key_file: self.audit.key_file.clone().unwrap_or_else(|| keys.join("audit.key")),
            anchor_file: self.audit.anchor_file.clone().unwrap_or_else(|| keys.join("audit.anchors")),
            keep: TimeDelta::days(self.audit.keep_years.saturating_mul(DAYS_OF_A_YEAR)),
            zone: self.zone()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<Config> {
        Config::parse(text, std::iter::empty())
    }

    #[test]
    fn keys_are_beside_the_database_and_never_in_it() {
        let keeping = parse("[database]\nurl = \"sqlite:/srv/songhe/songhe.db\"").unwrap().keeping().unwrap();
        assert_eq!(keeping.key_file, Path::new("/srv/songhe/keys/audit.key"));
        assert_eq!(keeping.head_file(), Path::new("/srv/songhe/keys/audit.head"));
        let own = "[audit]\nkey_file = \"/etc/songhe/audit.key\"\nanchor_file = \"/mnt/far/anchors\"";
        let keeping = parse(own).unwrap().keeping().unwrap();
        assert_eq!(keeping.key_file, Path::new("/etc/songhe/audit.key"));
        assert_eq!(keeping.anchor_file, Path::new("/mnt/far/anchors"));
    }

    #[test]
    fn a_log_that_would_be_thrown_away_too_soon_is_refused() {
        assert!(parse("[audit]\nkeep_years = 2").unwrap_err().0.contains("audit.keep_years"));
        assert!(parse("[audit]\nkeep_years = 30").is_ok());
    }
}
