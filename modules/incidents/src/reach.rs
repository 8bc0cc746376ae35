//! Whom a rung reaches now: people by the roster, and a way to them that works at this moment.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use songhe_kernel::identity::permitted;
use songhe_kernel::identity::schema::{app_user, role_grant};
use songhe_kernel::{Db, FacilityId, KeptExt, Moment, Result, Tx, UserId};
use songhe_registry::{self as registry, SealedNumber};

use crate::model::{Channel, EndpointId, EndpointKind, Reason, Row, Target};
use crate::module::{INCIDENTS_READ, READERS};
use crate::schema::webhook_endpoint;
use crate::{numbers, presence};

/// A person that a rung names, as kept with the rung.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    /// Their account, if they have one.
    pub(crate) user: Option<UserId>,
    pub(crate) name: String,
    /// Where text messages and voice calls reach them; not kept.
    #[serde(skip)]
    pub(crate) phone: Option<SealedNumber>,
}

/// The way to somebody, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    Nobody(Reason, Vec<Person>),
    /// A live board with its sound on.
    Board(Vec<Person>),
    Message(Way, Vec<Person>),
}

/// An endpoint that can reach them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) endpoint: EndpointId,
    /// The numbers to be called, each by a message of its own; none: one message to the endpoint.
    pub(crate) phones: Vec<String>,
    /// Each gets a message of its own: one that is refused keeps it from none of the others.
    pub(crate) mailboxes: Vec<String>,
}

pub(crate) fn names(people: &[Person]) -> Vec<String> {
    people.iter().map(|person| person.name.clone()).collect()
}

/// Their numbers, each once.
pub(crate) fn phones(tx: &mut Tx<'_>, people: &[Person]) -> Result<Vec<String>> {
    let numbers: Vec<SealedNumber> = people.iter().filter_map(|person| person.phone.clone()).collect();
    numbers::open(tx, &numbers)
}

pub(crate) fn find(tx: &mut Tx<'_>, row: &Row, target: Target, rank: Option<i32>, channel: Channel) -> Result<Reach> {
    let now = tx.now();
    let people = people(tx.db(), row, target, rank, now)?;
    if people.is_empty() {
        return Ok(Reach::Nobody(Reason::Nobody, people));
    }
    match channel {
        Channel::Board => {
            let users: Vec<UserId> = people.iter().filter_map(|person| person.user).collect();
            // A board shows what its user may see: somebody without a role here would hear nothing.
            let users = permitted(tx.db(), row.facility_id, INCIDENTS_READ, READERS, &users)?;
            let live = presence::live_with_sound(tx.db(), &users, now)?;
            if live.is_empty() {
                return Ok(Reach::Nobody(Reason::NoLiveBoard, people));
            }
            let reached = |person: &Person| person.user.is_some_and(|user| live.contains(&user));
            Ok(Reach::Board(people.into_iter().filter(reached).collect()))
        }
        Channel::Webhook | Channel::Email | Channel::Chat | Channel::Sms | Channel::Voice => {
            let found = endpoints(tx.db(), row.facility_id, target, channel)?;
            let reason = if found.is_empty() { Reason::NoChannel } else { Reason::NoAddress };
            let numbers = phones(tx, &people)?;
            let way = found.into_iter().find_map(|endpoint| endpoint.way(&numbers));
            Ok(way.map_or_else(|| Reach::Nobody(reason, people.clone()), |way| Reach::Message(way, people.clone())))
        }
    }
}

/// Who a target is at a moment.
pub(crate) fn people(db: &mut Db, row: &Row, target: Target, rank: Option<i32>, at: Moment) -> Result<Vec<Person>> {
    let duty = |list: Vec<registry::StaffOnDuty>| {
        list.into_iter()
            .map(|staff| Person { phone: staff.number(), user: staff.user_id, name: staff.name })
            .collect::<Vec<_>>()
    };
    Ok(match target {
        Target::OnCall => duty(registry::on_duty_any(db, row.facility_id, at)?),
        Target::NurseLead => duty(registry::on_duty(db, row.facility_id, registry::Duty::NurseLead, at)?),
        Target::Manager => duty(registry::on_duty(db, row.facility_id, registry::Duty::Manager, at)?),
        Target::Contact => match row.resident_id {
            Some(resident) => registry::contacts(db, resident)?
                .into_iter()
                .filter(|contact| rank.is_none_or(|rank| i32::from(contact.rank) == rank))
                .map(|contact| Person { phone: contact.number(), user: contact.user_id, name: contact.name })
                .collect(),
            None => Vec::new(),
        },
        Target::StreetCentre => supervisors(db, row.facility_id)?,
    })
}

/// Supervisors of the region right above the facility: the street.
pub(crate) fn supervisors(db: &mut Db, facility: FacilityId) -> Result<Vec<Person>> {
    let Some(street) = registry::region_above(db, facility)? else { return Ok(Vec::new()) };
    let found: Vec<(UserId, String)> = role_grant::table
        .inner_join(app_user::table.on(app_user::id.eq(role_grant::user_id)))
        .filter(role_grant::role.eq("supervisor").and(role_grant::scope_id.eq(street)))
        .filter(app_user::disabled.eq(false))
        .select((app_user::id, app_user::display_name))
        .load(db)?;
    Ok(found.into_iter().map(|(user, name)| Person { user: Some(user), name, phone: None }).collect())
}

/// An endpoint as the choice among them needs it.
pub(crate) struct Candidate {
    id: EndpointId,
    kind: EndpointKind,
    /// Numbers for whoever has none; the mailboxes of an e-mail channel.
    spare: Vec<String>,
}

impl Candidate {
    /// How it reaches people of these numbers; `None`: it needs one, and there is none.
    fn way(self, numbers: &[String]) -> Option<Way> {
        if !self.kind.is_by_phone() {
            let mailboxes = if self.kind == EndpointKind::Email { self.spare } else { Vec::new() };
            return Some(Way { endpoint: self.id, phones: Vec::new(), mailboxes });
        }
        let phones = if numbers.is_empty() { self.spare } else { numbers.to_vec() };
        (!phones.is_empty()).then_some(Way { endpoint: self.id, phones, mailboxes: Vec::new() })
    }

    /// Whether it reaches people only by numbers of their own.
    pub(crate) fn needs_numbers(&self) -> bool {
        self.kind.is_by_phone() && self.spare.is_empty()
    }
}

/// The endpoints that serve a channel for a target, those for it alone first, then the facility's for all targets
/// (stored as `any`).
pub(crate) fn endpoints(db: &mut Db, facility: FacilityId, target: Target, channel: Channel) -> Result<Vec<Candidate>> {
    let found: Vec<(EndpointId, String, String, String)> = webhook_endpoint::table
        .filter(webhook_endpoint::facility_id.eq(facility.0).and(webhook_endpoint::active.eq(true)))
        .filter(webhook_endpoint::target.eq_any([target.as_str(), "any"]))
        .order(webhook_endpoint::id.asc())
        .select((webhook_endpoint::id, webhook_endpoint::target, webhook_endpoint::kind, webhook_endpoint::recipients))
        .kept(2)
        .load(db)?;
    let mut all = Vec::new();
    for (id, of, kind, recipients) in found {
        let kind: EndpointKind = kind.parse()?;
        if kind.serves(channel) {
            all.push((of != target.as_str(), Candidate { id, kind, spare: serde_json::from_str(&recipients)? }));
        }
    }
    all.sort_by_key(|(general, candidate)| (*general, candidate.kind, candidate.id.0));
    Ok(all.into_iter().map(|(_, candidate)| candidate).collect())
}
