//! The vault: sensitive fields (identity numbers, telephone numbers, addresses, medical notes, secrets of others) are sealed
//! in the database and opened where they are used.
//!
//! - Each person has a key of their own (`person_key`), wrapped by a master key. Master keys, and the index keys by which
//!   sealed fields are searched, stand in a file or the environment, never in the database: see [`KeyRing`].
//! - A sealed value ([`Sealed`]) is bound to person, field and row. Moved elsewhere it does not open.
//! - Destroying a person's key ([`Tx::erase_person`]) erases whatever it sealed, in every copy: rows, events, backups.
//!   Reading it answers [`Opened::Erased`], which is shown as 已删除 and is no error.
//! - To write: [`Tx::seal_field`] (seals and indexes), or [`Tx::person_key`] once and then [`PersonKey::seal`] and
//!   [`Tx::index_field`] for several fields. To read: collect the sealed values of all rows, [`Vault::keys`] reads the
//!   keys by one statement, [`PersonKeys::open`] opens each without the database. To search: [`Vault::rows_with`].
//!
//! No I/O: keys are read at start ([`Vault::give`]), so that all this can be done inside a transaction.

mod blind;
mod cipher;
mod columns;
mod field;
pub mod mask;
mod persons;
mod ring;
mod rotate;
pub mod schema;
mod sealed;

use diesel::prelude::*;
use parking_lot::RwLock;

use crate::db::Tx;
use crate::error::{Error, Result};
use schema::vault_key;

pub use cipher::Algorithm;
pub use columns::{SealedColumn, convert};
pub use field::{Field, Part, Shape, normalised};
pub use persons::{Opened, Person, PersonKey, PersonKeys};
pub use ring::{KeyRing, Purpose, RingKey};
pub use rotate::{activate, catch_up, retire, uses};
pub use sealed::Sealed;

/// Bytes of every key.
const KEY_BYTES: usize = 32;
/// Told to every server when a key was destroyed.
pub(crate) const TOPIC: &str = "vault";

#[derive(Debug, Clone, Default)]
struct State {
    ring: KeyRing,
    algorithm: Algorithm,
    /// As the database says; `None`: the newest of the ring.
    master: Option<i16>,
    index: Option<i16>,
}

/// The keys of this server and what it opened by them.
#[derive(Default)]
pub struct Vault {
    state: RwLock<State>,
    cache: persons::Cache,
}

/// A key that the database was used with and that this server does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    pub purpose: Purpose,
    pub number: i16,
    /// The server has a key of that number, but another one.
    pub differs: bool,
}

impl Vault {
    /// Gives it keys, and what new ones are made for: at start, and again when the key file has changed.
    pub fn give(&self, ring: KeyRing, algorithm: Algorithm) {
        let mut state = self.state.write();
        (state.ring, state.algorithm) = (ring, algorithm);
    }

    /// The keys that it was given.
    pub fn ring(&self) -> KeyRing {
        self.state.read().ring.clone()
    }

    /// Number of the master key that wraps new keys, and the algorithm.
    fn wraps_by(&self) -> Result<(i16, Algorithm)> {
        let state = self.state.read();
        let number = state.master.or_else(|| state.ring.newest(Purpose::Master).map(|key| key.number));
        Ok((number.ok_or_else(no_keys)?, state.algorithm))
    }

    fn active_index(&self) -> Result<RingKey> {
        let state = self.state.read();
        let key = match state.index {
            Some(number) => state.ring.get(Purpose::Index, number),
            None => state.ring.newest(Purpose::Index),
        };
        key.cloned().ok_or_else(no_keys)
    }

    /// Keyed hashes of something that is compared and never read, by the active index key first, then by the others.
    pub(crate) fn fingerprints(&self, data: &[u8]) -> Result<Vec<String>> {
        let active = self.active_index()?;
        let ring = self.ring();
        let others = ring.of(Purpose::Index).filter(|key| key.number != active.number);
        [&active].into_iter().chain(others).map(|key| key.fingerprint(data)).collect()
    }

    fn ring_key(&self, purpose: Purpose, number: i16) -> Result<RingKey> {
        let found = self.state.read().ring.get(purpose, number).cloned();
        found.ok_or_else(|| Error::Internal(format!("{} key {number} is missing: see docs/keys.md", purpose.as_str())))
    }

    /// A key was destroyed: nothing that was opened before counts.
    pub(crate) fn forget(&self) {
        self.cache.forget();
    }
}

fn no_keys() -> Error {
    Error::internal("this database was opened without keys")
}

/// A key as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct KnownKey {
    pub purpose: String,
    pub number: i16,
    proof: Vec<u8>,
    pub active: bool,
}

/// The keys that the database was used with.
///
/// # Errors
/// When the database does not answer.
pub fn known_keys(db: &mut crate::Db) -> Result<Vec<KnownKey>> {
    Ok(vault_key::table
        .order((vault_key::purpose, vault_key::number))
        .select((vault_key::purpose, vault_key::number, vault_key::proof, vault_key::active))
        .load(db)?)
}

/// Whether the database and this server know the same keys and which are active: [`attach`] would change nothing.
///
/// # Errors
/// When the database does not answer.
pub fn is_attached(vault: &Vault, db: &mut crate::Db) -> Result<bool> {
    let known = known_keys(db)?;
    let state = vault.state.read().clone();
    let active =
        |purpose: Purpose| known.iter().find(|key| key.purpose == purpose.as_str() && key.active).map(|key| key.number);
    let mine = state.ring.keys().iter();
    let all_known = mine
        .clone()
        .all(|mine| known.iter().any(|key| key.purpose == mine.purpose.as_str() && key.number == mine.number));
    Ok(all_known
        && known.len() == mine.len()
        && state.master == active(Purpose::Master)
        && state.index == active(Purpose::Index))
}

/// Makes the keys of this server known to the database and takes over which are active. What it answers is missing here:
/// the server must not start without it, nor go on.
///
/// # Errors
/// When the database does not answer.
pub fn attach(tx: &mut Tx<'_>) -> Result<Vec<Unknown>> {
    let known = known_keys(tx.db())?;
    let (vault, now) = (tx.vault(), tx.now());
    let ring = vault.ring();
    let mut missing = Vec::new();
    for purpose in Purpose::ALL {
        let mine = |number| ring.get(purpose, number);
        let of_purpose: Vec<_> = known.iter().filter(|key| key.purpose == purpose.as_str()).collect();
        for key in &of_purpose {
            let proof = mine(key.number).map(RingKey::proof).transpose()?;
            if proof.as_ref() != Some(&key.proof) {
                missing.push(Unknown { purpose, number: key.number, differs: proof.is_some() });
            }
        }
        if !missing.is_empty() {
            continue;
        }
        let newest = ring.newest(purpose).map(|key| key.number);
        let active = of_purpose.iter().find(|key| key.active).map(|key| key.number).or(newest);
        for key in ring.of(purpose).filter(|key| of_purpose.iter().all(|known| known.number != key.number)) {
            diesel::insert_into(vault_key::table)
                .values((
                    vault_key::purpose.eq(purpose.as_str()),
                    vault_key::number.eq(key.number),
                    vault_key::proof.eq(key.proof()?),
                    vault_key::active.eq(Some(key.number) == active),
                    vault_key::added_at.eq(now),
                ))
                .execute(tx.db())?;
        }
        let mut state = vault.state.write();
        match purpose {
            Purpose::Master => state.master = active,
            Purpose::Index => state.index = active,
        }
    }
    Ok(missing)
}
