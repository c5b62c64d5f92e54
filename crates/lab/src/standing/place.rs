//! Where a lab is: its folder, and the names of its namespaces and of its interface.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::daemon::Who;
use crate::description::lab_name;
use crate::{LabError, Namespace};

/// Where labs are, unless the environment says otherwise.
const HOME: &str = "/run/anet/labs";
/// Says otherwise.
const HOME_VARIABLE: &str = "ANET_LABS";
/// All namespaces of labs begin so; a dot is in no name of a lab, so no lab's prefix is another's.
const PREFIX: &str = "anet.";

/// A lab's name, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    name: String,
    home: PathBuf,
}

/// Held while a lab is changed.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

impl Place {
    /// The place of a lab of that name, which need not exist.
    pub fn new(name: &str) -> Result<Self, LabError> {
        lab_name(name).map_err(LabError::Refused)?;
        Ok(Self {
            name: name.to_owned(),
            home: home(),
        })
    }

    /// The places of all labs of which there is a folder or a namespace, by name.
    pub fn all() -> Vec<Self> {
        let folders = fs::read_dir(home()).into_iter().flatten().flatten();
        let folders = folders.filter_map(|entry| entry.file_name().into_string().ok());
        let namespaces = crate::namespace::names_with(PREFIX);
        let namespaces = namespaces
            .iter()
            .filter_map(|name| name.strip_prefix(PREFIX)?.split_once('.'));
        let mut names: Vec<String> = folders.collect();
        names.extend(namespaces.map(|(lab, _)| lab.to_owned()));
        names.sort();
        names.dedup();
        names.iter().filter_map(|name| Self::new(name).ok()).collect()
    }

    /// The lab of that name, or the only one there is.
    pub fn choose(name: Option<&str>) -> Result<Self, LabError> {
        if let Some(name) = name {
            let place = Self::new(name)?;
            return match place.exists() {
                true => Ok(place),
                false => Err(LabError::Refused(format!(
                    "there is no lab `{name}`; `anet lab list` shows those there are"
                ))),
            };
        }
        let mut all = Self::all();
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(LabError::Refused(
                "no lab is up; `anet lab up FILE` makes one".to_owned(),
            )),
            (Some(last), false) => {
                let names: Vec<&str> = all.iter().chain([&last]).map(Self::name).collect();
                Err(LabError::Refused(format!(
                    "there are several labs ({}): say which with --lab NAME",
                    names.join(", ")
                )))
            }
        }
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True where anything of it is there.
    pub fn exists(&self) -> bool {
        self.folder().exists() || !self.namespaces().is_empty()
    }

    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.home.join(&self.name)
    }

    /// A file in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The folder of a host, machine or guest.
    pub fn member_folder(&self, member: &str) -> PathBuf {
        self.folder().join(member)
    }

    /// What the API's client needs: address, certificate, token.
    pub fn client_file(&self) -> PathBuf {
        self.file("client.json")
    }

    /// The log of a daemon.
    pub fn log_file(&self, who: &Who) -> PathBuf {
        match who {
            Who::Controller => self.file("controller.log"),
            Who::Agent(host) => self.member_folder(host).join("agent.log"),
            Who::Vswitch(host) => self.member_folder(host).join("vswitch.log"),
        }
    }

    /// The namespace of a host, machine, guest, or of one of the parts `controller`, `management`, `underlay`.
    pub fn namespace(&self, member: &str) -> Namespace {
        Namespace::standing(format!("{}{member}", self.prefix()))
    }

    /// The names of all namespaces that it has.
    pub fn namespaces(&self) -> Vec<String> {
        crate::namespace::names_with(&self.prefix())
    }

    fn prefix(&self) -> String {
        format!("{PREFIX}{}.", self.name)
    }

    /// The interface of this machine by which the lab's controller is reached.
    pub fn interface(&self) -> String {
        format!("lab-{:08x}", self.number() >> 32)
    }

    /// A number that follows from the lab's name (FNV-1a, 64 bits), well mixed.
    pub fn number(&self) -> u64 {
        self.name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// Makes the home of labs, readable for root alone: a lab's folder has its keys and its token.
    pub(super) fn make_home(&self) -> Result<(), LabError> {
        use std::os::unix::fs::DirBuilderExt;
        let what = format!("make folder {}", self.home.display());
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.home);
        made.map_err(LabError::io(what))
    }

    /// Waits until nobody else changes this lab.
    pub fn lock(&self) -> Result<Lock, LabError> {
        lock(&self.file("lock"))
    }

    /// Waits until nobody else chooses addresses for a lab.
    pub(super) fn lock_home(&self) -> Result<Lock, LabError> {
        lock(&self.home.join(".lock"))
    }
}

fn home() -> PathBuf {
    std::env::var_os(HOME_VARIABLE).map_or_else(|| Path::new(HOME).to_owned(), PathBuf::from)
}

fn lock(path: &Path) -> Result<Lock, LabError> {
    let what = format!("lock {}", path.display());
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let file = file.map_err(LabError::io(what.clone()))?;
    match Flock::lock(file, FlockArg::LockExclusive) {
        Ok(file) => Ok(Lock { _file: file }),
        Err((_, number)) => Err(LabError::io(what)(number.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_labs_do_not_meet() {
        let (a, longer) = (Place::new("a").unwrap(), Place::new("a-b").unwrap());
        assert_eq!(a.namespace("host-1").name(), "anet.a.host-1");
        assert!(!longer.namespace("x").name().starts_with(&a.prefix()));
        assert_ne!(a.interface(), longer.interface());
        assert!(a.interface().len() <= 15);
        assert!(Place::new("../x").is_err() && Place::new("").is_err());
    }

    #[test]
    fn a_lab_that_is_not_there_is_not_chosen() {
        let error = Place::choose(Some("no-such-lab-anywhere")).unwrap_err();
        assert!(error.to_string().contains("no lab"), "{error}");
    }
}
