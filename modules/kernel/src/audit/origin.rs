//! Who asked, and from where: known to every transaction of a request without being handed through its operations.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::AuditEntry;
use crate::ids::UserId;

/// Who does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    User(UserId),
    /// Somebody at the door who is not signed in.
    Stranger,
    /// Songhe itself: a timer, an event.
    System,
    /// Whoever may run the command on the machine.
    CommandLine,
}

impl Actor {
    /// As stored.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Stranger => "stranger",
            Self::System => "system",
            Self::CommandLine => "command_line",
        }
    }

    /// The account, if it is one.
    pub const fn user(self) -> Option<UserId> {
        match self {
            Self::User(id) => Some(id),
            _ => None,
        }
    }
}

/// The route of a request that changes something.
#[derive(Debug)]
struct Taken {
    /// `request.post`.
    action: &'static str,
    path: &'static str,
    /// The first id in the path, else nothing: other parameters may be secrets.
    subject: String,
}

/// What a request tells about itself; every transaction begun while it is handled carries it.
#[derive(Debug)]
pub struct Origin {
    pub(super) actor: Actor,
    pub(super) address: Option<String>,
    pub(super) request_id: Option<String>,
    /// The session or token, by its id outside.
    pub(super) session: Option<String>,
    taken: Option<Taken>,
    /// A transaction of this request has said what it did.
    named: AtomicBool,
}

tokio::task_local! {
    static CURRENT: Arc<Origin>;
}

impl Origin {
    /// Of a request.
    pub(crate) fn new(actor: Actor, address: String, request_id: String, session: Option<String>) -> Self {
        Self {
            actor,
            address: Some(address),
            request_id: Some(request_id),
            session,
            taken: None,
            named: AtomicBool::new(false),
        }
    }

    /// Of a command on the machine.
    pub fn command_line() -> Self {
        Self {
            actor: Actor::CommandLine,
            address: None,
            request_id: None,
            session: None,
            taken: None,
            named: AtomicBool::new(false),
        }
    }

    /// The request changes something: if it does not say what, this is said.
    #[must_use]
    pub(crate) fn changing(mut self, method: &str, path: &'static str, subject: String) -> Self {
        let action = match method {
            "PUT" => "request.put",
            "DELETE" => "request.delete",
            "PATCH" => "request.patch",
            _ => "request.post",
        };
        self.taken = Some(Taken { action, path, subject });
        self
    }

    /// That of the request that is handled here; `None` for background work.
    pub fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Does the work as asked from here.
    pub async fn during<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(Arc::new(self), work).await
    }

    /// What is written when a request that changes something has not said what it did.
    pub(super) fn unnamed(&self) -> Option<AuditEntry> {
        let taken = self.taken.as_ref().filter(|_| !self.named.load(Ordering::SeqCst))?;
        Some(AuditEntry::new(taken.action, &taken.subject).after(serde_json::json!({ "route": taken.path })))
    }

    /// A transaction that said what it did has committed.
    pub(crate) fn set_named(&self) {
        self.named.store(true, Ordering::SeqCst);
    }
}
