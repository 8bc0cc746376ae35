//! `[disk]`: what happens when the room for a SQLite database runs out.

use serde::{Deserialize, Serialize};

use super::{Result, wrong};

/// Sizes in MiB; 0 turns a part off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Disk {
    /// Below so much free space the operator is told.
    pub warn_below_mb: u64,
    /// Below so much free space readings are judged and not kept.
    pub spare_below_mb: u64,
    /// Size of the file that is given up when the database has no room.
    pub reserve_mb: u64,
}

impl Default for Disk {
    fn default() -> Self {
        Self { warn_below_mb: 1_024, spare_below_mb: 256, reserve_mb: 64 }
    }
}

/// A terabyte: larger is a typing error.
const MOST_MB: u64 = 1 << 20;

impl Disk {
    /// Nobody is told, nothing is left out, no reserve is kept.
    pub const OFF: Self = Self { warn_below_mb: 0, spare_below_mb: 0, reserve_mb: 0 };

    pub(super) fn check(self) -> Result<()> {
        if self.warn_below_mb != 0 && self.spare_below_mb > self.warn_below_mb {
            return wrong("disk.spare_below_mb must not be above disk.warn_below_mb: people are told first.");
        }
        if [self.warn_below_mb, self.spare_below_mb, self.reserve_mb].iter().any(|mb| *mb > MOST_MB) {
            return wrong("The sizes of [disk] are in MiB, 0 to 1048576.");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn people_are_told_before_readings_are_left_out() {
        let parse = |text: &str| Config::parse(text, std::iter::empty());
        assert!(parse("[disk]\nwarn_below_mb = 100").is_err());
        assert!(parse("[disk]\nwarn_below_mb = 0\nspare_below_mb = 0\nreserve_mb = 0").is_ok());
        assert!(parse("[disk]\nreserve_mb = 2000000").is_err());
    }
}
