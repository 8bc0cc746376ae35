//! Staff: who works where. A person who works at two facilities is on the staff of both, under one account.

use std::collections::HashMap;

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_kernel::db::{Db, Tx};
use songhe_kernel::identity::schema::app_user;
use songhe_kernel::identity::{Scope, find_user_id, with_a_role};
use songhe_kernel::vault::{Sealed, mask};
use songhe_kernel::{AuditEntry, Error, FacilityId, NewEvent, Result, Text, UserId};

use crate::StaffId;
use crate::check::{Check, MAX_NAME_CHARS};
use crate::facilities::expect_facility;
use crate::schema::staff;
use crate::sealed::STAFF_PHONE;
use crate::text_enum::text_enum;

text_enum! {
    /// What somebody is, and what a shift has them there for.
    pub enum Job {
        Carer = "carer",
        Nurse = "nurse",
        NurseLead = "nurse_lead",
        Manager = "manager",
    }
}

/// What somebody is on duty as.
pub type Duty = Job;

/// A member of a facility's staff.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = staff)]
pub struct Staff {
    pub id: StaffId,
    pub facility_id: FacilityId,
    /// The account they sign in with; without one they can be on a roster, but nothing reaches them here.
    pub user_id: Option<UserId>,
    pub name: String,
    pub job: Job,
    /// Whoever left keeps their past shifts and gets no new ones.
    pub active: bool,
    /// Where text messages and voice calls reach them.
    #[diesel(column_name = phone_sealed)]
    pub phone: Option<Sealed>,
}

/// A member of staff to be entered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStaff {
    pub facility_id: FacilityId,
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// 1 to 60 characters.
    pub name: String,
    pub job: Job,
}

/// Adds a member of staff.
///
/// # Errors
/// `Invalid` on `facility_id`, `name` or `user_id` (no such account, or already on this facility's staff).
pub fn create_staff(tx: &mut Tx<'_>, new: &NewStaff, actor: Option<UserId>) -> Result<StaffId> {
    let mut check = Check::default();
    let name = check.words("name", &new.name, MAX_NAME_CHARS);
    check.take(expect_facility(tx.db(), "facility_id", new.facility_id))?;
    if let Some(user) = new.user_id {
        let known: i64 = app_user::table.find(user).count().get_result(tx.db())?;
        let member: i64 = staff::table
            .filter(staff::facility_id.eq(new.facility_id).and(staff::user_id.eq(user)))
            .count()
            .get_result(tx.db())?;
        if known == 0 {
            check.refuse("user_id", Text::key("error-unknown-choice"));
        } else if member > 0 {
            check.refuse("user_id", Text::key("registry-error-staff-exists"));
        }
    }
    check.finish()?;

    let id = StaffId(tx.next_id());
    let inserted = diesel::insert_into(staff::table)
        .values((
            staff::id.eq(id),
            staff::facility_id.eq(new.facility_id),
            staff::user_id.eq(new.user_id),
            staff::name.eq(name),
            staff::job.eq(new.job),
            staff::active.eq(true),
        ))
        .execute(tx.db())
        .map_err(Error::from);
    match inserted {
        Ok(_) => {}
        // Somebody else was first between the look and the insert.
        Err(error) if error.is_unique_violation() => {
            return Err(Error::field("user_id", Text::key("registry-error-staff-exists")));
        }
        Err(error) => return Err(error),
    }
    tx.publish(NewEvent {
        kind: "registry.staff.created",
        version: 1,
        facility: Some(new.facility_id),
        subject: id.to_string(),
        actor,
        data: json!({ "job": new.job }),
    })?;
    let after = json!({ "job": new.job, "user_id": new.user_id });
    tx.audit(AuditEntry::new("staff.create", id).at(new.facility_id).after(after))?;
    tx.signal(crate::topic(new.facility_id));
    Ok(id)
}

/// Adds a member of staff whose account is named as people know it.
///
/// # Errors
/// `Invalid` on `username` when no account of that name has a role at the facility; those of [`create_staff`].
pub(crate) fn enter_staff(
    tx: &mut Tx<'_>,
    new: &NewStaff,
    username: Option<&str>,
    actor: Option<UserId>,
) -> Result<StaffId> {
    let Some(username) = username else { return create_staff(tx, new, actor) };
    let found = find_user_id(tx.db(), username)?;
    let user = found.filter(|user| new.user_id.is_none_or(|named| named == *user));
    // An account without a role here and one that is not there are answered alike: nobody learns who works elsewhere.
    let known = user.map(|user| with_a_role(tx.db(), new.facility_id, &[user])).transpose()?;
    let user = known.and_then(|users| users.first().copied());
    let user = user.ok_or_else(|| Error::field("username", Text::key("registry-error-staff-account")))?;
    create_staff(tx, &NewStaff { user_id: Some(user), ..new.clone() }, actor)
}

/// Writes a member's phone number; `None` or blanks: none. The masked form of the present number leaves it as it is.
///
/// # Errors
/// `NotFound` when there is no such member; `Invalid` on `phone`.
pub fn set_staff_phone(tx: &mut Tx<'_>, id: StaffId, phone: Option<&str>, actor: Option<UserId>) -> Result<()> {
    let member = staff_member(tx.db(), id)?.ok_or(Error::NotFound)?;
    let facility = member.facility_id;
    let before = match member.number() {
        Some(number) => {
            let keys = tx.vault().keys(tx.db(), [&number.sealed])?;
            number.open(&keys).clear().map(|now| mask::phone(&now))
        }
        None => None,
    };
    // What a form shows masked comes back as it was shown.
    if before.is_some() && phone.map(str::trim) == before.as_deref() {
        return Ok(());
    }
    let mut check = Check::default();
    let phone = check.optional_phone("phone", phone);
    check.finish()?;
    let told = |phone: Option<String>| json!({ "phone": phone });
    let entry = AuditEntry::new("staff.phone", id).at(facility);
    tx.audit(entry.before(told(before)).after(told(phone.map(mask::phone))))?;
    let sealed = tx.seal_field(id.person(), &STAFF_PHONE, id.0, phone)?;
    diesel::update(staff::table.find(id)).set(staff::phone_sealed.eq(sealed)).execute(tx.db())?;
    tx.publish(NewEvent {
        kind: "registry.staff.phone_changed",
        version: 1,
        facility: Some(facility),
        subject: id.to_string(),
        actor,
        data: json!({}),
    })?;
    tx.signal(crate::topic(facility));
    Ok(())
}

pub fn staff_member(db: &mut Db, id: StaffId) -> Result<Option<Staff>> {
    Ok(staff::table.find(id).select(Staff::as_select()).first(db).optional()?)
}

/// Where an account works: one row for each facility, also those it left.
pub fn staff_of_user(db: &mut Db, user: UserId) -> Result<Vec<Staff>> {
    Ok(staff::table.filter(staff::user_id.eq(user)).order(staff::id).select(Staff::as_select()).load(db)?)
}

/// A facility's present staff, by id.
pub fn staff_in(db: &mut Db, facility: FacilityId) -> Result<Vec<Staff>> {
    Ok(staff::table
        .filter(staff::facility_id.eq(facility).and(staff::active.eq(true)))
        .order(staff::id)
        .select(Staff::as_select())
        .load(db)?)
}

/// A page of the staff within a scope, by id: up to `limit` after `after`.
pub fn list_staff(db: &mut Db, scope: &Scope, after: Option<StaffId>, limit: i64) -> Result<Vec<Staff>> {
    let mut query = staff::table.select(Staff::as_select()).order(staff::id).limit(limit).into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(staff::facility_id.eq_any(ids.to_vec()));
    }
    if let Some(after) = after {
        query = query.filter(staff::id.gt(after));
    }
    Ok(query.load(db)?)
}

/// The user names of those who have an account.
pub(crate) fn usernames(db: &mut Db, ids: &[StaffId]) -> Result<HashMap<StaffId, String>> {
    let rows: Vec<(StaffId, String)> = staff::table
        .inner_join(app_user::table.on(app_user::id.nullable().eq(staff::user_id)))
        .filter(staff::id.eq_any(ids.to_vec()))
        .select((staff::id, app_user::username))
        .load(db)?;
    Ok(rows.into_iter().collect())
}
