//! Network namespaces: the hosts and guests of a lab.

use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{LabError, folder, output_of};

/// Where `ip netns` keeps them.
const HOME: &str = "/run/netns";
const PREFIX: &str = "anet-";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A network namespace of our own, named `anet-PID-N-ROLE`, with `lo` up. A clone is another handle to the same one.
/// When the last handle is dropped, every process that still runs in it is killed and it is deleted; the kernel
/// removes its interfaces a moment later. One of a standing lab ([`Namespace::standing`]) has a name of its own and stays.
#[derive(Debug, Clone)]
pub struct Namespace {
    owned: Arc<Owned>,
}

#[derive(Debug)]
struct Owned {
    name: String,
    /// It stays when the last handle goes.
    stays: bool,
}

impl Namespace {
    /// A new namespace. `role` is a short word for people: `host-a`, `guest-1`.
    pub fn new(role: &str) -> Result<Self, LabError> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}-{role}", std::process::id());
        let namespace = Self {
            owned: Arc::new(Owned { name, stays: false }),
        };
        namespace.make()?;
        Ok(namespace)
    }

    /// A handle to the namespace of that name, which need not exist. It stays when the handle is dropped.
    pub fn standing(name: impl Into<String>) -> Self {
        Self {
            owned: Arc::new(Owned {
                name: name.into(),
                stays: true,
            }),
        }
    }

    /// Makes it, with `lo` up.
    pub(crate) fn make(&self) -> Result<(), LabError> {
        output_of(Command::new("ip").args(["netns", "add", self.name()]))?;
        self.ip(&["link", "set", "lo", "up"]).map(drop)
    }

    /// True where it is there.
    pub fn exists(&self) -> bool {
        self.path().exists()
    }

    /// Kills every process in it, and deletes it. It need not exist.
    pub(crate) fn remove(&self) {
        remove(self.name());
    }

    /// Its name, as `ip netns` has it.
    pub fn name(&self) -> &str {
        &self.owned.name
    }

    /// The path of its handle, as a host plan's `netns` wants it.
    pub fn path(&self) -> PathBuf {
        Path::new(HOME).join(self.name())
    }

    /// A command that will run inside. The process it starts is the program itself, not a wrapper.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.name()]).arg(program);
        command
    }

    /// Runs a program inside to its end and gives its standard output.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String, LabError> {
        output_of(self.command(program).args(arguments))
    }

    /// `ip -n NAMESPACE ARGUMENTS`.
    pub fn ip(&self, arguments: &[&str]) -> Result<String, LabError> {
        output_of(Command::new("ip").args(["-n", self.name()]).args(arguments))
    }

    /// Gives an interface an address (`ADDRESS/LENGTH`), usable at once (no duplicate address detection).
    pub fn add_address(&self, interface: &str, address: &str) -> Result<(), LabError> {
        let mut arguments = vec!["address", "add", address, "dev", interface];
        if address.contains(':') {
            arguments.push("nodad");
        }
        self.ip(&arguments)?;
        self.ip(&["link", "set", interface, "up"]).map(drop)
    }

    /// Sets a kernel knob of this namespace, such as `net.ipv4.ip_forward`. Dots separate, so a name that holds
    /// dots itself cannot be given.
    pub fn sysctl(&self, knob: &str, value: &str) -> Result<(), LabError> {
        self.run("sysctl", &["-q", "-w", &format!("{knob}={value}")])
            .map(drop)
    }

    /// Runs `work` on a thread of its own that has entered the namespace: sockets it makes belong to it, and keep
    /// belonging to it wherever they are used later. A panic in `work` goes on here.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        let what = format!("enter namespace {}", self.name());
        let handle = File::open(self.path()).map_err(LabError::io(what.clone()))?;
        let entered = thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(handle, CloneFlags::CLONE_NEWNET)?;
                Ok(work())
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        entered.map_err(|number: nix::errno::Errno| LabError::io(what)(number.into()))
    }

    /// True where an interface of that name exists inside.
    pub fn has_interface(&self, interface: &str) -> bool {
        self.ip(&["link", "show", "dev", interface]).is_ok()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if !self.stays {
            remove(&self.name);
        }
    }
}

/// The names of all namespaces that begin with `prefix`.
pub(crate) fn names_with(prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(HOME).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(prefix)).collect()
}

/// Removes namespaces and folders whose makers are gone: what a killed run left. Gives how many there were.
pub fn sweep() -> usize {
    // A process that has ended, but was not waited for yet, has no command line any more.
    let command_line = |pid: u32| fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline"));
    sweep_where(|pid| command_line(pid).unwrap_or_default().is_empty())
}

/// Removes every namespace and folder this very process made, and ends what runs in them. For a program that was
/// asked to stop (Ctrl-C) and cannot unwind.
pub fn sweep_own() -> usize {
    sweep_where(|pid| pid == std::process::id())
}

fn sweep_where(condemned: impl Fn(u32) -> bool) -> usize {
    let namespaces = names_of(HOME, PREFIX, &condemned);
    namespaces.iter().for_each(|name| remove(name));
    let folders = names_of(std::env::temp_dir(), folder::PREFIX, &condemned);
    for name in &folders {
        let _ = fs::remove_dir_all(std::env::temp_dir().join(name));
    }
    namespaces.len() + folders.len()
}

/// The entries of `home` named `PREFIX`, a condemned process id, `-` and more.
fn names_of(home: impl AsRef<Path>, prefix: &str, condemned: impl Fn(u32) -> bool) -> Vec<String> {
    let entries = fs::read_dir(home).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| maker_of(name, prefix).is_some_and(&condemned))
        .collect()
}

fn maker_of(name: &str, prefix: &str) -> Option<u32> {
    name.strip_prefix(prefix)?.split_once('-')?.0.parse().ok()
}

fn remove(name: &str) {
    let inside = output_of(Command::new("ip").args(["netns", "pids", name])).unwrap_or_default();
    for pid in inside.lines().filter_map(|line| line.trim().parse().ok()) {
        // A thread of ours may be inside (see `enter`): we are not what has to end.
        if u32::try_from(pid) != Ok(std::process::id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    let _ = output_of(Command::new("ip").args(["netns", "del", name]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_read() {
        assert_eq!(maker_of("anet-12-0-host-a", PREFIX), Some(12));
        assert_eq!(maker_of("anet-lab-12-3", folder::PREFIX), Some(12));
        for foreign in [
            "anet-x-0",
            "anet-",
            "anet-12",
            "other-12-0",
            "anet-99999999999-0-x",
        ] {
            assert_eq!(maker_of(foreign, PREFIX), None, "{foreign}");
        }
    }
}
