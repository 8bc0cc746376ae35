//! Devices: register, ingest and rules, and what is seen of them over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod device_tests;
mod faults;
mod gateways;
mod history;
mod history_views;
mod import;
mod ingest;
mod latest;
mod life;
mod register;
mod room;
mod rules;
mod screens;
