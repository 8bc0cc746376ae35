//! `mosquitto_pub`, as a device's maker would try it.

use std::io::Write;
use std::process::{Command, Stdio};

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
    let (host, port) = broker.split_once(':').expect("host:port");
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", host, "-p", port, "-q", "1", "-i", client_id, "-u", &button.serial, "-P", &button.secret]);
    command.args(["-t", topic, "-s"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let payload = payload.to_vec();
    let run = move || {
        let mut child = command.spawn().expect("the package mosquitto-clients is missing");
        // It may be gone before it has read everything.
        let _ = child.stdin.take().expect("stdin was piped").write_all(&payload);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
        Sent { ok: output.status.success(), said }
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}
