//! The only file that knows the broker library (mqtt5). README.md tells what was found in it.

use crate::{
    Admission, BrokerError, BrokerSettings, BrokerStats, Gate, Principal, Publish, Receipt, SignIn,
    limits::{CONNECTIONS_PER_ACCOUNT, MINUTE, OnceAMinute, nearly_full},
    presence::{Gone, Presence, SignedIn, Will},
    rules, self_test,
};
use futures_util::FutureExt;
use mqtt5::{
    QoS,
    broker::{
        BrokerShutdownHandle, MqttBroker,
        auth::{AuthProvider, AuthResult},
        config::{BrokerConfig, StorageBackend, StorageConfig},
        events::{BrokerEventHandler, ClientConnectEvent, ClientDisconnectEvent, ClientPublishEvent, PublishAction},
        router::MessageRouter,
    },
    packet::{connect::ConnectPacket, publish::PublishPacket},
    protocol::v5::reason_codes::ReasonCode,
};
use std::{
    future::Future,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How long a message under way may still be taken when the broker stops.
const STOP_GRACE: Duration = Duration::from_millis(500);
/// How long the whole stop may take; connections that never signed in are then cut off.
const STOP_LIMIT: Duration = Duration::from_millis(900);
/// How often it is looked how many are connected.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Where a message goes whose acknowledgement is withheld; nobody can subscribe to it.
const WITHHELD: &str = "$songhe/withheld";

#[derive(Default)]
struct Counters {
    received: AtomicU64,
    refused_sign_ins: AtomicU64,
    refused_topics: AtomicU64,
    withheld: AtomicU64,
    lost: AtomicU64,
}

struct Shared {
    gate: Arc<dyn Gate>,
    presence: Presence,
    counters: Counters,
    /// Accounts lately warned of, that they have too many connections.
    crowded: OnceAMinute,
    stopping: watch::Sender<bool>,
    /// Set right after the engine exists; its hooks run only later. Weak, because the router
    /// holds the hooks.
    router: OnceLock<Weak<MessageRouter>>,
    /// True until the self-test is over, whose refusals are not worth a warning.
    testing: AtomicBool,
}

/// Starts the broker and proves that strangers are refused.
///
/// # Errors
/// [`BrokerError::PortInUse`] if another program listens there, [`BrokerError::Bind`] and
/// [`BrokerError::Start`] for other obstacles, [`BrokerError::SelfTest`] if a stranger got in.
pub async fn start(settings: BrokerSettings, gate: Arc<dyn Gate>) -> Result<Broker, BrokerError> {
    let shared = Arc::new(Shared {
        gate,
        presence: Presence::default(),
        counters: Counters::default(),
        crowded: OnceAMinute::default(),
        stopping: watch::channel(false).0,
        router: OnceLock::new(),
        testing: AtomicBool::new(true),
    });
    let config = engine_config(&settings, Arc::clone(&shared));
    let engine = match MqttBroker::with_config(config).await {
        Ok(engine) => engine.with_auth_provider(Arc::new(Hooks(Arc::clone(&shared)))),
        Err(error) => return Err(start_error(settings.bind, &error.to_string()).await),
    };
    let _ = shared.router.set(Arc::downgrade(&engine.router()));
    let local_addr = engine.local_addr().ok_or_else(|| BrokerError::Start("no listening address".to_owned()))?;
    let broker = launch(engine, shared, local_addr).await?;
    if let Err(why) = self_test::run(local_addr).await {
        broker.stop().await;
        return Err(BrokerError::SelfTest(why));
    }
    broker.shared.testing.store(false, Relaxed);
    tokio::spawn(warn_when_nearly_full(Arc::clone(&broker.shared), settings.max_clients));
    tracing::info!(%local_addr, "MQTT broker listens");
    Ok(broker)
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

async fn launch(mut engine: MqttBroker, shared: Arc<Shared>, local_addr: SocketAddr) -> Result<Broker, BrokerError> {
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
    Ok(Broker { local_addr, shutdown, task, shared })
}

fn engine_config(settings: &BrokerSettings, shared: Arc<Shared>) -> BrokerConfig {
    let storage = match &settings.data_dir {
        Some(dir) => StorageConfig::default().with_backend(StorageBackend::File).with_base_dir(dir.clone()),
        None => StorageConfig::default().with_backend(StorageBackend::Memory),
    }
    .with_max_queued_messages_per_client(settings.max_queued_messages)
    .with_max_queued_bytes_per_client(settings.max_queued_bytes);
    // QoS 2 stays allowed, and no rate or retain limit is set: what the engine refuses by itself
    // it answers with an acknowledgement, and MQTT 3.1.1 cannot tell that from success.
    let mut config = BrokerConfig::default()
        .with_bind_address(settings.bind)
        .with_max_clients(settings.max_clients)
        .with_max_packet_size(settings.max_packet_bytes)
        .with_session_expiry(Duration::from_secs(settings.session_seconds.into()))
        .with_max_subscriptions_per_client(16)
        .with_storage(storage)
        .with_sys_topics_enabled(false);
    config.auth_config.allow_anonymous = true;
    config.event_handler = Some(Arc::new(Hooks(shared)));
    config
}

/// The engine reports a failed bind as text; trying the address ourselves tells the cause.
async fn start_error(bind: SocketAddr, engine_says: &str) -> BrokerError {
    match tokio::net::TcpListener::bind(bind).await {
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => BrokerError::PortInUse(bind),
        Err(source) => BrokerError::Bind { addr: bind, source },
        Ok(_) => BrokerError::Start(engine_says.to_owned()),
    }
}

/// A running broker. Dropping it stops it without waiting.
pub struct Broker {
    local_addr: SocketAddr,
    shutdown: BrokerShutdownHandle,
    task: JoinHandle<Result<(), String>>,
    shared: Arc<Shared>,
}

impl Broker {
    /// The address it listens on, with the real port.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
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
        self.shared.stopping.send_replace(true);
        self.shutdown.shutdown();
        if tokio::time::timeout(STOP_LIMIT, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.shared.stopping.send_replace(true);
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
        }
    }
}

struct Hooks(Arc<Shared>);

impl Shared {
    fn router(&self) -> Option<Arc<MessageRouter>> {
        self.router.get().and_then(Weak::upgrade)
    }

    async fn sign_in(&self, connect: &ConnectPacket, peer: SocketAddr) -> AuthResult {
        let client_id = connect.client_id.as_str();
        let (Some(user), Some(password)) = (&connect.username, &connect.password) else {
            return self.refuse(client_id, peer, "no credential", ReasonCode::BadUsernameOrPassword);
        };
        if !rules::valid_name(user) || !rules::client_id_belongs(client_id, user) {
            let why = "the client id does not belong to the user";
            return self.refuse(client_id, peer, why, ReasonCode::ClientIdentifierNotValid);
        }
        let began = Instant::now();
        let asked = self.gate.sign_in(SignIn { client_id, user, password, peer });
        let who = match AssertUnwindSafe(asked).catch_unwind().await {
            Ok(Admission::Device) => Principal::Device(user.clone()),
            Ok(Admission::Gateway { base_topic }) => Principal::Gateway { name: user.clone(), base_topic },
            Ok(Admission::Server) => Principal::Server(user.clone()),
            Ok(Admission::Refused) => {
                let why = "wrong user name or password";
                return self.refuse(client_id, peer, why, ReasonCode::BadUsernameOrPassword);
            }
            Ok(Admission::Unavailable) | Err(_) => {
                let why = "the credential cannot be checked now";
                return self.refuse(client_id, peer, why, ReasonCode::ServerUnavailable);
            }
        };
        if let Some(will) = &connect.will
            && !self.gate.may_publish(&who, &will.topic)
        {
            let why = "the will goes to a topic that is not the client's own";
            return self.refuse(client_id, peer, why, ReasonCode::NotAuthorized);
        }
        let most = if matches!(who, Principal::Server(_)) { usize::MAX } else { CONNECTIONS_PER_ACCOUNT };
        let sign_in = SignedIn { began, peer: Some(peer), hears_reasons: connect.protocol_version >= 5 };
        if !self.presence.admit(client_id, user, most, sign_in) {
            self.counters.refused_sign_ins.fetch_add(1, Relaxed);
            if self.crowded.is_due(user, Instant::now()) {
                tracing::warn!(account = %user, client_id, %peer, most, "MQTT sign-in refused: too many connections of one account");
            }
            return AuthResult::fail(ReasonCode::QuotaExceeded);
        }
        AuthResult::success_with_user(who.to_user())
    }

    fn refuse(&self, client_id: &str, peer: SocketAddr, why: &str, code: ReasonCode) -> AuthResult {
        self.counters.refused_sign_ins.fetch_add(1, Relaxed);
        let own = client_id.starts_with(self_test::SELF_TEST_PREFIX) && self.testing.load(Relaxed);
        if !own {
            tracing::warn!(client_id, %peer, why, "MQTT sign-in refused");
        }
        AuthResult::fail(code)
    }

    /// Asks the gate, for at most [`STOP_GRACE`] once the broker is stopping.
    async fn take(&self, message: Publish<'_>) -> Receipt {
        let mut stopping = self.stopping.subscribe();
        if *stopping.borrow_and_update() {
            return Receipt::Retry;
        }
        let stopped = async {
            // The sender lives as long as `self`.
            let _ = stopping.wait_for(|stopping| *stopping).await;
            sleep(STOP_GRACE).await;
        };
        tokio::select! {
            biased;
            taken = AssertUnwindSafe(self.gate.on_publish(message)).catch_unwind() => {
                taken.unwrap_or(Receipt::Retry)
            }
            () = stopped => Receipt::Retry,
        }
    }

    async fn published(&self, event: ClientPublishEvent) -> PublishAction {
        self.counters.received.fetch_add(1, Relaxed);
        let Some(from) = event.user_id.as_deref().and_then(Principal::from_user) else {
            return self.withhold(&event).await;
        };
        // From MQTT 3.1.1 only: its messages come this far, see `authorize_publish`. The refusal is logged and counted.
        if !self.gate.may_publish(&from, &event.topic) {
            return match event.qos {
                QoS::AtMostOnce => PublishAction::Handled,
                _ => self.cut_off(&event.client_id).await,
            };
        }
        let message = Publish {
            from: &from,
            topic: &event.topic,
            payload: &event.payload,
            qos: event.qos as u8,
            retain: event.retain,
            will: false,
        };
        match self.take(message).await {
            Receipt::Accepted { deliver: false } => PublishAction::Handled,
            Receipt::Accepted { deliver: true } if event.retain => {
                let mut packet = PublishPacket::new(event.topic.to_string(), event.payload, event.qos);
                packet.packet_id = event.packet_id;
                PublishAction::Transform(packet)
            }
            Receipt::Accepted { deliver: true } => PublishAction::Continue,
            Receipt::Retry => self.withhold(&event).await,
        }
    }

    async fn withhold(&self, event: &ClientPublishEvent) -> PublishAction {
        let client_id = &*event.client_id;
        if event.qos == QoS::AtMostOnce {
            self.counters.lost.fetch_add(1, Relaxed);
            tracing::warn!(client_id, topic = %event.topic, "QoS 0 message lost");
            return PublishAction::Handled;
        }
        self.counters.withheld.fetch_add(1, Relaxed);
        tracing::warn!(client_id, topic = %event.topic, "MQTT message not acknowledged");
        self.cut_off(client_id).await
    }

    /// The engine has no way to answer nothing, but it answers a message of QoS 0 with nothing:
    /// so the message is exchanged for one. Removing the client's entry ends its connection, and
    /// the device repeats what was not acknowledged when it is back.
    async fn cut_off(&self, client_id: &str) -> PublishAction {
        if let Some(router) = self.router() {
            router.disconnect_client(client_id).await;
        }
        PublishAction::Transform(PublishPacket::new(WITHHELD, Vec::new(), QoS::AtMostOnce))
    }

    /// The engine does not pass wills through its publish hook, so they are kept by us.
    async fn left(&self, event: ClientDisconnectEvent) {
        let Some(Gone { who, will, peer }) = self.presence.leave(&event.client_id) else {
            return;
        };
        if event.unexpected && !*self.stopping.borrow() {
            // The library tells no more than that.
            tracing::info!(
                client_id = &*event.client_id,
                account = who.name(),
                peer = peer.map(tracing::field::display),
                "MQTT connection broke off: network gone, silent for too long, or a packet too large or malformed"
            );
        }
        let told = AssertUnwindSafe(|| self.gate.on_connection(&who, false));
        let _ = std::panic::catch_unwind(told);
        let Some(will) = will.filter(|_| event.unexpected && !*self.stopping.borrow()) else {
            return;
        };
        let message = Publish {
            from: &who,
            topic: &will.topic,
            payload: &will.payload,
            qos: will.qos,
            retain: will.retain,
            will: true,
        };
        if self.take(message).await == Receipt::Retry {
            self.counters.lost.fetch_add(1, Relaxed);
            tracing::warn!(client_id = &*event.client_id, "will lost");
        }
    }

    fn came(&self, event: ClientConnectEvent) {
        let Some(who) = event.user_id.as_deref().and_then(Principal::from_user) else {
            return;
        };
        let will = event.will_topic.map(|topic| Will {
            topic: topic.to_string(),
            payload: event.will_payload.map(|p| p.to_vec()).unwrap_or_default(),
            qos: event.will_qos.map_or(0, |qos| qos as u8),
            retain: event.will_retain.unwrap_or(false),
        });
        if self.presence.arrive(&event.client_id, who.clone(), will) {
            let told = AssertUnwindSafe(|| self.gate.on_connection(&who, true));
            let _ = std::panic::catch_unwind(told);
        }
    }

    fn allowed(&self, user: Option<&str>, topic: &str, rule: impl Fn(&Principal, &str) -> bool) -> bool {
        let who = user.and_then(Principal::from_user);
        let allowed = who.as_ref().is_some_and(|who| rule(who, topic));
        if !allowed {
            self.counters.refused_topics.fetch_add(1, Relaxed);
            let user = who.as_ref().map_or("", Principal::name);
            tracing::warn!(user, topic, "MQTT topic refused");
        }
        allowed
    }
}

impl AuthProvider for Hooks {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        peer: SocketAddr,
    ) -> Boxed<'a, mqtt5::Result<AuthResult>> {
        Box::pin(async move { Ok(self.0.sign_in(connect, peer).await) })
    }

    /// What is refused here is acknowledged, with a reason. MQTT 3.1.1 would believe it delivered, so its messages pass
    /// and [`Shared::published`] ends the connection instead. Wills were checked at sign-in.
    fn authorize_publish<'a>(&'a self, client_id: &str, user: Option<&'a str>, topic: &'a str) -> Boxed<'a, bool> {
        let gate = &self.0.gate;
        let allowed = self.0.allowed(user, topic, |who, topic| gate.may_publish(who, topic))
            || self.0.presence.hears_no_reasons(client_id);
        Box::pin(std::future::ready(allowed))
    }

    fn authorize_subscribe<'a>(&'a self, _client_id: &str, user: Option<&'a str>, filter: &'a str) -> Boxed<'a, bool> {
        let gate = &self.0.gate;
        let allowed = self.0.allowed(user, filter, |who, filter| gate.may_subscribe(who, filter));
        Box::pin(std::future::ready(allowed))
    }
}

impl BrokerEventHandler for Hooks {
    fn on_client_connect<'a>(&'a self, event: ClientConnectEvent) -> Boxed<'a, ()> {
        self.0.came(event);
        Box::pin(std::future::ready(()))
    }

    fn on_client_publish<'a>(&'a self, event: ClientPublishEvent) -> Boxed<'a, PublishAction> {
        Box::pin(self.0.published(event))
    }

    fn on_client_disconnect<'a>(&'a self, event: ClientDisconnectEvent) -> Boxed<'a, ()> {
        Box::pin(self.0.left(event))
    }
}
