//! Figures for a collector (Prometheus text format), and whether the server is ready.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use diesel::prelude::*;
use futures_util::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use prometheus::{HistogramOpts, HistogramVec, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::db::Database;
use crate::error::{Error, Result};
use crate::identity::schema::scope_node;
use crate::schema::meta;

/// The server's registry; modules add their own collectors to it.
pub struct Metrics {
    registry: Registry,
    requests: HistogramVec,
    figures: IntGaugeVec,
}

impl Metrics {
    /// # Errors
    /// `Internal` when a name is taken.
    pub fn new() -> Result<Self> {
        let registry = Registry::new();
        let options =
            HistogramOpts::new("songhe_http_request_seconds", "Time from request to answer, by route pattern")
                .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]);
        let requests = HistogramVec::new(options, &["method", "route", "status"]).map_err(Error::internal)?;
        let options = Opts::new("songhe_figure", "Queue depths, ages and counts of the server's parts, by name");
        let figures = IntGaugeVec::new(options, &["name"]).map_err(Error::internal)?;
        registry.register(Box::new(requests.clone())).map_err(Error::internal)?;
        registry.register(Box::new(figures.clone())).map_err(Error::internal)?;
        Ok(Self { registry, requests, figures })
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn observe_request(&self, method: &Method, route: &str, status: u16, took: Duration) {
        // Methods are free text on the wire: unknown ones share one label.
        let method = match *method {
            Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => method.as_str(),
            _ => "other",
        };
        self.requests.with_label_values(&[method, route, &status.to_string()]).observe(took.as_secs_f64());
    }

    pub(crate) fn text(&self, db: &Database, open_streams: usize) -> Result<String> {
        let set = |name: &str, value: i64| self.figures.with_label_values(&[name]).set(value);
        set("open_streams", count(open_streams));
        for (name, value) in db.gauges() {
            set(name, value);
        }
        if let Some(writer) = db.writer_stats() {
            set("writer_waiting", count(writer.waiting));
            set("writer_waiting_emergency", count(writer.waiting_emergency));
            set("writer_commits", writer.commits.cast_signed());
            set("writer_operations", writer.operations.cast_signed());
            set("writer_slow_operations", writer.slow.cast_signed());
        }
        TextEncoder::new().encode_to_string(&self.registry.gather()).map_err(Error::internal)
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// A check that has not answered by then has failed.
const CHECK_TIME: Duration = Duration::from_secs(2);

/// Everybody may ask: what they ask writes no more often than this.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// Whether the parts of the server can serve requests.
pub struct Readiness {
    checks: RwLock<Vec<(&'static str, Check)>>,
}

impl Readiness {
    /// Begins with the database: its schema is there, and it takes what is written. A full disk only shows there.
    pub(crate) fn new(db: &Database) -> Self {
        let readiness = Self { checks: RwLock::default() };
        let db = db.clone();
        let written: Arc<Mutex<Option<Duration>>> = Arc::default();
        readiness.add("database", move || {
            let (db, written) = (db.clone(), written.clone());
            Box::pin(async move {
                db.read(|db| Ok(scope_node::table.select(scope_node::id).first::<i64>(db).optional()?)).await?;
                let now = db.clock().mono();
                if written.lock().is_some_and(|at| now.saturating_sub(at) < WRITE_EVERY) {
                    return Ok(());
                }
                db.write(|tx| {
                    Ok(diesel::update(meta::table.find("epoch")).set(meta::value.eq(meta::value)).execute(tx.db())?)
                })
                .await?;
                *written.lock() = Some(now);
                Ok(())
            })
        });
        readiness
    }

    /// Adds a part's check; it runs at each request of /readyz.
    pub fn add(&self, part: &'static str, check: impl Fn() -> BoxFuture<'static, Result<()>> + Send + Sync + 'static) {
        self.checks.write().push((part, Arc::new(check)));
    }

    /// Whether each part passes.
    pub async fn run(&self) -> BTreeMap<&'static str, bool> {
        let checks = self.checks.read().clone();
        let mut outcome = BTreeMap::new();
        for (part, check) in checks {
            let failure = match tokio::time::timeout(CHECK_TIME, check()).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer in time".to_owned()),
            };
            if let Some(reason) = &failure {
                tracing::warn!(part, reason, "not ready");
            }
            outcome.insert(part, failure.is_none());
        }
        outcome
    }
}
