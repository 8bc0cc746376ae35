/// What a device can report as having happened. Events are edges: `active` tells whether the
/// condition began or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Somebody pressed for help.
    Sos,
    /// A fall was detected.
    Fall,
    /// Smoke or fire.
    Smoke,
    /// Combustible gas.
    Gas,
    /// Carbon monoxide.
    Co,
    /// Water on the floor.
    Leak,
    /// A door or window opened.
    DoorOpen,
    /// A door or window closed.
    DoorClose,
    /// Somebody left the bed.
    BedExit,
    /// Somebody lay or sat down on the bed.
    BedEnter,
    /// Somebody is in the room.
    Presence,
    /// Nobody is in the room any more.
    NoPresence,
    /// Something was shaken or knocked.
    Vibration,
    /// The device was opened, moved or taken off.
    Tamper,
    /// The battery should be changed.
    LowBattery,
    /// A test of the device; never an incident for a resident.
    Test,
}

impl EventKind {
    /// Every kind, emergencies first in the order of their weight.
    pub const ALL: [Self; 16] = [
        Self::Sos,
        Self::Fall,
        Self::Smoke,
        Self::Gas,
        Self::Co,
        Self::Leak,
        Self::DoorOpen,
        Self::DoorClose,
        Self::BedExit,
        Self::BedEnter,
        Self::Presence,
        Self::NoPresence,
        Self::Vibration,
        Self::Tamper,
        Self::LowBattery,
        Self::Test,
    ];

    /// The name in messages, the API and the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sos => "sos",
            Self::Fall => "fall",
            Self::Smoke => "smoke",
            Self::Gas => "gas",
            Self::Co => "co",
            Self::Leak => "leak",
            Self::DoorOpen => "door_open",
            Self::DoorClose => "door_close",
            Self::BedExit => "bed_exit",
            Self::BedEnter => "bed_enter",
            Self::Presence => "presence",
            Self::NoPresence => "no_presence",
            Self::Vibration => "vibration",
            Self::Tamper => "tamper",
            Self::LowBattery => "low_battery",
            Self::Test => "test",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// True for what must page however late it arrives: sos, fall, smoke, gas, co, leak.
    #[must_use]
    pub const fn is_emergency(self) -> bool {
        matches!(self, Self::Sos | Self::Fall | Self::Smoke | Self::Gas | Self::Co | Self::Leak)
    }
}
