//! Messages on their way: one effect for each, or one for each number or mailbox; who is told besides; sending again by hand; and
//! how it all fares.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use songhe_kernel::effects::{self, Effect, NewEffect};
use songhe_kernel::identity::Scope;
use songhe_kernel::schema::effect;
use songhe_kernel::{Database, Db, EffectId, Error, FacilityId, Moment, Result, Tx, UserId};
use songhe_registry as registry;

use crate::model::{EndpointId, IncidentId, Occasion, Row, Target};
use crate::numbers::{self, Sealer};
use crate::reach::{Person, Way};
use crate::schema::webhook_endpoint;
use crate::story::{self, Fact};
use crate::{MODULE, endpoints, lists, reasons, webhook};

/// Effect kind of all messages to endpoints.
pub(crate) const KIND: &str = "webhook";
/// How long a message about a call keeps its meaning, in seconds; later it is reported as not sent.
const VALID_S: i64 = 15 * 60;
/// How long a test message is worth sending, in seconds.
const TEST_VALID_S: i64 = 300;
/// How far back outcomes are looked for: messages of all endpoints.
const LOOK_BACK: i64 = 2_000;
/// A test is waited for so long: a little more than a peer may take.
const PATIENCE: Duration = Duration::from_secs(6);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How an effect names its endpoint, and the first one of the messages that tell one rung together.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Address {
    endpoint: EndpointId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<EffectId>,
}

fn enqueue(
    tx: &mut Tx<'_>,
    subject: String,
    facility: FacilityId,
    to: Address,
    payload: Value,
    valid_s: i64,
) -> Result<EffectId> {
    let valid_until = tx.now().plus_seconds(valid_s);
    let target = serde_json::to_value(to)?;
    let new = NewEffect { module: MODULE, kind: KIND, subject, facility: Some(facility), target, payload, valid_until };
    tx.enqueue_effect(new)
}

/// Sends the call that a rung makes; answers its (first) message.
pub(crate) fn call(
    tx: &mut Tx<'_>,
    row: &Row,
    target: Target,
    who: &[Person],
    way: &Way,
    repeats: i32,
) -> Result<EffectId> {
    let message = webhook::message(tx, row, target, who, repeats)?;
    let mut to = Address { endpoint: way.endpoint, first: None };
    let with = |field: &str, value: Value| {
        let mut message = message.clone();
        message[field] = value;
        message
    };
    let mut all: Vec<Value> = way.mailboxes.iter().map(|mailbox| with("mailbox", json!(mailbox))).collect();
    if !way.phones.is_empty() {
        let sealer = Sealer::new(tx, row.resident_id, row.id.0)?;
        all.extend(way.phones.iter().map(|phone| with("phone", sealer.value(phone))));
    }
    let mut all = all.into_iter();
    let first = enqueue(tx, row.id.to_string(), row.facility_id, to, all.next().unwrap_or(message.clone()), VALID_S)?;
    to.first = Some(first);
    for more in all {
        enqueue(tx, row.id.to_string(), row.facility_id, to, more, VALID_S)?;
    }
    Ok(first)
}

/// The number of a message for people, four digits and letters: different for those of one day, the same at each attempt.
pub(crate) fn number(id: EffectId) -> String {
    // Ids of one time differ in few places: a multiplicative hash (Knuth, by the golden ratio) spreads them over 20 bits.
    let spread = id.0.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 44;
    let digits = songhe_kernel::ids::encode("n", spread.cast_signed()).to_uppercase();
    digits.get(digits.len() - 4..).unwrap_or_default().to_owned()
}

/// The id of what a message is about, to which its numbers are bound.
pub(crate) fn row_of(effect: &Effect) -> i64 {
    let incident = effect.subject.parse::<IncidentId>().map(|id| id.0);
    incident.or_else(|_| effect.subject.parse::<EndpointId>().map(|id| id.0)).unwrap_or_default()
}

/// The message by which a rung knows this one.
pub(crate) fn first_of(effect: &Effect) -> EffectId {
    serde_json::from_str::<Address>(&effect.target).ok().and_then(|to| to.first).unwrap_or(effect.id)
}

/// Whether another message of the same rung has reached somebody, or has not failed yet.
pub(crate) fn another_may_reach(tx: &mut Tx<'_>, id: IncidentId, first: EffectId, this: EffectId) -> Result<bool> {
    let all = messages(tx.db(), id)?;
    let others = all.iter().filter(|one| one.first == first && one.effect_id != this);
    Ok(others.into_iter().any(|one| one.status == "delivered" || (one.status == "queued" && one.attempts == 0)))
}

/// Tells those who were called that somebody has answered, or that all is over: by the endpoints that want it.
pub(crate) fn follow(tx: &mut Tx<'_>, row: &Row, occasion: Occasion, by: UserId) -> Result<()> {
    let called = messages(tx.db(), row.id)?;
    let vault = tx.vault();
    let mut told = BTreeSet::new();
    let mut message = None;
    for one in called.iter().filter(|one| one.occasion == Occasion::Call || one.occasion == Occasion::Repeat) {
        let reached = one.status == "delivered" || one.status == "queued";
        let (Some(endpoint), true) = (one.endpoint, reached) else { continue };
        // Two ciphertexts of one number differ: what they hold is compared.
        let number = numbers::opened(vault, tx.db(), row.id.0, json!({ "phone": one.kept }))?;
        let number = number["phone"].as_str().map(str::to_owned);
        let to = number.clone().or_else(|| one.mailbox.clone());
        if !told.insert((endpoint, to)) || !follows(tx.db(), endpoint)? {
            continue;
        }
        let payload = match &message {
            Some(payload) => payload,
            None => message.insert(news(tx, row, occasion, by)?),
        };
        let mut payload = payload.clone();
        if let Some(phone) = number {
            payload["phone"] = Sealer::new(tx, row.resident_id, row.id.0)?.value(&phone);
        }
        if let Some(mailbox) = &one.mailbox {
            payload["mailbox"] = json!(mailbox);
        }
        enqueue(tx, row.id.to_string(), row.facility_id, Address { endpoint, first: None }, payload, VALID_S)?;
    }
    Ok(())
}

fn follows(db: &mut Db, endpoint: EndpointId) -> Result<bool> {
    let found: Option<bool> = webhook_endpoint::table
        .find(endpoint.0)
        .filter(webhook_endpoint::active.eq(true))
        .select(webhook_endpoint::follow)
        .first(db)
        .optional()?;
    Ok(found.unwrap_or_default())
}

fn news(tx: &mut Tx<'_>, row: &Row, occasion: Occasion, by: UserId) -> Result<Value> {
    let resident = match row.resident_id {
        Some(id) => registry::resident(tx.db(), id)?.map(|resident| resident.name),
        None => None,
    };
    let name = lists::names(tx.db(), [Some(by)])?.remove(&by);
    Ok(json!({
        "type": format!("incident.{occasion}"),
        "incident": row.id,
        "facility": row.facility_id,
        "kind": row.kind,
        "priority": row.priority,
        "place": row.place_label,
        "resident": resident,
        "source": row.source,
        "raised_at": row.raised_at,
        "sent_at": tx.now(),
        "by": name,
    }))
}

/// Sends a message that asks nobody for anything, to prove the way; answers it. Text and voice go to the endpoint's own
/// first number, or to the one given.
///
/// # Errors
/// `NotFound` when there is none within the scope; `Invalid` on `phone` when a number is needed and there is none.
pub fn send_test(tx: &mut Tx<'_>, scope: &Scope, id: EndpointId, phone: Option<&str>) -> Result<EffectId> {
    let (endpoint, now) = (endpoints::endpoint(tx.db(), id)?, tx.now());
    if !scope.contains(endpoint.facility_id) {
        return Err(Error::NotFound);
    }
    let mut payload = json!({ "type": "test", "facility": endpoint.facility_id, "sent_at": now });
    if endpoint.kind()?.is_by_phone() {
        let number = endpoints::test_number(&endpoint, phone)?;
        payload["phone"] = Sealer::new(tx, None, endpoint.id.0)?.value(&number);
    }
    let to = Address { endpoint: endpoint.id, first: None };
    enqueue(tx, endpoint.id.to_string(), endpoint.facility_id, to, payload, TEST_VALID_S)
}

/// Sends a message again that failed or expired, under its own id; worth sending for another quarter of an hour.
///
/// # Errors
/// `NotFound` when there is none of that subject within the scope; `Conflict` when it has not failed, and for the call
/// of an incident that is closed.
pub fn replay(tx: &mut Tx<'_>, scope: &Scope, id: EffectId, of: Subject, by: UserId) -> Result<()> {
    let all = match of {
        Subject::Incident(incident) => {
            lists::in_scope(tx.db(), incident, scope)?;
            messages(tx.db(), incident)?
        }
        Subject::Endpoint(endpoint) => {
            let known = endpoints::endpoint(tx.db(), endpoint)?;
            if !scope.contains(known.facility_id) {
                return Err(Error::NotFound);
            }
            of_endpoint(tx.db(), endpoint)?
        }
    };
    let message = all.into_iter().find(|one| one.effect_id == id).ok_or(Error::NotFound)?;
    if !message.may_be_sent_again() {
        return Err(Error::conflict("channels-error-not-failed"));
    }
    if let Some(incident) = message.incident {
        let row = story::row(tx.db(), incident)?;
        let is_call = matches!(message.occasion, Occasion::Call | Occasion::Repeat);
        if is_call && !row.status()?.is_open() {
            return Err(Error::conflict("channels-error-closed"));
        }
        story::add(tx, incident, Some(by), &Fact::SentAgain { effect: id.to_string() })?;
        crate::climb::touch(tx, incident)?;
    }
    tx.audit(songhe_kernel::AuditEntry::new("message.replay", id))?;
    effects::replay(tx, id, VALID_S)
}

/// Whose messages.
#[derive(Debug, Clone, Copy)]
pub enum Subject {
    Incident(IncidentId),
    Endpoint(EndpointId),
}

/// How a message fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Delivery {
    pub effect_id: EffectId,
    /// `queued`, `delivered`, `failed`, `expired`.
    pub status: String,
    pub attempts: i32,
    pub created_at: Moment,
    pub next_at: Moment,
    /// After it the message is reported as not sent.
    pub valid_until: Moment,
    pub done_at: Option<Moment>,
    /// Of the last attempt.
    pub error: Option<String>,
    pub endpoint: Option<EndpointId>,
    /// What it was sent for.
    pub occasion: Occasion,
    /// Whom it calls, where it calls a number; masked.
    pub phone: Option<String>,
    /// Whom it writes to, where that is one mailbox of several.
    pub mailbox: Option<String>,
    /// The same as it is kept.
    #[serde(skip)]
    pub(crate) kept: Value,
    /// The incident it is about; `null`: a test.
    pub incident: Option<IncidentId>,
    /// As the texts of robots and of text messages end: whoever reads it twice has one message.
    pub number: String,
    /// The answer of the last attempt was lost after the peer had the message: it may have taken it.
    pub in_doubt: bool,
    #[serde(skip)]
    pub(crate) first: EffectId,
}

impl Delivery {
    pub(crate) fn may_be_sent_again(&self) -> bool {
        self.status == "failed" || self.status == "expired"
    }
}

type Columns =
    ((EffectId, String, String, String, String), (i32, Moment, Moment, Moment, Option<Moment>, Option<String>));

fn delivery(row: Columns) -> Delivery {
    let ((effect_id, subject, target, payload, status), rest) = row;
    let (attempts, created_at, next_at, valid_until, done_at, error) = rest;
    let to: Option<Address> = serde_json::from_str(&target).ok();
    let payload: Value = serde_json::from_str(&payload).unwrap_or_default();
    Delivery {
        first: to.and_then(|to| to.first).unwrap_or(effect_id),
        endpoint: to.map(|to| to.endpoint),
        occasion: crate::wording::occasion_of(&payload),
        phone: numbers::shown(&payload["phone"]),
        mailbox: payload["mailbox"].as_str().map(str::to_owned),
        kept: payload["phone"].clone(),
        incident: subject.parse().ok(),
        number: number(effect_id),
        in_doubt: status != "delivered" && attempts > 0 && error.as_deref().is_some_and(reasons::in_doubt),
        effect_id,
        status,
        attempts,
        created_at,
        next_at,
        valid_until,
        done_at,
        error,
    }
}

macro_rules! columns {
    () => {
        (
            (effect::id, effect::subject, effect::target, effect::payload, effect::status),
            (
                effect::attempts,
                effect::created_at,
                effect::next_at,
                effect::valid_until,
                effect::done_at,
                effect::error,
            ),
        )
    };
}

/// The messages that were sent about an incident, oldest first.
pub(crate) fn messages(db: &mut Db, id: IncidentId) -> Result<Vec<Delivery>> {
    let rows: Vec<Columns> = effect::table
        .filter(effect::subject.eq(id.to_string()).and(effect::module.eq(MODULE)))
        .order(effect::id.asc())
        .select(columns!())
        .load(db)?;
    Ok(rows.into_iter().map(delivery).collect())
}

/// The latest messages to an endpoint, newest first.
pub(crate) fn of_endpoint(db: &mut Db, id: EndpointId) -> Result<Vec<Delivery>> {
    let mut all = latest(db)?;
    all.retain(|one| one.endpoint == Some(id));
    Ok(all)
}

/// One message.
pub(crate) fn message(db: &mut Db, id: EffectId) -> Result<Delivery> {
    let row: Option<Columns> = effect::table.find(id.0).select(columns!()).first(db).optional()?;
    row.map(delivery).ok_or(Error::NotFound)
}

fn latest(db: &mut Db) -> Result<Vec<Delivery>> {
    let rows: Vec<Columns> = effect::table
        .filter(effect::module.eq(MODULE).and(effect::kind.eq(KIND)))
        .order(effect::id.desc())
        .limit(LOOK_BACK)
        .select(columns!())
        .load(db)?;
    Ok(rows.into_iter().map(delivery).collect())
}

/// How an endpoint fares.
#[derive(Clone, Default)]
pub(crate) struct Fate {
    pub(crate) delivered_at: Option<Moment>,
    /// The last attempt that failed, and why.
    pub(crate) last_failure: Option<(Moment, Option<String>)>,
    /// Messages under way.
    pub(crate) pending: usize,
}

impl Fate {
    pub(crate) fn add(&mut self, one: &Delivery) {
        let at = one.done_at.unwrap_or(one.created_at);
        let later = self.last_failure.as_ref().is_none_or(|(known, _)| *known < at);
        if one.status == "delivered" {
            self.delivered_at = self.delivered_at.max(Some(at));
        } else if later && (one.status != "queued" || one.attempts > 0) {
            self.last_failure = Some((at, one.error.clone()));
        }
        self.pending += usize::from(one.status == "queued");
    }
}

/// What became of the latest messages, by endpoint.
pub(crate) fn fates(db: &mut Db) -> Result<HashMap<EndpointId, Fate>> {
    let mut fates: HashMap<EndpointId, Fate> = HashMap::new();
    for one in latest(db)? {
        if let Some(endpoint) = one.endpoint {
            fates.entry(endpoint).or_default().add(&one);
        }
    }
    Ok(fates)
}

/// Waits for what comes of a message's next attempt, as long as a peer may take; then it is as it is.
///
/// # Errors
/// `NotFound` when there is none.
pub(crate) async fn outcome(db: &Database, id: EffectId) -> Result<Delivery> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = db.read(move |db| message(db, id)).await?;
        if found.status != "queued" || found.attempts > 0 || tokio::time::Instant::now() > until {
            return Ok(found);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
