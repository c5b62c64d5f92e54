//! Every host's plan from the whole intent at once: the planner's oracle.
//!
//! Written for being obviously right: it walks the objects in the order of their ids and gives each claim to whoever comes first.
//! It shares with the planner only what looks at one value alone, and [`fit`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use anet_model::host_plan::{
    AddressSet, Attachment, Endpoint, Family, HostPlan, Ipv6Mode, Network, NetworkId, Peer, Port, PortId,
    Remote, Rule, RuleId, SecurityGroup, SecurityGroupId, Subnet, SubnetId, Tunnel,
};
use anet_model::intent::{self, HostId, Intent};
use anet_model::limits;
use anet_model::validate::{is_host_name, is_host_of, is_station_address};
use anet_packet::addr::{IpPrefix, Mac};

use crate::fit::fit;
use crate::settings::{Limits, Settings};

/// The plan of every host of the intent. Cost: proportional to hosts and what each has to know.
pub fn recompute(intent: &Intent, settings: &Settings) -> BTreeMap<HostId, HostPlan> {
    recompute_within(intent, settings, &Limits::default())
}

/// As [`recompute`], for plans that hold less.
pub fn recompute_within(intent: &Intent, settings: &Settings, limits: &Limits) -> BTreeMap<HostId, HostPlan> {
    let world = World::of(intent, settings, limits);
    let hosts = intent.hosts.keys();
    hosts
        .map(|host| (host.clone(), fit(&world.plan_of(host), limits).0))
        .collect()
}

/// A tunnel's far end in one network.
struct End {
    host: Option<HostId>,
    network: NetworkId,
    id: String,
    endpoint: Endpoint,
}

/// A station with a place, seen from afar.
struct Seen {
    network: NetworkId,
    mac: Mac,
    addresses: Vec<IpAddr>,
    /// The id of its [`End`].
    end: String,
}

/// What of the intent counts.
struct World<'a> {
    intent: &'a Intent,
    tunnels: BTreeMap<HostId, Tunnel>,
    networks: BTreeMap<NetworkId, Network>,
    subnets: BTreeMap<SubnetId, Subnet>,
    rules: BTreeMap<SecurityGroupId, BTreeMap<RuleId, Rule>>,
    sets: BTreeMap<SecurityGroupId, BTreeSet<IpPrefix>>,
    ports: BTreeMap<PortId, Port>,
    ends: Vec<End>,
    seen: BTreeMap<PortId, Seen>,
}

impl<'a> World<'a> {
    fn of(intent: &'a Intent, settings: &Settings, limits: &Limits) -> Self {
        let mut world = World {
            intent,
            tunnels: tunnels(intent),
            networks: networks(intent),
            subnets: BTreeMap::new(),
            rules: rules(intent),
            sets: BTreeMap::new(),
            ports: BTreeMap::new(),
            ends: Vec::new(),
            seen: BTreeMap::new(),
        };
        world.add_subnets(settings, limits);
        let (mut macs, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        world.add_ports(settings, limits, &mut macs, &mut addresses);
        world.add_foreign(limits, &mut macs, &mut addresses);
        for set in world.sets.values_mut() {
            if set.len() > limits.members_per_address_set {
                set.clear();
            }
        }
        world
    }

    fn add_subnets(&mut self, settings: &Settings, limits: &Limits) {
        for (id, subnet) in &self.intent.subnets {
            let mut plan = HostPlan {
                networks: self.networks.clone(),
                subnets: self.subnets.clone(),
                ..HostPlan::default()
            };
            let planned = Subnet {
                network: subnet.network.clone(),
                prefix: subnet.cidr,
                gateway: subnet
                    .gateway_ip
                    .filter(|gateway| is_host_of(subnet.cidr, *gateway) && is_station_address(*gateway)),
                dhcp: subnet.enable_dhcp
                    && (subnet.cidr.address().is_ipv4() || subnet.ipv6_address_mode.is_some()),
                ipv6_mode: Ipv6Mode::DhcpV6Stateful,
                dns_servers: legal_servers(subnet),
                host_routes: legal_routes(subnet),
                lease_s: settings.lease_s.max(limits::LEASE_SECONDS_MINIMUM),
            };
            plan.subnets.insert(id.clone(), planned.clone());
            let siblings = self
                .subnets
                .values()
                .filter(|other| other.network == subnet.network);
            if plan.validate().is_ok() && siblings.count() < limits.subnets_per_network {
                self.subnets.insert(id.clone(), planned);
            }
        }
    }

    fn add_ports(
        &mut self,
        settings: &Settings,
        limits: &Limits,
        macs: &mut BTreeSet<(NetworkId, Mac)>,
        addresses: &mut BTreeSet<(NetworkId, IpAddr)>,
    ) {
        for (id, port) in &self.intent.ports {
            let network = self.networks.contains_key(&port.network);
            if !network || !port.mac.is_station() || !macs.insert((port.network.clone(), port.mac)) {
                continue;
            }
            let fixed = port.fixed_ips.iter().filter(|fixed| {
                let subnet = self.subnets.get(&fixed.subnet);
                let subnet = subnet.filter(|subnet| subnet.network == port.network);
                subnet.is_some_and(|subnet| is_host_of(subnet.prefix, fixed.address))
                    && is_station_address(fixed.address)
            });
            let own = fixed.map(|fixed| fixed.address);
            let own = own.filter(|address| addresses.insert((port.network.clone(), *address)));
            let own: Vec<IpAddr> = own.collect();
            self.add_port(id, port, own, settings, limits);
        }
    }

    fn add_port(
        &mut self,
        id: &PortId,
        port: &intent::Port,
        mut own: Vec<IpAddr>,
        settings: &Settings,
        limits: &Limits,
    ) {
        own.truncate(limits.addresses_per_station);
        let mut pairs = port.allowed_address_pairs.clone();
        pairs.retain(|pair| {
            !pair.prefix.address().is_multicast() && pair.mac.is_none_or(|mac| mac.is_station())
        });
        pairs.truncate(limits.address_pairs_per_port);
        for group in &port.security_groups {
            let members = self.sets.entry(group.clone()).or_default();
            members.extend(own.iter().map(|address| IpPrefix::host(*address)));
            members.extend(pairs.iter().map(|pair| pair.prefix));
        }
        let up = self
            .intent
            .networks
            .get(&port.network)
            .is_some_and(|n| n.admin_state_up);
        let planned = Port {
            network: port.network.clone(),
            mac: port.mac,
            addresses: own.clone(),
            allowed_address_pairs: pairs,
            port_security: port.port_security_enabled,
            security_groups: self.fitting_groups(port, limits),
            hostname: port.dns_name.clone().filter(|name| is_host_name(name)),
            attachment: Attachment::Detached,
            budgets: settings.budgets,
            admin_up: port.admin_state_up && up,
        };
        self.ports.insert(id.clone(), planned);
        let Some(host) = port
            .host
            .as_ref()
            .filter(|host| self.intent.hosts.contains_key(host))
        else {
            return;
        };
        let seen = Seen {
            network: port.network.clone(),
            mac: port.mac,
            addresses: own,
            end: host.to_string(),
        };
        self.seen.insert(id.clone(), seen);
        if let Some(tunnel) = self.tunnels.get(host) {
            self.ends.push(End {
                host: Some(host.clone()),
                network: port.network.clone(),
                id: host.to_string(),
                endpoint: Endpoint {
                    address: tunnel.address,
                    udp_port: tunnel.udp_port,
                    next_hop: None,
                },
            });
        }
    }

    fn fitting_groups(&self, port: &intent::Port, limits: &Limits) -> Vec<SecurityGroupId> {
        let mut groups: Vec<SecurityGroupId> = Vec::new();
        for group in &port.security_groups {
            if !self.intent.security_groups.contains_key(group) {
                continue;
            }
            groups.push(group.clone());
            let rules = || groups.iter().filter_map(|group| self.rules.get(group)).flatten();
            let sets: BTreeSet<_> = rules().filter_map(|(_, rule)| set_of(rule)).collect();
            let fits = groups.len() <= limits.security_groups_per_port
                && rules().count() <= limits.rules_per_port
                && sets.len() <= limits.address_sets_per_port;
            if !fits {
                groups.pop();
            }
        }
        groups
    }

    fn add_foreign(
        &mut self,
        limits: &Limits,
        macs: &mut BTreeSet<(NetworkId, Mac)>,
        addresses: &mut BTreeSet<(NetworkId, IpAddr)>,
    ) {
        let mut udp_ports = BTreeMap::new();
        let mut stations = BTreeMap::new();
        for (id, foreign) in &self.intent.foreign_endpoints {
            let end = format!("foreign:{}:{}", foreign.address, foreign.udp_port);
            if !can_end(foreign.address, foreign.udp_port) {
                continue;
            }
            let udp_port = *udp_ports.entry(foreign.address).or_insert(foreign.udp_port);
            if udp_port != foreign.udp_port
                || self
                    .tunnels
                    .values()
                    .any(|tunnel| tunnel.address == foreign.address)
                || self.intent.hosts.keys().any(|host| host.as_str() == end)
                || !self.networks.contains_key(&foreign.network)
            {
                continue;
            }
            for station in &foreign.stations {
                let mac = station.mac.to_string().replace(':', "");
                if let Ok(peer) = PortId::new(&format!("foreign-{id}-{mac}")) {
                    stations.entry(peer).or_insert((foreign, end.clone(), station));
                }
            }
            self.ends.push(End {
                host: None,
                network: foreign.network.clone(),
                id: end,
                endpoint: Endpoint {
                    address: foreign.address,
                    udp_port: foreign.udp_port,
                    next_hop: None,
                },
            });
        }
        for (peer, (foreign, end, station)) in stations {
            let network = &foreign.network;
            let free = !self.intent.ports.contains_key(&peer) && station.mac.is_station();
            if !free || !macs.insert((network.clone(), station.mac)) {
                continue;
            }
            let own = station.addresses.iter().copied();
            let own = own.filter(|address| is_station_address(*address));
            let own = own.filter(|address| addresses.insert((network.clone(), *address)));
            let own: Vec<IpAddr> = own.collect();
            let seen = Seen {
                network: network.clone(),
                mac: station.mac,
                addresses: own.into_iter().take(limits.addresses_per_station).collect(),
                end,
            };
            self.seen.insert(peer, seen);
        }
    }

    fn plan_of(&self, host: &HostId) -> HostPlan {
        let mut plan = HostPlan {
            tunnel: self.tunnels.get(host).cloned(),
            ..HostPlan::default()
        };
        for (id, port) in &self.ports {
            let bound = self.intent.ports.get(id).and_then(|port| port.host.as_ref());
            if bound == Some(host) {
                plan.ports.insert(id.clone(), port.clone());
                if let Some(network) = self.networks.get(&port.network) {
                    plan.networks.insert(port.network.clone(), network.clone());
                }
            }
        }
        for (id, subnet) in &self.subnets {
            if plan.networks.contains_key(&subnet.network) {
                plan.subnets.insert(id.clone(), subnet.clone());
            }
        }
        self.add_overlay(host, &mut plan);
        self.add_policy(&mut plan);
        plan
    }

    fn add_overlay(&self, host: &HostId, plan: &mut HostPlan) {
        let Some(tunnel) = plan.tunnel.clone() else {
            return;
        };
        for end in &self.ends {
            let family = Family::of(end.endpoint.address) == Family::of(tunnel.address);
            let Some(network) = plan.networks.get_mut(&end.network) else {
                continue;
            };
            if let Ok(id) = end.id.parse::<anet_model::host_plan::EndpointId>()
                && family
                && end.host.as_ref() != Some(host)
            {
                plan.endpoints.insert(id.clone(), end.endpoint.clone());
                network.endpoints.push(id);
                network.endpoints.sort();
                network.endpoints.dedup();
            }
        }
        for (id, seen) in &self.seen {
            let network = plan.networks.get(&seen.network);
            let end = network.and_then(|network| network.endpoints.iter().find(|id| id.as_str() == seen.end));
            if let Some(end) = end {
                let peer = Peer {
                    network: seen.network.clone(),
                    mac: seen.mac,
                    addresses: seen.addresses.clone(),
                    endpoint: end.clone(),
                };
                plan.peers.insert(id.clone(), peer);
            }
        }
    }

    fn add_policy(&self, plan: &mut HostPlan) {
        for group in plan.ports.values().flat_map(|port| &port.security_groups) {
            let rules = self.rules.get(group).cloned().unwrap_or_default();
            for set in rules.values().filter_map(set_of) {
                let members = self.sets.get(&set.cast()).cloned().unwrap_or_default();
                plan.address_sets.insert(set.clone(), AddressSet { members });
            }
            plan.security_groups
                .insert(group.clone(), SecurityGroup { rules });
        }
    }
}

fn legal_servers(subnet: &intent::Subnet) -> Vec<IpAddr> {
    let mut seen = BTreeSet::new();
    let mut servers = subnet.dns_nameservers.clone();
    let family = Family::of(subnet.cidr.address());
    servers.retain(|server| {
        Family::of(*server) == family && is_station_address(*server) && seen.insert(*server)
    });
    servers.truncate(limits::DNS_SERVERS_PER_SUBNET);
    servers
}

fn legal_routes(subnet: &intent::Subnet) -> Vec<(IpPrefix, Ipv4Addr)> {
    let mut seen = BTreeSet::new();
    let mut routes = subnet.host_routes.clone();
    routes.retain(|(destination, next_hop)| {
        let reached = next_hop.is_unspecified() || subnet.cidr.contains((*next_hop).into());
        let ipv4 = subnet.cidr.address().is_ipv4() && destination.address().is_ipv4();
        ipv4 && reached && seen.insert(*destination)
    });
    routes.truncate(limits::HOST_ROUTES_PER_SUBNET);
    routes
}

fn set_of(rule: &Rule) -> Option<&anet_model::host_plan::AddressSetId> {
    match &rule.remote {
        Remote::Set(set) => Some(set),
        Remote::Any | Remote::Prefix(_) => None,
    }
}

fn can_end(address: IpAddr, udp_port: u16) -> bool {
    let tunnel = Tunnel {
        address,
        udp_port,
        dpdk: None,
    };
    let tunnel = Some(tunnel);
    HostPlan {
        tunnel,
        ..HostPlan::default()
    }
    .validate()
    .is_ok()
}

fn tunnels(intent: &Intent) -> BTreeMap<HostId, Tunnel> {
    let mut taken = BTreeSet::new();
    let mut tunnels = BTreeMap::new();
    for (id, host) in &intent.hosts {
        if let Some(address) = host.tunnel_address
            && can_end(address, host.tunnel_port)
            && taken.insert(address)
        {
            let tunnel = Tunnel {
                address,
                udp_port: host.tunnel_port,
                dpdk: None,
            };
            tunnels.insert(id.clone(), tunnel);
        }
    }
    tunnels
}

fn networks(intent: &Intent) -> BTreeMap<NetworkId, Network> {
    let mut vnis = BTreeSet::new();
    let networks = intent
        .networks
        .iter()
        .filter(|(_, network)| vnis.insert(network.vni));
    let networks = networks.map(|(id, network)| {
        let planned = Network {
            vni: network.vni,
            mtu: network.mtu,
            endpoints: Vec::new(),
        };
        (id.clone(), planned)
    });
    networks.collect()
}

fn rules(intent: &Intent) -> BTreeMap<SecurityGroupId, BTreeMap<RuleId, Rule>> {
    let mut groups: BTreeMap<SecurityGroupId, BTreeMap<RuleId, Rule>> = BTreeMap::new();
    let exists = |group| intent.security_groups.contains_key(group);
    for (id, rule) in &intent.rules {
        let (remote, there) = match &rule.remote {
            intent::Remote::Any => (Remote::Any, true),
            intent::Remote::Prefix(prefix) => (Remote::Prefix(*prefix), true),
            intent::Remote::Group(group) => (Remote::Set(group.cast()), exists(group)),
        };
        let planned = Rule {
            direction: rule.direction,
            family: rule.family,
            protocol: rule.protocol,
            remote,
        };
        let group = &rule.security_group;
        let rules = BTreeMap::from([(id.clone(), planned.clone())]);
        let set = set_of(&planned).map(|set| (set.clone(), AddressSet::default()));
        let alone = HostPlan {
            security_groups: BTreeMap::from([(group.clone(), SecurityGroup { rules })]),
            address_sets: set.into_iter().collect(),
            ..HostPlan::default()
        };
        if there && exists(group) && alone.validate().is_ok() {
            groups
                .entry(group.clone())
                .or_default()
                .insert(id.clone(), planned);
        }
    }
    groups
}
