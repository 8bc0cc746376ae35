//! An incident's story and its messages in the words of the page.

use std::collections::HashMap;

use serde::Serialize;
use songhe_kernel::http::Ctx;
use songhe_kernel::{Db, EffectId, FacilityId, Moment, Result, Text};

use crate::endpoints;
use crate::lists::Names;
use crate::model::{Channel, EndpointId, Entry, Occasion, Reason, Row, RungRow, RungState, Target};
use crate::reach::{Person, names};
use crate::reasons;
use crate::story::Fact;
use crate::telling::Delivery;

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
        Fact::Sending { target, channel, who, .. } => {
            let way = channel.map(|channel| say(channel.text_key())).unwrap_or_default();
            line("sending", "", "send", people(target, who), way)
        }
        Fact::DeliveryDelayed { why, .. } => line("delivery_delayed", "medium", "warning", by, reasons::note(ctx, why)),
        Fact::DeliveryFailed { why, .. } => line("delivery_failed", "high", "warning", by, reasons::note(ctx, why)),
        Fact::SentAgain { .. } => line("sent_again", "", "send", by, String::new()),
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
    /// Under it: whom it stands for, or what the message was for.
    about: String,
    channel: String,
    /// Where to: endpoint and number; empty for boards.
    address: String,
    state: &'static str,
    at: Option<Moment>,
    attempts: i32,
    next_at: Option<Moment>,
    error: Option<String>,
    /// The same in words; for boards the error is.
    why: Option<String>,
    /// As the message's text ends; empty for boards.
    number: String,
    /// May be sent again.
    effect: Option<EffectId>,
}

/// Names of a facility's endpoints.
pub(super) fn endpoint_names(db: &mut Db, facility: FacilityId) -> Result<HashMap<EndpointId, String>> {
    Ok(endpoints::of_facility(db, facility)?.into_iter().map(|endpoint| (endpoint.id, endpoint.name)).collect())
}

pub(super) fn state_of(message: &Delivery) -> &'static str {
    match message.status.as_str() {
        "delivered" => "sent",
        "failed" if message.in_doubt => "doubtful",
        "failed" => "failed",
        "expired" => "expired",
        _ if message.in_doubt => "doubt",
        _ if message.attempts > 0 => "retrying",
        _ => "waiting",
    }
}

/// How each rung that was acted on fared, by board or by messages; then every other message: of earlier rounds, and
/// those that told that somebody has answered.
pub(super) fn deliveries(
    ctx: &Ctx,
    rungs: &[RungRow],
    messages: &[Delivery],
    names_of: &HashMap<EndpointId, String>,
) -> Result<Vec<DeliveryLine>> {
    let mut lines = Vec::new();
    let mut shown: Vec<EffectId> = Vec::new();
    for rung in rungs.iter().filter(|rung| !matches!(rung.state.as_str(), "waiting" | "stopped")) {
        let who: Vec<Person> = serde_json::from_str(&rung.who)?;
        let target: Target = rung.target.parse()?;
        let channel: Channel = rung.channel.parse()?;
        let target = ctx.say(&Text::key(target.text_key()));
        let to = if who.is_empty() { target.clone() } else { names(&who).join("、") };
        let channel = ctx.say(&Text::key(channel.text_key()));
        let mine: Vec<&Delivery> = messages.iter().filter(|message| rung.effect_id == Some(message.first.0)).collect();
        if mine.is_empty() {
            let reason = rung.reason.as_deref().map(str::parse::<Reason>).transpose()?;
            let told = rung.state == "told";
            lines.push(DeliveryLine {
                to,
                about: target,
                channel,
                address: String::new(),
                state: if told { "seen" } else { "passed" },
                at: rung.done_at,
                attempts: i32::from(told),
                next_at: None,
                error: reason.map(|reason| ctx.say(&Text::key(reason.text_key()))),
                why: None,
                number: String::new(),
                effect: None,
            });
            continue;
        }
        for message in mine {
            shown.push(message.effect_id);
            lines.push(line(ctx, message, to.clone(), target.clone(), channel.clone(), names_of));
        }
    }
    for message in messages.iter().filter(|message| !shown.contains(&message.effect_id)) {
        let name = |occasion: Occasion| ctx.say(&Text::key(occasion.text_key()));
        let channel = ctx.say(&Text::key(Channel::Webhook.text_key()));
        lines.push(line(ctx, message, name(message.occasion), String::new(), channel, names_of));
    }
    Ok(lines)
}

fn line(
    ctx: &Ctx,
    message: &Delivery,
    to: String,
    about: String,
    channel: String,
    names_of: &HashMap<EndpointId, String>,
) -> DeliveryLine {
    let endpoint = message.endpoint.and_then(|id| names_of.get(&id)).cloned();
    let error = message.error.as_deref().filter(|_| message.status != "delivered");
    let address = endpoint.into_iter().chain(message.phone.clone()).collect::<Vec<_>>().join(" · ");
    DeliveryLine {
        to,
        about,
        channel,
        address,
        state: state_of(message),
        at: message.done_at,
        attempts: message.attempts,
        next_at: (message.status == "queued").then_some(message.next_at),
        why: reasons::explain(ctx, error),
        error: error.map(|error| reasons::without_mark(error).to_owned()),
        number: message.number.clone(),
        effect: message.may_be_sent_again().then_some(message.effect_id),
    }
}
