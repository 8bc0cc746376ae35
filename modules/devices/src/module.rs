//! The device register as a module of the server.

use std::sync::Arc;

use songhe_adapter_core::{DeviceAdapter, DeviceKey, Standing};
use songhe_kernel::effects::{Effect, EffectSender, Outcome};
use songhe_kernel::http::Route;
use songhe_kernel::identity::{Permission, Role};
use songhe_kernel::schedules::Schedule;
use songhe_kernel::{Error, Manifest, Module, NewTimer, Result, Text, Timer, Tx};

use crate::outlet::{CommandSender, Outlet};
use crate::register::Device;
use crate::{MODULE, api, commands, device_tests, faults, inbox, pages, register, rules};

pub const DEVICES_READ: &str = "devices.read";
pub const DEVICES_WRITE: &str = "devices.write";
/// Start tests of devices, end them, say that one was a call.
pub const DEVICES_TEST: &str = "devices.test";
/// Lamp, siren, locate; settings additionally need [`DEVICES_WRITE`].
pub const DEVICES_COMMAND: &str = "devices.command";
pub const OBSERVATIONS_READ: &str = "observations.read";
pub const QUARANTINE_READ: &str = "quarantine.read";
pub const RULES_READ: &str = "rules.read";
pub const RULES_WRITE: &str = "rules.write";

const ADMINS: &[Role] = &[Role::SystemAdmin, Role::FacilityAdmin];
const NURSES: &[Role] = &[Role::SystemAdmin, Role::FacilityAdmin, Role::Nurse];
/// Whoever may see what residents do and measure.
const CARE: &[Role] = &[Role::SystemAdmin, Role::FacilityAdmin, Role::Nurse, Role::Carer];
/// Supervision sees which devices there are and whether they work, not what they measure.
const HOUSE: &[Role] = &[Role::SystemAdmin, Role::FacilityAdmin, Role::Nurse, Role::Carer, Role::Supervisor];

const PURGE: &str = "purge-inbox";
/// The next slice of a purge that has not come to its end.
const PURGE_ON: &str = "purge-inbox-on";
const PURGE_KEY: &str = "devices:purge-inbox";
/// How long a message can come again and be recognised, in days. Emergencies are recognised for ever.
const REMEMBERED_DAYS: i64 = 30;
/// Rows of one transaction.
const SLICE: usize = 5_000;

static MANIFEST: Manifest = Manifest {
    name: MODULE,
    title_key: "devices-devices",
    catalogue_class: None,
    functions: &[],
    permissions: &[
        Permission { name: DEVICES_READ, roles: HOUSE },
        Permission { name: DEVICES_WRITE, roles: ADMINS },
        Permission { name: DEVICES_TEST, roles: CARE },
        Permission { name: DEVICES_COMMAND, roles: NURSES },
        Permission { name: OBSERVATIONS_READ, roles: CARE },
        Permission { name: QUARANTINE_READ, roles: ADMINS },
        Permission { name: RULES_READ, roles: NURSES },
        Permission { name: RULES_WRITE, roles: NURSES },
    ],
    events_in: &[],
    events_out: &[
        "devices.device.registered",
        "devices.device.bound",
        "devices.device.credential",
        "devices.device.call_actions",
        "devices.device.status",
        "devices.device.heartbeat",
        "devices.device.lent",
        "devices.device.returned",
        "devices.device.tested",
    ],
    schedules: &[
        Schedule { name: PURGE, cron: "0 20 3 * * *", per_facility: false },
        Schedule { name: faults::ANCHOR, cron: "0 */5 * * * *", per_facility: false },
        Schedule { name: faults::BATTERIES, cron: "30 */10 * * * *", per_facility: false },
    ],
    scenario: false,
};

/// What the handlers share.
pub(crate) struct Setup {
    pub(crate) adapters: Vec<Arc<dyn DeviceAdapter>>,
    /// Shown with a credential: `mqtt://songhe.example:1883`.
    pub(crate) broker_url: String,
}

impl Setup {
    pub(crate) fn adapter_names(&self) -> Vec<&'static str> {
        self.adapters.iter().map(|adapter| adapter.manifest().name).collect()
    }

    /// Whether a device comes through a gateway and has no credential.
    pub(crate) fn is_member(&self, device: &Device) -> bool {
        let key = DeviceKey::new(&device.serial).ok();
        let standing = self.adapter(&device.adapter).zip(key).map(|(adapter, key)| adapter.standing(&key));
        standing == Some(Standing::Member)
    }

    /// # Errors
    /// `Invalid` for a device that comes through a gateway.
    pub(crate) fn expect_credential(&self, device: &Device) -> Result<()> {
        if self.is_member(device) {
            return Err(Error::field("serial", Text::key("devices-error-member-credential")));
        }
        Ok(())
    }

    pub(crate) fn adapter(&self, name: &str) -> Option<&Arc<dyn DeviceAdapter>> {
        self.adapters.iter().find(|adapter| adapter.manifest().name == name)
    }
}

/// Register, ingest, observations and rules, with their pages and API.
#[derive(Clone)]
pub struct Devices {
    setup: Arc<Setup>,
    outlet: Outlet,
}

impl Devices {
    /// `broker_url` is what devices connect to, as people are to type it: `mqtt://songhe.example:1883`.
    pub fn new(adapters: Vec<Arc<dyn DeviceAdapter>>, broker_url: impl Into<String>) -> Self {
        Self { setup: Arc::new(Setup { adapters, broker_url: broker_url.into() }), outlet: Outlet::default() }
    }

    /// Commands leave here.
    #[must_use]
    pub fn with_outlet(self, outlet: Outlet) -> Self {
        Self { outlet, ..self }
    }
}

impl Module for Devices {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn routes(&self) -> Vec<Route> {
        let mut routes = pages::routes(&self.setup);
        routes.extend(api::routes(&self.setup));
        routes
    }

    fn on_timer(&self, tx: &mut Tx<'_>, timer: &Timer) -> Result<()> {
        match timer.kind.as_str() {
            rules::TIMER => rules::on_timer(tx, timer),
            device_tests::TIMER => device_tests::on_timer(tx, timer),
            PURGE | PURGE_ON => purge(tx),
            faults::TIMER => faults::on_timer(tx),
            faults::ANCHOR => faults::anchor(tx),
            faults::BATTERIES => faults::look_for_low_batteries(tx),
            commands::TIMER => commands::on_timer(tx, timer),
            register::OVERLAP_TIMER => register::on_overlap_over(tx, timer),
            other => Err(Error::Internal(format!("{MODULE} has no timer {other}"))),
        }
    }

    fn on_effect(&self, tx: &mut Tx<'_>, effect: &Effect, outcome: &Outcome) -> Result<()> {
        commands::on_effect(tx, effect, outcome)
    }

    fn effect_senders(&self) -> Vec<Arc<dyn EffectSender>> {
        vec![Arc::new(CommandSender(self.outlet.clone()))]
    }
}

/// One slice; arms itself again while more remain, so that nobody waits long for the database.
fn purge(tx: &mut Tx<'_>) -> Result<()> {
    let before = tx.now().plus_seconds(-REMEMBERED_DAYS * 86_400);
    if inbox::purge(tx.db(), before, SLICE)? < SLICE {
        return Ok(());
    }
    let due_at = tx.now().plus_seconds(1);
    tx.set_timer(NewTimer {
        key: PURGE_KEY.to_owned(),
        module: MODULE,
        kind: PURGE_ON,
        facility: None,
        data: serde_json::json!({}),
        due_at,
    })
}
