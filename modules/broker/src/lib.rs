//! The embedded MQTT broker: MQTT 3.1.1 and 5 on one TCP port, and on another with TLS.
//!
//! Two promises shape it. A device gets its acknowledgement only after [`Gate::on_publish`] has
//! said that the message is safe, so a device never believes delivered what a crash could lose.
//! And nobody publishes or subscribes outside his own topics ([`rules`]).
//!
//! The broker library is used in `engine.rs` and `hooks.rs` alone; everything public here is ours.

mod engine;
mod front;
mod gate;
mod hooks;
mod limits;
mod presence;
mod rates;
pub mod rules;
mod self_test;
mod sessions;
mod waiting;

pub use engine::{Broker, Publisher, start};
pub use gate::{Admission, Gate, Principal, Publish, Receipt, SignIn};
pub use limits::CONNECTIONS_PER_ACCOUNT;
pub use rates::{LoudAccount, RateLimits};
pub use self_test::SELF_TEST_PREFIX;
pub use sessions::SESSIONS_PER_ACCOUNT;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

/// A second listener, for devices that speak TLS.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// Address and port; port 0 takes a free one, see [`Broker::tls_addr`].
    pub bind: SocketAddr,
    /// Certificate and key.
    pub config: Arc<rustls::ServerConfig>,
}

/// How the broker is set up.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// Address and port; port 0 takes a free one, see [`Broker::local_addr`]. The connection is
    /// not encrypted: anything but loopback belongs in a closed network.
    pub bind: SocketAddr,
    /// The same over TLS, if wanted.
    pub tls: Option<TlsSettings>,
    /// What one account may send.
    pub rates: RateLimits,
    /// Where sessions and messages for absent devices are kept; `None` keeps them in memory, and
    /// a restart then makes every device subscribe anew.
    pub data_dir: Option<PathBuf>,
    /// Most signed-in clients at a time, from 1.
    pub max_clients: usize,
    /// Most connections at a time that have not signed in, half of them from one address. One more, and the one that
    /// has waited longest goes; each has 10 s.
    pub max_waiting: usize,
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
    /// Settings for an address: 3000 clients, 4096 on their way in, 64 KiB packets, 1000 messages and 4 MiB for an
    /// absent client, sessions kept for 7 days, in memory, no TLS and no rates.
    #[must_use]
    pub const fn new(bind: SocketAddr) -> Self {
        Self {
            bind,
            tls: None,
            rates: RateLimits::NONE,
            data_dir: None,
            max_clients: 3000,
            max_waiting: 4096,
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
    /// Messages that waited because their account was over its rate.
    pub delayed: u64,
    /// Readings of QoS 0 dropped because their account was over its rate.
    pub dropped: u64,
    /// Connections now that have not signed in.
    pub waiting: usize,
    /// Connections ended before they signed in: silent, no MQTT, too large, or too many.
    pub turned_away: u64,
}
