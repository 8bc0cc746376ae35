//! The HTTP listener: HTTPS and HTTP/2 with certificate files, plain HTTP on loopback or behind a proxy.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App as WebApp, HttpServer};
use songhe_kernel::http::{App, configure};

/// A running listener.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    handle: ServerHandle,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Listener {
    /// Serves on an already bound socket.
    pub(crate) fn start(
        socket: TcpListener,
        app: Arc<App>,
        workers: usize,
        tls: Option<rustls::ServerConfig>,
    ) -> std::io::Result<Self> {
        let address = socket.local_addr()?;
        let server = HttpServer::new(move || WebApp::new().configure(configure(app.clone())))
            .workers(workers)
            .disable_signals()
            // Streams end by the shutdown signal; what is left then has this long.
            .shutdown_timeout(1)
            .keep_alive(Duration::from_secs(75))
            .client_request_timeout(Duration::from_secs(10))
            .tcp_nodelay(true);
        let server = match tls {
            Some(config) => server.listen_rustls_0_23(socket, config)?,
            None => server.listen_auto_h2c(socket)?,
        };
        let server = server.run();
        let handle = server.handle();
        Ok(Self { address, handle, task: tokio::spawn(server) })
    }

    pub(crate) async fn stop(self) {
        self.handle.stop(true).await;
        let _ = tokio::time::timeout(Duration::from_secs(2), self.task).await;
    }
}
