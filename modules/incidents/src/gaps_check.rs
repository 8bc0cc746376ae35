//! The daily look ahead: a ladder for emergencies that could reach nobody at some hour is itself an incident.

use serde_json::json;
use songhe_kernel::{Error, FacilityId, Result, Tx};
use songhe_registry as registry;

use crate::coverage;
use crate::ladders::{self, Ladder};
use crate::model::{Kind, Priority};
use crate::report::{Report, report, report_cleared};

/// Looks at every ladder of high priority that counts at a facility, own or built in.
pub(crate) fn look_ahead(tx: &mut Tx<'_>, facility: FacilityId) -> Result<()> {
    let now = tx.now();
    let known = registry::facility(tx.db(), facility)?.ok_or(Error::NotFound)?;
    let zone = known.tz()?;
    for ladder in ladders::of_facility(tx.db(), facility)? {
        if !ladder.active || ladder.priority != Priority::High {
            continue;
        }
        let gaps = coverage::gaps(tx.db(), &ladder, zone, now)?;
        let news = Report {
            kind: Kind::System,
            priority: Some(Priority::Low),
            facility,
            scenario: known.scenario.clone(),
            place: None,
            place_label: known.name.clone(),
            resident: None,
            device: None,
            discriminator: discriminator(&ladder),
            source: ladder.name.clone(),
            detail: String::new(),
            // Said in the reader's language where it is shown.
            cause: json!({ "kind": "ladder_gaps", "ladder": ladder.id, "gaps": gaps }),
            observed_at: now,
            received_at: now,
        };
        if gaps.is_empty() {
            report_cleared(tx, &news)?;
        } else {
            report(tx, &news)?;
        }
    }
    Ok(())
}

fn discriminator(ladder: &Ladder) -> String {
    ladder.id.map_or_else(|| format!("built-in {}", ladder.priority), |id| id.to_string())
}
