//! Devices: register, ingest and rules, and what is seen of them over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod faults;
mod gateways;
mod import;
mod ingest;
mod life;
mod register;
mod rules;
mod screens;
