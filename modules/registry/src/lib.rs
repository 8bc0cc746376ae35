//! The registry: the one place where facilities, places, residents, their contacts, staff and rosters exist.
//!
//! Shared by all scenarios: they ask it who lives where and who is on duty, inside the transaction that decides. It
//! never knows what an incident, a device or a scenario is, and it decides nothing about care.
//!
//! Telephone numbers and the numbers of documents are sealed (`sealed.rs`), shown masked, and opened in full for a reason that
//! is written down. What is kept of a person never enters an event, a log line or the path of a URL.
//!
//! - decides: `places/label.rs`, the checks in each noun's `create_…`
//! - stores: `facilities.rs`, `places.rs`, `residents.rs`, `record/`, `contacts.rs`, `staff.rs`, `shifts.rs`
//! - shows: `pages/` (screens), `api/` (`/api/v1`), `home.rs` (the reader's shifts on the first page); `panels.rs` is
//!   where the modules above add their parts to a resident's or place's page
//! - hears: nothing

mod api;
mod check;
mod contact_edit;
mod contacts;
mod facilities;
mod home;
mod module;
mod pages;
mod panels;
mod places;
mod record;
mod residents;
pub mod schema;
mod sealed;
mod shift_windows;
mod shifts;
mod staff;
mod staff_account;
mod text_enum;

use songhe_kernel::{FacilityId, define_id};

pub use contact_edit::{ContactEdit, edit_contact, order_contacts, remove_contact};
pub use contacts::{Contact, NewContact, add_contact, contacts};
pub use facilities::{
    Facility, FacilityKind, NewFacility, create_facility, create_region, facilities, facilities_in, facility,
    region_above, zone_of,
};
pub use home::MyShifts;
pub use module::{
    PLACES_READ, PLACES_WRITE, RESIDENTS_READ, RESIDENTS_UNMASK, RESIDENTS_WRITE, ROSTERS_READ, ROSTERS_WRITE,
    Registry, STAFF_READ, STAFF_UNMASK, STAFF_WRITE,
};
pub use pages::{chosen, facilities_of, facility_choices, status_words};
pub use panels::{Panel, PanelSlot, PanelSource, PanelSubject, Panels};
pub use places::{
    NewPlace, Place, PlaceKind, ancestors, create_place, label_of, list_places, place, place_by_tag, places_in,
    places_under, room_of,
};
pub use record::cards::{Card, CardState, NewCard, add_card, card_by_number, cards, set_card_state};
pub use record::codes::{Allergen, Diet, DietTexture, Disability, DisabilityKind, IncomeClass, LivingSituation};
pub use record::consents::{
    Consent, ConsentBy, ConsentKind, NewConsent, Revocation, consent_history, consents_on, give_consent, revoke_consent,
};
pub use record::document::{
    DOCUMENT_NUMBER, Document, NewDocument, document, find_residents, remove_document, set_document,
};
pub use record::fields::{Record, RecordEdit, RecordFields, edit_record, record};
pub use record::identity_number::{DocumentKind, Fault, IdentityNumber, check_digit, is_region};
pub use record::photo::{Photo, photo, photo_changed_at, read_photo, set_photo};
pub use record::picture::Format as PhotoFormat;
pub use record::status::{
    NewStatus, ResidentStatus, StatusFact, StatusThen, correct_status, record_status, status_history, status_now,
    status_on, statuses_on,
};
pub use residents::{
    NewResident, Resident, ResidentFilter, Sex, create_resident, list_residents, move_resident, resident, residents_at,
};
pub use sealed::{CONTACT_PHONE, RESIDENT_PHONE, STAFF_PHONE, SealedNumber};
pub use shift_windows::shift_windows;
pub use shifts::{
    NewShift, Shift, ShiftFilter, ShiftWindow, StaffOnDuty, add_shift, civil_window, current_shift, duty_hours,
    list_shifts, monday_of, on_duty, on_duty_any, remove_shift, shift, shifts_of_user,
};
pub use staff::{
    Duty, Job, NewStaff, Staff, create_staff, list_staff, set_staff_phone, staff_in, staff_member, staff_of_user,
};
pub use staff_account::link_account;

define_id!(
    /// A building, floor, room, bed, home or area.
    PlaceId, "plc"
);
define_id!(
    /// A resident.
    ResidentId, "res"
);
define_id!(
    /// A resident's contact.
    ContactId, "con"
);
define_id!(
    /// A dated fact on a resident's status.
    StatusFactId, "sta"
);
define_id!(
    /// A resident's consent.
    ConsentId, "cst"
);
define_id!(
    /// A resident's card.
    CardId, "crd"
);
define_id!(
    /// A member of staff.
    StaffId, "stf"
);
define_id!(
    /// A shift of one person.
    ShiftId, "shf"
);

/// What pages listen to for changes of a facility's registry.
pub fn topic(facility: FacilityId) -> String {
    format!("registry:{facility}")
}
