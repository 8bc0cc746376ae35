//! What templates can call beyond Handlebars' own helpers:
//! `t`, `asset`, `icon`, `datetime`, `time`, `date`, `duration`, `csrf`, `can`, `concat`.
//!
//! They read `locale`, `zone`, `csrf`, `form_key` and `caller.permissions` of the page context's root, so they work the
//! same inside loops and partials.

use std::sync::Arc;

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;
use fluent_templates::fluent_bundle::FluentValue;
use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderError, RenderErrorReason,
    ScopedJson, html_escape,
};
use serde_json::Value;

use super::Assets;
use crate::i18n::{I18n, Locale};
use crate::time::{DEFAULT_ZONE, Moment};

/// A helper whose answer is a value: usable in text, attributes and as another helper's argument.
struct Computed<F>(F);

impl<F> HelperDef for Computed<F>
where
    F: Fn(&Helper<'_>, &Value) -> Result<Value, RenderError> + Send + Sync,
{
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        (self.0)(helper, context.data()).map(ScopedJson::Derived)
    }
}

fn compute<F>(registry: &mut Handlebars<'static>, name: &str, f: F)
where
    F: Fn(&Helper<'_>, &Value) -> Result<Value, RenderError> + Send + Sync + 'static,
{
    registry.register_helper(name, Box::new(Computed(f)));
}

pub(super) fn register(registry: &mut Handlebars<'static>, i18n: &Arc<I18n>, assets: &Arc<Assets>) {
    let texts = i18n.clone();
    compute(registry, "t", move |helper, root| {
        let key = text_param(helper, 0)?;
        let args = helper.hash().iter().map(|(name, value)| (*name, fluent_value(value.value()))).collect();
        Ok(texts.text(locale(root), key, &args).into())
    });
    let texts = i18n.clone();
    compute(registry, "duration", move |helper, root| {
        let seconds = param(helper, 0)?.as_f64().ok_or_else(|| wrong("duration wants a number of seconds"))?;
        Ok(texts.duration(locale(root), seconds as i64).into())
    });
    for (name, format) in [("datetime", "%Y-%m-%d %H:%M"), ("date", "%Y-%m-%d"), ("time", "%H:%M")] {
        compute(registry, name, move |helper, root| Ok(civil(text_param(helper, 0)?, root, format)?.into()));
    }
    compute(registry, "day", |helper, root| Ok(day_in_words(text_param(helper, 0)?, root)?.into()));
    let files = assets.clone();
    compute(registry, "asset", move |helper, _| Ok(asset(&files, text_param(helper, 0)?)?.into()));
    compute(registry, "can", |helper, root| {
        let wanted = param(helper, 0)?;
        let held = root.pointer("/caller/permissions").and_then(Value::as_array);
        Ok(held.is_some_and(|held| held.contains(wanted)).into())
    });
    compute(registry, "concat", |helper, _| {
        Ok(helper.params().iter().map(|part| plain(part.value())).collect::<String>().into())
    });
    let files = assets.clone();
    registry.register_helper("icon", Box::new(Icon(files)));
    registry.register_helper("csrf", Box::new(csrf));
}

/// `{{icon "bell"}}`: a picture beside words, so it is hidden from screen readers.
struct Icon(Arc<Assets>);

impl HelperDef for Icon {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let (sprite, name) = (asset(&self.0, "icons.svg")?, html_escape(text_param(helper, 0)?));
        let picture = r#"<svg class="i" aria-hidden="true" focusable="false"><use href=""#;
        out.write(&format!("{picture}{sprite}#{name}\"></use></svg>"))?;
        Ok(())
    }
}

/// `{{csrf}}`: the hidden inputs of every form that posts: the session's token and the key of this one sending.
fn csrf(
    _: &Helper<'_>,
    _: &Handlebars<'_>,
    context: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    for name in ["csrf", "form_key"] {
        let value = context.data().get(name).and_then(Value::as_str).unwrap_or_default();
        out.write(&format!(r#"<input type="hidden" name="{name}" value="{}">"#, html_escape(value)))?;
    }
    Ok(())
}

fn wrong(what: impl Into<String>) -> RenderError {
    RenderErrorReason::Other(what.into()).into()
}

fn param<'a>(helper: &'a Helper<'_>, index: usize) -> Result<&'a Value, RenderError> {
    match helper.param(index) {
        Some(param) if !param.is_value_missing() => Ok(param.value()),
        _ => Err(wrong(format!("{} lacks its argument", helper.name()))),
    }
}

fn text_param<'a>(helper: &'a Helper<'_>, index: usize) -> Result<&'a str, RenderError> {
    param(helper, index)?.as_str().ok_or_else(|| wrong(format!("{} wants a string", helper.name())))
}

fn locale(root: &Value) -> Locale {
    root.get("locale").and_then(Value::as_str).and_then(Locale::parse).unwrap_or(Locale::DEFAULT)
}

/// Numbers stay numbers, so that they choose plurals.
fn fluent_value(value: &Value) -> FluentValue<'static> {
    match value.as_f64() {
        Some(number) => FluentValue::from(number),
        None => FluentValue::from(plain(value)),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn civil(moment: &str, root: &Value, format: &str) -> Result<String, RenderError> {
    let moment: Moment = moment.parse().map_err(|error| wrong(format!("{moment} is no time: {error}")))?;
    let zone = root.get("zone").and_then(Value::as_str).and_then(|name| name.parse::<Tz>().ok());
    Ok(moment.in_zone(zone.unwrap_or(DEFAULT_ZONE)).format(format).to_string())
}

/// A date (`2026-11-23`) or the civil day of a moment: "11月23日 周一", "Mon 23 Nov".
fn day_in_words(text: &str, root: &Value) -> Result<String, RenderError> {
    let date = if text.contains('T') { civil(text, root, "%Y-%m-%d")? } else { text.to_owned() };
    let date: NaiveDate = date.parse().map_err(|error| wrong(format!("{text} is no day: {error}")))?;
    if root.get("locale").and_then(Value::as_str) == Some("en") {
        return Ok(date.format("%a %-d %b").to_string());
    }
    let weekday = ["一", "二", "三", "四", "五", "六", "日"].get(date.weekday().num_days_from_monday() as usize);
    Ok(format!("{} 周{}", date.format("%-m月%-d日"), weekday.unwrap_or(&"")))
}

fn asset(assets: &Assets, path: &str) -> Result<String, RenderError> {
    assets.url(path).ok_or_else(|| wrong(format!("there is no asset {path}")))
}
