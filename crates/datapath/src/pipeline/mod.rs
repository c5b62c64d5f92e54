//! The pipeline: what is decided about the first packet of a flow, and about every packet that is no flow.
//!
//! One table of stages, walked in order until a stage decides. Each stage is a file and a function of a [`Walk`]. A
//! trace is the same walk with a recorder and without lasting effects. Stages for routing and translation will stand
//! between `switch` and `firewall_in`, shaping behind it.

mod connection;
mod decap;
mod deliver;
mod firewall_in;
mod firewall_out;
mod fragment;
mod guard;
mod recheck;
mod respond;
mod switch;
mod walk;

use anet_memory::buffer::Buffer;
use anet_packet::Malformed;
use anet_packet::parse::{self, Layout};

use crate::interface::Interface;
use crate::tables::FloodMember;
use crate::trace::{Fate, Trace};
use crate::verdict::DropReason;

pub use decap::decapsulate;
pub(crate) use deliver::permits as flood_permits;
pub(crate) use recheck::{Recheck, recheck};
pub(crate) use respond::with_view;
pub(crate) use switch::longest;
pub(crate) use walk::{Destination, Outcome, Verdict, Walk, WorkerState};
pub use walk::{Effects, Environment};

/// A stage: its name in traces, and what it does.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    run: fn(&mut Walk<'_, '_>) -> Verdict,
}

/// The way of a packet.
pub(crate) const STAGES: [Stage; 7] = [
    Stage {
        name: "decap",
        run: decap::stage,
    },
    Stage {
        name: "guard",
        run: guard::stage,
    },
    Stage {
        name: "respond",
        run: respond::stage,
    },
    Stage {
        name: "firewall_out",
        run: firewall_out::stage,
    },
    Stage {
        name: "switch",
        run: switch::stage,
    },
    Stage {
        name: "firewall_in",
        run: firewall_in::stage,
    },
    Stage {
        name: "deliver",
        run: deliver::stage,
    },
];

/// Names of the stages, in order.
pub fn stage_names() -> impl Iterator<Item = &'static str> {
    STAGES.iter().map(|stage| stage.name)
}

/// Walks the stages until one decides.
pub(crate) fn walk(walk: &mut Walk<'_, '_>) -> Outcome {
    for stage in &STAGES {
        walk.stage = stage.name;
        if let Verdict::Done(outcome) = (stage.run)(walk) {
            return outcome;
        }
    }
    unreachable!("the last stage always decides")
}

/// Walks `frame`, as if it came in by `source` (a port or the uplink), with a recorder and without lasting effects.
pub fn trace(environment: Environment<'_>, source: Interface, frame: &mut Buffer) -> Trace {
    let mut trace = Trace::default();
    let mut state = WorkerState::default();
    let layout = match read_layout(source, frame) {
        Ok(layout) => layout,
        Err(malformed) => {
            trace.record("parse", malformed.text().to_string());
            trace.fate = Some(Fate::Drop(malformed.into()));
            return trace;
        }
    };
    let mut steps = Walk::new(environment, &mut state, frame, layout, source);
    steps.effects = Effects::None;
    steps.trace = Some(&mut trace);
    let outcome = walk(&mut steps);
    let flood = flood_fate(&steps, &outcome);
    let fate = match outcome {
        Outcome::Forward => flood,
        Outcome::Reply => Some(Fate::Reply),
        Outcome::Consumed => Some(Fate::Consumed),
        Outcome::Drop(reason) => Some(Fate::Drop(reason)),
    };
    trace.fate = fate.or(trace.fate);
    trace
}

/// A frame from the underlay is laid out once its outer headers are off; until then any layout will do.
fn read_layout(source: Interface, frame: &Buffer) -> Result<Layout, Malformed> {
    parse::layout(frame.head(), frame.len()).or_else(|malformed| match source {
        Interface::UPLINK => Ok(Layout::EMPTY),
        _ => Err(malformed),
    })
}

/// Who would get a copy; where nobody does, what the packet is dropped for.
fn flood_fate(walk: &Walk<'_, '_>, outcome: &Outcome) -> Option<Fate> {
    let (Outcome::Forward, Some(Destination::Flood), Some(network)) =
        (outcome, walk.destination, walk.network)
    else {
        return None;
    };
    let (mut ports, mut endpoints, mut refused) = (0, 0, None);
    for member in network.flood() {
        match (flood_permits(walk, *member), member) {
            (Some(Ok(())), FloodMember::Port(_)) => ports += 1,
            (Some(Ok(())), FloodMember::Endpoint(_)) => endpoints += 1,
            (Some(Err(reason)), _) => refused = refused.or(Some(reason)),
            (None, _) => {}
        }
    }
    Some(match ports + endpoints {
        0 => Fate::Drop(refused.unwrap_or(DropReason::NoMembers)),
        _ => Fate::Flood { ports, endpoints },
    })
}
