//! The way of commands to devices: an effect carries each to whichever broker the server uses.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use songhe_kernel::effects::{Effect, EffectSender, SendFuture, Sent};

/// Kind of the effects that carry commands.
pub(crate) const KIND: &str = "device-command";

pub type Carried = Pin<Box<dyn Future<Output = Sent> + Send>>;

/// Takes a message to a device's topic.
pub trait Way: Send + Sync + 'static {
    /// `account`: whose connection it goes to, the device's or its gateway's.
    fn carry(&self, account: String, topic: String, payload: Vec<u8>) -> Carried;
}

/// Where commands leave. Empty until the broker runs.
#[derive(Clone, Default)]
pub struct Outlet(Arc<OnceLock<Arc<dyn Way>>>);

impl Outlet {
    /// From now on commands go this way; a second way is not taken.
    pub fn open(&self, way: Arc<dyn Way>) {
        let _ = self.0.set(way);
    }
}

/// What an effect's payload is.
#[derive(serde::Serialize, Deserialize)]
pub(crate) struct Parcel {
    pub(crate) account: String,
    pub(crate) topic: String,
    /// Commands are JSON: text.
    pub(crate) body: String,
}

pub(crate) struct CommandSender(pub(crate) Outlet);

impl EffectSender for CommandSender {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn send(&self, effect: Effect) -> SendFuture {
        let way = self.0.0.get().cloned();
        Box::pin(async move {
            let parcel: Parcel = match serde_json::from_str(&effect.payload) {
                Ok(parcel) => parcel,
                Err(error) => return Sent::Refused(error.to_string()),
            };
            match way {
                Some(way) => way.carry(parcel.account, parcel.topic, parcel.body.into_bytes()).await,
                None => Sent::TryAgain("no broker".to_owned()),
            }
        })
    }
}
