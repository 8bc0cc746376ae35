//! A private Mosquitto for a bench, on a free port; it ends with its handle.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::Failure;

const READY_WITHIN: Duration = Duration::from_secs(10);

pub(super) struct Mosquitto {
    process: Child,
    pub(super) address: SocketAddr,
}

impl Mosquitto {
    /// Anybody may connect, nothing is dropped: what is measured is how fast it hands on.
    pub(super) fn start(folder: &Path) -> Result<Self, Failure> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = folder.join("mosquitto.conf");
        let text = format!(
            "user root\nlistener {} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
             max_queued_messages 0\nmax_queued_bytes 0\nmax_inflight_messages 1000\nset_tcp_nodelay true\n\
             log_type error\nlog_dest stderr\n",
            address.port(),
            folder.display()
        );
        std::fs::write(&config, text)?;
        let sbin = Path::new("/usr/sbin/mosquitto");
        let program = if sbin.exists() { sbin } else { Path::new("mosquitto") };
        let mut process =
            Command::new(program).arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(
                |error| Failure(format!("Mosquitto cannot be started ({error}); is its package installed?")),
            )?;
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline && process.try_wait()?.is_none() {
            if TcpStream::connect(address).is_ok() {
                return Ok(Self { process, address });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = process.kill();
        let _ = process.wait();
        Err(Failure("Mosquitto did not start.".into()))
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
