//! The servers that share this database, and which one takes device messages.

use schemars::JsonSchema;
use serde::Serialize;
use songhe_kernel::Moment;
use songhe_kernel::servers::View;

use crate::config::MqttMode;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemServers")]
pub(super) struct Servers {
    /// Those that are alive, the one that answers among them.
    list: Vec<Server>,
    /// Who takes device messages; `null`: nobody, at the moment.
    pub(super) ingest: Option<Holder>,
    /// Whether this one would take them from a broker that all share.
    pub(super) shares_broker: bool,
    /// Another server is there although this one has a broker of its own.
    pub(super) not_alone: bool,
    /// The servers are at the broker under different names: what it keeps for one, another does not get.
    pub(super) sessions_differ: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemServer")]
struct Server {
    number: i16,
    name: String,
    started_at: Moment,
    /// Seconds since it last said that it is alive.
    silent_s: i64,
    /// Whether it is the one that answers.
    here: bool,
    /// Whether it takes device messages.
    ingest: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemIngestHolder")]
pub(super) struct Holder {
    number: i16,
    here: bool,
    since: Moment,
    /// Milliseconds since its lease was renewed; it runs out after 6,000.
    renewed_ms: i64,
}

impl Servers {
    pub(super) fn of(view: View, mode: MqttMode) -> Self {
        let holder = view.holder.as_ref().map(|holder| holder.number);
        let mut sessions: Vec<&str> = view.alive.iter().map(|server| server.mqtt_session.as_str()).collect();
        sessions.retain(|session| !session.is_empty());
        sessions.sort_unstable();
        sessions.dedup();
        let sessions_differ = sessions.len() > 1;
        let list = view.alive.into_iter().map(|server| Server {
            ingest: holder == Some(server.number) || (mode == MqttMode::Embedded && server.here),
            number: server.number,
            name: server.name,
            started_at: server.started_at,
            silent_s: server.silent_ms / 1_000,
            here: server.here,
        });
        Self {
            list: list.collect(),
            ingest: view.holder.map(|holder| Holder {
                number: holder.number,
                here: holder.here,
                since: holder.since,
                renewed_ms: holder.renewed_ms,
            }),
            shares_broker: mode == MqttMode::External,
            not_alone: view.not_alone,
            sessions_differ,
        }
    }
}
