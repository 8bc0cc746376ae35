//! Mosquitto's password file and topic rules, written by Songhe: a device that is registered gets in, an old credential
//! does not, and everybody keeps to his topics. Files are replaced whole, then Mosquitto is told.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use songhe_broker::rules::{device_publish_topics, device_subscribe_topics};
use songhe_devices::accounts::{self, BrokerAccount, mosquitto_password};
use songhe_devices::{gateways, register};
use songhe_kernel::{Database, Moment};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use crate::config::Mqtt;

/// How often it is looked without a signal: another server on the same database may have made a credential.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Several changes in a row are one.
const SETTLE: Duration = Duration::from_millis(200);
const RELOAD_WITHIN: Duration = Duration::from_secs(10);
const SALT_BYTES: usize = 12;

/// The two files and how Mosquitto is told.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    passwords: PathBuf,
    rules: PathBuf,
    reload: Vec<String>,
    pid_file: Option<PathBuf>,
    username: String,
    password: String,
    /// The files are newer than what Mosquitto was told: it is told again until it hears.
    untold: Arc<AtomicBool>,
}

/// What stands in them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Content {
    passwords: String,
    rules: String,
    /// Devices in the files.
    pub(crate) devices: usize,
    /// Serials that Mosquitto cannot take, because its file parts name and password by a colon.
    pub(crate) unfit: Vec<String>,
    /// Devices whose credential is older than these files: they need a new one.
    pub(crate) without: Vec<String>,
}

impl Files {
    /// The files of a configuration that names them.
    pub(crate) fn of(mqtt: &Mqtt) -> Option<Self> {
        let (passwords, rules) = mqtt.mosquitto_password_file.clone().zip(mqtt.mosquitto_acl_file.clone())?;
        let (reload, pid_file) = (mqtt.mosquitto_reload.clone(), mqtt.mosquitto_pid_file.clone());
        let (username, password) = (mqtt.username.clone(), mqtt.password.clone());
        Some(Self { passwords, rules, reload, pid_file, username, password, untold: Arc::default() })
    }

    fn content(&self, accounts: Vec<BrokerAccount>) -> Content {
        let mut all = Content::default();
        // The same at every writing, so that an unchanged file is seen to be unchanged. The password was drawn at random.
        let mut salt = [0; SALT_BYTES];
        let digest = Sha256::digest(format!("{}\0{}", self.username, self.password));
        salt.iter_mut().zip(digest).for_each(|(salt, byte)| *salt = byte);
        let own = mosquitto_password(self.password.as_bytes(), salt);
        let _ = writeln!(all.passwords, "{}:{own}", self.username);
        let _ = writeln!(all.rules, "# Written by Songhe at every change of a device: what is changed here is lost.\n");
        let _ = writeln!(all.rules, "user {}\ntopic readwrite #", self.username);
        for BrokerAccount { serial, password, base_topic } in accounts {
            let Some(password) = password else {
                all.without.push(serial);
                continue;
            };
            if serial.contains(':') || serial == self.username {
                all.unfit.push(serial);
                continue;
            }
            all.devices += 1;
            let _ = writeln!(all.passwords, "{serial}:{password}");
            let _ = writeln!(all.rules, "\nuser {serial}");
            if let Some(base_topic) = base_topic {
                let _ = writeln!(all.rules, "topic readwrite {base_topic}/#");
                continue;
            }
            for topic in device_publish_topics(&serial) {
                let _ = writeln!(all.rules, "topic write {topic}");
            }
            for topic in device_subscribe_topics(&serial) {
                let _ = writeln!(all.rules, "topic read {topic}");
            }
        }
        all
    }

    /// Writes what is not as it should be, and has Mosquitto read it. Answers what stands in the files.
    ///
    /// # Errors
    /// A sentence, when a file cannot be written or Mosquitto cannot be told.
    pub(crate) async fn write(&self, db: &Database) -> Result<Content, String> {
        let accounts =
            db.read(accounts::all).await.map_err(|error| format!("the devices could not be read: {error}"))?;
        let content = self.content(accounts);
        let mut changed = false;
        // The rules first: no moment in which somebody is let in and may do everything.
        for (path, text) in [(&self.rules, &content.rules), (&self.passwords, &content.passwords)] {
            let (path, text) = (path.clone(), text.clone());
            let written = tokio::task::spawn_blocking(move || replace(&path, &text).map_err(|error| (path, error)));
            match written.await {
                Ok(Ok(new)) => changed |= new,
                Ok(Err((path, error))) => return Err(format!("{} cannot be written: {error}", path.display())),
                Err(error) => return Err(error.to_string()),
            }
        }
        if changed {
            self.untold.store(true, Ordering::SeqCst);
        }
        if self.untold.load(Ordering::SeqCst) {
            self.tell().await?;
            self.untold.store(false, Ordering::SeqCst);
        }
        Ok(content)
    }

    /// Has Mosquitto read the files.
    async fn tell(&self) -> Result<(), String> {
        if let Some(path) = &self.pid_file {
            let text = tokio::fs::read_to_string(path).await;
            let text = text.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            hang_up(&text).map_err(|error| format!("Mosquitto ({}) cannot be told: {error}", path.display()))?;
        }
        if let Some((program, arguments)) = self.reload.split_first() {
            let mut command = tokio::process::Command::new(program);
            let run = command.args(arguments).stdin(std::process::Stdio::null()).kill_on_drop(true).status();
            match tokio::time::timeout(RELOAD_WITHIN, run).await {
                Ok(Ok(status)) if status.success() => {}
                Ok(Ok(status)) => return Err(format!("mqtt.mosquitto_reload ended with {status}")),
                Ok(Err(error)) => return Err(format!("mqtt.mosquitto_reload cannot be run: {error}")),
                Err(_) => return Err("mqtt.mosquitto_reload did not end within 10 s".into()),
            }
        }
        Ok(())
    }

    /// Keeps the files as the register is, until told to stop.
    pub(crate) async fn keep(self, db: Database, mut stopped: watch::Receiver<bool>) {
        let mut signals = db.signals();
        let mut told = Content::default();
        let mut failed_at: Option<Moment> = None;
        loop {
            match self.write(&db).await {
                Ok(content) => {
                    failed_at = None;
                    if (&content.unfit, &content.without) != (&told.unfit, &told.without) {
                        warn_of(&content);
                    }
                    if content.passwords != told.passwords || content.rules != told.rules {
                        tracing::info!(devices = content.devices, "Mosquitto's accounts written");
                    }
                    told = content;
                }
                Err(why) => {
                    let now = db.clock().now();
                    if failed_at.is_none_or(|at| now.seconds_since(at) >= 60) {
                        tracing::error!(why, "Mosquitto does not know the devices as they are");
                        failed_at = Some(now);
                    }
                }
            }
            let named = async {
                loop {
                    match signals.recv().await {
                        Ok(signal) if !concerns_accounts(&signal.topic) => {}
                        Ok(_) | Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => std::future::pending().await,
                    }
                }
                tokio::time::sleep(SETTLE).await;
            };
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = named => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

fn concerns_accounts(topic: &str) -> bool {
    topic == register::CREDENTIALS || topic == gateways::TOPIC || topic.starts_with("devices")
}

/// Tells of devices that Mosquitto cannot know.
pub(crate) fn warn_of(content: &Content) {
    if !content.unfit.is_empty() {
        tracing::warn!(serials = ?content.unfit, "Mosquitto takes no such names: these devices cannot sign in there");
    }
    if !content.without.is_empty() {
        tracing::warn!(serials = ?content.without, "these devices need a new credential before Mosquitto knows them");
    }
}

/// SIGHUP to the process whose number is in a text.
#[cfg(unix)]
fn hang_up(text: &str) -> std::io::Result<()> {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "no process number"))?;
    Ok(kill_process(pid, Signal::HUP)?)
}

#[cfg(not(unix))]
fn hang_up(_: &str) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Replaces a file in one step, with the rights it has, or for its owner and group; true if it was not so already.
fn replace(path: &Path, text: &str) -> std::io::Result<bool> {
    if std::fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(false);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut options = std::fs::File::options();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    let mut file = options.open(&new)?;
    if let Ok(old) = std::fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn everybody_has_his_own_topics() {
        let mqtt = Mqtt {
            password: "8f2c7a90b1d34e56".into(),
            mosquitto_password_file: Some("passwords".into()),
            mosquitto_acl_file: Some("acl".into()),
            ..Mqtt::default()
        };
        let account = |serial: &str, base_topic: Option<&str>| BrokerAccount {
            serial: serial.into(),
            password: Some(format!("$7$101$salt$of-{serial}")),
            base_topic: base_topic.map(str::to_owned),
        };
        let old = BrokerAccount { password: None, ..account("SH-9", None) };
        let files = Files::of(&mqtt).unwrap();
        let all = vec![account("GW-1", Some("zigbee2mqtt")), account("SH-1", None), account("a:b", None), old];
        let content = files.content(all.clone());
        assert_eq!(content, files.content(all), "the same at every writing");
        assert_eq!((content.devices, content.unfit, content.without), (2, vec!["a:b".into()], vec!["SH-9".into()]));
        assert!(content.passwords.starts_with("songhe-server:$7$101$") && content.passwords.lines().count() == 3);
        assert!(content.rules.contains("user GW-1\ntopic readwrite zigbee2mqtt/#\n"));
        let of_device = content.rules.split("user SH-1\n").nth(1).unwrap();
        assert!(of_device.contains("topic write songhe/v1/SH-1/event\n"));
        assert!(of_device.contains("topic read songhe/v1/SH-1/command\n"));
        assert!(!of_device.contains('#') && !of_device.contains('+'));
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_rights() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passwords");
        assert!(replace(&path, "one").unwrap() && !replace(&path, "one").unwrap());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode() & 0o007, 0, "others may read it");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(replace(&path, "two").unwrap());
            assert_eq!(mode(), 0o600);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
