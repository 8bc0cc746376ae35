//! The reports of a month: how soon calls were answered, how often devices called in vain, and the incidents behind each
//! figure.

mod false_alarms;
mod list;
mod response;
mod targets;

use chrono::NaiveDate;
use chrono::Offset as _;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Choice, Ctx, Route, url};
use songhe_kernel::{Error, FacilityId, Moment, Result, Text, ids};
use songhe_registry::{self as registry, Facility, facility_choices};

use crate::figures::facts::{self, FacilityMonth};
use crate::figures::month::Month;
use crate::figures::response::{Figure, Group};
use crate::model::{Kind, Priority};
use crate::module::REPORTS_READ;
use crate::resource;

pub(super) fn routes() -> Vec<Route> {
    let mut all = response::routes();
    all.extend(false_alarms::routes());
    all.extend(list::routes());
    all.extend(targets::routes());
    all
}

/// What the addresses of reports say. What is not there or cannot be read narrows nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Query {
    facility: String,
    month: String,
    format: String,
    by: String,
    sort: String,
    figure: String,
    urgent: String,
    kind: String,
    priority: String,
    shift: String,
    /// `yes`: of those raised while nobody was on the roster.
    no_shift: String,
    device: String,
    rule: String,
    page: String,
}

/// A month at some facilities, as a page shows it.
struct Shown {
    month: Month,
    months: Vec<FacilityMonth>,
    facilities: Vec<Facility>,
    /// The facility that was asked for.
    only: Option<FacilityId>,
    today: NaiveDate,
    now: Moment,
}

/// The part of every report's model that says what it is about.
#[derive(Serialize)]
struct About {
    month: String,
    month_max: String,
    facility: String,
    facilities: Vec<Choice>,
    facility_name: Option<String>,
    /// What happened up to here is counted: the earliest of the facilities.
    as_of: Option<Moment>,
    /// `UTC+8`: in which zone the times of the page are.
    zone: String,
    settled: bool,
    running: bool,
}

impl Query {
    /// Reads the month at the facilities that were asked for.
    ///
    /// # Errors
    /// `NotFound` for a facility outside the caller's scope.
    async fn read(&self, ctx: &Ctx) -> Result<Shown> {
        let only: Option<FacilityId> = match self.facility.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| Error::NotFound)?),
        };
        let scope = ctx.caller().narrowed(REPORTS_READ, only)?;
        let facilities = registry::facilities_of(ctx, REPORTS_READ).await?;
        let now = ctx.app().clock.now();
        let zone = facilities.first().map_or(Ok(songhe_kernel::time::DEFAULT_ZONE), Facility::tz)?;
        let today = now.day_in(zone);
        let month = self.month.parse().unwrap_or_else(|_| Month::of(today));
        let wanted: Vec<Facility> = facilities.iter().filter(|facility| scope.contains(facility.id)).cloned().collect();
        let months = facts::read(&ctx.app().db, wanted, month, now).await?;
        Ok(Shown { month, months, facilities, only, today, now })
    }

    fn group(&self) -> Group {
        let shift = match (&*self.no_shift, &*self.shift) {
            ("yes", _) => Some(None),
            (_, "") => None,
            (_, name) => Some(Some(name.to_owned())),
        };
        Group {
            urgent: self.urgent == "yes",
            facility: None,
            kind: Kind::parse(&self.kind),
            priority: Priority::parse(&self.priority),
            shift,
            device: ids::decode("dev", &self.device),
            rule: Some(self.rule.clone()).filter(|rule| !rule.is_empty()),
        }
    }
}

impl Shown {
    fn about(&self) -> About {
        About {
            month: self.month.to_string(),
            month_max: Month::of(self.today).to_string(),
            facility: self.only.map(|id| id.to_string()).unwrap_or_default(),
            facilities: facility_choices(&self.facilities),
            facility_name: match self.months.as_slice() {
                [one] => Some(one.facility.name.clone()),
                _ => None,
            },
            as_of: self.months.iter().map(|month| month.span.as_of).min(),
            zone: offset(self.now, self.zone()),
            settled: self.months.iter().all(|month| month.span.settled),
            running: self.months.iter().any(|month| month.span.to > self.now),
        }
    }

    /// The zone in which a page shows its times.
    fn zone(&self) -> chrono_tz::Tz {
        self.months.first().map_or(songhe_kernel::time::DEFAULT_ZONE, |month| month.zone)
    }

    /// The incidents that a figure counts.
    fn list_url(&self, group: &Group, figure: Figure) -> String {
        let word = serde_json::to_value(figure).ok().and_then(|word| word.as_str().map(str::to_owned));
        let facility = group.facility.or(self.only).map(|id| id.to_string()).unwrap_or_default();
        let (shift, no_shift) = match &group.shift {
            Some(Some(name)) => (name.clone(), ""),
            Some(None) => (String::new(), "yes"),
            None => (String::new(), ""),
        };
        url(
            "/reports/incidents",
            &[
                ("month", &self.month.to_string()),
                ("facility", &facility),
                ("figure", &word.unwrap_or_default()),
                ("urgent", if group.urgent { "yes" } else { "" }),
                ("kind", group.kind.map(Kind::as_str).unwrap_or_default()),
                ("priority", group.priority.map(Priority::as_str).unwrap_or_default()),
                ("shift", &shift),
                ("no_shift", no_shift),
                ("device", &group.device.map(resource::device_id).unwrap_or_default()),
                ("rule", group.rule.as_deref().unwrap_or_default()),
            ],
        )
    }
}

/// `UTC+8`, `UTC+5:30`: how far a zone is ahead of UTC at a moment.
fn offset(at: Moment, zone: chrono_tz::Tz) -> String {
    let minutes = at.in_zone(zone).offset().fix().local_minus_utc() / 60;
    let (sign, hours, rest) = (if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60, minutes.abs() % 60);
    if rest == 0 { format!("UTC{sign}{hours}") } else { format!("UTC{sign}{hours}:{rest:02}") }
}

/// `97.5%` from thousandths.
fn percent(per_mille: usize) -> String {
    match per_mille % 10 {
        0 => format!("{}%", per_mille / 10),
        tenth => format!("{}.{tenth}%", per_mille / 10),
    }
}

fn duration(ctx: &Ctx, seconds: i64) -> String {
    ctx.app().pages.i18n().duration(ctx.locale(), seconds)
}

fn say(ctx: &Ctx, key: &'static str) -> String {
    ctx.say(&Text::key(key))
}
