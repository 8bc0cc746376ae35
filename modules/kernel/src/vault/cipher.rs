//! AES-256-GCM, and SM4-GCM (GB/T 32907, RFC 8998) where national cryptography is required: 12 random bytes of nonce, a tag
//! of 16 bytes.

use std::str::FromStr;

use aes_gcm::aead::AeadInPlace;
use aes_gcm::aead::consts::U12;
use aes_gcm::{Aes256Gcm, AesGcm, KeyInit, Nonce, Tag};
use rand::RngCore;
use sm4::Sm4;

use super::KEY_BYTES;
use crate::error::{Error, Result};

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

type Sm4Gcm = AesGcm<Sm4, U12>;

/// What seals. Stored with each key and each ciphertext, so that both may be there at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    #[default]
    Aes256Gcm,
    /// Takes the first 128 bits of a key.
    Sm4Gcm,
}

impl Algorithm {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::Sm4Gcm => "sm4-gcm",
        }
    }

    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::Sm4Gcm => 2,
        }
    }

    pub(super) fn of_code(code: u8) -> Result<Self> {
        match code {
            1 => Ok(Self::Aes256Gcm),
            2 => Ok(Self::Sm4Gcm),
            _ => Err(Error::Internal(format!("sealed by an unknown algorithm ({code})"))),
        }
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Aes256Gcm, Self::Sm4Gcm]
            .into_iter()
            .find(|one| one.as_str() == text)
            .ok_or_else(|| Error::Internal(format!("{text:?} is no algorithm of the vault")))
    }
}

/// Nonce, ciphertext and tag of `clear`; `place` must be the same when it is opened.
pub(super) fn seal(algorithm: Algorithm, key: &[u8; KEY_BYTES], place: &[u8], clear: &[u8]) -> Result<Vec<u8>> {
    let mut nonce = [0_u8; NONCE_BYTES];
    rand::rng().fill_bytes(&mut nonce);
    seal_with(algorithm, key, nonce, place, clear)
}

fn seal_with(
    algorithm: Algorithm,
    key: &[u8; KEY_BYTES],
    nonce: [u8; NONCE_BYTES],
    place: &[u8],
    clear: &[u8],
) -> Result<Vec<u8>> {
    let mut sealed = Vec::with_capacity(NONCE_BYTES + clear.len() + TAG_BYTES);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(clear);
    let (nonce, text) = sealed.split_at_mut(NONCE_BYTES);
    let nonce = Nonce::from_slice(nonce);
    let tag = match algorithm {
        Algorithm::Aes256Gcm => aes(key)?.encrypt_in_place_detached(nonce, place, text),
        Algorithm::Sm4Gcm => sm4(key)?.encrypt_in_place_detached(nonce, place, text),
    };
    let tag = tag.map_err(|_| Error::internal("too long to be sealed"))?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// The clear bytes; `None` when the key or the place is another one, or anything was changed.
pub(super) fn open(
    algorithm: Algorithm,
    key: &[u8; KEY_BYTES],
    place: &[u8],
    sealed: &[u8],
) -> Result<Option<Vec<u8>>> {
    let Some((nonce, rest)) = sealed.split_at_checked(NONCE_BYTES) else { return Ok(None) };
    let Some(at) = rest.len().checked_sub(TAG_BYTES) else { return Ok(None) };
    let (text, tag) = rest.split_at(at);
    let (nonce, tag, mut clear) = (Nonce::from_slice(nonce), Tag::from_slice(tag), text.to_vec());
    let opened = match algorithm {
        Algorithm::Aes256Gcm => aes(key)?.decrypt_in_place_detached(nonce, place, &mut clear, tag),
        Algorithm::Sm4Gcm => sm4(key)?.decrypt_in_place_detached(nonce, place, &mut clear, tag),
    };
    Ok(opened.ok().map(|()| clear))
}

fn aes(key: &[u8; KEY_BYTES]) -> Result<Aes256Gcm> {
    Aes256Gcm::new_from_slice(key).map_err(Error::internal)
}

fn sm4(key: &[u8; KEY_BYTES]) -> Result<Sm4Gcm> {
    let (short, _) = key.split_at(KEY_BYTES / 2);
    Sm4Gcm::new_from_slice(short).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    /// RFC 8998, appendix A.1.
    #[test]
    fn sm4_gcm_is_that_of_rfc_8998() {
        let clear = hex::decode(concat!(
            "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd",
            "eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa"
        ));
        let mut key = [0; KEY_BYTES];
        key[..16].copy_from_slice(&hex::decode("0123456789abcdeffedcba9876543210").unwrap());
        let nonce = hex::decode("00001234567800000000abcd").unwrap().try_into().unwrap();
        let place = hex::decode("feedfacedeadbeeffeedfacedeadbeefabaddad2").unwrap();
        let sealed = seal_with(Algorithm::Sm4Gcm, &key, nonce, &place, &clear.unwrap()).unwrap();
        assert_eq!(
            hex::encode(&sealed[NONCE_BYTES..]),
            concat!(
                "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735",
                "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d",
                "83de3541e4c2b58177e065a9bf7b62ec"
            )
        );
    }

    /// The GCM specification (McGrew and Viega), test case 14: a key of zeros, one block of zeros.
    #[test]
    fn aes_256_gcm_is_that_of_its_specification() {
        let sealed = seal_with(Algorithm::Aes256Gcm, &[0; KEY_BYTES], [0; NONCE_BYTES], &[], &[0; 16]).unwrap();
        assert_eq!(
            hex::encode(&sealed[NONCE_BYTES..]),
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
        );
    }

    fn either() -> impl Strategy<Value = Algorithm> {
        prop_oneof![Just(Algorithm::Aes256Gcm), Just(Algorithm::Sm4Gcm)]
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_at_its_place_and_nowhere_else(
            algorithm in either(), key: [u8; KEY_BYTES], place: Vec<u8>, clear: Vec<u8>, at: prop::sample::Index,
        ) {
            let sealed = seal(algorithm, &key, &place, &clear).unwrap();
            prop_assert_eq!(open(algorithm, &key, &place, &sealed).unwrap(), Some(clear));
            let mut elsewhere = place.clone();
            elsewhere.push(0);
            prop_assert_eq!(open(algorithm, &key, &elsewhere, &sealed).unwrap(), None);
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= 1;
            prop_assert_eq!(open(algorithm, &key, &place, &changed).unwrap(), None);
            let mut other = key;
            other[0] ^= 1;
            prop_assert_eq!(open(algorithm, &other, &place, &sealed).unwrap(), None);
        }

        #[test]
        fn arbitrary_bytes_never_panic(algorithm in either(), key: [u8; KEY_BYTES], sealed: Vec<u8>) {
            prop_assert_eq!(open(algorithm, &key, &[], &sealed).unwrap(), None);
        }
    }
}
