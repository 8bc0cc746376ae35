//! What modules of higher floors add to the response report: a sentence with a link.

use std::sync::Arc;

use songhe_kernel::{Db, FacilityId, Moment, Result, Text};

/// A sentence of the report.
#[derive(Debug, Clone)]
pub struct Note {
    pub text: Text,
    /// Where it is shown in full.
    pub path: String,
    /// Somebody should look into it.
    pub warns: bool,
}

/// What a module adds.
pub trait NoteSource: Send + Sync + 'static {
    /// Of these facilities. Runs in a reading connection.
    fn notes(&self, db: &mut Db, facilities: &[FacilityId], now: Moment) -> Result<Vec<Note>>;
}

/// Given to the report with `app.extend(Arc::new(ReportNotes(vec![…])))`.
pub struct ReportNotes(pub Vec<Arc<dyn NoteSource>>);
