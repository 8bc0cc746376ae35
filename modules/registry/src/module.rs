//! The registry as a module of the server.

use songhe_kernel::http::Route;
use songhe_kernel::identity::{Permission, Role};
use songhe_kernel::schedules::Schedule;
use songhe_kernel::vault::SealedColumn;
use songhe_kernel::{Error, Manifest, Module, NewTimer, Result, Timer, Tx};

use crate::record::search::index_slice;
use crate::{api, pages};

pub const RESIDENTS_READ: &str = "residents.read";
pub const RESIDENTS_WRITE: &str = "residents.write";
/// To see telephone numbers of residents and their contacts in full, for a reason.
pub const RESIDENTS_UNMASK: &str = "residents.unmask";
pub const PLACES_READ: &str = "places.read";
pub const PLACES_WRITE: &str = "places.write";
pub const ROSTERS_READ: &str = "rosters.read";
pub const ROSTERS_WRITE: &str = "rosters.write";
pub const STAFF_READ: &str = "staff.read";
pub const STAFF_WRITE: &str = "staff.write";
/// To see telephone numbers of staff in full, for a reason.
pub const STAFF_UNMASK: &str = "staff.unmask";

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

const NAMES: &str = "names";

static MANIFEST: Manifest = Manifest {
    name: "registry",
    title_key: "registry-title",
    catalogue_class: None,
    functions: &[],
    permissions: &[
        Permission { name: RESIDENTS_READ, roles: CARE },
        Permission { name: RESIDENTS_WRITE, roles: NURSES },
        Permission { name: RESIDENTS_UNMASK, roles: NURSES },
        Permission { name: PLACES_READ, roles: HOUSE },
        Permission { name: PLACES_WRITE, roles: ADMINS },
        Permission { name: ROSTERS_READ, roles: HOUSE },
        Permission { name: ROSTERS_WRITE, roles: NURSES },
        Permission { name: STAFF_READ, roles: HOUSE },
        Permission { name: STAFF_WRITE, roles: ADMINS },
        Permission { name: STAFF_UNMASK, roles: NURSES },
    ],
    events_in: &[],
    events_out: &[
        "registry.facility.created",
        "registry.place.created",
        "registry.resident.created",
        "registry.resident.moved",
        "registry.resident.changed",
        "registry.resident.status_recorded",
        "registry.resident.status_withdrawn",
        "registry.resident.document_changed",
        "registry.resident.photo_changed",
        "registry.consent.given",
        "registry.consent.revoked",
        "registry.card.changed",
        "registry.contact.added",
        "registry.contact.changed",
        "registry.contact.ordered",
        "registry.staff.created",
        "registry.staff.phone_changed",
        "registry.staff.account_changed",
        "registry.roster.changed",
    ],
    // Names from before names were taken apart, and after the rules have changed.
    schedules: &[Schedule { name: NAMES, cron: "30 */10 * * * *", per_facility: false }],
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

    fn on_timer(&self, tx: &mut Tx<'_>, timer: &Timer) -> Result<()> {
        if timer.kind != NAMES {
            return Err(Error::Internal(format!("registry has no timer {}", timer.kind)));
        }
        if index_slice(tx)? {
            let due_at = tx.now();
            let (key, data) = ("registry:names".into(), serde_json::Value::Null);
            tx.set_timer(NewTimer { key, module: "registry", kind: NAMES, facility: None, data, due_at })?;
        }
        Ok(())
    }

    fn sealed_columns(&self) -> &'static [SealedColumn] {
        &crate::sealed::COLUMNS
    }
}
