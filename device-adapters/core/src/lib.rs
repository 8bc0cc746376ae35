//! What every device adapter shares: the canonical readings and events, their units and
//! plausible ranges, and the [`DeviceAdapter`] trait.
//!
//! This crate is pure: no input or output, no clock, no database. An adapter turns bytes into a
//! [`Decoded`] message and commands into bytes; everything else happens upstream.

mod adapter;
mod device;
mod directory;
mod event;
mod measure;
mod message;
mod reading;

pub use adapter::{
    Action, AdapterManifest, Capability, Command, Confirmation, DecodeError, DeviceAdapter, Inbound, Outbound,
};
pub use device::{DeviceKey, DeviceKeyError, MAX_DEVICE_KEY};
pub use directory::{Directory, Gateway, Member, Standing};
pub use event::EventKind;
pub use measure::{Measure, UnitError};
pub use message::{
    Decoded, DeviceState, Ignored, Item, MAX_IGNORED, MAX_SETTINGS, TimeError, check_observed_at, clip,
    valid_message_id,
};
pub use reading::{Quality, Reading, ReadingError, mark_contradictions};

/// The decimal type of all values.
pub use rust_decimal::Decimal;
