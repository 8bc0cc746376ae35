//! Passwords: argon2id, hashed outside transactions and a few at a time (each takes 19 MiB and some 30 ms).

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier, SaltString};
use rand::RngCore;
use tokio::sync::Semaphore;

use crate::error::{Error, Result, Text};

const MIN_CHARS: usize = 8;
const MAX_BYTES: usize = 256;
/// Hashes at once: bounds the memory that a burst of sign-ins can take.
const AT_ONCE: usize = 2;

/// An argon2id hash in PHC text form.
#[derive(Clone)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Hashes a new password. Takes tens of milliseconds of processor time: in async code use [`Passwords::hash`].
    ///
    /// # Errors
    /// `Invalid` on the field `password` when it has fewer than 8 characters or more than 256 bytes.
    pub fn make(password: &str) -> Result<Self> {
        if password.chars().count() < MIN_CHARS {
            return Err(Error::field("password", Text::key("error-password-short").arg("min", MIN_CHARS)));
        }
        if password.len() > MAX_BYTES {
            return Err(Error::field("password", Text::key("error-password-long").arg("max", MAX_BYTES)));
        }
        let mut salt = [0; 16];
        rand::rng().fill_bytes(&mut salt);
        let salt = SaltString::encode_b64(&salt).map_err(Error::internal)?;
        let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(Error::internal)?;
        Ok(Self(hash.to_string()))
    }

    pub(super) fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn fits(&self, password: &str) -> Result<bool> {
        let parsed = password_hash::PasswordHash::new(&self.0)
            .map_err(|error| Error::Internal(format!("stored password hash: {error}")))?;
        match Argon2::default().verify_password(password.as_bytes(), &parsed) {
            Ok(()) => Ok(true),
            Err(password_hash::Error::Password) => Ok(false),
            Err(error) => Err(Error::Internal(format!("stored password hash: {error}"))),
        }
    }
}

/// Hashes in blocking threads.
pub struct Passwords {
    permits: Arc<Semaphore>,
    /// What an unknown user's password is compared with, so that the answer takes as long as a known user's.
    nobody: PasswordHash,
}

impl Passwords {
    /// # Errors
    /// `Internal` when no hash can be made at all.
    pub fn new() -> Result<Self> {
        let mut random = [0; 16];
        rand::rng().fill_bytes(&mut random);
        Ok(Self { permits: Arc::new(Semaphore::new(AT_ONCE)), nobody: PasswordHash::make(&hex::encode(random))? })
    }

    /// Hashes a new password; errors as [`PasswordHash::make`].
    pub async fn hash(&self, password: String) -> Result<PasswordHash> {
        self.run(move || PasswordHash::make(&password)).await
    }

    /// Whether the password is the stored one; `None`, an unknown user, takes as long and is never right.
    pub(super) async fn verify(&self, stored: Option<PasswordHash>, password: String) -> Result<bool> {
        if password.len() > MAX_BYTES {
            return Ok(false);
        }
        let known = stored.is_some();
        let hash = stored.unwrap_or_else(|| self.nobody.clone());
        self.run(move || Ok(hash.fits(&password)? && known)).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let permit = self.permits.clone().acquire_owned().await.map_err(Error::internal)?;
        let task = tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(permit);
            outcome
        });
        task.await.map_err(Error::internal)?
    }
}
