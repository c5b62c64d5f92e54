//! A digest of a plan that does not depend on order and follows a change at the cost of the change.
//!
//! Each entry is written in one canonical way (`noun, key, value`, every text and list with its length, every
//! number big-endian) and hashed with SHA-256; the first 128 bits are added, wrapping. Adding is its own
//! order, and taking an entry away undoes adding it. The digest finds what went astray between two honest sides;
//! it is not a signature: a sum of hashes does not withstand somebody who chooses the entries.

use std::fmt;
use std::net::IpAddr;

use anet_packet::addr::IpPrefix;
use sha2::{Digest as _, Sha256};

use crate::changeset::Change;
use crate::entry::{Entry, Noun};
use crate::host_plan::{
    AddressPair, Attachment, Direction, DpdkUnderlay, Endpoint, Family, HostPlan, Ipv6Mode, Network, Peer,
    Port, Protocol, Remote, Rule, Subnet, Tunnel,
};

/// 128 bits that stand for a set of entries; zero for none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Digest(u128);

impl Digest {
    /// The digest of one entry.
    pub fn of_entry(entry: Entry<'_>) -> Self {
        let mut writer = Canonical(Sha256::new());
        writer.entry(entry);
        let hash = writer.0.finalize();
        let mut first = [0; 16];
        first.copy_from_slice(&hash[..16]);
        Self(u128::from_be_bytes(first))
    }

    /// The digest of both sets of entries together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// The digest without the entries of `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0))
    }

    /// Takes an entry in.
    pub fn add(&mut self, entry: Entry<'_>) {
        *self = self.plus(Self::of_entry(entry));
    }

    /// Takes an entry out that was taken in before.
    pub fn remove(&mut self, entry: Entry<'_>) {
        *self = self.minus(Self::of_entry(entry));
    }

    /// As it stands in [`crate::changeset::Changeset::digest_after`].
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// From [`Self::to_bytes`].
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Display for Digest {
    /// 32 hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The digest of a plan, kept apart by noun so that a mismatch says where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanDigest {
    nouns: [Digest; Noun::ALL.len()],
}

impl PlanDigest {
    /// The digest of a whole plan.
    pub fn of(plan: &HostPlan) -> Self {
        let mut digest = Self::default();
        plan.entries().for_each(|entry| digest.add(entry));
        digest
    }

    /// Takes an entry in.
    pub fn add(&mut self, entry: Entry<'_>) {
        self.nouns[entry.noun() as usize].add(entry);
    }

    /// Takes an entry out.
    pub fn remove(&mut self, entry: Entry<'_>) {
        self.nouns[entry.noun() as usize].remove(entry);
    }

    /// Follows a change from `before` (the value that was there, see [`crate::state::Applied::undo`]) to `after`.
    pub fn replace(&mut self, before: &Change, after: &Change) {
        before.visit_entries(|entry| self.remove(entry));
        after.visit_entries(|entry| self.add(entry));
    }

    /// The digest of the entries of one noun.
    pub const fn noun(&self, noun: Noun) -> Digest {
        self.nouns[noun as usize]
    }

    /// The digest of everything.
    pub fn total(&self) -> Digest {
        self.nouns
            .iter()
            .fold(Digest::default(), |sum, noun| sum.plus(*noun))
    }
}

/// Writes entries into the hash, each in exactly one way. A change here changes every digest: bump [`VERSION`].
struct Canonical(Sha256);

/// Version of the canonical form, hashed with each entry.
const VERSION: u8 = 1;

impl Canonical {
    fn byte(&mut self, value: u8) {
        self.0.update([value]);
    }

    fn number(&mut self, value: impl Into<u64>) {
        self.0.update(value.into().to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(a) => {
                self.byte(4);
                self.0.update(a.octets());
            }
            IpAddr::V6(a) => {
                self.byte(6);
                self.0.update(a.octets());
            }
        }
    }

    fn prefix(&mut self, prefix: IpPrefix) {
        self.address(prefix.address());
        self.byte(prefix.length());
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.byte(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn list<T>(&mut self, values: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.number(values.len() as u64);
        values.iter().for_each(|value| write(self, value));
    }

    fn entry(&mut self, entry: Entry<'_>) {
        self.byte(VERSION);
        self.byte(entry.noun() as u8);
        match entry {
            Entry::Tunnel(tunnel) => self.tunnel(tunnel),
            Entry::Endpoint(id, endpoint) => self.keyed(id.as_str(), |w| w.endpoint(endpoint)),
            Entry::Network(id, network) => self.keyed(id.as_str(), |w| w.network(network)),
            Entry::Subnet(id, subnet) => self.keyed(id.as_str(), |w| w.subnet(subnet)),
            Entry::AddressSet(id) => self.text(id.as_str()),
            Entry::Member(id, member) => self.keyed(id.as_str(), |w| w.prefix(*member)),
            Entry::SecurityGroup(id) => self.text(id.as_str()),
            Entry::Rule(group, id, rule) => {
                self.keyed(group.as_str(), |w| w.keyed(id.as_str(), |w| w.rule(rule)))
            }
            Entry::Port(id, port) => self.keyed(id.as_str(), |w| w.port(port)),
            Entry::Peer(id, peer) => self.keyed(id.as_str(), |w| w.peer(peer)),
        }
    }

    fn keyed(&mut self, key: &str, value: impl FnOnce(&mut Self)) {
        self.text(key);
        value(self);
    }

    fn tunnel(&mut self, tunnel: &Tunnel) {
        let Tunnel {
            address,
            udp_port,
            dpdk,
        } = tunnel;
        self.address(*address);
        self.number(*udp_port);
        self.option(dpdk.as_ref(), |w, DpdkUnderlay { device, mac }| {
            w.text(device);
            w.number(mac.to_u64());
        });
    }

    fn endpoint(&mut self, endpoint: &Endpoint) {
        let Endpoint {
            address,
            udp_port,
            next_hop,
        } = endpoint;
        self.address(*address);
        self.number(*udp_port);
        self.option(*next_hop, |w, mac| w.number(mac.to_u64()));
    }

    fn network(&mut self, network: &Network) {
        let Network { vni, mtu, endpoints } = network;
        self.number(vni.get());
        self.number(mtu.get());
        self.list(endpoints, |w, id| w.text(id.as_str()));
    }

    fn subnet(&mut self, subnet: &Subnet) {
        let Subnet {
            network,
            prefix,
            gateway,
            dhcp,
            ipv6_mode,
            dns_servers,
            host_routes,
            lease_s,
        } = subnet;
        self.text(network.as_str());
        self.prefix(*prefix);
        self.option(*gateway, Self::address);
        self.byte(u8::from(*dhcp));
        self.byte(match ipv6_mode {
            Ipv6Mode::DhcpV6Stateful => 1,
        });
        self.list(dns_servers, |w, address| w.address(*address));
        self.list(host_routes, |w, (destination, next_hop)| {
            w.prefix(*destination);
            w.address(IpAddr::V4(*next_hop));
        });
        self.number(*lease_s);
    }

    fn port(&mut self, port: &Port) {
        let Port {
            network,
            mac,
            addresses,
            allowed_address_pairs,
            port_security,
            security_groups,
            hostname,
            attachment,
            budgets,
            admin_up,
        } = port;
        self.text(network.as_str());
        self.number(mac.to_u64());
        self.list(addresses, |w, address| w.address(*address));
        self.list(allowed_address_pairs, |w, AddressPair { mac, prefix }| {
            w.option(*mac, |w, mac| w.number(mac.to_u64()));
            w.prefix(*prefix);
        });
        self.byte(u8::from(*port_security));
        self.list(security_groups, |w, id| w.text(id.as_str()));
        self.option(hostname.as_deref(), Self::text);
        self.attachment(attachment);
        self.number(budgets.connections);
        self.number(budgets.control_pps);
        self.number(budgets.new_flows_pps);
        self.byte(u8::from(*admin_up));
    }

    fn attachment(&mut self, attachment: &Attachment) {
        let (kind, interface, netns) = match attachment {
            Attachment::Detached => return self.byte(0),
            Attachment::Tap { interface, netns } => (1, interface, netns),
            Attachment::Packet { interface, netns } => (2, interface, netns),
            Attachment::Dpdk { device } => (3, device, &None),
        };
        self.byte(kind);
        self.text(interface);
        self.option(netns.as_deref(), Self::text);
    }

    fn peer(&mut self, peer: &Peer) {
        let Peer {
            network,
            mac,
            addresses,
            endpoint,
        } = peer;
        self.text(network.as_str());
        self.number(mac.to_u64());
        self.list(addresses, |w, address| w.address(*address));
        self.text(endpoint.as_str());
    }

    fn rule(&mut self, rule: &Rule) {
        let Rule {
            direction,
            family,
            protocol,
            remote,
        } = rule;
        self.byte(u8::from(*direction == Direction::Egress));
        self.byte(u8::from(*family == Family::Ipv6));
        self.protocol(*protocol);
        match remote {
            Remote::Any => self.byte(0),
            Remote::Prefix(prefix) => {
                self.byte(1);
                self.prefix(*prefix);
            }
            Remote::Set(set) => {
                self.byte(2);
                self.text(set.as_str());
            }
        }
    }

    fn protocol(&mut self, protocol: Protocol) {
        match protocol {
            Protocol::Any => self.byte(0),
            Protocol::Tcp(range) | Protocol::Udp(range) => {
                self.byte(if matches!(protocol, Protocol::Tcp(_)) {
                    1
                } else {
                    2
                });
                self.number(range.first);
                self.number(range.last);
            }
            Protocol::Icmp { kind, code } => {
                self.byte(3);
                self.option(kind, Self::byte);
                self.option(code, Self::byte);
            }
            Protocol::Number(number) => {
                self.byte(4);
                self.byte(number);
            }
        }
    }
}
