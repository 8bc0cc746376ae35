//! The real server as a child process: started, killed, ended and started again.

use crate::process::Process;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

const READY_WITHIN: Duration = Duration::from_secs(30);

/// How the server is started.
pub struct Setup {
    binary: PathBuf,
    config: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    ready_within: Duration,
}

impl Setup {
    /// The text of the configuration file. `{dir}` in it is replaced by the server's data folder.
    pub fn config(mut self, toml: &str) -> Self {
        self.config = toml.to_owned();
        self
    }

    /// Replaces the arguments `serve --config {config}`; `{config}` and `{dir}` are replaced by
    /// the configuration file and the data folder.
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self
    }

    /// Sets an environment variable of the server.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How long to wait for the ready line (30 s unless told).
    pub fn ready_within(mut self, limit: Duration) -> Self {
        self.ready_within = limit;
        self
    }

    /// Starts it and waits until it is ready; panics with its log if it is not.
    pub fn start(self) -> Server {
        let dir = crate::temp_dir();
        let mut server = Server { setup: self, dir, process: None, http: String::new(), mqtt: String::new() };
        server.start_again();
        server
    }

    /// Runs it to its end and gives the status and all it printed: for a start that must fail,
    /// and for commands that end by themselves.
    pub fn run_to_end(self, limit: Duration) -> (ExitStatus, String) {
        let dir = crate::temp_dir();
        let mut server = Server { setup: self, dir, process: None, http: String::new(), mqtt: String::new() };
        let Launched { mut process, copies, .. } = server.launch();
        let status = process.wait(limit);
        drop(process);
        // Its last words may still be in the pipe.
        copies.into_iter().for_each(|copy| copy.join().unwrap());
        server.process = None;
        (status, server.log())
    }
}

/// A server; dropped, it is killed and its data removed.
pub struct Server {
    setup: Setup,
    dir: tempfile::TempDir,
    process: Option<Process>,
    http: String,
    mqtt: String,
}

impl Server {
    /// `binary` is `env!("CARGO_BIN_EXE_songhe")` in the root package's tests.
    pub fn setup(binary: impl Into<PathBuf>) -> Setup {
        Setup {
            binary: binary.into(),
            config: String::new(),
            args: ["serve", "--config", "{config}"].map(str::to_owned).to_vec(),
            env: Vec::new(),
            ready_within: READY_WITHIN,
        }
    }

    /// `http://127.0.0.1:PORT` + `path`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.http)
    }

    /// `127.0.0.1:PORT` of the pages and the API, for a proxy.
    pub fn http_address(&self) -> &str {
        self.http.split_once("://").map_or(&self.http, |(_, address)| address)
    }

    /// `127.0.0.1:PORT` of the embedded broker; empty without one.
    pub fn mqtt_address(&self) -> &str {
        &self.mqtt
    }

    /// The data folder, which survives restarts.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server is not running").id()
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
        kib * 1024
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// SIGKILL, at once.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGTERM, then waits for its end; panics after `limit`.
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        let mut process = self.process.take().expect("the server is not running");
        process.signal("TERM");
        process.wait(limit)
    }

    /// Sends a signal by its short name ("INT", "STOP", "CONT").
    pub fn signal(&self, signal: &str) {
        self.process.as_ref().expect("the server is not running").signal(signal);
    }

    /// Starts it on the data it has, after a kill or an end. The ports may differ from before.
    pub fn start_again(&mut self) {
        assert!(!self.is_running(), "the server is still running");
        let Launched { process, ready, .. } = self.launch();
        match ready.recv_timeout(self.setup.ready_within) {
            Ok(line) => {
                self.process = Some(process);
                let ready: serde_json::Value =
                    serde_json::from_str(&line).unwrap_or_else(|error| panic!("ready line {line}: {error}"));
                self.http = ready["http"].as_str().expect("the ready line names http").to_owned();
                self.mqtt = ready["mqtt"].as_str().unwrap_or_default().to_owned();
            }
            Err(_) => {
                drop(process);
                panic!("the server was not ready; it said:\n{}", self.log());
            }
        }
    }

    /// Kills it and starts it again.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Replaces the configuration for the next start.
    pub fn set_config(&mut self, toml: &str) {
        toml.clone_into(&mut self.setup.config);
    }

    /// All that it has printed over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default()
    }

    /// Waits until the log holds `text`; panics after `limit`.
    pub async fn wait_for_log(&self, text: &str, limit: Duration) {
        let what = format!("{text:?} in the log");
        crate::eventually_true(&what, limit, || async { self.log().contains(text) }).await;
    }

    fn launch(&self) -> Launched {
        let dir = self.dir.path().display().to_string();
        let config = self.dir.path().join("songhe.toml");
        std::fs::write(&config, self.setup.config.replace("{dir}", &dir)).unwrap();
        let config = config.display().to_string();
        let mut command = Command::new(&self.setup.binary);
        for arg in &self.setup.args {
            command.arg(arg.replace("{config}", &config).replace("{dir}", &dir));
        }
        for (name, value) in &self.setup.env {
            command.env(name, value);
        }
        command.current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::start(&mut command, "the root package");
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("server.log"));
        let log = Arc::new(Mutex::new(log.unwrap()));
        let (send, ready) = mpsc::channel();
        let child = process.child();
        let copies = vec![
            copy_lines(child.stdout.take().expect("stdout was piped"), Arc::clone(&log), Some(send)),
            copy_lines(child.stderr.take().expect("stderr was piped"), log, None),
        ];
        Launched { process, ready, copies }
    }
}

/// A started process, what follows its `ready `, and the threads that copy what it prints.
struct Launched {
    process: Process,
    ready: mpsc::Receiver<String>,
    copies: Vec<JoinHandle<()>>,
}

/// Copies what the server prints into the log, and hands over what follows `ready `.
fn copy_lines(
    from: impl Read + Send + 'static,
    log: Arc<Mutex<std::fs::File>>,
    ready: Option<mpsc::Sender<String>>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(from);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            if let Ok(mut log) = log.lock() {
                let _ = log.write_all(&line);
            }
            if let Some(send) = &ready
                && let Some(json) = String::from_utf8_lossy(&line).strip_prefix("ready ")
            {
                let _ = send.send(json.trim().to_owned());
            }
            line.clear();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in for the server: prints the ready line and waits.
    const FAKE: &str = r#"trap 'echo bye >&2; exit 0' TERM; cat "$1"
        echo 'ready {"http":"http://127.0.0.1:1","mqtt":"127.0.0.1:2"}'
        while :; do sleep 0.05; done"#;

    fn fake() -> Setup {
        Server::setup("sh").args(&["-c", FAKE, "sh", "{config}"]).config("data = \"{dir}\"\n")
    }

    #[test]
    fn it_waits_for_the_ready_line_and_survives_kills() {
        let mut server = fake().start();
        assert_eq!(server.url("/x"), "http://127.0.0.1:1/x");
        assert_eq!((server.http_address(), server.mqtt_address()), ("127.0.0.1:1", "127.0.0.1:2"));
        assert!(server.log().contains(&format!("data = \"{}\"", server.dir().display())));
        assert!(server.resident_bytes() > 0);
        server.kill();
        assert!(!server.is_running());
        server.start_again();
        assert!(server.terminate(Duration::from_secs(5)).success());
        crate::poll_until("its last word", Duration::from_secs(5), || server.log().contains("bye"));
    }

    #[test]
    #[should_panic(expected = "it said:\nno such key")]
    fn a_start_that_fails_shows_what_the_server_said() {
        let script = "echo no such key; exit 1";
        Server::setup("sh").args(&["-c", script]).ready_within(Duration::from_secs(1)).start();
    }

    #[test]
    fn a_command_is_run_to_its_end() {
        let (status, log) = Server::setup("sh").args(&["-c", "exit 2"]).run_to_end(Duration::from_secs(5));
        assert_eq!((status.code(), log.as_str()), (Some(2), ""));
    }
}
