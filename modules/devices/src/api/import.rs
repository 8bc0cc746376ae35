//! `/api/v1/devices/import`.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header;
use base64::Engine as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Route};
use songhe_kernel::{Error, FacilityId, Result, Text};
use songhe_registry::RESIDENTS_READ;

use crate::import::{self, Line, Outcome, read};
use crate::module::{DEVICES_WRITE, Setup};
use crate::pages::with;
use crate::register::Credential;

/// Base64 of the largest file, and what stands around it.
const BODY_BYTES: usize = read::MAX_BYTES / 3 * 4 + 4_096;

pub(super) fn routes(setup: &Arc<Setup>) -> Vec<Route> {
    let import = Route::post("/api/v1/devices/import", Access::Permission(DEVICES_WRITE), with(setup, run));
    vec![
        import.body_limit(BODY_BYTES).doc(
            ApiDoc::new("Register many devices from a spreadsheet")
                .description(
                    "Without `commit` nothing is changed, and each row tells what would become of it. With it the rows \
                     that can be registered are, in slices; the others tell why not. A serial that is registered here \
                     already stays as it is: sent twice it changes nothing. Credentials are answered once and kept \
                     nowhere as they are.",
                )
                .body::<Import>()
                .returns::<Imported>(),
        ),
    ]
}

/// Devices of a spreadsheet.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DeviceImport")]
struct Import {
    facility_id: FacilityId,
    /// A CSV (UTF-8 or GB18030) or XLSX file of at most 2 MiB and 2,000 rows, in Base64. Headings: `serial`, `name`,
    /// `class`, `adapter`, and, if wanted, `place`, `resident`, `heartbeat`; or the same in Chinese.
    content_base64: String,
    #[serde(default)]
    commit: bool,
}

/// What became of a file.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeviceImported")]
struct Imported {
    committed: bool,
    /// Headings that mean nothing here: what is below them is not imported.
    unread_columns: Vec<String>,
    rows: Vec<RowBody>,
}

/// What becomes of a row.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeviceImportRow")]
struct RowBody {
    /// Its number in the file, from 1.
    row: usize,
    serial: String,
    outcome: Outcome,
    errors: Vec<Flaw>,
    credential: Option<Credential>,
}

/// What is wrong in a row.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeviceImportError")]
struct Flaw {
    /// `serial`, `name`, `class` …
    column: &'static str,
    /// In the caller's language.
    message: String,
}

async fn run(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    let Import { facility_id, content_base64, commit } = ctx.json()?;
    ctx.caller().expect_at(DEVICES_WRITE, facility_id)?;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(content_base64.trim())
        .map_err(|_| Error::field("content_base64", Text::key("devices-import-base64")))?;
    let rows = read_rows(bytes).await?;
    let unread_columns = import::unread(&rows);
    let sees = ctx.caller().facilities(RESIDENTS_READ).contains(facility_id);
    let by = Some(ctx.caller().user_id);
    let lines = import::run(&ctx.app().db, &setup, facility_id, rows, sees, commit, by).await?;
    let rows = lines.into_iter().map(|line| row(&ctx, line)).collect();
    let mut response = ctx.json_ok(&Imported { committed: commit, unread_columns, rows })?;
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Unpacking takes its time: not on a thread that serves others.
pub(crate) async fn read_rows(bytes: Vec<u8>) -> Result<Vec<read::Row>> {
    tokio::task::spawn_blocking(move || read::rows(&bytes)).await.map_err(Error::internal)?
}

fn row(ctx: &Ctx, line: Line) -> RowBody {
    let errors = line.errors.iter().map(|error| Flaw { column: error.field, message: ctx.say(&error.text) });
    RowBody {
        row: line.number,
        errors: errors.collect(),
        serial: line.serial,
        outcome: line.outcome,
        credential: line.credential,
    }
}
