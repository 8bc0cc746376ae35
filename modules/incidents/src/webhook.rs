//! The signed webhook: `POST` of a JSON message, `Songhe-Signature: t=<unix s>,v1=<hex HMAC-SHA256 of "t.body">`,
//! `Idempotency-Key` = the effect's id. 2xx is delivered; 4xx (but 408, 429) is refused; everything else tries again.

use hmac::{Hmac, Mac};
use rand::Rng;
use serde_json::json;
use sha2::Sha256;
use songhe_kernel::i18n::Locale;
use songhe_kernel::{Error, FacilityId, Result, Tx};
use songhe_registry as registry;

use crate::endpoints::{self, NewEndpoint, Provider};
use crate::model::{EndpointId, EndpointKind, Row, Target};
use crate::numbers::Sealer;
use crate::reach::{Person, names, phones};

/// Adds a signed webhook.
///
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
    let new = NewEndpoint {
        facility,
        target,
        kind: EndpointKind::Webhook,
        name: name.to_owned(),
        url: url.to_owned(),
        secret: secret.to_owned(),
        recipients: Vec::new(),
        locale: Locale::DEFAULT,
        follow: false,
        provider: Provider::default(),
    };
    endpoints::create(tx, &new)
}

/// 256 random bits, hexadecimal.
pub fn new_secret() -> String {
    hex::encode(rand::rng().random::<[u8; 32]>())
}

/// The message of a call: what the receiver needs to call a person, and no more; its numbers are sealed until it is sent. `repeats`: how often the whole ladder
/// was climbed before.
pub(crate) fn message(
    tx: &mut Tx<'_>,
    row: &Row,
    target: Target,
    who: &[Person],
    repeats: i32,
) -> Result<serde_json::Value> {
    let resident = match row.resident_id {
        Some(id) => registry::resident(tx.db(), id)?.map(|resident| resident.name),
        None => None,
    };
    let numbers = phones(tx, who)?;
    let sealer = Sealer::new(tx, row.resident_id, row.id.0)?;
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
        "repeats": repeats,
        "target": target,
        "to": names(who),
        "phones": numbers.iter().map(|clear| sealer.value(clear)).collect::<Vec<_>>(),
    }))
}

/// `t=…,v1=…` for a body sent at a time.
pub fn signature(secret: &str, unix_s: i64, body: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(Error::internal)?;
    mac.update(format!("{unix_s}.{body}").as_bytes());
    Ok(format!("t={unix_s},v1={}", hex::encode(mac.finalize().into_bytes())))
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
}
