//! `/residents/{id}/edit`: the record in one form. The form carries the record that it began with: if somebody else has
//! changed it meanwhile, it comes back with what they changed taken over, and told.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use songhe_kernel::http::{Access, Choice, Ctx, Fields, Refused, Route, refused};
use songhe_kernel::identity::schema::app_user;
use songhe_kernel::{Db, Error, FieldError, Moment, Result, UserId};

use diesel::prelude::*;

use super::form::{Reader, given};
use super::record_words::{
    ABILITY, ALLERGENS, DIETS, DISABILITY, DRINK, FIELDS, FOOD, GRADE, INCOME, LIVING, SEX, TEXTURE, choices,
    value_words,
};
use crate::api::record::seen;
use crate::module::RESIDENTS_WRITE;
use crate::record::fields::{differences, merged};
use crate::{
    Allergen, Diet, DietTexture, Disability, DisabilityKind, IncomeClass, LivingSituation, Record, RecordEdit,
    RecordFields, ResidentId, Sex, edit_record, record,
};

pub(super) fn routes() -> Vec<Route> {
    let write = Access::Permission(RESIDENTS_WRITE);
    vec![Route::get("/residents/{id}/edit", write, show), Route::post("/residents/{id}/edit", write, save)]
}

/// As the page posts it.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Form {
    version: String,
    /// The record that the form began with, as JSON.
    base: String,
    name: String,
    sex: String,
    birth_date: String,
    household_region: String,
    residence_region: String,
    income_class: String,
    disability_kind: String,
    disability_grade: String,
    living_situation: String,
    ability_level: String,
    fall_risk_high: String,
    diet_texture: String,
    food_level: String,
    drink_level: String,
    /// `allergen_fish`, `diet_halal`: the boxes that are ticked.
    #[serde(flatten)]
    ticked: BTreeMap<String, String>,
}

const INPUTS: Fields = &[
    ("name", "registry-name"),
    ("sex", "registry-sex"),
    ("birth_date", "registry-born"),
    ("household_region", "record-household-region"),
    ("residence_region", "record-residence-region"),
    ("income_class", "record-income"),
    ("disability_kind", "record-disability"),
    ("disability_grade", "record-disability-grade"),
    ("living_situation", "record-living"),
    ("ability_level", "registry-ability"),
    ("diet_texture", "record-texture"),
    ("food_level", "record-food"),
    ("drink_level", "record-drink"),
];

impl Form {
    fn of(record: &Record) -> Result<Self> {
        let fields = &record.fields;
        let level = |level: Option<i16>| level.map(|level| level.to_string()).unwrap_or_default();
        let code = |code: Option<&'static str>| code.unwrap_or_default().to_owned();
        let allergens = fields.allergens.iter().map(|one| format!("allergen_{one}"));
        let ticked = allergens.chain(fields.diets.iter().map(|one| format!("diet_{one}")));
        Ok(Self {
            version: record.version.to_string(),
            base: serde_json::to_string(fields)?,
            name: fields.name.clone(),
            sex: fields.sex.to_string(),
            birth_date: fields.birth_date.map(|day| day.to_string()).unwrap_or_default(),
            household_region: fields.household_region.clone().unwrap_or_default(),
            residence_region: fields.residence_region.clone().unwrap_or_default(),
            income_class: code(fields.income_class.map(IncomeClass::as_str)),
            disability_kind: code(fields.disability.map(|disability| disability.kind.as_str())),
            disability_grade: level(fields.disability.map(|disability| disability.grade)),
            living_situation: code(fields.living_situation.map(LivingSituation::as_str)),
            ability_level: level(fields.ability_level),
            fall_risk_high: if fields.fall_risk_high { "1".to_owned() } else { String::new() },
            diet_texture: code(fields.diet_texture.map(DietTexture::as_str)),
            food_level: level(fields.food_level),
            drink_level: level(fields.drink_level),
            ticked: ticked.map(|name| (name, "1".to_owned())).collect(),
        })
    }

    fn read(&self) -> Result<RecordFields> {
        let mut reader = Reader::default();
        let sex = reader.choice("sex", &self.sex, Sex::parse);
        let birth_date = reader.optional_date("birth_date", &self.birth_date);
        let income_class = reader.optional("income_class", &self.income_class, IncomeClass::parse);
        let living_situation = reader.optional("living_situation", &self.living_situation, LivingSituation::parse);
        let diet_texture = reader.optional("diet_texture", &self.diet_texture, DietTexture::parse);
        let number = |text: &str| text.parse::<i16>().ok();
        let ability_level = reader.optional("ability_level", &self.ability_level, number);
        let food_level = reader.optional("food_level", &self.food_level, number);
        let drink_level = reader.optional("drink_level", &self.drink_level, number);
        // Kind and grade are one certificate: one without the other is asked for.
        let has_certificate = !self.disability_kind.is_empty() || !self.disability_grade.is_empty();
        let disability = if has_certificate {
            let kind = reader.choice("disability_kind", &self.disability_kind, DisabilityKind::parse);
            let grade = reader.choice("disability_grade", &self.disability_grade, number);
            kind.zip(grade).map(|(kind, grade)| Some(Disability { kind, grade }))
        } else {
            Some(None)
        };
        let ticked = |prefix: &'static str| {
            let codes = self.ticked.iter().filter(|(_, value)| !value.is_empty());
            codes.filter_map(move |(name, _)| name.strip_prefix(prefix))
        };
        let fields = (|| {
            Some(RecordFields {
                name: self.name.clone(),
                sex: sex?,
                birth_date: birth_date?,
                household_region: given(&self.household_region),
                residence_region: given(&self.residence_region),
                income_class: income_class?,
                disability: disability?,
                living_situation: living_situation?,
                ability_level: ability_level?,
                fall_risk_high: !self.fall_risk_high.is_empty(),
                allergens: ticked("allergen_").filter_map(Allergen::parse).collect(),
                diet_texture: diet_texture?,
                food_level: food_level?,
                drink_level: drink_level?,
                diets: ticked("diet_").filter_map(Diet::parse).collect(),
            })
        })();
        let mut fields = reader.finish(fields)?;
        fields.allergens.sort_unstable();
        fields.diets.sort_unstable();
        Ok(fields)
    }
}

/// A box to tick.
#[derive(Serialize)]
struct Tick {
    name: String,
    label: String,
    ticked: bool,
}

/// What somebody else has changed.
#[derive(Serialize)]
struct Change {
    label: String,
    before: String,
    now: String,
    /// What the reader typed in the same field, which counts when it is saved; `null`: nothing.
    mine: Option<String>,
}

#[derive(Serialize)]
struct Meanwhile {
    by: String,
    at: Option<Moment>,
    changes: Vec<Change>,
}

#[derive(Serialize)]
struct Page {
    id: ResidentId,
    title: String,
    form: Form,
    meanwhile: Option<Meanwhile>,
    sexes: Vec<Choice>,
    abilities: Vec<Choice>,
    incomes: Vec<Choice>,
    disabilities: Vec<Choice>,
    grades: Vec<Choice>,
    livings: Vec<Choice>,
    textures: Vec<Choice>,
    foods: Vec<Choice>,
    drinks: Vec<Choice>,
    allergens: Vec<Tick>,
    diets: Vec<Tick>,
    #[serde(flatten)]
    refused: Refused,
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let id = seen(&ctx, RESIDENTS_WRITE).await?;
    let now = ctx.app().db.read(move |db| record(db, id)).await?;
    let title = now.fields.name.clone();
    render(&ctx, StatusCode::OK, id, title, Form::of(&now)?, None, &[])
}

fn render(
    ctx: &Ctx,
    status: StatusCode,
    id: ResidentId,
    title: String,
    form: Form,
    meanwhile: Option<Meanwhile>,
    errors: &[FieldError],
) -> Result<HttpResponse> {
    let ticks = |prefix: &str, words: super::record_words::Words| -> Vec<Tick> {
        let each = words.iter().map(|(code, key)| {
            let name = format!("{prefix}{code}");
            let ticked = form.ticked.get(&name).is_some_and(|value| !value.is_empty());
            Tick { name, label: ctx.say(&songhe_kernel::Text::key(key)), ticked }
        });
        each.collect()
    };
    let page = Page {
        id,
        title,
        meanwhile,
        sexes: choices(ctx, SEX),
        abilities: choices(ctx, ABILITY),
        incomes: choices(ctx, INCOME),
        disabilities: choices(ctx, DISABILITY),
        grades: choices(ctx, GRADE),
        livings: choices(ctx, LIVING),
        textures: choices(ctx, TEXTURE),
        foods: choices(ctx, FOOD),
        drinks: choices(ctx, DRINK),
        allergens: ticks("allergen_", ALLERGENS),
        diets: ticks("diet_", DIETS),
        refused: Refused::new(ctx, INPUTS, errors),
        form,
    };
    ctx.page_with(status, "registry/resident-edit", &page)
}

async fn save(ctx: Ctx) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let id = seen(&ctx, RESIDENTS_WRITE).await?;
    let now = ctx.app().db.read(move |db| record(db, id)).await?;
    let title = now.fields.name.clone();
    let fields = match refused(form.read())? {
        Ok(fields) => fields,
        Err(errors) => return render(&ctx, StatusCode::UNPROCESSABLE_ENTITY, id, title, form, None, &errors),
    };
    // A form of our own: a version that is none is nobody's mistake at the desk.
    let version = form.version.parse().map_err(|_| Error::NotFound)?;
    let (edit, actor) = (RecordEdit { version, fields: fields.clone() }, Some(ctx.caller().user_id));
    match refused(ctx.once(move |tx| edit_record(tx, id, &edit, actor)).await) {
        Ok(Ok(_)) => ctx.redirect(&format!("/residents/{id}")),
        Ok(Err(errors)) => render(&ctx, StatusCode::UNPROCESSABLE_ENTITY, id, title, form, None, &errors),
        Err(Error::Conflict(words)) if words.key == "record-error-changed" => {
            let base: RecordFields = serde_json::from_str(&form.base).map_err(|_| Error::NotFound)?;
            both(&ctx, id, &base, &fields).await
        }
        Err(error) => Err(error),
    }
}

/// The form again, with what somebody else has changed meanwhile.
async fn both(ctx: &Ctx, id: ResidentId, base: &RecordFields, mine: &RecordFields) -> Result<HttpResponse> {
    let (theirs, by) = ctx
        .app()
        .db
        .read(move |db| {
            let theirs = record(db, id)?;
            let by = name_of(db, theirs.changed_by)?;
            Ok((theirs, by))
        })
        .await?;
    let own = differences(base, mine)?;
    let all = differences(base, &theirs.fields)?;
    let (before, now, typed) =
        (serde_json::to_value(base)?, serde_json::to_value(&theirs.fields)?, serde_json::to_value(mine)?);
    let fields = FIELDS.iter().filter(|(name, ..)| all.iter().any(|changed| changed == name));
    let changes = fields.map(|(name, label, words)| {
        let say = |from: &Value| value_words(ctx, words, from.get(name).unwrap_or(&Value::Null));
        Change {
            label: ctx.say(&songhe_kernel::Text::key(label)),
            before: say(&before),
            now: say(&now),
            mine: own.iter().any(|changed| changed == name).then(|| say(&typed)),
        }
    });
    let meanwhile = Meanwhile { by, at: theirs.changed_at, changes: changes.collect() };
    let title = theirs.fields.name.clone();
    // From here on the reader edits what is there now.
    let together = Record { fields: merged(base, mine, &theirs.fields)?, ..theirs.clone() };
    let form = Form { base: serde_json::to_string(&theirs.fields)?, ..Form::of(&together)? };
    render(ctx, StatusCode::CONFLICT, id, title, form, Some(meanwhile), &[])
}

pub(super) fn name_of(db: &mut Db, user: Option<UserId>) -> Result<String> {
    let Some(user) = user else { return Ok(String::new()) };
    let name: Option<String> = app_user::table.find(user).select(app_user::display_name).first(db).optional()?;
    Ok(name.unwrap_or_default())
}
