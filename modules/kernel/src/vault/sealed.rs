//! A sealed value: `version, algorithm, id of the person's key, nonce, ciphertext, tag`, as bytes in a column of its own or as
//! base64 text within JSON. 38 bytes longer than what it holds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Binary;

use super::Algorithm;
use crate::error::{Error, Result};

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 10;
/// What sealed text begins with. No JSON does, and no telephone number.
const MARK: &str = "sealed1:";

/// A value that only the vault can open. It has no `Serialize`: nothing sealed gets into an answer by accident, and
/// nothing clear into a row.
#[derive(Clone, PartialEq, Eq, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = Binary)]
pub struct Sealed(Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed")
    }
}

impl Sealed {
    pub(super) fn new(algorithm: Algorithm, key_id: i64, body: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.push(VERSION);
        bytes.push(algorithm.code());
        bytes.extend_from_slice(&key_id.to_be_bytes());
        bytes.extend_from_slice(body);
        Self(bytes)
    }

    /// The algorithm, the id of the person's key, and the rest.
    pub(super) fn parts(&self) -> Result<(Algorithm, i64, &[u8])> {
        let broken = || Error::internal("a sealed value is damaged");
        let (header, body) = self.0.split_at_checked(HEADER_BYTES).ok_or_else(broken)?;
        let [VERSION, algorithm, id @ ..] = header else { return Err(broken()) };
        let id: [u8; 8] = id.try_into().map_err(|_| broken())?;
        Ok((Algorithm::of_code(*algorithm)?, i64::from_be_bytes(id), body))
    }

    /// The id of the key that opens it (`person_key.id`).
    ///
    /// # Errors
    /// `Internal` for bytes that the vault did not make.
    pub fn key_id(&self) -> Result<i64> {
        Ok(self.parts()?.1)
    }

    /// As text for JSON: audit rows, effects, answers kept under an idempotency key.
    pub fn to_text(&self) -> String {
        format!("{MARK}{}", STANDARD_NO_PAD.encode(&self.0))
    }

    /// Whether a text is one that [`Self::to_text`] makes.
    pub fn is_text(text: &str) -> bool {
        text.starts_with(MARK)
    }

    /// The inverse of [`Self::to_text`].
    ///
    /// # Errors
    /// `Internal` for any other text.
    pub fn from_text(text: &str) -> Result<Self> {
        let broken = || Error::internal("a sealed value is damaged");
        let coded = text.strip_prefix(MARK).ok_or_else(broken)?;
        Ok(Self(STANDARD_NO_PAD.decode(coded).map_err(|_| broken())?))
    }
}

impl<DB: diesel::backend::Backend> FromSql<Binary, DB> for Sealed
where
    Vec<u8>: FromSql<Binary, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Vec::from_sql(bytes).map(Self)
    }
}

impl<DB: diesel::backend::Backend> ToSql<Binary, DB> for Sealed
where
    Vec<u8>: ToSql<Binary, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.0.to_sql(out)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_sealed_value_reads_back(id: i64, body: Vec<u8>) {
            let sealed = Sealed::new(Algorithm::Sm4Gcm, id, &body);
            let read = Sealed::from_text(&sealed.to_text()).unwrap();
            prop_assert_eq!(read.parts().unwrap(), (Algorithm::Sm4Gcm, id, body.as_slice()));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,60}", bytes: Vec<u8>) {
            let _ = Sealed::from_text(&text);
            let _ = Sealed(bytes).parts();
        }
    }
}
