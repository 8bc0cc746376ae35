//! Connections that have not signed in yet: how many there may be, and which of them makes room.

use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};
use tokio::sync::oneshot;

/// What became of a connection that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    SignedIn,
    /// It had waited longest, and another one came.
    MadeRoom,
}

struct Waiter {
    address: IpAddr,
    verdict: oneshot::Sender<Verdict>,
}

#[derive(Default)]
struct Table {
    /// By age.
    waiters: BTreeMap<u64, Waiter>,
    of_address: HashMap<IpAddr, usize>,
    next: u64,
}

impl Table {
    fn remove(&mut self, id: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&id)?;
        if let Some(count) = self.of_address.get_mut(&waiter.address) {
            *count -= 1;
            if *count == 0 {
                self.of_address.remove(&waiter.address);
            }
        }
        Some(waiter)
    }

    fn make_room(&mut self, oldest: Option<u64>) {
        if let Some(waiter) = oldest.and_then(|id| self.remove(id)) {
            // A connection that just ended hears nothing.
            let _ = waiter.verdict.send(Verdict::MadeRoom);
        }
    }
}

/// All of them. A real device signs in as soon as it is connected, so the one that waits longest goes first.
pub struct Waiting {
    table: Mutex<Table>,
    most: usize,
}

/// A place among those that wait; dropped, it is free.
pub struct Ticket {
    id: u64,
    waiting: Arc<Waiting>,
}

impl Waiting {
    /// At most so many, and half as many from one address.
    pub fn new(most: usize) -> Self {
        Self { table: Mutex::default(), most: most.max(2) }
    }

    /// Lets one in; whoever has waited longest goes if there is no room.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> (Arc<Ticket>, oneshot::Receiver<Verdict>) {
        let (verdict, told) = oneshot::channel();
        let mut table = self.table.lock();
        if table.of_address.get(&address).copied().unwrap_or(0) >= self.most / 2 {
            let oldest = table.waiters.iter().find(|(_, waiter)| waiter.address == address).map(|(id, _)| *id);
            table.make_room(oldest);
        }
        if table.waiters.len() >= self.most {
            let oldest = table.waiters.keys().next().copied();
            table.make_room(oldest);
        }
        let id = table.next;
        table.next += 1;
        table.waiters.insert(id, Waiter { address, verdict });
        *table.of_address.entry(address).or_default() += 1;
        drop(table);
        (Arc::new(Ticket { id, waiting: self.clone() }), told)
    }

    /// Sends away those that have waited longest: the system has no room for more.
    pub fn make_room(&self, count: usize) {
        let mut table = self.table.lock();
        for _ in 0..count {
            let oldest = table.waiters.keys().next().copied();
            table.make_room(oldest);
        }
    }

    pub fn len(&self) -> usize {
        self.table.lock().waiters.len()
    }
}

impl Ticket {
    /// The sign-in was good. False if the connection has just made room for another.
    pub fn pass(&self) -> bool {
        let waiter = self.waiting.table.lock().remove(self.id);
        waiter.is_some_and(|waiter| waiter.verdict.send(Verdict::SignedIn).is_ok())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.waiting.table.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn whoever_waits_longest_makes_room() {
        let waiting = Arc::new(Waiting::new(4));
        let (_a, mut a) = waiting.enter(address(1));
        let (b, mut b_told) = waiting.enter(address(1));
        let (_c, mut c) = waiting.enter(address(2));
        // The third of an address that may have two: its own first goes.
        let (_d, mut d) = waiting.enter(address(1));
        assert_eq!(a.try_recv(), Ok(Verdict::MadeRoom));
        assert!(b.pass() && !b.pass());
        assert_eq!(b_told.try_recv(), Ok(Verdict::SignedIn));
        let _more: Vec<_> = (3..5).map(|n| waiting.enter(address(n))).collect();
        assert_eq!(waiting.len(), 4);
        let (_last, mut last) = waiting.enter(address(9));
        assert_eq!(c.try_recv(), Ok(Verdict::MadeRoom));
        waiting.make_room(1);
        assert_eq!(d.try_recv(), Ok(Verdict::MadeRoom));
        assert!(last.try_recv().is_err());
        assert_eq!(waiting.len(), 3);
    }

    #[test]
    fn a_place_is_free_when_its_connection_is_gone() {
        let waiting = Arc::new(Waiting::new(4));
        drop(waiting.enter(address(1)));
        assert_eq!(waiting.len(), 0);
        assert!(waiting.table.lock().of_address.is_empty());
    }
}
