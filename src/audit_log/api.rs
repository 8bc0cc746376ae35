//! `/api/v1/audit`.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use songhe_kernel::audit::{self, AuditId, Filter, Found};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use songhe_kernel::{Error, FacilityId, Moment, Result, Text, UserId};
use songhe_registry::ResidentId;

use super::READ;

pub(super) fn routes() -> Vec<Route> {
    let read = Access::Permission(READ);
    vec![
        Route::get("/api/v1/audit", read, list).doc(
            ApiDoc::new("Search the audit log")
                .description(
                    "Newest first. Lines of no facility, such as sign-ins, are for readers of the whole system.",
                )
                .query::<Query>()
                .returns::<List<Line>>(),
        ),
        Route::get("/api/v1/audit/standing", read, standing).doc(
            ApiDoc::new("How far the audit log is sealed")
                .description("Whether its lines are as they were sealed is told by `songhe audit verify`.")
                .returns::<Standing>(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Only this facility's.
    facility: Option<FacilityId>,
    /// Not before it.
    from: Option<Moment>,
    /// Before it.
    until: Option<Moment>,
    /// Whose doing.
    actor: Option<UserId>,
    /// The beginning of an action's name: `resident.` or `resident.read`.
    action: Option<String>,
    /// The id of what it was done to.
    subject: Option<String>,
    /// The resident whom it is about.
    resident: Option<ResidentId>,
    /// How many at most.
    #[serde(default)]
    limit: Limit,
    /// `next` of the part before.
    after: Option<AuditId>,
}

/// A line of the audit log.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditLine")]
struct Line {
    id: AuditId,
    at: Moment,
    /// `user`, `stranger` (at the door), `system` (Songhe itself) or `command_line`.
    actor_kind: String,
    actor_id: Option<UserId>,
    /// As others see the account today.
    actor_name: String,
    /// `noun.verb`; `request.post` and the like for what was changed and not named, with its route in `after`.
    action: String,
    /// The id of what it was done to.
    subject: String,
    facility_id: Option<FacilityId>,
    resident_id: Option<ResidentId>,
    /// What held before, as far as it changed; what is sensitive is masked or ciphertext.
    before: Option<Value>,
    /// What held from then on; the same rule.
    after: Option<Value>,
    address: Option<String>,
    request_id: Option<String>,
    session_id: Option<String>,
    reason: Option<String>,
}

impl From<Found> for Line {
    fn from(found: Found) -> Self {
        let value = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        Self {
            id: found.id,
            at: found.at,
            actor_kind: found.actor_kind,
            actor_id: found.actor,
            actor_name: found.actor_name,
            action: found.action,
            subject: found.subject,
            facility_id: found.facility,
            resident_id: found.person.map(ResidentId),
            before: value(found.before),
            after: value(found.after),
            address: found.address,
            request_id: found.request_id,
            session_id: found.session,
            reason: found.reason,
        }
    }
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let mut filter = Filter::new(ctx.caller().narrowed(READ, query.facility)?);
    filter.from = query.from;
    filter.until = query.until;
    filter.actor = query.actor;
    filter.action = query.action;
    filter.subject = query.subject;
    filter.person = query.resident.map(|id| id.0);
    let (after, limit) = (query.after, query.limit);
    let found = ctx
        .app()
        .db
        .read(move |db| {
            if let Some(id) = after {
                let at = audit::when(db, id)?.ok_or_else(|| Error::BadRequest(Text::key("error-bad-cursor")))?;
                filter.after = Some((at, id));
            }
            audit::search(db, &filter, limit.rows())
        })
        .await?;
    let lines = found.into_iter().map(Line::from).collect();
    ctx.json_ok(&List::part(lines, limit, |line: &Line| line.id))
}

/// How far the audit log is sealed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditStanding")]
struct Standing {
    /// The number of the newest seal.
    seal: Option<i64>,
    /// Its code: compare it with an anchor.
    mac: Option<String>,
    sealed_at: Option<Moment>,
    /// Lines that wait for their seal.
    unsealed: i64,
    /// When the oldest of them was written.
    unsealed_since: Option<Moment>,
}

async fn standing(ctx: Ctx) -> Result<HttpResponse> {
    let standing = ctx.app().db.read(audit::standing).await?;
    let (unsealed, unsealed_since) = (standing.unsealed, standing.unsealed_since);
    let (seal, mac, sealed_at) = match standing.head {
        Some(head) => (Some(head.seq), Some(head.mac), Some(head.at)),
        None => (None, None, None),
    };
    ctx.json_ok(&Standing { seal, mac, sealed_at, unsealed, unsealed_since })
}
