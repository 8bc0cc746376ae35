//! The kernel's HTTP and identity on a real database.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod http;
mod identity;
mod support;
