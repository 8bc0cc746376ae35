//! The screens of this module. Each fills the model that the head comment of its template describes.

mod board;
pub(crate) mod endpoint;
pub(crate) mod endpoint_edit;
mod endpoint_form;
mod endpoints;
mod ladder_form;
mod ladders;
mod list;
mod reports;
mod show;
mod story_lines;
mod tag;
pub(crate) mod templates;

use serde::Serialize;
use songhe_kernel::http::{Ctx, Route};
use songhe_kernel::identity::Scope;
use songhe_kernel::{Db, FacilityId, Moment, Result, Text, UserId};
use songhe_registry::{self as registry, Resident, ResidentId, ResidentStatus, Sex};

use crate::model::Row;

pub(crate) fn routes() -> Vec<Route> {
    let mut all = board::routes();
    all.extend(show::routes());
    all.extend(list::routes());
    all.extend(reports::routes());
    all.extend(ladders::routes());
    all.extend(endpoints::routes());
    all.extend(endpoint::routes());
    all.extend(endpoint_edit::routes());
    all.extend(templates::routes());
    all.extend(tag::routes());
    all
}

/// The resident of a call, as whoever goes there needs to know them.
#[derive(Debug, Clone, Serialize)]
struct ResidentModel {
    id: String,
    name: String,
    sex: &'static str,
    age: Option<u32>,
    notes: Vec<String>,
}

impl ResidentModel {
    fn of(ctx: &Ctx, resident: &Resident, today: chrono::NaiveDate) -> Self {
        let mut notes = Vec::new();
        if resident.fall_risk_high {
            notes.push(ctx.say(&Text::key("incidents-resident-fall-risk")));
        }
        if resident.living_alone {
            notes.push(ctx.say(&Text::key("incidents-resident-alone")));
        }
        if let Some(level) = resident.ability_level.filter(|level| *level > 0) {
            notes.push(ctx.say(&Text::key("incidents-resident-ability").arg("level", level)));
        }
        Self {
            id: resident.id.to_string(),
            name: resident.name.clone(),
            sex: match resident.sex {
                Sex::Male => "male",
                Sex::Female => "female",
                Sex::Unknown => "unknown",
            },
            age: resident.age_on(today),
            notes,
        }
    }

    /// With where they are, before everything else, unless they are there.
    fn with(mut self, ctx: &Ctx, status: ResidentStatus) -> Self {
        if status != ResidentStatus::Active {
            self.notes.insert(0, registry::status_words(ctx, status));
        }
        self
    }
}

/// The resident of a call, and where they are now: that silences nothing, and whoever goes there should know it.
fn resident_now(db: &mut Db, id: Option<ResidentId>, now: Moment) -> Result<Option<(Resident, ResidentStatus)>> {
    let Some(resident) = id.map(|id| registry::resident(db, id)).transpose()?.flatten() else { return Ok(None) };
    let status = registry::status_on(db, resident.id, now)?.status;
    Ok(Some((resident, status)))
}

/// Where the caller works, or the one facility in reach; `None` for those who look after several.
fn home_facility(db: &mut Db, user: UserId, scope: &Scope) -> Result<Option<FacilityId>> {
    let works_at = registry::staff_of_user(db, user)?
        .into_iter()
        .find(|member| member.active && scope.contains(member.facility_id))
        .map(|member| member.facility_id);
    Ok(works_at.or(match scope.ids() {
        Some([only]) => Some(*only),
        _ => None,
    }))
}

/// What an incident says for itself, in the reader's language where Songhe raised it.
fn detail_words(ctx: &Ctx, row: &Row) -> String {
    let cause = cause(row);
    let number = |name: &str| cause.get(name).and_then(serde_json::Value::as_i64).unwrap_or_default();
    let text = match cause.get("kind").and_then(serde_json::Value::as_str) {
        Some("ladder_gaps") => {
            let gaps = cause.get("gaps").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
            Text::key("incidents-gaps-detail").arg("n", gaps)
        }
        Some("long_transaction") => Text::key("incidents-system-long-transaction").arg("n", number("n")),
        Some("disk_low") => Text::key("incidents-system-disk-low").arg("n", number("n")),
        Some("disk_short") => Text::key("incidents-system-disk-short"),
        Some("certificate_refused") => Text::key("incidents-system-certificate"),
        Some("device_flood") => Text::key("incidents-system-device-flood").arg("n", number("n")),
        Some("parked_work") => Text::key("incidents-system-parked-work").arg("n", number("n")),
        Some("backup_overdue") => Text::key("incidents-system-backup").arg("n", number("n")),
        _ => return row.detail.clone(),
    };
    ctx.say(&text)
}

/// The observation as stored; null when there is none.
fn cause(row: &Row) -> serde_json::Value {
    row.cause.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// A moment in a zone, to the minute: for warnings, where the template has words only.
fn civil(at: Moment, zone: chrono_tz::Tz) -> String {
    at.in_zone(zone).format("%m-%d %H:%M").to_string()
}
