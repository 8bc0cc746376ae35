//! The one hand-written list of modules and adapters, and the start and end of a server.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use songhe_adapter_core::DeviceAdapter;
use songhe_broker::{Broker, BrokerError};
use songhe_devices::device_tests::OverdueTests;
use songhe_devices::history;
use songhe_devices::outlet::Outlet;
use songhe_devices::{DevicePanels, Devices, Ingest};
use songhe_incidents::figures::notes::ReportNotes;
use songhe_incidents::{Boards, IncidentPanels, Incidents, IncidentsHome};
use songhe_kernel::http::{App, DemoAccount, HttpSettings, Parts};
use songhe_kernel::runtime::{Opened, Runtime};
use songhe_kernel::servers::{Intake, Introduction, Servers};
use songhe_kernel::{Database, Module, Modules, SharedClock};
use songhe_registry::{MyShifts, Panels, Registry};
use tokio::sync::watch;

use crate::audit_log::AuditLog;
use crate::background::Background;
use crate::certificates::Certificates;
use crate::config::{Config, MqttMode};
use crate::http::Listener;
use crate::opening::lock_file;
pub use crate::opening::open_database;
use crate::system::System;
use crate::{keys, open_files, tls};

/// How many ports after the configured one are tried, where that is wanted.
pub(crate) const PORTS_TRIED: u16 = 50;

/// Two servers on one database need one broker.
const NOT_SHARED: &str = "Another Songhe is running on this database, and one of both has the embedded broker, which \
                          cannot be shared. Stop it, or give all servers mqtt.mode = \"external\" and the same broker \
                          (README.md, Several servers).";

/// Why a server did not start, in a sentence for whoever started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0} is in use by another program. Stop that program, or choose another port in the configuration.")]
    PortInUse(SocketAddr),
    #[error("{0}")]
    Config(#[from] crate::config::ConfigError),
    #[error("{0}")]
    Tls(#[from] tls::TlsError),
    #[error("{0}")]
    Broker(BrokerError),
    #[error("The database cannot be used: {0}")]
    Database(#[from] songhe_kernel::Error),
    #[error("Cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    #[error("{0}")]
    Other(String),
}

/// What a start may do beyond its configuration.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// A port in use: the next free one.
    pub next_free_port: bool,
    /// Shown on the sign-in page.
    pub demo_accounts: Vec<DemoAccount>,
}

/// All adapters of this build.
pub fn adapters() -> Vec<Arc<dyn DeviceAdapter>> {
    vec![
        #[cfg(feature = "songhe-mqtt")]
        Arc::new(songhe_adapter_mqtt::SongheMqtt),
        #[cfg(feature = "zigbee2mqtt")]
        Arc::new(songhe_adapter_zigbee2mqtt::Zigbee2Mqtt),
    ]
}

/// Names of the scenario modules of this build.
pub fn scenarios() -> Vec<&'static str> {
    vec![
        #[cfg(feature = "care-beds")]
        "care-beds",
    ]
}

/// A running server.
pub struct Server {
    pub app: Arc<App>,
    pub db: Database,
    pub ingest: Arc<Ingest>,
    /// `http://127.0.0.1:8700`.
    pub url: String,
    /// Address of the embedded broker, if there is one.
    pub mqtt: Option<SocketAddr>,
    /// Address of its TLS listener, if it has one.
    pub mqtts: Option<SocketAddr>,
    listener: Listener,
    broker: Option<Broker>,
    links: tokio::task::JoinSet<()>,
    /// This one among others on the database; `None` on SQLite.
    servers: Option<Servers>,
    runtime: Runtime,
    stop: watch::Sender<bool>,
    /// Held as long as the server runs.
    _only_server: Option<File>,
}

impl Server {
    /// Starts everything: database, modules, broker or link, background work, HTTP.
    ///
    /// # Errors
    /// [`StartError`], with a sentence that tells the mend; nothing is left running.
    pub async fn start(config: &Config, clock: SharedClock, options: StartOptions) -> Result<Self, StartError> {
        let opened = open_database(config, clock).await?;
        Self::start_on(opened, config, options).await
    }

    /// Starts on an opened database.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_on(opened: Opened, config: &Config, options: StartOptions) -> Result<Self, StartError> {
        open_files::raise();
        // Before anything is written: a second server on one SQLite file would take over the first one's boards.
        let only_server = lock_file(&config.database.url)?;
        tls::install_provider();
        let certificates = Arc::new(Certificates::default());
        let tls = match (&config.tls.certificate, &config.tls.key) {
            (Some(certificate), Some(key)) => Some(certificates.serve(certificate, key)?),
            _ => None,
        };
        let db = opened.db.clone();
        let socket = bind(config.server.listen, options.next_free_port)?;
        let servers = join_servers(&opened, config, &socket).await?;
        let (stop, stopped) = watch::channel(false);
        history::prepare(&db).await?;
        let ingest = Ingest::start(db.clone(), adapters());
        let system = System::new(config);
        let outlet = Outlet::default();
        let modules = modules(config, &db, system.clone(), outlet.clone())?;
        let sealed = keys::columns(&modules);
        keys::convert(&db, &sealed, &config.database.url).await?;
        let app = App::assemble(Parts {
            db: db.clone(),
            modules: modules.clone(),
            settings: HttpSettings {
                public_url: config.server.public_url.clone(),
                trusted_proxies: config.server.trusted_proxies.clone(),
                metrics_token: config.metrics.token.clone(),
                zone: config.zone()?,
                demo_accounts: options.demo_accounts.clone(),
                passwords: config.accounts.rules(),
            },
            shutdown: stopped.clone(),
        })?;
        join_seams(&app).await?;
        if let Some(servers) = &servers {
            servers.follow(&app);
            system.watch_peers(servers.peers());
        }
        ensure_schedules(&db, modules.clone(), config.zone()?).await?;
        let runtime = Runtime::start(&opened, modules).await?;
        let mut background = Background {
            db: &db,
            config,
            system: &system,
            servers: servers.as_ref(),
            certificates: &certificates,
            stopped,
            links: tokio::task::JoinSet::new(),
        };
        let broker = background.reach_devices(&ingest, &outlet, opened.number, options.next_free_port).await?;
        background.tend(&app, sealed)?;
        let links = background.links;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = Listener::start(socket, app.clone(), config.server.workers, tls)
            .map_err(|error| StartError::Listen(config.server.listen, error))?;
        let url = format!("{scheme}://{}", listener.address);
        let mqtt = broker.as_ref().map(Broker::local_addr);
        let mqtts = broker.as_ref().and_then(Broker::tls_addr);
        Ok(Self {
            app,
            db,
            ingest,
            url,
            mqtt,
            mqtts,
            listener,
            broker,
            links,
            servers,
            runtime,
            stop,
            _only_server: only_server,
        })
    }

    /// Stops: streams end, then HTTP, then the broker, then the loops. Within 3 s, whatever hangs.
    pub async fn stop(self) {
        let started = Instant::now();
        let _ = self.stop.send(true);
        let mut links = self.links;
        let orderly = async {
            let broker = async {
                if let Some(broker) = self.broker {
                    broker.stop().await;
                }
            };
            // The links end by themselves and first, so that another server takes their turn at once.
            let taken_over = async {
                let ended = async { while links.join_next().await.is_some() {} };
                let _ = tokio::time::timeout(Duration::from_secs(1), ended).await;
                links.shutdown().await;
                if let Some(servers) = &self.servers {
                    servers.hand_over();
                }
            };
            tokio::join!(self.listener.stop(), broker, self.runtime.stop(), taken_over);
            if let Some(servers) = self.servers {
                servers.leave().await;
            }
        };
        if tokio::time::timeout(Duration::from_millis(2_800), orderly).await.is_err() {
            tracing::warn!("not everything ended in time; what was under way is in the database");
        }
        tracing::info!(ms = started.elapsed().as_millis() as u64, "stopped");
    }
}

/// Every module of this build, in the order of their floors.
fn modules(config: &Config, db: &Database, system: Arc<System>, outlet: Outlet) -> songhe_kernel::Result<Modules> {
    let broker = match config.mqtt.mode {
        MqttMode::External => format!("mqtt://{}:{}", config.mqtt.host, config.mqtt.port),
        _ => match config.mqtt.tls_listen {
            Some(address) => format!("mqtts://{address}"),
            None => format!("mqtt://{}", config.mqtt.listen),
        },
    };
    let all: Vec<Arc<dyn Module>> = vec![
        Arc::new(Registry),
        Arc::new(Incidents::with_mail(db.clone(), config.mail.settings().as_ref())?),
        Arc::new(Devices::new(adapters(), broker).with_outlet(outlet)),
        #[cfg(feature = "care-beds")]
        Arc::new(songhe_care_beds::CareBeds),
        Arc::new(AuditLog),
        system,
    ];
    Ok(Modules::new(all))
}

/// What modules add to pages and streams of floors below them.
async fn join_seams(app: &Arc<App>) -> songhe_kernel::Result<()> {
    app.add_home_part(Arc::new(IncidentsHome));
    app.add_home_part(Arc::new(MyShifts));
    app.add_home_part(Arc::new(OverdueTests));
    app.extend(Arc::new(ReportNotes(vec![Arc::new(OverdueTests)])));
    app.extend(Arc::new(Panels(vec![Arc::new(IncidentPanels), Arc::new(DevicePanels)])));
    app.live.listen(Boards::start(app.db.clone()).await?);
    Ok(())
}

/// The next tick of every schedule, at every facility in its own zone.
async fn ensure_schedules(db: &Database, modules: Modules, zone: chrono_tz::Tz) -> Result<(), StartError> {
    db.write(move |tx| {
        let mut facilities = Vec::new();
        for facility in songhe_registry::facilities(tx.db())? {
            facilities.push((facility.id, facility.tz()?));
        }
        songhe_kernel::schedules::ensure(tx, &modules, &facilities, zone)
    })
    .await?;
    Ok(())
}

fn bind(wanted: SocketAddr, next_free: bool) -> Result<TcpListener, StartError> {
    let mut address = wanted;
    for _ in 0..PORTS_TRIED {
        match TcpListener::bind(address) {
            Ok(socket) => return Ok(socket),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && next_free => {
                address.set_port(address.port().wrapping_add(1));
            }
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => break,
            Err(error) => return Err(StartError::Listen(wanted, error)),
        }
    }
    Err(StartError::PortInUse(wanted))
}

/// Makes this server known to the others on its database.
async fn join_servers(opened: &Opened, config: &Config, socket: &TcpListener) -> Result<Option<Servers>, StartError> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { config.server.listen.ip().to_string() } else { host.trim().to_owned() };
    let port = socket.local_addr().map_or(config.server.listen.port(), |address| address.port());
    let (intake, mqtt_session) = match config.mqtt.mode {
        MqttMode::Embedded => (Intake::Own, String::new()),
        MqttMode::External => (Intake::Shared, config.mqtt.client_id.clone()),
        MqttMode::Off => (Intake::None, String::new()),
    };
    let who = Introduction { name: format!("{host}:{port}"), intake, mqtt_session };
    match Servers::join(opened, &config.database.url, who).await {
        Err(songhe_kernel::Error::Conflict(_)) => Err(StartError::Other(NOT_SHARED.into())),
        joined => Ok(joined?),
    }
}
