//! Daemons that outlive who started them: each in a session of its own, in the namespace of its host.

use std::fmt;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::identity::ProcessIdentity;
use super::place::Place;
use super::programs;
use super::state::{Daemon, State};
use crate::{Guest, LabError, Namespace, dhcp, wait_for};

/// How long a daemon may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a log that an error shows.
const LAST_WORDS: usize = 2_000;

/// Set when this process was told to stop and takes the lab down: nothing more is made from then on.
pub(super) static STOPPING: AtomicBool = AtomicBool::new(false);

/// An error where nothing more is to be made.
pub(super) fn go_on() -> Result<(), LabError> {
    match STOPPING.load(Ordering::SeqCst) {
        true => Err(LabError::Refused("stopped".to_owned())),
        false => Ok(()),
    }
}

/// A daemon of a lab.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// `anet-controller`.
    Controller,
    /// `anet-agent` of a host.
    Agent(String),
    /// `anet-vswitch` of a host.
    Vswitch(String),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller => f.write_str("controller"),
            Self::Agent(host) => write!(f, "agent {host}"),
            Self::Vswitch(host) => write!(f, "vswitch {host}"),
        }
    }
}

impl Who {
    /// The member in whose namespace it runs.
    pub fn member(&self) -> &str {
        match self {
            Self::Controller => "controller",
            Self::Agent(host) | Self::Vswitch(host) => host,
        }
    }
}

/// What a daemon is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It runs, as this process.
    Running(i32),
    /// It was paused, and is this process.
    Paused(i32),
    /// It ended without having been asked to.
    Ended,
    /// It was stopped, killed or never started.
    Stopped,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(_) => f.write_str("running"),
            Self::Paused(_) => f.write_str("paused"),
            Self::Ended => f.write_str("ended by itself"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// What a daemon of a lab is doing.
pub fn condition(state: &State, who: &Who) -> Condition {
    match state.process(who) {
        Some(process) if process.is_paused() => Condition::Paused(process.pid),
        Some(process) if process.is_alive() => Condition::Running(process.pid),
        Some(_) => Condition::Ended,
        None => Condition::Stopped,
    }
}

/// Starts a daemon where it does not run, and notes its process; false where it runs. It need not be ready yet.
pub fn start(place: &Place, state: &mut State, who: &Who) -> Result<bool, LabError> {
    if matches!(
        condition(state, who),
        Condition::Running(_) | Condition::Paused(_)
    ) {
        return Ok(false);
    }
    let command = programs::run_command(place, state, who)?;
    let process = spawn(command, &place.log_file(who), &who.to_string())?;
    state.daemons.insert(who.to_string(), Daemon { process });
    state.write(place)?;
    Ok(true)
}

/// Asks a daemon to end, or kills it, and waits until it is gone; false where it did not run.
pub fn stop(place: &Place, state: &mut State, who: &Who, signal: Signal) -> Result<bool, LabError> {
    let Some(process) = state
        .daemons
        .remove(&who.to_string())
        .map(|daemon| daemon.process)
    else {
        return Ok(false);
    };
    let ran = process.signal(signal);
    // A paused one hears nothing but a kill until it goes on.
    if signal != Signal::SIGKILL && process.is_paused() {
        process.signal(Signal::SIGCONT);
    }
    wait_for(&format!("the end of {who}"), PATIENCE, || {
        process.reap();
        (!process.is_alive()).then_some(())
    })?;
    state.daemons.remove(&who.to_string());
    state.write(place)?;
    Ok(ran)
}

/// Pauses a running daemon or lets it go on; false where it does not run.
pub fn signal(state: &State, who: &Who, signal: Signal) -> bool {
    state.process(who).is_some_and(|process| process.signal(signal))
}

/// Starts a command in a session of its own, without input, its output appended to a log; it stays when we end.
/// The command's program is run by `ip netns exec` ([`detached`]).
pub(super) fn spawn(mut command: Command, log: &Path, name: &str) -> Result<ProcessIdentity, LabError> {
    go_on()?;
    let what = format!("open {}", log.display());
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).map_err(LabError::io(what.clone()))?;
    }
    let open = || File::options().create(true).append(true).open(log);
    command
        .stdin(Stdio::null())
        .stdout(open().map_err(LabError::io(what.clone()))?)
        .stderr(open().map_err(LabError::io(what))?);
    let child = command.spawn().map_err(|source| LabError::Start {
        program: name.to_owned(),
        source,
    })?;
    ProcessIdentity::of(child.id()).ok_or_else(|| ended(name, log))
}

/// A command for [`spawn`]: `setsid` becomes the program itself, in the same process.
pub(super) fn detached(namespace: &Namespace, program: &Path) -> Command {
    let mut command = namespace.command("setsid");
    command.arg(program);
    command
}

/// A DHCP client of a guest, for [`spawn`].
pub(super) fn detached_client(
    namespace: &Namespace,
    family: &str,
    folder: &Path,
) -> Result<Command, LabError> {
    dhcp::client(namespace, (Guest::INTERFACE, family), folder, &["setsid"])
}

/// Waits until a process is ready; an error as soon as it ends.
pub(super) fn wait_ready<T>(
    (name, process, log): (&str, ProcessIdentity, &Path),
    patience: Duration,
    mut ready: impl FnMut() -> Option<T>,
) -> Result<T, LabError> {
    wait_for(&format!("{name} to be ready"), patience, || {
        if let Err(error) = go_on() {
            return Some(Err(error));
        }
        process.reap();
        match ready() {
            Some(value) => Some(Ok(value)),
            None if !process.is_alive() => Some(Err(ended(name, log))),
            None => None,
        }
    })?
}

fn ended(name: &str, log: &Path) -> LabError {
    LabError::Ended {
        name: name.to_owned(),
        status: "while it was waited for".to_owned(),
        log: last_words(log, LAST_WORDS),
    }
}

/// The end of a file, from the beginning of a line.
pub fn last_words(path: &Path, bytes: usize) -> String {
    let content = fs::read(path).unwrap_or_default();
    let start = content.len().saturating_sub(bytes);
    let text = String::from_utf8_lossy(&content[start..]).into_owned();
    let cut = match (start, text.find('\n')) {
        (0, _) | (_, None) => 0,
        (_, Some(newline)) => newline + 1,
    };
    text[cut..].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Folder;

    #[test]
    fn last_words_begin_with_a_line() {
        let folder = Folder::new().unwrap();
        let file = folder.write("log", "first line\nsecond\nthird\n").unwrap();
        assert_eq!(last_words(&file, 12), "third");
        assert_eq!(last_words(&file, 1_000), "first line\nsecond\nthird");
        assert_eq!(last_words(&folder.file("none"), 10), "");
    }

    #[test]
    fn daemons_have_texts() {
        assert_eq!(Who::Agent("host-1".to_owned()).to_string(), "agent host-1");
        assert_eq!(Who::Controller.member(), "controller");
        assert_eq!(Condition::Running(1).to_string(), "running");
    }
}
