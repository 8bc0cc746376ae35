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

mod entry;
mod origin;
mod reads;
mod rows;
pub mod schema;

use crate::db::Tx;
use crate::error::Result;

pub use entry::{AuditEntry, masked};
pub use origin::{Actor, Origin};
pub(crate) use reads::Reads;
use rows::NewRow;

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
