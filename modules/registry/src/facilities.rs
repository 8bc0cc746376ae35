//! Facilities, and the regions above them. A facility's id is that of its node in the kernel's scope tree.

use chrono_tz::Tz;
use diesel::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use songhe_kernel::db::{Db, Tx};
use songhe_kernel::identity::schema::scope_node;
use songhe_kernel::identity::{NodeKind, Scope, add_scope_node};
use songhe_kernel::time::DEFAULT_ZONE;
use songhe_kernel::{AuditEntry, Error, FacilityId, NewEvent, Result, Text, UserId, events};

use crate::check::{Check, MAX_ADDRESS_CHARS, MAX_NAME_CHARS};
use crate::schema::facility;
use crate::text_enum::text_enum;

const MAX_SHORT_NAME_CHARS: usize = 12;

text_enum! {
    /// What a facility is.
    pub enum FacilityKind {
        NursingHome = "nursing_home",
        /// Looks after care beds in people's own homes.
        CareBedStation = "care_bed_station",
    }
}

/// A place of service under one management, with its own staff, rosters and zone.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, JsonSchema)]
#[diesel(table_name = facility)]
pub struct Facility {
    pub id: FacilityId,
    pub kind: FacilityKind,
    /// The scenario module that runs here: `nursing-home`, `care-beds`.
    pub scenario: String,
    pub name: String,
    /// For boards and narrow columns, at most 12 characters.
    pub short_name: String,
    /// IANA name, `Asia/Shanghai`.
    pub zone: String,
    pub phone: Option<String>,
    pub address: Option<String>,
}

impl Facility {
    /// The zone in which rosters, ages and days are counted.
    ///
    /// # Errors
    /// `Internal` when the stored name is unknown to this build.
    pub fn tz(&self) -> Result<Tz> {
        parse_zone(&self.zone)
    }
}

/// A facility to be made.
#[derive(Debug, Clone)]
pub struct NewFacility {
    /// The node of the street or community above it.
    pub parent_region: i64,
    pub kind: FacilityKind,
    /// The scenario module to switch on, `nursing-home` or `care-beds`.
    pub scenario: &'static str,
    /// 1 to 60 characters.
    pub name: String,
    /// 1 to 12 characters.
    pub short_name: String,
    pub zone: Tz,
    pub phone: Option<String>,
    pub address: Option<String>,
}

impl NewFacility {
    /// In Shanghai's zone, without phone and address.
    pub fn new(parent_region: i64, kind: FacilityKind, scenario: &'static str, name: &str, short_name: &str) -> Self {
        Self {
            parent_region,
            kind,
            scenario,
            name: name.to_owned(),
            short_name: short_name.to_owned(),
            zone: DEFAULT_ZONE,
            phone: None,
            address: None,
        }
    }
}

/// Adds a region (city, district, street, community) below `parent` (`None`: a root); answers its node's id.
///
/// # Errors
/// `Invalid` on `name`; `NotFound` when there is no such parent.
pub fn create_region(tx: &mut Tx<'_>, parent: Option<i64>, name: &str) -> Result<i64> {
    let mut check = Check::default();
    let name = check.words("name", name, MAX_NAME_CHARS);
    check.finish()?;
    add_scope_node(tx, parent, NodeKind::Region, name)
}

/// Adds a facility with its scope node and switches its scenario on, from now on.
///
/// # Errors
/// `Invalid` on the refused fields; `NotFound` when there is no such region.
pub fn create_facility(tx: &mut Tx<'_>, new: &NewFacility, actor: Option<UserId>) -> Result<FacilityId> {
    let mut check = Check::default();
    let name = check.words("name", &new.name, MAX_NAME_CHARS);
    let short_name = check.words("short_name", &new.short_name, MAX_SHORT_NAME_CHARS);
    let phone = check.optional_phone("phone", new.phone.as_deref());
    let address = check.optional_words("address", new.address.as_deref(), MAX_ADDRESS_CHARS);
    check.finish()?;
    let id = FacilityId(add_scope_node(tx, Some(new.parent_region), NodeKind::Facility, name)?);
    diesel::insert_into(facility::table)
        .values((
            facility::id.eq(id),
            facility::kind.eq(new.kind),
            facility::scenario.eq(new.scenario),
            facility::name.eq(name),
            facility::short_name.eq(short_name),
            facility::zone.eq(new.zone.name()),
            facility::phone.eq(phone),
            facility::address.eq(address),
        ))
        .execute(tx.db())?;
    events::enable_module(tx, new.scenario, id)?;
    tx.publish(NewEvent {
        kind: "registry.facility.created",
        version: 1,
        facility: Some(id),
        subject: id.to_string(),
        actor,
        data: json!({ "kind": new.kind, "scenario": new.scenario }),
    })?;
    let after = json!({ "name": name, "kind": new.kind, "scenario": new.scenario });
    tx.audit(AuditEntry::new("facility.create", id).at(id).after(after))?;
    tx.signal(crate::topic(id));
    Ok(id)
}

pub fn facility(db: &mut Db, id: FacilityId) -> Result<Option<Facility>> {
    Ok(facility::table.find(id).select(Facility::as_select()).first(db).optional()?)
}

/// All facilities, by name.
pub fn facilities(db: &mut Db) -> Result<Vec<Facility>> {
    facilities_in(db, &Scope::All)
}

/// The facilities within a scope, by name.
pub fn facilities_in(db: &mut Db, scope: &Scope) -> Result<Vec<Facility>> {
    let mut query = facility::table.select(Facility::as_select()).order((facility::name, facility::id)).into_boxed();
    if let Some(ids) = scope.ids() {
        query = query.filter(facility::id.eq_any(ids.to_vec()));
    }
    Ok(query.load(db)?)
}

/// The zone in which a facility counts its days.
///
/// # Errors
/// `NotFound` when there is no such facility.
pub fn zone_of(db: &mut Db, id: FacilityId) -> Result<Tz> {
    let name: Option<String> = facility::table.find(id).select(facility::zone).first(db).optional()?;
    parse_zone(&name.ok_or(Error::NotFound)?)
}

/// The node right above a facility: its street. `None` when there is no such facility or it is a root.
pub fn region_above(db: &mut Db, id: FacilityId) -> Result<Option<i64>> {
    let parent: Option<Option<i64>> =
        scope_node::table.find(id.0).select(scope_node::parent_id).first(db).optional()?;
    Ok(parent.flatten())
}

fn parse_zone(name: &str) -> Result<Tz> {
    name.parse().map_err(|_| Error::Internal(format!("zone {name} is unknown to this build")))
}

/// The facility that an input names, if it exists.
///
/// # Errors
/// `Invalid` on `field` when it does not.
pub(crate) fn expect_facility(db: &mut Db, field: &'static str, id: FacilityId) -> Result<Facility> {
    facility(db, id)?.ok_or_else(|| Error::field(field, Text::key("error-unknown-choice")))
}
