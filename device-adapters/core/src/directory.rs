use crate::DeviceKey;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A device that a gateway names in its inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it is known by for ever: `0x00158d0001e5c3a2`.
    pub key: DeviceKey,
    /// What the gateway calls it in topics, today; 1 to 200 characters.
    pub name: String,
    /// Model, at most 100 characters; empty if the gateway does not know it.
    pub model: String,
    /// Vendor, at most 100 characters; empty if the gateway does not know it.
    pub vendor: String,
}

/// How a device comes to Songhe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// By a connection and a credential of its own.
    Alone,
    /// It speaks for others: with one credential, below one of these topics. The first is the usual one, the last is
    /// this gateway's alone.
    Gateway {
        /// Topics without the slash at their end.
        base_topics: [String; 2],
    },
    /// Through a gateway; it has no credential.
    Member,
}

/// What is known of one gateway.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// The gateway itself.
    pub key: DeviceKey,
    /// Below it are its topics; without the slash at the end.
    pub base_topic: String,
    names: HashMap<String, DeviceKey>,
    call_actions: HashMap<DeviceKey, BTreeSet<String>>,
}

impl Gateway {
    /// A gateway that names nobody yet.
    #[must_use]
    pub fn new(key: DeviceKey, base_topic: &str) -> Self {
        Self { key, base_topic: base_topic.to_owned(), names: HashMap::new(), call_actions: HashMap::new() }
    }

    /// Notes what the gateway calls a device. A name that stood for another one is this one's from now on.
    pub fn name(&mut self, name: &str, key: DeviceKey) {
        self.names.insert(name.to_owned(), key);
    }

    /// Notes that an action of a device's button is a call for help.
    pub fn call_on(&mut self, key: DeviceKey, action: &str) {
        self.call_actions.entry(key).or_default().insert(action.to_owned());
    }

    /// The device with the longest name that a path begins with, and what follows the name, without the slash: names may
    /// have slashes in them.
    #[must_use]
    pub fn longest_name<'t>(&self, path: &'t str) -> Option<(&DeviceKey, &'t str)> {
        let ends = std::iter::once(path.len()).chain(path.rmatch_indices('/').map(|(at, _)| at));
        for end in ends {
            if let Some((name, rest)) = path.split_at_checked(end)
                && let Some(key) = self.names.get(name)
            {
                return Some((key, rest.strip_prefix('/').unwrap_or(rest)));
            }
        }
        None
    }

    /// What the gateway calls a device.
    #[must_use]
    pub fn name_of(&self, key: &DeviceKey) -> Option<&str> {
        self.names.iter().find(|(_, known)| *known == key).map(|(name, _)| name.as_str())
    }

    /// Whether somebody set that this action of this device's button is a call for help.
    #[must_use]
    pub fn is_call(&self, key: &DeviceKey, action: &str) -> bool {
        self.call_actions.get(key).is_some_and(|actions| actions.contains(action))
    }
}

/// The gateways that are registered. Kept upstream and handed to adapters, which are pure.
#[derive(Debug, Clone, Default)]
pub struct Directory(BTreeMap<String, Gateway>);

impl Directory {
    /// Adds a gateway; one of the same topic is replaced.
    pub fn add(&mut self, gateway: Gateway) {
        self.0.insert(gateway.base_topic.clone(), gateway);
    }

    /// The gateway of a topic, and what follows its base topic.
    #[must_use]
    pub fn gateway_of<'t>(&self, topic: &'t str) -> Option<(&Gateway, &'t str)> {
        let mut ends = topic.rmatch_indices('/');
        ends.find_map(|(end, _)| {
            let (base, path) = topic.split_at_checked(end)?;
            Some((self.0.get(base)?, path.get(1..)?))
        })
    }

    /// The gateway that names a device.
    #[must_use]
    pub fn gateway_with(&self, key: &DeviceKey) -> Option<&Gateway> {
        self.0.values().find(|gateway| gateway.name_of(key).is_some())
    }
}
