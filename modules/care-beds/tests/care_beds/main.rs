//! Care beds: their calls, and what is seen of them over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod calls;
mod common;
mod screens;
