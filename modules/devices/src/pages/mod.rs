//! The module's screens. Each handler parses, asks, and renders one template of `templates/devices`, whose head comment
//! is the contract of the model here. Forms answer 303, or 422 with what was typed; a credential is answered at once and
//! by no cache.

mod device;
mod devices;
mod edit;
mod form;
mod quarantine;

use std::future::Future;
use std::sync::Arc;

use actix_web::HttpResponse;
use serde::Serialize;
use songhe_kernel::http::{Ctx, Route};
use songhe_kernel::{Db, FacilityId, Result};
use songhe_registry::{Facility, RESIDENTS_READ, ResidentFilter, facilities_in, list_residents, places_in};

use crate::module::Setup;

/// Rows of a page.
const PAGE_ROWS: i64 = 50;
/// Choices of one select.
const MAX_CHOICES: usize = 2_000;

pub(crate) fn routes(setup: &Arc<Setup>) -> Vec<Route> {
    let mut routes = devices::routes();
    routes.extend(edit::routes(setup));
    routes.extend(device::routes(setup));
    routes.extend(quarantine::routes(setup));
    routes
}

/// A handler that is given what the module was set up with.
pub(crate) fn with<F>(
    setup: &Arc<Setup>,
    handler: impl Fn(Ctx, Arc<Setup>) -> F + Send + Sync + 'static,
) -> impl Fn(Ctx) -> F + Send + Sync + 'static
where
    F: Future<Output = Result<HttpResponse>> + 'static,
{
    let setup = setup.clone();
    move |ctx| handler(ctx, setup.clone())
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

/// Places and residents of some facilities, as choices; with several facilities each says which.
async fn bindable(ctx: &Ctx, facilities: &[Facility]) -> Result<(Vec<Choice>, Vec<Choice>)> {
    let many = facilities.len() > 1;
    let facilities: Vec<(FacilityId, String, bool)> = facilities
        .iter()
        .map(|facility| {
            let sees = ctx.caller().facilities(RESIDENTS_READ).contains(facility.id);
            (facility.id, if many { format!("{} · ", facility.short_name) } else { String::new() }, sees)
        })
        .collect();
    let scope = ctx.caller().facilities(RESIDENTS_READ).clone();
    ctx.app()
        .db
        .read(move |db: &mut Db| {
            let (mut places, mut residents) = (Vec::new(), Vec::new());
            for (facility, prefix, sees_residents) in facilities {
                let all = places_in(db, facility)?.into_iter();
                places.extend(all.map(|place| Choice::new(place.id, format!("{prefix}{}", place.label))));
                if sees_residents {
                    let filter = ResidentFilter {
                        scope: scope.clone(),
                        facility: Some(facility),
                        name: String::new(),
                        after: None,
                    };
                    let all = list_residents(db, &filter, i64::try_from(MAX_CHOICES).unwrap_or(i64::MAX))?;
                    residents
                        .extend(all.into_iter().map(|(one, _)| Choice::new(one.id, format!("{prefix}{}", one.name))));
                }
                if places.len() >= MAX_CHOICES && residents.len() >= MAX_CHOICES {
                    break;
                }
            }
            places.truncate(MAX_CHOICES);
            residents.truncate(MAX_CHOICES);
            Ok((places, residents))
        })
        .await
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
    fn a_serial_cannot_leave_its_place_in_a_url() {
        assert_eq!(super::url("/devices/new", &[("serial", "SH:1&a")]), "/devices/new?serial=SH%3A1%26a");
    }
}
