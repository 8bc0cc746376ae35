//! `/api/v1/facilities`.

use actix_web::HttpResponse;
use songhe_kernel::Result;
use songhe_kernel::http::{Access, ApiDoc, Ctx, List, Route};

use crate::{Facility, facilities_in};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/facilities", Access::SignedIn, list)
            .doc(ApiDoc::new("The facilities at which the caller has a role").returns::<List<Facility>>()),
    ]
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let scope = ctx.caller().reach().clone();
    let items = ctx.app().db.read(move |db| facilities_in(db, &scope)).await?;
    ctx.json_ok(&List::whole(items))
}
