//! What the pipeline means, said slowly: every packet is judged from the plan and a list of connections, nothing is
//! remembered of verdicts, nothing is compiled.
//!
//! It knows no time: no connection grows old. Nor does it know budgets, allowed address pairs, or what the host itself answers.

use std::net::IpAddr;

use anet_model::host_plan::{Direction, Family, HostPlan, NetworkId, Peer, PortId, Protocol, Remote, Rule};
use anet_packet::addr::{Mac, Vni};

use crate::verdict::DropReason;

/// Where a packet comes in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Out of a guest, by a port that is in the plan.
    Port(PortId),
    /// Out of the tunnel: outer source address and VNI.
    Tunnel(IpAddr, Vni),
}

/// What is to become of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// It goes to a guest.
    Deliver(PortId),
    /// It goes into the tunnel: endpoint and segment.
    Encapsulate(IpAddr, Vni),
    /// It goes nowhere.
    Drop(DropReason),
}

/// Of a packet, read with an independent parser.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Source and destination.
    pub macs: (Mac, Mac),
    /// Whose address it comes from.
    pub source: IpAddr,
    /// Whose address it goes to.
    pub destination: IpAddr,
    /// What is behind the addresses.
    pub transport: Transport,
}

/// Layer 4 of a [`Packet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the field's own words")]
pub enum Transport {
    /// TCP, with the flags that matter.
    Tcp {
        source: u16,
        destination: u16,
        syn: bool,
        ack: bool,
        fin: bool,
        rst: bool,
    },
    /// UDP.
    Udp { source: u16, destination: u16 },
    /// ICMP echo.
    Echo { id: u16, is_reply: bool },
    /// A later fragment of a UDP datagram whose first one has not been seen.
    Piece,
}

/// A connection as its first packet began it.
#[derive(Debug, Clone)]
struct Connection {
    vni: Vni,
    from: IpAddr,
    to: IpAddr,
    key: Key,
    originator: Option<PortId>,
    responder: Option<PortId>,
    answered: bool,
    fins: [bool; 2],
    reset: bool,
}

/// Protocol and ports, from the originator's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Tcp(u16, u16),
    Udp(u16, u16),
    Echo(u16),
}

impl Key {
    fn of(transport: Transport) -> Self {
        match transport {
            Transport::Tcp {
                source, destination, ..
            } => Key::Tcp(source, destination),
            Transport::Udp { source, destination } => Key::Udp(source, destination),
            Transport::Echo { id, .. } => Key::Echo(id),
            Transport::Piece => Key::Udp(0, 0),
        }
    }

    fn reversed(self) -> Self {
        match self {
            Key::Tcp(a, b) => Key::Tcp(b, a),
            Key::Udp(a, b) => Key::Udp(b, a),
            echo => echo,
        }
    }
}

/// What a packet means for the connection that has its addresses.
enum ConnectionFate {
    GoesOn,
    Ends,
    /// The connection is between other ports: it stays, unless this packet may open one in its place.
    IsNotItsOwn,
}

/// One host, with the connections that there are.
#[derive(Debug, Default)]
pub struct Reference {
    connections: Vec<Connection>,
}

impl Reference {
    /// What becomes of a packet under a plan; the connection that it makes, continues or ends is noted.
    pub fn judge(&mut self, plan: &HostPlan, source: &Source, packet: &Packet) -> Expected {
        self.decide(plan, source, packet).unwrap_or_else(Expected::Drop)
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    fn decide(&mut self, plan: &HostPlan, source: &Source, packet: &Packet) -> Result<Expected, DropReason> {
        let (network, from_port) = enter(plan, source, packet)?;
        let vni = plan.networks[&network].vni;
        let found = self.find(vni, packet);
        if found.is_none() {
            allowed_out(plan, from_port.as_ref(), packet)?;
        }
        let (destination, to_port) = switch(plan, &network, source, packet)?;
        let secured = |id: &Option<PortId>| id.as_ref().is_some_and(|id| plan.ports[id].port_security);
        if !secured(&from_port) && !secured(&to_port) {
            return Ok(destination);
        }
        let mut displaced = None;
        if let Some((index, is_reply)) = found {
            match self.fate(plan, index, is_reply, &from_port, &to_port, packet) {
                ConnectionFate::GoesOn => {
                    self.note(index, is_reply, packet);
                    return Ok(destination);
                }
                ConnectionFate::Ends => drop(self.connections.remove(index)),
                ConnectionFate::IsNotItsOwn => displaced = Some(index),
            }
            allowed_out(plan, from_port.as_ref(), packet)?;
        }
        allowed_in(plan, to_port.as_ref(), packet)?;
        let begins = match packet.transport {
            Transport::Tcp { syn, ack, rst, .. } => syn && !ack && !rst,
            Transport::Udp { .. } | Transport::Piece => true,
            Transport::Echo { is_reply, .. } => !is_reply,
        };
        if !begins {
            return Err(DropReason::NotAConnection);
        }
        if let Some(index) = displaced {
            self.connections.remove(index);
        }
        self.connections.push(Connection {
            vni,
            from: packet.source,
            to: packet.destination,
            key: Key::of(packet.transport),
            originator: from_port,
            responder: to_port,
            answered: false,
            fins: [false; 2],
            reset: false,
        });
        Ok(destination)
    }

    fn find(&self, vni: Vni, packet: &Packet) -> Option<(usize, bool)> {
        let key = Key::of(packet.transport);
        self.connections.iter().enumerate().find_map(|(index, c)| {
            let echo = match packet.transport {
                Transport::Echo { is_reply, .. } => Some(is_reply),
                _ => None,
            };
            let same =
                (c.from, c.to, c.key) == (packet.source, packet.destination, key) && echo != Some(true);
            let turned = (c.from, c.to, c.key) == (packet.destination, packet.source, key.reversed())
                && echo != Some(false);
            (c.vni == vni && (same || turned)).then_some((index, !same))
        })
    }

    /// It goes on where it is not over, between its ports, and allowed today in its original direction.
    fn fate(
        &self,
        plan: &HostPlan,
        index: usize,
        is_reply: bool,
        from: &Option<PortId>,
        to: &Option<PortId>,
        packet: &Packet,
    ) -> ConnectionFate {
        let connection = &self.connections[index];
        let over = connection.reset || connection.fins == [true; 2];
        if let Transport::Tcp {
            syn: true,
            ack: false,
            fin: false,
            rst: false,
            ..
        } = packet.transport
            && over
        {
            return ConnectionFate::Ends;
        }
        let sides = if is_reply { (to, from) } else { (from, to) };
        if sides != (&connection.originator, &connection.responder) {
            return ConnectionFate::IsNotItsOwn;
        }
        let original = Packet {
            macs: packet.macs,
            source: connection.from,
            destination: connection.to,
            transport: match connection.key {
                Key::Tcp(source, destination) => Transport::Tcp {
                    source,
                    destination,
                    syn: true,
                    ack: false,
                    fin: false,
                    rst: false,
                },
                // No conversation has ports that are zero.
                Key::Udp(0, 0) => Transport::Piece,
                Key::Udp(source, destination) => Transport::Udp { source, destination },
                Key::Echo(id) => Transport::Echo { id, is_reply: false },
            },
        };
        let allowed = allowed_out(plan, connection.originator.as_ref(), &original)
            .and_then(|()| allowed_in(plan, connection.responder.as_ref(), &original));
        match allowed {
            Ok(()) => ConnectionFate::GoesOn,
            Err(_) => ConnectionFate::Ends,
        }
    }

    fn note(&mut self, index: usize, is_reply: bool, packet: &Packet) {
        let connection = &mut self.connections[index];
        if let Transport::Tcp { syn, fin, rst, .. } = packet.transport {
            connection.reset |= rst;
            connection.answered |= is_reply && syn;
            let counts = connection.answered && !(syn && is_reply);
            connection.fins[usize::from(is_reply)] |= fin && counts;
        }
    }
}

/// Guard: who speaks, and may it say so.
fn enter(
    plan: &HostPlan,
    source: &Source,
    packet: &Packet,
) -> Result<(NetworkId, Option<PortId>), DropReason> {
    match source {
        Source::Port(id) => {
            let port = &plan.ports[id];
            if !port.admin_up {
                return Err(DropReason::PortDown);
            }
            if port.port_security && packet.macs.0 != port.mac {
                return Err(DropReason::SpoofedMac);
            }
            if port.port_security && !port.addresses.contains(&packet.source) {
                let v4 = packet.source.is_ipv4();
                return Err(if v4 {
                    DropReason::SpoofedIpv4
                } else {
                    DropReason::SpoofedIpv6
                });
            }
            Ok((port.network.clone(), Some(id.clone())))
        }
        Source::Tunnel(address, vni) => {
            let network = plan
                .networks
                .iter()
                .find(|(_, n)| n.vni == *vni)
                .ok_or(DropReason::UnknownVni)?;
            let member = network
                .1
                .endpoints
                .iter()
                .any(|e| plan.endpoints[e].address == *address);
            if !member {
                return Err(DropReason::UnknownEndpoint);
            }
            if plan
                .ports
                .values()
                .any(|p| p.network == *network.0 && p.mac == packet.macs.0)
            {
                return Err(DropReason::SourceIsLocal);
            }
            let is_elsewhere = |peer: &Peer| {
                (&peer.network, peer.mac) == (network.0, packet.macs.0)
                    && plan.endpoints[&peer.endpoint].address != *address
            };
            if plan.peers.values().any(is_elsewhere) {
                return Err(DropReason::SourceIsElsewhere);
            }
            Ok((network.0.clone(), None))
        }
    }
}

fn switch(
    plan: &HostPlan,
    network: &NetworkId,
    source: &Source,
    packet: &Packet,
) -> Result<(Expected, Option<PortId>), DropReason> {
    let local = plan
        .ports
        .iter()
        .find(|(_, p)| p.network == *network && p.mac == packet.macs.1);
    if let Some((id, port)) = local {
        if *source == Source::Port(id.clone()) {
            return Err(DropReason::Hairpin);
        }
        if !port.admin_up {
            return Err(DropReason::PortDown);
        }
        return Ok((Expected::Deliver(id.clone()), Some(id.clone())));
    }
    let remote = plan
        .peers
        .values()
        .find(|p| p.network == *network && p.mac == packet.macs.1);
    match (remote, source) {
        (Some(peer), Source::Port(_)) => {
            let address = plan.endpoints[&peer.endpoint].address;
            Ok((Expected::Encapsulate(address, plan.networks[network].vni), None))
        }
        _ => Err(DropReason::UnknownDestination),
    }
}

fn allowed_out(plan: &HostPlan, port: Option<&PortId>, packet: &Packet) -> Result<(), DropReason> {
    allowed(plan, port, packet, Direction::Egress).ok_or(refusal(packet, DropReason::FirewallEgress))
}

fn allowed_in(plan: &HostPlan, port: Option<&PortId>, packet: &Packet) -> Result<(), DropReason> {
    allowed(plan, port, packet, Direction::Ingress).ok_or(refusal(packet, DropReason::FirewallIngress))
}

fn refusal(packet: &Packet, reason: DropReason) -> DropReason {
    match packet.transport {
        Transport::Piece => DropReason::FragmentWithoutFirst,
        _ => reason,
    }
}

fn allowed(plan: &HostPlan, port: Option<&PortId>, packet: &Packet, direction: Direction) -> Option<()> {
    let Some(port) = port.map(|id| &plan.ports[id]).filter(|p| p.port_security) else {
        return Some(());
    };
    let remote = if direction == Direction::Egress {
        packet.destination
    } else {
        packet.source
    };
    let mut rules = port
        .security_groups
        .iter()
        .flat_map(|group| plan.security_groups[group].rules.values());
    let matches = |rule: &&Rule| {
        rule.direction == direction
            && rule.family == Family::of(packet.source)
            && transport_matches(rule.protocol, packet.transport)
            && match &rule.remote {
                Remote::Any => true,
                Remote::Prefix(prefix) => prefix.contains(remote),
                Remote::Set(set) => plan.address_sets[set].members.iter().any(|m| m.contains(remote)),
            }
    };
    rules.find(matches).map(|_| ())
}

fn transport_matches(protocol: Protocol, transport: Transport) -> bool {
    match (protocol, transport) {
        (Protocol::Any, _) => true,
        (Protocol::Tcp(range), Transport::Tcp { destination, .. })
        | (Protocol::Udp(range), Transport::Udp { destination, .. }) => range.contains(destination),
        (Protocol::Icmp { .. }, Transport::Echo { .. }) => true,
        _ => false,
    }
}
