//! Which shift ran when, for figures by shift: windows without people.

use diesel::prelude::*;
use songhe_kernel::{Db, FacilityId, Moment, Result};

use crate::schema::shift;
use crate::shifts::ShiftWindow;

/// The windows at a facility that share time with a stretch, each once, the latest begun first. Also those of staff who
/// have left since: what was, was.
pub fn shift_windows(db: &mut Db, facility: FacilityId, from: Moment, to: Moment) -> Result<Vec<ShiftWindow>> {
    Ok(shift::table
        .filter(shift::facility_id.eq(facility))
        .filter(shift::starts_at.lt(to).and(shift::ends_at.gt(from)))
        .select((shift::name, shift::starts_at, shift::ends_at))
        .distinct()
        .order((shift::starts_at.desc(), shift::ends_at.asc(), shift::name.asc()))
        .load(db)?)
}
