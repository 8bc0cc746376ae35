//! The words for what a record says in codes.

use serde::Serialize;
use serde_json::Value;
use songhe_kernel::http::{Choice, Ctx};
use songhe_kernel::{Result, Text};

use super::status_words;
use crate::{RecordFields, ResidentStatus};

/// Codes with the Fluent keys of their words.
pub(super) type Words = &'static [(&'static str, &'static str)];

pub(super) const SEX: Words =
    &[("male", "registry-sex-male"), ("female", "registry-sex-female"), ("unknown", "registry-sex-unknown")];
pub(super) const ABILITY: Words = &[
    ("0", "registry-ability-0"),
    ("1", "registry-ability-1"),
    ("2", "registry-ability-2"),
    ("3", "registry-ability-3"),
    ("4", "registry-ability-4"),
];
pub(super) const INCOME: Words = &[
    ("extreme_poverty", "record-income-extreme_poverty"),
    ("minimum_living", "record-income-minimum_living"),
    ("near_minimum_living", "record-income-near_minimum_living"),
    ("low_income", "record-income-low_income"),
    ("ordinary", "record-income-ordinary"),
];
pub(super) const DISABILITY: Words = &[
    ("visual", "record-disability-visual"),
    ("hearing", "record-disability-hearing"),
    ("speech", "record-disability-speech"),
    ("physical", "record-disability-physical"),
    ("intellectual", "record-disability-intellectual"),
    ("mental", "record-disability-mental"),
    ("multiple", "record-disability-multiple"),
];
pub(super) const GRADE: Words =
    &[("1", "record-grade-1"), ("2", "record-grade-2"), ("3", "record-grade-3"), ("4", "record-grade-4")];
pub(super) const LIVING: Words = &[
    ("alone", "record-living-alone"),
    ("with_spouse", "record-living-with_spouse"),
    ("with_children", "record-living-with_children"),
    ("with_relatives", "record-living-with_relatives"),
    ("with_helper", "record-living-with_helper"),
    ("institution", "record-living-institution"),
];
pub(super) const ALLERGENS: Words = &[
    ("gluten_cereals", "record-allergen-gluten_cereals"),
    ("crustaceans", "record-allergen-crustaceans"),
    ("fish", "record-allergen-fish"),
    ("eggs", "record-allergen-eggs"),
    ("peanuts", "record-allergen-peanuts"),
    ("soy", "record-allergen-soy"),
    ("milk", "record-allergen-milk"),
    ("tree_nuts", "record-allergen-tree_nuts"),
];
pub(super) const TEXTURE: Words = &[
    ("regular", "record-texture-regular"),
    ("soft", "record-texture-soft"),
    ("semi_liquid", "record-texture-semi_liquid"),
    ("liquid", "record-texture-liquid"),
    ("blended", "record-texture-blended"),
];
pub(super) const FOOD: Words = &[
    ("3", "record-food-3"),
    ("4", "record-food-4"),
    ("5", "record-food-5"),
    ("6", "record-food-6"),
    ("7", "record-food-7"),
];
pub(super) const DRINK: Words = &[
    ("0", "record-drink-0"),
    ("1", "record-drink-1"),
    ("2", "record-drink-2"),
    ("3", "record-drink-3"),
    ("4", "record-drink-4"),
];
pub(super) const DIETS: Words = &[
    ("low_salt", "record-diet-low_salt"),
    ("low_fat", "record-diet-low_fat"),
    ("low_cholesterol", "record-diet-low_cholesterol"),
    ("diabetic", "record-diet-diabetic"),
    ("low_purine", "record-diet-low_purine"),
    ("low_protein", "record-diet-low_protein"),
    ("high_protein", "record-diet-high_protein"),
    ("low_residue", "record-diet-low_residue"),
    ("halal", "record-diet-halal"),
    ("vegetarian", "record-diet-vegetarian"),
];
pub(crate) const STATUS: Words = &[
    ("active", "record-status-active"),
    ("away", "record-status-away"),
    ("in_hospital", "record-status-in_hospital"),
    ("in_institution", "record-status-in_institution"),
    ("moved", "record-status-moved"),
    ("deceased", "record-status-deceased"),
];
pub(super) const CONSENTS: Words = &[
    ("camera", "record-consent-camera"),
    ("position", "record-consent-position"),
    ("family_view", "record-consent-family_view"),
    ("data_sharing", "record-consent-data_sharing"),
];
pub(super) const CONSENT_BY: Words = &[("self", "record-by-self"), ("guardian", "record-by-guardian")];
pub(super) const DOCUMENTS: Words = &[
    ("id_card", "record-document-id_card"),
    ("hmt_permit", "record-document-hmt_permit"),
    ("permanent_residence", "record-document-permanent_residence"),
    ("passport", "record-document-passport"),
    ("other", "record-document-other"),
];
const YES_NO: Words = &[("false", "record-no"), ("true", "record-yes")];

pub(super) fn choices(ctx: &Ctx, words: Words) -> Vec<Choice> {
    words.iter().map(|(code, key)| Choice::new(code, ctx.say(&Text::key(key)))).collect()
}

/// The word for a code; the code itself for one without a word.
pub(crate) fn word(ctx: &Ctx, words: Words, code: &str) -> String {
    match words.iter().find(|(known, _)| *known == code) {
        Some((_, key)) => ctx.say(&Text::key(key)),
        None => code.to_owned(),
    }
}

/// The field of a record: its Fluent key, and the words of its codes.
pub(super) const FIELDS: &[(&str, &str, Words)] = &[
    ("name", "registry-name", &[]),
    ("sex", "registry-sex", SEX),
    ("birth_date", "registry-born", &[]),
    ("household_region", "record-household-region", &[]),
    ("residence_region", "record-residence-region", &[]),
    ("income_class", "record-income", INCOME),
    ("disability", "record-disability", DISABILITY),
    ("living_situation", "record-living", LIVING),
    ("ability_level", "registry-ability", ABILITY),
    ("fall_risk_high", "registry-fall-risk-high", YES_NO),
    ("allergens", "record-allergens", ALLERGENS),
    ("diet_texture", "record-texture", TEXTURE),
    ("food_level", "record-food", FOOD),
    ("drink_level", "record-drink", DRINK),
    ("diets", "record-diets", DIETS),
];

/// What a field holds, in words.
pub(super) fn value_words(ctx: &Ctx, words: Words, value: &Value) -> String {
    match value {
        Value::Null => "—".to_owned(),
        Value::Array(codes) if codes.is_empty() => "—".to_owned(),
        Value::Array(codes) => {
            let each = codes.iter().map(|code| value_words(ctx, words, code));
            each.collect::<Vec<_>>().join(" · ")
        }
        Value::Object(fields) => {
            let of =
                |name: &str, words| fields.get(name).map(|value| value_words(ctx, words, value)).unwrap_or_default();
            format!("{} {}", of("kind", words), of("grade", GRADE))
        }
        Value::String(code) => word(ctx, words, code),
        other => word(ctx, words, &other.to_string()),
    }
}

/// A filled field of the record.
#[derive(Serialize)]
pub(super) struct Fact {
    label: String,
    text: String,
}

/// What the record says, in words, without what the page shows anyway.
pub(super) fn record_facts(ctx: &Ctx, fields: &RecordFields) -> Result<Vec<Fact>> {
    let shown = ["name", "sex", "birth_date", "ability_level", "fall_risk_high"];
    let all = serde_json::to_value(fields)?;
    let filled = |value: &Value| !value.is_null() && value.as_array().is_none_or(|codes| !codes.is_empty());
    let of = |(name, label, words): &(&str, &'static str, Words)| {
        let value = all.get(*name).filter(|value| filled(value) && !shown.contains(name))?;
        Some(Fact { label: ctx.say(&Text::key(label)), text: value_words(ctx, words, value) })
    };
    Ok(FIELDS.iter().filter_map(of).collect())
}

/// The words for a status that says more than that somebody is there.
pub(super) fn unless_present(ctx: &Ctx, status: Option<ResidentStatus>) -> String {
    match status {
        None | Some(ResidentStatus::Active) => String::new(),
        Some(status) => status_words(ctx, status),
    }
}
