//! Figures that a supervisor can trust: of a month and of facilities, each with the incidents that it counts.
//!
//! - [`month`]: a civil month in a facility's zone, and until when what happened is counted
//! - [`facts`]: a month's incidents as figures see them, read in parts
//! - [`response`]: how soon calls were answered; [`false_alarms`]: how often devices call in vain; both pure
//! - [`target`]: what a facility means to reach
//!
//! A figure and the list behind it ask the same question ([`response::Figure::counts`]), so that they cannot differ.
//! After a month is settled its figures no longer change: what happens to its incidents later is told apart.

pub mod facts;
pub mod false_alarms;
pub mod month;
pub mod notes;
pub mod response;
pub mod target;
