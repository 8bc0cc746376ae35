//! `/devices/heartbeats`: how long devices of each heartbeat class may be silent, by facility.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Ctx, Fields, Refused, Route};
use songhe_kernel::{Error, FacilityId, FieldError, Result, Text};
use songhe_registry::facilities_of;

use crate::lifecycle;
use crate::module::DEVICES_WRITE;
use crate::online::Heartbeat;

pub(super) fn routes() -> Vec<Route> {
    let write = Access::Permission(DEVICES_WRITE);
    vec![Route::get("/devices/heartbeats", write, show), Route::post("/devices/heartbeats", write, save)]
}

const FIELDS: Fields = &[
    ("guard", "devices-heartbeat-guard"),
    ("regular", "devices-heartbeat-regular"),
    ("daily", "devices-heartbeat-daily"),
];

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
    /// Of its input: the name alone where something was refused, so that the summary leads there.
    id: String,
    minutes: String,
    error: Option<String>,
}

/// What was typed for a facility, in the order of [`Heartbeat::ALL`], and refused.
struct Typed {
    facility: FacilityId,
    minutes: [String; 3],
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    render(&ctx, None, &[]).await
}

async fn render(ctx: &Ctx, typed: Option<Typed>, errors: &[FieldError]) -> Result<HttpResponse> {
    let said: Vec<(&'static str, String)> = errors.iter().map(|error| (error.field, ctx.say(&error.text))).collect();
    let facilities = facilities_of(ctx, DEVICES_WRITE).await?;
    let rows = ctx
        .app()
        .db
        .read(move |db| {
            facilities
                .into_iter()
                .map(|facility| {
                    let typed = typed.as_ref().filter(|typed| typed.facility == facility.id);
                    let limits = Heartbeat::ALL.into_iter().enumerate().map(|(at, one)| {
                        let name = one.as_str();
                        let stored = lifecycle::limit_at(db, facility.id, one)? / 60;
                        let again = typed.and_then(|typed| typed.minutes.get(at).cloned());
                        let error = said.iter().find(|(field, _)| typed.is_some() && *field == name);
                        Ok(LimitModel {
                            heartbeat: name,
                            text_key: one.text_key(),
                            id: if typed.is_some() { name.to_owned() } else { format!("{}-{name}", facility.id) },
                            minutes: again.unwrap_or_else(|| stored.to_string()),
                            error: error.map(|(_, text)| text.clone()),
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
    let (min, max) = (lifecycle::SILENCE_S.0 / 60, lifecycle::SILENCE_S.1 / 60);
    let minutes = [form.guard, form.regular, form.daily];
    let (mut limits, mut wrong) = (Vec::new(), Vec::new());
    for (one, text) in Heartbeat::ALL.into_iter().zip(&minutes) {
        match text.trim().parse::<i32>() {
            Ok(minutes) if (min..=max).contains(&minutes) => limits.push((one, minutes * 60)),
            _ => {
                let text = Text::key("error-out-of-range").arg("min", min).arg("max", max);
                wrong.push(FieldError::new(one.as_str(), text));
            }
        }
    }
    if !wrong.is_empty() {
        return render(&ctx, Some(Typed { facility, minutes }), &wrong).await;
    }
    ctx.once(move |tx| limits.iter().try_for_each(|(one, s)| lifecycle::set_limit(tx, facility, *one, *s))).await?;
    ctx.redirect("/devices/heartbeats")
}
