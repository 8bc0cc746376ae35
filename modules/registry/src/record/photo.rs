//! The picture of a resident: one, for whoever may see them.

use diesel::prelude::*;
use serde_json::json;
use songhe_kernel::db::{Db, Tx};
use songhe_kernel::{Error, Moment, Result, Text, UserId};

use super::picture::{Format, MAX_BYTES, NoPicture, cleaned};
use super::tell;
use crate::ResidentId;
use crate::residents::{lock, resident};
use crate::schema::resident_photo;

/// A stored picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// `image/jpeg` or `image/png`.
    pub media_type: String,
    pub bytes: Vec<u8>,
}

/// A picture that may be stored, without what cameras add; looked at outside the transaction.
///
/// # Errors
/// `Invalid` on `photo`.
pub fn read_photo(bytes: &[u8]) -> Result<(Format, Vec<u8>)> {
    cleaned(bytes).map_err(|why| {
        let words = match why {
            NoPicture::TooLarge => Text::key("record-error-photo-large").arg("max", MAX_BYTES / 1024 / 1024),
            NoPicture::Unreadable if bytes.is_empty() => Text::key("error-required"),
            NoPicture::Unreadable => Text::key("record-error-photo-format"),
            NoPicture::Size => Text::key("record-error-photo-size"),
        };
        Error::field("photo", words)
    })
}

/// Puts a picture in the place of the one before; `None` takes it away.
///
/// # Errors
/// `NotFound` when there is no such resident.
pub fn set_photo(
    tx: &mut Tx<'_>,
    id: ResidentId,
    photo: Option<&(Format, Vec<u8>)>,
    actor: Option<UserId>,
) -> Result<()> {
    lock(tx, id)?;
    let person = resident(tx.db(), id)?.ok_or(Error::NotFound)?;
    let removed = diesel::delete(resident_photo::table.find(id)).execute(tx.db())?;
    if removed == 0 && photo.is_none() {
        return Ok(());
    }
    if let Some((format, bytes)) = photo {
        let now = tx.now();
        diesel::insert_into(resident_photo::table)
            .values((
                resident_photo::resident_id.eq(id),
                resident_photo::media_type.eq(format.media_type()),
                resident_photo::bytes.eq(bytes),
                resident_photo::changed_at.eq(now),
            ))
            .execute(tx.db())?;
    }
    let data = json!({ "has_photo": photo.is_some() });
    tell(tx, "registry.resident.photo_changed", person.facility_id, id, actor, data)
}

/// When a resident's picture was changed last; `None`: they have none.
pub fn photo_changed_at(db: &mut Db, id: ResidentId) -> Result<Option<Moment>> {
    Ok(resident_photo::table.find(id).select(resident_photo::changed_at).first(db).optional()?)
}

pub fn photo(db: &mut Db, id: ResidentId) -> Result<Option<Photo>> {
    let row: Option<(String, Vec<u8>)> = resident_photo::table
        .find(id)
        .select((resident_photo::media_type, resident_photo::bytes))
        .first(db)
        .optional()?;
    Ok(row.map(|(media_type, bytes)| Photo { media_type, bytes }))
}
