//! Blind indexes: rows by which a whole value, its last 4 or its last 6 are found without being readable.

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::field::digest;
use super::schema::blind_index;
use super::{Field, Part, Person, PersonKey, Purpose, Sealed, Vault};
use crate::db::{Db, KeptExt, Tx};
use crate::error::Result;
use crate::insert_rows;

#[derive(Insertable)]
#[diesel(table_name = blind_index, treat_none_as_default_value = false)]
struct NewRow {
    key_id: i64,
    row_id: i64,
    field: &'static str,
    part: i16,
    number: i16,
    digest: i64,
}

impl Vault {
    /// What a value or its end is searched by: under each index key that is known, so that nothing is missed while rows
    /// move from one to the next. Empty: it cannot be searched for.
    ///
    /// # Errors
    /// `Internal` when there is no index key.
    pub fn digests(&self, field: &Field, part: Part, text: &str) -> Result<Vec<i64>> {
        let ring = self.ring();
        let mut all = Vec::new();
        for key in ring.of(Purpose::Index) {
            all.extend(digest(key, field, part, text)?);
        }
        Ok(all)
    }

    /// The rows whose field may have that value or end (`text` is the end itself), by row id, up to `limit`.
    ///
    /// # Errors
    /// As [`Self::digests`].
    pub fn rows_with(&self, db: &mut Db, field: &Field, part: Part, text: &str, limit: i64) -> Result<Vec<i64>> {
        let digests = self.digests(field, part, text)?;
        if digests.is_empty() {
            return Ok(Vec::new());
        }
        let values = digests.len();
        Ok(blind_index::table
            .filter(blind_index::digest.eq_any(digests).and(blind_index::field.eq(field.name)))
            .select(blind_index::row_id)
            .distinct()
            .order(blind_index::row_id)
            .limit(limit)
            .kept(values)
            .load(db)?)
    }
}

impl Tx<'_> {
    /// Seals a field and writes its indexes in place of the former ones. `None` or blanks: none.
    ///
    /// # Errors
    /// As [`Tx::person_key`] and [`PersonKey::seal`].
    pub fn seal_field(
        &mut self,
        person: Person,
        field: &'static Field,
        row: i64,
        clear: Option<&str>,
    ) -> Result<Option<Sealed>> {
        let key = self.person_key(person)?;
        self.index_field(&key, field, row, clear)?;
        clear.map(|clear| key.seal(field, row, clear)).transpose()
    }

    /// Writes the indexes of a field in place of the former ones.
    ///
    /// # Errors
    /// As [`Vault::digests`].
    pub fn index_field(&mut self, key: &PersonKey, field: &'static Field, row: i64, clear: Option<&str>) -> Result<()> {
        if field.shape == super::Shape::Text {
            return Ok(());
        }
        diesel::delete(
            blind_index::table
                .filter(blind_index::key_id.eq(key.id).and(blind_index::row_id.eq(row)))
                .filter(blind_index::field.eq(field.name)),
        )
        .execute(self.db())?;
        match clear {
            Some(clear) => self.index_new_field(key, field, row, clear),
            None => Ok(()),
        }
    }

    /// The same for a row that is new and has no indexes yet.
    ///
    /// # Errors
    /// As [`Vault::digests`].
    pub fn index_new_field(&mut self, key: &PersonKey, field: &'static Field, row: i64, clear: &str) -> Result<()> {
        let index = self.vault().active_index()?;
        let mut rows = Vec::new();
        for part in Part::ALL {
            if let Some(digest) = digest(&index, field, part, clear)? {
                let (part, number) = (part.code(), index.number);
                rows.push(NewRow { key_id: key.id, row_id: row, field: field.name, part, number, digest });
            }
        }
        if !rows.is_empty() {
            let place =
                (blind_index::key_id, blind_index::row_id, blind_index::field, blind_index::part, blind_index::number);
            // Of two who write one row at once, the later one counts, as in the row itself.
            insert_rows!(self.db(), &rows, |values| diesel::insert_into(blind_index::table)
                .values(values)
                .on_conflict(place)
                .do_update()
                .set(blind_index::digest.eq(excluded(blind_index::digest))));
        }
        Ok(())
    }
}

pub(super) fn remove_all(db: &mut Db, key_id: i64) -> Result<()> {
    diesel::delete(blind_index::table.filter(blind_index::key_id.eq(key_id))).execute(db)?;
    Ok(())
}
