//! What the first page says of incidents.

use songhe_kernel::http::{Home, HomeFollowUp, HomePart};
use songhe_kernel::identity::Caller;
use songhe_kernel::time::DEFAULT_ZONE;
use songhe_kernel::{Db, Moment, Result};

use crate::lists;
use crate::model::Priority;
use crate::module::INCIDENTS_READ;

/// Follow-ups shown.
const SHOWN: i64 = 20;

/// Adds open alarms and promised follow-ups.
pub struct IncidentsHome;

impl HomePart for IncidentsHome {
    fn fill(&self, db: &mut Db, caller: &Caller, now: Moment, home: &mut Home) -> Result<()> {
        if !caller.can(INCIDENTS_READ) {
            return Ok(());
        }
        let scope = caller.facilities(INCIDENTS_READ);
        let open = lists::open(db, scope)?;
        home.open_count = open.len() as i64;
        home.open_high = open.iter().filter(|row| row.priority == Priority::High.as_str()).count() as i64;
        let today = now.day_in(DEFAULT_ZONE);
        let mut follow_ups = Vec::new();
        for row in lists::promised(db, scope, SHOWN)? {
            let Some(resolution) = row.resolution()? else { continue };
            let Some(text) = resolution.follow_up else { continue };
            follow_ups.push(HomeFollowUp {
                incident_id: row.id.to_string(),
                place: row.place_label,
                text,
                due: resolution.follow_up_due.map(|day| day.to_string()).unwrap_or_default(),
                overdue: resolution.follow_up_due.is_some_and(|day| day < today),
            });
        }
        home.follow_ups = Some(follow_ups);
        Ok(())
    }
}
