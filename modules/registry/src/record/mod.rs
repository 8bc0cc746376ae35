//! What is known of a resident beyond where they live.
//!
//! - decides (pure): `identity_number.rs`, `picture.rs`, `names.rs`, `codes.rs`
//! - stores: `fields.rs` (edited in one form, with a version), `status.rs` and `consents.rs` (dated, nothing is erased),
//!   `document.rs` (sealed), `cards.rs`, `photo.rs`, `search.rs`
//!
//! It must never put what a field holds into an event or a log: which field changed is enough.

pub(crate) mod cards;
pub(crate) mod codes;
pub(crate) mod consents;
pub(crate) mod document;
pub(crate) mod fields;
pub(crate) mod identity_number;
pub(crate) mod names;
pub(crate) mod photo;
pub(crate) mod picture;
pub(crate) mod search;
pub(crate) mod status;

use serde_json::Value;
use songhe_kernel::audit::AuditEntry;
use songhe_kernel::db::Tx;
use songhe_kernel::{FacilityId, Result, UserId};

use crate::ResidentId;
use crate::residents::announce;

/// Publishes what happened to a record, and writes it down. `data` holds nothing that is sensitive.
pub(crate) fn tell(
    tx: &mut Tx<'_>,
    kind: &'static str,
    facility: FacilityId,
    id: ResidentId,
    actor: Option<UserId>,
    data: Value,
) -> Result<()> {
    let action = kind.strip_prefix("registry.").unwrap_or(kind);
    tx.audit(AuditEntry::new(action, id).at(facility).about(id.0).after(data.clone()))?;
    announce(tx, kind, facility, id, actor, data)
}
