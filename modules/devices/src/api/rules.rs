//! `/api/v1/threshold-rules`.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_incidents::Priority;
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use songhe_kernel::{Error, FacilityId, FieldError, Result, Text};

use crate::module::{RULES_READ, RULES_WRITE};
use crate::rules::{self, NewRule, Rule, RuleId};
use crate::words;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/threshold-rules", Access::Permission(RULES_READ), show_list)
            .doc(ApiDoc::new("List threshold rules").query::<Query>().returns::<List<RuleBody>>()),
        Route::post("/api/v1/threshold-rules", Access::Permission(RULES_WRITE), create).doc(
            ApiDoc::new("Add a threshold rule")
                .description("It applies to the readings that arrive from now on.")
                .body::<NewRuleBody>()
                .creates::<RuleBody>(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// How many at most.
    #[serde(default)]
    limit: Limit,
    /// `next` of the part before.
    after: Option<RuleId>,
}

/// A rule to be made. Numbers are decimal strings in the measure's canonical unit.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewRuleBody {
    #[serde(alias = "facility")]
    facility_id: FacilityId,
    /// 1 to 60 characters.
    name: String,
    /// `room_temperature` …
    measure: String,
    /// At or above it is beyond the limit: `"32"`.
    #[serde(default)]
    above: Option<String>,
    /// At or below it is beyond the limit. One of the two at least.
    #[serde(default)]
    below: Option<String>,
    /// How far inside the limit it has to come back to count as recovered, 0 or more.
    #[serde(default)]
    hysteresis: Option<String>,
    /// How long it has to last before it is reported, in seconds: 0 to 86400.
    #[serde(default)]
    onset_seconds: i32,
    priority: Priority,
}

/// A limit for one measure at a facility.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ThresholdRule")]
struct RuleBody {
    id: RuleId,
    facility_id: FacilityId,
    name: String,
    measure: String,
    above: Option<String>,
    below: Option<String>,
    hysteresis: String,
    onset_seconds: i32,
    priority: String,
    enabled: bool,
}

impl From<Rule> for RuleBody {
    fn from(rule: Rule) -> Self {
        Self {
            id: rule.id,
            facility_id: rule.facility_id,
            name: rule.name,
            measure: rule.measure,
            above: rule.above_micro.map(words::decimal),
            below: rule.below_micro.map(words::decimal),
            hysteresis: words::decimal(rule.hysteresis_micro),
            onset_seconds: rule.onset_seconds,
            priority: rule.priority,
            enabled: rule.enabled,
        }
    }
}

async fn show_list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let scope = ctx.caller().facilities(RULES_READ).clone();
    let rows = ctx.app().db.read(move |db| rules::list(db, &scope, query.after, query.limit.rows())).await?;
    let items = rows.into_iter().map(RuleBody::from).collect();
    ctx.json_ok(&List::part(items, query.limit, |rule: &RuleBody| rule.id))
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let body: NewRuleBody = ctx.json()?;
    ctx.caller().expect_at(RULES_WRITE, body.facility_id)?;
    let new = read(body)?;
    let id = ctx.once(move |tx| rules::create_rule(tx, &new)).await?;
    let rule = ctx.app().db.read(move |db| rules::find(db, id)).await?.ok_or(Error::NotFound)?;
    ctx.created(&RuleBody::from(rule))
}

fn read(body: NewRuleBody) -> Result<NewRule> {
    let mut wrong = Vec::new();
    let mut number = |field: &'static str, text: Option<&str>| {
        let value = words::micro(text?);
        if value.is_none() {
            wrong.push(FieldError::new(field, Text::key("error-invalid-number")));
        }
        value
    };
    let above_micro = number("above", body.above.as_deref());
    let below_micro = number("below", body.below.as_deref());
    let hysteresis_micro = number("hysteresis", body.hysteresis.as_deref());
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    Ok(NewRule {
        facility: body.facility_id,
        name: body.name,
        measure: body.measure,
        above_micro,
        below_micro,
        hysteresis_micro: hysteresis_micro.unwrap_or(0),
        onset_seconds: body.onset_seconds,
        priority: body.priority,
    })
}
