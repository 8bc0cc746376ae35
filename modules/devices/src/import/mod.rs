//! Many devices from a spreadsheet: first a look that changes nothing and tells of each row what would become of it, then
//! the same in slices, each a transaction of its own. A serial that is registered here already stays as it is, so that a
//! file may be imported twice.

pub(crate) mod read;
mod xlsx;

use std::collections::HashMap;
use std::sync::Arc;

use songhe_kernel::identity::Scope;
use songhe_kernel::{Database, Db, Error, FacilityId, FieldError, Result, Text, Tx, UserId};
use songhe_registry::{PlaceId, ResidentFilter, ResidentId, list_residents, places_in};

use crate::module::Setup;
use crate::online::Heartbeat;
use crate::register::{self, Credential, DeviceId, NewDevice};
use crate::{gateways, lifecycle};
pub(crate) use read::Row;

/// Rows of one transaction.
const SLICE: usize = 25;
/// Residents that are looked among.
const MAX_RESIDENTS: i64 = 20_000;

/// The columns: name of the field, headings that mean it.
const COLUMNS: [(&str, &[&str]); 7] = [
    ("serial", &["序列号", "设备序列号", "serial", "serial number"]),
    ("name", &["名称", "设备名称", "name"]),
    ("class", &["类别", "class"]),
    ("adapter", &["接入方式", "adapter"]),
    ("place", &["场所", "位置", "place"]),
    ("resident", &["老人", "resident"]),
    ("heartbeat", &["通信要求", "heartbeat"]),
];

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ImportOutcome")]
pub(crate) enum Outcome {
    /// It would be registered.
    New,
    /// It is registered now.
    Registered,
    /// It is registered here already, and stays as it is.
    Known,
    /// It cannot be registered.
    Refused,
}

/// A row with what becomes of it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) serial: String,
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    pub(crate) errors: Vec<FieldError>,
    /// Of a device that was registered now and has one: shown once.
    pub(crate) credential: Option<Credential>,
}

/// A row as it was understood.
#[derive(Debug, Clone)]
struct Wish {
    number: usize,
    new: NewDevice,
    heartbeat: Option<Heartbeat>,
    errors: Vec<FieldError>,
}

fn field_of(head: &str) -> Option<&'static str> {
    let head = head.trim_end_matches('*').trim().to_lowercase();
    COLUMNS.iter().find(|(_, names)| names.contains(&head.as_str())).map(|(name, _)| *name)
}

/// Headings that mean nothing here: what is below them is not imported.
pub(crate) fn unread(rows: &[Row]) -> Vec<String> {
    let heads = rows.first().map(|row| row.cells.clone()).unwrap_or_default();
    heads.into_iter().filter(|head| !head.is_empty() && field_of(head).is_none()).collect()
}

/// Which column is where.
fn columns(heads: &Row) -> Result<HashMap<&'static str, usize>> {
    let mut found = HashMap::new();
    for (at, head) in heads.cells.iter().enumerate() {
        if let Some(name) = field_of(head)
            && found.insert(name, at).is_some()
        {
            let text = Text::key("devices-import-column-twice").arg("column", head);
            return Err(Error::field("file", text));
        }
    }
    for needed in ["serial", "name", "class", "adapter"] {
        if !found.contains_key(needed) {
            let heading = COLUMNS.iter().find(|(name, _)| *name == needed).and_then(|(_, names)| names.first());
            let text = Text::key("devices-import-no-column").arg("column", heading.unwrap_or(&needed));
            return Err(Error::field("file", text));
        }
    }
    Ok(found)
}

/// Places and residents of the facility by what people call them; `None`: several are called so.
struct Names {
    places: HashMap<String, Option<PlaceId>>,
    residents: HashMap<String, Option<ResidentId>>,
}

fn by_name<T: Copy + PartialEq>(all: impl Iterator<Item = (String, T)>) -> HashMap<String, Option<T>> {
    let mut names: HashMap<String, Option<T>> = HashMap::new();
    for (name, id) in all {
        names.entry(name).and_modify(|known| *known = known.filter(|known| *known == id)).or_insert(Some(id));
    }
    names
}

fn names(db: &mut Db, facility: FacilityId, sees_residents: bool) -> Result<Names> {
    let places = places_in(db, facility)?;
    // A whole label is better than a last name that several rooms share.
    let mut by_label = by_name(places.iter().map(|place| (place.name.clone(), place.id)));
    by_label.extend(by_name(places.into_iter().map(|place| (place.label, place.id))));
    let filter = ResidentFilter { scope: Scope::Only(vec![facility]), name: String::new(), after: None };
    let residents = if sees_residents { list_residents(db, &filter, MAX_RESIDENTS)? } else { Vec::new() };
    let residents = by_name(residents.into_iter().map(|(resident, _)| (resident.name, resident.id)));
    Ok(Names { places: by_label, residents })
}

fn chosen<T: Copy>(
    names: &HashMap<String, Option<T>>,
    field: &'static str,
    name: &str,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    if name.is_empty() {
        return None;
    }
    let key = match names.get(name) {
        Some(Some(id)) => return Some(*id),
        Some(None) => "devices-import-several",
        None => "devices-import-nobody",
    };
    errors.push(FieldError::new(field, Text::key(key).arg("name", name)));
    None
}

fn wish(row: &Row, columns: &HashMap<&'static str, usize>, facility: FacilityId, names: &Names) -> Wish {
    let cell = |name: &str| columns.get(name).and_then(|at| row.cells.get(*at)).cloned().unwrap_or_default();
    let mut errors = Vec::new();
    let place = chosen(&names.places, "place", &cell("place"), &mut errors);
    let resident = chosen(&names.residents, "resident", &cell("resident"), &mut errors);
    let words = [("守护", Heartbeat::Guard), ("每小时", Heartbeat::Regular), ("每天", Heartbeat::Daily)];
    let told = cell("heartbeat");
    let heartbeat = Heartbeat::parse(&told.to_lowercase())
        .or_else(|| words.iter().find(|(word, _)| *word == told).map(|(_, heartbeat)| *heartbeat));
    if heartbeat.is_none() && !told.is_empty() {
        errors.push(FieldError::new("heartbeat", Text::key("devices-import-heartbeat")));
    }
    // "3.1 安全监护设备", as the choices of the form say it.
    let class = cell("class").split_whitespace().next().unwrap_or_default().to_owned();
    let new = NewDevice {
        facility,
        serial: cell("serial"),
        class,
        adapter: cell("adapter").to_lowercase(),
        name: cell("name"),
        place,
        resident,
    };
    Wish { number: row.number, new, heartbeat, errors }
}

/// What would become of a row.
fn judge(db: &mut Db, setup: &Setup, wish: &Wish) -> Result<(Outcome, Vec<FieldError>)> {
    // A second row of one serial is refused, also when the first has just been registered.
    if wish.errors.iter().any(|error| error.field == "serial") {
        return Ok((Outcome::Refused, wish.errors.clone()));
    }
    let serial = gateways::known_as(&wish.new, &setup.adapters);
    let known = register::homes_of(db, std::slice::from_ref(&serial))?;
    if known.iter().any(|(_, facility)| *facility == wish.new.facility) {
        return Ok((Outcome::Known, Vec::new()));
    }
    let mut errors = gateways::check(db, &wish.new, &setup.adapters)?;
    errors.extend(wish.errors.iter().cloned());
    Ok((if errors.is_empty() { Outcome::New } else { Outcome::Refused }, errors))
}

/// Looks at all rows, and with `commit` registers those that can be.
///
/// # Errors
/// `Invalid` on `file` when its headings cannot be understood. A row that cannot be registered is no error.
pub(crate) async fn run(
    db: &Database,
    setup: &Arc<Setup>,
    facility: FacilityId,
    mut rows: Vec<Row>,
    sees_residents: bool,
    commit: bool,
    by: Option<UserId>,
) -> Result<Vec<Line>> {
    if rows.is_empty() {
        return Err(Error::field("file", Text::key("devices-import-empty")));
    }
    let columns = columns(&rows.remove(0))?;
    let names = db.read(move |db| names(db, facility, sees_residents)).await?;
    let mut wishes: Vec<Wish> = rows.iter().map(|row| wish(row, &columns, facility, &names)).collect();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for wish in &mut wishes {
        let serial = gateways::known_as(&wish.new, &setup.adapters);
        if let Some(first) = seen.get(&serial) {
            let text = Text::key("devices-import-twice").arg("row", first);
            wish.errors.push(FieldError::new("serial", text));
        } else {
            seen.insert(serial, wish.number);
        }
    }
    let mut lines = Vec::with_capacity(wishes.len());
    for slice in wishes.chunks(SLICE) {
        let (slice, setup) = (slice.to_vec(), setup.clone());
        if commit {
            // Made outside the transaction, which may run twice.
            let secrets: Vec<String> = slice.iter().map(|_| register::new_secret()).collect();
            lines.extend(db.write(move |tx| commit_all(tx, &setup, &slice, &secrets, by)).await?);
        } else {
            lines.extend(
                db.read(move |db| slice.iter().map(|wish| look(db, &setup, wish)).collect::<Result<Vec<_>>>()).await?,
            );
        }
    }
    Ok(lines)
}

fn line(wish: &Wish, outcome: Outcome, errors: Vec<FieldError>, credential: Option<Credential>) -> Line {
    let (serial, name) = (wish.new.serial.clone(), wish.new.name.clone());
    Line { number: wish.number, serial, name, outcome, errors, credential }
}

fn look(db: &mut Db, setup: &Setup, wish: &Wish) -> Result<Line> {
    let (outcome, errors) = judge(db, setup, wish)?;
    Ok(line(wish, outcome, errors, None))
}

fn commit_all(
    tx: &mut Tx<'_>,
    setup: &Setup,
    wishes: &[Wish],
    secrets: &[String],
    by: Option<UserId>,
) -> Result<Vec<Line>> {
    let one = |tx: &mut Tx<'_>, wish: &Wish, secret: &str| {
        let (outcome, errors) = judge(tx.db(), setup, wish)?;
        if outcome != Outcome::New {
            return Ok(line(wish, outcome, errors, None));
        }
        match tx.savepoint(|tx| register_one(tx, setup, wish, secret, by)) {
            Ok(credential) => Ok(line(wish, Outcome::Registered, Vec::new(), credential)),
            Err(Error::Invalid(errors)) => Ok(line(wish, Outcome::Refused, errors, None)),
            Err(error) => Err(error),
        }
    };
    wishes.iter().zip(secrets).map(|(wish, secret)| one(tx, wish, secret)).collect()
}

fn register_one(
    tx: &mut Tx<'_>,
    setup: &Setup,
    wish: &Wish,
    secret: &str,
    by: Option<UserId>,
) -> Result<Option<Credential>> {
    let id: DeviceId = gateways::register(tx, &wish.new, &setup.adapters, by)?;
    if let Some(heartbeat) = wish.heartbeat {
        lifecycle::set_heartbeat(tx, id, heartbeat, by)?;
    }
    let device = register::find(tx.db(), id)?.ok_or(Error::NotFound)?;
    if setup.is_member(&device) {
        return Ok(None);
    }
    register::set_secret(tx, id, secret, by).map(Some)
}
