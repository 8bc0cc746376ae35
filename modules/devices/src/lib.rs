//! Devices: the register, the way of a message from bytes to facts, observations and rules.
//!
//! - [`register`]: who a device is, where it hangs, with whom, and its credential; [`list`], [`online`]: how they do
//! - [`gateways`]: who speaks for others, and what they call them
//! - [`ingest`]: two lanes; nothing is acknowledged before its commit. `telemetry` is the one that gathers, `batch` what a
//!   transaction does, `newest` the latest states. [`inbox`] knows what was seen before
//! - [`quarantine`]: what nobody may act on; `refused`: what the database would not take
//! - [`device_tests`]: weekly tests, which are measured and never page anybody
//! - [`rules`]: limits with hysteresis and onset delay
//! - [`pace`], [`floods`]: who sends too much; [`sparing`]: what is not kept when the disk has no room
//! - [`link`]: the way to an external broker; [`accounts`]: devices as its accounts
//! - [`history`]: observations over years: months, roll-ups, retention, lists and series
//! - [`pages`], [`api`]: screens and `/api/v1`; [`words`]: values and kinds as people read them
//!
//! It must never know a scenario, and never bind a device to a person by itself.

pub mod accounts;
mod act;
mod api;
mod batch;
pub mod commands;
pub mod device_tests;
pub mod faults;
pub mod floods;
pub mod gateways;
pub mod history;
mod import;
mod inbox;
pub mod ingest;
pub mod lifecycle;
pub mod link;
mod link_acks;
pub mod link_commands;
pub mod list;
pub mod loans;
mod module;
mod newest;
mod news;
pub mod observations;
pub mod online;
pub mod outlet;
pub mod pace;
mod pages;
mod panels;
pub mod quarantine;
mod refused;
pub mod register;
mod report;
pub mod rules;
pub mod schema;
mod sighting;
pub mod sparing;
mod telemetry;
mod whereabouts;
pub mod words;

/// The module's name in events, timers and effects.
pub const MODULE: &str = "devices";

pub use ingest::{Accepted, Ingest, Message};
pub use module::{
    DEVICES_COMMAND, DEVICES_READ, DEVICES_WRITE, Devices, OBSERVATIONS_READ, QUARANTINE_READ, RULES_READ, RULES_WRITE,
};
pub use panels::DevicePanels;
pub use register::{Credential, Device, DeviceId, NewDevice};
