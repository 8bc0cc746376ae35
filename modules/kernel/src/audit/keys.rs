//! The keys that seal the audit log. They live outside the database: whoever can change its rows cannot make their seals.

use std::io::Write;
use std::path::Path;

use hmac::{Hmac, Mac};
use rand::RngCore;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

const KEY_BYTES: usize = 32;

/// A key and the name that seals carry.
struct AuditKey {
    id: String,
    bytes: Vec<u8>,
}

/// All keys of a server; the last one seals, the others are for what they sealed.
pub struct AuditKeys(Vec<AuditKey>);

impl AuditKeys {
    /// From lines of 64 hexadecimal digits; empty ones and those behind `#` do not count.
    ///
    /// # Errors
    /// `Internal` for a line that is no key, and when there is none.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Vec<AuditKey> = lines.map(AuditKey::parse).collect::<Result<_>>()?;
        if keys.is_empty() { Err(Error::internal("the audit key file holds no key")) } else { Ok(Self(keys)) }
    }

    /// Of a file; `None` when there is no file.
    ///
    /// # Errors
    /// When it cannot be read or holds no key.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Internal(format!("{} cannot be read: {error}", path.display()))),
        }
    }

    /// Appends a new key, for the file's owner alone; makes file and folder if there are none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(path: &Path) -> Result<()> {
        let cannot = |error: std::io::Error| Error::Internal(format!("{} cannot be written: {error}", path.display()));
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let mut folders = std::fs::DirBuilder::new();
            folders.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
            folders.create(folder).map_err(cannot)?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(cannot)?;
        writeln!(file, "{}", Self::random_line()).map_err(cannot)?;
        file.sync_all().map_err(cannot)
    }

    fn random_line() -> String {
        let mut bytes = [0; KEY_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        hex::encode(bytes)
    }

    /// The name of the key that seals.
    pub fn current(&self) -> &str {
        self.0.last().map_or("", |key| &key.id)
    }

    /// Whether a key of that name is there.
    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// A code over fields, by the key of that name.
    pub(super) fn code(&self, id: &str, purpose: &str) -> Result<Code> {
        let key = self.0.iter().find(|key| key.id == id).ok_or_else(|| unknown(id))?;
        let mac = Hmac::<Sha256>::new_from_slice(&key.bytes).map_err(Error::internal)?;
        let mut code = Code(mac);
        code.text(Some(purpose));
        Ok(code)
    }
}

fn unknown(id: &str) -> Error {
    Error::Internal(format!("the audit key {id} is not in the key file"))
}

impl AuditKey {
    fn parse(line: &str) -> Result<Self> {
        let bytes = hex::decode(line).ok().filter(|bytes| bytes.len() == KEY_BYTES);
        let bytes = bytes.ok_or_else(|| Error::internal("an audit key is 64 hexadecimal digits"))?;
        let digest = Sha256::new().chain_update(b"songhe-audit-key").chain_update(&bytes).finalize();
        Ok(Self { id: hex::encode(digest).chars().take(12).collect(), bytes })
    }
}

/// A keyed code over fields, each with its length before it, so that no two lists of fields give the same bytes.
pub(super) struct Code(Hmac<Sha256>);

impl Code {
    pub(super) fn text(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => {
                self.0.update(&[1]);
                self.0.update(&(text.len() as u64).to_be_bytes());
                self.0.update(text.as_bytes());
            }
            None => self.0.update(&[0]),
        }
        self
    }

    pub(super) fn number(&mut self, number: Option<i64>) -> &mut Self {
        match number {
            Some(number) => {
                self.0.update(&[1]);
                self.0.update(&number.to_be_bytes());
            }
            None => self.0.update(&[0]),
        }
        self
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.finalize().into_bytes().to_vec()
    }

    pub(super) fn hex(self) -> String {
        hex::encode(self.bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_file_is_for_its_owner_and_its_last_key_seals() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/audit.key");
        assert!(AuditKeys::read(&path).unwrap().is_none());
        AuditKeys::add(&path).unwrap();
        let first = AuditKeys::read(&path).unwrap().unwrap();
        AuditKeys::add(&path).unwrap();
        let both = AuditKeys::read(&path).unwrap().unwrap();
        assert!(both.has(first.current()) && both.current() != first.current());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(AuditKeys::parse("# nothing\n").is_err() && AuditKeys::parse("12").is_err());
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let keys = AuditKeys::parse(&"ab".repeat(32)).unwrap();
        let code = |texts: [Option<&str>; 2]| {
            let mut code = keys.code(keys.current(), "test").unwrap();
            code.text(texts[0]).text(texts[1]);
            code.hex()
        };
        assert_ne!(code([Some("ab"), Some("c")]), code([Some("a"), Some("bc")]));
        assert_ne!(code([Some(""), None]), code([None, Some("")]));
    }
}
