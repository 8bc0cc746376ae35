//! `/api/v1`: devices, observations, threshold rules, quarantine. Handlers parse, call one operation and answer; what lies
//! outside the caller's scope is answered as if it did not exist.

mod devices;
mod import;
mod observations;
mod quarantine;
mod rules;
mod upkeep;

use std::sync::Arc;

use songhe_kernel::http::Route;

pub(crate) use import::read_rows;

use crate::module::Setup;

pub(crate) fn routes(setup: &Arc<Setup>) -> Vec<Route> {
    let mut routes = devices::routes(setup);
    routes.extend(upkeep::routes(setup));
    routes.extend(import::routes(setup));
    routes.extend(observations::routes());
    routes.extend(rules::routes());
    routes.extend(quarantine::routes());
    routes
}
