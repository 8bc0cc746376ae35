//! How much one topic may carry at a broker outside, which does not mind. Behind it all devices share one connection, on
//! which messages are acknowledged in order: whoever waited there would hold up everybody. So nobody waits; what is too
//! much is told apart from the rest ([`crate::floods`]).
//!
//! What a broker kept while Songhe was away, or stood still, comes at once and is nobody's flood: for so much time of
//! silence each topic may carry what it might have carried in that time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What one device may send in the long run and at once. A rate of 0 sets no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Messages a second that are no events.
    pub messages_per_s: u32,
    /// How many of them may come at once after a quiet time.
    pub message_burst: u32,
    /// Events (calls) a second.
    pub events_per_s: u32,
    /// How many of them may come at once after a quiet time.
    pub event_burst: u32,
}

/// Full buckets are forgotten as often.
const SWEEP: Duration = Duration::from_secs(60);
/// What was kept has longer than it took to gather until it must have come.
const DRAIN: Duration = Duration::from_secs(60);

/// Of one connection.
#[derive(Debug)]
pub(crate) struct Pace {
    per_s: u32,
    burst: u32,
    /// When each topic's bucket would be full again.
    full_at: HashMap<String, Instant>,
    swept: Option<Instant>,
    /// How long nothing was taken, and until when that counts.
    silence: Duration,
    counts_until: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(per_s: u32, burst: u32) -> Self {
        let (silence, counts_until) = (Duration::ZERO, None);
        Self { per_s, burst, full_at: HashMap::new(), swept: None, silence, counts_until }
    }

    /// For so long nothing was taken until now.
    pub(crate) fn was_silent(&mut self, span: Duration, now: Instant) {
        if self.counts_until.is_none_or(|until| until < now) {
            self.silence = Duration::ZERO;
        }
        self.silence += span;
        self.counts_until = now.checked_add(self.silence + DRAIN);
    }

    /// Whether a message of a topic is one too many. Such a one costs nothing.
    pub(crate) fn is_over(&mut self, topic: &str, now: Instant) -> bool {
        if self.per_s == 0 {
            return false;
        }
        let step = Duration::from_secs(1) / self.per_s;
        let silence = if self.counts_until.is_some_and(|until| now <= until) { self.silence } else { Duration::ZERO };
        let most = now + step * self.burst + silence;
        let Some(full_at) = self.full_at.get_mut(topic) else {
            self.sweep(now);
            self.full_at.insert(topic.to_owned(), now + step);
            return false;
        };
        let then = (*full_at).max(now) + step;
        if then > most {
            return true;
        }
        *full_at = then;
        false
    }

    fn sweep(&mut self, now: Instant) {
        if self.swept.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP) {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.swept = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pace: &mut Pace, topic: &str, count: usize, now: Instant) -> usize {
        (0..count).filter(|_| !pace.is_over(topic, now)).count()
    }

    #[test]
    fn what_is_too_much_is_over_and_other_topics_are_not() {
        let (mut pace, now) = (Pace::new(10, 20), Instant::now());
        assert_eq!(taken(&mut pace, "a", 1_000, now), 20);
        assert_eq!(taken(&mut pace, "b", 5, now), 5);
        assert_eq!(taken(&mut pace, "a", 1_000, now + Duration::from_secs(1)), 10);
        assert_eq!(taken(&mut Pace::new(0, 0), "a", 1_000, now), 1_000, "no limit");
    }

    #[test]
    fn what_was_kept_while_nobody_listened_is_no_flood() {
        let (mut pace, now) = (Pace::new(10, 20), Instant::now());
        pace.was_silent(Duration::from_secs(30), now);
        assert_eq!(taken(&mut pace, "a", 1_000, now), 320);
        pace.was_silent(Duration::from_secs(5), now);
        assert_eq!(taken(&mut pace, "b", 1_000, now), 370, "it adds up");
        let later = now + Duration::from_secs(300);
        assert_eq!(taken(&mut pace, "b", 1_000, later), 20, "and is over some day");
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let (mut pace, now) = (Pace::new(10, 20), Instant::now());
        for n in 0..100 {
            pace.is_over(&n.to_string(), now);
        }
        pace.is_over("new", now + SWEEP);
        assert_eq!(pace.full_at.len(), 1);
    }
}
