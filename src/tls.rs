//! Certificates: read from files, or made for a local network by a small authority of its own.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;

/// What can be wrong with a certificate, in a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

fn wrong(what: impl std::fmt::Display) -> TlsError {
    TlsError(what.to_string())
}

/// Makes ring the process's cryptography; called once, before anything speaks TLS.
pub fn install_provider() {
    // A second call (tests start several servers) finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Reads a chain and its key.
pub fn read_pair(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let open = |path: &Path| {
        std::fs::File::open(path)
            .map(std::io::BufReader::new)
            .map_err(|error| wrong(format!("{} cannot be read: {error}", path.display())))
    };
    let chain: Vec<CertificateDer<'static>> =
        rustls_pemfile::certs(&mut open(certificate)?).collect::<Result<_, _>>().map_err(wrong)?;
    if chain.is_empty() {
        return Err(wrong(format!("{} holds no certificate in PEM form", certificate.display())));
    }
    let key: PrivateKeyDer<'static> = rustls_pemfile::private_key(&mut open(key)?)
        .map_err(wrong)?
        .ok_or_else(|| wrong(format!("{} holds no private key in PEM form", key.display())))?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
        .map_err(|error| wrong(format!("certificate and key do not belong together: {error}")))
}

/// A listener's configuration; HTTP/2 is offered by ALPN.
pub fn config_with(resolver: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// PEM texts of a local authority and of a server certificate by it.
pub struct LocalCertificates {
    pub authority: String,
    pub certificate: String,
    pub key: String,
}

/// Makes an authority whose key is forgotten at once (it can sign nothing else, ever), and one server certificate.
///
/// `names`: host names and addresses under which the server is reached.
pub fn make_local(names: &[String]) -> Result<LocalCertificates, TlsError> {
    let authority_key = KeyPair::generate().map_err(wrong)?;
    let mut authority = CertificateParams::new(Vec::<String>::new()).map_err(wrong)?;
    authority.distinguished_name.push(DnType::CommonName, "Songhe local authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_certificate = authority.self_signed(&authority_key).map_err(wrong)?;
    let issuer = Issuer::from_params(&authority, &authority_key);
    let key = KeyPair::generate().map_err(wrong)?;
    let mut server = CertificateParams::new(names.to_vec()).map_err(wrong)?;
    server.distinguished_name.push(DnType::CommonName, names.first().map_or("songhe", String::as_str));
    server.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let now = chrono::Utc::now();
    let day = |days: i64| {
        use chrono::Datelike;
        let date = (now + chrono::TimeDelta::days(days)).date_naive();
        // Month and day of a date fit a byte.
        rcgen::date_time_ymd(
            date.year(),
            u8::try_from(date.month()).unwrap_or(1),
            u8::try_from(date.day()).unwrap_or(1),
        )
    };
    server.not_before = day(-1);
    // Phones refuse server certificates that last longer than 825 days.
    server.not_after = day(820);
    let certificate = server.signed_by(&key, &issuer).map_err(wrong)?;
    Ok(LocalCertificates {
        authority: authority_certificate.pem(),
        certificate: format!("{}{}", certificate.pem(), authority_certificate.pem()),
        key: key.serialize_pem(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_cert_makes_is_what_serve_reads() {
        let dir = tempfile::tempdir().unwrap();
        let made = make_local(&["songhe.local".into(), "127.0.0.1".into()]).unwrap();
        let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&certificate, &made.certificate).unwrap();
        std::fs::write(&key, &made.key).unwrap();
        assert!(read_pair(&certificate, &key).is_ok());
        assert!(read_pair(&key, &certificate).is_err());
    }
}
