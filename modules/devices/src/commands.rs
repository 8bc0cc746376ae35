//! Commands to devices: a row with the effect that carries it. It is requested, sent, and then acknowledged by the device,
//! or failed, or expired: an old command must not act on a later connection.
//!
//! At least once: the command's id is the device's dedupe key.

use std::sync::Arc;

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_adapter_core::{Action, Capability, Command, Confirmation, Decimal, DeviceAdapter, DeviceKey, Directory};
use songhe_kernel::effects::{Effect, NewEffect, Outcome};
use songhe_kernel::{AuditEntry, Db, Error, Moment, NewTimer, Result, Text, Timer, Tx, UserId, define_id};

use crate::outlet::{KIND, Parcel};
use crate::register::{self, Device, DeviceId};
use crate::schema::device_command;
use crate::{MODULE, gateways};

define_id!(
    /// A command to a device.
    CommandId, "cmd"
);

/// Timer kind: nobody answered a command.
pub(crate) const TIMER: &str = "command-unanswered";
/// How long a command is worth sending where nobody says, in seconds.
pub const USUAL_VALID_S: i64 = 60;
const VALID_S: (i64, i64) = (5, 3_600);
/// How long after that a device may still answer, in seconds.
const ANSWER_S: i64 = 10;
/// Longest time that a siren sounds, in seconds.
const MAX_SIREN_S: u16 = 600;
/// Longest name or value of a setting, in characters.
const MAX_SETTING: usize = 64;
/// Classes with lamps and sirens: safety and nursing devices, and robots.
const LOUD_CLASSES: [&str; 3] = ["3.1", "3.2", "5"];

/// What somebody wants of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "DeviceAction")]
pub enum Wish {
    /// Switch the lamp.
    Lamp { on: bool },
    /// Switch the siren; on, it sounds for 1 to 600 seconds and stops by itself.
    Siren {
        on: bool,
        #[serde(default = "siren_s")]
        seconds: u16,
    },
    /// Blink or beep so that the device is found.
    Locate,
    /// Change a setting of the device; for whoever may register devices.
    Set { key: String, value: String },
}

fn siren_s() -> u16 {
    30
}

impl Wish {
    /// `lamp`, `siren`, `locate` or `set`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lamp { .. } => "lamp",
            Self::Siren { .. } => "siren",
            Self::Locate => "locate",
            Self::Set { .. } => "set",
        }
    }

    fn action(&self) -> Result<Action> {
        Ok(match self {
            Self::Lamp { on } => Action::Lamp { on: *on },
            Self::Siren { on, seconds } if (1..=MAX_SIREN_S).contains(seconds) => {
                Action::Siren { on: *on, seconds: *seconds }
            }
            Self::Siren { .. } => {
                let text = Text::key("error-out-of-range").arg("min", 1).arg("max", MAX_SIREN_S);
                return Err(Error::field("seconds", text));
            }
            Self::Locate => Action::Locate,
            Self::Set { key, value } => {
                let is_key = |key: &str| key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
                if key.is_empty() || key.len() > MAX_SETTING || !is_key(key) {
                    return Err(Error::field("key", Text::key("devices-error-setting")));
                }
                let value = crate::lifecycle::line("value", value, MAX_SETTING)?;
                Action::Set { key: key.clone(), value }
            }
        })
    }
}

/// How far a command is.
pub const REQUESTED: &str = "requested";
pub const SENT: &str = "sent";
pub const ACKNOWLEDGED: &str = "acknowledged";
pub const FAILED: &str = "failed";
pub const EXPIRED: &str = "expired";

/// A command as stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = device_command)]
pub struct Stored {
    pub id: CommandId,
    pub device_id: DeviceId,
    pub action: String,
    params: String,
    expects: String,
    pub state: String,
    /// Why it failed or waits, or the device's own words.
    pub detail: Option<String>,
    pub requested_at: Moment,
    pub requested_by: Option<UserId>,
    pub valid_until: Moment,
    pub sent_at: Option<Moment>,
    pub done_at: Option<Moment>,
}

impl Stored {
    pub fn wish(&self) -> Result<Wish> {
        Ok(serde_json::from_str(&self.params)?)
    }

    /// Whether the device never says that it was done: that it was sent is all that is known.
    pub fn is_unconfirmed(&self) -> bool {
        self.expects == "nothing"
    }
}

/// What tells that it was done, as stored.
#[derive(Serialize, Deserialize)]
struct Expected {
    key: String,
    value: String,
}

fn expected(confirmation: Confirmation) -> Result<String> {
    Ok(match confirmation {
        Confirmation::Answer => "answer".to_owned(),
        Confirmation::Nothing => "nothing".to_owned(),
        Confirmation::Setting { key, value } => serde_json::to_string(&Expected { key, value })?,
    })
}

/// The actions that a device of this class and adapter may be asked for, by name.
pub fn offered(adapter: Option<&Arc<dyn DeviceAdapter>>, device: &Device, is_gateway: bool) -> Vec<&'static str> {
    let takes = adapter.is_some_and(|adapter| adapter.manifest().capabilities.contains(&Capability::Commands));
    if !takes || is_gateway || !device.enabled {
        return Vec::new();
    }
    let loud = LOUD_CLASSES.contains(&device.class.as_str());
    let all = [("locate", true), ("lamp", loud), ("siren", loud), ("set", true)];
    all.into_iter().filter(|(_, offered)| *offered).map(|(name, _)| name).collect()
}

fn timer_key(id: CommandId) -> String {
    format!("command:{id}")
}

/// Asks a device for something; it is sent after the commit.
///
/// # Errors
/// `Invalid` for what cannot be asked of this device, a setting that is none, or a time outside 5 s to an hour;
/// `NotFound` for no such device.
pub(crate) fn request(
    tx: &mut Tx<'_>,
    adapters: &[Arc<dyn DeviceAdapter>],
    id: DeviceId,
    wish: &Wish,
    valid_s: i64,
    by: Option<UserId>,
) -> Result<CommandId> {
    let device = register::find(tx.db(), id)?.ok_or(Error::NotFound)?;
    let adapter = adapters.iter().find(|adapter| adapter.manifest().name == device.adapter);
    let is_gateway = gateways::is_gateway(tx.db(), id)?;
    let cannot = || Error::field("action", Text::key("devices-error-command"));
    let adapter =
        adapter.filter(|_| offered(adapter, &device, is_gateway).contains(&wish.name())).ok_or_else(cannot)?;
    let (min, max) = VALID_S;
    if !(min..=max).contains(&valid_s) {
        return Err(Error::field("valid_seconds", Text::key("error-out-of-range").arg("min", min).arg("max", max)));
    }
    let action = wish.action()?;
    let (command, now) = (CommandId(tx.next_id()), tx.now());
    let valid_until = now.plus_seconds(valid_s);
    let key = DeviceKey::new(&device.serial).map_err(Error::internal)?;
    let directory = if adapter.manifest().gateways { gateways::directory(tx.db())? } else { Directory::default() };
    let account = directory.gateway_with(&key).map_or(&key, |gateway| &gateway.key).to_string();
    let expects = expected(adapter.confirmation(&action))?;
    let order = Command { id: command.to_string(), action, valid_until: Some(valid_until.utc()) };
    let out = adapter.encode(&key, &order, &directory).ok_or_else(cannot)?;
    diesel::insert_into(device_command::table)
        .values((
            device_command::id.eq(command.0),
            device_command::device_id.eq(id.0),
            device_command::action.eq(wish.name()),
            device_command::params.eq(serde_json::to_string(wish)?),
            device_command::expects.eq(expects),
            device_command::state.eq(REQUESTED),
            device_command::requested_at.eq(now),
            device_command::requested_by.eq(by.map(|id| id.0)),
            device_command::valid_until.eq(valid_until),
        ))
        .execute(tx.db())?;
    let body = String::from_utf8(out.payload).map_err(Error::internal)?;
    tx.enqueue_effect(NewEffect {
        module: MODULE,
        kind: KIND,
        subject: command.to_string(),
        facility: Some(device.facility_id),
        target: json!({ "device": id, "serial": device.serial }),
        payload: serde_json::to_value(Parcel { account, topic: out.topic, body })?,
        valid_until,
    })?;
    tx.set_timer(NewTimer {
        key: timer_key(command),
        module: MODULE,
        kind: TIMER,
        facility: Some(device.facility_id),
        data: json!({ "command": command }),
        due_at: valid_until.plus_seconds(ANSWER_S),
    })?;
    let after = json!({ "command_id": command, "action": wish.name(), "valid_until": valid_until });
    tx.audit(AuditEntry::new("device.command", id).at(device.facility_id).after(after))?;
    signal(tx, id)?;
    Ok(command)
}

fn signal(tx: &mut Tx<'_>, id: DeviceId) -> Result<()> {
    if let Some(device) = register::find(tx.db(), id)? {
        tx.signal(format!("{}:{}", register::TOPIC, device.facility_id));
    }
    Ok(())
}

fn find(db: &mut Db, id: CommandId) -> Result<Option<Stored>> {
    Ok(device_command::table.find(id.0).select(Stored::as_select()).first(db).optional()?)
}

/// Newest first.
pub fn of_device(db: &mut Db, id: DeviceId, limit: i64) -> Result<Vec<Stored>> {
    Ok(device_command::table
        .filter(device_command::device_id.eq(id.0))
        .order(device_command::id.desc())
        .limit(limit)
        .select(Stored::as_select())
        .load(db)?)
}

pub fn command(db: &mut Db, id: CommandId) -> Result<Stored> {
    find(db, id)?.ok_or(Error::NotFound)
}

fn settle(tx: &mut Tx<'_>, known: &Stored, state: &str, detail: Option<&str>) -> Result<()> {
    let now = tx.now();
    diesel::update(device_command::table.find(known.id.0))
        .set((device_command::state.eq(state), device_command::detail.eq(detail), device_command::done_at.eq(now)))
        .execute(tx.db())?;
    tx.cancel_timer(&timer_key(known.id))?;
    signal(tx, known.device_id)
}

/// What came of sending it. A device may have answered before the broker did.
pub(crate) fn on_effect(tx: &mut Tx<'_>, effect: &Effect, outcome: &Outcome) -> Result<()> {
    let Some(known) = effect.subject.parse().ok().map(|id| find(tx.db(), id)).transpose()?.flatten() else {
        return Ok(());
    };
    if known.state != REQUESTED {
        return Ok(());
    }
    let now = tx.now();
    match outcome {
        Outcome::Delivered => {
            let done_at = known.is_unconfirmed().then_some(now);
            diesel::update(device_command::table.find(known.id.0))
                .set((
                    device_command::state.eq(SENT),
                    device_command::detail.eq(None::<String>),
                    device_command::sent_at.eq(now),
                    device_command::done_at.eq(done_at),
                ))
                .execute(tx.db())?;
            if done_at.is_some() {
                tx.cancel_timer(&timer_key(known.id))?;
            }
            signal(tx, known.device_id)
        }
        Outcome::Delayed(why) => {
            diesel::update(device_command::table.find(known.id.0))
                .set(device_command::detail.eq(why))
                .execute(tx.db())?;
            signal(tx, known.device_id)
        }
        Outcome::Failed(why) => settle(tx, &known, FAILED, Some(why)),
        Outcome::Expired(why) => settle(tx, &known, EXPIRED, Some(why)),
    }
}

/// Nobody answered in time.
pub(crate) fn on_timer(tx: &mut Tx<'_>, timer: &Timer) -> Result<()> {
    #[derive(Deserialize)]
    struct Due {
        command: CommandId,
    }
    let due: Due = timer.data()?;
    match find(tx.db(), due.command)? {
        Some(known) if [REQUESTED, SENT].contains(&known.state.as_str()) => {
            settle(tx, &known, EXPIRED, known.detail.as_deref())
        }
        _ => Ok(()),
    }
}

/// A device answered. Also after the time: what it did, it did.
pub(crate) fn answered(tx: &mut Tx<'_>, device: &Device, command: &str, ok: bool, detail: Option<&str>) -> Result<()> {
    let Some(id) = command.parse::<CommandId>().ok() else { return Ok(()) };
    let known = find(tx.db(), id)?.filter(|known| known.device_id == device.id);
    match known {
        Some(known) if [REQUESTED, SENT, EXPIRED].contains(&known.state.as_str()) => {
            settle(tx, &known, if ok { ACKNOWLEDGED } else { FAILED }, detail)
        }
        _ => Ok(()),
    }
}

/// A device told its settings: a command that wanted one of them so is done.
pub(crate) fn told(tx: &mut Tx<'_>, device: &Device, settings: &[(String, String)]) -> Result<()> {
    let open: Vec<Stored> = device_command::table
        .filter(device_command::device_id.eq(device.id.0))
        .filter(device_command::state.eq_any([REQUESTED, SENT]))
        .select(Stored::as_select())
        .load(tx.db())?;
    for known in open {
        let Ok(wanted) = serde_json::from_str::<Expected>(&known.expects) else { continue };
        // What was so before it was sent tells nothing.
        if known.state == SENT && settings.iter().any(|(key, value)| *key == wanted.key && same(value, &wanted.value)) {
            settle(tx, &known, ACKNOWLEDGED, None)?;
        }
    }
    Ok(())
}

/// `on` is `ON`, and `5` is `5.0`.
fn same(one: &str, other: &str) -> bool {
    let number = |text: &str| text.trim().parse::<Decimal>().ok();
    one.eq_ignore_ascii_case(other) || number(one).is_some_and(|value| number(other) == Some(value))
}
