//! The published tables: what workers read and the control thread changes.
//!
//! There are two copies of [`Tables`] and one log of [`TableOp`]s (the `left-right` crate): the control thread applies
//! an operation to the copy nobody reads, publishes, and applies it to the other one later. Workers read without a
//! lock, never free memory and never wait. Every operation is deterministic and costs what it changes.
//!
//! Indexes (of ports, networks, endpoints …) are given out by whoever builds the operations and are never reused for
//! something else before the witnesses that flows hold on them have been bumped.

mod endpoint;
mod network;
mod operation;
mod port;
mod witness;

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::firewall::AddressSets;

pub use endpoint::{Adjacency, LocalTunnel, Membership, OuterHeader};
pub use network::{FloodMember, Network, NetworkFacts, Station};
pub use operation::TableOp;
pub use port::{Port, PortFirewall};
pub use witness::{Witness, Witnesses};

/// Maps of the tables: keys come from the plan, and the wire only asks; still seeded where the plan's author is a
/// tenant. Both copies use the same seed, so that they stay equal.
pub type TableMap<K, V> = HashMap<K, V, FixedState>;

/// Everything a worker reads. Cheap to read, changed only through [`TableOp`]s.
#[derive(Clone)]
pub struct Tables {
    pub(crate) seed: u64,
    pub(crate) tunnel: Option<LocalTunnel>,
    pub(crate) networks: Vec<Option<Network>>,
    pub(crate) ports: Vec<Option<Arc<Port>>>,
    pub(crate) endpoints: Vec<Option<Arc<OuterHeader>>>,
    pub(crate) adjacencies: Vec<Option<Adjacency>>,
    pub(crate) memberships: Vec<Option<Membership>>,
    pub(crate) membership_by_source: TableMap<(u32, IpAddr), u32>,
    pub(crate) sets: AddressSets,
    pub(crate) witnesses: Witnesses,
}

impl Tables {
    /// Empty tables. `seed` keys the address sets' hashes; both copies must have the same.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            tunnel: None,
            networks: Vec::new(),
            ports: Vec::new(),
            endpoints: Vec::new(),
            adjacencies: Vec::new(),
            memberships: Vec::new(),
            membership_by_source: TableMap::default(),
            sets: AddressSets::new(seed),
            witnesses: Witnesses::default(),
        }
    }

    /// The host's own tunnel endpoint.
    pub fn tunnel(&self) -> Option<&LocalTunnel> {
        self.tunnel.as_ref()
    }

    /// A port by index.
    #[inline]
    pub fn port(&self, index: u32) -> Option<&Arc<Port>> {
        self.ports.get(index as usize)?.as_ref()
    }

    /// All ports with their indexes.
    pub fn ports(&self) -> impl Iterator<Item = (u32, &Arc<Port>)> {
        self.ports
            .iter()
            .enumerate()
            .filter_map(|(i, p)| Some((i as u32, p.as_ref()?)))
    }

    /// A network by index.
    #[inline]
    pub fn network(&self, index: u32) -> Option<&Network> {
        self.networks.get(index as usize)?.as_ref()
    }

    /// All networks with their indexes.
    pub fn networks(&self) -> impl Iterator<Item = (u32, &Network)> {
        self.networks
            .iter()
            .enumerate()
            .filter_map(|(i, n)| Some((i as u32, n.as_ref()?)))
    }

    /// A compiled outer header by endpoint index.
    #[inline]
    pub fn endpoint(&self, index: u32) -> Option<&OuterHeader> {
        self.endpoints.get(index as usize)?.as_deref()
    }

    /// An adjacency by index.
    #[inline]
    pub fn adjacency(&self, index: u32) -> Option<Adjacency> {
        *self.adjacencies.get(index as usize)?
    }

    /// A membership by index.
    #[inline]
    pub fn membership(&self, index: u32) -> Option<&Membership> {
        self.memberships.get(index as usize)?.as_ref()
    }

    /// The membership of an outer source in a VNI: its index.
    #[inline]
    pub fn membership_of(&self, vni: u32, source: IpAddr) -> Option<u32> {
        self.membership_by_source.get(&(vni, source)).copied()
    }

    /// True where some network has the VNI.
    pub fn knows_vni(&self, vni: u32) -> bool {
        self.networks().any(|(_, n)| n.facts.vni.get() == vni)
    }

    /// Address sets of the rules.
    pub fn sets(&self) -> &AddressSets {
        &self.sets
    }

    /// Generations of everything that decides.
    #[inline]
    pub fn witnesses(&self) -> &Witnesses {
        &self.witnesses
    }
}
