//! Telephone numbers of people who are called: opened when a call goes out, sealed wherever a message keeps them.
//!
//! Nothing here may stop a call: a number that cannot be opened is left out and told in the log, the others are called.

use serde_json::{Value, json};
use songhe_kernel::effects::{Effect, Sent};
use songhe_kernel::vault::{Field, Person, PersonKey, Sealed, Shape, Vault, mask};
use songhe_kernel::{Db, Error, Result, Tx};
use songhe_registry::{ResidentId, SealedNumber};

use crate::telling;

/// A number within a message, bound to what the message is about.
static FIELD: Field = Field::new("effect.phone", Shape::Text);

/// Numbers in clear, each once.
pub(crate) fn open(tx: &mut Tx<'_>, numbers: &[SealedNumber]) -> Result<Vec<String>> {
    let vault = tx.vault();
    let keys = vault.keys(tx.db(), numbers.iter().map(|number| &number.sealed))?;
    let mut all = Vec::new();
    for clear in numbers.iter().filter_map(|number| number.open(&keys).clear()) {
        if !all.contains(&clear) {
            all.push(clear);
        }
    }
    Ok(all)
}

/// Seals the numbers of a message.
pub(crate) struct Sealer {
    key: Option<PersonKey>,
    row: i64,
}

impl Sealer {
    /// Under the key of the resident whose call it is, so that it is erased with them; else under the month's. `row`: the
    /// id of what the message is about.
    pub(crate) fn new(tx: &mut Tx<'_>, resident: Option<ResidentId>, row: i64) -> Result<Self> {
        let month = Person::system(tx.now());
        for person in resident.map(ResidentId::person).into_iter().chain([month]) {
            match tx.person_key(person) {
                Ok(key) if key.is_destroyed() => {}
                Ok(key) => return Ok(Self { key: Some(key), row }),
                Err(error @ Error::Database(_)) => return Err(error),
                Err(error) => tracing::error!(%error, "no key for the numbers of a message"),
            }
        }
        Ok(Self { key: None, row })
    }

    /// As it is kept: sealed, and as it may be shown. `null`: it cannot be kept.
    pub(crate) fn value(&self, clear: &str) -> Value {
        match self.key.as_ref().map(|key| key.seal(&FIELD, self.row, clear)) {
            Some(Ok(sealed)) => json!({ "sealed": sealed.to_text(), "shown": mask::phone(clear) }),
            Some(Err(error)) => {
                tracing::error!(%error, "a number cannot be kept");
                Value::Null
            }
            None => Value::Null,
        }
    }
}

/// How a kept number is shown; releases before kept it in clear.
pub(crate) fn shown(kept: &Value) -> Option<String> {
    match kept {
        Value::String(clear) => Some(mask::phone(clear)),
        kept => kept["shown"].as_str().map(str::to_owned),
    }
}

fn sealed(kept: &Value) -> Option<Sealed> {
    kept["sealed"].as_str().and_then(|text| Sealed::from_text(text).ok())
}

/// A message with its numbers in clear, as it leaves the house. What was erased is left out.
///
/// # Errors
/// When the database does not answer.
pub(crate) fn opened(vault: &Vault, db: &mut Db, row: i64, mut message: Value) -> Result<Value> {
    let all = [&message["phone"]].into_iter().chain(message["phones"].as_array().into_iter().flatten());
    let sealed_all: Vec<Sealed> = all.filter_map(sealed).collect();
    if sealed_all.is_empty() {
        return Ok(message);
    }
    let keys = vault.keys(db, &sealed_all)?;
    let clear = |kept: &Value| match sealed(kept) {
        Some(sealed) => keys.look(&FIELD, row, &sealed).clear().map(Value::String),
        None => Some(kept.clone()),
    };
    if let Some(one) = message.get_mut("phone") {
        *one = clear(one).unwrap_or_default();
    }
    if let Some(Value::Array(list)) = message.get_mut("phones") {
        *list = list.iter().filter_map(clear).collect();
    }
    Ok(message)
}

/// A message on its way with its numbers in clear.
///
/// # Errors
/// When the database does not answer.
pub(crate) fn opened_effect(vault: &Vault, db: &mut Db, effect: Effect) -> Result<Effect> {
    let message = opened(vault, db, telling::row_of(&effect), serde_json::from_str(&effect.payload)?)?;
    Ok(Effect { payload: serde_json::to_string(&message)?, ..effect })
}

/// What came of an attempt, without the number that it called: a provider may repeat the one that it does not like, and
/// this is kept and logged.
pub(crate) fn hushed(sent: Sent, payload: &str) -> Sent {
    let message: Value = serde_json::from_str(payload).unwrap_or_default();
    let Some(phone) = message["phone"].as_str() else { return sent };
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let without = |why: String| why.replace(phone, &mask::phone(phone)).replace(&digits, &mask::phone(&digits));
    match sent {
        Sent::Delivered => Sent::Delivered,
        Sent::TryAgain(why) => Sent::TryAgain(without(why)),
        Sent::Refused(why) => Sent::Refused(without(why)),
    }
}
