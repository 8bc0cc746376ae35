//! Who is connected, and the wills they left. The engine's own events do not say which of two
//! connections under one client id has ended, so connections are counted.

use crate::Principal;
use parking_lot::Mutex;
use std::collections::HashMap;

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
}

#[derive(Default)]
pub struct Presence {
    clients: Mutex<HashMap<String, Entry>>,
}

impl Presence {
    /// True if this is the client's first connection, not a take-over.
    pub fn arrive(&self, client_id: &str, who: Principal, will: Option<Will>) -> bool {
        let mut clients = self.clients.lock();
        let entry =
            clients.entry(client_id.to_owned()).or_insert(Entry { who: who.clone(), connections: 0, will: None });
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

    pub fn client_ids_of(&self, user: &str) -> Vec<String> {
        let clients = self.clients.lock();
        let own = clients.iter().filter(|(_, entry)| entry.who.name() == user);
        own.map(|(client_id, _)| client_id.clone()).collect()
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
        assert_eq!(presence.client_ids_of("d"), ["d"]);
        let (gone, left) = presence.leave("d").unwrap();
        assert_eq!((gone, left.is_some(), presence.len()), (who, true, 0));
        assert!(presence.leave("d").is_none());
    }
}
