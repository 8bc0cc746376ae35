//! Brokers outside: what they need to know of devices, and whether they keep what they promise.
//!
//! - [`mosquitto`]: its password file and topic rules, written at every change
//! - [`emqx`]: the answers to its questions by HTTP
//! - [`lossy`]: whether a broker keeps messages for an absent client

pub(crate) mod emqx;
pub(crate) mod lossy;
pub(crate) mod mosquitto;
