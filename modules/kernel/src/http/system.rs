//! Routes of the server itself: first page, streams, health, metrics, the API's description.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::json;

use super::guard::same;
use super::visitor::{FORWARDED_FOR, bearer};
use super::{Access, Ctx, Menu, Route, Section, api_docs, home, live};
use crate::error::{Error, Result};
use crate::servers::{Peers, View};

pub(super) fn routes() -> Vec<Route> {
    let first = Menu { key: "kernel-home", icon: "home", section: Section::Work, order: 0 };
    vec![
        Route::get("/", Access::SignedIn, home::page).menu(first),
        Route::get("/stream", Access::SignedIn, live::page_stream),
        Route::get("/healthz", Access::Public, healthz),
        Route::get("/readyz", Access::Public, readyz),
        Route::get("/metrics", Access::Public, metrics),
        Route::get("/api/openapi.json", Access::Public, openapi),
        Route::get("/api/docs", Access::Public, api_docs::page),
    ]
}

/// The process answers.
async fn healthz(_: Ctx) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().content_type("text/plain").body("ok\n"))
}

/// Requests can be served: every part's check passes. Why one fails is in the log only.
async fn readyz(ctx: Ctx) -> Result<HttpResponse> {
    let checks = ctx.app().readiness.run().await;
    let ready = checks.values().all(|passed| *passed);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = json!({ "ready": ready, "checks": checks });
    // Short of room the server still serves: it is told, not failed.
    body["disk"] = json!(ctx.app().db.room_level().as_str());
    if let Ok(peers) = ctx.app().extension::<Peers>() {
        body["servers"] = servers(&peers.view());
    }
    Ok(HttpResponse::build(status).json(body))
}

/// Numbers and ages only: everybody may ask.
fn servers(view: &View) -> serde_json::Value {
    let alive: Vec<i16> = view.alive.iter().map(|server| server.number).collect();
    let holder = view.holder.as_ref().map(|holder| {
        json!({ "server": holder.number, "here": holder.here, "since": holder.since, "renewed_ms": holder.renewed_ms })
    });
    json!({ "here": view.here, "alive": alive, "ingest": holder })
}

/// For a collector on this machine, or one that brings the configured token.
async fn metrics(ctx: Ctx) -> Result<HttpResponse> {
    let local = ctx.visitor().address.is_loopback() && ctx.header(&FORWARDED_FOR).is_none();
    let token = ctx.app().settings.metrics_token.as_deref().zip(bearer(ctx.request()));
    if !local && !token.is_some_and(|(expected, brought)| same(expected, brought)) {
        return Err(Error::Forbidden);
    }
    let text = ctx.app().metrics.text(&ctx.app().db, ctx.app().live.open_streams())?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text))
}

async fn openapi(ctx: Ctx) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().content_type("application/json").body(ctx.app().openapi().to_owned()))
}
