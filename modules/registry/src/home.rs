//! What the registry adds to the first page: the reader's own next turns of duty.

use songhe_kernel::db::Db;
use songhe_kernel::http::{Home, HomePart, HomeShift};
use songhe_kernel::identity::Caller;
use songhe_kernel::{Moment, Result};

use crate::{Job, shifts_of_user, staff_of_user};

const AHEAD_S: i64 = 7 * 86_400;
const MAX_TURNS: usize = 5;

/// Given to the server by `app.add_home_part(Arc::new(MyShifts))`.
#[derive(Debug, Default)]
pub struct MyShifts;

impl HomePart for MyShifts {
    fn fill(&self, db: &mut Db, caller: &Caller, now: Moment, home: &mut Home) -> Result<()> {
        if staff_of_user(db, caller.user_id)?.is_empty() {
            return Ok(());
        }
        let mut turns = Vec::new();
        for shift in shifts_of_user(db, caller.user_id, now, now.plus_seconds(AHEAD_S))?.into_iter().take(MAX_TURNS) {
            turns.push(HomeShift {
                from: shift.starts_at,
                to: shift.ends_at,
                on_call: matches!(shift.duty, Job::Carer | Job::Nurse),
            });
        }
        home.shifts = Some(turns);
        Ok(())
    }
}
