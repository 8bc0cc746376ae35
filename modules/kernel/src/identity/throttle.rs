//! Slows guessing: after five failures for an account from an address, that pair waits, each time twice as long.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

const FREE_FAILURES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Without a further failure for this long, all is forgotten.
const MEMORY: Duration = Duration::from_secs(30 * 60);
/// A bound on what an attacker can make us remember.
const MAX_PAIRS: usize = 10_000;

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Duration,
    blocked_until: Duration,
}

type Pair = (String, IpAddr);

/// Failures by account and address, by the clock that never steps.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    pairs: Mutex<HashMap<Pair, Failures>>,
}

impl Throttle {
    /// Counts an attempt as failed before its password is looked at, so that many at once cannot slip through;
    /// [`Self::forgive`] takes it back.
    ///
    /// # Errors
    /// The seconds to wait.
    pub(super) fn charge(&self, pair: &Pair, now: Duration) -> Result<(), u64> {
        let mut pairs = self.pairs.lock();
        if pairs.len() >= MAX_PAIRS {
            pairs.retain(|_, failures| now < failures.last + MEMORY);
        }
        if pairs.len() >= MAX_PAIRS && !pairs.contains_key(pair) {
            return Err(FIRST_WAIT.as_secs());
        }
        let failures = pairs.entry(pair.clone()).or_insert(Failures { count: 0, last: now, blocked_until: now });
        if now >= failures.last + MEMORY {
            failures.count = 0;
        }
        if now < failures.blocked_until {
            return Err((failures.blocked_until - now).as_secs().max(1));
        }
        failures.count += 1;
        failures.last = now;
        if failures.count >= FREE_FAILURES {
            let doublings = (failures.count - FREE_FAILURES).min(8);
            failures.blocked_until = now + (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT);
        }
        Ok(())
    }

    /// The password was right: the pair starts afresh.
    pub(super) fn forgive(&self, pair: &Pair) {
        self.pairs.lock().remove(pair);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn pair(name: &str) -> Pair {
        (name.to_owned(), IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    #[test]
    fn the_sixth_attempt_waits_and_the_wait_doubles() {
        let throttle = Throttle::default();
        let mut now = Duration::from_secs(100);
        for _ in 0..5 {
            assert_eq!(throttle.charge(&pair("wang"), now), Ok(()));
        }
        assert_eq!(throttle.charge(&pair("wang"), now), Err(30));
        assert_eq!(throttle.charge(&pair("li"), now), Ok(()));
        now += Duration::from_secs(30);
        assert_eq!(throttle.charge(&pair("wang"), now), Ok(()));
        assert_eq!(throttle.charge(&pair("wang"), now), Err(60));
    }

    #[test]
    fn a_right_password_forgives_and_so_does_time() {
        let throttle = Throttle::default();
        let start = Duration::ZERO;
        for _ in 0..4 {
            assert_eq!(throttle.charge(&pair("wang"), start), Ok(()));
        }
        throttle.forgive(&pair("wang"));
        for _ in 0..5 {
            assert_eq!(throttle.charge(&pair("wang"), start), Ok(()));
        }
        assert!(throttle.charge(&pair("wang"), start).is_err());
        let later = start + MEMORY;
        for _ in 0..4 {
            assert_eq!(throttle.charge(&pair("wang"), later), Ok(()));
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        for number in 0..MAX_PAIRS {
            assert_eq!(throttle.charge(&pair(&number.to_string()), Duration::ZERO), Ok(()));
        }
        assert!(throttle.charge(&pair("one more"), Duration::ZERO).is_err());
        assert_eq!(throttle.charge(&pair("one more"), MEMORY), Ok(()));
    }
}
