//! `mosquitto_pub`, as a device's maker would try it.

use std::process::Command;

use crate::world::Button;

/// What became of a message, as the program says.
pub struct Sent {
    pub ok: bool,
    pub said: String,
}

/// Publishes below the button's own prefix, as the button.
pub async fn publish(broker: &str, button: &Button, channel: &str, payload: &[u8]) -> Sent {
    let topic = format!("songhe/v1/{}/{channel}", button.serial);
    publish_as(broker, &button.serial, button, &topic, payload).await
}

/// The same with any client id and topic.
pub async fn publish_as(broker: &str, client_id: &str, button: &Button, topic: &str, payload: &[u8]) -> Sent {
    publish_with(broker, client_id, button, topic, payload, &[]).await
}

/// The same with further options of the program.
pub async fn publish_with(
    broker: &str,
    client_id: &str,
    button: &Button,
    topic: &str,
    payload: &[u8],
    options: &[&str],
) -> Sent {
    let (host, port) = broker.split_once(':').expect("host:port");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), payload).unwrap();
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", host, "-p", port, "-q", "1", "-i", client_id, "-u", &button.serial, "-P", &button.secret]);
    command.args(["-t", topic]).args(options);
    if payload.is_empty() {
        command.arg("-n");
    } else {
        command.arg("-f").arg(file.path());
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = output.expect("the package mosquitto-clients is missing");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    // Some of its versions end with 0 when they were refused.
    let refused = said.contains("rror") || said.contains("refused");
    Sent { ok: output.status.success() && !refused, said }
}

/// A connection that stays open until the broker ends it.
pub struct Connection {
    events: rumqttc::EventLoop,
    /// Without it the connection would say goodbye.
    _client: rumqttc::AsyncClient,
}

/// Signs in as the button.
pub async fn stay(broker: &str, button: &Button) -> Connection {
    let (host, port) = broker.split_once(':').expect("host:port");
    let mut options = rumqttc::MqttOptions::new(&button.serial, host, port.parse().unwrap());
    options.set_credentials(&button.serial, &button.secret);
    let (client, mut events) = rumqttc::AsyncClient::new(options, 8);
    let first = events.poll().await.unwrap();
    assert!(matches!(first, rumqttc::Event::Incoming(rumqttc::Packet::ConnAck(_))), "{first:?}");
    Connection { events, _client: client }
}

impl Connection {
    pub async fn ended(&mut self) {
        while self.events.poll().await.is_ok() {}
    }
}
