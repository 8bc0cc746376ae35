//! What a house does beside its devices' messages: old observations are purged, and an installer imports a street.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use base64::Engine as _;
use diesel::connection::SimpleConnection;
use songhe_devices::history::retention::{self, Keep, Step};
use songhe_kernel::db::Kind;
use songhe_kernel::{Database, FacilityId};
use tokio::task::JoinHandle;

use super::house::PASSWORD;
use crate::cli::Failure;

/// Observations that have had their time.
pub(super) const OLD_ROWS: u64 = 200_000;
/// Rows of one file.
const DEVICES: usize = 1_000;
/// Rows of one statement.
const SLICE: u64 = 20_000;
/// Between two slices, as the server itself purges.
const BREATH: Duration = Duration::from_millis(20);

/// The work of others beside the messages.
pub(super) struct Beside {
    purged: Arc<AtomicU64>,
    purge: JoinHandle<songhe_kernel::Result<()>>,
    import: JoinHandle<Result<usize, String>>,
}

/// Puts observations of years ago into the database, for the purge to find.
pub(super) async fn fill(db: &Database) -> Result<(), Failure> {
    let columns = "id, device_id, facility_id, kind, value_micro, unit, quality, historical, message_id, observed_at, \
                   received_at";
    let (at, falsity) = ("'2020-01-01 00:00:00'", if db.kind() == Kind::Sqlite { "0" } else { "FALSE" });
    let at = if db.kind() == Kind::Sqlite { at.to_owned() } else { format!("TIMESTAMP {at}") };
    for from in (0..OLD_ROWS).step_by(SLICE as usize) {
        let until = from + SLICE;
        let numbers = match db.kind() {
            Kind::Sqlite => format!(
                "WITH RECURSIVE g(t) AS (SELECT {from} UNION ALL SELECT t + 1 FROM g WHERE t + 1 < {until}) INSERT INTO \
                 observation ({columns}) SELECT g.t, d.id, d.facility_id, 'room_temperature', 21000000, 'Cel', 'good', \
                 {falsity}, CAST(g.t AS TEXT), {at}, {at} FROM g CROSS JOIN (SELECT id, facility_id FROM device LIMIT 1) d"
            ),
            Kind::Postgres => format!(
                "INSERT INTO observation ({columns}) SELECT g.t, d.id, d.facility_id, 'room_temperature', 21000000, 'Cel', \
                 'good', {falsity}, g.t::text, {at}, {at} FROM generate_series({from}::bigint, {until} - 1) AS g(t) \
                 CROSS JOIN (SELECT id, facility_id FROM device LIMIT 1) d"
            ),
        };
        db.write(move |tx| Ok(tx.db().batch_execute(&numbers)?)).await?;
    }
    let seen = "UPDATE rollup_cursor SET seq = (SELECT max(seq) FROM observation)";
    Ok(db.write(move |tx| Ok(tx.db().batch_execute(seen)?)).await?)
}

impl Beside {
    pub(super) fn start(db: Database, keep: Keep, url: String, facility: FacilityId) -> Self {
        let purged = Arc::new(AtomicU64::new(0));
        let gone = purged.clone();
        let purge = tokio::spawn(async move { purge(&db, &keep, &gone).await });
        let import = tokio::spawn(async move { import(&url, facility).await.map_err(|error| error.0) });
        Self { purged, purge, import }
    }

    /// Stops the work and tells how far it came.
    pub(super) async fn end(self) -> String {
        self.purge.abort();
        if let Ok(Err(error)) = self.purge.await {
            return format!("the purge failed: {error}");
        }
        let imported = match self.import.is_finished() {
            false => "the import still under way".to_owned(),
            true => match self.import.await {
                Ok(Ok(devices)) => format!("{devices} of {DEVICES} devices imported"),
                Ok(Err(error)) => format!("the import failed: {error}"),
                Err(error) => format!("the import failed: {error}"),
            },
        };
        format!("{} of {OLD_ROWS} old rows purged, {imported}", self.purged.load(Relaxed))
    }
}

async fn purge(db: &Database, keep: &Keep, gone: &AtomicU64) -> songhe_kernel::Result<()> {
    while let Step::Removed(rows) = retention::step(db, keep).await? {
        gone.fetch_add(rows, Relaxed);
        tokio::time::sleep(BREATH).await;
    }
    Ok(())
}

/// As the installer's program would.
async fn import(url: &str, facility: FacilityId) -> Result<usize, Failure> {
    let http = reqwest::Client::new();
    let body = serde_json::json!({ "username": "bench", "password": PASSWORD });
    let session: serde_json::Value =
        http.post(format!("{url}/api/v1/session")).json(&body).send().await?.error_for_status()?.json().await?;
    let token = session.get("token").and_then(|token| token.as_str()).unwrap_or_default().to_owned();
    let rows: String = (0..DEVICES).map(|n| format!("STREET-{n:05},bench,3.1,songhe-mqtt\n")).collect();
    let file = base64::engine::general_purpose::STANDARD.encode(format!("serial,name,class,adapter\n{rows}"));
    let body = serde_json::json!({ "facility_id": facility, "content_base64": file, "commit": true });
    let answer = http.post(format!("{url}/api/v1/devices/import")).bearer_auth(token).json(&body).send().await?;
    let answer: serde_json::Value = answer.error_for_status()?.json().await?;
    let rows = answer.get("rows").and_then(|rows| rows.as_array()).cloned().unwrap_or_default();
    Ok(rows.iter().filter(|row| row.get("outcome").is_some_and(|outcome| outcome == "registered")).count())
}
