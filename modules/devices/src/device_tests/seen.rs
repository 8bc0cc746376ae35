//! Overdue tests where people look anyway: the first page of whoever tests, and the response report.

use songhe_incidents::figures::notes::{Note, NoteSource};
use songhe_kernel::http::{Home, HomePart, HomeTile, Tone};
use songhe_kernel::identity::Caller;
use songhe_kernel::{Db, FacilityId, Moment, Result, Text};
use songhe_registry::facilities_in;

use super::{Filter, list, totals};
use crate::module::DEVICES_TEST;

const PATH: &str = "/device-tests";
/// Who looks after more facilities than this sees no figure on the first page: it would cost too much.
const FACILITIES: usize = 10;

/// Adds the figure to the first page, and the sentence to the report.
#[derive(Debug, Default)]
pub struct OverdueTests;

fn overdue(db: &mut Db, facility: FacilityId, now: Moment) -> Result<usize> {
    let found = list(db, &Filter { facility, place: None, standing: None }, now)?;
    Ok(totals(&found.listed).overdue)
}

impl HomePart for OverdueTests {
    fn fill(&self, db: &mut Db, caller: &Caller, now: Moment, home: &mut Home) -> Result<()> {
        if !caller.can(DEVICES_TEST) {
            return Ok(());
        }
        let facilities = facilities_in(db, caller.facilities(DEVICES_TEST))?;
        if facilities.is_empty() || facilities.len() > FACILITIES {
            return Ok(());
        }
        let mut count = 0;
        for facility in &facilities {
            count += overdue(db, facility.id, now)?;
        }
        let text = match count {
            0 => Text::key("device-tests-home-fine"),
            n => Text::key("device-tests-home-overdue").arg("n", n),
        };
        home.tiles.push(HomeTile {
            path: PATH.to_owned(),
            icon: "check",
            title: Text::key("device-tests-menu"),
            text: Some(text),
            figure: (count > 0).then(|| count.to_string()),
            tone: if count > 0 { Tone::Medium } else { Tone::Calm },
        });
        Ok(())
    }
}

impl NoteSource for OverdueTests {
    fn notes(&self, db: &mut Db, facilities: &[FacilityId], now: Moment) -> Result<Vec<Note>> {
        let mut counts = Vec::with_capacity(facilities.len());
        for id in facilities {
            counts.push((*id, overdue(db, *id, now)?));
        }
        let count: usize = counts.iter().map(|(_, count)| count).sum();
        let worst = counts.iter().max_by_key(|(_, count)| *count).map(|(id, _)| *id);
        let text = match count {
            0 => Text::key("device-tests-report-fine"),
            n => Text::key("device-tests-report-overdue").arg("n", n),
        };
        let path = worst.map_or_else(|| PATH.to_owned(), |id| format!("{PATH}?facility={id}&state=overdue"));
        Ok(vec![Note { text, path, warns: count > 0 }])
    }
}
