//! `/residents/{id}/record`: status, consents, cards and picture of a resident, with their history; and what is changed of
//! the contacts on the resident's page.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use chrono::NaiveDateTime;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Ctx, Fields, Refused, Route, refused};
use songhe_kernel::{Db, Error, FieldError, Moment, Result, Text};

use super::form::{Reader, given};
use super::record_edit::name_of;
use super::record_words::{CONSENT_BY, CONSENTS, STATUS, choices, word};
use crate::api::record::{seen, show_photo};
use crate::module::{RESIDENTS_READ, RESIDENTS_WRITE};
use crate::record::picture::MAX_BYTES;
use crate::{
    Card, CardId, CardState, Consent, ConsentBy, ConsentId, ConsentKind, NewCard, NewConsent, NewStatus, ResidentId,
    ResidentStatus, Revocation, StatusFact, StatusFactId, add_card, cards, consent_history, correct_status,
    give_consent, photo_changed_at, read_photo, record_status, resident, revoke_consent, set_card_state, set_photo,
    status_history, status_on, zone_of,
};

/// A picture and the rest of its form.
const UPLOAD_BYTES: usize = MAX_BYTES + 64 * 1024;

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(RESIDENTS_READ), Access::Permission(RESIDENTS_WRITE));
    vec![
        Route::get("/residents/{id}/record", read, show),
        Route::get("/residents/{id}/photo", read, show_photo),
        Route::post("/residents/{id}/photo", write, put_photo).body_limit(UPLOAD_BYTES),
        Route::post("/residents/{id}/photo/remove", write, remove_photo),
        Route::post("/residents/{id}/status", write, add_status),
        Route::post("/residents/{id}/status/{fact}/correct", write, correct),
        Route::post("/residents/{id}/consents", write, add_consent),
        Route::post("/residents/{id}/consents/{consent}/revoke", write, revoke),
        Route::post("/residents/{id}/cards", write, create_card),
        Route::post("/residents/{id}/cards/{card}", write, change_card),
    ]
}

const INPUTS: Fields = &[
    ("status", "record-status"),
    ("from_at", "record-from"),
    ("until_at", "record-until"),
    ("kind", "record-consent"),
    ("given_at", "record-given-at"),
    ("given_by", "record-given-by"),
    ("guardian", "record-guardian"),
    ("evidence", "record-evidence"),
    ("revoked_at", "record-revoked-at"),
    ("number", "record-card-number"),
    ("photo", "record-photo"),
];

/// As the page's forms post it: each form its part.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Form {
    status: String,
    from_at: String,
    until_at: String,
    /// Of a correction: "1" withdraws.
    withdraw: String,
    kind: String,
    given_at: String,
    given_by: String,
    guardian: String,
    evidence: String,
    number: String,
    state: String,
}

#[derive(Serialize)]
struct FactModel {
    #[serde(flatten)]
    fact: StatusFact,
    words: String,
    by: String,
    counts: bool,
}

#[derive(Serialize)]
struct ConsentModel {
    #[serde(flatten)]
    consent: Consent,
    words: String,
    by_words: String,
    revoked_by_words: String,
    recorder: String,
    open: bool,
}

#[derive(Serialize)]
struct Page {
    id: ResidentId,
    name: String,
    can_edit: bool,
    status: String,
    since: Option<Moment>,
    until: Option<Moment>,
    facts: Vec<FactModel>,
    consents: Vec<ConsentModel>,
    cards: Vec<Card>,
    /// When the picture was changed last; `null`: there is none.
    photo: Option<Moment>,
    form: Form,
    statuses: Vec<Choice>,
    consent_kinds: Vec<Choice>,
    consent_by: Vec<Choice>,
    card_states: Vec<Choice>,
    #[serde(flatten)]
    refused: Refused,
}

struct Facts {
    name: String,
    zone: Tz,
    facility: songhe_kernel::FacilityId,
    now: crate::StatusThen,
    facts: Vec<(StatusFact, String)>,
    consents: Vec<(Consent, String)>,
    cards: Vec<Card>,
    photo: Option<Moment>,
}

fn read(db: &mut Db, id: ResidentId, at: Moment) -> Result<Facts> {
    let person = resident(db, id)?.ok_or(Error::NotFound)?;
    let mut facts = Vec::new();
    for fact in status_history(db, id)? {
        let by = name_of(db, fact.recorded_by)?;
        facts.push((fact, by));
    }
    let mut consents = Vec::new();
    for consent in consent_history(db, id)? {
        let by = name_of(db, consent.recorded_by)?;
        consents.push((consent, by));
    }
    Ok(Facts {
        zone: zone_of(db, person.facility_id)?,
        facility: person.facility_id,
        name: person.name,
        now: status_on(db, id, at)?,
        facts,
        consents,
        cards: cards(db, id)?,
        photo: photo_changed_at(db, id)?,
    })
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    let id = seen(&ctx, RESIDENTS_READ).await?;
    render(&ctx, id, Form::default(), &[]).await
}

async fn render(ctx: &Ctx, id: ResidentId, mut form: Form, errors: &[FieldError]) -> Result<HttpResponse> {
    let now = ctx.app().clock.now();
    let found = ctx.app().db.read(move |db| read(db, id, now)).await?;
    let minute = now.in_zone(found.zone).format("%Y-%m-%dT%H:%M").to_string();
    for at in [&mut form.from_at, &mut form.given_at] {
        if at.is_empty() {
            at.clone_from(&minute);
        }
    }
    let facts = found.facts.into_iter().map(|(fact, by)| FactModel {
        words: word(ctx, STATUS, fact.status.as_str()),
        counts: fact.superseded_at.is_none(),
        by,
        fact,
    });
    let consents = found.consents.into_iter().map(|(consent, recorder)| ConsentModel {
        words: word(ctx, CONSENTS, consent.kind.as_str()),
        by_words: word(ctx, CONSENT_BY, consent.given_by.as_str()),
        revoked_by_words: consent.revoked_by.map(|by| word(ctx, CONSENT_BY, by.as_str())).unwrap_or_default(),
        open: consent.revoked_at.is_none(),
        recorder,
        consent,
    });
    let state = |(state, key): (CardState, &'static str)| Choice::new(state, ctx.say(&Text::key(key)));
    let page = Page {
        id,
        name: found.name,
        can_edit: ctx.caller().facilities(RESIDENTS_WRITE).contains(found.facility),
        status: word(ctx, STATUS, found.now.status.as_str()),
        since: found.now.since,
        until: found.now.until,
        facts: facts.collect(),
        consents: consents.collect(),
        cards: found.cards,
        photo: found.photo,
        form,
        statuses: choices(ctx, STATUS),
        consent_kinds: choices(ctx, CONSENTS),
        consent_by: choices(ctx, CONSENT_BY),
        card_states: [
            (CardState::Active, "record-card-active"),
            (CardState::Lost, "record-card-lost"),
            (CardState::Replaced, "record-card-replaced"),
        ]
        .map(state)
        .to_vec(),
        refused: Refused::new(ctx, INPUTS, errors),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.clone().in_zone(found.zone).page_with(status, "registry/resident-record", &page)
}

/// Back to the page, or the page with what was refused.
async fn answer<T>(ctx: &Ctx, id: ResidentId, form: Form, outcome: Result<T>) -> Result<HttpResponse> {
    match refused(outcome)? {
        Ok(_) => ctx.redirect(&format!("/residents/{id}/record")),
        Err(errors) => render(ctx, id, form, &errors).await,
    }
}

async fn zone(ctx: &Ctx, id: ResidentId) -> Result<Tz> {
    ctx.app()
        .db
        .read(move |db| {
            let person = resident(db, id)?.ok_or(Error::NotFound)?;
            zone_of(db, person.facility_id)
        })
        .await
}

/// A local time as browsers send it, with or without seconds.
fn local(text: &str, zone: Tz) -> Option<Moment> {
    let formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
    let time = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text.trim(), format).ok())?;
    Some(Moment::from_local(time, zone))
}

impl Form {
    fn status(&self, zone: Tz) -> Result<NewStatus> {
        let mut reader = Reader::default();
        let status = reader.choice("status", &self.status, ResidentStatus::parse);
        let from_at = reader.choice("from_at", &self.from_at, |text| local(text, zone));
        let until_at = reader.optional("until_at", &self.until_at, |text| local(text, zone));
        let new = (|| Some(NewStatus { status: status?, from_at: from_at?, until_at: until_at? }))();
        reader.finish(new)
    }

    fn consent(&self, zone: Tz) -> Result<NewConsent> {
        let mut reader = Reader::default();
        let kind = reader.choice("kind", &self.kind, ConsentKind::parse);
        let given_at = reader.choice("given_at", &self.given_at, |text| local(text, zone));
        let given_by = reader.choice("given_by", &self.given_by, ConsentBy::parse);
        let (guardian, evidence) = (given(&self.guardian), self.evidence.clone());
        let new = (|| Some(NewConsent { kind: kind?, given_at: given_at?, given_by: given_by?, guardian, evidence }))();
        reader.finish(new)
    }
}

async fn add_status(ctx: Ctx) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    let outcome = match form.status(zone(&ctx, id).await?) {
        Ok(new) => ctx.once(move |tx| record_status(tx, id, &new, actor)).await.map(drop),
        Err(error) => Err(error),
    };
    answer(&ctx, id, form, outcome).await
}

async fn correct(ctx: Ctx) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let fact: StatusFactId = ctx.id("fact")?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    let replacement = if form.withdraw.is_empty() { form.status(zone(&ctx, id).await?).map(Some) } else { Ok(None) };
    let outcome = match replacement {
        Ok(new) => ctx.once(move |tx| correct_status(tx, id, fact, new.as_ref(), actor)).await.map(drop),
        Err(error) => Err(error),
    };
    answer(&ctx, id, form, outcome).await
}

async fn add_consent(ctx: Ctx) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    let outcome = match form.consent(zone(&ctx, id).await?) {
        Ok(new) => ctx.once(move |tx| give_consent(tx, id, &new, actor)).await.map(drop),
        Err(error) => Err(error),
    };
    answer(&ctx, id, form, outcome).await
}

/// A consent is revoked as of now; who did it and where the proof is are asked for.
async fn revoke(ctx: Ctx) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let consent: ConsentId = ctx.id("consent")?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    let mut reader = Reader::default();
    let by = reader.choice("given_by", &form.given_by, ConsentBy::parse);
    let outcome = match reader.finish(by) {
        Ok(revoked_by) => {
            let evidence = form.evidence.clone();
            let work = move |tx: &mut songhe_kernel::Tx<'_>| {
                let end = Revocation { revoked_at: tx.now(), revoked_by, evidence: evidence.clone() };
                revoke_consent(tx, id, consent, &end, actor)
            };
            ctx.once(work).await
        }
        Err(error) => Err(error),
    };
    answer(&ctx, id, form, outcome).await
}

async fn create_card(ctx: Ctx) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    let new = NewCard { number: form.number.clone() };
    let outcome = ctx.once(move |tx| add_card(tx, id, &new, actor)).await;
    answer(&ctx, id, form, outcome).await
}

async fn change_card(ctx: Ctx) -> Result<HttpResponse> {
    let form: Form = ctx.form()?;
    let card: CardId = ctx.id("card")?;
    let state = CardState::parse(&form.state).ok_or(Error::NotFound)?;
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    let outcome = ctx.once(move |tx| set_card_state(tx, id, card, state, actor)).await;
    answer(&ctx, id, form, outcome).await
}

async fn put_photo(ctx: Ctx) -> Result<HttpResponse> {
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    let parts = ctx.multipart()?;
    let bytes = parts.into_iter().find(|part| part.name == "photo").map(|part| part.bytes).unwrap_or_default();
    let outcome = match read_photo(&bytes) {
        Ok(picture) => ctx.once(move |tx| set_photo(tx, id, Some(&picture), actor)).await,
        Err(error) => Err(error),
    };
    answer(&ctx, id, Form::default(), outcome).await
}

async fn remove_photo(ctx: Ctx) -> Result<HttpResponse> {
    let (id, actor) = (seen(&ctx, RESIDENTS_WRITE).await?, Some(ctx.caller().user_id));
    let outcome = ctx.once(move |tx| set_photo(tx, id, None, actor)).await;
    answer(&ctx, id, Form::default(), outcome).await
}
