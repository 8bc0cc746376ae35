//! `[vault]`: what seals sensitive fields.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use songhe_kernel::vault::{Algorithm, KeyRing};

use super::{Result, wrong};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cipher {
    #[default]
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
    #[serde(rename = "sm4-gcm")]
    Sm4Gcm,
}

impl From<Cipher> for Algorithm {
    fn from(cipher: Cipher) -> Self {
        match cipher {
            Cipher::Aes256Gcm => Self::Aes256Gcm,
            Cipher::Sm4Gcm => Self::Sm4Gcm,
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vault {
    /// File of the keys; made at the first start.
    pub key_file: Option<PathBuf>,
    /// The lines of a key file themselves, joined by `;`: for the environment. Goes before the file.
    pub keys: Option<String>,
    /// What new keys of persons are made for.
    pub algorithm: Cipher,
}

impl Vault {
    pub(super) fn check(&self) -> Result<()> {
        match self.keys.as_deref().map(KeyRing::parse) {
            Some(Err(why)) => wrong(format!("vault.keys cannot be used: {why}.")),
            _ => Ok(()),
        }
    }
}
