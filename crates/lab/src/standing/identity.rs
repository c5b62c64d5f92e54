//! Which process is meant: a number alone may be somebody else's by now.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process: its id and when it started, in ticks since boot. No other one has both, until the next boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process id.
    pub pid: i32,
    started: u64,
}

impl ProcessIdentity {
    /// The process of that id, where there is one.
    pub fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let (_, started) = look(pid)?;
        Some(Self { pid, started })
    }

    /// This process.
    pub fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// True while it lives: one that ended and was not waited for yet does not.
    pub fn is_alive(self) -> bool {
        self.state().is_some()
    }

    /// True while it is stopped by a signal.
    pub fn is_paused(self) -> bool {
        matches!(self.state(), Some('T' | 't'))
    }

    /// Sends a signal; false where the process is not there any more.
    pub fn signal(self, signal: Signal) -> bool {
        self.is_alive() && kill(Pid::from_raw(self.pid), signal).is_ok()
    }

    /// Takes note of its end, where it was a child of ours.
    pub(super) fn reap(self) {
        use nix::sys::wait::{WaitPidFlag, waitpid};
        if !self.is_alive() {
            let _ = waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG));
        }
    }

    fn state(self) -> Option<char> {
        let (state, started) = look(self.pid)?;
        (started == self.started && !matches!(state, 'Z' | 'X' | 'x')).then_some(state)
    }
}

/// State and start of a process, out of its `stat` (proc(5)).
fn look(pid: i32) -> Option<(char, u64)> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command's name stands in parentheses and may hold any character.
fn parse(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    // It is the 22nd field of the line, the state the third.
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Which run of the kernel this is.
pub(super) fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_line_of_stat_is_read_whatever_the_command_is_called() {
        let rest = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        assert_eq!(
            parse(&format!("7 (a) b) c) S {rest}")),
            Some(('S', 4711)),
            "parentheses in the name"
        );
        for broken in [
            "",
            "7 (a",
            "7 (a) S",
            "7 (a) S 1 2 3",
            "7 (a) S x x x x x x x x x x x x x x x x x x x x",
        ] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn the_living_are_told_from_the_dead_and_from_others() {
        let own = ProcessIdentity::own().unwrap();
        assert!(own.is_alive() && !own.is_paused());
        let other = ProcessIdentity {
            started: own.started + 1,
            ..own
        };
        assert!(!other.is_alive(), "the same id, but another process");
        assert!(!other.signal(Signal::SIGKILL), "and it is left alone");

        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        assert!(identity.signal(Signal::SIGKILL));
        let gone = crate::wait_for("its end", std::time::Duration::from_secs(5), || {
            (!identity.is_alive()).then_some(())
        });
        gone.unwrap();
        child.wait().unwrap();
        assert!(!boot().is_empty());
    }
}
