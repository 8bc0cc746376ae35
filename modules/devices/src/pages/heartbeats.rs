//! `/devices/heartbeats`: how long devices of each heartbeat class may be silent, by facility.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Ctx, Fields, Refused, Route, refused};
use songhe_kernel::{Error, FacilityId, FieldError, Result, Text};
use songhe_registry::facilities_of;

use crate::lifecycle;
use crate::module::DEVICES_WRITE;
use crate::online::Heartbeat;

pub(super) fn routes() -> Vec<Route> {
    let write = Access::Permission(DEVICES_WRITE);
    vec![Route::get("/devices/heartbeats", write, show), Route::post("/devices/heartbeats", write, save)]
}

const FIELDS: Fields = &[("silence_seconds", "devices-silence-minutes")];

#[derive(Serialize)]
struct Page {
    facilities: Vec<Row>,
    #[serde(flatten)]
    refused: Refused,
}

#[derive(Serialize)]
struct Row {
    id: FacilityId,
    name: String,
    limits: Vec<LimitModel>,
}

#[derive(Serialize)]
struct LimitModel {
    heartbeat: &'static str,
    text_key: &'static str,
    minutes: i32,
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    render(&ctx, &[]).await
}

async fn render(ctx: &Ctx, errors: &[FieldError]) -> Result<HttpResponse> {
    let facilities = facilities_of(ctx, DEVICES_WRITE).await?;
    let rows = ctx
        .app()
        .db
        .read(move |db| {
            facilities
                .into_iter()
                .map(|facility| {
                    let limits = Heartbeat::ALL.into_iter().map(|one| {
                        Ok(LimitModel {
                            heartbeat: one.as_str(),
                            text_key: one.text_key(),
                            minutes: lifecycle::limit_at(db, facility.id, one)? / 60,
                        })
                    });
                    Ok(Row { limits: limits.collect::<Result<_>>()?, id: facility.id, name: facility.name.clone() })
                })
                .collect::<Result<Vec<Row>>>()
        })
        .await?;
    let page = Page { facilities: rows, refused: Refused::new(ctx, FIELDS, errors) };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.page_with(status, "devices/heartbeats", &page)
}

async fn save(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        facility: String,
        guard: String,
        regular: String,
        daily: String,
    }
    let form: Form = ctx.form()?;
    let facility: FacilityId = form.facility.parse().map_err(|_| Error::NotFound)?;
    ctx.caller().expect_at(DEVICES_WRITE, facility)?;
    let seconds = |text: &str| {
        let minutes: Option<i32> = text.trim().parse().ok();
        let wrong = || Error::field("silence_seconds", Text::key("error-invalid-number"));
        minutes.and_then(|minutes| minutes.checked_mul(60)).ok_or_else(wrong)
    };
    let read = || -> Result<_> { Ok([seconds(&form.guard)?, seconds(&form.regular)?, seconds(&form.daily)?]) };
    let outcome = match read() {
        Ok(all) => {
            ctx.once(move |tx| {
                Heartbeat::ALL.into_iter().zip(all).try_for_each(|(one, s)| lifecycle::set_limit(tx, facility, one, s))
            })
            .await
        }
        Err(error) => Err(error),
    };
    match refused(outcome)? {
        Ok(()) => ctx.redirect("/devices/heartbeats"),
        Err(errors) => render(&ctx, &errors).await,
    }
}
