//! `[accounts]`: what is asked of passwords that people choose.

use serde::{Deserialize, Serialize};
use songhe_kernel::identity::PasswordRules;

use super::{Result, wrong};

/// Shorter ones are guessed; nobody types longer ones at a tablet.
const MIN_CHARS: std::ops::RangeInclusive<usize> = 8..=64;
/// Ten years.
const MAX_DAYS: std::ops::RangeInclusive<i64> = 0..=3_653;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accounts {
    /// Fewest characters of a password.
    pub password_min_chars: usize,
    /// After so many days another password is asked for; 0: never.
    pub password_max_days: i64,
}

impl Default for Accounts {
    fn default() -> Self {
        let PasswordRules { min_chars, max_days } = PasswordRules::default();
        Self { password_min_chars: min_chars, password_max_days: max_days }
    }
}

impl Accounts {
    pub(super) fn check(&self) -> Result<()> {
        if !MIN_CHARS.contains(&self.password_min_chars) {
            return wrong("accounts.password_min_chars must be between 8 and 64.");
        }
        if !MAX_DAYS.contains(&self.password_max_days) {
            return wrong("accounts.password_max_days must be between 0 (never) and 3653.");
        }
        Ok(())
    }

    pub fn rules(&self) -> PasswordRules {
        PasswordRules { min_chars: self.password_min_chars, max_days: self.password_max_days }
    }
}
