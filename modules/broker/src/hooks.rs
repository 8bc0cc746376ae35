//! What the engine asks and tells us: sign-ins, topics, messages, comings and goings. With `engine.rs` the only file that
//! knows the broker library.

use crate::{
    Admission, Gate, Principal, Publish, Receipt, SignIn,
    limits::{CONNECTIONS_PER_ACCOUNT, OnceAMinute},
    presence::{Admitted, Gone, Presence, SignedIn, Will},
    rates::{Rates, Turn, Weighed},
    rules, self_test,
    sessions::Sessions,
    waiting::{Ticket, Waiting},
};
use futures_util::FutureExt;
use mqtt5::{
    QoS,
    broker::{
        auth::{AuthProvider, AuthResult},
        events::{BrokerEventHandler, ClientConnectEvent, ClientDisconnectEvent, ClientPublishEvent, PublishAction},
        router::MessageRouter,
        storage::{DynamicStorage, StorageBackend},
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
use tokio::{sync::watch, time::sleep};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How long a message under way may still be taken when the broker stops.
const STOP_GRACE: Duration = Duration::from_millis(500);
/// Where a message goes whose acknowledgement is withheld; nobody can subscribe to it.
const WITHHELD: &str = "$songhe/withheld";

#[derive(Default)]
pub struct Counters {
    pub received: AtomicU64,
    pub refused_sign_ins: AtomicU64,
    pub refused_topics: AtomicU64,
    pub withheld: AtomicU64,
    pub lost: AtomicU64,
    pub delayed: AtomicU64,
    pub dropped: AtomicU64,
    pub turned_away: AtomicU64,
}

/// The parts of the engine that its hooks use. Weak, because the engine holds the hooks.
pub struct Inside {
    pub router: Weak<MessageRouter>,
    pub storage: Option<Weak<DynamicStorage>>,
}

pub struct Shared {
    pub gate: Arc<dyn Gate>,
    pub presence: Presence,
    pub counters: Counters,
    pub rates: Rates,
    pub sessions: Sessions,
    /// Connections that have not signed in.
    pub waiting: Arc<Waiting>,
    /// Most signed-in clients.
    pub most: usize,
    /// Accounts and addresses lately warned of.
    pub warned: OnceAMinute,
    pub stopping: watch::Sender<bool>,
    /// Set right after the engine exists; its hooks run only later.
    pub inside: OnceLock<Inside>,
    /// True until the self-test is over, whose refusals are not worth a warning.
    pub testing: AtomicBool,
}

/// The engine's hooks; those of one connection know its place among those that wait.
pub struct Hooks {
    pub shared: Arc<Shared>,
    pub ticket: Option<Arc<Ticket>>,
}

impl Shared {
    pub fn router(&self) -> Option<Arc<MessageRouter>> {
        self.inside.get().and_then(|inside| inside.router.upgrade())
    }

    /// Forgets the sessions that are too many of one account.
    async fn keep_sessions_few(&self, client_id: &str) {
        let too_many = self.sessions.seen(client_id, |other| self.presence.has(other));
        for old in too_many {
            self.forget(&old).await;
            tracing::info!(client_id = old, "MQTT session forgotten: its account has newer ones");
        }
    }

    /// Forgets an absent client's session with what waits for it.
    pub async fn forget(&self, client_id: &str) {
        let Some(router) = self.router() else { return };
        // Nobody signs in under that client id meanwhile.
        let _slot = router.lock_session(client_id).await;
        if self.presence.has(client_id) {
            return;
        }
        router.unregister_client(client_id).await;
        router.queue_handle(client_id).clear(None);
        let storage = self.inside.get().and_then(|inside| inside.storage.as_ref()).and_then(Weak::upgrade);
        if let Some(storage) = storage {
            for removed in
                [storage.remove_all_inflight_messages(client_id).await, storage.remove_session(client_id).await]
            {
                if let Err(error) = removed {
                    tracing::warn!(client_id, %error, "MQTT session not forgotten");
                }
            }
        }
    }

    async fn sign_in(&self, connect: &ConnectPacket, peer: SocketAddr, ticket: Option<&Ticket>) -> AuthResult {
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
        let own = matches!(who, Principal::Server(_));
        let (account_most, most) = if own { (usize::MAX, usize::MAX) } else { (CONNECTIONS_PER_ACCOUNT, self.most) };
        let sign_in = SignedIn { began, peer: Some(peer), hears_reasons: connect.protocol_version >= 5 };
        match self.presence.admit(client_id, user, account_most, most, sign_in) {
            Admitted::Yes => {}
            Admitted::AccountFull => {
                self.counters.refused_sign_ins.fetch_add(1, Relaxed);
                if self.warned.is_due(user, Instant::now()) {
                    tracing::warn!(account = %user, client_id, %peer, most = account_most, "MQTT sign-in refused: too many connections of one account");
                }
                return AuthResult::fail(ReasonCode::QuotaExceeded);
            }
            Admitted::BrokerFull => {
                self.counters.refused_sign_ins.fetch_add(1, Relaxed);
                return AuthResult::fail(ReasonCode::QuotaExceeded);
            }
        }
        if !own {
            self.keep_sessions_few(client_id).await;
        }
        // From here on it may stay; one that was just sent away is gone in a moment.
        if ticket.is_some_and(|ticket| !ticket.pass()) {
            return AuthResult::fail(ReasonCode::ServerUnavailable);
        }
        AuthResult::success_with_user(who.to_user())
    }

    fn refuse(&self, client_id: &str, peer: SocketAddr, why: &str, code: ReasonCode) -> AuthResult {
        self.counters.refused_sign_ins.fetch_add(1, Relaxed);
        let own = client_id.starts_with(self_test::SELF_TEST_PREFIX) && self.testing.load(Relaxed);
        if !own && self.warned.is_due(&format!("{} {client_id}", peer.ip()), Instant::now()) {
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
        match self.wait_for_turn(&from, &event).await {
            Passes::Yes => {}
            Passes::Dropped => return PublishAction::Handled,
            Passes::Stopping => return self.withhold(&event).await,
        }
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

    /// An account over its rate waits here. Its connection alone is held up: the engine reads nothing more from it.
    async fn wait_for_turn(&self, from: &Principal, event: &ClientPublishEvent) -> Passes {
        if matches!(from, Principal::Server(_)) {
            return Passes::Yes;
        }
        let message = Weighed {
            account: from.name(),
            gateway: matches!(from, Principal::Gateway { .. }),
            topic: &event.topic,
            qos: event.qos as u8,
            bytes: event.payload.len(),
        };
        let wait = match self.rates.turn(message, Instant::now()) {
            Turn::Now => return Passes::Yes,
            Turn::Drop => {
                self.counters.dropped.fetch_add(1, Relaxed);
                return Passes::Dropped;
            }
            Turn::After(wait) => wait,
        };
        self.counters.delayed.fetch_add(1, Relaxed);
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            () = sleep(wait) => Passes::Yes,
            _ = stopping.wait_for(|stopping| *stopping) => Passes::Stopping,
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
            if self.warned.is_due(&format!("{user} {topic}"), Instant::now()) {
                tracing::warn!(user, topic, "MQTT topic refused");
            }
        }
        allowed
    }
}

/// Whether an account's message goes on.
enum Passes {
    Yes,
    Dropped,
    Stopping,
}

impl AuthProvider for Hooks {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        peer: SocketAddr,
    ) -> Boxed<'a, mqtt5::Result<AuthResult>> {
        Box::pin(async move { Ok(self.shared.sign_in(connect, peer, self.ticket.as_deref()).await) })
    }

    /// What is refused here is acknowledged, with a reason. MQTT 3.1.1 would believe it delivered, so its messages pass
    /// and [`Shared::published`] ends the connection instead. Wills were checked at sign-in.
    fn authorize_publish<'a>(&'a self, client_id: &str, user: Option<&'a str>, topic: &'a str) -> Boxed<'a, bool> {
        let gate = &self.shared.gate;
        let allowed = self.shared.allowed(user, topic, |who, topic| gate.may_publish(who, topic))
            || self.shared.presence.hears_no_reasons(client_id);
        Box::pin(std::future::ready(allowed))
    }

    fn authorize_subscribe<'a>(&'a self, _client_id: &str, user: Option<&'a str>, filter: &'a str) -> Boxed<'a, bool> {
        let gate = &self.shared.gate;
        let allowed = self.shared.allowed(user, filter, |who, filter| gate.may_subscribe(who, filter));
        Box::pin(std::future::ready(allowed))
    }
}

impl BrokerEventHandler for Hooks {
    fn on_client_connect<'a>(&'a self, event: ClientConnectEvent) -> Boxed<'a, ()> {
        self.shared.came(event);
        Box::pin(std::future::ready(()))
    }

    fn on_client_publish<'a>(&'a self, event: ClientPublishEvent) -> Boxed<'a, PublishAction> {
        Box::pin(self.shared.published(event))
    }

    fn on_client_disconnect<'a>(&'a self, event: ClientDisconnectEvent) -> Boxed<'a, ()> {
        Box::pin(self.shared.left(event))
    }
}
