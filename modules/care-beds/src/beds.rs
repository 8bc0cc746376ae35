//! Care beds: who has one, where, and whether it is in service.

use chrono::NaiveDate;
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::prelude::*;
use diesel::serialize::{self, Output, ToSql};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_kernel::db::containing;
use songhe_kernel::identity::Scope;
use songhe_kernel::{AuditEntry, Db, Error, FacilityId, FieldError, Moment, NewEvent, Result, Text, Tx, UserId};
use songhe_registry::schema::{place as place_table, resident as resident_table};
use songhe_registry::{PlaceId, PlaceKind, Resident, ResidentId, resident, room_of, zone_of};

use crate::CareBedId;
use crate::schema::care_bed;

const MAX_NOTE_CHARS: usize = 500;

/// Whether a bed is looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow, Serialize, Deserialize, JsonSchema)]
#[diesel(sql_type = diesel::sql_types::Text)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// In service: its calls count.
    Active,
    /// For a while not: a hospital stay, a journey.
    Suspended,
    /// Over. Another bed may be opened for the resident.
    Closed,
}

impl Status {
    pub const ALL: [Self; 3] = [Self::Active, Self::Suspended, Self::Closed];

    /// As stored, and as the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
        }
    }

    /// `None` for text that names none of them.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }

    /// Fluent key of its name.
    pub const fn text_key(self) -> &'static str {
        match self {
            Self::Active => "care-beds-status-active",
            Self::Suspended => "care-beds-status-suspended",
            Self::Closed => "care-beds-status-closed",
        }
    }
}

impl<DB: Backend> FromSql<diesel::sql_types::Text, DB> for Status
where
    String: FromSql<diesel::sql_types::Text, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let text = String::from_sql(bytes)?;
        Self::parse(&text).ok_or_else(|| format!("{text} is no status of a care bed").into())
    }
}

impl<DB: Backend> ToSql<diesel::sql_types::Text, DB> for Status
where
    str: ToSql<diesel::sql_types::Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.as_str().to_sql(out)
    }
}

/// A home that is looked after like a bed.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, JsonSchema)]
#[diesel(table_name = care_bed)]
pub struct CareBed {
    pub id: CareBedId,
    pub facility_id: FacilityId,
    pub resident_id: ResidentId,
    /// The home.
    pub place_id: PlaceId,
    pub status: Status,
    pub opened_on: NaiveDate,
    pub note: Option<String>,
    pub created_at: Moment,
}

/// A care bed to be opened.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCareBed {
    /// Lives in a private home and has no care bed that is not closed.
    pub resident_id: ResidentId,
    /// Not after today at the resident's facility; `null`: today.
    #[serde(default)]
    pub opened_on: Option<NaiveDate>,
    /// At most 500 characters.
    #[serde(default)]
    pub note: Option<String>,
}

impl NewCareBed {
    /// From today, without a note.
    pub fn new(resident_id: ResidentId) -> Self {
        Self { resident_id, opened_on: None, note: None }
    }
}

/// Opens a care bed, in service from now on: calls from before do not count.
///
/// # Errors
/// `Invalid` on the refused fields: `resident_id` (not there, does not live in a private home, has a bed already),
/// `opened_on`, `note`.
pub fn create_care_bed(tx: &mut Tx<'_>, new: &NewCareBed, actor: Option<UserId>) -> Result<CareBedId> {
    let Some(resident) = resident(tx.db(), new.resident_id)? else {
        return Err(Error::field("resident_id", Text::key("error-unknown-choice")));
    };
    let mut wrong = Vec::new();
    let home = home_of(tx.db(), &resident)?;
    if home.is_none() {
        wrong.push(FieldError::new("resident_id", Text::key("care-beds-error-not-at-home")));
    } else if has_bed(tx.db(), resident.id)? {
        wrong.push(bed_taken());
    }
    let today = tx.now().day_in(zone_of(tx.db(), resident.facility_id)?);
    let opened_on = new.opened_on.unwrap_or(today);
    if opened_on > today {
        wrong.push(FieldError::new("opened_on", Text::key("error-in-future")));
    }
    let note = new.note.as_deref().map(str::trim).filter(|note| !note.is_empty());
    if note.is_some_and(|note| note.chars().count() > MAX_NOTE_CHARS) {
        wrong.push(FieldError::new("note", Text::key("error-too-long").arg("max", MAX_NOTE_CHARS)));
    }
    let Some(home) = home.filter(|_| wrong.is_empty()) else { return Err(Error::Invalid(wrong)) };

    let (id, now) = (CareBedId(tx.next_id()), tx.now());
    let inserted = diesel::insert_into(care_bed::table)
        .values((
            care_bed::id.eq(id),
            care_bed::facility_id.eq(resident.facility_id),
            care_bed::resident_id.eq(resident.id),
            care_bed::place_id.eq(home),
            care_bed::status.eq(Status::Active),
            care_bed::opened_on.eq(opened_on),
            care_bed::note.eq(note),
            care_bed::created_at.eq(now),
        ))
        .execute(tx.db());
    match inserted.map_err(Error::from) {
        Ok(_) => {}
        // Another transaction opened one between our look and our insert.
        Err(error) if error.is_unique_violation() => return Err(Error::Invalid(vec![bed_taken()])),
        Err(error) => return Err(error),
    }
    announce(tx, "care-beds.bed.created", id, resident.facility_id, Status::Active, actor)?;
    Ok(id)
}

fn bed_taken() -> FieldError {
    FieldError::new("resident_id", Text::key("care-beds-error-has-bed"))
}

/// The private home in which a resident lives.
fn home_of(db: &mut Db, resident: &Resident) -> Result<Option<PlaceId>> {
    let Some(place) = resident.place_id else { return Ok(None) };
    Ok(room_of(db, place)?.filter(|room| room.kind == PlaceKind::Home).map(|home| home.id))
}

fn has_bed(db: &mut Db, resident: ResidentId) -> Result<bool> {
    let open = care_bed::table.filter(care_bed::resident_id.eq(resident).and(care_bed::status.ne(Status::Closed)));
    Ok(open.count().get_result::<i64>(db)? > 0)
}

/// Suspends a bed, takes it into service again, or closes it for good. The status that it has already changes nothing.
///
/// # Errors
/// `NotFound` when there is no such bed; `Conflict` when it is closed.
pub fn set_care_bed_status(tx: &mut Tx<'_>, id: CareBedId, status: Status, actor: Option<UserId>) -> Result<()> {
    // Holds the row: of two people at once, the second one sees what the first one did.
    diesel::update(care_bed::table.find(id)).set(care_bed::id.eq(id)).execute(tx.db())?;
    let bed = care_bed(tx.db(), id)?.ok_or(Error::NotFound)?;
    if bed.status == status {
        return Ok(());
    }
    if bed.status == Status::Closed {
        return Err(Error::conflict("care-beds-error-closed"));
    }
    diesel::update(care_bed::table.find(id)).set(care_bed::status.eq(status)).execute(tx.db())?;
    announce(tx, "care-beds.bed.changed", id, bed.facility_id, status, actor)
}

fn announce(
    tx: &mut Tx<'_>,
    kind: &'static str,
    id: CareBedId,
    facility: FacilityId,
    status: Status,
    actor: Option<UserId>,
) -> Result<()> {
    let data = json!({ "care_bed": id, "status": status });
    let action = if kind == "care-beds.bed.created" { "care_bed.create" } else { "care_bed.status" };
    tx.audit(AuditEntry::new(action, id).at(facility).after(json!({ "status": status })))?;
    tx.publish(NewEvent { kind, version: 1, facility: Some(facility), subject: id.to_string(), actor, data })?;
    tx.signal(crate::topic(facility));
    Ok(())
}

/// One bed.
pub fn care_bed(db: &mut Db, id: CareBedId) -> Result<Option<CareBed>> {
    Ok(care_bed::table.find(id).select(CareBed::as_select()).first(db).optional()?)
}

/// The bed in service that a resident had at a facility at a moment.
pub(crate) fn active_bed(
    db: &mut Db,
    resident: ResidentId,
    facility: FacilityId,
    at: Moment,
) -> Result<Option<CareBedId>> {
    Ok(care_bed::table
        .filter(care_bed::resident_id.eq(resident).and(care_bed::facility_id.eq(facility)))
        .filter(care_bed::status.eq(Status::Active).and(care_bed::created_at.le(at)))
        .select(care_bed::id)
        .first(db)
        .optional()?)
}

/// Which beds a list shows.
#[derive(Debug, Clone)]
pub struct BedFilter {
    /// Beds elsewhere do not exist.
    pub scope: Scope,
    pub status: Option<Status>,
    /// Part of the resident's name or of the address; empty: everybody.
    pub text: String,
    /// The last one of the page before.
    pub after: Option<CareBedId>,
}

impl BedFilter {
    /// All beds within a scope.
    pub fn within(scope: Scope) -> Self {
        Self { scope, status: None, text: String::new(), after: None }
    }
}

/// A bed with its resident and its address.
pub type BedRow = (CareBed, Resident, String);

macro_rules! filtered {
    ($filter:expr, $query:expr) => {{
        let (filter, mut query) = ($filter, $query.into_boxed());
        if let Some(ids) = filter.scope.ids() {
            query = query.filter(care_bed::facility_id.eq_any(ids.to_vec()));
        }
        if let Some(status) = filter.status {
            query = query.filter(care_bed::status.eq(status));
        }
        let text = filter.text.trim();
        if !text.is_empty() {
            let part = containing(text);
            let named = resident_table::name.like(part.clone()).escape('\\');
            query = query.filter(named.or(place_table::label.like(part).escape('\\')));
        }
        query
    }};
}

/// A page of beds by id, up to `limit`; new ones come at the end.
pub fn list_care_beds(db: &mut Db, filter: &BedFilter, limit: i64) -> Result<Vec<BedRow>> {
    let all = care_bed::table
        .inner_join(resident_table::table.on(resident_table::id.eq(care_bed::resident_id)))
        .inner_join(place_table::table.on(place_table::id.eq(care_bed::place_id)))
        .select((CareBed::as_select(), Resident::as_select(), place_table::label))
        .order(care_bed::id.asc())
        .limit(limit);
    let mut query = filtered!(filter, all);
    if let Some(after) = filter.after {
        query = query.filter(care_bed::id.gt(after));
    }
    Ok(query.load(db)?)
}

/// How many beds a list has over all its pages.
pub(crate) fn count_care_beds(db: &mut Db, filter: &BedFilter) -> Result<i64> {
    let all = care_bed::table
        .inner_join(resident_table::table.on(resident_table::id.eq(care_bed::resident_id)))
        .inner_join(place_table::table.on(place_table::id.eq(care_bed::place_id)))
        .select(diesel::dsl::count_star());
    Ok(filtered!(filter, all).first(db)?)
}

/// How many beds of each facility have a status.
pub(crate) fn beds_by_facility(db: &mut Db, scope: &Scope, status: Status) -> Result<Vec<(FacilityId, i64)>> {
    let mut query = care_bed::table
        .filter(care_bed::status.eq(status))
        .group_by(care_bed::facility_id)
        .select((care_bed::facility_id, diesel::dsl::count_star()))
        .into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(care_bed::facility_id.eq_any(ids.to_vec()));
    }
    Ok(query.load(db)?)
}
