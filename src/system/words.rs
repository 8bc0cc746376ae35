//! The state in words: what needs attention, the figures on top, the notes beside a row.

use serde::Serialize;
use songhe_kernel::Text;
use songhe_kernel::http::{Ctx, Figure};

use super::state::{Health, LONG_TRANSACTION_S, STANDS_AFTER_S, State};
use super::transport::Broker;

/// The model of templates/kernel/system.hbs.
#[derive(Serialize)]
pub(super) struct Page {
    attention: Vec<String>,
    figures: Vec<Figure>,
    #[serde(flatten)]
    state: State,
}

pub(super) fn page(ctx: &Ctx, state: State) -> Page {
    let attention = attention(&state).iter().map(|text| ctx.say(text)).collect();
    Page { attention, figures: figures(ctx, &state), state }
}

/// What somebody has to look after; empty when all is well.
fn attention(state: &State) -> Vec<Text> {
    let mut all = Vec::new();
    let mut tell = |wrong: bool, text: Text| {
        if wrong {
            all.push(text);
        }
    };
    let totals = &state.totals;
    let counted = |key: &'static str, n: i64| (n > 0, Text::key(key).arg("n", n));
    for link in &state.broker.links {
        let key = match link.lane {
            "emergency" => "system-attention-link-emergency",
            "gateways" => "system-attention-link-gateways",
            _ => "system-attention-link",
        };
        tell(!link.connected, Text::key(key));
    }
    if let Some(servers) = &state.servers {
        tell(servers.ingest.is_none() && servers.shares_broker, Text::key("system-attention-no-holder"));
        tell(servers.not_alone, Text::key("system-attention-not-alone"));
        tell(servers.sessions_differ, Text::key("system-attention-sessions"));
    }
    let free_mb = state.disk.free_mb.unwrap_or_default();
    tell(state.disk.level == "low", Text::key("system-attention-disk-low").arg("n", free_mb));
    tell(state.disk.level == "short", Text::key("system-attention-disk-short").arg("n", state.disk.not_kept));
    tell(state.certificate_refused, Text::key("system-attention-certificate"));
    if let Some(held) = &state.held {
        tell(true, Text::key("system-attention-held").arg("n", held.waiting));
    }
    if let Some(hours) = state.backup.overdue_h {
        tell(true, Text::key("system-attention-backup").arg("n", hours));
    }
    if let Some(failed) = &state.backup.failed {
        tell(true, Text::key("system-attention-backup-failed").arg("why", &failed.why));
    }
    for loud in &state.broker.loud {
        if loud.left_out > 0 {
            let text = Text::key("system-attention-loud-left-out").arg("serial", &loud.serial);
            tell(true, text.arg("n", loud.left_out));
            continue;
        }
        let key = if loud.dropped > 0 { "system-attention-loud-dropped" } else { "system-attention-loud" };
        let text = Text::key(key).arg("serial", &loud.serial).arg("delayed", loud.delayed).arg("dropped", loud.dropped);
        tell(true, text);
    }
    for queue in state.queues.iter().filter(|queue| queue.name.starts_with("write")) {
        tell(queue.status != Health::Ok, Text::key("system-attention-writes").arg("n", queue.depth));
    }
    if let Some(seconds) = state.oldest_transaction_s {
        tell(seconds > LONG_TRANSACTION_S, Text::key("system-attention-transaction").arg("n", seconds));
    }
    for (wrong, text) in [
        counted("system-attention-timers-overdue", totals.timers_overdue),
        counted("system-attention-timers-parked", totals.timers_parked),
        counted("system-attention-events-parked", totals.events_parked),
        counted("system-attention-effects-lost", totals.effects_lost),
        counted("system-attention-messages-lost", i64::try_from(state.broker.lost).unwrap_or(i64::MAX)),
    ] {
        tell(wrong, text);
    }
    for cursor in &state.subscriptions {
        let stands = cursor.oldest_s.is_some_and(|age_s| age_s > STANDS_AFTER_S);
        tell(stands, Text::key("system-attention-events-behind").arg("module", &cursor.module).arg("n", cursor.behind));
    }
    all
}

fn figures(ctx: &Ctx, state: &State) -> Vec<Figure> {
    let words = |key: &'static str| ctx.say(&Text::key(key));
    let with = |key: &'static str, n: i64| ctx.say(&Text::key(key).arg("n", n));
    let totals = &state.totals;
    let bad = |wrong: bool, tone: &'static str| wrong.then_some(tone);
    let mut figures = Vec::new();
    let mut add = |label: String, value: String, note: Option<String>, tone: Option<&'static str>| {
        figures.push(Figure { label, value, note, tone });
    };
    if let Some(writer) = &state.writer {
        let per_commit = writer.operations as f64 / writer.commits.max(1) as f64;
        let slow = i64::try_from(writer.slow).unwrap_or(i64::MAX);
        let note = with("system-figure-slow", slow);
        add(words("system-figure-group"), format!("{per_commit:.1}"), Some(note), bad(slow > 0, "medium"));
    }
    if let Some(seconds) = state.oldest_transaction_s {
        let long = seconds > LONG_TRANSACTION_S;
        add(words("system-figure-transaction"), with("system-seconds", seconds), None, bad(long, "high"));
    }
    let behind = state.subscriptions.iter().map(|cursor| cursor.behind).max().unwrap_or_default();
    let parked = with("system-figure-parked", totals.events_parked);
    add(words("system-figure-behind"), behind.to_string(), Some(parked), bad(totals.events_parked > 0, "high"));
    let parked = with("system-figure-parked", totals.timers_parked);
    let overdue = totals.timers_overdue.to_string();
    add(words("system-figure-overdue"), overdue, Some(parked), bad(totals.timers_parked > 0, "high"));
    let lost = with("system-figure-lost", totals.effects_lost);
    let queued = totals.effects_queued.to_string();
    add(words("system-figure-effects"), queued, Some(lost), bad(totals.effects_lost > 0, "high"));
    let (rejected, day) = (totals.messages_rejected, words("system-figure-day"));
    add(words("system-figure-rejected"), rejected.to_string(), Some(day), bad(rejected > 0, "medium"));
    let streams = with("system-figure-streams", i64::try_from(state.streams).unwrap_or(i64::MAX));
    let boards = state.streams_with_sound;
    add(words("system-figure-boards"), boards.to_string(), Some(streams), bad(boards == 0, "medium"));
    figures
}

/// What a broker's row says beside its state: refusals of the embedded one, connections to an external one.
pub(super) fn broker_note(ctx: &Ctx, broker: &Broker) -> Option<String> {
    if !broker.links.is_empty() {
        let one = |lane: &'static str, connected: bool| {
            ctx.say(&Text::key(match (lane, connected) {
                ("emergency", true) => "system-link-emergency-up",
                ("emergency", false) => "system-link-emergency-down",
                ("gateways", true) => "system-link-gateways-up",
                ("gateways", false) => "system-link-gateways-down",
                (_, true) => "system-link-telemetry-up",
                (_, false) => "system-link-telemetry-down",
            }))
        };
        let mut said: Vec<String> = broker.links.iter().map(|link| one(link.lane, link.connected)).collect();
        if broker.left_out > 0 {
            said.push(ctx.say(&Text::key("system-broker-left-out").arg("n", broker.left_out)));
        }
        return Some(said.join(" "));
    }
    if broker.waits {
        return Some(ctx.say(&Text::key("system-broker-waits")));
    }
    let refusals = [
        ("system-broker-refused-sign-ins", broker.refused_sign_ins),
        ("system-broker-refused-topics", broker.refused_topics),
        ("system-broker-withheld", broker.withheld),
        ("system-broker-lost", broker.lost),
        ("system-broker-delayed", broker.delayed),
        ("system-broker-dropped", broker.dropped),
        ("system-broker-turned-away", broker.turned_away),
    ];
    let said = refusals.iter().filter(|(_, n)| *n > 0).map(|(key, n)| ctx.say(&Text::key(key).arg("n", n)));
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| said.join(" "))
}

/// Over which time an adapter's messages are counted.
pub(super) fn adapter_note(ctx: &Ctx) -> String {
    ctx.say(&Text::key("system-adapter-counted"))
}

/// Stands for an adapter's name at messages that are none's.
pub(super) fn no_adapter(ctx: &Ctx) -> String {
    ctx.say(&Text::key("system-no-adapter"))
}
