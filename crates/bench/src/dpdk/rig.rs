//! What all programs need: hugepages, the plug-in, a folder that only root can look into, and a network namespace each.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anet_lab::{Folder, Namespace, Process, is_root, missing_for, sweep};

use super::generator::{self, Session};
use super::hugepages;
use super::traffic::Traffic;
use crate::error::BenchError;
use crate::undo::Undo;

const HOME: &str = "/run";
const PREFIX: &str = "anet-bench-";
const HUGEPAGES_NOTE: &str = "hugepages";
/// Two: the one that is measured, and one for everything else.
const PROCESSORS: usize = 2;

/// See the module. Everything in it is put back when it is dropped, which has to be after the last program has ended.
#[derive(Debug)]
pub struct Rig {
    logs: Folder,
    _hugepages: Option<Undo>,
    _folder: Undo,
    folder: PathBuf,
    plug_in: PathBuf,
    sessions: AtomicU32,
}

/// Why DPDK programs cannot be measured here, or `None` where they can.
pub fn missing() -> Option<String> {
    missing_for(&["cc", "pkg-config", "dpdk-testpmd", "ovs-vsctl"]).or_else(|| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let header = Command::new("pkg-config").args(["--exists", "libdpdk"]).status();
        if processors < PROCESSORS {
            Some(format!("needs {PROCESSORS} processors, has {processors}"))
        } else if !header.is_ok_and(|status| status.success()) {
            Some("needs DPDK's headers; scripts/install-packages bench installs them".to_owned())
        } else {
            None
        }
    })
}

impl Rig {
    /// Makes it all.
    pub fn new() -> Result<Self, BenchError> {
        if let Some(reason) = missing() {
            return Err(BenchError::Missing(reason));
        }
        sweep_dead();
        let folder = private_folder()?;
        let gone = folder.clone();
        let folder_undo = Undo::later(move || {
            _ = fs::remove_dir_all(gone);
        });
        let plug_in = generator::build(&folder)?;
        let pages = hugepages::set_aside(&folder.join(HUGEPAGES_NOTE))?;
        Ok(Self {
            logs: Folder::new()?,
            _hugepages: pages,
            _folder: folder_undo,
            folder,
            plug_in,
            sessions: AtomicU32::new(0),
        })
    }

    /// A folder that only root can look into.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A fresh, empty folder in it.
    pub fn fresh_folder(&self, name: &str) -> Result<PathBuf, BenchError> {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{name}-{number}"));
        fs::create_dir(&path).map_err(BenchError::system(format!("make {}", path.display())))?;
        Ok(path)
    }

    /// The generator for a program that is about to start.
    pub fn session(&self, traffic: &Traffic) -> Result<Session, BenchError> {
        let folder = self.fresh_folder("generator")?;
        Session::new(&self.plug_in, &folder, "all", traffic)
    }

    /// Where one program runs, so that nothing of the one before is there: OVS's bridges are persistent TAP devices.
    pub fn namespace(&self) -> Result<Namespace, BenchError> {
        let namespace = Namespace::new("dpdk")?;
        // Nothing but what is generated may leave a device: no router solicitations from a bridge's own interface.
        namespace.sysctl("net.ipv6.conf.all.disable_ipv6", "1")?;
        namespace.sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
        Ok(namespace)
    }

    /// Starts a program.
    pub fn spawn(&self, name: &str, command: Command) -> Result<Process, BenchError> {
        Ok(Process::spawn(name, command, &self.logs)?)
    }
}

fn private_folder() -> Result<PathBuf, BenchError> {
    if !is_root() {
        return Err(BenchError::Missing(
            "root is needed, for hugepages and network namespaces: sudo make bench".to_owned(),
        ));
    }
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = Path::new(HOME).join(format!("{PREFIX}{}-{number}", std::process::id()));
    let made = DirBuilder::new().mode(0o700).create(&path);
    made.map_err(BenchError::system(format!("make {}", path.display())))?;
    Ok(path)
}

/// Puts back what runs left that were killed: their processes end first, then their hugepages go.
fn sweep_dead() {
    sweep();
    let entries = fs::read_dir(HOME).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_str().and_then(maker_of).is_some_and(is_dead));
    for entry in ours {
        let note = fs::read_to_string(entry.path().join(HUGEPAGES_NOTE)).unwrap_or_default();
        if let Ok(pages) = note.parse() {
            hugepages::give_back(pages);
        }
        _ = fs::remove_dir_all(entry.path());
    }
}

fn maker_of(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok()
}

fn is_dead(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_dead_makers_are_swept() {
        assert_eq!(maker_of("anet-bench-77-0"), Some(77));
        assert_eq!(maker_of("anet-vswitch"), None);
        assert_eq!(maker_of("anet-bench-x-0"), None);
        assert!(!is_dead(std::process::id()) && is_dead(u32::MAX));
    }
}
