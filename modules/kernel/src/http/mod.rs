//! HTTP: the route table, what every request passes through, and what handlers are given.
//!
//! A route is declared once, with its access rule ([`Route`]); requests, OpenAPI, menu and permission tests are made
//! from it. A handler gets a [`Ctx`] and answers `Result<HttpResponse>`; errors become answers in one place,
//! `error_response.rs`. Nothing here may know what a resident, a device or an incident is.

mod api_docs;
mod app;
mod assets;
mod csv;
mod ctx;
mod dispatch;
mod doc;
mod error_response;
mod escapes;
mod form;
mod guard;
mod home;
mod list;
mod live;
mod misread;
mod multipart;
mod once;
mod openapi;
mod page;
mod route;
mod system;
pub(crate) mod visitor;

pub use app::{App, DemoAccount, HttpSettings, Parts};
pub use csv::Csv;
pub use ctx::Ctx;
pub use dispatch::configure;
pub use doc::ApiDoc;
pub use form::{Choice, Fields, Refused, refused};
pub use home::{Home, HomeFollowUp, HomePart, HomeShift, HomeTile, Tone};
pub use list::{Limit, List, cursor, cut, url};
pub use live::{Live, SseFrame, StreamId, StreamListener};
pub use multipart::Part;
pub use page::Figure;
pub use route::{Access, Menu, MenuEntry, Route, RouteTable, Section};
