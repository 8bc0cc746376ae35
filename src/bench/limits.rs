//! What the broker alone and the storage alone can do, with the same messages in the same run.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use diesel::prelude::*;
use rumqttc::QoS;
use songhe_broker::{Admission, Gate, Publish, Receipt, SignIn};
use songhe_devices::schema::{inbox, observation};
use songhe_kernel::{Database, Error, Moment, insert_rows};
use tokio::sync::mpsc;

use super::clients::connect;
use super::load::{Load, UNPACED};
use crate::cli::Failure;

/// A gate that lets everybody in and hands everything on: the limit of any path through this broker.
pub(super) struct Open;

#[async_trait]
impl Gate for Open {
    async fn sign_in(&self, who: SignIn<'_>) -> Admission {
        match who.user {
            "echo" => Admission::Server,
            user if user.starts_with("BENCH-") => Admission::Device,
            _ => Admission::Refused,
        }
    }

    async fn on_publish(&self, _: Publish<'_>) -> Receipt {
        Receipt::Accepted { deliver: true }
    }
}

/// Messages a second that one acknowledging subscriber gets of as many as the devices can send.
pub(super) async fn broker_only(
    broker: SocketAddr,
    names: &[(String, String)],
    duration: Duration,
) -> Result<f64, Failure> {
    let (received, mut arriving) = mpsc::unbounded_channel();
    let reader = connect(broker, "echo", "any", Some(received)).await?;
    reader.client.subscribe("songhe/v1/+/telemetry", QoS::AtLeastOnce).await?;
    let load = Load::connect(broker, names).await?;
    load.pace(UNPACED);
    // The first second warms up.
    let begin = Instant::now() + Duration::from_secs(1);
    let end = begin + duration;
    let mut count: u64 = 0;
    while let Ok(Some(_)) = tokio::time::timeout(Duration::from_secs(2), arriving.recv()).await {
        let now = Instant::now();
        if now > end {
            break;
        }
        count += u64::from(now > begin);
    }
    drop(load);
    drop(reader);
    Ok(count as f64 / duration.as_secs_f64())
}

/// Messages of one transaction.
const BATCH: usize = 500;

/// Messages a second whose two rows (the observation and the dedupe key) are committed, 500 a transaction, one after the
/// other, through the server's own connection with its own durability; nothing is looked up, decided or decoded.
pub(super) async fn storage_only(db: &Database, duration: Duration) -> Result<f64, Failure> {
    let begin = Instant::now();
    let mut count: usize = 0;
    while begin.elapsed() < duration {
        let first = count;
        db.write(move |tx| {
            let now = tx.now();
            let ids: Vec<i64> = (0..BATCH).map(|_| tx.next_id()).collect();
            let keys: Vec<_> = ids.iter().enumerate().map(|(n, _)| key(first + n, now)).collect();
            let rows: Vec<_> = ids.iter().enumerate().map(|(n, id)| row(first + n, *id, now)).collect();
            insert_rows!(tx.db(), &keys, |values| diesel::insert_into(inbox::table).values(values));
            insert_rows!(tx.db(), &rows, |values| diesel::insert_into(observation::table).values(values));
            Ok::<_, Error>(())
        })
        .await?;
        count += BATCH;
    }
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    db.write(|tx| {
        diesel::delete(inbox::table.filter(inbox::device_id.lt(0))).execute(tx.db())?;
        diesel::delete(observation::table.filter(observation::device_id.lt(0))).execute(tx.db())?;
        Ok(())
    })
    .await?;
    Ok(rate)
}

#[derive(Insertable)]
#[diesel(table_name = inbox, treat_none_as_default_value = false)]
struct Key {
    device_id: i64,
    message_id: String,
    received_at: Moment,
    raw: Option<Vec<u8>>,
}

fn device(n: usize) -> i64 {
    // Of no registered device.
    -1 - i64::try_from(n % BATCH).unwrap_or_default()
}

fn key(n: usize, now: Moment) -> Key {
    Key { device_id: device(n), message_id: format!("1-{n:08}"), received_at: now, raw: None }
}

#[derive(Insertable)]
#[diesel(table_name = observation, treat_none_as_default_value = false)]
struct Row {
    id: i64,
    device_id: i64,
    facility_id: i64,
    kind: &'static str,
    value_micro: Option<i64>,
    unit: Option<&'static str>,
    quality: &'static str,
    historical: bool,
    message_id: String,
    observed_at: Moment,
    received_at: Moment,
}

fn row(n: usize, id: i64, now: Moment) -> Row {
    Row {
        id,
        device_id: device(n),
        facility_id: -1,
        kind: "heart_rate",
        value_micro: Some(72_000_000),
        unit: Some("/min"),
        quality: "good",
        historical: false,
        message_id: format!("1-{n:08}"),
        observed_at: now,
        received_at: now,
    }
}
