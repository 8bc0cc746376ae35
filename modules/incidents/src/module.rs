//! The module as the server sees it.

use std::sync::Arc;

use serde::Deserialize;
use songhe_kernel::db::Kind;
use songhe_kernel::effects::{Effect, EffectSender, Outcome};
use songhe_kernel::http::{Route, StreamId, StreamListener};
use songhe_kernel::identity::{Permission, Role};
use songhe_kernel::schedules::Schedule;
use songhe_kernel::{Database, Error, Manifest, Module, Result, Timer, Tx, UserId};
use tokio::runtime::Handle;

use crate::mail::MailSettings;
use crate::model::IncidentId;
use crate::sender::Sender;
use crate::{MODULE, api, climb, gaps_check, pages, presence, story};

/// Board, history, incidents.
pub const INCIDENTS_READ: &str = "incidents.read";
/// Who may read incidents, where the role is held.
pub(crate) const READERS: &[Role] =
    &[Role::FacilityAdmin, Role::Nurse, Role::Carer, Role::Supervisor, Role::SystemAdmin];
/// Acknowledge, arrive, resolve, note.
pub const INCIDENTS_ACT: &str = "incidents.act";
/// Review how one was handled.
pub const INCIDENTS_REVIEW: &str = "incidents.review";
/// Figures of months, and the incidents behind them.
pub const REPORTS_READ: &str = "reports.read";
/// What a facility means to reach.
pub const REPORTS_WRITE: &str = "reports.write";
/// Ladders, endpoints and the words of messages.
pub const LADDERS_READ: &str = "ladders.read";
pub const LADDERS_WRITE: &str = "ladders.write";

/// Schedule: would every ladder for emergencies reach somebody in the coming week?
const COVERAGE: &str = "coverage";

static MANIFEST: Manifest = Manifest {
    name: MODULE,
    title_key: "incidents-title",
    catalogue_class: None,
    functions: &[],
    permissions: &[
        Permission { name: INCIDENTS_READ, roles: READERS },
        Permission { name: INCIDENTS_ACT, roles: &[Role::Nurse, Role::Carer, Role::FacilityAdmin] },
        Permission { name: INCIDENTS_REVIEW, roles: &[Role::FacilityAdmin, Role::Supervisor] },
        Permission {
            name: REPORTS_READ,
            roles: &[Role::FacilityAdmin, Role::Nurse, Role::Supervisor, Role::SystemAdmin],
        },
        Permission { name: REPORTS_WRITE, roles: &[Role::FacilityAdmin, Role::SystemAdmin] },
        Permission { name: LADDERS_READ, roles: &[Role::FacilityAdmin, Role::SystemAdmin] },
        Permission { name: LADDERS_WRITE, roles: &[Role::FacilityAdmin, Role::SystemAdmin] },
    ],
    events_in: &[],
    events_out: story::EVENTS,
    schedules: &[Schedule { name: COVERAGE, cron: "0 0 8 * * *", per_facility: true }],
    scenario: false,
};

/// The module, with what it keeps while the server runs.
pub struct Incidents {
    sender: Arc<Sender>,
}

impl Incidents {
    /// # Errors
    /// `Internal` when no TLS client can be made.
    pub fn new(db: Database) -> Result<Self> {
        Ok(Self { sender: Sender::new(db, None)? })
    }

    /// The same, with a server that takes e-mail.
    ///
    /// # Errors
    /// `Internal` when the settings name no host or no sender that could be one.
    pub fn with_mail(db: Database, mail: Option<&MailSettings>) -> Result<Self> {
        Ok(Self { sender: Sender::new(db, mail)? })
    }
}

impl Module for Incidents {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn routes(&self) -> Vec<Route> {
        let mut all = pages::routes();
        all.extend(api::routes());
        all
    }

    fn on_timer(&self, tx: &mut Tx<'_>, timer: &Timer) -> Result<()> {
        #[derive(Deserialize)]
        struct Of {
            incident: IncidentId,
        }
        match (timer.kind.as_str(), timer.facility_id) {
            (climb::TIMER, _) => climb::on_timer(tx, timer.data::<Of>()?.incident, timer.due_at),
            (COVERAGE, Some(facility)) => gaps_check::look_ahead(tx, facility),
            _ => Err(Error::Internal(format!("{MODULE} has no timer {}", timer.kind))),
        }
    }

    fn on_effect(&self, tx: &mut Tx<'_>, effect: &Effect, outcome: &Outcome) -> Result<()> {
        climb::on_effect(tx, effect, outcome)
    }

    fn effect_senders(&self) -> Vec<Arc<dyn EffectSender>> {
        vec![self.sender.clone()]
    }
}

/// Knows which boards are open: told by the server's page streams, registered with [`songhe_kernel::http::Live::listen`].
/// A board says itself whether it can be heard; here it is forgotten as soon as its stream ends.
pub struct Boards {
    db: Database,
    runtime: Handle,
}

impl Boards {
    /// Forgets all boards of the time before: each says so itself within ten seconds. Not on PostgreSQL, where the boards
    /// of other servers are known too; there those of the time before go stale by themselves. Called within the runtime.
    pub async fn start(db: Database) -> Result<Arc<Self>> {
        if db.kind() == Kind::Sqlite {
            db.write(presence::forget_all).await?;
        }
        Ok(Arc::new(Self { db, runtime: Handle::current() }))
    }
}

impl StreamListener for Boards {
    fn opened(&self, _: &StreamId, _: UserId) {
        // Whether it can be heard is said by the board alone.
    }

    fn closed(&self, stream: &StreamId) {
        let (db, stream) = (self.db.clone(), stream.0.clone());
        self.runtime.spawn(async move {
            if let Err(error) = db.write(move |tx| presence::gone(tx, &stream)).await {
                // It counts as gone after 25 seconds of silence anyway.
                tracing::warn!(%error, "a closed board was not forgotten at once");
            }
        });
    }
}
