//! E-mail through the server of the configuration. The message's id is made from the effect's, so that a message which
//! was sent twice is recognised.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
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
    /// PEM file of the authority that signs the server's certificate; `None`: one of the public ones does.
    pub ca_file: Option<PathBuf>,
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

/// What encrypts: by the public authorities, or by the one of the file alone.
///
/// # Errors
/// A sentence, when the file cannot be read or holds no certificate.
pub fn encryption(host: &str, ca_file: Option<&Path>) -> std::result::Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca_file {
        let shown = path.display();
        let pem = std::fs::read(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let none = || format!("{shown} holds no certificate in PEM form");
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(none());
        }
        let authority = Certificate::from_pem(&pem).map_err(|_| none())?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authority);
    }
    builder.build().map_err(|error| error.to_string())
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
        let encryption = || encryption(host, settings.ca_file.as_deref()).map_err(Error::internal);
        let tls = match settings.tls {
            MailTls::StartTls => Tls::Required(encryption()?),
            MailTls::Implicit => Tls::Wrapper(encryption()?),
            MailTls::None => Tls::None,
        };
        let builder = Transport::builder_dangerous(host).tls(tls).port(settings.port).timeout(Some(TIMEOUT));
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
                let mut why = super::sender::with_causes(&error);
                // RFC 4954: no such account or password, a mechanism that is too weak, an account that must change it.
                if error.status().is_some_and(|code| ["534", "535"].contains(&code.to_string().as_str())) {
                    why = format!("the mail server refuses user name or password: {why}");
                }
                if error.is_permanent() { Sent::Refused(why) } else { Sent::TryAgain(why) }
            }
        })
    }

    fn message(&self, id: EffectId, to: &[String], text: &str, now: Moment) -> Result<Message> {
        let date = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.unix_ms()).unwrap_or_default());
        let first = text.lines().next().unwrap_or_default();
        // A lone carriage return is no line's end here, and would be one in a header.
        let subject: String = first.chars().filter(|c| !c.is_control()).take(MAX_SUBJECT_CHARS).collect();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mailer() -> Mailer {
        let settings = MailSettings {
            host: "127.0.0.1".into(),
            port: 25,
            tls: MailTls::None,
            username: String::new(),
            password: String::new(),
            from: "songhe@songhe.example".into(),
            ca_file: None,
        };
        Mailer::new(&settings).unwrap()
    }

    #[test]
    fn nothing_in_a_text_becomes_a_header_or_a_recipient() {
        let now: Moment = "2026-11-22T08:00:00Z".parse().unwrap();
        for text in
            ["305 室\rBcc: a@evil.example", "room 305\rBcc: a@evil.example\r\n\r\nx", "a\r\nBcc: a@evil.example"]
        {
            let mail = mailer().message(EffectId(77), &["duty@example.com".into()], text, now).unwrap();
            let whole = String::from_utf8(mail.formatted()).unwrap();
            let head = whole.split("\r\n\r\n").next().unwrap().to_lowercase();
            assert!(head.split(['\r', '\n']).all(|line| !line.starts_with("bcc")), "{head}");
            let to: Vec<String> = mail.envelope().to().iter().map(ToString::to_string).collect();
            assert_eq!(to, ["duty@example.com"]);
            assert!(head.contains(&format!("message-id: <{}@songhe.example>", EffectId(77))), "{head}");
        }
        for address in
            ["a@b.example\r\nBcc: c@d.example", "a@b.example, c@d.example", "a@b.example>", "<a@b.example>\n"]
        {
            assert!(!is_address(address), "{address:?}");
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_no_authority() {
        let dir = std::env::temp_dir().join(format!("songhe-mail-{}", std::process::id()));
        std::fs::write(&dir, "nothing").unwrap();
        assert!(encryption("mail.example", Some(&dir)).err().unwrap().contains("no certificate"));
        std::fs::remove_file(&dir).unwrap();
        assert!(encryption("mail.example", Some(&dir)).err().unwrap().contains("cannot be read"));
    }
}
