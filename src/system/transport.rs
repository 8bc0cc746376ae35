//! The ways by which device messages come: adapters, and the broker inside or outside.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;
use songhe_devices::link::Lane;
use songhe_kernel::Moment;
use songhe_kernel::http::Ctx;

use super::state::{Health, count, warn_if};
use super::{Facts, Transport, words};
use crate::assembly;
use crate::config::MqttMode;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemAdapter")]
pub(super) struct Adapter {
    name: String,
    status: Health,
    /// Acted on in the last 10 minutes, emergencies aside.
    messages: i64,
    /// Put into quarantine in the last 24 hours.
    rejected: i64,
    last_at: Option<Moment>,
    /// In the reader's language.
    note: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemBroker")]
pub(super) struct Broker {
    /// embedded, external, off
    kind: &'static str,
    address: String,
    pub(super) status: Health,
    /// Clients connected to the embedded broker.
    connections: Option<usize>,
    /// Messages since start.
    received: u64,
    pub(super) refused_sign_ins: u64,
    pub(super) refused_topics: u64,
    /// Not acknowledged, so that their devices repeat them.
    pub(super) withheld: u64,
    /// Of QoS 0 and wills, that could not be taken.
    pub(super) lost: u64,
    /// Waited because their device was over its rate.
    pub(super) delayed: u64,
    /// Readings of QoS 0 dropped because their device was over its rate.
    pub(super) dropped: u64,
    /// Acknowledged and left out because their device was over its rate; at an external broker.
    pub(super) left_out: u64,
    /// Connections that have not signed in.
    waiting: Option<usize>,
    /// Connections ended before they signed in.
    pub(super) turned_away: u64,
    /// Who was over its rate in this minute and the last one, the loudest first.
    pub(super) loud: Vec<Loud>,
    /// Those of the server that answers; none while another one takes device messages.
    pub(super) links: Vec<Link>,
    /// Another server takes device messages.
    pub(super) waits: bool,
    /// In the reader's language.
    pub(super) note: Option<String>,
}

/// A device or gateway that sends more than it may.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemLoudDevice")]
pub(super) struct Loud {
    pub(super) serial: String,
    /// Messages that waited.
    pub(super) delayed: u64,
    /// Readings that were dropped.
    pub(super) dropped: u64,
    /// Messages that were left out.
    pub(super) left_out: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemLink")]
pub(super) struct Link {
    /// emergency, telemetry, gateways
    pub(super) lane: &'static str,
    pub(super) connected: bool,
    received: u64,
}

/// Loud devices named on the page.
const LOUD_SHOWN: usize = 10;

/// Whether a topic is one of a filter's, `+` standing for one level and `#` for all that follow.
fn matches(filter: &str, topic: &str) -> bool {
    let (mut wanted, mut levels) = (filter.split('/'), topic.split('/'));
    loop {
        match (wanted.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(one), Some(level)) if one == level => {}
            _ => return false,
        }
    }
}

/// The adapters of this build, and a row of its own for quarantined messages that are none's.
pub(super) fn adapters(
    ctx: &Ctx,
    messages: &HashMap<String, i64>,
    heard: &HashMap<String, Option<Moment>>,
    quarantined: &[String],
) -> Vec<Adapter> {
    let compiled = assembly::adapters();
    let manifests: Vec<_> = compiled.iter().map(|adapter| adapter.manifest()).collect();
    let is_of = |topics: &[&str], topic: &str| topics.iter().any(|filter| matches(filter, topic));
    let mut rows: Vec<Adapter> = manifests
        .iter()
        .map(|manifest| {
            let rejected = count(quarantined.iter().filter(|topic| is_of(manifest.topics, topic)).count());
            Adapter {
                name: manifest.name.to_owned(),
                status: warn_if(rejected > 0),
                messages: messages.get(manifest.name).copied().unwrap_or_default(),
                rejected,
                last_at: heard.get(manifest.name).copied().flatten(),
                note: Some(words::adapter_note(ctx)),
            }
        })
        .collect();
    let nobodys = quarantined.iter().filter(|topic| !manifests.iter().any(|manifest| is_of(manifest.topics, topic)));
    let nobodys = count(nobodys.count());
    if nobodys > 0 {
        let (name, last_at, note) = (words::no_adapter(ctx), None, None);
        rows.push(Adapter { name, status: Health::Warn, messages: 0, rejected: nobodys, last_at, note });
    }
    rows
}

impl Loud {
    fn of(account: songhe_broker::LoudAccount) -> Self {
        Self { serial: account.account, delayed: account.delayed, dropped: account.dropped, left_out: 0 }
    }
}

impl Broker {
    pub(super) fn now(facts: &Facts) -> Self {
        let off = Self {
            kind: match facts.mode {
                MqttMode::Embedded => "embedded",
                MqttMode::External => "external",
                MqttMode::Off => "off",
            },
            address: "—".into(),
            status: Health::Off,
            connections: None,
            received: 0,
            refused_sign_ins: 0,
            refused_topics: 0,
            withheld: 0,
            lost: 0,
            delayed: 0,
            dropped: 0,
            left_out: 0,
            waiting: None,
            turned_away: 0,
            loud: Vec::new(),
            links: Vec::new(),
            waits: false,
            note: None,
        };
        match facts.transport.get() {
            None => off,
            Some(Transport::Embedded { publisher, address, tls }) => {
                let stats = publisher.stats();
                let loud: Vec<Loud> = publisher.loud_accounts().into_iter().take(LOUD_SHOWN).map(Loud::of).collect();
                Self {
                    address: tls.map_or_else(|| address.to_string(), |tls| format!("{address}, TLS {tls}")),
                    status: warn_if(stats.withheld > 0 || stats.lost > 0 || !loud.is_empty()),
                    connections: Some(stats.connected),
                    received: stats.received,
                    // The self-test at start accounts for the first two.
                    refused_sign_ins: stats.refused_sign_ins.saturating_sub(2),
                    refused_topics: stats.refused_topics,
                    withheld: stats.withheld,
                    lost: stats.lost,
                    delayed: stats.delayed,
                    dropped: stats.dropped,
                    waiting: Some(stats.waiting),
                    turned_away: stats.turned_away,
                    loud,
                    ..off
                }
            }
            Some(Transport::External { links }) => {
                let left_out = links.iter().map(|(_, state)| state.left_out()).sum();
                let loud = links.iter().flat_map(|(_, state)| state.loud());
                let loud: Vec<Loud> = loud
                    .take(LOUD_SHOWN)
                    .map(|(serial, left_out)| Loud { serial, delayed: 0, dropped: 0, left_out })
                    .collect();
                let links: Vec<Link> = links
                    .iter()
                    .map(|(lane, state)| Link {
                        lane: match lane {
                            Lane::Emergency => "emergency",
                            Lane::Telemetry => "telemetry",
                            Lane::Gateways => "gateways",
                        },
                        connected: state.is_connected(),
                        received: state.received(),
                    })
                    .collect();
                let whole = links.iter().all(|link| link.connected);
                // Another server's turn: then its connections count, not those of this one.
                let waits =
                    facts.peers.get().is_some_and(|peers| peers.view().holder.is_some_and(|holder| !holder.here));
                Self {
                    address: facts.external.clone(),
                    status: if waits || whole { warn_if(!loud.is_empty()) } else { Health::Fail },
                    left_out,
                    loud,
                    received: links.iter().map(|link| link.received).sum(),
                    links: if waits { Vec::new() } else { links },
                    waits,
                    ..off
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_belongs_to_the_adapter_whose_filter_it_fits() {
        assert!(matches("songhe/v1/+/event", "songhe/v1/sos-1/event"));
        assert!(!matches("songhe/v1/+/event", "songhe/v1/sos-1/state"));
        assert!(!matches("songhe/v1/+/event", "songhe/v1/sos-1/event/x"));
        assert!(!matches("songhe/v1/+/event", "songhe/v1"));
        assert!(matches("zigbee2mqtt/#", "zigbee2mqtt/a/b"));
    }
}
