//! `/api/v1`: residents, places, facilities, staff and shifts. Handlers parse, call one operation and answer; what lies
//! outside the caller's scope is answered as if it did not exist.

pub(crate) mod document;
mod facilities;
mod places;
pub(crate) mod record;
mod residents;
mod shifts;
mod staff;

use songhe_kernel::http::Route;

pub(crate) fn routes() -> Vec<Route> {
    let mut routes = facilities::routes();
    routes.extend(places::routes());
    routes.extend(residents::routes());
    routes.extend(record::routes());
    routes.extend(document::routes());
    routes.extend(staff::routes());
    routes.extend(shifts::routes());
    routes
}
