//! What stands until an operator decides becomes an incident: a transaction that holds all events back, events and
//! timers that were given up, a disk that fills up, a new certificate that cannot be used, backups that do not succeed.
//! One open incident for each kind and facility; it is told when the condition is over, and
//! a person closes it.

use std::collections::BTreeMap;

use serde_json::json;
use songhe_incidents::{Kind, Priority, Report};
use songhe_kernel::{Database, Db, FacilityId, Moment, Result, Tx};
use songhe_registry as registry;

use super::state::LONG_TRANSACTION_S;
use super::{backup, queries};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    LongTransaction,
    Parked,
    DiskLow,
    DiskShort,
    Certificate,
    Backup,
}

impl Trouble {
    /// As it stands in the incident's cause, which the incident's page says in words.
    const fn name(self) -> &'static str {
        match self {
            Self::LongTransaction => "long_transaction",
            Self::Parked => "parked_work",
            Self::DiskLow => "disk_low",
            Self::DiskShort => "disk_short",
            Self::Certificate => "certificate_refused",
            Self::Backup => "backup_overdue",
        }
    }

    /// Without room calls for help themselves are in danger.
    const fn priority(self) -> Priority {
        match self {
            Self::DiskShort => Priority::Medium,
            Self::LongTransaction | Self::Parked | Self::DiskLow | Self::Certificate | Self::Backup => Priority::Low,
        }
    }
}

/// What is wrong, and where it is told; with its figure (seconds, number of events and timers, hours).
type Troubles = BTreeMap<(FacilityId, Trouble), i64>;

/// What this process has seen and told.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    /// At the look before.
    seen: Troubles,
    told: Troubles,
    /// Hours without a good backup that are too many; `None`: none is expected.
    backup_after_h: Option<i64>,
}

impl Alarm {
    pub(super) fn new(backup_after_h: Option<i64>) -> Self {
        Self { backup_after_h, ..Self::default() }
    }

    /// Looks at the database, and reports what is new and what is over. What could not be reported is tried again at the next look.
    pub(super) async fn look(&mut self, db: &Database) -> Result<()> {
        let (at, after_h) = (db.clock().now(), self.backup_after_h);
        let now = db.read(move |db| troubles(db, at, after_h)).await?;
        self.compare(db, now).await
    }

    /// The same of what this server knows by itself, with its figures.
    pub(super) async fn look_here(&mut self, db: &Database, mut here: Vec<(Trouble, i64)>) -> Result<()> {
        // A disk that has become short is low all the same.
        let low = self.told.keys().any(|(_, told)| *told == Trouble::DiskLow);
        if let Some((_, free_mb)) = here.iter().find(|(trouble, _)| low && *trouble == Trouble::DiskShort).copied() {
            here.push((Trouble::DiskLow, free_mb));
        }
        let first = if here.is_empty() { None } else { db.read(first_facility).await? };
        let now =
            first.map_or_else(Troubles::new, |first| here.into_iter().map(|(one, n)| ((first, one), n)).collect());
        self.compare(db, now).await
    }

    async fn compare(&mut self, db: &Database, now: Troubles) -> Result<()> {
        let seen = std::mem::replace(&mut self.seen, now.clone());
        for (&(facility, trouble), &n) in &now {
            // A long transaction often ends by itself; what was given up stays.
            let stands = trouble != Trouble::LongTransaction || seen.contains_key(&(facility, trouble));
            if stands && !self.told.contains_key(&(facility, trouble)) {
                db.write(move |tx| raise(tx, facility, trouble, n)).await?;
                self.told.insert((facility, trouble), n);
            }
        }
        let over: Vec<_> = self.told.keys().filter(|key| !now.contains_key(key)).copied().collect();
        for (facility, trouble) in over {
            db.write(move |tx| clear(tx, facility, trouble)).await?;
            self.told.remove(&(facility, trouble));
        }
        Ok(())
    }
}

fn troubles(db: &mut Db, now: Moment, backup_after_h: Option<i64>) -> Result<Troubles> {
    let mut all = Troubles::new();
    let parked = queries::parked_by_facility(db)?;
    let transaction_s = queries::oldest_transaction_s(db)?.filter(|age_s| *age_s > LONG_TRANSACTION_S);
    let backup_h = backup::overdue_h(db, now, backup_after_h)?;
    if parked.is_empty() && transaction_s.is_none() && backup_h.is_none() {
        return Ok(all);
    }
    let first = first_facility(db)?;
    for (facility, n) in parked {
        if let Some(facility) = facility.or(first) {
            *all.entry((facility, Trouble::Parked)).or_default() += n;
        }
    }
    for (trouble, figure) in [(Trouble::LongTransaction, transaction_s), (Trouble::Backup, backup_h)] {
        if let (Some(figure), Some(first)) = (figure, first) {
            all.insert((first, trouble), figure);
        }
    }
    Ok(all)
}

/// What belongs to no facility is told at the one that was there first.
fn first_facility(db: &mut Db) -> Result<Option<FacilityId>> {
    Ok(registry::facilities(db)?.iter().map(|facility| facility.id).min())
}

fn raise(tx: &mut Tx<'_>, facility: FacilityId, trouble: Trouble, n: i64) -> Result<()> {
    if let Some(report) = report(tx, facility, trouble, n)? {
        songhe_incidents::report(tx, &report)?;
    }
    Ok(())
}

fn clear(tx: &mut Tx<'_>, facility: FacilityId, trouble: Trouble) -> Result<()> {
    if let Some(report) = report(tx, facility, trouble, 0)? {
        songhe_incidents::report_cleared(tx, &report)?;
    }
    Ok(())
}

/// `None` where there is no such facility any more.
fn report(tx: &mut Tx<'_>, facility: FacilityId, trouble: Trouble, n: i64) -> Result<Option<Report>> {
    let now = tx.now();
    Ok(registry::facility(tx.db(), facility)?.map(|known| Report {
        kind: Kind::System,
        priority: Some(trouble.priority()),
        facility,
        scenario: known.scenario,
        place: None,
        place_label: known.name,
        resident: None,
        device: None,
        discriminator: trouble.name().to_owned(),
        source: "Songhe".to_owned(),
        detail: String::new(),
        cause: json!({ "kind": trouble.name(), "n": n }),
        observed_at: now,
        received_at: now,
    }))
}
