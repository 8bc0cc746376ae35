//! An incident's story and its messages in the words of the page.

use std::collections::HashMap;

use serde::Serialize;
use songhe_kernel::http::Ctx;
use songhe_kernel::{EffectId, Moment, Result, Text};

use crate::lists::Names;
use crate::model::{Channel, Entry, Reason, Row, RungRow, RungState, Target};
use crate::reach::{Person, names};
use crate::resource::Delivery;
use crate::story::Fact;

#[derive(Serialize)]
pub(super) struct Line {
    at: Moment,
    day: Option<String>,
    entry: &'static str,
    who: String,
    tone: &'static str,
    icon: &'static str,
    note: String,
    pending: bool,
}

/// A line before it stands among others.
struct Words {
    entry: &'static str,
    tone: &'static str,
    icon: &'static str,
    who: String,
    note: String,
}

/// What happened, and what is planned as long as nobody answers. Oldest first.
pub(super) fn lines(
    ctx: &Ctx,
    zone: chrono_tz::Tz,
    row: &Row,
    entries: &[Entry],
    rungs: &[RungRow],
    people: &Names,
) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut last_day = row.raised_at.day_in(zone);
    let mut push = |at: Moment, words: Words, pending: bool| {
        let day = at.day_in(zone);
        let shown = (day != last_day).then(|| day_words(ctx, day));
        last_day = day;
        let Words { entry, tone, icon, who, note } = words;
        lines.push(Line { at, day: shown, entry, who, tone, icon, note, pending });
    };
    for entry in entries {
        let by = entry.actor_id.and_then(|id| people.get(&id)).cloned().unwrap_or_default();
        push(entry.at, words(ctx, &serde_json::from_str(&entry.data)?, by), false);
    }
    if row.status()?.is_unanswered() {
        for rung in rungs.iter().filter(|rung| rung.state == RungState::Waiting.as_str()) {
            let target: Target = rung.target.parse()?;
            let channel: Channel = rung.channel.parse()?;
            let who = ctx.say(&Text::key(target.text_key()));
            let note = ctx.say(&Text::key(channel.text_key()));
            push(rung.due_at, Words { entry: "plan", tone: "", icon: "clock", who, note }, true);
        }
    }
    Ok(lines)
}

fn day_words(ctx: &Ctx, day: chrono::NaiveDate) -> String {
    use chrono::Datelike;
    ctx.say(&Text::key("incidents-day").arg("year", day.year()).arg("month", day.month()).arg("day", day.day()))
}

fn words(ctx: &Ctx, fact: &Fact, by: String) -> Words {
    let say = |key: &'static str| ctx.say(&Text::key(key));
    let line = |entry, tone, icon, who: String, note: String| Words { entry, tone, icon, who, note };
    let people =
        |target: &Target, who: &[String]| if who.is_empty() { say(target.text_key()) } else { who.join("、") };
    match fact {
        Fact::Raised { source, delayed_s } => {
            let late = delayed_s.map(|s| ctx.say(&Text::key("incidents-note-late").arg("seconds", s)));
            let note = [Some(source.clone()).filter(|text| !text.is_empty()), late].into_iter().flatten();
            line("raised", "high", "bell", by, note.collect::<Vec<_>>().join(" · "))
        }
        Fact::Signal { source, calls_again: true } => line("called_again", "high", "bell", by, source.clone()),
        Fact::Signal { source, calls_again: false } => line("joined", "medium", "bell", by, source.clone()),
        Fact::Cleared { source } => line("cleared", "", "info", by, source.clone()),
        Fact::Told { target, channel, who } => {
            line("notified", "", "check", people(target, who), say(channel.text_key()))
        }
        Fact::Passed { target, channel, who, reason } => {
            let note = format!("{} · {}", say(channel.text_key()), say(reason.text_key()));
            line("passed", "medium", "warning", people(target, who), note)
        }
        Fact::Sending { target, who, .. } => line("sending", "", "send", people(target, who), String::new()),
        Fact::DeliveryDelayed { why, .. } => line("delivery_delayed", "medium", "warning", by, why.clone()),
        Fact::DeliveryFailed { why, .. } => line("delivery_failed", "high", "warning", by, why.clone()),
        Fact::Repeated { times } => {
            let note = ctx.say(&Text::key("incidents-note-times").arg("n", times));
            line("repeated", "high", "bell", by, note)
        }
        Fact::Exhausted => line("exhausted", "high", "warning", by, String::new()),
        Fact::Acknowledged => line("acknowledged", "good", "run", by, String::new()),
        Fact::Arrived { by_tag } => {
            let note = if *by_tag { say("incidents-note-by-tag") } else { String::new() };
            line("arrived", "good", "arrive", by, note)
        }
        Fact::Resolved(resolution) => {
            let note = format!("{} · {}", say(resolution.outcome.text_key()), resolution.note);
            line("resolved", "good", "check", by, note)
        }
        Fact::Reviewed { note } => line("reviewed", "good", "check", by, note.clone()),
        Fact::Note { text } => line("note", "", "note", by, text.clone()),
    }
}

#[derive(Serialize)]
pub(super) struct DeliveryLine {
    to: String,
    target: String,
    channel: String,
    state: &'static str,
    at: Option<Moment>,
    attempts: i32,
    next_at: Option<Moment>,
    error: Option<String>,
}

/// How each rung that was acted on fared, by board or by message.
pub(super) fn deliveries(ctx: &Ctx, rungs: &[RungRow], messages: &[Delivery]) -> Result<Vec<DeliveryLine>> {
    let by_id: HashMap<EffectId, &Delivery> = messages.iter().map(|message| (message.effect_id, message)).collect();
    let acted = |rung: &&RungRow| !matches!(rung.state.as_str(), "waiting" | "stopped");
    rungs
        .iter()
        .filter(acted)
        .map(|rung| {
            let message = rung.effect_id.and_then(|id| by_id.get(&EffectId(id)));
            let who: Vec<Person> = serde_json::from_str(&rung.who)?;
            let target: Target = rung.target.parse()?;
            let reason = rung.reason.as_deref().map(str::parse::<Reason>).transpose()?;
            let state = match (message.map(|message| message.status.as_str()), rung.state.as_str()) {
                (Some("delivered"), _) => "sent",
                (Some("failed"), _) => "failed",
                (Some("expired"), _) => "expired",
                (Some(_), _) if message.is_some_and(|message| message.attempts > 0) => "retrying",
                (Some(_), _) => "waiting",
                (None, "told") => "seen",
                (None, _) => "passed",
            };
            let reason_words = reason.map(|reason| ctx.say(&Text::key(reason.text_key())));
            Ok(DeliveryLine {
                to: if who.is_empty() { ctx.say(&Text::key(target.text_key())) } else { names(&who).join("、") },
                target: rung.target.clone(),
                channel: rung.channel.clone(),
                state,
                at: message.map_or(rung.done_at, |message| message.done_at),
                attempts: message.map_or(i32::from(state == "seen"), |message| message.attempts),
                next_at: message.filter(|message| message.status == "queued").map(|message| message.next_at),
                error: message.and_then(|message| message.error.clone()).or(reason_words),
            })
        })
        .collect()
}
