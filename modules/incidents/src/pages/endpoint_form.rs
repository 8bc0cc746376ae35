//! The form of an endpoint: what is posted, read into one that can be made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use songhe_kernel::i18n::Locale;
use songhe_kernel::{FacilityId, FieldError, Text};

use crate::endpoint_change::{Change, ProviderChange};
use crate::endpoints::{Endpoint, Format, Method, NewEndpoint, Provider};
use crate::model::{EndpointKind, Target};
use crate::webhook;

pub(super) const ANY: &str = "any";
/// Characters of a host that stand for its endpoint.
const MAX_HOST: usize = 253;

/// As shown and posted; a secret and the values of headers are never shown again.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct EndpointForm {
    kind: String,
    name: String,
    url: String,
    pub(super) facility: String,
    target: String,
    #[serde(skip_serializing)]
    secret: String,
    recipients: String,
    locale: String,
    follow: String,
    method: String,
    #[serde(skip_serializing)]
    headers: String,
    format: String,
    body: String,
    ok_status: String,
    ok_field: String,
    ok_value: String,
    /// On a change: the secret and the headers that were kept go.
    forget: String,
}

impl Default for EndpointForm {
    fn default() -> Self {
        let empty = String::new;
        Self {
            kind: EndpointKind::Webhook.as_str().into(),
            name: empty(),
            url: empty(),
            facility: empty(),
            target: ANY.into(),
            secret: empty(),
            recipients: empty(),
            locale: Locale::DEFAULT.as_str().into(),
            follow: empty(),
            method: "POST".into(),
            headers: empty(),
            format: "json".into(),
            body: r#"{"phone": "{phone}", "text": "{text}", "id": "{id}"}"#.into(),
            ok_status: empty(),
            ok_field: empty(),
            ok_value: empty(),
            forget: empty(),
        }
    }
}

/// Inputs, each a field of the operation, and their labels.
pub(super) const FIELDS: [(&str, &str, &str); 11] = [
    ("kind", "kind", "channels-kind"),
    ("name", "name", "channels-name"),
    ("url", "url", "incidents-endpoint-url"),
    ("facility", "facility", "incidents-ladder-facility"),
    ("target", "target", "incidents-endpoint-for"),
    ("secret", "secret", "channels-secret"),
    ("recipients", "recipients", "channels-recipients"),
    ("locale", "locale", "channels-locale"),
    ("headers", "headers", "channels-headers"),
    ("body", "body", "channels-body"),
    ("ok_status", "ok_status", "channels-ok-status"),
];

impl EndpointForm {
    /// The endpoint that the form describes, as far as it can be read.
    ///
    /// # Errors
    /// Every input that cannot be read.
    pub(super) fn endpoint(&self, facility: Option<FacilityId>) -> Result<NewEndpoint, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let mut refuse = |field: &'static str, key: &'static str| wrong.push(FieldError::new(field, Text::key(key)));
        let (kind, target) = (EndpointKind::parse(&self.kind), Target::parse(&self.target));
        let locale = Locale::parse(&self.locale);
        for (field, missing) in [
            ("kind", kind.is_none()),
            ("facility", facility.is_none()),
            ("target", target.is_none() && self.target != ANY),
            ("locale", locale.is_none()),
        ] {
            if missing {
                refuse(field, "error-choose");
            }
        }
        let (headers, ok_status) = (self.read_headers(), self.read_ok_status());
        if headers.is_none() {
            refuse("headers", "channels-error-header-lines");
        }
        if ok_status.is_none() {
            refuse("ok_status", "error-invalid-number");
        }
        let (Some(kind), Some(facility), Some(locale), Some(headers), Some(ok_status), true) =
            (kind, facility, locale, headers, ok_status, wrong.is_empty())
        else {
            return Err(wrong);
        };
        let (body, ok_field) = (self.body.clone(), self.ok_field.trim().to_owned());
        let ok_value = self.ok_value.trim().to_owned();
        let (method, format) = (self.read_method(), self.read_format());
        let recipients = if kind == EndpointKind::Email || kind.is_by_phone() { self.list() } else { Vec::new() };
        Ok(NewEndpoint {
            facility,
            target,
            kind,
            name: self.name_or(&recipients),
            url: self.url.trim().to_owned(),
            secret: if kind == EndpointKind::Webhook { webhook::new_secret() } else { self.secret.trim().to_owned() },
            recipients,
            locale,
            follow: !self.follow.is_empty(),
            provider: Provider { method, headers, format, body, ok_status, ok_field, ok_value },
        })
    }

    /// What there is, as far as it may be shown.
    ///
    /// # Errors
    /// `Internal` when what is stored cannot be read.
    pub(super) fn of(endpoint: &Endpoint) -> songhe_kernel::Result<Self> {
        let provider = endpoint.provider()?;
        let is_webhook = endpoint.kind()? == EndpointKind::Webhook;
        Ok(Self {
            kind: endpoint.kind.clone(),
            name: endpoint.name.clone(),
            url: if is_webhook { endpoint.url.clone() } else { String::new() },
            target: endpoint.target.clone(),
            recipients: endpoint.recipients()?.join("\n"),
            locale: endpoint.locale.clone(),
            follow: if endpoint.follow { "yes".into() } else { String::new() },
            method: match provider.method {
                Method::Get => "GET".into(),
                Method::Post => "POST".into(),
                Method::Put => "PUT".into(),
            },
            format: match provider.format {
                Format::Json => "json".into(),
                Format::Form => "form".into(),
            },
            body: String::new(),
            ok_status: provider.ok_status.map(|status| status.to_string()).unwrap_or_default(),
            ok_field: provider.ok_field,
            ok_value: provider.ok_value,
            ..Self::default()
        })
    }

    /// What becomes of an endpoint of that kind; inputs that are empty and were never shown leave it as it is.
    ///
    /// # Errors
    /// Every input that cannot be read.
    pub(super) fn change(&self, kind: EndpointKind) -> Result<Change, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let mut refuse = |field: &'static str, key: &'static str| wrong.push(FieldError::new(field, Text::key(key)));
        let (target, locale) = (Target::parse(&self.target), Locale::parse(&self.locale));
        if target.is_none() && self.target != ANY {
            refuse("target", "error-choose");
        }
        if locale.is_none() {
            refuse("locale", "error-choose");
        }
        let (headers, ok_status) = (self.read_headers(), self.read_ok_status());
        if headers.is_none() {
            refuse("headers", "channels-error-header-lines");
        }
        if ok_status.is_none() {
            refuse("ok_status", "error-invalid-number");
        }
        let (Some(locale), Some(headers), Some(ok_status), true) = (locale, headers, ok_status, wrong.is_empty())
        else {
            return Err(wrong);
        };
        let forget = !self.forget.is_empty();
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let provider = ProviderChange {
            method: self.read_method(),
            headers: (forget || !headers.is_empty()).then_some(headers),
            format: self.read_format(),
            body: Some(self.body.clone()).filter(|body| !body.trim().is_empty()),
            ok_status,
            ok_field: self.ok_field.trim().to_owned(),
            ok_value: self.ok_value.trim().to_owned(),
        };
        Ok(Change {
            target,
            name: self.name.trim().to_owned(),
            url: given(&self.url),
            secret: given(&self.secret).or_else(|| forget.then(String::new)),
            recipients: if kind == EndpointKind::Email || kind.is_by_phone() { self.list() } else { Vec::new() },
            locale,
            follow: !self.follow.is_empty(),
            provider: kind.is_by_phone().then_some(provider),
        })
    }

    fn read_method(&self) -> Method {
        match self.method.as_str() {
            "GET" => Method::Get,
            "PUT" => Method::Put,
            _ => Method::Post,
        }
    }

    fn read_format(&self) -> Format {
        if self.format == "form" { Format::Form } else { Format::Json }
    }

    /// `None`: it is no number.
    fn read_ok_status(&self) -> Option<Option<u16>> {
        match self.ok_status.trim() {
            "" => Some(None),
            status => status.parse().ok().map(Some),
        }
    }

    /// Addresses or numbers, one a line or with commas between them.
    fn list(&self) -> Vec<String> {
        let parts = self.recipients.split(['\n', ',', '，', ';', '；', '、']);
        parts.map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// `Name: value` a line.
    fn read_headers(&self) -> Option<BTreeMap<String, String>> {
        let lines = self.headers.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(|line| line.split_once(':').map(|(name, value)| (name.trim().into(), value.trim().into()))).collect()
    }

    /// Without a name of its own: what a person recognises in a list.
    fn name_or(&self, recipients: &[String]) -> String {
        if !self.name.trim().is_empty() {
            return self.name.trim().to_owned();
        }
        if self.kind == EndpointKind::Email.as_str() {
            return recipients.first().cloned().unwrap_or_else(|| "-".to_owned());
        }
        let host = self.url.split('/').nth(2).unwrap_or_default();
        let plain: String =
            host.chars().filter(|c| c.is_alphanumeric() || ".-:[]".contains(*c)).take(MAX_HOST).collect();
        if plain.is_empty() { "-".to_owned() } else { plain }
    }
}
