//! What a packet carries along the stages.

use std::sync::Arc;

use anet_memory::buffer::Buffer;
use anet_packet::Tuple;
use anet_packet::parse::{Fragment, Kind, Layout};

use crate::budget::TokenBucket;
use crate::burst::NewConnections;
use crate::connections::{Connections, Found};
use crate::flow_cache::Half;
use crate::fragments::Fragments;
use crate::interface::{Interface, InterfaceKind};
use crate::tables::{Network, Port, Tables, Witness};
use crate::trace::Trace;
use crate::verdict::DropReason;

/// What a stage says: on to the next, or the end.
pub(crate) enum Verdict {
    Next,
    Done(Outcome),
}

impl From<DropReason> for Verdict {
    fn from(reason: DropReason) -> Self {
        Verdict::Done(Outcome::Drop(reason))
    }
}

/// How a walk ends.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// To the walk's destination.
    Forward,
    /// The bytes in [`WorkerState::reply`], back to the source.
    Reply,
    /// It ends here and is no fault.
    Consumed,
    /// Dropped.
    Drop(DropReason),
}

/// What an ICMP error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Related {
    /// It is none.
    No,
    /// Of nothing that is known.
    ToNothing,
    /// Of a known connection: it counts as a packet of it, against the direction of the one it quotes.
    To(Found, Tuple),
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A port of this host.
    Port(u32),
    /// A remote station, by its adjacency.
    Remote(u32),
    /// All members of the network but the source.
    Flood,
}

/// Whether a walk leaves anything behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effects {
    /// Forwarding: connections are made, budgets spent.
    Lasting,
    /// A trace: nothing changes.
    None,
}

/// What a walk reads, the same for all packets of a burst.
#[derive(Clone, Copy)]
pub struct Environment<'e> {
    /// The published tables.
    pub tables: &'e Tables,
    /// The host's connections.
    pub connections: &'e Connections,
    /// Marks of new connections.
    pub new_connections: &'e NewConnections,
    /// Nanoseconds of a monotonic clock.
    pub now: u64,
    /// True: TCP in mid-stream may open a connection.
    pub loose_pickup: bool,
}

/// What of a worker the stages use.
#[derive(Default)]
pub(crate) struct WorkerState {
    /// Budgets by port.
    pub(crate) meters: Vec<Meters>,
    /// What first fragments told.
    pub(crate) fragments: Fragments,
    /// A reply's bytes.
    pub(crate) reply: Vec<u8>,
}

/// The budgets of a port, as this worker spends them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meters {
    pub(crate) control: TokenBucket,
    pub(crate) new_flows: TokenBucket,
}

impl WorkerState {
    pub(crate) fn meters(&mut self, port: u32) -> &mut Meters {
        let index = port as usize;
        if index >= self.meters.len() {
            self.meters.resize(index + 1, Meters::default());
        }
        &mut self.meters[index]
    }
}

/// A packet on its way through the stages.
pub(crate) struct Walk<'w, 'e> {
    pub(crate) environment: Environment<'e>,
    pub(crate) state: &'w mut WorkerState,
    pub(crate) effects: Effects,
    pub(crate) trace: Option<&'w mut Trace>,
    pub(crate) stage: &'static str,
    pub(crate) frame: &'w mut Buffer,
    /// Of the inner frame. For a frame from the underlay, set by `decap`.
    pub(crate) layout: Layout,
    /// A port or a membership; the uplink until `decap` has run.
    pub(crate) source: Interface,
    /// The source port, where it is one.
    pub(crate) source_port: Option<&'e Arc<Port>>,
    pub(crate) network: Option<&'e Network>,
    pub(crate) tuple: Option<Tuple>,
    /// Of a later fragment: the ports of its packet, where its first fragment is known.
    pub(crate) ports_of_first: Option<(u16, u16)>,
    pub(crate) destination: Option<Destination>,
    /// ARP and ND: no firewall.
    pub(crate) control: bool,
    /// Whether it is an ICMP error, and about what.
    pub(crate) related: Related,
    pub(crate) connection: Option<Found>,
    pub(crate) half: Option<Half>,
    pub(crate) source_witness: Witness,
    pub(crate) destination_witness: Witness,
    /// For a cached drop: see [`NewConnections`].
    pub(crate) mark: (u32, u32),
    /// False: this packet's verdict is about itself, not about its flow.
    pub(crate) cacheable: bool,
}

impl<'w, 'e> Walk<'w, 'e> {
    pub(crate) fn new(
        environment: Environment<'e>,
        state: &'w mut WorkerState,
        frame: &'w mut Buffer,
        layout: Layout,
        source: Interface,
    ) -> Self {
        Self {
            environment,
            state,
            effects: Effects::Lasting,
            trace: None,
            stage: "",
            frame,
            layout,
            source,
            source_port: None,
            network: None,
            tuple: None,
            ports_of_first: None,
            destination: None,
            control: false,
            related: Related::No,
            connection: None,
            half: None,
            source_witness: Witness::ALWAYS,
            destination_witness: Witness::ALWAYS,
            mark: (0, 0),
            cacheable: false,
        }
    }

    /// Writes a step down, where somebody reads it.
    pub(crate) fn record(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let (stage, text) = (self.stage, text(self));
            if let Some(trace) = self.trace.as_mut() {
                trace.record(stage, text);
            }
        }
    }

    /// True where the frame came through a tunnel.
    pub(crate) fn is_from_tunnel(&self) -> bool {
        matches!(self.source.kind(), InterfaceKind::Membership(_))
    }

    /// True for IPv4 and IPv6.
    pub(crate) fn is_ip(&self) -> bool {
        matches!(self.layout.kind, Kind::Ipv4 | Kind::Ipv6)
    }

    /// Type and code of an ICMP message, of a later fragment's too where its first one is known.
    pub(crate) fn icmp(&self) -> Option<(u8, u8)> {
        match self.ports_of_first {
            Some(ports) => self.layout.with_ports_of_first(ports).icmp(),
            None => self.layout.icmp(),
        }
    }

    /// Whether the transport's ports are known: later fragments have none of their own.
    pub(crate) fn knows_ports(&self) -> bool {
        self.layout.fragment != Fragment::Later || self.ports_of_first.is_some()
    }

    /// The zone of the network's connections.
    pub(crate) fn zone(&self) -> u32 {
        self.network.map_or(0, |network| network.facts.vni.get())
    }

    /// Today's witness of a slot.
    pub(crate) fn witness(&self, slot: u32) -> Witness {
        self.environment.tables.witnesses().witness(slot)
    }

    /// The destination port, where it is one of this host.
    pub(crate) fn destination_port(&self) -> Option<&'e Arc<Port>> {
        match self.destination {
            Some(Destination::Port(index)) => self.environment.tables.port(index),
            _ => None,
        }
    }
}
