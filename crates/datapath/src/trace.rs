//! A packet's way as people read it: the pipeline's own steps, written down.

use std::fmt;

use crate::verdict::DropReason;

/// One step: a stage and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The stage's name.
    pub stage: &'static str,
    /// What it looked at and what it decided, naming rules and objects.
    pub text: String,
}

/// What becomes of a traced packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// To a port of this host.
    Deliver {
        /// Its id.
        port: String,
    },
    /// Through a tunnel.
    Encapsulate {
        /// The remote endpoint's address.
        endpoint: std::net::IpAddr,
        /// The VNI.
        vni: u32,
    },
    /// Copies to several.
    Flood {
        /// Local ports.
        ports: usize,
        /// Remote endpoints.
        endpoints: usize,
    },
    /// Answered by this host.
    Reply,
    /// Taken note of; goes no further.
    Consumed,
    /// Dropped.
    Drop(DropReason),
}

/// The record of a walk through the pipeline.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// The steps in order.
    pub steps: Vec<Step>,
    /// How it ended.
    pub fate: Option<Fate>,
}

impl Trace {
    pub(crate) fn record(&mut self, stage: &'static str, text: String) {
        self.steps.push(Step { stage, text });
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Deliver { port } => write!(f, "delivered to port {port}"),
            Fate::Encapsulate { endpoint, vni } => write!(f, "sent to {endpoint} in VXLAN segment {vni}"),
            Fate::Flood { ports, endpoints } => {
                write!(f, "copied to {ports} ports and {endpoints} endpoints")
            }
            Fate::Reply => f.write_str("answered by this host"),
            Fate::Consumed => f.write_str("ends here"),
            Fate::Drop(reason) => write!(f, "dropped: {}: {}", reason.name(), reason.explanation()),
        }
    }
}
