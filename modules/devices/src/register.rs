//! The device register: who a device is, where it hangs, with whom, and how it proves itself.

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use songhe_adapter_core::DeviceKey;
use songhe_kernel::{
    AuditEntry, Db, Error, FacilityId, FieldError, KeptExt, Moment, NewEvent, NewTimer, Result, Text, Timer, Tx,
    UserId, check_name, define_id,
};
use songhe_registry::{self as registry, PlaceId, ResidentId};

use crate::online::Heartbeat;
use crate::schema::{device, device_binding};
use crate::{MODULE, lifecycle};

define_id!(
    /// A device.
    DeviceId, "dev"
);

/// Signal topic: some device has another credential. For the broker, which lets go of whoever came with the old one.
pub const CREDENTIALS: &str = "credentials";

/// Signal topic of the register's pages.
pub(crate) const TOPIC: &str = "devices";

/// Classes of the national catalogue (domain/catalogue.md) that a device may be of.
pub const CLASSES: [&str; 10] = ["1.1", "1.2", "1.3", "1.4", "2", "3.1", "3.2", "4", "5", "6"];

/// Timer kind: the secret before the present one counts no more.
pub(crate) const OVERLAP_TIMER: &str = "overlap-over";

const MAX_OVERLAP_MINUTES: i64 = 1_440;
const MAX_NAME_CHARS: usize = 60;
/// What Songhe's own accounts and client ids at brokers begin with.
const RESERVED: &str = "songhe-";

/// A registered device.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = device)]
pub struct Device {
    pub id: DeviceId,
    pub facility_id: FacilityId,
    pub serial: String,
    pub class: String,
    pub adapter: String,
    /// As people say it: "卫生间拉绳".
    pub name: String,
    pub place_id: Option<PlaceId>,
    pub resident_id: Option<ResidentId>,
    pub enabled: bool,
    pub created_at: Moment,
    /// Name of its heartbeat class, see [`crate::online::Heartbeat`].
    pub heartbeat: String,
    /// How long it may be silent, in seconds.
    pub silence_s: i32,
    /// `active`, `maintenance` or `decommissioned`, see [`crate::lifecycle::Status`].
    pub status: String,
    pub commissioned_at: Option<Moment>,
    /// Until when a commissioning test waits for it.
    pub test_until: Option<Moment>,
}

/// A device as people register it.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct NewDevice {
    pub facility: FacilityId,
    /// From the label; 1 to 64 of A–Z a–z 0–9 - _ . :, not beginning with `songhe-`
    pub serial: String,
    /// Catalogue class: `3.1`.
    pub class: String,
    pub adapter: String,
    pub name: String,
    pub place: Option<PlaceId>,
    pub resident: Option<ResidentId>,
}

/// Whether Songhe itself goes by such a name at a broker: its account would be the device's, or the other way round.
fn is_reserved(serial: &str) -> bool {
    serial.get(..RESERVED.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(RESERVED))
}

/// What is wrong with a device that somebody wants to register; nothing, if it can be.
pub(crate) fn check(db: &mut Db, new: &NewDevice, adapters: &[&str]) -> Result<Vec<FieldError>> {
    let mut wrong = Vec::new();
    if DeviceKey::new(&new.serial).is_err() {
        wrong.push(FieldError::new("serial", Text::key("devices-error-serial")));
    } else if is_reserved(&new.serial) {
        wrong.push(FieldError::new("serial", Text::key("devices-error-serial-reserved").arg("prefix", RESERVED)));
    } else if device::table.filter(device::serial.eq(&new.serial)).count().get_result::<i64>(db)? > 0 {
        wrong.push(FieldError::new("serial", Text::key("devices-error-serial-taken")));
    }
    if !CLASSES.contains(&new.class.as_str()) {
        let key = if new.class.is_empty() { "error-choose" } else { "devices-error-class" };
        wrong.push(FieldError::new("class", Text::key(key)));
    }
    if !adapters.contains(&new.adapter.as_str()) {
        wrong.push(FieldError::new("adapter", Text::key("devices-error-adapter")));
    }
    wrong.extend(check_name("name", &new.name, MAX_NAME_CHARS).err());
    if registry::facility(db, new.facility)?.is_none() {
        wrong.push(FieldError::new("facility", Text::key("error-unknown-choice")));
    }
    wrong.extend(check_binding(db, new.facility, new.place, new.resident)?);
    Ok(wrong)
}

/// Registers a device and binds it.
///
/// # Errors
/// `Invalid`, with every field that is wrong; a serial that is registered already is among them.
pub fn register(tx: &mut Tx<'_>, new: &NewDevice, adapters: &[&str], by: Option<UserId>) -> Result<DeviceId> {
    let wrong = check(tx.db(), new, adapters)?;
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    let name = check_name("name", &new.name, MAX_NAME_CHARS).map_err(|refused| Error::Invalid(vec![refused]))?;
    let heartbeat = Heartbeat::of_class(&new.class);
    let silence_s = lifecycle::limit_at(tx.db(), new.facility, heartbeat)?;
    let (id, now) = (DeviceId(tx.next_id()), tx.now());
    diesel::insert_into(device::table)
        .values((
            device::id.eq(id.0),
            device::facility_id.eq(new.facility.0),
            device::serial.eq(&new.serial),
            device::class.eq(&new.class),
            device::adapter.eq(&new.adapter),
            device::name.eq(name),
            device::place_id.eq(new.place.map(|id| id.0)),
            device::resident_id.eq(new.resident.map(|id| id.0)),
            device::enabled.eq(true),
            device::created_at.eq(now),
            device::heartbeat.eq(heartbeat.as_str()),
            device::silence_s.eq(silence_s),
        ))
        .execute(tx.db())?;
    remember_binding(tx, id, new.place, new.resident, by)?;
    changed(tx, "devices.device.registered", new.facility, id, by)?;
    let after = json!({
        "serial": new.serial, "class": new.class, "adapter": new.adapter, "place_id": new.place,
        "resident_id": new.resident,
    });
    tx.audit(AuditEntry::new("device.register", id).at(new.facility).after(after))?;
    Ok(id)
}

/// A place or resident of another facility is as unknown as one that does not exist.
fn check_binding(
    db: &mut Db,
    facility: FacilityId,
    place: Option<PlaceId>,
    resident: Option<ResidentId>,
) -> Result<Vec<FieldError>> {
    let mut wrong = Vec::new();
    if let Some(id) = place
        && registry::place(db, id)?.is_none_or(|place| place.facility_id != facility)
    {
        wrong.push(FieldError::new("place", Text::key("devices-error-place")));
    }
    if let Some(id) = resident
        && registry::resident(db, id)?.is_none_or(|resident| resident.facility_id != facility)
    {
        wrong.push(FieldError::new("resident", Text::key("devices-error-resident")));
    }
    Ok(wrong)
}

fn remember_binding(
    tx: &mut Tx<'_>,
    id: DeviceId,
    place: Option<PlaceId>,
    resident: Option<ResidentId>,
    by: Option<UserId>,
) -> Result<()> {
    let now = tx.now();
    diesel::insert_into(device_binding::table)
        .values((
            device_binding::id.eq(tx.next_id()),
            device_binding::device_id.eq(id.0),
            device_binding::place_id.eq(place.map(|id| id.0)),
            device_binding::resident_id.eq(resident.map(|id| id.0)),
            device_binding::bound_at.eq(now),
            device_binding::bound_by.eq(by.map(|id| id.0)),
        ))
        .execute(tx.db())?;
    Ok(())
}

/// Moves a device to another place or person; the history keeps where it was.
///
/// # Errors
/// `Invalid` for a place or resident of another facility; `NotFound` for no such device.
pub fn bind(
    tx: &mut Tx<'_>,
    id: DeviceId,
    place: Option<PlaceId>,
    resident: Option<ResidentId>,
    by: Option<UserId>,
) -> Result<()> {
    let device = find(tx.db(), id)?.ok_or(Error::NotFound)?;
    let wrong = check_binding(tx.db(), device.facility_id, place, resident)?;
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    if (device.place_id, device.resident_id) == (place, resident) {
        return Ok(());
    }
    let now = tx.now();
    let open =
        device_binding::table.filter(device_binding::device_id.eq(id.0)).filter(device_binding::unbound_at.is_null());
    diesel::update(open).set(device_binding::unbound_at.eq(now)).execute(tx.db())?;
    diesel::update(device::table.find(id.0))
        .set((device::place_id.eq(place.map(|id| id.0)), device::resident_id.eq(resident.map(|id| id.0))))
        .execute(tx.db())?;
    remember_binding(tx, id, place, resident, by)?;
    let before = json!({ "place_id": device.place_id, "resident_id": device.resident_id });
    let after = json!({ "place_id": place, "resident_id": resident });
    tx.audit(AuditEntry::new("device.bind", id).at(device.facility_id).before(before).after(after))?;
    changed(tx, "devices.device.bound", device.facility_id, id, by)
}

pub(crate) fn changed(
    tx: &mut Tx<'_>,
    kind: &'static str,
    facility: FacilityId,
    id: DeviceId,
    by: Option<UserId>,
) -> Result<()> {
    tx.publish(NewEvent {
        kind,
        version: 1,
        facility: Some(facility),
        subject: id.to_string(),
        actor: by,
        data: json!({ "device": id }),
    })?;
    tx.signal(format!("{TOPIC}:{facility}"));
    Ok(())
}

/// A device's credential, shown once: user name and client id are its serial.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Credential {
    pub username: String,
    pub client_id: String,
    /// 128 random bits, hexadecimal. Only its SHA-256 is stored.
    pub password: String,
}

/// 128 random bits, hexadecimal: made outside the transaction, since it may run twice.
pub fn new_secret() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// Gives a device a secret; an earlier one is void at once.
///
/// # Errors
/// `NotFound` for no such device.
pub fn set_secret(tx: &mut Tx<'_>, id: DeviceId, secret: &str, by: Option<UserId>) -> Result<Credential> {
    rotate_secret(tx, id, secret, 0, by)
}

/// Gives a device a secret; the one before counts for another `overlap_s` seconds, so that the device can be told the
/// new one by the connection that it has.
///
/// # Errors
/// `NotFound` for no such device or one that is decommissioned.
pub fn rotate_secret(
    tx: &mut Tx<'_>,
    id: DeviceId,
    secret: &str,
    overlap_s: i64,
    by: Option<UserId>,
) -> Result<Credential> {
    let device = find(tx.db(), id)?.filter(|device| device.enabled).ok_or(Error::NotFound)?;
    let now = tx.now();
    let old: Option<String> = device::table.find(id.0).select(device::secret_hash).first(tx.db())?;
    let old = old.filter(|_| overlap_s > 0);
    let until = old.is_some().then(|| now.plus_seconds(overlap_s));
    diesel::update(device::table.find(id.0))
        .set((
            device::secret_hash.eq(hash(secret)),
            device::secret_at.eq(now),
            device::old_secret_hash.eq(old),
            device::old_secret_until.eq(until),
        ))
        .execute(tx.db())?;
    crate::accounts::remember(tx, id, secret)?;
    match until {
        Some(due_at) => tx.set_timer(NewTimer {
            key: overlap_key(id),
            module: MODULE,
            kind: OVERLAP_TIMER,
            facility: Some(device.facility_id),
            data: json!({ "device": id }),
            due_at,
        })?,
        None => {
            tx.cancel_timer(&overlap_key(id))?;
            cut_off(tx, id)?;
        }
    }
    let after = json!({ "former_counts_until": until });
    tx.audit(AuditEntry::new("device.credential", id).at(device.facility_id).after(after))?;
    changed(tx, "devices.device.credential", device.facility_id, id, by)?;
    Ok(Credential { username: device.serial.clone(), client_id: device.serial, password: secret.to_owned() })
}

/// Seconds of so many minutes during which the former secret counts.
///
/// # Errors
/// `Invalid` outside 0 to 1,440 minutes.
pub fn overlap_s(minutes: i64) -> Result<i64> {
    if !(0..=MAX_OVERLAP_MINUTES).contains(&minutes) {
        let text = Text::key("error-out-of-range").arg("min", 0).arg("max", MAX_OVERLAP_MINUTES);
        return Err(Error::field("overlap_minutes", text));
    }
    Ok(minutes * 60)
}

fn overlap_key(id: DeviceId) -> String {
    format!("overlap:{id}")
}

/// Whoever came with an earlier secret is let go.
fn cut_off(tx: &mut Tx<'_>, id: DeviceId) -> Result<()> {
    let now = tx.now();
    diesel::update(device::table.find(id.0))
        .set((
            device::old_secret_hash.eq(None::<String>),
            device::old_secret_until.eq(None::<Moment>),
            device::secret_cut_at.eq(now),
        ))
        .execute(tx.db())?;
    tx.signal(CREDENTIALS);
    Ok(())
}

/// The overlap of two secrets is over. A device that uses the new one already connects once more.
pub(crate) fn on_overlap_over(tx: &mut Tx<'_>, timer: &Timer) -> Result<()> {
    #[derive(Deserialize)]
    struct Due {
        device: DeviceId,
    }
    let Due { device } = timer.data()?;
    cut_off(tx, device)
}

/// A device has no secret any more.
pub(crate) fn void_secret(tx: &mut Tx<'_>, id: DeviceId) -> Result<()> {
    tx.cancel_timer(&overlap_key(id))?;
    diesel::update(device::table.find(id.0)).set(device::secret_hash.eq(None::<String>)).execute(tx.db())?;
    cut_off(tx, id)
}

/// Until when the secret before the present one counts.
pub fn overlap_until(db: &mut Db, id: DeviceId) -> Result<Option<Moment>> {
    let found: Option<Option<Moment>> =
        device::table.find(id.0).select(device::old_secret_until).first(db).optional()?;
    Ok(found.flatten())
}

/// The devices whose earlier connections are to be closed since this time or later, each with a word that changes
/// whenever that happens again.
pub fn secrets_since(db: &mut Db, since: Moment) -> Result<Vec<(String, String)>> {
    let rows: Vec<(String, Option<String>, Option<Moment>)> = device::table
        .filter(device::secret_cut_at.ge(since))
        .select((device::serial, device::secret_hash, device::secret_cut_at))
        .load(db)?;
    let word = |hash: Option<String>, cut: Option<Moment>| {
        format!("{}@{}", hash.unwrap_or_default(), cut.map(|cut| cut.to_string()).unwrap_or_default())
    };
    Ok(rows.into_iter().map(|(serial, hash, cut)| (serial, word(hash, cut))).collect())
}

/// When the device's present secret was made.
pub fn secret_made_at(db: &mut Db, id: DeviceId) -> Result<Option<Moment>> {
    let found: Option<Option<Moment>> = device::table.find(id.0).select(device::secret_at).first(db).optional()?;
    Ok(found.flatten())
}

/// The devices of these serials that exist, whether or not they may speak, and where.
pub(crate) fn homes_of(db: &mut Db, serials: &[String]) -> Result<Vec<(String, FacilityId)>> {
    Ok(device::table.filter(device::serial.eq_any(serials)).select((device::serial, device::facility_id)).load(db)?)
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Whether this is the device's secret, or the one before while that counts. The secret has 128 random bits: comparing
/// hashes leaks nothing useful.
pub fn verify_secret(db: &mut Db, serial: &str, secret: &[u8]) -> Result<bool> {
    let stored: Option<(Option<String>, Option<String>)> = device::table
        .filter(device::serial.eq(serial).and(device::enabled.eq(true)))
        .select((device::secret_hash, device::old_secret_hash))
        .first(db)
        .optional()?;
    let Some((present, old)) = stored else { return Ok(false) };
    let given = hex::encode(Sha256::digest(secret));
    Ok([present, old].into_iter().flatten().any(|stored| stored == given))
}

pub fn find(db: &mut Db, id: DeviceId) -> Result<Option<Device>> {
    Ok(device::table.find(id.0).select(Device::as_select()).first(db).optional()?)
}

/// The devices of these serials that may speak.
pub fn by_serials(db: &mut Db, serials: &[&str]) -> Result<Vec<Device>> {
    Ok(device::table
        .filter(device::serial.eq_any(serials))
        .filter(device::enabled.eq(true))
        .select(Device::as_select())
        .kept(serials.len())
        .load(db)?)
}

/// A stretch of a device's history.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = device_binding)]
pub struct Binding {
    pub place_id: Option<PlaceId>,
    pub resident_id: Option<ResidentId>,
    pub bound_at: Moment,
    pub unbound_at: Option<Moment>,
    pub bound_by: Option<UserId>,
}

/// Newest first.
pub fn bindings(db: &mut Db, id: DeviceId) -> Result<Vec<Binding>> {
    Ok(device_binding::table
        .filter(device_binding::device_id.eq(id.0))
        .order((device_binding::bound_at.desc(), device_binding::id.desc()))
        .select(Binding::as_select())
        .load(db)?)
}
