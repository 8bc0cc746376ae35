//! Configuration: typed, with its defaults in one place (`docs/configuration.md` tells each key), checked at start.
//!
//! A TOML file, over it environment variables: `SONGHE_SERVER__LISTEN` is `listen` of `[server]`. An unknown key or a
//! bad value stops the start with a sentence that tells the mend.

mod accounts;
mod audit;
mod backup;
mod disk;
mod mqtt;
mod outgoing;
mod retention;
mod vault;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

pub use self::accounts::Accounts;
pub use self::backup::Backup;
pub use self::disk::Disk;
pub use self::mqtt::{Mqtt, MqttMode};

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

pub use audit::Audit;
pub use outgoing::{BeatMethod, Heartbeat, Mail, TlsMode};
pub use retention::Retention;
pub use vault::{Cipher, Vault};

/// Words that stand for a secret in examples: `serve` refuses them, alone, joined and repeated.
const DEFAULT_SECRETS: [&str; 9] =
    ["changeme", "change", "secret", "password", "songhe", "demo", "admin", "default", "example"];
/// A secret with one of these in it was not drawn at random.
const GUESSED: [&str; 6] = ["changeme", "change-me", "password", "secret", "example", "qwerty"];
const RUN: usize = 6;
const MIN_SECRET_CHARS: usize = 16;
/// Variables of the test command: they configure no server.
const FOR_TESTS: &str = "TEST_";
/// A secret of fewer different characters was not drawn at random.
const MIN_DIFFERENT_CHARS: usize = 6;
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub tls: Tls,
    pub database: Database,
    pub disk: Disk,
    pub vault: Vault,
    pub accounts: Accounts,
    pub mqtt: Mqtt,
    pub retention: Retention,
    pub audit: Audit,
    pub mail: Mail,
    pub heartbeat: Heartbeat,
    pub backup: Backup,
    pub metrics: Metrics,
    pub log: Log,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port of pages and API.
    pub listen: SocketAddr,
    /// The address users type, without a slash at its end.
    pub public_url: Option<String>,
    /// Reverse proxies that speak HTTPS for Songhe; only then may plain HTTP leave this machine.
    pub trusted_proxies: Vec<IpAddr>,
    /// The zone of what belongs to no facility; facilities have their own.
    pub zone: String,
    /// HTTP worker threads.
    pub workers: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8700)),
            public_url: None,
            trusted_proxies: Vec::new(),
            zone: "Asia/Shanghai".into(),
            workers: 2,
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the certificate chain; with `key` the server speaks HTTPS and HTTP/2.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite:path/to/file.db` or `postgres://user:password@host/name`.
    pub url: String,
    /// Connections of the pool.
    pub connections: u32,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: "sqlite:songhe-data/songhe.db".into(), connections: 6 }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Who brings this as a bearer token may read /metrics from anywhere; without it this machine only.
    pub token: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged: `info`, `warn,songhe_devices=debug` …
    pub filter: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Text }
    }
}

/// A sentence that tells what is wrong and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

type Result<T> = std::result::Result<T, ConfigError>;

fn wrong<T>(sentence: impl Into<String>) -> Result<T> {
    Err(ConfigError(sentence.into()))
}

impl Config {
    /// Reads the file (none: the defaults) and the environment.
    pub fn load(path: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let text = match path {
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                ConfigError(format!("The configuration {} cannot be read: {error}.", path.display()))
            })?,
            None => String::new(),
        };
        Self::parse(&text, environment)
    }

    /// # Errors
    /// For a file that is no TOML, an unknown key, or a value of the wrong kind.
    pub fn parse(text: &str, environment: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| ConfigError(format!("The configuration is no valid TOML. {error}")))?;
        for (name, value) in environment {
            let Some(rest) = name.strip_prefix("SONGHE_").filter(|rest| !rest.starts_with(FOR_TESTS)) else { continue };
            let Some((section, key)) = rest.split_once("__") else {
                return wrong(format!(
                    "The environment variable {name} is none of Songhe's: section and key are joined by two underscores, \
                     as in SONGHE_SERVER__LISTEN."
                ));
            };
            overlay(&mut table, &section.to_lowercase(), &key.to_lowercase(), &value)?;
        }
        let config: Self = table.try_into().map_err(|error: toml::de::Error| {
            ConfigError(format!(
                "The configuration has a mistake: {}. docs/configuration.md lists every key.",
                one_line(&error)
            ))
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        self.zone()?;
        if self.server.workers == 0 || self.server.workers > 64 {
            return wrong("server.workers must be between 1 and 64.");
        }
        if self.database.connections == 0 || self.database.connections > 200 {
            return wrong("database.connections must be between 1 and 200.");
        }
        if !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| self.database.url.starts_with(scheme)) {
            return wrong("database.url must begin with sqlite: (a file) or postgres:// (a server).");
        }
        if let Some(path) = self.database.url.strip_prefix("sqlite:")
            && (path.trim_start_matches('/').is_empty() || path.ends_with(":memory:"))
        {
            return wrong("database.url must name a file behind sqlite:, for example sqlite:songhe-data/songhe.db.");
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return wrong("tls.certificate and tls.key go together: give both files, or neither.");
        }
        if let Some(url) = &self.server.public_url
            && (!(url.starts_with("https://") || url.starts_with("http://")) || url.ends_with('/'))
        {
            return wrong("server.public_url must look like https://songhe.example, without a slash at its end.");
        }
        self.disk.check()?;
        self.mqtt.check(&self.tls)?;
        self.accounts.check()?;
        self.retention.check()?;
        self.vault.check()?;
        self.audit.check()?;
        self.mail.check()?;
        self.heartbeat.check()?;
        self.backup.check()?;
        check_filter(&self.log.filter)
    }

    pub fn zone(&self) -> Result<Tz> {
        self.server.zone.parse().map_err(|_| {
            ConfigError(format!(
                "server.zone: {:?} is no IANA time zone; write for example Asia/Shanghai.",
                self.server.zone
            ))
        })
    }

    pub fn speaks_tls(&self) -> bool {
        self.tls.certificate.is_some()
    }

    /// What production asks for beyond a readable configuration.
    ///
    /// # Errors
    /// For plain HTTP beyond this machine without a declared proxy, and for a default, simple or short secret.
    pub fn check_production(&self) -> Result<()> {
        if !self.speaks_tls() && !self.server.listen.ip().is_loopback() && self.server.trusted_proxies.is_empty() {
            return wrong(format!(
                "server.listen {} would serve plain HTTP to the network. Give tls.certificate and tls.key (`songhe cert` \
                 makes them), or listen on 127.0.0.1, or declare the proxy that speaks HTTPS in server.trusted_proxies.",
                self.server.listen
            ));
        }
        self.mqtt.check_production()?;
        self.backup.check_production()?;
        if let Some(token) = &self.metrics.token {
            check_secret("metrics.token", token)?;
        }
        if let Some(password) = postgres_password(&self.database.url) {
            check_secret("the password in database.url", password)?;
        }
        Ok(())
    }
}

/// A filter that cannot be read would log next to nothing, and nobody would know before they look for it.
fn check_filter(filter: &str) -> Result<()> {
    let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
    // A word without a level would be the name of a part: a level with a typing error.
    let typo = filter.split(',').map(str::trim).find(|part| !part.contains(['=', '[']) && !is_level(part));
    let problem = match (typo, tracing_subscriber::EnvFilter::try_new(filter)) {
        (Some(part), _) => format!("{part:?} is no level"),
        (None, Err(error)) => error.to_string(),
        (None, Ok(_)) => return Ok(()),
    };
    wrong(format!(
        "log.filter {filter:?} cannot be read ({problem}): write for example info, or warn,songhe_devices=debug."
    ))
}

/// The password of a PostgreSQL URL, if it carries one: behind the user, or as a parameter.
fn postgres_password(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let before_host = place.rsplit_once('@').and_then(|(account, _)| account.split_once(':'));
    let parameter = || parameters.split('&').find_map(|pair| pair.strip_prefix("password="));
    before_host.map(|(_, password)| password).or_else(parameter)
}

/// It has a word of examples in it, or a run of neighbours: `123456`, `abcdef`, `qwerty`.
fn is_guessable(value: &str) -> bool {
    let value = value.to_lowercase();
    let runs = value
        .as_bytes()
        .windows(RUN)
        .any(|run| run.iter().zip(run.iter().skip(1)).all(|(a, b)| a.checked_add(1) == Some(*b)));
    runs || GUESSED.iter().any(|word| value.contains(word))
}

/// Nothing is left of it once the words of examples and what joins them are taken away.
fn is_made_of_defaults(value: &str) -> bool {
    let mut left: String = value.to_lowercase().chars().filter(|c| c.is_alphabetic()).collect();
    let had_letters = !left.is_empty();
    for word in DEFAULT_SECRETS.iter().chain(&["me"]) {
        left = left.replace(word, "");
    }
    had_letters && left.is_empty()
}

fn check_secret(name: &str, value: &str) -> Result<()> {
    if value.is_empty() {
        return wrong(format!("{name} is empty: give a secret of at least {MIN_SECRET_CHARS} characters."));
    }
    let different: std::collections::BTreeSet<char> = value.chars().collect();
    let guessed = is_made_of_defaults(value) || is_guessable(value) || different.len() < MIN_DIFFERENT_CHARS;
    if guessed || value.chars().count() < MIN_SECRET_CHARS {
        return wrong(format!(
            "{name} is a default, too simple or too short: give one of at least {MIN_SECRET_CHARS} characters, for example from \
             `openssl rand -hex 16`."
        ));
    }
    Ok(())
}

fn overlay(table: &mut toml::Table, section: &str, key: &str, value: &str) -> Result<()> {
    let entry = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    let toml::Value::Table(section_table) = entry else {
        return wrong(format!("The configuration's {section} must be a section, [{section}]."));
    };
    // What the key's default is decides: a secret of digits alone is still text.
    let default = toml::Table::try_from(Config::default()).ok().and_then(|mut all| all.remove(section));
    let typed = match default.as_ref().and_then(|section| section.get(key)) {
        Some(toml::Value::Integer(_) | toml::Value::Boolean(_) | toml::Value::Array(_)) => {
            format!("v = {value}").parse::<toml::Table>().ok().and_then(|mut one| one.remove("v"))
        }
        _ => None,
    };
    let value = typed.unwrap_or_else(|| toml::Value::String(value.to_owned()));
    section_table.insert(key.to_owned(), value);
    Ok(())
}

/// What is wrong and, on its second line, at which key.
fn one_line(error: &toml::de::Error) -> String {
    error.to_string().trim().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<Config> {
        Config::parse(text, std::iter::empty())
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let config = parse("").unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8700");
        assert_eq!(config.mqtt.mode, MqttMode::Embedded);
    }

    #[test]
    fn an_unknown_key_and_a_bad_value_tell_the_mend() {
        let error = parse("[server]\nlisen = \"0.0.0.0:1\"").unwrap_err().0;
        assert!(error.contains("lisen") && error.contains("listen"), "{error}");
        let error = parse("[server]\nzone = \"Shanghai\"").unwrap_err().0;
        assert!(error.contains("Asia/Shanghai"), "{error}");
        let error = parse("[database]\nurl = \"mysql://x\"").unwrap_err().0;
        assert!(error.contains("sqlite:"), "{error}");
        assert!(parse("[tls]\nkey = \"k.pem\"").is_err());
        for url in ["sqlite:", "sqlite://", "sqlite::memory:"] {
            let error = parse(&format!("[database]\nurl = \"{url}\"")).unwrap_err().0;
            assert!(error.contains("must name a file"), "{url}: {error}");
        }
        for name in ["SONGHE_SERVER_LISTEN", "SONGHE_DATABASE_URL", "SONGHE_SERVER"] {
            let environment = [(name.to_owned(), "x".to_owned())].into_iter();
            let error = Config::parse("", environment).unwrap_err().0;
            assert!(error.contains(name) && error.contains("SONGHE_SERVER__LISTEN"), "{error}");
        }
        let of_tests = [("SONGHE_TEST_LONG".to_owned(), "1".to_owned())].into_iter();
        assert!(Config::parse("", of_tests).is_ok());
    }

    #[test]
    fn the_environment_goes_over_the_file() {
        let environment = [
            ("SONGHE_SERVER__WORKERS", "4"),
            ("SONGHE_SERVER__LISTEN", "127.0.0.1:9"),
            ("SONGHE_METRICS__TOKEN", "1234567890123456"),
            ("PATH", "/bin"),
        ];
        let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::parse("[server]\nworkers = 2", environment).unwrap();
        assert_eq!(config.server.workers, 4);
        assert_eq!(config.server.listen.port(), 9);
        assert_eq!(config.metrics.token.as_deref(), Some("1234567890123456"));
    }

    #[test]
    fn production_refuses_default_secrets_and_open_plain_http() {
        let open = parse("[server]\nlisten = \"0.0.0.0:8700\"").unwrap();
        assert!(open.check_production().unwrap_err().0.contains("songhe cert"));
        let proxied = parse("[server]\nlisten = \"0.0.0.0:8700\"\ntrusted_proxies = [\"10.0.0.1\"]").unwrap();
        assert!(proxied.check_production().is_ok());
        let external = "[mqtt]\nmode = \"external\"\npassword = ";
        for refused in ["\"\"", "\"change-me\"", "\"short\""] {
            assert!(parse(&format!("{external}{refused}")).unwrap().check_production().is_err(), "{refused}");
        }
        assert!(parse(&format!("{external}\"8f2c7a90b1d34e56\"")).unwrap().check_production().is_ok());
        for weak in [
            "postgres://songhe:songhe@db/songhe",
            "postgres://songhe:change-me-change-me@db/songhe",
            "postgres://db/songhe?user=songhe&password=short",
        ] {
            let weak = parse(&format!("[database]\nurl = \"{weak}\"")).unwrap();
            assert!(weak.check_production().unwrap_err().0.contains("database.url"));
        }
        for good in ["postgres://songhe:8f2c7a90@b1d34e56f7@db/songhe", "postgres://songhe@db/songhe"] {
            assert!(parse(&format!("[database]\nurl = \"{good}\"")).unwrap().check_production().is_ok(), "{good}");
        }
    }

    #[test]
    fn a_secret_that_anybody_would_guess_is_refused_however_long() {
        for weak in [
            "change-me-change-me",
            "Songhe-Demo-Secret-2026",
            "aaaaaaaaaaaaaaaaaaaa",
            "1212121212121212",
            "passwordpassword",
            "my-secret-password",
            "1234567890abcdef",
            "qwertyuiopasdfgh",
        ] {
            let sentence = check_secret("metrics.token", weak).unwrap_err().0;
            assert!(sentence.contains("metrics.token") && sentence.contains("openssl rand"), "{weak}: {sentence}");
        }
        for good in ["8f2c7a90b1d34e56", "7d2e91c04ab65f38d1e0", "meadow violin forty-two lamp"] {
            assert_eq!(check_secret("metrics.token", good), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_told_with_its_mend() {
        for filter in ["info", "WARN,songhe_devices=debug", "off", "info,[http{route=\"/\"}]=debug"] {
            assert!(parse(&format!("[log]\nfilter = '{filter}'")).is_ok(), "{filter}");
        }
        for filter in ["inof", "warn,songhe_devices", "songhe_devices=loud", "", "info,,debug"] {
            let sentence = parse(&format!("[log]\nfilter = '{filter}'")).unwrap_err().0;
            assert!(sentence.contains("log.filter") && sentence.contains("songhe_devices=debug"), "{sentence}");
        }
    }
}
