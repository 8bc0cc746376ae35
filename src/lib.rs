//! The server: configuration, assembly of modules and adapters, embedded broker, HTTP, commands.
//!
//! [`assembly`] holds the one hand-written list of modules and adapters.

pub mod assembly;
mod audit_log;
mod background;
pub mod backup;
pub mod bench;
mod brokers;
mod certificates;
pub mod cli;
pub mod config;
pub mod demo;
mod disk;
pub mod heartbeat;
mod http;
mod keys;
pub mod migrations;
mod mqtt;
mod open_files;
mod opening;
mod system;
pub mod tls;
mod turns;
