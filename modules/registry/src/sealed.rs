//! Sensitive fields of the registry: how each is sealed, and under whose key.
//!
//! Screens, API and exports show numbers masked. In full they are shown once, to who may (`residents.unmask`,
//! `staff.unmask`) and gives a reason, which is written down.
//!
//! A contact's number stands in the resident's file and is sealed under the resident's key: it is erased with it.

use serde_json::json;
use songhe_kernel::audit::AuditEntry;
use songhe_kernel::http::Ctx;
use songhe_kernel::vault::{Field, Opened, Person, PersonKeys, Sealed, SealedColumn, Shape, mask};
use songhe_kernel::{Error, FacilityId, Result, Text};

use crate::{Contact, ContactId, DOCUMENT_NUMBER, Resident, ResidentId, Staff, StaffId};

pub const RESIDENT_PHONE: Field = Field::new("resident.phone", Shape::Phone);
pub const CONTACT_PHONE: Field = Field::new("resident_contact.phone", Shape::Phone);
pub const STAFF_PHONE: Field = Field::new("staff.phone", Shape::Phone);

/// Every sealed column of this module: what is converted from earlier releases, and indexed anew when the index key changes.
pub(crate) static COLUMNS: [SealedColumn; 4] = [
    SealedColumn {
        field: &RESIDENT_PHONE,
        table: "resident",
        column: "phone_sealed",
        clear: Some("phone"),
        kind: ResidentId::PREFIX,
        person: "id",
    },
    SealedColumn {
        field: &CONTACT_PHONE,
        table: "resident_contact",
        column: "phone_sealed",
        clear: Some("phone"),
        kind: ResidentId::PREFIX,
        person: "resident_id",
    },
    SealedColumn {
        field: &STAFF_PHONE,
        table: "staff",
        column: "phone_sealed",
        clear: Some("phone"),
        kind: StaffId::PREFIX,
        person: "id",
    },
    SealedColumn {
        field: &DOCUMENT_NUMBER,
        table: "resident_document",
        column: "number_sealed",
        clear: None,
        kind: ResidentId::PREFIX,
        person: "id",
    },
];

impl ResidentId {
    /// Whose key seals what belongs to this resident.
    pub fn person(self) -> Person {
        Person::of(Self::PREFIX, self.0)
    }
}

impl StaffId {
    /// Whose key seals what belongs to this member of staff.
    pub fn person(self) -> Person {
        Person::of(Self::PREFIX, self.0)
    }
}

/// A sealed number and where it stands: everything that is needed to open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedNumber {
    pub sealed: Sealed,
    field: &'static Field,
    row: i64,
}

impl SealedNumber {
    pub(crate) fn of_staff(id: StaffId, sealed: Option<Sealed>) -> Option<Self> {
        sealed.map(|sealed| Self { sealed, field: &STAFF_PHONE, row: id.0 })
    }

    pub(crate) fn of_contact(id: ContactId, sealed: Option<Sealed>) -> Option<Self> {
        sealed.map(|sealed| Self { sealed, field: &CONTACT_PHONE, row: id.0 })
    }

    /// Opens it by keys that were read before. What cannot be opened is told in the log and to the reader, and stops
    /// nothing: a call goes on to the other numbers.
    pub fn open(&self, keys: &PersonKeys) -> Opened {
        keys.look(self.field, self.row, &self.sealed)
    }
}

impl Contact {
    pub fn number(&self) -> Option<SealedNumber> {
        SealedNumber::of_contact(self.id, self.phone.clone())
    }
}

impl Staff {
    pub fn number(&self) -> Option<SealedNumber> {
        SealedNumber::of_staff(self.id, self.phone.clone())
    }
}

impl Resident {
    pub fn number(&self) -> Option<SealedNumber> {
        self.phone.clone().map(|sealed| SealedNumber { sealed, field: &RESIDENT_PHONE, row: self.id.0 })
    }
}

/// How much of a number is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    Masked,
    Full,
}

/// A number as it is shown, or the word in its place.
pub(crate) fn shown(ctx: &Ctx, number: Option<SealedNumber>, keys: &PersonKeys, show: Show) -> Option<String> {
    let mask = match show {
        Show::Masked => mask::phone,
        Show::Full => str::to_owned,
    };
    Some(number?.open(keys).masked(mask, |key| ctx.say(&Text::key(key))))
}

/// Writes down that the caller sees a resident's numbers in full, and why: before they are shown.
///
/// # Errors
/// Those of [`reason`]; when it cannot be written down.
pub(crate) async fn note_unmasking(ctx: &Ctx, at: FacilityId, id: ResidentId, why: &str) -> Result<()> {
    let entry = AuditEntry::new("residents.unmask", id).at(at).about(id.0);
    ctx.audit_read(entry.after(json!({ "fields": ["phone", "contacts.phone"] })).because(reason(why)?)).await
}

/// The same of a member of staff.
///
/// # Errors
/// As [`note_unmasking`].
pub(crate) async fn note_unmasking_of_staff(ctx: &Ctx, at: FacilityId, id: StaffId, why: &str) -> Result<()> {
    let entry = AuditEntry::new("staff.unmask", id).at(at);
    ctx.audit_read(entry.after(json!({ "fields": ["phone"] })).because(reason(why)?)).await
}

const MIN_REASON_CHARS: usize = 2;
const MAX_REASON_CHARS: usize = 200;

/// Why somebody wants to see a number in full.
///
/// # Errors
/// `Invalid` on `reason` when it is missing, or over 200 characters.
pub(crate) fn reason(text: &str) -> Result<&str> {
    let text = text.trim();
    match text.chars().count() {
        MIN_REASON_CHARS..=MAX_REASON_CHARS => Ok(text),
        0..MIN_REASON_CHARS => Err(Error::field("reason", Text::key("vault-error-reason"))),
        _ => Err(Error::field("reason", Text::key("error-too-long").arg("max", MAX_REASON_CHARS))),
    }
}
