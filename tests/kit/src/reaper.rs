//! Ends this test process's children and removes its folders, however the process ends.
//!
//! A `Drop` does not run when a test process is killed, nor for a `static`. So one small shell
//! watches the other end of a pipe: when this process is gone, the pipe closes, and the shell
//! kills the process groups and removes the folders it was told of.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex};

const SCRIPT: &str = r#"
trap '' HUP INT TERM
groups=""
while read -r verb value; do
  case "$verb" in
    group) groups="$groups $value" ;;
    forget) kept=""; for g in $groups; do [ "$g" = "$value" ] || kept="$kept $g"; done; groups="$kept" ;;
    folder) set -- "$@" "$value" ;;
  esac
done
for g in $groups; do kill -s KILL -- "-$g"; done
for folder in "$@"; do rm -rf -- "$folder"; done
"#;

#[allow(clippy::zombie_processes)] // it ends after this process, and cannot be waited for
static PIPE: LazyLock<Mutex<ChildStdin>> = LazyLock::new(|| {
    // Its own process group, so that Ctrl-C in a terminal does not end the watcher first.
    let mut watcher = Command::new("sh")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("cannot start sh");
    Mutex::new(watcher.stdin.take().expect("stdin was piped"))
});

fn tell(line: &str) {
    let mut pipe = PIPE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    pipe.write_all(format!("{line}\n").as_bytes()).expect("the watcher of this test process is gone");
}

/// Has the process group killed when this process ends.
pub fn kill_at_end(group: u32) {
    tell(&format!("group {group}"));
}

/// Takes back [`kill_at_end`]: the group was ended here, and its number may be given to others.
pub fn forget(group: u32) {
    tell(&format!("forget {group}"));
}

/// Has the folder removed when this process ends.
pub fn remove_at_end(folder: &Path) {
    tell(&format!("folder {}", folder.display()));
}
