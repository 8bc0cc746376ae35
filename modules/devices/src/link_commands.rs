//! Commands to an external broker, by a connection of their own: a full window of outgoing messages must not hold back
//! what the other connections acknowledge. One command at a time, delivered when the broker has acknowledged it.
//!
//! Nothing is carried over to another connection: a command that waited too long must not be sent behind one's back.

use std::time::Duration;

use rumqttc::{AsyncClient, ConnectReturnCode, ConnectionError, Event, MqttOptions, Packet, QoS};
use songhe_kernel::effects::Sent;
use tokio::sync::{mpsc, oneshot, watch};

use crate::link::LinkSettings;
use crate::outlet::{Carried, Way};

const WAITING: usize = 64;
const RETRY: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long the broker has for its acknowledgement.
const PATIENCE: Duration = Duration::from_secs(10);

struct Ask {
    topic: String,
    payload: Vec<u8>,
    answer: oneshot::Sender<Sent>,
}

/// Hands commands to the connection.
pub struct CommandLink(mpsc::Sender<Ask>);

/// The connection's end; [`run`] works for it.
pub struct Asked(mpsc::Receiver<Ask>);

pub fn pair() -> (CommandLink, Asked) {
    let (ask, asked) = mpsc::channel(WAITING);
    (CommandLink(ask), Asked(asked))
}

fn no_connection() -> Sent {
    Sent::TryAgain("no connection to the broker".to_owned())
}

impl Way for CommandLink {
    fn carry(&self, _account: String, topic: String, payload: Vec<u8>) -> Carried {
        let (answer, answered) = oneshot::channel();
        let asked = self.0.try_send(Ask { topic, payload, answer });
        Box::pin(async move {
            match asked {
                Ok(()) => answered.await.unwrap_or_else(|_| no_connection()),
                Err(_) => no_connection(),
            }
        })
    }
}

/// Runs the connection until told to stop. `own`: what is appended to the client id, another one at each server.
pub async fn run(mut settings: LinkSettings, own: String, mut asked: Asked, mut stop: watch::Receiver<bool>) {
    settings.client_id = format!("{}-{own}", settings.client_id);
    let work = async {
        loop {
            if let Err(error) = connection(&settings, &mut asked.0).await {
                tracing::warn!(%error, "no connection to the broker for commands");
            }
            // Whoever asks meanwhile is told at once, and tries again while the command is worth it.
            let pause = tokio::time::sleep(RETRY);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    ask = asked.0.recv() => match ask {
                        Some(ask) => drop(ask.answer.send(no_connection())),
                        None => return,
                    },
                }
            }
        }
    };
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stopping| *stopping) => {}
    }
}

/// Ends a task with its owner.
struct Owned(tokio::task::JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn connection(settings: &LinkSettings, asked: &mut mpsc::Receiver<Ask>) -> Result<(), ConnectionError> {
    let mut options = MqttOptions::new(settings.client_id.clone(), settings.host.clone(), settings.port);
    options.set_credentials(settings.username.clone(), settings.password.clone());
    options.set_keep_alive(KEEP_ALIVE);
    options.set_clean_session(true);
    let (client, mut events) = AsyncClient::new(options, WAITING);
    // `poll` is not cancel-safe: it runs in a task of its own.
    let (told, mut news) = mpsc::channel(WAITING);
    let _polling = Owned(tokio::spawn(async move {
        loop {
            let event = events.poll().await;
            let over = event.is_err();
            if told.send(event).await.is_err() || over {
                return;
            }
        }
    }));
    let mut connected = false;
    let mut waiting: Option<oneshot::Sender<Sent>> = None;
    loop {
        tokio::select! {
            event = news.recv() => match event {
                None => return Ok(()),
                Some(Err(error)) => return Err(error),
                Some(Ok(Event::Incoming(Packet::ConnAck(answer)))) => {
                    connected = answer.code == ConnectReturnCode::Success;
                }
                Some(Ok(Event::Incoming(Packet::PubAck(_)))) => {
                    if let Some(answer) = waiting.take() {
                        let _ = answer.send(Sent::Delivered);
                    }
                }
                Some(Ok(_)) => {}
            },
            ask = asked.recv(), if connected && waiting.is_none() => {
                let Some(Ask { topic, payload, answer }) = ask else { return Ok(()) };
                match client.try_publish(topic, QoS::AtLeastOnce, false, payload) {
                    Ok(()) => waiting = Some(answer),
                    Err(error) => drop(answer.send(Sent::TryAgain(error.to_string()))),
                }
            }
            () = tokio::time::sleep(PATIENCE), if !connected || waiting.is_some() => return Ok(()),
        }
    }
}
