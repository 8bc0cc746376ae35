//! Who did what, to what, before and after, from where.
//!
//! A row is written in the transaction that does the work: [`Tx::audit`] names the action, the subject and what changed;
//! who asked, from which address and by which session is known from the request ([`Origin`]). A request that changes
//! something and names nothing leaves a row all the same, which says the route: nothing is changed unseen. A route that
//! must not be audited says why (`Route::unaudited`).
//!
//! Reads of what is sensitive are written, too, before they are answered (`Ctx::audit_read`): those that come while a
//! commit is under way share the next one.
//!
//! No row ever holds a sensitive value in clear: names, numbers and notes are masked or ciphertext.
//!
//! After the commit a background job seals what was written, batch by batch ([`keep`]), with a key outside the database;
//! [`verify`] finds what was changed, removed, inserted or cut off.

mod anchor;
mod entry;
mod keeper;
mod keys;
mod months;
mod origin;
mod reads;
mod rows;
pub mod schema;
mod seal;
mod search;
mod verify;

use crate::db::Tx;
use crate::error::Result;

pub use anchor::{add_anchor, read_anchors};
pub use entry::{AuditEntry, masked};
pub use keeper::{Keeping, keep, purge_batch, round};
pub use keys::AuditKeys;
pub use origin::{Actor, Origin};
pub(crate) use reads::Reads;
use rows::NewRow;
pub use seal::{BATCH, Head, Standing, head, seal_batch, standing};
pub use search::{Filter, Found, search, when};
pub use verify::{AuditId, Fault, Report, verify};

impl Tx<'_> {
    /// Writes down what this transaction does, for whoever asked for it.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn audit(&mut self, entry: AuditEntry) -> Result<()> {
        let row = NewRow::new(entry, self.origin(), self.now(), self.epoch())?;
        rows::insert(self.db(), &[row])?;
        self.set_audited();
        Ok(())
    }

    /// A request that changed something has said what it did, or does so now by its route.
    pub(crate) fn audit_unnamed(&mut self) -> Result<()> {
        if self.is_audited() {
            return Ok(());
        }
        match self.origin().and_then(Origin::unnamed) {
            Some(entry) => self.audit(entry),
            None => Ok(()),
        }
    }
}
