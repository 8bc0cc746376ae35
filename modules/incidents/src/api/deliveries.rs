//! Messages that failed or expired, sent again.

use actix_web::HttpResponse;
use songhe_kernel::Result;
use songhe_kernel::http::{Access, ApiDoc, Ctx, Route};

use crate::model::{EndpointId, IncidentId};
use crate::module::{INCIDENTS_ACT, LADDERS_WRITE};
use crate::pages::endpoint::send_again;
use crate::telling::Subject;

const HOW: &str = "One that failed or expired. It keeps its id, so that the peer can tell, and is worth sending for another \
                   15 minutes. One that has not failed, and the call of an incident that is closed, are a conflict.";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post(
            "/api/v1/incidents/{id}/deliveries/{effect}/replay",
            Access::Permission(INCIDENTS_ACT),
            of_incident,
        )
        .doc(ApiDoc::new("Send a message of an incident again").description(HOW)),
        Route::post(
            "/api/v1/webhook-endpoints/{id}/deliveries/{effect}/replay",
            Access::Permission(LADDERS_WRITE),
            of_endpoint,
        )
        .doc(ApiDoc::new("Send a message of an endpoint again").description(HOW)),
    ]
}

async fn of_incident(ctx: Ctx) -> Result<HttpResponse> {
    let id: IncidentId = ctx.id("id")?;
    send_again(&ctx, INCIDENTS_ACT, Subject::Incident(id)).await?;
    ctx.no_content()
}

async fn of_endpoint(ctx: Ctx) -> Result<HttpResponse> {
    let id: EndpointId = ctx.id("id")?;
    send_again(&ctx, LADDERS_WRITE, Subject::Endpoint(id)).await?;
    ctx.no_content()
}
