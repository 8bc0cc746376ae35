//! Which messages were acted on. The key is the device's own message id; a protocol without one is recognised by its
//! content, as README.md tells.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use sha2::{Digest, Sha256};
use songhe_kernel::{Db, KeptExt, Moment, Result, insert_rows};

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

#[derive(Insertable)]
#[diesel(table_name = inbox, treat_none_as_default_value = false)]
struct Row {
    device_id: i64,
    message_id: String,
    received_at: Moment,
    raw: Option<Vec<u8>>,
}

/// What was seen before of a batch, and the rows that remember it.
pub(crate) struct Fresh {
    seen: HashMap<(i64, String), Moment>,
    rows: Vec<Row>,
    again: Vec<(i64, String, Moment)>,
}

impl Fresh {
    pub(crate) fn look_up<'a>(db: &mut Db, batch: impl Iterator<Item = (DeviceId, &'a str)>) -> Result<Self> {
        let (devices, messages): (HashSet<i64>, HashSet<&str>) = batch.map(|(device, id)| (device.0, id)).unzip();
        if devices.is_empty() {
            return Ok(Self { seen: HashMap::new(), rows: Vec::new(), again: Vec::new() });
        }
        let values = devices.len().max(messages.len());
        // Two lists, not pairs: a few rows too many are read when two devices count alike.
        let seen: Vec<(i64, String, Moment)> = inbox::table
            .filter(inbox::device_id.eq_any(devices.into_iter().collect::<Vec<_>>()))
            .filter(inbox::message_id.eq_any(messages.into_iter().collect::<Vec<_>>()))
            .select((inbox::device_id, inbox::message_id, inbox::received_at))
            .kept(values)
            .load(db)?;
        let seen = seen.into_iter().map(|(device, id, at)| ((device, id), at)).collect();
        Ok(Self { seen, rows: Vec::new(), again: Vec::new() })
    }

    /// When this message was acted on last.
    pub(crate) fn seen_at(&self, device: DeviceId, message_id: &str) -> Option<Moment> {
        self.seen.get(&(device.0, message_id.to_owned())).copied()
    }

    /// From now on this message was acted on.
    pub(crate) fn remember(&mut self, device: DeviceId, message_id: String, received_at: Moment, raw: Option<Vec<u8>>) {
        if self.seen.insert((device.0, message_id.clone()), received_at).is_none() {
            self.rows.push(Row { device_id: device.0, message_id, received_at, raw });
        } else {
            self.again.push((device.0, message_id, received_at));
        }
    }

    /// A key that is there already (the other lane, another server) fails the transaction: it runs again and sees it.
    pub(crate) fn write(self, db: &mut Db) -> Result<()> {
        for rows in self.rows.chunks(ROWS) {
            insert_rows!(db, rows, |values| diesel::insert_into(inbox::table).values(values));
        }
        for (device, message_id, received_at) in self.again {
            diesel::update(inbox::table.find((device, message_id)))
                .set(inbox::received_at.eq(received_at))
                .execute(db)?;
        }
        Ok(())
    }
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
            "DELETE FROM inbox WHERE rowid IN (SELECT rowid FROM inbox WHERE raw IS NULL AND received_at < ? \
             ORDER BY received_at LIMIT ?)",
        )
        .bind::<Timestamp, _>(before)
        .bind::<BigInt, _>(limit)
        .execute(conn)?,
    };
    Ok(gone)
}
