//! Which account a member of staff signs in with: given, changed and taken away while they work here.

use diesel::prelude::*;
use serde_json::json;
use songhe_kernel::db::Tx;
use songhe_kernel::identity::{Scope, find_user_id, with_a_role};
use songhe_kernel::{Error, FacilityId, NewEvent, Result, Text, UserId};

use crate::StaffId;
use crate::schema::staff;

/// Links a member of staff to the account of a user name; `None` or blanks: to none, and nothing reaches them here.
///
/// # Errors
/// `NotFound` for a member outside the scope; `Invalid` on `username` when no account of that name has a role at the
/// facility, or another member there has it.
pub fn link_account(
    tx: &mut Tx<'_>,
    scope: &Scope,
    id: StaffId,
    username: Option<&str>,
    actor: Option<UserId>,
) -> Result<FacilityId> {
    let refused = |key| Error::field("username", Text::key(key));
    let facility: Option<FacilityId> = staff::table.find(id).select(staff::facility_id).first(tx.db()).optional()?;
    let facility = facility.filter(|facility| scope.contains(*facility)).ok_or(Error::NotFound)?;
    let user = match username.map(str::trim).filter(|name| !name.is_empty()) {
        None => None,
        Some(name) => {
            let found = find_user_id(tx.db(), name)?;
            // An account without a role here and one that is not there are answered alike.
            let known = with_a_role(tx.db(), facility, &found.into_iter().collect::<Vec<_>>())?;
            Some(known.first().copied().ok_or_else(|| refused("registry-error-staff-account"))?)
        }
    };
    let updated = diesel::update(staff::table.find(id)).set(staff::user_id.eq(user)).execute(tx.db());
    match updated.map_err(Error::from) {
        Ok(_) => {}
        Err(error) if error.is_unique_violation() => return Err(refused("registry-error-staff-exists")),
        Err(error) => return Err(error),
    }
    tx.publish(NewEvent {
        kind: "registry.staff.account_changed",
        version: 1,
        facility: Some(facility),
        subject: id.to_string(),
        actor,
        data: json!({ "user_id": user }),
    })?;
    tx.signal(crate::topic(facility));
    Ok(facility)
}
