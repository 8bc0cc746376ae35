//! Devices as accounts of an external broker: the password in the broker's own form, and the topics.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diesel::prelude::*;
use hmac::{Hmac, Mac};
use sha2::Sha512;
use songhe_kernel::{Db, Result, Tx};

use crate::register::DeviceId;
use crate::schema::{device, gateway};

diesel::table! {
    broker_account (device_id) {
        device_id -> BigInt,
        password -> Text,
    }
}
diesel::allow_tables_to_appear_in_same_query!(broker_account, device);

/// As many as `mosquitto_passwd` takes. A secret of 128 random bits needs none.
const ROUNDS: u32 = 101;
const SALT_BYTES: usize = 12;

/// What is appended to a salt for the first block of PBKDF2; SHA-512 fills a block.
const FIRST_BLOCK: [u8; 4] = [0, 0, 0, 1];

/// A device that may sign in at a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAccount {
    pub serial: String,
    /// As [`mosquitto_password`] makes it; `None` for a credential that is older than this form.
    pub password: Option<String>,
    /// The topic below which it speaks for others, if it is a gateway.
    pub base_topic: Option<String>,
}

/// A password as Mosquitto keeps it (`$7$`: PBKDF2 with HMAC-SHA-512, RFC 8018).
pub fn mosquitto_password(secret: &[u8], salt: [u8; SALT_BYTES]) -> String {
    let keyed = |message: &[&[u8]]| -> [u8; 64] {
        // HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha512>::new_from_slice(secret) else { return [0; 64] };
        message.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    };
    let mut last = keyed(&[&salt, &FIRST_BLOCK]);
    let mut sum = last;
    for _ in 1..ROUNDS {
        last = keyed(&[&last]);
        sum.iter_mut().zip(last).for_each(|(sum, byte)| *sum ^= byte);
    }
    format!("$7${ROUNDS}${}${}", STANDARD.encode(salt), STANDARD.encode(sum))
}

/// Keeps a device's new secret in the form of brokers.
pub(crate) fn remember(tx: &mut Tx<'_>, id: DeviceId, secret: &str) -> Result<()> {
    let password = mosquitto_password(secret.as_bytes(), rand::random());
    diesel::delete(broker_account::table.find(id.0)).execute(tx.db())?;
    diesel::insert_into(broker_account::table)
        .values((broker_account::device_id.eq(id.0), broker_account::password.eq(password)))
        .execute(tx.db())?;
    Ok(())
}

/// Every device that may speak and has a credential, by serial.
pub fn all(db: &mut Db) -> Result<Vec<BrokerAccount>> {
    let gateways: Vec<(i64, String)> = gateway::table.select((gateway::device_id, gateway::base_topic)).load(db)?;
    let mut gateways: HashMap<i64, String> = gateways.into_iter().collect();
    let rows: Vec<(i64, String, Option<String>)> = device::table
        .left_join(broker_account::table.on(broker_account::device_id.eq(device::id)))
        .filter(device::enabled.eq(true).and(device::secret_hash.is_not_null()))
        .order(device::serial.asc())
        .select((device::id, device::serial, broker_account::password.nullable()))
        .load(db)?;
    let account = |(id, serial, password)| BrokerAccount { serial, password, base_topic: gateways.remove(&id) };
    Ok(rows.into_iter().map(account).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_what_mosquitto_makes_of_it() {
        // Of Python's hashlib.pbkdf2_hmac("sha512", b"0123456789abcdef", bytes(range(12)), 101).
        let salt = std::array::from_fn(|n| u8::try_from(n).unwrap_or(0));
        assert_eq!(
            mosquitto_password(b"0123456789abcdef", salt),
            "$7$101$AAECAwQFBgcICQoL$HOcNo8rDi8OArGCinab9dxzJ8QjlhdBznUVgM03b6GDgqACmgtnvdvLBLKjI2MFGc+ltKe/Lx1+iGLQT1ZOQEQ=="
        );
    }
}
