//! An HTTP client for tests.

use std::time::Duration;

/// A client that keeps no cookies, follows no redirect (so that tests see them) and gives up
/// connecting after 5 s. It has no limit for a whole answer, since streams have no end.
pub fn client() -> reqwest::Client {
    builder().build().expect("cannot make an HTTP client")
}

/// A client that also trusts the certificate authority given as PEM.
pub fn client_trusting(authority_pem: &[u8]) -> reqwest::Client {
    let authority = reqwest::Certificate::from_pem(authority_pem).expect("not a PEM certificate");
    builder().tls_certs_merge([authority]).build().expect("cannot make an HTTP client")
}

/// What [`client`] is built from, for tests that need more.
pub fn builder() -> reqwest::ClientBuilder {
    // An error only says that another test of this process was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
}
