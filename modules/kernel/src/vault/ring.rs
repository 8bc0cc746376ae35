//! The keys that stand outside the database: master keys, which wrap the keys of persons, and index keys, which make blind
//! indexes. One line each, `master 1 <32 bytes in base64>`; lines that begin with `#` are for people.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use rand::RngCore;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Algorithm, KEY_BYTES};
use crate::error::{Error, Result};

const HEAD: &str = "# Keys of Songhe (docs/keys.md). Without this file nobody reads ID numbers, telephone numbers and addresses again.\n\
                    # Keep a copy in another place than the database and its backups. Do not edit: use `songhe keys`.\n";

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Wraps the keys of persons.
    Master,
    /// Makes blind indexes.
    Index,
}

impl Purpose {
    pub const ALL: [Self; 2] = [Self::Master, Self::Index];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Index => "index",
        }
    }
}

pub(super) type Secret = Zeroizing<[u8; KEY_BYTES]>;

/// A key of the ring.
#[derive(Clone)]
pub struct RingKey {
    pub purpose: Purpose,
    pub number: i16,
    secret: Secret,
}

impl std::fmt::Debug for RingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.purpose.as_str(), self.number)
    }
}

impl RingKey {
    /// A key of its own for each use of this one.
    pub(super) fn derive(&self, usage: &str) -> Result<Secret> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_ref()).map_err(Error::internal)?;
        mac.update(b"songhe ");
        mac.update(usage.as_bytes());
        Ok(Zeroizing::new(mac.finalize().into_bytes().into()))
    }

    pub(super) fn fingerprint(&self, data: &[u8]) -> Result<String> {
        let secret = self.derive("fingerprint")?;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_ref()).map_err(Error::internal)?;
        mac.update(data);
        Ok(hex::encode(mac.finalize().into_bytes()))
    }

    /// What the database knows it by.
    pub(super) fn proof(&self) -> Result<Vec<u8>> {
        Ok(self.derive("proof")?.iter().take(16).copied().collect())
    }

    /// The key that wraps others by an algorithm.
    pub(super) fn wrapping(&self, algorithm: Algorithm) -> Result<Secret> {
        self.derive(&format!("wrap {}", algorithm.as_str()))
    }
}

/// All keys that this server was given.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    keys: Vec<RingKey>,
}

fn random_secret() -> Secret {
    let mut secret = Zeroizing::new([0; KEY_BYTES]);
    rand::rng().fill_bytes(secret.as_mut());
    secret
}

impl KeyRing {
    /// A new ring: one master key, one index key.
    pub fn draw() -> Self {
        let mut ring = Self::default();
        for purpose in Purpose::ALL {
            ring.add(purpose);
        }
        ring
    }

    /// Adds a key of the next number and answers that.
    pub fn add(&mut self, purpose: Purpose) -> i16 {
        let number = self.newest(purpose).map_or(1, |key| key.number.saturating_add(1));
        self.keys.push(RingKey { purpose, number, secret: random_secret() });
        number
    }

    /// Drops a key; false when there is none of that number.
    pub fn remove(&mut self, purpose: Purpose, number: i16) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.purpose != purpose || key.number != number);
        self.keys.len() < before
    }

    pub fn keys(&self) -> &[RingKey] {
        &self.keys
    }

    pub fn get(&self, purpose: Purpose, number: i16) -> Option<&RingKey> {
        self.of(purpose).find(|key| key.number == number)
    }

    pub(super) fn of(&self, purpose: Purpose) -> impl Iterator<Item = &RingKey> {
        self.keys.iter().filter(move |key| key.purpose == purpose)
    }

    pub fn newest(&self, purpose: Purpose) -> Option<&RingKey> {
        self.of(purpose).max_by_key(|key| key.number)
    }

    /// Reads the lines of a key file; several may stand in one line, joined by `;`, for an environment variable.
    ///
    /// # Errors
    /// A sentence with the number of the line, never with what stands in it.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut ring = Self::default();
        for (at, line) in text.split(['\n', ';']).enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = parse_line(line).ok_or_else(|| {
                format!("line {} is no key: write `master 1 …` or `index 1 …` with 32 bytes in base64", at + 1)
            })?;
            if ring.get(key.purpose, key.number).is_some() {
                return Err(format!("line {} has a number that another {} key has", at + 1, key.purpose.as_str()));
            }
            ring.keys.push(key);
        }
        for purpose in Purpose::ALL {
            if ring.newest(purpose).is_none() {
                return Err(format!("there is no {} key in it", purpose.as_str()));
            }
        }
        Ok(ring)
    }

    /// As it is written to a key file.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(HEAD.to_owned());
        for key in &self.keys {
            let secret = Zeroizing::new(STANDARD.encode(key.secret.as_ref()));
            let _ = writeln!(text, "{} {} {}", key.purpose.as_str(), key.number, secret.as_str());
        }
        text
    }

    /// Writes the ring to a file of its owner alone, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        std::fs::rename(self.write_beside(path)?, path)
    }

    /// The same where there must be none yet: of two servers that start at once, one makes it.
    ///
    /// # Errors
    /// `AlreadyExists` when there is one; when it cannot be written.
    pub fn write_new(&self, path: &Path) -> std::io::Result<()> {
        let beside = self.write_beside(path)?;
        let outcome = std::fs::hard_link(&beside, path);
        std::fs::remove_file(&beside)?;
        outcome
    }

    fn write_beside(&self, path: &Path) -> std::io::Result<PathBuf> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let mut making = std::fs::DirBuilder::new();
            making.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut making, 0o700);
            making.create(folder)?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{:016x}", rand::random::<u64>()));
        let beside = PathBuf::from(beside);
        let mut options = std::fs::File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        std::io::Write::write_all(&mut file, self.to_text().as_bytes())?;
        file.sync_all()?;
        Ok(beside)
    }
}

fn parse_line(line: &str) -> Option<RingKey> {
    let mut words = line.split_whitespace();
    let (name, number, coded) = (words.next()?, words.next()?, words.next()?);
    let purpose = Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == name)?;
    let number = number.parse().ok().filter(|number| *number > 0)?;
    let bytes = Zeroizing::new(STANDARD.decode(coded).ok()?);
    let secret = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok()?;
    words.next().is_none().then(|| RingKey { purpose, number, secret: Zeroizing::new(secret) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_ring_reads_back_from_a_file_and_from_one_line() {
        let mut ring = KeyRing::draw();
        assert_eq!(ring.add(Purpose::Master), 2);
        let text = ring.to_text();
        let line = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(";");
        for text in [text.as_str(), &line] {
            let read = KeyRing::parse(text).unwrap();
            assert_eq!(read.to_text().as_str(), ring.to_text().as_str());
            assert_eq!(read.newest(Purpose::Master).unwrap().number, 2);
        }
    }

    #[test]
    fn a_wrong_line_is_named_and_not_repeated() {
        let good = KeyRing::draw().to_text().to_string();
        for (text, says) in [
            (format!("{good}master two hush"), "line 5 is no key"),
            (format!("{good}master 2 aHVzaA=="), "line 5 is no key"),
            (good.clone() + good.lines().nth(2).unwrap(), "line 5 has a number"),
            (good.lines().nth(2).unwrap().to_owned(), "no index key"),
            (String::new(), "no master key"),
        ] {
            let said = KeyRing::parse(&text).unwrap_err();
            assert!(said.contains(says) && !said.contains("hush") && !said.contains("aHVzaA"), "{said}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/songhe.keys");
        let ring = KeyRing::draw();
        ring.write_new(&path).unwrap();
        assert_eq!(KeyRing::draw().write_new(&path).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
        ring.write(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(KeyRing::parse(&std::fs::read_to_string(&path).unwrap()).unwrap().keys().len(), 2);
    }
}
