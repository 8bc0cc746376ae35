//! What people edit of a resident in one form, with a version, so that of two who edit at once the second one sees what
//! the first one changed, and nothing is lost.

use chrono::NaiveDate;
use diesel::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use songhe_kernel::audit::{AuditEntry, masked};
use songhe_kernel::db::{Db, Tx};
use songhe_kernel::{Error, Moment, Result, Text, UserId};

use super::codes::{
    Allergen, Diet, DietTexture, Disability, DisabilityKind, IncomeClass, LivingSituation, joined, sorted, split,
};
use super::document::against_document;
use super::identity_number::{is_region, normalised};
use super::search::index_again;
use crate::ResidentId;
use crate::check::{Check, MAX_NAME_CHARS};
use crate::facilities::facility;
use crate::residents::{MAX_AGE_YEARS, Resident, Sex, announce, lock, resident};
use crate::schema::{resident as resident_table, resident_profile};

/// The part of a record that is neither sensitive nor dated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordFields {
    /// 1 to 60 characters.
    pub name: String,
    pub sex: Sex,
    #[serde(default)]
    pub birth_date: Option<NaiveDate>,
    /// Household registration (户籍): the official code of a county (6 digits), street (9) or community (12).
    #[serde(default)]
    pub household_region: Option<String>,
    /// Where they live, likewise.
    #[serde(default)]
    pub residence_region: Option<String>,
    #[serde(default)]
    pub income_class: Option<IncomeClass>,
    #[serde(default)]
    pub disability: Option<Disability>,
    #[serde(default)]
    pub living_situation: Option<LivingSituation>,
    /// GB/T 42195: 0 (able) to 4 (completely dependent); `null`: not assessed.
    #[serde(default)]
    #[schemars(range(min = 0, max = 4))]
    pub ability_level: Option<i16>,
    #[serde(default)]
    pub fall_risk_high: bool,
    /// GB 7718-2025.
    #[serde(default)]
    pub allergens: Vec<Allergen>,
    #[serde(default)]
    pub diet_texture: Option<DietTexture>,
    /// IDDSI: the highest level of food, 3 to 7.
    #[serde(default)]
    #[schemars(range(min = 3, max = 7))]
    pub food_level: Option<i16>,
    /// IDDSI: the lowest level of drinks, 0 to 4.
    #[serde(default)]
    #[schemars(range(min = 0, max = 4))]
    pub drink_level: Option<i16>,
    #[serde(default)]
    pub diets: Vec<Diet>,
}

/// A record as it is now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "ResidentRecord")]
pub struct Record {
    /// Grows with each change; 0: never edited.
    pub version: i32,
    pub fields: RecordFields,
    pub changed_at: Option<Moment>,
    pub changed_by: Option<UserId>,
}

/// A record to be written in the place of the one that was seen.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordEdit {
    /// The version that was seen.
    pub version: i32,
    /// All of them: what is left out is emptied.
    pub fields: RecordFields,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = resident_profile, primary_key(resident_id))]
#[diesel(treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    resident_id: ResidentId,
    version: i32,
    household_region: Option<String>,
    residence_region: Option<String>,
    income_class: Option<IncomeClass>,
    disability_kind: Option<DisabilityKind>,
    disability_grade: Option<i16>,
    living_situation: Option<LivingSituation>,
    allergens: String,
    diet_texture: Option<DietTexture>,
    food_level: Option<i16>,
    drink_level: Option<i16>,
    diets: String,
    changed_at: Moment,
    changed_by: Option<UserId>,
}

/// The record of a resident.
///
/// # Errors
/// `NotFound` when there is no such resident.
pub fn record(db: &mut Db, id: ResidentId) -> Result<Record> {
    let person = resident(db, id)?.ok_or(Error::NotFound)?;
    let row: Option<Row> = resident_profile::table.find(id).select(Row::as_select()).first(db).optional()?;
    let alone = person.living_alone.then_some(LivingSituation::Alone);
    let mut fields = RecordFields {
        name: person.name,
        sex: person.sex,
        birth_date: person.birth_date,
        household_region: None,
        residence_region: None,
        income_class: None,
        disability: None,
        living_situation: alone,
        ability_level: person.ability_level,
        fall_risk_high: person.fall_risk_high,
        allergens: Vec::new(),
        diet_texture: None,
        food_level: None,
        drink_level: None,
        diets: Vec::new(),
    };
    let Some(row) = row else { return Ok(Record { version: 0, fields, changed_at: None, changed_by: None }) };
    fields.household_region = row.household_region;
    fields.residence_region = row.residence_region;
    fields.income_class = row.income_class;
    fields.disability = row.disability_kind.zip(row.disability_grade).map(|(kind, grade)| Disability { kind, grade });
    fields.living_situation = row.living_situation.or(alone);
    fields.allergens = split(&row.allergens, Allergen::parse)?;
    fields.diet_texture = row.diet_texture;
    fields.food_level = row.food_level;
    fields.drink_level = row.drink_level;
    fields.diets = split(&row.diets, Diet::parse)?;
    Ok(Record { version: row.version, fields, changed_at: Some(row.changed_at), changed_by: row.changed_by })
}

/// Writes a record; answers its version. One that is already as wished is left alone.
///
/// # Errors
/// `NotFound` when there is no such resident; `Conflict` when somebody else has changed it since; `Invalid` on the refused
/// fields, as they are named in [`RecordFields`].
pub fn edit_record(tx: &mut Tx<'_>, id: ResidentId, edit: &RecordEdit, actor: Option<UserId>) -> Result<i32> {
    lock(tx, id)?;
    let person = resident(tx.db(), id)?.ok_or(Error::NotFound)?;
    let now = record(tx.db(), id)?;
    let fields = checked(tx, &person, &edit.fields)?;
    let wrong = against_document(tx, &person, fields.birth_date, fields.sex)?;
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    if fields == now.fields {
        return Ok(now.version);
    }
    if edit.version != now.version {
        return Err(Error::conflict("record-error-changed"));
    }
    let changed = differences(&now.fields, &fields)?;
    write(tx, &person, now.version, &fields, actor)?;
    let version = now.version + 1;
    let entry = AuditEntry::new("resident.edit", id).at(person.facility_id).about(id.0);
    tx.audit(entry.before(told(&now.fields, &changed)?).after(told(&fields, &changed)?))?;
    announce(
        tx,
        "registry.resident.changed",
        person.facility_id,
        id,
        actor,
        // Which fields, never what was in them.
        json!({ "version": version, "fields": changed }),
    )?;
    Ok(version)
}

/// Some fields as the audit log may keep them: who somebody is stays masked.
fn told(fields: &RecordFields, names: &[String]) -> Result<Value> {
    let mut all = serde_json::to_value(fields)?;
    let Some(values) = all.as_object_mut() else { return Ok(all) };
    values.retain(|name, _| names.contains(name));
    for name in ["name", "birth_date"] {
        if let Some(Value::String(text)) = values.get_mut(name) {
            *text = masked(text);
        }
    }
    Ok(all)
}

/// The names of the fields in which two records differ.
pub(crate) fn differences(one: &RecordFields, other: &RecordFields) -> Result<Vec<String>> {
    let (one, other) = (serde_json::to_value(one)?, serde_json::to_value(other)?);
    let names = one.as_object().into_iter().flat_map(|fields| fields.keys());
    Ok(names.filter(|name| one.get(name) != other.get(name)).cloned().collect())
}

/// What was changed by either of two who both began with `base`; where both changed a field, `mine` counts.
pub(crate) fn merged(base: &RecordFields, mine: &RecordFields, theirs: &RecordFields) -> Result<RecordFields> {
    let own = differences(base, mine)?;
    let (mine, mut both) = (serde_json::to_value(mine)?, serde_json::to_value(theirs)?);
    if let Some(fields) = both.as_object_mut() {
        for name in own {
            let value = mine.get(&name).cloned().unwrap_or_default();
            fields.insert(name, value);
        }
    }
    Ok(serde_json::from_value(both)?)
}

fn checked(tx: &mut Tx<'_>, person: &Resident, typed: &RecordFields) -> Result<RecordFields> {
    let mut check = Check::default();
    let name = check.words("name", &typed.name, MAX_NAME_CHARS).to_owned();
    let home = facility(tx.db(), person.facility_id)?.ok_or(Error::NotFound)?;
    let today = tx.now().day_in(home.tz()?);
    if let Some(birth) = typed.birth_date
        && today.years_since(birth).is_none_or(|age| age > MAX_AGE_YEARS)
    {
        check.refuse("birth_date", Text::key("error-invalid-date"));
    }
    let household_region = region(&mut check, "household_region", typed.household_region.as_deref());
    let residence_region = region(&mut check, "residence_region", typed.residence_region.as_deref());
    let grade = typed.disability.map(|disability| disability.grade);
    for (field, value, min, max) in [
        ("ability_level", typed.ability_level, 0, 4),
        ("disability_grade", grade, 1, 4),
        ("food_level", typed.food_level, 3, 7),
        ("drink_level", typed.drink_level, 0, 4),
    ] {
        if value.is_some_and(|value| !(min..=max).contains(&value)) {
            check.refuse(field, Text::key("error-out-of-range").arg("min", min).arg("max", max));
        }
    }
    check.finish()?;
    Ok(RecordFields {
        name,
        household_region,
        residence_region,
        allergens: sorted(&typed.allergens),
        diets: sorted(&typed.diets),
        ..typed.clone()
    })
}

fn region(check: &mut Check, field: &'static str, typed: Option<&str>) -> Option<String> {
    let code = normalised(typed?);
    if code.is_empty() {
        return None;
    }
    if !is_region(&code) {
        check.refuse(field, Text::key("record-error-region"));
    }
    Some(code)
}

fn write(tx: &mut Tx<'_>, person: &Resident, version: i32, fields: &RecordFields, actor: Option<UserId>) -> Result<()> {
    diesel::update(resident_table::table.find(person.id))
        .set((
            resident_table::name.eq(&fields.name),
            resident_table::sex.eq(fields.sex),
            resident_table::birth_date.eq(fields.birth_date),
            resident_table::ability_level.eq(fields.ability_level),
            resident_table::living_alone.eq(fields.living_situation == Some(LivingSituation::Alone)),
            resident_table::fall_risk_high.eq(fields.fall_risk_high),
        ))
        .execute(tx.db())?;
    if fields.name != person.name {
        index_again(tx.db(), person.facility_id, person.id, &person.name, &fields.name)?;
    }
    let row = Row {
        resident_id: person.id,
        version: version + 1,
        household_region: fields.household_region.clone(),
        residence_region: fields.residence_region.clone(),
        income_class: fields.income_class,
        disability_kind: fields.disability.map(|disability| disability.kind),
        disability_grade: fields.disability.map(|disability| disability.grade),
        living_situation: fields.living_situation,
        allergens: joined(&fields.allergens),
        diet_texture: fields.diet_texture,
        food_level: fields.food_level,
        drink_level: fields.drink_level,
        diets: joined(&fields.diets),
        changed_at: tx.now(),
        changed_by: actor,
    };
    let updated = diesel::update(resident_profile::table.find(person.id)).set(&row).execute(tx.db())?;
    if updated == 0 {
        diesel::insert_into(resident_profile::table).values(&row).execute(tx.db())?;
    }
    Ok(())
}
