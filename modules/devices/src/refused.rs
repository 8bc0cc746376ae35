//! Messages that the database refuses for good. They go to quarantine and are acknowledged: not acknowledged they would
//! come again for ever, and brokers stop sending while old messages wait. A call for help among them pages all the same.

use std::collections::HashMap;
use std::sync::Arc;

use songhe_adapter_core::Item;
use songhe_kernel::{Database, Error, Result, Tx};

use crate::act::act_on_event;
use crate::ingest::{Accepted, Arrival};
use crate::observations::Earlier;
use crate::quarantine::{self, Reason};
use crate::register::{self, Device};
use crate::sighting::Sighting;
use crate::{inbox, news};

/// Whether it is the database's fault and not the message's: the message has to come again.
pub(crate) fn is_passing(error: &Error) -> bool {
    error.is_transient() || matches!(error, Error::Unavailable(_))
}

/// Keeps a message that was refused with `error`, which is not a passing one.
pub(crate) async fn keep(db: &Database, arrival: Arc<Arrival>, error: Error) -> Result<Accepted> {
    let emergency = arrival.decoded.is_emergency();
    tracing::error!(%error, message_id = arrival.message_id, emergency, "message refused by the database, kept in quarantine");
    let detail = error.to_string();
    let work = move |tx: &mut Tx<'_>| {
        let serial = arrival.decoded.device.as_str();
        quarantine::keep(tx, &arrival.message, Some(serial), Reason::Refused, &detail)?;
        let device = register::by_serials(tx.db(), &[serial])?.pop();
        if emergency && let Some(device) = device.filter(|device| device.adapter == arrival.adapter) {
            call_anyway(tx, &arrival, &device);
        }
        Ok(Accepted::Quarantined)
    };
    if emergency { db.write_emergency(work).await } else { db.write(work).await }
}

/// Pages once if the message can be remembered, else each time that it comes: twice is better than not at all.
fn call_anyway(tx: &mut Tx<'_>, arrival: &Arrival, device: &Device) {
    let once = tx.savepoint(|tx| {
        let id = arrival.message_id.as_str();
        let claim = inbox::Claim {
            device_id: device.id,
            message_id: id.to_owned(),
            received_at: arrival.received_at,
            raw: Some(arrival.message.payload.clone()),
        };
        let mut seen = inbox::claim(tx.db(), &[claim])?;
        let devices = HashMap::from([(device.serial.clone(), Arc::new(device.clone()))]);
        let mut conditions = news::Conditions::look_up(tx.db(), std::slice::from_ref(arrival), &devices)?;
        let Some(items) = news::of(&mut conditions, arrival, device.id, seen.at(device.id, id)) else {
            return Ok(());
        };
        seen.acted(device.id, id, arrival.received_at);
        seen.write(tx.db())?;
        call(tx, arrival, device, &items)
    });
    let all: Vec<&Item> = arrival.decoded.items.iter().collect();
    if let Err(error) = once.or_else(|_| tx.savepoint(|tx| call(tx, arrival, device, &all))) {
        tracing::error!(%error, device = %device.id, "a call for help could not be raised: it is in quarantine only");
    }
}

fn call(tx: &mut Tx<'_>, arrival: &Arrival, device: &Device, items: &[&Item]) -> Result<()> {
    for item in items {
        if let Item::Event { kind, active, .. } | Item::Condition { kind, active, .. } = item {
            let sighting = Sighting::of(arrival, item);
            act_on_event(tx, &Earlier::default(), device, *kind, *active, &sighting)?;
        }
    }
    Ok(())
}
