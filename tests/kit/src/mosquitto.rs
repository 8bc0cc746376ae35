//! A private Mosquitto on a free port, with accounts, topic rules and storage, that can be
//! stopped, killed and started again with its data.

use crate::process::Process;
use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const READY_WITHIN: Duration = Duration::from_secs(10);

/// How a broker is set up.
#[derive(Default)]
pub struct Setup {
    users: Vec<(String, String)>,
    acl: Option<String>,
    password_file: Option<PathBuf>,
    acl_file: Option<PathBuf>,
    more: String,
}

impl Setup {
    /// Adds an account. Without any, and without a password file, everyone may connect.
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// The text of the file of topic rules.
    pub fn acl(mut self, rules: &str) -> Self {
        self.acl = Some(rules.to_owned());
        self
    }

    /// Uses a password file that somebody else writes (the server); it must exist.
    pub fn password_file(mut self, file: &Path) -> Self {
        self.password_file = Some(file.to_owned());
        self
    }

    /// Uses a file of topic rules that somebody else writes; it must exist.
    pub fn acl_file(mut self, file: &Path) -> Self {
        self.acl_file = Some(file.to_owned());
        self
    }

    /// A further line of mosquitto.conf.
    pub fn line(mut self, line: &str) -> Self {
        let _ = writeln!(self.more, "{line}");
        self
    }

    /// Starts the broker.
    pub fn start(self) -> Mosquitto {
        Mosquitto::start(self)
    }
}

/// A running (or stopped) broker; dropped, it is killed and its data removed.
pub struct Mosquitto {
    port: u16,
    dir: tempfile::TempDir,
    process: Option<Process>,
}

impl Mosquitto {
    /// Accounts, rules and other choices; end with [`Setup::start`].
    pub fn setup() -> Setup {
        Setup::default()
    }

    fn start(setup: Setup) -> Self {
        let dir = crate::temp_dir();
        write_config(dir.path(), &setup);
        let mut broker = Self { port: 0, dir, process: None };
        // The port may be taken between the choice and the bind: try another.
        for _ in 0..5 {
            broker.port = crate::free_port();
            if broker.launch() {
                return broker;
            }
        }
        panic!("Mosquitto did not start; its log:\n{}", broker.log());
    }

    fn launch(&mut self) -> bool {
        let common = std::fs::read_to_string(self.dir.path().join("common.conf")).unwrap();
        let config = self.dir.path().join("mosquitto.conf");
        std::fs::write(&config, format!("listener {} 127.0.0.1\n{common}", self.port)).unwrap();
        let log = std::fs::File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = Command::new(program("mosquitto"));
        command.arg("-c").arg(&config).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let mut process = Process::start(&mut command, "the package mosquitto");
        let deadline = Instant::now() + READY_WITHIN;
        while process.is_running() && Instant::now() < deadline {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() && process.is_running() {
                self.process = Some(process);
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// The port on 127.0.0.1; it stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it in order: what it stores is written.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal("TERM");
            process.wait(READY_WITHIN);
        }
    }

    /// SIGKILL: what it did not store within the last second is lost.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port with the data it has; ends it in order first if it runs.
    pub fn restart(&mut self) {
        self.stop();
        assert!(self.launch(), "Mosquitto did not come back; its log:\n{}", self.log());
    }

    /// Freezes it (SIGSTOP): connections stay open and nothing is answered.
    pub fn pause(&self) {
        self.process.as_ref().expect("the broker is stopped").signal("STOP");
    }

    /// Goes on after [`Mosquitto::pause`].
    pub fn resume(&self) {
        self.process.as_ref().expect("the broker is stopped").signal("CONT");
    }

    /// Reads its password and rule files again (SIGHUP).
    pub fn reload(&self) {
        self.process.as_ref().expect("the broker is stopped").signal("HUP");
    }

    /// Adds or changes an account in the broker's own password file, and reloads.
    pub fn set_user(&self, name: &str, password: &str) {
        add_user(&self.dir.path().join("passwords"), name, password);
        self.reload();
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("mosquitto.log")
    }
}

fn write_config(dir: &Path, setup: &Setup) {
    let passwords = setup.password_file.clone().unwrap_or_else(|| dir.join("passwords"));
    if setup.password_file.is_none() {
        std::fs::write(&passwords, "").unwrap();
        for (name, password) in &setup.users {
            add_user(&passwords, name, password);
        }
    }
    let open = setup.users.is_empty() && setup.password_file.is_none();
    // The queue limits are explicit: Mosquitto's own drop acknowledged messages.
    let mut config = format!(
        "allow_anonymous {open}\npassword_file {}\npersistence true\npersistence_location {}/\n\
         autosave_interval 1\nmax_queued_messages 200000\nmax_queued_bytes 268435456\n\
         max_inflight_messages 100\nuser root\nlog_type all\nlog_dest stderr\n",
        passwords.display(),
        dir.display()
    );
    if let Some(rules) = &setup.acl {
        std::fs::write(dir.join("acl"), rules).unwrap();
        let _ = writeln!(config, "acl_file {}", dir.join("acl").display());
    }
    if let Some(file) = &setup.acl_file {
        let _ = writeln!(config, "acl_file {}", file.display());
    }
    config.push_str(&setup.more);
    std::fs::write(dir.join("common.conf"), config).unwrap();
}

fn add_user(file: &Path, name: &str, password: &str) {
    let done = Command::new(program("mosquitto_passwd"))
        .args(["-b".as_ref(), file.as_os_str(), name.as_ref(), password.as_ref()])
        .output()
        .expect("mosquitto_passwd is not installed; it is part of the package mosquitto");
    assert!(done.status.success(), "mosquitto_passwd: {}", String::from_utf8_lossy(&done.stderr));
}

/// Debian puts the server into /usr/sbin, which is not on everybody's search path.
fn program(name: &str) -> PathBuf {
    let sbin = Path::new("/usr/sbin").join(name);
    if sbin.exists() { sbin } else { PathBuf::from(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(broker: &Mosquitto, user: &str, password: &str, topic: &str, retain: bool) -> bool {
        let port = broker.port().to_string();
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &port, "-u", user, "-P", password]);
        command.args(["-q", "1", "-t", topic, "-m", "hello"]);
        if retain {
            command.arg("-r");
        }
        command.output().expect("the package mosquitto-clients is missing").status.success()
    }

    fn read_one(broker: &Mosquitto, user: &str, password: &str, topic: &str) -> String {
        let port = broker.port().to_string();
        let output = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port, "-u", user, "-P", password])
            .args(["-q", "1", "-t", topic, "-C", "1", "-W", "3"])
            .output()
            .expect("the package mosquitto-clients is missing");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    #[test]
    fn it_keeps_its_data_over_a_stop_and_refuses_strangers() {
        let rules = "user one\ntopic readwrite open/#\n";
        let mut broker = Mosquitto::setup().user("one", "secret").acl(rules).start();
        assert!(publish(&broker, "one", "secret", "open/a", true));
        assert!(!publish(&broker, "one", "wrong", "open/a", true));
        publish(&broker, "one", "secret", "closed/a", true);
        broker.restart();
        assert_eq!(read_one(&broker, "one", "secret", "open/a"), "hello");
        assert_eq!(read_one(&broker, "one", "secret", "closed/a"), "");
    }

    #[test]
    fn it_can_be_killed_and_given_new_accounts() {
        let mut broker = Mosquitto::setup().user("one", "secret").start();
        broker.kill();
        assert!(TcpStream::connect(broker.address()).is_err());
        broker.restart();
        broker.set_user("two", "other");
        crate::poll_until("the new account", Duration::from_secs(5), || publish(&broker, "two", "other", "t", false));
    }
}
