//! How much one account may say. Over its rate a message waits, and with it the connection it came by: the
//! acknowledgement is late, and no other connection notices. Only a reading that nobody would repeat (QoS 0) is dropped.
//!
//! Calls have a bucket of their own, which readings cannot empty.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// What one device may send in the long run and at once; a gateway speaks for many and has [`GATEWAY_SHARE`] times as
/// much. A rate of 0 sets no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Messages a second that are no events.
    pub messages_per_s: u32,
    /// How many of them may come at once after a quiet time.
    pub message_burst: u32,
    /// Events (calls) a second.
    pub events_per_s: u32,
    /// How many of them may come at once after a quiet time.
    pub event_burst: u32,
}

impl RateLimits {
    /// No limits.
    pub const NONE: Self = Self { messages_per_s: 0, message_burst: 0, events_per_s: 0, event_burst: 0 };
}

/// What a gateway may, in devices.
pub const GATEWAY_SHARE: u32 = 10;
/// A message costs one, and one more for every so many bytes.
const BYTES_OF_ONE: usize = 4096;
/// Most accounts named in the log each minute.
pub const NAMED: usize = 10;

/// An account that sent more than it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoudAccount {
    /// The user name: a device's or gateway's serial.
    pub account: String,
    /// Messages of this minute and the last one that had to wait.
    pub delayed: u64,
    /// Messages of QoS 0 of this minute and the last one that were dropped.
    pub dropped: u64,
}

/// What is to be done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Now,
    After(Duration),
    Drop,
}

/// A message as the limits see it.
#[derive(Clone, Copy)]
pub struct Weighed<'a> {
    pub account: &'a str,
    pub gateway: bool,
    pub topic: &'a str,
    pub qos: u8,
    pub bytes: usize,
}

impl Weighed<'_> {
    fn is_event(&self) -> bool {
        self.topic.ends_with("/event")
    }

    /// A gateway puts calls and readings under one topic: none of its messages may be lost.
    fn may_be_dropped(&self) -> bool {
        self.qos == 0 && !self.gateway && !self.is_event()
    }
}

/// A bucket that fills steadily, kept as the time at which it would be full again.
#[derive(Clone, Copy)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// How long a message waits that costs so much. With `only_now` one that would wait costs nothing.
    fn take(&mut self, cost: u32, rate: u32, burst: u32, only_now: bool, now: Instant) -> Duration {
        let fill = |messages: u32| Duration::from_secs(messages.into()) / rate;
        let then = self.full_at.max(now) + fill(cost);
        // A message dearer than the whole bucket goes when the bucket is full.
        let wait = then.saturating_duration_since(now + fill(burst.max(cost)));
        if wait.is_zero() || !only_now {
            self.full_at = then;
        }
        wait
    }
}

struct Account {
    messages: Bucket,
    events: Bucket,
    delayed: u64,
    dropped: u64,
}

#[derive(Default)]
struct Book {
    accounts: HashMap<String, Account>,
    /// Of the last minute.
    loud: Vec<LoudAccount>,
}

/// The buckets of all accounts.
pub struct Rates {
    limits: RateLimits,
    book: Mutex<Book>,
}

impl Rates {
    pub fn new(limits: RateLimits) -> Self {
        Self { limits, book: Mutex::default() }
    }

    pub fn turn(&self, message: Weighed<'_>, now: Instant) -> Turn {
        let share = if message.gateway { GATEWAY_SHARE } else { 1 };
        let (rate, burst) = if message.is_event() {
            (self.limits.events_per_s, self.limits.event_burst)
        } else {
            (self.limits.messages_per_s, self.limits.message_burst)
        };
        if rate == 0 {
            return Turn::Now;
        }
        let (rate, burst) = (rate.saturating_mul(share), burst.saturating_mul(share));
        let cost = u32::try_from(message.bytes / BYTES_OF_ONE).unwrap_or(u32::MAX).saturating_add(1);
        let mut book = self.book.lock();
        if !book.accounts.contains_key(message.account) {
            let full = Bucket { full_at: now };
            let new = Account { messages: full, events: full, delayed: 0, dropped: 0 };
            book.accounts.insert(message.account.to_owned(), new);
        }
        let Some(account) = book.accounts.get_mut(message.account) else { return Turn::Now };
        let bucket = if message.is_event() { &mut account.events } else { &mut account.messages };
        let may_be_dropped = message.may_be_dropped();
        let wait = bucket.take(cost, rate, burst, may_be_dropped, now);
        if wait.is_zero() {
            Turn::Now
        } else if may_be_dropped {
            account.dropped += 1;
            Turn::Drop
        } else {
            account.delayed += 1;
            Turn::After(wait)
        }
    }

    /// Closes a minute: who was too loud in it, the loudest first. Accounts with full buckets are forgotten.
    pub fn close_minute(&self, now: Instant) -> Vec<LoudAccount> {
        let mut book = self.book.lock();
        let mut loud: Vec<LoudAccount> = book
            .accounts
            .iter_mut()
            .filter(|(_, account)| account.delayed + account.dropped > 0)
            .map(|(name, account)| LoudAccount {
                account: name.clone(),
                delayed: std::mem::take(&mut account.delayed),
                dropped: std::mem::take(&mut account.dropped),
            })
            .collect();
        loudest_first(&mut loud);
        book.accounts.retain(|_, account| account.messages.full_at > now || account.events.full_at > now);
        book.loud.clone_from(&loud);
        loud
    }

    /// Who was too loud in this minute and in the last closed one, the loudest first.
    pub fn loud(&self) -> Vec<LoudAccount> {
        let book = self.book.lock();
        let mut loud = book.loud.clone();
        for (name, account) in book.accounts.iter().filter(|(_, account)| account.delayed + account.dropped > 0) {
            match loud.iter_mut().find(|one| one.account == *name) {
                Some(one) => {
                    (one.delayed, one.dropped) = (one.delayed + account.delayed, one.dropped + account.dropped)
                }
                None => {
                    loud.push(LoudAccount { account: name.clone(), delayed: account.delayed, dropped: account.dropped })
                }
            }
        }
        loudest_first(&mut loud);
        loud
    }
}

fn loudest_first(loud: &mut [LoudAccount]) {
    loud.sort_by(|a, b| (b.delayed + b.dropped).cmp(&(a.delayed + a.dropped)).then_with(|| a.account.cmp(&b.account)));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn rates() -> Rates {
        Rates::new(RateLimits { messages_per_s: 10, message_burst: 20, events_per_s: 2, event_burst: 5 })
    }

    fn of(account: &str, channel: &'static str, qos: u8) -> Weighed<'static> {
        let account = Box::leak(account.to_owned().into_boxed_str());
        Weighed { account, gateway: false, topic: channel, qos, bytes: 200 }
    }

    const TELEMETRY: &str = "songhe/v1/SH-1/telemetry";
    const EVENT: &str = "songhe/v1/SH-1/event";

    #[test]
    fn readings_wait_over_the_rate_and_those_of_qos_0_are_dropped() {
        let (rates, now) = (rates(), Instant::now());
        for n in 0..20 {
            assert_eq!(rates.turn(of("SH-1", TELEMETRY, 1), now), Turn::Now, "{n}");
        }
        assert_eq!(rates.turn(of("SH-1", TELEMETRY, 0), now), Turn::Drop);
        assert_eq!(rates.turn(of("SH-1", TELEMETRY, 1), now), Turn::After(Duration::from_millis(100)));
        assert_eq!(rates.turn(of("SH-1", TELEMETRY, 1), now), Turn::After(Duration::from_millis(200)));
        assert_eq!(rates.turn(of("SH-2", TELEMETRY, 1), now), Turn::Now, "another account");
        let later = now + Duration::from_secs(1);
        assert_eq!(rates.turn(of("SH-1", TELEMETRY, 0), later), Turn::Now, "eight were free again");
        assert_eq!(rates.loud().len(), 1, "told before the minute is over");
        let loud = rates.close_minute(later);
        assert_eq!(loud, [LoudAccount { account: "SH-1".into(), delayed: 2, dropped: 1 }]);
        assert_eq!(rates.loud(), loud);
        assert!(rates.close_minute(later + Duration::from_secs(60)).is_empty() && rates.loud().is_empty());
        assert!(rates.book.lock().accounts.is_empty(), "full buckets are not kept");
    }

    #[test]
    fn readings_cannot_use_up_what_calls_need_and_no_call_is_dropped() {
        let (rates, now) = (rates(), Instant::now());
        for _ in 0..100 {
            rates.turn(of("SH-1", TELEMETRY, 1), now);
        }
        for n in 0..5 {
            assert_eq!(rates.turn(of("SH-1", EVENT, 0), now), Turn::Now, "{n}");
        }
        assert_eq!(rates.turn(of("SH-1", EVENT, 0), now), Turn::After(Duration::from_millis(500)));
    }

    #[test]
    fn a_gateway_speaks_for_many_and_loses_nothing() {
        let (rates, now) = (rates(), Instant::now());
        let gateway = |bytes| Weighed { account: "GW-1", gateway: true, topic: "zigbee2mqtt/bed", qos: 0, bytes };
        for n in 0..200 {
            assert_eq!(rates.turn(gateway(200), now), Turn::Now, "{n}");
        }
        assert_eq!(rates.turn(gateway(200), now), Turn::After(Duration::from_millis(10)));
        // An inventory of a megabyte is dearer than a whole bucket.
        let later = now + Duration::from_secs(60);
        assert_eq!(rates.turn(gateway(1 << 20), later), Turn::Now);
        assert!(matches!(rates.turn(gateway(1), later), Turn::After(_)));
    }

    #[test]
    fn zero_sets_no_limit() {
        let (rates, now) = (Rates::new(RateLimits::NONE), Instant::now());
        for _ in 0..10_000 {
            assert_eq!(rates.turn(of("SH-1", TELEMETRY, 0), now), Turn::Now);
        }
    }
}
