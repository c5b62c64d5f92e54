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
mod guard;
mod respond;
mod switch;
mod walk;

pub use decap::decapsulate;
pub(crate) use deliver::permits as flood_permits;
pub(crate) use walk::{Destination, Outcome, Verdict, Walk, WorkerState};
pub use walk::{Effects, Environment};

/// A stage: its name in traces, and what it does.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    run: fn(&mut Walk<'_, '_>) -> Verdict,
}

/// The way of a packet.
pub(crate) const STAGES: [Stage; 7] = [
    Stage { name: "decap", run: decap::stage },
    Stage { name: "guard", run: guard::stage },
    Stage { name: "respond", run: respond::stage },
    Stage { name: "firewall_out", run: firewall_out::stage },
    Stage { name: "switch", run: switch::stage },
    Stage { name: "firewall_in", run: firewall_in::stage },
    Stage { name: "deliver", run: deliver::stage },
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
