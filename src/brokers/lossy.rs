//! Whether a broker keeps what it has acknowledged. Songhe is absent while it restarts: what devices send meanwhile must
//! wait for it. Many brokers as they come keep 1,000 messages and drop the rest without a word.

use std::collections::HashSet;
use std::time::Duration;

use rumqttc::{AsyncClient, ConnectReturnCode, Event, EventLoop, MqttOptions, Packet, QoS, SubscribeReasonCode};
use tokio::time::{sleep, timeout};

use crate::config::Mqtt;

/// More than any known broker keeps by default.
const MESSAGES: usize = 5_000;
const PAYLOAD_BYTES: usize = 100;
/// How long the broker may take for any step.
const PATIENCE: Duration = Duration::from_secs(10);
/// After the last message: no more are coming.
const QUIET: Duration = Duration::from_millis(1_500);
/// Between two attempts at a broker that does not answer.
const AGAIN: Duration = Duration::from_secs(60);

/// What the test found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keeps,
    /// Of [`MESSAGES`] that it acknowledged it gave back so many.
    Loses {
        kept: usize,
    },
}

/// What to tell of a broker that loses messages.
pub(crate) fn sentence(mqtt: &Mqtt, kept: usize) -> String {
    format!(
        "The broker at {}:{} loses messages: of {MESSAGES} that it acknowledged for an absent client it kept {kept}. Set in \
         mosquitto.conf max_queued_messages 200000, max_queued_bytes 268435456 and persistence true (EMQX: \
         mqtt.max_mqueue_len), or mqtt.accept_lossy_broker = true to run all the same: calls that come while Songhe \
         restarts may then be lost.",
        mqtt.host, mqtt.port
    )
}

struct Probe {
    client: AsyncClient,
    events: EventLoop,
}

impl Probe {
    /// # Errors
    /// A sentence, when the broker does not answer or refuses.
    async fn connect(mqtt: &Mqtt, run: &str, suffix: &str, clean: bool) -> Result<Self, String> {
        let mut options = MqttOptions::new(format!("{}-{suffix}-{run}", mqtt.client_id), &mqtt.host, mqtt.port);
        options.set_credentials(&mqtt.username, &mqtt.password);
        options.set_clean_session(clean);
        options.set_keep_alive(Duration::from_secs(20));
        options.set_inflight(100);
        let (client, events) = AsyncClient::new(options, MESSAGES + 8);
        let mut probe = Self { client, events };
        match probe.next().await? {
            Packet::ConnAck(answer) if answer.code == ConnectReturnCode::Success => Ok(probe),
            other => Err(format!("instead of letting it in, it answered {other:?}")),
        }
    }

    /// The next packet from the broker.
    async fn next(&mut self) -> Result<Packet, String> {
        let wait = async {
            loop {
                if let Event::Incoming(packet) = self.events.poll().await.map_err(|error| error.to_string())? {
                    return Ok(packet);
                }
            }
        };
        timeout(PATIENCE, wait).await.map_err(|_| "it does not answer".to_owned())?
    }

    /// Says goodbye; what was to be written is written.
    async fn leave(mut self) {
        if self.client.disconnect().await.is_ok() {
            let end = async { while self.events.poll().await.is_ok() {} };
            let _ = timeout(PATIENCE, end).await;
        }
    }
}

/// Floods a client that is away and counts what it finds when it is back. Takes a second or two.
///
/// # Errors
/// A sentence, when the test could not be made: the broker is not there, or refuses.
pub(crate) async fn test(mqtt: &Mqtt) -> Result<Verdict, String> {
    // Two servers that start at once must not take each other's sessions and messages.
    let run = &format!("{:016x}", rand::random::<u64>());
    // No adapter listens to that channel.
    let topic = format!("songhe/v1/songhe-probe-{}-{run}/probe", mqtt.client_id);
    let kept = keeps(mqtt, run, &topic).await;
    // The session with whatever waits in it.
    Probe::connect(mqtt, run, "probe", true).await?.leave().await;
    let kept = kept?;
    Ok(if kept == MESSAGES { Verdict::Keeps } else { Verdict::Loses { kept } })
}

/// How many messages a client that was away finds.
async fn keeps(mqtt: &Mqtt, run: &str, topic: &str) -> Result<usize, String> {
    let mut absent = Probe::connect(mqtt, run, "probe", false).await?;
    absent.client.subscribe(topic, QoS::AtLeastOnce).await.map_err(|error| error.to_string())?;
    match absent.next().await? {
        Packet::SubAck(answer) if !answer.return_codes.contains(&SubscribeReasonCode::Failure) => {}
        _ => return Err(format!("its account may not read {topic}")),
    }
    absent.leave().await;
    flood(mqtt, run, topic).await?;
    count(mqtt, run).await
}

async fn flood(mqtt: &Mqtt, run: &str, topic: &str) -> Result<(), String> {
    let mut sender = Probe::connect(mqtt, run, "probe-sender", true).await?;
    for number in 0..MESSAGES {
        let payload = format!("{number:0PAYLOAD_BYTES$}");
        let queued = sender.client.publish(topic, QoS::AtLeastOnce, false, payload).await;
        queued.map_err(|error| error.to_string())?;
    }
    let mut acknowledged = 0;
    while acknowledged < MESSAGES {
        if matches!(sender.next().await?, Packet::PubAck(_)) {
            acknowledged += 1;
        }
    }
    sender.leave().await;
    Ok(())
}

async fn count(mqtt: &Mqtt, run: &str) -> Result<usize, String> {
    let mut back = Probe::connect(mqtt, run, "probe", false).await?;
    let mut seen = HashSet::new();
    while seen.len() < MESSAGES {
        match timeout(QUIET, back.next()).await {
            Ok(Ok(Packet::Publish(message))) => {
                seen.insert(message.payload);
            }
            Ok(Ok(_)) => {}
            Ok(Err(why)) => return Err(why),
            Err(_) => break,
        }
    }
    back.leave().await;
    Ok(seen.len())
}

/// Tests again and again until the broker answers; for a broker that was not there at the start.
pub(crate) async fn test_later(mqtt: Mqtt) {
    loop {
        sleep(AGAIN).await;
        match test(&mqtt).await {
            Ok(Verdict::Keeps) => return,
            Ok(Verdict::Loses { kept }) => {
                // Whoever rings now must be heard: a server that runs is not stopped.
                tracing::error!("{}", sentence(&mqtt, kept));
                return;
            }
            Err(why) => tracing::warn!(why, "the broker could not be tested for losses"),
        }
    }
}
