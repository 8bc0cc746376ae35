//! Ids: 64-bit inside, prefixed strings outside (`inc_0cz…`), one type for each noun.
//!
//! 41 bits of milliseconds since 2025, 10 bits of a server number leased in the database, 12 bits of counter: ordered
//! by time, and unique over servers without asking anybody.

use parking_lot::Mutex;

use crate::time::SharedClock;

/// 2025-01-01T00:00:00Z, in Unix milliseconds.
const EPOCH_MS: i64 = 1_735_689_600_000;
const COUNTER_BITS: u32 = 12;
const SERVER_BITS: u32 = 10;
/// Server numbers run from 0 to this.
pub const MAX_SERVER: u16 = (1 << SERVER_BITS) - 1;

/// Makes ids. Never goes back: with a clock stepped back it goes on counting from the last millisecond it used.
pub struct IdMaker {
    clock: SharedClock,
    server: i64,
    last: Mutex<(i64, i64)>,
}

impl IdMaker {
    pub fn new(clock: SharedClock, server: u16) -> Self {
        Self { clock, server: i64::from(server.min(MAX_SERVER)), last: Mutex::new((0, 0)) }
    }

    pub fn next(&self) -> i64 {
        let now = (self.clock.now().unix_ms() - EPOCH_MS).max(1);
        let mut last = self.last.lock();
        if now > last.0 {
            *last = (now, 0);
        } else if last.1 + 1 < 1 << COUNTER_BITS {
            last.1 += 1;
        } else {
            // The counter of this millisecond is used up (or the clock stands still): borrow from the next one.
            *last = (last.0 + 1, 0);
        }
        (last.0 << (SERVER_BITS + COUNTER_BITS)) | (self.server << COUNTER_BITS) | last.1
    }
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// `prefix_` and 13 digits of Crockford's base 32.
pub fn encode(prefix: &str, id: i64) -> String {
    let mut digits = [b'0'; 13];
    let mut rest = id.cast_unsigned();
    for place in digits.iter_mut().rev() {
        *place = ALPHABET.get((rest & 31) as usize).copied().unwrap_or(b'0');
        rest >>= 5;
    }
    format!("{prefix}_{}", String::from_utf8_lossy(&digits))
}

/// The inverse of [`encode`]; `None` for another prefix or anything that `encode` does not write.
pub fn decode(prefix: &str, text: &str) -> Option<i64> {
    let digits = text.strip_prefix(prefix)?.strip_prefix('_')?;
    if digits.len() != 13 {
        return None;
    }
    let mut value: u64 = 0;
    for digit in digits.bytes() {
        let position = ALPHABET.iter().position(|candidate| *candidate == digit)?;
        value = value.checked_mul(32)?.checked_add(position as u64)?;
    }
    i64::try_from(value).ok()
}

/// Whether a text is written like an id of any kind.
pub fn is_id(text: &str) -> bool {
    text.split_once('_').is_some_and(|(prefix, _)| {
        (2..=4).contains(&prefix.len())
            && prefix.bytes().all(|byte| byte.is_ascii_lowercase())
            && decode(prefix, text).is_some()
    })
}

/// Defines an id type: `define_id!(/// A resident. ResidentId, "res");`
#[macro_export]
macro_rules! define_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            ::diesel::expression::AsExpression, ::diesel::deserialize::FromSqlRow,
        )]
        #[diesel(sql_type = ::diesel::sql_types::BigInt)]
        pub struct $name(pub i64);

        impl $name {
            /// What the id begins with outside.
            pub const PREFIX: &'static str = $prefix;
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&$crate::ids::encode($prefix, self.0))
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::ids::NotAnId;
            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                $crate::ids::decode($prefix, text).map(Self).ok_or($crate::ids::NotAnId { prefix: $prefix })
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                let text = <::std::string::String as ::serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(|wrong| {
                    ::serde::de::Error::invalid_value(::serde::de::Unexpected::Str(&text), &wrong)
                })
            }
        }

        impl ::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                ::std::stringify!($name).into()
            }
            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({
                    "type": "string",
                    "pattern": ::std::concat!("^", $prefix, "_[0-9a-hjkmnp-tv-z]{13}$")
                })
            }
        }

        impl<DB: ::diesel::backend::Backend> ::diesel::deserialize::FromSql<::diesel::sql_types::BigInt, DB> for $name
        where
            i64: ::diesel::deserialize::FromSql<::diesel::sql_types::BigInt, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> ::diesel::deserialize::Result<Self> {
                <i64 as ::diesel::deserialize::FromSql<::diesel::sql_types::BigInt, DB>>::from_sql(bytes).map(Self)
            }
        }

        impl<DB: ::diesel::backend::Backend> ::diesel::serialize::ToSql<::diesel::sql_types::BigInt, DB> for $name
        where
            i64: ::diesel::serialize::ToSql<::diesel::sql_types::BigInt, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut ::diesel::serialize::Output<'b, '_, DB>) -> ::diesel::serialize::Result {
                <i64 as ::diesel::serialize::ToSql<::diesel::sql_types::BigInt, DB>>::to_sql(&self.0, out)
            }
        }
    };
}

/// Text that is no id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id like {prefix}_0123456789abc")]
pub struct NotAnId {
    pub prefix: &'static str,
}

impl serde::de::Expected for NotAnId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

define_id!(
    /// A user account.
    UserId, "usr"
);
define_id!(
    /// A facility: also its node in the scope tree.
    FacilityId, "fac"
);
define_id!(
    /// An outgoing effect; the peer's idempotency key.
    EffectId, "eff"
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::time::{ManualClock, Moment};
    use proptest::prelude::*;
    use std::sync::Arc;

    proptest! {
        #[test]
        fn an_id_reads_back(id in 0..=i64::MAX) {
            prop_assert_eq!(decode("res", &encode("res", id)), Some(id));
            prop_assert_eq!(decode("inc", &encode("res", id)), None);
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,40}") {
            let _ = decode("res", &text);
        }
    }

    #[test]
    fn ids_grow_even_when_the_clock_stands_still_or_is_stepped_back() {
        let clock = Arc::new(ManualClock::at("2026-11-22T00:00:00Z".parse::<Moment>().unwrap()));
        let maker = IdMaker::new(clock.clone(), 7);
        let mut last = 0;
        for round in 0..20_000 {
            if round == 10_000 {
                clock.step(chrono::TimeDelta::hours(-1));
            }
            let id = maker.next();
            assert!(id > last);
            last = id;
        }
    }
}
