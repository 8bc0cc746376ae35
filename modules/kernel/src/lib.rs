//! Songhe's kernel: what every scenario stands on. It knows no resident, device or incident.
//!
//! - [`db`]: one query for SQLite and PostgreSQL, transactions, the writer thread, migrations
//! - [`events`], [`timers`], [`schedules`], [`effects`]: what cannot be forgotten, as rows
//! - [`servers`]: several of them on one database
//! - [`module`]: the seam at which shared modules and scenarios join
//! - [`audit`]: who did what, sealed
//! - [`identity`]: accounts, sessions, roles, and who may see what
//! - [`http`]: the route table from which HTTP, OpenAPI, menu and tests are made; pages, API and streams
//! - [`vault`]: sensitive fields, sealed under a key for each person
//! - [`time`], [`ids`], [`error`], [`i18n`], [`check_name`]: the small things everybody shares

pub mod audit;
pub mod db;
pub mod effects;
pub mod error;
pub mod events;
pub mod http;
pub mod i18n;
pub mod identity;
pub mod ids;
pub mod metrics;
pub mod module;
mod names;
pub mod pages;
pub mod runtime;
pub mod schedules;
pub mod schema;
pub mod servers;
pub mod time;
pub mod timers;
pub mod vault;

pub use audit::AuditEntry;
pub use db::{Both, BothExt, Database, Db, KeptExt, Tx};
pub use error::{Error, FieldError, Result, Text};
pub use events::{Event, NewEvent};
pub use ids::{EffectId, FacilityId, UserId};
pub use module::{Manifest, Module, Modules};
pub use names::check_name;
pub use time::{Clock, ManualClock, Moment, SharedClock, SystemClock};
pub use timers::{NewTimer, Timer};
