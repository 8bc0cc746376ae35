//! Routes: method, path, who may, what happens. The only way to be reached over HTTP.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::Method;
use futures_util::future::LocalBoxFuture;
use serde::Serialize;

use super::{ApiDoc, Ctx};
use crate::error::{Error, Result};
use crate::identity::{Caller, Permissions};

/// Bodies above this are refused unless the route says otherwise.
const DEFAULT_BODY_LIMIT_BYTES: usize = 64 * 1024;

/// Who may use a route. There is no default: a route without a rule cannot be written.
///
/// ```compile_fail
/// use songhe_kernel::http::{Ctx, Route};
/// let route = Route::get("/beds", |ctx: Ctx| async move { ctx.no_content() });
/// ```
///
/// ```
/// use songhe_kernel::http::{Access, Ctx, Route};
/// let route = Route::get("/beds", Access::SignedIn, |ctx: Ctx| async move { ctx.no_content() });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, signed in or not.
    Public,
    SignedIn,
    /// Whoever has the permission at some facility; the handler narrows to `Caller::facilities`.
    Permission(&'static str),
}

impl Access {
    /// # Errors
    /// `Unauthenticated` without a caller, `Forbidden` without the permission.
    pub fn check(self, caller: Option<&Caller>) -> Result<()> {
        match (self, caller) {
            (Self::Public, _) | (Self::SignedIn, Some(_)) => Ok(()),
            (Self::Permission(name), Some(caller)) if caller.can(name) => Ok(()),
            (Self::Permission(_), Some(_)) => Err(Error::Forbidden),
            (_, None) => Err(Error::Unauthenticated),
        }
    }
}

/// The part of the menu an entry stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    Work,
    Scenes,
    Manage,
}

/// An entry of the navigation that leads to a route, shown to whoever may use it.
#[derive(Debug, Clone, Copy)]
pub struct Menu {
    /// Fluent key of the label.
    pub key: &'static str,
    /// Name in the icon sprite.
    pub icon: &'static str,
    pub section: Section,
    /// Place within the section, ascending.
    pub order: u16,
}

/// A menu entry as a page shows it.
#[derive(Debug, Clone, Serialize)]
pub struct MenuEntry {
    pub key: &'static str,
    pub path: &'static str,
    pub icon: &'static str,
    /// Whether the page shown is at or below this entry.
    pub current: bool,
    pub section: Section,
}

type Handler = Box<dyn Fn(Ctx) -> LocalBoxFuture<'static, Result<HttpResponse>> + Send + Sync>;

/// One entry of the route table.
pub struct Route {
    pub method: Method,
    /// `/incidents/{id}`; API routes begin with `/api/`.
    pub path: &'static str,
    pub access: Access,
    pub body_limit_bytes: usize,
    pub menu: Option<Menu>,
    pub doc: Option<ApiDoc>,
    /// Why a request that changes something leaves no line in the audit log by itself.
    pub unaudited: Option<&'static str>,
    /// Whether it is there also for whoever has something else to do first: choose a password.
    pub(super) at_the_door: bool,
    handler: Handler,
}

impl Route {
    pub fn new<H, F>(method: Method, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Fn(Ctx) -> F + Send + Sync + 'static,
        F: Future<Output = Result<HttpResponse>> + 'static,
    {
        Self {
            method,
            path,
            access,
            body_limit_bytes: DEFAULT_BODY_LIMIT_BYTES,
            menu: None,
            doc: None,
            unaudited: None,
            at_the_door: false,
            handler: Box::new(move |ctx| Box::pin(handler(ctx))),
        }
    }

    /// Answers HEAD as well.
    pub fn get<H, F>(path: &'static str, access: Access, handler: H) -> Self
    where
        H: Fn(Ctx) -> F + Send + Sync + 'static,
        F: Future<Output = Result<HttpResponse>> + 'static,
    {
        Self::new(Method::GET, path, access, handler)
    }

    pub fn post<H, F>(path: &'static str, access: Access, handler: H) -> Self
    where
        H: Fn(Ctx) -> F + Send + Sync + 'static,
        F: Future<Output = Result<HttpResponse>> + 'static,
    {
        Self::new(Method::POST, path, access, handler)
    }

    pub fn put<H, F>(path: &'static str, access: Access, handler: H) -> Self
    where
        H: Fn(Ctx) -> F + Send + Sync + 'static,
        F: Future<Output = Result<HttpResponse>> + 'static,
    {
        Self::new(Method::PUT, path, access, handler)
    }

    pub fn delete<H, F>(path: &'static str, access: Access, handler: H) -> Self
    where
        H: Fn(Ctx) -> F + Send + Sync + 'static,
        F: Future<Output = Result<HttpResponse>> + 'static,
    {
        Self::new(Method::DELETE, path, access, handler)
    }

    #[must_use]
    pub fn menu(mut self, menu: Menu) -> Self {
        self.menu = Some(menu);
        self
    }

    /// Puts the route into the OpenAPI document.
    #[must_use]
    pub fn doc(mut self, doc: ApiDoc) -> Self {
        self.doc = Some(doc);
        self
    }

    /// Its requests leave a line in the audit log only where their operation writes one. For what is nobody's data and
    /// comes every few seconds; `why` is a reason that a reviewer can follow.
    #[must_use]
    pub fn unaudited(mut self, why: &'static str) -> Self {
        self.unaudited = Some(why);
        self
    }

    /// Admits also whoever has something else to do first ([`crate::identity::First`]).
    #[must_use]
    pub(crate) fn at_the_door(mut self) -> Self {
        self.at_the_door = true;
        self
    }

    /// Another limit than 64 KiB for the body.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit_bytes = bytes;
        self
    }

    pub fn is_api(&self) -> bool {
        is_api(self.path)
    }

    pub(super) fn run(&self, ctx: Ctx) -> LocalBoxFuture<'static, Result<HttpResponse>> {
        (self.handler)(ctx)
    }

    /// The path with every parameter's name left out: two routes of one shape match the same requests.
    fn shape(&self) -> String {
        segments(self.path).flat_map(|segment| ["/", if segment.starts_with('{') { "{}" } else { segment }]).collect()
    }
}

/// Whether errors below a path are problem details (a program asks) or pages (a person does).
pub(super) fn is_api(path: &str) -> bool {
    path.starts_with("/api/")
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// All routes of the assembled server.
#[derive(Default)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
}

impl RouteTable {
    /// Puts routes in the order in which they are matched: fixed segments before parameters.
    ///
    /// # Errors
    /// `Internal` for a method and path declared twice, one path with differently named parameters, a permission that
    /// no module declares, and a menu entry that leads to anything but a GET without parameters.
    pub fn build(routes: Vec<Route>, permissions: &Permissions) -> Result<Self> {
        let mut by_shape: HashMap<String, &'static str> = HashMap::new();
        let mut seen: HashMap<(String, &'static str), ()> = HashMap::new();
        for route in &routes {
            let named = format!("{} {}", route.method, route.path);
            if *by_shape.entry(route.shape()).or_insert(route.path) != route.path {
                return Err(Error::Internal(format!("{named}: the same path has other parameter names elsewhere")));
            }
            if seen.insert((route.method.to_string(), route.path), ()).is_some() {
                return Err(Error::Internal(format!("{named} is declared twice")));
            }
            if let Access::Permission(name) = route.access
                && !permissions.contains(name)
            {
                return Err(Error::Internal(format!("{named}: no module declares the permission {name}")));
            }
            if route.menu.is_some() && (route.method != Method::GET || route.path.contains('{')) {
                return Err(Error::Internal(format!("{named}: a menu leads to a GET without parameters only")));
            }
        }
        let mut routes: Vec<_> = routes.into_iter().map(Arc::new).collect();
        routes.sort_by_cached_key(|route| (order_of(route.path), route.path));
        Ok(Self { routes })
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter()
    }

    /// Whether there is a page at a path (as declared) and the caller may see it.
    pub fn permits(&self, caller: Option<&Caller>, path: &str) -> bool {
        let page = self.routes.iter().find(|route| route.method == Method::GET && route.path == path);
        page.is_some_and(|route| route.access.check(caller).is_ok())
    }

    /// The entries that a caller may follow; none for strangers. `path` is that of the page shown.
    pub fn menu(&self, caller: Option<&Caller>, path: &str) -> Vec<MenuEntry> {
        let Some(caller) = caller else { return Vec::new() };
        let mut entries: Vec<(u16, MenuEntry)> = Vec::new();
        for route in &self.routes {
            if let Some(menu) = route.menu
                && route.access.check(Some(caller)).is_ok()
            {
                let Menu { key, icon, section, order } = menu;
                entries.push((order, MenuEntry { key, path: route.path, icon, current: false, section }));
            }
        }
        entries.sort_by_key(|(order, entry)| (entry.section, *order, entry.path));
        let mut entries: Vec<MenuEntry> = entries.into_iter().map(|(_, entry)| entry).collect();
        let nearest = entries.iter_mut().filter(|entry| is_at_or_below(path, entry.path));
        if let Some(entry) = nearest.max_by_key(|entry| entry.path.len()) {
            entry.current = true;
        }
        entries
    }
}

fn is_at_or_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Sorts `/beds/new` before `/beds/{id}`.
fn order_of(path: &str) -> Vec<(bool, &str)> {
    segments(path).map(|segment| (segment.starts_with('{'), segment)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::identity::{Permission, Role};

    async fn nothing(_: Ctx) -> Result<HttpResponse> {
        Err(Error::NotFound)
    }

    fn table(routes: Vec<Route>) -> Result<RouteTable> {
        let permissions = Permissions::collect([Permission { name: "beds.read", roles: &[Role::Nurse] }]).unwrap();
        RouteTable::build(routes, &permissions)
    }

    fn get(path: &'static str) -> Route {
        Route::get(path, Access::Public, nothing)
    }

    #[test]
    fn what_would_never_be_reached_is_refused_at_start() {
        assert!(table(vec![get("/beds"), get("/beds")]).is_err());
        let other_name = Route::post("/beds/{bed}", Access::Public, nothing);
        assert!(table(vec![get("/beds/{id}"), other_name]).is_err());
        assert!(table(vec![get("/beds"), Route::post("/beds", Access::Public, nothing)]).is_ok());
    }

    #[test]
    fn a_permission_that_nobody_declares_is_refused_at_start() {
        assert!(table(vec![Route::get("/a", Access::Permission("beds.read"), nothing)]).is_ok());
        assert!(table(vec![Route::get("/a", Access::Permission("beds.raed"), nothing)]).is_err());
    }

    #[test]
    fn fixed_segments_match_before_parameters() {
        let table = table(vec![get("/beds/{id}"), get("/beds/new"), get("/beds/{id}/edit"), get("/beds")]).unwrap();
        let order: Vec<_> = table.iter().map(|route| route.path).collect();
        assert_eq!(order, ["/beds", "/beds/new", "/beds/{id}", "/beds/{id}/edit"]);
    }

    #[test]
    fn strangers_need_to_sign_in_before_they_are_refused() {
        assert!(matches!(Access::Permission("beds.read").check(None), Err(Error::Unauthenticated)));
        assert!(matches!(Access::SignedIn.check(None), Err(Error::Unauthenticated)));
        assert!(Access::Public.check(None).is_ok());
    }
}
