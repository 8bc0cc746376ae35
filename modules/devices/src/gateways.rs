//! Gateways: devices that speak for others with one credential, below a topic of their own. What they call each device is
//! kept here from their inventories, since names change and the device stays the same.
//!
//! A gateway speaks for its own facility only: what it says of a device that is registered elsewhere is a stranger's word.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use diesel::prelude::*;
use serde_json::json;
use songhe_adapter_core::{DeviceAdapter, DeviceKey, Directory, Gateway, MAX_DEVICE_KEY, Member, Standing};
use songhe_kernel::{AuditEntry, Db, Error, FacilityId, FieldError, Result, Text, Tx, UserId, insert_rows};

use crate::ingest::Message;
use crate::quarantine::{self, Reason};
use crate::register::{self, DeviceId, NewDevice};
use crate::schema::{call_action, device, gateway, gateway_member};

/// Signal topic: what is known of gateways changed.
pub const TOPIC: &str = "gateways";
/// Actions of one button that may be calls, at most.
const MAX_ACTIONS: usize = 20;
/// Rows of one statement.
const ROWS: usize = 500;

/// Registers a device of any standing. A gateway gets its topic: the usual one if it is free, else one of its own.
///
/// # Errors
/// As [`register::register`]; a device behind a gateway of another facility is refused as one that is taken.
pub fn register(
    tx: &mut Tx<'_>,
    new: &NewDevice,
    adapters: &[Arc<dyn DeviceAdapter>],
    by: Option<UserId>,
) -> Result<DeviceId> {
    let names: Vec<&str> = adapters.iter().map(|adapter| adapter.manifest().name).collect();
    match standing(new, adapters) {
        Standing::Alone => register::register(tx, new, &names, by),
        Standing::Gateway { base_topics } => {
            let id = register::register(tx, new, &names, by)?;
            let taken: Vec<String> = gateway::table.select(gateway::base_topic).load(tx.db())?;
            let base_topic = base_topics.iter().find(|topic| !taken.contains(topic));
            let base_topic = base_topic.ok_or_else(|| Error::internal("a gateway's own topic is taken"))?;
            diesel::insert_into(gateway::table)
                .values((gateway::device_id.eq(id.0), gateway::base_topic.eq(base_topic)))
                .execute(tx.db())?;
            tx.signal(TOPIC);
            Ok(id)
        }
        Standing::Member => {
            // As its gateway writes it.
            let new = NewDevice { serial: new.serial.trim().to_ascii_lowercase(), ..new.clone() };
            if is_named_elsewhere(tx.db(), &new)? {
                return Err(Error::field("serial", Text::key("devices-error-serial-taken")));
            }
            let id = register::register(tx, &new, &names, by)?;
            quarantine::forget_named(tx, &new.serial)?;
            tx.signal(TOPIC);
            Ok(id)
        }
    }
}

fn standing(new: &NewDevice, adapters: &[Arc<dyn DeviceAdapter>]) -> Standing {
    let adapter = adapters.iter().find(|adapter| adapter.manifest().name == new.adapter);
    let key = DeviceKey::new(new.serial.trim()).ok();
    adapter.zip(key).map_or(Standing::Alone, |(adapter, key)| adapter.standing(&key))
}

/// The serial that a device is known by once it is registered.
pub(crate) fn known_as(new: &NewDevice, adapters: &[Arc<dyn DeviceAdapter>]) -> String {
    match standing(new, adapters) {
        Standing::Member => new.serial.trim().to_ascii_lowercase(),
        Standing::Alone | Standing::Gateway { .. } => new.serial.clone(),
    }
}

/// What [`register`] would refuse.
pub(crate) fn check(db: &mut Db, new: &NewDevice, adapters: &[Arc<dyn DeviceAdapter>]) -> Result<Vec<FieldError>> {
    let names: Vec<&str> = adapters.iter().map(|adapter| adapter.manifest().name).collect();
    if standing(new, adapters) != Standing::Member {
        return register::check(db, new, &names);
    }
    let new = NewDevice { serial: new.serial.trim().to_ascii_lowercase(), ..new.clone() };
    let mut wrong = register::check(db, &new, &names)?;
    if is_named_elsewhere(db, &new)? {
        wrong.push(FieldError::new("serial", Text::key("devices-error-serial-taken")));
    }
    Ok(wrong)
}

/// Whether only gateways of other facilities name a device.
fn is_named_elsewhere(db: &mut Db, new: &NewDevice) -> Result<bool> {
    let facilities = facilities_with(db, &new.serial)?;
    Ok(!facilities.is_empty() && !facilities.contains(&new.facility))
}

/// Where the gateways are that name a device.
fn facilities_with(db: &mut Db, serial: &str) -> Result<Vec<FacilityId>> {
    Ok(gateway_member::table
        .inner_join(device::table.on(device::id.eq(gateway_member::gateway_id)))
        .filter(gateway_member::serial.eq(serial))
        .select(device::facility_id)
        .load(db)?)
}

/// The topic of the gateway of that serial; `None` for every other device.
pub fn base_topic_of(db: &mut Db, serial: &str) -> Result<Option<String>> {
    Ok(gateway::table
        .inner_join(device::table.on(device::id.eq(gateway::device_id)))
        .filter(device::serial.eq(serial))
        .select(gateway::base_topic)
        .first(db)
        .optional()?)
}

/// Whether a device speaks for others.
pub(crate) fn is_gateway(db: &mut Db, id: DeviceId) -> Result<bool> {
    Ok(gateway::table.find(id.0).count().get_result::<i64>(db)? > 0)
}

/// All gateways that may speak, with the names of those devices that they may speak for.
pub(crate) fn directory(db: &mut Db) -> Result<Directory> {
    let gateways: Vec<(i64, FacilityId, String, String)> = gateway::table
        .inner_join(device::table.on(device::id.eq(gateway::device_id)))
        .filter(device::enabled.eq(true))
        .select((gateway::device_id, device::facility_id, device::serial, gateway::base_topic))
        .load(db)?;
    let mut homes: HashMap<i64, FacilityId> = HashMap::new();
    let mut open: HashMap<i64, Gateway> = HashMap::new();
    for (id, facility, serial, base_topic) in gateways {
        if let Ok(key) = DeviceKey::new(&serial) {
            homes.insert(id, facility);
            open.insert(id, Gateway::new(key, &base_topic));
        }
    }
    type Row = (i64, String, String, Option<FacilityId>, Option<i64>);
    let members: Vec<Row> = gateway_member::table
        .left_join(device::table.on(device::serial.eq(gateway_member::serial)))
        .order((gateway_member::told_at.asc(), gateway_member::serial.asc()))
        .select((
            gateway_member::gateway_id,
            gateway_member::serial,
            gateway_member::name,
            device::facility_id.nullable(),
            device::id.nullable(),
        ))
        .load(db)?;
    let mut actions: HashMap<i64, Vec<String>> = HashMap::new();
    for (id, action) in call_action::table.select((call_action::device_id, call_action::action)).load(db)? {
        actions.entry(id).or_default().push(action);
    }
    for (gateway, serial, name, registered_at, id) in members {
        let (Some(open), Ok(key)) = (open.get_mut(&gateway), DeviceKey::new(&serial)) else { continue };
        if registered_at.is_some_and(|facility| homes.get(&gateway) != Some(&facility)) {
            continue;
        }
        open.name(&name, key.clone());
        for action in id.and_then(|id| actions.get(&id)).into_iter().flatten() {
            open.call_on(key.clone(), action);
        }
    }
    let mut directory = Directory::default();
    open.into_values().for_each(|gateway| directory.add(gateway));
    Ok(directory)
}

/// Whom a gateway names, and by which name.
#[derive(Debug, Clone, Queryable)]
pub struct Named {
    pub gateway_id: DeviceId,
    /// The gateway's own.
    pub gateway_serial: String,
    pub serial: String,
    pub name: String,
    pub model: String,
    pub vendor: String,
}

/// What gateways say of some devices, by serial.
pub fn named(db: &mut Db, serials: &[String]) -> Result<HashMap<String, Named>> {
    let rows: Vec<Named> = gateway_member::table
        .inner_join(device::table.on(device::id.eq(gateway_member::gateway_id)))
        .filter(gateway_member::serial.eq_any(serials))
        .order(gateway_member::told_at.asc())
        .select((
            gateway_member::gateway_id,
            device::serial,
            gateway_member::serial,
            gateway_member::name,
            gateway_member::model,
            gateway_member::vendor,
        ))
        .load(db)?;
    Ok(rows.into_iter().map(|row| (row.serial.clone(), row)).collect())
}

/// How a device and gateways belong together.
#[derive(Debug, Clone, Default)]
pub struct Ties {
    /// What its gateway says of it, if one names it.
    pub named: Option<Named>,
    /// The topic below which it speaks for others, if it is a gateway.
    pub base_topic: Option<String>,
    /// How many devices it names, if it is a gateway.
    pub members: i64,
    /// Actions of its button that are calls for help.
    pub call_actions: Vec<String>,
}

pub fn ties(db: &mut Db, id: DeviceId, serial: &str) -> Result<Ties> {
    let serial = serial.to_owned();
    let of_gateway = gateway_member::table.filter(gateway_member::gateway_id.eq(id.0));
    Ok(Ties {
        base_topic: base_topic_of(db, &serial)?,
        members: of_gateway.count().get_result(db)?,
        call_actions: call_actions(db, id)?,
        named: named(db, std::slice::from_ref(&serial))?.remove(&serial),
    })
}

#[derive(Insertable)]
#[diesel(table_name = gateway_member)]
struct Row<'a> {
    gateway_id: i64,
    serial: &'a str,
    name: &'a str,
    model: &'a str,
    vendor: &'a str,
    told_at: songhe_kernel::Moment,
}

/// Takes over a gateway's inventory. Whoever is new or has another name and is registered nowhere is put before the
/// people who register devices.
pub(crate) fn take_over(tx: &mut Tx<'_>, id: DeviceId, members: &[Member], message: &Message) -> Result<()> {
    let known: HashMap<String, (String, String, String)> = gateway_member::table
        .filter(gateway_member::gateway_id.eq(id.0))
        .select((gateway_member::serial, (gateway_member::name, gateway_member::model, gateway_member::vendor)))
        .load(tx.db())?
        .into_iter()
        .collect();
    let is_same = |member: &&Member| {
        known
            .get(member.key.as_str())
            .is_some_and(|(name, model, vendor)| (name, model, vendor) == (&member.name, &member.model, &member.vendor))
    };
    let changed: Vec<&Member> = members.iter().filter(|member| !is_same(member)).collect();
    let named: BTreeSet<&str> = members.iter().map(|member| member.key.as_str()).collect();
    let gone: Vec<&str> = known.keys().map(String::as_str).filter(|serial| !named.contains(serial)).collect();
    if changed.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let old = changed.iter().map(|member| member.key.as_str()).chain(gone.iter().copied()).collect::<Vec<_>>();
    for old in old.chunks(ROWS) {
        let of_gateway = gateway_member::table.filter(gateway_member::gateway_id.eq(id.0));
        diesel::delete(of_gateway.filter(gateway_member::serial.eq_any(old))).execute(tx.db())?;
    }
    let told_at = tx.now();
    let rows: Vec<Row<'_>> = changed
        .iter()
        .map(|member| Row {
            gateway_id: id.0,
            serial: member.key.as_str(),
            name: &member.name,
            model: &member.model,
            vendor: &member.vendor,
            told_at,
        })
        .collect();
    for rows in rows.chunks(ROWS) {
        insert_rows!(tx.db(), rows, |values| diesel::insert_into(gateway_member::table).values(values));
    }
    show(tx, &changed, message)?;
    tx.signal(TOPIC);
    tracing::info!(gateway = %id, named = members.len(), changed = changed.len(), gone = gone.len(), "inventory taken over");
    Ok(())
}

/// What is registered nowhere is kept in quarantine, ready to be registered.
fn show(tx: &mut Tx<'_>, members: &[&Member], message: &Message) -> Result<()> {
    let serials: Vec<String> = members.iter().map(|member| member.key.as_str().to_owned()).collect();
    let known = register::homes_of(tx.db(), &serials)?;
    let registered: BTreeSet<&str> = known.iter().map(|(serial, _)| serial.as_str()).collect();
    for member in members.iter().filter(|member| !registered.contains(member.key.as_str())) {
        let payload = json!({
            "ieee_address": member.key.as_str(),
            "friendly_name": member.name,
            "model": member.model,
            "vendor": member.vendor,
        });
        let word = Message { payload: payload.to_string().into_bytes(), ..message.clone() };
        quarantine::keep(tx, &word, Some(member.key.as_str()), Reason::UnknownDevice, quarantine::NAMED)?;
    }
    Ok(())
}

/// The actions of a device's button that are calls for help, in their order.
fn call_actions(db: &mut Db, id: DeviceId) -> Result<Vec<String>> {
    Ok(call_action::table
        .filter(call_action::device_id.eq(id.0))
        .order(call_action::action.asc())
        .select(call_action::action)
        .load(db)?)
}

/// Sets which actions of a device's button are calls for help; an empty list: none but those that are by their name.
///
/// # Errors
/// `NotFound` for no such device; `Invalid` for more than 20 actions, or one that is no word of letters, digits, `_` and
/// `-`.
pub fn set_call_actions(tx: &mut Tx<'_>, id: DeviceId, actions: &[String], by: Option<UserId>) -> Result<()> {
    let known = register::find(tx.db(), id)?.ok_or(Error::NotFound)?;
    let actions: BTreeSet<&str> = actions.iter().map(|action| action.trim()).filter(|one| !one.is_empty()).collect();
    let is_word = |action: &&str| {
        action.len() <= MAX_DEVICE_KEY && action.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    if actions.len() > MAX_ACTIONS || !actions.iter().all(is_word) {
        return Err(Error::Invalid(vec![FieldError::new("actions", Text::key("devices-error-actions"))]));
    }
    diesel::delete(call_action::table.filter(call_action::device_id.eq(id.0))).execute(tx.db())?;
    let after = json!({ "actions": actions });
    tx.audit(AuditEntry::new("device.call_actions", id).at(known.facility_id).after(after))?;
    for action in actions {
        diesel::insert_into(call_action::table)
            .values((call_action::device_id.eq(id.0), call_action::action.eq(action)))
            .execute(tx.db())?;
    }
    register::changed(tx, "devices.device.call_actions", known.facility_id, id, by)?;
    tx.signal(TOPIC);
    Ok(())
}
