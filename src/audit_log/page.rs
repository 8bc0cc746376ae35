//! `/audit`: the log with its filters, newest first, and the same as CSV.

use actix_web::HttpResponse;
use chrono::{Days, NaiveDate, NaiveTime};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use songhe_kernel::audit::{self, AuditEntry, AuditId, Filter, Found};
use songhe_kernel::http::{Access, Choice, Csv, Ctx, Menu, Route, Section, cursor, cut, url};
use songhe_kernel::i18n::{I18n, Locale};
use songhe_kernel::identity::find_user_id;
use songhe_kernel::{Db, Error, FacilityId, Moment, Result, Text, UserId};
use songhe_registry::{ResidentId, facilities_in};

use super::READ;

const PAGE: i64 = 50;
/// Lines of one CSV file, fetched in slices.
const MAX_CSV: usize = 10_000;
const SLICE: i64 = 500;
/// A seal that has not come for so long is worth a word.
const LATE_S: i64 = 600;

/// What actions are about: the beginnings of their names, in the order of the choice.
const NOUNS: [&str; 20] = [
    "session",
    "user",
    "role",
    "resident",
    "contact",
    "place",
    "staff",
    "shift",
    "facility",
    "device",
    "rule",
    "quarantine",
    "incident",
    "ladder",
    "endpoint",
    "template",
    "target",
    "care_bed",
    "audit",
    "request",
];

pub(super) fn routes() -> Vec<Route> {
    let menu = Menu { key: "audit-menu", icon: "search", section: Section::Manage, order: 85 };
    vec![Route::get("/audit", Access::Permission(READ), page).menu(menu)]
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Query {
    from: String,
    to: String,
    who: String,
    noun: String,
    subject: String,
    facility: String,
    after: String,
    format: String,
}

#[derive(Serialize)]
struct Shown {
    from: String,
    to: String,
    who: String,
    noun: String,
    subject: String,
    facility: String,
}

#[derive(Serialize)]
struct Item {
    id: AuditId,
    at: Moment,
    /// In words, where there are some.
    action: String,
    code: String,
    actor_kind: String,
    actor: String,
    subject: String,
    resident_id: Option<ResidentId>,
    facility: String,
    before: Option<String>,
    after: Option<String>,
    address: String,
    request_id: String,
    session: String,
    reason: String,
}

#[derive(Serialize)]
struct Page {
    items: Vec<Item>,
    filter: Shown,
    filtered: bool,
    /// Nobody goes by the name that was looked for.
    nobody: bool,
    nouns: Vec<Choice>,
    facilities: Vec<Choice>,
    sealed_at: Option<Moment>,
    unsealed: i64,
    /// In seconds, when the oldest unsealed line has waited too long.
    late_s: Option<i64>,
    first_url: Option<String>,
    next_url: Option<String>,
    csv_url: Option<String>,
}

fn day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

impl Query {
    /// What cannot be read filters nothing: the form below shows what counts.
    fn shown(self) -> Shown {
        let known = |known: bool, text: String| if known { text } else { String::new() };
        Shown {
            from: known(day(&self.from).is_some(), self.from),
            to: known(day(&self.to).is_some(), self.to),
            noun: known(NOUNS.contains(&self.noun.as_str()), self.noun),
            who: self.who.trim().to_owned(),
            subject: self.subject.trim().to_owned(),
            facility: self.facility,
        }
    }
}

impl Shown {
    fn pairs(&self) -> [(&str, &str); 6] {
        [
            ("from", &self.from),
            ("to", &self.to),
            ("who", &self.who),
            ("noun", &self.noun),
            ("subject", &self.subject),
            ("facility", &self.facility),
        ]
    }

    fn url(&self, name: &str, value: &str) -> String {
        let mut pairs = self.pairs().to_vec();
        pairs.push((name, value));
        url("/audit", &pairs)
    }

    fn is_any(&self) -> bool {
        self.pairs().iter().any(|(_, value)| !value.is_empty())
    }

    /// # Errors
    /// `NotFound` for a facility out of reach.
    fn filter(&self, ctx: &Ctx, zone: Tz) -> Result<Filter> {
        let start = |day: NaiveDate| Moment::from_local(day.and_time(NaiveTime::MIN), zone);
        let facility = match self.facility.as_str() {
            "" => None,
            text => Some(text.parse::<FacilityId>().map_err(|_| Error::NotFound)?),
        };
        Ok(Filter {
            from: day(&self.from).map(start),
            until: day(&self.to).and_then(|day| day.checked_add_days(Days::new(1))).map(start),
            action: (!self.noun.is_empty()).then(|| format!("{}.", self.noun)),
            subject: (!self.subject.is_empty()).then(|| self.subject.clone()),
            ..Filter::new(ctx.caller().narrowed(READ, facility)?)
        })
    }
}

/// The account that a reader means: by its user name or id. `Err` when nobody goes by it.
fn actor_of(db: &mut Db, who: &str) -> Result<Option<UserId>> {
    match who.parse::<UserId>() {
        Ok(id) => Ok(Some(id)),
        Err(_) => find_user_id(db, who),
    }
}

async fn page(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let (after, csv) = (cursor::<AuditId>(&query.after)?, query.format == "csv");
    let zone = ctx.app().settings.zone;
    let shown = query.shown();
    let mut filter = shown.filter(&ctx, zone)?;
    let (who, scope) = (shown.who.clone(), ctx.caller().facilities(READ).clone());
    if !who.is_empty() {
        filter.actor = ctx.app().db.read(move |db| actor_of(db, &who)).await?;
    }
    let nobody = !shown.who.is_empty() && filter.actor.is_none();
    if csv {
        return export(&ctx, zone, &shown, filter, nobody).await;
    }
    let (mut found, standing, facilities) = ctx
        .app()
        .db
        .read(move |db| {
            if let Some(id) = after {
                let at = audit::when(db, id)?.ok_or_else(|| Error::BadRequest(Text::key("error-bad-cursor")))?;
                filter.after = Some((at, id));
            }
            let found = if nobody { Vec::new() } else { audit::search(db, &filter, PAGE + 1)? };
            Ok((found, audit::standing(db)?, facilities_in(db, &scope)?))
        })
        .await?;
    let more = cut(&mut found, PAGE);
    let (i18n, locale, now) = (ctx.app().pages.i18n(), ctx.locale(), ctx.app().clock.now());
    let page = Page {
        filtered: shown.is_any(),
        nobody,
        nouns: NOUNS.iter().map(|noun| Choice::new(noun, noun_in_words(&i18n, locale, noun))).collect(),
        facilities: facilities.into_iter().map(|one| Choice::new(one.id, one.name)).collect(),
        sealed_at: standing.head.map(|head| head.at),
        unsealed: standing.unsealed,
        late_s: standing.unsealed_since.map(|since| now.seconds_since(since)).filter(|late| *late > LATE_S),
        first_url: after.is_some().then(|| shown.url("after", "")),
        next_url: found.last().filter(|_| more).map(|last| shown.url("after", &last.id.to_string())),
        csv_url: (!found.is_empty()).then(|| shown.url("format", "csv")),
        items: found.into_iter().map(|found| item(&i18n, locale, found)).collect(),
        filter: shown,
    };
    ctx.page("kernel/audit", &page)
}

fn key(prefix: &str, name: &str) -> String {
    format!("{prefix}{}", name.replace(['.', '_'], "-"))
}

fn noun_in_words(i18n: &I18n, locale: Locale, noun: &str) -> String {
    i18n.known(locale, &key("audit-noun-", noun)).unwrap_or_else(|| noun.to_owned())
}

/// An action that has no words yet is shown as it is stored.
fn action_in_words(i18n: &I18n, locale: Locale, action: &str) -> String {
    i18n.known(locale, &key("audit-action-", action)).unwrap_or_else(|| action.to_owned())
}

fn item(i18n: &I18n, locale: Locale, found: Found) -> Item {
    let kind = || i18n.known(locale, &key("audit-actor-", &found.actor_kind)).unwrap_or_default();
    Item {
        action: action_in_words(i18n, locale, &found.action),
        actor: if found.actor_name.is_empty() { kind() } else { found.actor_name.clone() },
        id: found.id,
        at: found.at,
        code: found.action,
        actor_kind: found.actor_kind,
        subject: found.subject,
        resident_id: found.person.map(ResidentId),
        facility: found.facility_name,
        before: found.before,
        after: found.after,
        address: found.address.unwrap_or_default(),
        request_id: found.request_id.unwrap_or_default(),
        session: found.session.unwrap_or_default(),
        reason: found.reason.unwrap_or_default(),
    }
}

/// The file, newest first. That somebody took it away is written down before.
async fn export(ctx: &Ctx, zone: Tz, shown: &Shown, mut filter: Filter, nobody: bool) -> Result<HttpResponse> {
    let asked: serde_json::Map<String, serde_json::Value> = shown
        .pairs()
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    ctx.audit_read(AuditEntry::new("audit.export", "").after(asked.into())).await?;
    let (i18n, locale) = (ctx.app().pages.i18n(), ctx.locale());
    let mut csv = Csv::new(HEADS.map(|key| ctx.say(&Text::key(key))));
    let mut lines = 0;
    while !nobody && lines < MAX_CSV {
        let wanted = filter.clone();
        let found = ctx.app().db.read(move |db| audit::search(db, &wanted, SLICE)).await?;
        let Some(last) = found.last() else { break };
        filter.after = Some((last.at, last.id));
        lines += found.len();
        for found in found {
            let line = item(&i18n, locale, found);
            csv.line([
                line.id.to_string(),
                line.at.in_zone(zone).format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
                line.actor,
                line.action,
                line.code,
                line.subject,
                line.facility,
                line.before.unwrap_or_default(),
                line.after.unwrap_or_default(),
                line.reason,
                line.address,
                line.session,
                line.request_id,
            ]);
        }
    }
    Ok(csv.answer("audit.csv"))
}

const HEADS: [&str; 13] = [
    "audit-line",
    "audit-at",
    "audit-who",
    "audit-action",
    "audit-code",
    "audit-subject",
    "audit-facility",
    "audit-before",
    "audit-after",
    "audit-reason",
    "audit-address",
    "audit-session",
    "audit-request",
];
