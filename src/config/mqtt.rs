//! `[mqtt]`: the broker inside Songhe, or the way to one outside.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use songhe_broker::RateLimits;
use songhe_devices::pace::Limits;

use super::{Result, Tls, check_secret, wrong};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MqttMode {
    /// The broker inside Songhe.
    Embedded,
    /// Mosquitto or another broker.
    External,
    Off,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mqtt {
    pub mode: MqttMode,
    /// Embedded: address and port of the broker.
    pub listen: SocketAddr,
    /// Embedded: whether MQTT without TLS may leave this machine.
    pub plain_network: bool,
    /// Embedded: address and port for devices that speak TLS.
    pub tls_listen: Option<SocketAddr>,
    /// Embedded: PEM file of the certificate chain for TLS; without it that of `[tls]`.
    pub tls_certificate: Option<PathBuf>,
    /// Embedded: PEM file of its private key.
    pub tls_key: Option<PathBuf>,
    /// Embedded: where sessions and messages for absent devices are kept.
    pub data_dir: PathBuf,
    /// Embedded: most devices at a time.
    pub max_clients: usize,
    /// Embedded: most connections at a time that have not signed in.
    pub max_waiting: usize,
    /// Messages a second of one device that are no events; 0: no limit.
    pub messages_per_s: u32,
    /// How many of them may come at once.
    pub message_burst: u32,
    /// Events (calls) a second of one device; 0: no limit.
    pub events_per_s: u32,
    /// How many of them may come at once.
    pub event_burst: u32,
    /// External: host of the broker.
    pub host: String,
    /// External: port of the broker.
    pub port: u16,
    /// External: the account as which Songhe speaks to it.
    pub username: String,
    /// External: its password.
    pub password: String,
    /// External: stable over restarts, the same at all servers on one database.
    pub client_id: String,
    /// External: start also when the broker loses messages that it has acknowledged.
    pub accept_lossy_broker: bool,
    /// External: the password file that Songhe writes for Mosquitto.
    pub mosquitto_password_file: Option<PathBuf>,
    /// External: the file of topic rules that Songhe writes for Mosquitto.
    pub mosquitto_acl_file: Option<PathBuf>,
    /// External: program and arguments that have Mosquitto read them again.
    pub mosquitto_reload: Vec<String>,
    /// External: file with the number of Mosquitto's process, which is sent SIGHUP.
    pub mosquitto_pid_file: Option<PathBuf>,
    /// External: what EMQX brings as a bearer token when it asks who may do what.
    pub emqx_secret: Option<String>,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            mode: MqttMode::Embedded,
            listen: SocketAddr::from(([127, 0, 0, 1], 1883)),
            plain_network: false,
            tls_listen: None,
            tls_certificate: None,
            tls_key: None,
            data_dir: "songhe-data/mqtt".into(),
            max_clients: 3_000,
            max_waiting: 4_096,
            messages_per_s: 50,
            message_burst: 500,
            events_per_s: 20,
            event_burst: 200,
            host: "127.0.0.1".into(),
            port: 1883,
            username: "songhe-server".into(),
            password: String::new(),
            client_id: "songhe-1".into(),
            accept_lossy_broker: false,
            mosquitto_password_file: None,
            mosquitto_acl_file: None,
            mosquitto_reload: Vec::new(),
            mosquitto_pid_file: None,
            emqx_secret: None,
        }
    }
}

impl Mqtt {
    pub(super) fn check(&self, tls: &Tls) -> Result<()> {
        if self.max_clients == 0 || self.max_clients > 100_000 {
            return wrong("mqtt.max_clients must be between 1 and 100000.");
        }
        if self.max_waiting < 2 || self.max_waiting > 100_000 {
            return wrong("mqtt.max_waiting must be between 2 and 100000.");
        }
        for (rate, burst, name) in [
            (self.messages_per_s, self.message_burst, "mqtt.message_burst"),
            (self.events_per_s, self.event_burst, "mqtt.event_burst"),
        ] {
            if rate > 0 && burst == 0 {
                return wrong(format!("{name} must be at least 1, or nothing would ever be taken."));
            }
        }
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return wrong("mqtt.tls_certificate and mqtt.tls_key go together: give both files, or neither.");
        }
        if self.tls_listen.is_some() && self.tls_files(tls).is_none() {
            return wrong(
                "mqtt.tls_listen needs a certificate: give mqtt.tls_certificate and mqtt.tls_key, or tls.certificate and \
                 tls.key (`songhe cert` makes them).",
            );
        }
        if self.mosquitto_password_file.is_some() != self.mosquitto_acl_file.is_some() {
            return wrong(
                "mqtt.mosquitto_password_file and mqtt.mosquitto_acl_file go together: without topic rules every device \
                 would read and write everything.",
            );
        }
        Ok(())
    }

    pub(super) fn check_production(&self) -> Result<()> {
        match self.mode {
            MqttMode::External => {
                check_secret("mqtt.password", &self.password)?;
                self.emqx_secret.as_deref().map_or(Ok(()), |secret| check_secret("mqtt.emqx_secret", secret))
            }
            MqttMode::Embedded if !self.listen.ip().is_loopback() && !self.plain_network => wrong(format!(
                "mqtt.listen {} would let devices send their secrets over the network without encryption. Give \
                 mqtt.tls_listen for devices that speak TLS and keep mqtt.listen on 127.0.0.1, or set mqtt.plain_network = \
                 true if the network belongs to devices and gateways alone.",
                self.listen
            )),
            MqttMode::Embedded | MqttMode::Off => Ok(()),
        }
    }

    /// Certificate and key of the broker's TLS.
    pub fn tls_files<'a>(&'a self, tls: &'a Tls) -> Option<(&'a PathBuf, &'a PathBuf)> {
        let own = self.tls_certificate.as_ref().zip(self.tls_key.as_ref());
        own.or_else(|| tls.certificate.as_ref().zip(tls.key.as_ref()))
    }

    pub fn rates(&self) -> RateLimits {
        RateLimits {
            messages_per_s: self.messages_per_s,
            message_burst: self.message_burst,
            events_per_s: self.events_per_s,
            event_burst: self.event_burst,
        }
    }
}

impl Mqtt {
    /// The same for devices at a broker outside.
    pub fn limits(&self) -> Limits {
        Limits {
            messages_per_s: self.messages_per_s,
            message_burst: self.message_burst,
            events_per_s: self.events_per_s,
            event_burst: self.event_burst,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::config::Config;

    fn parse(text: &str) -> crate::config::Result<Config> {
        Config::parse(text, std::iter::empty())
    }

    #[test]
    fn mqtt_without_tls_leaves_this_machine_only_when_that_is_said() {
        let open = "[mqtt]\nlisten = \"0.0.0.0:1883\"\n";
        let sentence = parse(open).unwrap().check_production().unwrap_err().0;
        assert!(sentence.contains("mqtt.tls_listen") && sentence.contains("mqtt.plain_network"), "{sentence}");
        assert!(parse(&format!("{open}plain_network = true")).unwrap().check_production().is_ok());
        assert!(parse(&format!("{open}mode = \"off\"")).unwrap().check_production().is_ok());
    }

    #[test]
    fn tls_needs_a_certificate_of_its_own_or_that_of_the_pages() {
        let listen = "[mqtt]\ntls_listen = \"0.0.0.0:8883\"\n";
        assert!(parse(listen).unwrap_err().0.contains("songhe cert"));
        assert!(parse(&format!("{listen}tls_key = \"k.pem\"")).unwrap_err().0.contains("go together"));
        let own = parse(&format!("{listen}tls_certificate = \"c.pem\"\ntls_key = \"k.pem\"")).unwrap();
        assert_eq!(own.mqtt.tls_files(&own.tls).unwrap().1.to_str(), Some("k.pem"));
        let shared = parse(&format!("{listen}[tls]\ncertificate = \"c.pem\"\nkey = \"t.pem\"")).unwrap();
        assert_eq!(shared.mqtt.tls_files(&shared.tls).unwrap().1.to_str(), Some("t.pem"));
    }

    #[test]
    fn limits_that_would_stop_everything_are_refused() {
        for wrong in ["max_clients = 0", "max_waiting = 1", "message_burst = 0", "event_burst = 0"] {
            assert!(parse(&format!("[mqtt]\n{wrong}")).is_err(), "{wrong}");
        }
        assert!(parse("[mqtt]\nmessages_per_s = 0\nmessage_burst = 0").is_ok());
        assert!(parse("[mqtt]\nmosquitto_password_file = \"p\"").is_err());
        let external = "[mqtt]\nmode = \"external\"\npassword = \"8f2c7a90b1d34e56\"\nemqx_secret = ";
        assert!(parse(&format!("{external}\"short\"")).unwrap().check_production().is_err());
        assert!(parse(&format!("{external}\"7d2e91c04ab65f38\"")).unwrap().check_production().is_ok());
    }
}
