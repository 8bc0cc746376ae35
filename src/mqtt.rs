//! The embedded broker's gate: who may connect, and what becomes of a message. A device's message is committed before
//! its acknowledgement goes out, so that nothing a device believes delivered can be lost.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use songhe_adapter_core::Outbound;
use songhe_broker::{Admission, Gate, Principal, Publish, Publisher, Receipt, SignIn};
use songhe_devices::outlet::{Carried, Way};
use songhe_devices::{Ingest, Message, gateways, register};
use songhe_kernel::Database;
use songhe_kernel::effects::Sent;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, watch};

/// An account of this process, for commands to devices and for the bench's echo.
#[derive(Clone)]
pub(crate) struct ServerAccount {
    pub(crate) username: String,
    pub(crate) password: String,
}

impl ServerAccount {
    /// New at each start; it never leaves the process.
    pub(crate) fn random() -> Self {
        Self { username: "songhe-server".into(), password: hex::encode(rand::random::<[u8; 16]>()) }
    }
}

/// Largest payload of a device, in bytes. The broker itself lets through what a gateway's inventory needs.
const MAX_DEVICE_PAYLOAD: usize = 64 * 1024;

/// Sign-ins that ask the database at a time: a whole street that comes back leaves connections for pages and calls.
const SIGN_INS_AT_A_TIME: usize = 3;

pub(crate) struct DeviceGate {
    db: Database,
    sign_ins: Semaphore,
    ingest: Arc<Ingest>,
    account: ServerAccount,
    publisher: OnceLock<Publisher>,
}

impl DeviceGate {
    pub(crate) fn new(db: Database, ingest: Arc<Ingest>, account: ServerAccount) -> Arc<Self> {
        Arc::new(Self { db, sign_ins: Semaphore::new(SIGN_INS_AT_A_TIME), ingest, account, publisher: OnceLock::new() })
    }

    /// The way back to devices, known once the broker runs.
    pub(crate) fn answer_by(&self, publisher: Publisher) {
        let _ = self.publisher.set(publisher);
    }

    /// Tells a device that its event is safe: it may stop repeating it.
    fn acknowledge(&self, answer: Outbound) {
        if let Some(publisher) = self.publisher.get().cloned() {
            tokio::spawn(async move { publisher.publish(&answer.topic, answer.payload).await });
        }
    }
}

/// Commands by the embedded broker, to devices that are connected now: one that comes back later must not do what was
/// wanted an hour ago.
pub(crate) struct CommandWay(pub(crate) Publisher);

impl Way for CommandWay {
    fn carry(&self, account: String, topic: String, payload: Vec<u8>) -> Carried {
        let publisher = self.0.clone();
        Box::pin(async move {
            if !publisher.is_connected(&account) {
                return Sent::TryAgain(format!("{account} is not connected"));
            }
            publisher.publish(&topic, payload).await;
            Sent::Delivered
        })
    }
}

/// How often new credentials are looked for without a signal: another server on the same database may have made one.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A sign-in that was under way while its credential was replaced is over by then: the broker waits no longer for it.
const AGAIN_AFTER: Duration = Duration::from_secs(11);
/// How far back is looked, in seconds: beyond the clocks of two servers and what a slow commit takes.
const LOOK_BACK_S: i64 = 60;

/// Closes the connections of devices whose credential is replaced: a stolen one must be worth nothing at once. Ends with
/// the server.
///
/// `known`: what [`made_lately`] told before the broker let anybody in.
pub(crate) async fn let_go_of_old_credentials(
    db: Database,
    publisher: Publisher,
    mut known: HashMap<String, String>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut signals = db.signals();
    loop {
        let named = async {
            loop {
                match signals.recv().await {
                    Ok(signal) if &*signal.topic != register::CREDENTIALS => {}
                    // Overrun: one of the missed ones may have been it.
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = named => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let asked = Instant::now();
        let Some(lately) = made_lately(&db).await else { continue };
        for (serial, _) in lately.iter().filter(|(serial, hash)| known.get(*serial) != Some(*hash)) {
            publisher.disconnect_older(serial, asked).await;
            let (publisher, serial) = (publisher.clone(), serial.clone());
            tokio::spawn(async move {
                tokio::time::sleep(AGAIN_AFTER).await;
                publisher.disconnect_older(&serial, asked).await;
            });
        }
        // What is older than the look back is never seen again.
        known = lately;
    }
}

/// The devices with a new credential and the hash of it; `None` when the database does not answer, and is asked again.
pub(crate) async fn made_lately(db: &Database) -> Option<HashMap<String, String>> {
    let since = db.clock().now().plus_seconds(-LOOK_BACK_S);
    match db.read(move |db| register::secrets_since(db, since)).await {
        Ok(lately) => Some(lately.into_iter().collect()),
        Err(error) => {
            tracing::warn!(%error, "new credentials of devices were not looked for");
            None
        }
    }
}

#[async_trait]
impl Gate for DeviceGate {
    async fn sign_in(&self, who: SignIn<'_>) -> Admission {
        if who.user == self.account.username {
            let same = who.peer.ip().is_loopback() && who.password == self.account.password.as_bytes();
            return if same { Admission::Server } else { Admission::Refused };
        }
        let Ok(_turn) = self.sign_ins.acquire().await else { return Admission::Unavailable };
        let (serial, secret) = (who.user.to_owned(), who.password.to_vec());
        let checked = self.db.read(move |db| {
            let right = register::verify_secret(db, &serial, &secret)?;
            Ok((right, if right { gateways::base_topic_of(db, &serial)? } else { None }))
        });
        match checked.await {
            Ok((true, Some(base_topic))) => Admission::Gateway { base_topic },
            Ok((true, None)) => Admission::Device,
            Ok((false, _)) => Admission::Refused,
            Err(error) => {
                tracing::error!(%error, "a device's credential could not be checked");
                Admission::Unavailable
            }
        }
    }

    async fn on_publish(&self, message: Publish<'_>) -> Receipt {
        if let Principal::Server(_) = message.from {
            return Receipt::Accepted { deliver: true };
        }
        if matches!(message.from, Principal::Device(_)) && message.payload.len() > MAX_DEVICE_PAYLOAD {
            tracing::warn!(device = message.from.name(), bytes = message.payload.len(), "MQTT message too large");
            return Receipt::Retry;
        }
        let inbound = Message {
            source: "embedded",
            topic: message.topic.to_owned(),
            payload: message.payload.to_vec(),
            retained: false,
        };
        match self.ingest.accept_and_answer(inbound).await {
            Ok((_, answer)) => {
                if let Some(answer) = answer {
                    self.acknowledge(answer);
                }
                Receipt::Accepted { deliver: true }
            }
            Err(error) => {
                tracing::error!(%error, "a message could not be stored; its device will repeat it");
                Receipt::Retry
            }
        }
    }
}
