//! Certificates that are replaced while the server runs: looked at every few seconds, and at once on SIGHUP. A pair that
//! cannot be used is refused and told, and the one before stays; connections that stand are not touched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use crate::tls::{self, TlsError};

const EVERY: Duration = Duration::from_secs(5);

/// When and how large both files were.
type Stamp = [Option<(SystemTime, u64)>; 2];

/// What is known of the files.
#[derive(Debug, Default)]
struct Seen {
    stamp: Stamp,
    /// Files that could not be used at one look: their writer may be between the two.
    half: Option<Stamp>,
}

/// A certificate with its key, of one listener.
#[derive(Debug)]
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<Seen>,
    refused: AtomicBool,
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().clone())
    }
}

impl Pair {
    fn stamp(&self) -> Stamp {
        let of = |path: &Path| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        };
        [of(&self.certificate), of(&self.key)]
    }

    /// `asked`: whether somebody says that they are new.
    fn look(&self, asked: bool) {
        let stamp = self.stamp();
        let mut seen = self.seen.lock();
        if !asked && stamp == seen.stamp {
            return;
        }
        let certificate = self.certificate.display();
        match tls::read_pair(&self.certificate, &self.key) {
            Ok(pair) => {
                *self.current.write() = Arc::new(pair);
                self.refused.store(false, Relaxed);
                *seen = Seen { stamp, half: None };
                tracing::info!(%certificate, "a new certificate counts from now on");
            }
            Err(_) if !asked && seen.half != Some(stamp) => seen.half = Some(stamp),
            Err(error) => {
                self.refused.store(true, Relaxed);
                *seen = Seen { stamp, half: None };
                tracing::error!(%certificate, %error, "a new certificate cannot be used: the one before stays");
            }
        }
    }
}

/// Those of all listeners.
#[derive(Debug, Default)]
pub(crate) struct Certificates(Mutex<Vec<Arc<Pair>>>);

impl Certificates {
    /// What a listener speaks with; HTTP/2 is offered by ALPN.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub(crate) fn serve(&self, certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
        let pair = Arc::new(Pair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: RwLock::new(Arc::new(tls::read_pair(certificate, key)?)),
            seen: Mutex::default(),
            refused: AtomicBool::new(false),
        });
        pair.seen.lock().stamp = pair.stamp();
        let config = tls::config_with(pair.clone())?;
        self.0.lock().push(pair);
        Ok(config)
    }

    /// Whether a new pair was refused and an older one is in use.
    pub(crate) fn is_refused(&self) -> bool {
        self.0.lock().iter().any(|pair| pair.refused.load(Relaxed))
    }

    fn look(&self, asked: bool) {
        let pairs = self.0.lock().clone();
        pairs.iter().for_each(|pair| pair.look(asked));
    }

    /// Looks until told to stop. Without a certificate SIGHUP ends the process, as everywhere.
    pub(crate) async fn keep(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        if self.0.lock().is_empty() {
            return;
        }
        let mut hangup = match Hangup::new() {
            Ok(hangup) => hangup,
            Err(error) => {
                tracing::warn!(%error, "certificates are looked at every few seconds only: SIGHUP cannot be heard");
                Hangup::default()
            }
        };
        while !*stop.borrow() {
            let asked = tokio::select! {
                () = tokio::time::sleep(EVERY) => false,
                () = hangup.heard() => true,
                changed = stop.changed() => if changed.is_err() { return } else { continue },
            };
            let here = self.clone();
            if tokio::task::spawn_blocking(move || here.look(asked)).await.is_err() {
                tracing::error!("certificates could not be looked at");
            }
        }
    }
}

#[derive(Default)]
struct Hangup(Option<tokio::signal::unix::Signal>);

impl Hangup {
    fn new() -> std::io::Result<Self> {
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).map(|signal| Self(Some(signal)))
    }

    async fn heard(&mut self) {
        if let Some(signal) = &mut self.0
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_new_pair_counts_and_a_bad_one_is_refused_at_the_second_look() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let write = |made: &tls::LocalCertificates| {
            std::fs::write(&certificate, &made.certificate).unwrap();
            std::fs::write(&key, &made.key).unwrap();
        };
        let (one, two) = (["a.example".to_owned()], ["a-longer-name.example".to_owned()]);
        write(&tls::make_local(&one).unwrap());
        let all = Certificates::default();
        all.serve(&certificate, &key).unwrap();
        let pair = all.0.lock().first().unwrap().clone();
        let first = pair.current.read().clone();
        pair.look(false);
        assert!(Arc::ptr_eq(&first, &pair.current.read()), "nothing is new");
        let new = tls::make_local(&two).unwrap();
        std::fs::write(&certificate, &new.certificate).unwrap();
        pair.look(false);
        assert!(!all.is_refused(), "the key is still to come");
        write(&new);
        pair.look(false);
        assert!(!all.is_refused() && pair.current.read().cert != first.cert);
        let second = pair.current.read().clone();
        std::fs::write(&certificate, "nonsense").unwrap();
        pair.look(false);
        pair.look(false);
        assert!(all.is_refused() && Arc::ptr_eq(&second, &pair.current.read()));
        write(&new);
        pair.look(true);
        assert!(!all.is_refused());
    }
}
