//! `/api/v1/quarantine`.

use std::collections::HashMap;

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Limit, List, Route};
use songhe_kernel::{Error, Moment, Result};

use crate::gateways::{Named, named};
use crate::module::{DEVICES_WRITE, QUARANTINE_READ};
use crate::quarantine::{QuarantineId, Quarantined, dismiss, list};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/quarantine", Access::Permission(QUARANTINE_READ), show_list).doc(
            ApiDoc::new("List messages that nobody could act on, newest first")
                .query::<Query>()
                .returns::<List<QuarantinedBody>>(),
        ),
        Route::post("/api/v1/quarantine/{id}/dismiss", Access::Permission(DEVICES_WRITE), dismiss_group).doc(
            ApiDoc::new("Throw quarantined messages away")
                .description(
                    "The message of the path, and everything else that was kept of its sender for the same reason. \
                     Registering the device (`POST /api/v1/devices` with its `serial`) is the other way out.",
                )
                .returns::<Dismissed>(),
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
    after: Option<QuarantineId>,
}

/// A message of an unknown device, or one that could not be understood.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "QuarantinedMessage")]
struct QuarantinedBody {
    id: QuarantineId,
    /// The way it came: `embedded`, `broker` …
    source: String,
    /// What its topic says of the sender.
    serial: Option<String>,
    topic: String,
    /// `unknown_device`, `undecodable`, `no_adapter` or `refused`.
    reason: String,
    detail: String,
    /// The first 4 KiB, hexadecimal.
    payload_hex: String,
    /// The same as text, where it is text.
    payload_text: Option<String>,
    /// How many bytes there were.
    payload_bytes: i32,
    received_at: Moment,
    /// What its gateway says of the device, if one names it.
    named: Option<NamedBody>,
}

/// A device as its gateway names it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NamedByGateway")]
struct NamedBody {
    gateway_serial: String,
    /// What its topics call it, today.
    name: String,
    model: String,
    vendor: String,
}

impl QuarantinedBody {
    fn new(row: Quarantined, named: &HashMap<String, Named>) -> Self {
        let named = row.serial.as_ref().and_then(|serial| named.get(serial)).map(|named| NamedBody {
            gateway_serial: named.gateway_serial.clone(),
            name: named.name.clone(),
            model: named.model.clone(),
            vendor: named.vendor.clone(),
        });
        Self {
            named,
            id: row.id,
            source: row.source,
            serial: row.serial,
            topic: row.topic,
            reason: row.reason,
            detail: row.detail,
            payload_hex: hex::encode(&row.payload),
            payload_text: String::from_utf8(row.payload).ok(),
            payload_bytes: row.payload_bytes,
            received_at: row.received_at,
        }
    }
}

/// What is gone.
#[derive(Serialize, JsonSchema)]
struct Dismissed {
    messages: usize,
}

async fn dismiss_group(ctx: Ctx) -> Result<HttpResponse> {
    let id: QuarantineId = ctx.id("id")?;
    let scope = ctx.caller().facilities(DEVICES_WRITE).clone();
    let messages = ctx
        .once(move |tx| match dismiss(tx, &scope, id)? {
            0 => Err(Error::NotFound),
            messages => Ok(messages),
        })
        .await?;
    ctx.json_ok(&Dismissed { messages })
}

async fn show_list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let scope = ctx.caller().facilities(QUARANTINE_READ).clone();
    let (rows, named) = ctx
        .app()
        .db
        .read(move |db| {
            let rows = list(db, &scope, query.after, query.limit.rows())?;
            let serials: Vec<String> = rows.iter().filter_map(|row| row.serial.clone()).collect();
            Ok((rows, named(db, &serials)?))
        })
        .await?;
    let items = rows.into_iter().map(|row| QuarantinedBody::new(row, &named)).collect();
    ctx.json_ok(&List::part(items, query.limit, |row: &QuarantinedBody| row.id))
}
