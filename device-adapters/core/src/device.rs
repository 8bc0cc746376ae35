use std::{fmt, str::FromStr};

/// Longest device key, in characters.
pub const MAX_DEVICE_KEY: usize = 64;

/// The name a device goes by in its protocol, usually the serial number on its label.
///
/// 1 to 64 characters, ASCII letters, digits and `- _ . :` only. It becomes a level of an MQTT
/// topic and a user name, so wildcards, slashes and control characters must never get in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceKey(String);

/// Why a text is no device key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceKeyError {
    /// Nothing at all.
    #[error("a device key must not be empty")]
    Empty,
    /// More than [`MAX_DEVICE_KEY`] characters.
    #[error("a device key has at most {MAX_DEVICE_KEY} characters")]
    TooLong,
    /// A character outside letters, digits and `- _ . :`.
    #[error("a device key holds only ASCII letters, digits and - _ . :")]
    Character,
}

impl DeviceKey {
    /// Checks a text and makes it a key.
    ///
    /// # Errors
    /// [`DeviceKeyError`] tells which rule is broken.
    pub fn new(text: &str) -> Result<Self, DeviceKeyError> {
        if text.is_empty() {
            return Err(DeviceKeyError::Empty);
        }
        if text.len() > MAX_DEVICE_KEY {
            return Err(DeviceKeyError::TooLong);
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        if !text.bytes().all(allowed) {
            return Err(DeviceKeyError::Character);
        }
        Ok(Self(text.to_owned()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DeviceKey {
    type Err = DeviceKeyError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl AsRef<str> for DeviceKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
