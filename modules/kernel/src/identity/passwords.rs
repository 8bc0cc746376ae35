//! Passwords: argon2id, hashed outside transactions and one at a time (each takes 19 MiB and some 30 ms).

use std::sync::Arc;

use argon2::password_hash::{self, Output, ParamsString, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use parking_lot::Mutex;
use rand::RngCore;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::error::{Error, Result, Text};

const MIN_CHARS: usize = 8;
const MAX_BYTES: usize = 256;
/// The memory that hashes are made in. Taken anew for each, it would stay with the allocator, once for every thread
/// that ever hashed; this is taken once.
static MEMORY: Mutex<Vec<Block>> = Mutex::new(Vec::new());

fn hash(argon2: &Argon2<'_>, password: &str, salt: Salt<'_>, length: usize) -> password_hash::Result<Output> {
    let mut bytes = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut bytes)?;
    let mut memory = MEMORY.lock();
    memory.resize(argon2.params().block_count(), Block::default());
    Output::init_with(length, |out| {
        Ok(argon2.hash_password_into_with_memory(password.as_bytes(), salt, out, memory.as_mut_slice())?)
    })
}

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
        let argon2 = Argon2::default();
        let output = hash(&argon2, password, salt.as_salt(), Params::DEFAULT_OUTPUT_LEN).map_err(Error::internal)?;
        let phc = password_hash::PasswordHash {
            algorithm: Algorithm::default().ident(),
            version: Some(Version::default().into()),
            params: ParamsString::try_from(argon2.params()).map_err(Error::internal)?,
            salt: Some(salt.as_salt()),
            hash: Some(output),
        };
        Ok(Self(phc.to_string()))
    }

    pub(super) fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells two hashes apart, and nothing else.
    pub(super) fn mark(&self) -> String {
        hex::encode(Sha256::digest(self.0.as_bytes()))
    }

    fn fits(&self, password: &str) -> Result<bool> {
        self.compare(password).map_err(|error| Error::Internal(format!("stored password hash: {error}")))
    }

    /// By the algorithm and the costs that the stored text names.
    fn compare(&self, password: &str) -> password_hash::Result<bool> {
        let stored = password_hash::PasswordHash::new(&self.0)?;
        let (Some(salt), Some(expected)) = (stored.salt, stored.hash) else {
            return Err(password_hash::Error::PhcStringField);
        };
        let version = stored.version.map_or(Ok(Version::default()), Version::try_from)?;
        let argon2 = Argon2::new(Algorithm::try_from(stored.algorithm)?, version, Params::try_from(&stored)?);
        // Outputs compare in constant time.
        Ok(hash(&argon2, password, salt, expected.len())? == expected)
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
        Ok(Self { permits: Arc::new(Semaphore::new(1)), nobody: PasswordHash::make(&hex::encode(random))? })
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
