//! The identity document of a resident: its number is sealed under their key, shown masked, and found by its whole, its last
//! six or its last four.

use chrono::NaiveDate;
use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_kernel::db::{Db, Tx};
use songhe_kernel::identity::Scope;
use songhe_kernel::vault::{Field, Opened, Part, Sealed, Shape, Vault};
use songhe_kernel::{Error, FieldError, Moment, Result, Text, UserId};

use super::identity_number::{DocumentKind, IdentityNumber};
use super::tell;
use crate::ResidentId;
use crate::facilities::facility;
use crate::residents::{MAX_AGE_YEARS, Resident, ResidentFilter, Sex, list_residents, lock, resident, residents_by_id};
use crate::schema::{resident as resident_table, resident_document};
use crate::sealed::RESIDENT_PHONE;

pub const DOCUMENT_NUMBER: Field = Field::new("resident_document.number", Shape::IdNumber);
/// Of half a million numbers, about fifty share their last four.
const MAX_SAME_END: i64 = 2000;

/// A document to be entered.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDocument {
    pub kind: DocumentKind,
    /// Of an identity card: 18 characters, or the 15 of the former one.
    pub number: String,
}

/// A document as it is stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = resident_document)]
pub struct Document {
    /// The resident's.
    pub id: ResidentId,
    pub kind: DocumentKind,
    pub number_sealed: Sealed,
    pub changed_at: Moment,
}

impl Document {
    /// The number.
    ///
    /// # Errors
    /// When the database does not answer, or the number was not sealed here.
    pub fn open(&self, vault: &Vault, db: &mut Db) -> Result<Opened> {
        vault.keys(db, [&self.number_sealed])?.open(&DOCUMENT_NUMBER, self.id.0, &self.number_sealed)
    }
}

pub fn document(db: &mut Db, id: ResidentId) -> Result<Option<Document>> {
    Ok(resident_document::table.find(id).select(Document::as_select()).first(db).optional()?)
}

/// Enters a document in the place of the former one. Birth date and sex that are not known yet are those of the number.
///
/// # Errors
/// `NotFound` when there is no such resident; `Invalid` on `number`: not well formed, somebody else's, or of another birth
/// date or sex than the record's.
pub fn set_document(tx: &mut Tx<'_>, id: ResidentId, new: &NewDocument, actor: Option<UserId>) -> Result<()> {
    lock(tx, id)?;
    let person = resident(tx.db(), id)?.ok_or(Error::NotFound)?;
    let refused = |key: &'static str| Error::field("number", Text::key(key));
    let read = IdentityNumber::parse(new.kind, &new.number).map_err(|fault| Error::field("number", fault.text()))?;
    let home = facility(tx.db(), person.facility_id)?.ok_or(Error::NotFound)?;
    let today = tx.now().day_in(home.tz()?);
    if read.birth_date.is_some_and(|birth| today.years_since(birth).is_none_or(|age| age > MAX_AGE_YEARS)) {
        return Err(refused("record-error-id-birth"));
    }
    if read.birth_date.is_some() && person.birth_date.is_some() && read.birth_date != person.birth_date {
        return Err(refused("record-error-id-birth-differs"));
    }
    if read.sex.is_some() && person.sex != Sex::Unknown && read.sex != Some(person.sex) {
        return Err(refused("record-error-id-sex-differs"));
    }
    let vault = tx.vault();
    for other in vault.rows_with(tx.db(), &DOCUMENT_NUMBER, Part::Whole, read.as_str(), 10)? {
        if other != id.0 {
            // Elsewhere: that there is somebody, and nothing of them.
            let here = resident(tx.db(), ResidentId(other))?.is_some_and(|one| one.facility_id == person.facility_id);
            return Err(refused(if here { "record-error-id-here" } else { "record-error-id-elsewhere" }));
        }
    }
    let sealed = tx.seal_field(id.person(), &DOCUMENT_NUMBER, id.0, Some(read.as_str()))?;
    let sealed = sealed.ok_or_else(|| Error::internal("a number that was not sealed"))?;
    let now = tx.now();
    diesel::delete(resident_document::table.find(id)).execute(tx.db())?;
    diesel::insert_into(resident_document::table)
        .values((
            resident_document::id.eq(id),
            resident_document::kind.eq(new.kind),
            resident_document::number_sealed.eq(sealed),
            resident_document::changed_at.eq(now),
            resident_document::changed_by.eq(actor),
        ))
        .execute(tx.db())?;
    diesel::update(resident_table::table.find(id))
        .set((
            resident_table::birth_date.eq(person.birth_date.or(read.birth_date)),
            resident_table::sex.eq(if person.sex == Sex::Unknown {
                read.sex.unwrap_or(person.sex)
            } else {
                person.sex
            }),
        ))
        .execute(tx.db())?;
    let data = json!({ "kind": new.kind, "has_document": true });
    tell(tx, "registry.resident.document_changed", person.facility_id, id, actor, data)
}

/// Takes a document away.
///
/// # Errors
/// `NotFound` when there is no such resident.
pub fn remove_document(tx: &mut Tx<'_>, id: ResidentId, actor: Option<UserId>) -> Result<()> {
    lock(tx, id)?;
    let person = resident(tx.db(), id)?.ok_or(Error::NotFound)?;
    if diesel::delete(resident_document::table.find(id)).execute(tx.db())? == 0 {
        return Ok(());
    }
    tx.seal_field(id.person(), &DOCUMENT_NUMBER, id.0, None)?;
    let data = json!({ "has_document": false });
    tell(tx, "registry.resident.document_changed", person.facility_id, id, actor, data)
}

/// What a birth date and a sex say against the document that the resident has.
pub(crate) fn against_document(
    tx: &mut Tx<'_>,
    person: &Resident,
    birth_date: Option<NaiveDate>,
    sex: Sex,
) -> Result<Vec<FieldError>> {
    let mut wrong = Vec::new();
    if birth_date == person.birth_date && sex == person.sex {
        return Ok(wrong);
    }
    let Some(known) = document(tx.db(), person.id)? else { return Ok(wrong) };
    let vault = tx.vault();
    let Some(number) = known.open(vault, tx.db())?.clear() else { return Ok(wrong) };
    let Ok(read) = IdentityNumber::parse(known.kind, &number) else { return Ok(wrong) };
    if read.birth_date.is_some() && read.birth_date != birth_date {
        wrong.push(FieldError::new("birth_date", Text::key("record-error-differs-from-id")));
    }
    if read.sex.is_some_and(|known| known != sex) {
        wrong.push(FieldError::new("sex", Text::key("record-error-differs-from-id")));
    }
    Ok(wrong)
}

/// The residents in scope that a text finds: by the last four or six or all of a document's or telephone number, else as
/// [`list_residents`] does.
pub fn find_residents(
    vault: &Vault,
    db: &mut Db,
    filter: &ResidentFilter,
    limit: i64,
) -> Result<Vec<(Resident, Option<String>)>> {
    let typed = filter.name.trim();
    let is_number = typed.chars().any(|c| c.is_ascii_digit())
        && typed.chars().all(|c| c.is_ascii_digit() || matches!(c, 'x' | 'X' | ' ' | '-' | '+'));
    if filter.after.is_none() && is_number {
        let mut ids = Vec::new();
        for field in [&DOCUMENT_NUMBER, &RESIDENT_PHONE] {
            if let Some(part) = Part::of_search(field.shape, typed) {
                ids.extend(vault.rows_with(db, field, part, typed, MAX_SAME_END)?.into_iter().map(ResidentId));
            }
        }
        ids.sort_unstable();
        ids.dedup();
        let mut rows = Vec::new();
        for some in ids.chunks(500) {
            rows.extend(in_scope(db, some, &filter.scope)?);
        }
        // All of them are on one page: a longer number tells them apart.
        rows.truncate(usize::try_from(limit - 1).unwrap_or_default());
        if !rows.is_empty() {
            return Ok(rows);
        }
    }
    list_residents(db, filter, limit)
}

fn in_scope(db: &mut Db, ids: &[ResidentId], scope: &Scope) -> Result<Vec<(Resident, Option<String>)>> {
    let rows = residents_by_id(db, ids)?;
    Ok(rows.into_iter().filter(|(one, _)| scope.contains(one.facility_id)).collect())
}
