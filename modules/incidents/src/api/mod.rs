//! `/api/v1`: everything the screens do, for programs.

mod deliveries;
mod endpoint_change;
mod endpoints;
mod incidents;
mod ladders;
mod reports;
mod stream;
mod tags;
mod templates;

use songhe_kernel::http::Route;

pub(crate) fn routes() -> Vec<Route> {
    let mut all = incidents::routes();
    all.extend(ladders::routes());
    all.extend(endpoints::routes());
    all.extend(endpoint_change::routes());
    all.extend(reports::routes());
    all.extend(deliveries::routes());
    all.extend(templates::routes());
    all.extend(tags::routes());
    all
}
