//! What emergency calls add up to: pure, from rows and the time.

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;
use songhe_kernel::Moment;

use crate::schema::care_bed_call;

/// Within these the published targets want calls answered, in seconds.
pub(crate) const ANSWER_S: i64 = 60;
pub(crate) const ANSWER_AT_LAST_S: i64 = 180;
/// Within this somebody should be there, in seconds.
pub(crate) const ON_SITE_S: i64 = 30 * 60;

/// A call as far as figures need it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = care_bed_call)]
pub(crate) struct Call {
    pub(crate) raised_at: Moment,
    pub(crate) response_s: Option<i64>,
    pub(crate) on_site_s: Option<i64>,
    pub(crate) false_alarm: bool,
}

/// How many of those that can be judged met a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Share {
    pub met: i64,
    pub of: i64,
}

impl Share {
    fn add(&mut self, met: bool) {
        self.of += 1;
        self.met += i64::from(met);
    }

    /// Thousandths, rounded down, so that 1000 means all; `None` when nothing can be judged.
    pub fn per_mille(self) -> Option<i64> {
        (self.of > 0).then(|| self.met * 1000 / self.of)
    }
}

/// How emergency calls were answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CallFigures {
    /// Without tests and duplicates.
    pub calls: i64,
    pub answered: i64,
    /// Answered within 60 s; judged are calls that were answered or have waited longer.
    pub within_60_s: Share,
    /// Answered within 180 s; judged likewise.
    pub within_180_s: Share,
    /// Half of the answered calls waited no longer; `null`: none was answered.
    pub response_median_s: Option<i64>,
    /// Somebody there within 30 min; judged are calls to which somebody came.
    pub on_site_within_30_min: Share,
    /// Half of the calls to which somebody came waited no longer; `null`: nobody came to any.
    pub on_site_median_s: Option<i64>,
    pub false_alarms: i64,
}

impl CallFigures {
    pub(crate) fn of<'a>(calls: impl IntoIterator<Item = &'a Call>, now: Moment) -> Self {
        let mut figures = Self::default();
        let (mut responses, mut arrivals) = (Vec::new(), Vec::new());
        for call in calls {
            figures.calls += 1;
            figures.false_alarms += i64::from(call.false_alarm);
            let waits_s = now.seconds_since(call.raised_at);
            for (share, limit_s) in
                [(&mut figures.within_60_s, ANSWER_S), (&mut figures.within_180_s, ANSWER_AT_LAST_S)]
            {
                match call.response_s {
                    Some(response_s) => share.add(response_s <= limit_s),
                    None if waits_s > limit_s => share.add(false),
                    None => {}
                }
            }
            responses.extend(call.response_s);
            if let Some(on_site_s) = call.on_site_s {
                figures.on_site_within_30_min.add(on_site_s <= ON_SITE_S);
                arrivals.push(on_site_s);
            }
        }
        figures.answered = i64::try_from(responses.len()).unwrap_or(i64::MAX);
        figures.response_median_s = median(responses);
        figures.on_site_median_s = median(arrivals);
        figures
    }
}

/// The lower one of the two in the middle.
fn median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn call(raised_at: &str, response_s: Option<i64>, on_site_s: Option<i64>) -> Call {
        Call { raised_at: raised_at.parse().unwrap(), response_s, on_site_s, false_alarm: false }
    }

    #[test]
    fn a_call_that_still_may_be_answered_in_time_is_not_judged() {
        let now = "2026-11-22T08:02:00Z".parse().unwrap();
        let calls = [
            call("2026-11-22T07:00:00Z", Some(60), Some(1801)),
            call("2026-11-22T07:10:00Z", Some(61), Some(240)),
            call("2026-11-22T08:00:30Z", None, None),
            call("2026-11-22T08:01:30Z", None, None),
        ];
        let figures = CallFigures::of(&calls, now);
        assert_eq!((figures.calls, figures.answered), (4, 2));
        assert_eq!(figures.within_60_s, Share { met: 1, of: 3 });
        assert_eq!(figures.within_180_s, Share { met: 2, of: 2 });
        assert_eq!(figures.on_site_within_30_min, Share { met: 1, of: 2 });
        assert_eq!((figures.response_median_s, figures.on_site_median_s), (Some(60), Some(240)));
    }

    #[test]
    fn one_late_answer_among_thousands_never_reads_as_all() {
        assert_eq!(Share { met: 9_999, of: 10_000 }.per_mille(), Some(999));
        assert_eq!(Share::default().per_mille(), None);
        assert_eq!(CallFigures::of(&[], "2026-11-22T08:00:00Z".parse().unwrap()), CallFigures::default());
    }
}
