//! What the vswitch tells about itself: drops, flows, connections, counters, ports, digests.

use std::net::IpAddr;

use anet_model::changeset::Revision;
use anet_model::digest::{Digest, PlanDigest};
use anet_model::entry::Noun;
use anet_model::host_plan::{NetworkId, PortId, RuleId};

/// The plan's digest, kept while changes were applied, beside the one read back from the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestReport {
    /// The history that is applied.
    pub incarnation: u64,
    /// The revision that is applied.
    pub revision: Revision,
    /// Each noun's digests.
    pub nouns: Vec<NounDigest>,
}

/// The digests of one noun's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NounDigest {
    /// The noun.
    pub noun: Noun,
    /// As kept.
    pub kept: Digest,
    /// As read back from the tables.
    pub read_back: Digest,
}

impl DigestReport {
    /// A report of two digests, noun by noun.
    pub fn new(incarnation: u64, revision: Revision, kept: &PlanDigest, read_back: &PlanDigest) -> Self {
        let noun = |noun| NounDigest {
            noun,
            kept: kept.noun(noun),
            read_back: read_back.noun(noun),
        };
        Self {
            incarnation,
            revision,
            nouns: Noun::ALL.into_iter().map(noun).collect(),
        }
    }

    /// The digest of everything, as kept.
    pub fn kept(&self) -> Digest {
        self.nouns
            .iter()
            .fold(Digest::default(), |sum, noun| sum.plus(noun.kept))
    }

    /// The digest of everything, as read back.
    pub fn read_back(&self) -> Digest {
        self.nouns
            .iter()
            .fold(Digest::default(), |sum, noun| sum.plus(noun.read_back))
    }

    /// The nouns whose tables do not hold what was put into them: none, unless something went astray.
    pub fn mismatches(&self) -> impl Iterator<Item = Noun> + '_ {
        self.nouns
            .iter()
            .filter(|noun| noun.kept != noun.read_back)
            .map(|noun| noun.noun)
    }
}

/// Packets dropped for one reason at one place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DropRecord {
    /// The reason, out of the closed list of drop reasons.
    pub reason: String,
    /// The port it happened at, where it was one.
    pub port: Option<PortId>,
    /// The rule that it names, where it names one.
    pub rule: Option<RuleId>,
    /// Packets.
    pub count: u64,
    /// The last such packet in a line of text; empty where none was kept.
    pub last_sample: String,
}

/// What a flow or connection is about: the fields of its first packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuple {
    /// The network.
    pub network: NetworkId,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// IP protocol.
    pub protocol: u8,
    /// Source port; ICMP identifier; 0 where the protocol has none.
    pub source_port: u16,
    /// Destination port; ICMP type and code; 0 where the protocol has none.
    pub destination_port: u16,
}

/// An entry of a worker's flow cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowRecord {
    /// The worker that has it.
    pub worker: u32,
    /// What it matches.
    pub tuple: Tuple,
    /// The local port it came from; `None` for the tunnel.
    pub from: Option<PortId>,
    /// What is done with it, such as `deliver to port web1` or `drop: no rule`.
    pub action: String,
    /// The object that decided, such as `rule web-ssh`.
    pub witness: String,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Time since the last packet, in milliseconds.
    pub idle_ms: u64,
}

/// Flows that matched a filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlowList {
    /// Up to the filter's limit.
    pub flows: Vec<FlowRecord>,
    /// How many match in all.
    pub matching: u64,
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HalfRecord {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// An entry of the connection table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRecord {
    /// In the direction of the packet that opened it.
    pub tuple: Tuple,
    /// The local port whose firewall it belongs to.
    pub port: Option<PortId>,
    /// Its state, such as `established`.
    pub state: String,
    /// The rule that allows it, where one does.
    pub rule: Option<RuleId>,
    /// In the direction of the opener.
    pub original: HalfRecord,
    /// The other direction.
    pub reply: HalfRecord,
    /// Time since the last packet, in milliseconds.
    pub idle_ms: u64,
    /// Time until it is forgotten without a packet, in milliseconds.
    pub expires_ms: u64,
}

/// Connections that matched a filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectionList {
    /// Up to the filter's limit.
    pub connections: Vec<ConnectionRecord>,
    /// How many match in all.
    pub matching: u64,
}

/// Counters of a port or of the tunnel, since the vswitch started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortCounters {
    /// A port's id, or `tunnel`.
    pub name: String,
    /// Packets from the guest or underlay.
    pub received_packets: u64,
    /// Bytes of those.
    pub received_bytes: u64,
    /// Packets to the guest or underlay.
    pub sent_packets: u64,
    /// Bytes of those.
    pub sent_bytes: u64,
    /// Received packets that were dropped.
    pub dropped_packets: u64,
    /// Packets that the device did not take.
    pub send_errors: u64,
}

/// Counters of a worker thread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerCounters {
    /// Its number, from 0.
    pub worker: u32,
    /// Bursts that held a packet.
    pub bursts: u64,
    /// Packets.
    pub packets: u64,
    /// Packets whose flow was in the cache.
    pub hits: u64,
    /// Packets that took the pipeline.
    pub misses: u64,
    /// Times it went to sleep.
    pub sleeps: u64,
    /// Bursts lost to a panic.
    pub panics: u64,
    /// Packets whose flow was in the cache and had to be asked again, because something it rested on had changed.
    pub revalidations: u64,
    /// Of those: the rules alone were asked, since nothing else had changed.
    pub rechecks: u64,
    /// Where its time went, in the order of a round; empty where that is not measured.
    pub stages: Vec<StageCycles>,
}

/// What a part of a worker's rounds has cost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StageCycles {
    /// The part's name.
    pub stage: String,
    /// Cycles of the processor's time stamp since the worker started.
    pub cycles: u64,
}

/// What became of the tunnel's outer frames, since its sockets were opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TunnelCounters {
    /// Not sent: longer than the path to their destination takes.
    pub too_big: u64,
    /// Not sent: the queue of a socket or of the device was full.
    pub queue_full: u64,
    /// Not sent: no route or neighbour, or forbidden by a filter of the host.
    pub refused: u64,
    /// ICMP errors that came back: most often a remote endpoint that does not listen.
    pub icmp_errors: u64,
    /// Trains of datagrams that went out one by one, because the kernel did not take them whole.
    pub trains_cut: u64,
    /// Large segments that left whole, through the uplink TAP.
    pub whole: u64,
    /// Large segments that the uplink TAP refused, and that were cut instead.
    pub whole_refused: u64,
    /// True where the kernel cuts large segments (UDP_SEGMENT).
    pub segments: bool,
    /// True where the kernel joins received datagrams (UDP_GRO).
    pub merges: bool,
}

/// How full a table is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableSize {
    /// Its name.
    pub table: String,
    /// Entries in it.
    pub entries: u64,
    /// Entries it can hold; 0 where nothing but the plan's limits bounds it.
    pub capacity: u64,
}

/// Packets dropped for one reason, everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReasonCount {
    /// The reason.
    pub reason: String,
    /// Packets.
    pub packets: u64,
}

/// All counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Of each port and of the tunnel.
    pub ports: Vec<PortCounters>,
    /// Of each worker.
    pub workers: Vec<WorkerCounters>,
    /// Of each drop reason.
    pub reasons: Vec<ReasonCount>,
    /// Of each table.
    pub tables: Vec<TableSize>,
    /// Of the tunnel, where its sockets are open.
    pub tunnel: Option<TunnelCounters>,
    /// Requests and tasks that made the control thread panic.
    pub control_panics: u64,
}

/// Whether a port's device is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// Attached; packets flow.
    Up,
    /// Administratively down.
    Down,
    /// The plan attaches it to nothing.
    Detached,
    /// Attaching failed and is tried again.
    Retrying {
        /// Why the last attempt failed, and what to do.
        error: String,
        /// Attempts so far.
        attempts: u32,
    },
    /// Taken out of service because its packets made a worker panic.
    Quarantined {
        /// What happened.
        error: String,
    },
}

/// A port and its link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortState {
    /// The port.
    pub port: PortId,
    /// Its link.
    pub link: LinkState,
}

/// Which build answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionReport {
    /// Name and version, such as `anet-vswitch 0.1.0`.
    pub software: String,
    /// The newest protocol it speaks.
    pub protocol: u32,
    /// The oldest protocol it speaks.
    pub oldest_protocol: u32,
}
