//! What is said in a host's session with a controller: [`AgentMessage`]s one way, [`ControllerMessage`]s the other.
//!
//! The stream below keeps messages whole and in order, and knows who is at its other end; a session may end at any moment
//! and is then opened anew, so that each side says again where it stands. The first message of each side is its
//! hello ([`AgentMessage::Hello`], [`ControllerMessage::Welcome`]). Nothing here opens a stream or checks a signature.

use anet_model::changeset::{Changeset, Revision};
use anet_model::digest::Digest;
use anet_model::intent::HostId;
use anet_model::state::Cursor;

use crate::control::Refusal;
use crate::control::report::PortState;
use crate::control::trace::{TraceReport, TraceRequest};

/// The version of the session's protocol that this build speaks, N. It also speaks N-1, so that either side may be
/// replaced first: an agent sends N in its hello, the controller answers with the lower of both versions, which is then spoken,
/// or says farewell where that is below [`OLDEST_PROTOCOL`].
pub const PROTOCOL: u32 = 1;

/// The oldest version this build still speaks: N-1, or 1 while there was no other.
pub const OLDEST_PROTOCOL: u32 = if PROTOCOL > 1 { PROTOCOL - 1 } else { 1 };

/// What a controller signs a [`SignedChangeset`] for: a signature for anything else is none.
pub const CHANGESET_PURPOSE: &str = "changeset";

/// The version that two sides speak, or `None` where they have none in common.
pub const fn common_protocol(theirs: u32) -> Option<u32> {
    let lower = if theirs < PROTOCOL { theirs } else { PROTOCOL };
    if lower < OLDEST_PROTOCOL {
        None
    } else {
        Some(lower)
    }
}

/// The first message of an agent: who it is and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentHello {
    /// The newest version it speaks.
    pub protocol: u32,
    /// Its name and version, such as `anet-agent 0.1.0`. At most 128 bytes.
    pub software: String,
    /// The host it speaks for; the stream's certificate has to say the same.
    pub host: HostId,
    /// Drawn at random by each process, so that two agents with one host's identity are told apart.
    pub instance: u64,
    /// What is applied.
    pub cursor: Cursor,
    /// The digest of the controller's plan as it is applied.
    pub digest: Digest,
    /// What kind of machine it is, for people. At most 1,024 bytes.
    pub machine: String,
}

/// The state of a host's data plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VswitchState {
    /// It runs, and has the plan that is reported.
    Up,
    /// It cannot be used.
    Down {
        /// Why, and what to do.
        reason: String,
    },
}

/// How a host is, said every second; the sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentReport {
    /// What is applied.
    pub cursor: Cursor,
    /// The digest of the controller's plan, as it was read back from the data plane.
    pub digest: Digest,
    /// Its ports and their links; at most [`AgentReport::PORTS_MAXIMUM`].
    pub ports: Vec<PortState>,
    /// Where what is applied could not be written to disk: why. It would not survive a restart.
    pub not_durable: Option<String>,
    /// The data plane.
    pub vswitch: VswitchState,
}

impl AgentReport {
    /// Ports that one report holds.
    pub const PORTS_MAXIMUM: usize = 65_536;
}

/// What an agent says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentMessage {
    /// Comes first.
    Hello(AgentHello),
    /// Everything up to here is in the data plane.
    Acknowledged {
        /// What is applied.
        cursor: Cursor,
        /// The digest of the controller's plan now.
        digest: Digest,
    },
    /// A changeset was not applied; nothing changed. The controller answers with a snapshot, or reports.
    Refused {
        /// What is applied; of what is too old, what it is too old for: what is accepted.
        cursor: Cursor,
        /// Where the changeset would have led; 0 where it could not be read.
        changeset_to: Revision,
        /// What kind of refusal, for a program to act on.
        refusal: Refusal,
        /// What is wrong and what to do, for a person.
        reason: String,
    },
    /// How the host is.
    Report(AgentReport),
    /// The answer to [`ControllerMessage::Trace`].
    TraceAnswer {
        /// The id of the request.
        id: u64,
        /// What became of the packet, or why there is no answer.
        answer: Result<TraceReport, String>,
    },
}

/// What a controller says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControllerMessage {
    /// Comes first.
    Welcome {
        /// The version that is spoken from now on.
        protocol: u32,
        /// Its name and version. At most 128 bytes.
        software: String,
        /// The cluster it belongs to. At most 128 bytes.
        cluster: String,
        /// Where the host's plan stands now. What is older leads there by what follows.
        cursor: Cursor,
        /// The digest of that plan.
        digest: Digest,
    },
    /// A changeset: a signed envelope whose payload is a [`SignedChangeset`].
    Changeset(Vec<u8>),
    /// Send an imaginary packet. Answer: [`AgentMessage::TraceAnswer`].
    Trace {
        /// Chosen by the controller.
        id: u64,
        /// The packet.
        request: TraceRequest,
    },
    /// The session ends.
    Farewell {
        /// Why, for a person.
        reason: String,
        /// False: coming back does not help until somebody has done something.
        retry: bool,
    },
}

/// What a controller signs: a changeset, and the host it is for, so that no other host takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedChangeset {
    /// The host.
    pub host: HostId,
    /// Its changeset.
    pub changeset: Changeset,
}
