//! The directory of gateways, as ingest asks for it with each message: kept in memory until somebody changes it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use songhe_adapter_core::Directory;
use songhe_kernel::db::Signal;
use songhe_kernel::{Database, Result};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use crate::gateways;

/// Another server on the same database may have changed it, and its signals may be lost.
const KEPT: Duration = Duration::from_secs(10);

pub(crate) struct Whereabouts {
    db: Database,
    kept: Mutex<Kept>,
}

struct Kept {
    directory: Option<(Arc<Directory>, Instant)>,
    signals: Receiver<Signal>,
}

impl Kept {
    /// What is kept, unless something changed since. Signals come after the commit and before its answer, so that
    /// whoever was told of a change finds it.
    fn current(&mut self) -> Option<Arc<Directory>> {
        loop {
            match self.signals.try_recv() {
                Ok(signal) if &*signal.topic != gateways::TOPIC && !signal.is_gap() => {}
                Ok(_) | Err(TryRecvError::Lagged(_)) => self.directory = None,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        self.directory.as_ref().filter(|(_, since)| since.elapsed() < KEPT).map(|(directory, _)| directory.clone())
    }
}

impl Whereabouts {
    pub(crate) fn new(db: Database) -> Self {
        let signals = db.signals();
        Self { db, kept: Mutex::new(Kept { directory: None, signals }) }
    }

    pub(crate) async fn directory(&self) -> Result<Arc<Directory>> {
        if let Some(directory) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).current() {
            return Ok(directory);
        }
        let since = Instant::now();
        let directory = Arc::new(self.db.read(gateways::directory).await?);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).directory = Some((directory.clone(), since));
        Ok(directory)
    }

    /// It is read anew when it is asked for next.
    pub(crate) fn forget(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).directory = None;
    }
}
