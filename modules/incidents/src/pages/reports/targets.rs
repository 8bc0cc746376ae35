//! `POST /reports/targets`: what a facility means to reach.

use actix_web::HttpResponse;
use serde::Deserialize;
use songhe_kernel::http::{Access, Ctx, Route, refused, url};
use songhe_kernel::{Error, FacilityId, FieldError, Result, Text};

use super::Query;
use super::response::{TargetForm, show};
use crate::figures::target::{Target, set_target};
use crate::module::REPORTS_WRITE;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::post("/reports/targets", Access::Permission(REPORTS_WRITE), set)]
}

/// Field of the operation, input, label.
pub(super) const FIELDS: &[(&str, &str, &str)] = &[
    ("answer_seconds", "answer_seconds", "reports-target-answer"),
    ("answer_per_mille", "answer_percent", "reports-target-answer-share"),
    ("last_seconds", "last_seconds", "reports-target-last"),
    ("last_per_mille", "last_percent", "reports-target-last-share"),
    ("on_site_seconds", "on_site_minutes", "reports-target-on-site"),
];

#[derive(Deserialize)]
struct Form {
    facility: FacilityId,
    #[serde(default)]
    month: String,
    answer_seconds: String,
    answer_percent: String,
    last_seconds: String,
    last_percent: String,
    on_site_minutes: String,
}

/// Thousandths from per cent with at most one place: `97.5`.
fn per_mille(text: &str) -> Option<i32> {
    let (whole, tenth) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
    let digits = tenth.len() == 1 && whole.len() <= 3 && whole.bytes().chain(tenth.bytes()).all(|b| b.is_ascii_digit());
    if digits { Some(whole.parse::<i32>().ok()? * 10 + tenth.parse::<i32>().ok()?) } else { None }
}

async fn set(ctx: Ctx) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    ctx.caller().expect_at(REPORTS_WRITE, form.facility)?;
    let mut wrong = Vec::new();
    let mut take = |field: &'static str, value: Option<i32>| {
        if value.is_none() {
            wrong.push(FieldError::new(field, Text::key("error-invalid-number")));
        }
        value.unwrap_or_default()
    };
    let whole = |text: &str| text.trim().parse::<i32>().ok();
    let target = Target {
        answer_seconds: take("answer_seconds", whole(&form.answer_seconds)),
        answer_per_mille: take("answer_per_mille", per_mille(&form.answer_percent)),
        last_seconds: take("last_seconds", whole(&form.last_seconds)),
        last_per_mille: take("last_per_mille", per_mille(&form.last_percent)),
        on_site_seconds: take("on_site_seconds", whole(&form.on_site_minutes).map(|n| n.saturating_mul(60))),
    };
    let (facility, by) = (form.facility, ctx.caller().user_id);
    let outcome = if wrong.is_empty() {
        ctx.once(move |tx| set_target(tx, facility, target, by)).await
    } else {
        Err(Error::Invalid(wrong))
    };
    let query = Query { facility: facility.to_string(), month: form.month.clone(), ..Query::default() };
    match refused(outcome)? {
        Ok(()) => ctx.redirect(&url("/reports/response", &[("facility", &*query.facility), ("month", &query.month)])),
        Err(errors) => {
            let typed = TargetForm {
                answer_seconds: form.answer_seconds,
                answer_percent: form.answer_percent,
                last_seconds: form.last_seconds,
                last_percent: form.last_percent,
                on_site_minutes: form.on_site_minutes,
            };
            show(ctx, query, Some(typed), &errors).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::per_mille;

    #[test]
    fn per_cent_has_one_place_at_most() {
        for (text, expected) in [("97.5", Some(975)), ("99", Some(990)), (" 100 ", Some(1_000)), ("0.1", Some(1))] {
            assert_eq!(per_mille(text), expected, "{text}");
        }
        for text in ["", ".", "97.55", "-1", "97,5", "1e2", "9999", "x", "５0"] {
            assert_eq!(per_mille(text).filter(|n| *n <= 1_000), None, "{text}");
        }
    }
}
