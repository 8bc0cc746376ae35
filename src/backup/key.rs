//! The key that locks archives: 32 random bytes in a file, or a passphrase.

use std::io::Write;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use ring::digest;
use serde::{Deserialize, Serialize};
use songhe_kernel::Text;

use super::{Outcome, Trouble, cannot};

const BYTES: usize = 32;
/// Of argon2id for a passphrase: 64 MiB, three passes (the second choice of RFC 9106).
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// What a header may ask for at most: it is read before anything is known to be genuine.
const MOST_MEMORY_KIB: u32 = 1024 * 1024;
const MOST_PASSES: u32 = 16;

/// Where the key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    File(PathBuf),
    Passphrase(String),
}

/// How an archive's key was made, as its header tells in the clear.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Derivation {
    File,
    Passphrase {
        /// Hex.
        salt: String,
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    },
}

pub(super) struct Key([u8; BYTES]);

impl Key {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[cfg(test)]
    pub(super) fn of(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// Tells keys apart and says nothing about them: it stands in the header.
    pub(super) fn id(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"songhe backup key id 1");
        context.update(&self.0);
        hex::encode(&context.finish().as_ref()[..8])
    }

    /// The key for a new archive, and what its header tells of it.
    pub(super) fn for_new(source: &KeySource) -> Outcome<(Self, Derivation)> {
        match source {
            KeySource::File(path) => Ok((Self::read(path)?, Derivation::File)),
            KeySource::Passphrase(words) => {
                let salt = hex::encode(rand::random::<[u8; 16]>());
                let how = Derivation::Passphrase { salt, memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES };
                Ok((Self::derive(words, &how)?, how))
            }
        }
    }

    /// The key of an archive whose header tells how it was made.
    pub(super) fn for_archive(source: &KeySource, how: &Derivation) -> Outcome<Self> {
        match (source, how) {
            (KeySource::File(path), Derivation::File) => Self::read(path),
            (KeySource::Passphrase(words), Derivation::Passphrase { .. }) => Self::derive(words, how),
            (KeySource::File(_), Derivation::Passphrase { .. }) => Err(Trouble(Text::key("backup-wants-passphrase"))),
            (KeySource::Passphrase(_), Derivation::File) => Err(Trouble(Text::key("backup-wants-key-file"))),
        }
    }

    fn read(path: &Path) -> Outcome<Self> {
        let text = std::fs::read_to_string(path).map_err(cannot("backup-key-unread", path))?;
        let mut key = [0; BYTES];
        let no_key = || Trouble(Text::key("backup-no-key-in-file").arg("file", path.display()));
        hex::decode_to_slice(text.trim(), &mut key).map_err(|_| no_key())?;
        Ok(Self(key))
    }

    fn derive(words: &str, how: &Derivation) -> Outcome<Self> {
        let odd = || Trouble(Text::key("backup-odd-header"));
        let Derivation::Passphrase { salt, memory_kib, passes, lanes } = how else { return Err(odd()) };
        if *memory_kib > MOST_MEMORY_KIB || *passes > MOST_PASSES {
            return Err(odd());
        }
        let salt = hex::decode(salt).map_err(|_| odd())?;
        let params = Params::new(*memory_kib, *passes, *lanes, Some(BYTES)).map_err(|_| odd())?;
        let mut key = [0; BYTES];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(words.as_bytes(), &salt, &mut key)
            .map_err(|_| odd())?;
        Ok(Self(key))
    }
}

/// Writes a new key into a file that only its owner can read.
///
/// # Errors
/// When there is such a file already, or it cannot be written.
pub fn make_key_file(path: &Path) -> Outcome<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
        let key =
            if error.kind() == std::io::ErrorKind::AlreadyExists { "backup-key-is-there" } else { "backup-unwritten" };
        Trouble(Text::key(key).arg("file", path.display()).arg("why", error))
    })?;
    let line = format!("{}\n", hex::encode(rand::random::<[u8; BYTES]>()));
    file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(cannot("backup-unwritten", path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_file_is_its_owners_and_is_never_written_over() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("backup.key");
        make_key_file(&file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let id = Key::read(&file).unwrap().id();
        assert_eq!(make_key_file(&file).unwrap_err().0.key, "backup-key-is-there");
        assert_eq!(Key::read(&file).unwrap().id(), id);
        std::fs::write(&file, "not a key").unwrap();
        assert_eq!(Key::read(&file).err().unwrap().0.key, "backup-no-key-in-file");
    }

    #[test]
    fn a_header_cannot_ask_for_all_memory() {
        let how = |memory_kib| Derivation::Passphrase { salt: "00".repeat(16), memory_kib, passes: 1, lanes: 1 };
        assert!(Key::derive("words", &how(64)).is_ok());
        assert_eq!(Key::derive("words", &how(u32::MAX)).err().unwrap().0.key, "backup-odd-header");
    }
}
