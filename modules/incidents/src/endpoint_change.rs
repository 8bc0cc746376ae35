//! Changing an endpoint. Its id and its messages stay; what is left out stays, secrets above all. Messages under way read
//! the endpoint at each attempt, so that a mended one serves them too.

use std::collections::BTreeMap;

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use songhe_kernel::i18n::Locale;
use songhe_kernel::{Error, FieldError, Result, Text, Tx};

use crate::endpoints::{self, Endpoint, Format, Method, NewEndpoint, Provider};
use crate::model::{EndpointId, EndpointKind, Target};
use crate::provider;
use crate::schema::webhook_endpoint;

/// What becomes of an endpoint; kind and facility stay.
#[derive(Debug, Clone)]
pub struct Change {
    /// `None` = for all targets.
    pub target: Option<Target>,
    pub name: String,
    /// `None`: as it is; so below.
    pub url: Option<String>,
    /// What a robot signs by; empty: none any more. A webhook's stays, whatever is given.
    pub secret: Option<String>,
    pub recipients: Vec<String>,
    pub locale: Locale,
    pub follow: bool,
    /// For text and voice.
    pub provider: Option<ProviderChange>,
}

/// How a provider is spoken to from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderChange {
    pub method: Method,
    /// All of them anew; `null`: as they are.
    pub headers: Option<BTreeMap<String, String>>,
    pub format: Format,
    /// `null`: as it is.
    pub body: Option<String>,
    pub ok_status: Option<u16>,
    pub ok_field: String,
    pub ok_value: String,
}

/// # Errors
/// `NotFound` when there is none. `Invalid` as when one is made; and on `headers` and `body` where a provider's address
/// moves to another host: what opens one host is never shown to another.
pub fn change(tx: &mut Tx<'_>, id: EndpointId, change: &Change) -> Result<()> {
    // Takes the row: what is read below is what stays, whoever else writes.
    let row = webhook_endpoint::table.find(id.0);
    diesel::update(row).set(webhook_endpoint::name.eq(webhook_endpoint::name)).execute(tx.db())?;
    let old = endpoints::endpoint(tx.db(), id)?;
    let kind = old.kind()?;
    let kept = old.provider()?;
    let merged = NewEndpoint {
        facility: old.facility_id,
        target: change.target,
        kind,
        name: change.name.clone(),
        url: change.url.clone().unwrap_or_else(|| old.url.clone()),
        secret: change.secret.clone().unwrap_or_default(),
        recipients: change.recipients.clone(),
        locale: change.locale,
        follow: change.follow,
        provider: match &change.provider {
            Some(new) => merge(new, &kept),
            None => kept.clone(),
        },
    };
    endpoints::check(&merged)?;
    keep_secrets_at_home(&old, &kept, &merged, change)?;
    diesel::update(row)
        .set((
            webhook_endpoint::target.eq(change.target.map_or("any", Target::as_str)),
            webhook_endpoint::name.eq(merged.name.trim()),
            webhook_endpoint::url.eq(merged.stored_url()),
            webhook_endpoint::settings.eq(merged.stored_settings()?),
            webhook_endpoint::recipients.eq(merged.stored_recipients()?),
            webhook_endpoint::locale.eq(merged.locale.as_str()),
            webhook_endpoint::follow.eq(merged.follow),
        ))
        .execute(tx.db())?;
    if let Some(secret) = change.secret.as_deref().filter(|_| kind != EndpointKind::Webhook) {
        diesel::update(row).set(webhook_endpoint::secret.eq(secret.trim())).execute(tx.db())?;
    }
    tx.signal(format!("ladders:{}", old.facility_id));
    Ok(())
}

fn merge(new: &ProviderChange, kept: &Provider) -> Provider {
    Provider {
        method: new.method,
        headers: new.headers.clone().unwrap_or_else(|| kept.headers.clone()),
        format: new.format,
        body: new.body.clone().unwrap_or_else(|| kept.body.clone()),
        ok_status: new.ok_status,
        ok_field: new.ok_field.clone(),
        ok_value: new.ok_value.clone(),
    }
}

/// Headers and body of a provider hold its keys, and nobody who edits can read them: another host would.
fn keep_secrets_at_home(old: &Endpoint, kept: &Provider, new: &NewEndpoint, change: &Change) -> Result<()> {
    let origin = |url: &str| reqwest::Url::parse(&provider::sample(url.trim())).ok().map(|url| url.origin());
    if !new.kind.is_by_phone() || origin(&old.url) == origin(&new.url) {
        return Ok(());
    }
    let given = change.provider.clone().unwrap_or_default();
    let mut wrong = Vec::new();
    if given.headers.is_none() && !kept.headers.is_empty() {
        wrong.push(FieldError::new("headers", Text::key("outgoing-error-other-host")));
    }
    if given.body.is_none() && !kept.body.is_empty() {
        wrong.push(FieldError::new("body", Text::key("outgoing-error-other-host")));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}

/// Signs a webhook's requests by another key from now on.
///
/// # Errors
/// `NotFound` when there is none; `Conflict` for other kinds, whose secret is their maker's.
pub fn set_secret(tx: &mut Tx<'_>, id: EndpointId, secret: &str) -> Result<()> {
    if endpoints::endpoint(tx.db(), id)?.kind()? != EndpointKind::Webhook {
        return Err(Error::conflict("outgoing-error-no-secret"));
    }
    diesel::update(webhook_endpoint::table.find(id.0)).set(webhook_endpoint::secret.eq(secret)).execute(tx.db())?;
    Ok(())
}

/// Switches an endpoint off, or on again. Off, no rung goes there, and messages under way fail and say why; they can be
/// sent again by hand once it is on.
///
/// # Errors
/// `NotFound` when there is none.
pub fn set_active(tx: &mut Tx<'_>, id: EndpointId, active: bool) -> Result<()> {
    let row = webhook_endpoint::table.find(id.0);
    diesel::update(row).set(webhook_endpoint::active.eq(active)).execute(tx.db())?;
    let endpoint = endpoints::endpoint(tx.db(), id)?;
    tx.signal(format!("ladders:{}", endpoint.facility_id));
    Ok(())
}
