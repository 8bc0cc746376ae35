//! What runs beside the pages: the way to the devices, and whatever tends the database.

use std::sync::Arc;

use songhe_broker::{Broker, BrokerError, BrokerSettings, TlsSettings};
use songhe_devices::link::{Lane, LinkSettings, LinkState};
use songhe_devices::outlet::Outlet;
use songhe_devices::{Ingest, history, link_commands};
use songhe_kernel::http::App;
use songhe_kernel::servers::Servers;
use songhe_kernel::vault::SealedColumn;
use songhe_kernel::{Database, audit};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::assembly::{PORTS_TRIED, StartError, adapters};
use crate::brokers::mosquitto;
use crate::certificates::Certificates;
use crate::config::{Config, MqttMode};
use crate::disk::Disk;
use crate::mqtt::{CommandWay, DeviceGate, ServerAccount, let_go_of_old_credentials, made_lately};
use crate::system::System;
use crate::turns::Links;
use crate::{heartbeat, keys, open_files};

/// Largest packet at the embedded broker: the inventory of a gateway with a hundred devices. Devices have less, see
/// `src/mqtt.rs`.
const MAX_PACKET_BYTES: usize = 1024 * 1024;

/// What background work is made of, and the work itself.
pub(crate) struct Background<'a> {
    pub(crate) db: &'a Database,
    pub(crate) config: &'a Config,
    pub(crate) system: &'a Arc<System>,
    pub(crate) servers: Option<&'a Servers>,
    pub(crate) certificates: &'a Arc<Certificates>,
    pub(crate) stopped: watch::Receiver<bool>,
    pub(crate) links: JoinSet<()>,
}

impl Background<'_> {
    /// Starts the embedded broker, or the connections to one elsewhere. `number` is this server's among those on the
    /// database.
    pub(crate) async fn reach_devices(
        &mut self,
        ingest: &Arc<Ingest>,
        outlet: &Outlet,
        number: u16,
        next_free: bool,
    ) -> Result<Option<Broker>, StartError> {
        let (db, config, stopped) = (self.db, self.config, &self.stopped);
        match config.mqtt.mode {
            MqttMode::Embedded => {
                let credentials = made_lately(db).await.unwrap_or_default();
                let broker = start_broker(db, ingest, config, self.certificates, next_free).await?;
                self.system.watch_broker(&broker);
                outlet.open(Arc::new(CommandWay(broker.publisher())));
                let old = let_go_of_old_credentials(db.clone(), broker.publisher(), credentials, stopped.clone());
                self.links.spawn(old);
                Ok(Some(broker))
            }
            MqttMode::External => {
                if let Some(files) = mosquitto::Files::of(&config.mqtt) {
                    self.links.spawn(files.keep(db.clone(), stopped.clone()));
                }
                let shared = shared_links(db, config);
                let (commands, asked) = link_commands::pair();
                outlet.open(Arc::new(commands));
                // Each server sends commands: a name of its own.
                let own = format!("commands-{number}");
                self.links.spawn(link_commands::run(shared.settings.clone(), own, asked, stopped.clone()));
                self.system.watch_links(shared.states.clone());
                match self.servers {
                    Some(servers) => self.links.spawn(shared.run_in_turns(servers.peers(), stopped.clone())),
                    None => self.links.spawn(shared.run(ingest.clone(), stopped.clone())),
                };
                Ok(None)
            }
            MqttMode::Off => Ok(None),
        }
    }

    /// Starts what looks after room, certificates, backups, keys, the audit log and observations.
    pub(crate) fn tend(&mut self, app: &Arc<App>, sealed: Vec<&'static SealedColumn>) -> Result<(), StartError> {
        let (db, config, stopped) = (self.db, self.config, &self.stopped);
        if let Some(disk) = Disk::of(config) {
            self.links.spawn(disk.keep(db.clone(), stopped.clone()));
        }
        self.system.watch_certificates(self.certificates.clone());
        self.links.spawn(self.certificates.clone().keep(stopped.clone()));
        if let Some(routine) = self.system.routine() {
            self.links.spawn(routine.run(db.clone(), stopped.clone()));
        }
        self.links.spawn(keys::keep(db.clone(), config.clone(), sealed, stopped.clone()));
        self.links.spawn(keep_audit(db.clone(), config, self.servers, stopped.clone())?);
        self.links.spawn(history::run(db.clone(), keep(config), stopped.clone()));
        self.links.spawn(self.system.clone().watch_database(db.clone(), stopped.clone()));
        self.links.spawn(heartbeat::run(config.heartbeat.clone(), app.clone(), stopped.clone()));
        Ok(())
    }
}

/// Seals and keeps the audit log, on the one server that speaks for all.
fn keep_audit(
    db: Database,
    config: &Config,
    servers: Option<&Servers>,
    stop: watch::Receiver<bool>,
) -> Result<impl Future<Output = ()> + Send + use<>, StartError> {
    let (keeping, peers) = (config.keeping()?, servers.map(Servers::peers));
    let my_turn = move || peers.as_ref().is_none_or(|peers| peers.view().speaks());
    Ok(audit::keep(db, keeping, my_turn, stop))
}

/// For how long observations are kept.
pub(crate) fn keep(config: &Config) -> history::Keep {
    let crate::config::Retention { readings_days, events_days, emergencies_days, hourly_days, daily_days } =
        config.retention;
    history::Keep { readings_days, events_days, emergencies_days, hourly_days, daily_days }
}

async fn start_broker(
    db: &Database,
    ingest: &Arc<Ingest>,
    config: &Config,
    certificates: &Certificates,
    next_free: bool,
) -> Result<Broker, StartError> {
    let gate = DeviceGate::new(db.clone(), ingest.clone(), ServerAccount::random());
    let mqtt = &config.mqtt;
    let mut settings = BrokerSettings::new(mqtt.listen);
    settings.data_dir = Some(mqtt.data_dir.clone());
    settings.max_clients = mqtt.max_clients;
    settings.max_waiting = open_files::room_for(mqtt.max_clients, mqtt.max_waiting);
    settings.max_packet_bytes = MAX_PACKET_BYTES;
    settings.rates = mqtt.rates();
    if let (Some(bind), Some((certificate, key))) = (mqtt.tls_listen, mqtt.tls_files(&config.tls)) {
        let mut server = certificates.serve(certificate, key)?;
        // The protocols of the pages are none of a device's.
        server.alpn_protocols.clear();
        settings.tls = Some(TlsSettings { bind, config: Arc::new(server) });
    }
    std::fs::create_dir_all(&mqtt.data_dir)
        .map_err(|error| StartError::Other(format!("{} cannot be created: {error}", mqtt.data_dir.display())))?;
    for _ in 0..PORTS_TRIED {
        match songhe_broker::start(settings.clone(), gate.clone()).await {
            Ok(broker) => {
                gate.answer_by(broker.publisher());
                return Ok(broker);
            }
            Err(BrokerError::PortInUse(address)) if next_free && address == settings.bind => {
                settings.bind.set_port(address.port().wrapping_add(1));
            }
            Err(BrokerError::PortInUse(address)) => return Err(StartError::PortInUse(address)),
            Err(error) => return Err(StartError::Broker(error)),
        }
    }
    Err(StartError::PortInUse(mqtt.listen))
}

/// Every connection to an external broker.
fn shared_links(db: &Database, config: &Config) -> Links {
    let settings = LinkSettings {
        host: config.mqtt.host.clone(),
        port: config.mqtt.port,
        username: config.mqtt.username.clone(),
        password: config.mqtt.password.clone(),
        client_id: config.mqtt.client_id.clone(),
        limits: config.mqtt.limits(),
    };
    let gateways = adapters().iter().any(|adapter| adapter.manifest().gateways);
    let lanes = [Lane::Emergency, Lane::Telemetry, Lane::Gateways];
    let states = lanes.into_iter().filter(|lane| *lane != Lane::Gateways || gateways);
    let states = states.map(|lane| (lane, Arc::new(LinkState::default()))).collect();
    Links { settings, db: db.clone(), states }
}
