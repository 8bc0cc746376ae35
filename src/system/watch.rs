//! Keeps the figures that a collector reads (`/metrics`) and tells open pages to look again.

use std::sync::Arc;
use std::time::Duration;

use songhe_kernel::db::room::Level;
use songhe_kernel::{Database, Result};
use tokio::sync::watch;

use super::alarm::{Alarm, Trouble};
use super::floods::Floods;
use super::state::LONG_TRANSACTION_S;
use super::{MODULE, System, Transport, backup, queries};

const EVERY: Duration = Duration::from_secs(10);

impl System {
    /// Looks every ten seconds until told to stop.
    pub(crate) async fn watch_database(self: Arc<Self>, db: Database, mut stop: watch::Receiver<bool>) {
        let mut alarm = Alarm::new(self.facts.warn_after_h());
        let (mut own, mut floods) = (Alarm::default(), Floods::default());
        while !*stop.borrow() {
            if let Err(error) = self.look(&db).await {
                tracing::warn!(%error, "the server's figures could not be read");
            }
            // One of several servers tells it, or an operator would be called twice.
            let speaks = self.facts.peers.get().is_none_or(|peers| peers.view().speaks());
            if speaks && let Err(error) = alarm.look(&db).await {
                tracing::error!(%error, "what an operator has to decide could not be told");
            }
            if let Err(error) = own.look_here(&db, self.troubles_here(&db)).await {
                tracing::error!(%error, "what an operator has to look after could not be told");
            }
            // A device may send what comes at once after a quiet time, and as much again.
            if let Err(error) = floods.look(&db, self.loud(), self.mqtt.message_burst.into()).await {
                tracing::error!(%error, "devices that send too much could not be told");
            }
            db.signal(MODULE);
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                changed = stop.changed() => if changed.is_err() { return },
            }
        }
    }

    /// What this server alone knows.
    fn troubles_here(&self, db: &Database) -> Vec<(Trouble, i64)> {
        let mut all = Vec::new();
        let free_mb = db.room().free_bytes().map_or(-1, |bytes| i64::try_from(bytes >> 20).unwrap_or(i64::MAX));
        match db.room_level() {
            Level::Plenty => {}
            Level::Low => all.push((Trouble::DiskLow, free_mb)),
            Level::Short => all.push((Trouble::DiskShort, free_mb)),
        }
        if self.facts.certificate_refused() {
            all.push((Trouble::Certificate, 0));
        }
        all
    }

    /// Devices and how many of their messages of the last minute or two were too many.
    fn loud(&self) -> Vec<(String, u64)> {
        match self.facts.transport.get() {
            None => Vec::new(),
            Some(Transport::Embedded { publisher, .. }) => {
                let loud = publisher.loud_accounts().into_iter();
                loud.map(|one| (one.account, one.delayed + one.dropped)).collect()
            }
            Some(Transport::External { links }) => links.iter().flat_map(|(_, state)| state.loud()).collect(),
        }
    }

    async fn look(&self, db: &Database) -> Result<()> {
        let now = db.clock().now();
        let figures = db
            .read(move |db| {
                let (kept, parked) = queries::count_kept_events(db)?;
                let cursors = queries::cursors(db)?;
                let behind = cursors.iter().map(|cursor| cursor.behind).max().unwrap_or_default();
                let overdue = queries::timer_kinds(db, now)?.iter().map(|kind| kind.overdue).sum();
                Ok([
                    ("oldest_transaction_s", queries::oldest_transaction_s(db)?.unwrap_or_default()),
                    ("events_behind", i64::try_from(behind).unwrap_or(i64::MAX)),
                    ("events_kept", kept),
                    ("events_parked", parked),
                    ("timers_overdue", overdue),
                    ("timers_parked", queries::count_parked_timers(db)?),
                    ("effects_queued", queries::queued_effects(db)?.0),
                    ("boards_with_sound", queries::boards_with_sound(db, now)?),
                ])
            })
            .await?;
        for (name, value) in figures {
            db.set_gauge(name, value);
            if name == "oldest_transaction_s" && value > LONG_TRANSACTION_S {
                tracing::error!(
                    seconds = value,
                    "a transaction holds all events back: end it, or find out what it waits for"
                );
            }
        }
        backup::count(db).await?;
        self.count_transport(db);
        Ok(())
    }

    fn count_transport(&self, db: &Database) {
        let set = |name, value: u64| db.set_gauge(name, i64::try_from(value).unwrap_or(i64::MAX));
        match self.facts.transport.get() {
            None => {}
            Some(Transport::Embedded { publisher, .. }) => {
                let stats = publisher.stats();
                set("broker_clients", stats.connected as u64);
                set("broker_messages", stats.received);
                // The self-test at start accounts for the first two.
                set("broker_refused_sign_ins", stats.refused_sign_ins.saturating_sub(2));
                set("broker_refused_topics", stats.refused_topics);
                set("broker_withheld", stats.withheld);
                set("broker_lost", stats.lost);
                set("broker_delayed", stats.delayed);
                set("broker_dropped", stats.dropped);
                set("broker_waiting", stats.waiting as u64);
                set("broker_turned_away", stats.turned_away);
            }
            Some(Transport::External { links }) => {
                set("links_connected", links.iter().filter(|(_, state)| state.is_connected()).count() as u64);
                set("links_messages", links.iter().map(|(_, state)| state.received()).sum());
                set("links_left_out", links.iter().map(|(_, state)| state.left_out()).sum());
            }
        }
    }
}
