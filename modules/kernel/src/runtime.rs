//! Start and end of the background loops: event cursors, timers, effects, the server's number.

use std::collections::HashSet;
use std::time::Duration;

use diesel::prelude::*;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::db::{Database, DatabaseSettings, Db, database_unix_ms};
use crate::error::{Error, Result};
use crate::ids::MAX_SERVER;
use crate::module::Modules;
use crate::schema::server_lease;
use crate::time::SharedClock;
use crate::{effects, events, timers};

/// How long a server number stays taken after the last renewal.
const NUMBER_LEASE_MS: i64 = 300_000;
const NUMBER_RENEWAL: Duration = Duration::from_secs(60);

/// An opened database with a server number of its own.
pub struct Opened {
    pub db: Database,
    pub number: u16,
    /// Names this start of this process in leases.
    pub instance: String,
}

/// Opens the migrated database, takes a server number and settles the event epoch.
pub async fn open(settings: &DatabaseSettings, clock: SharedClock) -> Result<Opened> {
    let instance = hex::encode(rand::random::<[u8; 8]>());
    // The number is needed before the first id can be made, and the pools make ids: taken on a handle of its own.
    let probe = Database::open(settings, clock.clone(), 0)?;
    let me = instance.clone();
    let number = probe.write(move |tx| take_number(tx.db(), &me)).await?;
    drop(probe);
    let db = Database::open(settings, clock, number)?;
    let epoch = db.write(events::settle_epoch).await?;
    db.set_epoch(epoch);
    Ok(Opened { db, number, instance })
}

/// Takes the number that was never taken or was let go longest ago. Ids are made of time and number: a server that starts
/// again after its clock was set back must not make the ids of that hour a second time.
fn take_number(db: &mut Db, instance: &str) -> Result<u16> {
    let now_ms = database_unix_ms(db)?;
    let leases: Vec<(i16, i64)> = server_lease::table
        .order((server_lease::leased_until_ms.asc(), server_lease::number.asc()))
        .select((server_lease::number, server_lease::leased_until_ms))
        .load(db)?;
    let known: HashSet<i16> = leases.iter().map(|(number, _)| *number).collect();
    let unused = (0..=MAX_SERVER.cast_signed()).filter(|number| !known.contains(number)).map(|number| (number, None));
    let free = leases.iter().filter(|(_, until)| *until < now_ms).map(|(number, until)| (*number, Some(*until)));
    let until = now_ms + NUMBER_LEASE_MS;
    for (number, before) in unused.chain(free) {
        if take(db, instance, number, before, until)? {
            return Ok(number.cast_unsigned());
        }
    }
    Err(Error::internal("all server numbers are taken"))
}

/// `before`: until when it was taken, if it ever was. Answers whether nobody else was quicker.
fn take(db: &mut Db, instance: &str, number: i16, before: Option<i64>, until: i64) -> Result<bool> {
    use crate::db::BothExt;
    let taken = match before {
        Some(before) => {
            let free = server_lease::table.find(number).filter(server_lease::leased_until_ms.eq(before));
            diesel::update(free)
                .set((server_lease::instance.eq(instance), server_lease::leased_until_ms.eq(until)))
                .execute(db)?
        }
        None => diesel::insert_into(server_lease::table)
            .values((
                server_lease::number.eq(number),
                server_lease::instance.eq(instance),
                server_lease::leased_until_ms.eq(until),
            ))
            .on_conflict(server_lease::number)
            .do_nothing()
            .both()
            .execute(db)?,
    };
    Ok(taken == 1)
}

async fn renew_number(db: Database, instance: String, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        tokio::select! {
            () = tokio::time::sleep(NUMBER_RENEWAL) => {}
            _ = stop.changed() => {}
        }
        let (me, over) = (instance.clone(), *stop.borrow());
        let renewed = db
            .write(move |tx| {
                let until = database_unix_ms(tx.db())? + if over { 0 } else { NUMBER_LEASE_MS };
                Ok(diesel::update(server_lease::table.filter(server_lease::instance.eq(&me)))
                    .set(server_lease::leased_until_ms.eq(until))
                    .execute(tx.db())?)
            })
            .await;
        match renewed {
            Ok(0) if !over => {
                tracing::error!("another server took this one's number while it was silent: restart this one");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "server number not renewed"),
        }
    }
}

/// The loops of a running server.
pub struct Runtime {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Runtime {
    /// Subscribes the modules and starts the loops.
    pub async fn start(opened: &Opened, modules: Modules) -> Result<Self> {
        let db = &opened.db;
        let (stop, stopped) = watch::channel(false);
        let names: Vec<&'static str> = modules
            .iter()
            .filter(|module| !module.manifest().events_in.is_empty())
            .map(|module| module.manifest().name)
            .collect();
        db.write(move |tx| names.iter().try_for_each(|name| events::subscribe(tx, name))).await?;
        let senders = modules.iter().flat_map(|module| module.effect_senders()).collect();
        let mut tasks = JoinSet::new();
        tasks.spawn(events::run(db.clone(), modules.clone(), stopped.clone()));
        tasks.spawn(timers::run(db.clone(), modules.clone(), stopped.clone()));
        tasks.spawn(effects::run(db.clone(), modules, senders, opened.instance.clone(), stopped.clone()));
        tasks.spawn(renew_number(db.clone(), opened.instance.clone(), stopped));
        Ok(Self { tasks, stop })
    }

    /// Ends the loops; each finishes the transaction it is in.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(2), all).await.is_err() {
            tracing::warn!("background work did not end in time and was cut off; it is in the database");
        }
    }
}
