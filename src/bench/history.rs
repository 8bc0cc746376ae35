//! `songhe bench history`: a year of observations, then the charts and lists of devices over a day, a week, a month and a
//! year, as a browser and a program ask for them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use songhe_devices::history::partitions::{self, Month};
use songhe_devices::register::{self, NewDevice, new_secret};
use songhe_devices::{DeviceId, history};
use songhe_kernel::identity::{NewUser, PasswordHash, Role, create_user, grant_role};
use songhe_kernel::{Clock, Database, Moment, SystemClock};
use songhe_registry::{self as registry, FacilityKind, NewFacility};

use super::percentile_ms;
use crate::assembly::{Server, StartOptions};
use crate::cli::Failure;
use crate::config::{Config, Disk, MqttMode};

#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Rows of the year
    #[arg(long, default_value_t = 1_000_000)]
    pub rows: i64,
    /// Devices that told them
    #[arg(long, default_value_t = 200)]
    pub devices: i64,
    /// Requests of each kind
    #[arg(long, default_value_t = 200)]
    pub requests: usize,
    /// The database: an empty one; without it a SQLite file in a new folder
    #[arg(long)]
    pub database: Option<String>,
}

/// What each device tells, and in which unit.
const KINDS: [(&str, &str); 3] = [("heart_rate", "/min"), ("room_temperature", "Cel"), ("humidity", "%")];
const YEAR_DAYS: i64 = 365;
/// Rows of one statement.
const SLICE: i64 = 200_000;
const PASSWORD: &str = "bench-only-password";
/// Shanghai, where the facility is: its days begin so many hours before those of UTC.
const AHEAD_HOURS: i64 = 8;

/// The indexes of `observation`, as its migration makes them: a year is filled faster without.
const INDEXES: [(&str, &str); 3] = [
    ("observation_device", "(device_id, kind, observed_at)"),
    ("observation_resident", "(resident_id, kind, observed_at) WHERE resident_id IS NOT NULL"),
    ("observation_facility", "(facility_id, kind, observed_at)"),
];

/// What was measured: what was asked for, over which range, and how long each answer took, sorted, in milliseconds.
pub type Measured = Vec<(&'static str, &'static str, Vec<f64>)>;

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("songhe-bench-{}", new_secret()));
    std::fs::create_dir_all(&folder)?;
    let url = arguments.database.clone().unwrap_or_else(|| format!("sqlite:{}", folder.join("songhe.db").display()));
    let outcome = measure(&arguments, &url).await;
    std::fs::remove_dir_all(&folder)?;
    let (filled_s, measured) = outcome?;
    println!("songhe bench history");
    println!(
        "  rows            {} of {} devices over a year, filled in {filled_s:.0} s",
        arguments.rows, arguments.devices
    );
    println!("  database        {}", arguments.database.as_deref().map_or("SQLite", |_| "as given"));
    println!("  requests        {} of each, one after the other, each of another device", arguments.requests);
    for (what, range, sorted) in measured {
        println!(
            "  {what:<16}{range:<7}p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            percentile_ms(&sorted, 0.5),
            percentile_ms(&sorted, 0.99),
            percentile_ms(&sorted, 1.0)
        );
    }
    Ok(())
}

/// Fills the database at `url` and measures; answers the seconds of the filling, too.
///
/// # Errors
/// When the server does not start, or answers anything but what was asked for.
pub async fn measure(arguments: &Arguments, url: &str) -> Result<(f64, Measured), Failure> {
    let mut config = Config { disk: Disk::OFF, ..Config::default() };
    config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.mqtt.mode = MqttMode::Off;
    config.database.url = url.to_owned();
    let clock = Arc::new(SystemClock::new());
    let now = clock.now();
    let server = Server::start(&config, clock, StartOptions::default()).await?;
    let devices = prepare(&server.db, arguments.devices).await?;
    let started = Instant::now();
    fill(&server.db, arguments, now).await?;
    let filled_s = started.elapsed().as_secs_f64();
    let measured = ask(&server.url, arguments.requests, &devices, now).await;
    server.stop().await;
    Ok((filled_s, measured?))
}

async fn prepare(db: &Database, devices: i64) -> Result<Vec<DeviceId>, Failure> {
    let password = PasswordHash::make(PASSWORD)?;
    let facility = db
        .write(move |tx| {
            let new = NewUser {
                username: "bench".into(),
                display_name: "bench".into(),
                password: password.clone(),
                locale: None,
            };
            let user = create_user(tx, &new)?;
            grant_role(tx, user, Role::SystemAdmin, None)?;
            let region = registry::create_region(tx, None, "bench")?;
            let new = NewFacility::new(region, FacilityKind::CareBedStation, "care-beds", "bench", "bench");
            registry::create_facility(tx, &new, None)
        })
        .await?;
    let mut ids = Vec::new();
    for n in 0..devices {
        let id = db
            .write(move |tx| {
                let new = NewDevice {
                    facility,
                    serial: format!("BENCH-{n:05}"),
                    class: "3.1".into(),
                    adapter: "songhe-mqtt".into(),
                    name: "bench".into(),
                    place: None,
                    resident: None,
                };
                let id = register::register(tx, &new, &["songhe-mqtt"], None)?;
                for (kind, unit) in KINDS {
                    tx.db().batch_execute(&format!(
                        "INSERT INTO device_state (device_id, kind, value_micro, unit, quality, observed_at) \
                         VALUES ({}, '{kind}', 1000000, '{unit}', 'good', '2020-01-01 00:00:00')",
                        id.0
                    ))?;
                }
                Ok(id)
            })
            .await?;
        ids.push(id);
    }
    Ok(ids)
}

/// The year's rows, evenly spread, and the roll-ups that they make.
async fn fill(db: &Database, arguments: &Arguments, now: Moment) -> Result<(), Failure> {
    let start = now.plus(-TimeDelta::days(YEAR_DAYS));
    partitions::make(db, Month::of(start), Month::of(now)).await?;
    let each = i64::try_from(KINDS.len()).unwrap_or(1) * arguments.devices.max(1);
    let moments = (arguments.rows / each).max(1);
    let step_s = (YEAR_DAYS * 86_400 / moments).max(1);
    // The server's own roll-ups wait until the year is there.
    run_sql(db, format!("UPDATE rollup_cursor SET seq = {}", i64::MAX)).await?;
    run_sql(db, INDEXES.map(|(name, _)| format!("DROP INDEX {name};")).concat()).await?;
    let at_once = (SLICE / each).max(1);
    let mut from = 0;
    while from < moments {
        let until = (from + at_once).min(moments);
        let sql = slice(db, start, step_s, from, until);
        run_sql(db, sql).await?;
        from = until;
    }
    let index = |(name, rest): (&str, &str)| format!("CREATE INDEX {name} ON observation {rest};");
    for one in INDEXES {
        run_sql(db, index(one)).await?;
    }
    for (table, starts_at) in [("observation_hour", hour(db)), ("observation_day", day(db))] {
        run_sql(db, roll_up(db, table, &starts_at)).await?;
    }
    run_sql(db, "UPDATE rollup_cursor SET seq = (SELECT max(seq) FROM observation); ANALYZE;".to_owned()).await?;
    history::catch_up(db).await?;
    Ok(())
}

async fn run_sql(db: &Database, sql: String) -> Result<(), Failure> {
    Ok(db.write(move |tx| Ok(tx.db().batch_execute(&sql)?)).await?)
}

fn is_sqlite(db: &Database) -> bool {
    db.kind() == songhe_kernel::db::Kind::Sqlite
}

/// Values between 60 and 99.9 that look random.
fn slice(db: &Database, start: Moment, step_s: i64, from: i64, until: i64) -> String {
    let kinds = KINDS.map(|(kind, unit)| format!("('{kind}', '{unit}')")).join(", ");
    let start = start.utc().format("%Y-%m-%d %H:%M:%S");
    let columns = "id, device_id, facility_id, kind, value_micro, unit, quality, historical, message_id, observed_at, received_at";
    let value = "(600 + (g.t * 7919 + d.id % 9973) % 400) * 100000";
    if is_sqlite(db) {
        let at = format!("datetime('{start}', '+' || (g.t * {step_s}) || ' seconds')");
        return format!(
            "WITH RECURSIVE g(t) AS (SELECT {from} UNION ALL SELECT t + 1 FROM g WHERE t + 1 < {until}), \
             k(kind, unit) AS (VALUES {kinds}) INSERT INTO observation ({columns}) \
             SELECT g.t, d.id, d.facility_id, k.kind, {value}, k.unit, 'good', 0, CAST(g.t AS TEXT), {at}, {at} \
             FROM g CROSS JOIN device d CROSS JOIN k;"
        );
    }
    let at = format!("TIMESTAMP '{start}' + g.t * INTERVAL '{step_s} seconds'");
    format!(
        "INSERT INTO observation ({columns}) SELECT g.t, d.id, d.facility_id, k.kind, {value}, k.unit, 'good', FALSE, \
         g.t::text, {at}, {at} FROM generate_series({from}::bigint, {until} - 1) AS g(t) CROSS JOIN device d \
         CROSS JOIN (VALUES {kinds}) AS k(kind, unit);"
    )
}

fn hour(db: &Database) -> String {
    if is_sqlite(db) {
        "strftime('%Y-%m-%d %H:00:00', observed_at)".to_owned()
    } else {
        "date_trunc('hour', observed_at)".to_owned()
    }
}

fn day(db: &Database) -> String {
    if is_sqlite(db) {
        let before = 24 - AHEAD_HOURS;
        format!("strftime('%Y-%m-%d {before}:00:00', observed_at, '-{before} hours')")
    } else {
        let ahead = format!("INTERVAL '{AHEAD_HOURS} hours'");
        format!("date_trunc('day', observed_at + {ahead}) - {ahead}")
    }
}

/// Every reading is good. The newest value: text of a time and a number of eight digits, the greatest of which is cut.
fn roll_up(db: &Database, table: &str, starts_at: &str) -> String {
    let last = if is_sqlite(db) {
        "CAST(substr(max(observed_at || ' ' || value_micro), 21) AS BIGINT)"
    } else {
        "(array_agg(value_micro ORDER BY observed_at DESC))[1]"
    };
    format!(
        "INSERT INTO {table} (device_id, kind, starts_at, n, other, events, sum_micro, min_micro, max_micro, last_micro, \
         last_at) SELECT device_id, kind, {starts_at}, count(*), 0, 0, sum(value_micro), min(value_micro), \
         max(value_micro), {last}, max(observed_at) FROM observation GROUP BY 1, 2, 3;"
    )
}

async fn ask(url: &str, requests: usize, devices: &[DeviceId], now: Moment) -> Result<Measured, Failure> {
    let http = reqwest::Client::builder().tcp_nodelay(true).build()?;
    let body = serde_json::json!({ "username": "bench", "password": PASSWORD });
    let session: serde_json::Value =
        http.post(format!("{url}/api/v1/session")).json(&body).send().await?.error_for_status()?.json().await?;
    let token = session.get("token").and_then(|token| token.as_str()).unwrap_or_default().to_owned();
    let mut measured = Vec::new();
    for (range, days) in [("day", 1), ("week", 7), ("month", 30), ("year", YEAR_DAYS)] {
        let (from, until) = (now.plus(-TimeDelta::days(days)), now);
        for what in ["device page", "series", "observations", "rare kind"] {
            let mut samples = Vec::new();
            // Neighbours in the list are not neighbours in the table.
            for device in devices.iter().cycle().step_by(7).take(requests) {
                let path = match what {
                    "device page" => format!("/devices/{device}?range={range}"),
                    "series" => format!("/api/v1/devices/{device}/series?kind=heart_rate&from={from}&until={until}"),
                    "observations" => format!("/api/v1/observations?device={device}&from={from}&to={until}&limit=200"),
                    _ => format!("/api/v1/observations?kind=sos&from={from}&to={until}"),
                };
                let start = Instant::now();
                let answer = http.get(format!("{url}{path}")).bearer_auth(&token).send().await?.error_for_status()?;
                let length = answer.bytes().await?.len();
                samples.push(start.elapsed().as_secs_f64() * 1_000.0);
                if what == "series" && length < 250 {
                    return Err(Failure(format!("{path} answered no points: the year was not filled.")));
                }
            }
            samples.sort_by(f64::total_cmp);
            measured.push((what, range, samples));
        }
    }
    Ok(measured)
}
