//! Which messages were acted on. The key is the device's own message id; a protocol without one is recognised by its
//! content, as README.md tells.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use sha2::{Digest, Sha256};
use songhe_kernel::db::Fixed;
use songhe_kernel::{Db, Moment, Result};

use crate::ingest::Message;
use crate::register::DeviceId;
use crate::schema::inbox;

/// Rows of one statement.
const ROWS: usize = 500;

/// The dedupe key of a message that has no id: its bytes. Not its topic, which changes when somebody renames a device.
pub(crate) fn content_id(message: &Message) -> String {
    let digest = Sha256::digest(&message.payload);
    format!("sha-{}", hex::encode(digest).get(..40).unwrap_or_default())
}

/// A message that is to be acted on.
#[derive(Insertable)]
#[diesel(table_name = inbox, treat_none_as_default_value = false)]
pub(crate) struct Claim {
    pub(crate) device_id: DeviceId,
    pub(crate) message_id: String,
    pub(crate) received_at: Moment,
    /// Kept of emergencies.
    pub(crate) raw: Option<Vec<u8>>,
}

/// When messages were acted on last.
#[derive(Default)]
pub(crate) struct Seen {
    at: HashMap<(DeviceId, String), Moment>,
    again: Vec<(DeviceId, String, Moment)>,
}

impl Seen {
    pub(crate) fn at(&self, device: DeviceId, message_id: &str) -> Option<Moment> {
        self.at.get(&(device, message_id.to_owned())).copied()
    }

    /// From now on this message was acted on.
    pub(crate) fn acted(&mut self, device: DeviceId, message_id: &str, received_at: Moment) {
        if self.at.insert((device, message_id.to_owned()), received_at).is_some() {
            self.again.push((device, message_id.to_owned(), received_at));
        }
    }

    /// Those that were claimed before and acted on again.
    pub(crate) fn write(self, db: &mut Db) -> Result<()> {
        for (device, message_id, received_at) in self.again {
            diesel::update(inbox::table.find((device.0, message_id)))
                .set(inbox::received_at.eq(received_at))
                .execute(db)?;
        }
        Ok(())
    }
}

/// Remembers messages and answers which were known already, and since when. To look and to write is one step: a message
/// that another lane or server stores at this moment is waited for, and known then.
pub(crate) fn claim(db: &mut Db, claims: &[Claim]) -> Result<Seen> {
    let mut seen = Seen::default();
    for claims in claims.chunks(ROWS) {
        let new = match db {
            Db::Pg(conn) => claim_on_postgres(conn, claims)?,
            // There are no round trips, and one text stays prepared.
            Db::Sqlite(conn) => {
                let mut new = HashSet::new();
                for claim in claims {
                    let statement = diesel::insert_into(inbox::table)
                        .values(claim)
                        .on_conflict_do_nothing()
                        .returning((inbox::device_id, inbox::message_id));
                    new.extend(Fixed::<Claim, _>::new(statement).load::<(DeviceId, String)>(conn)?);
                }
                new
            }
        };
        if new.len() == claims.len() {
            continue;
        }
        for claim in claims {
            let key = (claim.device_id, claim.message_id.clone());
            if !new.contains(&key) {
                let at: Option<Moment> =
                    inbox::table.find((key.0.0, &key.1)).select(inbox::received_at).first(db).optional()?;
                // Forgotten at this very moment: it was known.
                seen.at.insert(key, at.unwrap_or(claim.received_at));
            }
        }
    }
    Ok(seen)
}

fn claim_on_postgres(conn: &mut PgConnection, claims: &[Claim]) -> Result<HashSet<(DeviceId, String)>> {
    use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text, Timestamp};
    #[derive(QueryableByName)]
    struct New {
        #[diesel(sql_type = BigInt)]
        device_id: i64,
        #[diesel(sql_type = Text)]
        message_id: String,
    }
    // Arrays: one short text for any number of rows.
    let new: Vec<New> = diesel::sql_query(
        "INSERT INTO inbox (device_id, message_id, received_at, raw) SELECT * FROM unnest($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING RETURNING device_id, message_id",
    )
    .bind::<Array<BigInt>, _>(claims.iter().map(|claim| claim.device_id.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(claims.iter().map(|claim| claim.message_id.as_str()).collect::<Vec<_>>())
    .bind::<Array<Timestamp>, _>(claims.iter().map(|claim| claim.received_at).collect::<Vec<_>>())
    .bind::<Array<Nullable<Binary>>, _>(claims.iter().map(|claim| claim.raw.as_deref()).collect::<Vec<_>>())
    .load(conn)?;
    Ok(new.into_iter().map(|row| (DeviceId(row.device_id), row.message_id)).collect())
}

/// Forgets up to `rows` messages that arrived before a moment; answers how many. Emergencies (with their bytes) stay: a
/// retained one comes again at every connection, however old it is.
pub(crate) fn purge(db: &mut Db, before: Moment, rows: usize) -> Result<usize> {
    use diesel::sql_types::{BigInt, Timestamp};
    let limit = i64::try_from(rows).unwrap_or(i64::MAX);
    let gone = match db {
        Db::Pg(conn) => diesel::sql_query(
            "DELETE FROM inbox WHERE ctid = ANY(ARRAY(SELECT ctid FROM inbox WHERE raw IS NULL AND received_at < $1 \
             ORDER BY received_at LIMIT $2))",
        )
        .bind::<Timestamp, _>(before)
        .bind::<BigInt, _>(limit)
        .execute(conn)?,
        Db::Sqlite(conn) => diesel::sql_query(
            "DELETE FROM inbox WHERE (device_id, message_id) IN (SELECT device_id, message_id FROM inbox \
             WHERE raw IS NULL AND received_at < ? ORDER BY received_at LIMIT ?)",
        )
        .bind::<Timestamp, _>(before)
        .bind::<BigInt, _>(limit)
        .execute(conn)?,
    };
    Ok(gone)
}
