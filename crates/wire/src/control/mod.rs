//! What is said on the vswitch's control socket: one [`Request`], one [`Response`], in turn.
//!
//! The socket is a Unix stream socket; each message is a frame ([`crate::frame`]). The first request is a
//! [`Request::Hello`]; see [`PROTOCOL`] for which versions understand each other. Nothing here opens a socket or
//! knows what a table is: the vswitch's core answers requests, `ctl` and the agent ask them.

pub mod report;
pub mod trace;

use anet_model::changeset::{Changeset, Revision};
use anet_model::digest::Digest;
use anet_model::host_plan::{NetworkId, PortId};
use std::net::IpAddr;

use report::{ConnectionList, Counters, DigestReport, DropRecord, FlowList, PortState, VersionReport};
use trace::{TraceReport, TraceRequest};

/// The version of the control protocol that this build speaks, N. It also speaks N-1, so that either side may be
/// replaced first: a client sends N in its hello; the server answers with the lower of both versions, which is
/// then spoken, or refuses where that is below [`OLDEST_PROTOCOL`]. Fields may be added within a version;
/// a request or an enum value that the other side may not know needs the next one.
pub const PROTOCOL: u32 = 1;

/// The oldest version this build still speaks: N-1, or 1 while there was no other.
pub const OLDEST_PROTOCOL: u32 = if PROTOCOL > 1 { PROTOCOL - 1 } else { 1 };

/// The version that two sides speak, or `None` where they have none in common.
pub const fn common_protocol(theirs: u32) -> Option<u32> {
    let lower = if theirs < PROTOCOL { theirs } else { PROTOCOL };
    if lower < OLDEST_PROTOCOL {
        None
    } else {
        Some(lower)
    }
}

/// The first message of each side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// From the client: the newest version it speaks. From the server: the version that is spoken from now on.
    pub protocol: u32,
    /// Who speaks, for logs, such as `anet-agent 0.1.0`. At most 128 bytes.
    pub software: String,
}

/// What a client may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Says who speaks which version; comes first. Answer: [`Response::Hello`].
    Hello(Hello),
    /// Change the plan, whole or not at all. Answer: [`Response::Applied`] or [`Response::Refused`].
    Apply(Changeset),
    /// The digest as kept and as read back. Answer: [`Response::Digest`].
    Digest,
    /// Send an imaginary packet through the pipeline. Answer: [`Response::Trace`].
    Trace(TraceRequest),
    /// What was dropped and why. Answer: [`Response::Drops`].
    Drops,
    /// Entries of the workers' flow caches. Answer: [`Response::Flows`].
    Flows(Filter),
    /// Entries of the connection table. Answer: [`Response::Connections`].
    Connections(Filter),
    /// Counters of ports, workers, drop reasons and tables. Answer: [`Response::Counters`].
    Counters,
    /// The plan that is applied, in its text form. Answer: [`Response::Dump`].
    Dump,
    /// Whether each port is attached. Answer: [`Response::Ports`].
    Ports,
    /// Which build runs. Answer: [`Response::Version`].
    Version,
}

/// Which flows or connections to list: those that match every field that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// In or out of this local port.
    pub port: Option<PortId>,
    /// In this network.
    pub network: Option<NetworkId>,
    /// With this source or destination address.
    pub address: Option<IpAddr>,
    /// Of this IP protocol.
    pub protocol: Option<u8>,
    /// With this source or destination port.
    pub layer4_port: Option<u16>,
    /// At most so many, 1 to [`Filter::LIMIT_MAXIMUM`].
    pub limit: u32,
}

impl Filter {
    /// The longest list one answer holds.
    pub const LIMIT_MAXIMUM: u32 = 100_000;
}

impl Default for Filter {
    /// Everything, up to 1,000.
    fn default() -> Self {
        Self {
            port: None,
            network: None,
            address: None,
            protocol: None,
            layer4_port: None,
            limit: 1_000,
        }
    }
}

/// What the vswitch answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// The version that is spoken from now on.
    Hello(Hello),
    /// The changeset is in the data plane.
    Applied {
        /// The revision that is applied now.
        revision: Revision,
        /// The digest of the plan now.
        digest: Digest,
    },
    /// The changeset was not applied; nothing changed.
    Refused {
        /// What kind of refusal, for a program to act on.
        refusal: Refusal,
        /// What is wrong and what to do, for a person.
        reason: String,
        /// The incarnation that is applied.
        incarnation: u64,
        /// The revision that is applied.
        revision: Revision,
    },
    /// See [`Request::Digest`].
    Digest(DigestReport),
    /// See [`Request::Trace`].
    Trace(TraceReport),
    /// See [`Request::Drops`].
    Drops(Vec<DropRecord>),
    /// See [`Request::Flows`].
    Flows(FlowList),
    /// See [`Request::Connections`].
    Connections(ConnectionList),
    /// See [`Request::Counters`].
    Counters(Counters),
    /// See [`Request::Dump`].
    Dump(String),
    /// See [`Request::Ports`].
    Ports(Vec<PortState>),
    /// See [`Request::Version`].
    Version(VersionReport),
    /// The request could not be answered: it was malformed, came before the hello, or named what is not there.
    Error(String),
}

/// Why a changeset was refused, as far as a program has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Changes before it are missing, or it begins a new history, or the digests differ: send a snapshot.
    SnapshotNeeded,
    /// It is applied already: count it as acknowledged.
    AlreadyApplied,
    /// It is from a replaced history, or an older snapshot: learn what is applied first.
    Outdated,
    /// It is malformed or makes a plan that is not valid: sending it again does not help.
    Invalid,
    /// The vswitch could not carry it out now (a table is full, memory is short): try again later.
    Unavailable,
}

impl Refusal {
    /// The refusal that stands for a model error.
    pub const fn of(error: &anet_model::state::ApplyError) -> Self {
        use anet_model::state::ApplyError as E;
        match error {
            E::SnapshotNeeded { .. } | E::Gap { .. } | E::Digest { .. } => Refusal::SnapshotNeeded,
            E::AlreadyApplied { .. } => Refusal::AlreadyApplied,
            E::OlderIncarnation { .. } | E::OlderSnapshot { .. } => Refusal::Outdated,
            E::Backward { .. }
            | E::Repeated(_)
            | E::NoSecurityGroup(_)
            | E::NoAddressSet(_)
            | E::Invalid(_) => Refusal::Invalid,
        }
    }
}

impl Response {
    /// The answer to a changeset that [`anet_model::state::PlanState::apply`] refused.
    pub fn refused(state: &anet_model::state::PlanState, error: &anet_model::state::ApplyError) -> Self {
        Response::Refused {
            refusal: Refusal::of(error),
            reason: error.to_string(),
            incarnation: state.incarnation(),
            revision: state.revision(),
        }
    }

    /// The answer to a changeset that was applied.
    pub fn applied(state: &anet_model::state::PlanState) -> Self {
        Response::Applied {
            revision: state.revision(),
            digest: state.digest().total(),
        }
    }
}

/// The first byte of an encoded [`Request::Apply`]: field 2, length-delimited.
pub(crate) const APPLY_TAG: u8 = 2 << 3 | 2;
