//! The signed webhook: `POST` of a JSON message, `Songhe-Signature: t=<unix s>,v1=<hex HMAC-SHA256 of "t.body">`,
//! `Idempotency-Key` = the effect's id. 2xx is delivered; 4xx (but 408, 429) is refused; everything else tries again.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use hmac::{Hmac, Mac};
use rand::Rng;
use serde_json::json;
use sha2::Sha256;
use songhe_kernel::effects::{Effect, EffectSender, NewEffect, SendFuture, Sent};
use songhe_kernel::identity::Scope;
use songhe_kernel::{Database, Db, Error, FacilityId, FieldError, Result, Text, Tx, check_name};
use songhe_registry as registry;

use crate::MODULE;
use crate::model::{EndpointId, Row, Target};
use crate::reach::{Person, names};
use crate::schema::webhook_endpoint;

/// Effect kind.
pub(crate) const KIND: &str = "webhook";
/// A peer that takes longer has failed; the ladder does not wait for it.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_URL: usize = 500;
/// As long as a host's name can be, which pages take for it.
const MAX_NAME_CHARS: usize = 300;
/// How long a test message is worth sending, in seconds.
const TEST_VALID_S: i64 = 300;

/// An endpoint as people see it; its secret is shown once, when it is made.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = webhook_endpoint)]
pub struct Endpoint {
    pub id: EndpointId,
    pub facility_id: FacilityId,
    /// A [`Target`] or `any`.
    pub target: String,
    pub name: String,
    pub url: String,
    pub active: bool,
}

pub fn endpoints(db: &mut Db, facility: FacilityId) -> Result<Vec<Endpoint>> {
    Ok(webhook_endpoint::table
        .filter(webhook_endpoint::facility_id.eq(facility.0))
        .order(webhook_endpoint::id.asc())
        .select(Endpoint::as_select())
        .load(db)?)
}

/// # Errors
/// `Invalid` for a name or URL that cannot be used. `target`: `None` = for all targets.
pub fn create_endpoint(
    tx: &mut Tx<'_>,
    facility: FacilityId,
    target: Option<Target>,
    name: &str,
    url: &str,
    secret: &str,
) -> Result<EndpointId> {
    let mut wrong = Vec::new();
    wrong.extend(check_name("name", name, MAX_NAME_CHARS).err());
    if let Err(key) = check_url(url.trim()) {
        wrong.push(FieldError::new("url", Text::key(key)));
    }
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    let id = EndpointId(tx.next_id());
    let now = tx.now();
    diesel::insert_into(webhook_endpoint::table)
        .values((
            webhook_endpoint::id.eq(id.0),
            webhook_endpoint::facility_id.eq(facility.0),
            webhook_endpoint::target.eq(target.map_or("any", Target::as_str)),
            webhook_endpoint::name.eq(name.trim()),
            webhook_endpoint::url.eq(url.trim()),
            webhook_endpoint::secret.eq(secret),
            webhook_endpoint::active.eq(true),
            webhook_endpoint::created_at.eq(now),
        ))
        .execute(tx.db())?;
    tx.signal(format!("ladders:{facility}"));
    Ok(id)
}

/// Residents' names go there: encrypted, unless they stay on this machine. Link-local hosts hold a cloud's own secrets.
fn check_url(url: &str) -> Result<(), &'static str> {
    // Before parsing, which drops tabs and line ends in silence.
    if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("incidents-error-url-characters");
    }
    let parsed = reqwest::Url::parse(url).ok().filter(|_| url.len() <= MAX_URL).ok_or("error-invalid-url")?;
    let host = parsed.host_str().ok_or("error-invalid-url")?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("incidents-error-url-user");
    }
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let link_local = match address {
        Some(IpAddr::V4(v4)) => v4.is_link_local(),
        Some(IpAddr::V6(v6)) => v6.is_unicast_link_local(),
        None => false,
    };
    if link_local {
        return Err("incidents-error-url-host");
    }
    let loopback = address.map_or(host == "localhost", |address| address.is_loopback());
    match parsed.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        _ => Err("incidents-error-url-https"),
    }
}

/// # Errors
/// `NotFound` when the facility has none of that id.
pub fn remove_endpoint(tx: &mut Tx<'_>, facility: FacilityId, id: EndpointId) -> Result<()> {
    let mine = webhook_endpoint::table.find(id.0).filter(webhook_endpoint::facility_id.eq(facility.0));
    if diesel::delete(mine).execute(tx.db())? == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// The key that signs an endpoint's requests: shown once, to whoever made it.
pub(crate) fn secret_of(db: &mut Db, id: EndpointId) -> Result<String> {
    webhook_endpoint::table.find(id.0).select(webhook_endpoint::secret).first(db).optional()?.ok_or(Error::NotFound)
}

/// # Errors
/// `NotFound` when there is none.
pub fn endpoint(db: &mut Db, id: EndpointId) -> Result<Endpoint> {
    webhook_endpoint::table.find(id.0).select(Endpoint::as_select()).first(db).optional()?.ok_or(Error::NotFound)
}

/// Sends a message that asks nobody for anything, to prove the way.
///
/// # Errors
/// `NotFound` when there is none within the scope.
pub fn send_test(tx: &mut Tx<'_>, scope: &Scope, id: EndpointId) -> Result<()> {
    let (endpoint, now) = (endpoint(tx.db(), id)?, tx.now());
    if !scope.contains(endpoint.facility_id) {
        return Err(Error::NotFound);
    }
    tx.enqueue_effect(NewEffect {
        module: MODULE,
        kind: KIND,
        subject: endpoint.id.to_string(),
        facility: Some(endpoint.facility_id),
        target: address(endpoint.id),
        payload: json!({ "type": "test", "facility": endpoint.facility_id, "sent_at": now }),
        valid_until: now.plus_seconds(TEST_VALID_S),
    })?;
    Ok(())
}

/// How an effect names its endpoint.
pub(crate) fn address(endpoint: EndpointId) -> serde_json::Value {
    json!({ "endpoint": endpoint })
}

/// 256 random bits, hexadecimal.
pub fn new_secret() -> String {
    hex::encode(rand::rng().random::<[u8; 32]>())
}

/// The message of a call: what the receiver needs to call a person, and no more.
pub(crate) fn message(tx: &mut Tx<'_>, row: &Row, target: Target, who: &[Person]) -> Result<serde_json::Value> {
    let resident = match row.resident_id {
        Some(id) => registry::resident(tx.db(), id)?.map(|resident| resident.name),
        None => None,
    };
    let phones: Vec<String> = match (target, row.resident_id) {
        (Target::Contact, Some(id)) => registry::contacts(tx.db(), id)?
            .into_iter()
            .filter(|contact| who.iter().any(|person| person.name == contact.name))
            .filter_map(|contact| contact.phone)
            .collect(),
        _ => Vec::new(),
    };
    Ok(json!({
        "type": "incident.call",
        "incident": row.id,
        "facility": row.facility_id,
        "kind": row.kind,
        "priority": row.priority,
        "place": row.place_label,
        "resident": resident,
        "source": row.source,
        "raised_at": row.raised_at,
        "delayed_s": row.delayed_s,
        "target": target,
        "to": names(who),
        "phones": phones,
    }))
}

/// `t=…,v1=…` for a body sent at a time.
pub fn signature(secret: &str, unix_s: i64, body: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(Error::internal)?;
    mac.update(format!("{unix_s}.{body}").as_bytes());
    Ok(format!("t={unix_s},v1={}", hex::encode(mac.finalize().into_bytes())))
}

/// Sends webhooks. The endpoint's address and secret are read at each attempt, so that a mended one works at once.
pub struct WebhookSender {
    db: Database,
    clients: Clients,
}

#[derive(Clone)]
struct Clients {
    /// By the system's proxy, if it names one.
    away: reqwest::Client,
    /// What goes unencrypted because it stays on this machine passes no proxy.
    here: reqwest::Client,
}

impl Clients {
    fn of(&self, url: &str) -> &reqwest::Client {
        if url.starts_with("https:") { &self.away } else { &self.here }
    }
}

impl WebhookSender {
    /// # Errors
    /// `Internal` when no TLS client can be made.
    pub fn new(db: Database) -> Result<Arc<Self>> {
        let client = || {
            reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).user_agent("Songhe")
        };
        let away = client().build().map_err(Error::internal)?;
        let here = client().no_proxy().build().map_err(Error::internal)?;
        Ok(Arc::new(Self { db, clients: Clients { away, here } }))
    }
}

impl EffectSender for WebhookSender {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn send(&self, effect: Effect) -> SendFuture {
        let (db, clients) = (self.db.clone(), self.clients.clone());
        Box::pin(async move {
            match attempt(&db, &clients, effect).await {
                Ok(sent) => sent,
                Err(error) => Sent::TryAgain(error.to_string()),
            }
        })
    }
}

async fn attempt(db: &Database, clients: &Clients, effect: Effect) -> Result<Sent> {
    #[derive(serde::Deserialize)]
    struct To {
        endpoint: EndpointId,
    }
    let to: To = serde_json::from_str(&effect.target)?;
    let found: Option<(String, String)> = db
        .read(move |db| {
            Ok(webhook_endpoint::table
                .find(to.endpoint.0)
                .filter(webhook_endpoint::active.eq(true))
                .select((webhook_endpoint::url, webhook_endpoint::secret))
                .first(db)
                .optional()?)
        })
        .await?;
    let Some((url, secret)) = found else {
        return Ok(Sent::Refused("the endpoint was removed or switched off".into()));
    };
    let unix_s = db.clock().now().unix_ms() / 1000;
    let request = clients
        .of(&url)
        .post(url)
        .header("Content-Type", "application/json")
        .header("Idempotency-Key", effect.id.to_string())
        .header("Songhe-Signature", signature(&secret, unix_s, &effect.payload)?)
        .body(effect.payload);
    Ok(match request.send().await {
        Ok(answer) if answer.status().is_success() => Sent::Delivered,
        Ok(answer) => {
            let status = answer.status();
            let why = format!("answered {status}");
            let final_no = status.is_client_error() && !matches!(status.as_u16(), 408 | 429);
            if final_no { Sent::Refused(why) } else { Sent::TryAgain(why) }
        }
        // The error's text may repeat the URL with a token in it.
        Err(error) => Sent::TryAgain(with_causes(&error.without_url())),
    })
}

/// The error and what caused it: refused, unknown name or certificate stand in the cause.
fn with_causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_signature_covers_time_and_body() {
        let signed = signature("secret", 1_700_000_000, "{}").unwrap();
        assert_eq!(signed, "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163");
        assert_ne!(signed, signature("secret", 1_700_000_001, "{}").unwrap());
    }

    #[test]
    fn a_url_is_encrypted_or_stays_on_this_machine() {
        for url in [
            "https://example.com/hook?a=b",
            "https://10.0.0.5:8443/",
            "http://localhost:9000/x",
            "http://127.9.9.9/",
            "http://[::1]:8080/",
        ] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for (url, key) in [
            ("", "error-invalid-url"),
            ("example.com/hook", "error-invalid-url"),
            ("https://", "error-invalid-url"),
            (&format!("https://example.com/{}", "x".repeat(MAX_URL)), "error-invalid-url"),
            ("http://example.com/", "incidents-error-url-https"),
            ("http://localhost.example.com/", "incidents-error-url-https"),
            ("http://10.0.0.5/", "incidents-error-url-https"),
            ("ftp://example.com/", "incidents-error-url-https"),
            ("https://user@example.com/", "incidents-error-url-user"),
            ("http://127.0.0.1:80@example.com/", "incidents-error-url-user"),
            ("https://:word@example.com/", "incidents-error-url-user"),
            ("https://exam\tple.com/", "incidents-error-url-characters"),
            ("https://example.com/a\r\nb", "incidents-error-url-characters"),
            ("https://example.com/a b", "incidents-error-url-characters"),
            ("https://example.com/\u{3000}", "incidents-error-url-characters"),
            ("https://169.254.169.254/latest", "incidents-error-url-host"),
            ("https://0xa9fea9fe/", "incidents-error-url-host"),
            ("https://[fe80::1]/", "incidents-error-url-host"),
            ("https://[febf::1]/", "incidents-error-url-host"),
            ("https://[::ffff:169.254.1.1]/", "incidents-error-url-host"),
        ] {
            assert_eq!(check_url(url), Err(key), "{url}");
        }
    }
}
