//! Modules over HTTP, assembled as the server assembles them, and whoever speaks to them.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::HttpServer;
use actix_web::body::to_bytes;
use actix_web::dev::{ServerHandle, Service};
use actix_web::test::{TestRequest, init_service};
use serde_json::Value;
use songhe_kernel::http::{App, HttpSettings, Parts, configure};
use songhe_kernel::identity::{SessionKind, SessionToken, find_user_id, open_session};
use songhe_kernel::{Database, Modules};
use tokio::sync::watch;

/// An assembled application; its streams end with the value.
pub struct Site {
    pub app: Arc<App>,
    /// `true` tells that the server is about to stop.
    pub stop: watch::Sender<bool>,
}

/// What a request was answered.
pub struct Answer {
    pub status: u16,
    /// Of headers that are not there: empty.
    pub location: String,
    pub cache: String,
    pub kind: String,
    pub body: String,
}

impl Answer {
    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl Site {
    /// Modules on a database.
    pub fn open(db: &Database, modules: Modules, settings: HttpSettings) -> Self {
        let (stop, shutdown) = watch::channel(false);
        let app = App::assemble(Parts { db: db.clone(), modules, settings, shutdown }).expect("the modules fit");
        Self { app, stop }
    }

    /// A bearer token of an account, without its password.
    pub async fn token(&self, username: &'static str) -> String {
        let token = SessionToken::random();
        let text = token.reveal().to_owned();
        let opened = self.app.db.write(move |tx| {
            let user = find_user_id(tx.db(), username)?.expect("an account of that name");
            open_session(tx, user, SessionKind::Bearer, &token, None)
        });
        opened.await.expect("a session");
        text
    }

    /// Sends a request through everything but the network, from this machine, with a token unless it is empty.
    pub async fn send(&self, token: &str, request: TestRequest) -> Answer {
        let service = init_service(actix_web::App::new().configure(configure(self.app.clone()))).await;
        let request = request.peer_addr(SocketAddr::from(([127, 0, 0, 1], 9)));
        let request = match token {
            "" => request,
            token => request.insert_header(("Authorization", format!("Bearer {token}"))),
        };
        let answer = service.call(request.to_request()).await.expect("an answer");
        let header = |name: &str| {
            let value = answer.headers().get(name).map(|value| value.to_str().expect("a plain header").to_owned());
            value.unwrap_or_default()
        };
        let (location, cache, kind) = (header("location"), header("cache-control"), header("content-type"));
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body()).await.unwrap_or_default();
        // Templates write the = of a query as an entity. A picture is no text.
        let body = String::from_utf8_lossy(&body).replace("&#x3D;", "=");
        Answer { status, location, cache, kind, body }
    }

    /// Serves it on a free port, for streams and for whoever wants a socket.
    pub fn serve(&self) -> Served {
        let configure = configure(self.app.clone());
        let server = HttpServer::new(move || actix_web::App::new().configure(configure.clone()))
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .expect("a free port");
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Served { address, handle, stop: self.stop.clone() }
    }
}

/// A site on its port, until dropped.
pub struct Served {
    pub address: SocketAddr,
    handle: ServerHandle,
    stop: watch::Sender<bool>,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        drop(self.handle.stop(false));
    }
}
