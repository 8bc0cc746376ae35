//! The server: configuration, assembly of modules and adapters, embedded broker, HTTP, commands.
//!
//! [`assembly`] holds the one hand-written list of modules and adapters.

pub mod assembly;
pub mod bench;
mod brokers;
pub mod cli;
pub mod config;
pub mod demo;
pub mod heartbeat;
mod http;
mod keys;
pub mod migrations;
mod mqtt;
mod open_files;
mod system;
pub mod tls;
mod turns;
