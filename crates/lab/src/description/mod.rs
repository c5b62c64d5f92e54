//! The description of a standing lab: what a file given to `anet lab up` says.
//!
//! Keys that nobody knows are refused with their place in the file; what contradicts itself is refused with the names
//! concerned. Nothing here makes anything.

mod check;
mod named;
mod parts;
mod read;
mod underlay;

pub use check::lab_name;
pub use named::Named;
pub use parts::{
    Group, Guest, Host, LayerFourPorts, Machine, Network, Project, Rule, RuleDirection, RuleFamily, Subnet,
    Underlay, UnderlayKind,
};
pub use read::{parse, read};
pub use underlay::Link;

use serde::{Deserialize, Serialize};

/// A whole lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The lab's name: 1 to 24 characters out of `a-z 0-9 -`, a letter first.
    pub name: String,
    /// What joins the hosts.
    #[serde(default)]
    pub underlay: Underlay,
    /// The hosts, each with an agent and a switch.
    pub hosts: Named<Host>,
    /// Further machines on the underlay, without daemons: for foreign tunnel endpoints.
    #[serde(default)]
    pub machines: Named<Machine>,
    /// Owners, with what is theirs.
    #[serde(default)]
    pub projects: Named<Project>,
}

/// A guest with the project it is of.
#[derive(Debug, Clone, Copy)]
pub struct GuestOf<'a> {
    /// The project's name.
    pub project: &'a str,
    /// The guest's name.
    pub name: &'a str,
    /// What is said about it.
    pub guest: &'a Guest,
}

impl Description {
    /// Every guest, in the file's order.
    pub fn guests(&self) -> impl Iterator<Item = GuestOf<'_>> {
        self.projects.iter().flat_map(|(project, content)| {
            content
                .guests
                .iter()
                .map(move |(name, guest)| GuestOf { project, name, guest })
        })
    }

    /// The network of a guest of a description that was checked.
    pub fn network_of(&self, guest: GuestOf<'_>) -> Option<&Network> {
        self.projects
            .get(guest.project)?
            .networks
            .get(&guest.guest.network)
    }
}
