//! An archive's encryption: AES-256-GCM in chunks of 64 KiB. Each chunk's nonce is its number and whether it is the last
//! one, so that a changed, swapped, repeated, cut-off or appended chunk is refused (the STREAM construction of Hoang,
//! Reyhanitabar, Rogaway and Vizár). Each archive has a key of its own, derived from its random salt and its whole header.

use std::io::{self, Read, Write};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use ring::{digest, hkdf};

use super::key::Key;

/// Bytes of one chunk before it is sealed.
const CHUNK: usize = 64 * 1024;

/// What is read is not what was written.
pub(super) fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the archive is damaged")
}

/// The key of one archive: another header, another key.
fn archive_key(key: &Key, salt: &[u8], header: &[u8]) -> io::Result<LessSafeKey> {
    let of_header = digest::digest(&digest::SHA256, header);
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(key.bytes());
    let info = [b"songhe backup chunks 1".as_slice(), of_header.as_ref()];
    let derived = secret.expand(&info, &AES_256_GCM).map_err(|_| io::Error::other("no key could be derived"))?;
    Ok(LessSafeKey::new(UnboundKey::from(derived)))
}

fn nonce(number: u32, last: bool) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[NONCE_LEN - 5..NONCE_LEN - 1].copy_from_slice(&number.to_be_bytes());
    bytes[NONCE_LEN - 1] = u8::from(last);
    Nonce::assume_unique_for_key(bytes)
}

/// Encrypts what is written to it. [`Sealer::finish`] seals the last chunk; without it the archive is cut off.
pub(super) struct Sealer<W: Write> {
    out: W,
    key: LessSafeKey,
    plain: Vec<u8>,
    number: u32,
}

impl<W: Write> Sealer<W> {
    pub(super) fn new(out: W, key: &Key, salt: &[u8], header: &[u8]) -> io::Result<Self> {
        let key = archive_key(key, salt, header)?;
        Ok(Self { out, key, plain: Vec::with_capacity(CHUNK + MAX_TAG_LEN), number: 0 })
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        self.key
            .seal_in_place_append_tag(nonce(self.number, last), Aad::empty(), &mut self.plain)
            .map_err(|_| io::Error::other("a chunk could not be encrypted"))?;
        self.out.write_all(&self.plain)?;
        self.plain.clear();
        // Never the same nonce twice: 256 TiB are more than anybody has.
        self.number = self.number.checked_add(1).ok_or_else(|| io::Error::other("the archive is too large"))?;
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        // A full chunk waits for the next byte: it might be the last one.
        if self.plain.len() == CHUNK {
            self.seal(false)?;
        }
        let taken = data.len().min(CHUNK - self.plain.len());
        self.plain.extend_from_slice(&data[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decrypts what is read through it. What it gives out is what was written, up to there; its end is the archive's end.
///
/// Errors of the kind `InvalidData` tell that the archive is damaged.
pub(super) struct Opener<R: Read> {
    from: R,
    key: LessSafeKey,
    number: u32,
    /// Sealed, and not opened before it is known whether another one follows.
    ahead: Vec<u8>,
    plain: Vec<u8>,
    at: usize,
}

impl<R: Read> Opener<R> {
    pub(super) fn new(mut from: R, key: &Key, salt: &[u8], header: &[u8]) -> io::Result<Self> {
        let key = archive_key(key, salt, header)?;
        let ahead = read_chunk(&mut from)?;
        if ahead.is_empty() {
            return Err(damaged());
        }
        Ok(Self { from, key, number: 0, ahead, plain: Vec::new(), at: 0 })
    }

    fn open_next(&mut self) -> io::Result<()> {
        let following = read_chunk(&mut self.from)?;
        let mut chunk = std::mem::replace(&mut self.ahead, following);
        let nonce = nonce(self.number, self.ahead.is_empty());
        let length = self.key.open_in_place(nonce, Aad::empty(), &mut chunk).map_err(|_| damaged())?.len();
        chunk.truncate(length);
        (self.plain, self.at) = (chunk, 0);
        self.number = self.number.checked_add(1).ok_or_else(damaged)?;
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() && !self.ahead.is_empty() {
            self.open_next()?;
        }
        let rest = &self.plain[self.at..];
        let given = rest.len().min(into.len());
        into[..given].copy_from_slice(&rest[..given]);
        self.at += given;
        Ok(given)
    }
}

fn read_chunk(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK + MAX_TAG_LEN);
    let most = u64::try_from(CHUNK + MAX_TAG_LEN).unwrap_or(u64::MAX);
    from.by_ref().take(most).read_to_end(&mut chunk)?;
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SEALED: usize = CHUNK + MAX_TAG_LEN;

    fn sealed(plain: &[u8], header: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), &Key::of([7; 32]), &[1; 32], header).unwrap();
        sealer.write_all(plain).unwrap();
        sealer.finish().unwrap()
    }

    fn opened(sealed: &[u8], key: u8, header: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Opener::new(sealed, &Key::of([key; 32]), &[1; 32], header)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect()
    }

    #[test]
    fn what_was_sealed_is_opened_whatever_its_length() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5] {
            let plain = text(length);
            let archive = sealed(&plain, b"h");
            assert_eq!(opened(&archive, 7, b"h").unwrap(), plain, "{length}");
        }
    }

    #[test]
    fn whatever_is_changed_is_refused() {
        let archive = sealed(&text(3 * CHUNK + 5), b"h");
        let refused = |changed: &[u8], what: &str| {
            let error = opened(changed, 7, b"h").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{what}");
        };
        for at in [0, SEALED - 1, SEALED, archive.len() - 1] {
            let mut flipped = archive.clone();
            flipped[at] ^= 1;
            refused(&flipped, "a flipped bit");
        }
        // Also where a chunk ends.
        for length in [0, 1, SEALED, 2 * SEALED, 3 * SEALED, archive.len() - 1] {
            refused(&archive[..length], "cut off");
        }
        let chunks: Vec<&[u8]> = archive.chunks(SEALED).collect();
        refused(&[chunks[1], chunks[0], chunks[2], chunks[3]].concat(), "swapped");
        refused(&[chunks[0], chunks[1], chunks[1], chunks[2], chunks[3]].concat(), "repeated");
        refused(&[chunks[0], chunks[2], chunks[3]].concat(), "left out");
        refused(&[&archive[..], b"x"].concat(), "appended");
        assert!(opened(&archive, 8, b"h").is_err(), "another key");
        assert!(opened(&archive, 7, b"H").is_err(), "another header");
    }
}
