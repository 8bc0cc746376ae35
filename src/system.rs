//! The state of the running server, for whoever keeps it: queues, timers, events, effects, adapters, broker. And its
//! housekeeping: what has had its time is removed.
//!
//! It must never know a scenario, and never show what lies outside the reader's facilities.

mod alarm;
mod backup;
mod floods;
mod purge;
mod queries;
mod servers;
mod state;
mod transport;
mod watch;
mod words;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use actix_web::HttpResponse;
use songhe_devices::link::{Lane, LinkState};
use songhe_kernel::http::{Access, ApiDoc, Ctx, Menu, Route, Section};
use songhe_kernel::identity::{Permission, Role, Scope};
use songhe_kernel::schedules::Schedule;
use songhe_kernel::servers::Peers;
use songhe_kernel::{
    AuditEntry, EffectId, Error, FacilityId, Manifest, Module, Result, Timer, Tx, define_id, effects, events, timers,
};

use self::state::State;
use crate::backup::Place;
use crate::backup::routine::Routine;
use crate::brokers::emqx;
use crate::certificates::Certificates;
use crate::config::{Config, Mqtt, MqttMode};

/// The module's name in timers and signals; also the topic that its page follows.
const MODULE: &str = "system";
const READ: &str = "system.read";
const OPERATE: &str = "system.operate";

const PURGE: &str = "purge";
/// For how long an effect that is sent again stays worth sending, in seconds.
const REPLAY_VALID_S: i64 = 3_600;

define_id!(
    /// An event that a module could not handle and that waits for another attempt.
    RetryId, "rty"
);

static MANIFEST: Manifest = Manifest {
    name: MODULE,
    title_key: "kernel-system",
    catalogue_class: None,
    functions: &[],
    permissions: &[
        Permission { name: READ, roles: &[Role::SystemAdmin, Role::FacilityAdmin] },
        Permission { name: OPERATE, roles: &[Role::SystemAdmin] },
    ],
    events_in: &[],
    events_out: &[],
    schedules: &[Schedule { name: PURGE, cron: "0 17 * * * *", per_facility: false }],
    scenario: false,
};

/// The way by which device messages come.
enum Transport {
    Embedded { publisher: songhe_broker::Publisher, address: SocketAddr, tls: Option<SocketAddr> },
    External { links: Vec<(Lane, Arc<LinkState>)> },
}

/// What is known outside the database.
struct Facts {
    mode: MqttMode,
    /// The external broker's address, as configured.
    external: String,
    started: Instant,
    /// Empty without a broker, and until it runs.
    transport: OnceLock<Transport>,
    /// Empty on SQLite.
    peers: OnceLock<Arc<Peers>>,
    certificates: OnceLock<Arc<Certificates>>,
    /// Of backups by the clock.
    routine: Option<Routine>,
    warn_after_h: i64,
}

impl Facts {
    /// After so many hours without a good backup somebody is told; `None` where none is expected.
    fn warn_after_h(&self) -> Option<i64> {
        self.routine.as_ref().map(|_| self.warn_after_h)
    }

    fn certificate_refused(&self) -> bool {
        self.certificates.get().is_some_and(|certificates| certificates.is_refused())
    }
}

/// The module "system".
pub(crate) struct System {
    facts: Arc<Facts>,
    /// Of which an external broker's questions are answered.
    mqtt: Mqtt,
}

impl System {
    pub(crate) fn new(config: &Config) -> Arc<Self> {
        let facts = Facts {
            mode: config.mqtt.mode,
            external: format!("{}:{}", config.mqtt.host, config.mqtt.port),
            started: Instant::now(),
            transport: OnceLock::new(),
            peers: OnceLock::new(),
            certificates: OnceLock::new(),
            routine: routine(config),
            warn_after_h: config.backup.warn_after_hours,
        };
        Arc::new(Self { facts: Arc::new(facts), mqtt: config.mqtt.clone() })
    }

    /// Shows the figures of the embedded broker, known once it runs. The first call counts.
    pub(crate) fn watch_broker(&self, broker: &songhe_broker::Broker) {
        let (publisher, address, tls) = (broker.publisher(), broker.local_addr(), broker.tls_addr());
        let _ = self.facts.transport.set(Transport::Embedded { publisher, address, tls });
    }

    /// Shows the servers on this database. The first call counts.
    pub(crate) fn watch_peers(&self, peers: Arc<Peers>) {
        let _ = self.facts.peers.set(peers);
    }

    /// Tells when a new certificate was refused. The first call counts.
    pub(crate) fn watch_certificates(&self, certificates: Arc<Certificates>) {
        let _ = self.facts.certificates.set(certificates);
    }

    /// Backups by the clock, if the configuration wants them.
    pub(crate) fn routine(&self) -> Option<Routine> {
        self.facts.routine.clone()
    }

    /// Shows the connections to an external broker. The first call counts.
    pub(crate) fn watch_links(&self, links: Vec<(Lane, Arc<LinkState>)>) {
        let _ = self.facts.transport.set(Transport::External { links });
    }
}

fn routine(config: &Config) -> Option<Routine> {
    Some(Routine {
        place: Place::of(&config.database.url),
        folder: config.backup.directory.clone()?,
        key: config.backup.key()?,
        cron: config.backup.schedule.clone(),
        zone: config.zone().ok()?,
        keep_days: config.backup.keep_days,
        keep_weeks: config.backup.keep_weeks,
        tools: config.backup.postgres_tools.clone(),
    })
}

impl Module for System {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn routes(&self) -> Vec<Route> {
        let (read, operate) = (Access::Permission(READ), Access::Permission(OPERATE));
        let menu = Menu { key: "kernel-system", icon: "gauge", section: Section::Manage, order: 90 };
        let (for_page, for_api) = (self.facts.clone(), self.facts.clone());
        let mut routes = emqx::routes(&self.mqtt);
        routes.extend([
            Route::get("/system", read, move |ctx| page(for_page.clone(), ctx)).menu(menu),
            Route::get("/api/v1/system", read, move |ctx| show(for_api.clone(), ctx)).doc(
                ApiDoc::new("State of the server")
                    .description(
                        "Queues, timers, event cursors, effects, retries, adapters and broker as they are now.",
                    )
                    .returns::<State>(),
            ),
            Route::post("/api/v1/system/effects/{id}/replay", operate, replay)
                .doc(ApiDoc::new("Send an effect again").description(
                    "One that failed or expired. It stays valid for another hour; its id stays the same.",
                )),
            Route::post("/system/effects/release", operate, release_by_page),
            Route::post("/api/v1/system/effects/release", operate, release).doc(
                ApiDoc::new("Let a restored copy speak").description(
                    "Sends the effects that were held back since the restore; those that have lost their meaning are \
                     reported as expired. 409: nothing is held.",
                ),
            ),
            Route::post("/api/v1/system/retries/{id}/unpark", operate, unpark_event).doc(
                ApiDoc::new("Try a parked event again")
                    .description("Gives the event its attempts back; what waits behind it follows."),
            ),
            Route::post("/api/v1/system/timers/{key}/unpark", operate, unpark_timer).doc(
                ApiDoc::new("Try a parked timer again")
                    .description("Gives the timer its attempts back; it fires at once."),
            ),
        ]);
        routes
    }

    fn on_timer(&self, tx: &mut Tx<'_>, timer: &Timer) -> Result<()> {
        match timer.kind.as_str() {
            PURGE | purge::ON => purge::slice(tx),
            other => Err(Error::Internal(format!("{MODULE} has no timer {other}"))),
        }
    }
}

async fn page(facts: Arc<Facts>, ctx: Ctx) -> Result<HttpResponse> {
    let state = State::gather(&facts, &ctx).await?;
    ctx.page("kernel/system", &words::page(&ctx, state))
}

async fn show(facts: Arc<Facts>, ctx: Ctx) -> Result<HttpResponse> {
    ctx.json_ok(&State::gather(&facts, &ctx).await?)
}

/// What belongs to no facility is for those only who keep the whole system.
fn reaches(scope: &Scope, facility: Option<FacilityId>) -> bool {
    match facility {
        Some(facility) => scope.contains(facility),
        None => *scope == Scope::All,
    }
}

/// # Errors
/// `NotFound` for what is not there and for what lies outside the scope.
fn within(scope: &Scope, found: Option<Option<FacilityId>>) -> Result<()> {
    if found.is_some_and(|facility| reaches(scope, facility)) { Ok(()) } else { Err(Error::NotFound) }
}

async fn replay(ctx: Ctx) -> Result<HttpResponse> {
    let (id, scope) = (ctx.id::<EffectId>("id")?, ctx.caller().facilities(OPERATE).clone());
    ctx.once(move |tx| {
        within(&scope, queries::facility_of_effect(tx.db(), id)?)?;
        effects::replay(tx, id, REPLAY_VALID_S)?;
        tx.audit(AuditEntry::new("effect.replay", id))?;
        tx.signal(MODULE);
        Ok(())
    })
    .await?;
    tracing::info!(effect = %id, by = %ctx.caller().user_id, "effect sent again by hand");
    ctx.app().db.wakes().effects.notify_one();
    ctx.no_content()
}

async fn let_go(ctx: &Ctx) -> Result<()> {
    ctx.once(move |tx| {
        effects::release(tx).map_err(|error| match error {
            Error::NotFound => Error::conflict("error-not-held"),
            other => other,
        })?;
        tx.signal(MODULE);
        Ok(())
    })
    .await?;
    tracing::info!(by = %ctx.caller().user_id, "a restored copy was released by hand");
    Ok(())
}

async fn release(ctx: Ctx) -> Result<HttpResponse> {
    let_go(&ctx).await?;
    ctx.no_content()
}

async fn release_by_page(ctx: Ctx) -> Result<HttpResponse> {
    let_go(&ctx).await?;
    ctx.redirect("/system")
}

async fn unpark_event(ctx: Ctx) -> Result<HttpResponse> {
    let (id, scope) = (ctx.id::<RetryId>("id")?, ctx.caller().facilities(OPERATE).clone());
    ctx.once(move |tx| {
        within(&scope, queries::facility_of_retry(tx.db(), id)?)?;
        events::unpark(tx, id.0)?;
        tx.audit(AuditEntry::new("event.unpark", id))?;
        tx.signal(MODULE);
        Ok(())
    })
    .await?;
    tracing::info!(retry = %id, by = %ctx.caller().user_id, "event unparked by hand");
    ctx.app().db.wakes().events.notify_one();
    ctx.no_content()
}

async fn unpark_timer(ctx: Ctx) -> Result<HttpResponse> {
    let (key, scope) = (ctx.param("key").to_owned(), ctx.caller().facilities(OPERATE).clone());
    let wanted = key.clone();
    ctx.once(move |tx| {
        within(&scope, queries::facility_of_parked_timer(tx.db(), &wanted)?)?;
        timers::unpark(tx, &wanted)?;
        tx.audit(AuditEntry::new("timer.unpark", &wanted))?;
        tx.signal(MODULE);
        Ok(())
    })
    .await?;
    tracing::info!(timer = key, by = %ctx.caller().user_id, "timer unparked by hand");
    ctx.app().db.wakes().timers.notify_one();
    ctx.no_content()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_no_facility_is_for_keepers_of_the_whole_system() {
        let mine = Scope::Only(vec![FacilityId(7)]);
        assert!(within(&mine, Some(Some(FacilityId(7)))).is_ok());
        assert!(within(&mine, Some(Some(FacilityId(8)))).is_err());
        assert!(within(&mine, Some(None)).is_err());
        assert!(within(&Scope::All, Some(None)).is_ok());
        assert!(within(&Scope::All, None).is_err());
    }
}
