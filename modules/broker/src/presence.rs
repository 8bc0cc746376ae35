//! Who is connected, and the wills they left. The engine's own events do not say which of two
//! connections under one client id has ended, so connections are counted.

use crate::Principal;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

pub struct Will {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
}

/// What a sign-in told of its connection.
#[derive(Clone, Copy)]
pub struct SignedIn {
    /// When it began.
    pub began: Instant,
    /// Where it came from; not known of a connection that took too long to follow.
    pub peer: Option<SocketAddr>,
    /// MQTT 5, whose acknowledgements carry reasons; MQTT 3.1.1 takes any for success.
    pub hears_reasons: bool,
}

/// Whether a good sign-in has a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    Yes,
    AccountFull,
    BrokerFull,
}

/// A client whose last connection has ended.
pub struct Gone {
    pub who: Principal,
    pub will: Option<Will>,
    pub peer: Option<SocketAddr>,
}

struct Entry {
    who: Principal,
    connections: usize,
    will: Option<Will>,
    /// Of the last one after a take-over.
    sign_in: SignedIn,
}

struct Coming {
    account: String,
    at: Instant,
    sign_in: SignedIn,
}

/// A connection follows its sign-in at once. One that broke off in between is not reported, and
/// holds its place no longer than this.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Clients {
    here: HashMap<String, Entry>,
    /// Signed in and not yet here.
    admitted: HashMap<String, Coming>,
}

/// Clients by their ids. One lock for all of it, so that sign-ins at the same moment count each other.
#[derive(Default)]
pub struct Presence(Mutex<Clients>);

impl Presence {
    /// A sign-in was good; the connection follows, unless the account has its number of clients already or all
    /// accounts together have. One that takes over its own earlier connection is none more.
    pub fn admit(
        &self,
        client_id: &str,
        account: &str,
        of_account: usize,
        of_all: usize,
        sign_in: SignedIn,
    ) -> Admitted {
        let mut clients = self.0.lock();
        let clients = &mut *clients;
        let now = Instant::now();
        clients.admitted.retain(|_, admitted| now.saturating_duration_since(admitted.at) < FOLLOWS_WITHIN);
        let here = clients.here.iter().filter(|(id, entry)| entry.who.name() == account && *id != client_id).count();
        let coming = clients.admitted.iter().filter(|(id, admitted)| {
            admitted.account == account && *id != client_id && !clients.here.contains_key(*id)
        });
        if here + coming.count() >= of_account {
            return Admitted::AccountFull;
        }
        let is_new = !clients.here.contains_key(client_id) && !clients.admitted.contains_key(client_id);
        let all_coming = clients.admitted.keys().filter(|id| !clients.here.contains_key(*id)).count();
        if is_new && clients.here.len() + all_coming >= of_all {
            return Admitted::BrokerFull;
        }
        let admitted = Coming { account: account.to_owned(), at: now, sign_in };
        clients.admitted.insert(client_id.to_owned(), admitted);
        Admitted::Yes
    }

    /// Whether a client is here or about to be.
    pub fn has(&self, client_id: &str) -> bool {
        let clients = self.0.lock();
        clients.here.contains_key(client_id) || clients.admitted.contains_key(client_id)
    }

    /// True if this is the client's first connection, not a take-over.
    pub fn arrive(&self, client_id: &str, who: Principal, will: Option<Will>) -> bool {
        let mut clients = self.0.lock();
        let sign_in = clients.admitted.remove(client_id).map_or_else(
            || SignedIn { began: Instant::now(), peer: None, hears_reasons: false },
            |admitted| admitted.sign_in,
        );
        let entry = clients.here.entry(client_id.to_owned()).or_insert(Entry {
            who: who.clone(),
            connections: 0,
            will: None,
            sign_in,
        });
        entry.sign_in = sign_in;
        entry.who = who;
        entry.will = will;
        entry.connections += 1;
        entry.connections == 1
    }

    /// The client and what it left, if this was its last connection.
    pub fn leave(&self, client_id: &str) -> Option<Gone> {
        let mut clients = self.0.lock();
        let entry = clients.here.get_mut(client_id)?;
        entry.connections = entry.connections.saturating_sub(1);
        if entry.connections > 0 {
            return None;
        }
        let entry = clients.here.remove(client_id)?;
        Some(Gone { who: entry.who, will: entry.will, peer: entry.sign_in.peer })
    }

    /// Whether a client is here that takes every acknowledgement for success.
    pub fn hears_no_reasons(&self, client_id: &str) -> bool {
        self.0.lock().here.get(client_id).is_some_and(|entry| !entry.sign_in.hears_reasons)
    }

    pub fn is_here(&self, user: &str) -> bool {
        self.0.lock().here.values().any(|entry| entry.who.name() == user)
    }

    /// The clients of a user whose sign-in began before a time.
    pub fn older_clients_of(&self, user: &str, than: Instant) -> Vec<String> {
        let clients = self.0.lock();
        let older = clients.here.iter().filter(|(_, entry)| entry.who.name() == user && entry.sign_in.began < than);
        older.map(|(client_id, _)| client_id.clone()).collect()
    }

    pub fn len(&self) -> usize {
        self.0.lock().here.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn at(began: Instant) -> SignedIn {
        SignedIn { began, peer: None, hears_reasons: true }
    }

    #[test]
    fn sign_ins_at_the_same_moment_count_each_other() {
        let (presence, now) = (Presence::default(), at(Instant::now()));
        let admit = |client_id: &str, account: &str| presence.admit(client_id, account, 2, 3, now);
        assert_eq!((admit("d", "d"), admit("d#2", "d")), (Admitted::Yes, Admitted::Yes));
        assert_eq!(admit("d#3", "d"), Admitted::AccountFull, "two are coming");
        assert_eq!(admit("e", "e"), Admitted::Yes, "another account");
        assert_eq!(admit("f", "f"), Admitted::BrokerFull, "three are coming");
        assert_eq!(admit("e", "e"), Admitted::Yes, "the same once more");
        presence.arrive("d", Principal::Device("d".into()), None);
        assert!(presence.has("d") && presence.has("d#2") && !presence.has("d#3"));
        assert_eq!(admit("d#3", "d"), Admitted::AccountFull, "one is here, one is coming");
        assert_eq!(admit("d", "d"), Admitted::Yes, "a take-over");
        presence.arrive("d", Principal::Device("d".into()), None);
        presence.leave("d");
        assert_eq!(admit("d#3", "d"), Admitted::AccountFull, "the newer of the two is still here");
        presence.leave("d");
        assert_eq!(admit("d#3", "d"), Admitted::Yes);
    }

    #[test]
    fn a_take_over_is_no_departure() {
        let presence = Presence::default();
        let who = Principal::Device("d".into());
        let will = || Some(Will { topic: "t".into(), payload: vec![], qos: 1, retain: false });
        assert!(presence.arrive("d", who.clone(), will()));
        assert!(!presence.arrive("d", who.clone(), will()));
        assert!(presence.leave("d").is_none());
        assert!(presence.is_here("d"));
        let gone = presence.leave("d").unwrap();
        assert_eq!((gone.who, gone.will.is_some(), presence.len()), (who, true, 0));
        assert!(presence.leave("d").is_none());
    }

    #[test]
    fn a_connection_is_as_old_as_its_sign_in() {
        let presence = Presence::default();
        let who = Principal::Device("d".into());
        let asked = Instant::now();
        let later = asked + std::time::Duration::from_nanos(1);
        assert_eq!(presence.admit("d", "d", 2, 9, at(asked)), Admitted::Yes);
        presence.arrive("d", who.clone(), None);
        assert_eq!(presence.admit("d#2", "d", 2, 9, at(later)), Admitted::Yes);
        presence.arrive("d#2", who.clone(), None);
        assert!(presence.older_clients_of("d", asked).is_empty());
        assert_eq!(presence.older_clients_of("d", later), ["d"]);
        assert!(presence.older_clients_of("other", Instant::now()).is_empty());
    }
}
