//! A gate that does as the payload says, and a device on rumqttc.

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS, SubscribeReasonCode,
};
use songhe_broker::{Admission, Broker, BrokerSettings, Principal, Publish, Receipt, SignIn, start};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

pub mod raw;

const PATIENCE: Duration = Duration::from_secs(8);

#[derive(Default)]
pub struct Gate {
    seen: Mutex<Vec<(String, String, String)>>,
    tries: Mutex<HashMap<String, usize>>,
    presence: Mutex<Vec<String>>,
    pub waiting: Notify,
    pub go_on: Notify,
}

impl Gate {
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// What was accepted: user, topic, payload.
    pub fn seen(&self) -> Vec<(String, String, String)> {
        self.seen.lock().unwrap().clone()
    }

    pub fn tries(&self, body: &str) -> usize {
        self.tries.lock().unwrap().get(body).copied().unwrap_or(0)
    }

    pub fn presence(&self) -> Vec<String> {
        self.presence.lock().unwrap().clone()
    }

    pub async fn until_seen(&self, count: usize) {
        let reached = async {
            while self.seen().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, reached).await.unwrap();
    }
}

#[async_trait::async_trait]
impl songhe_broker::Gate for Gate {
    async fn sign_in(&self, who: SignIn<'_>) -> Admission {
        match who.user {
            "busy" => Admission::Unavailable,
            "panic" => panic!("on purpose"),
            user if who.password == format!("secret-{user}").as_bytes() => Admission::Device,
            _ => Admission::Refused,
        }
    }

    async fn on_publish(&self, message: Publish<'_>) -> Receipt {
        let body = String::from_utf8_lossy(message.payload).into_owned();
        let try_no = {
            let mut tries = self.tries.lock().unwrap();
            let count = tries.entry(body.clone()).or_default();
            *count += 1;
            *count
        };
        match body.as_str() {
            "wait" => {
                self.waiting.notify_one();
                self.go_on.notified().await;
            }
            "retry" if try_no == 1 => return Receipt::Retry,
            "panic" if try_no == 1 => panic!("on purpose"),
            _ => {}
        }
        let entry = (message.from.name().to_owned(), message.topic.to_owned(), body);
        self.seen.lock().unwrap().push(entry);
        Receipt::Accepted { deliver: false }
    }

    fn on_connection(&self, who: &Principal, connected: bool) {
        let sign = if connected { '+' } else { '-' };
        self.presence.lock().unwrap().push(format!("{sign}{}", who.name()));
    }
}

pub async fn broker() -> (Broker, Arc<Gate>) {
    let gate = Gate::new();
    let settings = BrokerSettings::new(([127, 0, 0, 1], 0).into());
    (start(settings, gate.clone()).await.unwrap(), gate)
}

pub fn options(broker: &Broker, client_id: &str, user: &str, password: &str) -> MqttOptions {
    let mut options = MqttOptions::new(client_id, "127.0.0.1", broker.local_addr().port());
    options.set_credentials(user, password).set_clean_session(false);
    options.set_max_packet_size(1 << 20, 1 << 20);
    options
}

/// A new device signs in and is heard.
pub async fn still_works(broker: &Broker, gate: &Gate) {
    let heard = || gate.seen().iter().filter(|(user, ..)| user == "SH-77").count();
    let before = heard();
    let mut device = Device::connect(broker, "SH-77").await;
    device.publish("songhe/v1/SH-77/event", QoS::AtLeastOnce, "well").await;
    device.puback().await;
    assert_eq!(heard(), before + 1);
}

pub struct Device {
    client: AsyncClient,
    events: EventLoop,
    pub reconnects: usize,
}

impl Device {
    pub async fn connect(broker: &Broker, serial: &str) -> Self {
        let options = options(broker, serial, serial, &format!("secret-{serial}"));
        Self::connect_as(broker, options).await.unwrap()
    }

    pub async fn connect_as(_: &Broker, options: MqttOptions) -> Result<Self, ConnectReturnCode> {
        let (client, mut events) = AsyncClient::new(options, 32);
        match timeout(PATIENCE, events.poll()).await.unwrap() {
            Ok(Event::Incoming(Packet::ConnAck(_))) => Ok(Self { client, events, reconnects: 0 }),
            Err(ConnectionError::ConnectionRefused(code)) => Err(code),
            other => panic!("{other:?}"),
        }
    }

    /// One event; a lost connection is made again, as devices do.
    pub async fn step(&mut self) -> Option<Packet> {
        match self.events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                self.reconnects += 1;
                None
            }
            Ok(Event::Incoming(packet)) => Some(packet),
            Ok(Event::Outgoing(_)) => None,
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                None
            }
        }
    }

    async fn until<T>(&mut self, mut wanted: impl FnMut(Packet) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = self.step().await.and_then(&mut wanted) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("no such packet came")
    }

    pub async fn publish(&mut self, topic: &str, qos: QoS, body: &str) {
        self.client.publish(topic, qos, false, body).await.unwrap();
    }

    pub async fn puback(&mut self) {
        self.until(|p| matches!(p, Packet::PubAck(_)).then_some(())).await;
    }

    pub async fn puback_within(&mut self, time: Duration) -> bool {
        timeout(time, self.puback()).await.is_ok()
    }

    pub async fn pubcomp(&mut self) {
        self.until(|p| matches!(p, Packet::PubComp(_)).then_some(())).await;
    }

    pub async fn subscribe(&mut self, filter: &str) -> bool {
        self.client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        let code = self.until(|p| if let Packet::SubAck(ack) = p { Some(ack.return_codes[0]) } else { None });
        code.await != SubscribeReasonCode::Failure
    }

    pub async fn message(&mut self) -> String {
        let payload = self.until(|p| if let Packet::Publish(p) = p { Some(p.payload) } else { None });
        String::from_utf8(payload.await.to_vec()).unwrap()
    }

    /// Until the gate has begun to take the message "wait"; the client sends only while polled.
    pub async fn until_taken(&mut self, gate: &Gate) {
        let sending = async {
            loop {
                self.step().await;
            }
        };
        let taken = async {
            tokio::select! {
                () = gate.waiting.notified() => {}
                () = sending => {}
            }
        };
        timeout(PATIENCE, taken).await.unwrap();
    }

    /// The connection breaks without a word.
    pub fn vanish(self) {
        drop(self);
    }

    pub async fn goodbye(mut self) {
        self.client.disconnect().await.unwrap();
        while timeout(PATIENCE, self.events.poll()).await.unwrap().is_ok() {}
    }
}
