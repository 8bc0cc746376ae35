//! Slows guessing: after five failures for an account from an address that pair waits, and after thirty failures from an
//! address, whatever the accounts, that address; each time twice as long.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;

const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// After this long all is forgotten.
const MEMORY: Duration = Duration::from_secs(30 * 60);
/// A bound on what an attacker can make us remember; beyond it the oldest is forgotten, and nobody is refused.
const MAX_ENTRIES: usize = 10_000;

/// When a table's entries wait, and when they are forgotten.
struct Rule {
    free_failures: u32,
    /// Whether [`MEMORY`] begins anew with each failure. Not for an address: a whole house may be behind it, where
    /// somebody mistypes every few minutes.
    prolonged: bool,
}

const PAIR: Rule = Rule { free_failures: 5, prolonged: true };
const ADDRESS: Rule = Rule { free_failures: 30, prolonged: false };

#[derive(Debug)]
struct Failures {
    count: u32,
    /// Where [`MEMORY`] begins.
    since: Duration,
    blocked_until: Duration,
}

#[derive(Debug)]
struct Table<K>(HashMap<K, Failures>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Clone> Table<K> {
    fn check(&self, key: &K, now: Duration) -> Result<(), u64> {
        match self.0.get(key) {
            Some(failures) if now < failures.blocked_until => Err((failures.blocked_until - now).as_secs().max(1)),
            _ => Ok(()),
        }
    }

    fn count(&mut self, key: &K, rule: &Rule, now: Duration) {
        if self.0.len() >= MAX_ENTRIES && !self.0.contains_key(key) {
            let oldest = self.0.iter().min_by_key(|(_, failures)| failures.since).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        let failures = self.0.entry(key.clone()).or_insert(Failures { count: 0, since: now, blocked_until: now });
        if now >= failures.since + MEMORY {
            (failures.count, failures.since) = (0, now);
        }
        failures.count += 1;
        if rule.prolonged {
            failures.since = now;
        }
        if failures.count >= rule.free_failures {
            let doublings = (failures.count - rule.free_failures).min(8);
            failures.blocked_until = now + (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT);
        }
    }
}

type Pair = (String, IpAddr);

/// Failures by account and address and by address alone, by the clock that never steps.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    tables: Mutex<(Table<Pair>, Table<IpAddr>)>,
}

impl Throttle {
    /// Counts an attempt as failed before its password is looked at, so that many at once cannot slip through;
    /// [`Self::forgive`] takes it back. Who has to wait is not counted.
    ///
    /// # Errors
    /// The seconds to wait.
    pub(super) fn charge(&self, pair: &Pair, now: Duration) -> Result<(), u64> {
        let address = network(pair.1);
        let (pairs, addresses) = &mut *self.tables.lock();
        pairs.check(pair, now)?;
        addresses.check(&address, now)?;
        pairs.count(pair, &PAIR, now);
        addresses.count(&address, &ADDRESS, now);
        Ok(())
    }

    /// The password was right: the pair starts afresh. The address only gets this attempt back, or an account of one's
    /// own would be the way to guess at others.
    pub(super) fn forgive(&self, pair: &Pair) {
        let (pairs, addresses) = &mut *self.tables.lock();
        pairs.0.remove(pair);
        if let Some(failures) = addresses.0.get_mut(&network(pair.1)) {
            failures.count = failures.count.saturating_sub(1);
            failures.blocked_until = Duration::ZERO;
        }
    }
}

/// Whoever has one IPv6 address has the 2^64 of its network.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
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
    fn a_full_table_refuses_nobody_and_forgets_the_oldest() {
        let throttle = Throttle::default();
        for number in 0..u32::try_from(MAX_ENTRIES).unwrap() + 10 {
            let from_elsewhere = ("wang".to_owned(), IpAddr::V4(Ipv4Addr::from_bits(number)));
            let now = Duration::from_millis(number.into());
            assert_eq!(throttle.charge(&from_elsewhere, now), Ok(()));
        }
        let tables = throttle.tables.lock();
        assert_eq!((tables.0.0.len(), tables.1.0.len()), (MAX_ENTRIES, MAX_ENTRIES));
        assert!(!tables.1.0.contains_key(&IpAddr::V4(Ipv4Addr::from_bits(9))));
        assert!(tables.1.0.contains_key(&IpAddr::V4(Ipv4Addr::from_bits(10))));
    }

    #[test]
    fn an_address_waits_whatever_the_names() {
        let throttle = Throttle::default();
        let start = Duration::from_secs(100);
        for number in 0..29 {
            assert_eq!(throttle.charge(&pair(&number.to_string()), start), Ok(()));
        }
        for _ in 0..3 {
            assert_eq!(throttle.charge(&pair("wang"), start), Ok(()));
            assert_eq!(throttle.charge(&pair("li"), start), Err(30), "while a password is looked at");
            throttle.forgive(&pair("wang"));
        }
        assert_eq!(throttle.charge(&pair("one more"), start), Ok(()));
        assert_eq!(throttle.charge(&pair("wang"), start), Err(30));
        let elsewhere = ("wang".to_owned(), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(throttle.charge(&elsewhere, start), Ok(()));
        let later = start + MEMORY;
        for number in 0..29 {
            assert_eq!(throttle.charge(&pair(&number.to_string()), later), Ok(()));
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
