//! A child process in its own process group, killed with all its children on drop.

use crate::reaper;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// A running child.
pub struct Process {
    child: Child,
    name: String,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` in a new process group. `install` names the package that carries the
    /// program, for the message when it is missing.
    pub fn start(command: &mut Command, install: &str) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.process_group(0).spawn().unwrap_or_else(|error| {
            panic!("cannot start {name}: {error}; it is part of {install} (./tests/run installs or names it)")
        });
        reaper::kill_at_end(child.id());
        Self { child, name, ended: None }
    }

    /// The process id, which is also the id of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, to take its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal by its short name ("TERM", "HUP", "STOP") to the process alone.
    pub fn signal(&self, signal: &str) {
        if self.ended.is_none() {
            send(signal, &self.id().to_string());
        }
    }

    /// True while the process runs.
    pub fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("cannot ask after a child");
            if self.ended.is_some() {
                self.bury();
            }
        }
        self.ended.is_none()
    }

    /// Waits until the process ends by itself; panics after `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        while self.is_running() {
            assert!(Instant::now() < deadline, "{} did not end within {limit:?}", self.name);
            std::thread::sleep(Duration::from_millis(5));
        }
        self.ended.expect("it has ended")
    }

    /// SIGKILL to the process and its whole group.
    pub fn kill(&mut self) {
        if self.ended.is_none() {
            send("KILL", &format!("-{}", self.id()));
            self.ended = self.child.wait().ok();
            self.bury();
        }
    }

    /// What it left behind in its group is killed as well.
    fn bury(&self) {
        send("KILL", &format!("-{}", self.id()));
        reaper::forget(self.id());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn send(signal: &str, target: &str) {
    let line = format!("kill -s {signal} -- {target} 2>/dev/null");
    let _ = Command::new("sh").args(["-c", &line]).status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_process_takes_its_children_along() {
        let dir = crate::temp_dir();
        let file = dir.path().join("child");
        let script = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        let process = Process::start(Command::new("sh").args(["-c", &script]), "sh");
        crate::poll_until("the child's id", Duration::from_secs(5), || file.exists());
        let child = std::fs::read_to_string(&file).unwrap();
        let stat = format!("/proc/{}/stat", child.trim());
        assert!(std::fs::exists(&stat).unwrap());
        drop(process);
        crate::poll_until("the child to be gone", Duration::from_secs(5), || {
            std::fs::read_to_string(&stat).map_or(true, |line| line.contains(") Z "))
        });
    }

    #[test]
    fn a_process_that_ends_by_itself_gives_its_status() {
        let mut process = Process::start(Command::new("sh").args(["-c", "exit 3"]), "sh");
        assert_eq!(process.wait(Duration::from_secs(5)).code(), Some(3));
        assert!(!process.is_running());
    }
}
