use crate::rules;
use async_trait::async_trait;
use std::net::SocketAddr;

/// Who is behind a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Principal {
    /// A device, by its serial.
    Device(String),
    /// A gateway, which speaks for other devices below a topic of its own.
    Gateway {
        /// Its serial.
        name: String,
        /// Below it are its topics; without the slash at the end.
        base_topic: String,
    },
    /// A program of the operator that may see all topics.
    Server(String),
}

impl Principal {
    /// The user name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Device(name) | Self::Gateway { name, .. } | Self::Server(name) => name,
        }
    }

    /// The form in which the engine keeps it; the kind is part of it, so that a device named
    /// like a server's account stays a device.
    pub(crate) fn to_user(&self) -> String {
        match self {
            Self::Device(name) => format!("d:{name}"),
            // No name has a slash in it.
            Self::Gateway { name, base_topic } => format!("g:{name}/{base_topic}"),
            Self::Server(name) => format!("s:{name}"),
        }
    }

    pub(crate) fn from_user(user: &str) -> Option<Self> {
        match user.split_once(':')? {
            ("d", name) => Some(Self::Device(name.to_owned())),
            ("g", both) => {
                let (name, base_topic) = both.split_once('/')?;
                Some(Self::Gateway { name: name.to_owned(), base_topic: base_topic.to_owned() })
            }
            ("s", name) => Some(Self::Server(name.to_owned())),
            _ => None,
        }
    }
}

/// Someone who wants in. The user name is well formed and the client id belongs to it.
#[derive(Debug, Clone, Copy)]
pub struct SignIn<'a> {
    /// The client id: the user name, or the user name, `#` and a suffix.
    pub client_id: &'a str,
    /// The user name: a device's serial.
    pub user: &'a str,
    /// The password; the self-test and careless clients send wrong ones.
    pub password: &'a [u8],
    /// Where the connection comes from.
    pub peer: SocketAddr,
}

/// The answer to a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// In, with a device's rights.
    Device,
    /// In, with a gateway's rights: whatever lies below its topic.
    Gateway {
        /// Without the slash at the end.
        base_topic: String,
    },
    /// In, with the rights of a program of the operator.
    Server,
    /// Wrong user name or password.
    Refused,
    /// It cannot be told now (no database); the client should try again.
    Unavailable,
}

/// A message that came in.
#[derive(Debug, Clone, Copy)]
pub struct Publish<'a> {
    /// Who sent it.
    pub from: &'a Principal,
    /// Where to; the rules allow it.
    pub topic: &'a str,
    /// The bytes.
    pub payload: &'a [u8],
    /// 0, 1 or 2. Nobody repeats a message of QoS 0.
    pub qos: u8,
    /// Whether the sender asked to have it retained; the broker retains nothing from devices.
    pub retain: bool,
    /// True for the last will of a device whose connection broke.
    pub will: bool,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It is safe; the device gets its acknowledgement. With `deliver` it also goes to
    /// subscribers.
    Accepted {
        /// Whether subscribers get it.
        deliver: bool,
    },
    /// It is not safe. There is no acknowledgement and the connection is closed, so that the
    /// device repeats the message when it is back.
    Retry,
}

/// What Songhe decides. A panic in a method counts as `Unavailable` or `Retry`.
#[async_trait]
pub trait Gate: Send + Sync + 'static {
    /// Who this is. Answer within 10 s, or the connection is closed.
    async fn sign_in(&self, who: SignIn<'_>) -> Admission;

    /// Takes a message. Awaited before the acknowledgement: return only when the message would
    /// survive a kill. Messages of one connection come one after another, in order; other
    /// connections are not delayed. A message may come again after a `Retry`, a lost
    /// connection or a restart. When the broker stops, the future is dropped after half a second.
    async fn on_publish(&self, message: Publish<'_>) -> Receipt;

    /// A client came (`true`) or its last connection went (`false`). Must not block.
    fn on_connection(&self, who: &Principal, connected: bool) {
        let _ = (who, connected);
    }

    /// Whether a message may go to a topic; also asked for wills, at sign-in.
    fn may_publish(&self, who: &Principal, topic: &str) -> bool {
        rules::may_publish(who, topic)
    }

    /// Whether a subscription is allowed.
    fn may_subscribe(&self, who: &Principal, filter: &str) -> bool {
        rules::may_subscribe(who, filter)
    }
}
