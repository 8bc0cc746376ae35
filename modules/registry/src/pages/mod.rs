//! The registry's screens. Each handler parses, asks, and renders one template of `templates/registry`, whose head
//! comment is the contract of the model here. Forms answer 303, or 422 with what was typed.

mod form;
mod place;
mod places;
mod qr;
mod residents;
mod roster_week;
mod rosters;
mod staff;

use serde::Serialize;
use songhe_kernel::http::{Ctx, Menu, Route, Section};
use songhe_kernel::{Error, FacilityId, Result};

use crate::{Facility, facilities_in};

/// Rows of a page.
const PAGE_ROWS: i64 = 50;

pub(crate) fn routes() -> Vec<Route> {
    let mut routes = residents::routes();
    routes.extend(places::routes());
    routes.extend(place::routes());
    routes.extend(rosters::routes());
    routes.extend(staff::routes());
    routes
}

fn menu(key: &'static str, icon: &'static str, section: Section, order: u16) -> Menu {
    Menu { key, icon, section, order }
}

/// One choice of a select.
#[derive(Debug, Clone, Serialize)]
struct Choice {
    value: String,
    label: String,
}

impl Choice {
    fn new(value: impl ToString, label: impl Into<String>) -> Self {
        Self { value: value.to_string(), label: label.into() }
    }
}

/// The facilities at which the caller has a permission.
async fn facilities_of(ctx: &Ctx, permission: &str) -> Result<Vec<Facility>> {
    let scope = ctx.caller().facilities(permission).clone();
    ctx.app().db.read(move |db| facilities_in(db, &scope)).await
}

fn facility_choices(facilities: &[Facility]) -> Vec<Choice> {
    facilities.iter().map(|facility| Choice::new(facility.id, &facility.name)).collect()
}

/// The facility that a query names; the first one when it names none.
///
/// # Errors
/// `NotFound` for one that is not among them, or when there is none at all.
fn chosen<'a>(facilities: &'a [Facility], wish: &str) -> Result<&'a Facility> {
    if wish.is_empty() {
        return facilities.first().ok_or(Error::NotFound);
    }
    let wish: FacilityId = wish.parse().map_err(|_| Error::NotFound)?;
    facilities.iter().find(|facility| facility.id == wish).ok_or(Error::NotFound)
}

/// A list's filter: no facility means all of them.
fn filtered_by(facilities: &[Facility], wish: &str) -> Result<Option<FacilityId>> {
    if wish.is_empty() { Ok(None) } else { chosen(facilities, wish).map(|facility| Some(facility.id)) }
}

/// A path with its query, from pairs; empty values are left out.
fn url(path: &str, query: &[(&str, &str)]) -> String {
    let mut url = path.to_owned();
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(name);
        url.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => url.push(byte.into()),
                other => url.push_str(&format!("%{other:02X}")),
            }
        }
    }
    url
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_query_value_cannot_leave_its_place() {
        assert_eq!(super::url("/residents", &[("q", "王&a=1"), ("after", "")]), "/residents?q=%E7%8E%8B%26a%3D1");
        assert_eq!(
            super::url("/rosters", &[("facility", "f"), ("week", "2026-W48")]),
            "/rosters?facility=f&week=2026-W48"
        );
    }
}
