//! Waiting for a condition with a deadline, instead of sleeping and hoping.

use std::future::Future;
use std::net::TcpListener;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(10);

/// Asks `probe` every 10 ms until it gives a value; panics with `what` after `limit`.
pub async fn eventually<T, F, P>(what: &str, limit: Duration, mut probe: F) -> T
where
    F: FnMut() -> P,
    P: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// [`eventually`] for a probe that says yes or no.
pub async fn eventually_true<F, P>(what: &str, limit: Duration, mut probe: F)
where
    F: FnMut() -> P,
    P: Future<Output = bool>,
{
    let deadline = Instant::now() + limit;
    while !probe().await {
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// The same outside async code; blocks the thread.
pub fn poll_until(what: &str, limit: Duration, mut probe: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !probe() {
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        std::thread::sleep(PAUSE);
    }
}

/// A TCP port of the loopback address that was free just now. Whoever uses it must bear that
/// another process may have taken it meanwhile; a server of ours is better given port 0.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("no free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn eventually_gives_the_value_once_it_is_there() {
        let mut asked = 0;
        let value = eventually("the third answer", Duration::from_secs(5), || {
            asked += 1;
            let answer = (asked == 3).then_some(asked);
            async move { answer }
        });
        assert_eq!(value.await, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "waited 30ms for a miracle")]
    async fn eventually_gives_up_at_the_deadline() {
        eventually_true("a miracle", Duration::from_millis(30), || async { false }).await;
    }
}
