//! One key a person: read or made in the transaction that needs it, opened by a master key, kept in memory up to a bound.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::prelude::*;
use parking_lot::Mutex;
use rand::RngCore;
use zeroize::Zeroizing;

use super::ring::Secret;
use super::schema::person_key;
use super::{Algorithm, Field, KEY_BYTES, Purpose, Sealed, Vault, cipher};
use crate::db::{BothExt, Db, KeptExt, Tx};
use crate::error::{Error, Result};
use crate::time::Moment;

/// Opened keys that stay in memory: twice so many at most, a few megabytes.
const MAX_KEPT: usize = 10_000;
/// Keys read by one statement.
const SLICE: usize = 500;

/// Whose data it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Person {
    /// The prefix of their id: `res`, `stf`, `usr`; `fac` for what is a facility's, `sys` for what is nobody's alone.
    pub kind: &'static str,
    pub id: i64,
}

impl Person {
    /// `Person::of(ResidentId::PREFIX, id.0)`
    pub const fn of(kind: &'static str, id: i64) -> Self {
        Self { kind, id }
    }

    /// What belongs to no person alone and is kept for a while (answers, messages on their way): a key for each month.
    pub fn system(now: Moment) -> Self {
        let day = now.day_in(chrono_tz::UTC).to_string();
        let month: String = day.chars().filter(char::is_ascii_digit).take(6).collect();
        Self { kind: "sys", id: month.parse().unwrap_or_default() }
    }
}

/// The key of a person, opened. Seals and opens without the database.
#[derive(Clone)]
pub struct PersonKey {
    pub(super) id: i64,
    algorithm: Algorithm,
    /// `None`: destroyed.
    secret: Option<Arc<Secret>>,
}

impl std::fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PersonKey({})", self.id)
    }
}

/// What a sealed value holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Opened {
    Clear(String),
    /// The person's key was destroyed: shown as 已删除 (`vault-erased`), never as an error.
    Erased,
    /// It was changed or moved, or a key is missing: told in the log, and shown as such (`vault-damaged`).
    Damaged,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Clear(_) => "Clear",
            Self::Erased => "Erased",
            Self::Damaged => "Damaged",
        })
    }
}

impl Opened {
    pub fn clear(self) -> Option<String> {
        match self {
            Self::Clear(text) => Some(text),
            Self::Erased | Self::Damaged => None,
        }
    }

    /// Fluent key of the word that stands in its place; `None`: there is a value.
    pub fn instead(&self) -> Option<&'static str> {
        match self {
            Self::Clear(_) => None,
            Self::Erased => Some("vault-erased"),
            Self::Damaged => Some("vault-damaged"),
        }
    }

    /// As a screen or an export shows it: masked, or the word in its place, `|key| ctx.say(&Text::key(key))`.
    pub fn masked(&self, mask: fn(&str) -> String, say: impl Fn(&'static str) -> String) -> String {
        match (self, self.instead()) {
            (Self::Clear(text), _) => mask(text),
            (_, key) => say(key.unwrap_or_default()),
        }
    }
}

impl PersonKey {
    pub fn is_destroyed(&self) -> bool {
        self.secret.is_none()
    }

    /// `row`: the id of the row whose field it is. Moved to another row, field or person, it does not open.
    ///
    /// # Errors
    /// `Conflict` when the key was destroyed: nothing more is kept of an erased person.
    pub fn seal(&self, field: &Field, row: i64, clear: &str) -> Result<Sealed> {
        let secret = self.secret.as_ref().ok_or_else(|| Error::conflict("vault-error-erased"))?;
        let body = cipher::seal(self.algorithm, secret, &self.place(field, row), clear.as_bytes())?;
        Ok(Sealed::new(self.algorithm, self.id, &body))
    }

    /// # Errors
    /// `Internal` when it was not sealed by this key for this field and row.
    pub fn open(&self, field: &Field, row: i64, sealed: &Sealed) -> Result<Opened> {
        let (algorithm, _, body) = sealed.parts()?;
        let Some(secret) = &self.secret else { return Ok(Opened::Erased) };
        let clear = cipher::open(algorithm, secret, &self.place(field, row), body)?;
        let moved = || Error::Internal(format!("{} of row {row} does not open: changed or moved", field.name));
        String::from_utf8(clear.ok_or_else(moved)?).map(Opened::Clear).map_err(|_| moved())
    }

    fn place(&self, field: &Field, row: i64) -> Vec<u8> {
        format!("{}\n{}\n{row}", self.id, field.name).into_bytes()
    }
}

/// Keys of several persons, read at once.
#[derive(Debug, Default)]
pub struct PersonKeys(HashMap<i64, PersonKey>);

impl PersonKeys {
    pub(super) fn get(&self, id: i64) -> Option<&PersonKey> {
        self.0.get(&id)
    }

    /// Those as well.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// As [`PersonKey::open`].
    ///
    /// # Errors
    /// Also `Internal` when the key is none of those that were read.
    pub fn open(&self, field: &Field, row: i64, sealed: &Sealed) -> Result<Opened> {
        let key = self.0.get(&sealed.key_id()?);
        key.ok_or_else(|| Error::Internal(format!("no key opens {} of row {row}", field.name)))?
            .open(field, row, sealed)
    }

    /// The same where one bad value must not hide the others, on a list or when somebody is called: what does not open is
    /// told in the log.
    pub fn look(&self, field: &Field, row: i64, sealed: &Sealed) -> Opened {
        self.open(field, row, sealed).unwrap_or_else(|error| {
            tracing::error!(field = field.name, row, %error, "a sealed value does not open");
            Opened::Damaged
        })
    }
}

/// Two generations of opened keys: a key that is used stays, one that is not leaves with the older generation.
#[derive(Default)]
struct Generations {
    young: HashMap<i64, PersonKey>,
    old: HashMap<i64, PersonKey>,
    /// Grows whenever a key was destroyed somewhere: what was read before is not kept.
    forgotten: u64,
}

/// Opened keys by id.
#[derive(Default)]
pub(super) struct Cache(Mutex<Generations>);

impl Cache {
    fn get(&self, id: i64) -> Option<PersonKey> {
        let mut kept = self.0.lock();
        if let Some(key) = kept.young.get(&id) {
            return Some(key.clone());
        }
        let key = kept.old.remove(&id)?;
        kept.put(key.clone());
        Some(key)
    }

    fn forgotten(&self) -> u64 {
        self.0.lock().forgotten
    }

    fn put(&self, key: &PersonKey, read_at: u64) {
        let mut kept = self.0.lock();
        if kept.forgotten == read_at && !key.is_destroyed() {
            kept.put(key.clone());
        }
    }

    pub(super) fn forget(&self) {
        let mut kept = self.0.lock();
        *kept = Generations { forgotten: kept.forgotten + 1, ..Generations::default() };
    }
}

impl Generations {
    fn put(&mut self, key: PersonKey) {
        if self.young.len() >= MAX_KEPT {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key.id, key);
    }
}

/// A stored key.
#[derive(Queryable, Selectable)]
#[diesel(table_name = person_key)]
pub(super) struct Row {
    pub(super) id: i64,
    kind: String,
    subject_id: i64,
    algorithm: String,
    pub(super) wrapped: Vec<u8>,
    master: i16,
    destroyed_at: Option<Moment>,
}

fn wrap_place(id: i64, kind: &str, subject: i64) -> Vec<u8> {
    format!("person key\n{id}\n{kind}\n{subject}").into_bytes()
}

impl Vault {
    /// The keys that open some values: what is not in memory by one statement for up to 500. A key that does not open
    /// itself is told in the log and left out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub fn keys<'s>(&self, db: &mut Db, sealed: impl IntoIterator<Item = &'s Sealed>) -> Result<PersonKeys> {
        let mut found = HashMap::new();
        let mut wanted = Vec::new();
        for one in sealed {
            let Ok(id) = one.key_id() else { continue };
            if found.contains_key(&id) || wanted.contains(&id) {
                continue;
            }
            match self.cache.get(id) {
                Some(key) => drop(found.insert(id, key)),
                None => wanted.push(id),
            }
        }
        for ids in wanted.chunks(SLICE) {
            let read_at = self.cache.forgotten();
            let rows: Vec<Row> = person_key::table
                .filter(person_key::id.eq_any(ids.to_vec()))
                .select(Row::as_select())
                .kept(ids.len())
                .load(db)?;
            for row in rows {
                match self.unwrap(&row) {
                    Ok(key) => {
                        self.cache.put(&key, read_at);
                        found.insert(key.id, key);
                    }
                    Err(error) => tracing::error!(key = row.id, %error, "a person's key does not open"),
                }
            }
        }
        Ok(PersonKeys(found))
    }

    /// Opens one value.
    ///
    /// # Errors
    /// As [`Self::keys`] and [`PersonKey::open`].
    pub fn open(&self, db: &mut Db, field: &Field, row: i64, sealed: &Sealed) -> Result<Opened> {
        self.keys(db, [sealed])?.open(field, row, sealed)
    }

    fn unwrap(&self, row: &Row) -> Result<PersonKey> {
        let algorithm = row.algorithm.parse()?;
        if row.destroyed_at.is_some() {
            return Ok(PersonKey { id: row.id, algorithm, secret: None });
        }
        let damaged = || Error::Internal(format!("the key {} of a person was changed", row.id));
        let (code, body) = row.wrapped.split_first().ok_or_else(damaged)?;
        let wrapped_by = Algorithm::of_code(*code)?;
        let master = self.ring_key(Purpose::Master, row.master)?.wrapping(wrapped_by)?;
        let place = wrap_place(row.id, &row.kind, row.subject_id);
        let clear = cipher::open(wrapped_by, &master, &place, body)?.map(Zeroizing::new).ok_or_else(damaged)?;
        let secret = <[u8; KEY_BYTES]>::try_from(clear.as_slice()).map_err(|_| damaged())?;
        Ok(PersonKey { id: row.id, algorithm, secret: Some(Arc::new(Zeroizing::new(secret))) })
    }

    fn wrap(&self, id: i64, kind: &str, subject: i64, secret: &Secret) -> Result<(i16, Vec<u8>)> {
        let (number, algorithm) = self.wraps_by()?;
        let master = self.ring_key(Purpose::Master, number)?.wrapping(algorithm)?;
        let mut wrapped = vec![algorithm.code()];
        wrapped.extend(cipher::seal(algorithm, &master, &wrap_place(id, kind, subject), secret.as_ref())?);
        Ok((number, wrapped))
    }

    /// A stored key wrapped by the master key that is active now; its former wrapping is not touched.
    pub(super) fn rewrap(&self, row: &Row) -> Result<(i16, Vec<u8>)> {
        let key = self.unwrap(row)?;
        let secret = key.secret.ok_or_else(|| Error::internal("a destroyed key is not wrapped again"))?;
        self.wrap(row.id, &row.kind, row.subject_id, &secret)
    }
}

impl Tx<'_> {
    /// A person's key: read, or made in this transaction.
    ///
    /// # Errors
    /// As [`Vault::keys`].
    pub fn person_key(&mut self, person: Person) -> Result<PersonKey> {
        if let Some(row) = stored(self.db(), person)? {
            return self.opened(&row);
        }
        let id = self.next_id();
        let mut secret: Secret = Zeroizing::new([0; KEY_BYTES]);
        rand::rng().fill_bytes(secret.as_mut());
        let vault = self.vault();
        let (_, algorithm) = vault.wraps_by()?;
        let (master, wrapped) = vault.wrap(id, person.kind, person.id, &secret)?;
        let now = self.now();
        let inserted = diesel::insert_into(person_key::table)
            .values((
                person_key::id.eq(id),
                person_key::kind.eq(person.kind),
                person_key::subject_id.eq(person.id),
                person_key::algorithm.eq(algorithm.as_str()),
                person_key::wrapped.eq(wrapped),
                person_key::master.eq(master),
                person_key::created_at.eq(now),
            ))
            .on_conflict((person_key::kind, person_key::subject_id))
            .do_nothing()
            .both()
            .execute(self.db())?;
        if inserted == 0 {
            // Another server made it in the meantime.
            let row = stored(self.db(), person)?.ok_or_else(|| Error::internal("a person's key vanished"))?;
            return self.opened(&row);
        }
        Ok(PersonKey { id, algorithm, secret: Some(Arc::new(secret)) })
    }

    fn opened(&mut self, row: &Row) -> Result<PersonKey> {
        let vault = self.vault();
        // By id, which is never used twice: a key that this transaction made and then took back is asked for by nobody.
        match vault.cache.get(row.id).filter(|_| row.destroyed_at.is_none()) {
            Some(key) => Ok(key),
            None => vault.unwrap(row),
        }
    }

    /// Destroys a person's key: what it sealed is unreadable for ever, and nothing more can be sealed for them. Their
    /// blind indexes go with it. False when there was no key, or none any more.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn erase_person(&mut self, person: Person) -> Result<bool> {
        let Some(row) = stored(self.db(), person)?.filter(|row| row.destroyed_at.is_none()) else { return Ok(false) };
        let now = self.now();
        diesel::update(person_key::table.find(row.id))
            .set((person_key::wrapped.eq(Vec::<u8>::new()), person_key::destroyed_at.eq(now)))
            .execute(self.db())?;
        super::blind::remove_all(self.db(), row.id)?;
        // Every server forgets what it opened.
        self.signal(super::TOPIC);
        Ok(true)
    }
}

fn stored(db: &mut Db, person: Person) -> Result<Option<Row>> {
    Ok(person_key::table
        .filter(person_key::kind.eq(person.kind).and(person_key::subject_id.eq(person.id)))
        .select(Row::as_select())
        .first(db)
        .optional()?)
}
