//! Daemons and tools that keep running.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Folder, LabError, wait_for};

/// Bytes of a log that an error shows.
const LAST_WORDS: usize = 2_000;

/// A running process, killed when dropped. What it writes goes to `NAME.log` in a [`Folder`]; when a test panics,
/// the end of it is shown.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` without input, in a process group of its own (so that Ctrl-C reaches us first).
    pub fn spawn(name: &str, mut command: Command, folder: &Folder) -> Result<Self, LabError> {
        let log = folder.file(&format!("{name}.log"));
        let open = || File::options().create(true).append(true).open(&log);
        let what = || LabError::io(format!("open {}", log.display()));
        command.stdin(Stdio::null()).process_group(0);
        command
            .stdout(open().map_err(what())?)
            .stderr(open().map_err(what())?);
        let child = command.spawn().map_err(|source| LabError::Start {
            program: name.to_owned(),
            source,
        })?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks `ready` again and again until it says true; an error as soon as the process ends by itself.
    pub fn wait_ready(
        &mut self,
        patience: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), LabError> {
        let what = format!("{} to be ready", self.name);
        wait_for(&what, patience, || match self.child.try_wait() {
            Ok(Some(status)) => Some(Err(self.ended(status.to_string()))),
            _ => ready().then_some(Ok(())),
        })?
    }

    /// Waits for its end: its log, or an error where it failed or did not end in time.
    pub fn wait_end(&mut self, patience: Duration) -> Result<String, LabError> {
        let what = format!("{} to end", self.name);
        let status = wait_for(&what, patience, || self.child.try_wait().ok().flatten())?;
        if status.success() {
            Ok(self.log())
        } else {
            Err(self.ended(status.to_string()))
        }
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM) and waits for that.
    pub fn terminate(&mut self, patience: Duration) -> Result<(), LabError> {
        if let (Ok(pid), true) = (i32::try_from(self.pid()), self.is_running()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        wait_for(&format!("{} to stop", self.name), patience, || {
            self.child.try_wait().ok().flatten()
        })
        .map(drop)
    }

    fn ended(&self, status: String) -> LabError {
        LabError::Ended {
            name: self.name.clone(),
            status,
            log: end_of(&self.log()).to_owned(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("--- end of the log of {} ---\n{}", self.name, end_of(&self.log()));
        }
    }
}

fn end_of(log: &str) -> &str {
    let mut start = log.len().saturating_sub(LAST_WORDS);
    while !log.is_char_boundary(start) {
        start += 1;
    }
    log[start..].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, folder: &Folder) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn("shell", command, folder).unwrap()
    }

    #[test]
    fn readiness_is_seen_and_an_early_end_is_an_error() {
        let folder = Folder::new().unwrap();
        let mut process = shell("echo up; sleep 100", &folder);
        let log = process.log_path().to_owned();
        let up = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("up"));
        process.wait_ready(Duration::from_secs(5), up).unwrap();
        assert!(process.is_running());
        process.kill9();
        assert!(!process.is_running());

        let mut process = shell("echo no space >&2; exit 1", &folder);
        let error = process.wait_ready(Duration::from_secs(5), || false).unwrap_err();
        assert!(
            matches!(&error, LabError::Ended { log, .. } if log.contains("no space")),
            "{error}"
        );
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let folder = Folder::new().unwrap();
        let process = shell("exec sleep 100", &folder);
        let proc = PathBuf::from(format!("/proc/{}", process.pid()));
        assert!(proc.exists());
        drop(process);
        assert!(!proc.exists());
    }

    #[test]
    fn last_words_are_cut_between_characters() {
        let log = "ü".repeat(LAST_WORDS);
        assert!(end_of(&log).chars().all(|c| c == 'ü') && end_of(&log).len() <= LAST_WORDS);
    }
}
