//! `/people`: accounts and the roles they hold.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::account_pages::{Once, SessionModel};
use super::people::{NewPerson, Person, PersonChange, grantable, list_people};
use super::people_api::{apply, close_or_open, end_all, give, give_password, make, person, sessions, take};
use super::roles_pages::{role_choices, role_words};
use super::{PEOPLE_READ, PEOPLE_WRITE, Scope};
use crate::error::{FieldError, Result};
use crate::http::{Access, Choice, Ctx, Fields, Menu, Refused, Route, Section, cursor, cut, refused, url};
use crate::ids::UserId;
use crate::time::Moment;

const PAGE_ROWS: i64 = 50;
const NEW_FIELDS: Fields = &[
    ("username", "kernel-username"),
    ("display_name", "people-name"),
    ("role", "kernel-role"),
    ("at", "people-at"),
    ("locale", "people-locale"),
];
const FIELDS: Fields =
    &[("display_name", "people-name"), ("locale", "people-locale"), ("role", "kernel-role"), ("at", "people-at")];

pub(super) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Permission(PEOPLE_READ), Access::Permission(PEOPLE_WRITE));
    let menu = Menu { key: "people-people", icon: "user", section: Section::Manage, order: 85 };
    vec![
        Route::get("/people", read, list).menu(menu),
        Route::get("/people/new", write, new),
        Route::post("/people", write, create),
        Route::get("/people/{id}", read, show),
        Route::post("/people/{id}", write, change),
        Route::post("/people/{id}/grants", write, grant),
        Route::post("/people/{id}/grants/{grant}/withdraw", write, withdraw),
        Route::post("/people/{id}/disable", write, disable),
        Route::post("/people/{id}/enable", write, enable),
        Route::post("/people/{id}/password", write, reset),
        Route::post("/people/{id}/sessions/end", write, end_sessions),
    ]
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    q: String,
    #[serde(default)]
    after: String,
}

#[derive(Serialize)]
struct GrantModel {
    id: String,
    role: String,
    at: Option<String>,
    withdrawable: bool,
}

#[derive(Serialize)]
struct PersonModel {
    id: String,
    username: String,
    display_name: String,
    disabled: bool,
    must_change: bool,
    signed_in_at: Option<Moment>,
    created_at: Moment,
    grants: Vec<GrantModel>,
    manageable: bool,
    me: bool,
}

impl PersonModel {
    fn of(ctx: &Ctx, person: &Person) -> Self {
        let grant = |grant: &super::Grant| GrantModel {
            id: grant.id.to_string(),
            role: role_words(ctx, &grant.role, grant.role_title.as_deref()),
            at: grant.at_name.clone(),
            withdrawable: grant.withdrawable && ctx.caller().can(PEOPLE_WRITE),
        };
        Self {
            id: person.id.to_string(),
            username: person.username.clone(),
            display_name: person.display_name.clone(),
            disabled: person.disabled,
            must_change: person.must_change_password,
            signed_in_at: person.signed_in_at,
            created_at: person.created_at,
            grants: person.grants.iter().map(grant).collect(),
            manageable: person.manageable && ctx.caller().can(PEOPLE_WRITE),
            me: person.id == ctx.caller().user_id,
        }
    }
}

#[derive(Serialize)]
struct ListPage {
    people: Vec<PersonModel>,
    q: String,
    first_url: Option<String>,
    next_url: Option<String>,
    can_edit: bool,
}

async fn list(ctx: Ctx) -> Result<HttpResponse> {
    let query: Query = ctx.query()?;
    let after: Option<UserId> = cursor(&query.after)?;
    let (by, permissions, search) = (ctx.caller().clone(), ctx.app().permissions.clone(), query.q.clone());
    let find = move |db: &mut _| list_people(db, &by, &permissions, &search, after, PAGE_ROWS + 1);
    let mut people = ctx.app().db.read(find).await?;
    let more = cut(&mut people, PAGE_ROWS);
    let at = |after: &str| url("/people", &[("q", &query.q), ("after", after)]);
    let next_url = people.last().filter(|_| more).map(|last| at(&last.id.to_string()));
    let page = ListPage {
        people: people.iter().map(|person| PersonModel::of(&ctx, person)).collect(),
        first_url: after.map(|_| at("")),
        next_url,
        can_edit: ctx.caller().can(PEOPLE_WRITE),
        q: query.q,
    };
    ctx.page("kernel/people", &page)
}

/// What the forms offer.
#[derive(Serialize)]
struct Offered {
    roles: Vec<Choice>,
    places: Vec<Choice>,
    locales: Vec<Choice>,
}

async fn offered(ctx: &Ctx) -> Result<Offered> {
    let (by, permissions) = (ctx.caller().clone(), ctx.app().permissions.clone());
    let everywhere = *by.facilities(PEOPLE_WRITE) == Scope::All;
    let (roles, places) = ctx.app().db.read(move |db| grantable(db, &by, &permissions)).await?;
    let whole = everywhere.then(|| Choice::new("*", ctx.visitor().words("people-everywhere")));
    Ok(Offered {
        roles: role_choices(ctx, &roles),
        places: places.into_iter().map(|(at, name)| Choice::new(at, name)).chain(whole).collect(),
        locales: vec![Choice::new("zh-CN", "中文"), Choice::new("en", "English")],
    })
}

#[derive(Default, Serialize, Deserialize)]
struct NewForm {
    #[serde(default)]
    username: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    at: String,
    #[serde(default)]
    locale: String,
}

#[derive(Serialize)]
struct NewPage {
    form: NewForm,
    offered: Offered,
    #[serde(flatten)]
    refused: Refused,
}

async fn new(ctx: Ctx) -> Result<HttpResponse> {
    render_new(&ctx, NewForm::default(), &[]).await
}

async fn render_new(ctx: &Ctx, form: NewForm, errors: &[FieldError]) -> Result<HttpResponse> {
    let page = NewPage { form, offered: offered(ctx).await?, refused: Refused::new(ctx, NEW_FIELDS, errors) };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.page_with(status, "kernel/person-new", &page)
}

fn once(secret: Option<String>, of: String, id: UserId) -> Once {
    let (heading, text) = ("people-one-time", "people-one-time-text");
    Once { heading, text, secret, of, back: format!("/people/{id}") }
}

async fn create(ctx: Ctx) -> Result<HttpResponse> {
    let form: NewForm = ctx.form()?;
    let new = NewPerson {
        username: form.username.clone(),
        display_name: form.display_name.clone(),
        locale: Some(form.locale.clone()),
        role: form.role.clone(),
        at: form.at.clone(),
    };
    match refused(make(&ctx, new).await)? {
        Ok((id, password)) => ctx.page("kernel/once", &once(password, form.username, id)),
        Err(errors) => render_new(&ctx, form, &errors).await,
    }
}

#[derive(Default, Serialize)]
struct ShowForm {
    display_name: String,
    locale: String,
    role: String,
    at: String,
}

#[derive(Serialize)]
struct ShowPage {
    person: PersonModel,
    sessions: Vec<SessionModel>,
    form: ShowForm,
    offered: Option<Offered>,
    #[serde(flatten)]
    refused: Refused,
}

async fn show(ctx: Ctx) -> Result<HttpResponse> {
    render(&ctx, ctx.id("id")?, None, &[]).await
}

async fn render(ctx: &Ctx, id: UserId, form: Option<ShowForm>, errors: &[FieldError]) -> Result<HttpResponse> {
    let person = person(ctx, id).await?;
    let can_edit = ctx.caller().can(PEOPLE_WRITE);
    let theirs = if person.manageable && can_edit { sessions(ctx, &person).await? } else { Vec::new() };
    let this = ctx.caller().session.id;
    let typed = || ShowForm {
        display_name: person.display_name.clone(),
        locale: person.locale.clone().unwrap_or_default(),
        ..ShowForm::default()
    };
    let page = ShowPage {
        sessions: theirs.into_iter().map(|session| SessionModel::of(session.clone(), session.id == this)).collect(),
        form: form.unwrap_or_else(typed),
        offered: if can_edit { Some(offered(ctx).await?) } else { None },
        person: PersonModel::of(ctx, &person),
        refused: Refused::new(ctx, FIELDS, errors),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    ctx.page_with(status, "kernel/person", &page)
}

async fn change(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        display_name: String,
        #[serde(default)]
        locale: String,
    }
    let (id, Form { display_name, locale }): (UserId, Form) = (ctx.id("id")?, ctx.form()?);
    let wish = PersonChange { display_name: display_name.clone(), locale: Some(locale.clone()) };
    match refused(apply(&ctx, id, wish).await)? {
        Ok(()) => ctx.redirect(&format!("/people/{id}")),
        Err(errors) => render(&ctx, id, Some(ShowForm { display_name, locale, ..ShowForm::default() }), &errors).await,
    }
}

async fn grant(ctx: Ctx) -> Result<HttpResponse> {
    #[derive(Deserialize)]
    struct Form {
        #[serde(default)]
        role: String,
        #[serde(default)]
        at: String,
    }
    let (id, form): (UserId, Form) = (ctx.id("id")?, ctx.form()?);
    match refused(give(&ctx, id, form.role, form.at).await)? {
        Ok(()) => ctx.redirect(&format!("/people/{id}")),
        Err(errors) => render(&ctx, id, None, &errors).await,
    }
}

async fn withdraw(ctx: Ctx) -> Result<HttpResponse> {
    let id = take(&ctx).await?;
    // Without its last role here the account is not there for the caller any more.
    match person(&ctx, id).await {
        Ok(_) => ctx.redirect(&format!("/people/{id}")),
        Err(_) => ctx.redirect("/people"),
    }
}

async fn disable(ctx: Ctx) -> Result<HttpResponse> {
    let id = close_or_open(&ctx, true).await?;
    ctx.redirect(&format!("/people/{id}"))
}

async fn enable(ctx: Ctx) -> Result<HttpResponse> {
    let id = close_or_open(&ctx, false).await?;
    ctx.redirect(&format!("/people/{id}"))
}

async fn reset(ctx: Ctx) -> Result<HttpResponse> {
    let (id, password) = give_password(&ctx).await?;
    let username = person(&ctx, id).await?.username;
    ctx.page("kernel/once", &once(password, username, id))
}

async fn end_sessions(ctx: Ctx) -> Result<HttpResponse> {
    let (id, _) = end_all(&ctx).await?;
    ctx.redirect(&format!("/people/{id}"))
}
