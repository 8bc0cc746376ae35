//! Endpoints: where a facility's calls leave the house. What each kind needs is checked when one is made.

use std::collections::BTreeMap;
use std::net::IpAddr;

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::i18n::Locale;
use songhe_kernel::{AuditEntry, Db, Error, FacilityId, FieldError, Result, Text, Tx, check_name};

use crate::model::{EndpointId, EndpointKind, Target};
use crate::schema::webhook_endpoint;
use crate::{mail, provider};

const MAX_URL: usize = 500;
/// As long as a host's name can be, which pages take for it.
const MAX_NAME_CHARS: usize = 300;
const MAX_SECRET_CHARS: usize = 200;
const MAX_RECIPIENTS: usize = 10;
const MAX_PHONE_CHARS: usize = 32;

/// An endpoint as people see it; its secret is shown once, when it is made, and never when others gave it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = webhook_endpoint)]
pub struct Endpoint {
    pub id: EndpointId,
    pub facility_id: FacilityId,
    /// A [`Target`] or `any`.
    pub target: String,
    pub name: String,
    /// Empty for e-mail.
    pub url: String,
    pub active: bool,
    /// An [`EndpointKind`].
    pub kind: String,
    /// JSON of a [`Provider`]; `{}` for kinds that need none.
    pub settings: String,
    /// JSON list of addresses or numbers.
    pub recipients: String,
    /// Language of its messages.
    pub locale: String,
    /// Whether whom it called is told as well that somebody has answered.
    pub follow: bool,
}

impl Endpoint {
    /// # Errors
    /// `Internal` for a stored kind that is none.
    pub fn kind(&self) -> Result<EndpointKind> {
        self.kind.parse()
    }

    /// # Errors
    /// `Internal` when what is stored cannot be read; so the following ones.
    pub fn recipients(&self) -> Result<Vec<String>> {
        Ok(serde_json::from_str(&self.recipients)?)
    }

    pub fn provider(&self) -> Result<Provider> {
        Ok(serde_json::from_str(&self.settings)?)
    }

    pub fn locale(&self) -> Locale {
        Locale::parse(&self.locale).unwrap_or(Locale::DEFAULT)
    }

    /// The address without what opens it: a robot's URL holds its key, a provider's may.
    pub fn shown_url(&self) -> String {
        if self.kind == EndpointKind::Webhook.as_str() {
            return self.url.clone();
        }
        match self.url.split('/').collect::<Vec<_>>().as_slice() {
            [scheme, _, host, ..] => format!("{scheme}//{host}/…"),
            _ => String::new(),
        }
    }
}

/// How a provider's request carries its values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `application/json`; values are escaped for strings.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`; values are percent-encoded.
    Form,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    #[default]
    Post,
    Put,
}

/// How a provider of text messages or voice calls is spoken to. URL and body may hold `{phone}`, `{text}` and `{id}`
/// (the message's id, the same whenever it is sent again).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Provider {
    pub method: Method,
    /// Names and values, at most 20; values are never shown again.
    pub headers: BTreeMap<String, String>,
    pub format: Format,
    /// At most 4,000 characters; not sent with `GET`.
    pub body: String,
    /// The status that means success; `null`: any of 200 to 299.
    pub ok_status: Option<u16>,
    /// A field of the JSON answer, `a.b` for one within another; empty: the status alone decides.
    pub ok_field: String,
    /// The field's value on success.
    pub ok_value: String,
}

/// An endpoint to be made.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    pub facility: FacilityId,
    /// `None` = for all targets.
    pub target: Option<Target>,
    pub kind: EndpointKind,
    pub name: String,
    pub url: String,
    /// Signs a webhook's requests; what DingTalk and Feishu sign by, if their robot wants it.
    pub secret: String,
    /// E-mail: 1 to 10 addresses. Text and voice: numbers for whoever has none, up to 10.
    pub recipients: Vec<String>,
    pub locale: Locale,
    pub follow: bool,
    pub provider: Provider,
}

impl NewEndpoint {
    pub(crate) fn stored_url(&self) -> &str {
        if self.kind == EndpointKind::Email { "" } else { self.url.trim() }
    }

    pub(crate) fn stored_settings(&self) -> Result<String> {
        if self.kind.is_by_phone() { Ok(serde_json::to_string(&self.provider)?) } else { Ok("{}".to_owned()) }
    }

    pub(crate) fn stored_recipients(&self) -> Result<String> {
        let recipients: Vec<&str> = self.recipients.iter().map(|one| one.trim()).collect();
        Ok(serde_json::to_string(&recipients)?)
    }
}

pub fn of_facility(db: &mut Db, facility: FacilityId) -> Result<Vec<Endpoint>> {
    Ok(webhook_endpoint::table
        .filter(webhook_endpoint::facility_id.eq(facility.0))
        .order(webhook_endpoint::id.asc())
        .select(Endpoint::as_select())
        .load(db)?)
}

/// # Errors
/// `NotFound` when there is none.
pub fn endpoint(db: &mut Db, id: EndpointId) -> Result<Endpoint> {
    webhook_endpoint::table.find(id.0).select(Endpoint::as_select()).first(db).optional()?.ok_or(Error::NotFound)
}

/// The key that signs an endpoint's requests.
pub(crate) fn secret_of(db: &mut Db, id: EndpointId) -> Result<String> {
    webhook_endpoint::table.find(id.0).select(webhook_endpoint::secret).first(db).optional()?.ok_or(Error::NotFound)
}

/// # Errors
/// `Invalid` on `name`, `url`, `secret`, `recipients` and the fields of a provider, all that is wrong at once.
pub fn create(tx: &mut Tx<'_>, new: &NewEndpoint) -> Result<EndpointId> {
    check(new)?;
    let id = EndpointId(tx.next_id());
    let now = tx.now();
    diesel::insert_into(webhook_endpoint::table)
        .values((
            (webhook_endpoint::id.eq(id.0), webhook_endpoint::facility_id.eq(new.facility.0)),
            webhook_endpoint::target.eq(new.target.map_or("any", Target::as_str)),
            webhook_endpoint::name.eq(new.name.trim()),
            webhook_endpoint::url.eq(new.stored_url()),
            webhook_endpoint::secret.eq(new.secret.trim()),
            webhook_endpoint::active.eq(true),
            webhook_endpoint::created_at.eq(now),
            webhook_endpoint::kind.eq(new.kind.as_str()),
            webhook_endpoint::settings.eq(new.stored_settings()?),
            webhook_endpoint::recipients.eq(new.stored_recipients()?),
            webhook_endpoint::locale.eq(new.locale.as_str()),
            webhook_endpoint::follow.eq(new.follow),
        ))
        .execute(tx.db())?;
    // Neither address nor number nor secret: they are what an endpoint keeps from others.
    let after = serde_json::json!({
        "kind": new.kind.as_str(), "target": new.target.map_or("any", Target::as_str), "name": new.name.trim(),
    });
    tx.audit(AuditEntry::new("endpoint.create", id).at(new.facility).after(after))?;
    tx.signal(format!("ladders:{}", new.facility));
    Ok(id)
}

/// # Errors
/// `NotFound` when the facility has none of that id.
pub fn remove(tx: &mut Tx<'_>, facility: FacilityId, id: EndpointId) -> Result<()> {
    let mine = webhook_endpoint::table.find(id.0).filter(webhook_endpoint::facility_id.eq(facility.0));
    if diesel::delete(mine).execute(tx.db())? == 0 {
        return Err(Error::NotFound);
    }
    tx.audit(AuditEntry::new("endpoint.remove", id).at(facility))
}

/// The number that a test calls: the one given, else the endpoint's own.
///
/// # Errors
/// `Invalid` on `phone` when there is none, or it is no number.
pub(crate) fn test_number(endpoint: &Endpoint, given: Option<&str>) -> Result<String> {
    let given = given.map(str::trim).filter(|text| !text.is_empty());
    match given {
        Some(phone) if is_phone(phone) => Ok(phone.to_owned()),
        Some(phone) => Err(Error::field("phone", Text::key("channels-error-phone").arg("value", phone))),
        None => {
            let own = endpoint.recipients()?.into_iter().next();
            own.ok_or_else(|| Error::field("phone", Text::key("error-required")))
        }
    }
}

pub(crate) fn check(new: &NewEndpoint) -> Result<()> {
    let mut wrong = Vec::new();
    wrong.extend(check_name("name", &new.name, MAX_NAME_CHARS).err());
    if new.secret.chars().count() > MAX_SECRET_CHARS {
        wrong.push(FieldError::new("secret", Text::key("error-too-long").arg("max", MAX_SECRET_CHARS)));
    }
    if new.kind != EndpointKind::Email
        && let Err(key) = check_url(&provider::sample(new.url.trim()))
    {
        wrong.push(FieldError::new("url", Text::key(key)));
    }
    if new.kind.is_by_phone() {
        wrong.extend(provider::check(new.url.trim(), &new.provider));
    }
    wrong.extend(check_recipients(new).map(|text| FieldError::new("recipients", text)));
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}

fn check_recipients(new: &NewEndpoint) -> Option<Text> {
    let (list, kind) = (&new.recipients, new.kind);
    if list.is_empty() {
        return (kind == EndpointKind::Email).then(|| Text::key("error-required"));
    }
    if list.len() > MAX_RECIPIENTS {
        return Some(Text::key("channels-error-too-many").arg("max", MAX_RECIPIENTS));
    }
    let bad = |fits: fn(&str) -> bool| list.iter().map(|one| one.trim()).find(|one| !fits(one));
    match kind {
        EndpointKind::Email => bad(mail::is_address).map(|one| Text::key("channels-error-address").arg("value", one)),
        _ if kind.is_by_phone() => bad(is_phone).map(|one| Text::key("channels-error-phone").arg("value", one)),
        _ => Some(Text::key("channels-error-no-recipients")),
    }
}

/// As the registry takes a number: digits with the marks people write between them.
fn is_phone(text: &str) -> bool {
    text.len() <= MAX_PHONE_CHARS
        && text.chars().all(|c| c.is_ascii_digit() || " +-()#*".contains(c))
        && text.chars().filter(char::is_ascii_digit).count() >= 3
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

#[cfg(test)]
mod tests {
    use super::*;

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
