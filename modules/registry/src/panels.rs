//! The seam at which modules above the registry add their parts to the page of a resident or place: the registry knows
//! neither devices nor incidents, but whoever opens a resident wants to see them.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use songhe_kernel::db::Db;
use songhe_kernel::identity::Caller;
use songhe_kernel::{FacilityId, Moment, Result};

use crate::{PlaceId, ResidentId};

/// What a page is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanelSubject {
    Resident(ResidentId),
    Place(PlaceId),
}

/// Where on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanelSlot {
    /// Above everything: what waits now.
    Top,
    Body,
}

/// A part as it is shown.
#[derive(Debug, Clone, Serialize)]
pub struct Panel {
    #[serde(skip)]
    pub slot: PanelSlot,
    /// Path of the template below `templates`, without `.hbs`; rendered with `model` as its context.
    pub template: &'static str,
    pub model: Value,
}

/// What a module adds. It checks the caller's permission at the facility itself and adds nothing without it.
pub trait PanelSource: Send + Sync + 'static {
    /// Runs in a reading connection.
    ///
    /// # Errors
    /// Those of its queries; the page then fails rather than showing half of the truth.
    fn panels(
        &self,
        db: &mut Db,
        caller: &Caller,
        facility: FacilityId,
        subject: PanelSubject,
        now: Moment,
    ) -> Result<Vec<Panel>>;
}

/// The sources of this build in the order of the page; given to the server by `app.extend(Arc::new(Panels(…)))`.
pub struct Panels(pub Vec<Arc<dyn PanelSource>>);
