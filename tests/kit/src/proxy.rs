//! A TCP proxy between two peers that breaks the network on command.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Forward,
    Stall,
    Cut,
}

struct Shared {
    mode: watch::Sender<Mode>,
    target: watch::Sender<String>,
    replies_to_lose: AtomicUsize,
    connections: AtomicUsize,
}

/// A running proxy; dropped, it closes everything.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `target` (`host:port`).
    pub async fn start(target: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("no free port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let shared = Arc::new(Shared {
            mode: watch::Sender::new(Mode::Forward),
            target: watch::Sender::new(target.into()),
            replies_to_lose: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared, acceptor }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Sends new connections to another peer (a server that came back on another port).
    pub fn set_target(&self, target: impl Into<String>) {
        self.shared.target.send_replace(target.into());
    }

    /// The network is gone: connections are reset, new ones as well.
    pub fn cut(&self) {
        self.shared.mode.send_replace(Mode::Cut);
    }

    /// The network swallows everything: connections are accepted and stay open, no byte passes.
    pub fn stall(&self) {
        self.shared.mode.send_replace(Mode::Stall);
    }

    /// The network is whole again. What a stall held back is delivered.
    pub fn resume(&self) {
        self.shared.replies_to_lose.store(0, Ordering::SeqCst);
        self.shared.mode.send_replace(Mode::Forward);
    }

    /// The next `count` times the target answers, the bytes are thrown away and the connection
    /// is reset: the request was carried out, and the asker does not know. Any bytes from the
    /// target count, a stream's heartbeat too.
    pub fn lose_replies(&self, count: usize) {
        self.shared.replies_to_lose.store(count, Ordering::SeqCst);
    }

    /// Replies that [`Proxy::lose_replies`] has still to lose.
    pub fn replies_left_to_lose(&self) -> usize {
        self.shared.replies_to_lose.load(Ordering::SeqCst)
    }

    /// Connections open through the proxy now.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            shared.connections.fetch_add(1, Ordering::SeqCst);
            carry(client, &shared).await;
            shared.connections.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Carries one connection until an end closes or the proxy cuts it.
async fn carry(mut client: TcpStream, shared: &Shared) {
    let _ = client.set_nodelay(true);
    if may_pass(&mut shared.mode.subscribe()).await.is_err() {
        let _ = client.set_zero_linger();
        return;
    }
    let target = shared.target.borrow().clone();
    let Ok(mut server) = TcpStream::connect(target).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = server.set_nodelay(true);
    let broken = {
        let (mut client_reads, mut client_writes) = client.split();
        let (mut server_reads, mut server_writes) = server.split();
        let up = pump(&mut client_reads, &mut server_writes, shared, false);
        let down = pump(&mut server_reads, &mut client_writes, shared, true);
        tokio::pin!(up, down);
        // After the asker's half is closed the rest of the answer still passes.
        tokio::select! {
            result = &mut down => result.is_err(),
            result = &mut up => result.is_err() || down.await.is_err(),
        }
    };
    if broken {
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}

struct Broken;

/// Waits while the network stalls; an error when it is cut.
async fn may_pass(mode: &mut watch::Receiver<Mode>) -> Result<(), Broken> {
    let allowed = mode.wait_for(|mode| *mode != Mode::Stall).await.map_err(|_| Broken)?;
    if *allowed == Mode::Cut { Err(Broken) } else { Ok(()) }
}

async fn pump<R, W>(from: &mut R, to: &mut W, shared: &Shared, replies: bool) -> Result<(), Broken>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut mode = shared.mode.subscribe();
    let mut cut = shared.mode.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.map_err(|_| Broken)?,
            _ = cut.wait_for(|mode| *mode == Mode::Cut) => return Err(Broken),
        };
        if read == 0 {
            let _ = to.shutdown().await;
            return Ok(());
        }
        may_pass(&mut mode).await?;
        if replies && take_one(&shared.replies_to_lose) {
            return Err(Broken);
        }
        to.write_all(&buffer[..read]).await.map_err(|_| Broken)?;
    }
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_secs(5);

    /// Echoes, and counts the bytes that reached it.
    async fn echo() -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut peer, _)) = listener.accept().await {
                let counter = Arc::clone(&counter);
                tokio::spawn(async move {
                    let mut buffer = [0; 64];
                    while let Ok(read @ 1..) = peer.read(&mut buffer).await {
                        counter.fetch_add(read, Ordering::SeqCst);
                        let _ = peer.write_all(&buffer[..read]).await;
                    }
                });
            }
        });
        (address, seen)
    }

    async fn ask(peer: &mut TcpStream) -> std::io::Result<u8> {
        peer.write_all(b"x").await?;
        peer.read_u8().await
    }

    #[tokio::test]
    async fn a_cut_resets_what_is_open_and_refuses_what_is_new() {
        let (target, _) = echo().await;
        let proxy = Proxy::start(target).await;
        let mut old = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut old).await.unwrap(), b'x');
        assert_eq!(proxy.connections(), 1);
        proxy.cut();
        assert!(timeout(SOON, old.read_u8()).await.unwrap().is_err());
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(timeout(SOON, ask(&mut new)).await.unwrap().is_err());
        proxy.resume();
        let mut again = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut again).await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn a_stall_holds_bytes_back_until_the_network_resumes() {
        let (target, seen) = echo().await;
        let proxy = Proxy::start(target).await;
        let mut peer = TcpStream::connect(proxy.address()).await.unwrap();
        ask(&mut peer).await.unwrap();
        proxy.stall();
        peer.write_all(b"y").await.unwrap();
        assert!(timeout(Duration::from_millis(100), peer.read_u8()).await.is_err());
        assert_eq!(seen.load(Ordering::SeqCst), 1);
        proxy.resume();
        assert_eq!(timeout(SOON, peer.read_u8()).await.unwrap().unwrap(), b'y');
    }

    #[tokio::test]
    async fn a_stalled_connection_can_be_cut() {
        let (target, _) = echo().await;
        let proxy = Proxy::start(target).await;
        let mut peer = TcpStream::connect(proxy.address()).await.unwrap();
        ask(&mut peer).await.unwrap();
        proxy.stall();
        peer.write_all(b"y").await.unwrap();
        proxy.cut();
        assert!(timeout(SOON, peer.read_u8()).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_lost_reply_was_carried_out_and_not_heard() {
        let (target, seen) = echo().await;
        let proxy = Proxy::start(target).await;
        proxy.lose_replies(1);
        let mut peer = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(timeout(SOON, ask(&mut peer)).await.unwrap().is_err());
        assert_eq!(seen.load(Ordering::SeqCst), 1);
        let mut again = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(timeout(SOON, ask(&mut again)).await.unwrap().unwrap(), b'x');
    }
}
