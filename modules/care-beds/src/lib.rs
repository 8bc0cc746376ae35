//! Family care beds (家庭养老床位, catalogue 7.1): a home that is looked after like a bed of a nursing home.
//!
//! Of the catalogue's functions this module provides 紧急呼叫, the emergency call: it hears what becomes of the incidents
//! of residents who have a bed in service, and its figures tell how soon they were answered.
//!
//! - decides: `figures.rs` (what counts as answered in time)
//! - stores: `beds.rs`, `calls.rs`
//! - hears: `calls.rs`
//! - shows: `page.rs` (`/care-beds`), `api.rs` (`/api/v1/care-beds`), `indicators.rs`; `around.rs` is what it reads of the shared
//!   modules
//!
//! It must never stand in the way of a call: calls are raised, told and answered by the incidents module; this one
//! only counts, seconds later.

mod api;
mod around;
mod beds;
mod calls;
mod figures;
mod indicators;
mod page;
pub mod schema;

use songhe_kernel::http::Route;
use songhe_kernel::identity::{Permission, Role};
use songhe_kernel::module::CatalogueFunction;
use songhe_kernel::{Event, FacilityId, Manifest, Module, Result, Tx, define_id};

pub use beds::{
    BedFilter, CareBed, NewCareBed, Status, care_bed, create_care_bed, list_care_beds, set_care_bed_status,
};
pub use figures::{CallFigures, Share};
pub use indicators::{FacilityFigures, Indicators, indicators};

define_id!(
    /// A family care bed.
    CareBedId, "cbd"
);

/// The module's name in events and in what is switched on at a facility.
pub const MODULE: &str = "care-beds";
/// Class of the national catalogue.
pub const CATALOGUE_CLASS: &str = "7.1";

/// Sees the beds and who lives there.
pub const CARE_BEDS_READ: &str = "care-beds.read";
/// Opens, suspends and closes beds.
pub const CARE_BEDS_WRITE: &str = "care-beds.write";
/// Sees figures, nobody's name.
pub const CARE_BEDS_INDICATORS: &str = "care-beds.indicators";

const CARE: &[Role] = &[Role::SystemAdmin, Role::FacilityAdmin, Role::Nurse, Role::Carer, Role::Therapist];

const EMERGENCY_CALL: CatalogueFunction =
    CatalogueFunction { name: "紧急呼叫", evidence_key: "care-beds-evidence-emergency-call" };

static MANIFEST: Manifest = Manifest {
    name: MODULE,
    title_key: "care-beds-title",
    catalogue_class: Some(CATALOGUE_CLASS),
    functions: &[EMERGENCY_CALL],
    permissions: &[
        Permission { name: CARE_BEDS_READ, roles: CARE },
        Permission { name: CARE_BEDS_WRITE, roles: &[Role::SystemAdmin, Role::FacilityAdmin, Role::Nurse] },
        Permission {
            name: CARE_BEDS_INDICATORS,
            roles: &[
                Role::SystemAdmin,
                Role::FacilityAdmin,
                Role::Nurse,
                Role::Carer,
                Role::Therapist,
                Role::Supervisor,
            ],
        },
    ],
    events_in: calls::HEARD,
    events_out: &["care-beds.bed.created", "care-beds.bed.changed"],
    schedules: &[],
    scenario: true,
};

/// The scenario module.
#[derive(Debug, Default)]
pub struct CareBeds;

impl Module for CareBeds {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn routes(&self) -> Vec<Route> {
        let mut routes = page::routes();
        routes.extend(api::routes());
        routes
    }

    fn on_event(&self, tx: &mut Tx<'_>, event: &Event) -> Result<()> {
        calls::hear(tx, event)
    }
}

/// What pages listen to for changes of a facility's beds and their calls.
pub fn topic(facility: FacilityId) -> String {
    format!("{MODULE}:{facility}")
}
