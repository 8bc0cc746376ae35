//! Scenarios end to end: the real server, real brokers, both databases, told as what a user would notice.
//!
//! - `audit`: every change leaves a line, and what was done to the log is found
//! - `sos`: from a button to an incident and the stream, whatever is sent and however often
//! - `ladder`: who is told when, across clocks that step and servers that die
//! - `channels`: e-mail by the configured server, and the sign of life for a monitor outside
//! - `backup`, `backup_hostile`, `backup_clock`: archives under load, restored elsewhere, damaged, by the clock
//! - `kill`: SIGKILL at random moments under load
//! - `servers`, `servers_load`: two servers on one PostgreSQL and one Mosquitto
//! - `backlog`: what an external broker kept meanwhile
//! - `load`: many and hostile connections; `brokers`: Mosquitto and EMQX by what Songhe tells them
//! - `commands`: what devices are asked, and what comes of it
//! - `decode`: the installer's look at a message
//! - `history`: a year of observations
//! - `rights`, `rights_plant`: every route, asked by every role, about what is here and what is elsewhere
//! - `secrets`: what nobody may read afterwards, and the keys that see to it
//! - `startup`: configuration, commands, demo, HTTPS, who may reach what
//! - `zigbee`, `zigbee_hostile`: devices behind a Zigbee2MQTT gateway
//! - `migrations`: schemas of both databases, up and down, and a database that moved to another cluster
//! - `load`, `floods`, `room`: many connections, devices that send too much, a disk that fills up
//! - `world`, `api`, `mqtt`, `traffic`, `sql`: what they share
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod api;
mod audit;
mod backlog;
mod backup;
mod backup_clock;
mod backup_hostile;
mod brokers;
mod channels;
mod commands;
mod decode;
mod floods;
mod history;
mod kill;
mod kill_check;
mod ladder;
mod ladder_clock;
mod load;
mod migrations;
mod mqtt;
mod rights;
mod rights_plant;
mod room;
mod routes;
mod secrets;
mod servers;
mod servers_load;
mod sos;
mod sos_hostile;
mod sql;
mod startup;
mod startup_demo;
mod tls;
mod traffic;
mod world;
mod zigbee;
mod zigbee_hostile;

use std::time::Duration;

/// Long enough for anything that is done at once, on a machine that is busy.
pub const SOON: Duration = Duration::from_secs(20);
/// Longer than a message's lease: one that was on its way when its server died is sent again after 30 s.
pub const AFTER_A_KILL: Duration = Duration::from_secs(60);
