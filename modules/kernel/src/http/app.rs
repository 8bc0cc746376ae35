//! What all requests share.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use chrono_tz::Tz;
use parking_lot::RwLock;
use serde::Serialize;
use tokio::sync::watch;

use super::{HomePart, Live, Route, RouteTable, openapi, system};
use crate::audit::Reads;
use crate::db::Database;
use crate::error::{Error, Result};
use crate::identity::{self, PasswordRules, Permissions, SignIn};
use crate::metrics::{Metrics, Readiness};
use crate::module::Modules;
use crate::pages::Pages;
use crate::time::{DEFAULT_ZONE, SharedClock};

/// An account that the sign-in page of `songhe demo` offers.
#[derive(Debug, Clone, Serialize)]
pub struct DemoAccount {
    pub username: String,
    pub password: String,
    /// The role's stored name, `nurse`.
    pub role: String,
}

/// How the server is reached.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The address users type, without a slash at its end: `https://songhe.example`. `None`: whatever they typed.
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Who brings this as a bearer token may read /metrics from anywhere; without it loopback only.
    pub metrics_token: Option<String>,
    /// The zone in which pages show times unless their facility says otherwise.
    pub zone: Tz,
    /// Shown on the sign-in page. Empty in production.
    pub demo_accounts: Vec<DemoAccount>,
    /// What is asked of passwords that people choose.
    pub passwords: PasswordRules,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            public_url: None,
            trusted_proxies: Vec::new(),
            metrics_token: None,
            zone: DEFAULT_ZONE,
            demo_accounts: Vec::new(),
            passwords: PasswordRules::default(),
        }
    }
}

/// What an [`App`] is assembled from.
pub struct Parts {
    pub db: Database,
    pub modules: Modules,
    pub settings: HttpSettings,
    /// Turns true when the server stops: open streams end.
    pub shutdown: watch::Receiver<bool>,
}

/// The assembled server, as handlers see it.
pub struct App {
    pub db: Database,
    pub clock: SharedClock,
    pub live: Live,
    pub pages: Pages,
    pub metrics: Metrics,
    pub readiness: Readiness,
    pub settings: HttpSettings,
    pub permissions: Arc<Permissions>,
    pub sign_in: SignIn,
    pub modules: Modules,
    pub(super) reads: Reads,
    routes: RouteTable,
    openapi: String,
    shutdown: watch::Receiver<bool>,
    home_parts: RwLock<Vec<Arc<dyn HomePart>>>,
    extensions: RwLock<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl App {
    /// Collects routes and permissions of all modules and loads the pages.
    ///
    /// # Errors
    /// `Internal`, with a sentence that names the culprit: see [`RouteTable::build`], [`Permissions::collect`],
    /// [`Pages::load`].
    pub fn assemble(parts: Parts) -> Result<Arc<Self>> {
        let declared = parts.modules.iter().flat_map(|module| module.manifest().permissions.iter().copied());
        let permissions = Arc::new(Permissions::collect(identity::PERMISSIONS.into_iter().chain(declared))?);
        let mut routes: Vec<Route> = identity::routes();
        routes.extend(system::routes());
        routes.extend(parts.modules.iter().flat_map(|module| module.routes()));
        let routes = RouteTable::build(routes, &permissions)?;
        Ok(Arc::new(Self {
            clock: parts.db.clock().clone(),
            live: Live::default(),
            pages: Pages::load()?,
            metrics: Metrics::new()?,
            readiness: Readiness::new(&parts.db),
            reads: Reads::start(&parts.db),
            db: parts.db,
            sign_in: SignIn::new(parts.settings.passwords)?,
            settings: parts.settings,
            modules: parts.modules,
            openapi: openapi::document(&routes, &permissions).to_string(),
            permissions,
            routes,
            shutdown: parts.shutdown,
            home_parts: RwLock::default(),
            extensions: RwLock::default(),
        }))
    }

    pub fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// The OpenAPI document as JSON text.
    pub fn openapi(&self) -> &str {
        &self.openapi
    }

    /// Turns true when the server stops.
    pub fn shutdown(&self) -> watch::Receiver<bool> {
        self.shutdown.clone()
    }

    /// Adds what a module has to say on the first page.
    pub fn add_home_part(&self, part: Arc<dyn HomePart>) {
        self.home_parts.write().push(part);
    }

    pub(super) fn home_parts(&self) -> Vec<Arc<dyn HomePart>> {
        self.home_parts.read().clone()
    }

    /// Keeps a runtime object that a module's handlers share; one for each type, a later one replaces it.
    pub fn extend<T: Any + Send + Sync>(&self, shared: Arc<T>) {
        self.extensions.write().insert(TypeId::of::<T>(), shared);
    }

    /// The shared object of that type.
    ///
    /// # Errors
    /// `Internal` when the assembly did not provide it.
    pub fn extension<T: Any + Send + Sync>(&self) -> Result<Arc<T>> {
        let found = self.extensions.read().get(&TypeId::of::<T>()).cloned();
        found
            .and_then(|shared| shared.downcast::<T>().ok())
            .ok_or_else(|| Error::Internal(format!("{} was not provided", std::any::type_name::<T>())))
    }
}
