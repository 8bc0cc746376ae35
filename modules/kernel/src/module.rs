//! What a module is to the server: a manifest, routes, and handlers that run inside the kernel's transactions.

use std::sync::Arc;

use crate::db::Tx;
use crate::effects::{Effect, EffectSender, Outcome};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::http::Route;
use crate::identity::Permission;
use crate::schedules::Schedule;
use crate::timers::Timer;
use crate::vault::SealedColumn;

/// A function of the national catalogue that a module provides, in the catalogue's words, and how running data shows it.
#[derive(Debug, Clone, Copy)]
pub struct CatalogueFunction {
    /// 紧急呼叫, 环境监测 …
    pub name: &'static str,
    /// Fluent key of a sentence: what a supervisor finds in the data.
    pub evidence_key: &'static str,
}

/// What a module declares about itself.
#[derive(Debug)]
pub struct Manifest {
    pub name: &'static str,
    /// Fluent key of its title.
    pub title_key: &'static str,
    /// Class of the catalogue, "7.1" …; shared modules have none.
    pub catalogue_class: Option<&'static str>,
    pub functions: &'static [CatalogueFunction],
    pub permissions: &'static [Permission],
    /// Kinds of events it handles; others only move its cursor.
    pub events_in: &'static [&'static str],
    /// Kinds of events it publishes.
    pub events_out: &'static [&'static str],
    pub schedules: &'static [Schedule],
    /// A scenario runs at the facilities that switched it on; a shared module runs everywhere.
    pub scenario: bool,
}

/// A part of Songhe over the kernel: a shared module or a scenario.
pub trait Module: Send + Sync + 'static {
    fn manifest(&self) -> &'static Manifest;

    /// The only way to be reached over HTTP.
    fn routes(&self) -> Vec<Route>;

    /// In the transaction that moves the module's cursor. Runs again after a failure: no I/O inside.
    fn on_event(&self, _tx: &mut Tx<'_>, event: &Event) -> Result<()> {
        Err(Error::Internal(format!("{} does not handle {}", self.manifest().name, event.kind)))
    }

    /// In the transaction that deletes the timer.
    fn on_timer(&self, _tx: &mut Tx<'_>, timer: &Timer) -> Result<()> {
        Err(Error::Internal(format!("{} has no timer {}", self.manifest().name, timer.kind)))
    }

    /// In the transaction that records an effect's outcome.
    fn on_effect(&self, _tx: &mut Tx<'_>, _effect: &Effect, _outcome: &Outcome) -> Result<()> {
        Ok(())
    }

    /// Its sealed columns: converted from releases that had none, indexed anew when the index key changes.
    fn sealed_columns(&self) -> &'static [SealedColumn] {
        &[]
    }

    fn effect_senders(&self) -> Vec<Arc<dyn EffectSender>> {
        Vec::new()
    }
}

/// All modules of this build, in the order of their dependencies.
#[derive(Clone, Default)]
pub struct Modules(Arc<Vec<Arc<dyn Module>>>);

impl Modules {
    pub fn new(all: Vec<Arc<dyn Module>>) -> Self {
        Self(Arc::new(all))
    }

    pub fn get(&self, name: &str) -> Option<&Arc<dyn Module>> {
        self.0.iter().find(|module| module.manifest().name == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Module>> {
        self.0.iter()
    }
}
