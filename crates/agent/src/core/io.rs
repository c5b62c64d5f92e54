//! What goes into the agent's core and what comes out of it.

use std::time::Duration;

use anet_model::changeset::Changeset;
use anet_model::digest::Digest;
use anet_model::host_plan::Attachment;
use anet_model::intent::HostId;
use anet_model::state::Cursor;
use anet_wire::control::Response;
use anet_wire::control::report::{DigestReport, PortState};
use anet_wire::control::trace::{TraceReport, TraceRequest};
use anet_wire::session::{AgentMessage, SignedChangeset};

use super::attachments::{Holder, Kept};

/// Who an agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The host it speaks for.
    pub host: HostId,
    /// The cluster that the host belongs to.
    pub cluster: String,
    /// Drawn at random by each process.
    pub instance: u64,
    /// Name and version.
    pub software: String,
    /// What kind of machine it is, for people.
    pub machine: String,
}

/// What was in the data plane when it was last certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppliedRecord {
    /// The controller's revision.
    pub cursor: Cursor,
    /// The digest of the controller's plan there.
    pub digest: Digest,
    /// The digest of that plan with the attachments, as the data plane has it.
    pub shown: Digest,
}

/// What a disk had.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Whole plans and changes of them, oldest first.
    pub changesets: Vec<Changeset>,
    /// The last record of what was applied.
    pub applied: Option<AppliedRecord>,
    /// Attachments.
    pub attachments: Kept,
}

/// Something to write. It counts once it was answered with success: then it is there also after a loss of power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Adds changesets to what is desired.
    Changesets(Vec<Changeset>),
    /// Replaces all that is desired by this snapshot.
    Plan(Box<Changeset>),
    /// Replaces what is applied.
    Applied(AppliedRecord),
    /// Replaces the attachments.
    Attachments(Kept),
}

/// A question or command to the data plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Change the plan. Answer: [`PlaneAnswer::Applied`].
    Apply(Changeset),
    /// The digest as kept and as read back. Answer: [`PlaneAnswer::Digest`].
    Digest,
    /// The ports' links. Answer: [`PlaneAnswer::Ports`].
    Ports,
    /// Trace a packet. Answer: [`PlaneAnswer::Traced`].
    Trace {
        /// The controller's id of the request.
        id: u64,
        /// The packet.
        request: TraceRequest,
    },
}

/// What the data plane answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaneAnswer {
    /// To [`Asked::Apply`].
    Applied(Response),
    /// To [`Asked::Digest`].
    Digest {
        /// What it said.
        report: DigestReport,
        /// How long it took to say it.
        took: Duration,
    },
    /// To [`Asked::Ports`].
    Ports(Vec<PortState>),
    /// To [`Asked::Trace`].
    Traced {
        /// The id of the request.
        id: u64,
        /// What became of it.
        answer: Result<TraceReport, String>,
    },
}

/// What a controller said, read and, where it is signed, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Its hello.
    Welcome {
        /// The version that is spoken.
        protocol: u32,
        /// Its name and version.
        software: String,
        /// Its cluster.
        cluster: String,
        /// Where this host's plan stands with it.
        cursor: Cursor,
        /// The digest of that plan.
        digest: Digest,
    },
    /// A changeset that a controller of our cluster signed, or why it is none.
    Changeset(Result<SignedChangeset, String>),
    /// A trace to answer.
    Trace {
        /// Chosen by the controller.
        id: u64,
        /// The packet.
        request: TraceRequest,
    },
    /// The session ends.
    Farewell {
        /// Why.
        reason: String,
        /// Whether coming back helps.
        retry: bool,
    },
}

/// Names a request of the local socket until it is answered.
pub type Ticket = u64;

/// What is asked on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalRequest {
    /// Attach a port, or the one of a MAC.
    Attach(Holder, Attachment),
    /// Attach it to nothing.
    Detach(Holder),
}

/// What happens to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A stream to a controller is open.
    Connected,
    /// It is no more.
    Disconnected {
        /// Why.
        reason: String,
    },
    /// The controller said something.
    Said(Said),
    /// The answer to [`Output::Persist`]: written, or why not.
    Persisted(Result<(), String>),
    /// The data plane answers from now on, under this number.
    PlaneUp {
        /// Grows with each connection to it.
        epoch: u64,
    },
    /// It does not, and none of the questions to it will be answered.
    PlaneDown {
        /// Why, and what to do.
        reason: String,
    },
    /// The data plane's answers, each once, in the order in which it was asked.
    Plane(PlaneAnswer),
    /// Somebody on this machine asks.
    Local(Ticket, LocalRequest),
    /// A second has passed.
    Tick,
}

/// What an agent wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Write; answer with [`Input::Persisted`].
    Persist(Record),
    /// Ask the data plane, under the number of its connection. Questions to an older one are not asked.
    Ask {
        /// [`Input::PlaneUp`].
        epoch: u64,
        /// The question.
        asked: Asked,
    },
    /// Say it to the controller; gone where the stream is closed.
    Send(AgentMessage),
    /// Close the stream to the controller.
    Close {
        /// False: wait long before the next one, since somebody has to do something first.
        retry: bool,
    },
    /// Answer a local request.
    Answer(Ticket, Result<String, String>),
    /// A line for the log.
    Event(String),
}
