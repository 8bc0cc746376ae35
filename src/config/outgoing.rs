//! What leaves the house besides calls to endpoints: e-mail's server, and the sign of life.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use songhe_incidents::{MailSettings, MailTls};

use super::{Result, wrong};

/// Seconds between two signs of life.
const EVERY_S: std::ops::RangeInclusive<u64> = 1..=3_600;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// Plain at first, then encrypted, or nothing is sent.
    Starttls,
    /// Encrypted from the first byte.
    Implicit,
    /// Not encrypted: to this machine only.
    None,
}

/// The server that takes Songhe's e-mail; without a host there is none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mail {
    pub host: Option<String>,
    pub port: u16,
    pub tls: TlsMode,
    /// Empty: no sign-in.
    pub username: String,
    pub password: String,
    /// The address that messages come from.
    pub from: Option<String>,
    /// PEM file of the authority that signs its certificate; without one, a public authority does.
    pub ca_file: Option<PathBuf>,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            host: None,
            port: 587,
            tls: TlsMode::Starttls,
            username: String::new(),
            password: String::new(),
            from: None,
            ca_file: None,
        }
    }
}

impl Mail {
    /// As the incidents module takes it.
    pub fn settings(&self) -> Option<MailSettings> {
        let (host, from) = (self.host.clone()?, self.from.clone()?);
        let tls = match self.tls {
            TlsMode::Starttls => MailTls::StartTls,
            TlsMode::Implicit => MailTls::Implicit,
            TlsMode::None => MailTls::None,
        };
        let (username, password) = (self.username.clone(), self.password.clone());
        Some(MailSettings { host, port: self.port, tls, username, password, from, ca_file: self.ca_file.clone() })
    }

    pub(super) fn check(&self) -> Result<()> {
        let Some(host) = &self.host else { return Ok(()) };
        if !self.from.as_deref().is_some_and(songhe_incidents::mail::is_address) {
            return wrong(
                "mail.from must be the address that messages come from, for example songhe@facility.example.",
            );
        }
        let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if self.tls == TlsMode::None && !here {
            return wrong(
                "mail.tls is \"none\", but mail.host is another machine: residents' names would travel unencrypted. Write \
                 starttls or implicit.",
            );
        }
        if !self.username.is_empty() && self.password.is_empty() {
            return wrong("mail.username is given without mail.password.");
        }
        if let Some(file) = &self.ca_file
            && let Err(why) = songhe_incidents::mail::encryption(host, Some(file))
        {
            return wrong(format!(
                "mail.ca_file: {why}. Give the certificate of the authority that signed the mail server's, or remove the key."
            ));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeatMethod {
    Get,
    Post,
}

/// The sign of life for a monitor outside; without an address there is none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Heartbeat {
    pub url: Option<String>,
    pub method: BeatMethod,
    pub every_s: u64,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { url: None, method: BeatMethod::Get, every_s: 60 }
    }
}

impl Heartbeat {
    pub(super) fn check(&self) -> Result<()> {
        if let Some(url) = &self.url
            && !reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        {
            return wrong(
                "heartbeat.url must be an address that a monitor gave you, for example https://monitor.example/ping/1.",
            );
        }
        if !EVERY_S.contains(&self.every_s) {
            return wrong("heartbeat.every_s must be between 1 and 3600.");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Config;

    fn refused(text: &str) -> String {
        Config::parse(text, std::iter::empty()).unwrap_err().0
    }

    #[test]
    fn mail_to_another_machine_is_encrypted_and_has_a_sender() {
        assert!(refused("[mail]\nhost = \"mail.example\"").contains("mail.from"));
        assert!(refused("[mail]\nhost = \"mail.example\"\nfrom = \"nobody\"").contains("mail.from"));
        let plain = |host: &str| format!("[mail]\nhost = \"{host}\"\nfrom = \"a@b.example\"\ntls = \"none\"");
        assert!(refused(&plain("mail.example")).contains("unencrypted"));
        assert!(refused(&plain("10.0.0.5")).contains("unencrypted"));
        for here in ["localhost", "127.0.0.1", "::1"] {
            assert!(Config::parse(&plain(here), std::iter::empty()).unwrap().mail.settings().is_some());
        }
        let named = "[mail]\nhost = \"mail.example\"\nfrom = \"a@b.example\"\nusername = \"u\"";
        assert!(refused(named).contains("mail.password"));
        let foreign = "[mail]\nhost = \"mail.example\"\nfrom = \"a@b.example\"\nca_file = \"/no/such/file\"";
        assert!(refused(foreign).contains("mail.ca_file: /no/such/file cannot be read"));
        assert!(Config::default().mail.settings().is_none());
    }

    #[test]
    fn the_authority_of_a_mail_server_within_the_house_is_read_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let made = crate::tls::make_local(&["mail.example".into()]).unwrap();
        let (good, bad) = (folder.path().join("ca.pem"), folder.path().join("key.pem"));
        std::fs::write(&good, &made.authority).unwrap();
        std::fs::write(&bad, &made.key).unwrap();
        let with = |file: &std::path::Path| {
            let file = file.display();
            format!("[mail]\nhost = \"mail.example\"\nfrom = \"a@b.example\"\nca_file = \"{file}\"")
        };
        let config = Config::parse(&with(&good), std::iter::empty()).unwrap();
        assert_eq!(config.mail.settings().unwrap().ca_file, Some(good));
        assert!(refused(&with(&bad)).contains("holds no certificate"));
    }

    #[test]
    fn a_heartbeat_has_an_address_and_a_pace() {
        assert!(refused("[heartbeat]\nurl = \"monitor\"").contains("heartbeat.url"));
        assert!(refused("[heartbeat]\nevery_s = 0").contains("every_s"));
        assert!(Config::parse("[heartbeat]\nurl = \"https://monitor.example/1\"", std::iter::empty()).is_ok());
    }
}
