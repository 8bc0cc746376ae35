//! The audit log as people and programs read it: search, one line's details, export.
//!
//! The kernel writes and seals it (`songhe_kernel::audit`). Lines of no facility, such as sign-ins, are for readers of the
//! whole system alone.

mod api;
mod page;

use songhe_kernel::http::Route;
use songhe_kernel::identity::{Permission, Role};
use songhe_kernel::{Manifest, Module};

const READ: &str = "audit.read";

static MANIFEST: Manifest = Manifest {
    name: "audit",
    title_key: "audit-title",
    catalogue_class: None,
    functions: &[],
    permissions: &[Permission { name: READ, roles: &[Role::SystemAdmin, Role::FacilityAdmin, Role::Supervisor] }],
    events_in: &[],
    events_out: &[],
    schedules: &[],
    scenario: false,
};

/// The module "audit".
pub(crate) struct AuditLog;

impl Module for AuditLog {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn routes(&self) -> Vec<Route> {
        let mut routes = api::routes();
        routes.extend(page::routes());
        routes
    }
}
