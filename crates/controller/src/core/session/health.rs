//! How a host is, as its agent tells.

use std::collections::BTreeMap;

use anet_model::host_plan::PortId;
use anet_wire::control::report::LinkState;
use anet_wire::session::{AgentHello, AgentReport, VswitchState};

use super::super::events::EventKind;
use super::Output;

/// What an agent told last. It stays when the agent goes: a host without its agent forwards.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// The agent's name and version; empty before the first session.
    pub software: String,
    /// What kind of machine it is.
    pub machine: String,
    /// Why the data plane cannot be used.
    pub vswitch_down: Option<String>,
    /// Why what is applied would not survive a restart.
    pub not_durable: Option<String>,
    /// Why the last changeset was refused.
    pub refused: Option<String>,
    links: BTreeMap<PortId, LinkState>,
}

impl Health {
    /// The link of a port, where the agent told of it.
    pub fn link(&self, port: &PortId) -> Option<&LinkState> {
        self.links.get(port)
    }

    /// All that is wrong, in words; empty for a host that is well.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        let mut add = |what: &str, reason: &Option<String>| {
            troubles.extend(reason.iter().map(|reason| format!("{what}: {reason}")));
        };
        add("the switch is down", &self.vswitch_down);
        add("the agent cannot write to its disk", &self.not_durable);
        add("a changeset was refused", &self.refused);
        troubles
    }

    pub(super) fn link_is_up(&self, port: &PortId) -> bool {
        self.link(port) == Some(&LinkState::Up)
    }

    pub(super) fn greeted(&mut self, hello: &AgentHello) {
        self.software.clone_from(&hello.software);
        self.machine.clone_from(&hello.machine);
    }

    pub(super) fn report(&mut self, report: AgentReport, outputs: &mut Vec<Output>) {
        let vswitch = match report.vswitch {
            VswitchState::Up => None,
            VswitchState::Down { reason } => Some(reason),
        };
        turn(&mut self.vswitch_down, vswitch, "the switch is down", outputs);
        turn(
            &mut self.not_durable,
            report.not_durable,
            "the agent cannot write to its disk",
            outputs,
        );
        self.links = report
            .ports
            .into_iter()
            .map(|state| (state.port, state.link))
            .collect();
    }

    pub(super) fn refused(&mut self, reason: &str, outputs: &mut Vec<Output>) {
        turn(
            &mut self.refused,
            Some(reason.to_owned()),
            "a changeset was refused",
            outputs,
        );
    }

    pub(super) fn accepted(&mut self, outputs: &mut Vec<Output>) {
        turn(&mut self.refused, None, "a changeset was refused", outputs);
    }
}

/// Takes a new state of one kind of trouble, and tells where it begins or ends.
fn turn(state: &mut Option<String>, now: Option<String>, what: &str, outputs: &mut Vec<Output>) {
    match (state.is_some(), &now) {
        (false, Some(reason)) => {
            outputs.push(Output::Event(EventKind::HostTrouble, format!("{what}: {reason}")));
        }
        (true, None) => outputs.push(Output::Event(
            EventKind::HostRecovered,
            format!("no longer: {what}"),
        )),
        _ => {}
    }
    *state = now;
}
