//! When the disk has no room, readings are judged and not kept: limits still call people, the latest state and when a
//! device was heard still stand, and the message is acknowledged, since a device that has to repeat its readings could not
//! call for help meanwhile. What is left out of the history is counted; the operator is told by an incident. Calls for
//! help, whatever else happens or changes, and what people do are written as ever.

use std::sync::Arc;

use songhe_adapter_core::{Decoded, Item};
use songhe_kernel::{Database, Result};

use crate::batch::store_all;
use crate::ingest::{Accepted, Arrival};

/// The figure of messages since the start whose readings were judged and not kept.
pub const NOT_KEPT: &str = "messages_not_kept";

/// Whether a message tells nothing that happened: readings, and facts about the device itself.
pub(crate) fn tells_readings_alone(decoded: &Decoded) -> bool {
    decoded.settings.is_empty() && decoded.items.iter().all(|item| matches!(item, Item::Reading(_) | Item::State(_)))
}

/// A batch for which there was no room, without what can be spared of it.
pub(crate) async fn store(db: &Database, batch: &[Arrival]) -> Result<Vec<Accepted>> {
    let spared =
        batch.iter().cloned().map(|arrival| Arrival { spared: tells_readings_alone(&arrival.decoded), ..arrival });
    let batch: Arc<Vec<Arrival>> = Arc::new(spared.collect());
    db.write(move |tx| {
        let (results, newest) = store_all(tx, &batch)?;
        newest.write(tx.db())?;
        Ok(results)
    })
    .await
}
