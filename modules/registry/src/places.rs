//! Places: buildings, floors, rooms, beds, homes and areas, as a tree below each facility.

mod label;

use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use songhe_kernel::db::{Db, Tx};
use songhe_kernel::identity::Scope;
use songhe_kernel::{AuditEntry, Error, FacilityId, NewEvent, Result, Text, UserId};

use crate::PlaceId;
use crate::check::{Check, MAX_NAME_CHARS};
use crate::facilities::expect_facility;
use crate::schema::place;
use crate::text_enum::text_enum;

pub use label::label_of;

const MAX_LABEL_CHARS: usize = 120;
/// Bits of a tag's code; nobody guesses one.
const TAG_BYTES: usize = 16;

text_enum! {
    /// What a place is.
    pub enum PlaceKind {
        Building = "building",
        Floor = "floor",
        Room = "room",
        Bed = "bed",
        /// A private home.
        Home = "home",
        /// A corridor, hall, bathroom, kitchen.
        Area = "area",
    }
}

impl PlaceKind {
    /// Kinds that may hold this one.
    pub const fn parents(self) -> &'static [PlaceKind] {
        match self {
            Self::Building => &[],
            Self::Floor => &[Self::Building],
            Self::Room => &[Self::Building, Self::Floor],
            Self::Bed => &[Self::Room, Self::Home],
            Self::Home => &[Self::Building, Self::Floor],
            Self::Area => &[Self::Building, Self::Floor, Self::Room, Self::Home, Self::Area],
        }
    }

    /// Whether it may stand without a parent.
    pub const fn may_be_outermost(self) -> bool {
        !matches!(self, Self::Floor | Self::Bed)
    }

    /// Whether somebody can live there.
    pub const fn is_dwelling(self) -> bool {
        matches!(self, Self::Room | Self::Bed | Self::Home)
    }
}

/// A place. Whoever reads its tag proves to have been there: the code is shown to those who print tags only.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = place)]
pub struct Place {
    pub id: PlaceId,
    pub facility_id: FacilityId,
    pub parent_id: Option<PlaceId>,
    pub kind: PlaceKind,
    /// Its own part: `2 床`.
    pub name: String,
    /// The whole path for boards: `2号楼 305 室 · 2 床`.
    pub label: String,
    /// `/…1/…5/`: the ids from the outermost place to this one, each of 19 digits so that text sorts as numbers do.
    pub path: String,
    /// 32 hexadecimal digits.
    pub tag_code: String,
}

impl Place {
    /// How many places it lies within: 0 for the outermost.
    pub fn depth(&self) -> usize {
        self.path.matches('/').count().saturating_sub(2)
    }
}

/// A place to be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPlace {
    pub facility_id: FacilityId,
    /// `null`: it is outermost.
    #[serde(default)]
    pub parent_id: Option<PlaceId>,
    pub kind: PlaceKind,
    /// Its own part, 1 to 60 characters: `2 床`.
    pub name: String,
    /// What boards show, at most 120 characters; made from the names of the path when absent.
    #[serde(default)]
    pub label: Option<String>,
}

/// Adds a place with a fresh tag code.
///
/// # Errors
/// `Invalid` on `facility_id`, `parent_id` (not there, of another facility, or of a kind that cannot hold this one),
/// `name` (also when a sibling has it) or `label`.
pub fn create_place(tx: &mut Tx<'_>, new: &NewPlace, actor: Option<UserId>) -> Result<PlaceId> {
    let mut check = Check::default();
    let name = check.words("name", &new.name, MAX_NAME_CHARS);
    let label = check.optional_words("label", new.label.as_deref(), MAX_LABEL_CHARS);
    check.take(expect_facility(tx.db(), "facility_id", new.facility_id))?;
    let parent = check.take(check_parent(tx.db(), new))?.flatten();
    if sibling_exists(tx.db(), new, name)? {
        check.refuse("name", Text::key("registry-error-place-exists"));
    }
    check.finish()?;

    let label = match label {
        Some(label) => label.to_owned(),
        None => made_label(tx.db(), parent.as_ref(), new.kind, name)?,
    };
    let id = PlaceId(tx.next_id());
    let path = format!("{}{:019}/", parent.as_ref().map_or("/", |parent| &parent.path), id.0);
    diesel::insert_into(place::table)
        .values((
            place::id.eq(id),
            place::facility_id.eq(new.facility_id),
            place::parent_id.eq(new.parent_id),
            place::kind.eq(new.kind),
            place::name.eq(name),
            place::label.eq(label),
            place::path.eq(path),
            place::tag_code.eq(hex::encode(rand::random::<[u8; TAG_BYTES]>())),
        ))
        .execute(tx.db())?;
    tx.publish(NewEvent {
        kind: "registry.place.created",
        version: 1,
        facility: Some(new.facility_id),
        subject: id.to_string(),
        actor,
        data: json!({ "kind": new.kind, "parent_id": new.parent_id }),
    })?;
    let after = json!({ "kind": new.kind, "parent_id": new.parent_id, "name": new.name.trim() });
    tx.audit(AuditEntry::new("place.create", id).at(new.facility_id).after(after))?;
    tx.signal(crate::topic(new.facility_id));
    Ok(id)
}

fn check_parent(db: &mut Db, new: &NewPlace) -> Result<Option<Place>> {
    let refused = |key| Err(Error::field("parent_id", Text::key(key)));
    let Some(parent_id) = new.parent_id else {
        return if new.kind.may_be_outermost() { Ok(None) } else { refused("registry-error-place-parent-missing") };
    };
    match place(db, parent_id)? {
        Some(parent) if parent.facility_id != new.facility_id => refused("error-unknown-choice"),
        Some(parent) if !new.kind.parents().contains(&parent.kind) => refused("registry-error-place-parent-kind"),
        Some(parent) => Ok(Some(parent)),
        None => refused("error-unknown-choice"),
    }
}

fn sibling_exists(db: &mut Db, new: &NewPlace, name: &str) -> Result<bool> {
    let same = place::table.filter(place::facility_id.eq(new.facility_id)).filter(place::name.eq(name));
    let count: i64 = match new.parent_id {
        Some(parent) => same.filter(place::parent_id.eq(parent)).count().get_result(db)?,
        None => same.filter(place::parent_id.is_null()).count().get_result(db)?,
    };
    Ok(count > 0)
}

fn made_label(db: &mut Db, parent: Option<&Place>, kind: PlaceKind, name: &str) -> Result<String> {
    let above = match parent {
        Some(parent) => on_path(db, &parent.path)?,
        None => Vec::new(),
    };
    let mut parts: Vec<_> = above.iter().map(|place| (place.kind, place.name.as_str())).collect();
    parts.push((kind, name));
    Ok(label_of(&parts))
}

pub fn place(db: &mut Db, id: PlaceId) -> Result<Option<Place>> {
    Ok(place::table.find(id).select(Place::as_select()).first(db).optional()?)
}

/// The place whose tag carries this code.
pub fn place_by_tag(db: &mut Db, code: &str) -> Result<Option<Place>> {
    Ok(place::table.filter(place::tag_code.eq(code)).select(Place::as_select()).first(db).optional()?)
}

/// All places of a facility, each after the one that holds it, siblings in the order they were made.
pub fn places_in(db: &mut Db, facility: FacilityId) -> Result<Vec<Place>> {
    Ok(place::table.filter(place::facility_id.eq(facility)).order(place::path).select(Place::as_select()).load(db)?)
}

/// A page of the places within a scope, by id: up to `limit` after `after`.
pub fn list_places(db: &mut Db, scope: &Scope, after: Option<PlaceId>, limit: i64) -> Result<Vec<Place>> {
    let mut query = place::table.select(Place::as_select()).order(place::id).limit(limit).into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(place::facility_id.eq_any(ids.to_vec()));
    }
    if let Some(after) = after {
        query = query.filter(place::id.gt(after));
    }
    Ok(query.load(db)?)
}

/// The places that hold this one, outermost first; without itself.
pub fn ancestors(db: &mut Db, id: PlaceId) -> Result<Vec<Place>> {
    let Some(place) = place(db, id)? else { return Ok(Vec::new()) };
    let mut all = on_path(db, &place.path)?;
    all.pop();
    Ok(all)
}

/// The places whose ids a path names, outermost first.
fn on_path(db: &mut Db, path: &str) -> Result<Vec<Place>> {
    let ids: Vec<i64> = path.split('/').filter_map(|id| id.parse().ok()).collect();
    Ok(place::table.filter(place::id.eq_any(ids)).order(place::path).select(Place::as_select()).load(db)?)
}

/// A place and all that lies within it (a room with its beds), outermost first. Empty when there is no such place.
pub fn places_under(db: &mut Db, id: PlaceId) -> Result<Vec<PlaceId>> {
    let Some(place) = place(db, id)? else { return Ok(Vec::new()) };
    let (from, to) = range_under(&place.path);
    Ok(place::table
        .filter(place::path.ge(from).and(place::path.lt(to)))
        .order(place::path)
        .select(place::id)
        .load(db)?)
}

/// Paths of a place and of all within it: from its own to before the same with its last `/` as `0`, the character that
/// follows it. A range uses the index on both databases; LIKE would not on SQLite.
fn range_under(path: &str) -> (String, String) {
    (path.to_owned(), format!("{}0", path.trim_end_matches('/')))
}

/// The room or home that a place is or lies in.
pub fn room_of(db: &mut Db, id: PlaceId) -> Result<Option<Place>> {
    let Some(place) = place(db, id)? else { return Ok(None) };
    let path = on_path(db, &place.path)?;
    Ok(path.into_iter().rev().find(|place| matches!(place.kind, PlaceKind::Room | PlaceKind::Home)))
}
