//! Who is there and what they may see: accounts, sessions, roles, and the scope tree.
//!
//! A role is held at a node of the scope tree (region … facility) or over the whole system. Modules declare
//! [`Permission`]s, each with the roles that have it. [`Caller::facilities`] answers the facilities at which a caller
//! has a permission; `grants.rs` is the only place where the tree is expanded.
//!
//! This folder must never know what a resident, a device or an incident is.

mod caller;
mod grants;
mod housekeeping;
mod passwords;
mod roles;
mod routes;
pub mod schema;
mod sessions;
mod sign_in;
mod throttle;
mod users;

pub use caller::{Caller, Scope};
pub use grants::{NodeKind, add_scope_node, grant_role, holding};
pub use housekeeping::purge_expired;
pub use passwords::{PasswordHash, Passwords};
pub use roles::{Permission, Permissions, Role};
pub(crate) use routes::routes;
pub use sessions::{
    Session, SessionId, SessionKind, SessionToken, close_session, find_caller, open_session, touch_session,
};
pub use sign_in::{Attempt, SignIn, SignedIn};
pub use users::{NewUser, create_user, find_user_id, set_locale, set_password};
