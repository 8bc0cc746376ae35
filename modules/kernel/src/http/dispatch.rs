//! What every request passes through: id, span, session, access rule, body, forgery check, handler, headers, metrics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::body::{self, BodySize, BoxBody, MessageBody};
use actix_web::http::Method;
use actix_web::web::{self, Bytes, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, guard as filter};
use futures_util::FutureExt;
use tracing::Instrument;

use super::visitor::Visitor;
use super::{Access, App, Ctx, Route, assets, error_response, escapes, guard};
use crate::audit::{Actor, Origin};
use crate::error::{Error, Result, Text};
use crate::identity::First;
use crate::ids;

/// A body that takes longer to arrive is not waited for.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Registers all routes and assets: `actix_web::App::new().configure(configure(app))`.
pub fn configure(app: Arc<App>) -> impl Fn(&mut ServiceConfig) + Clone {
    move |config| {
        let all: Vec<Arc<Route>> = app.routes().iter().cloned().collect();
        for same_path in all.chunk_by(|one, next| one.path == next.path) {
            config.service(resource(&app, same_path));
        }
        config.service(assets::resource(app.clone()));
        let unknown = app.clone();
        config.default_service(web::to(move |request: HttpRequest| {
            unrouted(unknown.clone(), request, "unknown", |visitor| error_response::answer(visitor, Error::NotFound))
        }));
    }
}

fn resource(app: &Arc<App>, routes: &[Arc<Route>]) -> actix_web::Resource {
    let path = routes.first().map_or("", |route| route.path);
    let mut resource = web::resource(path);
    let mut allowed = Vec::new();
    for route in routes {
        allowed.push(route.method.to_string());
        let mut accepts = filter::Any(filter::Method(route.method.clone()));
        if route.method == Method::GET {
            allowed.push("HEAD".to_owned());
            accepts = accepts.or(filter::Head());
        }
        let (app, route) = (app.clone(), route.clone());
        resource = resource.route(
            web::route()
                .guard(accepts)
                .to(move |request: HttpRequest, payload: Payload| serve(app.clone(), route.clone(), request, payload)),
        );
    }
    let (app, allowed) = (app.clone(), allowed.join(", "));
    resource.default_service(web::to(move |request: HttpRequest| {
        let allowed = allowed.clone();
        unrouted(app.clone(), request, path, move |visitor| error_response::method_not_allowed(visitor, &allowed))
    }))
}

async fn serve(app: Arc<App>, route: Arc<Route>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let started = Instant::now();
    let visitor = Visitor::new(app.clone(), &request);
    let (method, path, id) = (request.method().clone(), route.path, visitor.request_id.clone());
    let span = tracing::info_span!("http", %method, route = path, request_id = %id);
    async move {
        let response = respond(visitor, route, request, payload).await;
        observe(&app, &method, path, &response, started);
        response
    }
    .instrument(span)
    .await
}

/// A request that no handler takes; the session is looked up all the same, for the page around the words.
async fn unrouted(
    app: Arc<App>,
    request: HttpRequest,
    path: &'static str,
    answer: impl FnOnce(&Visitor) -> HttpResponse,
) -> HttpResponse {
    let started = Instant::now();
    let mut visitor = Visitor::new(app.clone(), &request);
    let (method, id) = (request.method().clone(), visitor.request_id.clone());
    let span = tracing::info_span!("http", %method, route = path, request_id = %id);
    async move {
        let mut response = match visitor.identify(&request).await {
            Ok(()) => answer(&visitor),
            Err(error) => error_response::answer(&visitor, error),
        };
        guard::protect(&visitor, &mut response);
        observe(&app, &method, path, &response, started);
        response
    }
    .instrument(span)
    .await
}

async fn respond(mut visitor: Visitor, route: Arc<Route>, request: HttpRequest, payload: Payload) -> HttpResponse {
    match admit(&mut visitor, &route, &request, payload).await {
        Err(denied) => {
            let mut response = match denied {
                Denied::Failed(error) => error_response::answer(&visitor, error),
                Denied::Forged => error_response::forged(&visitor),
                Denied::SomethingElseFirst(first) => error_response::something_else_first(&visitor, first),
            };
            guard::protect(&visitor, &mut response);
            response
        }
        Ok(body) => {
            let origin = origin(&visitor, &route, &request);
            let ctx = Ctx::new(visitor, route.clone(), request, body);
            // A panic is a defect of one handler: it must cost one answer, not the connection with all its streams.
            let outcome = AssertUnwindSafe(origin.during(route.run(ctx.clone())))
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(Error::Internal("the handler panicked".into())));
            let visitor = ctx.visitor();
            let mut response = outcome.unwrap_or_else(|error| error_response::answer(visitor, error));
            guard::protect(visitor, &mut response);
            let endless = response.body().size() == BodySize::Stream;
            if endless && ctx.request().method() == Method::HEAD {
                return response.set_body(BoxBody::new(body::None::new()));
            }
            response
        }
    }
}

/// What the audit log is told of a request whatever its handler says.
fn origin(visitor: &Visitor, route: &Route, request: &HttpRequest) -> Origin {
    let actor = visitor.caller.as_ref().map_or(Actor::Stranger, |caller| Actor::User(caller.user_id));
    let session = visitor.caller.as_ref().map(|caller| caller.session.id.to_string());
    let origin = Origin::new(actor, visitor.address.to_string(), visitor.request_id.clone(), session);
    if route.method.is_safe() || route.unaudited.is_some() {
        return origin;
    }
    let subject = request.match_info().iter().map(|(_, value)| value).find(|value| ids::is_id(value));
    origin.changing(route.method.as_str(), route.path, subject.unwrap_or_default().to_owned())
}

/// Why a request does not reach its handler.
enum Denied {
    Failed(Error),
    /// A foreign page may have sent it, or a page of a session that is over.
    Forged,
    SomethingElseFirst(First),
}

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Everything that must hold before a handler runs.
async fn admit(visitor: &mut Visitor, route: &Route, request: &HttpRequest, payload: Payload) -> Result<Bytes, Denied> {
    visitor.identify(request).await?;
    route.access.check(visitor.caller.as_deref())?;
    if let Some(first) = visitor.caller.as_ref().and_then(|caller| caller.first)
        && !route.at_the_door
        && route.access != Access::Public
    {
        return Err(Denied::SomethingElseFirst(first));
    }
    escapes::expect_address(request)?;
    if matches!(route.method, Method::GET | Method::HEAD) {
        return Ok(Bytes::new());
    }
    let body = read_body(payload, route.body_limit_bytes).await?;
    if guard::may_be_forged(visitor, request, &body) {
        return Err(Denied::Forged);
    }
    Ok(body)
}

async fn read_body(payload: Payload, limit_bytes: usize) -> Result<Bytes> {
    let slow = |_| Error::BadRequest(Text::key("error-body-slow"));
    match tokio::time::timeout(BODY_TIME, payload.to_bytes_limited(limit_bytes)).await.map_err(slow)? {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => {
            tracing::debug!(%error, "body not read");
            Err(Error::BadRequest(Text::key("error-body")))
        }
        Err(_) => Err(Error::TooLarge { limit_bytes }),
    }
}

fn observe(app: &App, method: &Method, route: &str, response: &HttpResponse, started: Instant) {
    let (status, took) = (response.status().as_u16(), started.elapsed());
    app.metrics.observe_request(method, route, status, took);
    let ms = took.as_millis() as u64;
    // Probes and asset fetches would bury everything else.
    if matches!(route, "/healthz" | "/readyz" | "/metrics") {
        tracing::debug!(status, ms, "answered");
    } else {
        tracing::info!(status, ms, "answered");
    }
}
