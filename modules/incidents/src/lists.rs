//! Incidents as lists: which, in what order, within whose scope.

use std::collections::HashMap;

use diesel::prelude::*;
use songhe_kernel::identity::Scope;
use songhe_kernel::identity::schema::app_user;
use songhe_kernel::{Db, Error, KeptExt, Moment, Result, UserId};
use songhe_registry::schema::resident as resident_table;
use songhe_registry::{self as registry, Place, PlaceId, Resident, ResidentId};

use crate::model::{IncidentId, Kind, Priority, Row, RungRow, Status};
use crate::schema::{incident, incident_rung};
use crate::story;

/// More open incidents than a board can show; the oldest of the highest priority are never cut off.
const MAX_OPEN: i64 = 1_000;

/// Whether an incident still waits for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum State {
    #[default]
    All,
    Open,
    Closed,
}

/// Which incidents a list shows.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    /// Others do not exist for the caller.
    pub(crate) scope: Scope,
    pub(crate) state: State,
    pub(crate) kind: Option<Kind>,
    pub(crate) priority: Option<Priority>,
    /// Raised at or after this.
    pub(crate) from: Option<Moment>,
    /// Raised before this.
    pub(crate) to: Option<Moment>,
    /// The last one of the page before.
    pub(crate) after: Option<IncidentId>,
}

impl Filter {
    pub(crate) fn within(scope: Scope) -> Self {
        Self { scope, state: State::All, kind: None, priority: None, from: None, to: None, after: None }
    }
}

const CLOSED: [&str; 2] = [Status::Resolved.as_str(), Status::Reviewed.as_str()];

/// The incident, if it is within the scope.
///
/// # Errors
/// `NotFound` when it is not, or when there is none.
pub(crate) fn in_scope(db: &mut Db, id: IncidentId, scope: &Scope) -> Result<Row> {
    let row = story::row(db, id)?;
    if scope.contains(row.facility_id) { Ok(row) } else { Err(Error::NotFound) }
}

/// A page of incidents, newest first: up to `limit`.
pub(crate) fn list(db: &mut Db, filter: &Filter, limit: i64) -> Result<Vec<Row>> {
    let mut query = incident::table.select(Row::as_select()).order(incident::id.desc()).limit(limit).into_boxed();
    if let Some(ids) = filter.scope.ids() {
        query = query.filter(incident::facility_id.eq_any(ids.to_vec()));
    }
    match filter.state {
        State::All => {}
        State::Open => query = query.filter(incident::status.ne_all(CLOSED)),
        State::Closed => query = query.filter(incident::status.eq_any(CLOSED)),
    }
    if let Some(kind) = filter.kind {
        query = query.filter(incident::kind.eq(kind.as_str()));
    }
    if let Some(priority) = filter.priority {
        query = query.filter(incident::priority.eq(priority.as_str()));
    }
    if let Some(from) = filter.from {
        query = query.filter(incident::raised_at.ge(from));
    }
    if let Some(to) = filter.to {
        query = query.filter(incident::raised_at.lt(to));
    }
    if let Some(after) = filter.after {
        query = query.filter(incident::id.lt(after));
    }
    Ok(query.load(db)?)
}

/// The incidents of these ids that exist.
pub(crate) fn by_ids(db: &mut Db, ids: &[IncidentId]) -> Result<HashMap<IncidentId, Row>> {
    let rows: Vec<Row> = incident::table.filter(incident::id.eq_any(ids.to_vec())).select(Row::as_select()).load(db)?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Everything that is open within a scope: by priority, then the longest waiting first.
pub(crate) fn open(db: &mut Db, scope: &Scope) -> Result<Vec<Row>> {
    let mut query = incident::table
        .filter(incident::open_key.is_not_null())
        .select(Row::as_select())
        .order(incident::raised_at.asc())
        .limit(MAX_OPEN)
        .into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(incident::facility_id.eq_any(ids.to_vec()));
    }
    let mut rows: Vec<(Priority, Row)> =
        query.load::<Row>(db)?.into_iter().map(|row| Ok((row.priority()?, row))).collect::<Result<_>>()?;
    // Stable: of one priority the longest waiting stays first.
    rows.sort_by_key(|(priority, _)| *priority);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// What is open at some places, longest waiting first.
pub(crate) fn open_at(db: &mut Db, places: &[PlaceId]) -> Result<Vec<Row>> {
    Ok(incident::table
        .filter(incident::open_key.is_not_null().and(incident::place_id.eq_any(places.to_vec())))
        .order(incident::raised_at.asc())
        .select(Row::as_select())
        .load(db)?)
}

/// The place whose tag carries this code, and what is open there and within it, longest waiting first.
///
/// # Errors
/// `NotFound` when there is no such place within the scope.
pub(crate) fn open_at_tag(db: &mut Db, code: &str, scope: &Scope) -> Result<(Place, Vec<Row>)> {
    let place =
        registry::place_by_tag(db, code)?.filter(|place| scope.contains(place.facility_id)).ok_or(Error::NotFound)?;
    let places = registry::places_under(db, place.id)?;
    let open = open_at(db, &places)?;
    Ok((place, open))
}

/// A resident's incidents, newest first.
pub(crate) fn of_resident(db: &mut Db, scope: &Scope, resident: ResidentId, limit: i64) -> Result<Vec<Row>> {
    let mut query = incident::table
        .filter(incident::resident_id.eq(resident))
        .select(Row::as_select())
        .order(incident::raised_at.desc())
        .limit(limit)
        .into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(incident::facility_id.eq_any(ids.to_vec()));
    }
    Ok(query.load(db)?)
}

/// The last ones closed within a scope since a moment, newest first.
pub(crate) fn recently_closed(db: &mut Db, scope: &Scope, since: Moment, limit: i64) -> Result<Vec<Row>> {
    let mut query = incident::table
        .filter(incident::resolved_at.ge(since))
        .select(Row::as_select())
        .order(incident::resolved_at.desc())
        .limit(limit)
        .into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(incident::facility_id.eq_any(ids.to_vec()));
    }
    Ok(query.load(db)?)
}

/// What was promised when closing and has not been reviewed since.
pub(crate) fn promised(db: &mut Db, scope: &Scope, limit: i64) -> Result<Vec<Row>> {
    let mut query = incident::table
        .filter(incident::status.eq(Status::Resolved.as_str()))
        // Our own JSON, without blanks: a follow-up that is text, not null.
        .filter(incident::resolution.like("%\"follow_up\":\"%"))
        .select(Row::as_select())
        .order(incident::resolved_at.asc())
        .limit(limit)
        .into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(incident::facility_id.eq_any(ids.to_vec()));
    }
    Ok(query.load(db)?)
}

/// The rungs of the present round of each.
pub(crate) fn rungs_of(db: &mut Db, rows: &[Row]) -> Result<HashMap<IncidentId, Vec<RungRow>>> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id.0).collect();
    let rounds: HashMap<IncidentId, i32> = rows.iter().map(|row| (row.id, row.round)).collect();
    let found: Vec<(IncidentId, RungRow)> = incident_rung::table
        .filter(incident_rung::incident_id.eq_any(ids))
        .order((incident_rung::incident_id.asc(), incident_rung::round.asc(), incident_rung::position.asc()))
        .select((incident_rung::incident_id, RungRow::as_select()))
        .kept(rows.len())
        .load(db)?;
    let mut all: HashMap<IncidentId, Vec<RungRow>> = HashMap::new();
    for (id, rung) in found {
        if rounds.get(&id) == Some(&rung.round) {
            all.entry(id).or_default().push(rung);
        }
    }
    Ok(all)
}

/// Names of accounts.
pub(crate) type Names = HashMap<UserId, String>;

pub(crate) fn names(db: &mut Db, users: impl IntoIterator<Item = Option<UserId>>) -> Result<Names> {
    let ids: Vec<UserId> = users.into_iter().flatten().collect();
    if ids.is_empty() {
        return Ok(Names::new());
    }
    let found: Vec<(UserId, String)> =
        app_user::table.filter(app_user::id.eq_any(ids)).select((app_user::id, app_user::display_name)).load(db)?;
    Ok(found.into_iter().collect())
}

/// Everybody who did something on these incidents.
pub(crate) fn names_on(db: &mut Db, rows: &[Row]) -> Result<Names> {
    names(db, rows.iter().flat_map(|row| [row.acknowledged_by, row.arrived_by, row.resolved_by]))
}

pub(crate) fn residents_of(db: &mut Db, rows: &[Row]) -> Result<HashMap<ResidentId, Resident>> {
    let ids: Vec<ResidentId> = rows.iter().filter_map(|row| row.resident_id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let values = ids.len();
    let found: Vec<Resident> = resident_table::table
        .filter(resident_table::id.eq_any(ids))
        .select(Resident::as_select())
        .kept(values)
        .load(db)?;
    Ok(found.into_iter().map(|resident| (resident.id, resident)).collect())
}
