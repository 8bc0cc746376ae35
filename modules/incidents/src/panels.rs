//! What this module adds to the page of a resident or place: alarms that are not over, and a resident's latest ones.

use serde_json::json;
use songhe_kernel::identity::{Caller, Scope};
use songhe_kernel::{Db, FacilityId, Moment, Result};
use songhe_registry::{Panel, PanelSlot, PanelSource, PanelSubject, places_under};

use crate::lists;
use crate::model::Row;
use crate::module::INCIDENTS_READ;

/// A resident's latest alarms shown.
const LATEST: i64 = 10;

/// Given to the registry's pages with `Panels(vec![Arc::new(IncidentPanels), …])`.
#[derive(Debug, Default)]
pub struct IncidentPanels;

impl PanelSource for IncidentPanels {
    fn panels(
        &self,
        db: &mut Db,
        caller: &Caller,
        facility: FacilityId,
        subject: PanelSubject,
        _: Moment,
    ) -> Result<Vec<Panel>> {
        if !caller.facilities(INCIDENTS_READ).contains(facility) {
            return Ok(Vec::new());
        }
        let (rows, with_latest) = match subject {
            PanelSubject::Place(id) => {
                let places = places_under(db, id)?;
                (lists::open_at(db, &places)?, false)
            }
            PanelSubject::Resident(id) => {
                let scope = Scope::Only(vec![facility]);
                (lists::of_resident(db, &scope, id, LATEST)?, true)
            }
        };
        let mut open = Vec::new();
        for row in &rows {
            if row.status()?.is_open() {
                open.push(json!({
                    "id": row.id, "kind": row.kind, "priority": row.priority, "raised_at": row.raised_at,
                    "place": row.place_label,
                }));
            }
        }
        let mut panels = vec![Panel {
            slot: PanelSlot::Top,
            template: "incidents/panel-open",
            model: json!({ "open_incidents": open }),
        }];
        if with_latest {
            let latest: Vec<_> = rows.iter().map(latest).collect();
            panels.push(Panel {
                slot: PanelSlot::Body,
                template: "incidents/panel-recent",
                model: json!({ "incidents": latest }),
            });
        }
        Ok(panels)
    }
}

fn latest(row: &Row) -> serde_json::Value {
    json!({
        "id": row.id, "kind": row.kind, "priority": row.priority, "raised_at": row.raised_at,
        "outcome": row.outcome, "response_s": row.response_s(),
    })
}
