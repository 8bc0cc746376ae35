//! What is changed of a resident's contacts: who they are, and in which order they are told.

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_kernel::db::Tx;
use songhe_kernel::{Error, Result, Text, UserId};

use crate::check::{Check, MAX_NAME_CHARS};
use crate::contacts::{Contact, MAX_RELATION_CHARS, contacts};
use crate::record;
use crate::residents::{lock, resident};
use crate::schema::resident_contact;
use crate::sealed::CONTACT_PHONE;
use crate::{ContactId, ResidentId};

/// Above every rank that a contact has: ranks are unique at each moment, also while they are given anew.
const APART: i16 = 1000;

/// A contact as it is from now on; the place in the order stays.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactEdit {
    /// 1 to 60 characters.
    pub name: String,
    /// 1 to 20 characters.
    pub relation: String,
    /// `null` or left out: it stays as it is, since it is shown masked.
    #[serde(default)]
    pub phone: Option<String>,
    /// The number is taken away.
    #[serde(default)]
    pub remove_phone: bool,
}

/// Writes a contact anew.
///
/// # Errors
/// `NotFound` when the resident has no such contact; `Invalid` on `name`, `relation` or `phone`.
pub fn edit_contact(
    tx: &mut Tx<'_>,
    id: ResidentId,
    contact: ContactId,
    edit: &ContactEdit,
    actor: Option<UserId>,
) -> Result<()> {
    expect(tx, id, contact)?;
    let mut check = Check::default();
    let name = check.words("name", &edit.name, MAX_NAME_CHARS);
    let relation = check.words("relation", &edit.relation, MAX_RELATION_CHARS);
    let phone = check.optional_phone("phone", edit.phone.as_deref());
    check.finish()?;
    diesel::update(resident_contact::table.find(contact))
        .set((resident_contact::name.eq(name), resident_contact::relation.eq(relation)))
        .execute(tx.db())?;
    if phone.is_some() || edit.remove_phone {
        let phone = phone.filter(|_| !edit.remove_phone);
        let sealed = tx.seal_field(id.person(), &CONTACT_PHONE, contact.0, phone)?;
        diesel::update(resident_contact::table.find(contact))
            .set(resident_contact::phone_sealed.eq(sealed))
            .execute(tx.db())?;
    }
    tell(tx, id, actor, "changed", contact)
}

/// Takes a contact away; those behind move up.
///
/// # Errors
/// `NotFound` when the resident has no such contact.
pub fn remove_contact(tx: &mut Tx<'_>, id: ResidentId, contact: ContactId, actor: Option<UserId>) -> Result<()> {
    let others =
        expect(tx, id, contact)?.into_iter().map(|one| one.id).filter(|one| *one != contact).collect::<Vec<_>>();
    tx.seal_field(id.person(), &CONTACT_PHONE, contact.0, None)?;
    diesel::delete(resident_contact::table.find(contact)).execute(tx.db())?;
    rank(tx, &others)?;
    tell(tx, id, actor, "removed", contact)
}

/// Puts a resident's contacts into an order: the first one is told first.
///
/// # Errors
/// `NotFound` when there is no such resident; `Invalid` on `order` unless it holds each of the contacts once.
pub fn order_contacts(tx: &mut Tx<'_>, id: ResidentId, order: &[ContactId], actor: Option<UserId>) -> Result<()> {
    lock(tx, id)?;
    let person = resident(tx.db(), id)?.ok_or(Error::NotFound)?;
    let now: Vec<ContactId> = contacts(tx.db(), id)?.iter().map(|contact| contact.id).collect();
    let sorted = |ids: &[ContactId]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    if sorted(order) != sorted(&now) {
        return Err(Error::field("order", Text::key("record-error-contact-order")));
    }
    if order == now {
        return Ok(());
    }
    rank(tx, order)?;
    record::tell(tx, "registry.contact.ordered", person.facility_id, id, actor, json!({ "order": order }))
}

/// All contacts of a resident, one of whom is `contact`; the resident is locked.
fn expect(tx: &mut Tx<'_>, id: ResidentId, contact: ContactId) -> Result<Vec<Contact>> {
    lock(tx, id)?;
    let all = contacts(tx.db(), id)?;
    if all.iter().any(|one| one.id == contact) { Ok(all) } else { Err(Error::NotFound) }
}

fn rank(tx: &mut Tx<'_>, order: &[ContactId]) -> Result<()> {
    for from in [APART, 0] {
        for (place, contact) in (from + 1..).zip(order) {
            diesel::update(resident_contact::table.find(contact))
                .set(resident_contact::rank.eq(place))
                .execute(tx.db())?;
        }
    }
    Ok(())
}

fn tell(tx: &mut Tx<'_>, id: ResidentId, actor: Option<UserId>, what: &str, contact: ContactId) -> Result<()> {
    let person = resident(tx.db(), id)?.ok_or(Error::NotFound)?;
    let data = json!({ "contact_id": contact, "change": what });
    record::tell(tx, "registry.contact.changed", person.facility_id, id, actor, data)
}
