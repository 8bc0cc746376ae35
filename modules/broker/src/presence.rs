//! Who is connected, and the wills they left. The engine's own events do not say which of two
//! connections under one client id has ended, so connections are counted.

use crate::Principal;
use parking_lot::Mutex;
use std::{collections::HashMap, time::Instant};

pub struct Will {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
}

struct Entry {
    who: Principal,
    connections: usize,
    will: Option<Will>,
    /// When its sign-in began; of the last one after a take-over.
    since: Instant,
}

#[derive(Default)]
pub struct Presence {
    clients: Mutex<HashMap<String, Entry>>,
    /// Admitted and not yet here: when their sign-ins began.
    admitted: Mutex<HashMap<String, Instant>>,
}

impl Presence {
    /// A sign-in that began at this time was good; the connection follows.
    pub fn admit(&self, client_id: &str, began: Instant) {
        self.admitted.lock().insert(client_id.to_owned(), began);
    }

    /// True if this is the client's first connection, not a take-over.
    pub fn arrive(&self, client_id: &str, who: Principal, will: Option<Will>) -> bool {
        let since = self.admitted.lock().remove(client_id).unwrap_or_else(Instant::now);
        let mut clients = self.clients.lock();
        let entry = clients.entry(client_id.to_owned()).or_insert(Entry {
            who: who.clone(),
            connections: 0,
            will: None,
            since,
        });
        entry.since = since;
        entry.who = who;
        entry.will = will;
        entry.connections += 1;
        entry.connections == 1
    }

    /// The client and its will, if this was its last connection.
    pub fn leave(&self, client_id: &str) -> Option<(Principal, Option<Will>)> {
        let mut clients = self.clients.lock();
        let entry = clients.get_mut(client_id)?;
        entry.connections = entry.connections.saturating_sub(1);
        if entry.connections > 0 {
            return None;
        }
        clients.remove(client_id).map(|entry| (entry.who, entry.will))
    }

    pub fn is_here(&self, user: &str) -> bool {
        self.clients.lock().values().any(|entry| entry.who.name() == user)
    }

    /// The clients of a user whose sign-in began before a time.
    pub fn older_clients_of(&self, user: &str, than: Instant) -> Vec<String> {
        let clients = self.clients.lock();
        let older = clients.iter().filter(|(_, entry)| entry.who.name() == user && entry.since < than);
        older.map(|(client_id, _)| client_id.clone()).collect()
    }

    pub fn len(&self) -> usize {
        self.clients.lock().len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_take_over_is_no_departure() {
        let presence = Presence::default();
        let who = Principal::Device("d".into());
        let will = || Some(Will { topic: "t".into(), payload: vec![], qos: 1, retain: false });
        assert!(presence.arrive("d", who.clone(), will()));
        assert!(!presence.arrive("d", who.clone(), will()));
        assert!(presence.leave("d").is_none());
        assert!(presence.is_here("d"));
        let (gone, left) = presence.leave("d").unwrap();
        assert_eq!((gone, left.is_some(), presence.len()), (who, true, 0));
        assert!(presence.leave("d").is_none());
    }

    #[test]
    fn a_connection_is_as_old_as_its_sign_in() {
        let presence = Presence::default();
        let who = Principal::Device("d".into());
        let asked = Instant::now();
        let later = asked + std::time::Duration::from_nanos(1);
        presence.admit("d", asked);
        presence.arrive("d", who.clone(), None);
        presence.admit("d#2", later);
        presence.arrive("d#2", who.clone(), None);
        assert!(presence.older_clients_of("d", asked).is_empty());
        assert_eq!(presence.older_clients_of("d", later), ["d"]);
        assert!(presence.older_clients_of("other", Instant::now()).is_empty());
    }
}
