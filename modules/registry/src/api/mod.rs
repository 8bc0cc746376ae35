//! `/api/v1`: residents, places, facilities, staff and shifts. Handlers parse, call one operation and answer; what lies
//! outside the caller's scope is answered as if it did not exist.

mod facilities;
mod places;
mod residents;
mod shifts;
mod staff;

use schemars::JsonSchema;
use serde::Serialize;
use songhe_kernel::http::{Ctx, Route};
use songhe_kernel::{Error, FacilityId, Result};

/// Without `limit`.
const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

pub(crate) fn routes() -> Vec<Route> {
    let mut routes = facilities::routes();
    routes.extend(places::routes());
    routes.extend(residents::routes());
    routes.extend(staff::routes());
    routes.extend(shifts::routes());
    routes
}

/// Part of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
struct List<T> {
    items: Vec<T>,
    /// Give it back as `after` for the next part; `null`: this was the last one.
    next: Option<String>,
}

impl<T> List<T> {
    /// From rows that were asked for with one more than `limit`.
    fn new(mut items: Vec<T>, limit: i64, id: impl Fn(&T) -> String) -> Self {
        let more = cut(&mut items, limit);
        let next = items.last().filter(|_| more).map(id);
        Self { items, next }
    }
}

/// Cuts rows to `limit`; answers whether there were more.
pub(crate) fn cut<T>(rows: &mut Vec<T>, limit: i64) -> bool {
    let limit = usize::try_from(limit).unwrap_or_default();
    let more = rows.len() > limit;
    rows.truncate(limit);
    more
}

/// 1 to 200.
fn limit(wish: Option<i64>) -> i64 {
    wish.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT)
}

/// # Errors
/// `NotFound` when the caller does not have the permission at that facility.
pub(crate) fn within(ctx: &Ctx, permission: &str, facility: FacilityId) -> Result<()> {
    if ctx.caller().facilities(permission).contains(facility) { Ok(()) } else { Err(Error::NotFound) }
}
