//! The people to tell about a resident, in the order in which they are told.

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_kernel::db::{Db, Tx};
use songhe_kernel::vault::Sealed;
use songhe_kernel::{AuditEntry, Error, NewEvent, Result, Text, UserId};

use crate::check::{Check, MAX_NAME_CHARS};
use crate::residents::resident;
use crate::schema::{resident as resident_table, resident_contact};
use crate::sealed::CONTACT_PHONE;
use crate::{ContactId, ResidentId};

pub(crate) const MAX_RELATION_CHARS: usize = 20;
/// More would never be reached by a ladder.
const MAX_RANK: i16 = 20;

/// A relative, neighbour or volunteer.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = resident_contact)]
pub struct Contact {
    pub id: ContactId,
    pub resident_id: ResidentId,
    /// 1 is told first.
    pub rank: i16,
    pub name: String,
    /// 女儿, 邻居 …
    pub relation: String,
    #[diesel(column_name = phone_sealed)]
    pub phone: Option<Sealed>,
    /// Their account, if they have one.
    pub user_id: Option<UserId>,
}

/// A contact to be entered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewContact {
    /// 1 (told first) to 20; `null`: after the last one.
    #[serde(default)]
    #[schemars(range(min = 1, max = 20))]
    pub rank: Option<i16>,
    /// 1 to 60 characters.
    pub name: String,
    /// 1 to 20 characters.
    pub relation: String,
    #[serde(default)]
    pub phone: Option<String>,
    /// Set by the server's own parts only: an account sees what is sent to it.
    #[serde(skip)]
    pub user_id: Option<UserId>,
}

/// Adds a contact to a resident.
///
/// # Errors
/// `NotFound` when there is no such resident; `Invalid` on `rank` (also when taken), `name`, `relation` or `phone`.
pub fn add_contact(tx: &mut Tx<'_>, id: ResidentId, new: &NewContact, actor: Option<UserId>) -> Result<ContactId> {
    // Locks the resident: ranks are given one after another.
    diesel::update(resident_table::table.find(id)).set(resident_table::id.eq(id)).execute(tx.db())?;
    let resident = resident(tx.db(), id)?.ok_or(Error::NotFound)?;
    let taken: Vec<i16> = contacts(tx.db(), id)?.iter().map(|contact| contact.rank).collect();
    let rank = new.rank.unwrap_or_else(|| taken.iter().max().map_or(1, |last| last.saturating_add(1)));

    let mut check = Check::default();
    let name = check.words("name", &new.name, MAX_NAME_CHARS);
    let relation = check.words("relation", &new.relation, MAX_RELATION_CHARS);
    let phone = check.optional_phone("phone", new.phone.as_deref());
    if !(1..=MAX_RANK).contains(&rank) {
        check.refuse("rank", Text::key("error-out-of-range").arg("min", 1).arg("max", MAX_RANK));
    } else if taken.contains(&rank) {
        check.refuse("rank", Text::key("registry-error-rank-taken"));
    }
    check.finish()?;

    let contact = ContactId(tx.next_id());
    let phone = match phone {
        Some(phone) => tx.seal_field(id.person(), &CONTACT_PHONE, contact.0, Some(phone))?,
        None => None,
    };
    diesel::insert_into(resident_contact::table)
        .values((
            resident_contact::id.eq(contact),
            resident_contact::resident_id.eq(id),
            resident_contact::rank.eq(rank),
            resident_contact::name.eq(name),
            resident_contact::relation.eq(relation),
            resident_contact::phone_sealed.eq(phone),
            resident_contact::user_id.eq(new.user_id),
        ))
        .execute(tx.db())?;
    tx.publish(NewEvent {
        kind: "registry.contact.added",
        version: 1,
        facility: Some(resident.facility_id),
        subject: id.to_string(),
        actor,
        data: json!({ "contact_id": contact, "rank": rank }),
    })?;
    let after = json!({ "contact_id": contact, "rank": rank, "user_id": new.user_id });
    tx.audit(AuditEntry::new("contact.add", id).at(resident.facility_id).about(id.0).after(after))?;
    tx.signal(crate::topic(resident.facility_id));
    Ok(contact)
}

/// A resident's contacts, the one told first in front.
pub fn contacts(db: &mut Db, resident: ResidentId) -> Result<Vec<Contact>> {
    Ok(resident_contact::table
        .filter(resident_contact::resident_id.eq(resident))
        .order(resident_contact::rank)
        .select(Contact::as_select())
        .load(db)?)
}
