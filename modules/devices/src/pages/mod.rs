//! The module's screens. Each handler parses, asks, and renders one template of `templates/devices`, whose head comment
//! is the contract of the model here. Forms answer 303, or 422 with what was typed; a credential is answered at once and
//! by no cache.

mod charts;
mod device;
mod device_tests;
mod devices;
mod edit;
mod heartbeats;
mod import;
mod quarantine;
mod test_model;
mod upkeep;

use std::future::Future;
use std::sync::Arc;

use actix_web::HttpResponse;
use songhe_kernel::http::{Choice, Ctx, Route};
use songhe_kernel::identity::Scope;
use songhe_kernel::{Db, Error, FacilityId, Result, Text};
use songhe_registry::{Facility, RESIDENTS_READ, ResidentFilter, list_residents, places_in};

use crate::module::Setup;

/// Rows of a page.
const PAGE_ROWS: i64 = 50;
/// Choices of one select.
const MAX_CHOICES: usize = 2_000;

pub(crate) fn routes(setup: &Arc<Setup>) -> Vec<Route> {
    let mut routes = devices::routes();
    routes.extend(device_tests::routes());
    routes.extend(edit::routes(setup));
    routes.extend(device::routes(setup));
    routes.extend(upkeep::routes(setup));
    routes.extend(heartbeats::routes());
    routes.extend(import::routes(setup));
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
    ctx.app()
        .db
        .read(move |db: &mut Db| {
            let (mut places, mut residents) = (Vec::new(), Vec::new());
            for (facility, prefix, sees_residents) in facilities {
                let all = places_in(db, facility)?.into_iter();
                places.extend(all.map(|place| Choice::new(place.id, format!("{prefix}{}", place.label))));
                if sees_residents {
                    let filter =
                        ResidentFilter { scope: Scope::Only(vec![facility]), name: String::new(), after: None };
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

/// What a select names: nothing for an empty one.
///
/// # Errors
/// `Invalid` on the field for text that is no id.
fn choice<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<Option<T>> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    text.trim().parse().map(Some).map_err(|_| Error::field(field, Text::key("error-unknown-choice")))
}
