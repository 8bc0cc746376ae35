//! Words of this module: kinds, priorities, states, and the rows that carry them.

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use songhe_kernel::{Error, FacilityId, Moment, UserId, define_id};
use songhe_registry::{PlaceId, ResidentId};

use crate::schema::{incident, incident_entry, incident_rung};

define_id!(
    /// An incident.
    IncidentId, "inc"
);
define_id!(
    /// An escalation ladder.
    LadderId, "lad"
);
define_id!(
    /// A webhook endpoint.
    EndpointId, "whk"
);

/// An enum stored as TEXT: one list of words for database, API and Fluent keys.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident in $prefix:literal {
        $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Fluent key of its name.
            pub const fn text_key(self) -> &'static str {
                match self { $(Self::$variant => concat!("incidents-", $prefix, "-", $word)),+ }
            }

            /// `None` for text that names none of them: input.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;

            /// For stored words: another one is a defect, not bad input.
            fn from_str(text: &str) -> Result<Self, Error> {
                Self::parse(text).ok_or_else(|| Error::Internal(format!("{text} is no {}", stringify!($name))))
            }
        }
    };
}

words! {
    /// What happened.
    Kind in "kind" {
        Sos = "sos",
        Fall = "fall",
        Smoke = "smoke",
        Gas = "gas",
        Co = "co",
        Leak = "leak",
        DoorOpen = "door_open",
        BedExit = "bed_exit",
        Tamper = "tamper",
        LowBattery = "low_battery",
        Threshold = "threshold",
        DeviceOffline = "device_offline",
        System = "system",
    }
}

words! {
    /// How urgent. The order is that of the board: high first.
    Priority in "priority" { High = "high", Medium = "medium", Low = "low", Info = "info" }
}

words! {
    /// Where an incident is on its way. Escalated and suppressed are facts on it, not states.
    Status in "status" {
        Raised = "raised",
        Notified = "notified",
        Acknowledged = "acknowledged",
        OnSite = "on_site",
        Resolved = "resolved",
        Reviewed = "reviewed",
    }
}

impl Status {
    /// Nobody has answered yet: it sounds, and its ladder climbs.
    pub fn is_unanswered(self) -> bool {
        matches!(self, Self::Raised | Self::Notified)
    }

    pub fn is_open(self) -> bool {
        !matches!(self, Self::Resolved | Self::Reviewed)
    }
}

words! {
    /// What it turned out to be.
    Outcome in "outcome" { Real = "real", FalseAlarm = "false_alarm", Test = "test", Duplicate = "duplicate" }
}

words! {
    /// Whom a rung calls.
    Target in "target" {
        /// Carers and nurses on duty here, by the roster.
        OnCall = "on_call",
        NurseLead = "nurse_lead",
        /// The resident's contact of a rank.
        Contact = "contact",
        Manager = "manager",
        /// Supervisors of the street.
        StreetCentre = "street_centre",
    }
}

words! {
    /// By which way.
    Channel in "channel" {
        Board = "board",
        /// Whatever leaves the house: the first endpoint that can reach them, a signed webhook before all others.
        Webhook = "webhook",
        Email = "email",
        /// A group's robot.
        Chat = "chat",
        Sms = "sms",
        Voice = "voice",
    }
}

words! {
    /// What an endpoint speaks to. The order is that in which `webhook` rungs look for one.
    EndpointKind in "way" {
        Webhook = "webhook",
        Voice = "voice",
        Sms = "sms",
        WeCom = "wecom",
        DingTalk = "dingtalk",
        Feishu = "feishu",
        Email = "email",
    }
}

impl EndpointKind {
    /// Whether a rung by that channel may go there.
    pub fn serves(self, channel: Channel) -> bool {
        match channel {
            Channel::Board => false,
            Channel::Webhook => true,
            Channel::Email => self == Self::Email,
            Channel::Chat => self.is_robot(),
            Channel::Sms => self == Self::Sms,
            Channel::Voice => self == Self::Voice,
        }
    }

    pub fn is_robot(self) -> bool {
        matches!(self, Self::WeCom | Self::DingTalk | Self::Feishu)
    }

    /// One message for each number.
    pub fn is_by_phone(self) -> bool {
        matches!(self, Self::Sms | Self::Voice)
    }
}

words! {
    /// What a message is sent for.
    Occasion in "occasion" {
        Call = "call",
        /// The ladder was climbed, and nobody answered.
        Repeat = "repeat",
        Acknowledged = "acknowledged",
        Resolved = "resolved",
        Test = "test",
    }
}

words! {
    /// How far a rung is.
    RungState in "rung" {
        Waiting = "waiting",
        Sending = "sending",
        Told = "told",
        Passed = "passed",
        Stopped = "stopped",
    }
}

words! {
    /// Why a rung was passed.
    Reason in "passed" {
        Nobody = "nobody",
        NoChannel = "no_channel",
        /// None of them has a number, and the endpoint has none of its own.
        NoAddress = "no_address",
        ChannelFailed = "channel_failed",
        NoLiveBoard = "no_live_board",
    }
}

impl Kind {
    /// Life may hang on it: never suppressed, never closed by a machine, pages however late.
    pub fn is_emergency(self) -> bool {
        matches!(self, Self::Sos | Self::Fall | Self::Smoke | Self::Gas | Self::Co)
    }

    /// The priority of a kind whose rule gives none (domain: SOS = fall > smoke, gas, CO > leak > others).
    pub fn usual_priority(self) -> Priority {
        match self {
            Self::Sos | Self::Fall | Self::Smoke | Self::Gas | Self::Co => Priority::High,
            Self::Leak | Self::DoorOpen | Self::BedExit | Self::Threshold => Priority::Medium,
            Self::Tamper | Self::LowBattery | Self::DeviceOffline | Self::System => Priority::Low,
        }
    }
}

/// An incident as stored.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = incident, treat_none_as_default_value = false)]
pub struct Row {
    pub id: IncidentId,
    pub facility_id: FacilityId,
    pub scenario: String,
    pub kind: String,
    pub priority: String,
    pub status: String,
    pub place_id: Option<PlaceId>,
    pub place_label: String,
    pub resident_id: Option<ResidentId>,
    pub device_id: Option<i64>,
    pub source: String,
    pub detail: String,
    pub cause: Option<String>,
    pub observed_at: Moment,
    pub raised_at: Moment,
    pub delayed_s: Option<i64>,
    pub presses: i32,
    pub last_signal_at: Moment,
    pub round: i32,
    pub repeats: i32,
    pub notified_at: Option<Moment>,
    pub acknowledged_at: Option<Moment>,
    pub acknowledged_by: Option<UserId>,
    pub arrived_at: Option<Moment>,
    pub arrived_by: Option<UserId>,
    pub resolved_at: Option<Moment>,
    pub resolved_by: Option<UserId>,
    pub outcome: Option<String>,
    pub resolution: Option<String>,
    pub version: i32,
}

impl Row {
    pub fn status(&self) -> Result<Status, Error> {
        self.status.parse()
    }

    pub fn priority(&self) -> Result<Priority, Error> {
        self.priority.parse()
    }

    /// Seconds from the call to the answer.
    pub fn response_s(&self) -> Option<i64> {
        self.acknowledged_at.map(|at| at.seconds_since(self.raised_at))
    }

    /// What people made of it, once resolved.
    pub fn resolution(&self) -> Result<Option<Resolution>, Error> {
        self.resolution.as_deref().map(serde_json::from_str).transpose().map_err(Error::from)
    }
}

/// How an incident was closed. Nothing closes without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolution {
    pub outcome: Outcome,
    /// What was found and done, 1 to 1,000 characters.
    pub note: String,
    /// What remains to be done; `None`: it was decided that nothing does.
    pub follow_up: Option<String>,
    /// The day by which, if one was set.
    pub follow_up_due: Option<chrono::NaiveDate>,
    /// The incident that tells of the same event; only with the outcome `duplicate`.
    #[serde(default)]
    pub duplicate_of: Option<IncidentId>,
}

/// A line of an incident's story.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = incident_entry, treat_none_as_default_value = false)]
pub struct Entry {
    pub id: i64,
    pub incident_id: IncidentId,
    pub at: Moment,
    pub kind: String,
    pub actor_id: Option<UserId>,
    pub data: String,
}

/// A step of the ladder an incident climbs.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = incident_rung, primary_key(incident_id, round, position))]
#[diesel(treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct RungRow {
    pub round: i32,
    pub position: i32,
    pub target: String,
    pub rank: Option<i32>,
    pub channel: String,
    pub due_at: Moment,
    pub state: String,
    pub reason: Option<String>,
    pub done_at: Option<Moment>,
    pub who: String,
    pub effect_id: Option<i64>,
}
