//! The registry's screens. Each handler parses, asks, and renders one template of `templates/registry`, whose head
//! comment is the contract of the model here. Forms answer 303, or 422 with what was typed.

mod contacts;
mod document;
mod form;
mod place;
mod places;
mod qr;
mod record;
mod record_edit;
pub(crate) mod record_words;
mod residents;
mod roster_week;
mod rosters;
mod staff;

use songhe_kernel::http::{Choice, Ctx, Menu, Route, Section};
use songhe_kernel::identity::Scope;
use songhe_kernel::{Error, FacilityId, Result};

use crate::{Facility, facilities_in};

/// Rows of a page.
const PAGE_ROWS: i64 = 50;

pub(crate) fn routes() -> Vec<Route> {
    let mut routes = residents::routes();
    routes.extend(record::routes());
    routes.extend(document::routes());
    routes.extend(record_edit::routes());
    routes.extend(contacts::routes());
    routes.extend(places::routes());
    routes.extend(place::routes());
    routes.extend(rosters::routes());
    routes.extend(staff::routes());
    routes
}

fn menu(key: &'static str, icon: &'static str, section: Section, order: u16) -> Menu {
    Menu { key, icon, section, order }
}

/// The words for a status.
pub fn status_words(ctx: &Ctx, status: crate::ResidentStatus) -> String {
    record_words::word(ctx, record_words::STATUS, status.as_str())
}

/// The facilities at which the caller has a permission.
pub async fn facilities_of(ctx: &Ctx, permission: &str) -> Result<Vec<Facility>> {
    let scope = ctx.caller().facilities(permission).clone();
    ctx.app().db.read(move |db| facilities_in(db, &scope)).await
}

/// The same as choices of a select.
pub fn facility_choices(facilities: &[Facility]) -> Vec<Choice> {
    facilities.iter().map(|facility| Choice::new(facility.id, &facility.name)).collect()
}

/// The facility that a query names; the first one when it names none.
///
/// # Errors
/// `NotFound` for one that is not among them, or when there is none at all.
pub fn chosen<'a>(facilities: &'a [Facility], wish: &str) -> Result<&'a Facility> {
    if wish.is_empty() {
        return facilities.first().ok_or(Error::NotFound);
    }
    let wish: FacilityId = wish.parse().map_err(|_| Error::NotFound)?;
    facilities.iter().find(|facility| facility.id == wish).ok_or(Error::NotFound)
}

/// Where a list looks: the facility that a query names, or all at which the caller has the permission.
///
/// # Errors
/// `NotFound` for a facility that is not among them.
fn looked_at(ctx: &Ctx, permission: &str, wish: &str) -> Result<Scope> {
    let only = if wish.is_empty() { None } else { Some(wish.parse().map_err(|_| Error::NotFound)?) };
    ctx.caller().narrowed(permission, only)
}
