//! The embedded broker's gate: who may connect, and what becomes of a message. A device's message is committed before
//! its acknowledgement goes out, so that nothing a device believes delivered can be lost.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use songhe_broker::{Admission, Gate, Principal, Publish, Publisher, Receipt, SignIn};
use songhe_devices::{Ingest, Message, register};
use songhe_kernel::Database;

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

pub(crate) struct DeviceGate {
    db: Database,
    ingest: Arc<Ingest>,
    account: ServerAccount,
    publisher: OnceLock<Publisher>,
}

impl DeviceGate {
    pub(crate) fn new(db: Database, ingest: Arc<Ingest>, account: ServerAccount) -> Arc<Self> {
        Arc::new(Self { db, ingest, account, publisher: OnceLock::new() })
    }

    /// The way back to devices, known once the broker runs.
    pub(crate) fn answer_by(&self, publisher: Publisher) {
        let _ = self.publisher.set(publisher);
    }

    /// Tells a device that its event is safe: it may stop repeating it.
    fn acknowledge(&self, topic: &str, payload: &[u8]) {
        let answer = self.ingest.acknowledgement(topic, payload);
        if let (Some(answer), Some(publisher)) = (answer, self.publisher.get().cloned()) {
            tokio::spawn(async move { publisher.publish(&answer.topic, answer.payload).await });
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
        let (serial, secret) = (who.user.to_owned(), who.password.to_vec());
        match self.db.read(move |db| register::verify_secret(db, &serial, &secret)).await {
            Ok(true) => Admission::Device,
            Ok(false) => Admission::Refused,
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
        let inbound = Message {
            source: "embedded",
            topic: message.topic.to_owned(),
            payload: message.payload.to_vec(),
            retained: false,
        };
        match self.ingest.accept(inbound).await {
            Ok(_) => {
                self.acknowledge(message.topic, message.payload);
                Receipt::Accepted { deliver: true }
            }
            Err(error) => {
                tracing::error!(%error, "a message could not be stored; its device will repeat it");
                Receipt::Retry
            }
        }
    }
}
