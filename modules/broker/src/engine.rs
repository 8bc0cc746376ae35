//! Starts and ends the engine (mqtt5) and gives it connections. README.md tells what was found in it.

use crate::{
    BrokerError, BrokerSettings, BrokerStats, Gate, LoudAccount,
    front::{self, Door},
    hooks::{Counters, Hooks, Inside, Shared},
    limits::{MINUTE, OnceAMinute, nearly_full},
    presence::Presence,
    rates::{NAMED, Rates},
    self_test,
    sessions::Sessions,
    waiting::{Ticket, Waiting},
};
use mqtt5::{
    QoS,
    broker::{
        BrokerShutdownHandle, MqttBroker,
        client_handler::ClientHandler,
        config::{BrokerConfig, StorageBackend as Backend, StorageConfig},
        resource_monitor::ResourceLimits,
        storage::StorageBackend,
        tls_acceptor::TlsStreamWrapper,
        transport::BrokerTransport,
    },
    packet::publish::PublishPacket,
};
use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    sync::{broadcast, watch},
    task::JoinHandle,
    time::{sleep, timeout_at},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long the whole stop may take; connections are then cut off.
const STOP_LIMIT: Duration = Duration::from_millis(900);
/// The part of it that connections have.
const CONNECTIONS_STOP: Duration = Duration::from_millis(700);
/// How often it is looked how many are connected.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Messages of QoS 2 that one client may have begun and not ended.
const UNFINISHED: u16 = 200;

/// Starts the broker and proves that strangers are refused.
///
/// # Errors
/// [`BrokerError::PortInUse`] if another program listens there, [`BrokerError::Bind`] and
/// [`BrokerError::Start`] for other obstacles, [`BrokerError::SelfTest`] if a stranger got in.
pub async fn start(settings: BrokerSettings, gate: Arc<dyn Gate>) -> Result<Broker, BrokerError> {
    let plain = front::listen(settings.bind)?;
    let tls = settings.tls.as_ref().map(|tls| front::listen(tls.bind)).transpose()?;
    let shared = Arc::new(Shared {
        gate,
        presence: Presence::default(),
        counters: Counters::default(),
        rates: Rates::new(settings.rates),
        sessions: Sessions::default(),
        waiting: Arc::new(Waiting::new(settings.max_waiting)),
        most: settings.max_clients,
        warned: OnceAMinute::default(),
        stopping: watch::channel(false).0,
        inside: OnceLock::new(),
        testing: AtomicBool::new(true),
    });
    let engine = MqttBroker::with_config(engine_config(&settings, Arc::clone(&shared)))
        .await
        .map_err(|error| BrokerError::Start(error.to_string()))?
        .with_auth_provider(Arc::new(Hooks { shared: Arc::clone(&shared), ticket: None }));
    // The engine insists on a listener of its own: it turns everybody away. Connections come from our front.
    engine.resource_monitor().update_limits(ResourceLimits {
        max_connections: 0,
        max_connections_per_ip: 0,
        max_message_rate_per_client: 0,
        max_bandwidth_per_client: 0,
        max_connection_rate: 0,
        rate_limit_window: Duration::from_secs(1),
    });
    let _ = shared.inside.set(Inside {
        router: Arc::downgrade(&engine.router()),
        storage: engine.storage().as_ref().map(Arc::downgrade),
    });
    let connections = Arc::new(Connections::of(&engine, &settings, Arc::clone(&shared)));
    let (shutdown, task) = launch(engine).await?;
    remember_sessions(&connections, &shared).await;
    let local_addr = plain.local_addr().map_err(|source| BrokerError::Bind { addr: settings.bind, source })?;
    let tls_addr = tls.as_ref().and_then(|listener| listener.local_addr().ok());
    let mut doors = vec![tokio::spawn(front::run(plain, Door::Plain, Arc::clone(&connections), Arc::clone(&shared)))];
    if let (Some(listener), Some(settings)) = (tls, &settings.tls) {
        let door = Door::Tls(TlsAcceptor::from(Arc::clone(&settings.config)));
        doors.push(tokio::spawn(front::run(listener, door, Arc::clone(&connections), Arc::clone(&shared))));
    }
    let broker = Broker { local_addr, tls_addr, shutdown, task, doors, connections, shared };
    if let Err(why) = self_test::run(local_addr).await {
        broker.stop().await;
        return Err(BrokerError::SelfTest(why));
    }
    broker.shared.testing.store(false, Relaxed);
    tokio::spawn(warn_when_nearly_full(Arc::clone(&broker.shared), settings.max_clients));
    tokio::spawn(tell_every_minute(Arc::clone(&broker.shared)));
    tracing::info!(%local_addr, tls = tls_addr.map(tracing::field::display), "MQTT broker listens");
    Ok(broker)
}

/// What is stored from before counts against its account.
async fn remember_sessions(connections: &Connections, shared: &Shared) {
    let Some(storage) = &connections.storage else { return };
    match storage.session_client_ids().await {
        Ok(stored) => {
            for client_id in stored {
                for old in shared.sessions.seen(&client_id, |other| shared.presence.has(other)) {
                    shared.forget(&old).await;
                }
            }
        }
        Err(error) => tracing::warn!(%error, "stored MQTT sessions were not counted"),
    }
}

/// Once a minute: who was too loud, and how many connections ended before they signed in.
async fn tell_every_minute(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    let mut turned_away = 0;
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = sleep(MINUTE) => {}
        }
        let loud = shared.rates.close_minute(Instant::now());
        for one in loud.iter().take(NAMED) {
            tracing::warn!(
                account = one.account,
                delayed = one.delayed,
                dropped = one.dropped,
                "MQTT account over its rate"
            );
        }
        if loud.len() > NAMED {
            tracing::warn!(accounts = loud.len() - NAMED, "further MQTT accounts over their rate");
        }
        let now = shared.counters.turned_away.load(Relaxed);
        if now > turned_away {
            let count = now - turned_away;
            tracing::warn!(
                count,
                "MQTT connections ended before they signed in: silent, no MQTT, too large, or too many"
            );
        }
        turned_away = now;
    }
}

/// Once a minute as long as it is so: the engine asks us nothing about connections it has no room for.
async fn warn_when_nearly_full(shared: Arc<Shared>, most: usize) {
    let mut stopping = shared.stopping.subscribe();
    let mut pause = LOOK_EVERY;
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = sleep(pause) => {}
        }
        let connected = shared.presence.len();
        pause = LOOK_EVERY;
        if nearly_full(connected, most) {
            tracing::warn!(connected, most, "MQTT connections nearly or all taken; further devices are turned away");
            pause = MINUTE;
        }
    }
}

type Engine = JoinHandle<Result<(), String>>;

async fn launch(mut engine: MqttBroker) -> Result<(BrokerShutdownHandle, Engine), BrokerError> {
    let shutdown = engine.shutdown_handle();
    let mut ready = engine.ready_receiver();
    let task = tokio::spawn(async move { engine.run().await.map_err(|e| e.to_string()) });
    if ready.wait_for(|ready| *ready).await.is_err() {
        let why = match task.await {
            Ok(Err(why)) => why,
            _ => "it stopped while starting".to_owned(),
        };
        return Err(BrokerError::Start(why));
    }
    Ok((shutdown, task))
}

/// A connection that is about to speak to the engine.
pub enum Stream {
    Plain(TcpStream),
    /// With the engine's own limit for its first packet, or with a small one because it could not be looked at.
    Tls(Box<TlsStream<TcpStream>>, bool),
}

/// What every connection's handler in the engine is made of.
pub struct Connections {
    router: Arc<mqtt5::broker::router::MessageRouter>,
    storage: Option<Arc<mqtt5::broker::DynamicStorage>>,
    stats: Arc<mqtt5::broker::sys_topics::BrokerStats>,
    monitor: Arc<mqtt5::broker::ResourceMonitor>,
    config: Arc<BrokerConfig>,
    /// For a client that may not send large packets.
    small: Arc<BrokerConfig>,
    shared: Arc<Shared>,
    ending: broadcast::Sender<()>,
}

impl Connections {
    fn of(engine: &MqttBroker, settings: &BrokerSettings, shared: Arc<Shared>) -> Self {
        let config = engine_config(settings, Arc::clone(&shared));
        let small = config.clone().with_max_packet_size(settings.max_packet_bytes.min(front::SMALL_PACKET_BYTES));
        Self {
            router: engine.router(),
            storage: engine.storage(),
            stats: engine.stats(),
            monitor: engine.resource_monitor(),
            config: Arc::new(config),
            small: Arc::new(small),
            shared,
            ending: broadcast::channel(1).0,
        }
    }

    /// Serves a connection until it ends.
    pub fn serve(&self, stream: Stream, peer: SocketAddr, ticket: Arc<Ticket>) -> impl Future<Output = ()> + use<> {
        let (transport, config) = match stream {
            Stream::Plain(stream) => (BrokerTransport::tcp(stream), &self.config),
            Stream::Tls(stream, small) => {
                let config = if small { &self.small } else { &self.config };
                (BrokerTransport::tls(TlsStreamWrapper::new(*stream)), config)
            }
        };
        let handler = ClientHandler::new(
            transport,
            peer,
            Arc::clone(config),
            Arc::clone(&self.router),
            Arc::new(Hooks { shared: Arc::clone(&self.shared), ticket: Some(ticket) }),
            self.storage.clone(),
            Arc::clone(&self.stats),
            Arc::clone(&self.monitor),
            self.ending.subscribe(),
        );
        async move {
            if let Err(error) = handler.run().await {
                tracing::debug!(%peer, %error, "MQTT connection ended");
            }
        }
    }
}

fn engine_config(settings: &BrokerSettings, shared: Arc<Shared>) -> BrokerConfig {
    let storage = match &settings.data_dir {
        Some(dir) => StorageConfig::default().with_backend(Backend::File).with_base_dir(dir.clone()),
        None => StorageConfig::default().with_backend(Backend::Memory),
    }
    .with_max_queued_messages_per_client(settings.max_queued_messages)
    .with_max_queued_bytes_per_client(settings.max_queued_bytes);
    // QoS 2 stays allowed, and no rate or retain limit is set: what the engine refuses by itself
    // it answers with an acknowledgement, and MQTT 3.1.1 cannot tell that from success.
    let mut config = BrokerConfig::default()
        .with_bind_address(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .with_max_packet_size(settings.max_packet_bytes)
        .with_session_expiry(Duration::from_secs(settings.session_seconds.into()))
        .with_max_subscriptions_per_client(16)
        .with_storage(storage)
        .with_sys_topics_enabled(false);
    config.server_receive_maximum = Some(UNFINISHED);
    config.auth_config.allow_anonymous = true;
    config.event_handler = Some(Arc::new(Hooks { shared, ticket: None }));
    config
}

/// A running broker. Dropping it stops it without waiting.
pub struct Broker {
    local_addr: SocketAddr,
    tls_addr: Option<SocketAddr>,
    shutdown: BrokerShutdownHandle,
    task: Engine,
    doors: Vec<JoinHandle<()>>,
    connections: Arc<Connections>,
    shared: Arc<Shared>,
}

impl Broker {
    /// The address it listens on, with the real port.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address of its TLS listener, with the real port, if it has one.
    #[must_use]
    pub const fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls_addr
    }

    /// A handle to send messages with; cheap to clone.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        Publisher { shared: Arc::clone(&self.shared) }
    }

    /// Numbers of this moment.
    #[must_use]
    pub fn stats(&self) -> BrokerStats {
        self.publisher().stats()
    }

    /// True unless the broker has ended by itself, which it does not do in health.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// Closes all connections and ends, in less than a second. A message that the gate is taking
    /// has half a second; after that it is not acknowledged and its device repeats it. Wills are
    /// not sent.
    pub async fn stop(mut self) {
        let (all, connections) =
            (tokio::time::Instant::now() + STOP_LIMIT, tokio::time::Instant::now() + CONNECTIONS_STOP);
        self.end_connections();
        for door in &mut self.doors {
            // Its connections end with it.
            if timeout_at(connections, &mut *door).await.is_err() {
                door.abort();
            }
        }
        self.shutdown.shutdown();
        if timeout_at(all, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }

    fn end_connections(&self) {
        self.shared.stopping.send_replace(true);
        // Nobody is connected: nobody hears it.
        let _ = self.connections.ending.send(());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.end_connections();
        self.shutdown.shutdown();
    }
}

/// Sends messages to connected clients from inside the process.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

impl Publisher {
    /// Sends a message with QoS 1 to all subscribers of a topic, without retaining it. Absent
    /// clients with a session get it when they are back. Rules and gate are not asked.
    pub async fn publish(&self, topic: &str, payload: Vec<u8>) {
        if let Some(router) = self.shared.router() {
            let packet = PublishPacket::new(topic, payload, QoS::AtLeastOnce);
            router.route_message(&packet, None).await;
        }
    }

    /// Who sent more than allowed in this minute and the last whole one, the loudest first.
    #[must_use]
    pub fn loud_accounts(&self) -> Vec<LoudAccount> {
        self.shared.rates.loud()
    }

    /// Whether a user has a connection now.
    #[must_use]
    pub fn is_connected(&self, user: &str) -> bool {
        self.shared.presence.is_here(user)
    }

    /// Closes those of a user's connections whose sign-in began before a time: when the credential was replaced, by
    /// then. A sign-in that is under way is not among them yet: ask a second time, when it must be over.
    pub async fn disconnect_older(&self, user: &str, than: Instant) {
        if let Some(router) = self.shared.router() {
            for client_id in self.shared.presence.older_clients_of(user, than) {
                tracing::info!(client_id, "MQTT connection closed: its credential was replaced");
                router.disconnect_client(&client_id).await;
            }
        }
    }

    /// Numbers of this moment.
    #[must_use]
    pub fn stats(&self) -> BrokerStats {
        let counters = &self.shared.counters;
        BrokerStats {
            connected: self.shared.presence.len(),
            received: counters.received.load(Relaxed),
            refused_sign_ins: counters.refused_sign_ins.load(Relaxed),
            refused_topics: counters.refused_topics.load(Relaxed),
            withheld: counters.withheld.load(Relaxed),
            lost: counters.lost.load(Relaxed),
            delayed: counters.delayed.load(Relaxed),
            dropped: counters.dropped.load(Relaxed),
            waiting: self.shared.waiting.len(),
            turned_away: counters.turned_away.load(Relaxed),
        }
    }
}
