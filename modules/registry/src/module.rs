//! The registry as a module of the server.

use songhe_kernel::http::Route;
use songhe_kernel::identity::{Permission, Role};
use songhe_kernel::{Manifest, Module};

use crate::{api, pages};

pub const RESIDENTS_READ: &str = "residents.read";
pub const RESIDENTS_WRITE: &str = "residents.write";
pub const PLACES_READ: &str = "places.read";
pub const PLACES_WRITE: &str = "places.write";
pub const ROSTERS_READ: &str = "rosters.read";
pub const ROSTERS_WRITE: &str = "rosters.write";
pub const STAFF_READ: &str = "staff.read";
pub const STAFF_WRITE: &str = "staff.write";

const ADMINS: &[Role] = &[Role::SystemAdmin, Role::FacilityAdmin];
/// Nurses write rosters: the nurse lead, who has no role of their own, does.
const NURSES: &[Role] = &[Role::SystemAdmin, Role::FacilityAdmin, Role::Nurse];
const CARE: &[Role] =
    &[Role::SystemAdmin, Role::FacilityAdmin, Role::Nurse, Role::Carer, Role::Therapist, Role::Pharmacist];
/// Supervision sees what there is and who is on duty, not who lives there.
const HOUSE: &[Role] = &[
    Role::SystemAdmin,
    Role::FacilityAdmin,
    Role::Nurse,
    Role::Carer,
    Role::Therapist,
    Role::Pharmacist,
    Role::Supervisor,
];

static MANIFEST: Manifest = Manifest {
    name: "registry",
    title_key: "registry-title",
    catalogue_class: None,
    functions: &[],
    permissions: &[
        Permission { name: RESIDENTS_READ, roles: CARE },
        Permission { name: RESIDENTS_WRITE, roles: NURSES },
        Permission { name: PLACES_READ, roles: HOUSE },
        Permission { name: PLACES_WRITE, roles: ADMINS },
        Permission { name: ROSTERS_READ, roles: HOUSE },
        Permission { name: ROSTERS_WRITE, roles: NURSES },
        Permission { name: STAFF_READ, roles: HOUSE },
        Permission { name: STAFF_WRITE, roles: ADMINS },
    ],
    events_in: &[],
    events_out: &[
        "registry.facility.created",
        "registry.place.created",
        "registry.resident.created",
        "registry.resident.moved",
        "registry.contact.added",
        "registry.staff.created",
        "registry.staff.phone_changed",
        "registry.staff.account_changed",
        "registry.roster.changed",
    ],
    schedules: &[],
    scenario: false,
};

/// Facilities, places, residents, staff and rosters.
#[derive(Debug, Default)]
pub struct Registry;

impl Module for Registry {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn routes(&self) -> Vec<Route> {
        let mut routes = pages::routes();
        routes.extend(api::routes());
        routes
    }
}
