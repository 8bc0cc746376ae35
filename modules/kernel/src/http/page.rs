//! The context that every template is given around a page's own model.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use chrono_tz::Tz;
use serde::Serialize;

use super::MenuEntry;
use super::visitor::Visitor;
use crate::error::Result;
use crate::identity::{Caller, RoleName};

/// Stands where a form's key goes while a page is rendered: each occurrence becomes a key of its own afterwards, and
/// until then two renderings of the same state are the same text.
const FORM_KEY_MARK: &str = "\u{1}form-key\u{1}";

#[derive(Serialize)]
struct Wrapped<'a, M> {
    page: &'a M,
    caller: Option<CallerModel<'a>>,
    locale: &'static str,
    theme: &'static str,
    menu: Vec<MenuEntry>,
    path: &'a str,
    csrf: &'a str,
    zone: &'static str,
    form_key: &'static str,
}

#[derive(Serialize)]
struct CallerModel<'a> {
    user_id: String,
    username: &'a str,
    display_name: &'a str,
    /// In words.
    roles: Vec<String>,
    permissions: Vec<&'static str>,
}

impl<'a> CallerModel<'a> {
    fn of(visitor: &Visitor, caller: &'a Caller) -> Self {
        let words = |role: &RoleName| match caller.own_titles.get(role.as_str()) {
            Some(title) => title.clone(),
            None => visitor.words(&format!("kernel-role-{role}")),
        };
        Self {
            user_id: caller.user_id.to_string(),
            username: &caller.username,
            display_name: &caller.display_name,
            roles: caller.roles.iter().map(words).collect(),
            permissions: caller.permissions().map(|(name, _)| name).collect(),
        }
    }
}

/// A figure above a page's lists, as `kernel/parts/kpi` shows it.
#[derive(Debug, Serialize)]
pub struct Figure {
    pub label: String,
    pub value: String,
    /// What stands below it.
    pub note: Option<String>,
    /// `good`, `medium` or `high`: whether somebody should look into it.
    pub tone: Option<&'static str>,
}

/// A rendered template whose forms have no keys yet.
pub(super) struct Draft(String);

impl Draft {
    pub(super) fn render(visitor: &Visitor, zone: Tz, template: &str, model: &impl Serialize) -> Result<Self> {
        let caller = visitor.caller.as_deref();
        let wrapped = Wrapped {
            page: model,
            caller: caller.map(|caller| CallerModel::of(visitor, caller)),
            locale: visitor.locale().as_str(),
            theme: visitor.theme,
            menu: visitor.app.routes().menu(caller, &visitor.path),
            path: &visitor.target,
            csrf: caller.map_or("", |caller| &caller.session.csrf),
            zone: zone.name(),
            form_key: FORM_KEY_MARK,
        };
        visitor.app.pages.render(template, &wrapped).map(Self)
    }

    /// The same for the same state; changes with the assets' hash, which is part of the text.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn finish(self) -> String {
        let mut parts = self.0.split(FORM_KEY_MARK);
        let mut page = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            page.push_str(&hex::encode(rand::random::<[u8; 16]>()));
            page.push_str(part);
        }
        page
    }
}

pub(super) fn html(status: StatusCode, page: String) -> HttpResponse {
    HttpResponse::build(status).insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8")).body(page)
}
