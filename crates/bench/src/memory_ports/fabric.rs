//! One host of a small fabric, on memory: plan, tables in two copies, connection table.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use anet_datapath::burst::NewConnections;
use anet_datapath::connections::{Config, Connections, words_for};
use anet_datapath::interface::Interface;
use anet_datapath::pipeline::Environment;
use anet_datapath::tables::{TableOp, Tables};
use anet_memory::words::Words;
use anet_model::diff::diff;
use anet_model::host_plan::{
    Attachment, Budgets, Direction, Endpoint, Family, HostPlan, Network, Peer, Port, PortRange, Protocol,
    Remote, Rule, RuleId, SecurityGroup, SecurityGroupId, Subnet, Tunnel,
};
use anet_packet::addr::{IpPrefix, Mac, Mtu, Vni};
use anet_vswitch::core::tables::TableBuilder;
use left_right::{ReadHandle, WriteHandle};

use crate::error::BenchError;

/// Guests of this host.
pub const PORTS: usize = 16;
/// Stations behind tunnels.
pub const PEERS: usize = 16;
/// Hosts they are on.
pub const ENDPOINTS: usize = 4;
/// Keys all hashes: a fixed one, so that runs are alike.
pub const SEED: u64 = 0x616e_6574;
const FIRST_RULE_PORT: u16 = 1000;

/// A station: a guest of this host, or one behind a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Station {
    /// By number, below [`PORTS`].
    Local(usize),
    /// By number, below [`PEERS`].
    Remote(usize),
}

impl Station {
    /// Its MAC.
    pub fn mac(self) -> Mac {
        match self {
            Station::Local(n) => Mac([2, 0, 0, 0, 1, n as u8]),
            Station::Remote(n) => Mac([2, 0, 0, 0, 2, n as u8]),
        }
    }

    /// Its address.
    pub fn address(self) -> IpAddr {
        let (host, n) = match self {
            Station::Local(n) => (1, n),
            Station::Remote(n) => (2, n),
        };
        IpAddr::V4(Ipv4Addr::new(10, 0, host, n as u8 + 1))
    }
}

/// The tunnel endpoint of this host.
pub const LOCAL_ENDPOINT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The tunnel endpoint that a peer is behind.
pub fn endpoint_of(peer: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, 10 + (peer % ENDPOINTS) as u8)
}

/// The segment.
pub fn vni() -> Vni {
    Vni::new(0x00_1234).expect("24 bits")
}

/// The destination port that rules of a number allow.
pub fn port_of_rule(rule: usize) -> u16 {
    FIRST_RULE_PORT + rule as u16
}

/// The fabric and all that workers share.
pub struct Fabric {
    writer: WriteHandle<Tables, TableOp>,
    reader: ReadHandle<Tables>,
    builder: TableBuilder,
    plan: HostPlan,
    /// The connection table.
    pub connections: Connections,
    /// Marks of new connections.
    pub new_connections: NewConnections,
    started: Instant,
}

impl Fabric {
    /// A host whose guests may talk on the destination ports of `rules` rules (see [`port_of_rule`]), each an ingress and
    /// an egress rule for TCP and one for UDP; with room for `connections` connections.
    pub fn new(rules: usize, connections: usize) -> Result<Self, BenchError> {
        let (writer, reader) = left_right::new_from_empty(Tables::new(SEED));
        let config = Config {
            shards: 64,
            seed: SEED,
            now: 1,
        };
        let void = |what: &dyn std::fmt::Display| BenchError::Missing(what.to_string());
        let words = Words::anonymous(words_for(u32::try_from(connections).unwrap_or(u32::MAX)))
            .map_err(|e| void(&e))?;
        let (connections, _) = Connections::open(words, config).map_err(|e| void(&e))?;
        let mut fabric = Self {
            writer,
            reader,
            builder: TableBuilder::new(),
            plan: HostPlan::default(),
            connections,
            new_connections: NewConnections::new(SEED),
            started: Instant::now(),
        };
        let plan = plan_of(rules);
        plan.validate()
            .map_err(|e| BenchError::Void(format!("the plan is not valid: {e:?}")))?;
        fabric.change(|current| *current = plan)?;
        Ok(fabric)
    }

    /// Changes the plan, and the tables with it; returns when all workers read the new ones.
    pub fn change(&mut self, change: impl FnOnce(&mut HostPlan)) -> Result<(), BenchError> {
        self.split().0.change(change)
    }

    /// What changes the tables, and what workers use meanwhile.
    pub fn split(&mut self) -> (Changer<'_>, Shared<'_>) {
        let shared = Shared {
            connections: &self.connections,
            new_connections: &self.new_connections,
            started: self.started,
        };
        let changer = Changer {
            writer: &mut self.writer,
            builder: &mut self.builder,
            plan: &mut self.plan,
        };
        (changer, shared)
    }

    /// A reader of the tables, for one thread.
    pub fn reader(&self) -> ReadHandle<Tables> {
        self.reader.clone()
    }

    /// What workers share.
    pub fn shared(&self) -> Shared<'_> {
        Shared {
            connections: &self.connections,
            new_connections: &self.new_connections,
            started: self.started,
        }
    }

    /// The interface of a station's packets.
    pub fn interface(&self, station: Station) -> Interface {
        match station {
            Station::Local(n) => {
                let id = port_name(n).parse().expect("a legal name");
                Interface::port(self.builder.port_index(&id).expect("a port of the plan"))
            }
            Station::Remote(_) => Interface::UPLINK,
        }
    }
}

/// The control thread's part of a [`Fabric`].
pub struct Changer<'f> {
    writer: &'f mut WriteHandle<Tables, TableOp>,
    builder: &'f mut TableBuilder,
    plan: &'f mut HostPlan,
}

impl Changer<'_> {
    /// As [`Fabric::change`].
    pub fn change(&mut self, change: impl FnOnce(&mut HostPlan)) -> Result<(), BenchError> {
        let mut plan = self.plan.clone();
        change(&mut plan);
        let changes = diff(self.plan, &plan);
        let operations = self.builder.apply(self.plan, &plan, &changes);
        let operations = operations.map_err(|e| BenchError::Void(e.to_string()))?;
        self.writer.extend(operations);
        self.writer.publish();
        *self.plan = plan;
        Ok(())
    }
}

impl Changer<'_> {
    /// Second rules that allow what those of a number do.
    pub fn add_twins(&mut self, number: usize) -> Result<(), BenchError> {
        self.change_rules(|rules| {
            let twin =
                |(name, rule): (String, Rule)| (format!("zz-{name}").parse().expect("a legal name"), rule);
            rules.extend(rules_of(number).into_iter().map(twin));
        })
    }

    /// Takes the rules of a number away.
    pub fn withdraw(&mut self, number: usize) -> Result<(), BenchError> {
        self.change_rules(|rules| {
            for (name, _) in rules_of(number) {
                let id: RuleId = name.parse().expect("a legal name");
                rules.remove(&id);
            }
        })
    }

    /// Changes the rules that all ports have.
    pub fn change_rules(
        &mut self,
        change: impl FnOnce(&mut BTreeMap<RuleId, Rule>),
    ) -> Result<(), BenchError> {
        self.change(|plan| {
            let id: SecurityGroupId = GROUP.parse().expect("a legal name");
            change(&mut plan.security_groups.entry(id).or_default().rules);
        })
    }
}

/// What all workers share, beside the tables.
#[derive(Clone, Copy)]
pub struct Shared<'f> {
    connections: &'f Connections,
    new_connections: &'f NewConnections,
    started: Instant,
}

impl<'f> Shared<'f> {
    /// Connections there are.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Nanoseconds since the fabric was made, and a second.
    pub fn now(&self) -> u64 {
        1_000_000_000 + self.started.elapsed().as_nanos() as u64
    }

    /// The environment of a burst.
    pub fn environment(&self, tables: &'f Tables) -> Environment<'f> {
        Environment {
            tables,
            connections: self.connections,
            new_connections: self.new_connections,
            now: self.now(),
            loose_pickup: false,
        }
    }
}

fn port_name(n: usize) -> String {
    format!("guest{n}")
}

/// The group that all ports are in.
pub const GROUP: &str = "all";

/// The rules of one number.
pub fn rules_of(number: usize) -> Vec<(String, Rule)> {
    let port = port_of_rule(number);
    let range = PortRange {
        first: port,
        last: port,
    };
    let mut rules = Vec::new();
    for (direction, way) in [(Direction::Ingress, "in"), (Direction::Egress, "out")] {
        for (protocol, name) in [(Protocol::Tcp(range), "tcp"), (Protocol::Udp(range), "udp")] {
            let rule = Rule {
                direction,
                family: Family::Ipv4,
                protocol,
                remote: Remote::Any,
            };
            rules.push((format!("{name}-{way}-{number}"), rule));
        }
    }
    rules
}

fn plan_of(rules: usize) -> HostPlan {
    let mut plan = HostPlan {
        tunnel: Some(Tunnel {
            address: LOCAL_ENDPOINT.into(),
            udp_port: 4789,
            dpdk: None,
        }),
        ..HostPlan::default()
    };
    for n in 0..ENDPOINTS {
        let endpoint = Endpoint {
            address: endpoint_of(n).into(),
            udp_port: 4789,
            next_hop: None,
        };
        let id = format!("host{n}").parse().expect("a legal name");
        plan.endpoints.insert(id, endpoint);
    }
    add_network(&mut plan);
    let rules = (0..rules).flat_map(rules_of);
    let rules = rules.map(|(id, rule)| (id.parse().expect("a legal name"), rule));
    let group = SecurityGroup {
        rules: rules.collect(),
    };
    plan.security_groups
        .insert(GROUP.parse().expect("a legal name"), group);
    (0..PORTS).for_each(|n| add_port(&mut plan, n));
    (0..PEERS).for_each(|n| add_peer(&mut plan, n));
    plan
}

fn add_network(plan: &mut HostPlan) {
    let network = Network {
        vni: vni(),
        mtu: Mtu::VXLAN_IPV4,
        endpoints: plan.endpoints.keys().cloned().collect(),
    };
    plan.networks
        .insert("net".parse().expect("a legal name"), network);
    let subnet = Subnet {
        network: "net".parse().expect("a legal name"),
        prefix: "10.0.0.0/16".parse::<IpPrefix>().expect("a legal prefix"),
        gateway: None,
        dhcp: true,
        ipv6_mode: anet_model::host_plan::Ipv6Mode::DhcpV6Stateful,
        dns_servers: Vec::new(),
        host_routes: Vec::new(),
        lease_s: 3600,
    };
    plan.subnets
        .insert("net-v4".parse().expect("a legal name"), subnet);
}

fn add_port(plan: &mut HostPlan, n: usize) {
    let station = Station::Local(n);
    let port = Port {
        network: "net".parse().expect("a legal name"),
        mac: station.mac(),
        addresses: vec![station.address()],
        allowed_address_pairs: Vec::new(),
        port_security: true,
        security_groups: vec![GROUP.parse().expect("a legal name")],
        hostname: None,
        attachment: Attachment::Detached,
        budgets: Budgets {
            connections: 2_000_000,
            control_pps: 1_000,
            new_flows_pps: 1_000_000_000,
        },
        admin_up: true,
    };
    plan.ports
        .insert(port_name(n).parse().expect("a legal name"), port);
}

fn add_peer(plan: &mut HostPlan, n: usize) {
    let station = Station::Remote(n);
    let peer = Peer {
        network: "net".parse().expect("a legal name"),
        mac: station.mac(),
        addresses: vec![station.address()],
        endpoint: format!("host{}", n % ENDPOINTS).parse().expect("a legal name"),
    };
    plan.peers
        .insert(format!("peer{n}").parse().expect("a legal name"), peer);
}
