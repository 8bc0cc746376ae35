//! `/assets/{hash}/{path}`: under the current hash kept by browsers for a year; under an older one, which a page opened
//! before an upgrade may still name, today's file and no keeping.

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::Compress;
use actix_web::{HttpResponse, Resource, web};

use super::App;

pub(super) fn resource(
    app: Arc<App>,
) -> Resource<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    web::resource("/assets/{hash}/{path:.*}").wrap(Compress::default()).route(web::get().to(
        move |place: web::Path<(String, String)>| {
            let (hash, path) = place.into_inner();
            std::future::ready(serve(&app, &hash, &path))
        },
    ))
}

fn serve(app: &App, hash: &str, path: &str) -> HttpResponse {
    let assets = app.pages.assets();
    let Some(content) = assets.get(path) else { return HttpResponse::NotFound().finish() };
    let keep = if hash == assets.hash() { "public, max-age=31536000, immutable" } else { "no-cache" };
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media_type(path)))
        .insert_header((CACHE_CONTROL, keep))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(content.to_vec())
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" | "webmanifest" => "application/json",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "wav" => "audio/wav",
        "ogg" => "audio/ogg",
        "mp3" => "audio/mpeg",
        _ => "application/octet-stream",
    }
}
