//! Who is there and what they may see: accounts, sessions, roles, and the scope tree.
//!
//! A role is held at a node of the scope tree (region … facility) or over the whole system. Modules declare
//! [`Permission`]s, each with the roles that have it. [`Caller::facilities`] answers the facilities at which a caller
//! has a permission; `grants.rs` is the only place where the tree is expanded.
//!
//! This folder must never know what a resident, a device or an incident is.

mod account_api;
mod account_pages;
mod caller;
mod grants;
mod housekeeping;
mod password_rules;
mod passwords;
mod people;
mod people_api;
mod people_pages;
mod rights;
mod roles;
mod roles_api;
mod roles_pages;
mod routes;
pub mod schema;
mod sessions;
mod sign_in;
mod throttle;
mod tokens;
mod trail;
mod tree;
mod users;

pub use caller::{Caller, First, Scope};
pub use grants::{GrantId, NodeKind, add_scope_node, grant_role, permitted, with_a_role};
pub use housekeeping::purge_expired;
pub use password_rules::PasswordRules;
pub use passwords::{PasswordHash, Passwords};
pub use people::{Grant, NewPerson, Person, PersonChange};
pub use rights::{PEOPLE_READ, PEOPLE_WRITE, PERMISSIONS, ROLES_WRITE, RoleId, RoleRights, create_role, set_role};
pub use roles::{Permission, Permissions, Role, RoleName, has_right};
pub(crate) use routes::routes;
pub use sessions::{
    Client, OpenSession, Session, SessionId, SessionKind, SessionToken, close_session, end_session_of, end_sessions_of,
    find_caller, open_session, open_session_from, sessions_of, touch_session,
};
pub use sign_in::{Attempt, SignIn, SignedIn};
pub use tokens::{NewToken, Token, TokenId, make_token, revoke_token, tokens_of};
pub use users::{NewUser, choose_password, create_user, find_user_id, set_locale, set_password};
