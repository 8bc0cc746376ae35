//! Incidents: alarms, escalation ladders, disposition and follow-up.
//!
//! - [`report`]: the emergency path, from a signal to an incident with its ladder running
//! - [`climb`], [`reach`], [`ladders`], [`coverage`], `gaps_check`: who is told when, by which way, and whether anybody
//!   would be
//! - [`act`]: acknowledge, arrive, resolve, review
//! - [`story`]: what happened, line by line; [`shift`]: how fast it was answered
//! - [`figures`]: reports of a month, each figure with what it counts
//! - `lists`, `resource`: incidents as lists and as the API shows them; `api`, `pages`, [`home`],
//!   [`panels`]: what is seen
//! - [`presence`]: which boards can be heard
//! - [`endpoints`]: the ways out; [`telling`]: messages on their way; [`wording`]: their words; `sender`: who sends them, by
//!   [`webhook`], `robot`, `provider` and [`mail`]
//! - [`module`]: how the server sees all this
//!
//! It must never know a scenario, and never close an incident by itself.

pub mod act;
mod api;
mod climb;
pub mod coverage;
pub mod endpoints;
pub mod figures;
mod gaps_check;
pub mod home;
pub mod ladders;
mod lists;
pub mod mail;
pub mod model;
pub mod module;
mod numbers;
mod pages;
pub mod panels;
pub mod presence;
mod provider;
mod reach;
pub mod report;
mod resource;
mod robot;
pub mod schema;
mod sender;
pub mod shift;
pub mod story;
pub mod telling;
pub mod webhook;
pub mod wording;

/// The module's name in events, timers and effects.
pub const MODULE: &str = "incidents";

pub use home::IncidentsHome;
pub use mail::{MailSettings, MailTls};
pub use model::{IncidentId, Kind, Outcome, Priority, Status};
pub use module::{Boards, Incidents};
pub use panels::IncidentPanels;
pub use report::{Report, Reported, report, report_cleared};
