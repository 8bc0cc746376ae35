//! What one account may take of the broker, and warnings that do not flood the log.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Most connections of one account at a time, a gateway's included. Without it one stolen credential, under ever new
/// suffixes of the client id, would take them all. The process's own account is exempt.
pub const CONNECTIONS_PER_ACCOUNT: usize = 4;

pub const MINUTE: Duration = Duration::from_secs(60);

/// Whether nine tenths of the connections are taken.
pub const fn nearly_full(connected: usize, most: usize) -> bool {
    connected.saturating_mul(10) >= most.saturating_mul(9)
}

/// Warnings of a minute, at most: names that strangers invent must not fill the memory, nor the log.
const WARNINGS: usize = 1_000;

/// Lets a warning pass once a minute for each account, or whatever else it is about.
#[derive(Default)]
pub struct OnceAMinute(Mutex<HashMap<String, Instant>>);

impl OnceAMinute {
    /// True if the account's last warning is a minute old, or there was none. False if it is one too many.
    pub fn is_due(&self, account: &str, now: Instant) -> bool {
        let mut last = self.0.lock();
        last.retain(|_, at| now.saturating_duration_since(*at) < MINUTE);
        if last.contains_key(account) || last.len() >= WARNINGS {
            return false;
        }
        last.insert(account.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_warned_of_once_a_minute() {
        let (warned, now) = (OnceAMinute::default(), Instant::now());
        assert!(warned.is_due("SH-1", now) && warned.is_due("SH-2", now));
        assert!(!warned.is_due("SH-1", now + Duration::from_secs(59)));
        assert!(warned.is_due("SH-1", now + MINUTE));
        let due = (0..2 * WARNINGS).filter(|n| warned.is_due(&n.to_string(), now + MINUTE)).count();
        assert_eq!(due, WARNINGS - 1);
    }

    #[test]
    fn nine_tenths_are_nearly_full() {
        assert!(!nearly_full(2699, 3000) && nearly_full(2700, 3000) && nearly_full(1, 1) && !nearly_full(0, 1));
    }
}
