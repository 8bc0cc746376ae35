//! How many stored sessions one account may have. A client id may carry a suffix, and under ever new ones an account
//! would fill memory and disk with sessions and the messages kept for them.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};

/// Most stored sessions of one account.
pub const SESSIONS_PER_ACCOUNT: usize = 8;

/// Client ids by account, those last seen at the end.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<String, VecDeque<String>>>);

impl Sessions {
    /// A client is here, or was stored. Answers the client ids whose sessions are to be forgotten: the oldest ones, and
    /// none that is connected.
    pub fn seen(&self, client_id: &str, is_here: impl Fn(&str) -> bool) -> Vec<String> {
        let account = client_id.split_once('#').map_or(client_id, |(account, _)| account);
        let mut sessions = self.0.lock();
        let ids = sessions.entry(account.to_owned()).or_default();
        ids.retain(|id| id != client_id);
        ids.push_back(client_id.to_owned());
        let mut too_many = Vec::new();
        while ids.len() > SESSIONS_PER_ACCOUNT {
            let Some(at) = ids.iter().position(|id| id != client_id && !is_here(id)) else { break };
            too_many.extend(ids.remove(at));
        }
        too_many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_absent_session_goes() {
        let sessions = Sessions::default();
        for n in 0..SESSIONS_PER_ACCOUNT {
            assert!(sessions.seen(&format!("SH-1#{n}"), |_| false).is_empty());
        }
        assert!(sessions.seen("SH-1#0", |_| false).is_empty(), "seen again");
        assert!(sessions.seen("SH-2", |_| false).is_empty(), "another account");
        assert_eq!(sessions.seen("SH-1#new", |id| id == "SH-1#1"), ["SH-1#2"]);
        assert_eq!(sessions.seen("SH-1", |_| false), ["SH-1#1"]);
    }
}
