//! The kernel's HTTP, identity and servers on a real database.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod audit;
mod http;
mod identity;
mod log;
mod people;
mod servers;
mod support;
mod vault;
