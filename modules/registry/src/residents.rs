//! Residents: who lives where.

use chrono::NaiveDate;
use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_kernel::db::{Db, Tx};
use songhe_kernel::identity::Scope;
use songhe_kernel::vault::Sealed;
use songhe_kernel::{AuditEntry, Error, FacilityId, Moment, NewEvent, Result, Text, UserId};

use crate::check::{Check, MAX_NAME_CHARS};
use crate::facilities::expect_facility;
use crate::places::{Place, PlaceKind, place, places_under, room_of};
use crate::record::names::RULES;
use crate::record::search::{found_by_name, index_name};
use crate::schema::{place as place_table, resident};
use crate::sealed::RESIDENT_PHONE;
use crate::text_enum::text_enum;
use crate::{PlaceId, ResidentId};

/// Nobody has been older; a date before is a typing error.
pub(crate) const MAX_AGE_YEARS: u32 = 130;

text_enum! {
    pub enum Sex {
        Male = "male",
        Female = "female",
        Unknown = "unknown",
    }
}

/// A person whom a facility looks after.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = resident)]
pub struct Resident {
    pub id: ResidentId,
    pub facility_id: FacilityId,
    /// The bed, room or home.
    pub place_id: Option<PlaceId>,
    pub name: String,
    pub sex: Sex,
    pub birth_date: Option<NaiveDate>,
    /// GB/T 42195: 0 able, 1 slightly, 2 moderately, 3 severely, 4 completely dependent; `None`: not assessed.
    pub ability_level: Option<i16>,
    pub living_alone: bool,
    pub fall_risk_high: bool,
    #[diesel(column_name = phone_sealed)]
    pub phone: Option<Sealed>,
    pub created_at: Moment,
}

impl Resident {
    /// Completed years on a day of the facility's calendar.
    pub fn age_on(&self, day: NaiveDate) -> Option<u32> {
        day.years_since(self.birth_date?)
    }
}

/// A resident to be entered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewResident {
    pub facility_id: FacilityId,
    /// A bed, room or home of that facility; a bed holds one resident.
    #[serde(default)]
    pub place_id: Option<PlaceId>,
    /// 1 to 60 characters.
    pub name: String,
    pub sex: Sex,
    #[serde(default)]
    pub birth_date: Option<NaiveDate>,
    /// GB/T 42195: 0 (able) to 4 (completely dependent); `null`: not assessed.
    #[serde(default)]
    #[schemars(range(min = 0, max = 4))]
    pub ability_level: Option<i16>,
    #[serde(default)]
    pub living_alone: bool,
    #[serde(default)]
    pub fall_risk_high: bool,
    #[serde(default)]
    pub phone: Option<String>,
}

/// Enters a resident.
///
/// # Errors
/// `Invalid` on the refused fields: `facility_id`, `place_id` (not there, of another facility, nobody can live there,
/// or a taken bed), `name`, `birth_date`, `ability_level`, `phone`.
pub fn create_resident(tx: &mut Tx<'_>, new: &NewResident, actor: Option<UserId>) -> Result<ResidentId> {
    let mut check = Check::default();
    let name = check.words("name", &new.name, MAX_NAME_CHARS);
    let phone = check.optional_phone("phone", new.phone.as_deref());
    if new.ability_level.is_some_and(|level| !(0..=4).contains(&level)) {
        check.refuse("ability_level", Text::key("error-out-of-range").arg("min", 0).arg("max", 4));
    }
    let now = tx.now();
    if let Some(facility) = check.take(expect_facility(tx.db(), "facility_id", new.facility_id))?
        && let Some(birth) = new.birth_date
        && now.day_in(facility.tz()?).years_since(birth).is_none_or(|age| age > MAX_AGE_YEARS)
    {
        check.refuse("birth_date", Text::key("error-invalid-date"));
    }
    if let Some(place) = new.place_id {
        check.take(expect_free_dwelling(tx, new.facility_id, place, None))?;
    }
    check.finish()?;

    let id = ResidentId(tx.next_id());
    let phone = match phone {
        Some(phone) => tx.seal_field(id.person(), &RESIDENT_PHONE, id.0, Some(phone))?,
        None => None,
    };
    diesel::insert_into(resident::table)
        .values((
            resident::id.eq(id),
            resident::facility_id.eq(new.facility_id),
            resident::place_id.eq(new.place_id),
            resident::name.eq(name),
            resident::sex.eq(new.sex),
            resident::birth_date.eq(new.birth_date),
            resident::ability_level.eq(new.ability_level),
            resident::living_alone.eq(new.living_alone),
            resident::fall_risk_high.eq(new.fall_risk_high),
            resident::phone_sealed.eq(phone),
            resident::created_at.eq(now),
            resident::name_rules.eq(RULES),
        ))
        .execute(tx.db())?;
    index_name(tx.db(), new.facility_id, id, name)?;
    announce(tx, "registry.resident.created", new.facility_id, id, actor, json!({ "place_id": new.place_id }))?;
    let after = json!({ "place_id": new.place_id, "ability_level": new.ability_level });
    tx.audit(AuditEntry::new("resident.create", id).at(new.facility_id).about(id.0).after(after))?;
    Ok(id)
}

/// Moves a resident within their facility; `None`: they have no place for now. Moving to where they are does nothing.
///
/// # Errors
/// `NotFound` when there is no such resident; `Invalid` on `place_id` as in [`create_resident`].
pub fn move_resident(tx: &mut Tx<'_>, id: ResidentId, to: Option<PlaceId>, actor: Option<UserId>) -> Result<()> {
    let resident = resident(tx.db(), id)?.ok_or(Error::NotFound)?;
    if resident.place_id == to {
        return Ok(());
    }
    if let Some(place) = to {
        expect_free_dwelling(tx, resident.facility_id, place, Some(id))?;
    }
    diesel::update(resident::table.find(id)).set(resident::place_id.eq(to)).execute(tx.db())?;
    let was = AuditEntry::new("resident.move", id).at(resident.facility_id).about(id.0);
    tx.audit(was.before(json!({ "place_id": resident.place_id })).after(json!({ "place_id": to })))?;
    let data = json!({ "from": resident.place_id, "to": to });
    announce(tx, "registry.resident.moved", resident.facility_id, id, actor, data)
}

/// What is written down before somebody is shown a resident.
pub(crate) fn read_entry(id: ResidentId, facility: FacilityId) -> AuditEntry {
    AuditEntry::new("resident.read", id).at(facility).about(id.0)
}

/// Locks a resident: of two who change one, the second one sees what the first one did.
pub(crate) fn lock(tx: &mut Tx<'_>, id: ResidentId) -> Result<()> {
    diesel::update(resident::table.find(id)).set(resident::id.eq(id)).execute(tx.db())?;
    Ok(())
}

pub(crate) fn announce(
    tx: &mut Tx<'_>,
    kind: &'static str,
    facility: FacilityId,
    id: ResidentId,
    actor: Option<UserId>,
    data: serde_json::Value,
) -> Result<()> {
    tx.publish(NewEvent { kind, version: 1, facility: Some(facility), subject: id.to_string(), actor, data })?;
    tx.signal(crate::topic(facility));
    Ok(())
}

/// Refuses a place that is elsewhere, that nobody can live in, or a bed that somebody else has.
fn expect_free_dwelling(
    tx: &mut Tx<'_>,
    facility: FacilityId,
    place_id: PlaceId,
    resident: Option<ResidentId>,
) -> Result<()> {
    let refused = |key| Err(Error::field("place_id", Text::key(key)));
    // Locks the place: of two who are given the same bed at once, the second one sees the first.
    diesel::update(place_table::table.find(place_id)).set(place_table::id.eq(place_id)).execute(tx.db())?;
    let Some(place) = place(tx.db(), place_id)?.filter(|place| place.facility_id == facility) else {
        return refused("error-unknown-choice");
    };
    if !place.kind.is_dwelling() {
        return refused("registry-error-place-not-dwelling");
    }
    let holders: Vec<ResidentId> =
        resident::table.filter(resident::place_id.eq(place_id)).select(resident::id).load(tx.db())?;
    if place.kind == PlaceKind::Bed && holders.iter().any(|holder| Some(*holder) != resident) {
        return refused("registry-error-bed-taken");
    }
    Ok(())
}

pub fn resident(db: &mut Db, id: ResidentId) -> Result<Option<Resident>> {
    Ok(resident::table.find(id).select(Resident::as_select()).first(db).optional()?)
}

/// What a list of residents shows.
#[derive(Debug, Clone)]
pub struct ResidentFilter {
    /// Where the caller may see residents; others do not exist.
    pub scope: Scope,
    /// What was typed: part of a name, its pinyin or initials, or a card's number; empty: everybody.
    pub name: String,
    /// The last one of the page before.
    pub after: Option<ResidentId>,
}

/// A page of residents with the labels of their places: up to `limit`. Everybody: by id, so that new ones come at the end
/// and no page shifts while somebody leafs through. Found by a name: the shortest match first.
pub fn list_residents(db: &mut Db, filter: &ResidentFilter, limit: i64) -> Result<Vec<(Resident, Option<String>)>> {
    if !filter.name.trim().is_empty() {
        let ids = found_by_name(db, filter, limit)?;
        return residents_by_id(db, &ids);
    }
    let mut query = resident::table
        .left_join(place_table::table)
        .select((Resident::as_select(), place_table::label.nullable()))
        .order(resident::id)
        .limit(limit)
        .into_boxed();
    if let Some(ids) = filter.scope.ids() {
        query = query.filter(resident::facility_id.eq_any(ids.to_vec()));
    }
    if let Some(after) = filter.after {
        query = query.filter(resident::id.gt(after));
    }
    Ok(query.load(db)?)
}

/// Residents with the labels of their places, in the order of `ids`.
pub(crate) fn residents_by_id(db: &mut Db, ids: &[ResidentId]) -> Result<Vec<(Resident, Option<String>)>> {
    let mut rows: Vec<(Resident, Option<String>)> = resident::table
        .left_join(place_table::table)
        .filter(resident::id.eq_any(ids))
        .select((Resident::as_select(), place_table::label.nullable()))
        .load(db)?;
    rows.sort_by_key(|(person, _)| ids.iter().position(|id| *id == person.id));
    Ok(rows)
}

/// Who a place stands for: the resident of a bed or home, all of a room's. An area of a room or home (a bathroom)
/// stands for those who live there; a bed in a home for whoever lives in that home.
pub fn residents_at(db: &mut Db, id: PlaceId) -> Result<Vec<Resident>> {
    let Some(start) = place(db, id)? else { return Ok(Vec::new()) };
    let around: Option<Place> = match start.kind {
        PlaceKind::Area => room_of(db, id)?,
        PlaceKind::Bed => room_of(db, id)?.filter(|room| room.kind == PlaceKind::Home),
        _ => None,
    };
    let places = places_under(db, around.map_or(id, |around| around.id))?;
    Ok(resident::table
        .filter(resident::place_id.eq_any(places))
        .order(resident::id)
        .select(Resident::as_select())
        .load(db)?)
}

/// The places of a facility that residents have.
pub(crate) fn places_taken(db: &mut Db, facility: FacilityId) -> Result<std::collections::HashSet<PlaceId>> {
    let taken: Vec<PlaceId> = resident::table
        .filter(resident::facility_id.eq(facility).and(resident::place_id.is_not_null()))
        .select(resident::place_id.assume_not_null())
        .load(db)?;
    Ok(taken.into_iter().collect())
}

/// A facility's residents who have a place, with that place: for the tree of places.
pub(crate) fn residents_by_place(db: &mut Db, facility: FacilityId) -> Result<Vec<(PlaceId, ResidentId, String)>> {
    Ok(resident::table
        .filter(resident::facility_id.eq(facility).and(resident::place_id.is_not_null()))
        .order(resident::id)
        .select((resident::place_id.assume_not_null(), resident::id, resident::name))
        .load(db)?)
}
