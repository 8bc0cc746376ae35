//! E-mail through the server of the configuration. The message's id is made from the effect's, so that a message which
//! was sent twice is recognised.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use songhe_kernel::effects::Sent;
use songhe_kernel::{EffectId, Error, Moment, Result};

/// For each answer of the server.
const TIMEOUT: Duration = Duration::from_secs(8);
/// For the whole conversation, within the effect's lease.
const WHOLE: Duration = Duration::from_secs(20);
const MAX_SUBJECT_CHARS: usize = 80;

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// Plain at first, then encrypted, or not at all: usually port 587.
    StartTls,
    /// From the first byte: usually port 465.
    Implicit,
    /// Not at all; for a server on this machine.
    None,
}

/// The server that takes Songhe's e-mail.
#[derive(Debug, Clone)]
pub struct MailSettings {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    /// Empty: no sign-in.
    pub username: String,
    pub password: String,
    /// The sender's address.
    pub from: String,
}

/// A way to send e-mail; connections are made for each message.
pub(crate) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Address,
}

/// Whether text is an address that e-mail can go to.
pub fn is_address(text: &str) -> bool {
    text.parse::<Address>().is_ok()
}

/// Tells other machines not to answer (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> std::result::Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Mailer {
    /// # Errors
    /// `Internal` for a host that is none, or a sender that is no address.
    pub(crate) fn new(settings: &MailSettings) -> Result<Self> {
        type Transport = AsyncSmtpTransport<Tokio1Executor>;
        let host = settings.host.as_str();
        let builder = match settings.tls {
            MailTls::StartTls => Transport::starttls_relay(host).map_err(Error::internal)?,
            MailTls::Implicit => Transport::relay(host).map_err(Error::internal)?,
            MailTls::None => Transport::builder_dangerous(host),
        };
        let builder = builder.port(settings.port).timeout(Some(TIMEOUT));
        let builder = if settings.username.is_empty() {
            builder
        } else {
            builder.credentials(Credentials::new(settings.username.clone(), settings.password.clone()))
        };
        Ok(Self { transport: builder.build(), from: settings.from.parse().map_err(Error::internal)? })
    }

    /// Sends one message to all of them: the first line is its subject.
    ///
    /// # Errors
    /// `Internal` for what is no message.
    pub(crate) async fn send(&self, id: EffectId, to: &[String], text: &str, now: Moment) -> Result<Sent> {
        let message = self.message(id, to, text, now)?;
        let sent = tokio::time::timeout(WHOLE, self.transport.send(message)).await;
        Ok(match sent {
            Err(_) => Sent::TryAgain("the mail server takes too long".into()),
            Ok(Ok(_)) => Sent::Delivered,
            Ok(Err(error)) => {
                let why = super::sender::with_causes(&error);
                if error.is_permanent() { Sent::Refused(why) } else { Sent::TryAgain(why) }
            }
        })
    }

    fn message(&self, id: EffectId, to: &[String], text: &str, now: Moment) -> Result<Message> {
        let date = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.unix_ms()).unwrap_or_default());
        let subject: String = text.lines().next().unwrap_or_default().chars().take(MAX_SUBJECT_CHARS).collect();
        let mut builder = Message::builder()
            .from(self.from.clone().into())
            .subject(subject)
            .date(date)
            .message_id(Some(format!("<{id}@{}>", self.from.domain())))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN);
        for address in to {
            builder = builder.to(address.parse::<Address>().map_err(Error::internal)?.into());
        }
        builder.body(text.to_owned()).map_err(Error::internal)
    }
}
