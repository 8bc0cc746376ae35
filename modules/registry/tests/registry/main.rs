//! The registry: its operations, and what is seen of them over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod document;
mod operations;
mod record;
mod screens;
