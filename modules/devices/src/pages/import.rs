//! `/devices/import`: a spreadsheet of devices, looked at first, then registered. The rows travel in the form of the
//! second step; what was registered is answered as a file with the credentials, which are kept nowhere as they are.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Csv, Ctx, Fields, Refused, Route, refused};
use songhe_kernel::{Error, FacilityId, FieldError, Result, Text};
use songhe_registry::{RESIDENTS_READ, facilities_of, facility_choices};

use super::{choice, with};
use crate::api::read_rows;
use crate::import::{self, Line, Outcome, Row, read};
use crate::module::{DEVICES_WRITE, Setup};

/// A file and the rest of its form.
const UPLOAD_BYTES: usize = read::MAX_BYTES + 64 * 1024;
/// The rows once more, in percent escapes.
const COMMIT_BYTES: usize = 8 * 1024 * 1024;

pub(super) fn routes(setup: &Arc<Setup>) -> Vec<Route> {
    let write = Access::Permission(DEVICES_WRITE);
    vec![
        Route::get("/devices/import", write, show),
        Route::get("/devices/import/template", write, template),
        Route::post("/devices/import", write, with(setup, look)).body_limit(UPLOAD_BYTES),
        Route::post("/devices/import/commit", write, with(setup, commit)).body_limit(COMMIT_BYTES),
    ]
}

const FIELDS: Fields =
    &[("file", "devices-import-file"), ("facility", "registry-facility"), ("content", "devices-import-step-2")];

#[derive(Serialize)]
struct Page {
    facilities: Vec<Choice>,
    facility: String,
    /// After a look.
    preview: Option<Preview>,
    max_rows: usize,
    #[serde(flatten)]
    refused: Refused,
}

#[derive(Serialize)]
struct Preview {
    new: usize,
    known: usize,
    refused: usize,
    rows: Vec<RowModel>,
    /// Headings that mean nothing here.
    unread: Vec<String>,
    /// What the second step sends.
    content: String,
}

#[derive(Serialize)]
struct RowModel {
    number: usize,
    serial: String,
    name: String,
    outcome: Outcome,
    errors: Vec<Flaw>,
}

#[derive(Serialize)]
struct Flaw {
    column_key: &'static str,
    text: String,
}

/// Fluent key of a column's heading.
fn column_key(field: &str) -> &'static str {
    match field {
        "serial" => "devices-serial",
        "name" => "kernel-name",
        "class" => "devices-class",
        "adapter" => "devices-adapter",
        "place" => "registry-place",
        "resident" => "incidents-resident",
        _ => "devices-heartbeat",
    }
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    render(&ctx, String::new(), None, &[]).await
}

async fn render(ctx: &Ctx, facility: String, preview: Option<Preview>, errors: &[FieldError]) -> Result<HttpResponse> {
    let page = Page {
        facilities: facility_choices(&facilities_of(ctx, DEVICES_WRITE).await?),
        facility,
        preview,
        max_rows: read::MAX_ROWS,
        refused: Refused::new(ctx, FIELDS, errors),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.page_with(status, "devices/import", &page)
}

/// A file to fill in, with the headings of the caller's language and one row that shows how.
async fn template(ctx: Ctx) -> Result<HttpResponse> {
    let heads = [
        "devices-serial",
        "kernel-name",
        "devices-class",
        "devices-adapter",
        "registry-place",
        "incidents-resident",
        "devices-heartbeat",
    ];
    let mut csv = Csv::new(heads.map(|key| ctx.say(&Text::key(key))));
    let name = ctx.say(&Text::key("devices-import-example"));
    csv.line(["SH-0001", &name, "3.1", "songhe-mqtt", "", "", "guard"].map(str::to_owned));
    Ok(csv.answer("devices-template.csv"))
}

/// # Errors
/// `Invalid` on `facility` for what names none; `NotFound` for one that is not the caller's.
fn facility_of(ctx: &Ctx, text: &str) -> Result<FacilityId> {
    let facility: FacilityId =
        choice("facility", text)?.ok_or_else(|| Error::field("facility", Text::key("error-choose")))?;
    ctx.caller().expect_at(DEVICES_WRITE, facility)?;
    Ok(facility)
}

async fn run(ctx: &Ctx, setup: &Arc<Setup>, facility: FacilityId, rows: Vec<Row>, commit: bool) -> Result<Vec<Line>> {
    let sees = ctx.caller().facilities(RESIDENTS_READ).contains(facility);
    import::run(&ctx.app().db, setup, facility, rows, sees, commit, Some(ctx.caller().user_id)).await
}

async fn look(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    let parts = ctx.multipart()?;
    let part = |name: &str| parts.iter().find(|part| part.name == name);
    let wanted = part("facility").map(|part| String::from_utf8_lossy(&part.bytes).into_owned()).unwrap_or_default();
    let file = part("file").map(|part| part.bytes.clone()).unwrap_or_default();
    let preview = async {
        let facility = facility_of(&ctx, &wanted)?;
        let rows = read_rows(file).await?;
        preview(&ctx, &setup, facility, rows).await
    };
    match refused(preview.await)? {
        Ok(preview) => render(&ctx, wanted, Some(preview), &[]).await,
        Err(errors) => render(&ctx, wanted, None, &errors).await,
    }
}

async fn preview(ctx: &Ctx, setup: &Arc<Setup>, facility: FacilityId, rows: Vec<Row>) -> Result<Preview> {
    let (content, unread) = (serde_json::to_string(&rows)?, import::unread(&rows));
    let lines = run(ctx, setup, facility, rows, false).await?;
    let count = |outcome| lines.iter().filter(|line| line.outcome == outcome).count();
    Ok(Preview {
        new: count(Outcome::New),
        known: count(Outcome::Known),
        refused: count(Outcome::Refused),
        unread,
        content,
        rows: lines.iter().map(|line| row_model(ctx, line)).collect(),
    })
}

fn row_model(ctx: &Ctx, line: &Line) -> RowModel {
    let flaw = |error: &FieldError| Flaw { column_key: column_key(error.field), text: ctx.say(&error.text) };
    RowModel {
        number: line.number,
        serial: line.serial.clone(),
        name: line.name.clone(),
        outcome: line.outcome,
        errors: line.errors.iter().map(flaw).collect(),
    }
}

const fn outcome_key(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::New => "devices-import-new",
        Outcome::Registered => "devices-import-registered",
        Outcome::Known => "devices-import-known",
        Outcome::Refused => "devices-import-refused",
    }
}

async fn commit(ctx: Ctx, setup: Arc<Setup>) -> Result<HttpResponse> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Form {
        facility: String,
        content: String,
    }
    let Form { facility: wanted, content } = ctx.form()?;
    let read = || Ok((facility_of(&ctx, &wanted)?, read::brought_back(&content)?));
    let outcome = match read() {
        Ok((facility, rows)) => run(&ctx, &setup, facility, rows, true).await,
        Err(error) => Err(error),
    };
    let lines = match refused(outcome)? {
        Ok(lines) => lines,
        // What was read of a file is in the form alone: what of it can be shown is shown again.
        Err(errors) => {
            let rows = read::brought_back(&content).ok();
            let shown = match rows.zip(facility_of(&ctx, &wanted).ok()) {
                Some((rows, facility)) => preview(&ctx, &setup, facility, rows).await.ok(),
                None => None,
            };
            return render(&ctx, wanted, shown, &errors).await;
        }
    };
    let heads = [
        "devices-import-row",
        "devices-serial",
        "kernel-name",
        "devices-import-outcome",
        "kernel-username",
        "devices-client-id",
        "kernel-password",
        "devices-import-why",
    ];
    let mut csv = Csv::new(heads.map(|key| ctx.say(&Text::key(key))));
    for line in lines {
        let why: Vec<String> = line
            .errors
            .iter()
            .map(|error| format!("{}: {}", ctx.say(&Text::key(column_key(error.field))), ctx.say(&error.text)))
            .collect();
        let (username, client_id, password) = match line.credential {
            Some(credential) => (credential.username, credential.client_id, credential.password),
            None => (String::new(), String::new(), String::new()),
        };
        let outcome = ctx.say(&Text::key(outcome_key(line.outcome)));
        csv.line([
            line.number.to_string(),
            line.serial,
            line.name,
            outcome,
            username,
            client_id,
            password,
            why.join("; "),
        ]);
    }
    Ok(csv.answer("devices-imported.csv"))
}
