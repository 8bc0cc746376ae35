//! `/api/v1`: everything the screens do, for programs.

mod incidents;
mod ladders;
mod stream;

use songhe_kernel::http::Route;

pub(crate) fn routes() -> Vec<Route> {
    let mut all = incidents::routes();
    all.extend(ladders::routes());
    all
}
