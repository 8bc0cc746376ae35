//! Incidents: the life of a call, the look ahead, and what is seen of them over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod calls;
mod channels;
mod common;
mod coverage;
mod desk;
mod endpoint_edit;
mod mail;
mod peers;
mod reports;
mod screens;
