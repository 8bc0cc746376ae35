//! Devices lent to residents until a day.

use chrono::NaiveDate;
use diesel::prelude::*;
use serde_json::json;
use songhe_kernel::{AuditEntry, Db, Error, FieldError, Moment, Result, Text, Tx, UserId};
use songhe_registry::{self as registry, ResidentId, zone_of};

use crate::lifecycle::line;
use crate::register::{self, DeviceId};
use crate::schema::device_loan;

const MAX_NOTE_CHARS: usize = 200;
/// Longest loan, in days.
const MAX_DAYS: i64 = 730;

/// A loan; without `returned_at` it lasts.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = device_loan)]
pub struct Loan {
    pub resident_id: ResidentId,
    pub lent_at: Moment,
    pub lent_by: Option<UserId>,
    /// The last day, in the facility's zone.
    pub due_on: NaiveDate,
    pub note: String,
    pub returned_at: Option<Moment>,
    pub returned_by: Option<UserId>,
}

impl Loan {
    /// `today`: in the facility's zone.
    pub fn is_overdue(&self, today: NaiveDate) -> bool {
        self.returned_at.is_none() && self.due_on < today
    }
}

/// Lends a device to a resident and binds it to them, where they live.
///
/// # Errors
/// `Invalid` for a resident of another facility, a day that is over or more than two years away, a note that is too long,
/// or a device that is lent already; `NotFound` for no such device or one out of use.
pub fn lend(
    tx: &mut Tx<'_>,
    id: DeviceId,
    resident: ResidentId,
    due_on: NaiveDate,
    note: &str,
    by: Option<UserId>,
) -> Result<()> {
    let device = register::find(tx.db(), id)?.filter(|device| device.enabled).ok_or(Error::NotFound)?;
    let mut wrong = Vec::new();
    let person = registry::resident(tx.db(), resident)?.filter(|person| person.facility_id == device.facility_id);
    if person.is_none() {
        wrong.push(FieldError::new("resident", Text::key("devices-error-resident")));
    }
    let today = tx.now().day_in(zone_of(tx.db(), device.facility_id)?);
    if due_on < today || (due_on - today).num_days() > MAX_DAYS {
        wrong.push(FieldError::new("due_on", Text::key("devices-error-due-on")));
    }
    if current(tx.db(), id)?.is_some() {
        wrong.push(FieldError::new("resident", Text::key("devices-error-lent")));
    }
    let note = if note.trim().is_empty() { String::new() } else { line("note", note, MAX_NOTE_CHARS)? };
    let Some(person) = person.filter(|_| wrong.is_empty()) else { return Err(Error::Invalid(wrong)) };
    let now = tx.now();
    diesel::insert_into(device_loan::table)
        .values((
            device_loan::id.eq(tx.next_id()),
            device_loan::device_id.eq(id.0),
            device_loan::resident_id.eq(resident.0),
            device_loan::lent_at.eq(now),
            device_loan::lent_by.eq(by.map(|id| id.0)),
            device_loan::due_on.eq(due_on),
            device_loan::note.eq(note),
        ))
        .execute(tx.db())?;
    register::bind(tx, id, person.place_id, Some(resident), by)?;
    let after = json!({ "resident_id": resident, "due_on": due_on });
    tx.audit(AuditEntry::new("device.lend", id).at(device.facility_id).about(resident.0).after(after))?;
    register::changed(tx, "devices.device.lent", device.facility_id, id, by)
}

/// The device is back: nobody has it.
///
/// # Errors
/// `Conflict` when it is not lent; `NotFound` for no such device.
pub fn take_back(tx: &mut Tx<'_>, id: DeviceId, by: Option<UserId>) -> Result<()> {
    let device = register::find(tx.db(), id)?.ok_or(Error::NotFound)?;
    if !give_back(tx, id, by)? {
        return Err(Error::conflict("devices-error-not-lent"));
    }
    register::bind(tx, id, None, None, by)?;
    tx.audit(AuditEntry::new("device.return", id).at(device.facility_id))?;
    register::changed(tx, "devices.device.returned", device.facility_id, id, by)
}

/// Ends the loan, if there is one.
pub(crate) fn give_back(tx: &mut Tx<'_>, id: DeviceId, by: Option<UserId>) -> Result<bool> {
    let now = tx.now();
    let open = device_loan::table.filter(device_loan::device_id.eq(id.0)).filter(device_loan::returned_at.is_null());
    let ended = diesel::update(open)
        .set((device_loan::returned_at.eq(now), device_loan::returned_by.eq(by.map(|id| id.0))))
        .execute(tx.db())?;
    Ok(ended > 0)
}

pub fn current(db: &mut Db, id: DeviceId) -> Result<Option<Loan>> {
    Ok(device_loan::table
        .filter(device_loan::device_id.eq(id.0))
        .filter(device_loan::returned_at.is_null())
        .select(Loan::as_select())
        .first(db)
        .optional()?)
}

/// Newest first.
pub fn of_device(db: &mut Db, id: DeviceId) -> Result<Vec<Loan>> {
    Ok(device_loan::table
        .filter(device_loan::device_id.eq(id.0))
        .order(device_loan::id.desc())
        .select(Loan::as_select())
        .load(db)?)
}
