//! Device messages from a shared broker, while it is this server's turn: of several servers on one database one holds
//! the connections to the broker, under a name that all of them use, so that what the broker keeps goes over to the
//! next one.

use std::sync::Arc;
use std::time::Duration;

use songhe_devices::Ingest;
use songhe_devices::link::{self, Lane, LinkSettings, LinkState};
use songhe_kernel::Database;
use songhe_kernel::servers::{Peers, Term};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::assembly::adapters;

/// How often is looked whether a turn still holds: a lease that could not be renewed runs out without a word.
const LOOK: Duration = Duration::from_millis(100);
/// How long a link may take to end.
const END_WITHIN: Duration = Duration::from_millis(500);

/// The connections to the broker.
#[derive(Clone)]
pub(crate) struct Links {
    pub(crate) settings: LinkSettings,
    pub(crate) db: Database,
    /// One for each connection, whoever's turn it is.
    pub(crate) states: Vec<(Lane, Arc<LinkState>)>,
}

impl Links {
    fn start(&self, ingest: &Arc<Ingest>, stop: &watch::Receiver<bool>) -> JoinSet<()> {
        let mut links = JoinSet::new();
        for (lane, state) in &self.states {
            let (settings, db) = (self.settings.clone(), self.db.clone());
            links.spawn(link::run(settings, *lane, ingest.clone(), db, state.clone(), stop.clone()));
        }
        links
    }

    /// Without other servers: from now until the end.
    pub(crate) async fn run(self, ingest: Arc<Ingest>, stop: watch::Receiver<bool>) {
        let mut links = self.start(&ingest, &stop);
        while links.join_next().await.is_some() {}
    }

    /// Whenever it is this server's turn, until the end.
    pub(crate) async fn run_in_turns(self, peers: Arc<Peers>, mut stop: watch::Receiver<bool>) {
        let mut terms = peers.terms();
        while !*stop.borrow() {
            let term = terms.borrow_and_update().clone().filter(|term| term.holds());
            if let Some(term) = term {
                self.turn(&term, &stop).await;
            } else {
                tokio::select! {
                    changed = terms.changed() => if changed.is_err() { return },
                    _ = stop.changed() => {}
                }
            }
        }
    }

    /// Each turn has its own way into the database, which is shut when the turn is over: what was under way then is
    /// the next holder's, who gets it from the broker again.
    async fn turn(&self, term: &Arc<Term>, stop: &watch::Receiver<bool>) {
        let ingest = Ingest::start(self.db.fenced(term.clone()), adapters());
        let (end, ended) = watch::channel(false);
        let mut links = self.start(&ingest, &ended);
        let mut look = tokio::time::interval(LOOK);
        while term.holds() && !*stop.borrow() {
            look.tick().await;
        }
        let _ = end.send(true);
        let all = async { while links.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(END_WITHIN, all).await;
    }
}
