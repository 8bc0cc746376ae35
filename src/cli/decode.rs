//! `songhe decode`: what an adapter makes of a message, for whoever installs devices. No server, no database.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use songhe_adapter_core::{
    DecodeError, Decoded, DeviceAdapter, DeviceKey, Directory, Gateway, Inbound, Item, Standing,
};
use songhe_kernel::{Clock as _, SystemClock, Text};

use super::Failure;
use super::words::Words;
use crate::assembly;

/// Bytes that are read of a message or inventory.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Which adapter: songhe-mqtt, zigbee2mqtt; another word lists all of this build
    #[arg(long)]
    adapter: String,
    /// The topic the message came by; the message itself is read from the standard input
    #[arg(long)]
    topic: String,
    /// A gateway's inventory: what it publishes to bridge/devices
    #[arg(long)]
    inventory: Option<PathBuf>,
    /// Presses that are set to be calls for help: single,double
    #[arg(long, value_delimiter = ',')]
    calls: Vec<String>,
    /// As if a broker had kept the message
    #[arg(long)]
    retained: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let words = Words::load()?;
    let adapters = assembly::adapters();
    let Some(adapter) = adapters.iter().find(|adapter| adapter.manifest().name == arguments.adapter) else {
        let known: Vec<&str> = adapters.iter().map(|adapter| adapter.manifest().name).collect();
        let text = Text::key("cli-unknown-adapter").arg("name", &arguments.adapter).arg("known", known.join(", "));
        return Err(words.failure(&text));
    };
    if !adapter.is_topic(&arguments.topic) {
        let text = Text::key("cli-not-its-topic").arg("topic", &arguments.topic);
        return Err(words.failure(&text.arg("topics", adapter.manifest().topics.join(", "))));
    }
    let mut payload = Vec::new();
    std::io::stdin().lock().take(MAX_BYTES).read_to_end(&mut payload)?;
    let directory = directory(adapter, arguments, &words)?;
    let inbound = Inbound {
        topic: &arguments.topic,
        payload: &payload,
        retained: arguments.retained,
        received_at: SystemClock::new().now().utc(),
    };
    match adapter.decode(inbound, &directory) {
        Ok(decoded) => {
            println!("{:#}", describe(adapter.manifest().name, &decoded));
            Ok(())
        }
        Err(error @ DecodeError::Stranger { .. }) if arguments.inventory.is_none() => {
            Err(words.failure(&Text::key("cli-needs-inventory").arg("why", error.to_string())))
        }
        Err(error) => Err(words.failure(&Text::key("cli-not-decoded").arg("why", error.to_string()))),
    }
}

/// A gateway of whichever topic fits, with the devices of the inventory.
fn directory(adapter: &Arc<dyn DeviceAdapter>, arguments: &Arguments, words: &Words) -> Result<Directory, Failure> {
    let mut directory = Directory::default();
    let Some((key, base_topic)) = gateway_of(adapter.as_ref(), &arguments.topic) else { return Ok(directory) };
    let mut gateway = Gateway::new(key, &base_topic);
    if let Some(file) = &arguments.inventory {
        let unread = |why: String| {
            words.failure(&Text::key("cli-inventory-unread").arg("file", file.display().to_string()).arg("why", why))
        };
        let inventory = std::fs::read(file).map_err(|error| unread(error.to_string()))?;
        directory.add(gateway.clone());
        let inbound = Inbound {
            topic: &format!("{base_topic}/bridge/devices"),
            payload: &inventory,
            retained: true,
            received_at: SystemClock::new().now().utc(),
        };
        let decoded = adapter.decode(inbound, &directory).map_err(|error| unread(error.to_string()))?;
        for item in decoded.items {
            let Item::Inventory(members) = item else { continue };
            for member in members {
                gateway.name(&member.name, member.key.clone());
                for action in &arguments.calls {
                    gateway.call_on(member.key.clone(), action);
                }
            }
        }
    }
    directory.add(gateway);
    Ok(directory)
}

/// The gateway that a topic may be of: that of the usual topic, or the one whose serial is the topic's second level.
fn gateway_of(adapter: &dyn DeviceAdapter, topic: &str) -> Option<(DeviceKey, String)> {
    let second = topic.split('/').nth(1).unwrap_or_default();
    ["gateway", second].into_iter().filter_map(|serial| DeviceKey::new(serial).ok()).find_map(|key| {
        let Standing::Gateway { base_topics } = adapter.standing(&key) else { return None };
        let below = |base: &String| topic.strip_prefix(base.as_str()).is_some_and(|rest| rest.starts_with('/'));
        Some((key, base_topics.into_iter().find(below)?))
    })
}

fn describe(adapter: &str, decoded: &Decoded) -> Value {
    json!({
        "adapter": adapter,
        "device": decoded.device.as_str(),
        "message_id": decoded.message_id,
        "observed_at": decoded.observed_at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
        "historical": decoded.historical,
        "emergency": decoded.is_emergency(),
        "items": decoded.items.iter().map(item).collect::<Vec<_>>(),
        "settings": decoded.settings.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "ignored": decoded.ignored.iter().map(|part| json!({ "name": part.name, "reason": part.reason })).collect::<Vec<_>>(),
    })
}

fn item(item: &Item) -> Value {
    match item {
        Item::Reading(reading) => json!({
            "type": "reading",
            "kind": reading.measure.name(),
            "value": reading.raw_value.clone().unwrap_or_else(|| reading.value.to_string()),
            "unit": reading.measure.unit(),
            "quality": reading.quality.name(),
        }),
        Item::Event { kind, active, detail } => {
            json!({ "type": "event", "kind": kind.name(), "active": active, "detail": detail })
        }
        Item::Condition { kind, active, detail } => {
            json!({ "type": "condition", "kind": kind.name(), "active": active, "detail": detail })
        }
        Item::State(state) => json!({
            "type": "state",
            "online": state.online,
            "firmware": state.firmware,
            "hardware": state.hardware,
            "report_seconds": state.report_seconds,
        }),
        Item::Inventory(members) => json!({
            "type": "inventory",
            "devices": members.iter().map(|member| json!({
                "device": member.key.as_str(),
                "name": member.name,
                "model": member.model,
                "vendor": member.vendor,
            })).collect::<Vec<_>>(),
        }),
        Item::CommandResult { command_id, ok, detail } => {
            json!({ "type": "command_result", "command": command_id, "ok": ok, "detail": detail })
        }
    }
}
