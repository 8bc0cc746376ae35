//! `/staff`: who works where and who is on duty now.

use std::collections::{HashMap, HashSet};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use songhe_kernel::http::{Access, Choice, Ctx, Fields, Refused, Route, Section, cursor, cut, refused, url};
use songhe_kernel::{Error, FacilityId, FieldError, Result, Text};

use super::form::{Reader, given};
use super::rosters::job_key;
use super::{PAGE_ROWS, chosen, facilities_of, facility_choices, looked_at, menu};
use crate::module::{STAFF_READ, STAFF_UNMASK, STAFF_WRITE};
use crate::sealed::{Show, note_unmasking_of_staff, shown};
use crate::staff::{enter_staff, usernames};
use crate::{Job, NewStaff, StaffId, link_account, list_staff, set_staff_phone, staff_member};

pub(super) fn routes() -> Vec<Route> {
    let entry = menu("registry-menu-staff", "user", Section::Manage, 40);
    vec![
        Route::get("/staff", Access::Permission(STAFF_READ), list).menu(entry),
        Route::post("/staff", Access::Permission(STAFF_WRITE), create),
        Route::post("/staff/{id}/phone", Access::Permission(STAFF_WRITE), set_phone),
        Route::post("/staff/{id}/unmask", Access::Permission(STAFF_UNMASK), unmask),
        Route::post("/staff/{id}/account", Access::Permission(STAFF_WRITE), set_account),
    ]
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Query {
    facility: String,
    after: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct StaffForm {
    facility_id: String,
    name: String,
    job: String,
    username: String,
}

impl StaffForm {
    const FIELDS: Fields = &[
        ("facility_id", "registry-facility"),
        ("name", "registry-name"),
        ("job", "registry-job"),
        ("username", "kernel-username"),
        ("phone", "registry-phone"),
        ("reason", "vault-reason"),
    ];
}

#[derive(Serialize)]
struct Row {
    id: StaffId,
    name: String,
    username: Option<String>,
    /// Masked, unless `full`.
    phone: String,
    /// The number stands here in full, this once.
    full: bool,
    can_unmask: bool,
    /// The reader may write the number here.
    editable: bool,
    job: Job,
    facility: String,
    on_call_now: bool,
    active: bool,
}

#[derive(Serialize)]
struct StaffPage<'a> {
    items: Vec<Row>,
    facility: String,
    facilities: Vec<Choice>,
    first_url: Option<String>,
    next_url: Option<String>,
    can_edit: bool,
    form: &'a StaffForm,
    form_facilities: Vec<Choice>,
    jobs: Vec<Choice>,
    #[serde(flatten)]
    refused: Refused,
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    render(&ctx, query, &StaffForm::default(), &[], None).await
}

/// `full`: whose number is shown in full.
async fn render(
    ctx: &Ctx,
    query: Query,
    form: &StaffForm,
    errors: &[FieldError],
    full: Option<StaffId>,
) -> Result<HttpResponse> {
    let facilities = facilities_of(ctx, STAFF_READ).await?;
    let names: HashMap<FacilityId, String> =
        facilities.iter().map(|facility| (facility.id, facility.name.clone())).collect();
    let scope = looked_at(ctx, STAFF_READ, &query.facility)?;
    let (after, now) = (cursor(&query.after)?, ctx.app().clock.now());
    let vault = ctx.app().db.vault();
    let (mut rows, accounts, present, keys) = ctx
        .app()
        .db
        .read(move |db| {
            let rows = list_staff(db, &scope, after, PAGE_ROWS + 1)?;
            let ids: Vec<StaffId> = rows.iter().map(|member| member.id).collect();
            let present: HashSet<StaffId> = crate::shifts::present(db, &ids, now)?.into_iter().collect();
            let keys = vault.keys(db, rows.iter().filter_map(|member| member.phone.as_ref()))?;
            Ok((rows, usernames(db, &ids)?, present, keys))
        })
        .await?;
    let more = cut(&mut rows, PAGE_ROWS);
    let at = |after: &str| url("/staff", &[("facility", &query.facility), ("after", after)]);
    let next_url = rows.last().filter(|_| more).map(|member| at(&member.id.to_string()));
    let writable = ctx.caller().facilities(STAFF_WRITE).clone();
    let unmaskable = ctx.caller().facilities(STAFF_UNMASK).clone();
    let job = |job: &Job| Choice::new(job, ctx.say(&Text::key(job_key(*job))));
    let page = StaffPage {
        items: rows
            .into_iter()
            .map(|member| Row {
                username: accounts.get(&member.id).cloned(),
                facility: names.get(&member.facility_id).cloned().unwrap_or_default(),
                on_call_now: present.contains(&member.id),
                full: full == Some(member.id),
                can_unmask: full != Some(member.id)
                    && member.phone.is_some()
                    && unmaskable.contains(member.facility_id),
                phone: shown(
                    ctx,
                    member.number(),
                    &keys,
                    if full == Some(member.id) { Show::Full } else { Show::Masked },
                )
                .unwrap_or_default(),
                editable: writable.contains(member.facility_id),
                id: member.id,
                name: member.name,
                job: member.job,
                active: member.active,
            })
            .collect(),
        facilities: facility_choices(&facilities),
        first_url: (!query.after.is_empty()).then(|| at("")),
        next_url,
        facility: query.facility,
        can_edit: ctx.caller().can(STAFF_WRITE),
        form_facilities: facility_choices(&facilities_of(ctx, STAFF_WRITE).await?),
        form,
        jobs: Job::ALL.iter().map(job).collect(),
        refused: Refused::new(ctx, StaffForm::FIELDS, errors),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.page_with(status, "registry/staff", &page)
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let form: StaffForm = ctx.form()?;
    let facilities = facilities_of(&ctx, STAFF_WRITE).await?;
    let facility_id = chosen(&facilities, &form.facility_id)?.id;
    let mut reader = Reader::default();
    let job = reader.choice("job", &form.job, Job::parse);
    let outcome = match reader.finish(job) {
        Ok(job) => {
            let (actor, name, username) = (Some(ctx.caller().user_id), form.name.clone(), given(&form.username));
            let new = NewStaff { facility_id, user_id: None, name, job };
            ctx.once(move |tx| enter_staff(tx, &new, username.as_deref(), actor)).await
        }
        Err(error) => Err(error),
    };
    match refused(outcome)? {
        Ok(_) => ctx.redirect(&url("/staff", &[("facility", &facility_id.to_string())])),
        Err(mut errors) => {
            for error in errors.iter_mut().filter(|error| error.field == "user_id") {
                error.field = "username";
            }
            render(&ctx, Query::default(), &form, &errors, None).await
        }
    }
}

#[derive(Deserialize)]
struct Phone {
    #[serde(default)]
    phone: String,
}

async fn set_phone(ctx: Ctx) -> Result<HttpResponse> {
    let (id, form): (StaffId, Phone) = (ctx.id("id")?, ctx.form()?);
    let (scope, actor) = (ctx.caller().facilities(STAFF_WRITE).clone(), Some(ctx.caller().user_id));
    let outcome = ctx
        .once(move |tx| {
            let member = staff_member(tx.db(), id)?.filter(|member| scope.contains(member.facility_id));
            let facility = member.ok_or(Error::NotFound)?.facility_id;
            set_staff_phone(tx, id, Some(&form.phone), actor)?;
            Ok(facility)
        })
        .await;
    match refused(outcome)? {
        Ok(facility) => ctx.redirect(&url("/staff", &[("facility", &facility.to_string())])),
        Err(errors) => render(&ctx, Query::default(), &StaffForm::default(), &errors, None).await,
    }
}

#[derive(Deserialize)]
struct Unmask {
    #[serde(default)]
    reason: String,
    /// Where the list stood.
    #[serde(default)]
    facility: String,
}

/// Shows the list once with that member's number in full.
async fn unmask(ctx: Ctx) -> Result<HttpResponse> {
    let (id, form): (StaffId, Unmask) = (ctx.id("id")?, ctx.form()?);
    let found = ctx.app().db.read(move |db| staff_member(db, id)).await?.ok_or(Error::NotFound)?;
    ctx.caller().expect_at(STAFF_UNMASK, found.facility_id)?;
    let query = Query { facility: form.facility, ..Query::default() };
    match refused(note_unmasking_of_staff(&ctx, found.facility_id, id, &form.reason).await)? {
        Ok(()) => render(&ctx, query, &StaffForm::default(), &[], Some(id)).await,
        Err(errors) => render(&ctx, query, &StaffForm::default(), &errors, None).await,
    }
}

#[derive(Deserialize)]
struct Account {
    #[serde(default)]
    username: String,
}

async fn set_account(ctx: Ctx) -> Result<HttpResponse> {
    let (id, form): (StaffId, Account) = (ctx.id("id")?, ctx.form()?);
    let (scope, actor) = (ctx.caller().facilities(STAFF_WRITE).clone(), Some(ctx.caller().user_id));
    match refused(ctx.once(move |tx| link_account(tx, &scope, id, Some(&form.username), actor)).await)? {
        Ok(facility) => ctx.redirect(&url("/staff", &[("facility", &facility.to_string())])),
        Err(errors) => render(&ctx, Query::default(), &StaffForm::default(), &errors, None).await,
    }
}
