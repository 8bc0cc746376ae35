//! The test kit: what a test needs from outside Songhe, started for it and gone with it.
//!
//! Plain helpers for tests; nothing here is part of the server, and the server never depends on
//! it. Of the server they know the kernel, so that every module's tests can be served by them. Helpers panic with a sentence when something is missing: a test must never be skipped
//! because a tool is absent. Every process and folder made here is registered with [`reaper`],
//! so that nothing survives the test process, however it ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod browser;
pub mod database;
pub mod http;
pub mod mosquitto;
pub mod pg;
pub mod process;
pub mod proxy;
pub mod raw_peer;
pub mod reaper;
pub mod receiver;
pub mod schema;
pub mod server;
pub mod site;
pub mod smtp;
pub mod sse;
pub mod wait;

pub use browser::{Browser, Screen};
pub use database::{EMPTY, Kind, Template, TestDb, run_test};
pub use mosquitto::Mosquitto;
pub use proxy::Proxy;
pub use raw_peer::{Raw, RawPeer};
pub use receiver::Receiver;
pub use schema::MIGRATED;
pub use server::Server;
pub use site::{Answer, Served, Site};
pub use smtp::Smtp;
pub use sse::{Sse, SseEvent};
pub use wait::{eventually, eventually_true, free_port, poll_until};

/// True in the long profile (`./tests/run --long`), where the durability tests kill 50 times.
pub fn is_long_profile() -> bool {
    std::env::var("SONGHE_TEST_LONG").is_ok_and(|value| value == "1")
}

/// A folder that is removed when the value is dropped, and also when the test process dies.
pub fn temp_dir() -> tempfile::TempDir {
    let dir =
        tempfile::Builder::new().prefix("songhe-test-").tempdir().expect("cannot make a folder for temporary files");
    reaper::remove_at_end(dir.path());
    dir
}

/// The repository's root folder.
pub fn workspace_root() -> std::path::PathBuf {
    let kit = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    kit.join("../..").canonicalize().expect("the repository's root is two folders above the kit")
}
