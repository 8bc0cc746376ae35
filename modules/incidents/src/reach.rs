//! Whom a rung reaches now: people by the roster, and a way to them that works at this moment.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use songhe_kernel::identity::holding;
use songhe_kernel::identity::schema::{app_user, role_grant};
use songhe_kernel::{Db, FacilityId, KeptExt, Moment, Result, Tx, UserId};
use songhe_registry as registry;

use crate::model::{Channel, EndpointId, Reason, Row, Target};
use crate::module::READERS;
use crate::presence;
use crate::schema::webhook_endpoint;

/// A person that a rung names, as kept with the rung.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    /// Their account, if they have one.
    pub(crate) user: Option<UserId>,
    pub(crate) name: String,
}

/// The way to somebody, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    Nobody(Reason, Vec<Person>),
    /// A live board with its sound on.
    Board(Vec<Person>),
    Webhook {
        endpoint: EndpointId,
        who: Vec<Person>,
    },
}

pub(crate) fn names(people: &[Person]) -> Vec<String> {
    people.iter().map(|person| person.name.clone()).collect()
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
            let users = holding(tx.db(), row.facility_id, READERS, &users)?;
            let live = presence::live_with_sound(tx.db(), &users, now)?;
            if live.is_empty() {
                return Ok(Reach::Nobody(Reason::NoLiveBoard, people));
            }
            let reached = |person: &Person| person.user.is_some_and(|user| live.contains(&user));
            Ok(Reach::Board(people.into_iter().filter(reached).collect()))
        }
        Channel::Webhook => Ok(match endpoint(tx.db(), row.facility_id, target)? {
            Some(endpoint) => Reach::Webhook { endpoint, who: people },
            None => Reach::Nobody(Reason::NoChannel, people),
        }),
    }
}

/// Who a target is at a moment.
pub(crate) fn people(db: &mut Db, row: &Row, target: Target, rank: Option<i32>, at: Moment) -> Result<Vec<Person>> {
    let duty = |list: Vec<registry::StaffOnDuty>| {
        list.into_iter().map(|staff| Person { user: staff.user_id, name: staff.name }).collect()
    };
    Ok(match target {
        Target::OnCall => duty(registry::on_duty_any(db, row.facility_id, at)?),
        Target::NurseLead => duty(registry::on_duty(db, row.facility_id, registry::Duty::NurseLead, at)?),
        Target::Manager => duty(registry::on_duty(db, row.facility_id, registry::Duty::Manager, at)?),
        Target::Contact => match row.resident_id {
            Some(resident) => registry::contacts(db, resident)?
                .into_iter()
                .filter(|contact| rank.is_none_or(|rank| i32::from(contact.rank) == rank))
                .map(|contact| Person { user: contact.user_id, name: contact.name })
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
    Ok(found.into_iter().map(|(user, name)| Person { user: Some(user), name }).collect())
}

/// The endpoint for a target, else the facility's endpoint for all targets (stored as `any`).
pub(crate) fn endpoint(db: &mut Db, facility: FacilityId, target: Target) -> Result<Option<EndpointId>> {
    let found: Vec<(EndpointId, String)> = webhook_endpoint::table
        .filter(webhook_endpoint::facility_id.eq(facility.0).and(webhook_endpoint::active.eq(true)))
        .filter(webhook_endpoint::target.eq_any([target.as_str(), "any"]))
        .order(webhook_endpoint::id.asc())
        .select((webhook_endpoint::id, webhook_endpoint::target))
        .kept(2)
        .load(db)?;
    let own = found.iter().find(|(_, of)| of == target.as_str());
    Ok(own.or(found.first()).map(|(id, _)| *id))
}
