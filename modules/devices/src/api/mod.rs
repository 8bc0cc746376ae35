//! `/api/v1`: devices, observations, threshold rules, quarantine. Handlers parse, call one operation and answer; what lies
//! outside the caller's scope is answered as if it did not exist.

mod device_tests;
mod devices;
mod import;
mod observations;
mod quarantine;
mod rules;
mod series;
mod upkeep;

use std::sync::Arc;

use songhe_kernel::http::Route;

pub(crate) use import::read_rows;

use crate::module::Setup;

pub(crate) use device_tests::expected;

pub(crate) fn routes(setup: &Arc<Setup>) -> Vec<Route> {
    let mut routes = devices::routes(setup);
    routes.extend(device_tests::routes());
    routes.extend(upkeep::routes(setup));
    routes.extend(import::routes(setup));
    routes.extend(observations::routes());
    routes.extend(series::routes());
    routes.extend(rules::routes());
    routes.extend(quarantine::routes());
    routes
}
