//! The embedded MQTT broker: MQTT 3.1.1 and 5 on one TCP port.
//!
//! Two promises shape it. A device gets its acknowledgement only after [`Gate::on_publish`] has
//! said that the message is safe, so a device never believes delivered what a crash could lose.
//! And nobody publishes or subscribes outside his own topics ([`rules`]).
//!
//! The broker library is used in `engine.rs` alone; everything public here is ours.

mod engine;
mod gate;
mod limits;
mod presence;
pub mod rules;
mod self_test;

pub use engine::{Broker, Publisher, start};
pub use gate::{Admission, Gate, Principal, Publish, Receipt, SignIn};
pub use limits::CONNECTIONS_PER_ACCOUNT;
pub use self_test::SELF_TEST_PREFIX;

use std::{net::SocketAddr, path::PathBuf};

/// How the broker is set up.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// Address and port; port 0 takes a free one, see [`Broker::local_addr`]. The connection is
    /// not encrypted: anything but loopback belongs behind a TLS front or in a closed network.
    pub bind: SocketAddr,
    /// Where sessions and messages for absent devices are kept; `None` keeps them in memory, and
    /// a restart then makes every device subscribe anew.
    pub data_dir: Option<PathBuf>,
    /// Most signed-in clients at a time, from 1.
    pub max_clients: usize,
    /// Largest packet in bytes, at least 1024.
    pub max_packet_bytes: usize,
    /// Most messages kept for one absent client; the oldest go first.
    pub max_queued_messages: usize,
    /// Most bytes kept for one absent client.
    pub max_queued_bytes: usize,
    /// How long an absent client's session is kept, in seconds.
    pub session_seconds: u32,
}

impl BrokerSettings {
    /// Settings for an address: 3000 clients, 64 KiB packets, 1000 messages and 4 MiB for an
    /// absent client, sessions kept for 7 days, in memory.
    #[must_use]
    pub const fn new(bind: SocketAddr) -> Self {
        Self {
            bind,
            data_dir: None,
            max_clients: 3000,
            max_packet_bytes: 64 * 1024,
            max_queued_messages: 1000,
            max_queued_bytes: 4 * 1024 * 1024,
            session_seconds: 7 * 24 * 3600,
        }
    }
}

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Another program listens there; the next port may be free.
    #[error("{0} is in use by another program")]
    PortInUse(SocketAddr),
    /// The address cannot be used for another reason.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The settings or the data directory are unusable.
    #[error("the MQTT broker cannot start: {0}")]
    Start(String),
    /// The broker let somebody in who must stay out, and was stopped.
    #[error("the MQTT broker's self-test failed: {0}")]
    SelfTest(String),
}

/// Numbers for the system page and metrics; counters since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BrokerStats {
    /// Clients signed in now.
    pub connected: usize,
    /// Messages received.
    pub received: u64,
    /// Sign-ins refused; the self-test accounts for the first two.
    pub refused_sign_ins: u64,
    /// Publishes and subscriptions refused by the topic rules.
    pub refused_topics: u64,
    /// Messages not acknowledged, so that the device repeats them.
    pub withheld: u64,
    /// QoS 0 messages and wills that could not be taken; nobody repeats those.
    pub lost: u64,
}
