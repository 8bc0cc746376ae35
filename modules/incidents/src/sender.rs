//! Sends messages to endpoints. Address, secret and words are read at each attempt, so that a mended one works at once.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use diesel::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use songhe_kernel::effects::{Effect, EffectSender, SendFuture, Sent};
use songhe_kernel::i18n::I18n;
use songhe_kernel::schema::effect as effect_table;
use songhe_kernel::{Database, Db, EffectId, Error, Result, Text, pages};
use songhe_registry as registry;

use crate::endpoints::{self, Endpoint};
use crate::mail::{MailSettings, Mailer};
use crate::model::{EndpointId, EndpointKind};
use crate::provider::{self, Values};
use crate::reasons::{self, DOUBT, GIVEN_UP};
use crate::schema::webhook_endpoint;
use crate::wording::{self, Setting};
use crate::{numbers, robot, telling, webhook};

/// A peer that takes longer has failed; the ladder does not wait for it.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Of which so much for the connection: one that is not made has surely delivered nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// More of an answer is not looked at, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Characters of an answer that are kept with a failure.
const CLIP: usize = 200;

/// The way out of the house.
pub struct Sender {
    out: Arc<Out>,
}

struct Out {
    db: Database,
    /// By the system's proxy, if it names one.
    away: reqwest::Client,
    /// What goes unencrypted because it stays on this machine passes no proxy.
    here: reqwest::Client,
    mailer: Option<Mailer>,
    words: OnceLock<Arc<I18n>>,
}

impl Sender {
    /// `mail`: `None` where the configuration names no server.
    ///
    /// # Errors
    /// `Internal` when no TLS client can be made, or the mail server cannot be one.
    pub fn new(db: Database, mail: Option<&MailSettings>) -> Result<Arc<Self>> {
        let client = || {
            let bounded = reqwest::Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT);
            bounded.redirect(reqwest::redirect::Policy::none()).user_agent("Songhe")
        };
        let away = client().build().map_err(Error::internal)?;
        let here = client().no_proxy().build().map_err(Error::internal)?;
        let mailer = mail.map(Mailer::new).transpose()?;
        Ok(Arc::new(Self { out: Arc::new(Out { db, away, here, mailer, words: OnceLock::new() }) }))
    }
}

impl EffectSender for Sender {
    fn kind(&self) -> &'static str {
        telling::KIND
    }

    fn send(&self, effect: Effect) -> SendFuture {
        let out = self.out.clone();
        Box::pin(async move {
            let (kept, vault) = (effect.clone(), out.db.vault());
            let opened = out.db.read(move |db| numbers::opened_effect(&vault, db, kept)).await;
            let sent = match opened {
                Ok(opened) => out.attempt(&opened).await.map(|sent| numbers::hushed(sent, &opened.payload)),
                Err(error) => Err(error),
            };
            sent.unwrap_or_else(|error| Sent::TryAgain(error.to_string()))
        })
    }
}

/// What an attempt is made with.
struct Way {
    endpoint: Endpoint,
    kind: EndpointKind,
    secret: String,
    setting: Setting,
    /// The attempt before was in doubt.
    doubted: bool,
}

fn look_up(db: &mut Db, id: EndpointId, payload: &Value, of: EffectId) -> Result<Option<Way>> {
    let found: Option<(Endpoint, String)> = webhook_endpoint::table
        .find(id.0)
        .filter(webhook_endpoint::active.eq(true))
        .select((Endpoint::as_select(), webhook_endpoint::secret))
        .first(db)
        .optional()?;
    let Some((endpoint, secret)) = found else { return Ok(None) };
    let facility = registry::facility(db, endpoint.facility_id)?.ok_or(Error::NotFound)?;
    let template = wording::own(db, endpoint.facility_id, endpoint.locale(), wording::occasion_of(payload))?;
    let setting = Setting { zone: facility.tz()?, facility: facility.name, template };
    let last: Option<(i32, Option<String>)> =
        effect_table::table.find(of.0).select((effect_table::attempts, effect_table::error)).first(db).optional()?;
    // Sent again by hand, a message begins anew: what was said before is no attempt of this time.
    let doubted = last.is_some_and(|(attempts, error)| attempts > 0 && error.as_deref().is_some_and(reasons::in_doubt));
    Ok(Some(Way { kind: endpoint.kind()?, endpoint, secret, setting, doubted }))
}

impl Out {
    fn client(&self, url: &str) -> &reqwest::Client {
        if url.starts_with("https:") { &self.away } else { &self.here }
    }

    fn words(&self) -> Result<&I18n> {
        if let Some(words) = self.words.get() {
            return Ok(words);
        }
        let read = Arc::new(pages::texts()?);
        Ok(self.words.get_or_init(|| read))
    }

    async fn attempt(&self, effect: &Effect) -> Result<Sent> {
        #[derive(Deserialize)]
        struct To {
            endpoint: EndpointId,
        }
        let to: To = serde_json::from_str(&effect.target)?;
        let payload: Value = serde_json::from_str(&effect.payload)?;
        let found = {
            let (payload, id) = (payload.clone(), effect.id);
            self.db.read(move |db| look_up(db, to.endpoint, &payload, id)).await?
        };
        let Some(way) = found else {
            return Ok(Sent::Refused("the endpoint was removed or switched off".into()));
        };
        if way.kind == EndpointKind::Webhook {
            return self.signed(effect, &way).await;
        }
        let text = wording::render(self.words()?, way.endpoint.locale(), &payload, &way.setting);
        match way.kind {
            EndpointKind::Email => self.mail(effect, &way, &text).await,
            EndpointKind::Sms | EndpointKind::Voice => self.provider(effect, &way, &payload, text).await,
            _ => self.robot(effect, &way, &text).await,
        }
    }

    /// The words with the message's number, so that whoever reads it twice knows: these peers have no way to tell a repeat.
    fn numbered(&self, effect: &Effect, way: &Way, text: &str) -> Result<String> {
        let key = if effect.attempts > 0 { "outgoing-number-again" } else { "outgoing-number" };
        let number = Text::key(key).arg("number", telling::number(effect.id));
        Ok(format!("{text}{}", self.words()?.say(way.endpoint.locale(), &number)))
    }

    /// The receiver knows a repeat by the id: what is in doubt is simply sent again.
    async fn signed(&self, effect: &Effect, way: &Way) -> Result<Sent> {
        let unix_s = self.db.clock().now().unix_ms() / 1000;
        let url = way.endpoint.url.as_str();
        let request = self
            .client(url)
            .post(url)
            .header("Content-Type", "application/json")
            .header("Songhe-Signature", webhook::signature(&way.secret, unix_s, &effect.payload)?)
            .body(effect.payload.clone());
        Ok(match exchange(request, effect).await {
            Ok((status, _)) => judge_status(status, ""),
            Err(Lost { why, .. }) => Sent::TryAgain(why),
        })
    }

    async fn robot(&self, effect: &Effect, way: &Way, text: &str) -> Result<Sent> {
        let now = self.db.clock().now().unix_ms();
        let text = self.numbered(effect, way, text)?;
        let (url, body) = robot::request(way.kind, &way.endpoint.url, &way.secret, &text, now)?;
        let request = self.client(url.as_str()).post(url).json(&body);
        let answer = exchange(request, effect).await;
        Ok(judged(way, answer, |status, answer| match judge_status(status, answer) {
            Sent::Delivered => robot::judge(answer),
            failed => Some(failed),
        }))
    }

    async fn provider(&self, effect: &Effect, way: &Way, payload: &Value, text: String) -> Result<Sent> {
        let Some(phone) = payload["phone"].as_str() else {
            return Ok(Sent::Refused("the message has no number".into()));
        };
        let (settings, id) = (way.endpoint.provider()?, effect.id.to_string());
        // Providers take digits; people write marks between them.
        let digits: String = phone.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
        // A voice that reads a number aloud helps nobody.
        let plain = way.kind == EndpointKind::Voice || provider::tells_id(&way.endpoint.url, &settings);
        let text = if plain { text } else { self.numbered(effect, way, &text)? };
        let values = Values { phone: &digits, text: &text, id: &id };
        let url = provider::url(&way.endpoint.url, values);
        let method = match settings.method {
            endpoints::Method::Get => reqwest::Method::GET,
            endpoints::Method::Post => reqwest::Method::POST,
            endpoints::Method::Put => reqwest::Method::PUT,
        };
        let mut request = self.client(&url).request(method, url);
        if let Some((body, content_type)) = provider::body(&settings, values) {
            request = request.header("Content-Type", content_type).body(body);
        }
        for (name, value) in &settings.headers {
            request = request.header(name, value);
        }
        let answer = exchange(request, effect).await;
        Ok(judged(way, answer, |status, answer| provider::judge(&settings, status, answer)))
    }

    async fn mail(&self, effect: &Effect, way: &Way, text: &str) -> Result<Sent> {
        let payload: serde_json::Value = serde_json::from_str(&effect.payload)?;
        let to = match payload["mailbox"].as_str() {
            Some(mailbox) => vec![mailbox.to_owned()],
            None => way.endpoint.recipients()?,
        };
        match &self.mailer {
            Some(mailer) => mailer.send(effect.id, &to, text, self.db.clock().now()).await,
            None => Ok(Sent::Refused("the configuration names no mail server".into())),
        }
    }
}

/// There was no answer.
struct Lost {
    why: String,
    /// The request was sent: the peer may have taken it.
    in_doubt: bool,
}

/// What comes of an attempt at a peer that cannot tell a repeat. A message whose answer was lost is sent once more, since
/// twice is better than not at all; if that is in doubt as well, it is over: a phone must not ring for ever because a
/// provider is slow to answer. The ladder has passed the rung meanwhile, and comes back to it.
fn judged(
    way: &Way,
    answer: std::result::Result<(u16, String), Lost>,
    judge: impl Fn(u16, &str) -> Option<Sent>,
) -> Sent {
    let why = match answer {
        Err(Lost { why, in_doubt: false }) => return Sent::TryAgain(why),
        Err(Lost { why, in_doubt: true }) => why,
        // A gateway before the peer gave up on it.
        Ok((status @ (502 | 504), _)) => format!("answered {status}"),
        Ok((status, answer)) => match judge(status, &answer) {
            Some(sent) => return sent,
            None => format!("answered {status} with what cannot be read: {}", clipped(&answer)),
        },
    };
    if way.doubted { Sent::Refused(format!("{DOUBT}{GIVEN_UP}{why}")) } else { Sent::TryAgain(format!("{DOUBT}{why}")) }
}

/// Sends a request under the effect's id; status and the beginning of the answer, or that there was none.
async fn exchange(request: reqwest::RequestBuilder, effect: &Effect) -> std::result::Result<(u16, String), Lost> {
    // The error's text may repeat the URL with a token in it.
    let failed = |error: reqwest::Error| {
        let in_doubt = !error.is_connect() && !error.is_builder();
        Lost { why: with_causes(&error.without_url()), in_doubt }
    };
    let mut answer = request.header("Idempotency-Key", effect.id.to_string()).send().await.map_err(failed)?;
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    // An answer that breaks off is still that status.
    while let Ok(Some(part)) = answer.chunk().await {
        body.extend_from_slice(&part);
        if body.len() > MAX_ANSWER {
            break;
        }
    }
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// What a status says by itself: 2xx is delivered; 4xx (but 408, 429) is refused; everything else tries again.
pub(crate) fn judge_status(status: u16, answer: &str) -> Sent {
    let words = reqwest::StatusCode::from_u16(status).map_or_else(|_| status.to_string(), |known| known.to_string());
    let why = if answer.trim().is_empty() {
        format!("answered {words}")
    } else {
        format!("answered {words}: {}", clipped(answer))
    };
    match status {
        200..=299 => Sent::Delivered,
        300..=399 => Sent::TryAgain(format!("answered {words}; redirects are not followed")),
        400..=499 if !matches!(status, 408 | 429) => Sent::Refused(why),
        _ => Sent::TryAgain(why),
    }
}

/// The beginning of an answer, on one line.
pub(crate) fn clipped(answer: &str) -> String {
    let line: String = answer.chars().map(|c| if c.is_control() { ' ' } else { c }).take(CLIP).collect();
    line.trim().to_owned()
}

/// The error and what caused it: refused, unknown name or certificate stand in the cause.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
