//! What is known about a lab: written before it is made, and after every change.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::daemon::Who;
use super::identity::{ProcessIdentity, boot};
use super::place::Place;
use crate::LabError;
use crate::description::Description;

/// The form of the file; another one is not read.
const VERSION: u32 = 1;
const FILE: &str = "state.json";

/// A lab's state file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    version: u32,
    boot: String,
    /// How far it is.
    pub phase: Phase,
    /// Who makes it, or has made it.
    pub maker: Option<ProcessIdentity>,
    /// What it is meant to be.
    pub description: Description,
    /// This machine's address towards the controller; the controller's is the next one.
    pub near_address: Ipv4Addr,
    /// Daemons that were started and not taken down since, by [`Who`] as text.
    pub daemons: BTreeMap<String, Daemon>,
    /// What became of the guests.
    pub guests: BTreeMap<String, GuestState>,
}

/// How far a lab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is being made.
    Building,
    /// It was made whole.
    Ready,
}

/// A daemon that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// The process.
    pub process: ProcessIdentity,
}

/// A guest that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestState {
    /// The id of its port.
    pub port: String,
    /// The port's MAC.
    pub mac: String,
    /// The port's addresses.
    pub addresses: Vec<std::net::IpAddr>,
    /// The host it is on.
    pub host: String,
    /// Hosts that it was moved away from and that could not be told so: their agents still keep its attachment.
    #[serde(default)]
    pub left_behind: Vec<String>,
}

impl State {
    /// The state of a lab of which nothing is made yet.
    pub fn new(description: Description, near_address: Ipv4Addr) -> Self {
        Self {
            version: VERSION,
            boot: boot(),
            phase: Phase::Building,
            maker: ProcessIdentity::own(),
            description,
            near_address,
            daemons: BTreeMap::new(),
            guests: BTreeMap::new(),
        }
    }

    /// Reads a lab's state. What ran before the machine was started again does not run any more.
    pub fn read(place: &Place) -> Result<Self, LabError> {
        let path = place.file(FILE);
        let text = fs::read_to_string(&path).map_err(LabError::io(format!("read {}", path.display())))?;
        let mut state: Self = serde_json::from_str(&text).map_err(|error| {
            LabError::Refused(format!(
                "{}: {error}; `anet lab down {}` removes the lab whatever its state says",
                path.display(),
                place.name()
            ))
        })?;
        if state.version != VERSION {
            return Err(LabError::Refused(format!(
                "{} is of version {}, this program knows {VERSION}; take the lab down and make it again",
                path.display(),
                state.version
            )));
        }
        if state.boot != boot() {
            state.daemons.clear();
            state.maker = None;
        }
        Ok(state)
    }

    /// Writes it: whole or not at all.
    pub fn write(&self, place: &Place) -> Result<(), LabError> {
        let path = place.file(FILE);
        let what = format!("write {}", path.display());
        let text = serde_json::to_string_pretty(self).map_err(|error| LabError::NotUnderstood {
            what: what.clone(),
            found: error.to_string(),
        })?;
        let fresh = place.file(".state.json.new");
        let written = File::create(&fresh).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(LabError::io(what))
    }

    /// The controller's address.
    pub fn controller_address(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.near_address.to_bits() + 1)
    }

    /// A daemon's process, where it was started.
    pub fn process(&self, who: &Who) -> Option<ProcessIdentity> {
        self.daemons.get(&who.to_string()).map(|daemon| daemon.process)
    }

    /// Every daemon that the lab has, running or not.
    pub fn everyone(&self) -> Vec<Who> {
        let hosts = self.description.hosts.names();
        let of_hosts = hosts.flat_map(|host| [Who::Agent(host.to_owned()), Who::Vswitch(host.to_owned())]);
        std::iter::once(Who::Controller).chain(of_hosts).collect()
    }

    /// A guest that was made.
    pub fn guest(&self, name: &str) -> Result<&GuestState, LabError> {
        self.guests.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.guests.keys().map(String::as_str).collect();
            LabError::Refused(format!(
                "there is no guest `{name}` in lab `{}`; there are: {}",
                self.description.name,
                names.join(", ")
            ))
        })
    }

    /// True where the description has a host of that name; the error names those there are.
    pub fn check_host(&self, name: &str) -> Result<(), LabError> {
        if self.description.hosts.get(name).is_some() {
            return Ok(());
        }
        let names: Vec<&str> = self.description.hosts.names().collect();
        Err(LabError::Refused(format!(
            "there is no host `{name}` in lab `{}`; there are: {}",
            self.description.name,
            names.join(", ")
        )))
    }
}
