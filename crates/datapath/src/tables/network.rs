//! A network as workers see it: who is in it and where.

use std::net::IpAddr;
use std::sync::Arc;

use anet_model::host_plan::{NetworkId, Subnet, SubnetId};
use anet_packet::addr::{Mac, Mtu, Vni};

use super::TableMap;

/// Where a MAC is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Station {
    /// On a port of this host, by index.
    Local(u32),
    /// Behind a tunnel, by the index of its adjacency.
    Remote(u32),
}

/// Somebody who gets a copy of broadcast and multicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloodMember {
    /// A port of this host.
    Port(u32),
    /// A remote endpoint.
    Endpoint(u32),
}

/// What of a network changes as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFacts {
    /// Its id.
    pub id: NetworkId,
    /// Its segment.
    pub vni: Vni,
    /// Largest IP packet.
    pub mtu: Mtu,
    /// Its subnets, as DHCP and router advertisements need them.
    pub subnets: Vec<(SubnetId, Subnet)>,
    /// Witness slot of frames of its tunnels whose sender is no station of the plan.
    pub strangers: u32,
}

/// A network. Members come and go singly.
#[derive(Clone)]
pub struct Network {
    /// What changes as a whole.
    pub facts: Arc<NetworkFacts>,
    pub(crate) stations: TableMap<Mac, Station>,
    pub(crate) addresses: TableMap<IpAddr, Mac>,
    pub(crate) flood: Vec<FloodMember>,
}

impl Network {
    pub(super) fn new(facts: Arc<NetworkFacts>) -> Self {
        Self {
            facts,
            stations: TableMap::default(),
            addresses: TableMap::default(),
            flood: Vec::new(),
        }
    }

    /// Where a MAC is.
    pub fn station(&self, mac: Mac) -> Option<Station> {
        self.stations.get(&mac).copied()
    }

    /// Whose address it is. A link-local address is the station's whose MAC is in it: plans do not name those.
    pub fn resolve(&self, address: IpAddr) -> Option<Mac> {
        let named = self.addresses.get(&address).copied();
        named.or_else(|| match address {
            IpAddr::V6(address) => Mac::of_link_local(address).filter(|mac| self.station(*mac).is_some()),
            IpAddr::V4(_) => None,
        })
    }

    /// Who gets copies of broadcast and multicast.
    pub fn flood(&self) -> &[FloodMember] {
        &self.flood
    }

    /// How many stations it has.
    pub fn station_count(&self) -> usize {
        self.stations.len()
    }
}
