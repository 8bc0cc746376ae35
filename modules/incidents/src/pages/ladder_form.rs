//! The form of a ladder: what is posted, read into a ladder and back.

use std::collections::HashMap;

use serde::Serialize;
use songhe_kernel::http::Ctx;
use songhe_kernel::{FacilityId, FieldError, Text};

use crate::ladders::{Ladder, Rung};
use crate::model::{Channel, LadderId, Priority, Target};

/// Empty rungs at the end of a form, to be filled in.
const SPARE: usize = 2;
/// Rungs that a form may carry.
const MAX: usize = 22;

/// As shown and posted.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct LadderForm {
    pub(super) name: String,
    pub(super) facility: String,
    pub(super) scenario: String,
    pub(super) priority: String,
    pub(super) repeat_s: String,
    pub(super) rungs: Vec<RungForm>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct RungForm {
    no: usize,
    after_s: String,
    target: String,
    rank: String,
    channel: String,
    error: Option<String>,
}

impl LadderForm {
    /// The fields of a form as it was posted; a rung whose target is empty is not kept.
    pub(super) fn posted(fields: &HashMap<String, String>) -> Self {
        let text = |name: &str| fields.get(name).map(|value| value.trim().to_owned()).unwrap_or_default();
        let rungs = (1..=MAX)
            .map(|no| RungForm {
                no,
                after_s: text(&format!("rung_{no}_after_s")),
                target: text(&format!("rung_{no}_target")),
                rank: text(&format!("rung_{no}_rank")),
                channel: text(&format!("rung_{no}_channel")),
                error: None,
            })
            .filter(|rung| !rung.target.is_empty())
            .collect();
        Self {
            name: text("name"),
            facility: text("facility"),
            scenario: text("scenario"),
            priority: text("priority"),
            repeat_s: text("repeat_s"),
            rungs,
        }
    }

    pub(super) fn of(ladder: &Ladder) -> Self {
        let rung = |rung: &Rung| RungForm {
            after_s: rung.after_seconds.to_string(),
            target: rung.target.as_str().into(),
            rank: rung.rank.map(|rank| rank.to_string()).unwrap_or_default(),
            channel: rung.channel.as_str().into(),
            ..RungForm::default()
        };
        Self {
            name: ladder.name.clone(),
            facility: ladder.facility.to_string(),
            scenario: ladder.scenario.clone().unwrap_or_default(),
            priority: ladder.priority.as_str().into(),
            repeat_s: ladder.repeat_seconds.to_string(),
            rungs: ladder.rungs.iter().map(rung).collect(),
        }
    }

    /// Numbers the rungs and adds the spare ones.
    pub(super) fn ready(mut self) -> Self {
        self.rungs
            .extend((0..SPARE).map(|_| RungForm { channel: Channel::Board.as_str().into(), ..RungForm::default() }));
        for (rung, no) in self.rungs.iter_mut().zip(1..) {
            rung.no = no;
        }
        self
    }

    /// The ladder that the form describes, as far as it can be read. What cannot be is told at its rung, or by the errors.
    pub(super) fn ladder(
        &mut self,
        ctx: &Ctx,
        id: Option<LadderId>,
        facility: FacilityId,
    ) -> Result<Ladder, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let priority = Priority::parse(&self.priority);
        if priority.is_none() {
            wrong.push(FieldError::new("priority", Text::key("error-choose")));
        }
        let repeat_seconds = self.repeat_s.parse::<i32>().ok();
        if repeat_seconds.is_none() {
            let key = if self.repeat_s.is_empty() { "error-required" } else { "error-invalid-number" };
            wrong.push(FieldError::new("repeat_seconds", Text::key(key)));
        }
        // The rest of the name is looked at with the whole ladder; all that is empty is told together.
        if !wrong.is_empty() && self.name.trim().is_empty() {
            wrong.push(FieldError::new("name", Text::key("error-required")));
        }
        let mut rungs = Vec::new();
        for form in &mut self.rungs {
            match form.rung() {
                Ok(rung) => rungs.push(rung),
                Err(text) => {
                    form.error = Some(ctx.say(&text));
                    wrong.push(FieldError::new("rungs", text));
                }
            }
        }
        match (priority, repeat_seconds) {
            (Some(priority), Some(repeat_seconds)) if wrong.is_empty() => Ok(Ladder {
                id,
                facility,
                scenario: Some(self.scenario.clone()).filter(|scenario| !scenario.is_empty()),
                priority,
                name: self.name.clone(),
                repeat_seconds,
                active: true,
                rungs,
            }),
            _ => Err(wrong),
        }
    }
}

impl RungForm {
    fn rung(&self) -> Result<Rung, Text> {
        let number = |text: &str| text.parse::<i32>().map_err(|_| Text::key("error-invalid-number"));
        Ok(Rung {
            after_seconds: number(&self.after_s)?,
            target: Target::parse(&self.target).ok_or_else(|| Text::key("error-choose"))?,
            rank: if self.rank.is_empty() { None } else { Some(number(&self.rank)?) },
            channel: Channel::parse(&self.channel).ok_or_else(|| Text::key("error-choose"))?,
        })
    }
}

/// Field of a ladder, input of the form, its label.
pub(super) const FIELDS: [(&str, &str, &str); 9] = [
    ("name", "name", "incidents-ladder-name"),
    ("facility", "facility", "incidents-ladder-facility"),
    ("scenario", "scenario", "incidents-ladder-scenario"),
    ("priority", "priority", "incidents-ladder-priority"),
    ("repeat_seconds", "repeat_s", "incidents-ladder-repeat-every"),
    ("rungs", "rungs", "incidents-ladder-rungs"),
    ("after_seconds", "rungs", "incidents-rung-after"),
    ("channel", "rungs", "incidents-rung-channel"),
    ("rank", "rungs", "incidents-rung-rank"),
];
